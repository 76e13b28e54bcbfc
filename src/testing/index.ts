/**
 * The test kit: a person made of HTTP requests, and more to come beside it.
 *
 * @since 0.1.0
 */

/**
 * A person who signs in and consents, made of HTTP requests.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ScriptedUser from "./ScriptedUser.js"
/**
 * What a `TokenStore` has to do, as programs that any test runner can run.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenStoreLaws from "./TokenStoreLaws.js"
