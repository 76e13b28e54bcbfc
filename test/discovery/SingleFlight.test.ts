import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as SingleFlight from "../../src/discovery/SingleFlight.js"

/** Every fiber loses its turn once, at its nth operation, as it does now and then in a busy process. */
class Impatient extends Scheduler.MixedScheduler {
  private readonly operations = new WeakMap<object, number>()
  constructor(private readonly nth: number) {
    super(2048)
  }
  override shouldYield(fiber: object): number | false {
    const operation = (this.operations.get(fiber) ?? 0) + 1
    this.operations.set(fiber, operation)
    return operation === this.nth ? 0 : false
  }
}
const turns = Array.from({ length: 40 }, (_, n) => n + 1)

const settle = Effect.repeatN(Effect.yieldNow(), 50)

/** A lookup that waits at a gate, and says how often it was started and ended. */
const gated = Effect.gen(function* () {
  const gate = yield* Deferred.make<string, string>()
  const started = yield* Ref.make(0)
  const interrupted = yield* Ref.make(0)
  const lookup = Effect.zipRight(
    Ref.update(started, (n) => n + 1),
    Effect.onInterrupt(Deferred.await(gate), () => Ref.update(interrupted, (n) => n + 1))
  )
  return { gate, started: Ref.get(started), interrupted: Ref.get(interrupted), lookup }
})

const burst = <A, E>(size: number, effect: Effect.Effect<A, E>) =>
  Effect.all(
    Array.from({ length: size }, () => Effect.either(effect)),
    { concurrency: "unbounded" }
  )

