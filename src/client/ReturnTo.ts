/**
 * Where a browser goes on to after a sign-in: somewhere in the application, and nowhere else.
 *
 * @since 0.1.0
 */

/** Longer than any address that a browser keeps. */
const longest = 2048

/**
 * The rule that an address breaks if it is to be redirected to (RFC 9700 §4.11, open redirection): a path of the same
 * origin, with a query if need be, in visible ASCII. `undefined` if it breaks none. What a browser takes for the start
 * of another host is refused in all its spellings: `//host`, `/\host`, and white space that it would drop in between.
 *
 * @since 0.1.0
 * @category validation
 * @example
 * ```ts
 * import { ReturnTo } from "effect-mcp-auth/client"
 *
 * console.log(ReturnTo.violation("/notes?page=2")) // undefined
 * console.log(ReturnTo.violation("//evil.example")) // must be a path of this origin, and no host
 * ```
 */
export const violation = (address: string): string | undefined => {
  if (address.length > longest) return `must have at most ${longest} characters`
  if (/[^!-~]|\\/.test(address)) return "must be visible ASCII without a backslash"
  if (!/^\/(?!\/)/.test(address)) return "must be a path of this origin, and no host"
  const base = "https://application.invalid"
  if (!URL.canParse(address, base)) return "must be a path"
  // A path that dot segments turn into one with two slashes in front would be a host where it is resolved again.
  const { origin, pathname } = new URL(address, base)
  return origin === base && !pathname.startsWith("//") ? undefined : "must be a path of this origin, and no host"
}
