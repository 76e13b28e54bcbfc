/** `WWW-Authenticate` field values and the challenges that they hold. */
export interface WwwAuthenticateVector {
  readonly title: string
  readonly header: string
  readonly challenges: ReadonlyArray<{
    readonly scheme: string
    readonly token68?: string
    readonly parameters: Readonly<Record<string, string>>
  }>
}

const METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource"

/** The examples that the specifications print, unfolded. */
export const published: ReadonlyArray<WwwAuthenticateVector> = [
  {
    title: "RFC 9110 §11.6.1: two challenges, one escaped title, one token value",
    header: 'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
    challenges: [
      { scheme: "Basic", parameters: { realm: "simple" } },
      { scheme: "Newauth", parameters: { realm: "apps", type: "1", title: 'Login to "apps"' } }
    ]
  },
  {
    title: "RFC 7235 §4.1: the same two the other way round",
    header: 'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
    challenges: [
      { scheme: "Newauth", parameters: { realm: "apps", type: "1", title: 'Login to "apps"' } },
      { scheme: "Basic", parameters: { realm: "simple" } }
    ]
  },
  {
    title: "RFC 7617 §2.1: Basic with a charset",
    header: 'Basic realm="foo", charset="UTF-8"',
    challenges: [{ scheme: "Basic", parameters: { realm: "foo", charset: "UTF-8" } }]
  },
  {
    title: "RFC 7616 §3.9.1: Digest, a quoted comma and base64 in quotes",
    header:
      'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
    challenges: [
      {
        scheme: "Digest",
        parameters: {
          realm: "http-auth@example.org",
          qop: "auth, auth-int",
          algorithm: "SHA-256",
          nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
          opaque: "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
        }
      }
    ]
  },
  {
    title: "RFC 4559 §4.2: Negotiate alone",
    header: "Negotiate",
    challenges: [{ scheme: "Negotiate", parameters: {} }]
  },
  {
    title: "RFC 4559 §5: Negotiate with a token68",
    header: "Negotiate a87421000492aa874209af8bc028",
    challenges: [{ scheme: "Negotiate", token68: "a87421000492aa874209af8bc028", parameters: {} }]
  },
  {
    title: "RFC 6750 §3: no credentials",
    header: 'Bearer realm="example"',
    challenges: [{ scheme: "Bearer", parameters: { realm: "example" } }]
  },
  {
    title: "RFC 6750 §3: an expired token",
    header: 'Bearer realm="example", error="invalid_token", error_description="The access token expired"',
    challenges: [
      {
        scheme: "Bearer",
        parameters: { realm: "example", error: "invalid_token", error_description: "The access token expired" }
      }
    ]
  },
  {
    title: "RFC 9449 §7.1: DPoP, no credentials",
    header: 'DPoP algs="ES256 PS256"',
    challenges: [{ scheme: "DPoP", parameters: { algs: "ES256 PS256" } }]
  },
  {
    title: "RFC 9449 §7.1: DPoP, wrong key binding",
    header: 'DPoP error="invalid_token", error_description="Invalid DPoP key binding", algs="ES256"',
    challenges: [
      {
        scheme: "DPoP",
        parameters: { error: "invalid_token", error_description: "Invalid DPoP key binding", algs: "ES256" }
      }
    ]
  },
  {
    title: "RFC 9449 §7.2, D-14: a bare Bearer beside DPoP",
    header: 'Bearer, DPoP algs="ES256 PS256"',
    challenges: [
      { scheme: "Bearer", parameters: {} },
      { scheme: "DPoP", parameters: { algs: "ES256 PS256" } }
    ]
  },
  {
    title: "RFC 9449 §7.2, D-14: an error for Bearer beside DPoP without one",
    header: 'Bearer error="invalid_token", error_description="Invalid token", DPoP algs="ES256 PS256"',
    challenges: [
      { scheme: "Bearer", parameters: { error: "invalid_token", error_description: "Invalid token" } },
      { scheme: "DPoP", parameters: { algs: "ES256 PS256" } }
    ]
  },
  {
    title: "RFC 9449 §9, D-16: a nonce is wanted",
    header: 'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"',
    challenges: [
      {
        scheme: "DPoP",
        parameters: {
          error: "use_dpop_nonce",
          error_description: "Resource server requires nonce in DPoP proof"
        }
      }
    ]
  },
  {
    title: "RFC 9728 §5.1, PR-11: where the metadata is",
    header: 'Bearer resource_metadata="https://resource.example.com/.well-known/oauth-protected-resource"',
    challenges: [
      {
        scheme: "Bearer",
        parameters: { resource_metadata: "https://resource.example.com/.well-known/oauth-protected-resource" }
      }
    ]
  },
  {
    title: "RFC 9470 §3, S-01: another authentication level",
    header:
      'Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="myACR"',
    challenges: [
      {
        scheme: "Bearer",
        parameters: {
          error: "insufficient_user_authentication",
          error_description: "A different authentication level is required",
          acr_values: "myACR"
        }
      }
    ]
  },
  {
    title: "RFC 9470 §3, S-01: a more recent authentication, max_age quoted",
    header:
      'Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="5"',
    challenges: [
      {
        scheme: "Bearer",
        parameters: {
          error: "insufficient_user_authentication",
          error_description: "More recent authentication is required",
          max_age: "5"
        }
      }
    ]
  },
  {
    title: "RFC 9470 §3, S-01: max_age as a token",
    header: 'Bearer error="insufficient_user_authentication", max_age=5',
    challenges: [{ scheme: "Bearer", parameters: { error: "insufficient_user_authentication", max_age: "5" } }]
  },
  {
    title: "MCP, protected resource metadata discovery: 401 with scope",
    header: `Bearer resource_metadata="${METADATA}", scope="files:read"`,
    challenges: [{ scheme: "Bearer", parameters: { resource_metadata: METADATA, scope: "files:read" } }]
  },
  {
    title: "MCP, runtime insufficient scope: 403",
    header: `Bearer error="insufficient_scope", scope="files:read files:write user:profile", resource_metadata="${METADATA}", error_description="Additional file write permission required"`,
    challenges: [
      {
        scheme: "Bearer",
        parameters: {
          error: "insufficient_scope",
          scope: "files:read files:write user:profile",
          resource_metadata: METADATA,
          error_description: "Additional file write permission required"
        }
      }
    ]
  }
]

