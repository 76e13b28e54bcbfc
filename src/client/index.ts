/**
 * The client half: obtains access tokens for an MCP server, keeps and renews them, and puts them in front of requests.
 *
 * @since 0.1.0
 */

/**
 * How a client proves to an authorization server which client it is (OAuth 2.1 §2.4, RFC 7523 §2.2).
 *
 * @since 0.1.0
 * @category modules
 */
export * as ClientAuthentication from "../discovery/ClientAuthentication.js"
/**
 * An access token, and what is known about it without looking inside (RFC 6749 §1.4).
 *
 * @since 0.1.0
 * @category modules
 */
export * as AccessToken from "./AccessToken.js"
/**
 * The authorization code flow in two halves with a record between them (OAuth 2.1 §4.1).
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthorizationCode from "./AuthorizationCode.js"
/**
 * The one place where a person comes in: open the authorization URL, hand back what arrived at the redirect URI.
 *
 * @since 0.1.0
 * @category modules
 */
export * as AuthorizeUser from "./AuthorizeUser.js"
/**
 * What a client asks of an authorization server without a browser in between.
 *
 * @since 0.1.0
 * @category modules
 */
export * as BackChannel from "./BackChannel.js"
/**
 * Everything that can go wrong between a request and the token it needs.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ClientError from "./ClientError.js"
/**
 * The client ID metadata document: built, checked and served.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ClientMetadataDocument from "./ClientMetadataDocument.js"
/**
 * How a client comes by its client ID at an authorization server.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ClientRegistration from "./ClientRegistration.js"
/**
 * The device authorization grant (RFC 8628): a code that a person enters on another machine.
 *
 * @since 0.1.0
 * @category modules
 */
export * as DeviceAuthorization from "./DeviceAuthorization.js"
/**
 * The keys that a store is encrypted with.
 *
 * @since 0.1.0
 * @category modules
 */
export * as EncryptionKeys from "./EncryptionKeys.js"
/**
 * A `fetch` that authorizes its requests, for clients that take one.
 *
 * @since 0.1.0
 * @category modules
 */
export * as FetchAuth from "./FetchAuth.js"
/**
 * A grant on its way from one store to another.
 *
 * @since 0.1.0
 * @category modules
 */
export * as GrantTransfer from "./GrantTransfer.js"
/**
 * The two requests of a web sign-in as `HttpApp`s.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpAppSignIn from "./HttpAppSignIn.js"
/**
 * Puts access tokens in front of an `HttpClient`.
 *
 * @since 0.1.0
 * @category modules
 */
export * as HttpClientAuth from "./HttpClientAuth.js"
/**
 * The encryption key of a store, in the keychain of the operating system.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Keychain from "./Keychain.js"
/**
 * The listener on this machine that receives one authorization response (RFC 8252 §7.3).
 *
 * @since 0.1.0
 * @category modules
 */
export * as LoopbackListener from "./LoopbackListener.js"
/**
 * What the revision of 2025-03-26 had in the place of protected resource metadata.
 *
 * @since 0.1.0
 * @category modules
 */
export * as OriginDiscovery from "./OriginDiscovery.js"
/**
 * A sign-in that waits for its answer, wherever that arrives: a record that serves once.
 *
 * @since 0.1.0
 * @category modules
 */
export * as PendingSignIn from "./PendingSignIn.js"
/**
 * Pushed authorization requests (RFC 9126).
 *
 * @since 0.1.0
 * @category modules
 */
export * as PushedRequest from "./PushedRequest.js"
/**
 * The answers of a resource server that another token may change.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Refusal from "./Refusal.js"
/**
 * Which way of getting a client ID to take.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RegistrationChoice from "./RegistrationChoice.js"
/**
 * What can be seen of renewals from outside.
 *
 * @since 0.1.0
 * @category modules
 */
export * as RenewalMetrics from "./RenewalMetrics.js"
/**
 * Where a browser goes on to after a sign-in: somewhere in the application.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ReturnTo from "./ReturnTo.js"
/**
 * Revocation of tokens (RFC 7009), and an honest word about what came of it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as Revocation from "./Revocation.js"
/**
 * From an MCP endpoint to the authorization server that is going to be asked.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ServerDiscovery from "./ServerDiscovery.js"
/**
 * What an authorization server does otherwise than the MCP specification asks, as data.
 *
 * @since 0.1.0
 * @category modules
 */
export * as ServerProfile from "./ServerProfile.js"
/**
 * The little pages that a person sees on the way of a sign-in.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SignInPage from "./SignInPage.js"
/**
 * The failure of a program that may not ask anybody, with all that another one needs to ask.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SignInRequired from "./SignInRequired.js"
/**
 * How often a person was asked for the scopes of an operation.
 *
 * @since 0.1.0
 * @category modules
 */
export * as StepUpAttempts from "./StepUpAttempts.js"
/**
 * What a sign-in leaves behind, as it is stored.
 *
 * @since 0.1.0
 * @category modules
 */
export * as StoredGrant from "./StoredGrant.js"
/**
 * Opening a URL in the person's browser, without a shell.
 *
 * @since 0.1.0
 * @category modules
 */
export * as SystemBrowser from "./SystemBrowser.js"
/**
 * The token endpoint (OAuth 2.1 §3.2): a grant is data, and one interpreter sends it.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenEndpoint from "./TokenEndpoint.js"
/**
 * Where a client's access tokens come from: the whole seam between HTTP and OAuth.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenSource from "./TokenSource.js"
/**
 * Where grants and registrations are kept: versioned read, compare-and-swap write, lease.
 *
 * @since 0.1.0
 * @category modules
 */
export * as TokenStore from "./TokenStore.js"
/**
 * Signing in from a web application: one request begins, another one completes.
 *
 * @since 0.1.0
 * @category modules
 */
export * as WebSignIn from "./WebSignIn.js"
/**
 * What can be wrong with a request that comes with a browser.
 *
 * @since 0.1.0
 * @category modules
 */
export * as WebSignInError from "./WebSignInError.js"
