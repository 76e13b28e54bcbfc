/**
 * Every decision of the guard as an event, for audit.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { AuthError } from "./AuthError.js"

/**
 * Who asked for what, what came of it, and why. It holds no token; `subject` is the one place outside of a handler in
 * which the caller is named. `path` is without its query. `at` is in milliseconds since 1970. The reason of a
 * `SessionNotFound` is `foreign` where somebody else has the session, which its caller is not told, and `unknown` where
 * nobody has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decision {
  readonly at: number
  readonly outcome: "Accepted" | AuthError["_tag"] | "SessionNotFound"
  readonly reason?: string
  readonly resource: string
  readonly method: string
  readonly path: string
  readonly issuer?: string
  readonly subject?: string
  readonly clientId?: string
  readonly requiredScopes?: ReadonlyArray<string>
}

/**
 * Where decisions go; nowhere by default. The request waits for it, for a second at the most: hand over to a queue what
 * takes long.
 *
 * @since 0.1.0
 * @category references
 * @example
 * ```ts
 * import { Decision } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const layer = Layer.succeed(Decision.DecisionLog, {
 *   record: (decision) => Effect.logInfo("mcp access", decision)
 * })
 * ```
 */
export class DecisionLog extends Context.Reference<DecisionLog>()("effect-mcp-auth/server/DecisionLog", {
  defaultValue: (): { readonly record: (decision: Decision) => Effect.Effect<void> } | undefined => undefined
}) {}

const notRecorded = (cause: Cause.Cause<unknown>) => Effect.logWarning("A decision could not be recorded", cause)

/** A second for a fiber that did not end at once; whatever it does then, it is not waited for. */
const bounded = (fiber: Fiber.Fiber<void>): Effect.Effect<void> =>
  Fiber.join(fiber).pipe(
    Effect.timeout("1 second"),
    Effect.catchAllCause((cause) => Effect.zipRight(Fiber.interruptFork(fiber), notRecorded(cause)))
  )

/**
 * Records a decision where somebody asked for them; it is not made otherwise. What fails in recording is logged and takes
 * nothing from the request. A client that goes away meanwhile takes nothing from the record.
 *
 * @since 0.1.0
 * @category combinators
 */
export const record = (decision: () => Decision): Effect.Effect<void> =>
  Effect.flatMap(DecisionLog, (log) =>
    log === undefined
      ? Effect.void
      : // On a fiber of its own, which does not end with the request's. Most have ended when it is looked at first.
        Effect.suspend(() => log.record(decision())).pipe(
          Effect.catchAllCause(notRecorded),
          Effect.interruptible,
          Effect.forkDaemon,
          Effect.zipLeft(Effect.yieldNow()),
          Effect.flatMap((fiber) =>
            Effect.flatMap(fiber.poll, (exit) =>
              Option.isSome(exit)
                ? Effect.void
                : Effect.flatMap(Effect.forkDaemon(Effect.interruptible(bounded(fiber))), Fiber.join)
            )
          ),
          Effect.uninterruptible
        )
  )
