import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import type * as AuthError from "../../src/server/AuthError.js"
import type * as Authorizer from "../../src/server/Authorizer.js"
import * as IntrospectionAuthorizer from "../../src/server/IntrospectionAuthorizer.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as TokenProfile from "../../src/server/TokenProfile.js"
import * as Endpoint from "./fixtures/Endpoint.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"
import * as Whoami from "./fixtures/Whoami.js"

const { issuer, resource } = Guarded
const endpoint = `${issuer}/introspect`
const jwks = `${issuer}/jwks`
const wellKnown = `${issuer}/.well-known/oauth-authorization-server`
const metadata = { issuer, introspection_endpoint: endpoint, jwks_uri: jwks }
const secret = Redacted.make("a secret")
const byBasic: IntrospectionAuthorizer.Options = { clientId: "rs", credentials: { clientSecret: secret }, endpoint }
const good = { active: true, sub: "alice", client_id: "app", aud: resource, scope: "mcp:tools" }

/** An issuer whose answer about tokens, documents and keys a test may change at any time. */
const makeIssuer = (answer: Endpoint.Answer | ((asked: Endpoint.Asked) => Endpoint.Answer)) => {
  const state: { answer: typeof answer; metadata: unknown; keys: ReadonlyArray<unknown> } = {
    answer,
    metadata,
    keys: []
  }
  const network = Endpoint.make((asked) => {
    if (asked.url === wellKnown && state.metadata !== undefined) return Network.json(state.metadata)
    if (asked.url === jwks) return Network.json({ keys: state.keys })
    if (asked.method !== "POST") return new Response("not here", { status: 404 })
    if (typeof state.answer === "function") return state.answer(asked)
    return state.answer instanceof Response ? state.answer.clone() : state.answer
  })
  return { state, network, introspections: () => network.asked.filter(({ method }) => method === "POST") }
}

const authorizerOf = (
  { network }: { readonly network: Endpoint.Endpoint },
  options: Partial<IntrospectionAuthorizer.Options> = {},
  config = Guarded.configOf()
) =>
  IntrospectionAuthorizer.make({ ...byBasic, ...options }).pipe(
    Effect.provideService(HttpClient.HttpClient, network.client),
    Effect.provideService(AuthConfig.AuthConfig, config)
  )

const credentials = (token: string, more: Partial<Authorizer.Credentials> = {}): Authorizer.Credentials => ({
  scheme: "Bearer",
  token: Redacted.make(token),
  method: "POST",
  url: resource,
  issuers: [issuer],
  headers: {},
  ...more
})

/** What an authorizer says: the subject, the reason of an `InvalidToken`, or the tag of another failure. */
const verdict = (authorizer: Authorizer.Service, token = "opaque", more?: Partial<Authorizer.Credentials>) =>
  Effect.match(authorizer.authorize(credentials(token, more)), {
    onSuccess: ({ subject }) => subject,
    onFailure: (error) => (error._tag === "InvalidToken" ? error.reason : error._tag)
  })

const failure = (authorizer: Authorizer.Service, token = "opaque") =>
  Effect.flip(authorizer.authorize(credentials(token)))

/** The whole way: what the guard answers, and what the decision log is told. */
const guarded = (authorizer: Authorizer.Service) => Whoami.ask(authorizer)

/** An outage reads the same whatever its cause: 503, when to come back, no challenge, and not a word more. */
const assertOutage = (answer: Guarded.Answer, retryAfter = "1") => {
  assert.strictEqual(answer.status, 503)
  assert.isNull(answer.challenge)
  assert.strictEqual(answer.headers.get("retry-after"), retryAfter)
  assert.deepStrictEqual(answer.body, { error: "server_error", error_description: "Service Unavailable" })
}

const now = 1_800_000_000
const atNow = TestClock.setTime(now * 1000)

