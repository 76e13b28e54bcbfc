/**
 * The authorization request (OAuth 2.1 §4.1.1) as a URL.
 *
 * @since 0.1.0
 */
import { insecureUrl } from "./Loopback.js"
import { method } from "./Pkce.js"
import { violation } from "./ResourceIdentifier.js"

const RESERVED = [
  "response_type",
  "client_id",
  "redirect_uri",
  "code_challenge",
  "code_challenge_method",
  "state",
  "resource",
  "scope",
  "request",
  "request_uri"
]

/**
 * What a request says. `resource` is sent as it is (RFC 8707); `extra` is for parameters of extensions, such as
 * `prompt` or `acr_values`, and neither replaces nor supplies one of the others. Nor is it for `request` and
 * `request_uri`, which would override them all (RFC 9101).
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationRequest {
  readonly clientId: string
  readonly redirectUri: string
  readonly codeChallenge: string
  readonly state: string
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  readonly extra?: Readonly<Record<string, string>> | undefined
}

/**
 * The parameters of a request, in a fixed order. Pushed authorization requests send these in a body.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parameters = (request: AuthorizationRequest): ReadonlyArray<readonly [string, string]> => {
  const own: Array<readonly [string, string]> = [
    ["response_type", "code"],
    ["client_id", request.clientId],
    ["redirect_uri", request.redirectUri],
    ["code_challenge", request.codeChallenge],
    ["code_challenge_method", method],
    ["state", request.state]
  ]
  if (request.resource !== undefined) own.push(["resource", request.resource])
  if (request.scope !== undefined && request.scope !== "") own.push(["scope", request.scope])
  return [...own, ...Object.entries(request.extra ?? {}).filter(([name]) => !RESERVED.includes(name))]
}

/**
 * The rule that an authorization endpoint breaks: a secure absolute URL without a fragment (OAuth 2.1 §3.1), whose own
 * query sets no parameter of the request. `undefined` if it breaks none. Nothing else may reach a browser.
 *
 * @since 0.1.0
 * @category validation
 */
export const endpointViolation = (endpoint: string): string | undefined => {
  const violated = violation(endpoint) ?? insecureUrl(endpoint)
  if (violated !== undefined) return violated
  const { searchParams } = new URL(endpoint)
  const clash = RESERVED.find((name) => searchParams.has(name))
  return clash === undefined ? undefined : `must not set ${clash} in its own query`
}

/**
 * The URL to open. The endpoint's own query is kept (OAuth 2.1 §3.1). Check the endpoint with {@link endpointViolation}
 * first.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { AuthorizationRequest } from "effect-mcp-auth/protocol"
 *
 * const url = AuthorizationRequest.toUrl("https://as.example/auth?tenant=1", {
 *   clientId: "c1",
 *   redirectUri: "http://127.0.0.1:4711/callback",
 *   codeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
 *   state: "af0ifjsldkj",
 *   resource: "https://mcp.example.com/mcp"
 * })
 * console.log(url.startsWith("https://as.example/auth?tenant=1&response_type=code&client_id=c1")) // true
 * ```
 */
export const toUrl = (endpoint: string, request: AuthorizationRequest): string =>
  withQuery(endpoint, parameters(request))

/**
 * The URL to open once the request was pushed: nothing but who asks, and where the request is (RFC 9126 §4).
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { AuthorizationRequest } from "effect-mcp-auth/protocol"
 *
 * const pushed = { clientId: "c1", requestUri: "urn:ietf:params:oauth:request_uri:6esc" }
 * console.log(AuthorizationRequest.toPushedUrl("https://as.example/auth", pushed))
 * // https://as.example/auth?client_id=c1&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A6esc
 * ```
 */
export const toPushedUrl = (
  endpoint: string,
  pushed: { readonly clientId: string; readonly requestUri: string }
): string =>
  withQuery(endpoint, [
    ["client_id", pushed.clientId],
    ["request_uri", pushed.requestUri]
  ])

const withQuery = (endpoint: string, parameters: ReadonlyArray<readonly [string, string]>): string => {
  const query = new URLSearchParams(parameters.map(([name, value]) => [name, value])).toString()
  const start = endpoint.indexOf("?")
  const separator = start === -1 ? "?" : start === endpoint.length - 1 || endpoint.endsWith("&") ? "" : "&"
  return `${endpoint}${separator}${query}`
}