/** What the grammar of RFC 9110 allows, and most parsers get wrong. */
export const legal: ReadonlyArray<WwwAuthenticateVector> = [
  {
    title: "H-05: a scheme alone",
    header: "Bearer",
    challenges: [{ scheme: "Bearer", parameters: {} }]
  },
  {
    title: "H-05: a scheme alone, then white space",
    header: "Bearer \t",
    challenges: [{ scheme: "Bearer", parameters: {} }]
  },
  {
    title: "H-06: three schemes alone",
    header: "Negotiate, NTLM,Bearer",
    challenges: [
      { scheme: "Negotiate", parameters: {} },
      { scheme: "NTLM", parameters: {} },
      { scheme: "Bearer", parameters: {} }
    ]
  },
  {
    title: "H-05: a token68 with one =",
    header: "Basic YWJjZA=",
    challenges: [{ scheme: "Basic", token68: "YWJjZA=", parameters: {} }]
  },
  {
    title: "H-05: a token68 with == before another challenge",
    header: 'Negotiate YQ==, Bearer realm="x"',
    challenges: [
      { scheme: "Negotiate", token68: "YQ==", parameters: {} },
      { scheme: "Bearer", parameters: { realm: "x" } }
    ]
  },
  {
    title: "H-05: every character of a token68",
    header: "X -._~+/azAZ09===",
    challenges: [{ scheme: "X", token68: "-._~+/azAZ09===", parameters: {} }]
  },
  {
    title: "H-05: several spaces before a token68, and some after it",
    header: "Negotiate   abc   ,Bearer",
    challenges: [
      { scheme: "Negotiate", token68: "abc", parameters: {} },
      { scheme: "Bearer", parameters: {} }
    ]
  },
  {
    title: "H-05: the token68 `realm=` is no parameter",
    header: "Bearer realm=",
    challenges: [{ scheme: "Bearer", token68: "realm=", parameters: {} }]
  },
  {
    title: "H-03: tokens for values",
    header: "Bearer realm=a, error=invalid_token,max_age=0",
    challenges: [{ scheme: "Bearer", parameters: { realm: "a", error: "invalid_token", max_age: "0" } }]
  },
  {
    title: "H-03: white space around =",
    header: 'Bearer realm = "a" ,\tscope\t=\t"b c" , max_age =5',
    challenges: [{ scheme: "Bearer", parameters: { realm: "a", scope: "b c", max_age: "5" } }]
  },
  {
    title: "H-01: names in any case; the scheme keeps its own",
    header: 'bEARER Realm="A", ERROR=Invalid',
    challenges: [{ scheme: "bEARER", parameters: { realm: "A", error: "Invalid" } }]
  },
  {
    title: "H-04: delimiters in quotes are data",
    header: 'Bearer realm="a, Basic realm=b; c = d", scope="x"',
    challenges: [{ scheme: "Bearer", parameters: { realm: "a, Basic realm=b; c = d", scope: "x" } }]
  },
  {
    title: "H-04: \\ quotes any character",
    header: 'Bearer realm="\\a\\\\\\"\\,"',
    challenges: [{ scheme: "Bearer", parameters: { realm: 'a\\",' } }]
  },
  {
    title: "H-04: an escaped quote before what looks like the next parameter",
    header: 'Bearer realm="a\\", error=\\"b", scope="c"',
    challenges: [{ scheme: "Bearer", parameters: { realm: 'a", error="b', scope: "c" } }]
  },
  {
    title: "H-04: an escaped backslash ends before the quote",
    header: 'Bearer realm="a\\\\", scope="c"',
    challenges: [{ scheme: "Bearer", parameters: { realm: "a\\", scope: "c" } }]
  },
  {
    title: "H-03: empty quoted strings",
    header: 'Bearer realm="", scope=""',
    challenges: [{ scheme: "Bearer", parameters: { realm: "", scope: "" } }]
  },
  {
    title: "H-07: empty list elements",
    header: ' , ,Bearer realm="a",, ,scope="b" ,, , Basic realm="c", ,',
    challenges: [
      { scheme: "Bearer", parameters: { realm: "a", scope: "b" } },
      { scheme: "Basic", parameters: { realm: "c" } }
    ]
  },
  {
    title: "H-12: several field lines joined with a comma",
    header: ['Bearer realm="a"', "Negotiate YQ==", 'DPoP algs="ES256", error="use_dpop_nonce"', "NTLM"].join(", "),
    challenges: [
      { scheme: "Bearer", parameters: { realm: "a" } },
      { scheme: "Negotiate", token68: "YQ==", parameters: {} },
      { scheme: "DPoP", parameters: { algs: "ES256", error: "use_dpop_nonce" } },
      { scheme: "NTLM", parameters: {} }
    ]
  },
  {
    title: "H-06: two challenges of one scheme",
    header: 'Bearer realm="a", Bearer realm="b"',
    challenges: [
      { scheme: "Bearer", parameters: { realm: "a" } },
      { scheme: "Bearer", parameters: { realm: "b" } }
    ]
  },
  {
    title: "every character of a token in a name",
    header: "B!#$%&'*+-.^_`|~09 a!#$%&'*+-.^_`|~09=\"x\"",
    challenges: [{ scheme: "B!#$%&'*+-.^_`|~09", parameters: { "a!#$%&'*+-.^_`|~09": "x" } }]
  },
  {
    title: "names of Object.prototype",
    header: 'Bearer __proto__="a", constructor="b", tostring="c", hasownproperty="d"',
    challenges: [
      {
        scheme: "Bearer",
        parameters: { ["__proto__"]: "a", constructor: "b", tostring: "c", hasownproperty: "d" }
      }
    ]
  },
  {
    title: "schemes named after Object.prototype",
    header: "__proto__, constructor a=b",
    challenges: [
      { scheme: "__proto__", parameters: {} },
      { scheme: "constructor", parameters: { a: "b" } }
    ]
  },
  { title: "nothing", header: "", challenges: [] },
  { title: "H-07: only commas and white space", header: " ,\t, ,,", challenges: [] }
]

