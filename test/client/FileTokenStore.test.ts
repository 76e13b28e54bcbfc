import { chmod, mkdir, readdir, rm, stat, symlink, utimes, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { TokenStore } from "../../src/client/index.js"
import * as FileStore from "./fixtures/FileStore.js"

const layer = (directory: string) => TokenStore.layerFileInsecurePlaintext({ directory })

const opened = <A, E, R = never>(directory: string, use: Effect.Effect<A, E, TokenStore.TokenStore | R>) =>
  use.pipe(Effect.provide(layer(directory)), Effect.provide(NodeContext.layer))

const read = Effect.flatMap(TokenStore.TokenStore, (store) => store.read("k"))

const value = Effect.map(read, (entry) =>
  Option.getOrUndefined(Option.map(entry, (entry) => Redacted.value(entry.value)))
)

/** Writes over whatever is there. */
const write = (text: string) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const expected = Option.map(yield* read, ({ version }) => version)
    assert.isTrue(yield* store.write("k", { expected, value: Option.some(Redacted.make(text)) }))
  })

const everything = (directory: string) =>
  Effect.promise(async () =>
    Promise.all(
      (await readdir(directory, { recursive: true })).map(async (name) => {
        const { mode } = await stat(join(directory, name))
        return { name, mode: (mode & 0o777).toString(8) }
      })
    )
  )

describe("the directory", () => {
  it.scopedLive("and all that is in it belong to their owner only, whatever the umask", () =>
    Effect.gen(function* () {
      const directory = join(yield* FileStore.directory, "made", "here")
      const before = process.umask(0)
      yield* Effect.ensuring(
        opened(directory, Effect.zipRight(write("1"), write("2"))),
        Effect.sync(() => process.umask(before))
      )
      const { mode } = yield* Effect.promise(() => stat(directory))
      assert.strictEqual((mode & 0o777).toString(8), "700")
      for (const { mode, name } of yield* everything(directory)) {
        assert.strictEqual(mode, name.includes("/") ? "600" : "700", name)
        assert.match(name, /^[\w-]{2}(\/\d+\.[\w-]+(\.json)?)?$/)
      }
    })
  )

  for (const mode of ["0755", "0750", "0702", "0740"]) {
    it.scopedLive(`is refused with the permissions ${mode}, with the remedy`, () =>
      Effect.gen(function* () {
        const directory = yield* FileStore.directory
        yield* Effect.promise(() => chmod(directory, Number.parseInt(mode, 8)))
        const error = yield* Effect.flip(opened(directory, read))
        assert.strictEqual(error.operation, "open")
        assert.strictEqual(
          error.detail,
          `${directory} has the permissions ${mode}, and tokens need 0700: chmod 700 ${directory}`
        )
      })
    )
  }

  it.scopedLive("may be a link, and what counts is what it leads to", () =>
    Effect.gen(function* () {
      const directory = yield* FileStore.directory
      const [open, own, link] = ["open", "own", "link"].map((name) => join(directory, name)) as [string, string, string]
      yield* Effect.promise(() => mkdir(own, { mode: 0o700 }))
      yield* Effect.promise(() => symlink(own, link))
      yield* opened(link, write("1"))
      assert.strictEqual(yield* opened(own, value), "1")
      yield* Effect.promise(async () => {
        await mkdir(open)
        await chmod(open, 0o755)
        await rm(link)
        await symlink(open, link)
      })
      assert.strictEqual((yield* Effect.flip(opened(link, read))).operation, "open")
    })
  )

  it.scopedLive("that cannot be one is a typed failure", () =>
    Effect.gen(function* () {
      const file = join(yield* FileStore.directory, "file")
      yield* Effect.promise(() => writeFile(file, ""))
      for (const directory of [file, join(file, "below"), "a\u0000b"]) {
        assert.strictEqual((yield* Effect.flip(opened(directory, read))).operation, "open", directory)
      }
    })
  )

  it.scopedLive("that is taken away is made again", () =>
    Effect.gen(function* () {
      const directory = join(yield* FileStore.directory, "tokens")
      yield* Effect.gen(function* () {
        yield* write("1")
        yield* Effect.promise(() => rm(directory, { recursive: true }))
        assert.isTrue(Option.isNone(yield* read))
        yield* write("2")
        assert.strictEqual(yield* value, "2")
      }).pipe((use) => opened(directory, use))
      assert.strictEqual((yield* Effect.promise(() => stat(directory))).mode & 0o777, 0o700)
    })
  )
})

describe("what is left behind", () => {
  it.scopedLive("is one text after any number of writes, and what a killed process left goes with the next", () =>
    Effect.gen(function* () {
      const directory = yield* FileStore.directory
      yield* opened(directory, Effect.repeatN(write("1"), 10))
      yield* Effect.promise(() => FileStore.leaveHalfAWrite(directory))
      yield* opened(directory, write("2"))
      const { path } = yield* Effect.promise(() => FileStore.drawer(directory))
      const names = yield* Effect.promise(() => readdir(path))
      assert.strictEqual(names.length, 2)
      assert.strictEqual(yield* opened(directory, value), "2")
    })
  )

  it.scopedLive(
    "by a process that was killed with its first entry goes after an hour, not while it may be at work",
    () =>
      Effect.gen(function* () {
        const directory = yield* FileStore.directory
        yield* Effect.promise(() => FileStore.leaveHalfAWrite(directory))
        const left = Effect.promise(() => readdir(directory))
        yield* opened(directory, read)
        assert.deepStrictEqual(yield* left, [".new-1.dead"])
        const old = new Date(Date.now() - 2 * 3_600_000)
        yield* Effect.promise(() => utimes(join(directory, ".new-1.dead"), old, old))
        yield* opened(directory, read)
        assert.deepStrictEqual(yield* left, [])
      })
  )
})

