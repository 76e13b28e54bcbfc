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
 * Claims as the official MCP SDK hands them to its handlers.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthInfo from "./AuthInfo.js"

/**
 * The decision whether a token is accepted. Ready-made ones check JWTs or ask the issuer; your own is three lines.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Authorizer from "./Authorizer.js"

/**
 * An authorizer that remembers what it accepted.
 *
 * @since 0.1.0
 * @category modules
 */
export * as CachedAuthorizer from "./CachedAuthorizer.js"

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
 * Every decision of the guard as an event, for audit.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Decision from "./Decision.js"

/**
 * The gate that every server adapter shares: from a request to claims or a refusal, and from a refusal to a response.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Guard from "./Guard.js"

/**
 * The guard as a middleware of an `HttpApi`.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpApiAuth from "./HttpApiAuth.js"

/**
 * The refusals of the guard as an `HttpApi` declares and sends them, and as its clients read them.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpApiRefusal from "./HttpApiRefusal.js"

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
 * An authorizer that asks the issuer about each token (RFC 7662), for opaque tokens and for immediate revocation.
 *
 * @since 0.1.0
 * @category modules
 */
export * as IntrospectionAuthorizer from "./IntrospectionAuthorizer.js"
/**
 * The body of a request as the MCP server behind the guard will read it, or a refusal where that cannot be known.
 *
 * @since 0.1.0
 * @category modules
 */
export * as JsonRpcBody from "./JsonRpcBody.js"
/**
 * What a JWT access token has to be, whoever signed it: the checks of RFC 9068 §4 and RFC 8725, by profile. Pure.
 *
 * @since 0.1.0
 * @category modules
 */
export * as JwtAccessToken from "./JwtAccessToken.js"
/**
 * An authorizer for JWT access tokens (RFC 9068, RFC 8725), with the keys that their issuers publish.
 *
 * @since 0.1.0
 * @category modules
 */
export * as JwtAuthorizer from "./JwtAuthorizer.js"
/**
 * What the messages of an MCP client ask for.
 *
 * @since 0.1.0
 * @category modules
 */
export * as McpOperation from "./McpOperation.js"

/**
 * Which scopes the operations of an MCP server need, checked on the HTTP request before the server sees it, whichever
 * library serves MCP behind the guard.
 *
 * @since 0.1.0
 * @category modules
 */
export * as OperationScopes from "./OperationScopes.js"

/**
 * The transport's own rule that comes before authorization: a browser's script of a foreign origin gets nothing.
 *
 * @since 0.1.0
 * @category modules
 */
export * as OriginCheck from "./OriginCheck.js"

/**
 * State that a server hands to its client and gets back with the next request: the `requestState` of multi-round-trip
 * requests (MCP 2026-07-28), or any other handle of a server that keeps nothing itself.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RequestState from "./RequestState.js"

/**
 * The RFC 9728 documents of protected resources, as a server answers with them.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ResourceMetadata from "./ResourceMetadata.js"

/**
 * What an operation of an MCP server asks of its caller's scopes: all of some, any one of several sets, or what an Effect
 * says of the caller and the arguments.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ScopeRequirement from "./ScopeRequirement.js"

/**
 * An MCP session belongs to whoever started it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SessionBinding from "./SessionBinding.js"

/**
 * Where it is kept whom a session belongs to.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SessionStore from "./SessionStore.js"

/**
 * Requirements on how and when the person authenticated (RFC 9470), for routes that ask for more than a scope.
 *
 * @since 0.1.0
 * @category modules
 */
export * as StepUpAuthentication from "./StepUpAuthentication.js"

/**
 * Streams and long calls that end when the caller's access does: at the token's expiry, or when it is revoked.
 *
 * @since 0.1.0
 * @category modules
 */
export * as StreamExpiry from "./StreamExpiry.js"

/**
 * What depends on the request: which issuers, which scopes, which metadata document.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Tenancy from "./Tenancy.js"

/**
 * What an issuer puts into its JWT access tokens, as data: RFC 9068, and what the well-known issuers do instead.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenProfile from "./TokenProfile.js"

/**
 * For a server that asks nobody for a token: it says so when it starts.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Unguarded from "./Unguarded.js"

/**
 * The seam to everything that is not an `HttpApp`: the guard in front of the handlers of other frameworks, and web-standard
 * handlers behind the guard.
 *
 * @since 0.1.0
 * @category modules
 */
export * as WebHandlerAuth from "./WebHandlerAuth.js"
