/**
 * The well-known URLs of RFC 9728, RFC 8414 and OpenID Connect Discovery, in the order they are to be tried.
 *
 * @since 0.1.0
 */
import { parts } from "./ResourceIdentifier.js"

/**
 * The path of the document of an origin, and the prefix of all others on it (RFC 9728 §3).
 *
 * @since 0.1.0
 * @category constants
 */
export const protectedResourceRoot = "/.well-known/oauth-protected-resource"

/**
 * A place to look for protected resource metadata, and the `resource` values that make the document found there usable
 * (RFC 9728 §3.3).
 *
 * @since 0.1.0
 * @category models
 */
export interface ProtectedResourceCandidate {
  readonly url: string
  readonly resources: ReadonlyArray<string>
}

/**
 * The metadata URL of a resource: the well-known segment inserted between host and path (RFC 9728 §3.1). A path of `/`
 * counts as none; any other path and the query stay as they are.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { WellKnown } from "effect-mcp-auth/protocol"
 *
 * console.log(WellKnown.protectedResource("https://h.example/a/mcp"))
 * // https://h.example/.well-known/oauth-protected-resource/a/mcp
 * ```
 */
export const protectedResource = (resource: string): string => {
  const { origin, path, query } = parts(resource) ?? { origin: "", path: "", query: "" }
  return `${origin}${protectedResourceRoot}${path === "/" ? "" : path}${query}`
}

/**
 * The paths at which a server answers with the metadata of a resource: path-inserted, the same with the other form of
 * the final slash, and the root one. Each once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const protectedResourcePaths = (resource: string): ReadonlyArray<string> => {
  const path = (parts(resource)?.path ?? "").replace(/\/$/, "")
  const inserted = `${protectedResourceRoot}${path}`
  return Array.from(new Set([inserted, `${inserted}/`, protectedResourceRoot]))
}

/**
 * Where a client that was given no `resource_metadata` looks for the metadata of an MCP endpoint: path-inserted, then
 * at the root of the origin. The final slash of a path is left out first (RFC 9728 §3.1), then kept.
 *
 * @since 0.1.0
 * @category constructors
 */
export const protectedResourceCandidates = (endpoint: string): ReadonlyArray<ProtectedResourceCandidate> => {
  const split = parts(endpoint)
  if (split === undefined) return []
  const { origin, path, query } = split
  const root = { url: `${origin}${protectedResourceRoot}`, resources: [origin, `${origin}/`] }
  if (path === "" || path === "/") {
    return query === "" ? [root] : [{ url: `${root.url}${query}`, resources: [endpoint] }, root]
  }
  const forms = path.endsWith("/") && path !== "//" ? [path.slice(0, -1), path] : [path]
  return [
    ...forms.map((form) => ({
      url: `${origin}${protectedResourceRoot}${form}${query}`,
      resources: Array.from(new Set([endpoint, `${origin}${form}${query}`]))
    })),
    root
  ]
}

/**
 * Where the metadata of an authorization server can be, in order. With a path in the issuer: RFC 8414 insertion,
 * OpenID insertion, OpenID appending; the root is never asked, because it belongs to another issuer. Without: RFC 8414,
 * then OpenID.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { WellKnown } from "effect-mcp-auth/protocol"
 *
 * console.log(WellKnown.authorizationServer("https://as.example/t1")[2])
 * // https://as.example/t1/.well-known/openid-configuration
 * ```
 */
export const authorizationServer = (issuer: string): ReadonlyArray<string> => {
  const split = parts(issuer)
  if (split === undefined) return []
  const path = split.path.replace(/\/$/, "")
  const inserted = [
    `${split.origin}/.well-known/oauth-authorization-server${path}`,
    `${split.origin}/.well-known/openid-configuration${path}`
  ]
  return path === "" ? inserted : [...inserted, `${split.origin}${path}/.well-known/openid-configuration`]
}
