import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { AuthorizeUser, ClientError, TokenStore } from "../../src/client/index.js"
import * as SignInTurn from "../../src/client/SignInTurn.js"
import * as Process from "./fixtures/Process.js"
import { passing, settle } from "./fixtures/time.js"
import { endpoint, World } from "./World.js"

/** Calls that are under way in two processes, one of which is asking a person by now. */
const two = Effect.gen(function* () {
  const world = new World()
  const store = yield* Process.memory
  world.thinking = Effect.sleep("1 minute")
  const one = yield* Process.start(world, { store, attended: true })
  const other = yield* Process.start(world, { store, attended: true })
  const first = yield* Effect.fork(one.call)
  while (world.prompts.length === 0) yield* settle
  const second = yield* Effect.fork(other.call)
  yield* passing("2 seconds")
  assert.lengthOf(world.prompts, 1)
  return { world, store, first, second, end: Effect.zipRight(one.end, other.end) }
})

describe("two processes without a grant", () => {
  it.scoped("open one browser, and the second has the grant of the first (CL-69)", () =>
    Effect.gen(function* () {
      const { end, first, second, world } = yield* two
      yield* passing("1 minute", 20)
      assert.strictEqual(yield* Fiber.join(first), 200)
      assert.strictEqual(yield* Fiber.join(second), 200)
      assert.lengthOf(world.prompts, 1)
      assert.strictEqual(world.times("/token"), 1)
      yield* end
    })
  )

  it.scoped("where the first is broken off, the second asks at once", () =>
    Effect.gen(function* () {
      const { end, first, second, world } = yield* two
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(first)))
      yield* passing("1 second")
      assert.lengthOf(world.prompts, 2)
      yield* passing("1 minute")
      assert.strictEqual(yield* Fiber.join(second), 200)
      yield* end
    })
  )

  it.scoped("where the first is killed, the second asks within a quarter of a minute", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      let dead = false
      const dying = Process.mortal(store, Number.POSITIVE_INFINITY, "before").store
      const gone = Effect.async<never>(() => {})
      const victim = yield* Process.start(world, {
        attended: true,
        store: {
          read: (key) => (dead ? gone : dying.read(key)),
          write: (key, write) => (dead ? gone : dying.write(key, write)),
          lease: dying.lease
        }
      })
      world.thinking = Effect.sleep("10 minutes")
      yield* Effect.forkDaemon(victim.call)
      while (world.prompts.length === 0) yield* settle
      // Alive it keeps its turn for as long as the person thinks.
      yield* passing("1 minute", 30)
      const other = yield* Process.start(world, { store, attended: true })
      const calling = yield* Effect.fork(other.call)
      yield* passing("1 minute", 30)
      assert.lengthOf(world.prompts, 1)
      dead = true
      world.thinking = Effect.void
      yield* passing("16 seconds", 32)
      assert.strictEqual(yield* Fiber.join(calling), 200)
      assert.lengthOf(world.prompts, 2)
      yield* other.end
    })
  )
})

describe("a program in the background", () => {
  const own = Layer.succeed(AuthorizeUser.AuthorizeUser, {
    begin: Effect.suspend(() =>
      Effect.fail(new ClientError.AuthorizeUserError({ reason: "PromptForbidden", detail: "not at night" }))
    ),
    mayAsk: Effect.sync(() => false)
  })
  for (const [name, unattended] of [
    ["by layerForbidden", AuthorizeUser.layerForbidden],
    ["by a rule of its own", own]
  ] as const) {
    it.scoped(`${name} waits for no person, and goes on by itself once another process has the grant`, () =>
      Effect.gen(function* () {
        const world = new World()
        const store = yield* Process.memory
        world.thinking = Effect.sleep("1 minute")
        const attended = yield* Process.start(world, { store, attended: true })
        const background = yield* Process.start(world, { store, unattended })
        const asking = yield* Effect.fork(attended.call)
        while (world.prompts.length === 0) yield* settle
        for (const _ of [1, 2]) {
          const calling = yield* Effect.fork(Effect.flip(background.call))
          yield* passing("1 second")
          const error = Option.getOrThrow(yield* Fiber.poll(calling))
          assert.strictEqual((yield* error)._tag, "SignInRequired")
        }
        yield* passing("1 minute")
        assert.strictEqual(yield* Fiber.join(asking), 200)
        assert.strictEqual(yield* background.call, 200)

        // Again, where what it holds itself has ended meanwhile.
        yield* TestClock.adjust("2 hours")
        for (const token of world.refreshTokens.values()) token.active = false
        assert.strictEqual((yield* Effect.flip(background.call))._tag, "SignInRequired")
        const again = yield* Effect.fork(attended.call)
        yield* passing("2 minutes")
        assert.strictEqual(yield* Fiber.join(again), 200)
        assert.strictEqual(yield* background.call, 200)
        assert.lengthOf(world.prompts, 2)
        yield* Effect.zipRight(attended.end, background.end)
      })
    )
  }
})

describe("ask", () => {
  const owner = { endpoint }

  it.scoped("one that never finishes is a failure that passes, and says whose", () =>
    Effect.gen(function* () {
      const store = yield* Process.memory
      const never = SignInTurn.ask(owner, {
        isDone: Effect.succeed(false),
        prompt: Effect.async<never>(() => {})
      })
      const asking = yield* Effect.fork(Effect.provideService(never, TokenStore.TokenStore, store))
      yield* settle
      const waiting = yield* Effect.fork(
        Effect.provideService(
          SignInTurn.ask(owner, { isDone: Effect.succeed(false), prompt: Effect.die("not mine") }),
          TokenStore.TokenStore,
          store
        )
      )
      yield* passing("11 minutes", 60)
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag, "TokenUnavailable")
      assert.include(error.message, "another process is asking the person")
      yield* Fiber.interrupt(asking)
    })
  )

  it.scoped("a store that fails holds nobody up", () =>
    Effect.gen(function* () {
      const failed = Effect.fail(
        new ClientError.TokenStoreError({ key: "k", operation: "read", detail: "away", rule: "" })
      )
      const store: Process.Options["store"] = { read: () => failed, write: () => failed, lease: () => failed }
      const asked = SignInTurn.ask(owner, {
        isDone: Effect.succeed(false),
        prompt: Effect.succeed("yes")
      })
      assert.deepStrictEqual(yield* Effect.provideService(asked, TokenStore.TokenStore, store), Option.some("yes"))
    })
  )
})
