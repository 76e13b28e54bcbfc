/**
 * A text in a directory that many processes of one machine replace by compare-and-swap, without a lock: there is nothing
 * to be held by a process that dies, and so nothing to wait for or to break.
 *
 * The directory holds the text as `12.<id>.json`, and an empty file, `12.<id>`, whose name says which text is the current
 * one. To replace it is to rename this token, from the name that was read to one that never was: of all who try, the
 * operating system lets exactly one through, and the others find that what they would rename is gone. A name never comes
 * back, so that a process that slept over a hundred changes is turned away like any other.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Base64Url from "../protocol/Base64Url.js"

/**
 * What a directory holds. `name` is that of the token, `undefined` where nothing was ever written; `number` counts the
 * changes. `text` is absent where the file that the token names is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Current {
  readonly number: number
  readonly name: string | undefined
  readonly text: Option.Option<string>
}

/**
 * The directory is there, and nothing in it says which text is the current one: somebody has been in there.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenMissing extends Data.TaggedError("TokenMissing")<{ readonly directory: string }> {}

/**
 * - `read` gives what is there.
 * - `replace` answers `false`, and changes nothing, where what was read is not the current one any more. `keep` leaves the
 *   text that is replaced beside, under a name that ends in `.unreadable`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AtomicText {
  readonly read: (directory: string) => Effect.Effect<Current, PlatformError | TokenMissing>
  readonly replace: (
    directory: string,
    current: Current,
    text: string,
    keep?: "keep"
  ) => Effect.Effect<boolean, PlatformError>
}

/** What was read is being replaced while it is read. */
class Moved extends Data.TaggedError("Moved")<{ readonly seen: Current | undefined }> {}

const absent: Current = { number: 0, name: undefined, text: Option.none() }

const numberOf = (name: string): number => Number.parseInt(name, 10)

const isNotFound = (error: PlatformError): boolean => error._tag === "SystemError" && error.reason === "NotFound"

/**
 * Over the file system that is provided. Files are readable by their owner only, and are on the disk, not in a cache, when
 * `replace` answers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<AtomicText, never, FileSystem.FileSystem | Path.Path> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path

  const textFile = (directory: string, name: string) => path.join(directory, `${name}.json`)

  const create = (file: string, text: string) =>
    Effect.scoped(
      Effect.flatMap(fs.open(file, { flag: "wx", mode: 0o600 }), (opened) =>
        text === "" ? Effect.void : Effect.zipRight(opened.writeAll(new TextEncoder().encode(text)), opened.sync)
      )
    )

  /** Some systems cannot; there a name may be lost with the power, never half of a text. */
  const syncDirectory = (directory: string) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(directory, { flag: "r" }), (opened) => opened.sync)))

  const list = (directory: string) =>
    Effect.catchIf(Effect.asSome(fs.readDirectory(directory)), isNotFound, () => Effect.succeedNone)

  const look = (directory: string): Effect.Effect<Current, PlatformError | Moved> =>
    Effect.gen(function* () {
      const files = yield* list(directory)
      if (Option.isNone(files)) return absent
      const tokens = files.value.filter((file) => /^\d+\.[\w-]+$/.test(file))
      // A listing may have missed both names of a token that was renamed meanwhile.
      const name = tokens.sort((a, b) => numberOf(a) - numberOf(b)).at(-1)
      if (name === undefined) return yield* new Moved({ seen: undefined })
      const seen = { number: numberOf(name), name }
      return yield* fs.readFileString(textFile(directory, name)).pipe(
        Effect.map((text) => ({ ...seen, text: Option.some(text) })),
        Effect.catchIf(isNotFound, () => new Moved({ seen: { ...seen, text: Option.none() } }))
      )
    })

  const read = (directory: string) =>
    look(directory).pipe(
      Effect.retry({ while: (error) => error._tag === "Moved", times: 100 }),
      Effect.catchTag("Moved", ({ seen }) =>
        seen === undefined ? new TokenMissing({ directory }) : Effect.succeed(seen)
      )
    )

  /** Texts that are behind the current one will never be current; those ahead of it may be about to be. */
  const sweep = (directory: string, name: string) =>
    Effect.flatMap(fs.readDirectory(directory), (files) =>
      Effect.forEach(
        files.filter(
          (file) => /^\d+\.[\w-]+\.json$/.test(file) && numberOf(file) <= numberOf(name) && file !== `${name}.json`
        ),
        (file) => Effect.ignore(fs.remove(path.join(directory, file), { force: true })),
        { discard: true }
      )
    ).pipe(Effect.ignore)

  const change = (directory: string, before: string, name: string, text: string, keep: "keep" | undefined) =>
    Effect.gen(function* () {
      const file = textFile(directory, name)
      if (keep !== undefined) {
        const kept = path.join(directory, `${before}.unreadable`)
        yield* Effect.catchIf(fs.copyFile(textFile(directory, before), kept), isNotFound, () => Effect.void)
      }
      const renamed = yield* create(file, text).pipe(
        Effect.zipRight(fs.rename(path.join(directory, before), path.join(directory, name))),
        Effect.as(true),
        Effect.onError(() => Effect.ignore(fs.remove(file, { force: true }))),
        Effect.catchIf(isNotFound, () => Effect.succeed(false))
      )
      if (renamed) yield* Effect.zipRight(syncDirectory(directory), sweep(directory, name))
      return renamed
    })

  // A directory with everything in it takes the place of none at all, and never that of one which has a token.
  const begin = (directory: string, name: string, text: string) =>
    Effect.gen(function* () {
      const parent = path.dirname(directory)
      const fresh = path.join(parent, `.new-${name}`)
      yield* fs.makeDirectory(fresh, { recursive: true, mode: 0o700 })
      return yield* create(textFile(fresh, name), text).pipe(
        Effect.zipRight(create(path.join(fresh, name), "")),
        Effect.zipRight(syncDirectory(fresh)),
        Effect.zipRight(fs.rename(fresh, directory)),
        Effect.zipRight(syncDirectory(parent)),
        Effect.as(true),
        Effect.onError(() => Effect.ignore(fs.remove(fresh, { recursive: true, force: true }))),
        Effect.catchAll((error) =>
          Effect.flatMap(fs.exists(directory), (isTaken) => (isTaken ? Effect.succeed(false) : Effect.fail(error)))
        )
      )
    })

  return {
    read,
    replace: (directory, current, text, keep) =>
      Effect.suspend(() => {
        const name = `${current.number + 1}.${Base64Url.random(16)}`
        return current.name === undefined
          ? begin(directory, name, text)
          : change(directory, current.name, name, text, keep)
      }).pipe(Effect.uninterruptible)
  }
})
