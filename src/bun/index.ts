/**
 * What needs the Bun runtime: a browser to open and a port to listen on.
 *
 * @since 0.1.0
 */

/**
 * Signing in with the system's browser, on Bun.
 *
 * @since 0.1.0
 * @category modules
 */
export * as BunAuthorizeUser from "./BunAuthorizeUser.js"
