import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { TokenStore } from "../../src/client/index.js"

const layer = Layer.provideMerge(TokenStore.layerKeyValueStoreInsecurePlaintext, KeyValueStore.layerMemory)

const put = (key: string, life?: number) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const expected = Option.map(yield* store.read(key), ({ version }) => version)
    const expiresAt = life === undefined ? undefined : (yield* Clock.currentTimeMillis) + life
    assert.isTrue(yield* store.write(key, { expected, value: Option.some(Redacted.make(key)), expiresAt }))
  })

const isThere = (key: string) =>
  Effect.map(
    Effect.flatMap(TokenStore.TokenStore, (store) => store.read(key)),
    Option.isSome
  )

const size = Effect.flatMap(KeyValueStore.KeyValueStore, (store) => store.size)

describe("what expires in a KeyValueStore", () => {
  it.effect("leaves it as others come, and no more is there than lives", () =>
    Effect.gen(function* () {
      yield* put("grant")
      for (let n = 0; n < 200; n++) {
        yield* put(`pending-${n}`, 1000)
        yield* TestClock.adjust(100)
      }
      // Those that live, what does not expire, and the list of what does.
      assert.isAtMost(yield* size, 10 + 2 + 2)
      assert.isTrue(yield* isThere("grant"))
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaves it bit by bit after a long pause, so that nobody waits for all of it", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 100; n++) yield* put(`pending-${n}`, 1000)
      yield* TestClock.adjust("1 day")
      const before = yield* size
      yield* put("next", 1000)
      assert.isAtLeast(yield* size, before - 50)
      for (let n = 0; n < 10; n++) yield* put(`next-${n}`, 1000)
      assert.isAtMost(yield* size, 13)
    }).pipe(Effect.provide(layer))
  )

  it.effect("stays where it was written again meanwhile: for ever, or for longer", () =>
    Effect.gen(function* () {
      yield* put("kept", 1000)
      yield* put("kept")
      yield* put("prolonged", 1000)
      yield* put("prolonged", 10_000)
      yield* TestClock.adjust(5000)
      yield* put("other", 1000)
      yield* put("another", 1000)
      assert.isTrue(yield* isThere("kept"))
      assert.isTrue(yield* isThere("prolonged"))
      yield* TestClock.adjust(10_000)
      yield* put("last", 1000)
      assert.isFalse(yield* isThere("prolonged"))
      // "kept", "last", and the list.
      assert.strictEqual(yield* size, 3)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is found by a list that is made anew where it was cut, and what cannot be read is not swept away", () =>
    Effect.gen(function* () {
      const raw = yield* KeyValueStore.KeyValueStore
      yield* put("before", 1000)
      yield* raw.set("mcp-auth-expiring", '{"schemaVersion":1,"na')
      yield* put("damaged", 1000)
      const list = Option.getOrThrow(yield* raw.get("mcp-auth-expiring"))
      const [name = ""] = /mcp-auth-[\w-]{43}/.exec(list) ?? []
      yield* raw.set(name, "not readable")
      yield* TestClock.adjust(2000)
      yield* put("after", 1000)
      assert.deepStrictEqual(yield* raw.get(name), Option.some("not readable"))
    }).pipe(Effect.provide(layer))
  )
})
