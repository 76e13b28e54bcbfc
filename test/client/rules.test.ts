/** Rules of the specification that no test of a module names: each is shown at the whole client, by what it sends. */
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import {
  AuthorizeUser,
  ClientRegistration,
  LoopbackListener,
  Refusal,
  SystemBrowser,
  TokenEndpoint,
  TokenSource,
  TokenStore
} from "../../src/client/index.js"
import type * as ClientAuthentication from "../../src/discovery/ClientAuthentication.js"
import * as FetchLimits from "../../src/discovery/FetchLimits.js"
import * as AuthorizationRequest from "../../src/protocol/AuthorizationRequest.js"
import { call, endpoint, issuer, redirectUri, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

const tokenForms = (world: World): ReadonlyArray<URLSearchParams> =>
  world.requests.filter(({ path }) => path === "/token").map(({ form }) => form)

const revoke = (world: World) =>
  Effect.sync(() => {
    for (const token of world.tokens.values()) token.active = false
  })

const privateKey = Effect.promise(async () => {
  const { privateKey, publicKey } = await Jose.generateKeyPair("ES256")
  return { privateKey: { key: Redacted.make(privateKey), algorithm: "ES256", keyId: "k" }, publicKey }
})

describe("discovery", () => {
  it.effect("CL-01 CL-02 PR-03: from the 401 to the resource's document, to its server's, each by GET", () =>
    Effect.gen(function* () {
      const world = new World()
      assert.strictEqual(yield* Effect.provide(status, world.source()), 200)
      const documents = world.requests.filter(({ path }) => path.startsWith("/.well-known/"))
      assert.deepStrictEqual(
        documents.map(({ method, url }) => `${method} ${url}`),
        [
          "GET https://mcp.example/.well-known/oauth-protected-resource/mcp",
          "GET https://as.example/.well-known/oauth-authorization-server"
        ]
      )
    })
  )

  it.effect("CL-07 PR-17 J3: which of the listed servers is asked is the application's to say", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issuers = ["https://first.example", issuer]
      const trusted = (issuers: ReadonlyArray<string>) => issuers.filter((one) => one === issuer)
      yield* Effect.provide(status, world.source({ selectAuthorizationServer: trusted }))
      assert.strictEqual(world.prompts[0]?.origin, issuer)
      assert.isFalse(world.requests.some(({ url }) => url.startsWith("https://first.example")))

      const none = new World()
      const error = yield* Effect.flip(Effect.provide(status, none.source({ selectAuthorizationServer: () => [] })))
      assert.strictEqual(error._tag, "DiscoveryFailed")
      assert.lengthOf(none.prompts, 0)
    })
  )

  it.effect("CL-07 J3: the server at which a grant lives is preferred to those that are listed before it", () =>
    Effect.gen(function* () {
      const world = new World()
      const listed = ["https://first.example", issuer]
      world.issuers = listed
      let isDead = true
      world.faults.push(({ url }) => (isDead && url.startsWith("https://first.example/") ? "unreachable" : undefined))
      yield* Effect.gen(function* () {
        yield* status
        isDead = false
        world.requiredScopes = ["mcp:read", "mcp:write"]
        assert.strictEqual(yield* status, 200)
        yield* TokenSource.signOut
        world.requiredScopes = []
        yield* status
      }).pipe(Effect.provide(world.source()))
      assert.deepStrictEqual(
        world.prompts.map(({ origin }) => origin),
        [issuer, issuer, "https://first.example"]
      )
    })
  )

  it.effect("CL-09: without any metadata it gives up, and asks nobody", () =>
    Effect.gen(function* () {
      const world = new World()
      world.faults.push(({ path }) =>
        path.startsWith("/.well-known/") ? new Response("", { status: 404 }) : undefined
      )
      const error = yield* Effect.flip(Effect.provide(status, world.source()))
      assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "NoMetadata")
      assert.lengthOf(world.prompts, 0)
    })
  )

  it.effect("CL-18: falling back to 2025-03-26 has to be asked for", () =>
    Effect.gen(function* () {
      const old = () => {
        const world = new World()
        world.faults.push(({ path, url }) => {
          if (path.startsWith("/.well-known/oauth-protected-resource")) return new Response("", { status: 404 })
          if (path !== "/mcp" || !url.startsWith("https://mcp.example")) return undefined
          return new Response("", { status: 401, headers: { "www-authenticate": "Bearer" } })
        })
        return world
      }
      const strict = old()
      yield* Effect.exit(Effect.provide(status, strict.source()))
      assert.lengthOf(strict.prompts, 0)
      const lenient = old()
      yield* Effect.exit(Effect.provide(status, lenient.source({ fallback: "2025-03-26" })))
      assert.strictEqual(lenient.prompts[0]?.origin, "https://mcp.example")
    })
  )

  it.effect("J2: where the challenge does not say it, the metadata is where the application says", () =>
    Effect.gen(function* () {
      const resourceMetadataUrl = "https://docs.example/mcp.json"
      const world = new World()
      world.faults.push(({ headers, path }) =>
        path === "/mcp" && headers["authorization"] === undefined
          ? new Response("", { status: 401, headers: { "www-authenticate": "Bearer" } })
          : undefined
      )
      world.faults.push(({ url }) =>
        url === resourceMetadataUrl ? Response.json({ resource: endpoint, authorization_servers: [issuer] }) : undefined
      )
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source({ resourceMetadataUrl }))), 200)
      assert.strictEqual(world.requests[1]?.url, resourceMetadataUrl)
      assert.isFalse(world.requests.some(({ path }) => path.includes("oauth-protected-resource")))

      const insecure = world.source({ resourceMetadataUrl: "http://docs.example/mcp.json" })
      const error = yield* Effect.flip(status.pipe(Effect.provide(insecure)))
      assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "InvalidResource")
      assert.include(error.message, "the resourceMetadataUrl must use https")
    })
  )

  it.effect("SEC-10 PR-18: an authorization server that leads inside is passed over, and the trace says why", () =>
    Effect.gen(function* () {
      for (const [inside, detail] of [
        [{ token_endpoint: "https://10.0.0.1/token" }, "its token_endpoint is out of reach: 10.0.0.1 is at a private"],
        [
          { token_endpoint: "http://localhost:6379/" },
          "its token_endpoint is out of reach: localhost is at a loopback"
        ],
        [{ authorization_endpoint: "https://192.168.1.1/" }, "its authorization_endpoint is out of reach"],
        [{ token_endpoint: "https://169.254.169.254/" }, "169.254.169.254 is at a reserved address"]
      ] as const) {
        const world = new World()
        world.metadata = inside
        const error = yield* Effect.flip(status.pipe(Effect.provide(world.source())))
        assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "NoAuthorizationServer")
        assert.include(error.message, detail)
        assert.lengthOf(world.prompts, 0)
      }
      const world = new World()
      world.issuers = ["https://10.0.0.1", "http://127.0.0.1:9", "https://metadata.google.internal", issuer]
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source())), 200)
      const hosts = new Set(world.requests.map(({ url }) => new URL(url).host))
      assert.deepStrictEqual(Array.from(hosts), ["mcp.example", "as.example"])
      const registration = new World()
      registration.metadata = { registration_endpoint: "https://10.0.0.1/reg" }
      const refused = yield* Effect.flip(status.pipe(Effect.provide(registration.source())))
      assert.strictEqual(refused._tag, "RegistrationFailed")
      assert.isFalse(registration.requests.some(({ url }) => url.includes("10.0.0.1")))
    })
  )

  it.effect("a private authorization server is asked where the application names its host", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issuers = ["https://10.0.0.1"]
      const source = world.source().pipe(Layer.provide(FetchLimits.layer({ allowedHosts: ["10.0.0.1"] })))
      assert.strictEqual(yield* status.pipe(Effect.provide(source)), 200)
      assert.strictEqual(world.prompts[0]?.host, "10.0.0.1")
    })
  )

  it.effect("CL-08 PR-12: a challenge that comes later names another document, and that one is read", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        yield* revoke(world)
        const moved = "https://mcp.example/moved"
        world.faults.push(({ headers, path }) =>
          path === "/mcp" && world.tokens.get((headers["authorization"] ?? "").slice(7))?.active !== true
            ? new Response("", {
                status: 401,
                headers: { "www-authenticate": `Bearer resource_metadata="${moved}"` }
              })
            : undefined
        )
        world.faults.push(({ path }) =>
          path === "/moved" ? Response.json({ resource: endpoint, authorization_servers: [issuer] }) : undefined
        )
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.times("/moved"), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it("PR-13: a challenge of another scheme may say where the metadata is", () => {
    const refusal = Refusal.fromResponse({
      status: 401,
      url: endpoint,
      wwwAuthenticate: `Basic realm="x", DPoP algs="ES256", resource_metadata="https://mcp.example/doc"`
    })
    assert.strictEqual(Option.getOrUndefined(Option.map(refusal, Refusal.metadataUrl)), "https://mcp.example/doc")
  })

  it.effect("AM-02: a server that does not say where to ask is passed over", () =>
    Effect.gen(function* () {
      for (const metadata of [{ token_endpoint: undefined }, { authorization_endpoint: undefined }]) {
        const world = new World()
        world.metadata = metadata
        const error = yield* Effect.flip(Effect.provide(status, world.source()))
        assert.strictEqual(error._tag, "DiscoveryFailed")
        assert.lengthOf(world.prompts, 0)
      }
    })
  )
})

