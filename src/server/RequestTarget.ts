/**
 * What a request is for, by its target: a path, or an absolute URL, which every server has to take (RFC 9112 §3.2.2).
 *
 * @since 0.1.0
 */
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"

const AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i

/**
 * The target as a path with its query. What is neither a path nor an absolute URL, such as `*`, stays what it is.
 *
 * @since 0.1.0
 * @category conversions
 */
export const originForm = (target: string): string => {
  if (target.startsWith("/")) return target
  const rest = target.replace(AUTHORITY, "")
  return rest === target || rest.startsWith("/") ? rest : `/${rest}`
}

/**
 * The path of a target, as it is written.
 *
 * @since 0.1.0
 * @category destructors
 */
export const path = (target: string): string => originForm(target).split(/[?#]/, 1)[0] ?? ""

/**
 * The path below which everything belongs to a resource: its own, without a final slash.
 *
 * @since 0.1.0
 * @category destructors
 */
export const pathOf = (resource: string): string => (ResourceIdentifier.parts(resource)?.path ?? "").replace(/\/$/, "")

const unescaped = (path: string): string =>
  path.replace(/%([0-9a-f]{2})/gi, (_, octet: string) => String.fromCharCode(Number.parseInt(octet, 16)))

/** A path as the most liberal router would read it. */
const folded = (path: string): string => {
  const segments: Array<string> = []
  // Some unescape what has been unescaped before.
  for (const part of unescaped(unescaped(path)).split(/[/\\]/)) {
    const segment = part.replace(/[;?#].*$/s, "")
    if (segment === "..") segments.pop()
    else if (segment !== "" && segment !== ".") segments.push(segment.toLowerCase())
  }
  return segments.map((segment) => `/${segment}`).join("")
}

type Choice<A> = (path: string) => A | undefined

const covering = <A extends { readonly path: string }>(
  all: ReadonlyArray<A>,
  read: (path: string) => string
): Choice<A> => {
  const longestFirst = all
    .map((one) => ({ one, path: read(one.path) }))
    .sort((left, right) => right.path.length - left.path.length)
  return (path) => longestFirst.find((other) => path === other.path || path.startsWith(`${other.path}/`))?.one
}

/**
 * Of several by their paths, the one whose path covers that of a target, the longest where several do. `undefined` where
 * none does, and where a router behind, which unescapes and resolves, might find that the target is another one's.
 *
 * @since 0.1.0
 * @category combinators
 */
export const nearest = <A extends { readonly path: string }>(all: ReadonlyArray<A>): Choice<A> => {
  const asWritten = covering(all, (path) => path)
  const asFolded = covering(all, folded)
  return (target) => {
    const own = path(target)
    const written = asWritten(own)
    const other = asFolded(folded(own))
    return written !== undefined && other !== undefined && folded(written.path) === folded(other.path)
      ? written
      : undefined
  }
}