describe("what an answer says of a token (N-02, N-03)", () => {
  /** `alice` (or another subject) got in; anything else is the reason, or the tag, of the refusal. */
  const answers: ReadonlyArray<readonly [name: string, answer: unknown, outcome: string, reason?: string]> = [
    ["active", good, "alice"],
    ["not active", { active: false }, "InvalidToken", "inactive"],
    ["not active, with all claims of a good token", { ...good, active: false }, "InvalidToken", "inactive"],
    ["not active, with claims of the wrong type", { active: false, exp: "x", aud: 1 }, "InvalidToken", "inactive"],
    ["active twice, the last time false", `{"active":true,"sub":"a","active":false}`, "InvalidToken", "inactive"],
    ['active as "true"', { ...good, active: "true" }, "ServerError"],
    ['active as "false"', { ...good, active: "false" }, "ServerError"],
    ["active as 1", { ...good, active: 1 }, "ServerError"],
    ["active as null", { ...good, active: null }, "ServerError"],
    ["active as a list", { ...good, active: [true] }, "ServerError"],
    ["active missing", { ...good, active: undefined }, "ServerError"],
    ["active in another case", { ...good, active: undefined, Active: true }, "ServerError"],
    ["active by prototype", `{"__proto__":${JSON.stringify(good)}}`, "ServerError"],
    ["active inside of a list", [good], "ServerError"],
    ["exp a second ahead", { ...good, exp: now + 1 }, "alice"],
    ["exp half a second ahead", { ...good, exp: now + 0.5 }, "alice"],
    ["exp at this moment", { ...good, exp: now }, "InvalidToken", "expired"],
    ["exp a second ago", { ...good, exp: now - 1 }, "InvalidToken", "expired"],
    ["exp at the beginning of time", { ...good, exp: 0 }, "InvalidToken", "expired"],
    ["exp before the beginning of time", { ...good, exp: -now }, "InvalidToken", "expired"],
    ["exp as a string", { ...good, exp: String(now + 60) }, "ServerError"],
    ["exp as null", { ...good, exp: null }, "ServerError"],
    ["nbf at this moment", { ...good, nbf: now }, "alice"],
    ["nbf a second ahead", { ...good, nbf: now + 1 }, "InvalidToken", "notYetValid"],
    ["nbf as a string", { ...good, nbf: "0" }, "ServerError"],
    ["iss of the issuer", { ...good, iss: issuer }, "alice"],
    ["iss of another", { ...good, iss: "https://other.example" }, "InvalidToken", "issuer"],
    ["iss with a slash more", { ...good, iss: `${issuer}/` }, "InvalidToken", "issuer"],
    ["iss empty", { ...good, iss: "" }, "InvalidToken", "issuer"],
    ["aud missing", { ...good, aud: undefined }, "InvalidToken", "audience"],
    ["aud as a list with the resource", { ...good, aud: ["https://other.example", resource] }, "alice"],
    ["aud of another resource", { ...good, aud: "https://other.example" }, "InvalidToken", "audience"],
    ["aud a parent of the resource", { ...good, aud: "https://mcp.example.com" }, "InvalidToken", "audience"],
    ["aud with a slash more", { ...good, aud: `${resource}/` }, "InvalidToken", "audience"],
    ["aud in capitals", { ...good, aud: resource.toUpperCase() }, "InvalidToken", "audience"],
    ["aud of two in one string", { ...good, aud: `${resource} https://other.example` }, "InvalidToken", "audience"],
    ["aud empty", { ...good, aud: "" }, "InvalidToken", "audience"],
    ["aud of nobody", { ...good, aud: [] }, "InvalidToken", "audience"],
    ["aud as an object", { ...good, aud: { [resource]: true } }, "ServerError"],
    ["aud with a number in it", { ...good, aud: [resource, 1] }, "ServerError"],
    ["cnf of a DPoP key", { ...good, cnf: { jkt: "thumb" } }, "InvalidToken", "binding"],
    ["cnf of a certificate", { ...good, cnf: { "x5t#S256": "thumb" } }, "InvalidToken", "binding"],
    ["cnf of no known method", { ...good, cnf: { kid: "k" } }, "InvalidToken", "binding"],
    ["cnf empty", { ...good, cnf: {} }, "InvalidToken", "binding"],
    ["cnf null", { ...good, cnf: null }, "InvalidToken", "binding"],
    ["token_type Bearer", { ...good, token_type: "Bearer" }, "alice"],
    ["token_type bearer", { ...good, token_type: "bearer" }, "alice"],
    ["token_type access_token", { ...good, token_type: "access_token" }, "alice"],
    ["token_type DPoP, without saying of which key", { ...good, token_type: "DPoP" }, "InvalidToken", "binding"],
    ["token_type refresh_token", { ...good, token_type: "refresh_token" }, "InvalidToken", "type"],
    ["token_type Refresh", { ...good, token_type: "Refresh" }, "InvalidToken", "type"],
    ["token_type N_A", { ...good, token_type: "N_A" }, "InvalidToken", "type"],
    ["token_type empty", { ...good, token_type: "" }, "InvalidToken", "type"],
    ["token_type as a number", { ...good, token_type: 1 }, "ServerError"],
    ["scope missing", { ...good, scope: undefined }, "InsufficientScope"],
    ["scope empty", { ...good, scope: "" }, "InsufficientScope"],
    ["scope of others", { ...good, scope: "mcp:write openid" }, "InsufficientScope"],
    ["scope that only begins like it", { ...good, scope: "mcp:tools-not" }, "InsufficientScope"],
    ["scope among others", { ...good, scope: "openid  mcp:tools\tx" }, "alice"],
    ["scope as a list", { ...good, scope: ["mcp:tools"] }, "ServerError"],
    ["no sub: the client is the subject", { ...good, sub: undefined }, "app"],
    ["no sub and no client_id", { ...good, sub: undefined, client_id: undefined }, "InvalidToken", "claims"],
    ["sub empty", { ...good, sub: "" }, "InvalidToken", "claims"],
    ["sub as a number", { ...good, sub: 1 }, "ServerError"],
    ["sub as null", { ...good, sub: null }, "ServerError"],
    ["members that nobody knows", { ...good, constructor: 1, hasOwnProperty: 2, username: "al" }, "alice"],
    ["null", null, "ServerError"],
    ["true", true, "ServerError"],
    ["the word active", "active", "ServerError"],
    ["nothing", "", "ServerError"],
    ["HTML", "<!DOCTYPE html><title>Sign in</title>", "ServerError"],
    ["half of it", JSON.stringify(good).slice(0, 30), "ServerError"],
    ["two documents", `${JSON.stringify(good)}${JSON.stringify(good)}`, "ServerError"],
    ["a million levels", `{"active":true,"x":${"[".repeat(100_000)}`, "ServerError"]
  ]

  it.scoped.each(answers)("N-03 %s", ([, answer, outcome, reason]) =>
    Effect.gen(function* () {
      yield* atNow
      const answered = yield* guarded(yield* authorizerOf(makeIssuer(Network.json(answer))))
      const { decision, status } = answered
      if (outcome === "ServerError") assertOutage(answered)
      else if (outcome === "InvalidToken") {
        const description = reason === "expired" ? "The access token has expired" : undefined
        assert.strictEqual(answered.challenge, Guarded.invalidChallenge(description))
        assert.strictEqual(decision?.reason, reason)
      } else if (outcome === "InsufficientScope") assert.strictEqual(status, 403)
      else {
        assert.strictEqual(answered.text, outcome)
        assert.strictEqual(decision?.outcome, "Accepted")
        return
      }
      assert.strictEqual(decision?.outcome, outcome)
    })
  )

  it.scoped("S-04 acr, auth_time and all else stays in raw, which prints as redacted", () =>
    Effect.gen(function* () {
      const authorizer = yield* authorizerOf(makeIssuer(Network.json({ ...good, acr: "mfa", auth_time: 5 })))
      const claims = yield* authorizer.authorize(credentials("opaque"))
      assert.deepInclude(Redacted.value(claims.raw), { acr: "mfa", auth_time: 5, client_id: "app" })
      assert.strictEqual(String(claims.raw), "<redacted>")
      assert.deepStrictEqual([claims.clientId, claims.scopes, claims.issuer], ["app", ["mcp:tools"], issuer])
    })
  )

  describe("with the audience bound by the issuer", () => {
    const bound: ReadonlyArray<readonly [name: string, answer: object, outcome: string]> = [
      ["no aud, and a token_type", { aud: undefined, token_type: "Bearer" }, "alice"],
      ["no aud and no token_type: a refresh token looks the same", { aud: undefined }, "type"],
      ["no aud, and the token_type of a refresh token", { aud: undefined, token_type: "refresh_token" }, "type"],
      ["an aud that is another's", { aud: "https://other.example", token_type: "Bearer" }, "audience"],
      ["an aud of nobody", { aud: [], token_type: "Bearer" }, "audience"],
      ["an aud that is ours", {}, "alice"]
    ]
    it.scoped.each(bound)("N-03 RS-32 %s", ([, more, outcome]) =>
      Effect.gen(function* () {
        const issuer = makeIssuer(Network.json({ ...good, ...more }))
        const answer = yield* guarded(yield* authorizerOf(issuer, { audience: "bound" }))
        assert.strictEqual(outcome === "alice" ? answer.text : answer.decision?.reason, outcome)
      })
    )
  })
})

