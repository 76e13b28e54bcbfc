/**
 * Everything that can go wrong between a request and the token it needs. Each failure says at which step it happened,
 * which rule it rests on, what to know about it, and carries the trace of what was asked before it. None holds a token,
 * a code, a verifier or a secret.
 *
 * What is over and what may work later are different types: {@link TokenUnavailable} and {@link TokenStoreError} are the
 * only ones after which the same call may simply be made again, and nothing that was held is lost by them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import type { FetchError } from "../discovery/GuardedHttp.js"
import { at, common, describe, id, Step } from "./ErrorFields.js"
import type { SignInRequired } from "./SignInRequired.js"

export {
  /**
   * The steps of obtaining a token.
   *
   * @since 0.1.0
   * @category schemas
   */
  Step
} from "./ErrorFields.js"

/**
 * No authorization server can be used for the endpoint, and asking again will not change it. `NoMetadata`: the resource
 * publishes none. `NoAuthorizationServer`: none of those it names can be used. `InvalidResource`: what was configured
 * is no resource identifier.
 *
 * @since 0.1.0
 * @category errors
 */
export class DiscoveryFailed extends Schema.TaggedError<DiscoveryFailed>(id("DiscoveryFailed"))("DiscoveryFailed", {
  ...at("Discovery"),
  endpoint: Schema.String,
  reason: Schema.Literal("NoMetadata", "NoAuthorizationServer", "InvalidResource"),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The metadata that was found is another resource's (RFC 9728 §3.3). Both strings are there as they were compared:
 * one character is enough.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResourceMismatch extends Schema.TaggedError<ResourceMismatch>(id("ResourceMismatch"))("ResourceMismatch", {
  ...at("Discovery"),
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The client has no client ID at an issuer. `NoMethod`: nothing is configured for it and it offers nothing else.
 * `Refused`: it was asked and said no; `error` is its code (RFC 7591 §3.2.2). `Unacceptable`: what it registered cannot
 * be used. `InvalidConfiguration`: what the application configured cannot be.
 *
 * @since 0.1.0
 * @category errors
 */
export class RegistrationFailed extends Schema.TaggedError<RegistrationFailed>(id("RegistrationFailed"))(
  "RegistrationFailed",
  {
    ...at("Registration"),
    issuer: Schema.String,
    reason: Schema.Literal("NoMethod", "Refused", "Unacceptable", "InvalidConfiguration"),
    error: Schema.optional(Schema.String)
  }
) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The person was not reached. `Cancelled`: they turned it down before the authorization server was asked. `Timeout`: no
 * answer came. `PromptForbidden`: this program may not ask anybody; a source says `SignInRequired` then. `Unsupported`:
 * there is no way to ask here, such as no browser or no port. Implementations of `AuthorizeUser` fail with this.
 *
 * @since 0.1.0
 * @category errors
 */
export class AuthorizeUserError extends Schema.TaggedError<AuthorizeUserError>(id("AuthorizeUserError"))(
  "AuthorizeUserError",
  {
    ...at("Authorization"),
    rule: Schema.optionalWith(Schema.String, { default: () => "OAuth 2.1 section 4.1" }),
    reason: Schema.Literal("Cancelled", "Timeout", "PromptForbidden", "Unsupported"),
    cause: Schema.optional(Schema.Defect)
  }
) {
  override get message(): string {
    return `${this.reason}: ${describe(this)}`
  }
}

/**
 * The authorization server answered the authorization request with `error=` (RFC 6749 §4.1.2.1), and the answer was
 * verified to be its own.
 *
 * @since 0.1.0
 * @category errors
 */
export class AuthorizationRefused extends Schema.TaggedError<AuthorizationRefused>(id("AuthorizationRefused"))(
  "AuthorizationRefused",
  { ...at("Authorization"), issuer: Schema.String, error: Schema.String, description: Schema.optional(Schema.String) }
) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * What arrived at the redirect URI is not an answer to the request that was made: `state`, `iss`, a repeated parameter,
 * or no code. Nothing that it carried is shown, because it may be anybody's (RFC 9207 §2.4).
 *
 * @since 0.1.0
 * @category errors
 */
export class AuthorizationInvalid extends Schema.TaggedError<AuthorizationInvalid>(id("AuthorizationInvalid"))(
  "AuthorizationInvalid",
  { ...at("Authorization"), issuer: Schema.String, parameter: Schema.Literal("state", "issuer", "duplicate", "code") }
) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The token endpoint said no in the words of RFC 6749 §5.2. This is terminal: the same request will be refused again.
 * `answerLostAt`, in milliseconds since the epoch, is when a refresh was begun whose answer never arrived: the process was
 * killed, or the connection broke, and the server may have replaced the refresh token. Most likely that is why it says no.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenRefused extends Schema.TaggedError<TokenRefused>(id("TokenRefused"))("TokenRefused", {
  ...at("Token"),
  issuer: Schema.String,
  grant: Schema.String,
  error: Schema.String,
  description: Schema.optional(Schema.String),
  status: Schema.Number,
  answerLostAt: Schema.optional(Schema.Number)
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * No token now: something was not reached, was out of order, asked to be left alone for a while, or gave an answer that
 * makes no sense. Everything that was held is kept. `retryAfter` is in seconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenUnavailable extends Schema.TaggedError<TokenUnavailable>(id("TokenUnavailable"))("TokenUnavailable", {
  ...common,
  step: Step,
  retryAfter: Schema.optional(Schema.Number)
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The resource server refuses, and another token would not help. This is where a loop ends:
 *
 * - `TokenNotAccepted`: a token fresh from a sign-in is refused like the one before it
 * - `ScopesAlreadyGranted`: the token has every scope that the challenge asks for
 * - `ScopesNotGranted`: they were asked for, and the authorization server did not grant them
 * - `NotRenewable`: the source has this one token only
 * - `Exhausted`: refused as often as the schedule allows
 * - `BodyNotReplayable`: the token was renewed, but the body of the request is a stream and cannot be sent twice; the
 *   caller makes the request anew
 *
 * @since 0.1.0
 * @category errors
 */
export class AccessRefused extends Schema.TaggedError<AccessRefused>(id("AccessRefused"))("AccessRefused", {
  ...at("Request"),
  url: Schema.String,
  status: Schema.Literal(401, 403),
  reason: Schema.Literal(
    "TokenNotAccepted",
    "ScopesAlreadyGranted",
    "ScopesNotGranted",
    "NotRenewable",
    "Exhausted",
    "BodyNotReplayable"
  ),
  scopes: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] })
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * The store could not be opened, read or written, or holds something that is not readable (`decode`). `key` names the
 * entry, and no user; for `open`, it is what the store was to be opened at. `version` is that of an entry which was read,
 * and not understood.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenStoreError extends Schema.TaggedError<TokenStoreError>(id("TokenStoreError"))("TokenStoreError", {
  ...at("Storage"),
  key: Schema.String,
  operation: Schema.Literal("open", "read", "write", "lease", "decode"),
  version: Schema.optional(Schema.String),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return describe(this)
  }
}

/**
 * Every failure of a client.
 *
 * @since 0.1.0
 * @category errors
 * @example
 * ```ts
 * import { ClientError } from "effect-mcp-auth/client"
 *
 * const advise = (error: ClientError.ClientError): string => {
 *   switch (error._tag) {
 *     case "TokenUnavailable":
 *       return `try again in ${error.retryAfter ?? 1} s`
 *     default:
 *       return error.message
 *   }
 * }
 * console.log(advise(new ClientError.TokenUnavailable({ step: "Token", rule: "RFC 9110", detail: "answered 503" })))
 * // try again in 1 s
 * ```
 */
export type ClientError =
  | DiscoveryFailed
  | ResourceMismatch
  | RegistrationFailed
  | AuthorizeUserError
  | SignInRequired
  | AuthorizationRefused
  | AuthorizationInvalid
  | TokenRefused
  | TokenUnavailable
  | AccessRefused
  | TokenStoreError

/**
 * Fails with an error that takes the trace along as it stands.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fail = <E extends ClientError>(
  make: (trace: DiscoveryTrace.DiscoveryTrace) => E
): Effect.Effect<never, E> => Effect.flatMap(DiscoveryTrace.recorded, (trace) => Effect.fail(make(trace)))

/**
 * A fetch that may succeed later, as what it means at a step.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unavailable = (step: Step, error: FetchError): Effect.Effect<never, TokenUnavailable> => {
  const { message: detail, retryAfter } = error
  const rule = "only an answer in the words of OAuth decides anything"
  return fail((trace) => new TokenUnavailable({ step, detail, rule, trace, retryAfter }))
}
