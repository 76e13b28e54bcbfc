/**
 * The keys that a store is encrypted with: 256 bits each, the first encrypts, and all of them decrypt.
 *
 * To change the key, put the new one in front of the old one. What is written from then on is under the new one; when
 * everything has been written again, which for grants is within the life of a refresh token, the old one can go.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Base64Url from "../protocol/Base64Url.js"

/**
 * Octets of keys, 32 each.
 *
 * @since 0.1.0
 * @category models
 */
export type EncryptionKeys = readonly [Redacted.Redacted<Uint8Array>, ...ReadonlyArray<Redacted.Redacted<Uint8Array>>]

/**
 * A new random key, as text for {@link parse}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate: Effect.Effect<Redacted.Redacted<string>> = Effect.sync(() => Redacted.make(Base64Url.random(32)))

const rule = "an encryption key is 256 random bits in base64url, 43 characters without padding"

/**
 * Keys from text, separated by commas or white space. On the left is what is wrong, without what was given.
 *
 * @since 0.1.0
 * @category parsing
 * @example
 * ```ts
 * import { EncryptionKeys } from "effect-mcp-auth/client"
 * import * as Redacted from "effect/Redacted"
 *
 * console.log(EncryptionKeys.parse(Redacted.make("secret")).toString().includes("has 6 characters")) // true
 * ```
 */
export const parse = (text: Redacted.Redacted<string>): Either.Either<EncryptionKeys, string> => {
  const keys: Array<Redacted.Redacted<Uint8Array>> = []
  for (const [index, word] of Redacted.value(text)
    .split(/[\s,]+/)
    .filter((word) => word !== "")
    .entries()) {
    const decoded = Encoding.decodeBase64Url(word)
    if (!/^[\w-]{43}$/.test(word) || Either.isLeft(decoded)) {
      return Either.left(`${rule}; number ${index + 1} has ${word.length} characters`)
    }
    keys.push(Redacted.make(decoded.right))
  }
  const [first, ...others] = keys
  return first === undefined ? Either.left(`${rule}; none was given`) : Either.right([first, ...others])
}

/**
 * Keys from a configuration value, `MCP_AUTH_ENCRYPTION_KEYS` unless another name is given. Make one with
 * `openssl rand -base64 32 | tr '+/' '-_' | tr -d '='`, and keep it where secrets are kept: with the key lost, what is
 * stored is lost.
 *
 * @since 0.1.0
 * @category constructors
 */
export const config = (name = "MCP_AUTH_ENCRYPTION_KEYS"): Config.Config<EncryptionKeys> =>
  Config.mapOrFail(Config.redacted(name), (text) =>
    Either.mapLeft(parse(text), (message) => ConfigError.InvalidData([name], message))
  )
