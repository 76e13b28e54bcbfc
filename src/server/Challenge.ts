/**
 * From a refusal to what goes over the wire: status, challenge, body. Pure and total.
 *
 * @since 0.1.0
 */
import * as Scopes from "../protocol/Scopes.js"
import * as WwwAuthenticate from "../protocol/WwwAuthenticate.js"
import type { AuthConfig } from "./AuthConfig.js"
import type { AuthError } from "./AuthError.js"

/**
 * What is known of this request beyond the configuration. A field that is `null` could not be resolved: its parameter
 * is left out, and nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hints {
  readonly resourceMetadataUrl?: string | null | undefined
  readonly requiredScopes?: ReadonlyArray<string> | null | undefined
}

/**
 * A refusal as it is answered. `retryAfter` is in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 500 | 503
  readonly wwwAuthenticate?: string
  readonly retryAfter?: number
  readonly body: { readonly error: string; readonly error_description: string }
}

/** `error_description` may hold neither `"` nor `\` (RFC 6750 section 3), so they are replaced before they are escaped. */
const describe = (description: string): string => description.replace(/"/g, "'").replace(/\\/g, "/")

const bearer = (parameters: ReadonlyArray<readonly [string, string | undefined]>): string =>
  WwwAuthenticate.render([
    {
      scheme: "Bearer",
      parameters: Object.fromEntries(
        parameters.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "")
      )
    }
  ])

/**
 * Renders a refusal by the failure table:
 *
 * | failure | status | challenge |
 * |---|---|---|
 * | `Missing` | 401 | `resource_metadata`, `scope` |
 * | `InvalidToken` | 401 | `error`, `error_description`, `resource_metadata`, `scope` |
 * | `InsufficientScope` | 403 | `error`, `scope`, `resource_metadata`, `error_description` |
 * | `InvalidRequest` | 400 | `error`, `error_description`, `resource_metadata` |
 * | `ServerError` | 500, or 503 with `Retry-After` | none |
 *
 * @since 0.1.0
 * @category rendering
 * @example
 * ```ts
 * import { AuthConfig, AuthError, Challenge } from "effect-mcp-auth/server"
 *
 * const config = AuthConfig.unsafeMake({
 *   resource: "https://mcp.example.com/mcp",
 *   authorizationServers: "https://as.example.com"
 * })
 * console.log(Challenge.respond(AuthError.missing, config).wwwAuthenticate)
 * // Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
 * ```
 */
export const respond = (error: AuthError, config: AuthConfig, hints: Hints = {}): Refusal => {
  const url = hints.resourceMetadataUrl === undefined ? config.resourceMetadataUrl : hints.resourceMetadataUrl
  const metadata = ["resource_metadata", url ?? undefined] as const
  const required = hints.requiredScopes === undefined ? config.requiredScopes : hints.requiredScopes
  const scope = ["scope", Scopes.render(required ?? [])] as const
  switch (error._tag) {
    case "Missing":
      return {
        status: 401,
        wwwAuthenticate: bearer([metadata, scope]),
        body: { error: "invalid_token", error_description: "Authorization required" }
      }
    case "InvalidToken": {
      const code = error.code ?? "invalid_token"
      const description = describe(error.description ?? "The access token is not valid")
      return {
        status: 401,
        wwwAuthenticate: bearer([
          ["error", code],
          ["error_description", description],
          metadata,
          scope,
          ...Object.entries(error.parameters ?? {})
        ]),
        body: { error: code, error_description: description }
      }
    }
    case "InsufficientScope": {
      const description = describe(error.description ?? "The access token lacks scopes that this operation needs")
      const needed = [error.required, required ?? [], config.scopesSupported ?? []].find((scopes) => scopes.length > 0)
      return {
        status: 403,
        wwwAuthenticate: bearer([
          ["error", "insufficient_scope"],
          ["scope", Scopes.render((needed ?? []).filter(Scopes.isScopeToken))],
          metadata,
          ["error_description", description]
        ]),
        body: { error: "insufficient_scope", error_description: description }
      }
    }
    case "InvalidRequest": {
      const description = describe(error.description)
      return {
        status: 400,
        wwwAuthenticate: bearer([["error", "invalid_request"], ["error_description", description], metadata]),
        body: { error: "invalid_request", error_description: description }
      }
    }
    case "ServerError":
      return error.retryAfter === undefined
        ? { status: 500, body: { error: "server_error", error_description: "Internal Server Error" } }
        : {
            status: 503,
            retryAfter: Math.max(1, Math.ceil(error.retryAfter)),
            body: { error: "server_error", error_description: "Service Unavailable" }
          }
  }
}
