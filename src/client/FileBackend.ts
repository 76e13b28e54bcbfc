/**
 * A store in a directory, for one process or for many on one machine.
 *
 * Entries are spread over drawers by a hash of their key, so that no name tells what is in there. A drawer is one text
 * that is replaced as a whole ({@link AtomicText}): expired entries and leases leave it with the next change, and what
 * was removed leaves nothing behind.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as AtomicText from "./AtomicText.js"
import type { TokenStoreError } from "./ClientError.js"
import { expiryOf, type Lease, leftToExpire, nameOf, storeFails, type VersionedStore } from "./VersionedStore.js"

const Drawer = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  entries: Schema.Array(
    Schema.Struct({
      key: Schema.String,
      version: Schema.String,
      value: Schema.String,
      expiresAt: Schema.optional(Schema.Number)
    })
  ),
  leases: Schema.Array(
    Schema.Struct({
      key: Schema.String,
      id: Schema.String,
      fence: Schema.Number,
      takenAt: Schema.Number,
      expiresAt: Schema.Number
    })
  )
})

type Drawer = typeof Drawer.Type

type Held = Drawer["leases"][number]

const json = Schema.parseJson(Drawer)
const decode = Schema.decodeOption(json)
const encode = Schema.encodeSync(json)

const empty: Drawer = { schemaVersion: 1, entries: [], leases: [] }

/** Without what has expired. */
const prune = ({ entries, leases, schemaVersion }: Drawer, now: number): Drawer => ({
  schemaVersion,
  entries: entries.filter(({ expiresAt }) => expiresAt === undefined || now < expiresAt),
  // Where the clock was set back by more than it lasts, nobody waits for the clock to come round again.
  leases: leases.filter(({ expiresAt, takenAt }) => now < expiresAt && takenAt - now <= expiresAt - takenAt)
})

/** Another process was faster. */
class Outrun extends Data.TaggedError("Outrun") {}

const failed =
  (operation: TokenStoreError["operation"], key: string) => (error: PlatformError | AtomicText.TokenMissing) =>
    error._tag === "TokenMissing"
      ? storeFails("decode", key, "a drawer of the file store does not say which of its texts is the current one")
      : storeFails(operation, key, `the file store cannot be used: ${error.message}`, { cause: error })

/** Refuses a directory that is open to others. On Windows there is no mode to be looked at. */
const open = (directory: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
    const root = yield* fs.realPath(directory)
    const { mode, type } = yield* fs.stat(root)
    if (type !== "Directory") return yield* storeFails("open", directory, `${directory} is no directory`)
    if (path.sep === "/" && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0")
      const detail = `${directory} has the permissions ${octal}, and tokens need 0700: chmod 700 ${directory}`
      return yield* storeFails("open", directory, detail)
    }
    // What a process that was killed left behind when it made its first entry.
    const now = yield* Clock.currentTimeMillis
    yield* Effect.forEach(yield* fs.readDirectory(root), (name) => {
      if (!name.startsWith(".new-")) return Effect.void
      const left = path.join(root, name)
      return Effect.flatMap(fs.stat(left), ({ mtime }) =>
        Option.exists(mtime, (time) => now - time.getTime() > 3_600_000)
          ? fs.remove(left, { recursive: true, force: true })
          : Effect.void
      ).pipe(Effect.ignore)
    })
    return root
  }).pipe(
    Effect.catchTags({
      BadArgument: failed("open", directory),
      SystemError: failed("open", directory)
    })
  )

