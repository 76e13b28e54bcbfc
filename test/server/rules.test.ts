/** Rules of the specification that no test of a module names: each is shown at the whole server, as a client sees it. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import * as WwwAuthenticate from "../../src/protocol/WwwAuthenticate.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims, requireScopes } from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as OperationScopes from "../../src/server/OperationScopes.js"
import * as Tenancy from "../../src/server/Tenancy.js"
import * as TokenProfile from "../../src/server/TokenProfile.js"
import * as Endpoint from "./fixtures/Endpoint.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"
import * as Whoami from "./fixtures/Whoami.js"

const { configOf, issuer, metadataUrl, resource } = Guarded

const whoami = Effect.map(CurrentClaims, ({ clientId, issuer, scopes, subject }) =>
  HttpServerResponse.unsafeJson({ issuer, subject, clientId, scopes })
)

const tokens: Readonly<Record<string, Authorizer.KnownClaims | AuthError.AuthError>> = {
  alice: { subject: "alice", scopes: ["mcp:tools"], issuer },
  bob: { subject: "bob", scopes: ["mcp:tools"], issuer },
  weak: { subject: "weak", scopes: [], issuer },
  elsewhere: { subject: "eve", scopes: ["mcp:tools"], issuer, audience: ["https://mcp.example.com/other"] },
  parent: { subject: "eve", scopes: ["mcp:tools"], issuer, audience: ["https://mcp.example.com"] },
  child: { subject: "eve", scopes: ["mcp:tools"], issuer, audience: [`${resource}/admin`] },
  nobody: { subject: "eve", scopes: ["mcp:tools"], issuer, audience: [] },
  odd: new AuthError.InvalidToken({ reason: "other", detail: "row 17 of the table of secrets" }),
  broken: new AuthError.ServerError({ cause: new Error("hunter2") }),
  away: new AuthError.ServerError({ retryAfter: 7 })
}

const server = HttpAppAuth.withMetadata(HttpAppAuth.middleware(whoami))

const ask = (question?: Guarded.Question, config = configOf()) =>
  Guarded.send(server, question).pipe(
    Effect.provide(Authorizer.layerTest(tokens)),
    Effect.provideService(AuthConfig.AuthConfig, config)
  )

/** The one challenge of an answer. */
const challengeOf = (answer: Guarded.Answer): WwwAuthenticate.Challenge => {
  const [challenge, ...more] = WwwAuthenticate.parse(answer.challenge ?? "")
  assert.isDefined(challenge)
  assert.lengthOf(more, 0)
  return challenge as WwwAuthenticate.Challenge
}

describe("applicability", () => {
  it.effect("GEN-01: without the guard everybody is served, with it nobody without a token", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Guarded.send(Effect.succeed(HttpServerResponse.text("open")))).status, 200)
      assert.strictEqual((yield* ask()).status, 401)
    })
  )

  it.effect("GEN-05 A38: what a token is, is for the authorizer to say, and it is a layer with its options", () =>
    Effect.gen(function* () {
      const reversed = (suffix: string) =>
        Authorizer.layer(({ token, url }) => {
          const name = Redacted.value(token)
          return name.endsWith(suffix)
            ? Effect.succeed(
                new Claims({
                  issuer: "urn:our-own-scheme",
                  subject: name.slice(0, -suffix.length),
                  audience: [url],
                  scopes: ["mcp:tools"],
                  raw: Redacted.make({})
                })
              )
            : new AuthError.InvalidToken({ reason: "signature" })
        })
      const answer = (token: string) =>
        Guarded.send(server, { token }).pipe(
          Effect.provide(reversed(".mac")),
          Effect.provideService(AuthConfig.AuthConfig, configOf())
        )
      assert.include((yield* answer("carol.mac")).text, '"carol"')
      assert.strictEqual((yield* answer("carol")).status, 401)
    })
  )

  it.effect("GEN-08 D2: each request stands alone, whatever session it names", () =>
    Effect.gen(function* () {
      const headers = { "mcp-session-id": "s1" }
      assert.include((yield* ask({ headers, token: "alice" })).text, '"alice"')
      assert.include((yield* ask({ headers, token: "bob" })).text, '"bob"')
      assert.strictEqual((yield* ask({ headers })).status, 401)
    })
  )
})

