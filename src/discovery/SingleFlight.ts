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
    const launch = (deferred: Deferred.Deferred<A, E>) =>
      Effect.map(Effect.forkIn(Effect.interruptible(lookup), scope), (fiber) => {
        fiber.addObserver((exit) => {
          flight = undefined
          Deferred.unsafeDone(deferred, exit)
        })
      })
    // Looked up and set in one operation: between two of them a fiber may lose its turn to another that asks as well.
    const board = Effect.suspend(() => {
      if (flight !== undefined) return Effect.succeed(flight)
      const deferred = Deferred.unsafeMake<A, E>(FiberId.none)
      flight = deferred
      return Effect.as(launch(deferred), deferred)
    })
    return Effect.flatMap(Effect.uninterruptible(board), Deferred.await)
  })

interface Flight<A, E> {
  readonly result: Deferred.Deferred<A, E>
  fiber: Fiber.RuntimeFiber<A, E> | undefined
  waiting: number
}

/**
 * One run for each key: who asks with the key of a run that is under way waits for that run. `abandoned` says what
 * becomes of a run when the last who waited for it was interrupted: `Interrupt` ends it, `Finish` lets it go on. A caller
 * that is interrupted takes nothing away from the others either way. When the scope closes all runs are interrupted, and
 * waited for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed = <A, E>(options: {
  readonly abandoned: "Interrupt" | "Finish"
}): Effect.Effect<(key: string, run: Effect.Effect<A, E>) => Effect.Effect<A, E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const flights = new Map<string, Flight<A, E>>()
    const forget = (key: string, flight: Flight<A, E>) => {
      if (flights.get(key) === flight) flights.delete(key)
    }
    const interrupt = ({ fiber }: Flight<A, E>) => (fiber === undefined ? Effect.void : Fiber.interrupt(fiber))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() =>
        Effect.forEach(Array.from(flights.values()), interrupt, { concurrency: "unbounded", discard: true })
      )
    )
    const launch = (key: string, flight: Flight<A, E>, run: Effect.Effect<A, E>) =>
      Effect.map(Effect.forkDaemon(Effect.interruptible(run)), (fiber) => {
        flight.fiber = fiber
        fiber.addObserver((exit) => {
          forget(key, flight)
          Deferred.unsafeDone(flight.result, exit)
        })
      })
    const leave = (key: string, flight: Flight<A, E>) =>
      Effect.suspend(() => {
        flight.waiting--
        if (flight.waiting > 0 || options.abandoned === "Finish") return Effect.void
        // Gone from the map first: whoever comes while it is being ended starts a run of its own.
        forget(key, flight)
        return interrupt(flight)
      })
    return (key, run) =>
      Effect.uninterruptibleMask((restore) =>
        // Looked up and set in one operation, as above.
        Effect.suspend(() => {
          const known = flights.get(key)
          const flight = known ?? { result: Deferred.unsafeMake<A, E>(FiberId.none), fiber: undefined, waiting: 0 }
          flights.set(key, flight)
          flight.waiting++
          return (known === undefined ? launch(key, flight, run) : Effect.void).pipe(
            Effect.zipRight(restore(Deferred.await(flight.result))),
            Effect.ensuring(leave(key, flight))
          )
        })
      )
  })
