/**
 * A store that encrypts what another one keeps, as compact JWE (RFC 7516) by `dir` and `A256GCM`.
 *
 * The header names the key (its JWK thumbprint, RFC 7638) and the entry, and both are authenticated: an entry that was
 * changed, cut, or put in the place of another is unreadable.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { base64url, CompactEncrypt, calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader } from "jose"
import type { TokenStoreError } from "./ClientError.js"
import type { EncryptionKeys } from "./EncryptionKeys.js"
import { moveAside, storeFails, type VersionedStore } from "./VersionedStore.js"

const thumbprint = (octets: Uint8Array) => calculateJwkThumbprint({ kty: "oct", k: base64url.encode(octets) })

const decodeHeader = Schema.decodeUnknownOption(
  Schema.Struct({ kid: Schema.String.pipe(Schema.pattern(/^[\w-]{1,64}$/)), entry: Schema.String })
)

/** Keeps a byte order mark, which is as good as any other character. */
const decodeText = new TextDecoder("utf-8", { ignoreBOM: true })

const headerOf = (text: string) =>
  Option.flatMap(Option.liftThrowable(() => decodeProtectedHeader(text))(), decodeHeader)

/**
 * Encrypts texts under the first of some keys, and decrypts them under any. A text belongs to an entry, whose name is
 * authenticated with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cipher {
  readonly encrypt: (entry: string, text: Redacted.Redacted<string>) => Effect.Effect<string>
  readonly decrypt: (entry: string, text: string) => Effect.Effect<Redacted.Redacted<string>, TokenStoreError>
}

/**
 * The cipher of keys. What cannot be decrypted fails with `decode`, and says which key was needed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cipher = (keys: EncryptionKeys): Effect.Effect<Cipher> =>
  Effect.map(
    Effect.forEach(keys, (key) =>
      Effect.map(
        Effect.promise(() => thumbprint(Redacted.value(key))),
        (kid) => ({ kid, octets: Redacted.value(key) })
      )
    ),
    (secrets) => {
      const unreadable = (entry: string, why: string) => storeFails("decode", entry, `the entry ${entry} ${why}`)
      return {
        encrypt: (entry, text) =>
          Effect.promise(() => {
            const { kid, octets } = secrets[0]
            return new CompactEncrypt(new TextEncoder().encode(Redacted.value(text)))
              .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid, entry })
              .encrypt(octets)
          }),
        decrypt: (entry, text) => {
          const header = headerOf(text)
          if (Option.isNone(header)) return unreadable(entry, "is not encrypted")
          const { entry: named, kid } = header.value
          if (named !== entry) return unreadable(entry, "was stored under another key")
          const secret = secrets.find((secret) => secret.kid === kid)
          if (secret === undefined) {
            return unreadable(
              entry,
              `is encrypted under the key ${kid}, which is not among the ${secrets.length} given`
            )
          }
          const algorithms = { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] }
          return Effect.tryPromise(() => compactDecrypt(text, secret.octets, algorithms)).pipe(
            Effect.map(({ plaintext }) => Redacted.make(decodeText.decode(plaintext))),
            // What jose says of it is one of many ways to say so.
            Effect.catchAll(() => unreadable(entry, `was changed since it was encrypted under the key ${kid}`))
          )
        }
      }
    }
  )

/**
 * `inner`, encrypted. Keys, versions and leases are those of `inner`. What was stored without encryption is unreadable.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (inner: VersionedStore, keys: EncryptionKeys): Effect.Effect<VersionedStore> =>
  Effect.map(cipher(keys), ({ decrypt, encrypt }) => ({
    read: (key) =>
      Effect.flatMap(
        inner.read(key),
        Option.match({
          onNone: () => Effect.succeedNone,
          onSome: ({ value, version }) =>
            Effect.map(decrypt(key, Redacted.value(value)), (value) => Option.some({ value, version }))
        })
      ),
    write: (key, write) =>
      Effect.flatMap(
        Option.match(write.value, {
          onNone: () => Effect.succeedNone,
          onSome: (text) => Effect.asSome(Effect.map(encrypt(key, text), (text) => Redacted.make(text)))
        }),
        (value) => inner.write(key, { ...write, value })
      ),
    lease: inner.lease,
    setAside: (key) =>
      inner.read(key).pipe(
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: (entry) =>
              Effect.matchEffect(decrypt(key, Redacted.value(entry.value)), {
                onSuccess: () => Effect.succeedNone,
                onFailure: () => moveAside(inner, key, entry)
              })
          })
        ),
        Effect.catchIf(
          ({ operation }) => operation === "decode",
          (error) => inner.setAside?.(key) ?? Effect.fail(error)
        )
      )
  }))
