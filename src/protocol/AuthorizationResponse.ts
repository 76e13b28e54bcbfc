/**
 * The authorization response: `state`, the issuer table of RFC 9207, and only then what it says.
 *
 * @since 0.1.0
 */

/**
 * What was recorded when the request was made: nothing here may come from the response.
 *
 * @since 0.1.0
 * @category models
 */
export interface Expected {
  readonly state: string
  readonly issuer: string
  readonly issuerParameterSupported: boolean
}

/**
 * A response judged. `Invalid` names the rule; its text holds nothing that the response carried, because an unverified
 * `error_description` must not be shown (RFC 9207 §2.4).
 *
 * @since 0.1.0
 * @category models
 */
export type AuthorizationResponse =
  | { readonly _tag: "Granted"; readonly code: string }
  | { readonly _tag: "Refused"; readonly error: string; readonly description?: string }
  | { readonly _tag: "Invalid"; readonly rule: "state" | "issuer" | "duplicate" | "code"; readonly detail: string }

/**
 * Compares two strings in a time that depends on their lengths only.
 *
 * @since 0.1.0
 * @category predicates
 */
export const constantTimeEquals = (left: string, right: string): boolean => {
  let difference = left.length ^ right.length
  for (let i = 0; i < right.length; i++) difference |= left.charCodeAt(i) ^ right.charCodeAt(i)
  return difference === 0
}

const withoutControls = (text: string): string => text.replace(/\p{Cc}/gu, " ")

const invalid = (rule: "state" | "issuer" | "duplicate" | "code", detail: string): AuthorizationResponse => ({
  _tag: "Invalid",
  rule,
  detail
})

/**
 * Judges the parameters that arrived at the redirect URI. Order matters: a repeated parameter (RFC 6749 §3.1), then
 * `state`, then `iss` against the issuer recorded before the redirect, code point by code point, then `error` or `code`.
 * A missing or empty `state` is a wrong one, whatever was sent. Control characters in what an authorization server says
 * (RFC 6749 §4.1.2.1 allows none) become spaces, so that it may be written to a terminal.
 *
 * @since 0.1.0
 * @category validation
 * @example
 * ```ts
 * import { AuthorizationResponse } from "effect-mcp-auth/protocol"
 *
 * const judged = AuthorizationResponse.validate(
 *   new URLSearchParams("code=abc&state=xyz&iss=https%3A%2F%2Fas.example"),
 *   { state: "xyz", issuer: "https://as.example", issuerParameterSupported: true }
 * )
 * console.log(judged) // { _tag: "Granted", code: "abc" }
 * ```
 */
export const validate = (parameters: URLSearchParams, expected: Expected): AuthorizationResponse => {
  for (const name of ["state", "iss", "code", "error", "error_description", "error_uri"]) {
    if (parameters.getAll(name).length > 1) return invalid("duplicate", `${name} appears more than once`)
  }
  const state = parameters.get("state")
  if (state === null || state === "") return invalid("state", "the response has no state")
  if (!constantTimeEquals(state, expected.state)) return invalid("state", "the state is not the one that was sent")
  const issuer = parameters.get("iss")
  if (issuer === null && expected.issuerParameterSupported) {
    return invalid("issuer", `no iss, although ${expected.issuer} says that it sends one`)
  }
  if (issuer !== null && issuer !== expected.issuer) {
    return invalid("issuer", `iss is not ${expected.issuer}, the issuer that was asked`)
  }
  const error = parameters.get("error")
  if (error !== null) {
    const description = parameters.get("error_description")
    return {
      _tag: "Refused",
      error: withoutControls(error),
      ...(description === null ? {} : { description: withoutControls(description) })
    }
  }
  const code = parameters.get("code")
  return code === null || code === "" ? invalid("code", "the response has no code") : { _tag: "Granted", code }
}
