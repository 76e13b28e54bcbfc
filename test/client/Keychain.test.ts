import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Keychain, TokenStore } from "../../src/client/index.js"
import * as FileStore from "./fixtures/FileStore.js"

/** A keychain in memory; with `isForgetful` it keeps nothing. */
const make = (isForgetful = false) => {
  const secrets = new Map<string, Redacted.Redacted<string>>()
  const keychain: Keychain.Keychain = {
    get: (name) => Effect.sync(() => Option.fromNullable(secrets.get(name))),
    set: (name, secret) => Effect.sync(() => void (isForgetful || secrets.set(name, secret))),
    remove: (name) => Effect.sync(() => void secrets.delete(name))
  }
  return { keychain, secrets }
}

const opened = <A, E>(
  directory: string,
  keychain: Keychain.Keychain,
  use: (store: TokenStore.VersionedStore) => Effect.Effect<A, E>
) =>
  Effect.flatMap(TokenStore.TokenStore, use).pipe(
    Effect.provide(Keychain.layerFile({ directory, keychain: Effect.succeed(keychain) })),
    Effect.provide(NodeContext.layer)
  )

const write = (key: string) => (store: TokenStore.VersionedStore) =>
  store.write(key, { expected: Option.none(), value: Option.some(Redacted.make(`value of ${key}`)) })

const read = (key: string) => (store: TokenStore.VersionedStore) =>
  Effect.map(store.read(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))

describe("keys", () => {
  it.scopedLive("of those who start together one makes the key, and what all of them write is readable", () =>
    Effect.gen(function* () {
      const directory = yield* FileStore.directory
      const { keychain, secrets } = make()
      const names = Array.from({ length: 8 }, (_, index) => `k${index}`)
      yield* Effect.forEach(names, (name) => opened(directory, keychain, write(name)), { concurrency: "unbounded" })
      assert.strictEqual(secrets.size, 1)
      for (const name of names) assert.strictEqual(yield* opened(directory, keychain, read(name)), `value of ${name}`)
    })
  )

  it.scopedLive(
    "a keychain that lost the key, or has another thing there, is a failure, and the store stays as it is",
    () =>
      Effect.gen(function* () {
        const directory = yield* FileStore.directory
        const { keychain, secrets } = make()
        yield* opened(directory, keychain, write("k"))
        const [[name, secret] = ["", Redacted.make("")]] = secrets
        for (const text of [undefined, "hunter2"]) {
          if (text === undefined) secrets.delete(name)
          else secrets.set(name, Redacted.make(text))
          const error = yield* Effect.flip(opened(directory, keychain, read("k")))
          assert.strictEqual(error.operation, "open")
          assert.include(error.detail, text === undefined ? name : "has 7 characters")
          assert.notInclude(JSON.stringify(error), "hunter2")
        }
        secrets.set(name, secret)
        assert.strictEqual(yield* opened(directory, keychain, read("k")), "value of k")
      })
  )

  it.scopedLive("a keychain that keeps nothing is found out before anything is encrypted", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(opened(yield* FileStore.directory, make(true).keychain, write("k")))
      assert.strictEqual(error.detail, "the keychain does not keep what it is given")
    })
  )
})

describe("the keychain of this system", () => {
  const isBun = process.versions["bun"] !== undefined
  const program = [...(isBun ? [] : ["--import", "tsx"]), join(import.meta.dirname, "fixtures", "keychain.ts")]
  const environment = (home: string) => ({
    ...process.env,
    HOME: home,
    XDG_RUNTIME_DIR: home,
    XDG_DATA_HOME: join(home, "data"),
    DBUS_SESSION_BUS_ADDRESS: ""
  })

  it.scopedLive(
    "holds the key for several processes, behind the Secret Service",
    () =>
      Effect.gen(function* () {
        const home = yield* FileStore.directory
        const session = 'printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec "$@"'
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)(
            "dbus-run-session",
            ["--", "sh", "-c", session, "sh", process.execPath, ...program, join(home, "tokens"), "first", "second"],
            { env: environment(home), timeout: 100_000 }
          ).catch((cause) => {
            throw new Error("apt-get install dbus-daemon gnome-keyring", { cause })
          })
        )
        assert.strictEqual(stdout, "value of first, value of second\n")
      }),
    120_000
  )

  it.scopedLive(
    "is a typed failure where there is none",
    () =>
      Effect.gen(function* () {
        const home = yield* FileStore.directory
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)(process.execPath, [...program, join(home, "tokens"), "first"], {
            env: environment(home),
            timeout: 100_000
          })
        )
        assert.match(stdout, /^TokenStoreError open: the keychain cannot be used: /)
      }),
    120_000
  )
})
