/**
 * Resource and issuer identifiers: what is legal, and when one covers another. They are compared as the strings they
 * arrived as; `URL` only ever checks them, because it rewrites what it serialises.
 *
 * @since 0.1.0
 */
import { insecureUrl } from "./Loopback.js"

const SHAPE = /^(https?):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i
const NOT_IN_A_URI = /[^!#$%&'()*+,\-./0-9:;=?@A-Z[\]_a-z~]|%(?![0-9A-Fa-f]{2})/

const shapeViolation = (value: string): string | undefined => {
  if (NOT_IN_A_URI.test(value)) return "must contain only characters that are legal in a URI"
  const match = SHAPE.exec(value)
  if (match === null || !URL.canParse(value)) return "must be an absolute http or https URL"
  if (match[2] === "" || new URL(value).hostname === "") return "must have a host"
  if (match[2]?.includes("@")) return "must not contain user information"
  if (match[5] !== undefined) return "must not have a fragment"
  return undefined
}

/**
 * The rule of RFC 8707 §2 and RFC 9728 §1.2 that a resource identifier breaks: absolute `http` or `https` URL with a
 * host, no fragment, no user information. `undefined` if it breaks none.
 *
 * @since 0.1.0
 * @category validation
 * @example
 * ```ts
 * import { ResourceIdentifier } from "effect-mcp-auth/protocol"
 *
 * console.log(ResourceIdentifier.violation("https://mcp.example.com/mcp")) // undefined
 * console.log(ResourceIdentifier.violation("https://mcp.example.com/mcp#top")) // "must not have a fragment"
 * ```
 */
export const violation = (resource: string): string | undefined => shapeViolation(resource)

/**
 * The rule of RFC 8414 §2 that an issuer identifier breaks: as a resource identifier, without a query, and `https`
 * unless its host is loopback or `allowInsecure` says otherwise. `undefined` if it breaks none.
 *
 * @since 0.1.0
 * @category validation
 */
export const issuerViolation = (
  issuer: string,
  options?: { readonly allowInsecure?: boolean | undefined }
): string | undefined => {
  const shape = shapeViolation(issuer)
  if (shape !== undefined) return shape
  if (issuer.includes("?")) return "must not have a query"
  return options?.allowInsecure === true ? undefined : insecureUrl(issuer)
}

/**
 * The parts of an identifier exactly as written, without user information and fragment, or `undefined` where it is none.
 *
 * @since 0.1.0
 * @category destructors
 */
export const parts = (
  value: string
): { readonly origin: string; readonly path: string; readonly query: string } | undefined => {
  const match = SHAPE.exec(value)
  // What `URL` would repair is no identifier: it reads another host than SHAPE in `https://a\@b` and in `https:///a`.
  if (match === null || NOT_IN_A_URI.test(value) || !URL.canParse(value)) return undefined
  const authority = (match[2] as string).replace(/^.*@/, "")
  if (authority === "") return undefined
  return { origin: `${match[1]}://${authority}`, path: match[3] ?? "", query: match[4] ?? "" }
}

const withSlash = (path: string): string => (path.endsWith("/") ? path : `${path}/`)

/**
 * Whether `url` lies at or below `resource`: same scheme, host and effective port, and a path that is equal or goes on
 * at a segment boundary. A query on `resource` has to be the query of `url`. What is malformed covers nothing.
 *
 * This decides where a token may be sent. As an audience rule it is a relaxation that must be chosen by name.
 *
 * @since 0.1.0
 * @category predicates
 * @example
 * ```ts
 * import { ResourceIdentifier } from "effect-mcp-auth/protocol"
 *
 * console.log(ResourceIdentifier.covers("https://h.example/a", "https://H.example:443/a/mcp")) // true
 * console.log(ResourceIdentifier.covers("https://h.example/a", "https://h.example/ab")) // false
 * ```
 */
export const covers = (resource: string, url: string): boolean => {
  if (violation(resource) !== undefined || !URL.canParse(url)) return false
  const outer = new URL(resource)
  const inner = new URL(url)
  if (outer.protocol !== inner.protocol || outer.host !== inner.host) return false
  if (outer.search !== "" && outer.search !== inner.search) return false
  return inner.pathname === outer.pathname || inner.pathname.startsWith(withSlash(outer.pathname))
}

/**
 * An identifier with scheme and host in lower case and without a default port. Nothing else of it is touched.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { ResourceIdentifier } from "effect-mcp-auth/protocol"
 *
 * console.log(ResourceIdentifier.canonical("HTTPS://MCP.Example.com:443/Mcp")) // https://mcp.example.com/Mcp
 * ```
 */
export const canonical = (identifier: string): string =>
  identifier
    .replace(/^[^/]+\/\/[^/?]+/, (origin) => origin.toLowerCase())
    .replace(/^(https:\/\/[^/?]+?):(?:443)?(?=[/?]|$)/, "$1")
    .replace(/^(http:\/\/[^/?]+?):(?:80)?(?=[/?]|$)/, "$1")

/**
 * Whether two identifiers are equal once scheme and host are in lower case and a default port is dropped. No slash is
 * added or taken away, no escape or address is rewritten: `https://h` and `https://h/` stay different. Apart from a string
 * and itself, what breaks a rule ({@link violation}) equals nothing.
 *
 * @since 0.1.0
 * @category predicates
 */
export const equivalent = (left: string, right: string): boolean => {
  if (left === right) return true
  if (violation(left) !== undefined || violation(right) !== undefined) return false
  return canonical(left) === canonical(right)
}
