/** Options that break a rule: where the failure points, the rule it names, and the value it shows. */
export interface ConfigVector {
  readonly row: string
  readonly name: string
  readonly options: unknown
  readonly path: ReadonlyArray<string | number>
  readonly rule: string
  /** As it stands in the message; `undefined` where there is no value. */
  readonly value?: string
}

export const good = { resource: "https://mcp.example.com/mcp", authorizationServers: "https://as.example.com" }

const resource = (row: string, value: unknown, rule: string): ConfigVector => ({
  row,
  name: `resource ${JSON.stringify(value)}`,
  options: { ...good, resource: value },
  path: ["resource"],
  rule,
  value: JSON.stringify(value)
})

const issuer = (row: string, value: unknown, rule: string): ConfigVector => ({
  row,
  name: `issuer ${JSON.stringify(value)}`,
  options: { ...good, authorizationServers: ["https://as.example.com", value] },
  path: ["authorizationServers", 1],
  rule,
  value: JSON.stringify(value)
})

const url = (row: string, option: string, value: unknown, rule: string): ConfigVector => ({
  row,
  name: `${option} ${JSON.stringify(value)}`,
  options: { ...good, [option]: value },
  path: [option],
  rule,
  value: JSON.stringify(value)
})

const scope = (option: string, value: unknown, rule: string): ConfigVector => ({
  row: "A21",
  name: `${option} with ${JSON.stringify(value)}`,
  options: { ...good, [option]: ["mcp:tools", value] },
  path: [option, 1],
  rule,
  value: JSON.stringify(value)
})

const unknown = (option: string, row = "A33"): ConfigVector => ({
  row,
  name: `the option ${option}`,
  options: { ...good, [option]: "x" },
  path: [option],
  rule: "is unexpected"
})

const renamed = (option: string, rule: string): ConfigVector => ({
  row: "A34",
  name: `the option ${option} says what to use instead`,
  options: { ...good, [option]: "x" },
  path: [option],
  rule
})

const managed = (field: string): ConfigVector => ({
  row: "A31",
  name: `metadata that sets ${field}`,
  options: { ...good, metadata: { [field]: "x" } },
  path: ["metadata", field],
  rule: "is set by an option of its own and may not be set here"
})

const ABSOLUTE = "must be an absolute http or https URL"
const SECURE = "must use https, or http on a loopback host"
const FRAGMENT = "must not have a fragment"
const TOKEN = "must be one scope-token (RFC 6749 section 3.3)"

