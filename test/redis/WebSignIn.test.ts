/** A web application whose instances have nothing in common but a Redis. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Redis } from "ioredis"
import { EncryptionKeys, TokenSource, type TokenStore, WebSignIn, type WebSignInError } from "../../src/client/index.js"
import { RedisClient, RedisTokenStore } from "../../src/redis/index.js"
import { ScriptedUser } from "../../src/testing/index.js"
import { call, endpoint, World } from "../client/World.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"
import * as RedisServer from "./fixtures/RedisServer.js"

const keys = Effect.runSync(EncryptionKeys.generate)

let server: RedisServer.RedisServer
let redis: Redis

beforeAll(async () => {
  server = await RedisServer.startRedis()
  redis = new Redis({ port: server.port, lazyConnect: true })
})

afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

const redirectUri = "https://app.example/callback"

const own = (prefix: string, port: number) =>
  RedisTokenStore.layer({ keys: EncryptionKeys.parse(keys), prefix, timeout: "1 second" }).pipe(
    Layer.provide(RedisClient.layer({ host: "127.0.0.1", port, retryStrategy: () => 50 }))
  )

/** An instance with a connection of its own, for as long as the scope is open. */
const open = <E, R>(
  store: Layer.Layer<TokenStore.TokenStore, E, R>,
  http: Layer.Layer<HttpClient.HttpClient>,
  options: Partial<WebSignIn.Options> = {}
) =>
  Effect.map(
    Layer.build(WebSignIn.layer({ redirectUri, ...options }).pipe(Layer.provide(store), Layer.provide(http))),
    Context.get(WebSignIn.WebSignIn)
  )

const instance = (world: World, prefix: string, options?: Partial<WebSignIn.Options>) =>
  open(own(prefix, server.port), world.layerHttp, options)

type Service = Effect.Effect.Success<ReturnType<typeof instance>>

const visited = (world: World, service: Service, user = "alice") =>
  Effect.map(service.begin({ user, resource: endpoint, returnTo: "/notes" }), ({ binding, url }) => ({
    parameters: world.approve(url),
    binding,
    user
  }))

const use = (world: World, service: Service, user = "alice") =>
  Effect.flatMap(service.source({ resource: endpoint, user }), (source) =>
    Effect.provideService(
      Effect.map(call(), ({ status }) => status),
      TokenSource.TokenSource,
      source
    )
  ).pipe(Effect.scoped, Effect.provide(world.layerHttp))

const reason = <A>(effect: Effect.Effect<A, { readonly _tag: string } | WebSignInError.WebSignInError>) =>
  Effect.map(Effect.flip(effect), (error) => ("reason" in error ? error.reason : error._tag))

let rooms = 0

/** Two instances. */
const fleet = Effect.gen(function* () {
  const world = new World()
  const prefix = `web${++rooms}:`
  return { world, prefix, a: yield* instance(world, prefix), b: yield* instance(world, prefix) }
})

