import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { ServerProfile, TokenEndpoint, TokenSource, TokenStore } from "../../src/client/index.js"
import { call, endpoint, issuer, type Recorded, World } from "./World.js"

const prefix = "api://notes/"
const entraId = { ...ServerProfile.entraId, scopePrefix: prefix }

/** Refuses what Microsoft Entra ID refuses, and does not say that it does PKCE. */
const entra = (): World => {
  const world = new World()
  world.metadata = { code_challenge_methods_supported: undefined }
  world.inToken = (scope) => scope.replace(prefix, "")
  world.faults.push(({ form, path }) =>
    path === "/token" && form.has("resource")
      ? Response.json({ error: "invalid_target", error_description: "AADSTS9010010" }, { status: 400 })
      : undefined
  )
  return world
}

const tokenRequests = (world: World): ReadonlyArray<URLSearchParams> =>
  world.requests.filter(({ path }: Recorded) => path === "/token").map(({ form }) => form)

describe("ServerProfile", () => {
  it.effect(
    "J7: Entra ID gets no resource, prefixed scopes, and scopes on refresh; a step-up compares by short names",
    () =>
      Effect.gen(function* () {
        const world = entra()
        world.challengeScope = "read"
        world.requiredScopes = ["read"]
        const answer = yield* Effect.gen(function* () {
          const first = yield* call()
          world.requiredScopes = ["read", "write"]
          const second = yield* call()
          yield* TestClock.adjust("2 hours")
          return [first.status, second.status, (yield* call()).status]
        }).pipe(
          Effect.provide(world.source({ serverProfiles: { [issuer]: entraId }, scopes: ["read", "offline_access"] }))
        )
        assert.deepStrictEqual(answer, [200, 200, 200])
        const asked = world.prompts.map(({ searchParams }) => searchParams)
        assert.deepStrictEqual(
          asked.map((_) => _.get("scope")),
          ["api://notes/read offline_access", "api://notes/read offline_access api://notes/write"]
        )
        const [, , refresh] = tokenRequests(world)
        assert.strictEqual(refresh?.get("grant_type"), "refresh_token")
        assert.strictEqual(refresh?.get("scope"), "api://notes/read offline_access api://notes/write")
        for (const sent of [...asked, ...tokenRequests(world)]) assert.isFalse(sent.has("resource"))
      })
  )

  it.effect(
    "without its profile it is refused before anybody is asked, and the other issuers' profiles are no help",
    () =>
      Effect.gen(function* () {
        for (const serverProfiles of [undefined, {}, { [`${issuer}/`]: entraId, constructor: entraId }]) {
          const world = entra()
          const error = yield* call().pipe(Effect.provide(world.source({ serverProfiles })), Effect.flip)
          assert.include(String(error), "PKCE")
          assert.lengthOf(world.prompts, 0)
        }
      })
  )

  it.effect("the trace says what the profile does otherwise", () =>
    Effect.gen(function* () {
      const world = entra()
      world.metadata = { ...world.metadata, registration_endpoint: undefined }
      const error = yield* call().pipe(
        Effect.provide(world.source({ serverProfiles: { [issuer]: entraId } })),
        Effect.flip
      )
      const said = `at ${issuer} PKCE is taken for granted, no parameter names the resource, scopes begin with ${prefix}, .default is asked for without others, a refresh names its scopes, offline_access needs no consent`
      assert.include(JSON.stringify(error), said)
    })
  )

  it.effect("J7: Auth0 gets audience in the place of resource, in each request", () =>
    Effect.gen(function* () {
      const world = new World()
      const serverProfiles = { [issuer]: ServerProfile.auth0 }
      yield* Effect.gen(function* () {
        yield* call()
        yield* TestClock.adjust("2 hours")
        yield* call()
      }).pipe(Effect.provide(world.source({ serverProfiles })))
      const [asked] = world.prompts
      const sent = [asked?.searchParams ?? new URLSearchParams(), ...tokenRequests(world)]
      assert.lengthOf(sent, 3)
      for (const parameters of sent) {
        assert.deepStrictEqual(parameters.getAll("audience"), [endpoint])
        assert.isFalse(parameters.has("resource"))
        assert.isFalse(parameters.has("scope") && parameters.get("grant_type") === "refresh_token")
      }
    })
  )

  it.effect("J7: no parameter of the application takes the place of the audience", () =>
    Effect.gen(function* () {
      const world = new World()
      const serverProfiles = { [issuer]: ServerProfile.auth0 }
      yield* call().pipe(
        Effect.provide(world.source({ serverProfiles, authorizationParameters: { audience: "https://other.example" } }))
      )
      assert.deepStrictEqual(world.prompts[0]?.searchParams.getAll("audience"), [endpoint])
    })
  )

  it.effect("a resource that names its scopes in full is understood, whatever it calls them later", () =>
    Effect.gen(function* () {
      const world = entra()
      world.challengeScope = undefined
      world.resourceScopes = ["api://notes/read", "offline_access"]
      world.requiredScopes = ["read"]
      const statuses = yield* Effect.gen(function* () {
        const first = yield* call()
        world.requiredScopes = ["read", "api://notes/write"]
        world.inToken = (scope) => (scope === "api://notes/write" ? scope : scope.replace(prefix, ""))
        const both = yield* Effect.all([call(), call()], { concurrency: "unbounded" })
        world.requiredScopes = ["write"]
        world.inToken = (scope) => scope.replace(prefix, "")
        return [first, ...both, yield* call()].map(({ status }) => status)
      }).pipe(Effect.provide(world.source({ serverProfiles: { [issuer]: entraId } })))
      assert.deepStrictEqual(statuses, [200, 200, 200, 200])
      assert.deepStrictEqual(
        world.prompts.map(({ searchParams }) => searchParams.get("scope")),
        ["api://notes/read offline_access", "api://notes/read offline_access api://notes/write"]
      )
    })
  )

  it.effect("a refusal of all that the token has is seen through, by whichever names", () =>
    Effect.gen(function* () {
      const insufficient = `Bearer error="insufficient_scope"`
      for (const challenge of [`${insufficient}, scope="api://notes/read"`, insufficient]) {
        const world = entra()
        world.challengeScope = "api://notes/read"
        world.resourceScopes = ["api://notes/read"]
        const error = yield* Effect.gen(function* () {
          yield* call()
          world.faults.push(({ path }) =>
            path === "/mcp" ? new Response("", { status: 403, headers: { "www-authenticate": challenge } }) : undefined
          )
          return yield* Effect.flip(call())
        }).pipe(Effect.provide(world.source({ serverProfiles: { [issuer]: entraId } })))
        assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "ScopesAlreadyGranted")
        assert.lengthOf(world.prompts, 1)
      }
    })
  )

  it.effect("Entra ID asks for an approval that is there already where prompt=consent is sent, so it is not", () =>
    Effect.gen(function* () {
      for (const [profile, prompt] of [
        [entraId, null],
        [{ ...entraId, offlineNeedsConsent: true }, "consent"]
      ] as const) {
        const world = entra()
        world.metadata = { ...world.metadata, scopes_supported: ["openid", "offline_access"] }
        yield* call().pipe(Effect.provide(world.source({ serverProfiles: { [issuer]: profile } })))
        const [asked] = world.prompts
        assert.include(asked?.searchParams.get("scope") ?? "", "offline_access")
        assert.strictEqual(asked?.searchParams.get("prompt"), prompt)
      }
    })
  )

  it.effect(".default is asked for without others, at the beginning and on refresh", () =>
    Effect.gen(function* () {
      const world = entra()
      world.challengeScope = "read"
      // What Entra ID answers: all that there is, and .default beside it.
      world.grants = ["api://notes/read", "api://notes/write", "api://notes/.default"]
      yield* Effect.gen(function* () {
        yield* call()
        yield* TestClock.adjust("2 hours")
        yield* call()
      }).pipe(
        Effect.provide(
          world.source({ serverProfiles: { [issuer]: entraId }, scopes: ["api://notes/.default", "offline_access"] })
        )
      )
      const [asked] = world.prompts
      const [, refresh] = tokenRequests(world)
      for (const sent of [asked?.searchParams, refresh]) {
        assert.deepStrictEqual(sent?.get("scope")?.split(" ").sort(), ["api://notes/.default", "offline_access"])
      }
    })
  )

  it.effect("J7: client credentials go by it too, and ask for .default whatever is demanded", () =>
    Effect.gen(function* () {
      const world = entra()
      world.challengeScope = "read"
      const credentials = [{ issuer, clientId: "job", clientSecret: Redacted.make("s3cret-s3cret") }]
      const source = TokenSource.layerClientCredentials({
        resource: endpoint,
        credentials,
        scopes: ["api://notes/.default"],
        serverProfiles: { [issuer]: entraId }
      })
      world.metadata = { ...world.metadata, token_endpoint_auth_methods_supported: ["client_secret_post"] }
      const error = yield* Effect.gen(function* () {
        yield* call()
        world.requiredScopes = ["admin"]
        return yield* Effect.flip(call())
      }).pipe(Effect.provide(Layer.provideMerge(source, world.layerHttp)))
      assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "ScopesNotGranted")
      const forms = tokenRequests(world)
      assert.lengthOf(forms, 2)
      for (const form of forms) {
        assert.strictEqual(form.get("scope"), "api://notes/.default")
        assert.isFalse(form.has("resource"))
      }
    })
  )

  it.effect("J7: a device too", () =>
    Effect.gen(function* () {
      const world = entra()
      world.challengeScope = "read"
      world.metadata = { ...world.metadata, device_authorization_endpoint: `${issuer}/device` }
      const source = TokenSource.layerDeviceAuthorization({
        resource: endpoint,
        serverProfiles: { [issuer]: entraId },
        show: () =>
          Effect.sync(() => {
            for (const device of world.devices.values()) device.answer = "allowed"
          })
      }).pipe(Layer.provide(TokenStore.layerMemory))
      const fiber = yield* Effect.fork(call().pipe(Effect.provide(Layer.provideMerge(source, world.layerHttp))))
      const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      yield* Effect.zipRight(settle, TestClock.adjust("1 minute"))
      assert.strictEqual((yield* fiber).status, 200)
      const asked = world.requests.find(({ path }) => path === "/device")?.form
      assert.strictEqual(asked?.get("scope"), "api://notes/read")
      for (const form of [asked, ...tokenRequests(world)]) assert.isFalse(form?.has("resource"))
    })
  )

  it("what is rendered is read back, and rendered again as it was", () => {
    const prefixes = ["", "api://3d5b6a2e/", "https://api.example/", "urn:notes:"]
    const name = fc.stringMatching(/^[a-z.][a-zA-Z0-9:_./-]{0,12}$/)
    const known = fc.constantFrom("mcp:read", "openid", "offline_access", ".default", "urn:x", "a/b", "https://x/y")
    const scope = fc.oneof(name, known)
    fc.assert(
      fc.property(fc.array(scope), fc.array(scope), fc.constantFrom(...prefixes), (short, long, prefix) => {
        const profile = { ...ServerProfile.entraId, scopePrefix: prefix }
        const scopes = ServerProfile.combine(profile, [...short, ...long.map((name) => `${prefix}${name}`)])
        const rendered = ServerProfile.renderScopes(profile, scopes) ?? ""
        assert.deepStrictEqual(ServerProfile.parseScopes(profile, rendered), scopes)
        assert.deepStrictEqual(ServerProfile.combine(profile, scopes), scopes)
        assert.lengthOf(new Set(rendered.split(" ")), Math.max(1, scopes.length))
      })
    )
  })

  it("a colon makes no URI: the scopes of many MCP servers have one", () => {
    assert.strictEqual(
      ServerProfile.renderScopes(entraId, ["mcp:read", "api://notes/write", "urn:x:y", "guid/.default", "openid"]),
      "api://notes/mcp:read api://notes/write urn:x:y guid/.default openid"
    )
  })

  it("the standard says nothing of itself, and sends what it always did", () => {
    assert.deepStrictEqual(ServerProfile.describe(ServerProfile.standard), [])
    const grant = TokenEndpoint.Grant.RefreshToken({ refreshToken: Redacted.make("r"), resource: endpoint })
    assert.deepStrictEqual(TokenEndpoint.build(grant), [
      ["grant_type", "refresh_token"],
      ["refresh_token", "r"],
      ["resource", endpoint]
    ])
  })
})
