/**
 * Proof Key for Code Exchange (RFC 7636), `S256` only: a runtime with WebCrypto never needs `plain`.
 *
 * @since 0.1.0
 */
import * as Base64Url from "./Base64Url.js"

/**
 * The one method offered.
 *
 * @since 0.1.0
 * @category constants
 */
export const method = "S256"

/**
 * A fresh code verifier: 32 random octets, 43 characters (RFC 7636 §4.1).
 *
 * @since 0.1.0
 * @category constructors
 */
export const verifier = (): string => Base64Url.random(32)

/**
 * The code challenge of a verifier (RFC 7636 §4.2).
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Pkce } from "effect-mcp-auth/protocol"
 *
 * console.log(await Pkce.challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
 * // E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM
 * ```
 */
export const challenge = (codeVerifier: string): Promise<string> => Base64Url.sha256(codeVerifier)

/**
 * Whether metadata offers `S256`. An absent list means no support, and a client must not go on (RFC 8414 §2).
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSupported = (codeChallengeMethods: ReadonlyArray<string> | undefined): boolean =>
  codeChallengeMethods?.includes(method) === true
