import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as DynamicRegistration from "../../src/client/DynamicRegistration.js"
import { ClientRegistration, RegistrationChoice, TokenStore } from "../../src/client/index.js"
import { call, issuer, redirectUri, World } from "./World.js"

type Metadata = Parameters<typeof ClientRegistration.obtain>[1]

const metadata: Metadata = {
  issuer,
  registration_endpoint: `${issuer}/reg`,
  token_endpoint_auth_methods_supported: ["none"]
}

const obtain = (world: World, options: ClientRegistration.Options = {}, changes: Partial<Metadata> = {}) =>
  ClientRegistration.obtain(options, { ...metadata, ...changes }, redirectUri).pipe(
    Effect.provide(world.layerHttp),
    Effect.provide(TokenStore.layerMemory)
  )

/** A world whose registration endpoint answers with these members beside the client id. */
const answering = (members: Record<string, unknown>, status = 201) => {
  const world = new World()
  world.faults.push((r) => (r.path === "/reg" ? Response.json({ client_id: "c", ...members }, { status }) : undefined))
  return world
}

describe("the choice", () => {
  const document = { url: "https://app.example/client.json" }
  const all: ClientRegistration.Options = { preRegistered: [{ issuer, clientId: "known" }], metadataDocument: document }
  const documents = { client_id_metadata_document_supported: true }

  it("REG-02 REG-13: pre-registered, then the document where it is read, then dynamic, then none", () => {
    const rows: ReadonlyArray<readonly [ClientRegistration.Options, Partial<Metadata>, string]> = [
      [all, documents, "PreRegistered"],
      [{ metadataDocument: document }, documents, "MetadataDocument"],
      [{ metadataDocument: document }, {}, "Dynamic"],
      [{}, documents, "Dynamic"],
      [{ dynamic: false }, {}, "None"],
      [{}, { registration_endpoint: undefined }, "None"]
    ]
    for (const [options, changes, expected] of rows) {
      assert.strictEqual(RegistrationChoice.choose(options, { ...metadata, ...changes })._tag, expected)
    }
  })

  it("CI-05: a document with a key is for servers that take the key, or do not say what they take", () => {
    const withKey = {
      metadataDocument: { ...document, privateKey: { key: Redacted.make({ kty: "EC" }), algorithm: "ES256" } }
    }
    const rows: ReadonlyArray<readonly [ReadonlyArray<string> | undefined, string]> = [
      [["none"], "Dynamic"],
      [["client_secret_basic", "none"], "Dynamic"],
      [["private_key_jwt"], "MetadataDocument"],
      [["none", "private_key_jwt"], "MetadataDocument"],
      [undefined, "MetadataDocument"]
    ]
    for (const [listed, expected] of rows) {
      const server = { ...metadata, ...documents, token_endpoint_auth_methods_supported: listed }
      assert.strictEqual(RegistrationChoice.choose(withKey, server)._tag, expected, String(listed))
    }
    const none = RegistrationChoice.choose({ ...withKey, dynamic: false }, { ...metadata, ...documents })
    assert.include(none.reason, "the client ID metadata document has a key, and it does not list private_key_jwt")
  })

  it("REG-31 REG-33: credentials of another issuer never count, and the reason says so", () => {
    const options = { preRegistered: [{ issuer: `${issuer}/`, clientId: "known" }], dynamic: false as const }
    const choice = RegistrationChoice.choose(options, metadata)
    assert.strictEqual(choice._tag, "None")
    assert.include(choice.reason, "those of other issuers are not used")
  })

  it("CI-01: what a client ID URL must be", () => {
    for (const url of [
      "http://app.example/c",
      "https://app.example",
      "https://app.example/",
      "https://app.example/a/../c",
      "https://app.example/c#f",
      "https://u@app.example/c",
      "c"
    ]) {
      assert.isString(RegistrationChoice.documentUrlViolation(url), url)
    }
    assert.isUndefined(RegistrationChoice.documentUrlViolation("https://app.example:8443/c.json"))
  })

  it.effect("REG-10: the document's URL is the client ID, without any request", () =>
    Effect.gen(function* () {
      const world = new World()
      const registration = yield* obtain(world, { metadataDocument: document }, documents)
      assert.strictEqual(registration._tag, "MetadataDocument")
      assert.strictEqual(registration.clientId, document.url)
      assert.strictEqual(world.requests.length, 0)
      const error = yield* Effect.flip(obtain(world, { metadataDocument: { url: "https://app.example" } }, documents))
      assert.strictEqual(error._tag === "RegistrationFailed" ? error.reason : error._tag, "InvalidConfiguration")
    })
  )
})

