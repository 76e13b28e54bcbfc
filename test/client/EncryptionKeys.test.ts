import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { base64url, CompactEncrypt, decodeProtectedHeader } from "jose"
import { ClientError, EncryptionKeys, TokenStore } from "../../src/client/index.js"
import { call, World } from "./World.js"

const fresh = Effect.runSync(Effect.replicateEffect(EncryptionKeys.generate, 3)).map(Redacted.value)
const [older = "", newer = "", foreign = ""] = fresh

const parse = (text: string) => EncryptionKeys.parse(Redacted.make(text))

describe("parse", () => {
  it("takes one key or several, apart by commas or white space", () => {
    assert.strictEqual(Either.getOrThrow(parse(older)).length, 1)
    const keys = Either.getOrThrow(parse(` ${older},\n${newer} ${foreign} `))
    assert.deepStrictEqual(
      keys.map((key) => base64url.encode(Redacted.value(key))),
      [older, newer, foreign]
    )
    assert.deepStrictEqual(
      keys.map((key) => Redacted.value(key).length),
      [32, 32, 32]
    )
  })

  const malformed: ReadonlyArray<readonly [string, string]> = [
    ["", "none was given"],
    [" , ", "none was given"],
    ["secret", "number 1 has 6 characters"],
    [older.slice(1), "number 1 has 42 characters"],
    [`${older}=`, "number 1 has 44 characters"],
    [`${older.slice(1)}+`, "number 1 has 43 characters"],
    [`${older},${"é".repeat(43)}`, "number 2 has 43 characters"]
  ]
  for (const [text, why] of malformed) {
    it(`says what is wrong with ${text === older ? "a key" : JSON.stringify(text.slice(0, 8))}: ${why}`, () => {
      const rule = "an encryption key is 256 random bits in base64url, 43 characters without padding"
      const message = Either.getOrThrow(Either.flip(parse(text)))
      assert.strictEqual(message, `${rule}; ${why}`)
    })
  }
})

describe("config", () => {
  const load = (map: ReadonlyArray<readonly [string, string]>, name?: string) =>
    Effect.either(Effect.withConfigProvider(EncryptionKeys.config(name), ConfigProvider.fromMap(new Map(map))))

  it.effect("reads MCP_AUTH_ENCRYPTION_KEYS, or what is named", () =>
    Effect.gen(function* () {
      assert.isTrue(Either.isRight(yield* load([["MCP_AUTH_ENCRYPTION_KEYS", older]])))
      assert.isTrue(Either.isRight(yield* load([["MINE", older]], "MINE")))
    })
  )

  it.effect("fails with the name and the rule, and without the value", () =>
    Effect.gen(function* () {
      const missing = yield* load([])
      assert.include(String(missing), "MCP_AUTH_ENCRYPTION_KEYS")
      const malformed = inspect(yield* load([["MINE", "hunter2"]], "MINE"), { depth: 10 })
      assert.include(malformed, "MINE")
      assert.include(malformed, "256 random bits")
      assert.notInclude(malformed, "hunter2")
    })
  )
})

