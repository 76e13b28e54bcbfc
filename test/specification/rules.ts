/**
 * Every rule of MCP authorization and of the RFCs behind it that a resource server or a client may have to keep, by the
 * ids of the requirements catalogue: in a few words of our own, where it comes from, and the module that keeps it.
 * `specification.test.ts` holds this to the code, to the titles of the tests, and to the catalogue.
 */
import { kept, leftOut, open, type Section } from "./Row.js"

/** Why a rule is left out. */
const AS = "for authorization servers"
const PROXY = "for proxies in front of somebody else's authorization server; this library is none"
const A_ONLY = "for the revision of 2025-03-26 only"
const TLS = "the runtime's TLS checks certificates"
const SUM = "the sum of the rows of this document"
const HTTP = "this library is for HTTP; on other transports it is not used"
const BEHIND = "for the MCP server behind the guard"
const APPLICATION = "for the application"
const LATER_EMA = "later issue: enterprise-managed authorization"
const LATER_DPOP = "later issue: DPoP"
const LATER_MTLS = "later issue: mutual TLS"
const SIGNED = "may be ignored, and is: the plain members count"

export const sections: ReadonlyArray<Section> = [
  {
    title: "GEN: applicability",
    rows: [
      kept("GEN-01", "Y", "Authorization is optional.", "Overview", "server/Unguarded"),
      leftOut("GEN-02", "S", "Who does authorization over HTTP follows the specification.", "Overview", SUM),
      leftOut("GEN-03", "SN", "stdio does not use this flow.", "Overview", HTTP),
      leftOut("GEN-04", "M", "Other transports follow the practice customary for them.", "Overview", HTTP),
      kept(
        "GEN-05",
        "Y",
        "Peers may agree on schemes of their own.",
        "Basic protocol › Auth",
        "server/Authorizer, client/TokenSource"
      ),
      leftOut("GEN-06", "M", "The security considerations of OAuth 2.1 apply.", "Sec; OAuth 2.1 §7", SUM),
      leftOut("GEN-07", "M", "OAuth 2.1 for public and confidential clients.", "Overview", AS),
      kept(
        "GEN-08",
        "N",
        "Each request stands alone; there is no session to be logged in to.",
        "Changelog",
        "server/Guard"
      ),
      leftOut("GEN-09", "N", "Extensions are declared as capabilities.", "Overview › Extensions", "for the MCP library")
    ]
  },
  {
    title: "RS: protected resource metadata",
    rows: [
      kept("RS-01", "M", "Publish protected resource metadata.", "Overview; Disc", "server/ResourceMetadata"),
      kept("RS-02", "M", "It lists at least one authorization server.", "Disc; 9728 §2", "server/AuthConfig"),
      kept(
        "RS-03",
        "M",
        "It is found through the 401 or a well-known URI.",
        "Disc; 9728 §3, §5.1",
        "server/Challenge ResourceMetadata"
      ),
      kept("RS-04", "Y", "Path-inserted or at the root of the origin.", "Disc", "server/ResourceMetadata"),
      kept(
        "RS-05",
        "N",
        "Both the header and the path-inserted document.",
        "derived",
        "server/Challenge ResourceMetadata"
      ),
      open(
        "RS-06",
        "M",
        "`resource` is the identifier from which clients derive the URL of the document.",
        "9728 §3.3",
        "the root document of a resource with a path names that resource and not the origin (feature F2 asks for it, docs/decisions/0005 says why): a client that is strict finds the path-inserted document first, and has no use for the root one",
        "server/AuthConfig ResourceMetadata"
      ),
      kept(
        "RS-07",
        "M",
        "`resource` is an absolute https URL without a fragment.",
        "Overview; 9728 §1.2",
        "server/AuthConfig, protocol/ResourceIdentifier"
      ),
      kept("RS-08", "S", "`scopes_supported` is a small set for basic use.", "Overview; SBP", "server/AuthConfig"),
      kept(
        "RS-09",
        "SN",
        "No `offline_access` in metadata and challenges.",
        "Overview › Refresh Tokens",
        "server/AuthConfig"
      ),
      kept("RS-10", "N", "`bearer_methods_supported` is `header`.", "9728 §2", "server/AuthConfig"),
      kept(
        "RS-11",
        "N",
        "Metadata for anybody, as JSON, with CORS and cache headers.",
        "9728 §3",
        "server/ResourceMetadata"
      ),
      kept(
        "RS-12",
        "N",
        "URLs come from configuration, not from `Host` or forwarding headers.",
        "derived; 9728 §7.7",
        "server/AuthConfig Challenge Guard"
      ),
      leftOut("RS-13", "M", "A server that is its own authorization server.", "2025-03-26", A_ONLY)
    ]
  },
  {
    title: "RS: token acceptance",
    rows: [
      kept(
        "RS-30",
        "M",
        "Validate the token on every request before any work.",
        "Overview; OAuth 2.1 §5.2",
        "server/Guard StreamExpiry"
      ),
      kept(
        "RS-31",
        "M",
        "The token is taken from `Authorization: Bearer`, never from the query.",
        "Overview; OAuth 2.1 §5.1",
        "protocol/BearerCredentials, server/Guard"
      ),
      kept(
        "RS-32",
        "M",
        "The token was issued for this server; no audience is no access.",
        "Overview; 8707 §2; 9068 §4",
        "server/Audience Guard JwtAccessToken IntrospectionResponse"
      ),
      kept("RS-33", "M", "Only tokens that are for its own resources.", "Overview", "server/Audience Guard"),
      kept(
        "RS-34",
        "MN",
        "Accept or forward a token that is not for it.",
        "Overview; SBP › Token Passthrough",
        "server/Guard Claims IntrospectionAuthorizer"
      ),
      leftOut(
        "RS-35",
        "M",
        "Calls upstream have a token of their own.",
        "Sec",
        `${APPLICATION}; the client half gets it one`
      ),
      kept("RS-36", "M", "An invalid or expired token is a 401.", "Overview", "server/Challenge Guard"),
      kept("RS-37", "M", "401, 403 and 400, each for its own.", "Overview", "server/Challenge Guard"),
      kept("RS-38", "M", "Bodies and challenges as OAuth has them.", "OAuth 2.1 §5.3; 6750 §3", "server/Challenge"),
      kept("RS-39", "N", "Audiences compare as strings; others are listed by name.", "Overview", "server/Audience"),
      kept(
        "RS-40",
        "M",
        "Tokens are stored safely and never logged.",
        "Sec › Token Theft",
        "server/Authorizer CachedAuthorizer Claims Decision Guard"
      ),
      kept("RS-41", "N", "Caches are keyed by a digest and end with `exp`.", "7662 §4", "server/CachedAuthorizer"),
      leftOut("RS-42", "M", "Private results are shared between no two callers.", "Caching", BEHIND),
      kept("RS-43", "M", "`requestState` is input of an attacker.", "Multi round-trip", "server/RequestState"),
      kept("RS-44", "M", "Tasks and state belong to the caller who made them.", "Tasks; SBP", "server/RequestState"),
      kept("RS-45", "Y", "Lists may vary with the scopes.", "Server features", "mcp/OperationList")
    ]
  },
  {
    title: "RS: challenges and scopes",
    rows: [
      kept(
        "RS-50",
        "M",
        "A 401 has `WWW-Authenticate` with `resource_metadata`.",
        "Disc; 9728 §5.1",
        "server/Challenge"
      ),
      kept("RS-51", "S", "The 401 says which scopes this request needs.", "Overview; 6750 §3", "server/Challenge"),
      kept(
        "RS-52",
        "Y",
        "They may have nothing to do with `scopes_supported`.",
        "Overview",
        "server/AuthConfig Challenge"
      ),
      kept(
        "RS-53",
        "S",
        "Too little scope is a 403 with `insufficient_scope`, `scope` and `resource_metadata`.",
        "Overview; 6750 §3.1",
        "server/Challenge Claims"
      ),
      kept(
        "RS-54",
        "S",
        "The 403 names what the operation needs.",
        "Overview",
        "server/Challenge Claims, protocol/Scopes"
      ),
      kept(
        "RS-55",
        "S",
        "All of it in one challenge.",
        "Overview",
        "server/Challenge OperationScopes ScopeRequirement"
      ),
      kept("RS-56", "S", "Scopes in challenges are made one and the same way.", "Overview", "server/Challenge"),
      kept("RS-57", "M", "A broad scope covers those below it.", "Overview › Step-Up", "server/Guard AuthConfig"),
      leftOut(
        "RS-58",
        "S",
        "Scopes are few at first and no wildcards.",
        "SBP › Scope Minimization",
        `${APPLICATION}, which chooses them; nothing here reads a wildcard`
      ),
      kept(
        "RS-59",
        "N",
        "The 403 repeats what was granted, as an option.",
        "derived",
        "server/AuthConfig Challenge Guard"
      ),
      kept(
        "RS-60",
        "M",
        "`resource_metadata` is an absolute URL, quoted, once per challenge.",
        "9728 §5.1; 9110 §11.2",
        "server/Challenge AuthConfig, protocol/WwwAuthenticate"
      )
    ]
  },
  {
    title: "CL: discovery",
    rows: [
      kept(
        "CL-01",
        "M",
        "The authorization server is found by RFC 9728.",
        "Overview; Disc",
        "client/ServerDiscovery, discovery/ProtectedResourceMetadata"
      ),
      kept("CL-02", "M", "Read `WWW-Authenticate`, react to 401.", "Disc", "client/Refusal HttpClientAuth"),
      kept(
        "CL-03",
        "M",
        "The challenge's URL first, else path-inserted, then root.",
        "Disc",
        "discovery/ProtectedResourceMetadata, protocol/WellKnown"
      ),
      kept(
        "CL-04",
        "N",
        "The challenge's URL is the only one; probing goes on after a 4xx.",
        "Disc",
        "discovery/ProtectedResourceMetadata"
      ),
      kept(
        "CL-05",
        "M",
        "`resource` is checked before anything is used.",
        "9728 §3.3",
        "discovery/ProtectedResourceMetadata"
      ),
      kept(
        "CL-06",
        "N",
        "A parent on the same origin, at a segment boundary, may do; its value is then sent.",
        "derived",
        "discovery/ProtectedResourceMetadata, protocol/ResourceIdentifier"
      ),
      kept("CL-07", "M", "The client chooses among the servers listed.", "Disc", "client/ServerDiscovery"),
      kept("CL-08", "M", "A later challenge means to look again.", "9728 §5.2", "client/SignInSource"),
      kept("CL-09", "Y", "Without metadata, give up.", "Disc", "client/ServerDiscovery"),
      kept("CL-10", "S", "`MCP-Protocol-Version` on metadata requests.", "2025-03-26", "client/OriginDiscovery"),
      kept("CL-11", "M", "RFC 8414 and OpenID discovery.", "Overview; Disc", "discovery/AuthorizationServerMetadata"),
      kept(
        "CL-12",
        "M",
        "The URLs in the listed order.",
        "Disc; 8414 §3.1",
        "protocol/WellKnown, discovery/AuthorizationServerMetadata"
      ),
      kept("CL-13", "M", "Only the registered suffixes.", "Disc", "protocol/WellKnown"),
      kept("CL-14", "M", "`issuer` is the very string asked for.", "Disc", "discovery/AuthorizationServerMetadata"),
      kept(
        "CL-15",
        "N",
        "A wrong `issuer` fails that candidate, and the next may be asked.",
        "derived",
        "discovery/AuthorizationServerMetadata"
      ),
      kept("CL-16", "N", "The root is not asked for an issuer with a path.", "Disc", "protocol/WellKnown"),
      leftOut("CL-17", "M", "Offer metadata.", "Overview", AS),
      kept(
        "CL-18",
        "N",
        "Falling back to 2025-03-26 is opt-in.",
        "2025-03-26",
        "client/OriginDiscovery ServerDiscovery"
      )
    ]
  },
  {
    title: "REG: client registration",
    rows: [
      kept("REG-01", "M", "A client ID before the flow starts.", "Overview", "client/ClientRegistration"),
      kept("REG-02", "S", "Pre-registered, then document, then dynamic, then ask.", "Reg", "client/RegistrationChoice"),
      kept(
        "REG-03",
        "S",
        "Client ID metadata documents.",
        "Reg › CIMD",
        "client/ClientRegistration RegistrationChoice"
      ),
      kept("REG-04", "Y", "Dynamic registration.", "Reg › DCR", "client/DynamicRegistration"),
      kept("REG-05", "S", "Credentials by configuration.", "Reg › Pre-registration", "client/ClientRegistration"),
      kept("REG-10", "M", "The document's https URL is the client ID.", "Reg › CIMD", "client/ClientRegistration"),
      kept(
        "REG-11",
        "M",
        "The document holds `client_id`, name and redirect URIs.",
        "CIMD §4",
        "client/ClientMetadataDocument"
      ),
      kept(
        "REG-12",
        "Y",
        "`private_key_jwt` with a document.",
        "CIMD §6.2",
        "client/ClientRegistration ClientMetadataDocument"
      ),
      kept("REG-13", "S", "Look at the flag first.", "Reg › Advertising", "client/RegistrationChoice"),
      leftOut("REG-14", "S / M", "Fetch and check the document.", "Reg", AS),
      leftOut("REG-15", "M", "Show the host of the redirect URI.", "Sec › CIMD Security", AS),
      kept("REG-20", "M", "A fitting `application_type`.", "Reg › Application Type", "client/DynamicRegistration"),
      kept("REG-21", "M", "Cope with a refusal.", "Reg › Application Type", "client/DynamicRegistration"),
      kept("REG-22", "S", "`refresh_token` among the grant types.", "Overview", "client/DynamicRegistration"),
      kept(
        "REG-23",
        "N",
        "The authentication method is sent, and that of the answer obeyed.",
        "7591 §2",
        "client/DynamicRegistration"
      ),
      kept(
        "REG-30",
        "M",
        "Credentials are kept by issuer.",
        "Reg › AS Binding",
        "client/DynamicRegistration StoredGrant RegistrationChoice"
      ),
      kept(
        "REG-31",
        "MN",
        "Use one server's credentials or tokens at another.",
        "Reg › AS Binding",
        "client/RegistrationChoice ClientCredentialsSource"
      ),
      kept("REG-32", "M", "A new server means a new registration.", "Reg › AS Binding", "client/SignInSource"),
      kept(
        "REG-33",
        "S",
        "Credentials for another server only: an error.",
        "Reg › AS Binding",
        "client/RegistrationChoice"
      ),
      kept(
        "REG-34",
        "Y",
        "A document's URL goes from server to server.",
        "Reg › AS Binding",
        "client/ClientRegistration"
      ),
      kept("REG-35", "M", "Redirect URIs are registered.", "Sec › Open Redirection", "client/DynamicRegistration")
    ]
  },
  {
    title: "CL: authorization request and response",
    rows: [
      kept(
        "CL-40",
        "M",
        "PKCE always.",
        "Sec; OAuth 2.1 §7.5.2",
        "client/AuthorizationCode, protocol/AuthorizationRequest"
      ),
      kept("CL-41", "M", "`S256`.", "7636 §4.2", "protocol/Pkce"),
      kept("CL-42", "M", "Check that the server does PKCE.", "Sec", "client/ServerDiscovery, protocol/Pkce"),
      kept("CL-43", "N", "Without `S256` in the list: refuse.", "derived", "client/ServerDiscovery, protocol/Pkce"),
      kept("CL-44", "M", "Without the list: refuse.", "Sec", "client/ServerDiscovery, protocol/Pkce"),
      leftOut("CL-45", "M", "OpenID metadata has the list.", "Sec", AS),
      kept(
        "CL-46",
        "M",
        "`resource` in authorization and token requests.",
        "Overview; 8707 §2",
        "client/AuthorizationCode TokenEndpoint, protocol/AuthorizationRequest"
      ),
      kept(
        "CL-47",
        "M",
        "Its value is the canonical URI, the same everywhere.",
        "Overview",
        "client/AuthorizationCode"
      ),
      kept(
        "CL-48",
        "S",
        "The most specific one: that of the validated metadata.",
        "Overview",
        "client/SignInSource OriginDiscovery, discovery/ProtectedResourceMetadata, protocol/ResourceIdentifier"
      ),
      kept("CL-49", "N", "No slash is added to a bare origin.", "Overview", "client/SignInSource OriginDiscovery"),
      kept(
        "CL-50",
        "S",
        "`state` is sent and checked.",
        "Sec",
        "client/AuthorizationCode, protocol/AuthorizationResponse"
      ),
      kept(
        "CL-51",
        "M",
        "Redirect URIs are loopback or https.",
        "Sec",
        "client/AuthorizationCodeSource WebSignIn, protocol/Loopback"
      ),
      leftOut("CL-52", "M", "Redirect URIs match exactly.", "Sec", AS),
      kept(
        "CL-53",
        "M",
        "The issuer is recorded beside verifier and `state` before the redirect.",
        "Overview",
        "client/AuthorizationCode"
      ),
      kept(
        "CL-54",
        "M",
        "`iss` is judged before the code goes anywhere.",
        "Overview; 9207 §2.4",
        "protocol/AuthorizationResponse, client/AuthorizationCode"
      ),
      kept("CL-55", "MN", "Normalise before comparing.", "3986 §6.2.1", "protocol/AuthorizationResponse"),
      kept(
        "CL-56",
        "MN",
        "Act on or show the error of a foreign response.",
        "Overview",
        "protocol/AuthorizationResponse"
      ),
      leftOut("CL-57", "S", "Return `iss`.", "Overview; 9207 §2", AS),
      kept(
        "CL-58",
        "MN",
        "Open anything but http(s), or through a shell.",
        "SBP",
        "protocol/AuthorizationRequest, client/AuthorizeUser SystemBrowser"
      ),
      kept(
        "CL-59",
        "N",
        "What is pending serves once and ends in minutes.",
        "derived",
        "client/AuthorizationCodeSource AuthorizeUser PendingSignIn"
      )
    ]
  },
  {
    title: "CL: scopes and step-up",
    rows: [
      kept("CL-60", "S", "Ask for what is needed.", "Overview", "client/RenewalDecision"),
      kept("CL-61", "S", "Challenge, else metadata, else no `scope`.", "Overview", "client/RenewalDecision"),
      kept("CL-62", "MN", "Infer anything from `scopes_supported`.", "Overview", "client/RenewalDecision"),
      kept("CL-63", "M", "The challenge's scopes are included.", "Overview", "client/RenewalDecision"),
      kept("CL-64", "S", "Step up on scope errors.", "Overview › Step-Up", "client/SignInSource RenewalDecision"),
      kept(
        "CL-65",
        "S",
        "Step-up asks for the union.",
        "Overview › Step-Up",
        "client/RenewalDecision, protocol/Scopes"
      ),
      kept(
        "CL-66",
        "S",
        "A few attempts, then a failure.",
        "Overview › Step-Up",
        "client/HttpClientAuth RenewalDecision SignInAttempts StepUpAttempts"
      ),
      kept("CL-67", "N", "Requested scopes are remembered.", "6749 §5.1", "client/RenewalDecision StoredGrant"),
      kept("CL-68", "N", "Scopes that are granted already end it.", "CL-66", "client/RenewalDecision"),
      kept("CL-69", "N", "Concurrent refusals share one attempt.", "derived", "client/SignInSource")
    ]
  },
  {
    title: "CL: using and refreshing tokens",
    rows: [
      kept("CL-70", "M", "The token is on every request, in the header.", "Overview", "client/HttpClientAuth"),
      kept("CL-71", "MN", "Put tokens into a URL.", "Overview", "client/HttpClientAuth"),
      kept(
        "CL-72",
        "MN",
        "Send a token to a server that its issuer did not issue it for.",
        "Overview",
        "client/HttpClientAuth SignInSource"
      ),
      kept("CL-73", "M", "Tokens are stored safely.", "Sec › Token Theft", "client/TokenStore StoredGrant"),
      kept("CL-74", "Y", "`offline_access` where it is listed.", "Overview", "client/RenewalDecision"),
      kept("CL-75", "MN", "Rely on a refresh token.", "Overview", "client/SignInSource"),
      leftOut("CL-76", "M", "Rotate refresh tokens of public clients.", "Sec", AS),
      kept(
        "CL-77",
        "N",
        "Rotation: replace, keep, one at a time, sign in on `invalid_grant`.",
        "OAuth 2.1 §4.3",
        "client/HeldGrant"
      ),
      kept("CL-78", "N", "No token across a redirect to another origin.", "derived", "client/HttpClientAuth"),
      leftOut(
        "CL-79",
        "MN",
        "Share private results between callers.",
        "Caching",
        "for the MCP client; nothing is kept here"
      )
    ]
  },
  {
    title: "SEC: security",
    rows: [
      kept(
        "SEC-01",
        "M",
        "Endpoints of an authorization server are on https: others are refused.",
        "Sec; OAuth 2.1 §1.5",
        "protocol/Loopback AuthorizationRequest, discovery/GuardedHttp"
      ),
      kept(
        "SEC-02",
        "S",
        "https for every URL, http on loopback only.",
        "SBP › SSRF",
        "protocol/Loopback, discovery/GuardedHttp, client/TokenSource"
      ),
      kept(
        "SEC-10",
        "M",
        "Mitigate SSRF when fetching metadata.",
        "SBP › SSRF",
        "discovery/GuardedHttp Reach, protocol/WellKnown"
      ),
      kept(
        "SEC-11",
        "S",
        "Block private, loopback and link-local addresses: by their spelling everywhere, behind a name with the clients of `node` and `bun`.",
        "SBP › SSRF",
        "discovery/NetworkZone Reach, node/NodeGuardedHttp, bun/BunGuardedHttp"
      ),
      kept("SEC-12", "S", "The same for redirects; better, follow none.", "SBP › SSRF", "discovery/GuardedHttp"),
      kept(
        "SEC-13",
        "S",
        "Egress proxies; pin the resolved address, with the clients of `node` and `bun`.",
        "SBP › SSRF",
        "discovery/GuardedClient, node/NodeGuardedHttp, bun/BunGuardedHttp"
      ),
      leftOut("SEC-14", "S", "The same when a server fetches client documents.", "SBP", AS),
      kept(
        "SEC-15",
        "N",
        "Size, time and depth are bounded; what was fetched is not echoed.",
        "derived",
        "discovery/GuardedHttp JsonDocument"
      ),
      leftOut("SEC-20", "M", "Consent per client.", "SBP", PROXY),
      leftOut("SEC-21", "M", "A registry of consents.", "SBP", PROXY),
      leftOut("SEC-22", "M", "The consent page.", "SBP", PROXY),
      leftOut("SEC-23", "M", "Consent cookies.", "SBP", PROXY),
      leftOut("SEC-24", "M", "Exact redirect URIs.", "SBP", PROXY),
      leftOut("SEC-25", "M", "`state` of the other leg.", "SBP", PROXY),
      leftOut("SEC-26", "M", "Tokens mapped to tokens.", "2025-03-26", PROXY),
      kept("SEC-30", "M", "`Origin` is validated; a disallowed one is a 403.", "Transport", "server/OriginCheck"),
      kept(
        "SEC-40",
        "M",
        "Every request is authorized; a session id proves nothing.",
        "SBP › Hijacking",
        "server/Guard SessionBinding"
      ),
      kept(
        "SEC-41",
        "S",
        "Session ids are unpredictable and bound to the caller.",
        "SBP",
        "server/SessionBinding SessionStore"
      ),
      kept("SEC-42", "N", "The caller is issuer and subject of the verified token.", "SBP", "server/Claims Guard"),
      leftOut("SEC-50", "MN", "URL elicitation in the place of authorization.", "Elicitation", BEHIND),
      kept("SEC-60", "N", "Mix-up: `iss`, and state bound to the issuer.", "Sec › Mix-Up", "client/AuthorizationCode")
    ]
  },
  {
    title: "CC: extension, OAuth client credentials",
    rows: [
      kept("CC-01", "M", "Credentials are given; nothing is registered.", "Overview", "client/ClientCredentialsSource"),
      kept("CC-02", "M", "Discovery and its checks are the same.", "Flow Steps", "client/ClientCredentialsSource"),
      kept(
        "CC-03",
        "M",
        "Authenticate with an assertion or a secret.",
        "Client Authentication",
        "discovery/ClientAuthentication"
      ),
      kept(
        "CC-04",
        "M",
        "Grant, `resource` and `scope`.",
        "Examples; 7523 §3",
        "client/TokenEndpoint ClientCredentialsSource"
      ),
      kept(
        "CC-05",
        "N",
        "The method comes from the metadata, else basic.",
        "8414 §2",
        "discovery/ClientAuthentication"
      ),
      leftOut("CC-06", "M", "List methods and algorithms.", "Server Metadata", AS),
      kept(
        "CC-07",
        "N",
        "Assertions: `iss` = `sub`, the issuer alone as `aud`, short, unique.",
        "7523 §3",
        "discovery/ClientAuthentication"
      ),
      kept("CC-08", "Y", "Step up or give up.", "Overview › Step-Up", "client/ClientCredentialsSource"),
      kept("CC-09", "N", "No refresh token: ask again.", "6749 §4.4.3", "client/ClientCredentialsSource")
    ]
  },
  {
    title: "EMA: extension, enterprise-managed authorization",
    rows: Array.from({ length: 21 }, (_, n) => {
      const levels = "M M M Y M N M N M M M M M M M Y SN M M M N".split(" ")
      const rules = [
        "Sign in at the identity provider.",
        "Exchange the assertion for an ID-JAG.",
        "`audience` is the resource's issuer.",
        "`resource` is the server's identifier.",
        "Authenticate at the exchange.",
        "SAML by way of a refresh token.",
        "An ID-JAG is no access token.",
        "Sign in again where it is asked for.",
        "The provider keeps pairs of audience and resource.",
        "Present the ID-JAG.",
        "Verify it.",
        "Verify its resource.",
        "Refuse it a second time.",
        "The token is for that resource.",
        "Scopes lie within the ID-JAG's.",
        "Support is in the metadata.",
        "No refresh token.",
        "TLS; nothing in URLs and logs.",
        "Tokens are validated as ever.",
        "Keys come over TLS and rotate.",
        "Encrypted ID-JAGs are opaque."
      ]
      const id = `EMA-${String(n + 1).padStart(2, "0")}`
      return leftOut(id, levels[n] ?? "", rules[n] ?? "", "enterprise-managed authorization", LATER_EMA)
    })
  },
  {
    title: "H: RFC 9110 §11, HTTP authentication",
    rows: [
      kept("H-01", "M", "Names compare in any case.", "11.1, 11.2", "protocol/WwwAuthenticate BearerCredentials"),
      kept("H-02", "M", "A name once per challenge.", "11.2", "protocol/WwwAuthenticate"),
      kept(
        "H-03",
        "M",
        "Values are tokens or quoted, with white space around `=`.",
        "11.2",
        "protocol/WwwAuthenticate"
      ),
      kept("H-04", "M", "Quoted strings: escapes, and delimiters as data.", "5.6.4", "protocol/WwwAuthenticate"),
      kept("H-05", "N", "A scheme alone, token68, or parameters.", "11.2, 11.3", "protocol/WwwAuthenticate"),
      kept("H-06", "N", "Several challenges in one field.", "11.6.1", "protocol/WwwAuthenticate"),
      kept("H-07", "M", "Empty list elements.", "5.6.1", "protocol/WwwAuthenticate"),
      kept("H-08", "M", "`realm` is quoted.", "11.5", "protocol/WwwAuthenticate"),
      kept("H-09", "M", "Every 401 has a challenge.", "11.6.1, 15.5.2", "server/Challenge"),
      kept("H-10", "S", "Good credentials that do not suffice: 403.", "11.4, 15.5.4", "server/Challenge"),
      kept(
        "H-11",
        "N",
        "Unknown schemes and parameters are ignored.",
        "11.3",
        "client/Refusal, protocol/BearerCredentials"
      ),
      kept("H-12", "N", "Joined field lines.", "5.3", "protocol/WwwAuthenticate"),
      leftOut("H-13", "MN", "Change these headers on the way.", "11.6.1, 11.6.2", "for proxies and caches"),
      kept("H-14", "N", "What is malformed costs itself only.", "derived", "protocol/WwwAuthenticate")
    ]
  },
  {
    title: "B: RFC 6750, bearer tokens",
    rows: [
      kept("B-01", "MN", "Several methods in one request: `invalid_request`.", "2, 3.1", "server/Guard"),
      kept("B-02", "M", "The `Authorization` header.", "2.1", "protocol/BearerCredentials, server/Guard"),
      kept("B-03", "N", "One b64token; anything else is malformed.", "2.1", "protocol/BearerCredentials"),
      kept("B-04", "MN", "Tokens in forms.", "2.2", "server/Guard, client/HttpClientAuth"),
      kept("B-05", "SN", "Tokens in the query.", "2.3", "server/Guard, client/HttpClientAuth"),
      kept("B-06", "M", "A refusal has a Bearer challenge with parameters.", "3", "server/Challenge"),
      kept("B-07", "MN", "Repeat a parameter.", "3", "protocol/WwwAuthenticate"),
      kept("B-08", "M", "Only legal characters.", "3", "server/Challenge, protocol/Scopes"),
      kept("B-09", "S", "`error` only where credentials came.", "3", "server/Challenge"),
      kept("B-10", "SN", "Tell anything to who brought no credentials.", "3.1", "server/Challenge Guard"),
      kept("B-11", "S", "400, 401 and 403 by code.", "3.1", "server/Challenge"),
      kept(
        "B-12",
        "M",
        "TLS throughout: no token goes out in clear.",
        "5.2, 5.3",
        "client/TokenSource, discovery/GuardedHttp"
      ),
      kept("B-13", "MN", "Tokens in cookies.", "5.3", "server/Guard, discovery/GuardedHttp"),
      leftOut("B-14", "S", "Short lifetimes.", "5.2, 5.3", AS)
    ]
  },
  {
    title: "PR: RFC 9728, protected resource metadata",
    rows: [
      kept(
        "PR-01",
        "M",
        "At the well-known URI, the segment inserted.",
        "3, 3.1",
        "protocol/WellKnown, server/ResourceMetadata"
      ),
      kept("PR-02", "N", "Final slashes and queries.", "3.1", "protocol/WellKnown"),
      kept("PR-03", "M", "Retrieved with GET.", "3.1", "discovery/ProtectedResourceMetadata GuardedHttp"),
      kept("PR-04", "M", "200, JSON, one object, nothing empty.", "3.2", "server/AuthConfig ResourceMetadata"),
      kept("PR-05", "M", "Unknown members are ignored.", "3.2", "discovery/ProtectedResourceMetadata"),
      kept(
        "PR-06",
        "M",
        "Well-known: `resource` is what the URL was made of.",
        "3.3",
        "protocol/WellKnown, discovery/ProtectedResourceMetadata"
      ),
      kept("PR-07", "M", "Challenge: `resource` is what was asked.", "3.3", "discovery/ProtectedResourceMetadata"),
      kept(
        "PR-08",
        "M",
        "Code point by code point.",
        "6",
        "protocol/ResourceIdentifier WellKnown, discovery/ProtectedResourceMetadata"
      ),
      leftOut("PR-09", "M / Y", "`signed_metadata`.", "2.2, 3.3", SIGNED),
      leftOut("PR-10", "N", "Compare with `protected_resources`.", "4", "not acted on; the member is read"),
      kept("PR-11", "Y", "`resource_metadata` in challenges.", "5.1", "server/Challenge"),
      kept("PR-12", "S", "A later challenge: fetch again.", "5.2", "client/SignInSource"),
      kept("PR-13", "N", "Challenges of several schemes may carry it.", "5.1, 5.4", "client/Refusal"),
      kept("PR-14", "SN", "Ask for every scope without need.", "7.2", "client/RenewalDecision"),
      kept(
        "PR-15",
        "M",
        "The certificate's host: the runtime checks it, also where the address is pinned.",
        "7.3",
        "node/NodeGuardedHttp, bun/BunGuardedHttp"
      ),
      kept("PR-16", "S", "Tokens are for an audience.", "7.4", "server/Audience, client/AuthorizationCode"),
      kept("PR-17", "N", "Which servers to trust is the client's to say.", "7.6", "client/ServerDiscovery"),
      kept("PR-18", "S", "Guard against SSRF.", "7.7", "discovery/GuardedHttp Reach, client/ServerDiscovery"),
      leftOut("PR-19", "N", "Show the server's host to the person.", "7.8", `${APPLICATION}, which has the URL`),
      kept("PR-20", "N", "Ordinary HTTP caching.", "7.10", "server/ResourceMetadata")
    ]
  },
  {
    title: "AM: RFC 8414 and OpenID Connect Discovery",
    rows: [
      kept("AM-01", "M", "An issuer is https, without query and fragment.", "8414 §2", "protocol/ResourceIdentifier"),
      kept("AM-02", "M", "Endpoints that are needed are there.", "8414 §2", "client/ServerDiscovery"),
      kept(
        "AM-03",
        "M",
        "Defaults of what is absent.",
        "8414 §2",
        "discovery/ClientAuthentication, client/ServerDiscovery"
      ),
      leftOut("AM-04", "M", "Algorithms beside JWT authentication.", "8414 §2", AS),
      kept("AM-05", "N", "No PKCE methods: no PKCE.", "8414 §2", "protocol/Pkce"),
      leftOut("AM-06", "Y / M", "`signed_metadata`.", "8414 §2.1", SIGNED),
      kept("AM-07", "M", "The segment is inserted, a final slash goes.", "8414 §3", "protocol/WellKnown"),
      kept("AM-08", "M", "`issuer` is the one asked for.", "8414 §3.3", "discovery/AuthorizationServerMetadata"),
      kept("AM-09", "N", "The OpenID suffix inserted and appended.", "8414 §5", "protocol/WellKnown"),
      kept("AM-10", "M", "OpenID: a final slash goes first.", "OIDC-D §4.1", "protocol/WellKnown"),
      kept("AM-11", "N", "No OpenID member is required.", "OIDC-D §3", "discovery/AuthorizationServerMetadata"),
      leftOut("AM-12", "M", "TLS with a checked certificate.", "8414 §6", TLS),
      kept("AM-13", "N", "Further members are read.", "IANA", "discovery/AuthorizationServerMetadata"),
      kept("AM-14", "N", "`offline_access` needs `prompt=consent`.", "OIDC Core §11", "client/AuthorizationCode")
    ]
  },
  {
    title: "K: RFC 7636 and OAuth 2.1",
    rows: [
      kept("K-01", "M", "A verifier of 32 random octets, fresh each time.", "7636 §4.1", "protocol/Pkce Base64Url"),
      kept("K-02", "M", "`S256`, never less.", "7636 §4.2, §7.2", "protocol/Pkce"),
      leftOut("K-03", "M", "Errors of PKCE.", "7636 §4.4.1, §4.6", AS),
      leftOut("K-04", "M", "A verifier for a code without challenge.", "OAuth 2.1 §4.1.3", AS),
      kept("K-05", "N", "`redirect_uri` in the token request.", "OAuth 2.1 §10.2", "client/TokenEndpoint"),
      kept(
        "K-06",
        "MN",
        "Several authentication methods in one request.",
        "OAuth 2.1 §2.4",
        "discovery/ClientAuthentication"
      ),
      kept("K-07", "M", "Basic: each part form-encoded.", "6749 §2.3.1", "discovery/ClientAuthentication"),
      kept("K-08", "M", "`token_type` in any case, and a known one.", "6749 §5.1, §7.1", "client/TokenEndpoint"),
      kept(
        "K-09",
        "N",
        "Errors: lenient about status, strict about shape.",
        "6749 §5.2",
        "client/BackChannel TokenEndpoint"
      ),
      kept("K-10", "M", "A new refresh token replaces the old.", "OAuth 2.1 §4.3", "client/HeldGrant"),
      kept("K-11", "M", "Tokens in the query give no access.", "OAuth 2.1 §5.1", "server/Guard"),
      kept("K-12", "M", "The code goes to the server that was asked.", "OAuth 2.1 §4.1", "client/AuthorizationCode"),
      kept(
        "K-13",
        "M",
        "Unknown parameters are ignored, repeated ones an error.",
        "6749 §3.1",
        "protocol/AuthorizationResponse"
      )
    ]
  },
  {
    title: "RI: RFC 8707, resource indicators",
    rows: [
      kept(
        "RI-01",
        "M",
        "`resource` is absolute and has no fragment.",
        "2",
        "client/TokenSource, discovery/ProtectedResourceMetadata"
      ),
      leftOut("RI-02", "Y", "It may be repeated.", "2, 2.2", "a token is for one resource"),
      kept("RI-03", "S", "The most specific URI.", "2, 3", "client/SignInSource"),
      leftOut("RI-04", "S", "Restrict the audience.", "2", AS),
      leftOut("RI-05", "N", "`invalid_target`.", "2", AS),
      leftOut("RI-06", "Y", "Narrow at the token endpoint.", "2.2", AS),
      kept(
        "RI-07",
        "N",
        "The same string in every request.",
        "derived",
        "client/AuthorizationCode HeldGrant, protocol/AuthorizationRequest"
      )
    ]
  },
  {
    title: "R: RFC 7591 and 7592, dynamic registration",
    rows: [
      kept("R-01", "N", "POST JSON, with an initial access token if need be.", "7591 §3", "client/DynamicRegistration"),
      kept("R-02", "N", "Nothing is left to the defaults.", "7591 §2", "client/DynamicRegistration"),
      kept(
        "R-03",
        "M",
        "Redirect URIs; grant and response types agree.",
        "7591 §2, §2.1",
        "client/DynamicRegistration"
      ),
      kept(
        "R-04",
        "MN",
        "`jwks` and `jwks_uri` together.",
        "7591 §2",
        "client/DynamicRegistration ClientMetadataDocument"
      ),
      leftOut("R-05", "M", "Ignore unknown metadata.", "7591 §2", AS),
      kept("R-06", "N", "What was registered instead is obeyed.", "7591 §3.2.1", "client/DynamicRegistration"),
      kept("R-07", "M", "A secret that has expired is none.", "7591 §3.2.1", "client/DynamicRegistration"),
      kept("R-08", "N", "Error codes.", "7591 §3.2.2", "client/DynamicRegistration"),
      leftOut("R-09", "M", "Software statements.", "7591 §2.3", AS),
      leftOut(
        "R-10",
        "N",
        "Management: URL and token.",
        "7592 §2, §3",
        "not offered: a registration that is dead is made anew"
      ),
      leftOut("R-11", "M", "Management: PUT.", "7592 §2.2", "not offered"),
      leftOut("R-12", "M", "Management: answers.", "7592 §2.1–2.3", "not offered"),
      leftOut("R-13", "M", "`application_type` and redirect URIs.", "OIDC Reg §2", AS)
    ]
  },
  {
    title: "CI: client ID metadata documents",
    rows: [
      kept("CI-01", "M", "https, a path, no dot segments, fragment, user.", "3", "client/RegistrationChoice"),
      kept("CI-02", "M", "Client IDs compare as strings.", "3, 4.1", "client/ClientRegistration"),
      kept("CI-03", "M", "A JSON document whose `client_id` is its URL.", "4.1", "client/ClientMetadataDocument"),
      kept("CI-04", "MN", "A secret in it.", "4.1", "client/ClientMetadataDocument"),
      kept(
        "CI-05",
        "M",
        "With a key, always `private_key_jwt`.",
        "6.2",
        "client/ClientRegistration RegistrationChoice"
      ),
      leftOut("CI-06", "S", "A fetch that fails ends it.", "4.3", AS),
      leftOut("CI-07", "Y", "Cache.", "4.4", AS),
      leftOut("CI-08", "M", "Exact redirect URIs.", "4.5", AS),
      kept("CI-09", "N", "A fixed loopback port can be configured.", "4.5", "client/LoopbackListener"),
      leftOut("CI-10", "M", "Advertise it.", "5", AS),
      leftOut("CI-11", "S", "Special-use addresses.", "6.5, 6.6", AS),
      leftOut("CI-12", "S", "Show the host.", "6.3–6.8", AS),
      kept("CI-13", "N", "Cache headers of the document.", "4.4", "client/ClientMetadataDocument")
    ]
  },
  {
    title: "I: RFC 9207, issuer identification",
    rows: [
      leftOut("I-01", "M", "`iss` in every response.", "2", AS),
      leftOut("I-02", "M", "The flag.", "2.3, 3", AS),
      kept("I-03", "M", "Decode, compare as strings, reject.", "2.4", "protocol/AuthorizationResponse"),
      kept("I-04", "M / S", "With the flag, no `iss` is a rejection.", "2.4", "protocol/AuthorizationResponse"),
      kept(
        "I-05",
        "M",
        "One configuration per issuer.",
        "4",
        "discovery/AuthorizationServerMetadata, client/RegistrationChoice"
      ),
      leftOut(
        "I-06",
        "M",
        "Several issuers in one response agree.",
        "2.4, 4",
        "no ID token and no JARM is asked for; `iss` twice is refused"
      )
    ]
  },
  {
    title: "J: RFC 9068, JWT access tokens",
    rows: [
      leftOut("J-01", "M", "Signed, `at+jwt`.", "2.1", AS),
      leftOut("J-02", "M", "Claims.", "2.2", AS),
      leftOut("J-03", "S", "`auth_time`, `acr`.", "2.2.1–2.2.3", AS),
      leftOut("J-04", "N", "`aud` from `resource`.", "3, 5", AS),
      kept("J-05", "M", "No `typ` but `at+jwt`.", "4", "server/JwtAccessToken TokenProfile"),
      kept(
        "J-06",
        "M",
        "`iss`, `aud`, signature, `alg`, `exp`; else `invalid_token`.",
        "4",
        "server/JwtAuthorizer JwtAccessToken"
      ),
      kept("J-07", "S", "Scopes, `auth_time` and `acr` shape the decision.", "4", "server/Guard StepUpAuthentication"),
      kept("J-08", "MN", "Look into access tokens (clients).", "6", "client/AccessToken TokenEndpoint"),
      kept(
        "J-09",
        "N",
        "Strict by default, profiles by name, ID tokens never.",
        "derived",
        "server/TokenProfile JwtAccessToken"
      ),
      kept("J-10", "N", "`typ` and `aud` tell ID tokens.", "5", "server/JwtAccessToken TokenProfile")
    ]
  },
  {
    title: "W: RFC 8725, 7519 and 7517",
    rows: [
      kept(
        "W-01",
        "M",
        "Algorithms by configuration, one per key.",
        "8725 §3.1",
        "server/JwtAuthorizer, discovery/JwkSet"
      ),
      kept("W-02", "M", "All of it or nothing; no `none`.", "8725 §3.2, §3.3", "server/JwtAccessToken JwtAuthorizer"),
      kept("W-03", "M", "Sound keys, no passwords.", "8725 §3.4, §3.5", "server/JwtAuthorizer, discovery/JwkSet"),
      kept("W-04", "M", "The key is that of `iss`.", "8725 §3.8", "server/JwtAuthorizer Authorizer"),
      kept("W-05", "M", "`aud` required and checked.", "8725 §3.9", "server/JwtAccessToken Audience"),
      kept(
        "W-06",
        "S",
        "No `jku`, `x5u`, `jwk`, `x5c`; `kid` is only looked up.",
        "8725 §3.10",
        "server/JwtAccessToken, discovery/JwkSet"
      ),
      kept(
        "W-07",
        "RECOMMENDED",
        "Explicit `typ`.",
        "8725 §3.11",
        "server/JwtAccessToken, discovery/ClientAuthentication"
      ),
      kept("W-08", "N", "Shapes of `aud` and of times; leeway.", "7519 §2, §4", "server/JwtAccessToken"),
      kept("W-09", "S", "Keys that are not understood are passed over.", "7517 §4, §5", "discovery/JwkSet"),
      kept("W-10", "N", "Unknown `kid`: one fetch, bounded; old keys serve meanwhile.", "derived", "discovery/JwkSet")
    ]
  },
  {
    title: "N: RFC 7662 and 9701, introspection",
    rows: [
      kept("N-01", "M", "POST, a form, authenticated, over TLS.", "7662 §2.1", "server/IntrospectionAuthorizer"),
      kept("N-02", "M", "Of what is not active nothing else is read.", "7662 §2.2", "server/IntrospectionResponse"),
      kept(
        "N-03",
        "M",
        "Only `true` is active, and the rest is checked.",
        "7662 §2.2, §4",
        "server/IntrospectionResponse"
      ),
      kept(
        "N-04",
        "M",
        "Refused credentials are this server's own failure.",
        "7662 §2.3",
        "server/IntrospectionAuthorizer"
      ),
      kept("N-05", "Y", "Cached, never beyond `exp`.", "7662 §4", "server/CachedAuthorizer IntrospectionAuthorizer"),
      kept("N-06", "Y", "Caches are not shared.", "7662 §2.2", "server/IntrospectionAuthorizer"),
      kept(
        "N-07",
        "note (from memory)",
        "Signed answers are asked for by type.",
        "9701 §4, §5",
        "server/IntrospectionAuthorizer IntrospectionResponse"
      ),
      kept(
        "N-08",
        "MUST (from memory)",
        "And verified: keys, `typ`, `iss`, `aud`.",
        "9701 §5, §8",
        "server/IntrospectionResponse"
      ),
      kept(
        "N-09",
        "note (from memory)",
        "Algorithms of signed answers.",
        "9701 §5–§7",
        "server/IntrospectionAuthorizer"
      )
    ]
  },
  {
    title: "V: RFC 7009, revocation",
    rows: [
      kept("V-01", "M", "POST, a form, authenticated.", "2, 2.1", "client/Revocation"),
      leftOut("V-02", "M", "200 for what is unknown.", "2.2", AS),
      kept("V-03", "M", "503: it still exists, try again.", "2.2.1", "client/Revocation"),
      leftOut("V-04", "S", "Refresh token and access tokens together.", "2.1", AS),
      kept("V-05", "N", "Refresh token first, then forget.", "derived", "client/Revocation SignInSource")
    ]
  },
  {
    title: "D: RFC 9449, DPoP",
    rows: [
      leftOut("D-01", "M", "The proof's header.", "4.2", LATER_DPOP),
      leftOut("D-02", "M", "The proof's claims.", "4.2", LATER_DPOP),
      leftOut("D-03", "M", "A new proof each time.", "4, 11.1", LATER_DPOP),
      leftOut("D-04", "M", "The checks.", "4.3", LATER_DPOP),
      leftOut("D-05", "N", "`htu` from configuration.", "derived", LATER_DPOP),
      leftOut("D-06", "N", "Replay.", "11.1", LATER_DPOP),
      leftOut("D-07", "M", "`token_type` is `DPoP`.", "5", LATER_DPOP),
      leftOut("D-08", "M", "Refresh tokens are bound.", "5", AS),
      leftOut("D-09", "N", "Metadata.", "5.1, 5.2", AS),
      leftOut("D-10", "M", "Binding by thumbprint.", "6.1, 6.2", LATER_DPOP),
      leftOut("D-11", "M", "The scheme needs a proof: until then it is not served.", "7.1", LATER_DPOP),
      leftOut("D-12", "N", "The challenge.", "7.1", LATER_DPOP),
      kept("D-13", "M", "A bound token that comes as Bearer is refused.", "7.2", "server/Guard JwtAccessToken"),
      leftOut("D-14", "S", "Several challenges.", "7.2", LATER_DPOP),
      leftOut("D-15", "N", "Nonces of an authorization server.", "8", AS),
      leftOut("D-16", "N", "Nonces of a resource server.", "9", LATER_DPOP),
      leftOut("D-17", "M", "The newest nonce.", "8.2", LATER_DPOP),
      leftOut("D-18", "N", "Caching and CORS.", "7.1, 8", LATER_DPOP),
      leftOut("D-19", "Y", "`dpop_jkt`.", "10", LATER_DPOP),
      leftOut("D-20", "MN", "A proof without the nonce.", "11.3", LATER_DPOP),
      leftOut("D-21", "N", "What a proof does not cover.", "11.7", LATER_DPOP)
    ]
  },
  {
    title: "T: RFC 8705, mutual TLS",
    rows: [
      leftOut("T-01", "M", "Client authentication by certificate.", "2", LATER_MTLS),
      kept(
        "T-02",
        "M",
        "A token bound to another certificate is a 401: so is every bound one, until certificates are read.",
        "3",
        "server/Guard JwtAccessToken"
      ),
      leftOut("T-03", "N", "The chain need not be valid.", "6.2", LATER_MTLS),
      leftOut("T-04", "M", "Endpoint aliases.", "5", LATER_MTLS),
      leftOut("T-05", "N", "Certificates in headers.", "6.5", LATER_MTLS),
      leftOut("T-06", "N", "Metadata flags.", "3.3, 3.4", AS)
    ]
  },
  {
    title: "S: RFC 9470, step-up authentication",
    rows: [
      kept("S-01", "N", "401 with `acr_values` and `max_age`.", "3", "server/StepUpAuthentication Challenge"),
      kept("S-02", "S", "They go into the authorization request.", "4", "client/Refusal SignInSource"),
      leftOut("S-03", "S", "`acr` is essential.", "5", AS),
      kept(
        "S-04",
        "N",
        "`acr` and `auth_time` count; a refresh does not help.",
        "6",
        "server/StepUpAuthentication, client/RenewalDecision"
      ),
      kept("S-05", "N", "Attempts are bounded.", "9", "client/RenewalDecision"),
      leftOut("S-06", "Y", "`acr_values_supported`.", "7", AS)
    ]
  },
  {
    title: "Q: RFC 9126, pushed authorization requests",
    rows: [
      kept(
        "Q-01",
        "M",
        "All parameters in an authenticated form, no `request_uri` inside.",
        "2.1",
        "client/PushedRequest, protocol/AuthorizationRequest"
      ),
      leftOut("Q-02", "M", "201 with `request_uri`.", "2.2, 2.3", AS),
      kept(
        "Q-03",
        "N",
        "Then `client_id` and `request_uri`, once.",
        "4, 7.3",
        "client/PushedRequest, protocol/AuthorizationRequest"
      ),
      kept("Q-04", "M", "Where it is required, nothing else is sent.", "5, 6", "client/ServerDiscovery"),
      kept(
        "Q-05",
        "N",
        "Assertions name the issuer there, too.",
        "2",
        "client/PushedRequest, discovery/ClientAuthentication"
      )
    ]
  },
  {
    title: "X: RFC 8693, 7521 and 7523",
    rows: [
      kept("X-01", "M", "Token exchange: parameters.", "8693 §2.1", "client/TokenEndpoint"),
      leftOut("X-02", "M", "Token exchange: response.", "8693 §2.2.1", AS),
      leftOut("X-03", "N", "Token exchange: errors.", "8693 §2.2.2", AS),
      leftOut("X-04", "N", "`act` names who acts.", "8693 §4.1", `${APPLICATION}, which has the claims`),
      kept(
        "X-05",
        "M",
        "A JWT as grant, and as authentication.",
        "7521 §4; 7523 §2",
        "client/TokenEndpoint, discovery/ClientAuthentication"
      ),
      leftOut("X-06", "M", "Claims of an assertion.", "7523 §3", AS),
      leftOut("X-07", "M", "Errors.", "7523 §3.1, §3.2", AS),
      kept(
        "X-08",
        "MUST (rfc7523bis draft)",
        "`aud` is the issuer alone.",
        "7523bis",
        "discovery/ClientAuthentication"
      ),
      leftOut("X-09", "M", "RS256 is the baseline.", "7523 §5", AS)
    ]
  },
  {
    title: "A: RFC 8252, native apps",
    rows: [
      kept("A-01", "M", "The system's browser; PKCE.", "6, 8.1, 8.12", "client/SystemBrowser AuthorizationCode"),
      kept("A-02", "N", "A loopback redirect on a free port.", "7.3", "client/LoopbackListener, protocol/Loopback"),
      kept("A-03", "NOT RECOMMENDED", "`localhost`: the literal is the default.", "8.3", "client/LoopbackListener"),
      kept(
        "A-04",
        "S",
        "Loopback only, just in time, closed after.",
        "7.3, 8.3",
        "client/LoopbackListener AuthorizeUser"
      ),
      leftOut("A-05", "N", "Private-use schemes.", "7.1, 7.2", "MCP allows loopback and https only"),
      kept("A-06", "M", "No secret is taken for an identity: public first.", "8.4, 8.5", "client/DynamicRegistration"),
      kept(
        "A-07",
        "M",
        "The response arrived at the redirect URI that was sent.",
        "8.10",
        "client/LoopbackListener AuthorizeUser"
      )
    ]
  },
  {
    title: "Z: RFC 9700, best current practice",
    rows: [
      leftOut("Z-01", "M", "Exact redirect URIs.", "2.1, 4.1.3", AS),
      kept(
        "Z-02",
        "M",
        "CSRF: PKCE and one-time `state`.",
        "2.1, 4.7",
        "protocol/AuthorizationResponse, client/PendingSignIn"
      ),
      kept("Z-03", "M", "Mix-up: `iss`.", "2.1, 4.4", "client/AuthorizationCode"),
      leftOut("Z-04", "M", "PKCE cannot be stripped.", "2.1.1, 4.8.2", AS),
      kept(
        "Z-05",
        "SN",
        "The implicit and the password grant.",
        "2.1.2, 2.4",
        "client/TokenEndpoint, protocol/AuthorizationRequest"
      ),
      leftOut("Z-06", "S", "Sender-constrained tokens.", "2.2.1", LATER_DPOP),
      leftOut("Z-07", "M", "Rotation and replay.", "2.2.2, 4.14", AS),
      kept("Z-08", "S", "Tokens that are not for it are refused.", "2.3, 4.10.2", "server/Audience Guard"),
      kept("Z-09", "RECOMMENDED", "Asymmetric authentication; metadata.", "2.5, 2.6", "discovery/ClientAuthentication"),
      kept(
        "Z-10",
        "M",
        "Tokens are not stored, logged or forwarded in clear.",
        "4.9",
        "server/CachedAuthorizer Claims Guard"
      ),
      leftOut("Z-11", "MN", "307 with credentials.", "4.12", AS),
      leftOut(
        "Z-12",
        "M",
        "Headers of a proxy that come from outside.",
        "4.13",
        "no such header is read; the rest is for the proxy"
      ),
      leftOut(
        "Z-13",
        "S",
        "Clients are not taken for persons.",
        "4.15",
        "the issuer's subjects; claims have the client beside the subject"
      ),
      leftOut("Z-14", "M", "Clickjacking.", "4.16", AS)
    ]
  }
]
