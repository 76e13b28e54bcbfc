/**
 * What needs the Node runtime: a browser to open, a port to listen on, and the keychain.
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
/**
 * The keychain of the operating system, on Node.
 *
 * @since 0.1.0
 * @category modules
 */
export * as NodeKeychain from "./NodeKeychain.js"