describe("protected resource metadata", () => {
  const inserted = "/.well-known/oauth-protected-resource/mcp"

  it.effect("RS-01 RS-03 RS-05 PR-11: the challenge leads to the document, and so does the well-known path", () =>
    Effect.gen(function* () {
      const { parameters } = challengeOf(yield* ask())
      assert.strictEqual(parameters["resource_metadata"], metadataUrl)
      const advertised = yield* ask({ path: new URL(parameters["resource_metadata"] ?? "").pathname })
      assert.strictEqual(advertised.status, 200)
      assert.deepInclude(advertised.body, { resource, authorization_servers: [issuer] })
      assert.deepStrictEqual((yield* ask({ path: inserted })).body, advertised.body)
    })
  )

  it.effect(
    "RS-06: the header's document and the path-inserted one name the resource, the root one of an origin the origin",
    () =>
      Effect.gen(function* () {
        assert.deepInclude((yield* ask({ path: inserted })).body, { resource })
        const origin = configOf({ resource: "https://mcp.example.com" })
        const root = yield* ask({ path: "/.well-known/oauth-protected-resource" }, origin)
        assert.deepInclude(root.body, { resource: "https://mcp.example.com" })
      })
  )

  it.effect("RS-08 A17: scopes_supported is what was listed for it, and not what is required or implied", () =>
    Effect.gen(function* () {
      const more = { requiredScopes: ["mcp:tools"], impliedScopes: { admin: ["mcp:tools"] } }
      assert.notProperty((yield* ask({ path: inserted }, configOf(more))).body, "scopes_supported")
      const listed = yield* ask({ path: inserted }, configOf({ ...more, scopesSupported: ["basic"] }))
      assert.deepInclude(listed.body, { scopes_supported: ["basic"] })
    })
  )

  for (const option of ["requiredScopes", "challengeScopes", "scopesSupported"]) {
    it(`RS-09: offline_access is refused in ${option}`, () => {
      const made = AuthConfig.make({
        resource: "https://mcp.example.com/mcp",
        authorizationServers: "https://as.example.com",
        [option]: ["mcp:tools", "offline_access"]
      })
      assert.isTrue(made._tag === "Left" && made.left.message.includes(option))
    })
  }

  it.effect("RS-10: bearer_methods_supported is header, and header alone", () =>
    Effect.gen(function* () {
      assert.deepInclude((yield* ask({ path: inserted })).body, { bearer_methods_supported: ["header"] })
    })
  )

  it.effect("A30: further members are in the document", () =>
    Effect.gen(function* () {
      const config = configOf({ metadata: { "resource_name#de": "Werkzeuge", mcp_revision: 4 } })
      assert.deepInclude((yield* ask({ path: inserted }, config)).body, {
        "resource_name#de": "Werkzeuge",
        mcp_revision: 4
      })
    })
  )
})

