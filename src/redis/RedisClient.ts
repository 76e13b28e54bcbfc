/**
 * The connection that the stores of this folder share.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Redis, type RedisOptions } from "ioredis"

/**
 * A client of `ioredis`. Provide your own where the application has one already.
 *
 * @since 0.1.0
 * @category services
 */
export class RedisClient extends Context.Tag("effect-mcp-auth/redis/RedisClient")<RedisClient, Redis>() {}

/**
 * Connects when the first command is sent, and disconnects with the scope.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: RedisOptions): Layer.Layer<RedisClient> =>
  Layer.scoped(
    RedisClient,
    Effect.acquireRelease(
      Effect.sync(() => {
        const client = new Redis({ lazyConnect: true, ...options })
        // Without a listener every lost connection is printed; the command that fails tells the same.
        client.on("error", () => undefined)
        return client
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
  )

/**
 * {@link layer} with options from `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Config.Wrap<RedisOptions>): Layer.Layer<RedisClient, ConfigError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))