describe("dynamic registration", () => {
  it("native or web by the redirect URI", () => {
    assert.strictEqual(DynamicRegistration.applicationType("http://127.0.0.1:1/cb"), "native")
    assert.strictEqual(DynamicRegistration.applicationType("http://localhost/cb"), "native")
    assert.strictEqual(DynamicRegistration.applicationType("com.example.app:/cb"), "native")
    assert.strictEqual(DynamicRegistration.applicationType("https://app.example/cb"), "web")
  })

  it("a method that the server lists, grant types that it lists, and never a scope", () => {
    const say = (changes: Partial<Metadata>, options: DynamicRegistration.Options = {}) =>
      DynamicRegistration.document(options, { ...metadata, ...changes }, redirectUri)
    const methods = (supported: ReadonlyArray<string> | undefined) =>
      say({ token_endpoint_auth_methods_supported: supported })?.token_endpoint_auth_method
    assert.strictEqual(methods(["client_secret_post", "none"]), "none")
    assert.strictEqual(methods(["client_secret_post", "private_key_jwt"]), "client_secret_post")
    assert.strictEqual(methods(undefined), "client_secret_basic")
    assert.strictEqual(methods(["private_key_jwt"]), undefined)
    assert.deepStrictEqual(say({ grant_types_supported: ["authorization_code"] })?.["grant_types"], [
      "authorization_code"
    ])
    const own = say({}, { clientName: "tool", metadata: { scope: "a b", logo_uri: "l", redirect_uris: ["x"] } })
    assert.strictEqual(own?.["client_name"], "tool")
    assert.strictEqual(own?.["logo_uri"], "l")
    assert.deepStrictEqual(own?.["redirect_uris"], [redirectUri])
    assert.isFalse(own !== undefined && "scope" in own)
  })

  it.effect("R-04: jwks and jwks_uri together are refused before anything is sent", () =>
    Effect.gen(function* () {
      const world = new World()
      const metadata = { jwks: { keys: [] }, jwks_uri: "https://app.example/jwks" }
      const error = yield* Effect.flip(obtain(world, { dynamic: { metadata } }))
      assert.strictEqual(error._tag === "RegistrationFailed" ? error.reason : error._tag, "InvalidConfiguration")
      assert.include(error.message, "jwks and jwks_uri must not both be there")
      assert.lengthOf(world.requests, 0)
      for (const one of [{ jwks: metadata.jwks }, { jwks_uri: metadata.jwks_uri }]) {
        yield* obtain(new World(), { dynamic: { metadata: one } })
      }
    })
  )

  it.effect("R-06: what the server registered instead is obeyed", () =>
    Effect.gen(function* () {
      const world = answering({ client_secret: "s", token_endpoint_auth_method: "client_secret_post" })
      const registration = yield* obtain(world)
      assert.strictEqual(registration.authentication._tag, "ClientSecretPost")
    })
  )

  it.effect("and refused where it cannot be used", () =>
    Effect.gen(function* () {
      for (const members of [
        { token_endpoint_auth_method: "tls_client_auth" },
        { token_endpoint_auth_method: "client_secret_basic" },
        { redirect_uris: ["https://else.example/cb"] },
        { grant_types: ["client_credentials"] },
        { client_id: "" }
      ]) {
        const error = yield* Effect.flip(obtain(answering(members)))
        assert.strictEqual(error._tag === "RegistrationFailed" ? error.reason : error._tag, "Unacceptable")
      }
    })
  )

  it.effect("R-08 REG-21: a refusal carries its code; an outage is no refusal", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(obtain(answering({ error: "invalid_redirect_uri" }, 400)))
      assert.strictEqual(refused._tag === "RegistrationFailed" ? refused.error : refused._tag, "invalid_redirect_uri")
      for (const status of [503, 500, 429, 408]) {
        assert.strictEqual((yield* Effect.flip(obtain(answering({}, status))))._tag, "TokenUnavailable")
      }
      const silent = yield* Effect.flip(obtain(answering({}, 404)))
      assert.strictEqual(silent._tag === "RegistrationFailed" ? silent.error : silent._tag, "HTTP 404")
    })
  )

  it.effect("kept per issuer and redirect URI, while its secret lives (R-07)", () =>
    Effect.gen(function* () {
      const world = answering({
        client_secret: "s",
        client_secret_expires_at: 3600,
        token_endpoint_auth_method: "client_secret_basic"
      })
      const again = (uri: string, at: Partial<Metadata> = {}) =>
        ClientRegistration.obtain({}, { ...metadata, ...at }, uri).pipe(Effect.provide(world.layerHttp))
      yield* again(redirectUri)
      const kept = yield* again(redirectUri)
      assert.strictEqual(kept.authentication._tag, "ClientSecretBasic")
      assert.strictEqual(world.times("/reg"), 1)
      yield* again("http://127.0.0.1:9/callback")
      yield* again(redirectUri, { issuer: "https://other.example" })
      assert.strictEqual(world.times("/reg"), 3)
      yield* TestClock.adjust("2 hours")
      yield* again(redirectUri)
      assert.strictEqual(world.times("/reg"), 4)
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )

  it.effect("a secret that expires when nothing can is kept, and read again", () =>
    Effect.gen(function* () {
      const world = answering({
        client_secret: "s",
        client_secret_expires_at: 1e308,
        token_endpoint_auth_method: "client_secret_basic"
      })
      const once = ClientRegistration.obtain({}, metadata, redirectUri).pipe(Effect.provide(world.layerHttp))
      assert.strictEqual((yield* once).clientId, (yield* once).clientId)
      assert.strictEqual(world.times("/reg"), 1)
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )

  it.effect("R-01: the initial access token goes to the registration endpoint alone", () =>
    Effect.gen(function* () {
      const world = new World()
      const registration = { dynamic: { initialAccessToken: Redacted.make("initial") } }
      yield* call().pipe(Effect.provide(world.source({ registration })))
      const sent = world.requests.filter((r) => r.headers["authorization"] === "Bearer initial").map((r) => r.path)
      assert.deepStrictEqual(sent, ["/reg"])
    })
  )
})

describe("pre-registered", () => {
  it.effect("a secret that the server does not know is a clear error, and no second prompt", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] }
      const preRegistered = () => Option.some({ clientId: "known", clientSecret: Redacted.make("s") })
      yield* Effect.gen(function* () {
        yield* call()
        for (const token of world.tokens.values()) token.active = false
        world.faults.push((r) =>
          r.path === "/token" ? Response.json({ error: "invalid_client" }, { status: 401 }) : undefined
        )
        const error = yield* Effect.flip(call())
        assert.strictEqual(error._tag === "TokenRefused" ? error.error : error._tag, "invalid_client")
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source({ registration: { preRegistered } })))
    })
  )
})
