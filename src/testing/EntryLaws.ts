/**
 * The laws of entries: read, compare-and-swap, expiry.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { create, get, holds, type Law, put, same } from "./Law.js"

/** Keys that a file system, a keyspace or an object literal takes for something else. */
const oddKeys: ReadonlyArray<string> = [
  "",
  " ",
  ".",
  "..",
  "../../etc/passwd",
  "/",
  "\\",
  "C:\\con",
  "a",
  "A",
  "é",
  "e\u0301",
  "\u0000",
  "a\u0000b",
  "a\nb",
  "a b",
  "a%20b",
  "a*b?[c]",
  "{a}b",
  "}{",
  "$(a)`b`",
  "__proto__",
  "constructor",
  "\ud800",
  "\ud801",
  "🔑",
  "k".repeat(255),
  "k".repeat(256),
  "k".repeat(10_000)
]

const sizes: ReadonlyArray<string> = [
  "",
  "1",
  "\u0000\n\u001f\u007f\u0085\u2028é🔑",
  ...[1023, 65_537, 1_000_000].map((size) => "0123456789 é🔑".repeat(Math.ceil(size / 17)).slice(0, size))
]

const many = Array.from({ length: 20 }, (_, index) => index)

/**
 * By name.
 *
 * @since 0.1.0
 * @category laws
 */
