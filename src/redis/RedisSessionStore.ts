/**
 * Whom sessions belong to, for all servers of a fleet.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SessionStore, SessionStoreError, type Standing } from "../server/SessionStore.js"
import { RedisClient } from "./RedisClient.js"

/**
 * How long a session is kept after its last request (a day by default), and what the keys begin with (`mcp-session:`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly idle?: Duration.DurationInput | undefined
  readonly prefix?: string | undefined
}

// Compare and act as one step: between two commands the session could get another owner. KEYS[1] is the session, a hash of
// its owner and of the scopes that it was used with. ARGV[1] is the owner, ARGV[2] the milliseconds that it is kept, the
// rest are scopes.
const scripts = {
  bind: `redis.call("HSETNX", KEYS[1], "owner", ARGV[1])
if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then return 0 end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1`,
  use: `local owner = redis.call("HGET", KEYS[1], "owner")
if not owner then return "Unknown" end
if owner ~= ARGV[1] then return "Foreign" end
for i = 3, #ARGV do redis.call("HSET", KEYS[1], "scope:" .. ARGV[i], "") end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return redis.call("HKEYS", KEYS[1])`,
  release: `if redis.call("HGET", KEYS[1], "owner") == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 1`
}

const scopeOf = (field: unknown): ReadonlyArray<string> =>
  typeof field === "string" && field.startsWith("scope:") ? [field.slice("scope:".length)] : []

const standing = (answer: unknown): Standing =>
  Array.isArray(answer)
    ? { _tag: "Own", scopes: answer.flatMap(scopeOf) }
    : { _tag: answer === "Foreign" ? "Foreign" : "Unknown" }

/**
 * Keeps sessions in Redis, one hash each, which expires: digests, and the names of scopes. A server that does not answer within two
 * seconds counts as away.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { RedisClient, RedisSessionStore } from "effect-mcp-auth/redis"
 * import * as Config from "effect/Config"
 * import * as Layer from "effect/Layer"
 *
 * export const sessions = RedisSessionStore.layer({ idle: "1 hour" }).pipe(
 *   Layer.provide(RedisClient.layerConfig({ host: Config.string("REDIS_HOST") }))
 * )
 * ```
 */
export const layer = ({
  idle = "1 day",
  prefix = "mcp-session:"
}: Options = {}): Layer.Layer<SessionStore, never, RedisClient> =>
  Layer.effect(
    SessionStore,
    Effect.map(RedisClient, (redis) => {
      const millis = Math.ceil(Duration.toMillis(idle))
      const run = (
        operation: keyof typeof scripts,
        session: string,
        owner: string,
        scopes: ReadonlyArray<string> = []
      ) =>
        Effect.tryPromise({
          try: () => redis.eval(scripts[operation], 1, prefix + session, owner, millis, ...scopes),
          catch: (cause) => new SessionStoreError({ operation, cause })
        }).pipe(
          Effect.timeoutFail({
            duration: "2 seconds",
            onTimeout: () => new SessionStoreError({ operation, cause: new Error("no answer within 2 seconds") })
          })
        )
      return {
        bind: (session, owner) => Effect.map(run("bind", session, owner), (answer) => answer === 1),
        use: (session, owner, scopes) => Effect.map(run("use", session, owner, scopes), standing),
        release: (session, owner) => Effect.asVoid(run("release", session, owner))
      }
    })
  )
