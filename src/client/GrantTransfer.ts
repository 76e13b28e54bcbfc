/**
 * A grant on its way from one store to another, such as from the file of a desktop to the Redis of a fleet: everything
 * that is needed to refresh it there, as one encrypted text.
 *
 * A grant lives in one store at a time. Where refresh tokens rotate, two that refresh the same grant end it for both; so
 * when it has arrived, take it out of the store it came from with `StoredGrant.remove`, which revokes nothing.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TokenStoreError } from "./ClientError.js"
import * as EncryptedStore from "./EncryptedStore.js"
import type { EncryptionKeys } from "./EncryptionKeys.js"
import * as StoredGrant from "./StoredGrant.js"
import * as StoredRegistration from "./StoredRegistration.js"
import * as TokenStore from "./TokenStore.js"
import { storeFails } from "./VersionedStore.js"

/** What is in the text. The endpoint is part of it, so that a token cannot be brought to another server. */
const Transfer = Schema.parseJson(
  Schema.Struct({
    schemaVersion: Schema.Literal(1),
    endpoint: Schema.String,
    grant: StoredGrant.StoredGrant,
    registration: Schema.optional(StoredRegistration.Stored)
  })
)

const decode = Schema.decode(Transfer)
const encode = Schema.encodeSync(Transfer)

/** What stands for the key of an entry where the text is encrypted. */
const entry = TokenStore.key("transfer")

/**
 * There is something else where the grant was to go. `Newer`: the same grant, issued later. `OtherGrant`: one of another
 * issuer, client or resource. `OtherRegistration`: another client at the same issuer.
 *
 * @since 0.1.0
 * @category errors
 */
export class GrantConflict extends Schema.TaggedError<GrantConflict>("effect-mcp-auth/client/GrantConflict")(
  "GrantConflict",
  { endpoint: Schema.String, reason: Schema.Literal("Newer", "OtherGrant", "OtherRegistration") }
) {
  override get message(): string {
    return `${this.reason}: the store has a grant for ${this.endpoint} already (an import replaces only what it is told to)`
  }
}

/**
 * The grant of an endpoint, with its registration where that was dynamic, encrypted with the first of the keys; `None`
 * where there is no grant.
 *
 * @since 0.1.0
 * @category combinators
 */
export const exportGrant = (
  owner: StoredGrant.Owner,
  keys: EncryptionKeys
): Effect.Effect<Option.Option<string>, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const found = yield* StoredGrant.find(owner)
    if (Option.isNone(found)) return Option.none()
    const { value: grant } = found.value
    const kept = yield* StoredRegistration.stored.read(StoredRegistration.keyOf(grant.issuer, grant.redirectUri))
    const registration = Option.filter(kept, ({ value }) => value.clientId === grant.clientId)
    const text = encode({
      schemaVersion: 1,
      endpoint: owner.endpoint,
      grant,
      ...Option.match(registration, { onNone: () => ({}), onSome: ({ value }) => ({ registration: value }) })
    })
    const { encrypt } = yield* EncryptedStore.cipher(keys)
    return Option.some(yield* encrypt(entry, Redacted.make(text)))
  })

/**
 * Brings an exported grant to the store, for a user where one process serves several, and answers whose it is now. What is
 * there is replaced only if it is the same grant, and older; anything else is a {@link GrantConflict}, unless `replace` is
 * set. To be used while nobody signs in at that endpoint.
 *
 * Fails with `TokenStoreError` and `decode` where the text is not readable under any of the keys.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { type ClientError, EncryptionKeys, GrantTransfer, StoredGrant, TokenStore } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Option from "effect/Option"
 *
 * const move = (
 *   owner: StoredGrant.Owner,
 *   from: Layer.Layer<TokenStore.TokenStore, ClientError.TokenStoreError>,
 *   to: Layer.Layer<TokenStore.TokenStore, ClientError.TokenStoreError>
 * ) =>
 *   Effect.gen(function* () {
 *     const keys = yield* EncryptionKeys.config("TRANSFER_KEY")
 *     const text = yield* Effect.provide(GrantTransfer.exportGrant(owner, keys), from)
 *     if (Option.isNone(text)) return
 *     yield* Effect.provide(GrantTransfer.importGrant(text.value, { keys }), to)
 *     yield* Effect.provide(StoredGrant.remove(owner), from)
 *   })
 * ```
 */
export const importGrant = (
  text: string,
  options: {
    readonly keys: EncryptionKeys
    readonly user?: string | undefined
    readonly replace?: boolean | undefined
  }
): Effect.Effect<StoredGrant.Owner, GrantConflict | TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const { decrypt } = yield* EncryptedStore.cipher(options.keys)
    const { endpoint, grant, registration } = yield* Effect.flatMap(decrypt(entry, text), (plain) =>
      Effect.catchAll(decode(Redacted.value(plain)), () =>
        storeFails("decode", entry, "what is to be imported is not an exported grant")
      )
    )
    const owner = options.user === undefined ? { endpoint } : { endpoint, user: options.user }
    const refuse = (reason: GrantConflict["reason"]) =>
      options.replace === true ? Effect.void : Effect.fail(new GrantConflict({ endpoint, reason }))

    const present = yield* StoredGrant.find(owner)
    if (Option.isSome(present)) {
      const { value: before } = present.value
      if (!StoredGrant.isSamePlace(before, grant)) yield* refuse("OtherGrant")
      else if (before.issuedAt > grant.issuedAt) yield* refuse("Newer")
    }
    if (registration !== undefined) {
      const place = StoredRegistration.keyOf(registration.issuer, registration.redirectUri)
      const kept = yield* StoredRegistration.stored.read(place)
      if (Option.isSome(kept) && kept.value.value.clientId !== registration.clientId) yield* refuse("OtherRegistration")
      if (!Option.exists(kept, ({ value }) => value.clientId === registration.clientId)) {
        const expected = Option.map(kept, ({ version }) => version)
        yield* StoredRegistration.stored.write(place, { expected, value: Option.some(registration) })
      }
    }
    yield* StoredGrant.replace(owner, grant)
    return owner
  })
