/**
 * A way of signing in: what it needs of an authorization server, how the person is asked, and what comes of it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import type * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import type { ClientError } from "./ClientError.js"
import type * as ClientRegistration from "./ClientRegistration.js"
import type * as ServerDiscovery from "./ServerDiscovery.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What every such source can be told. Only `resource`, the URL of the MCP endpoint, has no default.
 *
 * - `resourceMetadataUrl`: where the metadata of the resource is, for servers whose challenges do not say it and that
 *   publish it at none of the well-known places; a challenge that does counts before it
 * - `registration`: pre-registered credentials, a client ID metadata document, what to register with
 * - `scopes`: asked for where the challenge names none, and beside those that it names; by default what the resource's
 *   metadata lists
 * - `resourcePolicy`: which `resource` values are taken for this endpoint's, `covering` by default
 * - `selectAuthorizationServer`: the order in which to try those that the resource names
 * - `user`: keeps the grants of several people apart in one store
 * - `refreshMargin`: how long before its expiry a token is refreshed, 30 seconds by default
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly resource: string
  readonly resourceMetadataUrl?: string | undefined
  readonly registration?: ClientRegistration.Options | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly resourcePolicy?: ProtectedResourceMetadata.ResourcePolicy | undefined
  readonly selectAuthorizationServer?: ServerDiscovery.SelectAuthorizationServer | undefined
  readonly user?: string | undefined
  readonly refreshMargin?: Duration.DurationInput | undefined
}

/**
 * What a person is to be asked for. `authentication` are the parameters by which a challenge asks for a stronger
 * authentication (RFC 9470), if it does.
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

/**
 * What came of it. `redirectUri` is that of the registration, empty where there was none.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignedIn {
  readonly issued: TokenEndpoint.Issued
  readonly registration: ClientRegistration.ClientRegistration
  readonly redirectUri: string
}

/**
 * A way of signing in: what it needs of an authorization server, and how the person is asked. With `fallback`, an
 * endpoint without metadata is taken for one of the 2025-03-26 revision.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignIn {
  readonly need: ServerDiscovery.Need
  readonly fallback?: "2025-03-26" | undefined
  readonly ask: (
    request: Request
  ) => Effect.Effect<SignedIn, ClientError, GuardedHttp.GuardedHttp | TokenStore.TokenStore>
}
