/**
 * What a fleet shares through Redis. Needs the optional peer `ioredis`.
 *
 * @since 0.1.0
 */

/**
 * The connection that the stores share.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RedisClient from "./RedisClient.js"

/**
 * Whom sessions belong to, for all servers of a fleet.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RedisSessionStore from "./RedisSessionStore.js"

/**
 * A token store for a fleet.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RedisTokenStore from "./RedisTokenStore.js"
