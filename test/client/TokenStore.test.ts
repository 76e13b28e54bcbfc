import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { ClientError, type EncryptionKeys, TokenStore } from "../../src/client/index.js"
import { keys } from "../fixtures/storeLaws.js"
import * as Logs from "../server/fixtures/Logs.js"
import { call, World } from "./World.js"

const value = (text: string) => Option.some(Redacted.make(text))

const status = Effect.map(call(), (response) => response.status)

describe("records", () => {
  it.effect("an entry that cannot be read is a typed failure that names it, without its content", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const records = TokenStore.records(Schema.Struct({ schemaVersion: Schema.Literal(1) }))
      yield* store.write("k", { expected: Option.none(), value: value('{"schemaVersion":2,"t":"secret"}') })
      const error = yield* Effect.flip(records.read("k"))
      assert.strictEqual(error.operation, "decode")
      assert.strictEqual(error.key, "k")
      assert.notInclude(JSON.stringify(error) + error.message, "secret")
      assert.isTrue(Option.isSome(yield* store.read("k")))
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )

  it.effect("of an earlier version are migrated when they are read, and written as they are now", () =>
    Effect.gen(function* () {
      const V1 = Schema.Struct({ schemaVersion: Schema.Literal(1), scope: Schema.String })
      const V2 = Schema.Struct({ schemaVersion: Schema.Literal(2), scopes: Schema.Array(Schema.String) })
      const migrated = Schema.transform(V1, Schema.typeSchema(V2), {
        strict: true,
        decode: ({ scope }) => ({ schemaVersion: 2 as const, scopes: scope.split(" ") }),
        encode: ({ scopes }) => ({ schemaVersion: 1 as const, scope: scopes.join(" ") })
      })
      const store = yield* TokenStore.TokenStore
      const [before, now] = [TokenStore.records(V1), TokenStore.records(Schema.Union(V2, migrated))]
      yield* before.write("k", { expected: Option.none(), value: Option.some({ schemaVersion: 1, scope: "a b" }) })
      const { value: found, version } = Option.getOrThrow(yield* now.read("k"))
      assert.deepStrictEqual(found, { schemaVersion: 2, scopes: ["a", "b"] })
      // To read it changes nothing: a program of the earlier version may still be at work.
      assert.strictEqual(Option.getOrThrow(yield* before.read("k")).version, version)
      yield* now.modify("k", () => Option.some({ schemaVersion: 2, scopes: ["a", "b", "c"] }))
      const text = Redacted.value(Option.getOrThrow(yield* store.read("k")).value)
      assert.strictEqual(text, '{"schemaVersion":2,"scopes":["a","b","c"]}')
      // One that is at work still does not understand it, and leaves it alone.
      const error = yield* Effect.flip(before.modify("k", () => Option.none()))
      assert.strictEqual(error.operation, "decode")
      assert.strictEqual(Redacted.value(Option.getOrThrow(yield* store.read("k")).value), text)
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )

  it("keys of different parts differ", () => {
    assert.notStrictEqual(TokenStore.key("a", "b/c"), TokenStore.key("a/b", "c"))
    assert.notStrictEqual(TokenStore.key("\ud800"), TokenStore.key("\ud801"))
    assert.notStrictEqual(TokenStore.key("\ud800"), TokenStore.key("%d800"))
    assert.strictEqual(TokenStore.key("🔑"), "%F0%9F%94%91")
  })
})

describe("layerMemory", () => {
  it.effect("lets go of what has expired, and is not asked for again", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.TokenStore
      const put = (key: string, expiresAt?: number) =>
        store.write(key, { expected: Option.none(), value: value(key), expiresAt })
      yield* put("pending", 1000)
      yield* put("grant")
      yield* TestClock.adjust("5 minutes")
      yield* put("other", 600_000)
      // Were it there still, it would be by this clock.
      yield* TestClock.setTime(0)
      assert.isTrue(Option.isNone(yield* store.read("pending")))
      for (const key of ["grant", "other"]) assert.isTrue(Option.isSome(yield* store.read(key)))
    }).pipe(Effect.provide(TokenStore.layerMemory))
  )
})

