/**
 * What needs the Node runtime: a browser to open and a port to listen on.
 *
 * @since 0.1.0
 */

/**
 * Signing in with the system's browser, on Node.
 *
 * @since 0.1.0
 * @category modules
 */
export * as NodeAuthorizeUser from "./NodeAuthorizeUser.js"
