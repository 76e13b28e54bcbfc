import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { TokenSource, TokenStore } from "../../src/client/index.js"
import { call, endpoint, issuer, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

const revoking = () => {
  const world = new World()
  world.metadata = { revocation_endpoint: `${issuer}/revoke` }
  return world
}

const revocations = (world: World) =>
  world.requests.filter(({ path }) => path === "/revoke").map(({ form }) => Object.fromEntries(form))

const held = Effect.flatMap(TokenSource.TokenSource, ({ current }) => current)

const outcome = ({
  accessToken,
  refreshToken
}: Effect.Effect.Success<typeof TokenSource.signOut>): ReadonlyArray<string> =>
  [refreshToken, accessToken].map((one) => (one._tag === "StillValid" ? one.reason : one._tag))

/** Signs in, then out. */
const inAndOut = Effect.zipRight(status, TokenSource.signOut)

describe("signOut", () => {
  it.effect("V-01 V-05: revokes the refresh token first, then the access token, and forgets both", () =>
    Effect.gen(function* () {
      const world = revoking()
      yield* Effect.gen(function* () {
        const signedOut = yield* inAndOut
        assert.deepStrictEqual(signedOut.issuer, Option.some(issuer))
        assert.deepStrictEqual(outcome(signedOut), ["Revoked", "Revoked"])
        const client_id = world.prompts[0]?.searchParams.get("client_id") ?? ""
        assert.deepStrictEqual(revocations(world), [
          { token: "rt-3", token_type_hint: "refresh_token", client_id },
          { token: "at-3", token_type_hint: "access_token", client_id }
        ])
        assert.isTrue(Option.isNone(yield* held))
        // The next call signs in again, with the registration that is still there.
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(world.prompts, 2)
        assert.strictEqual(world.times("/reg"), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("another process on the same store is signed out too, once it looks", () =>
    Effect.gen(function* () {
      const world = revoking()
      const store = yield* Layer.build(TokenStore.layerMemory).pipe(Effect.map((_) => Layer.succeedContext(_)))
      yield* inAndOut.pipe(Effect.provide(world.source({}, store)))
      assert.isTrue(Option.isNone(yield* held.pipe(Effect.provide(world.source({}, store)))))
    }).pipe(Effect.scoped)
  )

  it.effect("what the server cannot do is said, and forgotten all the same", () =>
    Effect.gen(function* () {
      const refuse = (error: string) => () => Response.json({ error, error_description: "no" }, { status: 400 })
      for (const [answer, expected, requests] of [
        [undefined, ["NotOffered", "NotOffered"], 0],
        [refuse("unsupported_token_type"), ["Unsupported", "Unsupported"], 2],
        [refuse("invalid_client"), ["Refused", "Refused"], 2],
        [() => new Response("", { status: 503 }), ["Unavailable", "Unavailable"], 3],
        [() => new Response("", { status: 404 }), ["Unavailable", "Unavailable"], 3],
        [
          () => new Response("", { status: 503, headers: { "retry-after": "3600" } }),
          ["Unavailable", "Unavailable"],
          1
        ],
        [() => "unreachable" as const, ["Unavailable", "Unavailable"], 3]
      ] as ReadonlyArray<readonly [(() => Response | "unreachable") | undefined, ReadonlyArray<string>, number]>) {
        const world = answer === undefined ? new World() : revoking()
        world.faults.push(({ path }) => (path === "/revoke" ? answer?.() : undefined))
        yield* Effect.gen(function* () {
          yield* status
          const fiber = yield* Effect.fork(TokenSource.signOut)
          for (const _ of [1, 2, 3]) {
            yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
            yield* TestClock.adjust("2 seconds")
          }
          assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), expected)
          assert.lengthOf(revocations(world), requests)
          assert.isTrue(Option.isNone(yield* held))
        }).pipe(Effect.provide(world.source()))
      }
    })
  )

  it.effect("V-03: a 503 means that the token still exists, and is asked again after Retry-After", () =>
    Effect.gen(function* () {
      const world = revoking()
      let busy = true
      world.faults.push(({ path }) => {
        if (path !== "/revoke" || !busy) return undefined
        busy = false
        return new Response("", { status: 503, headers: { "retry-after": "7" } })
      })
      yield* Effect.gen(function* () {
        yield* status
        const fiber = yield* Effect.fork(TokenSource.signOut)
        const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
        yield* settle
        yield* TestClock.adjust("6 seconds")
        yield* settle
        assert.lengthOf(revocations(world), 1)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), ["Revoked", "Revoked"])
        assert.lengthOf(revocations(world), 3)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("interrupted on the way it forgets all the same", () =>
    Effect.gen(function* () {
      const world = revoking()
      const asked = yield* Deferred.make<void>()
      world.faults.push(({ path }) => {
        if (path !== "/revoke") return undefined
        Effect.runSync(Deferred.succeed(asked, undefined))
        return new Promise<Response>(() => {})
      })
      yield* Effect.gen(function* () {
        yield* status
        const fiber = yield* Effect.fork(TokenSource.signOut)
        yield* Deferred.await(asked)
        yield* Fiber.interruptFork(fiber)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        assert.isTrue(Option.isNone(yield* held))
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("an expired access token is not worth a request, and nobody has nothing to revoke", () =>
    Effect.gen(function* () {
      const world = revoking()
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(outcome(yield* TokenSource.signOut), ["NotHeld", "NotHeld"])
        yield* status
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(outcome(yield* TokenSource.signOut), ["Revoked", "NotHeld"])
        assert.lengthOf(revocations(world), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a refresh that is under way is waited for, and its tokens are the ones revoked", () =>
    Effect.gen(function* () {
      const world = revoking()
      yield* Effect.gen(function* () {
        yield* status
        for (const token of world.tokens.values()) token.active = false
        let open = (_: undefined) => {}
        const gate = new Promise<undefined>((resolve) => {
          open = resolve
        })
        world.faults.push(({ path }) => (path === "/token" ? gate : undefined))
        const calling = yield* Effect.fork(status)
        const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        yield* settle
        const leaving = yield* Effect.fork(TokenSource.signOut)
        yield* settle
        open(undefined)
        yield* Fiber.join(calling)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(outcome(yield* Fiber.join(leaving)), ["Revoked", "Revoked"])
        assert.isTrue(Array.from(world.refreshTokens.values()).every(({ active }) => !active))
        assert.isTrue(Array.from(world.tokens.values()).every(({ active }) => !active))
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a source without a person: its token is revoked; a static one has nothing to say", () =>
    Effect.gen(function* () {
      const world = revoking()
      world.metadata = { ...world.metadata, token_endpoint_auth_methods_supported: ["client_secret_basic"] }
      const machine = TokenSource.layerClientCredentials({
        resource: endpoint,
        credentials: [{ issuer, clientId: "job", clientSecret: Redacted.make("secret") }]
      }).pipe(Layer.provideMerge(world.layerHttp))
      assert.deepStrictEqual(outcome(yield* inAndOut.pipe(Effect.provide(machine))), ["NotHeld", "Revoked"])
      const fixed = TokenSource.layerStatic({ resource: endpoint, token: Redacted.make("t") })
      assert.deepStrictEqual(outcome(yield* TokenSource.signOut.pipe(Effect.provide(fixed))), ["NotHeld", "NotHeld"])
    })
  )
})
