/**
 * What the guard tells of its decisions: counters, a histogram, attributes of a span, and the events for audit.
 *
 * @since 0.1.0
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as Predicate from "effect/Predicate"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import type { Claims } from "./Claims.js"
import * as Decision from "./Decision.js"

const decisions = Metric.counter("mcp_auth_decisions", { incremental: true, description: "Decisions by outcome" })
const counters: Readonly<Record<Decision.Decision["outcome"], Metric.Metric.Counter<number>>> = {
  Accepted: Metric.tagged(decisions, "outcome", "Accepted"),
  Missing: Metric.tagged(decisions, "outcome", "Missing"),
  InvalidToken: Metric.tagged(decisions, "outcome", "InvalidToken"),
  InsufficientScope: Metric.tagged(decisions, "outcome", "InsufficientScope"),
  InvalidRequest: Metric.tagged(decisions, "outcome", "InvalidRequest"),
  ServerError: Metric.tagged(decisions, "outcome", "ServerError")
}
const duration = Metric.histogram(
  "mcp_auth_authorize_ms",
  MetricBoundaries.exponential({ start: 0.25, factor: 2, count: 16 }),
  "Time to a decision, in milliseconds"
)

const Caller: unique symbol = Symbol.for("effect-mcp-auth/server/DecisionTelemetry/Caller")

/**
 * Writes on a refusal whose it is, where the caller was known before it was refused. On the refusal itself, because what
 * fails inside of a span comes out of it as a proxy; and so that it does not print.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attribute = <E extends AuthError.AuthError>(error: E, caller: Claims): E =>
  Object.defineProperty(error, Caller, { value: caller })

const callerOf = (error: AuthError.AuthError): Claims | undefined => (error as { readonly [Caller]?: Claims })[Caller]

const whoIs = (claims: Claims | undefined) =>
  claims === undefined
    ? {}
    : {
        issuer: claims.issuer,
        subject: claims.subject,
        ...(claims.clientId === undefined ? {} : { clientId: claims.clientId })
      }

/**
 * Counts a decision and records it for audit, where somebody asked for that.
 *
 * @since 0.1.0
 * @category combinators
 */
export const record = (
  result: Claims | AuthError.AuthError,
  caller: Claims | undefined
): Effect.Effect<void, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const { resource } = yield* AuthConfig
    const request = yield* HttpServerRequest.HttpServerRequest
    const at = yield* Clock.currentTimeMillis
    const refused = AuthError.isAuthError(result)
    const outcome = refused ? result._tag : "Accepted"
    yield* Metric.increment(counters[outcome])
    yield* Decision.record(() => ({
      at,
      outcome,
      resource,
      method: request.method,
      path: request.url.split("?", 1)[0] ?? "",
      ...whoIs(caller ?? (refused ? callerOf(result) : undefined)),
      ...(refused ? { reason: result._tag === "InvalidToken" ? result.reason : result.message } : {}),
      ...(refused && result._tag === "InsufficientScope" ? { requiredScopes: result.required } : {})
    }))
  })

/** A cause by its name, for attributes: its message may say anything. */
const nameOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "_tag") && typeof cause._tag === "string"
    ? cause._tag
    : cause instanceof Error
      ? cause.name
      : "unknown"

const attributesOf = (error: AuthError.AuthError): Readonly<Record<string, string>> => ({
  outcome: error._tag,
  ...(error._tag === "InvalidToken" ? { cause: error.reason } : {}),
  ...(error._tag === "ServerError" ? { cause: nameOf(error.cause) } : {})
})

/**
 * Puts the time that a decision took into the histogram, and its outcome, issuer and cause into the span around it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe =
  (started: number) =>
  (decision: Effect.Effect<Claims, AuthError.AuthError>): Effect.Effect<Claims, AuthError.AuthError> => {
    const told = (attributes: Readonly<Record<string, string>>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.zipRight(Metric.update(duration, now - started), Effect.annotateCurrentSpan(attributes))
      )
    return Effect.tapBoth(decision, {
      onSuccess: ({ issuer }) => told({ outcome: "Accepted", issuer }),
      onFailure: (error) => told(attributesOf(error))
    })
  }