describe("a text that is not understood", () => {
  const damages: Readonly<Record<string, (path: string, name: string) => Promise<void>>> = {
    "of a newer version": (path, name) => writeFile(join(path, `${name}.json`), '{"schemaVersion":2,"entries":[]}'),
    empty: (path, name) => writeFile(join(path, `${name}.json`), ""),
    "that is gone": (path, name) => rm(join(path, `${name}.json`)),
    "without the file that says which it is": (path, name) => rm(join(path, name))
  }
  for (const [kind, damage] of Object.entries(damages)) {
    it.scopedLive(`${kind} is a typed failure that names the entry, and stays as it is`, () =>
      Effect.gen(function* () {
        const directory = yield* FileStore.directory
        yield* opened(directory, write("1"))
        const { name, path } = yield* Effect.promise(() => FileStore.drawer(directory))
        yield* Effect.promise(() => damage(path, name))
        const before = yield* Effect.promise(() => readdir(path))
        const error = yield* Effect.flip(opened(directory, write("2")))
        assert.deepInclude(error, { _tag: "TokenStoreError", operation: "decode", key: "k" })
        assert.deepStrictEqual(yield* Effect.promise(() => readdir(path)), before)
      })
    )
  }
})

describe("whatever fails", () => {
  /** The file system, of which the n-th operation fails as on a disk that is full. */
  const failing = (nth: number) => {
    let count = 0
    const full = (method: string) => () =>
      ++count === nth
        ? Effect.fail(
            new SystemError({ module: "FileSystem", method, reason: "Unknown", description: "ENOSPC: no space left" })
          )
        : Effect.void
    const faulty = <A extends ReadonlyArray<unknown>, B, E, R>(
      method: string,
      run: (...args: A) => Effect.Effect<B, E, R>
    ) => {
      const fault = full(method)
      return (...args: A) => Effect.zipRight(Effect.suspend(fault), run(...args))
    }
    const system = Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      makeDirectory: faulty("makeDirectory", fs.makeDirectory),
      rename: faulty("rename", fs.rename),
      remove: faulty("remove", fs.remove),
      readDirectory: faulty("readDirectory", fs.readDirectory),
      readFileString: faulty("readFileString", fs.readFileString),
      open: faulty("open", (...args: Parameters<typeof fs.open>) =>
        Effect.map(fs.open(...args), (file) => ({
          ...file,
          writeAll: faulty("writeAll", (data: Uint8Array) => file.writeAll(data)),
          sync: Effect.zipRight(Effect.suspend(full("sync")), file.sync)
        }))
      )
    }))
    const failing = Layer.effect(FileSystem.FileSystem, system)
    return { layer: Layer.provideMerge(failing, NodeContext.layer), calls: () => count }
  }

  for (const before of ["first entry", "next value"]) {
    it.scopedLive(`while a ${before} is written: it is there or it is not, and the next write finds all in order`, () =>
      Effect.gen(function* () {
        const outcomes: Array<string> = []
        for (let nth = 1; nth < 100; nth++) {
          const directory = join(yield* FileStore.directory, "tokens")
          if (before === "next value") yield* opened(directory, write("old"))
          const { calls, layer: system } = failing(nth)
          const result = yield* Effect.either(
            write("new").pipe(Effect.provide(layer(directory)), Effect.provide(system))
          )
          if (calls() < nth) break
          const found = yield* opened(directory, value)
          outcomes.push(`${result._tag} ${found}`)
          if (result._tag === "Left") assert.strictEqual(result.left._tag, "TokenStoreError")
          yield* opened(directory, write("next"))
          const { path } = yield* Effect.promise(() => FileStore.drawer(directory))
          assert.strictEqual((yield* Effect.promise(() => readdir(path))).length, 2)
          assert.deepStrictEqual(
            (yield* Effect.promise(() => readdir(directory))).filter((name) => name.startsWith(".new")),
            []
          )
        }
        const old = before === "next value" ? "old" : "undefined"
        assert.sameMembers([...new Set(outcomes)], [`Left ${old}`, "Right new"])
        assert.isAbove(outcomes.length, 8)
      })
    )
  }
})

describe("a clock that is set back", () => {
  it.scoped("leaves the lease of a process that died to nobody for long", () =>
    Effect.gen(function* () {
      const directory = yield* FileStore.directory
      const lease = Effect.flatMap(TokenStore.TokenStore, (store) => store.lease("k", "15 seconds"))
      const isFree = opened(directory, Effect.scoped(Effect.map(lease, Option.isSome)))
      yield* TestClock.setTime(7_200_000)
      yield* opened(directory, lease)
      yield* TestClock.setTime(7_200_000 - 1000)
      assert.isFalse(yield* isFree)
      yield* TestClock.setTime(0)
      assert.isTrue(yield* isFree)
    })
  )
})

describe("many processes", () => {
  it.scopedLive("read a whole value at any time while others write", () =>
    Effect.gen(function* () {
      const directory = yield* FileStore.directory
      const text = (n: number) => `${n}`.repeat(5000)
      yield* opened(directory, write(text(0)))
      const writer = opened(
        directory,
        Effect.forEach(
          Array.from({ length: 60 }, (_, n) => n % 10),
          (n) => write(text(n))
        )
      )
      const reader = opened(
        directory,
        Effect.forEach(Array.from({ length: 300 }), () => value)
      )
      const [, ...readings] = yield* Effect.all([writer, reader, reader], { concurrency: "unbounded" })
      for (const found of readings.flat()) assert.match(found ?? "", /^(\d)\1{4999}$/)
    })
  )
})
