/**
 * Opaque tokens: a protected server that asks a real authorization server about each, over real sockets.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { AuthConfig } from "effect-mcp-auth/server"
import { Claims, HttpAppAuth, IntrospectionAuthorizer } from "effect-mcp-auth/server"
import { decodeProtectedHeader, exportJWK, generateKeyPair } from "jose"
import type { AuthorizationServer, OidcProvider } from "../../docs/examples/demo/AuthorizationServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true })
const secret = 'a secret: with %, + and "~"'

/** The registration of a protected server at the authorization server: it asks, and gets no tokens itself. */
const registered = { grant_types: [], redirect_uris: [], response_types: [] }
const clients = [
  machine,
  { ...registered, client_id: "rs", client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
  { ...registered, client_id: "rs-post", client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
  { ...registered, client_id: "rs-signed", client_secret: secret, introspection_signed_response_alg: "ES256" },
  {
    ...registered,
    client_id: "rs-key",
    token_endpoint_auth_method: "private_key_jwt",
    jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: "k1", use: "sig", alg: "ES256" }] }
  }
]
const clientSecret = Redacted.make(secret)
const basic: IntrospectionAuthorizer.Options = { clientId: "rs", credentials: { clientSecret } }

const app = Effect.map(Claims.CurrentClaims, ({ clientId, scopes, subject }) =>
  HttpServerResponse.text([subject, clientId, ...scopes].join(" "))
).pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata)

const serve = (options: IntrospectionAuthorizer.Options) =>
  Layer.provide(
    HttpServer.serve(app),
    Layer.provide(IntrospectionAuthorizer.layer(options), FetchHttpClient.layer)
  ) as Layer.Layer<never, never, HttpServer.HttpServer | AuthConfig.AuthConfig>

const make = (options: IntrospectionAuthorizer.Options = basic) =>
  Effect.gen(function* () {
    const server = yield* ProtectedServer.make({
      authorizationServer: {
        clients,
        resources: (resource) => ({
          scope: ProtectedServer.scopes,
          accessTokenFormat: resource.endsWith("/jwt") ? "jwt" : "opaque",
          accessTokenTTL: resource.endsWith("/short") ? 2 : 300,
          // Short tokens are for the same server all the same.
          audience: resource.replace(/\/(jwt|short)$/, "")
        })
      },
      serve: serve(options)
    })
    const token = (scope = "mcp:tools", resource = server.url) =>
      machineToken(server.authorizationServer, resource, scope)
    return { ...server, token }
  })

const get = (url: string, token: string) =>
  Effect.promise(async () => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    return {
      status: response.status,
      challenge: response.headers.get("www-authenticate"),
      retryAfter: response.headers.get("retry-after"),
      text: await response.text()
    }
  })

const introspections = ({ exchanges }: AuthorizationServer) =>
  exchanges.filter(({ path }) => path === "/token/introspection")

/** As the client that the token belongs to does it (RFC 7009). */
const revoke = ({ issuer }: AuthorizationServer, token: string) =>
  Effect.promise(async () => {
    const authorization = `Basic ${btoa(`${machine.client_id}:${encodeURIComponent(machine.client_secret)}`)}`
    const body = new URLSearchParams({ token })
    const response = await fetch(`${issuer}/token/revocation`, { method: "POST", headers: { authorization }, body })
    assert.strictEqual(response.status, 200)
  })

const assertInvalid = (answer: Effect.Effect.Success<ReturnType<typeof get>>) => {
  assert.strictEqual(answer.status, 401)
  assert.include(answer.challenge, 'error="invalid_token"')
}

const assertOutage = (answer: Effect.Effect.Success<ReturnType<typeof get>>) => {
  assert.deepStrictEqual([answer.status, answer.challenge, answer.retryAfter], [503, null, "1"])
  assert.strictEqual(answer.text, '{"error":"server_error","error_description":"Service Unavailable"}')
}

