const PRM = "/.well-known/oauth-protected-resource"
const AS = "/.well-known/oauth-authorization-server"
const OIDC = "/.well-known/openid-configuration"

/** RFC 9728 §3.1: where the metadata of a resource is, and the paths at which its server answers. */
export const protectedResources: ReadonlyArray<{
  readonly row: string
  readonly resource: string
  readonly url: string
  readonly paths: ReadonlyArray<string>
}> = [
  {
    row: "RFC 9728 §3.1",
    resource: "https://resource.example.com",
    url: `https://resource.example.com${PRM}`,
    paths: [PRM, `${PRM}/`]
  },
  {
    row: "RFC 9728 §3.1",
    resource: "https://resource.example.com/resource1",
    url: `https://resource.example.com${PRM}/resource1`,
    paths: [`${PRM}/resource1`, `${PRM}/resource1/`, PRM]
  },
  {
    row: "A29, a path of /",
    resource: "https://h.example/",
    url: `https://h.example${PRM}`,
    paths: [PRM, `${PRM}/`]
  },
  {
    row: "A29, a final slash stays, and the server answers both forms",
    resource: "https://h.example/a/mcp/",
    url: `https://h.example${PRM}/a/mcp/`,
    paths: [`${PRM}/a/mcp`, `${PRM}/a/mcp/`, PRM]
  },
  {
    row: "A29, two final slashes",
    resource: "https://h.example/a//",
    url: `https://h.example${PRM}/a//`,
    paths: [`${PRM}/a/`, `${PRM}/a//`, PRM]
  },
  {
    row: "A28, port and IPv6",
    resource: "https://[2001:db8::1]:8443/a",
    url: `https://[2001:db8::1]:8443${PRM}/a`,
    paths: [`${PRM}/a`, `${PRM}/a/`, PRM]
  },
  {
    row: "A28, PR-08, default port and case as written",
    resource: "HTTPS://H.Example:443/Mcp",
    url: `HTTPS://H.Example:443${PRM}/Mcp`,
    paths: [`${PRM}/Mcp`, `${PRM}/Mcp/`, PRM]
  },
  {
    row: "A28, user information and fragment go",
    resource: "https://user:secret@h.example/a#b",
    url: `https://h.example${PRM}/a`,
    paths: [`${PRM}/a`, `${PRM}/a/`, PRM]
  },
  {
    row: "PR-01, PR-02, a query stays a query",
    resource: "https://h.example/a?tenant=1",
    url: `https://h.example${PRM}/a?tenant=1`,
    paths: [`${PRM}/a`, `${PRM}/a/`, PRM]
  },
  {
    row: "PR-01, a query without a path",
    resource: "https://h.example?tenant=1",
    url: `https://h.example${PRM}?tenant=1`,
    paths: [PRM, `${PRM}/`]
  },
  {
    row: "PR-08, escapes as written",
    resource: "https://h.example/a%2Fb/%c3%a9",
    url: `https://h.example${PRM}/a%2Fb/%c3%a9`,
    paths: [`${PRM}/a%2Fb/%c3%a9`, `${PRM}/a%2Fb/%c3%a9/`, PRM]
  }
]