/**
 * Opens the store, and makes the directory where there is none. Fails with `open` where that cannot be done, or where
 * others than its owner may read or write there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  directory: string
): Effect.Effect<VersionedStore, TokenStoreError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const texts = yield* AtomicText.make
    const root = yield* open(directory)
    // Those of this process take turns; only those of others can be faster.
    const turn = yield* Effect.makeSemaphore(1)

    const drawerOf = (key: string) =>
      Effect.map(
        Effect.promise(() => nameOf(key)),
        (name) => path.join(root, name.slice(0, 2).toLowerCase())
      )

    const load = (operation: TokenStoreError["operation"], key: string) =>
      Effect.gen(function* () {
        const drawer = yield* drawerOf(key)
        const current = yield* Effect.catchAll(texts.read(drawer), failed(operation, key))
        const content = current.name === undefined ? Option.some(empty) : Option.flatMap(current.text, decode)
        return { drawer, current, content, now: yield* Clock.currentTimeMillis }
      })

    const unreadable = (key: string, drawer: string, current: AtomicText.Current) =>
      storeFails("decode", key, `${path.join(drawer, `${current.name}.json`)} is not readable`)

    /** `change` gives an answer, and what the drawer holds from now on if that is something else. */
    const update = <A>(
      operation: TokenStoreError["operation"],
      key: string,
      change: (content: Drawer, number: number, now: number) => readonly [A, Drawer?]
    ) =>
      Effect.gen(function* () {
        const { content, current, drawer, now } = yield* load(operation, key)
        if (Option.isNone(content)) return yield* unreadable(key, drawer, current)
        const [answer, next] = change(prune(content.value, now), current.number + 1, now)
        if (next === undefined) return answer
        const replaced = yield* Effect.catchAll(texts.replace(drawer, current, encode(next)), failed(operation, key))
        return replaced ? answer : yield* new Outrun()
      }).pipe(
        Effect.retry({ while: (error) => error._tag === "Outrun", times: 1000 }),
        Effect.catchTag("Outrun", () => storeFails(operation, key, "other processes were faster, a thousand times")),
        turn.withPermits(1)
      )

    return {
      read: (key) =>
        Effect.gen(function* () {
          const { content, current, drawer, now } = yield* load("read", key)
          if (Option.isNone(content)) return yield* unreadable(key, drawer, current)
          const found = prune(content.value, now).entries.find((entry) => entry.key === key)
          return Option.map(Option.fromNullable(found), ({ value, version }) => ({
            value: Redacted.make(value),
            version
          }))
        }),
      write: (key, { expected, value, ...write }) =>
        update("write", key, (content, number) => {
          const found = content.entries.find((entry) => entry.key === key)
          if (found?.version !== Option.getOrUndefined(expected)) return [false]
          if (found === undefined && Option.isNone(value)) return [true]
          const others = content.entries.filter((entry) => entry !== found)
          const written = Option.toArray(value).map((text) => ({
            key,
            version: `${number}.${crypto.randomUUID()}`,
            value: Redacted.value(text),
            ...expiryOf(write)
          }))
          return [true, { ...content, entries: [...others, ...written] }]
        }),
      lease: (key, duration) =>
        Effect.map(
          Effect.acquireRelease(
            update("lease", key, (content, fence, now): readonly [Option.Option<Held>, Drawer?] => {
              if (content.leases.some((held) => held.key === key)) return [Option.none()]
              const expiresAt = now + Math.min(Duration.toMillis(duration), Number.MAX_SAFE_INTEGER)
              const lease = { key, id: crypto.randomUUID(), fence, takenAt: now, expiresAt }
              return [Option.some(lease), { ...content, leases: [...content.leases, lease] }]
            }),
            Option.match({
              onNone: () => Effect.void,
              onSome: ({ id }) =>
                update("lease", key, (content): readonly [undefined, Drawer?] => {
                  const leases = content.leases.filter((held) => held.id !== id)
                  return leases.length < content.leases.length ? [undefined, { ...content, leases }] : [undefined]
                }).pipe(Effect.catchAll(leftToExpire))
            })
          ),
          Option.map(({ fence }): Lease => ({ fence }))
        ),
      setAside: (key) =>
        Effect.gen(function* () {
          const { content, current, drawer } = yield* load("write", key)
          if (Option.isSome(content)) return Option.none<string>()
          const replaced = yield* Effect.catchAll(
            texts.replace(drawer, current, encode(empty), "keep"),
            failed("write", key)
          )
          return replaced ? Option.some(path.join(drawer, `${current.name}.unreadable`)) : yield* new Outrun()
        }).pipe(
          Effect.retry({ while: (error) => error._tag === "Outrun", times: 1000 }),
          Effect.catchTag("Outrun", () => Effect.succeedNone),
          turn.withPermits(1)
        )
    }
  })
