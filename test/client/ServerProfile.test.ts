import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
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
      const said = `at ${issuer} PKCE is taken for granted, no parameter names the resource, scopes begin with ${prefix}, a refresh names its scopes`
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

  it.effect("J7: client credentials go by it too", () =>
    Effect.gen(function* () {
      const world = entra()
      world.challengeScope = undefined
      const credentials = [{ issuer, clientId: "job", clientSecret: Redacted.make("s3cret-s3cret") }]
      const source = TokenSource.layerClientCredentials({
        resource: endpoint,
        credentials,
        scopes: ["api://notes/.default"],
        serverProfiles: { [issuer]: entraId }
      })
      world.metadata = { ...world.metadata, token_endpoint_auth_methods_supported: ["client_secret_post"] }
      yield* call().pipe(Effect.provide(Layer.provideMerge(source, world.layerHttp)))
      const [form] = tokenRequests(world)
      assert.strictEqual(form?.get("scope"), "api://notes/.default")
      assert.isFalse(form?.has("resource"))
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

  it("what is rendered is read back as it was", () => {
    const name = fc.stringMatching(/^[a-z][a-zA-Z0-9_.-]{0,12}$/)
    fc.assert(
      fc.property(
        fc.uniqueArray(name),
        fc.constantFrom("", "api://3d5b6a2e/", "https://api.example/"),
        (scopes, prefix) => {
          const profile = { ...ServerProfile.entraId, scopePrefix: prefix }
          const rendered = ServerProfile.renderScopes(profile, scopes)
          const back = Option.match(Option.fromNullable(rendered), {
            onNone: () => [],
            onSome: (scope) => ServerProfile.parseScopes(profile, scope)
          })
          assert.deepStrictEqual(back, scopes)
        }
      )
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