export const laws: Readonly<Record<string, Law>> = {
  "what is written is read in every process, under one version": ({ first, second }) =>
    Effect.gen(function* () {
      yield* same(yield* get(first, "k"), {}, "what there is before anything was written")
      const version = yield* create(first, "k", "1")
      yield* same(yield* get(second, "k"), { value: "1", version }, "the entry in the second process")
      yield* same(yield* put(second, "k", version, "2"), true, "a write on the current version")
      yield* same((yield* get(first, "k")).value, "2", "the value in the first process")
    }),

  "what is written outlives the process": ({ open }) =>
    Effect.gen(function* () {
      const version = yield* Effect.scoped(Effect.flatMap(open, (store) => create(store, "k", "1")))
      const found = yield* Effect.scoped(Effect.flatMap(open, (store) => get(store, "k")))
      yield* same(found, { value: "1", version }, "the entry in a later process")
    }),

  "a write on another version than the current one answers false, and changes nothing": ({ first, second }) =>
    Effect.gen(function* () {
      for (const never of ["never", ""]) {
        yield* same(yield* put(first, "k", never, "1"), false, "a write on a version of nothing")
        yield* same(yield* put(first, "k", never, undefined), false, "a removal of a version of nothing")
      }
      yield* same(yield* get(second, "k"), {}, "what there is when all writes were refused")
      const version = yield* create(first, "k", "1")
      for (const wrong of [undefined, "never", "", `${version}0`, version.toUpperCase() + version]) {
        yield* same(yield* put(second, "k", wrong, "2"), false, `a write on ${wrong ?? "no entry"}`)
        yield* same(yield* put(second, "k", wrong, undefined), false, `a removal of ${wrong ?? "no entry"}`)
      }
      yield* same(yield* get(first, "k"), { value: "1", version }, "the entry when all writes were refused")
    }),

  "a version never comes back, not even when the entry was removed and made again": ({ first, second }) =>
    Effect.gen(function* () {
      const versions: Array<string> = []
      for (const store of [first, second, first, second]) {
        const made = yield* create(store, "k", "same")
        yield* same(yield* put(store, "k", made, "same"), true, "the same value on the current version")
        const { version = "" } = yield* get(store, "k")
        yield* same(yield* put(store, "k", made, "other"), false, "a write on the version before")
        yield* same(yield* put(store, "k", version, undefined), true, "the removal")
        yield* same(yield* get(store, "k"), {}, "what there is after the removal")
        versions.push(made, version)
      }
      yield* same(new Set(versions).size, versions.length, "the number of different versions")
      yield* create(first, "k", "same")
      for (const version of versions) {
        yield* same(
          yield* put(second, "k", version, "stale"),
          false,
          "a write on a version of an entry that was removed"
        )
      }
    }),

  "of many who write on one version, one wins": ({ first, second }) =>
    Effect.gen(function* () {
      const version = yield* create(first, "k", "0")
      const won = yield* Effect.filter(many, (n) => put(n % 2 === 0 ? first : second, "k", version, `value ${n}`), {
        concurrency: "unbounded"
      })
      yield* same(won.length, 1, "the number of writes that won")
      yield* same((yield* get(first, "k")).value, `value ${won[0]}`, "the value afterwards")
    }),

  "of many who make an entry, one wins": ({ first, second }) =>
    Effect.gen(function* () {
      const won = yield* Effect.filter(many, (n) => put(n % 2 === 0 ? first : second, "k", undefined, `value ${n}`), {
        concurrency: "unbounded"
      })
      yield* same(won.length, 1, "the number of writes that won")
      yield* same((yield* get(second, "k")).value, `value ${won[0]}`, "the value afterwards")
    }),

  "of a write and a removal on one version, one wins": ({ first, second }) =>
    Effect.forEach(
      many,
      (n) =>
        Effect.gen(function* () {
          const version = yield* create(first, `k${n}`, "before")
          const [written, removed] = yield* Effect.all(
            [put(first, `k${n}`, version, "after"), put(second, `k${n}`, version, undefined)],
            { concurrency: "unbounded" }
          )
          yield* holds(written !== removed, `${written && removed ? "both" : "neither"} won`)
          yield* same((yield* get(first, `k${n}`)).value, written ? "after" : undefined, "the value afterwards")
        }),
      { discard: true }
    ),

  "no update is lost": ({ first, second }) =>
    Effect.gen(function* () {
      yield* create(first, "k", "0")
      const increment = (n: number) =>
        Effect.gen(function* () {
          const store = n % 2 === 0 ? first : second
          const { value, version } = yield* get(store, "k")
          return yield* put(store, "k", version, String(Number(value) + 1))
        }).pipe(Effect.repeat({ until: (won) => won, schedule: Schedule.recurs(1000) }))
      yield* Effect.forEach(many, increment, { concurrency: "unbounded", discard: true })
      yield* same((yield* get(second, "k")).value, String(many.length), "the count")
    }),

  "a write that is interrupted happens as a whole, or not at all": ({ first, second }) =>
    Effect.forEach(
      many,
      (n) =>
        Effect.gen(function* () {
          const version = yield* create(first, `k${n}`, "before")
          const fiber = yield* Effect.fork(put(first, `k${n}`, version, "after"))
          yield* Effect.repeatN(Effect.yieldNow(), n)
          yield* Fiber.interrupt(fiber)
          const found = yield* get(second, `k${n}`)
          yield* holds(found.value === "before" || found.value === "after", `the value is ${found.value}`)
          yield* same(yield* put(second, `k${n}`, found.version, "next"), true, "a write after the one interrupted")
        }),
      { discard: true }
    ),

  "odd keys are keys like any other, and no two are the same": ({ first, second }) =>
    Effect.gen(function* () {
      yield* Effect.forEach(oddKeys, (key, index) => create(first, key, `value ${index}`), { concurrency: 8 })
      for (const [index, key] of oddKeys.entries()) {
        const { value, version } = yield* get(second, key)
        yield* same(value, `value ${index}`, `the value under ${JSON.stringify(key.slice(0, 50))}`)
        yield* same(
          yield* put(second, key, version, undefined),
          true,
          `the removal of ${JSON.stringify(key.slice(0, 50))}`
        )
      }
    }),

  "values of any size and any text are read as they were written": ({ first, second }) =>
    Effect.forEach(
      sizes,
      (value, index) =>
        Effect.gen(function* () {
          yield* create(first, `k${index}`, value)
          const found = yield* get(second, `k${index}`)
          yield* holds(found.value === value, `a value of ${value.length} characters is read as another`)
        }),
      { discard: true }
    ),

  "an entry is forgotten after its time, and only then": ({ first, second, unit }) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* put(first, "long", undefined, "1", now + 3_600_000)
      yield* put(first, "never", undefined, "1", Number.POSITIVE_INFINITY)
      yield* put(first, "short", undefined, "1", now + unit)
      yield* put(first, "past", undefined, "1", now - 1)
      yield* put(first, "prolonged", undefined, "1", now + 20 * unit)
      // Again where the machine is so slow that the time is over in between.
      yield* Effect.repeat(
        Effect.flatMap(get(second, "prolonged"), ({ version }) => put(second, "prolonged", version, "2")),
        { until: (written) => written }
      )
      yield* Effect.sleep(22 * unit)
      const values = yield* Effect.forEach(["long", "never", "short", "past", "prolonged"], (key) => get(second, key))
      yield* same(
        values.map(({ value }) => value ?? null),
        ["1", "1", null, null, "2"],
        "what is left"
      )
      yield* create(first, "short", "again")
    })
}