describe("what the endpoint answers (N-04)", () => {
  const error = (code: string, status: number) => Network.json({ error: code }, { status })
  const inactive: ReadonlyArray<readonly [string, Response]> = [
    ["400 unsupported_token_type, as for JWTs", error("unsupported_token_type", 400)],
    ["400 invalid_token", error("invalid_token", 400)]
  ]
  it.scoped.each(inactive)("%s is inactive", ([, response]) =>
    Effect.gen(function* () {
      const answer = yield* guarded(yield* authorizerOf(makeIssuer(response)))
      assert.strictEqual(answer.challenge, Guarded.invalidChallenge())
      assert.strictEqual(answer.decision?.reason, "inactive")
    })
  )

  const inAnHour = new Date((now + 3600) * 1000).toUTCString()
  const inAMinute = new Date((now + 60) * 1000).toUTCString()
  const outages: ReadonlyArray<readonly [string, Endpoint.Answer, string?]> = [
    ["400 without a body", new Response(null, { status: 400 })],
    ["400 of a page", new Response("<html>", { status: 400 })],
    ["400 with an error that is no string", Network.json({ error: ["invalid_token"] }, { status: 400 })],
    ["400 invalid_request, which is about the request", error("invalid_request", 400)],
    ["400 invalid_client, which is about us", error("invalid_client", 400)],
    ["400 unauthorized_client, which is about us", error("unauthorized_client", 400)],
    ["401 to our credentials", error("invalid_client", 401)],
    ["401 that claims the token to be active", Network.json(good, { status: 401 })],
    ["403", error("access_denied", 403)],
    ["404", new Response("not here", { status: 404 })],
    ["405", new Response(null, { status: 405 })],
    ["410", new Response(null, { status: 410 })],
    ["418 with a good answer", Network.json(good, { status: 418 })],
    ["429", new Response(null, { status: 429, headers: { "retry-after": "7" } }), "7"],
    ["500", new Response("at Object.<anonymous> (db.js:1)", { status: 500 })],
    ["502", new Response(null, { status: 502 })],
    ["503 without a time", new Response(null, { status: 503 })],
    ["503 with seconds", new Response(null, { status: 503, headers: { "retry-after": "42" } }), "42"],
    ["503 with a date", new Response(null, { status: 503, headers: { "retry-after": inAMinute } }), "60"],
    [
      "503 with a date that is far off",
      new Response(null, { status: 503, headers: { "retry-after": inAnHour } }),
      "300"
    ],
    ["503 for ever", new Response(null, { status: 503, headers: { "retry-after": "999999999" } }), "300"],
    ["503 with zero", new Response(null, { status: 503, headers: { "retry-after": "0" } })],
    ["503 with nonsense", new Response(null, { status: 503, headers: { "retry-after": "-5" } })],
    ["201 with a good answer", Network.json(good, { status: 201 })],
    ["204", new Response(null, { status: 204 })],
    ...[301, 302, 303, 307, 308].map(
      (status) =>
        [`${status}`, new Response(null, { status, headers: { location: "https://elsewhere.example/" } })] as const
    ),
    ["a body of a megabyte", new Response(`{"active":true,"x":"${"x".repeat(1_000_000)}"}`)],
    ["a body that never ends", new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(65_536)) }))],
    ["a length that is a lie", new Response(JSON.stringify(good), { headers: { "content-length": "999999999" } })],
    ["a connection that breaks", new Response(new ReadableStream({ pull: (to) => to.error(new Error("reset")) }))],
    ["no connection", Network.unreachable]
  ]
  it.scoped.each(outages)("%s is an outage, never an answer about the token", ([, response, retryAfter]) =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(() => response)
      const answer = yield* guarded(yield* authorizerOf(issuer))
      assertOutage(answer, retryAfter)
      assert.strictEqual(answer.decision?.outcome, "ServerError")
      // Nothing was asked twice, and nobody else was asked.
      assert.deepStrictEqual(
        issuer.network.asked.map(({ url }) => url),
        [endpoint]
      )
    })
  )

  it.scoped("no answer at all is an outage after ten seconds, in a server that runs apps uninterruptibly", () =>
    Effect.gen(function* () {
      const authorizer = yield* authorizerOf(makeIssuer(Effect.never))
      const asking = yield* Effect.fork(guarded(authorizer))
      yield* TestClock.adjust("9999 millis")
      assert.isTrue((yield* Fiber.poll(asking))._tag === "None")
      yield* TestClock.adjust("1 millis")
      assertOutage(yield* Fiber.join(asking))
    })
  )

  it.scoped("a good answer after a failure is taken at once: outages are not remembered", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.unreachable)
      const authorizer = yield* authorizerOf(issuer, { cache: { capacity: 10, maxAge: "1 hour" } })
      assert.strictEqual(yield* verdict(authorizer), "ServerError")
      issuer.state.answer = Network.json(good)
      assert.strictEqual(yield* verdict(authorizer), "alice")
    })
  )
})

