/**
 * The laws of leases: exclusive, fenced, given back, and over in time.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { TokenStoreError } from "../client/ClientError.js"
import type { VersionedStore } from "../client/TokenStore.js"
import { create, get, holds, type Law, LawViolation, put, same } from "./Law.js"

/** Whether it can be had; it is given back at once. */
const isFree = (store: VersionedStore) => Effect.scoped(Effect.map(store.lease("k", "1 hour"), Option.isSome))

const take = (store: VersionedStore, duration: number) =>
  Effect.flatMap(
    store.lease("k", duration),
    Option.match({
      onNone: () => Effect.fail(new LawViolation({ detail: "a lease that nobody holds is refused" })),
      onSome: ({ fence }) => Effect.succeed(fence)
    })
  )

const hour = 3_600_000

const many = Array.from({ length: 20 }, (_, index) => index)

/**
 * By name.
 *
 * @since 0.1.0
 * @category laws
 */
export const laws: Readonly<Record<string, Law>> = {
  "a lease is held by one, whoever asks": ({ first, second }) =>
    Effect.gen(function* () {
      yield* take(first, hour)
      yield* same(yield* isFree(first), false, "whether its own process gets it again")
      yield* same(yield* isFree(second), false, "whether another process gets it")
      const other = yield* second.lease("other", hour)
      yield* same(Option.isSome(other), true, "whether the lease of another key can be had")
    }),

  "a lease keeps nobody from reading or writing": ({ first, second }) =>
    Effect.gen(function* () {
      yield* take(first, hour)
      const version = yield* create(second, "k", "1")
      yield* same(yield* put(second, "k", version, undefined), true, "the removal")
      yield* same(yield* isFree(second), false, "whether another process gets the lease after a removal")
      yield* same(yield* get(first, "k"), {}, "what there is")
    }),

  "of many who ask for a lease, one gets it": ({ first, second }) =>
    Effect.gen(function* () {
      const leases = yield* Effect.forEach(many, (n) => (n % 2 === 0 ? first : second).lease("k", hour), {
        concurrency: "unbounded"
      })
      yield* same(leases.filter(Option.isSome).length, 1, "the number of leases")
    }),

  "a lease is given back when its scope closes, however that ends": ({ first, second }) =>
    Effect.gen(function* () {
      yield* Effect.scoped(take(first, hour))
      yield* same(yield* isFree(second), true, "whether it is free after a success")
      yield* Effect.exit(Effect.scoped(Effect.zipRight(take(first, hour), Effect.fail("failure"))))
      yield* same(yield* isFree(second), true, "whether it is free after a failure")
      const taken = yield* Deferred.make<number, LawViolation | TokenStoreError>()
      const fiber = yield* take(first, hour).pipe(
        Effect.intoDeferred(taken),
        Effect.zipRight(Effect.never),
        Effect.scoped,
        Effect.fork
      )
      yield* Deferred.await(taken)
      yield* Fiber.interrupt(fiber)
      yield* same(yield* isFree(second), true, "whether it is free after an interruption")
    }),

  "who is interrupted while it asks for a lease does not keep it": ({ first, second, unit }) =>
    Effect.forEach(
      many,
      (n) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(first.lease("k", hour), Effect.never)))
          yield* Effect.repeatN(Effect.yieldNow(), n)
          yield* Fiber.interrupt(fiber)
          const freed = Effect.repeat(isFree(second), { until: (free) => free, schedule: Schedule.spaced(unit) })
          yield* Effect.timeoutFail(freed, {
            duration: Math.max(100 * unit, 5000),
            onTimeout: () => new LawViolation({ detail: "the lease of an interrupted fiber is kept" })
          })
        }),
      { discard: true }
    ),

  "a lease that is not given back is over in time, and the next fence is larger": ({ first, second, unit }) =>
    Effect.gen(function* () {
      const before = yield* take(first, 2 * unit)
      yield* Effect.sleep(3 * unit)
      const after = yield* take(second, hour)
      yield* holds(after > before, `the fence ${after} comes after ${before}`)
    }),

  "who held a lease too long cannot give back that of the next": ({ first, second, unit }) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.extend(take(first, 2 * unit), scope)
      yield* Effect.sleep(3 * unit)
      yield* take(second, hour)
      yield* Scope.close(scope, Exit.void)
      yield* same(yield* isFree(first), false, "whether the lease is free")
    }),

  "every fence is larger than those before": ({ first, second }) =>
    Effect.gen(function* () {
      const fences = yield* Effect.forEach([first, second, second, first, first, second], (store) =>
        Effect.scoped(take(store, hour))
      )
      yield* same(
        fences,
        [...new Set(fences)].sort((a, b) => a - b),
        "the fences"
      )
    })
}
