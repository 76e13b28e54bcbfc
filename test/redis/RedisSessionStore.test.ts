import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RedisClient from "../../src/redis/RedisClient.js"
import * as RedisSessionStore from "../../src/redis/RedisSessionStore.js"
import { SessionStore } from "../../src/server/SessionStore.js"
import { laws, owns } from "../server/fixtures/SessionStoreLaws.js"
import * as RedisServer from "./fixtures/RedisServer.js"

const own = (options?: RedisSessionStore.Options) =>
  Layer.unwrapScoped(
    Effect.map(RedisServer.make, ({ port }) =>
      RedisSessionStore.layer(options).pipe(Layer.provideMerge(RedisClient.layer({ port })))
    )
  )

describe("RedisSessionStore", () => {
  laws(own({ idle: "4 seconds" }), Effect.sleep("2200 millis"), it.live)

  it.live("several servers share it: one binds, all know, and each key expires", () =>
    Effect.gen(function* () {
      const redis = yield* RedisClient.RedisClient
      const another = yield* Layer.build(
        RedisSessionStore.layer({ prefix: "sessions/", idle: "1 hour" }).pipe(
          Layer.provide(RedisClient.layer({ port: redis.options.port ?? 0 }))
        )
      )
      const [first, second] = [yield* SessionStore, yield* Effect.provide(SessionStore, another)]
      assert.isTrue(yield* first.bind("digest", "alice"))
      assert.isFalse(yield* second.bind("digest", "bob"))
      assert.isTrue(yield* owns(second, "digest", "alice"))
      yield* second.release("digest", "alice")
      assert.isFalse(yield* owns(first, "digest", "alice"))

      yield* first.bind("left", "alice")
      assert.deepStrictEqual(yield* Effect.promise(() => redis.keys("*")), ["sessions/left"])
      const left = yield* Effect.promise(() => redis.pttl("sessions/left"))
      assert.isTrue(left > 3_500_000 && left <= 3_600_000, String(left))
    }).pipe(Effect.scoped, Effect.provide(own({ prefix: "sessions/", idle: "1 hour" })))
  )

  it.scopedLive("a Redis that hangs, and one that is gone, are failures, and soon", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make
      const context = yield* Layer.build(
        RedisSessionStore.layer().pipe(Layer.provide(RedisClient.layer({ port: redis.port })))
      )
      const store = yield* Effect.provide(SessionStore, context)
      assert.isTrue(yield* store.bind("s", "alice"))

      yield* redis.pause
      for (const operation of ["bind", "use", "release"] as const) {
        const error = yield* Effect.flip(store[operation]("s", "alice", [])).pipe(Effect.timeout("20 seconds"))
        assert.deepStrictEqual([error._tag, "operation" in error && error.operation], ["SessionStoreError", operation])
      }
      yield* redis.resume
      assert.isTrue(yield* Effect.eventually(store.bind("s", "alice")))

      yield* redis.stop
      const error = yield* Effect.flip(store.use("s", "alice", [])).pipe(Effect.timeout("20 seconds"))
      assert.strictEqual(error._tag, "SessionStoreError")
    })
  )
})