describe("a store that outlives the process", () => {
  const shared = Effect.map(Layer.build(TokenStore.layerMemory), (context) =>
    Layer.succeed(TokenStore.TokenStore, Context.get(context, TokenStore.TokenStore))
  )

  it.scoped("warm: a valid token takes 1 request, an expired one 2; nobody is asked (CL-73, J24)", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const world = new World()
      yield* Effect.provide(status, world.source({}, store))
      const before = world.requests.length
      yield* Effect.provide(status, world.source({}, store))
      assert.strictEqual(world.requests.length - before, 1)
      yield* TestClock.adjust("2 hours")
      yield* Effect.provide(status, world.source({}, store))
      assert.deepStrictEqual(
        world.requests.slice(before + 1).map((r) => r.path),
        ["/token", "/mcp"]
      )
      assert.strictEqual(world.prompts.length, 1)
    })
  )

  it.scoped("two clients on one store refresh once, and the loser has the winner's token", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const world = new World()
      yield* Effect.provide(status, world.source({}, store))
      yield* TestClock.adjust("2 hours")
      const call = Effect.provide(status, world.source({}, store))
      const fiber = yield* Effect.fork(Effect.all([call, call, call, call], { concurrency: "unbounded" }))
      // Those without the lease look again, every 100 ms of this clock.
      yield* TestClock.adjust("100 millis").pipe(
        Effect.zipLeft(Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))),
        Effect.repeatN(20)
      )
      assert.deepStrictEqual(yield* fiber, [200, 200, 200, 200])
      assert.strictEqual(world.requests.filter((r) => r.form.get("grant_type") === "refresh_token").length, 1)
    })
  )

  it.scoped("the grants of several users stay apart", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const world = new World()
      yield* Effect.provide(status, world.source({ user: "alice" }, store))
      yield* Effect.provide(status, world.source({ user: "bob" }, store))
      yield* Effect.provide(status, world.source({ user: "alice" }, store))
      assert.strictEqual(world.prompts.length, 2)
    })
  )

  it.scoped("neither what is written, nor an error or a log about it, names the user (CL-73)", () =>
    Effect.gen(function* () {
      const user = "alice@example.org"
      const seen: Array<string> = []
      const inner = Context.get(yield* Layer.build(yield* shared), TokenStore.TokenStore)
      const fails = (key: string) =>
        new ClientError.TokenStoreError({ key, operation: "write", detail: `${key} is broken`, rule: "" })
      let broken = ""
      const store = Layer.succeed(TokenStore.TokenStore, {
        read: (key) => {
          seen.push(key)
          return inner.read(key)
        },
        write: (key, write) => {
          seen.push(key)
          return key.startsWith(broken) && broken !== "" ? fails(key) : inner.write(key, write)
        },
        lease: (key, duration) => {
          seen.push(key)
          return inner.lease(key, duration)
        }
      })
      const world = new World()
      const [, logged] = yield* Logs.collect(
        Effect.gen(function* () {
          broken = "grant"
          assert.strictEqual(yield* status, 200)
          for (const token of world.tokens.values()) token.active = false
          seen.push(inspect(yield* Effect.flip(status), { depth: 10 }))
        }).pipe(Effect.provide(world.source({ user }, store))),
        LogLevel.All
      )
      assert.isTrue(logged.some(({ text }) => text.includes("could not be stored")))
      assert.isTrue(seen.some((text) => text.includes("TokenStoreError")))
      for (const text of [...seen, ...logged.map(({ text }) => text)]) {
        assert.notMatch(text, /alice/)
      }
    })
  )

  it.scoped("a write that fails after a refresh loses nothing", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const world = new World()
      let broken = false
      const flaky = Layer.map(store, (context) => {
        const inner = Context.get(context, TokenStore.TokenStore)
        return Context.make(TokenStore.TokenStore, {
          ...inner,
          write: (key, write) =>
            broken
              ? Effect.fail(new ClientError.TokenStoreError({ key, operation: "write", detail: "disk full", rule: "" }))
              : inner.write(key, write)
        })
      })
      const revoke = Effect.sync(() => {
        for (const token of world.tokens.values()) token.active = false
      })
      const breaks = ({ path }: { readonly path: string }) => {
        if (path === "/token") broken = true
        return undefined
      }
      yield* Effect.gen(function* () {
        yield* status
        yield* revoke
        world.faults.push(breaks)
        assert.strictEqual(yield* status, 200)
        // As long as it is broken, no refresh token is spent whose successor could not be kept.
        yield* revoke
        const asked = world.times("/token")
        assert.strictEqual((yield* Effect.flip(status))._tag, "TokenStoreError")
        assert.strictEqual(world.times("/token"), asked)
        broken = false
        world.faults.pop()
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(world.source({}, flaky)))
      // What could not be stored at first is there for others.
      assert.strictEqual(yield* Effect.provide(status, world.source({}, store)), 200)
      assert.strictEqual(world.prompts.length, 1)
    })
  )

  it.scoped("what cannot be read is not signed over, and once it is set aside, people can sign in again", () =>
    Effect.gen(function* () {
      const memory = yield* shared
      const under = (keys: EncryptionKeys.EncryptionKeys) => TokenStore.encrypted(Effect.succeed(keys))(memory)
      const [lost, found] = yield* Effect.all([keys, keys])
      const world = new World()
      yield* Effect.provide(status, world.source({}, under(lost)))
      const attempt = Effect.provide(status, world.source({}, under(found)))

      const error = yield* Effect.flip(attempt)
      assert.deepStrictEqual(error, yield* Effect.flip(attempt))
      assert.strictEqual(world.prompts.length, 1)

      // One after the other: what points at the grant, and the registration.
      const set: Array<string> = []
      const recovered = yield* attempt.pipe(
        Effect.tapError((error) =>
          Effect.gen(function* () {
            assert(error._tag === "TokenStoreError" && error.operation === "decode")
            set.push(Option.getOrThrow(yield* Effect.provide(TokenStore.setAside(error), under(found))))
          })
        ),
        Effect.retry({ times: 5 })
      )
      assert.strictEqual(recovered, 200)
      assert.strictEqual(world.prompts.length, 2)
      // With the key found again, all that was set aside is still there.
      const store = Context.get(yield* Layer.build(memory), TokenStore.TokenStore)
      for (const place of set) assert.isTrue(Option.isSome(yield* store.read(place)))
      assert.isAbove(set.length, 0)
    })
  )
})