describe("opaque tokens of a real authorization server", () => {
  it.scopedLive("N-01 N-03 a good one gets in, with its subject, client and scopes", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make()
      const good = yield* token("mcp:tools mcp:write")
      assert.notInclude(good, ".")
      const answer = yield* get(url, good)
      assert.deepStrictEqual([answer.status, answer.text], [200, "machine machine mcp:tools mcp:write"])
      const [asked] = introspections(authorizationServer)
      assert.deepStrictEqual([asked?.method, asked?.status, asked?.query], ["POST", 200, ""])
    })
  )

  it.scopedLive("N-02 N-03 others are refused, each as what it is", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make()
      const good = yield* token()
      assertInvalid(yield* get(url, "garbage"))
      assertInvalid(yield* get(url, `${good}x`))
      assertInvalid(yield* get(url, good.slice(0, -1)))
      // Issued by the same server to the same client, for another resource.
      assertInvalid(yield* get(url, yield* token("mcp:tools", "http://127.0.0.1:9/mcp")))
      // A JWT: this authorization server answers 400, which is not active.
      const jwt = yield* token("mcp:tools", `${url}/jwt`)
      assert.strictEqual(jwt.split(".").length, 3)
      assertInvalid(yield* get(url, jwt))
      assert.strictEqual(introspections(authorizationServer).at(-1)?.status, 400)
      const narrow = yield* get(url, yield* token("mcp:write"))
      assert.strictEqual(narrow.status, 403)
      assert.include(narrow.challenge, 'scope="mcp:tools"')
      assert.strictEqual((yield* get(url, good)).status, 200)
    })
  )

  it.scopedLive("N-03 a token that expires is refused from then on, remembered or not", () =>
    Effect.gen(function* () {
      const { token, url } = yield* make({ ...basic, cache: { capacity: 10, maxAge: "1 hour" } })
      const short = yield* token("mcp:tools", `${url}/short`)
      assert.strictEqual((yield* get(url, short)).status, 200)
      const began = Date.now()
      const refused = yield* Effect.delay(get(url, short), "100 millis").pipe(
        Effect.repeat({ while: ({ status }) => status === 200 })
      )
      assertInvalid(refused)
      assert.isBelow(Date.now() - began, 3000)
    })
  )

  it.scopedLive("a refresh token is no access token, whatever the audience is said to be", () =>
    Effect.gen(function* () {
      for (const audience of ["required", "bound"] as const) {
        const { authorizationServer, token, url } = yield* make({ ...basic, audience })
        const refresh = yield* refreshToken(authorizationServer.provider, url)
        assertInvalid(yield* get(url, refresh))
        // It is active, as far as the authorization server is concerned.
        assert.include(introspections(authorizationServer)[0]?.responseBody, '"active":true')
        assert.strictEqual((yield* get(url, yield* token())).status, 200)
      }
    })
  )

  const authentications: ReadonlyArray<readonly [string, IntrospectionAuthorizer.Options]> = [
    ["client_secret_basic", basic],
    ["client_secret_post", { clientId: "rs-post", credentials: { clientSecret, method: "client_secret_post" } }],
    [
      "private_key_jwt",
      {
        clientId: "rs-key",
        credentials: { privateKey: { key: Redacted.make(privateKey), algorithm: "ES256", keyId: "k1" } }
      }
    ]
  ]
  it.scopedLive.each(authentications)("N-01 authenticates with %s", ([, options]) =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make(options)
      const good = yield* token()
      // Twice: an assertion must not be used again.
      assert.strictEqual((yield* get(url, good)).status, 200)
      assert.strictEqual((yield* get(url, good)).status, 200)
      assertInvalid(yield* get(url, "garbage"))
      assert.deepStrictEqual(
        introspections(authorizationServer).map(({ status }) => status),
        [200, 200, 200]
      )
    })
  )

  it.scopedLive("N-04 credentials that the authorization server refuses are our outage, and no client's fault", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({
        clientId: "rs",
        credentials: { clientSecret: Redacted.make("another") }
      })
      assertOutage(yield* get(url, yield* token()))
      assertOutage(yield* get(url, "garbage"))
      assert.deepStrictEqual(
        introspections(authorizationServer).map(({ status }) => status),
        [401, 401]
      )
    })
  )

  it.scopedLive("N-04 nor are credentials that it cannot even read, which it answers with 400", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({
        clientId: "rs",
        // RFC 6749 appendix A.2: a secret is ASCII.
        credentials: { clientSecret: Redacted.make("sécret") }
      })
      assertOutage(yield* get(url, yield* token()))
      assert.strictEqual(introspections(authorizationServer)[0]?.status, 400)
    })
  )
})

describe("signed answers (RFC 9701)", () => {
  const signed = { clientId: "rs-signed", credentials: { clientSecret }, signed: { algorithms: ["ES256"] } } as const

  it.scopedLive("N-07 N-08 of a real authorization server, before and after its keys rotate", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make(signed)
      const good = yield* token()
      assert.strictEqual((yield* get(url, good)).status, 200)
      assertInvalid(yield* get(url, "garbage"))
      const [asked] = introspections(authorizationServer)
      assert.deepInclude(decodeProtectedHeader(asked?.responseBody ?? ""), {
        alg: "ES256",
        typ: "token-introspection+jwt"
      })
      yield* authorizationServer.rotateKeys({ retire: true })
      assert.strictEqual((yield* get(url, good)).status, 200)
      yield* revoke(authorizationServer, good)
      assertInvalid(yield* get(url, good))
    })
  )

  it.scopedLive("N-08 an answer that is not signed is none", () =>
    Effect.gen(function* () {
      const { token, url } = yield* make({ ...signed, clientId: "rs" })
      assertOutage(yield* get(url, yield* token()))
    })
  )
})

