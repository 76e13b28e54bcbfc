/**
 * What a checked token says, and how a handler gets at it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scopes from "../protocol/Scopes.js"
import { InsufficientScope } from "./AuthError.js"

/**
 * The key that a token is bound to (RFC 7800): the thumbprint of a DPoP key, or of a client certificate.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Confirmation = Schema.Struct({
  jkt: Schema.optional(Schema.String),
  "x5t#S256": Schema.optional(Schema.String)
})

/**
 * The claims of an accepted token. `expiresAt` is in seconds since 1970, like `exp`. `scopes` holds the granted scopes
 * and those that they imply by configuration. `raw` is the payload as it came; it prints as `<redacted>`.
 *
 * @since 0.1.0
 * @category models
 */
export class Claims extends Schema.Class<Claims>("effect-mcp-auth/server/Claims")({
  issuer: Schema.String,
  subject: Schema.String,
  clientId: Schema.optional(Schema.String),
  audience: Schema.Array(Schema.String),
  scopes: Schema.Array(Schema.String),
  expiresAt: Schema.optional(Schema.Number),
  confirmation: Schema.optional(Confirmation),
  raw: Schema.RedactedFromSelf(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
}) {
  /** Whether all of these scopes are there. */
  hasScopes(scopes: ReadonlyArray<string>): boolean {
    return Scopes.missing(scopes, this.scopes).length === 0
  }
}

/**
 * The claims of the caller of this request. A handler that asks for it compiles only behind a guard.
 *
 * @since 0.1.0
 * @category tags
 */
export class CurrentClaims extends Context.Tag("effect-mcp-auth/server/CurrentClaims")<CurrentClaims, Claims>() {}

/**
 * The claims of the caller, `None` where the request came without credentials. A handler that asks for it compiles only
 * behind an optional guard, which refuses a token that is not accepted like any other guard does.
 *
 * @since 0.1.0
 * @category tags
 */
export class OptionalClaims extends Context.Tag("effect-mcp-auth/server/OptionalClaims")<
  OptionalClaims,
  Option.Option<Claims>
>() {}

/**
 * Goes on only where the caller has all of the scopes; fails with `InsufficientScope`, which the guard answers with a
 * 403 that names exactly these (RFC 6750 §3.1).
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * export const remove = Effect.gen(function* () {
 *   const caller = yield* Claims.requireScopes("files:write")
 *   return `removed by ${caller.subject}`
 * })
 * ```
 */
export const requireScopes = (
  ...scopes: readonly [string, ...Array<string>]
): Effect.Effect<Claims, InsufficientScope, CurrentClaims> =>
  Effect.flatMap(CurrentClaims, (claims) =>
    claims.hasScopes(scopes) ? Effect.succeed(claims) : new InsufficientScope({ required: scopes })
  )

/** A set of scopes that somebody asks for, and so not an empty one. */
type ScopeSet = readonly [string, ...Array<string>]

/**
 * Goes on where the caller has all scopes of one of these sets. It fails with `InsufficientScope` for the set that the
 * caller lacks the least of, because a challenge can name one set only (RFC 6750 §3): the first of them, for a caller with
 * nothing.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * export const publish = Effect.as(Claims.requireAnyScopes(["posts:publish"], ["posts:write", "editor"]), "published")
 * ```
 */
export const requireAnyScopes = (
  ...alternatives: readonly [ScopeSet, ...Array<ScopeSet>]
): Effect.Effect<Claims, InsufficientScope, CurrentClaims> =>
  Effect.flatMap(CurrentClaims, (claims) => {
    const required = Scopes.nearest(alternatives, claims.scopes)
    return claims.hasScopes(required) ? Effect.succeed(claims) : new InsufficientScope({ required })
  })
