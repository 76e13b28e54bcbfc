/**
 * An access token, and what is known about it without looking inside (RFC 6749 §1.4).
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/**
 * A token. `expiresAt` is in milliseconds since the epoch and absent where the server did not say. `scopes` are those
 * granted: what the server answered, or what was asked for where it answered nothing (RFC 6749 §5.1). `lostScopes` are
 * those that the grant had and that a refresh did not bring back.
 *
 * @since 0.1.0
 * @category models
 */
export interface AccessToken {
  readonly value: Redacted.Redacted<string>
  readonly type: "Bearer" | "DPoP"
  readonly expiresAt?: number | undefined
  readonly scopes: ReadonlyArray<string>
  readonly lostScopes?: ReadonlyArray<string> | undefined
}

/**
 * A token as it is stored: encoding it reveals its value.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AccessToken: Schema.Schema<
  AccessToken,
  {
    readonly value: string
    readonly type: "Bearer" | "DPoP"
    readonly expiresAt?: number | undefined
    readonly scopes: ReadonlyArray<string>
    readonly lostScopes?: ReadonlyArray<string> | undefined
  }
> = Schema.Struct({
  value: Schema.Redacted(Schema.NonEmptyString),
  type: Schema.Literal("Bearer", "DPoP"),
  expiresAt: Schema.optional(Schema.Number),
  scopes: Schema.Array(Schema.String),
  lostScopes: Schema.optional(Schema.Array(Schema.String))
})

/**
 * Whether a token is past its expiry at a time, in milliseconds since the epoch. One that names none never is.
 *
 * @since 0.1.0
 * @category predicates
 * @example
 * ```ts
 * import { AccessToken } from "effect-mcp-auth/client"
 * import * as Redacted from "effect/Redacted"
 *
 * const token: AccessToken.AccessToken = { value: Redacted.make("t"), type: "Bearer", expiresAt: 1000, scopes: [] }
 * console.log(AccessToken.isExpired(token, 999), AccessToken.isExpired(token, 1000)) // false true
 * ```
 */
export const isExpired = (token: AccessToken, now: number): boolean =>
  token.expiresAt !== undefined && now >= token.expiresAt

/**
 * Whether two are the same token, whatever is known about them.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSame = (left: AccessToken, right: AccessToken): boolean =>
  Redacted.value(left.value) === Redacted.value(right.value)
