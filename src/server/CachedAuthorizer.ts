/**
 * An authorizer that remembers what it accepted.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
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

/** Claims that are good until a time in milliseconds, that time itself excluded. */
interface Known {
  readonly claims: Claims
  readonly until: number
}

/**
 * The accepted tokens, the one used longest ago first. A map by hand, because `effect/Cache` also keeps a trace of every
 * key that it was asked for and does not hold: anybody could fill it with tokens that are refused.
 */
const makeStore = (capacity: number) => {
  const entries = new Map<string, Known>()
  const put = (key: string, known: Known) => {
    entries.delete(key)
    entries.set(key, known)
    for (const oldest of entries.keys()) {
      if (entries.size <= capacity) break
      entries.delete(oldest)
    }
  }
  return {
    put,
    get: (key: string, now: number): Claims | undefined => {
      const known = entries.get(key)
      if (known === undefined) return undefined
      if (now < known.until) put(key, known)
      else entries.delete(key)
      return now < known.until ? known.claims : undefined
    }
  }
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
    Effect.sync(() => {
      const maxAge = Duration.toMillis(options.maxAge)
      const store = makeStore(options.capacity)
      const authorize: Authorizer.Service["authorize"] = (credentials) =>
        Effect.gen(function* () {
          const digest = yield* Effect.promise(() => Base64Url.sha256(Redacted.value(credentials.token)))
          const key = `${credentials.scheme} ${digest}`
          const asked = yield* Clock.currentTimeMillis
          const known = store.get(key, asked)
          // Which issuers count may depend on the request; what was accepted for another one does not.
          if (known !== undefined && credentials.issuers.includes(known.issuer)) return known
          const claims = yield* authorizer.authorize(credentials)
          // From when it was asked: an answer that was long under way is no younger for it.
          const until = Math.min(asked + maxAge, (claims.expiresAt ?? Number.POSITIVE_INFINITY) * 1000)
          if ((yield* Clock.currentTimeMillis) < until) store.put(key, { claims, until })
          return claims
        })
      return Authorizer.make(authorize, { timeout: Duration.infinity })
    })
