import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import * as FetchLimits from "../../src/discovery/FetchLimits.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import type * as AuthError from "../../src/server/AuthError.js"
import type * as Authorizer from "../../src/server/Authorizer.js"
import type { Claims } from "../../src/server/Claims.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as TokenProfile from "../../src/server/TokenProfile.js"
import { configOf, issuer, resource } from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"

const now = 1_700_000_000
const other = "https://other-as.example/t1"
const metadataUrl = `${issuer}/.well-known/oauth-authorization-server`
const jwksUrl = `${issuer}/jwks`
const otherMetadataUrl = "https://other-as.example/.well-known/oauth-authorization-server/t1"
const otherJwksUrl = `${other}/jwks`

const [rs, ps, es, ed, es2, stranger, otherKey] = await Promise.all([
  Keys.make("RS256", "rs"),
  Keys.make("PS256", "ps"),
  Keys.make("ES256", "es"),
  Keys.make("EdDSA", "ed"),
  Keys.make("ES256", "es2"),
  Keys.make("ES256", "es"),
  Keys.make("ES256", "es")
])

const payload = {
  iss: issuer,
  sub: "alice",
  aud: resource,
  exp: now + 60,
  iat: now - 60,
  jti: "1",
  client_id: "c1",
  scope: "mcp:tools files:read"
}

const published = () => ({
  [metadataUrl]: { issuer, jwks_uri: jwksUrl } as unknown,
  [jwksUrl]: { keys: [rs.jwk, ps.jwk, es.jwk, ed.jwk] } as unknown,
  [otherMetadataUrl]: { issuer: other, jwks_uri: otherJwksUrl } as unknown,
  [otherJwksUrl]: { keys: [otherKey.jwk] } as unknown
})

interface World {
  readonly network: Network.Network
  readonly documents: Record<string, unknown>
  readonly authorize: (token: string) => Effect.Effect<Claims, AuthError.AuthError>
}

const world = (
  more: {
    readonly options?: JwtAuthorizer.Options
    readonly config?: Partial<AuthConfig.Input>
    readonly answer?: (url: string) => Network.Answer | undefined
  } = {}
) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(now * 1000)
    const documents: Record<string, unknown> = published()
    const network = Network.make((url) => more.answer?.(url) ?? Network.documents(documents)(url))
    const config = configOf({ authorizationServers: [issuer, other], ...more.config })
    const service = yield* JwtAuthorizer.make(more.options).pipe(
      Effect.provideService(HttpClient.HttpClient, network.client),
      Effect.provideService(AuthConfig.AuthConfig, config)
    )
    const authorize = (token: string) =>
      service.authorize({
        scheme: "Bearer",
        token: Redacted.make(token),
        method: "POST",
        url: config.resource,
        issuers: config.authorizationServers,
        headers: {}
      } satisfies Authorizer.Credentials)
    return { network, documents, authorize } satisfies World
  })

const sign = (key: Keys.Key, more: object = {}, header?: Keys.Header) =>
  Effect.promise(() => key.token({ ...payload, ...more }, header))

const outcome = (self: Effect.Effect<Claims, AuthError.AuthError>) =>
  Effect.map(Effect.either(self), (result) => {
    if (Either.isRight(result)) return "accepted"
    return result.left._tag === "InvalidToken" ? result.left.reason : result.left._tag
  })

