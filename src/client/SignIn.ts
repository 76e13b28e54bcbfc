/**
 * A way of signing in: what it needs of an authorization server, what a person is asked for, and how.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import type * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import * as Scopes from "../protocol/Scopes.js"
import type {
  AuthorizeUserError,
  ClientError,
  DiscoveryFailed,
  ResourceMismatch,
  TokenUnavailable
} from "./ClientError.js"
import type * as ClientRegistration from "./ClientRegistration.js"
import * as Refusal from "./Refusal.js"
import * as RenewalDecision from "./RenewalDecision.js"
import * as ServerDiscovery from "./ServerDiscovery.js"
import type * as StoredGrant from "./StoredGrant.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What every such source can be told. Only `resource`, the URL of the MCP endpoint, has no default.
 *
 * - `resourceMetadataUrl`: where the metadata of the resource is, for servers whose challenges do not say it and that
 *   publish it at none of the well-known places; a challenge that does counts before it
 * - `reachOf`: URLs that the application chose itself, where `resource` is one that a user named. What is fetched on the
 *   way to a token is then on the public network or where these are, not where `resource` is (RFC 9728 §7.7)
 * - `registration`: pre-registered credentials, a client ID metadata document, what to register with
 * - `scopes`: asked for where the challenge names none, and beside those that it names; by default what the resource's
 *   metadata lists
 * - `resourcePolicy`: which `resource` values are taken for this endpoint's, `covering` by default
 * - `selectAuthorizationServer`: the order in which to try those that the resource names
 * - `user`: keeps the grants of several people apart in one store
 * - `refreshMargin`: how long before its expiry a token is refreshed, 30 seconds by default
 * - `readThrough`: every use reads the store, so that what others do to the grant there, such as signing out, holds here
 *   at once; by default what this process holds is used until it is refused or due
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly resource: string
  readonly resourceMetadataUrl?: string | undefined
  readonly reachOf?: readonly [string, ...Array<string>] | undefined
  readonly registration?: ClientRegistration.Options | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly resourcePolicy?: ProtectedResourceMetadata.ResourcePolicy | undefined
  readonly selectAuthorizationServer?: ServerDiscovery.SelectAuthorizationServer | undefined
  readonly user?: string | undefined
  readonly refreshMargin?: Duration.DurationInput | undefined
  readonly readThrough?: boolean | undefined
}

/**
 * What the resource wants of a sign-in, as far as it has said so: `scopes` and where its metadata is, by its challenge,
 * and by `authentication` the parameters of a stronger authentication (RFC 9470).
 *
 * @since 0.1.0
 * @category models
 */
export interface Demand {
  readonly scopes: ReadonlyArray<string>
  readonly metadataUrl?: string | undefined
  readonly authentication?: Readonly<Record<string, string>> | undefined
}

/**
 * The demand of a refusal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const demandOf = (refusal: Refusal.Refusal): Demand => ({
  scopes: Refusal.scopes(refusal),
  metadataUrl: Refusal.metadataUrl(refusal),
  authentication: Refusal.authentication(refusal)
})

/**
 * What a person is to be asked for, and by whom.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly server: ServerDiscovery.AuthorizationServer
  readonly resource: string
  readonly scopes: ReadonlyArray<string>
  readonly authentication: Readonly<Record<string, string>> | undefined
}

type Attempt<A> = Effect.Effect<A, ClientError, GuardedHttp.GuardedHttp | TokenStore.TokenStore>

/**
 * A person has answered. Nothing interrupts what is left to do for the grant, because the answer serves once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answered {
  readonly grant: Attempt<StoredGrant.StoredGrant>
}

/**
 * How a person is asked, once that is ready.
 *
 * @since 0.1.0
 * @category models
 */
export type Ask = (request: Request) => Attempt<Answered>

/**
 * What a way of signing in needs. With `fallback`, an endpoint without metadata is taken for one of the 2025-03-26
 * revision.
 *
 * @since 0.1.0
 * @category models
 */
export interface Need {
  readonly need: ServerDiscovery.Need
  readonly fallback?: "2025-03-26" | undefined
}

/**
 * A way of signing in. `mayAsk` says whether anybody may be asked at all, true by default: who may not waits for no other
 * process that does. `ready` comes before anything is looked up, and fails where nobody can be asked; what it holds, such
 * as a port, it holds until the person has answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignIn extends Need {
  readonly mayAsk?: Effect.Effect<boolean> | undefined
  readonly ready: Effect.Effect<Ask, AuthorizeUserError, Scope.Scope>
}

/**
 * The metadata of the resource as it is now, and what is held of a grant that counts by it: one of another issuer or
 * resource does not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly metadata: ServerDiscovery.Resource
  readonly live: Option.Option<StoredGrant.StoredGrant>
}

/**
 * Reads the metadata anew, because a challenge may mean that it has changed. Fails as `ServerDiscovery.resource` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const find = (
  options: Options,
  { fallback }: Need,
  { metadataUrl }: Demand,
  stored: Option.Option<StoredGrant.StoredGrant>
): Effect.Effect<Found, DiscoveryFailed | ResourceMismatch | TokenUnavailable, GuardedHttp.GuardedHttp> =>
  Effect.map(
    ServerDiscovery.resource({
      endpoint: options.resource,
      challengeUrl: metadataUrl,
      metadataUrl: options.resourceMetadataUrl,
      policy: options.resourcePolicy,
      fallback
    }),
    (metadata) => ({
      metadata,
      live: Option.filter(
        stored,
        (grant) => metadata.authorization_servers.includes(grant.issuer) && grant.resource === metadata.resource
      )
    })
  )

/**
 * The request: the first authorization server that will do, and the scopes by `RenewalDecision.scopes`. Fails as
 * `ServerDiscovery.authorizationServer` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const request = (
  options: Options,
  { need }: Need,
  { live, metadata }: Found,
  { authentication, scopes: challenged }: Demand
): Effect.Effect<Request, DiscoveryFailed | TokenUnavailable, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { resource: endpoint, selectAuthorizationServer = ServerDiscovery.liveFirst } = options
    const grant = Option.getOrUndefined(live)
    const issuers = selectAuthorizationServer(metadata.authorization_servers, grant?.issuer)
    const server = yield* ServerDiscovery.authorizationServer(GuardedHttp.displayUrl(endpoint), issuers, {
      ...need,
      defaultEndpoints: !metadata.published
    })
    const scopes = RenewalDecision.scopes({
      challenged,
      configured: options.scopes,
      resourceSupports: metadata.scopes_supported,
      serverSupports: server.metadata.scopes_supported,
      before: grant === undefined ? [] : Scopes.union(grant.requestedScopes, grant.accessToken.scopes)
    })
    return { server, resource: metadata.resource, scopes, authentication }
  })

/**
 * The terms of the grant that a request is for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const terms = (
  { resource, scopes, server }: Pick<Request, "server" | "resource" | "scopes">,
  registration: ClientRegistration.ClientRegistration,
  redirectUri: string
): StoredGrant.Terms => ({
  issuer: registration.issuer,
  clientId: registration.clientId,
  resource,
  redirectUri,
  tokenEndpoint: server.tokenEndpoint,
  tokenEndpointAuthMethods: server.metadata.token_endpoint_auth_methods_supported,
  revocationEndpoint: server.metadata.revocation_endpoint,
  requestedScopes: scopes
})