describe("revocation", () => {
  it.scopedLive("is seen at once, where nothing is remembered", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make()
      const good = yield* token()
      assert.strictEqual((yield* get(url, good)).status, 200)
      yield* revoke(authorizationServer, good)
      assertInvalid(yield* get(url, good))
    })
  )

  it.scopedLive(
    "N-05 RS-41 is seen within the configured time, and a remembered answer costs no request until then",
    () =>
      Effect.gen(function* () {
        const { authorizationServer, token, url } = yield* make({
          ...basic,
          cache: { capacity: 10, maxAge: "1 seconds" }
        })
        const good = yield* token()
        const other = yield* token()
        const asked = Date.now()
        assert.strictEqual((yield* get(url, good)).status, 200)
        yield* revoke(authorizationServer, good)
        const answers: Array<{ readonly at: number; readonly status: number }> = []
        yield* Effect.delay(get(url, good), "20 millis").pipe(
          Effect.tap(({ status }) => Effect.sync(() => void answers.push({ at: Date.now(), status }))),
          Effect.repeat({ while: ({ status }) => status === 200 })
        )
        const refused = answers.at(-1)
        assert.strictEqual(refused?.status, 401)
        // Remembered meanwhile, by one question and a second one; and no longer than a second.
        assert.isAbove(answers.length, 5)
        assert.strictEqual(introspections(authorizationServer).length, 2)
        assert.isAtLeast((refused?.at ?? 0) - asked, 950)
        assert.isBelow((refused?.at ?? 0) - asked, 1500)
        // Nobody else's token is touched by it.
        assert.strictEqual((yield* get(url, other)).status, 200)
      })
  )
})

describe("while the authorization server is away (C16)", () => {
  it.scopedLive("503 for tokens that are not remembered, never 401, and no restart when it is back", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({
        ...basic,
        cache: { capacity: 10, maxAge: "2 seconds" }
      })
      const [known, unknown] = [yield* token(), yield* token()]
      assert.strictEqual((yield* get(url, known)).status, 200)
      yield* authorizationServer.stop

      assert.strictEqual((yield* get(url, known)).status, 200)
      for (const bad of [unknown, unknown, "garbage"]) assertOutage(yield* get(url, bad))
      yield* Effect.sleep("2 seconds")
      assertOutage(yield* get(url, known))

      yield* authorizationServer.start
      assert.strictEqual((yield* get(url, known)).status, 200)
      assert.strictEqual((yield* get(url, unknown)).status, 200)
      assertInvalid(yield* get(url, "garbage"))
    })
  )

  it.scopedLive("503 from a cold start, and no restart when it is there", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make()
      const good = yield* token()
      yield* authorizationServer.stop
      assertOutage(yield* get(url, good))
      yield* authorizationServer.start
      assert.strictEqual((yield* get(url, good)).status, 200)
    })
  )

  it.scopedLive("under load it dies and returns: every answer is 200 or 503, and 200 again at the end", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({
        ...basic,
        cache: { capacity: 100, maxAge: "200 millis" }
      })
      const tokens = yield* Effect.forEach(Array.from({ length: 5 }), () => token())
      const statuses: Array<number> = []
      let turn = 0
      const one = Effect.suspend(() => get(url, tokens[turn++ % tokens.length] ?? ""))
      yield* Effect.forkScoped(
        Effect.forEach(tokens, () => Effect.forever(Effect.map(one, ({ status }) => void statuses.push(status))), {
          concurrency: "unbounded"
        })
      )
      yield* Effect.sleep("500 millis")
      const before = statuses.length
      yield* authorizationServer.stop
      yield* Effect.sleep("700 millis")
      const during = statuses.length
      yield* authorizationServer.start
      yield* Effect.sleep("1 second")
      const after = statuses.length
      yield* Effect.sleep("300 millis")
      assert.deepStrictEqual(new Set(statuses.slice(0, before)), new Set([200]))
      // What was remembered may be over before the first answer that counts here.
      assert.includeMembers([200, 503], statuses.slice(before, after))
      assert.include(statuses.slice(before, during), 503)
      assert.deepStrictEqual(new Set(statuses.slice(after)), new Set([200]))
    })
  )
})

/** A refresh token of a person's grant, as the authorization code flow would have left it. */
const refreshToken = (provider: OidcProvider, resource: string) =>
  Effect.promise(async () => {
    interface Saved {
      readonly save: () => Promise<string>
    }
    const { Client, Grant, RefreshToken } = provider as unknown as {
      readonly Client: OidcProvider["Client"]
      readonly Grant: new (
        of: object
      ) => Saved & { readonly addResourceScope: (resource: string, scope: string) => void }
      readonly RefreshToken: new (of: object) => Saved
    }
    const grant = new Grant({ accountId: "alice", clientId: machine.client_id })
    grant.addResourceScope(resource, "mcp:tools")
    const common = { accountId: "alice", grantId: await grant.save(), gty: "authorization_code" }
    const client = await Client.find(machine.client_id)
    return new RefreshToken({ ...common, client, scope: "mcp:tools", resource }).save()
  })
