/**
 * Where grants and registrations are kept. Three verbs that make losing one hard to write: a read that names a version, a
 * write that succeeds only on that version, and a lease that expires.
 *
 * What outlives the process is encrypted; the layers that do without say so in their name.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import type * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TokenStoreError } from "./ClientError.js"
import * as EncryptedStore from "./EncryptedStore.js"
import type { EncryptionKeys } from "./EncryptionKeys.js"
import * as FileBackend from "./FileBackend.js"
import * as KeyValueBackend from "./KeyValueBackend.js"
import * as MemoryBackend from "./MemoryBackend.js"
import {
  type Entry,
  moveAside,
  nameOf,
  Overtaken,
  persist,
  storeFails,
  type VersionedStore,
  type Write
} from "./VersionedStore.js"

export type {
  /**
   * What is stored under a key, and its version.
   *
   * @since 0.1.0
   * @category models
   */
  Entry,
  /**
   * A lease that is held.
   *
   * @since 0.1.0
   * @category models
   */
  Lease,
  /**
   * The verbs of a store, for whoever writes one. `TokenStoreLaws` of `effect-mcp-auth/testing` says whether it is one.
   *
   * @since 0.1.0
   * @category models
   */
  VersionedStore,
  /**
   * A write on a version.
   *
   * @since 0.1.0
   * @category models
   */
  Write
} from "./VersionedStore.js"

/**
 * A store of secrets under string keys, with the verbs of {@link VersionedStore}.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Tag("effect-mcp-auth/client/TokenStore")<TokenStore, VersionedStore>() {}

// A lone surrogate, which a URI cannot have, is a percent sign and four small digits.
const encodePart = (part: string): string =>
  part
    .replace(/\P{Surrogate}+/gu, encodeURIComponent)
    .replace(/\p{Surrogate}/gu, (unit) => `%${unit.charCodeAt(0).toString(16)}`)

/**
 * A key of its parts, such as a kind, an issuer, a client and a resource. Different parts never give the same key.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { TokenStore } from "effect-mcp-auth/client"
 *
 * console.log(TokenStore.key("grant", "https://as.example", "c1")) // grant/https%3A%2F%2Fas.example/c1
 * ```
 */
export const key = (...parts: ReadonlyArray<string>): string => parts.map(encodePart).join("/")

/**
 * A {@link key} that ends in a user, where there is one: as a digest, because a key stands in errors, and beside what is
 * encrypted.
 *
 * @internal
 */
export const keyFor = (user: string | undefined, ...parts: ReadonlyArray<string>): Effect.Effect<string> =>
  user === undefined
    ? Effect.succeed(key(...parts))
    : Effect.map(
        Effect.promise(() => nameOf(user)),
        (name) => key(...parts, name)
      )

/**
 * The store as a store of one kind of record, as JSON. An entry that cannot be read as one is a `TokenStoreError` that
 * names it, and stays where it is until it is {@link setAside}. `modify` makes what is to be there from what is there,
 * again where somebody wrote in between, and gives what was; `None` is no entry.
 *
 * @since 0.1.0
 * @category combinators
 */
export const records = <A, I>(schema: Schema.Schema<A, I>) => {
  const json = Schema.parseJson(schema)
  const decode = Schema.decode(json)
  const encode = Schema.encodeSync(json)
  const records = {
    read: (key: string): Effect.Effect<Option.Option<Entry<A>>, TokenStoreError, TokenStore> =>
      Effect.flatMap(TokenStore, (store) => store.read(key)).pipe(
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: ({ value, version }) =>
              decode(Redacted.value(value)).pipe(
                Effect.map((value) => Option.some({ value, version })),
                // What the decoder says would quote the entry.
                Effect.catchAll(() => storeFails("decode", key, `the entry ${key} is not readable`, { version }))
              )
          })
        )
      ),
    write: (key: string, write: Write<A>): Effect.Effect<boolean, TokenStoreError, TokenStore> =>
      Effect.flatMap(TokenStore, (store) =>
        store.write(key, { ...write, value: Option.map(write.value, (value) => Redacted.make(encode(value))) })
      ),
    modify: (
      key: string,
      f: (value: Option.Option<A>) => Option.Option<A>,
      expiresAt?: number
    ): Effect.Effect<Option.Option<Entry<A>>, TokenStoreError, TokenStore> =>
      persist(
        key,
        Effect.gen(function* () {
          const entry = yield* records.read(key)
          const value = f(Option.map(entry, ({ value }) => value))
          if (Option.isNone(entry) && Option.isNone(value)) return entry
          const expected = Option.map(entry, ({ version }) => version)
          return (yield* records.write(key, { expected, value, expiresAt })) ? entry : yield* new Overtaken()
        })
      )
  }
  return records
}

