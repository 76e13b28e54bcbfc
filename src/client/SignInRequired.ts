/**
 * The failure of a program that may not ask anybody, with all that another one needs to ask.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as Refusal from "./Refusal.js"

/**
 * A person has to sign in, and is not to be asked from here: by a job in the background, by a request to a web
 * application. `WebSignIn.begin` takes it as it is.
 *
 * - `NoGrant`: nothing is held for the resource
 * - `GrantEnded`: what is held is refused, and cannot be refreshed
 * - `InsufficientScope`: the operation needs `scopes`, and the token has not all of them
 * - `InsufficientAuthentication`: the person has to be authenticated again, or better, by the parameters of RFC 9470 in
 *   `authentication`
 *
 * `resource` is the URL of the MCP endpoint, `scopes` are those that its challenge asks for, which is not all that will
 * be asked of the person, and `metadataUrl` is where the challenge has its metadata. `cause` is the `TokenRefused` that
 * ended the grant, where one did. Whose grant it is, it does not say.
 *
 * @since 0.1.0
 * @category errors
 */
export class SignInRequired extends Schema.TaggedError<SignInRequired>("effect-mcp-auth/client/SignInRequired")(
  "SignInRequired",
  {
    step: Schema.optionalWith(Schema.Literal("Authorization"), { default: () => "Authorization" as const }),
    rule: Schema.String,
    detail: Schema.String,
    trace: Schema.optionalWith(DiscoveryTrace.DiscoveryTrace, { default: () => [] }),
    resource: Schema.String,
    reason: Schema.Literal("NoGrant", "GrantEnded", "InsufficientScope", "InsufficientAuthentication"),
    scopes: Schema.Array(Schema.String),
    metadataUrl: Schema.optional(Schema.String),
    authentication: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String })),
    cause: Schema.optional(Schema.Defect)
  }
) {
  override get message(): string {
    return `${this.reason}: ${this.detail} (${this.rule})`
  }
}

/**
 * What a refusal of the resource comes to where nobody can be asked. `isHeld` is whether there is a grant.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  resource: string,
  refusal: Refusal.Refusal,
  isHeld: boolean,
  trace: DiscoveryTrace.DiscoveryTrace
): SignInRequired => {
  const authentication = Refusal.authentication(refusal)
  const held = isHeld ? "GrantEnded" : "NoGrant"
  const stronger = authentication === undefined ? held : "InsufficientAuthentication"
  return new SignInRequired({
    resource,
    reason: refusal.status === 403 ? "InsufficientScope" : stronger,
    scopes: Refusal.scopes(refusal),
    metadataUrl: Refusal.metadataUrl(refusal),
    authentication,
    detail: "a sign-in is needed, and this program may not ask for one",
    rule: "OAuth 2.1 section 4.1",
    trace
  })
}

/** Wrappers of wrappers end somewhere. */
const deepest = 8

/**
 * The failure in whatever a client of another make has made of it: the errors of `HttpClientAuth.layer`, of a
 * `FetchAuth`, and of an MCP SDK over one have it as their `cause`, or as the cause of that.
 *
 * @since 0.1.0
 * @category accessors
 * @example
 * ```ts
 * import { SignInRequired } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 *
 * const call = Effect.tryPromise(() => Promise.reject(new TypeError("fetch failed")))
 *
 * // In the place of whatever the SDK fails with: the one failure that is for the browser.
 * export const typed = Effect.catchAll(call, (error) => SignInRequired.within(error))
 * ```
 */
export const within = (error: unknown): Option.Option<SignInRequired> => {
  let current = error
  for (let depth = 0; depth < deepest && current instanceof Error; depth++) {
    if (current instanceof SignInRequired) return Option.some(current)
    current = current.cause
  }
  return Option.none()
}
