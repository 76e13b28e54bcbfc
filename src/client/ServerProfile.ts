/**
 * What an authorization server does otherwise than the MCP specification asks, as data: the client's counterpart of the
 * server's `TokenProfile`.
 *
 * @since 0.1.0
 */
import * as Scopes from "../protocol/Scopes.js"

/**
 * How to speak with an authorization server.
 *
 * - `assumesPkce`: PKCE with S256 is taken to work although the metadata does not say so. The specification has a client
 *   refuse such a server (OAuth 2.1 §7.5.2); say it only of one that you know.
 * - `resourceParameter`: by which parameter it is told what a token is for: `resource` (RFC 8707), `audience`, or none.
 *   With none the scopes have to tell, and nothing but the resource's own audience check keeps the token of one resource
 *   out of another.
 * - `scopePrefix`: what stands before the scopes of the resource in requests and answers, and not in tokens and
 *   challenges. It is put before those that are neither URIs nor OpenID Connect's own.
 * - `scopesOnRefresh`: whether a refresh names the scopes of the grant. Without, it means all of them (OAuth 2.1 §4.3.1).
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerProfile {
  readonly assumesPkce: boolean
  readonly resourceParameter: "resource" | "audience" | undefined
  readonly scopePrefix: string
  readonly scopesOnRefresh: boolean
}

/**
 * The profiles of the authorization servers that need one, by issuer.
 *
 * @since 0.1.0
 * @category models
 */
export type ServerProfiles = Readonly<Record<string, ServerProfile>>

/**
 * The specification to the letter. The default.
 *
 * @since 0.1.0
 * @category profiles
 */
export const standard: ServerProfile = {
  assumesPkce: false,
  resourceParameter: "resource",
  scopePrefix: "",
  scopesOnRefresh: false
}

/**
 * Microsoft Entra ID, version 2.0: it refuses a `resource` beside scopes (AADSTS9010010), does PKCE without saying so, and
 * has short scopes in tokens which requests name in full. Put the URI of the resource's application, and a slash, into
 * `scopePrefix`, unless the resource's metadata and challenges name its scopes in full.
 *
 * @since 0.1.0
 * @category profiles
 * @example
 * ```ts
 * import { ServerProfile } from "effect-mcp-auth/client"
 *
 * export const serverProfiles = {
 *   "https://login.microsoftonline.com/5ba1e6f4-9ac6-4e3a-8b39-9a9a4f6b7a01/v2.0": {
 *     ...ServerProfile.entraId,
 *     scopePrefix: "api://3d5b6a2e-1f0c-4e64-8d8a-0b7c3f9d2c11/"
 *   }
 * }
 * ```
 */
export const entraId: ServerProfile = {
  assumesPkce: true,
  resourceParameter: undefined,
  scopePrefix: "",
  scopesOnRefresh: true
}

/**
 * Auth0 where its resource parameter compatibility profile is off: `audience` names the API.
 *
 * @since 0.1.0
 * @category profiles
 */
export const auth0: ServerProfile = { ...standard, resourceParameter: "audience" }

/**
 * The profile of an issuer, {@link standard} where none is given.
 *
 * @since 0.1.0
 * @category accessors
 */
export const of = (profiles: ServerProfiles | undefined, issuer: string): ServerProfile =>
  profiles !== undefined && Object.hasOwn(profiles, issuer) ? (profiles[issuer] ?? standard) : standard

/** OpenID Connect Core §5.4 and §11: the same at every server. */
const ownOfOpenId = ["openid", "profile", "email", "address", "phone", "offline_access"]

const isPrefixed = (scope: string): boolean => !ownOfOpenId.includes(scope) && !/[:/]/.test(scope)

/**
 * Scopes as this server is asked for them: the `scope` parameter, or `undefined` where there are none.
 *
 * @since 0.1.0
 * @category rendering
 * @example
 * ```ts
 * import { ServerProfile } from "effect-mcp-auth/client"
 *
 * const profile = { ...ServerProfile.entraId, scopePrefix: "api://3d5b6a2e/" }
 * console.log(ServerProfile.renderScopes(profile, ["read", "offline_access"])) // api://3d5b6a2e/read offline_access
 * console.log(ServerProfile.parseScopes(profile, "api://3d5b6a2e/read")) // ["read"]
 * ```
 */
export const renderScopes = ({ scopePrefix }: ServerProfile, scopes: ReadonlyArray<string>): string | undefined =>
  scopes.length === 0
    ? undefined
    : Scopes.render(scopes.map((scope) => (isPrefixed(scope) ? `${scopePrefix}${scope}` : scope)))

/**
 * The scopes of a `scope` parameter of this server, as the resource calls them.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parseScopes = ({ scopePrefix }: ServerProfile, scope: string): ReadonlyArray<string> =>
  Scopes.parse(scope).map((name) =>
    scopePrefix !== "" && name.length > scopePrefix.length && name.startsWith(scopePrefix)
      ? name.slice(scopePrefix.length)
      : name
  )

/**
 * The parameters that tell what a token is for.
 *
 * @since 0.1.0
 * @category rendering
 */
export const target = (
  { resourceParameter }: ServerProfile,
  resource: string | undefined
): Readonly<Record<string, string>> =>
  resource === undefined || resourceParameter === undefined ? {} : { [resourceParameter]: resource }

/**
 * The scopes that a refresh names, if it does: those that were granted, and `offline_access` where it was asked for, because
 * few servers list it among those they granted.
 *
 * @since 0.1.0
 * @category rendering
 */
export const refreshScopes = (
  { scopesOnRefresh }: ServerProfile,
  granted: ReadonlyArray<string>,
  requested: ReadonlyArray<string>
): ReadonlyArray<string> | undefined =>
  scopesOnRefresh
    ? Scopes.union(
        granted,
        requested.filter((scope) => scope === "offline_access")
      )
    : undefined

/**
 * What a profile does otherwise, for a trace. Empty for {@link standard}.
 *
 * @since 0.1.0
 * @category rendering
 */
export const describe = (profile: ServerProfile): ReadonlyArray<string> => [
  ...(profile.assumesPkce ? ["PKCE is taken for granted"] : []),
  ...(profile.resourceParameter === "resource"
    ? []
    : [profile.resourceParameter === undefined ? "no parameter names the resource" : "audience names the resource"]),
  ...(profile.scopePrefix === "" ? [] : [`scopes begin with ${profile.scopePrefix}`]),
  ...(profile.scopesOnRefresh ? ["a refresh names its scopes"] : [])
]
