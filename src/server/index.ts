/**
 * The server half: an OAuth 2.1 resource server in front of any `@effect/platform` HTTP server.
 *
 * @since 0.1.0
 */

/**
 * Whether a token was issued for this resource.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Audience from "./Audience.js"

/**
 * The configuration of a protected resource: the one source of its metadata document and of every challenge.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthConfig from "./AuthConfig.js"

/**
 * The five ways in which a request is refused. `Challenge` turns each into a status, a challenge and a body.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthError from "./AuthError.js"

/**
 * The decision whether a token is accepted. Ready-made ones check JWTs or ask the issuer; your own is three lines.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Authorizer from "./Authorizer.js"

/**
 * From a refusal to what goes over the wire: status, challenge, body. Pure and total.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Challenge from "./Challenge.js"

/**
 * What a checked token says, and how a handler gets at it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Claims from "./Claims.js"

/**
 * The gate that every server adapter shares: from a request to claims or a refusal, and from a refusal to a response.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Guard from "./Guard.js"

/**
 * The guard in front of a whole `HttpApp`.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpAppAuth from "./HttpAppAuth.js"

/**
 * The guard on routes of an `HttpLayerRouter`.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpLayerRouterAuth from "./HttpLayerRouterAuth.js"

/**
 * An authorizer for JWT access tokens (RFC 9068, RFC 8725), with the keys that their issuers publish.
 *
 * @since 0.1.0
 * @category modules
 */
export * as JwtAuthorizer from "./JwtAuthorizer.js"

/**
 * Which scopes the operations of an MCP server need, checked before the server sees the request.
 *
 * @since 0.1.0
 * @category modules
 */
export * as OperationScopes from "./OperationScopes.js"

/**
 * The RFC 9728 document of the configured resource, as a server answers with it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ResourceMetadata from "./ResourceMetadata.js"

/**
 * What an issuer puts into its JWT access tokens, as data.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenProfile from "./TokenProfile.js"