describe("registration", () => {
  const url = "https://app.example/client.json"
  const documents = { client_id_metadata_document_supported: true }

  it.effect("REG-01: without a way to a client ID nobody is asked", () =>
    Effect.gen(function* () {
      const world = new World()
      const error = yield* Effect.flip(Effect.provide(status, world.source({ registration: { dynamic: false } })))
      assert.strictEqual(error._tag === "RegistrationFailed" ? error.reason : error._tag, "NoMethod")
      assert.lengthOf(world.prompts, 0)
    })
  )

  it.effect("REG-03 REG-34: the URL of a document is the client ID at every server, and nothing is registered", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = documents
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        yield* revoke(world)
        world.issuers = ["https://new.example"]
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(world.source({ registration: { metadataDocument: { url } } })))
      assert.deepStrictEqual(
        world.prompts.map((prompt) => [prompt.origin, prompt.searchParams.get("client_id")]),
        [
          [issuer, url],
          ["https://new.example", url]
        ]
      )
      assert.strictEqual(world.times("/reg"), 0)
      // The tokens are another matter: the new server never sees the old one's.
      assert.isFalse(tokenForms(world).some((form) => form.has("refresh_token")))
    })
  )

  it.effect("REG-12 CI-05: with a key every request is authenticated by it, wherever and whatever else would do", () =>
    Effect.gen(function* () {
      const { privateKey: key } = yield* privateKey
      const registration = { metadataDocument: { url, privateKey: key } }
      const world = new World()
      world.metadata = { ...documents, token_endpoint_auth_methods_supported: ["none", "private_key_jwt"] }
      yield* Effect.gen(function* () {
        yield* status
        yield* revoke(world)
        yield* status
      }).pipe(Effect.provide(world.source({ registration })))
      const forms = tokenForms(world)
      assert.deepStrictEqual(
        forms.map((form) => form.get("grant_type")),
        ["authorization_code", "refresh_token"]
      )
      for (const form of forms) assert.strictEqual(Jose.decodeJwt(form.get("client_assertion") ?? "").sub, url)

      // `none` would be taken by such a server; this client ID is not used there without its key.
      const other = new World()
      other.metadata = { ...documents, token_endpoint_auth_methods_supported: ["none"] }
      assert.strictEqual(yield* status.pipe(Effect.provide(other.source({ registration }))), 200)
      assert.strictEqual(other.times("/reg"), 1)
      assert.notStrictEqual(other.prompts[0]?.searchParams.get("client_id"), url)
      const only = other.source({ registration: { ...registration, dynamic: false } })
      const error = yield* Effect.flip(status.pipe(Effect.provide(only)))
      assert.strictEqual(error._tag === "RegistrationFailed" ? error.reason : error._tag, "NoMethod")
    })
  )

  it.effect("Q-05: the assertion of a pushed request names the issuer, and not the endpoint", () =>
    Effect.gen(function* () {
      const { privateKey: key } = yield* privateKey
      const world = new World()
      world.metadata = {
        ...documents,
        token_endpoint_auth_methods_supported: ["private_key_jwt"],
        pushed_authorization_request_endpoint: `${issuer}/pushed`
      }
      world.faults.push(({ path }) =>
        path === "/pushed" ? Response.json({ request_uri: "urn:x", expires_in: 60 }, { status: 201 }) : undefined
      )
      const registration = { metadataDocument: { url, privateKey: key } }
      yield* Effect.exit(Effect.provide(status, world.source({ registration })))
      const pushed = world.requests.find(({ path }) => path === "/pushed")
      assert.strictEqual(Jose.decodeJwt(pushed?.form.get("client_assertion") ?? "").aud, issuer)
    })
  )

  it.effect("CI-02: client IDs compare as strings, default ports included", () =>
    Effect.gen(function* () {
      const options = { metadataDocument: { url: "https://app.example:443/client.json" } }
      assert.isFalse(ClientRegistration.isConfigured(options, { issuer, clientId: url }))
      assert.isTrue(ClientRegistration.isConfigured(options, { issuer, clientId: options.metadataDocument.url }))
      const recalled = yield* ClientRegistration.recall(options, { issuer, clientId: url, redirectUri }).pipe(
        Effect.provide(TokenStore.layerMemory)
      )
      assert.isTrue(Option.isNone(recalled))
    })
  )

  it.effect("REG-04 REG-35 R-02 R-03 A-06: a registration says all that has a default, and needs no secret", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.provide(status, world.source())
      const body = world.requests.find(({ path }) => path === "/reg")?.json ?? {}
      assert.deepStrictEqual(body["redirect_uris"], [world.prompts[0]?.searchParams.get("redirect_uri")])
      assert.strictEqual(body["token_endpoint_auth_method"], "none")
      assert.include(body["grant_types"] as Array<string>, "authorization_code")
      assert.deepStrictEqual(body["response_types"], ["code"])
      assert.isFalse(tokenForms(world).some((form) => form.has("client_secret")))
    })
  )

  it.effect("REG-05 J14: client ID, secret and scopes come from configuration", () =>
    Effect.gen(function* () {
      const world = new World()
      world.challengeScope = undefined
      world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_post"] }
      const preRegistered = [{ issuer, clientId: "known", clientSecret: Redacted.make("s3cret") }]
      yield* Effect.provide(status, world.source({ registration: { preRegistered }, scopes: ["a", "b"] }))
      assert.strictEqual(world.times("/reg"), 0)
      const { searchParams } = world.prompts[0] ?? new URL(endpoint)
      assert.strictEqual(searchParams.get("client_id"), "known")
      assert.strictEqual(searchParams.get("scope"), "a b")
      assert.strictEqual(tokenForms(world)[0]?.get("client_secret"), "s3cret")
    })
  )

  it.effect("REG-30: what is registered at one server is kept for it, and never used at another", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        for (const at of [issuer, "https://new.example", issuer]) {
          world.issuers = [at]
          yield* revoke(world)
          for (const token of world.refreshTokens.values()) token.active = false
          assert.strictEqual(yield* status, 200)
        }
      }).pipe(Effect.provide(world.source()))
      const ids = world.prompts.map((prompt) => prompt.searchParams.get("client_id"))
      assert.strictEqual(world.times("/reg"), 2)
      assert.notStrictEqual(ids[0], ids[1])
      assert.strictEqual(ids[2], ids[0])
    })
  )
})