describe("what is sent (N-01)", () => {
  it.scoped("a form with the token, by POST, and nothing of it in the URL", () =>
    Effect.gen(function* () {
      const { introspections, network } = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf({ network })
      const token = "a+b/c~d.e_f-g=="
      yield* authorizer.authorize(credentials(token))
      const [asked] = introspections()
      assert.strictEqual(asked?.url, endpoint)
      assert.strictEqual(asked?.headers["content-type"], "application/x-www-form-urlencoded")
      assert.strictEqual(asked?.headers["accept"], "application/json")
      assert.deepStrictEqual(Endpoint.form(asked!), [
        ["token", token],
        ["token_type_hint", "access_token"]
      ])
      assert.isFalse(asked?.body.includes("+b"))
    })
  )

  it.scoped("RS-34 a token that says it is another issuer's is not shown to this one", () =>
    Effect.gen(function* () {
      const { introspections, network } = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf({ network })
      const jwt = (claims: object) => `${Keys.part({ alg: "none" })}.${Keys.part(claims)}.x`
      assert.strictEqual(yield* verdict(authorizer, jwt({ iss: "https://other.example" })), "issuer")
      assert.strictEqual(yield* verdict(authorizer, jwt({ iss: `${issuer}/` })), "issuer")
      assert.strictEqual(introspections().length, 0)
      assert.strictEqual(yield* verdict(authorizer, jwt({ iss: issuer })), "alice")
      assert.strictEqual(yield* verdict(authorizer, jwt({ sub: "x" })), "alice")
      assert.strictEqual(yield* verdict(authorizer, "a.b.c"), "alice")
      assert.strictEqual(introspections().length, 3)
    })
  )

  it.scoped("A13 nothing is asked for a request that counts other issuers only", () =>
    Effect.gen(function* () {
      const { network } = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf({ network })
      assert.strictEqual(yield* verdict(authorizer, "t", { issuers: ["https://other.example"] }), "issuer")
      assert.strictEqual(yield* verdict(authorizer, "t", { issuers: [] }), "issuer")
      assert.strictEqual(network.asked.length, 0)
    })
  )

  it.scoped("nothing is asked for a token beyond 16 kB", () =>
    Effect.gen(function* () {
      const { introspections, network } = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf({ network })
      assert.strictEqual(yield* verdict(authorizer, "x".repeat(16 * 1024 + 1)), "malformed")
      assert.strictEqual(introspections().length, 0)
      assert.strictEqual(yield* verdict(authorizer, "x".repeat(16 * 1024)), "alice")
    })
  )

  it.scoped("SEC-01 an endpoint without TLS gets neither token nor secret", () =>
    Effect.gen(function* () {
      const insecure = "http://as.example/introspect"
      const { network, state } = makeIssuer(Network.json(good))
      assert.strictEqual(yield* verdict(yield* authorizerOf({ network }, { endpoint: insecure })), "ServerError")
      state.metadata = { ...metadata, introspection_endpoint: insecure }
      assert.strictEqual(yield* verdict(yield* authorizerOf({ network }, { endpoint: undefined })), "ServerError")
      assert.strictEqual(network.to(insecure).length, 0)
    })
  )
})

