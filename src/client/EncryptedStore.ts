/**
 * A store that encrypts what another one keeps, as compact JWE (RFC 7516) by `dir` and `A256GCM`.
 *
 * The header names the key (its JWK thumbprint, RFC 7638) and the entry, and both are authenticated: an entry that was
 * changed, cut, or put in the place of another is unreadable.
 *
 * What is under another key than the first is encrypted anew when it is read, so that an old key can be taken away.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { base64url, CompactEncrypt, calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader } from "jose"
import type { TokenStoreError } from "./ClientError.js"
import type { EncryptionKeys } from "./EncryptionKeys.js"
import { type Entry, expiryOf, moveAside, storeFails, type VersionedStore } from "./VersionedStore.js"

type Text = Entry<Redacted.Redacted<string>>

const thumbprint = (octets: Uint8Array) => calculateJwkThumbprint({ kty: "oct", k: base64url.encode(octets) })

const Header = Schema.Struct({
  kid: Schema.String.pipe(Schema.pattern(/^[\w-]{1,64}$/)),
  entry: Schema.String,
  iat: Schema.optional(Schema.Number),
  exp: Schema.optional(Schema.Number)
})

const decodeHeader = Schema.decodeUnknownOption(Header)

/** In seconds: programs that do not agree on the first key would encrypt in turns otherwise. */
const encryptedAnewAfter = 60

/** Keeps a byte order mark, which is as good as any other character. */
const decodeText = new TextDecoder("utf-8", { ignoreBOM: true })

const headerOf = (text: string) =>
  Option.flatMap(Option.liftThrowable(() => decodeProtectedHeader(text))(), decodeHeader)

/**
 * Encrypts texts under the first of some keys, and decrypts them under any. A text belongs to an entry, whose name is
 * authenticated with it; `expiresAt` is when that is forgotten, in milliseconds since the epoch. `isOutdated` says whether a
 * text should be encrypted anew: it is under another key, has been for a while, and will not expire by itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cipher {
  readonly encrypt: (entry: string, text: Redacted.Redacted<string>, expiresAt?: number) => Effect.Effect<string>
  readonly decrypt: (entry: string, text: string) => Effect.Effect<Redacted.Redacted<string>, TokenStoreError>
  readonly isOutdated: (text: string) => Effect.Effect<boolean>
}

const seconds = Effect.map(Clock.currentTimeMillis, (now) => Math.floor(now / 1000))

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
        encrypt: (entry, text, expiresAt) =>
          Effect.flatMap(seconds, (iat) =>
            Effect.promise(() => {
              const { kid, octets } = secrets[0]
              const exp = expiresAt === undefined ? {} : { exp: Math.ceil(expiresAt / 1000) }
              return new CompactEncrypt(new TextEncoder().encode(Redacted.value(text)))
                .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid, entry, iat, ...exp })
                .encrypt(octets)
            })
          ),
        isOutdated: (text) =>
          Effect.map(seconds, (now) =>
            Option.exists(
              headerOf(text),
              ({ exp, iat = 0, kid }) => kid !== secrets[0].kid && exp === undefined && now - iat >= encryptedAnewAfter
            )
          ),
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
  Effect.map(cipher(keys), ({ decrypt, encrypt, isOutdated }) => {
    const write: VersionedStore["write"] = (key, { value, ...write }) =>
      Effect.flatMap(
        Option.match(value, {
          onNone: () => Effect.succeedNone,
          onSome: (text) => {
            const encrypted = encrypt(key, text, expiryOf(write).expiresAt)
            return Effect.asSome(Effect.map(encrypted, (text) => Redacted.make(text)))
          }
        }),
        (value) => inner.write(key, { ...write, value })
      )

    const opened = (key: string, { value, version }: Text) =>
      Effect.map(decrypt(key, Redacted.value(value)), (value): Text => ({ value, version }))

    /** What is there when it was encrypted anew, by whomever; where that cannot be done, what was. */
    const renewed = (key: string, before: Text) =>
      write(key, { expected: Option.some(before.version), value: Option.some(before.value) }).pipe(
        Effect.zipRight(inner.read(key)),
        Effect.flatMap(Effect.transposeMapOption((entry) => opened(key, entry))),
        Effect.orElseSucceed(() => Option.some(before))
      )

    return {
      write,
      read: (key) =>
        Effect.flatMap(
          inner.read(key),
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: (entry) =>
              Effect.flatMap(opened(key, entry), (found) =>
                Effect.if(isOutdated(Redacted.value(entry.value)), {
                  onTrue: () => renewed(key, found),
                  onFalse: () => Effect.succeedSome(found)
                })
              )
          })
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
    }
  })
