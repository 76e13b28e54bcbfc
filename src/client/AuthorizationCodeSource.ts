/**
 * Tokens by the authorization code flow: registered for, and asked of a person through a browser.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { insecureUrl } from "../protocol/Loopback.js"
import * as AuthorizationCode from "./AuthorizationCode.js"
import * as AuthorizeUser from "./AuthorizeUser.js"
import { AuthorizeUserError, fail } from "./ClientError.js"
import type * as SignIn from "./SignIn.js"
import * as SignInSource from "./SignInSource.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What there is to say beyond the options of every source.
 *
 * - `assumePkceAt`: issuers whose metadata forgets to say that they do PKCE
 * - `pushedRequests`: authorization requests are pushed (RFC 9126) to every server that offers it; `required` does it
 *   only where the server insists
 * - `fallback`: `"2025-03-26"` reaches servers of that revision, which publish no protected resource metadata. Where all
 *   of its places answer 404, the origin of the endpoint is taken for the issuer, and where that publishes no metadata
 *   either, `/authorize`, `/token` and `/register` are taken for its endpoints, and PKCE for granted. Off by default:
 *   nothing of it can be verified.
 * - `authorizationParameters`: further parameters of the authorization request, such as `prompt` or `login_hint`
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends SignIn.Options {
  readonly assumePkceAt?: ReadonlyArray<string> | undefined
  readonly pushedRequests?: "offered" | "required" | undefined
  readonly fallback?: "2025-03-26" | undefined
  readonly authorizationParameters?: Readonly<Record<string, string>> | undefined
}

/**
 * A redirect URI that nobody else on the way can read (OAuth 2.1 §2.3.1), or `AuthorizeUserError`, `Unsupported`.
 *
 * @since 0.1.0
 * @category validation
 */
export const checkedRedirectUri = (redirectUri: string): Effect.Effect<void, AuthorizeUserError> => {
  const broken = insecureUrl(redirectUri)
  return broken === undefined
    ? Effect.void
    : Effect.fail(
        new AuthorizeUserError({
          reason: "Unsupported",
          detail: `the redirect URI ${broken}`,
          rule: "OAuth 2.1 section 2.3.1"
        })
      )
}

/**
 * What the flow needs of an authorization server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const need = ({ assumePkceAt, fallback, pushedRequests }: Omit<Options, "resource">): SignIn.Need => ({
  need: { grant: "authorization_code", assumePkceAt, pushedRequests },
  fallback
})

const withTrace = Effect.catchAll((error: AuthorizeUserError) =>
  fail((trace) => new AuthorizeUserError({ ...error, trace }))
)

/**
 * The source for one endpoint, over the way of asking a person that the environment has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<
  SignInSource.SignInSource,
  never,
  HttpClient.HttpClient | AuthorizeUser.AuthorizeUser | TokenStore.TokenStore | Scope.Scope
> =>
  Effect.flatMap(AuthorizeUser.AuthorizeUser, (user) => {
    const ask = (prompt: AuthorizeUser.Prompt) => (request: SignIn.Request) =>
      Effect.gen(function* () {
        const { client, pending, url } = yield* AuthorizationCode.begin(options, request, prompt.redirectUri)
        const response = yield* prompt.authorize(url).pipe(
          withTrace,
          Effect.withSpan("AuthorizeUser.authorize", {
            captureStackTrace: false,
            attributes: { issuer: pending.terms.issuer }
          })
        )
        return { grant: AuthorizationCode.complete(pending, response, client) }
      })
    return SignInSource.make(options, {
      ...need(options),
      mayAsk: user.mayAsk,
      ready: user.begin.pipe(
        Effect.tap(({ redirectUri }) => checkedRedirectUri(redirectUri)),
        withTrace,
        Effect.map(ask)
      )
    })
  })
