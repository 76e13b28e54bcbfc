/**
 * What can be seen of renewals from outside: a span and a counter, by cause.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/**
 * Why a token is renewed.
 *
 * @since 0.1.0
 * @category models
 */
export type Cause = "unauthorized" | "insufficient_scope" | "expiry"

/**
 * Renewals begun, tagged with their `cause`. Requests that wait for one that is under way are not counted.
 *
 * @since 0.1.0
 * @category metrics
 */
export const renewals = Metric.counter("mcp_auth_renewals", {
  description: "Renewals of access tokens begun, by cause",
  incremental: true
})

/**
 * Counts a renewal and wraps it in the span `TokenSource.renew`, whose `outcome` is the tag of its failure.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe =
  (cause: Cause) =>
  <A, E extends { readonly _tag: string }, R>(renewal: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.zipRight(Metric.increment(Metric.tagged(renewals, "cause", cause)), renewal).pipe(
      Effect.tapBoth({
        onSuccess: () => Effect.annotateCurrentSpan("outcome", "Renewed"),
        onFailure: ({ _tag }) => Effect.annotateCurrentSpan("outcome", _tag)
      }),
      Effect.withSpan("TokenSource.renew", { captureStackTrace: false, attributes: { cause } })
    )

/**
 * A renewal that nobody waits for: that it failed is logged, and no harm yet.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ahead = <A, E extends { readonly message: string }, R>(
  renewal: Effect.Effect<A, E, R>
): Effect.Effect<void, never, R> =>
  Effect.matchEffect(renewal, {
    onSuccess: () => Effect.void,
    onFailure: ({ message }) =>
      Effect.logWarning(`An access token could not be renewed ahead of its expiry: ${message}`)
  })
