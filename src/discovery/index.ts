/**
 * Documents that others publish, and the one guarded fetch that reads them.
 *
 * @since 0.1.0
 */

/**
 * Authorization server metadata (RFC 8414, OpenID Connect Discovery): the document, and how it is found.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthorizationServerMetadata from "./AuthorizationServerMetadata.js"

/**
 * How a client proves to an authorization server which client it is (OAuth 2.1 §2.4, RFC 7523 §2.2).
 *
 * @since 0.1.0
 * @category modules
 */
export * as ClientAuthentication from "./ClientAuthentication.js"

/**
 * Every request that discovery made and every decision it took, as a value that is safe to paste.
 *
 * @since 0.1.0
 * @category modules
 */
export * as DiscoveryTrace from "./DiscoveryTrace.js"

/**
 * How long a fetch may take, how much it may bring, and which hosts it may ask wherever they are.
 *
 * @since 0.1.0
 * @category modules
 */
export * as FetchLimits from "./FetchLimits.js"

/**
 * An `HttpClient` that keeps the reach of its requests, over one of a runtime that looks at the address before it connects,
 * and connects to no other.
 *
 * @since 0.1.0
 * @category modules
 */
export * as GuardedClient from "./GuardedClient.js"

/**
 * The one way in which this library fetches what others publish: secure URLs only, within reach, no redirects, bounded in
 * time and size, and a typed failure for everything that can go wrong.
 *
 * @since 0.1.0
 * @category modules
 */
export * as GuardedHttp from "./GuardedHttp.js"

/**
 * The keys that an issuer publishes, kept so that a token costs no request, a rotation no refusal, an outage no service
 * while keys are known, and a flood of made-up key ids a bounded number of fetches.
 *
 * @since 0.1.0
 * @category modules
 */
export * as JwkSet from "./JwkSet.js"

/**
 * Where on the network a host is: on the public one, on somebody's own, on this machine, or where nobody has business.
 *
 * @since 0.1.0
 * @category modules
 */
export * as NetworkZone from "./NetworkZone.js"

/**
 * Protected resource metadata (RFC 9728): the document, and how a client finds and judges it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ProtectedResourceMetadata from "./ProtectedResourceMetadata.js"

/**
 * How far a request may go: a URL that somebody else chose leads to the public network, or to where the application
 * itself already is, and nowhere else (RFC 9728 §7.7).
 *
 * @since 0.1.0
 * @category modules
 */
export * as Reach from "./Reach.js"

/**
 * One run of a lookup for all who ask while it is under way.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SingleFlight from "./SingleFlight.js"
