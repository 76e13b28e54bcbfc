/**
 * Where a client's access tokens come from: the whole seam between HTTP and OAuth, two verbs wide.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { displayUrl } from "../discovery/GuardedHttp.js"
import { insecureUrl } from "../protocol/Loopback.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import type { AccessToken } from "./AccessToken.js"
import * as AuthorizationCodeSource from "./AuthorizationCodeSource.js"
import type * as AuthorizeUser from "./AuthorizeUser.js"
import * as ClientCredentialsSource from "./ClientCredentialsSource.js"
import { AccessRefused, type ClientError, DiscoveryFailed, fail } from "./ClientError.js"
import * as DeviceSource from "./DeviceSource.js"
import * as Refusal from "./Refusal.js"
import * as Revocation from "./Revocation.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * Gives the tokens of one resource.
 *
 * - `resource`: the URL of the MCP endpoint. No token goes anywhere but there and below (same origin, path at a segment
 *   boundary), and no refusal from elsewhere is answered.
 * - `current`: the token to send, `None` where there is none yet or it has expired. It may refresh, and never asks a
 *   person.
 * - `renew`: called with a refusal and the token that was sent, gives the one to send instead. Called for one refused
 *   token by many, it renews once.
 * - `signOut`: gives up what is held, for sources that hold something; see {@link signOut}
 *
 * @since 0.1.0
 * @category services
 * @example
 * ```ts
 * import { TokenSource } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Option from "effect/Option"
 * import * as Redacted from "effect/Redacted"
 *
 * // Tokens that another program of yours keeps fresh.
 * const fetchToken = Effect.succeed({ value: Redacted.make("token"), type: "Bearer" as const, scopes: [] })
 *
 * const custom = Layer.succeed(TokenSource.TokenSource, {
 *   resource: "https://mcp.example.com/mcp",
 *   current: Effect.map(fetchToken, Option.some),
 *   renew: () => fetchToken
 * })
 * ```
 */
export class TokenSource extends Context.Tag("effect-mcp-auth/client/TokenSource")<
  TokenSource,
  {
    readonly resource: string
    readonly current: Effect.Effect<Option.Option<AccessToken>, ClientError>
    readonly renew: (
      refusal: Refusal.Refusal,
      used: Option.Option<AccessToken>
    ) => Effect.Effect<AccessToken, ClientError>
    readonly signOut?: Effect.Effect<Revocation.SignedOut, ClientError> | undefined
  }
>() {}

/**
 * Signs out: the tokens are revoked where the authorization server can (RFC 7009), and then forgotten, here and in the
 * store, whatever came of it. What it gives says which of them could be revoked; one that could not be lives until it
 * expires. The registration of the client is kept. The next refusal starts a sign-in.
 *
 * It is done within about a minute even where the server is out of order, and interrupting it forgets the tokens all the
 * same. Fails only where the store does. A source that holds nothing of its own, such as a static one, has nothing to
 * revoke and nothing to forget.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { TokenSource } from "effect-mcp-auth/client"
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 *
 * const leave = Effect.flatMap(TokenSource.signOut, ({ accessToken, refreshToken }) =>
 *   Console.log(`refresh token: ${refreshToken._tag}, access token: ${accessToken._tag}`)
 * )
 * ```
 */
export const signOut: Effect.Effect<Revocation.SignedOut, ClientError, TokenSource> = Effect.flatMap(
  TokenSource,
  (source) => source.signOut ?? Effect.succeed(Revocation.nobody)
)

/**
 * The options of {@link layerAuthorizationCode}.
 *
 * @since 0.1.0
 * @category models
 */
export type AuthorizationCodeOptions = AuthorizationCodeSource.Options

/**
 * The options of {@link layerDeviceAuthorization}.
 *
 * @since 0.1.0
 * @category models
 */
export type DeviceAuthorizationOptions = DeviceSource.Options

/**
 * The options of {@link layerClientCredentials}.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientCredentialsOptions = ClientCredentialsSource.Options

/**
 * A token is sent there, so it has to be a place to which one may be sent.
 *
 * @internal
 */
export const checked = (options: {
  readonly resource: string
  readonly resourceMetadataUrl?: string | undefined
}): Effect.Effect<string, DiscoveryFailed> => {
  const { resource, resourceMetadataUrl = resource } = options
  const refuse = (detail: string) =>
    Effect.fail(
      new DiscoveryFailed({
        endpoint: displayUrl(resource),
        reason: "InvalidResource",
        detail,
        rule: "RFC 8707 section 2, OAuth 2.1 section 1.5"
      })
    )
  const broken = ResourceIdentifier.violation(resource) ?? insecureUrl(resource)
  if (broken !== undefined) return refuse(`the resource ${broken}`)
  const elsewhere = insecureUrl(resourceMetadataUrl)
  return elsewhere === undefined ? Effect.succeed(resource) : refuse(`the resourceMetadataUrl ${elsewhere}`)
}

