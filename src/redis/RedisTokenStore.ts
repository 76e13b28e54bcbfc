/**
 * A token store in Redis, for a fleet.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { TokenStoreError } from "../client/ClientError.js"
import type { EncryptionKeys } from "../client/EncryptionKeys.js"
import * as TokenStore from "../client/TokenStore.js"
import { expiryOf, leftToExpire, nameOf, storeFails } from "../client/VersionedStore.js"
import { RedisClient } from "./RedisClient.js"

/**
 * `prefix` is in front of every key, `mcp-auth:` when absent. `timeout` is how long a command may take, 5 seconds when
 * absent: where Redis is away, the failure comes then.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string | undefined
  readonly timeout?: Duration.DurationInput | undefined
}

// A client that lost the connection before the answer sends a command again: what a script has done already, it answers
// again. Times are those of Redis, the only clock that a fleet shares.

/** Key; expected version or ""; version or "" to remove; value; entry; milliseconds left or "". */
const writeScript = `
local version = redis.call("HGET", KEYS[1], "version") or ""
if version == ARGV[2] and version ~= "" then return 1 end
if version ~= ARGV[1] then return 0 end
if ARGV[2] == "" then redis.call("DEL", KEYS[1]) return 1 end
redis.call("HSET", KEYS[1], "version", ARGV[2], "value", ARGV[3], "entry", ARGV[4])
if ARGV[5] == "" then redis.call("PERSIST", KEYS[1]) else redis.call("PEXPIRE", KEYS[1], ARGV[5]) end
return 1`

const nowInScript = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/**
 * Key; holder; milliseconds. The record outlives the lease by a day, so that a clock that is set back gives no fence twice.
 */
const leaseScript = `${nowInScript}
local held = redis.call("HMGET", KEYS[1], "holder", "until", "fence")
if held[1] == ARGV[1] then return tonumber(held[3]) end
if held[1] and tonumber(held[2]) > now then return 0 end
local fence = math.max(now, (tonumber(held[3]) or 0) + 1)
redis.call("HSET", KEYS[1], "holder", ARGV[1], "until", now + ARGV[2], "fence", fence)
redis.call("PEXPIRE", KEYS[1], ARGV[2] + 86400000)
return fence`

/** Key; holder. */
const releaseScript = `
if redis.call("HGET", KEYS[1], "holder") == ARGV[1] then redis.call("HDEL", KEYS[1], "holder") end
return 1`

/** Key; where to. */
const setAsideScript = `
local kind = redis.call("TYPE", KEYS[1]).ok
if kind == "none" then return 0 end
if kind == "hash" and redis.call("HEXISTS", KEYS[1], "version") + redis.call("HEXISTS", KEYS[1], "value") == 2 then return 0 end
redis.call("RENAME", KEYS[1], KEYS[2])
return 1`

const maxDuration = Duration.toMillis("3650 days")

/**
 * The store of {@link layer} without encryption: whoever reads this Redis, its traffic or a dump of it has the tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerInsecurePlaintext = (options: Options = {}): Layer.Layer<TokenStore.TokenStore, never, RedisClient> =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(RedisClient, (redis): TokenStore.VersionedStore => {
      const { prefix = "mcp-auth:", timeout = "5 seconds" } = options

      // The hash tag in braces keeps the keys of an entry in one slot of a cluster.
      const named = (key: string) =>
        Effect.map(
          Effect.promise(() => nameOf(key)),
          (name) => `${prefix}{${name}}`
        )

      // An error of ioredis has the arguments of the command, and is therefore not passed on.
      const command = <A>(operation: TokenStoreError["operation"], key: string, run: (name: string) => Promise<A>) =>
        named(key).pipe(
          Effect.flatMap((name) => Effect.tryPromise({ try: () => run(name), catch: String })),
          // Interruptible by the timeout, also where a lease is taken or given back.
          Effect.interruptible,
          Effect.timeoutFail({ duration: timeout, onTimeout: () => `no answer in ${Duration.format(timeout)}` }),
          Effect.catchAll((why) =>
            storeFails(/\bWRONGTYPE\b/.test(why) ? "decode" : operation, key, `Redis: ${why.slice(0, 100)}`)
          )
        )

      return {
        read: (key) =>
          Effect.flatMap(
            command("read", key, (name) => redis.hmget(name, "version", "value")),
            ([version, value]) => {
              if (typeof version === "string" && typeof value === "string") {
                return Effect.succeedSome({ version, value: Redacted.make(value) })
              }
              return version === value
                ? Effect.succeedNone
                : storeFails("decode", key, `the hash of ${key} lacks fields`)
            }
          ),
        write: (key, { expected, value, ...write }) =>
          Effect.gen(function* () {
            const { expiresAt } = expiryOf(write)
            const left = expiresAt === undefined ? "" : Math.max(0, expiresAt - (yield* Clock.currentTimeMillis))
            const version = Option.isNone(value) ? "" : crypto.randomUUID()
            const text = Option.match(value, { onNone: () => "", onSome: Redacted.value })
            const before = Option.match(expected, { onNone: () => "", onSome: (version) => version || "?" })
            return yield* command("write", key, (name) =>
              redis.eval(writeScript, 1, name, before, version, text, key, left)
            )
          }).pipe(Effect.map((written) => written === 1)),
        lease: (key, duration) =>
          Effect.suspend(() => {
            const holder = crypto.randomUUID()
            const milliseconds = Math.ceil(Math.min(Duration.toMillis(duration), maxDuration))
            // Behind the request for it on the same connection, so that one whose answer was not awaited is given back too.
            const release = command("lease", key, (name) => redis.eval(releaseScript, 1, `${name}:lease`, holder))
            return Effect.acquireRelease(
              command("lease", key, (name) => redis.eval(leaseScript, 1, `${name}:lease`, holder, milliseconds)).pipe(
                Effect.onError(() => Effect.ignore(Effect.forkDaemon(release)))
              ),
              (fence) => (fence === 0 ? Effect.void : Effect.catchAll(release, leftToExpire))
            )
          }).pipe(Effect.map((fence) => (fence === 0 ? Option.none() : Option.some({ fence: Number(fence) })))),
        setAside: (key) =>
          Effect.gen(function* () {
            const place = `${yield* named(key)}:set-aside:${crypto.randomUUID()}`
            const moved = yield* command("write", key, (name) => redis.eval(setAsideScript, 2, name, place))
            return moved === 1 ? Option.some(place) : Option.none()
          })
      }
    })
  )

/**
 * Keeps everything in Redis 5 or newer, encrypted with the first of the keys: writes are compare-and-swap, leases exclusive,
 * and both expire by the clock of Redis. One that fails over to a replica may lose what was written last, and so forget
 * a refresh token that was just rotated: run it with `appendonly yes`, and with `WAIT` in mind.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { EncryptionKeys } from "effect-mcp-auth/client"
 * import { RedisClient, RedisTokenStore } from "effect-mcp-auth/redis"
 * import * as Config from "effect/Config"
 * import * as Layer from "effect/Layer"
 *
 * const store = RedisTokenStore.layer({ keys: EncryptionKeys.config("TOKEN_KEYS") }).pipe(
 *   Layer.provide(RedisClient.layerConfig({ host: Config.string("REDIS_HOST") }))
 * )
 * ```
 */
export const layer = <E, R>(
  options: Options & { readonly keys: Effect.Effect<EncryptionKeys, E, R> }
): Layer.Layer<TokenStore.TokenStore, E, RedisClient | R> =>
  TokenStore.encrypted(options.keys)(layerInsecurePlaintext(options))
