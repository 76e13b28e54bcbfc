/**
 * What stands for a token in memory.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"

const encoder = new TextEncoder()

/**
 * The SHA-256 digest of a token as a string of 32 characters, one for each octet: the key under which a token is
 * remembered, because no map is to hold tokens (RFC 7662 §4). Computed on the spot, which for something as short as a token
 * costs a tenth of what WebCrypto takes to hand it to a thread.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (token: string): string => String.fromCharCode(...sha256(encoder.encode(token)))