/**
 * One token that the application was given, such as a personal access token. It cannot be renewed: a refusal is final,
 * `AccessRefused` with `NotRenewable`. Fails to build where the resource is not an https URL (or http on loopback).
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStatic = <E = never, R = never>(options: {
  readonly resource: string
  readonly token: Redacted.Redacted<string> | Effect.Effect<Redacted.Redacted<string>, E, R>
}): Layer.Layer<TokenSource, DiscoveryFailed | E, R> =>
  Layer.effect(
    TokenSource,
    Effect.gen(function* () {
      const resource = yield* checked(options)
      const value = Effect.isEffect(options.token) ? yield* options.token : options.token
      return {
        resource,
        current: Effect.succeedSome({ value, type: "Bearer" as const, scopes: [] }),
        renew: (refusal: Refusal.Refusal) =>
          fail(
            (trace) =>
              new AccessRefused({
                url: displayUrl(refusal.url),
                status: refusal.status,
                reason: "NotRenewable",
                scopes: Refusal.scopes(refusal),
                detail: "the token that the application was given is refused, and there is no other",
                rule: "RFC 6750 section 3.1",
                trace
              })
          )
      }
    })
  )

/**
 * Tokens by the authorization code flow with PKCE, starting from nothing but the URL of the MCP endpoint: the first
 * refusal leads through discovery and registration to a prompt, later ones to a refresh or to a step up.
 *
 * Needs a client that is *not* itself authorized, a store, and a way to ask a person.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { HttpClientAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
 * import { NodeAuthorizeUser } from "effect-mcp-auth/node"
 * import * as Layer from "effect/Layer"
 *
 * const authorized = HttpClientAuth.layer().pipe(
 *   Layer.provide(TokenSource.layerAuthorizationCode({ resource: "https://mcp.example.com/mcp" })),
 *   Layer.provide([NodeAuthorizeUser.layer(), TokenStore.layerMemory, FetchHttpClient.layer])
 * )
 * ```
 */
export const layerAuthorizationCode = (
  options: AuthorizationCodeOptions
): Layer.Layer<
  TokenSource,
  DiscoveryFailed,
  HttpClient.HttpClient | AuthorizeUser.AuthorizeUser | TokenStore.TokenStore
> =>
  Layer.scoped(
    TokenSource,
    Effect.flatMap(checked(options), (resource) =>
      Effect.map(AuthorizationCodeSource.make(options), (source) => ({ resource, ...source }))
    )
  )

/**
 * Tokens by device authorization (RFC 8628), for programs without a browser and without a way back from one: the person
 * is shown an address and a code, enters the code on whatever machine has a browser, and the program asks until the
 * answer is there. Everything else is as with {@link layerAuthorizationCode}.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { TokenSource, TokenStore } from "effect-mcp-auth/client"
 * import * as Console from "effect/Console"
 * import * as Layer from "effect/Layer"
 *
 * const device = TokenSource.layerDeviceAuthorization({
 *   resource: "https://mcp.example.com/mcp",
 *   show: ({ userCode, verificationUri }) => Console.log(`Open ${verificationUri} and enter ${userCode}`)
 * }).pipe(Layer.provide([TokenStore.layerMemory, FetchHttpClient.layer]))
 * ```
 */
export const layerDeviceAuthorization = (
  options: DeviceAuthorizationOptions
): Layer.Layer<TokenSource, DiscoveryFailed, HttpClient.HttpClient | TokenStore.TokenStore> =>
  Layer.scoped(
    TokenSource,
    Effect.flatMap(checked(options), (resource) =>
      Effect.map(DeviceSource.make(options), (source) => ({ resource, ...source }))
    )
  )

/**
 * Tokens that the client obtains for itself with the credentials it was given, without a person. Discovery is the same,
 * and so are its checks. Nothing is stored: a token is one request away.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { TokenSource } from "effect-mcp-auth/client"
 * import * as Redacted from "effect/Redacted"
 *
 * const machine = TokenSource.layerClientCredentials({
 *   resource: "https://mcp.example.com/mcp",
 *   credentials: [{ issuer: "https://as.example", clientId: "job", clientSecret: Redacted.make("secret") }]
 * })
 * ```
 */
export const layerClientCredentials = (
  options: ClientCredentialsOptions
): Layer.Layer<TokenSource, DiscoveryFailed, HttpClient.HttpClient> =>
  Layer.scoped(
    TokenSource,
    Effect.flatMap(checked(options), (resource) =>
      Effect.map(ClientCredentialsSource.make(options), (source) => ({ resource, ...source }))
    )
  )