describe("an encrypted store", () => {
  const value = (text: string) => Option.some(Redacted.make(text))

  /** One memory, and the store over it under any keys. */
  const make = Effect.gen(function* () {
    const memory = yield* Layer.build(TokenStore.layerMemory)
    const inner = Context.get(memory, TokenStore.TokenStore)
    const over = (inner: TokenStore.VersionedStore, ...keys: ReadonlyArray<string>) =>
      Layer.build(TokenStore.encrypted(parse(keys.join()))(Layer.succeed(TokenStore.TokenStore, inner))).pipe(
        Effect.map(Context.get(TokenStore.TokenStore))
      )
    const under = (...keys: ReadonlyArray<string>) => over(inner, ...keys)
    const raw = (key: string) => Effect.map(inner.read(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))
    /** Puts a text in the place of what is there. */
    const plant = (key: string, text: string) =>
      Effect.flatMap(inner.read(key), (entry) =>
        inner.write(key, { expected: Option.map(entry, ({ version }) => version), value: value(text) })
      )
    return { inner, over, under, raw, plant }
  })

  const get = (store: TokenStore.VersionedStore, key: string) =>
    Effect.map(store.read(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))

  it.scoped("keeps nothing that can be read", () =>
    Effect.gen(function* () {
      const { raw, under } = yield* make
      const store = yield* under(older)
      yield* store.write("k", { expected: Option.none(), value: value("secret") })
      const text = yield* raw("k")
      assert.match(text, /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/)
      assert.notInclude(text, "secret")
      assert.deepInclude(decodeProtectedHeader(text), { alg: "dir", enc: "A256GCM", entry: "k" })
      assert.strictEqual(yield* get(store, "k"), "secret")
    })
  )

  it.scoped("gives back what it was given, to the last character", () =>
    Effect.gen(function* () {
      const store = yield* (yield* make).under(older)
      for (const text of ["", "\ufeff{}", "\u0000", "é🔑\u2028"]) {
        yield* store.write(text, { expected: Option.none(), value: value(text) })
        assert.strictEqual(yield* get(store, text), text)
      }
    })
  )

  it.scoped("reads under every key, and writes under the first", () =>
    Effect.gen(function* () {
      const { under } = yield* make
      yield* (yield* under(older)).write("k", { expected: Option.none(), value: value("1") })
      const both = yield* under(newer, older)
      const { version } = Option.getOrThrow(yield* both.read("k"))
      yield* both.write("k", { expected: Option.some(version), value: value("2") })
      assert.strictEqual(yield* get(yield* under(newer), "k"), "2")
      assert.strictEqual((yield* Effect.flip(get(yield* under(older), "k"))).operation, "decode")
    })
  )

  it.scoped("is encrypted anew as it is used, so that the old key can be taken away", () =>
    Effect.gen(function* () {
      const memory = Layer.succeedContext(yield* Layer.build(TokenStore.layerMemory))
      const world = new World()
      const use = (...keys: ReadonlyArray<string>) =>
        Effect.provide(call(), world.source({}, TokenStore.encrypted(Effect.orDie(parse(keys.join())))(memory)))
      yield* use(older)
      yield* TestClock.adjust("2 hours")
      yield* use(newer, older)
      yield* use(newer)
      // What stands in the store beside the grant is not written by a refresh, and is needed for the next one.
      yield* TestClock.adjust("2 hours")
      yield* use(newer)
      assert.lengthOf(world.prompts, 1)
    })
  )

  it.scoped("keeps its time where it expires", () =>
    Effect.gen(function* () {
      const { under } = yield* make
      const store = yield* under(older)
      yield* store.write("k", { expected: Option.none(), value: value("1"), expiresAt: 600_000 })
      yield* TestClock.adjust("5 minutes")
      const both = yield* under(newer, older)
      assert.strictEqual(yield* get(both, "k"), "1")
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(Option.isNone(yield* both.read("k")))
    })
  )

  it.scoped("is written once a minute at most by those who do not agree on the first key", () =>
    Effect.gen(function* () {
      const { raw, under } = yield* make
      const [one, other] = [yield* under(older, newer), yield* under(newer, older)]
      yield* one.write("k", { expected: Option.none(), value: value("1") })
      const texts = new Set<string>()
      for (let second = 0; second < 300; second++) {
        for (const store of [one, other]) {
          const { version } = Option.getOrThrow(yield* store.read("k"))
          texts.add(yield* raw("k"))
          // The version that was read is the one to write on.
          if (second % 100 === 50)
            assert.isTrue(yield* store.write("k", { expected: Option.some(version), value: value("1") }))
        }
        yield* TestClock.adjust("1 second")
      }
      assert.isAtMost(texts.size, 12)
      assert.isAtLeast(texts.size, 4)
    })
  )

  it.scoped("is read all the same where it cannot be written", () =>
    Effect.gen(function* () {
      const { inner, over, under } = yield* make
      yield* (yield* under(older)).write("k", { expected: Option.none(), value: value("1") })
      yield* TestClock.adjust("5 minutes")
      const locked: TokenStore.VersionedStore = {
        ...inner,
        write: (key) => new ClientError.TokenStoreError({ key, operation: "write", detail: "read-only", rule: "" })
      }
      assert.strictEqual(yield* get(yield* over(locked, newer, older), "k"), "1")
    })
  )

  it.scoped("names the entry and the key that it lacks, keeps the entry, and sets it aside when it is told to", () =>
    Effect.gen(function* () {
      const { raw, under } = yield* make
      yield* (yield* under(older)).write("k", { expected: Option.none(), value: value("secret") })
      const before = yield* raw("k")
      const store = yield* under(newer)
      const error = yield* Effect.flip(store.read("k"))
      assert.deepInclude(error, { _tag: "TokenStoreError", operation: "decode", key: "k" })
      const kid = decodeProtectedHeader(before).kid ?? ""
      assert.strictEqual(error.detail, `the entry k is encrypted under the key ${kid}, which is not among the 1 given`)
      assert.isFalse(yield* store.write("k", { expected: Option.none(), value: value("new") }))
      assert.strictEqual(yield* raw("k"), before)

      const place = Option.getOrThrow(
        yield* Effect.provideService(TokenStore.setAside(error), TokenStore.TokenStore, store)
      )
      assert.isTrue(yield* store.write("k", { expected: Option.none(), value: value("new") }))
      assert.strictEqual(yield* raw(place), before)
    })
  )

  const secretOf = (key: string) => Redacted.value(Either.getOrThrow(parse(key))[0])

  const forge = (text: string, header: Record<string, string>) =>
    new CompactEncrypt(new TextEncoder().encode("forged"))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", ...(decodeProtectedHeader(text) as object), ...header })
      .encrypt(secretOf(foreign))

  const forgeries: Readonly<Record<string, (text: string, other: string) => string | Promise<string>>> = {
    "another entry": (_, other) => other,
    "plain text": () => '{"schemaVersion":1}',
    nothing: () => "",
    "half of it": (text) => text.slice(0, text.length / 2),
    "more than it": (text) => `${text}A`,
    "another tag": (text) => text.replace(/.{4}$/, "AAAA"),
    "one under another key that claims this one": (text) => forge(text, {}),
    "one of another algorithm": (text) => {
      const [header = "", ...rest] = text.split(".")
      const changed = { ...JSON.parse(atob(header.replace(/-/g, "+").replace(/_/g, "/"))), enc: "A128GCM" }
      return [base64url.encode(JSON.stringify(changed)), ...rest].join(".")
    },
    "one whose key is a text of the attacker": (text) => forge(text, { kid: "<script>\u0007" })
  }
  for (const [name, make_] of Object.entries(forgeries)) {
    it.scoped(`does not read ${name} in the place of an entry, nor repeat it`, () =>
      Effect.gen(function* () {
        const { plant, raw, under } = yield* make
        const store = yield* under(older)
        yield* store.write("k", { expected: Option.none(), value: value("secret") })
        yield* store.write("other", { expected: Option.none(), value: value("other") })
        const [text, other] = yield* Effect.all([raw("k"), raw("other")])
        const forged = yield* Effect.promise(async () => make_(text, other))
        yield* plant("k", forged)
        const error = yield* Effect.flip(store.read("k"))
        assert.deepInclude(error, { operation: "decode", key: "k" })
        assert.notMatch(inspect(error, { depth: 10 }) + JSON.stringify(error), /secret|forged|script|schemaVersion":1/)
      })
    )
  }
})
