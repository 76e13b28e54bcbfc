/**
 * Whom sessions belong to, for all servers of a fleet.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SessionStore, SessionStoreError } from "../server/SessionStore.js"
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

// Compare and act as one step: between two commands the session could get another owner. KEYS[1] is the session, ARGV[1]
// the owner, ARGV[2] the milliseconds that it is kept.
const owns = `if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1`

const scripts = {
  owns,
  bind: `redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2], "NX")
${owns}`,
  release: `if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 1`
}

/**
 * Keeps sessions in Redis, one string each, which expires. Holds digests only. A server that does not answer within two
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
      const run = (operation: keyof typeof scripts) => (session: string, owner: string) =>
        Effect.tryPromise({
          try: () => redis.eval(scripts[operation], 1, prefix + session, owner, millis),
          catch: (cause) => new SessionStoreError({ operation, cause })
        }).pipe(
          Effect.timeoutFail({
            duration: "2 seconds",
            onTimeout: () => new SessionStoreError({ operation, cause: new Error("no answer within 2 seconds") })
          }),
          Effect.map((answer) => answer === 1)
        )
      return { bind: run("bind"), owns: run("owns"), release: run("release") }
    })
  )
