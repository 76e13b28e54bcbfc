/**
 * Every feature of the two predecessors, by the ids of the feature catalogue: what it does in a few words, and the module
 * that does it here.
 */
import { feature, noFeature, type Section } from "./Row.js"

const TYPES = "the compiler refuses it"
const LATER_KIT = "later issue: the test kit"

export const sections: ReadonlyArray<Section> = [
  {
    title: "A. Server: configuration",
    rows: [
      feature("A1", "One value is the source of the document and of every challenge.", "server/AuthConfig"),
      feature("A2", "Authorization is optional; a warning where it is absent beyond loopback.", "server/Unguarded"),
      feature("A3", "`resource` is required.", "server/AuthConfig"),
      feature("A4", "It is an absolute http(s) URL with a host.", "server/AuthConfig, protocol/ResourceIdentifier"),
      feature("A5", "It has no fragment.", "server/AuthConfig, protocol/ResourceIdentifier"),
      feature("A6", "There is at least one authorization server.", "server/AuthConfig"),
      feature("A7", "One, or a list.", "server/AuthConfig"),
      feature("A8", "Each is an absolute http(s) URL.", "server/AuthConfig, protocol/ResourceIdentifier"),
      feature("A9", "Without fragment.", "server/AuthConfig, protocol/ResourceIdentifier"),
      feature("A10", "Without query.", "server/AuthConfig, protocol/ResourceIdentifier"),
      feature("A11", "http on loopback only, all of it.", "protocol/Loopback, server/AuthConfig"),
      feature("A12", "An option lifts that, with a warning.", "server/AuthConfig"),
      feature("A13", "Authorization servers by request.", "server/Tenancy"),
      feature("A14", "Checked as if they were configured.", "server/Tenancy"),
      feature("A15", "An authorizer is required; it is a service.", "server/Authorizer AuthConfig"),
      feature("A16", "It decides; audience, expiry and scopes are checked all the same.", "server/Authorizer Guard"),
      feature("A17", "`scopes_supported`.", "server/AuthConfig"),
      feature("A18", "Required scopes, fixed or by request.", "server/AuthConfig Tenancy"),
      feature("A19", "They are enforced.", "server/Guard"),
      noFeature("A20", "A resolver of the wrong shape.", TYPES),
      feature("A21", "A scope is a scope-token.", "server/AuthConfig, protocol/Scopes"),
      feature("A22", "`bearer_methods_supported` is `header`.", "server/AuthConfig"),
      feature("A23", "Name, keys and documentation, the URLs checked.", "server/AuthConfig"),
      feature("A24", "A metadata URL of one's own, fixed or by request.", "server/AuthConfig Tenancy"),
      feature("A25", "Checked.", "server/AuthConfig Tenancy"),
      feature("A26", "With a query, if need be.", "server/AuthConfig"),
      feature("A27", "By default path-inserted.", "protocol/WellKnown"),
      feature("A28", "Without user information and fragment; IPv6, ports.", "protocol/WellKnown ResourceIdentifier"),
      feature("A29", "Paths and final slashes, both forms answered.", "protocol/WellKnown"),
      feature("A30", "Further members of the document.", "server/AuthConfig"),
      feature("A31", "They replace none of ours.", "server/AuthConfig"),
      feature("A32", "They are a record.", "server/AuthConfig"),
      feature("A33", "Unknown options are refused by name.", "server/AuthConfig"),
      feature("A34", "Renamed ones say what to use instead.", "server/AuthConfig"),
      feature("A35", "Options are a plain object.", "server/AuthConfig"),
      feature("A36", "A typed error, or a throw.", "server/AuthConfig"),
      noFeature(
        "A37",
        "`coerce!`: nothing, a value, or options.",
        "no guard is no authorization; a layer is given options or a value"
      ),
      feature("A38", "The authorizer is a layer with its options.", "server/Authorizer JwtAuthorizer"),
      feature("A39", "Configuration that only exists at run time.", "server/AuthConfig")
    ]
  },
  {
    title: "B. Server: the token and the request",
    rows: [
      feature("B1", "From the header and nowhere else.", "protocol/BearerCredentials, server/Guard"),
      feature("B2", "The scheme in any case, the token trimmed.", "protocol/BearerCredentials"),
      feature("B3", "No token: `Missing`, and nobody is asked.", "protocol/BearerCredentials, server/Guard"),
      feature("B4", "White space is no token.", "protocol/BearerCredentials"),
      feature("B5", "The authorizer gets token, method, headers and the configured URL.", "server/Authorizer Guard"),
      feature("B6", "Resolvers get the request.", "server/Tenancy"),
      feature("B7", "`Origin` is checked before the token.", "server/OriginCheck"),
      feature("B8", "Two headers, or a malformed one: 400.", "server/Guard, protocol/BearerCredentials")
    ]
  },
  {
    title: "C. Server: the decision",
    rows: [
      feature("C1", "Accepted, with claims.", "server/Authorizer"),
      feature("C2", "`invalid_token`.", "server/AuthError Authorizer"),
      feature("C3", "`insufficient_scope` with the scopes.", "server/AuthError Challenge"),
      feature("C4", "Claims are decoded.", "server/Claims"),
      feature("C5", "What is no claim set is a server error.", "server/Claims"),
      feature("C6", "A kind and a message that reaches the client.", "server/AuthError Challenge"),
      feature("C7", "Reasons as tags.", "server/AuthError Challenge"),
      feature("C8", "A detail is for logs and not for clients.", "server/AuthError Challenge"),
      feature("C9", "Any other reason is an invalid token.", "server/AuthError Challenge"),
      feature("C10", "What no authorizer may answer is a 500.", "server/Authorizer"),
      feature("C11", "One that raises is a 500, and says nothing.", "server/Authorizer"),
      feature("C12", "One that dies too; interruption stays what it is.", "server/Authorizer"),
      feature("C13", "An audience that is another's is refused.", "server/Guard Audience"),
      feature("C14", "The audience check is built in.", "server/Guard Audience"),
      feature("C15", "So is the scope check.", "server/Guard"),
      feature(
        "C16",
        "An outage is a 503 with `Retry-After`, never a 401.",
        "server/Authorizer Challenge, discovery/JwkSet"
      )
    ]
  },
  {
    title: "D. Server: claims",
    rows: [
      feature("D1", "Every handler sees the caller.", "server/Claims HttpAppAuth, mcp/McpServerAuth"),
      feature("D2", "The caller of this request, not of a session.", "server/HttpAppAuth"),
      feature("D3", "The subject.", "server/JwtAccessToken IntrospectionResponse"),
      feature("D4", "The client, from `client_id` or `azp`.", "server/TokenProfile JwtAccessToken"),
      feature("D5", "The expiry, a fraction too.", "server/JwtAccessToken"),
      feature(
        "D6",
        "Scopes from `scope`, `scp`, `scopes`, string or list.",
        "server/TokenProfile JwtAccessToken, protocol/Scopes"
      ),
      feature("D7", "The audience, string or list.", "server/JwtAccessToken IntrospectionResponse"),
      noFeature("D8", "String or atom keys.", "a matter of Elixir"),
      feature("D9", "The raw payload, redacted.", "server/Claims"),
      feature("D10", "`hasScopes`.", "server/Claims"),
      feature("D11", "A covering audience as a policy by name.", "server/Audience, protocol/ResourceIdentifier"),
      feature("D12", "Subject, token id, claims and scopes in one value; nobody is no value.", "server/Claims"),
      feature("D13", "No glob in scopes.", "protocol/Scopes"),
      noFeature("D14", "Further context from the connection.", "handlers have the request itself"),
      feature("D15", "One audience only, as a policy by name.", "server/Audience"),
      feature("D16", "Equality of resources, as a policy by name.", "protocol/ResourceIdentifier, server/Audience")
    ]
  },
  {
    title: "E. Server: challenges",
    rows: [
      feature("E1", "One pure function.", "server/Challenge"),
      feature("E2", "Missing: 401 without `error`.", "server/Challenge"),
      feature("E3", "Invalid: 401, parameters in order.", "server/Challenge"),
      feature("E4", "Insufficient: 403.", "server/Challenge"),
      feature("E5", "Malformed: 400.", "server/Challenge"),
      feature("E6", "Server error: 500 or 503, no header.", "server/Challenge"),
      feature("E7", "A JSON body.", "server/Challenge Guard"),
      feature("E8", "The body's code of a missing token.", "server/Challenge"),
      feature("E9", "The 403 names the operation's scopes first.", "server/Challenge"),
      feature("E10", "A resolver that fails costs its own parameter.", "server/Guard Tenancy Challenge"),
      feature("E11", "One that throws too.", "server/Guard Tenancy"),
      feature("E12", "A failing URL is never a 500.", "server/Guard Tenancy Challenge"),
      feature("E13", "Values are sanitised.", "protocol/WwwAuthenticate, server/Challenge"),
      feature("E14", "And refused in configuration.", "protocol/WwwAuthenticate, server/AuthConfig"),
      feature("E15", "What is absent is left out.", "server/Challenge"),
      feature("E16", "Scopes in the 401.", "server/Challenge"),
      feature("E17", "`resource_metadata` fixed, by request or derived.", "server/AuthConfig Tenancy"),
      feature("E18", "One module reads and writes the header.", "protocol/WwwAuthenticate"),
      feature("E19", "CORS exposes the header.", "server/Guard"),
      feature(
        "E20",
        "401 starts the flow; the form in `_meta` comes from the same declaration.",
        "server/Challenge OperationScopes, mcp/OperationGate, client/Refusal"
      )
    ]
  },
  {
    title: "F. Server: protected resource metadata",
    rows: [
      feature("F1", "Members where they are set.", "server/AuthConfig"),
      feature("F2", "Path-inserted and root.", "server/ResourceMetadata, protocol/WellKnown"),
      feature("F3", "GET, HEAD, OPTIONS; 405.", "server/ResourceMetadata"),
      feature("F4", "Any origin.", "server/ResourceMetadata"),
      feature("F5", "Cached for a little while, or not at all.", "server/ResourceMetadata"),
      feature("F6", "Other paths pass through.", "server/ResourceMetadata HttpAppAuth"),
      feature("F7", "A document elsewhere is the host's own.", "server/ResourceMetadata"),
      feature("F8", "Several resources; 404 for others.", "server/HttpAppAuth ResourceMetadata"),
      feature("F9", "One call mounts it.", "server/HttpAppAuth HttpLayerRouterAuth"),
      feature("F10", "A resolver that fails: 503.", "server/ResourceMetadata Tenancy")
    ]
  },
  {
    title: "G. Server: beyond the gate",
    rows: [
      feature("G1", "A tool is guarded where it is called.", "mcp/McpServerAuth, server/OperationScopes"),
      feature("G2", "Scopes at the tool, a 403, closed without a caller.", "mcp/McpServerAuth, server/OperationScopes"),
      feature("G3", "Policies of subject, resource and action.", "server/ScopeRequirement"),
      feature("G4", "Denied looks like absent.", "mcp/OperationGate Declaration"),
      feature("G5", "Listed, and not callable.", "mcp/OperationList"),
      noFeature("G6", "Grants.", "out of scope"),
      feature("G7", "Session limits; this document is the checklist.", "server/SessionStore")
    ]
  },
  {
    title: "H. Server: verifiers",
    rows: [
      feature("H1", "JWTs for a resource.", "server/JwtAuthorizer"),
      feature("H2", "Keys of the issuer.", "server/JwtAuthorizer, discovery/JwkSet"),
      feature("H3", "Algorithms from configuration only.", "server/JwtAuthorizer JwtAccessToken"),
      feature("H4", "The issuer.", "server/JwtAccessToken"),
      feature("H5", "Missing scopes are a 403.", "server/Guard"),
      feature("H6", "Leeway, `exp`, required claims.", "server/JwtAccessToken TokenProfile"),
      feature("H7", "Everything else is one and the same refusal.", "server/JwtAccessToken Challenge"),
      feature("H8", "API keys.", "server/Authorizer"),
      noFeature("H9", "Basic.", "out of scope"),
      feature("H10", "A chain, in which an outage is not invalid.", "server/Authorizer"),
      noFeature("H11", "Compound JWTs with a shared secret.", "out of scope"),
      feature(
        "H12",
        "JWKS and introspection; DPoP and mTLS come with later issues.",
        "server/JwtAuthorizer IntrospectionAuthorizer"
      )
    ]
  },
  {
    title: "I. Client: the seam",
    rows: [
      feature("I1", "A service with few verbs.", "client/TokenSource"),
      feature("I2", "Asked for every request, and may refresh.", "client/HttpClientAuth TokenSource"),
      feature("I3", "A refusal has the challenge and the URL.", "client/Refusal HttpClientAuth"),
      feature("I4", "Two renewals, configurable.", "client/HttpClientAuth"),
      feature("I5", "On 401, and on 403 with `insufficient_scope`.", "client/Refusal HttpClientAuth"),
      feature("I6", "One at a time, across fibers and clients.", "client/SignInSource HeldGrant"),
      feature("I7", "A static token.", "client/TokenSource"),
      feature("I8", "Your own.", "client/TokenSource")
    ]
  },
  {
    title: "J. Client: the flow",
    rows: [
      feature("J1", "The whole chain on the first 401.", "client/SignInSource AuthorizationCodeSource"),
      feature(
        "J2",
        "Challenge, configured override, well-known.",
        "client/ServerDiscovery, discovery/ProtectedResourceMetadata"
      ),
      feature("J3", "Which authorization server, by policy.", "client/ServerDiscovery"),
      feature("J4", "RFC 8414, then OpenID.", "discovery/AuthorizationServerMetadata, protocol/WellKnown"),
      feature("J5", "PKCE `S256`, refused where it is not advertised.", "protocol/Pkce, client/ServerDiscovery"),
      feature("J6", "`state` sent and checked.", "client/AuthorizationCode, protocol/AuthorizationResponse"),
      feature(
        "J7",
        "`resource` in every request, or none, by profile.",
        "client/AuthorizationCode TokenEndpoint ServerProfile"
      ),
      noFeature(
        "J8",
        "`resource` is the MCP URL, or overridden.",
        "the metadata's validated `resource` is sent, or what the server's profile says"
      ),
      feature("J9", "Scopes of the challenge, and those granted before.", "client/RenewalDecision, protocol/Scopes"),
      feature("J10", "The code is exchanged.", "client/AuthorizationCode TokenEndpoint"),
      feature(
        "J11",
        "Asking a person: loopback, device, paste.",
        "client/AuthorizeUser LoopbackListener DeviceAuthorization DeviceSource"
      ),
      noFeature("J12", "As a function or a pair.", "a matter of Elixir"),
      feature("J13", "Refusals are typed; interruption closes the listener.", "client/ClientError LoopbackListener"),
      feature(
        "J14",
        "Client ID, secret, redirect URI and scopes by configuration.",
        "client/ClientRegistration AuthorizationCodeSource"
      ),
      noFeature("J15", "Options that are missing.", TYPES),
      feature("J16", "Refresh.", "client/HeldGrant"),
      feature("J17", "Ahead of expiry.", "client/HeldGrant"),
      feature("J18", "Without a new refresh token the old one stays.", "client/HeldGrant"),
      feature("J19", "401: refresh first.", "client/RenewalDecision"),
      feature("J20", "403: never refresh.", "client/RenewalDecision"),
      feature("J21", "Step up, bounded.", "client/RenewalDecision SignInSource StepUpAttempts"),
      feature("J22", "Errors by step, tagged.", "client/ClientError"),
      feature("J23", "HTTP is a service.", "client/TokenSource"),
      feature("J24", "Tokens survive in a store.", "client/TokenStore StoredGrant")
    ]
  },
  {
    title: "K. Tests and guidance",
    rows: [
      noFeature("K1", "A stub identity provider.", LATER_KIT),
      noFeature("K2", "Laws of stores.", LATER_KIT),
      noFeature("K3", "A checklist to run.", "later issue: the command"),
      noFeature(
        "K4",
        "Facts about other clients, as tests.",
        "later issue: compatibility; the official SDKs are tested end to end"
      ),
      noFeature("K5", "The human seam may change.", "it is one service of one verb, `AuthorizeUser`")
    ]
  }
]
