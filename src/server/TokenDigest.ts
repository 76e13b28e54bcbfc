/**
 * What stands for a token in memory.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"

// Made once, because making them takes as long as the digest of a token; nothing waits between their use and the next one.
const encoder = new TextEncoder()
const octets = new Uint8Array(4096)
const digest = new Uint8Array(32)
const blank = sha256.create()
const hasher = sha256.create()

/**
 * The SHA-256 digest of a token as a string of 32 characters, one for each octet: the key under which a token is
 * remembered, because no map is to hold tokens (RFC 7662 §4). Computed on the spot, which for something as short as a token
 * costs a tenth of what WebCrypto takes to hand it to a thread.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (token: string): string => {
  blank._cloneInto(hasher)
  for (let rest = token; rest !== ""; ) {
    const { read, written } = encoder.encodeInto(rest, octets)
    hasher.update(octets.subarray(0, written))
    octets.fill(0, 0, written)
    rest = rest.slice(read)
  }
  hasher.digestInto(digest)
  return String.fromCharCode(...digest)
}
