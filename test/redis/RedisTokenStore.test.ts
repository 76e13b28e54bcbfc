import { once } from "node:events"
import { connect, createServer } from "node:net"
import { inspect } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import { TokenStore } from "../../src/client/index.js"
import { nameOf } from "../../src/client/VersionedStore.js"
import { RedisClient, RedisTokenStore } from "../../src/redis/index.js"
import { keys, obeysTheLaws } from "../fixtures/storeLaws.js"
import { type RedisServer, startRedis } from "./fixtures/RedisServer.js"

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis({ port: server.port, lazyConnect: true })
})

afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

const client = Layer.suspend(() => RedisClient.layer({ host: "127.0.0.1", port: server.port }))

let rooms = 0
const subject = {
  storage: Effect.sync(() => `law${++rooms}:`),
  processes: "many" as const,
  // Somebody has put a list where the entry was.
  corrupt: (prefix: string, key: string) =>
    Effect.promise(async () => {
      const name = `${prefix}{${await nameOf(key)}}`
      await redis.del(name)
      await redis.rpush(name, "not", "an", "entry")
    })
}

const oneKey = Effect.runSync(keys)

obeysTheLaws("RedisTokenStore.layer", {
  ...subject,
  open: (prefix) => Layer.provide(RedisTokenStore.layer({ prefix, keys: Effect.succeed(oneKey) }), client)
})

obeysTheLaws("RedisTokenStore.layerInsecurePlaintext", {
  ...subject,
  open: (prefix) => Layer.provide(RedisTokenStore.layerInsecurePlaintext({ prefix }), client)
})

const value = (text: string) => Option.some(Redacted.make(text))

/** A store on a server of its own, that gives up soon. */
const onServer = (port: number, options: RedisTokenStore.Options = {}) =>
  RedisTokenStore.layerInsecurePlaintext({ timeout: "1 second", ...options }).pipe(
    Layer.provide(RedisClient.layer({ host: "127.0.0.1", port, retryStrategy: () => 50 }))
  )

const ownServer = (port?: number) =>
  Effect.acquireRelease(
    Effect.promise(() => startRedis(port)),
    ({ stop }) => Effect.promise(stop)
  )

/** Between a client and Redis; `cut` ends the connection in the place of the next answer. */
const proxy = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      let isArmed = false
      const proxied = createServer((down) => {
        const up = connect(port, "127.0.0.1")
        down.pipe(up)
        up.on("data", (answer) => {
          if (isArmed) down.destroy()
          else down.write(answer)
          isArmed = false
        })
        for (const socket of [down, up]) socket.on("error", () => undefined)
        down.on("close", () => up.destroy())
      }).listen(0, "127.0.0.1")
      await once(proxied, "listening")
      const address = proxied.address() as { readonly port: number }
      return {
        port: address.port,
        cut: () => {
          isArmed = true
        },
        close: () => proxied.close()
      }
    }),
    ({ close }) => Effect.sync(close)
  )

describe("a Redis that is not there", () => {
  it.scopedLive("is a typed failure in time, for every verb, and costs nothing once it is back", () =>
    Effect.gen(function* () {
      const { port, process } = yield* ownServer()
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        yield* store.write("k", { expected: Option.none(), value: value("1") })
        process.kill("SIGSTOP")
        const failures = yield* Effect.all(
          [
            Effect.flip(store.read("k")),
            Effect.flip(store.write("k", { expected: Option.none(), value: value("2") })),
            Effect.flip(Effect.scoped(store.lease("k", "1 hour")))
          ],
          { concurrency: "unbounded" }
        ).pipe(Effect.timeout("10 seconds"))
        assert.deepStrictEqual(
          failures.map(({ _tag, detail, operation }) => [_tag, operation, detail]),
          [
            ["TokenStoreError", "read", "Redis: no answer in 1s"],
            ["TokenStoreError", "write", "Redis: no answer in 1s"],
            ["TokenStoreError", "lease", "Redis: no answer in 1s"]
          ]
        )
        process.kill("SIGCONT")
        const entry = Option.getOrThrow(yield* store.read("k"))
        assert.strictEqual(Redacted.value(entry.value), "1")
        // The lease that was asked for in vain is given back as well.
        const lease = Effect.scoped(store.lease("k", "1 hour"))
        yield* Effect.repeat(lease, { until: Option.isSome }).pipe(Effect.timeout("10 seconds"))
      }).pipe(Effect.provide(onServer(port)))
    })
  )

  it.scopedLive("is asked again when it was restarted", () =>
    Effect.gen(function* () {
      const { port, stop } = yield* ownServer()
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        const write = store.write("k", { expected: Option.none(), value: value("1") })
        assert.isTrue(yield* write)
        yield* Effect.promise(stop)
        assert.strictEqual((yield* Effect.flip(store.read("k"))).operation, "read")
        yield* ownServer(port)
        // Nothing was on its disk, and its scripts are gone with the rest.
        assert.isTrue(yield* Effect.retry(write, { times: 20 }))
      }).pipe(Effect.provide(onServer(port)))
    })
  )
})

