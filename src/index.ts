/**
 * Authorization for the Model Context Protocol, for Effect 3: namespaces of the halves that need no optional peer.
 *
 * @since 0.1.0
 */

/**
 * The client half: obtains, keeps and renews access tokens.
 *
 * @since 0.1.0
 * @category namespaces
 */
export * as client from "./client/index.js"

/**
 * Documents that others publish, and the guarded fetch that reads them.
 *
 * @since 0.1.0
 * @category namespaces
 */
export * as discovery from "./discovery/index.js"

/**
 * The RFCs as pure functions.
 *
 * @since 0.1.0
 * @category namespaces
 */
export * as protocol from "./protocol/index.js"

/**
 * The server half: an OAuth 2.1 resource server.
 *
 * @since 0.1.0
 * @category namespaces
 */
export * as server from "./server/index.js"