describe("the request and its response", () => {
  it.effect("CL-48 CL-49 RI-03: the validated resource is sent as it is, and no slash is added to an origin", () =>
    Effect.gen(function* () {
      for (const [configured, advertised] of [
        [endpoint, endpoint],
        [endpoint, "https://mcp.example"],
        ["https://MCP.example/mcp", endpoint]
      ] as const) {
        const world = new World()
        world.resource = advertised
        assert.strictEqual(yield* Effect.provide(status, world.source({ resource: configured })), 200)
        assert.strictEqual(world.prompts[0]?.searchParams.get("resource"), advertised)
        assert.strictEqual(tokenForms(world)[0]?.get("resource"), advertised)
      }
    })
  )

  it.effect("CL-40 CL-41 CL-46 CL-47 RI-07: PKCE with S256, and one and the same resource in every request", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        yield* revoke(world)
        yield* status
        world.requiredScopes = ["mcp:write"]
        yield* status
      }).pipe(Effect.provide(world.source()))
      assert.lengthOf(world.prompts, 2)
      for (const { searchParams } of world.prompts) {
        assert.strictEqual(searchParams.get("code_challenge_method"), "S256")
        assert.match(searchParams.get("code_challenge") ?? "", /^[\w-]{43}$/)
        assert.deepStrictEqual(searchParams.getAll("resource"), [endpoint])
      }
      const forms = tokenForms(world)
      assert.deepStrictEqual(
        forms.map((form) => [form.get("grant_type"), form.getAll("resource"), form.has("code_verifier")]),
        [
          ["authorization_code", [endpoint], true],
          ["refresh_token", [endpoint], false],
          ["authorization_code", [endpoint], true]
        ]
      )
      assert.notStrictEqual(forms[0]?.get("code_verifier"), forms[2]?.get("code_verifier"))
    })
  )

  it.effect("CL-42 CL-43: whether the server does S256 is looked at first, and one that does not is not asked", () =>
    Effect.gen(function* () {
      for (const methods of [[], ["plain"], ["s256"]]) {
        const world = new World()
        world.metadata = { code_challenge_methods_supported: methods }
        yield* Effect.flip(Effect.provide(status, world.source()))
        assert.lengthOf(world.prompts, 0)
        assert.strictEqual(world.times("/reg"), 0)
      }
    })
  )

  it.effect("CL-51: a redirect URI that others can read is refused, before anything is registered or opened", () =>
    Effect.gen(function* () {
      for (const uri of ["http://10.0.0.1/callback", "http://app.example/callback", "my-app://callback"]) {
        const world = new World()
        const opened: Array<string> = []
        const user = AuthorizeUser.layer({
          redirectUri: uri,
          authorize: (url) => Effect.sync(() => new URLSearchParams({ state: opened.push(url).toString() }))
        })
        const source = TokenSource.layerAuthorizationCode({ resource: endpoint }).pipe(
          Layer.provide([TokenStore.layerMemory, user]),
          Layer.provideMerge(world.layerHttp)
        )
        const error = yield* Effect.flip(Effect.provide(status, source))
        assert.strictEqual(error._tag, "AuthorizeUserError", uri)
        assert.lengthOf(opened, 0)
        assert.strictEqual(world.times("/reg"), 0)
      }
    })
  )

  it.effect("CL-53: the answer is judged by what was recorded before the prompt, whatever has changed meanwhile", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { authorization_response_iss_parameter_supported: true }
      world.thinking = Effect.sync(() => {
        world.issuers = ["https://evil.example"]
        world.metadata = { token_endpoint: "https://evil.example/token" }
      })
      // No `iss`, which the metadata of before the prompt had promised.
      const error = yield* Effect.flip(Effect.provide(status, world.source()))
      assert.strictEqual(error._tag === "AuthorizationInvalid" ? error.parameter : error._tag, "issuer")
      assert.strictEqual(world.times("/token"), 0)

      const other = new World()
      other.thinking = Effect.sync(() => {
        other.metadata = { token_endpoint: "https://evil.example/token" }
      })
      assert.strictEqual(yield* Effect.provide(status, other.source()), 200)
      assert.strictEqual(other.requests.find(({ path }) => path === "/token")?.url, `${issuer}/token`)
    })
  )

  it.effect("CL-59: the answer to one sign-in is none to the next", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issueRefreshTokens = false
      let first: URLSearchParams | undefined
      world.redirect = (parameters) => {
        first ??= parameters
        return new URLSearchParams(first)
      }
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        yield* revoke(world)
        assert.strictEqual((yield* Effect.flip(status))._tag, "AuthorizationInvalid")
        assert.strictEqual(world.times("/token"), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("SEC-60 Z-03 K-12: the code of one server is sent to no other, and only once", () =>
    Effect.gen(function* () {
      const world = new World()
      const evil = "https://evil.example"
      world.issuers = [issuer, evil]
      // The answer comes from the other server, which names itself.
      world.redirect = (parameters) => {
        parameters.set("iss", evil)
        return parameters
      }
      const error = yield* Effect.flip(Effect.provide(status, world.source()))
      assert.strictEqual(error._tag, "AuthorizationInvalid")
      assert.strictEqual(world.times("/token"), 0)

      const honest = new World()
      honest.faults.push(({ path }) =>
        path === "/token" ? Response.json({ error: "invalid_grant" }, { status: 400 }) : undefined
      )
      assert.strictEqual((yield* Effect.flip(Effect.provide(status, honest.source())))._tag, "TokenRefused")
      const exchanges = honest.requests.filter(({ path }) => path === "/token")
      assert.deepStrictEqual(
        exchanges.map(({ url }) => url),
        [`${issuer}/token`]
      )
    })
  )

  it.effect("K-05: redirect_uri is in the token request, as it was in the authorization request", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.provide(status, world.source())
      assert.strictEqual(tokenForms(world)[0]?.get("redirect_uri"), redirectUri)
      assert.strictEqual(world.prompts[0]?.searchParams.get("redirect_uri"), redirectUri)
    })
  )

  it("Z-05: a code is asked for and nothing else, and no grant takes a password", () => {
    const request = { clientId: "c", redirectUri, codeChallenge: "x", state: "s", extra: { response_type: "token" } }
    const sent = AuthorizationRequest.parameters(request).filter(([name]) => name === "response_type")
    assert.deepStrictEqual(sent, [["response_type", "code"]])
    assert.notProperty(TokenEndpoint.Grant, "Password")
  })
})