describe("an answer of Redis that is lost", () => {
  it.scopedLive("is given again: a write that won has won, and a lease is held by who asked first", () =>
    Effect.gen(function* () {
      const { cut, port } = yield* proxy(server.port)
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        yield* store.read("k")
        cut()
        assert.isTrue(yield* store.write("k", { expected: Option.none(), value: value("1") }))
        cut()
        assert.isTrue(Option.isSome(yield* store.lease("k", "1 hour")))
        assert.isTrue(Option.isNone(yield* store.lease("k", "1 hour")))
      }).pipe(Effect.scoped, Effect.provide(onServer(port, { prefix: "lost:", timeout: "10 seconds" })))
    })
  )
})

describe("what is in Redis", () => {
  const scan = (prefix: string) => Effect.promise(() => redis.keys(`${prefix}*`))

  it.scopedLive("names neither issuer nor user, holds no token, and expires by itself", () =>
    Effect.gen(function* () {
      const prefix = "dump:"
      const key = TokenStore.key("grant", "https://as.example", "c1", "https://mcp.example", "alice")
      yield* Effect.gen(function* () {
        const store = yield* TokenStore.TokenStore
        yield* store.write(key, { expected: Option.none(), value: value("secret"), expiresAt: 2 ** 45 })
        yield* Effect.scoped(store.lease(key, "1 hour"))
      }).pipe(Effect.provide(RedisTokenStore.layer({ prefix, keys: Effect.succeed(oneKey) })), Effect.provide(client))
      const names = yield* scan(prefix)
      assert.strictEqual(names.length, 2)
      for (const name of names) {
        const content = yield* Effect.promise(() => redis.hgetall(name))
        assert.notMatch(name, /alice|example|grant/)
        assert.notInclude(JSON.stringify(content), "secret")
        assert.isAbove(yield* Effect.promise(() => redis.pttl(name)), 0)
      }
    })
  )

  it.scopedLive("stays out of a failure, whatever the client puts in there", () =>
    Effect.gen(function* () {
      const name = `bad:{${yield* Effect.promise(() => nameOf("k"))}}`
      yield* Effect.promise(() => redis.set(name, "no hash"))
      const store = yield* TokenStore.TokenStore
      const error = yield* Effect.flip(store.write("k", { expected: Option.none(), value: value("secret") }))
      assert.strictEqual(error.operation, "decode")
      assert.notInclude(inspect(error, { depth: 10 }) + JSON.stringify(error), "secret")
    }).pipe(Effect.provide(RedisTokenStore.layerInsecurePlaintext({ prefix: "bad:" })), Effect.provide(client))
  )

  it.scopedLive("of two prefixes is two stores", () =>
    Effect.gen(function* () {
      const write = Effect.flatMap(TokenStore.TokenStore, (store) =>
        store.write("k", { expected: Option.none(), value: value("1") })
      )
      for (const prefix of ["one:", "two:"]) {
        const written = Effect.provide(write, RedisTokenStore.layerInsecurePlaintext({ prefix }))
        assert.isTrue(yield* Effect.provide(written, client))
      }
    })
  )
})