describe("how it authenticates (N-01)", () => {
  const formDecode = (value: string) => new URLSearchParams(`=${value}`).get("")
  const pairs: ReadonlyArray<readonly [id: string, secret: string]> = [
    ["rs", "a secret"],
    ["urn:example:rs", "with:colon"],
    ["https://rs.example/client?x=1&y=2", "per%cent+plus and space"],
    ["ümläut", "🔑 = key"],
    ["*-._~!'()", '"\\\u0000\n']
  ]
  it.scoped.each(pairs)("client_secret_basic of %s, each part form-encoded (RFC 6749 §2.3.1)", ([clientId, value]) =>
    Effect.gen(function* () {
      const { introspections, network } = makeIssuer(Network.json(good))
      const clientSecret = Redacted.make(value)
      const authorizer = yield* authorizerOf({ network }, { clientId, credentials: { clientSecret } })
      yield* authorizer.authorize(credentials("opaque"))
      const [asked] = introspections()
      const [scheme, encoded = ""] = (asked?.headers["authorization"] ?? "").split(" ")
      assert.strictEqual(scheme, "Basic")
      const parts = atob(encoded).split(":")
      assert.strictEqual(parts.length, 2)
      assert.deepStrictEqual(parts.map(formDecode), [clientId, value])
      assert.match(encoded, /^[A-Za-z0-9+/]+=*$/)
      assert.match(atob(encoded), /^[!-~]+$/)
      // One method only: nothing of the client in the form (OAuth 2.1 §2.4).
      assert.deepStrictEqual(
        Endpoint.form(asked!).map(([name]) => name),
        ["token", "token_type_hint"]
      )
    })
  )

  it.scoped("client_secret_post, and no header", () =>
    Effect.gen(function* () {
      const { introspections, network } = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(
        { network },
        { credentials: { clientSecret: secret, method: "client_secret_post" } }
      )
      yield* authorizer.authorize(credentials("opaque"))
      const [asked] = introspections()
      assert.isUndefined(asked?.headers["authorization"])
      assert.deepStrictEqual(Endpoint.form(asked!).slice(2), [
        ["client_id", "rs"],
        ["client_secret", "a secret"]
      ])
    })
  )

  it.scoped("private_key_jwt, an assertion for this issuer alone, made anew each time", () =>
    Effect.gen(function* () {
      yield* atNow
      const key = yield* Effect.promise(() => Keys.make("ES256", "rs-key"))
      const { introspections, network } = makeIssuer(Network.json(good))
      const privateKey = { key: Redacted.make(key.privateJwk), algorithm: "ES256", keyId: "rs-key" }
      const authorizer = yield* authorizerOf({ network }, { credentials: { privateKey } })
      yield* authorizer.authorize(credentials("one"))
      yield* authorizer.authorize(credentials("two"))
      const ids = yield* Effect.forEach(introspections(), (asked) =>
        Effect.promise(async () => {
          assert.isUndefined(asked.headers["authorization"])
          const [, , clientId, type, [name, assertion] = ["", ""], ...more] = Endpoint.form(asked)
          assert.deepStrictEqual([clientId, type, name, more], [
            ["client_id", "rs"],
            ["client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
            "client_assertion",
            []
          ] as Array<unknown>)
          const { payload, protectedHeader } = await Jose.jwtVerify(assertion, key.publicKey, {
            algorithms: ["ES256"],
            typ: "client-authentication+jwt",
            currentDate: new Date(now * 1000)
          })
          assert.strictEqual(protectedHeader.kid, "rs-key")
          const { exp, iat, jti, ...rest } = payload
          assert.deepStrictEqual(rest, { iss: "rs", sub: "rs", aud: issuer })
          assert.deepStrictEqual([iat, exp], [now, now + 60])
          assert.isFalse(asked.body.includes(key.privateJwk.d ?? "?"))
          return jti
        })
      )
      assert.strictEqual(new Set(ids).size, 2)
      assert.match(ids[0] ?? "", /^[\w-]{22}$/)
    })
  )

  it.scoped("a key that cannot sign is an outage, and nothing is sent", () =>
    Effect.gen(function* () {
      const key = yield* Effect.promise(() => Keys.make("ES256", "k"))
      const { introspections, network } = makeIssuer(Network.json(good))
      for (const [jwk, algorithm] of [
        [key.jwk, "ES256"],
        [key.privateJwk, "RS256"],
        [{ kty: "EC" }, "ES256"]
      ] as const) {
        const privateKey = { key: Redacted.make(jwk), algorithm }
        const authorizer = yield* authorizerOf({ network }, { credentials: { privateKey } })
        assert.strictEqual(yield* verdict(authorizer), "ServerError")
      }
      assert.strictEqual(introspections().length, 0)
    })
  )

  const both = ["client_secret_basic", "client_secret_post"]
  const methods: ReadonlyArray<
    readonly [has: string, introspection: ReadonlyArray<string> | null, token: ReadonlyArray<string> | null, string]
  > = [
    ["secret", null, null, "client_secret_basic"],
    ["secret", both, null, "client_secret_basic"],
    ["secret", ["client_secret_post"], both, "client_secret_post"],
    ["secret", null, ["client_secret_post"], "client_secret_post"],
    ["secret", ["private_key_jwt"], both, "none fits"],
    ["secret", [], both, "none fits"],
    ["key", ["private_key_jwt"], null, "private_key_jwt"],
    ["key", null, ["private_key_jwt"], "private_key_jwt"],
    ["key", both, null, "none fits"],
    ["secret and key", [...both, "private_key_jwt"], null, "private_key_jwt"],
    ["secret and key", both, null, "client_secret_basic"]
  ]
  it.scoped.each(methods)("with a %s, of %j for introspection and %j for tokens: %s", ([has, own, token, expected]) =>
    Effect.gen(function* () {
      const key = yield* Effect.promise(() => Keys.make("ES256", "k"))
      const { introspections, network, state } = makeIssuer(Network.json(good))
      state.metadata = {
        ...metadata,
        ...(own === null ? {} : { introspection_endpoint_auth_methods_supported: own }),
        ...(token === null ? {} : { token_endpoint_auth_methods_supported: token })
      }
      const authorizer = yield* authorizerOf(
        { network },
        {
          endpoint: undefined,
          credentials: {
            ...(has.includes("secret") ? { clientSecret: secret } : {}),
            ...(has.includes("key") ? { privateKey: { key: Redacted.make(key.privateJwk), algorithm: "ES256" } } : {})
          }
        }
      )
      const outcome = yield* verdict(authorizer)
      const [asked] = introspections()
      const form = asked === undefined ? [] : Endpoint.form(asked).map(([name]) => name)
      const used = asked?.headers["authorization"]?.startsWith("Basic ")
        ? "client_secret_basic"
        : form.includes("client_secret")
          ? "client_secret_post"
          : form.includes("client_assertion")
            ? "private_key_jwt"
            : "none fits"
      assert.deepStrictEqual([used, outcome], [expected, expected === "none fits" ? "ServerError" : "alice"])
    })
  )
})

describe("what is remembered (N-05, N-06, RS-41)", () => {
  const cache = { capacity: 100, maxAge: "30 seconds" } as const

  it.scoped("an answer, for so long and no longer: a revoked token is refused within that time", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(issuer, { cache })
      assert.strictEqual(yield* verdict(authorizer), "alice")
      issuer.state.answer = Network.json({ active: false })
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual(yield* verdict(authorizer), "alice")
      assert.strictEqual(issuer.introspections().length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* verdict(authorizer), "inactive")
      assert.strictEqual(issuer.introspections().length, 2)
    })
  )

  it.scoped("N-05 never beyond exp", () =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(Network.json({ ...good, exp: now + 10 }))
      const authorizer = yield* authorizerOf(issuer, { cache: { capacity: 100, maxAge: "1 day" } })
      assert.strictEqual(yield* verdict(authorizer), "alice")
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* verdict(authorizer), "alice")
      assert.strictEqual(issuer.introspections().length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* verdict(authorizer), "expired")
    })
  )

  it.scoped("refusals are not: a token that becomes active is taken at once", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.json({ active: false }))
      const authorizer = yield* authorizerOf(issuer, { cache })
      assert.strictEqual(yield* verdict(authorizer), "inactive")
      issuer.state.answer = Network.json(good)
      assert.strictEqual(yield* verdict(authorizer), "alice")
    })
  )

  it.scoped("nothing, where no cache is configured", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(issuer)
      yield* Effect.repeatN(verdict(authorizer), 4)
      assert.strictEqual(issuer.introspections().length, 5)
    })
  )

  it.scoped("N-06 two servers with credentials of their own share nothing", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(({ headers }) =>
        Network.json(headers["authorization"] === `Basic ${btoa("rs:a+secret")}` ? good : { active: false })
      )
      const first = yield* authorizerOf(issuer, { cache })
      const second = yield* authorizerOf(issuer, { cache, clientId: "other" })
      assert.strictEqual(yield* verdict(first), "alice")
      assert.strictEqual(yield* verdict(second), "inactive")
    })
  )

  it.scoped("A13 what counts for one tenant does not for another", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(issuer, { cache })
      assert.strictEqual(yield* verdict(authorizer), "alice")
      assert.strictEqual(yield* verdict(authorizer, "opaque", { issuers: ["https://tenant.example"] }), "issuer")
      assert.strictEqual(issuer.introspections().length, 1)
    })
  )
})