describe("scopes", () => {
  it.effect("CL-60 CL-62 PR-14: what the challenge names is asked for, and nothing is concluded from the lists", () =>
    Effect.gen(function* () {
      for (const resourceScopes of [undefined, [], ["a", "b", "c"], ["x"]]) {
        for (const scopes_supported of [undefined, [], ["a"]]) {
          const world = new World()
          world.challengeScope = "x"
          world.resourceScopes = resourceScopes
          world.metadata = { scopes_supported }
          yield* Effect.provide(status, world.source())
          assert.strictEqual(world.prompts[0]?.searchParams.get("scope"), "x")
        }
      }
    })
  )

  it.effect("CL-64: too little scope leads to a step-up, and then to the answer", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* status, 200)
        world.requiredScopes = ["mcp:read", "mcp:admin"]
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(world.prompts, 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("S-05: a challenge for a stronger authentication that never ends does", () =>
    Effect.gen(function* () {
      const world = new World()
      const header = 'Bearer error="insufficient_user_authentication", acr_values="mfa"'
      world.faults.push(({ path }) =>
        path === "/mcp" ? new Response("", { status: 401, headers: { "www-authenticate": header } }) : undefined
      )
      const error = yield* Effect.flip(Effect.provide(status, world.source()))
      assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "TokenNotAccepted")
      assert.isAtMost(world.prompts.length, 2)
    })
  )
})

