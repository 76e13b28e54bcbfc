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
 *   challenges. It is put before those that are neither URIs nor OpenID Connect's own, and taken away wherever it is met,
 *   also in metadata and challenges.
 * - `scopeOfAll`: the scope that stands for all that the client has been given, and beside which no other of the resource
 *   may be asked for
 * - `scopesOnRefresh`: whether a refresh names the scopes of the grant. Without, it means all of them (OAuth 2.1 §4.3.1).
 * - `offlineNeedsConsent`: whether `prompt=consent` goes with `offline_access` (OpenID Connect Core §11)
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerProfile {
  readonly assumesPkce: boolean
  readonly resourceParameter: "resource" | "audience" | undefined
  readonly scopePrefix: string
  readonly scopeOfAll: string | undefined
  readonly scopesOnRefresh: boolean
  readonly offlineNeedsConsent: boolean
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
  scopeOfAll: undefined,
  scopesOnRefresh: false,
  offlineNeedsConsent: true
}

/**
 * Microsoft Entra ID, version 2.0: it refuses a `resource` beside scopes (AADSTS9010010), does PKCE without saying so, and
 * has short scopes in tokens which requests name in full. Put the URI of the resource's application, and a slash, into
 * `scopePrefix`.
 *
 * It registers no clients, so bring `preRegistered` credentials, under the issuer of one tenant; `common` is none. A client
 * that acts for itself may ask for `.default` only. That it gives refresh tokens without `prompt=consent` matters: with
 * it, it asks for an administrator's approval that is there already.
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
  scopeOfAll: ".default",
  scopesOnRefresh: true,
  offlineNeedsConsent: false
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

/** No colon makes a URI: `mcp:read` is a scope like any other. */
const isPrefixed = (scope: string): boolean => !ownOfOpenId.includes(scope) && !/\/|^urn:/.test(scope)

/**
 * Scopes as the resource calls them, each once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shorten = ({ scopePrefix }: ServerProfile, scopes: ReadonlyArray<string>): ReadonlyArray<string> =>
  Scopes.union(
    scopes.map((scope) => {
      const short = scope.startsWith(scopePrefix) ? scope.slice(scopePrefix.length) : ""
      return short !== "" && isPrefixed(short) ? short : scope
    })
  )

/**
 * The scopes that are asked for where all of these are wanted, as the resource calls them.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { ServerProfile } from "effect-mcp-auth/client"
 *
 * const profile = { ...ServerProfile.entraId, scopePrefix: "api://3d5b6a2e/" }
 * console.log(ServerProfile.combine(profile, ["api://3d5b6a2e/read", "write", "read"])) // ["read", "write"]
 * console.log(ServerProfile.combine(profile, ["read", ".default", "offline_access"])) // [".default", "offline_access"]
 * ```
 */
export const combine = (profile: ServerProfile, scopes: ReadonlyArray<string>): ReadonlyArray<string> => {
  const short = shorten(profile, scopes)
  const isOfAll = (scope: string) => scope === profile.scopeOfAll || scope.endsWith(`/${profile.scopeOfAll}`)
  return short.some(isOfAll) ? short.filter((scope) => isOfAll(scope) || ownOfOpenId.includes(scope)) : short
}

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
export const parseScopes = (profile: ServerProfile, scope: string): ReadonlyArray<string> =>
  shorten(profile, Scopes.parse(scope))

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
  profile: ServerProfile,
  granted: ReadonlyArray<string>,
  requested: ReadonlyArray<string>
): ReadonlyArray<string> | undefined =>
  profile.scopesOnRefresh
    ? combine(profile, [...granted, ...requested.filter((scope) => scope === "offline_access")])
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
  ...(profile.scopeOfAll === undefined ? [] : [`${profile.scopeOfAll} is asked for without others`]),
  ...(profile.scopesOnRefresh ? ["a refresh names its scopes"] : []),
  ...(profile.offlineNeedsConsent ? [] : ["offline_access needs no consent"])
]
