import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { GrantTransfer, StoredGrant, TokenStore } from "../../src/client/index.js"
import { keys } from "../fixtures/storeLaws.js"
import { call, endpoint, World } from "./World.js"

const owner = { endpoint }

const status = Effect.map(call(), (response) => response.status)

/** An empty store. */
const empty = Effect.map(Layer.build(TokenStore.layerMemory), (context) => Layer.succeedContext(context))

/** A world, and a store in which a person has signed in there. */
const signedIn = Effect.gen(function* () {
  const world = new World()
  const store = yield* empty
  yield* Effect.provide(status, world.source({}, store))
  return { world, store }
})

const granted = Effect.map(StoredGrant.find(owner), (entry) => Option.getOrThrow(entry).value)

describe("a grant that is moved", () => {
  it.scoped("is refreshed in its new place, with the registration that came along, and nobody is asked (J24)", () =>
    Effect.gen(function* () {
      const { store, world } = yield* signedIn
      const other = yield* empty
      const transferKeys = yield* keys
      const text = Option.getOrThrow(yield* Effect.provide(GrantTransfer.exportGrant(owner, transferKeys), store))
      const { accessToken, refreshToken } = yield* Effect.provide(granted, store)
      for (const token of [accessToken.value, refreshToken!]) assert.notInclude(text, Redacted.value(token))

      assert.deepStrictEqual(
        yield* Effect.provide(GrantTransfer.importGrant(text, { keys: transferKeys }), other),
        owner
      )
      yield* Effect.provide(StoredGrant.remove(owner), store)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* Effect.provide(status, world.source({}, other)), 200)
      assert.strictEqual(world.prompts.length, 1)
      assert.strictEqual(world.times("/reg"), 1)
    })
  )

  it.scoped("may be that of a user of its own", () =>
    Effect.gen(function* () {
      const { store, world } = yield* signedIn
      const transferKeys = yield* keys
      const text = Option.getOrThrow(yield* Effect.provide(GrantTransfer.exportGrant(owner, transferKeys), store))
      const imported = GrantTransfer.importGrant(text, { keys: transferKeys, user: "alice" })
      assert.deepStrictEqual(yield* Effect.provide(imported, store), { endpoint, user: "alice" })
      assert.strictEqual(yield* Effect.provide(status, world.source({ user: "alice" }, store)), 200)
      assert.strictEqual(world.prompts.length, 1)
    })
  )

  it.scoped("that is not there is none", () =>
    Effect.gen(function* () {
      const exported = GrantTransfer.exportGrant(owner, yield* keys)
      assert.isTrue(Option.isNone(yield* Effect.provide(exported, yield* empty)))
    })
  )
})

describe("what is there already", () => {
  const cases = {
    "the same grant, issued earlier, is replaced": {
      change: (grant: StoredGrant.StoredGrant) => ({ ...grant, issuedAt: grant.issuedAt - 1 }),
      reason: undefined
    },
    "the same grant, issued later, is kept": {
      change: (grant: StoredGrant.StoredGrant) => ({ ...grant, issuedAt: grant.issuedAt + 1 }),
      reason: "Newer"
    },
    "the grant of another issuer is kept": {
      change: (grant: StoredGrant.StoredGrant) => ({ ...grant, issuer: "https://other.example" }),
      reason: "OtherGrant"
    }
  }
  for (const [name, { change, reason }] of Object.entries(cases)) {
    it.scoped(`${name}, unless it is told to be replaced`, () =>
      Effect.gen(function* () {
        const { store } = yield* signedIn
        const transferKeys = yield* keys
        yield* Effect.gen(function* () {
          const text = Option.getOrThrow(yield* GrantTransfer.exportGrant(owner, transferKeys))
          const exported = yield* granted
          yield* StoredGrant.replace(owner, change(exported))
          const imported = yield* Effect.either(GrantTransfer.importGrant(text, { keys: transferKeys }))
          if (reason === undefined) assert.strictEqual(imported._tag, "Right")
          else {
            const conflict: object = yield* Effect.flip(imported)
            assert.deepInclude(conflict, { _tag: "GrantConflict", reason, endpoint })
            assert.deepStrictEqual(yield* granted, change(exported))
            yield* GrantTransfer.importGrant(text, { keys: transferKeys, replace: true })
          }
          assert.deepStrictEqual(yield* granted, exported)
        }).pipe(Effect.provide(store))
      })
    )
  }

  it.scoped("another client at the same issuer is kept", () =>
    Effect.gen(function* () {
      const one = yield* signedIn
      const two = yield* signedIn
      const transferKeys = yield* keys
      const text = Option.getOrThrow(yield* Effect.provide(GrantTransfer.exportGrant(owner, transferKeys), one.store))
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        const place = TokenStore.key("registration", "https://as.example", "http://127.0.0.1:4711/callback")
        const { value, version } = Option.getOrThrow(yield* store.read(place))
        const changed = JSON.stringify({ ...JSON.parse(Redacted.value(value)), clientId: "another" })
        yield* store.write(place, { expected: Option.some(version), value: Option.some(Redacted.make(changed)) })
        yield* StoredGrant.remove(owner)
        const error = yield* Effect.flip(GrantTransfer.importGrant(text, { keys: transferKeys }))
        assert.deepInclude(error, { _tag: "GrantConflict", reason: "OtherRegistration" })
        assert.isTrue(Option.isNone(yield* StoredGrant.find(owner)))
      }).pipe(Effect.provide(two.store))
    })
  )
})

describe("a text that is no exported grant", () => {
  it.scoped("is a typed failure, and changes nothing", () =>
    Effect.gen(function* () {
      const { store } = yield* signedIn
      const [right, wrong] = yield* Effect.all([keys, keys])
      const text = Option.getOrThrow(yield* Effect.provide(GrantTransfer.exportGrant(owner, right), store))
      // An entry of an encrypted store is a text of the same form.
      const memory = Context.get(yield* Layer.build(TokenStore.layerMemory), TokenStore.TokenStore)
      const encrypted = TokenStore.encrypted(Effect.succeed(right))(Layer.succeed(TokenStore.TokenStore, memory))
      yield* Effect.flatMap(TokenStore.TokenStore, (store) =>
        store.write("k", { expected: Option.none(), value: Option.some(Redacted.make("{}")) })
      ).pipe(Effect.provide(encrypted))
      const entry = Redacted.value(Option.getOrThrow(yield* memory.read("k")).value)

      const target = yield* empty
      for (const [given, keys] of [
        [text, wrong],
        [text.slice(0, -8), right],
        [entry, right],
        ["", right],
        ["{}", right]
      ] as const) {
        const error = yield* Effect.flip(Effect.provide(GrantTransfer.importGrant(given, { keys }), target))
        assert.deepInclude(error, { _tag: "TokenStoreError", operation: "decode" })
      }
      assert.isTrue(Option.isNone(yield* Effect.provide(StoredGrant.find(owner), target)))
    })
  )
})
