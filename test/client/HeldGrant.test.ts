import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as HeldGrant from "../../src/client/HeldGrant.js"
import { ClientError, StoredGrant, TokenStore } from "../../src/client/index.js"
import * as Process from "./fixtures/Process.js"
import { gate, passing, settle } from "./fixtures/time.js"
import { endpoint, World } from "./World.js"

type Store = Process.Options["store"]

/** A store whose grants one process cannot write while it is broken. */
const breakable = (inner: Store) => {
  const state = { broken: false }
  const store: Store = {
    ...inner,
    write: (key, write) =>
      state.broken && key.startsWith("grant/")
        ? new ClientError.TokenStoreError({ key, operation: "write", detail: "disk full", rule: "" })
        : inner.write(key, write)
  }
  return { state, store }
}

const find = (store: Store) =>
  Effect.map(
    Effect.provideService(StoredGrant.find({ endpoint }), TokenStore.TokenStore, store),
    Option.map(({ value }) => value)
  )

const tokenIn = (store: Store) =>
  Effect.map(find(store), (grant) => Redacted.value(Option.getOrThrow(grant).accessToken.value))

/** A process that has the answer to its refresh, and a store that does not. */
const unsaved = Effect.gen(function* () {
  const world = new World()
  const store = yield* Process.memory
  const { state, store: own } = breakable(store)
  const process = yield* Process.start(world, { store: own, attended: true })
  assert.strictEqual(yield* process.call, 200)
  yield* TestClock.adjust("2 hours")
  world.faults.push(({ path }) => {
    if (path === "/token") state.broken = true
    return undefined
  })
  assert.strictEqual(yield* process.call, 200)
  world.faults.pop()
  const current = Effect.map(process.current, (token) => Redacted.value(Option.getOrThrow(token).value))
  assert.notStrictEqual(yield* tokenIn(store), yield* current)
  return { world, store, process, state, current }
})

describe("a token that is about to expire (J17)", () => {
  /** When each of many processes would refresh it, in milliseconds before its expiry. */
  const margins = (lifetime: number, options: Partial<HeldGrant.Options> = {}) =>
    Effect.gen(function* () {
      const store = yield* Process.memory
      const expiresAt = lifetime
      const grant: StoredGrant.StoredGrant = {
        schemaVersion: 1,
        issuer: "https://as.example",
        clientId: "c",
        resource: endpoint,
        redirectUri: "",
        tokenEndpoint: "https://as.example/token",
        accessToken: { value: Redacted.make("t"), type: "Bearer", expiresAt, scopes: [] },
        refreshToken: Redacted.make("r"),
        requestedScopes: [],
        issuedAt: 0
      }
      yield* Effect.provideService(StoredGrant.replace({ endpoint }, grant), TokenStore.TokenStore, store)
      const margin = Effect.gen(function* () {
        const held = yield* HeldGrant.make({ endpoint, registration: {}, serverProfiles: undefined, ...options })
        const found = Option.getOrThrow(yield* held.get)
        let left = 0
        while (held.isDue(found, expiresAt - left)) left += lifetime / 1000
        // Whatever it has drawn for the token it stays with.
        yield* held.reload
        assert.isFalse(held.isDue(found, expiresAt - left))
        return left
      })
      return yield* Effect.replicateEffect(margin, 50).pipe(
        Effect.provide(new World().layerHttp),
        Effect.provideService(TokenStore.TokenStore, store)
      )
    })

  for (const [name, lifetime, options, expected] of [
    ["half a minute or less ahead", 3_600_000, {}, 30_000],
    ["in its last quarter where it lives shorter", 8_000, {}, 2_000],
    ["as long ahead as is said", 3_600_000, { refreshMargin: "10 minutes" }, 600_000]
  ] as const) {
    it.scoped(`is refreshed ${name}, by each process at a moment of its own`, () =>
      Effect.gen(function* () {
        const drawn = yield* margins(lifetime, options)
        const step = lifetime / 1000
        for (const margin of drawn) {
          assert.isTrue(margin > expected / 2 - step && margin <= expected + step, `${margin} of ${expected}`)
        }
        // They would not all come at once.
        const spread = Math.max(...drawn) - Math.min(...drawn)
        assert.isAbove(spread, expected / 5)
      })
    )
  }
})

describe("a person who has said yes", () => {
  it.scoped("is not asked again because who asked was interrupted, or ended, before the token was there", () =>
    Effect.gen(function* () {
      for (const how of ["interrupted", "ended"]) {
        const world = new World()
        const store = yield* Process.memory
        const held = gate()
        world.faults.push(({ path }) => (path === "/token" ? held.opened : undefined))
        const process = yield* Process.start(world, { store, attended: true })
        const calling = yield* Effect.fork(process.call)
        while (world.times("/token") === 0) yield* settle
        const leaving = yield* Effect.fork(how === "ended" ? process.end : Fiber.interrupt(calling))
        yield* settle
        held.open()
        yield* Fiber.join(leaving)
        yield* Effect.zipRight(Fiber.interrupt(calling), process.end)
        assert.strictEqual(yield* Process.run(world, { store, attended: true }), 200, how)
        assert.lengthOf(world.prompts, 1, how)
      }
    })
  )
})

describe("an answer that the store did not take", () => {
  it.scoped("is stored soon after the store is back, whether anybody calls or not", () =>
    Effect.gen(function* () {
      const { current, process, state, store } = yield* unsaved
      yield* passing("5 minutes", 20)
      state.broken = false
      yield* passing("1 minute", 20)
      assert.strictEqual(yield* tokenIn(store), yield* current)
      assert.isUndefined(Option.getOrThrow(yield* find(store)).refreshing)
      yield* process.end
    })
  )

  it.scoped("is stored at the end of the process at the latest", () =>
    Effect.gen(function* () {
      const { current, process, state, store } = yield* unsaved
      const token = yield* current
      state.broken = false
      yield* process.end
      assert.strictEqual(yield* tokenIn(store), token)
    })
  )

  it.scoped("stands where another process has tried the refresh again meanwhile, and was refused", () =>
    Effect.gen(function* () {
      const { current, process, state, store, world } = yield* unsaved
      const token = yield* current
      const refusal = gate()
      world.faults.push(({ path }) => (path === "/token" ? refusal.opened : undefined))
      const asked = world.times("/token")
      const other = yield* Effect.fork(Process.run(world, { store }))
      while (world.times("/token") === asked) yield* settle
      state.broken = false
      yield* passing("3 seconds")
      refusal.open()
      assert.strictEqual(yield* Fiber.join(other), 200)
      yield* process.end
      const grant = Option.getOrThrow(yield* find(store))
      assert.isUndefined(grant.ended)
      assert.isDefined(grant.refreshToken)
      assert.strictEqual(Redacted.value(grant.accessToken.value), token)
    })
  )

  it.scoped("is let go where the grant was given up meanwhile", () =>
    Effect.gen(function* () {
      const { process, state, store } = yield* unsaved
      yield* Effect.provideService(StoredGrant.remove({ endpoint }), TokenStore.TokenStore, store)
      state.broken = false
      yield* passing("1 minute", 20)
      yield* process.end
      assert.isTrue(Option.isNone(yield* find(store)))
    })
  )
})