/** H-02, H-14: a repeated parameter costs its own challenge and no other. */
export const repeated: ReadonlyArray<WwwAuthenticateVector> = [
  {
    title: "the only challenge",
    header: 'Bearer realm="a", realm="a"',
    challenges: []
  },
  {
    title: "in another case",
    header: 'Bearer scope="a", error="b", SCOPE="c"',
    challenges: []
  },
  {
    title: "the first of two",
    header: 'Bearer scope="a", scope="b", DPoP algs="ES256"',
    challenges: [{ scheme: "DPoP", parameters: { algs: "ES256" } }]
  },
  {
    title: "the second of three",
    header: 'Basic realm="a", Bearer x=1, y=2, x=3, z=4, DPoP algs="ES256"',
    challenges: [
      { scheme: "Basic", parameters: { realm: "a" } },
      { scheme: "DPoP", parameters: { algs: "ES256" } }
    ]
  },
  {
    title: "__proto__",
    header: "Bearer __proto__=a, __proto__=b, Basic",
    challenges: [{ scheme: "Basic", parameters: {} }]
  },
  {
    title: "an injected second resource_metadata",
    header: `Bearer error_description="x", resource_metadata="https://evil.example/", a="", resource_metadata="${METADATA}"`,
    challenges: []
  }
]

