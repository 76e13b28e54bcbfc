/**
 * The RFCs as pure functions over strings, records and WebCrypto. Nothing is imported here, not even Effect.
 *
 * @since 0.1.0
 */

/**
 * The authorization request (OAuth 2.1 §4.1.1) as a URL.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthorizationRequest from "./AuthorizationRequest.js"

/**
 * The authorization response: `state`, the issuer table of RFC 9207, and only then what it says.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthorizationResponse from "./AuthorizationResponse.js"

/**
 * base64url without padding (RFC 4648 §5), and random values written in it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Base64Url from "./Base64Url.js"

/**
 * The `Authorization` request header, read by its grammar (RFC 9110 §11.4, RFC 6750 §2.1, RFC 9449 §7.1).
 *
 * @since 0.1.0
 * @category modules
 */
export * as BearerCredentials from "./BearerCredentials.js"

/**
 * Which hosts are this machine.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Loopback from "./Loopback.js"

/**
 * Proof Key for Code Exchange (RFC 7636), `S256` only: a runtime with WebCrypto never needs `plain`.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Pkce from "./Pkce.js"

/**
 * Resource and issuer identifiers: what is legal, and when one covers another. They are compared as the strings they
 * arrived as; `URL` only ever checks them, because it rewrites what it serialises.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ResourceIdentifier from "./ResourceIdentifier.js"

/**
 * Sets of OAuth scopes as ordered lists without repetition.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Scopes from "./Scopes.js"

/**
 * The well-known URLs of RFC 9728, RFC 8414 and OpenID Connect Discovery, in the order they are to be tried.
 *
 * @since 0.1.0
 * @category modules
 */
export * as WellKnown from "./WellKnown.js"

/**
 * The `WWW-Authenticate` header as a value: many challenges in, many challenges out.
 *
 * @since 0.1.0
 * @category modules
 */
export * as WwwAuthenticate from "./WwwAuthenticate.js"
