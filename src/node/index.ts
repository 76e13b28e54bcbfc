/**
 * What needs the Node runtime: a browser to open, a port to listen on, addresses to look at, and the keychain.
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
 * An `HttpClient` over `node:http` that resolves a name once, judges the addresses, and connects to one of those that it
 * judged: a resolver that changes its answer changes nothing (RFC 9728 §7.7).
 *
 * @since 0.1.0
 * @category modules
 */
export * as NodeGuardedHttp from "./NodeGuardedHttp.js"

/**
 * The keychain of the operating system, on Node.
 *
 * @since 0.1.0
 * @category modules
 */
export * as NodeKeychain from "./NodeKeychain.js"
