/**
 * The `Retry-After` header (RFC 9110 §10.2.3).
 *
 * @since 0.1.0
 */

/**
 * The wait in seconds, of either form; `now` is in milliseconds since the epoch. `undefined` where there is no header or
 * nothing that it could mean.
 *
 * @since 0.1.0
 * @category decoding
 */
export const seconds = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header)
  // Only the forms of RFC 9110 §5.6.7, which begin with a day; `Date.parse` makes a date of "-5".
  if (!/^[A-Z][a-z]{2,8},? /.test(header)) return undefined
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000))
}
