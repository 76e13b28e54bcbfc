/**
 * An authorizer that remembers what it accepted.
 *
 * @since 0.1.0
 */
import * as Cache from "effect/Cache"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Base64Url from "../protocol/Base64Url.js"
import * as Authorizer from "./Authorizer.js"
import type { Claims } from "./Claims.js"

/**
 * How much is remembered, and for how long at the most. A token that expires earlier is forgotten earlier. A token that
 * is revoked is accepted for up to `maxAge` more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly capacity: number
  readonly maxAge: Duration.DurationInput
}

/**
 * Remembers the claims of accepted tokens by the digest of the token; refusals and outages are not remembered. Use it
 * where the decision depends on nothing but the token: not in front of an authorizer that looks at the method or at
 * headers.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Authorizer, CachedAuthorizer, JwtAuthorizer } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const layer = Layer.scoped(
 *   Authorizer.Authorizer,
 *   Effect.flatMap(JwtAuthorizer.make(), CachedAuthorizer.make({ capacity: 10_000, maxAge: "1 minute" }))
 * )
 * ```
 */
export const make =
  (options: Options) =>
  (authorizer: Authorizer.Service): Effect.Effect<Authorizer.Service> =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const maxAge = Duration.toMillis(options.maxAge)
      // A store with a capacity and an age, used by hand: its own lookup would tie callers to each other's fate.
      const cache = yield* Cache.makeWith<string, Claims>({
        capacity: options.capacity,
        lookup: () => Effect.never,
        timeToLive: Exit.match({
          onFailure: () => Duration.zero,
          onSuccess: ({ expiresAt = Number.POSITIVE_INFINITY }) =>
            Duration.millis(Math.max(0, Math.min(maxAge, expiresAt * 1000 - clock.unsafeCurrentTimeMillis())))
        })
      })
      const authorize: Authorizer.Service["authorize"] = (credentials) =>
        Effect.gen(function* () {
          const digest = yield* Effect.promise(() => Base64Url.sha256(Redacted.value(credentials.token)))
          const key = `${credentials.scheme} ${digest}`
          const known = yield* cache.getOptionComplete(key)
          // Which issuers count may depend on the request; what was accepted for another one does not.
          if (Option.isSome(known) && credentials.issuers.includes(known.value.issuer)) return known.value
          const claims = yield* authorizer.authorize(credentials)
          yield* cache.set(key, claims)
          return claims
        })
      return Authorizer.make(authorize, { timeout: Duration.infinity })
    })
