/**
 * The one place where a person comes in: open the authorization URL, hand back what arrived at the redirect URI.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { insecureUrl } from "../protocol/Loopback.js"
import { AuthorizeUserError } from "./ClientError.js"
import * as LoopbackListener from "./LoopbackListener.js"

/**
 * A prompt that is ready: the redirect URI at which it will receive the answer, used verbatim from here on, and the verb
 * that asks. `authorize` gets the complete URL and answers with the parameters of the response, unjudged: `state` and
 * `iss` are checked by whoever asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prompt {
  readonly redirectUri: string
  readonly authorize: (url: string) => Effect.Effect<URLSearchParams, AuthorizeUserError>
}

/**
 * Asks a person for authorization. `begin` comes first, because a client can only register a redirect URI that is known,
 * and a port is known only once it is bound; what it holds is released with the scope, on interruption too. `mayAsk`, true
 * where it is absent, says whether it would fail with `PromptForbidden` at the moment: a program that may not ask does
 * not wait for another one that does.
 *
 * @since 0.1.0
 * @category services
 */
export class AuthorizeUser extends Context.Tag("effect-mcp-auth/client/AuthorizeUser")<
  AuthorizeUser,
  {
    readonly begin: Effect.Effect<Prompt, AuthorizeUserError, Scope.Scope>
    readonly mayAsk?: Effect.Effect<boolean> | undefined
  }
>() {}

const failure = (reason: AuthorizeUserError["reason"], detail: string, rule = "OAuth 2.1 section 4.1") =>
  new AuthorizeUserError({ reason, detail, rule })

/** A URL that came from a server reaches a browser only if it is a secure http(s) one. */
const checked = (url: string): Effect.Effect<void, AuthorizeUserError> => {
  const insecure = insecureUrl(url)
  return insecure === undefined
    ? Effect.void
    : Effect.fail(failure("Unsupported", `the authorization URL ${insecure}`, "OAuth 2.1 section 1.5"))
}

const within =
  (timeout: Duration.DurationInput) =>
  <A>(effect: Effect.Effect<A, AuthorizeUserError>): Effect.Effect<A, AuthorizeUserError> =>
    Effect.timeoutFail(effect, {
      duration: timeout,
      onTimeout: () => failure("Timeout", "nobody answered in time")
    })

/**
 * Your own way of asking, in one function: it gets a checked URL and gives the parameters with which the authorization
 * server redirected to `redirectUri`. For test scripts, for web views, for a queue and a colleague.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { AuthorizeUser, ClientError } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 *
 * const visit = (url: string): Effect.Effect<URLSearchParams, Error> =>
 *   Effect.succeed(new URLSearchParams({ code: "c", state: new URL(url).searchParams.get("state") ?? "" }))
 *
 * const scripted = AuthorizeUser.layer({
 *   redirectUri: "http://127.0.0.1:4711/callback",
 *   authorize: (url) =>
 *     Effect.mapError(
 *       visit(url),
 *       (cause) => new ClientError.AuthorizeUserError({ reason: "Cancelled", detail: cause.message, cause })
 *     )
 * })
 * ```
 */
export const layer = (prompt: Prompt): Layer.Layer<AuthorizeUser> =>
  Layer.succeed(AuthorizeUser, {
    begin: Effect.succeed({
      redirectUri: prompt.redirectUri,
      authorize: (url: string) => Effect.zipRight(checked(url), prompt.authorize(url))
    })
  })

/**
 * A browser on this machine and a listener on its loopback interface (RFC 8252 §7.3). `listen` and `open` are the
 * runtime's; `NodeAuthorizeUser.layer` and `BunAuthorizeUser.layer` bring them. `open` gets secure http(s) URLs only,
 * and may go on for as long as the browser lives. `timeout` is how long an answer is waited for, 5 minutes by default.
 *
 * Without a `port`, a free one is taken at first and the same again while it stays free: a client that is registered
 * with its redirect URI need not register again to step up.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLoopback = (
  options: LoopbackListener.Options & {
    readonly open: (url: string) => Effect.Effect<void, AuthorizeUserError>
    readonly timeout?: Duration.DurationInput | undefined
  }
): Layer.Layer<AuthorizeUser> =>
  Layer.sync(AuthorizeUser, () => {
    let lastPort: number | undefined
    const bind = Effect.suspend(() =>
      options.port === undefined && lastPort !== undefined
        ? Effect.orElse(LoopbackListener.bind({ ...options, port: lastPort }), () => LoopbackListener.bind(options))
        : LoopbackListener.bind(options)
    )
    return {
      begin: Effect.map(bind, (listener) => {
        lastPort = listener.port
        return {
          redirectUri: listener.redirectUri,
          authorize: (url: string) =>
            checked(url).pipe(
              Effect.zipRight(Effect.raceFirst(listener.answer, Effect.zipRight(options.open(url), Effect.never))),
              within(options.timeout ?? "5 minutes")
            )
        }
      })
    }
  })

const pasted = (text: string, redirectUri: string): Effect.Effect<URLSearchParams, AuthorizeUserError> => {
  const address = text.trim()
  return address.startsWith(`${redirectUri}?`)
    ? Effect.succeed(new URLSearchParams(address.slice(redirectUri.length).replace(/#.*$/s, "")))
    : Effect.fail(failure("Cancelled", `what was pasted is no address that starts with ${redirectUri}?`))
}

/**
 * For machines without a browser: the URL is shown, opened elsewhere, and the address to which that browser was finally
 * sent, which need not load, is pasted back. `redirectUri` should be a loopback address on which nobody listens.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { AuthorizeUser } from "effect-mcp-auth/client"
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 *
 * const paste = AuthorizeUser.layerPaste({
 *   redirectUri: "http://127.0.0.1:4711/callback",
 *   show: (url) => Console.log(`Open ${url} and paste the address you end up at:`),
 *   read: Effect.succeed("http://127.0.0.1:4711/callback?code=c&state=s")
 * })
 * ```
 */
export const layerPaste = (options: {
  readonly redirectUri: string
  readonly show: (url: string) => Effect.Effect<void>
  readonly read: Effect.Effect<string, AuthorizeUserError>
  readonly timeout?: Duration.DurationInput | undefined
}): Layer.Layer<AuthorizeUser> =>
  layer({
    redirectUri: options.redirectUri,
    authorize: (url) =>
      options.show(url).pipe(
        Effect.zipRight(options.read),
        Effect.flatMap((text) => pasted(text, options.redirectUri)),
        within(options.timeout ?? "15 minutes")
      )
  })

/**
 * For work in the background: nobody is ever asked, and what would need a person fails with `PromptForbidden`. Tokens
 * that are held are still used and refreshed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerForbidden: Layer.Layer<AuthorizeUser> = Layer.succeed(AuthorizeUser, {
  begin: Effect.fail(failure("PromptForbidden", "a sign-in is needed, and this program may not ask for one")),
  mayAsk: Effect.succeed(false)
})