describe("tokens", () => {
  it.effect("CL-70 CL-71 CL-72 B-04 B-05: on every request to the resource, in the header, and nowhere else", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.forEach([1, 2, 3, 4], () => status).pipe(Effect.provide(world.source()))
      const [refused, ...served] = world.requests.filter(({ path }) => path === "/mcp")
      assert.isUndefined(refused?.headers["authorization"])
      assert.lengthOf(served, 4)
      const [token = ""] = world.tokens.keys()
      for (const request of world.requests) {
        const mine = request.url === endpoint && request !== refused
        assert.strictEqual(request.headers["authorization"], mine ? `Bearer ${token}` : undefined)
        assert.notInclude(request.url, token)
        assert.notInclude(JSON.stringify([request.json, [...request.form]]), token)
      }
      // Nor does the refresh token go anywhere that it did not come from.
      const [refreshToken = ""] = world.refreshTokens.keys()
      assert.isFalse(
        world.requests.some(({ path, ...rest }) => path === "/mcp" && JSON.stringify(rest).includes(refreshToken))
      )
    })
  )

  it.effect("CL-75: without a refresh token, the person is asked again", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issueRefreshTokens = false
      yield* Effect.gen(function* () {
        yield* status
        yield* revoke(world)
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(world.prompts, 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("CL-77 K-10: a rotated refresh token takes the place of the old one, each is used once", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        for (const _ of [1, 2, 3]) {
          yield* revoke(world)
          assert.strictEqual(yield* status, 200)
        }
      }).pipe(Effect.provide(world.source()))
      const used = tokenForms(world).flatMap((form) => form.get("refresh_token") ?? [])
      assert.lengthOf(used, 3)
      assert.deepStrictEqual(used, [...world.refreshTokens.keys()].slice(0, 3))
      assert.lengthOf(world.prompts, 1)
    })
  )

  it.effect("J-08: what an access token looks like is of no concern", () =>
    Effect.gen(function* () {
      const expired = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from('{"exp":1}').toString("base64url")}.`
      for (const value of [expired, "-._~+/=", "x"]) {
        const judged = TokenEndpoint.validate(
          { status: 200, body: JSON.stringify({ access_token: value, token_type: "Bearer", expires_in: 60 }) },
          ["a"],
          0
        )
        assert.strictEqual(judged._tag, "Issued")
        if (judged._tag !== "Issued") return
        assert.deepInclude(judged.accessToken, { expiresAt: 60_000, scopes: ["a"] })
      }
    })
  )

  it("K-09: whatever the status, an error is one by its shape", () => {
    const judge = (status: number, body: string) => TokenEndpoint.validate({ status, body }, [], 0)._tag
    for (const status of [200, 400, 401, 403, 404]) {
      assert.strictEqual(judge(status, '{"error":"invalid_grant"}'), "Refused", String(status))
    }
    for (const body of ["", "no", "[]", '{"error":5}', '{"error":"a\\"b"}', '{"error":""}', "{}"]) {
      assert.strictEqual(judge(400, body), "Unusable", body)
    }
  })

  it("X-01 X-05: a token is exchanged and an assertion presented in the words of their RFCs", () => {
    const exchange = TokenEndpoint.Grant.TokenExchange({
      subjectToken: Redacted.make("subject"),
      subjectTokenType: "urn:ietf:params:oauth:token-type:access_token",
      resource: endpoint,
      audience: "https://api.example",
      scopes: ["a"]
    })
    assert.deepStrictEqual(TokenEndpoint.build(exchange), [
      ["grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"],
      ["subject_token", "subject"],
      ["subject_token_type", "urn:ietf:params:oauth:token-type:access_token"],
      ["audience", "https://api.example"],
      ["resource", endpoint],
      ["scope", "a"]
    ])
    const bearer = TokenEndpoint.Grant.JwtBearer({ assertion: Redacted.make("jwt") })
    assert.deepStrictEqual(TokenEndpoint.build(bearer), [
      ["grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
      ["assertion", "jwt"]
    ])
  })
})

describe("client credentials", () => {
  const machine = (world: World, credentials: ClientAuthentication.Credentials) =>
    TokenSource.layerClientCredentials({
      resource: endpoint,
      credentials: [{ issuer, clientId: "job", ...credentials }]
    }).pipe(Layer.provideMerge(world.layerHttp))

  const clientSecret = Redacted.make("s3cret")

  it.effect("CC-01: nothing is registered and nobody asked, though the server would register", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] }
      assert.strictEqual(yield* Effect.provide(status, machine(world, { clientSecret })), 200)
      assert.strictEqual(world.times("/reg"), 0)
      assert.lengthOf(world.prompts, 0)
    })
  )

  it.effect("CC-03 CC-05: the method is one that the server lists, basic where it lists none", () =>
    Effect.gen(function* () {
      for (const [methods, basic] of [
        [undefined, true],
        [["client_secret_basic", "client_secret_post"], true],
        [["client_secret_post"], false]
      ] as const) {
        const world = new World()
        world.metadata = { token_endpoint_auth_methods_supported: methods }
        assert.strictEqual(yield* Effect.provide(status, machine(world, { clientSecret })), 200)
        const asked = world.requests.find(({ path }) => path === "/token")
        assert.strictEqual(asked?.headers["authorization"], basic ? `Basic ${btoa("job:s3cret")}` : undefined)
        assert.strictEqual(asked?.form.get("client_secret") ?? null, basic ? null : "s3cret")
      }
    })
  )

  it.effect("CC-03 CC-07 Z-09: an assertion is for the issuer alone, short, unique, and preferred to a secret", () =>
    Effect.gen(function* () {
      const { privateKey: key, publicKey } = yield* privateKey
      const world = new World()
      world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic", "private_key_jwt"] }
      world.expiresIn = 60
      yield* Effect.gen(function* () {
        yield* status
        yield* TestClock.adjust("2 minutes")
        yield* status
      }).pipe(Effect.provide(machine(world, { clientSecret, privateKey: key })))
      const claims = yield* Effect.forEach(tokenForms(world), (form) =>
        Effect.promise(async () => {
          const { payload } = await Jose.jwtVerify(form.get("client_assertion") ?? "", publicKey, {
            audience: issuer,
            currentDate: new Date(Number(Jose.decodeJwt(form.get("client_assertion") ?? "").iat) * 1000)
          })
          return payload
        })
      )
      assert.lengthOf(claims, 2)
      for (const { aud, exp = 0, iat = 0, iss, sub } of claims) {
        assert.deepStrictEqual({ aud, iss, sub }, { aud: issuer, iss: "job", sub: "job" })
        assert.isAtMost(exp - iat, 300)
      }
      assert.notStrictEqual(claims[0]?.jti, claims[1]?.jti)
    })
  )

  it.effect(
    "CC-08 CC-09: more scopes are asked for, and a token that has ended is asked for anew, never refreshed",
    () =>
      Effect.gen(function* () {
        const world = new World()
        world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] }
        yield* Effect.gen(function* () {
          yield* status
          world.requiredScopes = ["mcp:write"]
          assert.strictEqual(yield* status, 200)
          yield* TestClock.adjust("2 hours")
          assert.strictEqual(yield* status, 200)
        }).pipe(Effect.provide(machine(world, { clientSecret })))
        assert.deepStrictEqual(
          tokenForms(world).map((form) => [form.get("grant_type"), form.get("scope")]),
          [
            ["client_credentials", "mcp:read"],
            ["client_credentials", "mcp:read mcp:write"],
            ["client_credentials", "mcp:read mcp:write"]
          ]
        )
      })
  )
})

describe("the seam", () => {
  it.effect("B-12: no token is kept for a place to which it would go in clear", () =>
    Effect.gen(function* () {
      const token = Redacted.make("t")
      for (const resource of ["http://mcp.example/mcp", "ftp://mcp.example/mcp"]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(TokenSource.layerStatic({ resource, token }))))
        assert.isTrue(Exit.isFailure(exit), resource)
      }
    })
  )

  it.effect("GEN-05 I1 I2 I3 I8: a source of one's own is asked for every request, and told why it was refused", () =>
    Effect.gen(function* () {
      const world = new World()
      world.tokens.set("good", { scopes: ["mcp:read"], active: true })
      const asked: Array<string> = []
      const refusals: Array<Refusal.Refusal> = []
      const token = (value: string) => ({ value: Redacted.make(value), type: "Bearer" as const, scopes: [] })
      const own = Layer.succeed(TokenSource.TokenSource, {
        resource: endpoint,
        current: Effect.sync(() => {
          asked.push("current")
          return Option.some(token(refusals.length === 0 ? "old" : "good"))
        }),
        renew: (refusal, used) =>
          Effect.sync(() => {
            asked.push(
              `renew ${Option.match(used, { onNone: () => "", onSome: ({ value }) => Redacted.value(value) })}`
            )
            refusals.push(refusal)
            return token("good")
          })
      })
      yield* Effect.zipRight(status, status).pipe(Effect.provide(Layer.merge(own, world.layerHttp)))
      assert.deepStrictEqual(asked, ["current", "renew old", "current"])
      const [refusal] = refusals
      assert.strictEqual(refusal?.url, endpoint)
      assert.strictEqual(refusal?.status, 401)
      assert.deepStrictEqual(refusal && Refusal.scopes(refusal), ["mcp:read"])
    })
  )

  it.live("I6: two sources of one store sign in and refresh one after the other", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Layer.build(TokenStore.layerMemory)
      const shared = Layer.succeedContext(store)
      const one = yield* Layer.build(world.source({}, shared))
      const other = yield* Layer.build(world.source({}, shared))
      yield* Effect.provide(status, one)
      yield* Effect.provide(status, other)
      assert.lengthOf(world.prompts, 1)
      yield* revoke(world)
      const statuses = yield* Effect.all([Effect.provide(status, one), Effect.provide(status, other)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(statuses, [200, 200])
      assert.lengthOf(tokenForms(world), 2)
    }).pipe(Effect.scoped)
  )

  it.effect("J23: all that it sends goes through the HttpClient that it was given", () =>
    Effect.gen(function* () {
      const world = new World()
      const before = globalThis.fetch
      globalThis.fetch = (() => Promise.reject(new Error("not through here"))) as unknown as typeof globalThis.fetch
      yield* Effect.provide(status, world.source()).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            globalThis.fetch = before
          })
        )
      )
      assert.lengthOf(world.requests, 6)
    })
  )
})

describe("asking a person", () => {
  /** A runtime that records where it is told to listen, and until when. */
  const recording = () => {
    const heard: Array<string> = []
    const listen: LoopbackListener.Listen = ({ host, port }) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          heard.push(`listen ${host} ${port}`)
          return HttpServer.make({
            serve: () => Effect.void,
            address: { _tag: "TcpAddress", hostname: host, port: port || 50_001 }
          })
        }),
        () => Effect.sync(() => heard.push(`close ${host}`))
      )
    return { heard, listen }
  }

  it.effect(
    "A-02 A-03 A-04: it listens on the literal address, for as long as it waits, and on both families for localhost",
    () =>
      Effect.gen(function* () {
        const { heard, listen } = recording()
        const uri = yield* Effect.scoped(Effect.map(LoopbackListener.bind({ listen }), (_) => _.redirectUri))
        assert.strictEqual(uri, "http://127.0.0.1:50001/callback")
        assert.deepStrictEqual(heard, ["listen 127.0.0.1 0", "close 127.0.0.1"])
        const both = recording()
        yield* Effect.scoped(LoopbackListener.bind({ listen: both.listen, host: "localhost" }))
        assert.deepStrictEqual(both.heard.slice(0, 2), ["listen 127.0.0.1 0", "listen ::1 50001"])
      })
  )

  it.effect("A-03: the port is bound before anything is registered: without one nothing is", () =>
    Effect.gen(function* () {
      const world = new World()
      const listen: LoopbackListener.Listen = () => Effect.fail(new Error("EADDRINUSE"))
      const source = TokenSource.layerAuthorizationCode({ resource: endpoint }).pipe(
        Layer.provide([AuthorizeUser.layerLoopback({ listen, open: () => Effect.void }), TokenStore.layerMemory]),
        Layer.provideMerge(world.layerHttp)
      )
      const error = yield* Effect.flip(Effect.provide(status, source))
      assert.strictEqual(error._tag === "AuthorizeUserError" ? error.reason : error._tag, "Unsupported")
      assert.strictEqual(world.times("/reg"), 0)
    })
  )

  it.effect("CI-09: a port can be fixed", () =>
    Effect.gen(function* () {
      const { heard, listen } = recording()
      const uri = yield* Effect.scoped(Effect.map(LoopbackListener.bind({ listen, port: 4711 }), (_) => _.redirectUri))
      assert.strictEqual(uri, "http://127.0.0.1:4711/callback")
      assert.strictEqual(heard[0], "listen 127.0.0.1 4711")
    })
  )

  it("A-01: the system's browser is what opens the URL", () => {
    const url = "https://as.example/auth?a=1&b=2"
    assert.deepStrictEqual(
      ["darwin", "linux", "win32"].map((platform) => SystemBrowser.command(platform, url)),
      [
        ["open", [url]],
        ["xdg-open", [url]],
        ["C:\\Windows\\System32\\rundll32.exe", ["url.dll,FileProtocolHandler", url]]
      ]
    )
  })

  it.effect("A-07 J11: an address counts only if it is the redirect URI that was sent", () =>
    Effect.gen(function* () {
      const paste = (text: string) =>
        Effect.flatMap(AuthorizeUser.AuthorizeUser, ({ begin }) =>
          Effect.scoped(Effect.flatMap(begin, ({ authorize }) => authorize("https://as.example/auth")))
        ).pipe(
          Effect.provide(
            AuthorizeUser.layerPaste({ redirectUri, show: () => Effect.void, read: Effect.succeed(text) })
          ),
          Effect.either
        )
      for (const address of [
        "http://127.0.0.1:4711/other?code=c&state=s",
        "http://127.0.0.1:4712/callback?code=c&state=s",
        "http://localhost:4711/callback?code=c&state=s",
        "https://evil.example/callback?code=c&state=s"
      ]) {
        assert.isTrue(Either.isLeft(yield* paste(address)), address)
      }
      assert.isTrue(Either.isRight(yield* paste(`${redirectUri}?code=c&state=s`)))
    })
  )
})
