/**
 * Tokens by the device authorization grant (RFC 8628): for programs on machines where no browser and no redirect is.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AuthorizeUserError } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as DeviceAuthorization from "./DeviceAuthorization.js"
import * as SignIn from "./SignIn.js"
import * as SignInSource from "./SignInSource.js"
import * as StoredGrant from "./StoredGrant.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What there is to say beyond the options of every source: how the code reaches the person. `show` is called once per
 * sign-in; what it waits for holds up the questions, so print, and come back. Authorization servers that offer no device
 * authorization are passed over.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends SignIn.Options {
  readonly show: (prompt: DeviceAuthorization.DevicePrompt) => Effect.Effect<void, AuthorizeUserError>
}

/**
 * The source for one endpoint.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<SignInSource.SignInSource, never, HttpClient.HttpClient | TokenStore.TokenStore | Scope.Scope> => {
  const { registration = {}, show } = options

  const ask = (request: SignIn.Request) =>
    Effect.gen(function* () {
      const { resource, scopes, server } = request
      const { metadata, tokenEndpoint } = server
      const { device_authorization_endpoint: endpoint = "", issuer } = metadata
      // No redirect, so none is registered.
      const client = yield* ClientRegistration.obtain(registration, metadata, "")
      const forget = (error: { readonly error: string }) =>
        error.error === "invalid_client" ? ClientRegistration.forget(client) : Effect.void
      const issued = yield* Effect.gen(function* () {
        const pending = yield* DeviceAuthorization.begin({ endpoint, client, resource, scopes })
        yield* show(pending.prompt)
        return yield* DeviceAuthorization.poll({ endpoint: tokenEndpoint, client, resource, scopes, pending })
      }).pipe(
        Effect.tapErrorTag("AuthorizationRefused", forget),
        Effect.tapErrorTag("TokenRefused", forget),
        Effect.withSpan("AuthorizeUser.authorize", { captureStackTrace: false, attributes: { issuer } })
      )
      return { grant: StoredGrant.make(SignIn.terms(request, client, ""), issued) }
    })

  return SignInSource.make(options, {
    need: { grant: "urn:ietf:params:oauth:grant-type:device_code" },
    ready: Effect.succeed(ask)
  })
}
