/**
 * One run of a lookup for all who ask while it is under way.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"

/**
 * Makes an effect that shares one run of `lookup` among its concurrent callers. Nothing is remembered once the run has
 * ended, neither a success nor a failure. The run belongs to the scope, not to the caller that happened to be first:
 * a caller that is interrupted takes nothing away from the others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, E>(lookup: Effect.Effect<A, E>): Effect.Effect<Effect.Effect<A, E>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let flight: Deferred.Deferred<A, E> | undefined
    const start = Effect.suspend(() => {
      const deferred = Deferred.unsafeMake<A, E>(FiberId.none)
      flight = deferred
      return Effect.interruptible(lookup).pipe(
        Effect.forkIn(scope),
        Effect.map((fiber) => {
          fiber.addObserver((exit) => {
            flight = undefined
            Deferred.unsafeDone(deferred, exit)
          })
          return deferred
        })
      )
    })
    return Effect.flatMap(
      Effect.uninterruptible(Effect.suspend(() => (flight === undefined ? start : Effect.succeed(flight)))),
      Deferred.await
    )
  })

/**
 * One run for each key: who asks with the key of a run that is under way waits for that run. `abandoned` says what
 * becomes of a run when the last who waited for it was interrupted: `Interrupt` ends it, `Finish` lets it go on, and the
 * scope waits for it when it closes. A caller that is interrupted takes nothing away from the others either way.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = <A, E>(options: {
  readonly abandoned: "Interrupt" | "Finish"
}): Effect.Effect<(key: string, run: Effect.Effect<A, E>) => Effect.Effect<A, E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const flights = new Map<string, { readonly fiber: Fiber.RuntimeFiber<A, E>; waiting: number }>()
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        const fibers = Array.from(flights.values(), (flight) => flight.fiber)
        return options.abandoned === "Finish" ? Fiber.awaitAll(fibers) : Fiber.interruptAll(fibers)
      })
    )
    const start = (key: string, run: Effect.Effect<A, E>) =>
      Effect.map(Effect.forkDaemon(Effect.interruptible(run)), (fiber) => {
        const flight = { fiber, waiting: 0 }
        flights.set(key, flight)
        fiber.addObserver(() => {
          if (flights.get(key) === flight) flights.delete(key)
        })
        return flight
      })
    return (key, run) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const flight = flights.get(key) ?? (yield* start(key, run))
          flight.waiting++
          const leave = Effect.suspend(() => {
            flight.waiting--
            if (flight.waiting > 0 || options.abandoned === "Finish") return Effect.void
            // Gone from the map first: whoever comes while it is being ended starts a run of its own.
            if (flights.get(key) === flight) flights.delete(key)
            return Fiber.interrupt(flight.fiber)
          })
          return yield* Effect.ensuring(restore(Effect.flatten(Fiber.await(flight.fiber))), leave)
        })
      )
  })
