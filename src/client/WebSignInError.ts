/**
 * What can be wrong with a request that comes with a browser.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The request is not one to begin or to complete a sign-in with. Nothing was asked of an authorization server, and a
 * sign-in that is waiting goes on waiting.
 *
 * - `NoAnswer`: what arrived is no answer of an authorization server, with one `state`
 * - `Unknown`: no sign-in with this `state` is known here, or it is long over
 * - `AlreadyUsed`: its answer has arrived before
 * - `Expired`: its answer took too long
 * - `OtherBrowser`: it was begun by another browser, or by this one without its cookie
 * - `OtherUser`: it was begun for another user than the one who is there now
 * - `ReturnTo`: the address to go on to afterwards is none of the application's own
 *
 * `returnTo` is where the person was on their way to, where this is known and the browser is theirs. It holds nothing of
 * what arrived.
 *
 * @since 0.1.0
 * @category errors
 */
export class WebSignInError extends Schema.TaggedError<WebSignInError>("effect-mcp-auth/client/WebSignInError")(
  "WebSignInError",
  {
    reason: Schema.Literal("NoAnswer", "Unknown", "AlreadyUsed", "Expired", "OtherBrowser", "OtherUser", "ReturnTo"),
    detail: Schema.String,
    rule: Schema.String,
    returnTo: Schema.optional(Schema.String)
  }
) {
  override get message(): string {
    return `${this.reason}: ${this.detail} (${this.rule})`
  }
}
