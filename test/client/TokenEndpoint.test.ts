import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import { AccessToken, ClientAuthentication, ServerProfile, TokenEndpoint, TokenSource } from "../../src/client/index.js"
import { call, endpoint, issuer, World } from "./World.js"

const secret = Redacted.make("s:e c+r%t")
const json = (body: unknown, status = 200) => ({ status, body: JSON.stringify(body) })
const good = { access_token: "t", token_type: "Bearer" }

describe("build", () => {
  it("each grant says what its RFC says, and the resource verbatim", () => {
    const target = { resource: "https://h.example/", scopes: ["a", "b"] }
    const red = Redacted.make
    const rows: ReadonlyArray<readonly [TokenEndpoint.Grant, string]> = [
      [
        TokenEndpoint.Grant.AuthorizationCode({ code: red("c"), redirectUri: "u", verifier: red("v"), ...target }),
        "grant_type=authorization_code&code=c&redirect_uri=u&code_verifier=v"
      ],
      [
        TokenEndpoint.Grant.RefreshToken({ refreshToken: red("r"), ...target }),
        "grant_type=refresh_token&refresh_token=r"
      ],
      [TokenEndpoint.Grant.ClientCredentials(target), "grant_type=client_credentials"],
      [
        TokenEndpoint.Grant.TokenExchange({
          subjectToken: red("s"),
          subjectTokenType: "t",
          actor: { token: red("a"), type: "x" },
          ...target
        }),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s&subject_token_type=t&actor_token=a&actor_token_type=x"
      ],
      [
        TokenEndpoint.Grant.JwtBearer({ assertion: red("j"), ...target }),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=j"
      ]
    ]
    for (const [grant, expected] of rows) {
      const query = new URLSearchParams(TokenEndpoint.build(grant).map(([name, value]) => [name, value])).toString()
      assert.strictEqual(query, `${expected}&resource=https%3A%2F%2Fh.example%2F&scope=a+b`)
    }
  })
})

describe("validate", () => {
  const judge = (response: { readonly status: number; readonly body: string }) =>
    TokenEndpoint.validate(response, ["asked"], 1_000)

  it("K-08: type in any case, lifetime as number or digits, absent scope as asked", () => {
    const rows = [
      [{ ...good, expires_in: 60 }, 61_000, ["asked"]],
      [{ ...good, token_type: "bEARER", expires_in: "60" }, 61_000, ["asked"]],
      [{ ...good, expires_in: "soon", scope: "b a b" }, undefined, ["b", "a"]],
      [{ ...good, expires_in: -1, scope: null, refresh_token: null }, undefined, ["asked"]]
    ] as const
    const odd = [0, 1e308, "1e3", "9".repeat(30), "-5", " 60", true, [60], {}]
    const without = odd.map((expires_in) => [{ ...good, expires_in }, undefined, ["asked"]] as const)
    for (const [body, expiresAt, scopes] of [...rows, ...without]) {
      const judged = judge(json(body))
      assert(judged._tag === "Issued")
      assert.strictEqual(judged.accessToken.expiresAt, expiresAt)
      assert.deepStrictEqual(judged.accessToken.scopes, scopes)
      assert.strictEqual(judged.refreshToken, undefined)
    }
  })

  it("whatever lifetime it says, what is stored of it can be read again", () => {
    const stored = Schema.parseJson(AccessToken.AccessToken)
    for (const expires_in of [0, 1e-9, 1e300, 1e306, Number.MAX_VALUE, "9".repeat(308), "9".repeat(400)]) {
      const judged = judge(json({ ...good, expires_in }))
      assert(judged._tag === "Issued")
      const read = Schema.decodeSync(stored)(Schema.encodeSync(stored)(judged.accessToken))
      assert.strictEqual(read.expiresAt, judged.accessToken.expiresAt)
    }
  })

  it("only a structured rejection is one; the rest decides nothing", () => {
    const refused = [
      json({ error: "invalid_grant" }, 400),
      json({ error: "invalid_client" }, 401),
      json({ error: "INVALID_GRANT" }, 400),
      json({ error: "x" })
    ]
    for (const response of refused) assert.strictEqual(judge(response)._tag, "Refused")
    const unusable = [
      json({ error: "invalid_grant" }, 500),
      json({ error: "invalid_grant" }, 429),
      json({ error: "temporarily_unavailable" }, 400),
      json({ error: 'quo"te' }, 400),
      // What frameworks and gateways answer where no authorization server is at the moment.
      json({ timestamp: 1, status: 404, error: "Not Found", path: "/token" }, 404),
      json({ statusCode: 403, error: "Forbidden", message: "no" }, 403),
      json({ error: "not found" }, 404),
      json({ error: "" }, 400),
      json({ error: 1 }, 400),
      json([good]),
      json({ ...good, token_type: "mac" }),
      json({ ...good, token_type: undefined }),
      json({ ...good, access_token: "" }),
      json({ ...good, access_token: "a\r\nb" }),
      json(good, 302),
      { status: 200, body: "access_token=t&token_type=bearer" },
      { status: 400, body: "" }
    ]
    for (const response of unusable) assert.strictEqual(judge(response)._tag, "Unusable", response.body)
  })
})

