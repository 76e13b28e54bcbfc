/**
 * The five ways in which a request is refused. `Challenge` turns each into a status, a challenge and a body.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const TypeId = "~effect-mcp-auth/server/AuthError"

/**
 * No credentials of a scheme that is served here: 401, and a challenge without an error code (RFC 6750 §3.1). `required` is
 * what this operation needs besides what every request needs, where that is known: the challenge names both, so that one
 * sign-in is enough.
 *
 * @since 0.1.0
 * @category errors
 */
export class Missing extends Schema.TaggedError<Missing>("effect-mcp-auth/server/Missing")("Missing", {
  required: Schema.optional(Schema.Array(Schema.String))
}) {
  readonly [TypeId] = TypeId
  override get message(): string {
    return "Authorization required"
  }
}

/**
 * Why a token is not accepted. For logs, metrics and audit; a client learns of `expired` only.
 *
 * @since 0.1.0
 * @category models
 */
export const InvalidTokenReason = Schema.Literal(
  "malformed",
  "algorithm",
  "type",
  "issuer",
  "key",
  "signature",
  "expired",
  "notYetValid",
  "audience",
  "claims",
  "binding",
  "inactive",
  "authentication",
  "other"
)

/**
 * Credentials came and are not accepted: 401. `detail` is for logs and never sent; `description` is sent, and says
 * nothing but that the token is not valid where it is left out. `code` and `parameters` are for errors of extensions,
 * such as `insufficient_user_authentication` with `acr_values` (RFC 9470).
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidToken extends Schema.TaggedError<InvalidToken>("effect-mcp-auth/server/InvalidToken")(
  "InvalidToken",
  {
    reason: InvalidTokenReason,
    detail: Schema.optional(Schema.String),
    description: Schema.optional(Schema.String),
    code: Schema.optional(Schema.String),
    parameters: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String }))
  }
) {
  readonly [TypeId] = TypeId
  override get message(): string {
    return `${this.description ?? "The access token is not valid"} (${this.reason}${this.detail === undefined ? "" : `: ${this.detail}`})`
  }
}

/**
 * The token is good and its scopes are too few: 403. `required` is what this operation needs, all of it; the challenge
 * names exactly that.
 *
 * @since 0.1.0
 * @category errors
 */
export class InsufficientScope extends Schema.TaggedError<InsufficientScope>(
  "effect-mcp-auth/server/InsufficientScope"
)("InsufficientScope", { required: Schema.Array(Schema.String), description: Schema.optional(Schema.String) }) {
  readonly [TypeId] = TypeId
  override get message(): string {
    return this.description ?? `The operation needs the scopes: ${this.required.join(" ")}`
  }
}

/**
 * The credentials are not well-formed, or came twice: 400. `description` is sent to the client.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>("effect-mcp-auth/server/InvalidRequest")(
  "InvalidRequest",
  { description: Schema.String }
) {
  readonly [TypeId] = TypeId
  override get message(): string {
    return this.description
  }
}

/**
 * The decision could not be taken: 500, or 503 where `retryAfter` (in seconds) says when to try again, because a
 * dependency is down. Nothing of the cause reaches the client.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerError extends Schema.TaggedError<ServerError>("effect-mcp-auth/server/ServerError")("ServerError", {
  retryAfter: Schema.optional(Schema.Number),
  cause: Schema.optional(Schema.Defect)
}) {
  readonly [TypeId] = TypeId
  override get message(): string {
    return this.retryAfter === undefined ? "Authorization failed" : "Authorization is out of order for now"
  }
}

/**
 * Every refusal.
 *
 * @since 0.1.0
 * @category models
 */
export type AuthError = Missing | InvalidToken | InsufficientScope | InvalidRequest | ServerError

/**
 * @since 0.1.0
 * @category schemas
 */
export const AuthError = Schema.Union(Missing, InvalidToken, InsufficientScope, InvalidRequest, ServerError)

/**
 * Whether a value is one of the five, and not some other error of the same name.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAuthError = (u: unknown): u is AuthError => Predicate.hasProperty(u, TypeId)

/**
 * The `Missing` that carries nothing of a request, so it is made once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const missing: Missing = new Missing()
