/**
 * Which hosts are this machine.
 *
 * @since 0.1.0
 */

/**
 * Whether a host, as `URL.hostname` writes it, is a loopback one: `localhost` and everything below it (RFC 6761 §6.3),
 * all of 127.0.0.0/8, and `::1`. `URL` has already turned octal, hexadecimal and short spellings of an address into
 * the dotted form, so no spelling slips by.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoopbackHost = (hostname: string): boolean => {
  const host = hostname.toLowerCase().replace(/\.$/, "")
  return (
    host === "localhost" ||
    /[^.]\.localhost$/.test(host) ||
    host === "::1" ||
    host === "[::1]" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
  )
}

/**
 * The rule that a URL breaks if it is to be used for OAuth: `https`, or `http` on a loopback host (OAuth 2.1 §1.5,
 * RFC 8252 §7.3). What only `URL` forgives is refused: white space, backslashes, a missing or third slash.
 * `undefined` if it breaks none.
 *
 * @since 0.1.0
 * @category validation
 */
export const insecureUrl = (value: string): string | undefined => {
  if (!URL.canParse(value) || /[^!-~]|\\/.test(value)) return "must be an absolute URL"
  const { hostname, protocol } = new URL(value)
  const secure = protocol === "https:" || (protocol === "http:" && isLoopbackHost(hostname))
  if (!secure) return "must use https, or http on a loopback host"
  return /^https?:\/\/[^/]/i.test(value) ? undefined : "must be an absolute URL"
}
