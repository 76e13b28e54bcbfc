/**
 * Patience with an authorization server that is out of order: a little of it within a call, more between calls.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import { type TokenRefused, TokenUnavailable } from "./ClientError.js"

/** Within a call: how often at most the request is made again, and for how long, in milliseconds. */
const furtherAttempts = 2
const patience = 15_000

/** Between calls, in seconds: without a `Retry-After`, and with one, because a wrong one would last for ever. */
const longestPause = 60
const longestRetryAfter = 3600

/** In seconds. */
const pauseAfter = (failures: number): number => Math.min(2 ** (failures - 1), longestPause)

const isRefused = <E>(error: E | TokenRefused): error is TokenRefused => Predicate.isTagged(error, "TokenRefused")

const isUnavailable = <E>(error: E | TokenUnavailable): error is TokenUnavailable =>
  Predicate.isTagged(error, "TokenUnavailable")

/**
 * Between a half and one, so that those who started together do not ask together.
 *
 * @since 0.1.0
 * @category constructors
 */
export const jitter: Effect.Effect<number> = Effect.sync(
  () => 0.5 + (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 33
)

const retryAfter = (error: unknown): number | undefined => (isUnavailable(error) ? error.retryAfter : undefined)

const delays = <E>() =>
  Schedule.identity<E>().pipe(
    Schedule.intersect(Schedule.recurs(furtherAttempts)),
    Schedule.addDelayEffect(([error, count]) => {
      const seconds = retryAfter(error)
      return seconds === undefined
        ? Effect.map(jitter, (factor) => Duration.millis(Math.round(factor * 1000 * 2 ** count)))
        : Effect.succeed(Duration.seconds(seconds))
    })
  )

/**
 * Makes a request again that failed with `TokenUnavailable`: twice more within 15 seconds, after what `Retry-After` says
 * or else after about one and two seconds. A server that says it will be longer is not waited for.
 *
 * @since 0.1.0
 * @category combinators
 */
export const patiently = <A, E, R>(request: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (start) =>
    Effect.retry(request, {
      while: (error) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) => isUnavailable(error) && now - start + (error.retryAfter ?? 0) * 1000 <= patience
        ),
      schedule: delays<E>()
    })
  )

/**
 * - `guard`: makes a request {@link patiently}, and after a failure none at all for a while: what is asked meanwhile fails
 *   with the same `TokenUnavailable`, whose `retryAfter` says how long that is
 * - `isPaused`: whether it would fail so at a time, in milliseconds since the epoch
 * - `reset`: ends the pause
 *
 * @since 0.1.0
 * @category models
 */
export interface BackOff {
  readonly guard: <A, E, R>(request: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TokenUnavailable, R>
  readonly isPaused: (now: number) => boolean
  readonly reset: Effect.Effect<void>
}

/**
 * One for each token that is obtained. The pause doubles with each failure, up to a minute, or is what `Retry-After` says,
 * up to an hour.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<BackOff> = Effect.sync(() => {
  let pause: { readonly until: number; readonly failures: number; readonly error: TokenUnavailable } | undefined

  const paused = (error: TokenUnavailable, until: number, now: number) =>
    new TokenUnavailable({ ...error, retryAfter: Math.ceil((until - now) / 1000) })

  const remember = (error: TokenUnavailable) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const failures = (pause?.failures ?? 0) + 1
      const seconds = Math.max(pauseAfter(failures), Math.min(error.retryAfter ?? 0, longestRetryAfter))
      pause = { until: now + seconds * 1000, failures, error }
      return Effect.fail(paused(error, pause.until, now))
    })

  const reset = Effect.sync(() => {
    pause = undefined
  })

  return {
    reset,
    isPaused: (now) => pause !== undefined && now < pause.until,
    guard: <A, E, R>(request: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (pause !== undefined && now < pause.until) return Effect.fail(paused(pause.error, pause.until, now))
        const patient: Effect.Effect<A, E | TokenUnavailable, R> = Effect.zipLeft(patiently(request), reset)
        return Effect.catchIf(patient, isUnavailable, remember)
      })
  }
})

/**
 * - `guard`: makes a request, and after a refusal none for the same, `of`, for a while: who asks meanwhile is told the same
 * - `isPaused`: whether it would fail so at a time, in milliseconds since the epoch
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusals {
  readonly guard: <A, E, R>(of: string, request: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TokenRefused, R>
  readonly isPaused: (of: string, now: number) => boolean
}

/**
 * Remembers the last refusal. A client that was disabled, or whose secret is wrong, does not ask with every call of its
 * program; the pause doubles with each refusal, up to a minute.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRefusals: Effect.Effect<Refusals> = Effect.sync(() => {
  let last:
    | { readonly of: string; readonly until: number; readonly failures: number; readonly error: TokenRefused }
    | undefined

  const remember = (of: string, error: TokenRefused) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const failures = last?.of === of ? last.failures + 1 : 1
      last = { of, until: now + pauseAfter(failures) * 1000, failures, error }
    })

  return {
    isPaused: (of, now) => last?.of === of && now < last.until,
    guard: <A, E, R>(of: string, request: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now): Effect.Effect<A, E | TokenRefused, R> => {
        if (last?.of === of && now < last.until) return Effect.fail(last.error)
        return Effect.tapError(request, (error) => (isRefused(error) ? remember(of, error) : Effect.void))
      })
  }
})
