/**
 * Claims as the official MCP SDK hands them to its handlers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { AuthConfig } from "./AuthConfig.js"
import { type Missing, missing } from "./AuthError.js"
import { Claims, CurrentClaims } from "./Claims.js"

/**
 * The SDK's `AuthInfo`, of versions 1 and 2, without a dependency on it. `token` is always empty: a server must not pass
 * on the token that it was given, and what a handler does not have it cannot forward. `expiresAt` is in seconds since
 * 1970. `clientId` is the subject where the issuer names no client.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthInfo {
  token: ""
  clientId: string
  scopes: Array<string>
  expiresAt?: number
  resource: URL
  resourceMetadataUrl: string
  extra: { readonly claims: Claims }
}

/**
 * What to give to the SDK as `authInfo`, or as `req.auth` where it reads that.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromClaims = (claims: Claims, config: AuthConfig): AuthInfo => ({
  token: "",
  clientId: claims.clientId ?? claims.subject,
  scopes: [...claims.scopes],
  ...(claims.expiresAt === undefined ? {} : { expiresAt: claims.expiresAt }),
  resource: new URL(config.resource),
  resourceMetadataUrl: config.resourceMetadataUrl,
  extra: { claims }
})

/**
 * Runs an effect of the caller in a handler of the SDK, which knows its caller by `authInfo`. Fails with `Missing` where
 * that came from elsewhere, or not at all.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { AuthInfo, Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => `You are ${subject}`)
 *
 * // server.registerTool("whoami", {}, (context) => call(context.http?.authInfo))
 * export const call = (authInfo: { readonly extra?: Record<string, unknown> } | undefined) =>
 *   Effect.runPromise(AuthInfo.provide(whoami, authInfo))
 * ```
 */
export const provide = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  authInfo: { readonly extra?: Readonly<Record<string, unknown>> | undefined } | undefined
): Effect.Effect<A, E | Missing, Exclude<R, CurrentClaims>> => {
  const claims = authInfo?.extra?.["claims"]
  return claims instanceof Claims ? Effect.provideService(effect, CurrentClaims, claims) : missing
}
