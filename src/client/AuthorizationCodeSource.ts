/**
 * Tokens by the authorization code flow: registered for, and asked of a person through a browser.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import { insecureUrl } from "../protocol/Loopback.js"
import * as AuthorizationCode from "./AuthorizationCode.js"
import * as AuthorizeUser from "./AuthorizeUser.js"
import { AuthorizeUserError, type ClientError, fail } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as RegistrationChoice from "./RegistrationChoice.js"
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

/** A person is asked by a program over a redirect that nobody else on the way can read. */
const checkedPrompt = (prompt: AuthorizeUser.Prompt): Effect.Effect<AuthorizeUser.Prompt, AuthorizeUserError> => {
  const broken = insecureUrl(prompt.redirectUri)
  return broken === undefined
    ? Effect.succeed(prompt)
    : Effect.fail(
        new AuthorizeUserError({
          reason: "Unsupported",
          detail: `the redirect URI ${broken}`,
          rule: "OAuth 2.1 section 2.3.1"
        })
      )
}

const withTrace = Effect.catchAll((error: AuthorizeUserError) =>
  fail((trace) => new AuthorizeUserError({ ...error, trace }))
)

const isInvalidClient = (error: ClientError): boolean =>
  error._tag === "AuthorizationRefused" && error.error === "invalid_client"

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
    const { assumePkceAt, authorizationParameters, fallback, pushedRequests, registration = {} } = options

    const push = (request: SignIn.Request, redirectUri: string) =>
      Effect.gen(function* () {
        const { authentication, resource, scopes, server } = request
        const client = yield* ClientRegistration.obtain(registration, server.metadata, redirectUri)
        const parameters = { ...authorizationParameters, ...authentication }
        const asked = { server, registration: client, redirectUri, resource, scopes, parameters }
        const prepared = yield* AuthorizationCode.prepare(asked)
        const open = AuthorizationCode.open(server, client, prepared)
        // One `invalid_client` is no proof that a registration is dead. Two are.
        const url = yield* Effect.catchIf(open, isInvalidClient, () =>
          Effect.tapErrorTag(open, "AuthorizationRefused", (error) =>
            isInvalidClient(error) ? ClientRegistration.forget(client) : Effect.void
          )
        )
        return { client, pending: prepared.pending, url }
      })

    /** A pushed request shows a dead registration before anybody was asked: it is made anew, once. */
    const begin = (request: SignIn.Request, redirectUri: string) => {
      const { metadata } = request.server
      const isDynamic = RegistrationChoice.choose(registration, metadata)._tag === "Dynamic"
      return Effect.catchIf(
        push(request, redirectUri),
        (error) => isDynamic && isInvalidClient(error),
        () =>
          Effect.zipRight(
            DiscoveryTrace.decide("register again", `${metadata.issuer} does not know the client any more`),
            push(request, redirectUri)
          )
      )
    }

    const ask = (request: SignIn.Request) =>
      Effect.gen(function* () {
        const { client, pending, redirectUri, response } = yield* Effect.gen(function* () {
          const prompt = yield* Effect.flatMap(user.begin, checkedPrompt).pipe(withTrace)
          const { redirectUri } = prompt
          const begun = yield* begin(request, redirectUri)
          const response = yield* prompt.authorize(begun.url).pipe(
            withTrace,
            Effect.withSpan("AuthorizeUser.authorize", {
              captureStackTrace: false,
              attributes: { issuer: begun.pending.issuer }
            })
          )
          return { ...begun, redirectUri, response }
        }).pipe(Effect.scoped)
        const issued = yield* Effect.tapErrorTag(
          AuthorizationCode.complete(pending, response, client),
          "TokenRefused",
          ({ error }) => (error === "invalid_client" ? ClientRegistration.forget(client) : Effect.void)
        )
        return { issued, registration: client, redirectUri }
      })

    return SignInSource.make(options, {
      need: { grant: "authorization_code", assumePkceAt, pushedRequests },
      fallback,
      ask
    })
  })
