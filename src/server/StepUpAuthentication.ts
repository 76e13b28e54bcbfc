/**
 * Requirements on how and when the person authenticated (RFC 9470), for routes that ask for more than a scope.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidToken } from "./AuthError.js"
import { type Claims, CurrentClaims } from "./Claims.js"

/**
 * What a route asks for: one of these authentication context classes, in order of preference, and an authentication no
 * longer ago than `maxAge`, which counts in whole seconds, begun ones included. An infinite `maxAge` asks for nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Requirement {
  readonly acrValues?: readonly [string, ...Array<string>] | undefined
  readonly maxAge?: Duration.DurationInput | undefined
}

/** Seconds, as `max_age` has them; `undefined` where any age will do. */
const secondsOf = (maxAge: Duration.DurationInput | undefined): number | undefined => {
  const seconds = maxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toSeconds(maxAge)
  return Number.isFinite(seconds) ? Math.ceil(seconds) : undefined
}

/** Clocks differ a little. What lies further ahead is no time of an authentication: milliseconds, for instance. */
const MAX_AHEAD_SECONDS = 300

/**
 * Whether claims meet a requirement, by `acr` and `auth_time` of the token. A token that says neither meets none. `now` is
 * in seconds.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isMet = (claims: Claims, requirement: Requirement, now: number): boolean => {
  const { acr, auth_time: authTime } = Redacted.value(claims.raw)
  const { acrValues } = requirement
  const maxAge = secondsOf(requirement.maxAge)
  if (acrValues !== undefined && !(typeof acr === "string" && acrValues.includes(acr))) return false
  if (maxAge === undefined) return true
  return typeof authTime === "number" && authTime <= now + MAX_AHEAD_SECONDS && now - authTime <= maxAge
}

/**
 * Goes on only where the caller authenticated as required; fails otherwise, which the guard answers with a 401,
 * `insufficient_user_authentication`, `acr_values` and `max_age`. A client cannot cure it by a refresh: it has to send
 * the person through the authorization server again (RFC 9470 §6).
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { StepUpAuthentication } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * export const transfer = Effect.as(
 *   StepUpAuthentication.require({ acrValues: ["urn:example:mfa"], maxAge: "5 minutes" }),
 *   "transferred"
 * )
 * ```
 */
export const require = (requirement: Requirement): Effect.Effect<Claims, InvalidToken, CurrentClaims> => {
  const { acrValues } = requirement
  const maxAge = secondsOf(requirement.maxAge)
  const refusal = new InvalidToken({
    reason: "authentication",
    code: "insufficient_user_authentication",
    description: "A different or more recent authentication is required",
    parameters: {
      ...(acrValues === undefined ? {} : { acr_values: acrValues.join(" ") }),
      ...(maxAge === undefined ? {} : { max_age: String(maxAge) })
    }
  })
  return Effect.flatMap(CurrentClaims, (claims) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      isMet(claims, requirement, now / 1000) ? Effect.succeed(claims) : Effect.fail(refusal)
    )
  )
}