describe("a sign-in over Redis", () => {
  it.scopedLive("begins at one instance, is completed at another, and holds and ends at both (CL-59)", () =>
    Effect.gen(function* () {
      const { a, b, world } = yield* fleet
      const { resource, returnTo } = yield* b.complete(yield* visited(world, a))
      assert.deepStrictEqual([resource, returnTo], [endpoint, "/notes"])
      assert.deepStrictEqual([yield* use(world, a), yield* use(world, b)], [200, 200])
      assert.strictEqual(world.times("/token"), 1)
      const source = yield* b.source({ resource: endpoint, user: "alice" })
      yield* Effect.provideService(TokenSource.signOut, TokenSource.TokenSource, source)
      assert.strictEqual(yield* reason(use(world, a)), "NoGrant")
    })
  )

  it.scopedLive("serves once: of twenty arrivals at both instances one wins, and later ones are told so", () =>
    Effect.gen(function* () {
      const { a, b, world } = yield* fleet
      const arrival = yield* visited(world, a)
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 20 }),
        (_, n) => Effect.either((n % 2 === 0 ? a : b).complete(arrival)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(outcomes.filter(Either.isRight), 1)
      for (const service of [a, b]) assert.strictEqual(yield* reason(service.complete(arrival)), "AlreadyUsed")
      assert.strictEqual(world.times("/token"), 1)
    })
  )

  it.scopedLive("is for the browser and the user that began it, wherever the answer arrives", () =>
    Effect.gen(function* () {
      const { a, b, world } = yield* fleet
      const arrival = yield* visited(world, a)
      const { binding } = yield* a.begin({ user: "alice", resource: endpoint })
      for (const other of [undefined, binding]) {
        assert.strictEqual(yield* reason(b.complete({ ...arrival, binding: other })), "OtherBrowser")
      }
      assert.strictEqual(yield* reason(b.complete({ ...arrival, user: "mallory" })), "OtherUser")
      assert.strictEqual(world.times("/token"), 0)
      yield* b.complete(arrival)
      assert.strictEqual(yield* reason(use(world, b, "mallory")), "NoGrant")
    })
  )

  it.scopedLive("expires, and leaves Redis by itself, with the name of nobody", () =>
    Effect.gen(function* () {
      const { prefix, world } = yield* fleet
      const a = yield* instance(world, prefix, { lifetime: "50 millis" })
      const b = yield* instance(world, prefix)
      const before = yield* Effect.promise(() => redis.keys(`${prefix}*`))
      const arrival = yield* visited(world, a)
      const found = yield* Effect.promise(() => redis.keys(`${prefix}*`))
      const lives = yield* Effect.forEach(
        found.filter((name) => !before.includes(name)),
        (name) => Effect.promise(async () => [await redis.pttl(name), await redis.hgetall(name)] as const)
      )
      // The registration stays; what waits is known for ten minutes more, to say why it is of no use.
      const pending = lives.filter(([left]) => left !== -1)
      assert.lengthOf(pending, 1)
      for (const [left, content] of pending) {
        assert.isTrue(left > 0 && left <= 600_050, String(left))
        const state = arrival.parameters.get("state") ?? "?"
        for (const secret of ["alice", state, Redacted.value(arrival.binding)]) {
          assert.notInclude(JSON.stringify(content), secret)
        }
      }
      yield* Effect.sleep("100 millis")
      assert.strictEqual(yield* reason(b.complete(arrival)), "Expired")
      assert.strictEqual(world.times("/token"), 0)
    })
  )

  it.scopedLive("waits where Redis is away for a moment, and is completed when it is back", () =>
    Effect.gen(function* () {
      const { pause, port, resume } = yield* RedisServer.make
      const world = new World()
      const a = yield* open(own("away:", port), world.layerHttp)
      const b = yield* open(own("away:", port), world.layerHttp)
      const arrival = yield* visited(world, a)
      yield* pause
      assert.strictEqual(yield* reason(b.complete(arrival)), "TokenStoreError")
      yield* resume
      yield* b.complete(arrival)
      assert.strictEqual(yield* use(world, a), 200)
    })
  )
})

describe("a process that begins, and is gone when the person comes back", () => {
  it.scopedLive(
    "has left all that another one needs",
    () =>
      Effect.gen(function* () {
        const { url: resource } = yield* ProtectedServer.make()
        const uri = "http://127.0.0.1:9/callback"
        const script = join(import.meta.dirname, "fixtures/beginSignIn.ts")
        const loader = process.versions["bun"] === undefined ? ["--import", "tsx"] : []
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)(process.execPath, [...loader, script], {
            env: {
              ...process.env,
              RESOURCE: resource,
              REDIRECT_URI: uri,
              USER_NAME: "alice",
              REDIS_PORT: String(server.port),
              MCP_AUTH_ENCRYPTION_KEYS: Redacted.value(keys)
            }
          })
        )
        const { binding, url } = JSON.parse(stdout) as { readonly binding: string; readonly url: string }
        const parameters = yield* ScriptedUser.visit(url, { redirectUri: uri })
        const completes = yield* open(own("mcp-auth:", server.port), FetchHttpClient.layer, { redirectUri: uri })
        const { grant, returnTo } = yield* completes.complete({
          parameters,
          binding: Redacted.make(binding),
          user: "alice"
        })
        assert.strictEqual(returnTo, "/notes")
        const source = yield* completes.source({ resource, user: "alice" })
        const token = Option.getOrThrow(yield* source.current)
        assert.strictEqual(Redacted.value(token.value), Redacted.value(grant.accessToken.value))
      }).pipe(Effect.provide(FetchHttpClient.layer)),
    60_000
  )
})