/**
 * Moves the entry that an error of `operation: "decode"` names out of the way, so that there can be a new one, and answers
 * where it is now: a key, or a name of the store's own. `None` where it is not there any more, or was not unreadable.
 *
 * Nothing does this by itself: an entry that this program cannot read may be readable to one that is newer, or has the
 * key. Call it where the person, or whoever runs the program, has agreed to sign in again.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { ClientError, TokenStore } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 *
 * const startOver = (error: ClientError.TokenStoreError) =>
 *   Effect.flatMap(TokenStore.setAside(error), (place) => Effect.logWarning("An entry was set aside", place))
 * ```
 */
export const setAside = (error: TokenStoreError): Effect.Effect<Option.Option<string>, TokenStoreError, TokenStore> =>
  Effect.flatMap(TokenStore, (store) =>
    store.read(error.key).pipe(
      Effect.flatMap((entry) =>
        Option.isSome(entry) && entry.value.version === error.version
          ? moveAside(store, error.key, entry.value)
          : Effect.succeedNone
      ),
      Effect.catchIf(
        ({ operation }) => operation === "decode",
        (error) => store.setAside?.(error.key) ?? Effect.fail(error)
      )
    )
  )

/**
 * Encrypts what the store of a layer keeps. The layers of this package do so by themselves.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { EncryptionKeys, TokenStore } from "effect-mcp-auth/client"
 *
 * const store = TokenStore.layerMemory.pipe(TokenStore.encrypted(EncryptionKeys.config("TOKEN_KEYS")))
 * ```
 */
export const encrypted =
  <E, R>(keys: Effect.Effect<EncryptionKeys, E, R>) =>
  <E0, R0>(layer: Layer.Layer<TokenStore, E0, R0>): Layer.Layer<TokenStore, E | E0, R | R0> =>
    Layer.effect(
      TokenStore,
      Effect.flatMap(Effect.all([TokenStore, keys]), ([store, keys]) => EncryptedStore.make(store, keys))
    ).pipe(Layer.provide(layer))

/**
 * Keeps everything in this process, and loses it with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = Layer.effect(TokenStore, MemoryBackend.make)

/**
 * Keeps everything in a directory of this machine, for one process or for many: writes are compare-and-swap between them,
 * are on the disk when they answer, and survive a kill at any point. There is no lock to be left behind.
 *
 * Everything is encrypted with the first of the keys, and readable by the owner of the directory only. Fails where the
 * directory, which is made where there is none, is open to others. On Windows there are no permissions to check: take a
 * directory within the user's profile. The file system has to be local.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import { EncryptionKeys, TokenStore } from "effect-mcp-auth/client"
 * import * as Layer from "effect/Layer"
 *
 * const store = TokenStore.layerFile({
 *   directory: "/var/lib/my-tool/tokens",
 *   keys: EncryptionKeys.config("MY_TOOL_KEYS")
 * }).pipe(Layer.provide(NodeContext.layer))
 * ```
 */
export const layerFile = <E, R>(options: {
  readonly directory: string
  readonly keys: Effect.Effect<EncryptionKeys, E, R>
}): Layer.Layer<TokenStore, TokenStoreError | E, FileSystem.FileSystem | Path.Path | R> =>
  encrypted(options.keys)(layerFileInsecurePlaintext(options))

/**
 * {@link layerFile} without encryption: whoever reads the directory or a backup of it has the tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileInsecurePlaintext = (options: {
  readonly directory: string
}): Layer.Layer<TokenStore, TokenStoreError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(TokenStore, FileBackend.make(options.directory))

/**
 * Keeps everything in a `KeyValueStore`, encrypted, for **one process at a time**: a `KeyValueStore` has no
 * compare-and-swap, so writes are atomic, and leases exclusive, between the fibers of this process only. Whether a write
 * survives a crash is up to that store. What has expired is removed bit by bit, as others that expire are written.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStore = <E, R>(options: {
  readonly keys: Effect.Effect<EncryptionKeys, E, R>
}): Layer.Layer<TokenStore, E, KeyValueStore.KeyValueStore | R> =>
  encrypted(options.keys)(layerKeyValueStoreInsecurePlaintext)

/**
 * {@link layerKeyValueStore} without encryption: whoever reads that store has the tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStoreInsecurePlaintext: Layer.Layer<TokenStore, never, KeyValueStore.KeyValueStore> =
  Layer.effect(TokenStore, Effect.flatMap(KeyValueStore.KeyValueStore, KeyValueBackend.make))
