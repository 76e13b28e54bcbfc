import { inspect } from "node:util"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { MetricData } from "@opentelemetry/sdk-metrics"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as IntrospectionAuthorizer from "../../src/server/IntrospectionAuthorizer.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as Endpoint from "./fixtures/Endpoint.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Logs from "./fixtures/Logs.js"
import * as Network from "./fixtures/Network.js"
import * as Telemetry from "./fixtures/Telemetry.js"

const { issuer, resource } = Guarded
const jwks = `${issuer}/jwks`
const endpoint = `${issuer}/introspect`
const wellKnown = `${issuer}/.well-known/oauth-authorization-server`
const subject = "subject-of-alice-4711"
const secret = "secret-of-the-server-0815"
const opaque = "opaque-token-of-alice-1234567890"
const soon = Math.floor(Date.now() / 1000) + 600
const [key, stranger] = await Promise.all([Keys.make("RS256", "k1"), Keys.make("RS256", "k1")])

const payload = {
  iss: issuer,
  aud: resource,
  sub: subject,
  client_id: "app",
  iat: 0,
  exp: soon,
  jti: "1",
  scope: "mcp:tools"
}
const introspected = { active: true, sub: subject, username: subject, aud: resource, scope: "mcp:tools", exp: soon }
const signedAnswer = (claims: object) =>
  key.token(
    { iss: issuer, aud: "rs", iat: soon - 600, token_introspection: introspected, ...claims },
    { typ: "token-introspection+jwt" }
  )

const jwt = {
  good: await key.token(payload),
  narrow: await key.token({ ...payload, scope: "other" }),
  expired: await key.token({ ...payload, exp: 1 }),
  foreign: await key.token({ ...payload, aud: "https://other.example" }),
  forged: await stranger.token(payload),
  unknown: await key.token(payload, { kid: "k9" }),
  late: await key.token({ ...payload, sub: { name: subject } }),
  bound: await key.token({ ...payload, cnf: { jkt: "thumb" } })
}

/** The issuer as the network knows it; `answer` is what it says of opaque tokens. */
const networkOf = (answer: Endpoint.Answer, documents = true) =>
  Endpoint.make(({ method, url }) =>
    method === "POST"
      ? answer
      : documents && url === wellKnown
        ? Network.json({ issuer, jwks_uri: jwks, introspection_endpoint: endpoint })
        : documents && url === jwks
          ? Network.json({ keys: [key.jwk] })
          : Network.unreachable
  )

type Make = Effect.Effect<Authorizer.Service, never, AuthConfig.AuthConfig | HttpClient.HttpClient | Scope.Scope>

const introspection = (options: Partial<IntrospectionAuthorizer.Options> = {}): Make =>
  IntrospectionAuthorizer.make({ clientId: "rs", credentials: { clientSecret: Redacted.make(secret) }, ...options })
const post = { credentials: { clientSecret: Redacted.make(secret), method: "client_secret_post" } } as const

const transfer = Effect.as(Claims.requireScopes("transfer"), HttpServerResponse.text("done"))
const whoami = Effect.map(Claims.CurrentClaims, () => HttpServerResponse.text("somebody"))

interface Case {
  readonly make: Make
  readonly network: Endpoint.Endpoint
  readonly question: Guarded.Question
  readonly app?: typeof transfer | typeof whoami
  readonly status: number
  readonly outcome: string
}

const ofJwt = (token: string, status: number, outcome: string, app: Case["app"] = whoami): Case => ({
  make: JwtAuthorizer.make(),
  network: networkOf(Network.unreachable),
  question: { token },
  app,
  status,
  outcome
})
const ofAnswer = (
  answer: Endpoint.Answer,
  status: number,
  outcome: string,
  options?: Partial<IntrospectionAuthorizer.Options>
): Case => ({ make: introspection(options), network: networkOf(answer), question: { token: opaque }, status, outcome })
const ofAnyone = (authorize: () => Effect.Effect<Claims.Claims, AuthError.AuthError>, status: number): Case => ({
  make: Effect.succeed(Authorizer.make(authorize)),
  network: networkOf(Network.unreachable),
  question: { token: opaque },
  status,
  outcome: "ServerError"
})

const text = (body: string | Promise<string>) =>
  Effect.map(
    Effect.promise(async () => body),
    (body) => new Response(body)
  )
const signed = { signed: { algorithms: ["RS256"] } } as const

