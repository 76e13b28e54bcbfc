/**
 * What needs the Bun runtime: a browser to open, a port to listen on, and the keychain.
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
/**
 * The keychain of the operating system, on Bun.
 *
 * @since 0.1.0
 * @category modules
 */
export * as BunKeychain from "./BunKeychain.js"