/** What the grammar does not allow, and servers send. */
export const lenient: ReadonlyArray<WwwAuthenticateVector> = [
  {
    title: "MCP TypeScript SDK: unescaped quotes in error_description",
    header: `Bearer error="invalid_token", error_description=""exp" claim timestamp check failed", resource_metadata="${METADATA}"`,
    challenges: [
      {
        scheme: "Bearer",
        parameters: {
          error: "invalid_token",
          error_description: '"exp" claim timestamp check failed',
          resource_metadata: METADATA
        }
      }
    ]
  },
  {
    title: "unescaped quotes in the middle",
    header: `Bearer error_description="unexpected "aud" claim value", scope="a b"`,
    challenges: [{ scheme: "Bearer", parameters: { error_description: 'unexpected "aud" claim value', scope: "a b" } }]
  },
  {
    title: "unescaped quotes at the end",
    header: `Bearer error_description="missing "iss"", resource_metadata="${METADATA}"`,
    challenges: [{ scheme: "Bearer", parameters: { error_description: 'missing "iss"', resource_metadata: METADATA } }]
  },
  {
    title: "an unescaped quote before a comma costs the rest of its own value only",
    header: `Bearer error_description="not "a", "b" or "c"", resource_metadata="${METADATA}"`,
    challenges: [{ scheme: "Bearer", parameters: { error_description: 'not "a', resource_metadata: METADATA } }]
  },
  {
    title: "missing commas between parameters",
    header: `Bearer error="invalid_token" error_description="x" resource_metadata="${METADATA}"`,
    challenges: [
      {
        scheme: "Bearer",
        parameters: { error: "invalid_token", error_description: "x", resource_metadata: METADATA }
      }
    ]
  },
  {
    title: "missing commas between token values",
    header: "Bearer error=invalid_token max_age=5",
    challenges: [{ scheme: "Bearer", parameters: { error: "invalid_token", max_age: "5" } }]
  },
  {
    title: "a missing comma between challenges",
    header: `Bearer resource_metadata="${METADATA}" DPoP algs="ES256"`,
    challenges: [
      { scheme: "Bearer", parameters: { resource_metadata: METADATA } },
      { scheme: "DPoP", parameters: { algs: "ES256" } }
    ]
  },
  {
    title: "a missing comma after a bare scheme",
    header: 'Negotiate Bearer realm="x"',
    challenges: [
      { scheme: "Negotiate", parameters: {} },
      { scheme: "Bearer", parameters: { realm: "x" } }
    ]
  },
  {
    title: "unquoted URLs",
    header: `Bearer resource_metadata=${METADATA}?a=b&c=d, error_uri=https://h.example/e#f, scope="x"`,
    challenges: [
      {
        scheme: "Bearer",
        parameters: {
          resource_metadata: `${METADATA}?a=b&c=d`,
          error_uri: "https://h.example/e#f",
          scope: "x"
        }
      }
    ]
  },
  {
    title: "an unquoted URL last",
    header: `Bearer resource_metadata=${METADATA}`,
    challenges: [{ scheme: "Bearer", parameters: { resource_metadata: METADATA } }]
  },
  {
    title: "unquoted words: the first stays, and what follows the comma too",
    header: `Bearer error_description=The token expired, scope=a b c, resource_metadata="${METADATA}"`,
    challenges: [
      { scheme: "Bearer", parameters: { error_description: "The", scope: "a", resource_metadata: METADATA } }
    ]
  },
  {
    title: "an empty value",
    header: `Bearer scope=, error=, resource_metadata="${METADATA}"`,
    challenges: [{ scheme: "Bearer", parameters: { resource_metadata: METADATA } }]
  },
  {
    title: "a comma after the scheme",
    header: 'Bearer, realm="x"',
    challenges: [{ scheme: "Bearer", parameters: { realm: "x" } }]
  },
  {
    title: "H-14: a token68 that parameters follow was none",
    header: 'Negotiate YQ==, realm="x"',
    challenges: [{ scheme: "Negotiate", parameters: { realm: "x" } }]
  },
  {
    title: "H-14: an unterminated string; what came before stays",
    header: 'Basic realm="a", Bearer error="invalid_token", error_description="oops',
    challenges: [
      { scheme: "Basic", parameters: { realm: "a" } },
      { scheme: "Bearer", parameters: { error: "invalid_token" } }
    ]
  },
  {
    title: "H-14: an unterminated string that ends in a backslash",
    header: 'Bearer error="invalid_token", error_description="oops\\',
    challenges: [{ scheme: "Bearer", parameters: { error: "invalid_token" } }]
  },
  {
    title: "H-14: an unterminated string at once",
    header: 'Bearer realm="',
    challenges: [{ scheme: "Bearer", parameters: {} }]
  },
  {
    title: "H-14: words after the last quoted string",
    header: `Bearer resource_metadata="${METADATA}" and more`,
    challenges: [{ scheme: "Bearer", parameters: { resource_metadata: METADATA } }]
  },
  {
    title: "H-14: a semicolon at the end",
    header: `Bearer scope="a b", resource_metadata="${METADATA}";`,
    challenges: [{ scheme: "Bearer", parameters: { scope: "a b", resource_metadata: METADATA } }]
  },
  {
    title: "H-14: garbage between commas",
    header: 'Bearer realm="a", @@@, (x) y=z, scope="b", [], DPoP algs="ES256", \u0000\u00ff',
    challenges: [
      { scheme: "Bearer", parameters: { realm: "a", scope: "b" } },
      { scheme: "DPoP", parameters: { algs: "ES256" } }
    ]
  },
  {
    title: "H-14: parameters of no scheme",
    header: 'realm="x", scope=y, Bearer error="z"',
    challenges: [{ scheme: "Bearer", parameters: { error: "z" } }]
  },
  {
    title: "a name that runs into a quote or a slash starts no challenge",
    header: 'Bearer realm="a", text/html, "quoted", odd", scope="b"',
    challenges: [{ scheme: "Bearer", parameters: { realm: "a", scope: "b" } }]
  },
  {
    title: "a field name sent along with the value",
    header: 'WWW-Authenticate: Bearer realm="x"',
    challenges: []
  },
  { title: "JSON", header: '{"error":"invalid_token"}', challenges: [] },
  { title: "only quotes", header: '"""""', challenges: [] },
  { title: "only an =", header: "=", challenges: [] }
]
