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
  /** What the caller has, where the challenge of a 403 is to repeat it. */
  readonly grantedScopes?: ReadonlyArray<string> | undefined
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

/** `error` and `error_description` hold printable ASCII but for `"` and `\` (RFC 6750 section 3, RFC 6749 section 5.2). */
const legal = (text: string): string =>
  text
    .replace(/\p{Cc}/gu, " ")
    .replace(/[^ -~]/gu, "?")
    .replace(/"/g, "'")
    .replace(/\\/g, "/")

/** What a challenge may name: a resource has no use for refresh tokens (MCP, refresh tokens), whoever was granted them. */
const scopeOf = (scopes: ReadonlyArray<string>): string =>
  Scopes.render(scopes.filter((scope) => Scopes.isScopeToken(scope) && scope !== "offline_access"))

/** Parameters that are not for an error to choose. */
const OWN = ["error", "error_description", "resource_metadata", "scope"]

const MAX_RETRY_AFTER = 24 * 60 * 60

/** A number of seconds that a header may hold, whatever was asked for. */
const seconds = (retryAfter: number): number =>
  Number.isNaN(retryAfter) ? 1 : Math.min(Math.max(1, Math.ceil(retryAfter)), MAX_RETRY_AFTER)

const bearer = (parameters: ReadonlyArray<readonly [string, string | undefined]>): string =>
  WwwAuthenticate.render([
    {
      scheme: "Bearer",
      parameters: Object.fromEntries(
        parameters.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "")
      )
    }
  ])

/** The code and the description of a refusal: all that its body says. */
const described = (error: string, error_description: string): Refusal["body"] => ({ error, error_description })

/**
 * The body of a refusal. It depends on nothing but the refusal.
 *
 * @since 0.1.0
 * @category rendering
 */
export const body = (error: AuthError): Refusal["body"] => {
  switch (error._tag) {
    case "Missing":
      return described("invalid_token", "Authorization required")
    case "InvalidToken":
      return described(
        legal(error.code ?? "") || "invalid_token",
        legal(error.description ?? "The access token is not valid")
      )
    case "InsufficientScope":
      return described(
        "insufficient_scope",
        legal(error.description ?? "The access token lacks scopes that this operation needs")
      )
    case "InvalidRequest":
      return described("invalid_request", legal(error.description))
    case "ServerError":
      return described("server_error", error.retryAfter === undefined ? "Internal Server Error" : "Service Unavailable")
  }
}

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
  const scope = ["scope", scopeOf(config.challengeScopes ?? required ?? [])] as const
  const described = body(error)
  const code = ["error", described.error] as const
  const description = ["error_description", described.error_description] as const
  switch (error._tag) {
    case "Missing": {
      const needed = [
        "scope",
        scopeOf(Scopes.union(error.required ?? [], config.challengeScopes ?? required ?? []))
      ] as const
      return { status: 401, wwwAuthenticate: bearer([metadata, needed]), body: described }
    }
    case "InvalidToken": {
      const parameters = Object.entries(error.parameters ?? {}).filter(([name]) => !OWN.includes(name.toLowerCase()))
      return {
        status: 401,
        wwwAuthenticate: bearer([code, description, metadata, scope, ...parameters]),
        body: described
      }
    }
    case "InsufficientScope": {
      // The operation needs what every request needs, too: a client of 2025-11-25 asks for the challenge's set and for
      // nothing else, and would come back with a token that has lost the rest.
      const all = Scopes.union(error.required, required ?? [])
      const named = Scopes.union(all.length > 0 ? all : (config.scopesSupported ?? []), hints.grantedScopes ?? [])
      const needed = ["scope", scopeOf(named)] as const
      return { status: 403, wwwAuthenticate: bearer([code, needed, metadata, description]), body: described }
    }
    case "InvalidRequest":
      return { status: 400, wwwAuthenticate: bearer([code, description, metadata]), body: described }
    case "ServerError":
      return error.retryAfter === undefined
        ? { status: 500, body: described }
        : { status: 503, retryAfter: seconds(error.retryAfter), body: described }
  }
}