const cases: Readonly<Record<string, Case>> = {
  "a good JWT": ofJwt(jwt.good, 200, "Accepted"),
  "a JWT with too few scopes": ofJwt(jwt.narrow, 403, "InsufficientScope"),
  "a JWT with too few scopes for the operation": ofJwt(jwt.good, 403, "InsufficientScope", transfer),
  "a JWT that has expired": ofJwt(jwt.expired, 401, "InvalidToken"),
  "a JWT for another audience": ofJwt(jwt.foreign, 401, "InvalidToken"),
  "a JWT that a stranger signed": ofJwt(jwt.forged, 401, "InvalidToken"),
  "a JWT under an unknown key": ofJwt(jwt.unknown, 401, "InvalidToken"),
  "a JWT whose subject is an object": ofJwt(jwt.late, 401, "InvalidToken"),
  "a JWT that is bound to a key": ofJwt(jwt.bound, 401, "InvalidToken"),
  "an opaque token where JWTs are asked for": ofJwt(opaque, 401, "InvalidToken"),
  "two tokens in one header": {
    ...ofJwt("", 400, "InvalidRequest"),
    question: { headers: { authorization: `Bearer ${jwt.good} ${opaque}` } }
  },
  "a password": {
    ...ofJwt("", 401, "Missing"),
    question: { headers: { authorization: `Basic ${btoa(`alice:${secret}`)}` } }
  },
  "no keys to be had": { ...ofJwt(jwt.good, 503, "ServerError"), network: networkOf(Network.unreachable, false) },
  "a good answer": ofAnswer(Network.json(introspected), 200, "Accepted"),
  "an answer that it is not active": ofAnswer(Network.json({ ...introspected, active: false }), 401, "InvalidToken"),
  "an answer for another audience": ofAnswer(Network.json({ ...introspected, aud: "x" }), 401, "InvalidToken"),
  "an answer with a claim of the wrong type": ofAnswer(
    Network.json({ ...introspected, exp: subject }),
    503,
    "ServerError"
  ),
  "an answer that repeats the request": ofAnswer(new Response(`${opaque} ${secret}`), 503, "ServerError"),
  "an answer that refuses our credentials": ofAnswer(
    Network.json({ error: "invalid_client", error_description: secret }, { status: 401 }),
    503,
    "ServerError"
  ),
  "an answer of a page with our token": ofAnswer(new Response(opaque, { status: 500 }), 503, "ServerError"),
  "a redirect with our token": ofAnswer(
    new Response(null, { status: 302, headers: { location: `https://x.example/${opaque}`, "x-echo": opaque } }),
    503,
    "ServerError"
  ),
  "a token in the query": {
    ...ofJwt(jwt.good, 400, "InvalidRequest"),
    question: { path: `/mcp?x=1&access_token=${opaque}`, token: jwt.good }
  },
  "no answer, to a client_secret_basic": ofAnswer(Network.unreachable, 503, "ServerError"),
  "no answer, to a client_secret_post": ofAnswer(Network.unreachable, 503, "ServerError", post),
  "a good signed answer": ofAnswer(text(signedAnswer({})), 200, "Accepted", signed),
  "a signed answer for another server": ofAnswer(text(signedAnswer({ aud: "x" })), 503, "ServerError", signed),
  "a signed answer of last year": ofAnswer(text(signedAnswer({ iat: 1 })), 503, "ServerError", signed),
  "a signed answer that says nothing": ofAnswer(
    text(signedAnswer({ token_introspection: { sub: subject } })),
    503,
    "ServerError",
    signed
  ),
  "an authorizer that dies": ofAnyone(() => Effect.dieMessage("the cause of it all"), 500),
  "an authorizer that throws": ofAnyone(() => {
    throw new Error("the cause of it all")
  }, 500),
  "an authorizer that fails with what is no refusal": ofAnyone(
    () => Effect.fail(new Error("the cause of it all")) as never,
    500
  ),
  "an authorizer whose data base is away": ofAnyone(
    () => new AuthError.ServerError({ retryAfter: 3, cause: new Error("the cause of it all") }),
    503
  )
}

/** Every form in which a secret may have got somewhere. */
const formsOf = (value: string): ReadonlyArray<string> => [
  value,
  encodeURIComponent(value),
  btoa(value),
  ...value.split(".").filter((part) => part.length > 20),
  ...[...value]
    .reverse()
    .join("")
    .split(".")
    .filter((part) => part.length > 20)
]
const secrets = [...Object.values(jwt), opaque, secret, subject, btoa(`rs:${secret}`), btoa(`alice:${secret}`)].flatMap(
  formsOf
)
// A JWT's header is the same for all of its kind, and no secret.
const notSecret = new Set(Object.values(jwt).map((token) => token.split(".")[0]))