describe("signed answers (RFC 9701; N-07, N-08, N-09)", async () => {
  const [key, other, elliptic] = await Promise.all([
    Keys.make("RS256", "k1"),
    Keys.make("RS256", "k1"),
    Keys.make("ES256", "e1")
  ])
  const signed = { algorithms: ["RS256"] } as const
  const payload = { iss: issuer, aud: "rs", iat: now, token_introspection: good }
  const header = { typ: "token-introspection+jwt" }
  const ours = (more: object = {}, headers: object = {}) =>
    key.token({ ...payload, ...more }, { ...header, ...headers })
  const alg = (name: string) => Keys.compact({ ...header, alg: name, kid: "k1" }, payload, async () => new Uint8Array())

  const answers: ReadonlyArray<readonly [name: string, body: () => Promise<string>, outcome: string]> = [
    ["a good one", () => ours(), "alice"],
    ["for the resource instead of the client", () => ours({ aud: resource }), "alice"],
    ["for several, this server among them", () => ours({ aud: ["x", "rs"] }), "alice"],
    ["with the long form of typ", () => ours({}, { typ: "application/token-introspection+jwt" }), "alice"],
    ["without kid", () => ours({}, { kid: undefined }), "alice"],
    ["four minutes old", () => ours({ iat: now - 240 }), "alice"],
    ["from a clock that is a little ahead", () => ours({ iat: now + 30 }), "alice"],
    ["of a token that is not active", () => ours({ token_introspection: { active: false } }), "inactive"],
    ["of a token of another audience", () => ours({ token_introspection: { ...good, aud: "x" } }), "alice"],
    ["of a token of another issuer", () => ours({ token_introspection: { ...good, iss: "https://x" } }), "issuer"],
    ["with a typ of another kind", () => ours({}, { typ: "JWT" }), "ServerError"],
    ["that is an access token", () => ours({}, { typ: "at+jwt" }), "ServerError"],
    ["without typ", () => ours({}, { typ: undefined }), "ServerError"],
    ["of another issuer", () => ours({ iss: "https://other.example" }), "ServerError"],
    ["of no issuer", () => ours({ iss: undefined }), "ServerError"],
    ["for another server", () => ours({ aud: "other" }), "ServerError"],
    ["for nobody", () => ours({ aud: undefined }), "ServerError"],
    ["without iat", () => ours({ iat: undefined }), "ServerError"],
    ["of last week, replayed", () => ours({ iat: now - 604_800 }), "ServerError"],
    ["from the future", () => ours({ iat: now + 600 }), "ServerError"],
    ["that has expired", () => ours({ exp: now - 120 }), "ServerError"],
    ["without the statement", () => ours({ token_introspection: undefined }), "ServerError"],
    [
      "with the statement at the top",
      () => ours({ token_introspection: undefined, ...good, aud: "rs" }),
      "ServerError"
    ],
    ["with the statement as a string", () => ours({ token_introspection: JSON.stringify(good) }), "ServerError"],
    ['with active as "true"', () => ours({ token_introspection: { ...good, active: "true" } }), "ServerError"],
    ["with active next to the statement", () => ours({ active: true, token_introspection: {} }), "ServerError"],
    ["signed by another key of the same name", () => other.token(payload, header), "ServerError"],
    ["signed with an algorithm that is not listed", () => elliptic.token(payload, header), "ServerError"],
    ["signed with none", () => alg("none"), "ServerError"],
    [
      "signed with HMAC, the public key its secret",
      () =>
        Keys.compact({ ...header, alg: "HS256", kid: "k1" }, payload, Keys.hmac(Keys.octets(JSON.stringify(key.jwk)))),
      "ServerError"
    ],
    [
      "of which a byte was changed",
      async () => (await ours()).replace(/.$/, (end) => (end === "A" ? "Q" : "A")),
      "ServerError"
    ],
    ["of a key that nobody published", () => ours({}, { kid: "k9" }), "ServerError"],
    ["with crit", () => ours({}, { crit: ["x"], x: 1 }), "ServerError"],
    [
      "that brings its own key",
      () => other.token(payload, { ...header, kid: undefined, jwk: other.jwk }),
      "ServerError"
    ],
    ["plain JSON, though signed was asked for", async () => JSON.stringify(good), "ServerError"],
    ["nothing", async () => "", "ServerError"]
  ]

  it.scoped.each(answers)("N-08 an answer %s", ([, body, outcome]) =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(new Response(yield* Effect.promise(body)))
      issuer.state.keys = [key.jwk, elliptic.jwk]
      assert.strictEqual(yield* verdict(yield* authorizerOf(issuer, { signed })), outcome)
    })
  )

  it.scoped("N-07 asks for application/token-introspection+jwt", () =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(new Response(yield* Effect.promise(() => ours())))
      issuer.state.keys = [key.jwk]
      yield* verdict(yield* authorizerOf(issuer, { signed }))
      assert.strictEqual(issuer.introspections()[0]?.headers["accept"], "application/token-introspection+jwt")
    })
  )

  it.scoped("without kid every key that fits is tried", () =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(new Response(yield* Effect.promise(() => ours({}, { kid: undefined }))))
      issuer.state.keys = [{ ...other.jwk, kid: "k0" }, key.jwk]
      assert.strictEqual(yield* verdict(yield* authorizerOf(issuer, { signed })), "alice")
    })
  )

  it.scoped("keys that cannot be had are an outage, and keys that rotate are found", () =>
    Effect.gen(function* () {
      yield* atNow
      const issuer = makeIssuer(new Response(yield* Effect.promise(() => ours())))
      const authorizer = yield* authorizerOf(issuer, { signed })
      assert.strictEqual(yield* verdict(authorizer), "ServerError")
      issuer.state.keys = [key.jwk]
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* verdict(authorizer), "alice")
    })
  )

  it.scoped(
    "W-10 a flood of answers under made-up keys costs two fetches: the first, and one for all that are unknown",
    () =>
      Effect.gen(function* () {
        yield* atNow
        let n = 0
        const issuer = makeIssuer(() =>
          Effect.map(
            Effect.promise(() => ours({}, { kid: `k${n++}-made-up` })),
            (body) => new Response(body)
          )
        )
        issuer.state.keys = [key.jwk]
        const authorizer = yield* authorizerOf(issuer, { signed })
        yield* Effect.repeatN(verdict(authorizer), 20)
        assert.strictEqual(issuer.introspections().length, 21)
        assert.strictEqual(issuer.network.to(jwks).length, 2)
      })
  )

  const profiles = Object.entries(TokenProfile).filter(
    (entry): entry is [string, TokenProfile.TokenProfile] => typeof entry[1] === "object"
  )
  it.scoped.each(profiles)("N-07 such an answer is no access token, by %s", ([, profile]) =>
    Effect.gen(function* () {
      yield* atNow
      // As an issuer would sign it that puts all claims of an access token at the top as well.
      const claims = { sub: "alice", client_id: "app", azp: "app", cid: "app", aud: resource, exp: now + 60, jti: "1" }
      const replayed = yield* Effect.promise(() =>
        ours({ ...claims, typ: "Bearer", token_use: "access", scope: "mcp:tools" })
      )
      const network = Network.make(Network.documents({ [jwks]: { keys: [key.jwk] } }))
      const authorizer = yield* JwtAuthorizer.make({ profile, jwksUri: { [issuer]: jwks } }).pipe(
        Effect.provideService(HttpClient.HttpClient, network.client),
        Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf())
      )
      assert.strictEqual(yield* verdict(authorizer, replayed), "type")
    })
  )

  it.scoped("what is wrong with one is told without its claims", () =>
    Effect.gen(function* () {
      yield* atNow
      const statement = { ...good, sub: "alice-the-subject" }
      for (const body of [
        yield* Effect.promise(() => ours({ aud: "other", token_introspection: statement })),
        yield* Effect.promise(() => ours({ iat: 0, token_introspection: statement })),
        yield* Effect.promise(() => ours({ token_introspection: { ...statement, active: "yes" } }))
      ]) {
        const issuer = makeIssuer(new Response(body))
        issuer.state.keys = [key.jwk]
        const error = yield* failure(yield* authorizerOf(issuer, { signed }))
        assert.strictEqual(error._tag, "ServerError")
        const told = [error.message, ...causes(error)].join("\n")
        assert.match(told, /aud|iat|active/)
        assert.notInclude(told, "alice-the-subject")
      }
    })
  )
})