/** What a client asks when it was told no URL (CL-03), and the `resource` that each answer may have (PR-06, RS-06). */
export const candidates: ReadonlyArray<{
  readonly row: string
  readonly endpoint: string
  readonly candidates: ReadonlyArray<{ readonly url: string; readonly resources: ReadonlyArray<string> }>
}> = [
  {
    row: "the probe table of the MCP specification",
    endpoint: "https://h.example/a/mcp",
    candidates: [
      { url: `https://h.example${PRM}/a/mcp`, resources: ["https://h.example/a/mcp"] },
      { url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }
    ]
  },
  {
    row: "PR-02, an origin",
    endpoint: "https://h.example",
    candidates: [{ url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }]
  },
  {
    row: "PR-02, an origin with a slash",
    endpoint: "https://h.example/",
    candidates: [{ url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }]
  },
  {
    row: "PR-02, a final slash: without it first",
    endpoint: "https://h.example/a/",
    candidates: [
      { url: `https://h.example${PRM}/a`, resources: ["https://h.example/a/", "https://h.example/a"] },
      { url: `https://h.example${PRM}/a/`, resources: ["https://h.example/a/"] },
      { url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }
    ]
  },
  {
    row: "PR-02, a query",
    endpoint: "https://h.example/mcp?tenant=1",
    candidates: [
      { url: `https://h.example${PRM}/mcp?tenant=1`, resources: ["https://h.example/mcp?tenant=1"] },
      { url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }
    ]
  },
  {
    row: "PR-02, a query without a path",
    endpoint: "https://h.example/?tenant=1",
    candidates: [
      { url: `https://h.example${PRM}?tenant=1`, resources: ["https://h.example/?tenant=1"] },
      { url: `https://h.example${PRM}`, resources: ["https://h.example", "https://h.example/"] }
    ]
  },
  {
    row: "PR-08, as written",
    endpoint: "https://H.Example:443/Mcp",
    candidates: [
      { url: `https://H.Example:443${PRM}/Mcp`, resources: ["https://H.Example:443/Mcp"] },
      { url: `https://H.Example:443${PRM}`, resources: ["https://H.Example:443", "https://H.Example:443/"] }
    ]
  },
  {
    row: "IPv6",
    endpoint: "http://[::1]:3000/mcp",
    candidates: [
      { url: `http://[::1]:3000${PRM}/mcp`, resources: ["http://[::1]:3000/mcp"] },
      { url: `http://[::1]:3000${PRM}`, resources: ["http://[::1]:3000", "http://[::1]:3000/"] }
    ]
  }
]

/** RFC 8414 §3.1, §5 and OpenID Connect Discovery §4.1, in the order of the MCP specification (CL-12). */
export const authorizationServers: ReadonlyArray<{
  readonly row: string
  readonly issuer: string
  readonly urls: ReadonlyArray<string>
}> = [
  {
    row: "CL-12, no path",
    issuer: "https://as.example",
    urls: [`https://as.example${AS}`, `https://as.example${OIDC}`]
  },
  {
    row: "CL-12, a path",
    issuer: "https://as.example/t1",
    urls: [`https://as.example${AS}/t1`, `https://as.example${OIDC}/t1`, `https://as.example/t1${OIDC}`]
  },
  {
    row: "RFC 8414 §3.1, AM-07",
    issuer: "https://example.com/issuer1",
    urls: [
      `https://example.com${AS}/issuer1`,
      `https://example.com${OIDC}/issuer1`,
      `https://example.com/issuer1${OIDC}`
    ]
  },
  {
    row: "AM-07, AM-10, a final slash goes",
    issuer: "https://as.example/t1/",
    urls: [`https://as.example${AS}/t1`, `https://as.example${OIDC}/t1`, `https://as.example/t1${OIDC}`]
  },
  {
    row: "AM-07, an origin with a slash",
    issuer: "https://as.example/",
    urls: [`https://as.example${AS}`, `https://as.example${OIDC}`]
  },
  {
    row: "several segments, and a port",
    issuer: "https://as.example:8443/realms/a%20b",
    urls: [
      `https://as.example:8443${AS}/realms/a%20b`,
      `https://as.example:8443${OIDC}/realms/a%20b`,
      `https://as.example:8443/realms/a%20b${OIDC}`
    ]
  },
  {
    row: "IPv6",
    issuer: "http://[::1]:9000",
    urls: [`http://[::1]:9000${AS}`, `http://[::1]:9000${OIDC}`]
  }
]

/** What is no identifier leads nowhere. */
export const nowhere: ReadonlyArray<string> = [
  "",
  "mcp",
  "/mcp",
  "urn:example:mcp",
  "file:///mcp",
  "https:/h.example/mcp",
  "https:///evil.example/mcp",
  "https:\\\\evil.example\\mcp",
  "https://h.example\\@evil.example/mcp",
  "https://h.example/mcp\n",
  " https://h.example/mcp",
  "https://h.example/%"
]
