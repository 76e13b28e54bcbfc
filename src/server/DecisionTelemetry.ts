/**
 * What the guard tells of its decisions: counters, a histogram, attributes of a span, and the events for audit.
 *
 * @since 0.1.0
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import type { Claims } from "./Claims.js"
import * as Decision from "./Decision.js"
import * as RequestTarget from "./RequestTarget.js"

type Outcome = Decision.Decision["outcome"]

const decisions = MetricKey.counter("mcp_auth_decisions", { incremental: true, description: "Decisions by outcome" })
/** A metric of its own for each outcome: one that is tagged by a combinator looks itself up for every decision. */
const counterOf = (outcome: Outcome): Metric.Metric.Counter<number> =>
  Metric.fromMetricKey(MetricKey.taggedWithLabels(decisions, [MetricLabel.make("outcome", outcome)]))
const counters: Readonly<Record<Outcome, Metric.Metric.Counter<number>>> = {
  Accepted: counterOf("Accepted"),
  Missing: counterOf("Missing"),
  InvalidToken: counterOf("InvalidToken"),
  InsufficientScope: counterOf("InsufficientScope"),
  InvalidRequest: counterOf("InvalidRequest"),
  ServerError: counterOf("ServerError"),
  SessionNotFound: counterOf("SessionNotFound")
}
const duration = Metric.histogram(
  "mcp_auth_authorize_ms",
  MetricBoundaries.exponential({ start: 0.25, factor: 2, count: 16 }),
  "Time to a decision, in milliseconds"
)

const callers = new WeakMap<HttpServerRequest.HttpServerRequest, Claims>()

/**
 * Notes whose the token of a request was, where the caller was known before it was refused. Beside the refusal and not on
 * it, because one refusal serves all requests that it fits.
 *
 * @since 0.1.0
 * @category combinators
 */
export const attribute = (request: HttpServerRequest.HttpServerRequest, caller: Claims): void => {
  callers.set(request, caller)
}

/**
 * The caller that {@link attribute} noted.
 *
 * @since 0.1.0
 * @category destructors
 */
export const callerOf = (request: HttpServerRequest.HttpServerRequest): Claims | undefined => callers.get(request)

const whoIs = (claims: Claims | undefined) =>
  claims === undefined
    ? {}
    : {
        issuer: claims.issuer,
        subject: claims.subject,
        ...(claims.clientId === undefined ? {} : { clientId: claims.clientId })
      }

type Told = Pick<Decision.Decision, "reason" | "requiredScopes">

const tell = (
  outcome: Outcome,
  caller: Claims | undefined,
  told: () => Told
): Effect.Effect<void, never, AuthConfig | HttpServerRequest.HttpServerRequest> => {
  const audited = Effect.gen(function* () {
    const { resource } = yield* AuthConfig
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    const at = yield* Clock.currentTimeMillis
    const path = RequestTarget.path(url)
    yield* Decision.record(() => ({ at, outcome, resource, method, path, ...whoIs(caller), ...told() }))
  })
  const counted = Metric.increment(counters[outcome])
  return Effect.flatMap(Decision.DecisionLog, (log) =>
    log === undefined ? counted : Effect.zipRight(counted, audited)
  )
}

const toldOf = (refusal: AuthError.AuthError): Told => ({
  reason: refusal._tag === "InvalidToken" ? refusal.reason : refusal.message,
  ...(refusal._tag === "InsufficientScope" ? { requiredScopes: refusal.required } : {})
})

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
  AuthError.isAuthError(result) ? tell(result._tag, caller, () => toldOf(result)) : tell("Accepted", caller, () => ({}))

/**
 * The same for a session that is not the caller's.
 *
 * @since 0.1.0
 * @category combinators
 */
export const recordSession = (
  reason: "foreign" | "unknown",
  caller: Claims
): Effect.Effect<void, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  tell("SessionNotFound", caller, () => ({ reason }))

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

/** Effect's own tracer keeps no span, and a span costs as much as all the rest of a decision. */
const keepsNothing = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * Puts the time that a decision took into the histogram and, where somebody collects them, makes a span of it, with its
 * outcome, issuer and cause.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe = (
  scheme: string,
  decision: Effect.Effect<Claims, AuthError.AuthError>
): Effect.Effect<Claims, AuthError.AuthError> =>
  Effect.withFiberRuntime((fiber) => {
    const traced = fiber.currentTracer !== keepsNothing
    const clock = Context.get(fiber.currentDefaultServices, Clock.Clock)
    const started = clock.unsafeCurrentTimeMillis()
    const told = (attributes: () => Readonly<Record<string, string>>) => {
      const timed = Metric.update(duration, clock.unsafeCurrentTimeMillis() - started)
      return traced ? Effect.zipRight(timed, Effect.annotateCurrentSpan(attributes())) : timed
    }
    const observed = Effect.tapBoth(decision, {
      onSuccess: ({ issuer }) => told(() => ({ outcome: "Accepted", issuer })),
      onFailure: (error) => told(() => attributesOf(error))
    })
    return traced
      ? Effect.withSpan(observed, "Authorizer.authorize", { captureStackTrace: false, attributes: { scheme } })
      : observed
  })