describe("client authentication", () => {
  const client = { clientId: "id:1", issuer }
  const present = (authentication: ClientAuthentication.ClientAuthentication) =>
    ClientAuthentication.present(authentication, client)

  it.effect("K-06 K-07: one method each, Basic form-encoded first", () =>
    Effect.gen(function* () {
      const basic = yield* present(ClientAuthentication.ClientAuthentication.ClientSecretBasic({ secret }))
      assert.strictEqual(basic.headers["authorization"], `Basic ${btoa("id%3A1:s%3Ae+c%2Br%25t")}`)
      assert.deepStrictEqual(basic.parameters, [])
      const post = yield* present(ClientAuthentication.ClientAuthentication.ClientSecretPost({ secret }))
      assert.deepStrictEqual(post, {
        headers: {},
        parameters: [
          ["client_id", "id:1"],
          ["client_secret", "s:e c+r%t"]
        ]
      })
      const none = yield* present(ClientAuthentication.ClientAuthentication.None())
      assert.deepStrictEqual(none, { headers: {}, parameters: [["client_id", "id:1"]] })
    })
  )

  it.effect("X-08: an assertion names the issuer alone, says what it is, and is fresh each time", () =>
    Effect.gen(function* () {
      const { privateKey, publicKey } = yield* Effect.promise(() => Jose.generateKeyPair("ES256"))
      const authentication = ClientAuthentication.ClientAuthentication.PrivateKeyJwt({
        privateKey: { key: Redacted.make(privateKey), algorithm: "ES256", keyId: "k1" }
      })
      const ids = new Set<unknown>()
      for (const _ of [1, 2]) {
        const { parameters } = yield* present(authentication)
        const assertion = new Map(parameters).get("client_assertion") ?? ""
        const { payload, protectedHeader } = yield* Effect.promise(() =>
          Jose.jwtVerify(assertion, publicKey, { currentDate: new Date(0) })
        )
        assert.deepStrictEqual(protectedHeader, { alg: "ES256", typ: "client-authentication+jwt", kid: "k1" })
        assert.strictEqual(payload.aud, issuer)
        assert.deepStrictEqual([payload.iss, payload.sub, payload.iat, payload.exp], ["id:1", "id:1", 0, 60])
        ids.add(payload.jti)
      }
      assert.strictEqual(ids.size, 2)
    })
  )

  it("AM-03: the method is one that the server lists, basic where it lists none", () => {
    const chosen = (credentials: ClientAuthentication.Credentials, supported?: ReadonlyArray<string>) =>
      ClientAuthentication.choose(credentials, supported)?._tag
    assert.strictEqual(chosen({ clientSecret: secret }), "ClientSecretBasic")
    assert.strictEqual(chosen({ clientSecret: secret }, ["client_secret_post"]), "ClientSecretPost")
    assert.strictEqual(chosen({ clientSecret: secret }, ["private_key_jwt"]), undefined)
    assert.strictEqual(chosen({ clientSecret: secret, method: "client_secret_post" }), "ClientSecretPost")
    assert.strictEqual(chosen({}, ["client_secret_basic"]), "None")
  })
})

describe("what an error says", () => {
  it.effect("a description that echoes the refresh token does not carry it on", () =>
    Effect.gen(function* () {
      const world = new World()
      world.faults.push((r) =>
        r.path === "/token"
          ? Response.json(
              { error: "invalid_grant", error_description: `bad ${r.form.get("refresh_token")}` },
              { status: 400 }
            )
          : undefined
      )
      const error = yield* TokenEndpoint.request({
        endpoint: `${issuer}/token`,
        client: { issuer, clientId: "c", authentication: ClientAuthentication.ClientAuthentication.None() },
        profile: ServerProfile.standard,
        grant: TokenEndpoint.Grant.RefreshToken({ refreshToken: Redacted.make("very-secret-token") })
      }).pipe(Effect.provide(world.layerHttp), Effect.flip)
      assert.strictEqual(error._tag, "TokenRefused")
      assert.notInclude(JSON.stringify(error) + error.message + String(error), "very-secret-token")
    })
  )
})

describe("client credentials", () => {
  const source = (world: World, credentials: TokenSource.ClientCredentialsOptions["credentials"]) =>
    TokenSource.layerClientCredentials({ resource: endpoint, credentials }).pipe(Layer.provideMerge(world.layerHttp))

  it.effect("CC-02 CC-04: discovered alike, asked with resource and scope, kept while it lives", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] }
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* call()).status, 200)
        assert.strictEqual((yield* call()).status, 200)
      }).pipe(Effect.provide(source(world, [{ issuer, clientId: "job", clientSecret: secret }])))
      const asked = world.requests.filter((r) => r.path === "/token")
      assert.strictEqual(asked.length, 1)
      assert.strictEqual(
        asked[0]?.form.toString(),
        "grant_type=client_credentials&resource=https%3A%2F%2Fmcp.example%2Fmcp&scope=mcp%3Aread"
      )
      assert.match(asked[0]?.headers["authorization"] ?? "", /^Basic /)
      assert.strictEqual(world.times("/reg"), 0)
    })
  )

  it.effect("REG-31 REG-33: credentials of another issuer are not tried", () =>
    Effect.gen(function* () {
      const world = new World()
      const error = yield* call().pipe(
        Effect.provide(source(world, [{ issuer: "https://other.example", clientId: "job", clientSecret: secret }])),
        Effect.flip
      )
      assert.strictEqual(error._tag, "RegistrationFailed")
      assert.include(error.message, issuer)
      assert.strictEqual(world.times("/token"), 0)
    })
  )

  it.effect("401 for ever stops, the scopes of a 403 are asked for once", () =>
    Effect.gen(function* () {
      const world = new World()
      world.requiredScopes = ["mcp:write"]
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* call()).status, 200)
        world.faults.push((r) => (r.path === "/mcp" ? new Response("", { status: 401 }) : undefined))
        const error = yield* Effect.flip(call())
        assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "TokenNotAccepted")
      }).pipe(
        Effect.provide(
          source(world, () => Option.some({ clientId: "job", clientSecret: secret, method: "client_secret_post" }))
        )
      )
    })
  )
})
