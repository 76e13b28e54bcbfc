/**
 * An authorizer that remembers what it accepted.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { LRUCache } from "lru-cache"
import * as Authorizer from "./Authorizer.js"
import type { Claims } from "./Claims.js"
import * as TokenDigest from "./TokenDigest.js"

/**
 * How many tokens are remembered, a million at the most, and for how long. A token that expires earlier is forgotten
 * earlier. A token that is revoked is accepted for up to `maxAge` more. A `capacity` below 1 remembers nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly capacity: number
  readonly maxAge: Duration.DurationInput
}

/** Claims that are good until a time in milliseconds, that time itself excluded. */
interface Known {
  readonly claims: Claims
  readonly until: number
}

/** Memory is set aside for all that may be remembered, so there is a limit to what may be asked for. */
const MAX_CAPACITY = 1_000_000

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
    Effect.sync(() => {
      if (!(options.capacity >= 1)) return authorizer
      const maxAge = Duration.toMillis(options.maxAge)
      const remembered = new LRUCache<string, Known>({ max: Math.floor(Math.min(options.capacity, MAX_CAPACITY)) })
      return Authorizer.make(
        (credentials) =>
          Effect.clockWith((clock) => {
            const key = TokenDigest.of(`${credentials.scheme} ${Redacted.value(credentials.token)}`)
            const asked = clock.unsafeCurrentTimeMillis()
            const known = remembered.get(key)
            if (known !== undefined && asked >= known.until) remembered.delete(key)
            // Which issuers count may depend on the request; what was accepted for another one does not.
            else if (known !== undefined && credentials.issuers.includes(known.claims.issuer)) {
              return Effect.succeed(known.claims)
            }
            return Effect.map(authorizer.authorize(credentials), (claims) => {
              // From when it was asked: an answer that was long under way is no younger for it.
              const until = Math.min(asked + maxAge, (claims.expiresAt ?? Number.POSITIVE_INFINITY) * 1000)
              if (clock.unsafeCurrentTimeMillis() < until) remembered.set(key, { claims, until })
              return claims
            })
          }),
        { timeout: Duration.infinity }
      )
    })
