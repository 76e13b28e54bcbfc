/**
 * The `Authorization` request header, read by its grammar (RFC 9110 §11.4, RFC 6750 §2.1, RFC 9449 §7.1).
 *
 * @since 0.1.0
 */

/**
 * What the header holds. `Missing` is no header, a blank token, or a scheme that is not one of ours; `Malformed` names
 * the rule that was broken: a scheme that is no token, or a token that is no `b64token`. Two `Bearer` headers that were
 * joined with a comma are malformed too.
 *
 * @since 0.1.0
 * @category models
 */
export type BearerCredentials =
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Malformed"; readonly rule: string }
  | { readonly _tag: "Credentials"; readonly scheme: "Bearer" | "DPoP"; readonly token: string }

const CREDENTIALS = /^ *(bearer|dpop) +([-A-Za-z0-9._~+/]+=*) *$/i
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const SCHEMES: ReadonlyMap<string, "Bearer" | "DPoP"> = new Map([
  ["bearer", "Bearer"],
  ["dpop", "DPoP"]
])
const missing: BearerCredentials = { _tag: "Missing" }
const malformedScheme: BearerCredentials = {
  _tag: "Malformed",
  rule: "the scheme must be a token, followed by a space (RFC 9110 section 11.4)"
}
const malformedToken: BearerCredentials = {
  _tag: "Malformed",
  rule: "the token must be one b64token (RFC 6750 section 2.1)"
}

/**
 * Reads the header. The scheme counts in any case; the token has to be one `b64token`.
 *
 * @since 0.1.0
 * @category parsing
 * @example
 * ```ts
 * import { BearerCredentials } from "effect-mcp-auth/protocol"
 *
 * console.log(BearerCredentials.parse("bearer abc")) // { _tag: "Credentials", scheme: "Bearer", token: "abc" }
 * console.log(BearerCredentials.parse("Basic abc")._tag) // "Missing"
 * console.log(BearerCredentials.parse("Bearer a b")._tag) // "Malformed"
 * ```
 */
export const parse = (authorization: string | undefined): BearerCredentials => {
  if (authorization === undefined) return missing
  // Nearly all are well-formed, and long: one look has to do. What follows says what is wrong with the others.
  const [, wellFormed = "", credentials] = CREDENTIALS.exec(authorization) ?? []
  const known = SCHEMES.get(wellFormed.toLowerCase())
  if (known !== undefined && credentials !== undefined)
    return { _tag: "Credentials", scheme: known, token: credentials }
  const header = authorization.trim()
  if (header === "") return missing
  const space = header.indexOf(" ")
  const name = space === -1 ? header : header.slice(0, space)
  if (!TOKEN.test(name)) return malformedScheme
  const scheme = SCHEMES.get(name.toLowerCase())
  if (scheme === undefined || space === -1) return missing
  return malformedToken
}