const assertNoSecret = (where: string, text: string) => {
  for (const value of secrets) {
    if (!notSecret.has(value)) assert.isFalse(text.includes(value), `${where} holds ${value.slice(0, 40)}`)
  }
}

const counts = (metrics: ReadonlyMap<string, MetricData>) =>
  Object.fromEntries(
    (metrics.get("mcp_auth_decisions")?.dataPoints ?? []).map(({ attributes, value }) => [attributes["outcome"], value])
  ) as Record<string, number>

/** One request on a real clock, with all that it left behind. */
const observe = ({ app = whoami, make, network, question }: Case, telemetry: Telemetry.Telemetry) =>
  Effect.gen(function* () {
    const before = yield* telemetry.metrics
    const authorizer = yield* make
    const [answer, lines] = yield* Logs.collect(
      Effect.provideService(Guarded.send(HttpAppAuth.middleware(app), question), Authorizer.Authorizer, authorizer)
    )
    const after = yield* telemetry.metrics
    return { answer, lines, before, after }
  }).pipe(
    Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf()),
    Effect.provideService(HttpClient.HttpClient, network.client),
    Effect.scoped
  )

const named = (spans: ReadonlyArray<ReadableSpan>, name: string) => spans.filter((span) => span.name === name)

describe.each(Object.entries(cases))("%s", (_, one) => {
  it.live("is counted once, logged at its level, and leaves no secret anywhere", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        const { after, answer, before, lines } = yield* observe(one, telemetry)
        assert.strictEqual(answer.status, one.status)

        // Counters: this outcome once more, or twice where a handler refused what the guard had accepted; no other.
        const was = counts(before)
        const more = Object.entries(counts(after)).flatMap(([outcome, count]) =>
          count === (was[outcome] ?? 0) ? [] : [[outcome, count - (was[outcome] ?? 0)]]
        )
        const expected = one.app === transfer ? { Accepted: 1, [one.outcome]: 1 } : { [one.outcome]: 1 }
        assert.deepStrictEqual(Object.fromEntries(more), expected)

        // Logs: nothing for who gets in, Debug for who is refused, Warning with the cause for what could not be decided.
        const own = lines.filter(({ text }) => /Refused: |Authorization could not be decided/.test(text))
        const level = one.outcome === "Accepted" ? [] : [one.outcome === "ServerError" ? "WARN" : "DEBUG"]
        assert.deepStrictEqual(
          own.map(({ level }) => level),
          level
        )
        if (one.outcome !== "Accepted" && one.outcome !== "ServerError") {
          assert.include(own[0]?.text, `Refused: ${one.outcome}`)
          assert.deepStrictEqual(
            lines.filter(({ level }) => level === "WARN"),
            []
          )
        }

        // Spans: the decision, where there was something to decide about, and every document that was fetched.
        const spans = telemetry.spans()
        const decided = named(spans, "Authorizer.authorize")
        const presented = one.outcome !== "Missing" && one.outcome !== "InvalidRequest"
        assert.strictEqual(decided.length, presented ? 1 : 0)
        if (presented) {
          const { cause, issuer: who, outcome, scheme, ...others } = decided[0]?.attributes ?? {}
          assert.deepStrictEqual([scheme, others], ["Bearer", {}])
          const accepted = one.app === transfer || one.outcome === "Accepted"
          assert.strictEqual(outcome, accepted ? "Accepted" : one.outcome)
          assert.strictEqual(who, accepted ? issuer : undefined)
          const caused = !accepted && one.outcome !== "InsufficientScope"
          assert.isTrue(caused ? typeof cause === "string" && /^[A-Za-z]+$/.test(cause) : cause === undefined)
        }
        // The histogram has every decision, whatever it was.
        const measured = (metrics: typeof after) =>
          (metrics.get("mcp_auth_authorize_ms")?.dataPoints[0]?.value as { readonly count: number } | undefined)
            ?.count ?? 0
        assert.strictEqual(measured(after) - measured(before), decided.length)
        const fetched = named(spans, "Discovery.fetch").map(({ attributes }) => attributes["url"])
        assert.deepStrictEqual(
          fetched,
          one.network.asked.map(({ url }) => url)
        )

        assertNoSecret("the telemetry", yield* telemetry.text)
        assertNoSecret("the log", lines.map(({ text }) => text).join("\n"))
        assertNoSecret("the answer", [answer.text, ...answer.headers].join("\n"))
      })
    )
  )
})

