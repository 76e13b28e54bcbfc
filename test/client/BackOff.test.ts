import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as BackOff from "../../src/client/BackOff.js"
import { ClientError } from "../../src/client/index.js"
import * as Process from "./fixtures/Process.js"
import { passing, settle } from "./fixtures/time.js"
import { World } from "./World.js"

const unavailable = (retryAfter?: number) =>
  new ClientError.TokenUnavailable({ step: "Token", rule: "r", detail: "away", retryAfter })

/** Fails like this, one after the other, and then succeeds; `asked` are the times of it. */
const failing = (...failures: ReadonlyArray<ClientError.TokenUnavailable>) => {
  const asked: Array<number> = []
  const request = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const failure = failures[asked.push(now) - 1]
    return failure === undefined ? Effect.succeed("token") : Effect.fail(failure)
  })
  return { asked, request }
}

describe("within a call", () => {
  const attempt = (...failures: ReadonlyArray<ClientError.TokenUnavailable>) =>
    Effect.gen(function* () {
      const { asked, request } = failing(...failures)
      const fiber = yield* Effect.fork(Effect.either(BackOff.patiently(request)))
      yield* passing("60 seconds", 120)
      return { asked, result: yield* Fiber.join(fiber) }
    })

  it.effect("it is asked again after Retry-After, and not before", () =>
    Effect.gen(function* () {
      const { asked, result } = yield* attempt(unavailable(7))
      assert.isTrue(result._tag === "Right")
      assert.deepStrictEqual(asked, [0, 7000])
    })
  )

  it.effect("without one, twice, after about one and two seconds", () =>
    Effect.gen(function* () {
      const { asked, result } = yield* attempt(unavailable(), unavailable(), unavailable())
      assert.isTrue(result._tag === "Left")
      const [first = 0, second = 0, third = 0] = asked
      assert.lengthOf(asked, 3)
      assert.isTrue(second - first >= 500 && second - first <= 1500, String(asked))
      assert.isTrue(third - second >= 1000 && third - second <= 2500, String(asked))
    })
  )

  it.effect("a server that says it will be longer is not waited for", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* attempt(unavailable(16))).asked, [0])
    })
  )

  it.effect("what is over is over", () =>
    Effect.gen(function* () {
      let asked = 0
      const refused = Effect.suspend(() => {
        asked++
        return Effect.fail({ _tag: "TokenRefused" as const })
      })
      assert.strictEqual((yield* Effect.flip(BackOff.patiently(refused)))._tag, "TokenRefused")
      assert.strictEqual(asked, 1)
    })
  )
})

describe("between calls", () => {
  it.effect("the pause doubles up to a minute, is told to whoever asks, and ends with a success", () =>
    Effect.gen(function* () {
      const backOff = yield* BackOff.make
      let works = false
      let asked = 0
      const request = Effect.suspend(() => {
        asked++
        return works ? Effect.succeed("token") : Effect.fail(unavailable())
      })
      const pauses: Array<number | undefined> = []
      for (let round = 0; round < 8; round++) {
        const fiber = yield* Effect.fork(Effect.flip(backOff.guard(request)))
        yield* passing("10 seconds", 40)
        const error = yield* Fiber.join(fiber)
        pauses.push(error.retryAfter)
        yield* TestClock.adjust("60 seconds")
      }
      assert.deepStrictEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])
      works = true
      assert.strictEqual(yield* backOff.guard(request), "token")
      works = false
      const fiber = yield* Effect.fork(Effect.flip(backOff.guard(request)))
      yield* passing("4 seconds", 40)
      assert.strictEqual((yield* Fiber.join(fiber)).retryAfter, 1)
      assert.strictEqual(asked, 8 * 3 + 1 + 3)
    })
  )

  it.effect("a Retry-After is kept for an hour at most, and what is asked meanwhile costs no request", () =>
    Effect.gen(function* () {
      for (const [said, kept] of [
        [30, 30],
        [7200, 3600]
      ] as const) {
        const backOff = yield* BackOff.make
        const { asked, request } = failing(unavailable(said))
        assert.strictEqual((yield* Effect.flip(backOff.guard(request))).retryAfter, kept)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Effect.flip(backOff.guard(request))).retryAfter, kept - 10)
        assert.lengthOf(asked, 1)
        yield* backOff.reset
        assert.strictEqual(yield* backOff.guard(request), "token")
      }
    })
  )
})

describe("a refusal that may pass", () => {
  const refusing = Effect.gen(function* () {
    const world = new World()
    const store = yield* Process.memory
    yield* Process.run(world, { store, attended: true })
    yield* TestClock.adjust("2 hours")
    world.faults.push(({ path }) =>
      path === "/token" ? Response.json({ error: "unauthorized_client" }, { status: 400 }) : undefined
    )
    const process = yield* Process.start(world, { store })
    const refused = Effect.map(Effect.flip(process.call), (error) => error._tag)
    return { world, store, process, refused, asked: () => world.times("/token") }
  })

  it.scoped("is not asked for with every call, less and less often, and is over within a minute of its end", () =>
    Effect.gen(function* () {
      const { asked, process, refused, world } = yield* refusing
      const before = asked()
      for (let call = 0; call < 20; call++) assert.strictEqual(yield* refused, "SignInRequired")
      assert.strictEqual(asked() - before, 1)
      for (let second = 0; second < 120; second++) {
        yield* TestClock.adjust("1 second")
        yield* refused
      }
      assert.isAtMost(asked() - before, 8)
      world.faults.pop()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* process.call, 200)
      yield* process.end
    })
  )

  it.scoped("says nothing of another grant, nor of what another process has brought", () =>
    Effect.gen(function* () {
      const { process, refused, store, world } = yield* refusing
      for (let call = 0; call < 5; call++) {
        yield* refused
        yield* TestClock.adjust("10 seconds")
      }
      yield* refused
      world.faults.pop()
      assert.strictEqual(yield* Process.run(world, { store }), 200)
      assert.strictEqual(yield* process.call, 200)
      // The refresh token is another one by now.
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* process.call, 200)
      yield* process.end
    })
  )
})

describe("Retry-After", () => {
  it.scoped("as a date is as good as in seconds", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* Process.run(world, { store, attended: true })
      yield* TestClock.adjust("2 hours")
      const at = new Date((yield* Clock.currentTimeMillis) + 40_000).toUTCString()
      world.faults.push(({ path }) =>
        path === "/token" ? new Response("", { status: 429, headers: { "retry-after": at } }) : undefined
      )
      const process = yield* Process.start(world, { store })
      const error = yield* Effect.flip(process.call)
      assert.strictEqual(error._tag === "TokenUnavailable" ? error.retryAfter : error._tag, 40)
      yield* settle
      yield* process.end
    })
  )
})
