/**
 * What the revision of 2025-03-26 had in the place of protected resource metadata: the origin of the MCP endpoint is the
 * issuer, and one that publishes no metadata has its endpoints at fixed paths. Nothing here is found out, so it is taken
 * only where the application asks for it by name.
 *
 * @since 0.1.0
 */
import type { AuthorizationServerMetadata } from "../discovery/AuthorizationServerMetadata.js"
import type { ProtectedResourceMetadata } from "../discovery/ProtectedResourceMetadata.js"
import * as Pkce from "../protocol/Pkce.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"

/**
 * What is taken for the metadata of an endpoint that publishes none: the resource is the endpoint itself in its canonical
 * form, the issuer its origin. Servers of that time wrote their issuer with a final slash as often as without, and the document is at one and
 * the same place for both.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { OriginDiscovery } from "effect-mcp-auth/client"
 *
 * console.log(OriginDiscovery.protectedResource("https://mcp.example.com/mcp").authorization_servers)
 * // ["https://mcp.example.com", "https://mcp.example.com/"]
 * ```
 */
export const protectedResource = (endpoint: string): ProtectedResourceMetadata => {
  const resource = ResourceIdentifier.canonical(endpoint)
  const { origin = "", path, query } = ResourceIdentifier.parts(resource) ?? {}
  // A URL parser put the slash behind a bare origin (MCP authorization, canonical server URI).
  const isBare = path === "/" && query === ""
  return { resource: isBare ? origin : resource, authorization_servers: [origin, `${origin}/`] }
}

/**
 * What requests for the metadata of such an issuer carry: the revision that is spoken.
 *
 * @since 0.1.0
 * @category constants
 */
export const headers: Readonly<Record<string, string>> = { "mcp-protocol-version": "2025-03-26" }

/**
 * What is taken for the metadata of an origin that publishes none: `/authorize`, `/token` and `/register`, and PKCE,
 * which that revision required of everybody.
 *
 * @since 0.1.0
 * @category constructors
 */
export const authorizationServer = (issuer: string): AuthorizationServerMetadata => {
  const origin = issuer.replace(/\/$/, "")
  return {
    issuer,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    code_challenge_methods_supported: [Pkce.method],
    // A server that registers another method says so in its answer, and that counts.
    token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"]
  }
}