describe("JwtAuthorizer", () => {
  describe("what is accepted (J-06, W-01)", () => {
    for (const key of [rs, ps, es, ed]) {
      it.scoped(`${key.alg}, and what the token says`, () =>
        Effect.gen(function* () {
          const { authorize } = yield* world()
          const claims = yield* authorize(yield* sign(key))
          assert.strictEqual(claims.issuer, issuer)
          assert.strictEqual(claims.subject, "alice")
          assert.strictEqual(claims.clientId, "c1")
          assert.deepStrictEqual(claims.audience, [resource])
          assert.deepStrictEqual(claims.scopes, ["mcp:tools", "files:read"])
          assert.strictEqual(claims.expiresAt, now + 60)
          assert.isUndefined(claims.confirmation)
          assert.deepStrictEqual(Redacted.value(claims.raw), payload)
        })
      )
    }

    for (const [row, more, header] of [
      ["J-05 typ at+jwt in any case", {}, { typ: "At+JWT" }],
      ["J-05 typ application/at+jwt", {}, { typ: "application/at+jwt" }],
      ["J-05 in any case", {}, { typ: "Application/AT+jwt" }],
      ["W-08 aud as a list", { aud: ["https://x.example", resource] }, {}],
      ["W-08 fractional times", { exp: now + 0.5, iat: now - 0.5, nbf: now - 0.1 }, {}],
      ["W-08 times as an exponent", { exp: 1.8e9 }, {}],
      ["H6 no nbf", { nbf: undefined }, {}],
      ["H6 expired four seconds ago, within the tolerance", { exp: now - 4 }, {}],
      ["H6 issued in four seconds, within the tolerance", { iat: now + 4, nbf: now + 4 }, {}],
      ["no kid, and one key that fits", {}, { kid: undefined }],
      ["J-03 claims that nobody asked for", { acr: "x", auth_time: 1, groups: ["g"], "https://x": {} }, {}],
      ["W-06 a header that nobody asked for", {}, { x: 1, cty: "JWT" }]
    ] as const) {
      it.scoped(row, () =>
        Effect.gen(function* () {
          const { authorize } = yield* world()
          assert.strictEqual(yield* outcome(authorize(yield* sign(es, more, header))), "accepted")
        })
      )
    }

    it.scoped("W-04 several issuers, each with its own keys, though they use the same kid", () =>
      Effect.gen(function* () {
        const { authorize, network } = yield* world()
        assert.strictEqual((yield* authorize(yield* sign(es))).issuer, issuer)
        assert.strictEqual((yield* authorize(yield* sign(otherKey, { iss: other }))).issuer, other)
        assert.deepStrictEqual(network.asked, [metadataUrl, jwksUrl, otherMetadataUrl, otherJwksUrl])
      })
    )

    it.scoped("no kid, and several keys that fit: the one that signed", () =>
      Effect.gen(function* () {
        const { authorize, documents } = yield* world()
        documents[jwksUrl] = { keys: [es2.jwk, es.jwk] }
        assert.strictEqual(yield* outcome(authorize(yield* sign(es, {}, { kid: undefined }))), "accepted")
        assert.strictEqual(yield* outcome(authorize(yield* sign(es2, {}, { kid: undefined }))), "accepted")
        assert.strictEqual(yield* outcome(authorize(yield* sign(stranger, {}, { kid: undefined }))), "signature")
      })
    )
  })

  describe("what is refused, and why the log says so (H7)", () => {
    for (const [row, reason, more, header] of [
      ["J-05 typ JWT", "type", {}, { typ: "JWT" }],
      ["J-05 no typ", "type", {}, { typ: undefined }],
      ["J-05 typ id_token+jwt", "type", {}, { typ: "id_token+jwt" }],
      ["J-05 typ dpop+jwt", "type", {}, { typ: "dpop+jwt" }],
      ["J-05 typ that is no string", "type", {}, { typ: ["at+jwt"] }],
      ["J-05 typ twice prefixed", "type", {}, { typ: "application/application/at+jwt" }],
      ["W-02 crit", "malformed", {}, { crit: ["exp"], exp: 1 }],
      ["W-02 crit that is empty", "malformed", {}, { crit: [] }],
      ["W-02 b64", "malformed", {}, { b64: false, crit: ["b64"] }],
      ["W-01 no alg", "algorithm", {}, { alg: undefined }],
      ["J-01 alg none", "algorithm", {}, { alg: "none" }],
      ["W-01 alg that is not configured", "algorithm", {}, { alg: "ES384" }],
      ["W-01 alg in another case", "algorithm", {}, { alg: "es256" }],
      ["W-01 alg that every object has", "algorithm", {}, { alg: "constructor" }],
      ["W-01 alg that is no string", "algorithm", {}, { alg: ["ES256"] }],
      ["W-01 alg of another key", "key", {}, { alg: "PS256" }],
      ["W-10 kid nobody knows", "key", {}, { kid: "nope" }],
      ["W-04 issuer that is not configured", "issuer", { iss: "https://evil.example" }, {}],
      ["J-06 issuer with a slash more", "issuer", { iss: `${issuer}/` }, {}],
      ["J-06 issuer in another case", "issuer", { iss: "https://AS.example" }, {}],
      ["J-06 no issuer", "issuer", { iss: undefined }, {}],
      ["J-06 issuer in a list", "issuer", { iss: [issuer] }, {}],
      ["W-04 another issuer's name", "signature", { iss: other }, {}],
      ["W-05 no audience", "claims", { aud: undefined }, {}],
      ["W-05 null for an audience", "claims", { aud: null }, {}],
      ["W-05 another audience", "audience", { aud: "https://other.example" }, {}],
      ["W-05 an empty list", "audience", { aud: [] }, {}],
      ["W-05 an object", "audience", { aud: { 0: resource } }, {}],
      ["W-05 a list in a list", "audience", { aud: [[resource]] }, {}],
      ["W-05 a slash more", "audience", { aud: `${resource}/` }, {}],
      ["RS-36 expired", "expired", { exp: now - 5 }, {}],
      ["RS-36 expired long ago", "expired", { exp: 0 }, {}],
      ["RS-36 before 1970", "expired", { exp: -1 }, {}],
      ["H6 no exp", "claims", { exp: undefined }, {}],
      ["H6 exp as a string", "claims", { exp: String(now + 60) }, {}],
      ["H6 exp as a list", "claims", { exp: [now + 60] }, {}],
      ["H6 exp true", "claims", { exp: true }, {}],
      ["H6 nbf to come", "notYetValid", { nbf: now + 6 }, {}],
      ["H6 nbf null", "claims", { nbf: null }, {}],
      ["H6 iat to come", "notYetValid", { iat: now + 6 }, {}],
      ["H6 iat as a string", "claims", { iat: "x" }, {}],
      ["J-02 no sub", "claims", { sub: undefined }, {}],
      ["J-02 an empty sub", "claims", { sub: "" }, {}],
      ["J-02 a sub that is no string", "claims", { sub: 5 }, {}],
      ["J-02 no client_id", "claims", { client_id: undefined }, {}],
      ["J-02 a client_id that is no string", "claims", { client_id: 5 }, {}],
      ["J-02 no iat", "claims", { iat: undefined }, {}],
      ["J-02 no jti", "claims", { jti: undefined }, {}],
      ["J-09, J-10 an ID token, by nonce", "type", { nonce: "n" }, {}],
      ["J-09 an ID token, by at_hash", "type", { at_hash: "h" }, {}],
      ["J-09 an ID token, by c_hash", "type", { c_hash: "h" }, {}],
      ["D-10 a binding that is not understood", "binding", { cnf: {} }, {}],
      ["D-10 a binding that is null", "binding", { cnf: null }, {}],
      ["D-10 a binding that is no object", "binding", { cnf: "jkt" }, {}],
      ["D-10 a thumbprint that is no string", "binding", { cnf: { jkt: 5 } }, {}]
    ] as ReadonlyArray<readonly [string, string, object, Keys.Header]>) {
      it.scoped(`${row}: ${reason}`, () =>
        Effect.gen(function* () {
          const { authorize } = yield* world()
          assert.strictEqual(yield* outcome(authorize(yield* sign(es, more, header))), reason)
        })
      )
    }

    it.scoped("W-04 a stranger's signature", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world()
        assert.strictEqual(yield* outcome(authorize(yield* sign(stranger))), "signature")
      })
    )

    it.scoped("what can be told without a key costs no request: a flood of forgeries reaches nobody", () =>
      Effect.gen(function* () {
        const { authorize, network } = yield* world()
        for (const token of [
          "nonsense",
          "a.b.c",
          yield* sign(stranger, { iss: "https://evil.example" }),
          yield* sign(stranger, { aud: "https://other.example" }),
          yield* sign(stranger, { exp: 1 }),
          yield* sign(stranger, {}, { alg: "HS256" }),
          yield* sign(stranger, {}, { typ: "JWT" })
        ]) {
          assert.notStrictEqual(yield* outcome(authorize(token)), "accepted")
        }
        assert.deepStrictEqual(network.asked, [])
      })
    )

    it.scoped("16 KiB is a token, one character more is none", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world()
        const short = yield* sign(es, { pad: "" })
        const room = 16 * 1024 - short.length
        const fits = yield* sign(es, { pad: "x".repeat(Math.floor((room * 3) / 4) - 3) })
        assert.isAtMost(fits.length, 16 * 1024)
        assert.strictEqual(yield* outcome(authorize(fits)), "accepted")
        assert.strictEqual(yield* outcome(authorize(yield* sign(es, { pad: "x".repeat(room) }))), "malformed")
      })
    )
  })

  describe("options", () => {
    it.scoped("H3 algorithms come from the configuration only", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world({ options: { algorithms: ["ES256"] } })
        assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "accepted")
        for (const key of [rs, ps, ed]) assert.strictEqual(yield* outcome(authorize(yield* sign(key))), "algorithm")
      })
    )

    for (const [name, clockTolerance, exp, expected] of [
      ["none", "0 seconds", now, "expired"],
      ["none, a moment to go", "0 seconds", now + 0.001, "accepted"],
      ["a minute", "1 minute", now - 59, "accepted"],
      ["a minute", "1 minute", now - 60, "expired"],
      ["an hour, which is five minutes", "1 hour", now - 299, "accepted"],
      ["an hour, which is five minutes", "1 hour", now - 300, "expired"]
    ] as const) {
      it.scoped(`H6 clockTolerance ${name}: exp ${exp - now} is ${expected}`, () =>
        Effect.gen(function* () {
          const { authorize } = yield* world({ options: { clockTolerance } })
          assert.strictEqual(yield* outcome(authorize(yield* sign(es, { exp }))), expected)
        })
      )
    }

    it.scoped("a token grows old by the clock", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world()
        const token = yield* sign(es)
        yield* TestClock.adjust("64 seconds")
        assert.strictEqual(yield* outcome(authorize(token)), "accepted")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* outcome(authorize(token)), "expired")
      })
    )

    it.scoped("jwksUri goes past the issuer's metadata", () =>
      Effect.gen(function* () {
        const { authorize, network } = yield* world({ options: { jwksUri: { [issuer]: jwksUrl } } })
        assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "accepted")
        assert.deepStrictEqual(network.asked, [jwksUrl])
      })
    )

    it.scoped("A12 http issuers beyond loopback, by option: metadata and keys", () =>
      Effect.gen(function* () {
        const insecure = "http://as.internal"
        const { authorize, documents } = yield* world({
          config: { authorizationServers: insecure, allowInsecureAuthorizationServers: true }
        })
        documents[`${insecure}/.well-known/oauth-authorization-server`] = {
          issuer: insecure,
          jwks_uri: `${insecure}/jwks`
        }
        documents[`${insecure}/jwks`] = { keys: [es.jwk] }
        assert.strictEqual(yield* outcome(authorize(yield* sign(es, { iss: insecure }))), "accepted")
      })
    )

    it.scoped("SEC-02 a secure issuer whose keys are at an insecure place is out of order", () =>
      Effect.gen(function* () {
        const { authorize, documents, network } = yield* world()
        documents[metadataUrl] = { issuer, jwks_uri: "http://as.example/jwks" }
        assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "ServerError")
        assert.deepStrictEqual(network.asked, [metadataUrl])
      })
    )

    it.scoped("J-09 the relaxed profile: no typ, azp, scp and scopes; audience, expiry and ID tokens as before", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world({ options: { profile: TokenProfile.relaxed } })
        const bare = { client_id: undefined, jti: undefined, iat: undefined, scope: undefined }
        const claims = yield* authorize(
          yield* sign(es, { ...bare, azp: "c2", scp: ["a", "b"], scopes: "b c" }, { typ: undefined })
        )
        assert.strictEqual(claims.clientId, "c2")
        assert.deepStrictEqual(claims.scopes, ["a", "b", "c"])
        assert.strictEqual(yield* outcome(authorize(yield* sign(es, bare, { typ: "JWT" }))), "accepted")
        for (const [more, header, reason] of [
          [{ aud: undefined }, {}, "claims"],
          [{ aud: "https://other.example" }, {}, "audience"],
          [{ exp: undefined }, {}, "claims"],
          [{ exp: 1 }, {}, "expired"],
          [{ nonce: "n" }, {}, "type"],
          [{}, { typ: "dpop+jwt" }, "type"],
          [{}, { typ: 5 }, "type"]
        ] as const) {
          assert.strictEqual(yield* outcome(authorize(yield* sign(es, { ...bare, ...more }, header))), reason)
        }
      })
    )
  })

  describe("outage and rotation (C16, W-10)", () => {
    it.scoped("cold: 503 with Retry-After and never 401, and then all is well", () =>
      Effect.gen(function* () {
        let down = true
        const { authorize } = yield* world({ answer: () => (down ? Network.unreachable : undefined) })
        const token = yield* sign(es)
        for (let n = 0; n < 3; n++) {
          const error = yield* Effect.flip(authorize(token))
          assert.strictEqual(error._tag, "ServerError")
          if (error._tag === "ServerError") assert.strictEqual(error.retryAfter, 1)
          yield* TestClock.adjust("500 millis")
        }
        down = false
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* outcome(authorize(token)), "accepted")
      })
    )

    for (const [name, answer] of [
      [
        "its metadata is another's",
        (url: string) =>
          url === jwksUrl ? undefined : Network.json({ issuer: "https://evil.example", jwks_uri: jwksUrl })
      ],
      ["its metadata has no jwks_uri", () => Network.json({ issuer })],
      ["its keys are no JSON", (url: string) => (url === jwksUrl ? new Response("<html>") : undefined)],
      ["it answers 500", () => new Response("", { status: 500 })]
    ] as ReadonlyArray<readonly [string, (url: string) => Network.Answer | undefined]>) {
      it.scoped(`${name}: out of order, not invalid`, () =>
        Effect.gen(function* () {
          const { authorize } = yield* world({ answer })
          assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "ServerError")
        })
      )
    }

    it.scoped("Retry-After of the issuer's metadata is passed on", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world({
          answer: () => new Response("", { status: 503, headers: { "retry-after": "42" } })
        })
        const error = yield* Effect.flip(authorize(yield* sign(es)))
        assert.strictEqual(Reflect.get(error, "retryAfter"), 42)
      })
    )

    it.scoped("an issuer that hangs on each of its documents is out of order after ten seconds", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world({ answer: () => Effect.never })
        const token = yield* sign(es)
        const fiber = yield* Effect.fork(Effect.uninterruptible(outcome(authorize(token))))
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        yield* TestClock.adjust("10 seconds")
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        assert.isNotNull(fiber.unsafePoll())
        assert.strictEqual(yield* Fiber.join(fiber), "ServerError")
      })
    )

    it.scoped("one issuer's outage is not the other's", () =>
      Effect.gen(function* () {
        const { authorize } = yield* world({
          answer: (url) => (url.startsWith(issuer) ? Network.unreachable : undefined)
        })
        assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "ServerError")
        assert.strictEqual(yield* outcome(authorize(yield* sign(otherKey, { iss: other }))), "accepted")
      })
    )

    it.scoped("warm keys serve over an outage", () =>
      Effect.gen(function* () {
        let down = false
        const { authorize } = yield* world({ answer: () => (down ? Network.unreachable : undefined) })
        yield* authorize(yield* sign(es))
        down = true
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* outcome(authorize(yield* sign(es, { exp: now + 9999 }))), "accepted")
      })
    )

    it.scoped("rotation: the new key is found, the old one refused", () =>
      Effect.gen(function* () {
        const { authorize, documents } = yield* world()
        yield* authorize(yield* sign(es))
        documents[jwksUrl] = { keys: [es2.jwk] }
        assert.strictEqual(yield* outcome(authorize(yield* sign(es2))), "accepted")
        assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "key")
      })
    )

    it.scoped("a cold burst of 200 is one fetch of each document, and who goes away harms nobody", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { authorize, network } = yield* world({
          answer: (url) =>
            url === metadataUrl
              ? Effect.as(Deferred.await(gate), Network.json({ issuer, jwks_uri: jwksUrl }))
              : undefined
        })
        const token = yield* sign(es)
        const leader = yield* Effect.fork(authorize(token))
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        const burst = yield* Effect.fork(
          Effect.all(
            Array.from({ length: 200 }, () => outcome(authorize(token))),
            { concurrency: "unbounded" }
          )
        )
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        yield* Fiber.interrupt(leader)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(new Set(yield* Fiber.join(burst)), new Set(["accepted"]))
        assert.deepStrictEqual(network.asked, [metadataUrl, jwksUrl])
      })
    )
  })

  it.scoped("RS-40 neither log nor span nor failure holds the token or a claim", () => {
    const logged: Array<string> = []
    const logger = Logger.make(
      (options) => void logged.push(Logger.stringLogger.log(options), Logger.jsonLogger.log(options))
    )
    return Effect.gen(function* () {
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const attributes = new Map<string, unknown>()
          return {
            _tag: "Span",
            name,
            parent,
            context,
            links,
            kind,
            attributes,
            traceId: "t",
            spanId: "s",
            sampled: true,
            status: { _tag: "Started", startTime },
            attribute: (key, value) => {
              attributes.set(key, value)
              spans.push(`${name} ${key}=${String(value)}`)
            },
            end: () => {},
            event: (event) => void spans.push(event),
            addLinks: () => {}
          }
        },
        context: (f) => f()
      })
      const { authorize } = yield* world()
      const failures: Array<string> = []
      for (const token of [
        yield* sign(es, { sub: "subject-7f3a" }),
        yield* sign(stranger, { sub: "subject-7f3a" }),
        yield* sign(es, { sub: "subject-7f3a", exp: 1 }),
        yield* sign(es, { sub: "subject-7f3a", iss: "issuer-7f3a" }),
        yield* sign(es, { sub: "subject-7f3a", aud: "audience-7f3a" }),
        yield* sign(es, { sub: "subject-7f3a" }, { kid: "kid-7f3a", alg: "alg-7f3a" })
      ]) {
        const result = yield* Effect.either(Effect.withTracer(Effect.withSpan(authorize(token), "outer"), tracer))
        if (Either.isLeft(result)) failures.push(JSON.stringify(result.left), String(result.left))
        const [head = "", body = "", signature = ""] = token.split(".")
        for (const line of [...logged, ...spans, ...failures]) {
          for (const secret of ["7f3a", head, body, signature]) assert.notInclude(line, secret)
        }
      }
      assert.isNotEmpty(failures)
      assert.isNotEmpty(spans)
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Logger.withMinimumLogLevel(LogLevel.All))
  })

  it.scoped("SEC-10: the operator's issuers may be anywhere, what only their metadata names may not", () =>
    Effect.gen(function* () {
      const inside = "https://sso.internal/realm"
      const keys = { keys: [es.jwk] }
      const answering = (documents: Record<string, unknown>) => (url: string) =>
        Object.hasOwn(documents, url) ? Network.json(documents[url]) : undefined
      const elsewhere = "https://10.0.0.9/jwks"
      const lured = answering({ [metadataUrl]: { issuer, jwks_uri: elsewhere }, [elsewhere]: keys })

      const own = yield* world({
        config: { authorizationServers: inside },
        answer: answering({
          "https://sso.internal/.well-known/oauth-authorization-server/realm": { issuer: inside, jwks_uri: elsewhere },
          [elsewhere]: keys
        })
      })
      assert.strictEqual(yield* outcome(own.authorize(yield* sign(es, { iss: inside }))), "accepted")

      const { authorize, network } = yield* world({ answer: lured })
      assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "ServerError")
      assert.strictEqual(network.count(elsewhere), 0)

      const named = yield* world({ answer: lured, options: { jwksUri: { [issuer]: elsewhere } } })
      assert.strictEqual(yield* outcome(named.authorize(yield* sign(es))), "accepted")

      const allowed = yield* Effect.provide(world({ answer: lured }), FetchLimits.layer({ allowedHosts: ["10.0.0.9"] }))
      assert.strictEqual(yield* outcome(allowed.authorize(yield* sign(es))), "accepted")
    })
  )

  it.scoped("the limits at hand when it is made count for metadata and keys", () =>
    Effect.gen(function* () {
      const { authorize } = yield* Effect.provide(world(), FetchLimits.layer({ maxBytes: 10 }))
      assert.strictEqual(yield* outcome(authorize(yield* sign(es))), "ServerError")
    })
  )
})