describe("SingleFlight", () => {
  describe("make", () => {
    it.scoped("one run for all who ask while it is under way, and a new one for who asks later", () =>
      Effect.gen(function* () {
        const { gate, lookup, started } = yield* gated
        const get = yield* SingleFlight.make(lookup)
        const fiber = yield* Effect.fork(burst(50, get))
        yield* settle
        yield* Deferred.succeed(gate, "a")
        assert.deepStrictEqual(
          yield* Fiber.join(fiber),
          Array.from({ length: 50 }, () => Either.right("a"))
        )
        assert.strictEqual(yield* started, 1)
        yield* get
        assert.strictEqual(yield* started, 2)
      })
    )

    it.scoped("a failure reaches all who wait, and nobody after", () =>
      Effect.gen(function* () {
        let runs = 0
        const get = yield* SingleFlight.make(
          Effect.suspend(() =>
            ++runs === 1 ? Effect.zipRight(Effect.yieldNow(), Effect.fail("down")) : Effect.succeed("up")
          )
        )
        assert.deepStrictEqual(
          yield* burst(5, get),
          Array.from({ length: 5 }, () => Either.left("down"))
        )
        assert.strictEqual(yield* get, "up")
      })
    )

    it.scoped("a defect reaches all who wait, and nobody after", () =>
      Effect.gen(function* () {
        let runs = 0
        const get = yield* SingleFlight.make(
          Effect.suspend(() =>
            ++runs === 1 ? Effect.zipRight(Effect.yieldNow(), Effect.die("bug")) : Effect.succeed("up")
          )
        )
        const exits = yield* Effect.all([Effect.exit(get), Effect.exit(get)], { concurrency: "unbounded" })
        assert.deepStrictEqual(exits, [Exit.die("bug"), Exit.die("bug")])
        assert.strictEqual(yield* get, "up")
      })
    )

    it.scoped("a caller that is interrupted takes nothing from the others, even if it was the first", () =>
      Effect.gen(function* () {
        const { gate, interrupted, lookup, started } = yield* gated
        const get = yield* SingleFlight.make(lookup)
        const first = yield* Effect.fork(get)
        yield* settle
        const second = yield* Effect.fork(get)
        yield* settle
        yield* Fiber.interrupt(first)
        yield* Deferred.succeed(gate, "a")
        assert.strictEqual(yield* Fiber.join(second), "a")
        assert.strictEqual(yield* started, 1)
        assert.strictEqual(yield* interrupted, 0)
      })
    )

    it.effect("the run ends with the scope", () =>
      Effect.gen(function* () {
        const { interrupted, lookup } = yield* gated
        const scope = yield* Scope.make()
        const get = yield* Scope.extend(SingleFlight.make(lookup), scope)
        const caller = yield* Effect.fork(get)
        yield* settle
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.strictEqual(yield* interrupted, 1)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(caller)))
      })
    )

    for (const nth of turns) {
      it.scoped(`still one run where fibers lose their turn at operation ${nth}`, () =>
        Effect.gen(function* () {
          const { gate, lookup, started } = yield* gated
          const get = yield* SingleFlight.make(lookup)
          const fiber = yield* Effect.fork(burst(20, get))
          yield* Effect.repeatN(Effect.yieldNow(), 500)
          yield* Deferred.succeed(gate, "a")
          yield* Fiber.join(fiber)
          assert.strictEqual(yield* started, 1)
        }).pipe(Effect.withScheduler(new Impatient(nth)))
      )
    }
  })

  describe("keyed", () => {
    it.scoped("one run for each key", () =>
      Effect.gen(function* () {
        const { gate, lookup, started } = yield* gated
        const get = yield* SingleFlight.keyed<string, string>({ abandoned: "Finish" })
        const fiber = yield* Effect.fork(
          Effect.all([burst(20, get("a", lookup)), burst(20, get("b", lookup))], { concurrency: 2 })
        )
        yield* settle
        assert.strictEqual(yield* started, 2)
        yield* Deferred.succeed(gate, "done")
        yield* Fiber.join(fiber)
        yield* get("a", lookup)
        assert.strictEqual(yield* started, 3)
      })
    )

    it.scoped("Interrupt: the run goes on while one still waits, and ends with the last", () =>
      Effect.gen(function* () {
        const { interrupted, lookup, started } = yield* gated
        const get = yield* SingleFlight.keyed<string, string>({ abandoned: "Interrupt" })
        const first = yield* Effect.fork(get("a", lookup))
        const second = yield* Effect.fork(get("a", lookup))
        yield* settle
        yield* Fiber.interrupt(first)
        assert.strictEqual(yield* interrupted, 0)
        yield* Fiber.interrupt(second)
        assert.strictEqual(yield* interrupted, 1)
        assert.strictEqual(yield* started, 1)
      })
    )

    it.scoped("Finish: the run goes on when nobody waits", () =>
      Effect.gen(function* () {
        const { gate, interrupted, lookup, started } = yield* gated
        const get = yield* SingleFlight.keyed<string, string>({ abandoned: "Finish" })
        const only = yield* Effect.fork(get("a", lookup))
        yield* settle
        yield* Fiber.interrupt(only)
        const late = yield* Effect.fork(get("a", lookup))
        yield* settle
        yield* Deferred.succeed(gate, "done")
        assert.strictEqual(yield* Fiber.join(late), "done")
        assert.strictEqual(yield* started, 1)
        assert.strictEqual(yield* interrupted, 0)
      })
    )

    it.scoped("a failure is not kept", () =>
      Effect.gen(function* () {
        const get = yield* SingleFlight.keyed<string, string>({ abandoned: "Finish" })
        assert.deepStrictEqual(yield* Effect.either(get("a", Effect.fail("down"))), Either.left("down"))
        assert.strictEqual(yield* get("a", Effect.succeed("up")), "up")
      })
    )

    for (const nth of turns) {
      it.scoped(`still one run where fibers lose their turn at operation ${nth}`, () =>
        Effect.gen(function* () {
          const { gate, lookup, started } = yield* gated
          const get = yield* SingleFlight.keyed<string, string>({ abandoned: "Interrupt" })
          const fiber = yield* Effect.fork(burst(20, get("a", lookup)))
          yield* Effect.repeatN(Effect.yieldNow(), 500)
          yield* Deferred.succeed(gate, "a")
          yield* Fiber.join(fiber)
          assert.strictEqual(yield* started, 1)
        }).pipe(Effect.withScheduler(new Impatient(nth)))
      )
    }
  })
})
