/**
 * base64url without padding (RFC 4648 §5), and random values written in it.
 *
 * @since 0.1.0
 */

/**
 * Encodes octets.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (octets: Uint8Array): string =>
  btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "")

/**
 * A value of that many random octets, from WebCrypto; 32 octets give the 43 characters of a PKCE verifier.
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = (octets: number): string => encode(crypto.getRandomValues(new Uint8Array(octets)))

/**
 * The SHA-256 digest of a string's UTF-8, encoded.
 *
 * @since 0.1.0
 * @category encoding
 */
export const sha256 = async (value: string): Promise<string> =>
  encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value))))
