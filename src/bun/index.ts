/**
 * What needs the Bun runtime: a browser to open, a port to listen on, addresses to look at, and the keychain.
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
 * An `HttpClient` over Bun's `fetch` that resolves a name once, judges the addresses, and connects to one of those that it
 * judged: a resolver that changes its answer changes nothing (RFC 9728 §7.7).
 *
 * @since 0.1.0
 * @category modules
 */
export * as BunGuardedHttp from "./BunGuardedHttp.js"

/**
 * The keychain of the operating system, on Bun.
 *
 * @since 0.1.0
 * @category modules
 */
export * as BunKeychain from "./BunKeychain.js"