/** Every cause behind an error, with all that it would print. */
const causes = (error: unknown): ReadonlyArray<string> => {
  if (!(error instanceof Error)) return error === undefined ? [] : [String(error)]
  return [error.message, error.stack ?? "", JSON.stringify(error), ...causes(error.cause)]
}

describe("where it asks", () => {
  it.scoped("the endpoint of the metadata, which is fetched once for a cold crowd", () =>
    Effect.gen(function* () {
      const issuer = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(issuer, { endpoint: undefined })
      const verdicts = yield* Effect.all(
        Array.from({ length: 50 }, (_, n) => verdict(authorizer, `t${n}`)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(verdicts), new Set(["alice"]))
      assert.strictEqual(issuer.network.to(wellKnown).length, 1)
      assert.strictEqual(issuer.introspections().length, 50)
    })
  )

  it.scoped("the metadata is looked at again after ten minutes, so a moved endpoint is found", () =>
    Effect.gen(function* () {
      const moved = `${issuer}/moved`
      const server = makeIssuer(({ url }) =>
        url === (server.state.metadata as typeof metadata).introspection_endpoint
          ? Network.json(good)
          : new Response(null, { status: 404 })
      )
      const authorizer = yield* authorizerOf(server, { endpoint: undefined })
      assert.strictEqual(yield* verdict(authorizer), "alice")
      server.state.metadata = { ...metadata, introspection_endpoint: moved }
      assert.strictEqual(yield* verdict(authorizer), "ServerError")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* verdict(authorizer), "alice")
      assert.strictEqual(server.network.to(moved).length, 1)
      assert.strictEqual(server.network.to(wellKnown).length, 2)
    })
  )

  it.scoped("metadata that cannot be had again harms nobody who asks meanwhile", () =>
    Effect.gen(function* () {
      const server = makeIssuer(Network.json(good))
      const authorizer = yield* authorizerOf(server, { endpoint: undefined })
      assert.strictEqual(yield* verdict(authorizer), "alice")
      server.state.metadata = undefined
      yield* TestClock.adjust("11 minutes")
      for (let n = 0; n < 5; n++) assert.strictEqual(yield* verdict(authorizer), "alice")
      // Two well-known URLs, looked at once more and not by each.
      assert.strictEqual(server.network.asked.filter(({ method }) => method === "GET").length, 1 + 2)
    })
  )

  it.scoped("C16 metadata that was never had is an outage, and ends when it is there, without a restart", () =>
    Effect.gen(function* () {
      const server = makeIssuer(Network.json(good))
      server.state.metadata = undefined
      const authorizer = yield* authorizerOf(server, { endpoint: undefined })
      const answer = yield* guarded(authorizer)
      assertOutage(answer)
      assert.strictEqual(server.introspections().length, 0)
      server.state.metadata = metadata
      assert.strictEqual(yield* verdict(authorizer), "alice")
    })
  )

  it.scoped("C16 the metadata's Retry-After is handed on", () =>
    Effect.gen(function* () {
      const network = Endpoint.make(() => new Response(null, { status: 503, headers: { "retry-after": "33" } }))
      assertOutage(yield* guarded(yield* authorizerOf({ network }, { endpoint: undefined })), "33")
    })
  )

  const broken: ReadonlyArray<readonly [string, object, RegExp]> = [
    ["without the endpoint", { issuer }, /options\.endpoint is not set/],
    ["of another issuer", { ...metadata, issuer: "https://other.example" }, /expected "https:\/\/as\.example"/]
  ]
  it.scoped.each(broken)("metadata %s is an outage, whose cause says what to do", ([, document, told]) =>
    Effect.gen(function* () {
      const server = makeIssuer(Network.json(good))
      server.state.metadata = document
      const error = yield* failure(yield* authorizerOf(server, { endpoint: undefined }))
      assert.strictEqual(error._tag, "ServerError")
      assert.match(causes((error as AuthError.ServerError).cause).join("\n"), told)
      assert.strictEqual(server.introspections().length, 0)
    })
  )

  it.scoped("of several configured issuers none is guessed", () =>
    Effect.gen(function* () {
      const server = makeIssuer(Network.json(good))
      const config = Guarded.configOf({ authorizationServers: [issuer, "https://other.example"] })
      const guessed = yield* Effect.exit(authorizerOf(server, {}, config))
      assert.isTrue(Exit.isFailure(guessed))
      assert.strictEqual(yield* verdict(yield* authorizerOf(server, { issuer }, config)), "alice")
    })
  )

  it.scoped("interruption stays interruption, and ends the request to the issuer", () =>
    Effect.gen(function* () {
      let ended = false
      const end = Effect.sync(() => {
        ended = true
      })
      const server = makeIssuer(Effect.onInterrupt(Effect.never, () => end))
      const asking = yield* Effect.fork((yield* authorizerOf(server)).authorize(credentials("t")))
      yield* Effect.yieldNow().pipe(Effect.repeatN(50))
      assert.strictEqual(server.introspections().length, 1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(asking)))
      assert.isTrue(ended)
    })
  )
})