describe("which tokens are taken", () => {
  for (const token of ["elsewhere", "parent", "child", "nobody"]) {
    it.effect(`RS-33 C14 PR-16 Z-08: one whose audience is another's is refused: ${token}`, () =>
      Effect.gen(function* () {
        const answer = yield* ask({ token })
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(challengeOf(answer).parameters["error"], "invalid_token")
        assert.notInclude(answer.text, "eve")
      })
    )
  }

  it.effect("RS-33: of two resources on one server each takes its own tokens", () =>
    Effect.gen(function* () {
      const files = configOf({ resource: "https://mcp.example.com/files" })
      const mail = configOf({ resource: "https://mcp.example.com/mail" })
      const app = HttpAppAuth.resources(
        [
          { config: files, app: whoami },
          { config: mail, app: whoami }
        ],
        HttpServerResponse.empty({ status: 404 })
      ).pipe(Either.getOrThrow)
      const status = (path: string) =>
        Guarded.send(app, { path, token: "files" }).pipe(
          Effect.provide(Authorizer.layerTest({ files: { scopes: ["mcp:tools"], audience: [files.resource] } })),
          Effect.map((answer) => answer.status)
        )
      assert.strictEqual(yield* status("/files"), 200)
      assert.strictEqual(yield* status("/mail"), 401)
    })
  )

  const places: ReadonlyArray<readonly [string, Guarded.Question, status: number]> = [
    ["RS-31 B-02 in the header", { token: "alice" }, 200],
    ["RS-31 in the query", { path: "/mcp?access_token=alice" }, 400],
    ["RS-31 in the query as well", { path: "/mcp?access_token=alice", token: "alice" }, 400],
    ["RS-31 in a cookie", { headers: { cookie: "access_token=alice" } }, 401],
    [
      "RS-31 in a form",
      { body: "access_token=alice", headers: { "content-type": "application/x-www-form-urlencoded" } },
      401
    ]
  ]
  for (const [name, question, status] of places) {
    it.effect(`${name}: ${status}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* ask(question)).status, status)
      })
    )
  }

  it.effect("C15: a scope that is required and not there is a 403, though the authorizer never looked at scopes", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask({ token: "weak" })).status, 403)
    })
  )

  it.effect("SEC-42 D12: the caller is who the token says, and nothing that the client sends", () =>
    Effect.gen(function* () {
      const answer = yield* ask({
        token: "alice",
        headers: { "x-user": "bob", "x-forwarded-user": "bob", "mcp-session-id": "bob", cookie: "user=bob" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping", params: { subject: "bob", sub: "bob" } })
      })
      assert.deepStrictEqual(answer.body, { issuer, subject: "alice", scopes: ["mcp:tools"] })
    })
  )
})

describe("refusals", () => {
  const table: ReadonlyArray<readonly [string, Guarded.Question, status: number, error: string | undefined]> = [
    ["no token", {}, 401, undefined],
    ["a token that is not known", { token: "unknown" }, 401, "invalid_token"],
    ["a token for another", { token: "elsewhere" }, 401, "invalid_token"],
    ["H-10 a good token with too little", { token: "weak" }, 403, "insufficient_scope"],
    ["a header that is none", { headers: { authorization: "Bearer a b" } }, 400, "invalid_request"]
  ]
  for (const [name, question, status, error] of table) {
    it.effect(`RS-37 RS-38 RS-50 RS-60: ${name}`, () =>
      Effect.gen(function* () {
        const answer = yield* ask(question)
        assert.strictEqual(answer.status, status)
        const { parameters, scheme } = challengeOf(answer)
        assert.strictEqual(scheme, "Bearer")
        assert.strictEqual(parameters["error"], error)
        assert.strictEqual(parameters["resource_metadata"], metadataUrl)
        assert.lengthOf((answer.challenge ?? "").match(/resource_metadata="https:\/\/[^"]+"/g) ?? [], 1)
        assert.deepStrictEqual(Object.keys(answer.body as object), ["error", "error_description"])
        assert.deepInclude(answer.body, { error: error ?? "invalid_token" })
        assert.strictEqual(answer.headers.get("content-type"), "application/json")
        assert.strictEqual(answer.headers.get("cache-control"), "no-store")
      })
    )
  }

  it.effect("B-10: who brings no credentials learns nothing, whatever they ask for", () =>
    Effect.gen(function* () {
      const answers = yield* Effect.forEach(
        [
          {},
          { path: "/" },
          { path: "/admin/secrets" },
          { method: "DELETE" },
          { body: "{" },
          { headers: { authorization: "Basic YTpi" } }
        ] satisfies ReadonlyArray<Guarded.Question>,
        (question) => ask(question)
      )
      for (const answer of answers) {
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(answer.challenge, Guarded.missingChallenge)
        assert.strictEqual(answer.text, answers[0]?.text)
      }
    })
  )

  it.effect("E20: 401 with the challenge is what starts the flow of a client, not 403 and not an error in a 200", () =>
    Effect.gen(function* () {
      const answer = yield* ask({ body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize" }) })
      assert.strictEqual(answer.status, 401)
      assert.strictEqual(answer.challenge, Guarded.missingChallenge)
    })
  )

  it.effect("RS-56: whoever finds that a scope is missing, the challenge is the same", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "delete_file" } })
      const scopes = { tool: () => ["files:write"] }
      const apps = [
        HttpAppAuth.middleware(OperationScopes.middleware(scopes)(whoami)),
        HttpAppAuth.middleware(Effect.zipRight(requireScopes("files:write"), whoami))
      ]
      const answers = yield* Effect.forEach(apps, (app) => Guarded.send(app, { token: "alice", body })).pipe(
        Effect.provide(Authorizer.layerTest(tokens)),
        Effect.provideService(AuthConfig.AuthConfig, configOf())
      )
      for (const answer of answers) {
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(answer.challenge, Guarded.scopeChallenge("files:write mcp:tools"))
      }
    })
  )

  it.effect("C8 C9: a reason of one's own is an invalid token like any other, and its detail stays here", () =>
    Effect.gen(function* () {
      const answer = yield* ask({ token: "odd" })
      assert.strictEqual(answer.challenge, Guarded.invalidChallenge())
      assert.deepStrictEqual(answer.text, (yield* ask({ token: "unknown" })).text)
    })
  )
})

describe("tenancy", () => {
  it.effect("B6: a resolver is given the request as it came", () =>
    Effect.gen(function* () {
      const resolvers: Tenancy.Resolvers = {
        requiredScopes: Effect.map(HttpServerRequest.HttpServerRequest, ({ headers, method, url }) => [
          `${method}:${url}:${headers["x-tenant"] ?? ""}`
        ])
      }
      const answer = yield* ask({ path: "/mcp?a=1", headers: { "x-tenant": "acme" } }).pipe(
        Effect.provideService(Tenancy.Tenancy, resolvers)
      )
      assert.strictEqual(challengeOf(answer).parameters["scope"], "GET:/mcp?a=1:acme")
    })
  )
})

describe("the verifiers", () => {
  const jwks = `${issuer}/jwks`
  const now = 1_800_000_000
  const payload = {
    iss: issuer,
    aud: resource,
    sub: "alice",
    client_id: "app",
    scope: "mcp:tools",
    iat: now - 10,
    exp: now + 300,
    jti: "1"
  }

  const world = (keys: ReadonlyArray<Jose.JWK>) =>
    Network.make(
      Network.documents({
        [`${issuer}/.well-known/oauth-authorization-server`]: { issuer, jwks_uri: jwks },
        [jwks]: { keys }
      })
    )

  const judge = (
    token: string,
    keys: ReadonlyArray<Jose.JWK>,
    options?: JwtAuthorizer.Options,
    config = configOf()
  ): Effect.Effect<Whoami.Answer> =>
    Effect.scoped(
      Effect.gen(function* () {
        yield* TestClock.setTime(now * 1000)
        const authorizer = yield* JwtAuthorizer.make(options).pipe(
          Effect.provideService(HttpClient.HttpClient, world(keys).client),
          Effect.provideService(AuthConfig.AuthConfig, config)
        )
        return yield* Whoami.ask(authorizer, { token }, config)
      })
    )

  const tables: ReadonlyArray<
    readonly [string, payload: object, header: Keys.Header, status: number, options?: JwtAuthorizer.Options]
  > = [
    ["H1 H2 H12 a token of the issuer, by a key that it publishes", {}, {}, 200],
    ["H4 J-06 another issuer", { iss: "https://evil.example" }, {}, 401],
    ["H4 J-06 the issuer with a slash", { iss: `${issuer}/` }, {}, 401],
    ["H1 J-06 another audience", { aud: "https://mcp.example.com/other" }, {}, 401],
    ["H6 J-06 no exp", { exp: undefined }, {}, 401],
    ["H6 J-06 expired, within the leeway", { exp: now - 3 }, {}, 200],
    ["H6 J-06 expired, beyond the leeway", { exp: now - 6 }, {}, 401],
    ["H6 no sub", { sub: undefined }, {}, 401],
    ["J-05 typ JWT", {}, { typ: "JWT" }, 401],
    ["J-05 no typ", {}, { typ: undefined }, 401],
    ["J-05 J-09 typ JWT, by a profile that was chosen", {}, { typ: "JWT" }, 200, { profile: TokenProfile.relaxed }],
    ["H5 too little scope", { scope: "other" }, {}, 403],
    ["H3 an algorithm that is not configured", {}, {}, 401, { algorithms: ["RS256"] }]
  ]
  for (const [name, claims, header, status, options] of tables) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const key = yield* Effect.promise(() => Keys.make("ES256", "k1"))
        const token = yield* Effect.promise(() => key.token({ ...payload, ...claims }, header))
        assert.strictEqual((yield* judge(token, [key.jwk], options)).status, status)
      })
    )
  }

  it.effect("H3 W-02 none, a foreign signature and no signature at all", () =>
    Effect.gen(function* () {
      const key = yield* Effect.promise(() => Keys.make("ES256", "k1"))
      const stranger = yield* Effect.promise(() => Keys.make("ES256", "k1"))
      const good = yield* Effect.promise(() => key.token(payload))
      const foreign = yield* Effect.promise(() => stranger.token(payload))
      const [head = "", body = "", signature = ""] = good.split(".")
      const none = Keys.part({ alg: "none", typ: "at+jwt", kid: "k1" })
      const tampered = Keys.part({ ...payload, sub: "root" })
      for (const token of [
        foreign,
        `${head}.${body}.`,
        `${none}.${body}.`,
        `${none}.${body}.${signature}`,
        `${head}.${tampered}.${signature}`,
        `${head}.${body}.${signature.slice(0, -4)}`
      ]) {
        const answer = yield* judge(token, [key.jwk])
        assert.strictEqual(answer.status, 401, token)
        // H7: whatever was wrong, it is told in the same words.
        assert.strictEqual(answer.challenge, Guarded.invalidChallenge())
      }
      assert.strictEqual((yield* judge(good, [key.jwk])).status, 200)
    })
  )

  it.effect("W-03 keys that are too weak, no points of their curve, or passwords give no access", () =>
    Effect.gen(function* () {
      const weak = yield* Effect.promise(() =>
        crypto.subtle.generateKey(
          {
            name: "RSASSA-PKCS1-v1_5",
            modulusLength: 1024,
            publicExponent: new Uint8Array([1, 0, 1]),
            hash: "SHA-256"
          },
          true,
          ["sign", "verify"]
        )
      )
      const weakJwk = yield* Effect.promise(() => Jose.exportJWK(weak.publicKey))
      const weakToken = yield* Effect.promise(() =>
        Keys.compact(
          { alg: "RS256", typ: "at+jwt", kid: "weak" },
          payload,
          async (input) =>
            new Uint8Array(await crypto.subtle.sign("RSASSA-PKCS1-v1_5", weak.privateKey, new Uint8Array(input)))
        )
      )
      assert.strictEqual((yield* judge(weakToken, [{ ...weakJwk, kid: "weak", alg: "RS256" }])).status, 401)

      const ec = yield* Effect.promise(() => Keys.make("ES256", "ec"))
      const ecToken = yield* Effect.promise(() => ec.token(payload))
      assert.strictEqual((yield* judge(ecToken, [ec.jwk])).status, 200)
      assert.strictEqual((yield* judge(ecToken, [{ ...ec.jwk, y: ec.jwk.x ?? "" }])).status, 401)

      const password = new TextEncoder().encode("password")
      const shared = { kty: "oct", k: Jose.base64url.encode(password), kid: "hmac", alg: "HS256" }
      const hmacToken = yield* Effect.promise(() =>
        Keys.compact({ alg: "HS256", typ: "at+jwt", kid: "hmac" }, payload, Keys.hmac(password))
      )
      assert.strictEqual((yield* judge(hmacToken, [shared])).status, 401)
    })
  )

  it.effect("H8: keys of an API are tokens that are known", () =>
    Effect.gen(function* () {
      const layer = Authorizer.layerStatic([
        { token: Redacted.make("key-1"), claims: { subject: "nightly", scopes: ["mcp:tools"] } }
      ])
      const status = (token: string) =>
        Guarded.send(server, { token }).pipe(
          Effect.provide(Layer.merge(layer, Layer.succeed(AuthConfig.AuthConfig, configOf()))),
          Effect.map((answer) => answer.status)
        )
      assert.strictEqual(yield* status("key-1"), 200)
      assert.strictEqual(yield* status("key-2"), 401)
    })
  )

  it.effect("RS-34: a token goes to nobody else: the issuer is asked for keys, and never shown the token", () =>
    Effect.gen(function* () {
      const key = yield* Effect.promise(() => Keys.make("ES256", "k1"))
      const token = yield* Effect.promise(() => key.token(payload))
      const network = Endpoint.make(({ url }) =>
        url === jwks
          ? Network.json({ keys: [key.jwk] })
          : url.includes(".well-known/oauth-authorization-server")
            ? Network.json({ issuer, jwks_uri: jwks })
            : new Response("", { status: 404 })
      )
      yield* TestClock.setTime(now * 1000)
      const exit = yield* JwtAuthorizer.make().pipe(
        Effect.flatMap((authorizer) => Whoami.ask(authorizer, { token })),
        Effect.provideService(HttpClient.HttpClient, network.client),
        Effect.provideService(AuthConfig.AuthConfig, configOf()),
        Effect.scoped,
        Effect.exit
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.lengthOf(network.asked, 2)
      assert.notInclude(JSON.stringify(network.asked), token)
    })
  )
})
