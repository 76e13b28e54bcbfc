/**
 * The encryption key of a store, in the keychain of the operating system: nothing to configure, and nothing on the disk
 * that opens the store without the person's login.
 *
 * A keychain has neither compare-and-swap nor room for much, so it holds the key, and the store the rest. Each key that is
 * made has a name of its own and is never overwritten; which of them counts is written down in the store, once, so that of
 * processes that start together one decides.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Base64Url from "../protocol/Base64Url.js"
import type { TokenStoreError } from "./ClientError.js"
import * as EncryptionKeys from "./EncryptionKeys.js"
import * as TokenStore from "./TokenStore.js"
import { storeFails } from "./VersionedStore.js"

/**
 * Small secrets by name, kept for one user: of an operating system, or of an editor or a shell that has a place for them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Keychain {
  readonly get: (name: string) => Effect.Effect<Option.Option<Redacted.Redacted<string>>, TokenStoreError>
  readonly set: (name: string, secret: Redacted.Redacted<string>) => Effect.Effect<void, TokenStoreError>
  readonly remove: (name: string) => Effect.Effect<void, TokenStoreError>
}

/** Where a store says which key it is encrypted with. */
const place = TokenStore.key("keychain")

const names = TokenStore.records(Schema.Struct({ schemaVersion: Schema.Literal(1), name: Schema.String }))

const use = (text: Redacted.Redacted<string>) =>
  Effect.catchAll(EncryptionKeys.parse(text), (why) => storeFails("open", place, `the key in the keychain: ${why}`))

/**
 * The key of a store, which is made when it is asked for the first time. Fails with `open` where the keychain cannot be
 * used, or has lost the key: then what is stored is lost as well, and only an empty store starts over.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keys = (
  keychain: Keychain
): Effect.Effect<EncryptionKeys.EncryptionKeys, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const chosen = yield* names.read(place)
    if (Option.isSome(chosen)) {
      const { name } = chosen.value.value
      const kept = yield* keychain.get(name)
      if (Option.isSome(kept)) return yield* use(kept.value)
      return yield* storeFails(
        "open",
        place,
        `the store is encrypted with the key ${name}, which is not in the keychain`
      )
    }
    const name = `key-${Base64Url.random(9)}`
    yield* keychain.set(name, yield* EncryptionKeys.generate)
    const kept = yield* keychain.get(name)
    if (Option.isNone(kept)) return yield* storeFails("open", place, "the keychain does not keep what it is given")
    const value = Option.some({ schemaVersion: 1 as const, name })
    if (yield* names.write(place, { expected: Option.none(), value })) return yield* use(kept.value)
    yield* keychain.remove(name)
    return yield* keys(keychain)
  })

/**
 * The file store, encrypted with a key from a keychain: `NodeKeychain` and `BunKeychain` have that of the operating system.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFile = <E, R>(options: {
  readonly directory: string
  readonly keychain: Effect.Effect<Keychain, E, R>
}): Layer.Layer<TokenStore.TokenStore, TokenStoreError | E, FileSystem.FileSystem | Path.Path | R> => {
  const plain = TokenStore.layerFileInsecurePlaintext(options)
  return Layer.flatMap(plain, (context) =>
    TokenStore.encrypted(Effect.provide(Effect.flatMap(options.keychain, keys), context))(Layer.succeedContext(context))
  )
}

/** As much of `@napi-rs/keyring` as is used. */
interface Keyring {
  readonly AsyncEntry: new (
    service: string,
    name: string,
    options: { readonly linux: { readonly store: "secret-service" } }
  ) => {
    readonly getPassword: (signal: AbortSignal) => Promise<string | null | undefined>
    readonly setPassword: (password: string, signal: AbortSignal) => Promise<void>
    readonly deletePassword: (signal: AbortSignal) => Promise<boolean>
  }
}

/**
 * The keychain behind `@napi-rs/keyring`: Keychain on macOS, Credential Manager on Windows, the Secret Service on Linux,
 * never the keyring of its kernel, which forgets. Where the person has to unlock it first, they have two minutes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromKeyring = (
  service: string,
  load: () => Promise<Keyring>
): Effect.Effect<Keychain, TokenStoreError> => {
  const failed = (why: string) => storeFails("open", service, `the keychain cannot be used: ${why}`)
  const timely = Effect.timeoutFail({ duration: "2 minutes", onTimeout: () => "no answer in two minutes" })
  return Effect.tryPromise({ try: load, catch: String }).pipe(
    Effect.catchAll(() => failed("the package @napi-rs/keyring is not installed")),
    Effect.map(({ AsyncEntry }) => {
      const entry = <A>(
        name: string,
        run: (entry: InstanceType<Keyring["AsyncEntry"]>, signal: AbortSignal) => Promise<A>
      ) =>
        Effect.tryPromise({
          try: (signal) => run(new AsyncEntry(service, name, { linux: { store: "secret-service" } }), signal),
          catch: String
        }).pipe(timely, Effect.catchAll(failed))
      return {
        get: (name) =>
          Effect.map(
            entry(name, (entry, signal) => entry.getPassword(signal)),
            (secret) => Option.map(Option.fromNullable(secret), (text) => Redacted.make(text))
          ),
        set: (name, secret) => entry(name, (entry, signal) => entry.setPassword(Redacted.value(secret), signal)),
        remove: (name) => Effect.asVoid(entry(name, (entry, signal) => entry.deletePassword(signal)))
      }
    })
  )
}