describe("crash safety (C10–C12)", () => {
  const broken = Object.entries(cases).filter(([name]) => name.startsWith("an authorizer"))
  it.live.each(broken)("C11 %s: not a word of the cause in the answer, all of it in the log", ([, one]) =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        const { answer, lines } = yield* observe(one, telemetry)
        assert.strictEqual(answer.status, one.status)
        assert.isNull(answer.challenge)
        assert.strictEqual(answer.headers.get("retry-after"), one.status === 503 ? "3" : null)
        assert.deepStrictEqual(answer.body, {
          error: "server_error",
          error_description: one.status === 503 ? "Service Unavailable" : "Internal Server Error"
        })
        assert.notInclude([answer.text, ...answer.headers].join("\n"), "the cause of it all")
        const warnings = lines.filter(({ level }) => level === "WARN")
        assert.strictEqual(warnings.length, 1)
        // As people read it with the logger that everybody has.
        assert.include(warnings[0]?.text.split("\n[")[0], "the cause of it all")
      })
    )
  )
})

describe("the instruments", () => {
  it.live("the counter is one metric with a point for each outcome, and no other attribute", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        for (const name of ["a good JWT", "a password", "an authorizer that dies"])
          yield* observe(cases[name]!, telemetry)
        const counter = (yield* telemetry.metrics).get("mcp_auth_decisions")
        const outcomes = new Set([
          "Accepted",
          "Missing",
          "InvalidToken",
          "InsufficientScope",
          "InvalidRequest",
          "ServerError"
        ])
        for (const { attributes } of counter?.dataPoints ?? []) {
          assert.deepStrictEqual(Object.keys(attributes), ["outcome"])
          assert.isTrue(outcomes.has(String(attributes["outcome"])))
        }
      })
    )
  )

  it.live("the histogram counts decisions in milliseconds", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        const slow: Case = {
          ...cases["a good JWT"]!,
          make: Effect.succeed(
            Authorizer.make(({ url }) =>
              Effect.delay(
                Effect.succeed(
                  new Claims.Claims({ issuer, subject, audience: [url], scopes: ["mcp:tools"], raw: Redacted.make({}) })
                ),
                "50 millis"
              )
            )
          )
        }
        const { after, before } = yield* observe(slow, telemetry)
        const point = (metrics: typeof after) =>
          (metrics.get("mcp_auth_authorize_ms")?.dataPoints[0]?.value ?? { count: 0, sum: 0 }) as {
            count: number
            sum: number
          }
        assert.strictEqual(point(after).count - point(before).count, 1)
        assert.isAtLeast(point(after).sum - point(before).sum, 45)
        assert.isBelow(point(after).sum - point(before).sum, 5000)
        assert.deepStrictEqual(
          after.get("mcp_auth_authorize_ms")?.dataPoints.map(({ attributes }) => attributes),
          [{}]
        )
      })
    )
  )

  it.live("Discovery.fetch says what for and where, without query, as a child of the decision", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        yield* observe(cases["a good answer"]!, telemetry)
        const [decided] = named(telemetry.spans(), "Authorizer.authorize")
        const fetched = named(telemetry.spans(), "Discovery.fetch")
        assert.deepStrictEqual(
          fetched.map(({ attributes }) => [attributes["purpose"], attributes["url"]]),
          [
            ["authorization server metadata", wellKnown],
            ["token introspection", endpoint]
          ]
        )
        assert.strictEqual(fetched[1]?.parentSpanContext?.spanId, decided?.spanContext().spanId)
      })
    )
  )

  it.live("what is refused stays out of a log that has no use for it", () =>
    Effect.gen(function* () {
      const one = cases["a JWT that has expired"]!
      const authorizer = yield* Effect.scoped(one.make)
      const [, lines] = yield* Logs.collect(
        Effect.provideService(
          Guarded.send(HttpAppAuth.middleware(whoami), one.question),
          Authorizer.Authorizer,
          authorizer
        ),
        LogLevel.Info
      )
      assert.deepStrictEqual(lines, [])
    }).pipe(
      Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf()),
      Effect.provideService(HttpClient.HttpClient, networkOf(Network.unreachable).client)
    )
  )

  it.live("the search finds what it is to find: a span, a log line and an error that do hold a token", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        const [, lines] = yield* Logs.collect(
          Effect.logInfo("careless", { nested: { deep: { token: jwt.good } } }).pipe(
            Effect.withSpan("careless", { attributes: { token: opaque } })
          )
        )
        assert.throws(() => assertNoSecret("the log", lines.map(({ text }) => text).join()))
        const exported = yield* telemetry.text
        assert.throws(() => assertNoSecret("the telemetry", exported))
        const error = new Error("x", { cause: new Error("y", { cause: { sub: subject } }) })
        assert.throws(() => assertNoSecret("the error", inspect(error, { depth: 30 })))
      })
    )
  )
})