export const refused: ReadonlyArray<ConfigVector> = [
  {
    row: "A3",
    name: "no resource",
    options: { authorizationServers: "https://as.example.com" },
    path: ["resource"],
    rule: "is missing"
  },
  resource("A3", "", ABSOLUTE),
  resource("A3", 5, "Expected string, actual 5"),
  resource("A3", null, "Expected string, actual null"),
  resource("A4", "/mcp", ABSOLUTE),
  resource("A4", "mcp.example.com", ABSOLUTE),
  resource("A4", "ftp://mcp.example.com/", ABSOLUTE),
  resource("A4", "https:///mcp", "must have a host"),
  resource("A4", "https://user:secret@mcp.example.com/", "must not contain user information"),
  resource("A4", "https://mcp.example.com/a b", "must contain only characters that are legal in a URI"),
  resource("A4, RS-07", "http://mcp.example.com/mcp", SECURE),
  resource("A5", "https://mcp.example.com/mcp#top", FRAGMENT),
  resource("A5", "https://mcp.example.com/mcp#", FRAGMENT),

  {
    row: "A6",
    name: "no authorizationServers",
    options: { resource: good.resource },
    path: ["authorizationServers"],
    rule: "is missing"
  },
  {
    row: "A6, RS-02",
    name: "an empty list of authorizationServers",
    options: { ...good, authorizationServers: [] },
    path: ["authorizationServers"],
    rule: "must list at least one issuer (RFC 9728 section 2)"
  },
  issuer("A8", "as.example.com", ABSOLUTE),
  issuer("A8", "urn:as", ABSOLUTE),
  issuer("A9", "https://as.example.com#x", FRAGMENT),
  issuer("A10, AM-01", "https://as.example.com?x=1", "must not have a query"),
  issuer("A11", "http://as.example.com", SECURE),
  issuer("A11", "http://localhost.example.com", SECURE),
  issuer("A11", "http://128.0.0.1", SECURE),
  issuer("A11", "http://127.0.0.1.example.com", SECURE),
  issuer("A11", "http://notlocalhost", SECURE),
  issuer("A8, I-05", "https://as.example.com", "is listed twice"),
  {
    ...issuer("A8", "http://as.example.com", SECURE),
    name: "the only issuer, not in a list",
    options: { ...good, authorizationServers: "http://as.example.com" },
    path: ["authorizationServers", 0]
  },

  {
    row: "A15",
    name: "the option authorizer says what to use instead",
    options: { ...good, authorizer: () => undefined },
    path: ["authorizer"],
    rule: "is not an option: provide an Authorizer layer"
  },

  ...["requiredScopes", "challengeScopes", "scopesSupported"].flatMap((option) => [
    scope(option, 5, "Expected string, actual 5"),
    scope(option, null, "Expected string, actual null"),
    scope(option, "", TOKEN),
    scope(option, "a b", TOKEN),
    scope(option, 'a"b', TOKEN),
    scope(option, "a\\b", TOKEN),
    scope(option, "a\nb", TOKEN),
    scope(option, "é", TOKEN),
    {
      row: "RS-09",
      name: `${option} with offline_access`,
      options: { ...good, [option]: ["mcp:tools", "offline_access"] },
      path: [option],
      rule: "must not be listed by a resource",
      value: '"offline_access"'
    }
  ]),
  {
    row: "A21",
    name: "requiredScopes that are no list",
    options: { ...good, requiredScopes: "mcp:tools" },
    path: ["requiredScopes"],
    rule: "Expected ReadonlyArray",
    value: '"mcp:tools"'
  },
  {
    row: "A21",
    name: "impliedScopes with what is no scope",
    options: { ...good, impliedScopes: { admin: ["a b"] } },
    path: ["impliedScopes", "admin", 0],
    rule: TOKEN,
    value: '"a b"'
  },

  {
    row: "A22, RS-31",
    name: "bearerMethodsSupported query",
    options: { ...good, bearerMethodsSupported: ["query"] },
    path: ["bearerMethodsSupported", 0],
    rule: 'Expected "header"',
    value: '"query"'
  },
  {
    row: "A22",
    name: "bearerMethodsSupported body",
    options: { ...good, bearerMethodsSupported: ["body"] },
    path: ["bearerMethodsSupported", 0],
    rule: 'Expected "header"',
    value: '"body"'
  },

  ...["jwksUri", "resourceDocumentation", "resourcePolicyUri", "resourceTosUri"].flatMap((option) => [
    url("A23", option, "/relative", ABSOLUTE),
    url("A23", option, "https://mcp.example.com/#x", FRAGMENT),
    url("A23", option, 5, "Expected string, actual 5")
  ]),
  url("A23", "jwksUri", "http://mcp.example.com/jwks", SECURE),
  url("A23", "jwksUri", "http://localhost.example.com/jwks", SECURE),
  url("A23", "jwksUri", "https:/mcp.example.com/jwks", ABSOLUTE),
  url("A23", "jwksUri", "https:mcp.example.com/jwks", ABSOLUTE),
  url("A23", "jwksUri", "file:///jwks", ABSOLUTE),
  url("A23", "jwksUri", "", ABSOLUTE),
  url("A25", "resourceMetadataUrl", "/relative", ABSOLUTE),
  url("A25", "resourceMetadataUrl", "https://mcp.example.com/doc#x", FRAGMENT),
  url(
    "A25",
    "resourceMetadataUrl",
    'https://mcp.example.com/"',
    "must contain only characters that are legal in a URI"
  ),

  ...[
    "resource",
    "authorization_servers",
    "bearer_methods_supported",
    "scopes_supported",
    "resource_name",
    "jwks_uri",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "resource_signing_alg_values_supported",
    "tls_client_certificate_bound_access_tokens",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "signed_metadata"
  ].map(managed),
  {
    row: "A32",
    name: "metadata that is a list",
    options: { ...good, metadata: [] },
    path: ["metadata"],
    rule: "Expected {",
    value: "[]"
  },
  {
    row: "A32",
    name: "metadata that is a string",
    options: { ...good, metadata: "x" },
    path: ["metadata"],
    rule: "Expected {",
    value: '"x"'
  },

  ...["foo", "Resource", "resource ", "token_validator", "required_scopes", "constructor"].map((option) =>
    unknown(option)
  ),
  renamed("issuer", "is not an option: issuers are listed in authorizationServers"),
  renamed("audience", "is not an option: the audience is resource, others go to audiences"),
  renamed("scopes", "is not an option: use requiredScopes (enforced) or scopesSupported (advertised)"),

  {
    row: "A12",
    name: "allowInsecureAuthorizationServers that is no boolean",
    options: { ...good, allowInsecureAuthorizationServers: "true" },
    path: ["allowInsecureAuthorizationServers"],
    rule: "Expected boolean",
    value: '"true"'
  },
  {
    row: "C13",
    name: "an audiencePolicy nobody knows",
    options: { ...good, audiencePolicy: "skip" },
    path: ["audiencePolicy"],
    rule: 'Expected "exact"',
    value: '"skip"'
  },
  {
    row: "C13",
    name: "an empty audience",
    options: { ...good, audiences: [""] },
    path: ["audiences", 0],
    rule: "Expected a non empty string",
    value: '""'
  },

  ...[null, undefined, 5, "x"].map(
    (options): ConfigVector => ({
      row: "A35",
      name: `options ${JSON.stringify(options)}`,
      options,
      path: [],
      rule: "Expected"
    })
  )
]
