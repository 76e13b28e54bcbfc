/** Identifiers, and the rule that each breaks as a resource and as an issuer. `undefined` is none. */
export interface IdentifierVector {
  readonly row: string
  readonly value: string
  readonly resource: string | undefined
  readonly issuer: string | undefined
}

const CHARACTERS = "must contain only characters that are legal in a URI"
const ABSOLUTE = "must be an absolute http or https URL"
const HOST = "must have a host"
const USER = "must not contain user information"
const FRAGMENT = "must not have a fragment"
const QUERY = "must not have a query"
const SECURE = "must use https, or http on a loopback host"

const legal = (row: string, value: string): IdentifierVector => ({ row, value, resource: undefined, issuer: undefined })
const illegal = (row: string, value: string, rule: string): IdentifierVector => ({
  row,
  value,
  resource: rule,
  issuer: rule
})
const notAnIssuer = (row: string, value: string, rule: string): IdentifierVector => ({
  row,
  value,
  resource: undefined,
  issuer: rule
})

export const identifiers: ReadonlyArray<IdentifierVector> = [
  legal("A4", "https://mcp.example.com"),
  legal("A4", "https://mcp.example.com/"),
  legal("A4", "https://mcp.example.com/mcp"),
  legal("A4", "https://mcp.example.com/mcp/"),
  legal("A4", "https://mcp.example.com:8443/mcp"),
  legal("A4, default port", "https://mcp.example.com:443/mcp"),
  legal("A4, upper case", "HTTPS://MCP.Example.COM/Mcp"),
  legal("A4, IPv6", "https://[2001:db8::1]:8443/mcp"),
  legal("A4, escapes", "https://h.example/a%20b/%c3%a9"),
  legal("A4, dot segments are characters like others", "https://h.example/a/../b/./c"),
  legal("A4, punycode", "https://xn--bcher-kva.example/"),
  legal("A4, an @ that is not in the authority", "https://h.example/@user"),
  legal("A4, an empty segment", "https://h.example//a"),

  illegal("A4, empty", "", ABSOLUTE),
  illegal("A4, relative", "/mcp", ABSOLUTE),
  illegal("A4, relative", "mcp.example.com/mcp", ABSOLUTE),
  illegal("A4, no scheme", "//mcp.example.com/mcp", ABSOLUTE),
  illegal("A4, no slashes", "https:mcp.example.com", ABSOLUTE),
  illegal("A4, one slash", "https:/mcp.example.com", ABSOLUTE),
  illegal("A4, other schemes", "ftp://mcp.example.com/", ABSOLUTE),
  illegal("A4, other schemes", "wss://mcp.example.com/", ABSOLUTE),
  illegal("A4, other schemes", "urn:example:mcp", ABSOLUTE),
  illegal("A4, other schemes", "javascript:alert(1)", ABSOLUTE),
  illegal("A4, other schemes", "blob:https://mcp.example.com/x", ABSOLUTE),
  illegal("A4, no host", "https://", ABSOLUTE),
  illegal("A4, no host", "https:///mcp", HOST),
  illegal("A4, no host", "https:////mcp.example.com/mcp", HOST),
  illegal("A4, no host but a port", "https://:443/", ABSOLUTE),
  illegal("A4, port out of range", "https://h.example:65536/", ABSOLUTE),
  illegal("A4, port not a number", "https://h.example:a/", ABSOLUTE),
  illegal("A4, bad IPv6", "https://[::1/", ABSOLUTE),
  illegal("A4, bad IPv6", "https://[:::1]/", ABSOLUTE),
  illegal("A4, bad IPv4", "https://256.0.0.1/", ABSOLUTE),
  illegal("A4, an escape in the host that decodes to a delimiter", "https://h.example%2fevil/", ABSOLUTE),

  illegal("A4, backslashes", "https:\\\\h.example\\mcp", CHARACTERS),
  illegal("A4, a backslash before @", "https://h.example\\@evil.example/", CHARACTERS),
  illegal("A4, a tab that URL removes", "https://h.exa\tmple/", CHARACTERS),
  illegal("A4, a tab in the scheme", "ht\ttps://h.example/", CHARACTERS),
  illegal("A4, a line feed", "https://h.example/\n", CHARACTERS),
  illegal("A4, spaces around", " https://h.example/ ", CHARACTERS),
  illegal("A4, a space inside", "https://h.example/a b", CHARACTERS),
  illegal("A4, NUL", "https://h.example/\u0000", CHARACTERS),
  illegal("A4, quotes", 'https://h.example/"', CHARACTERS),
  illegal("A4, angle brackets", "https://h.example/<x>", CHARACTERS),
  illegal("A4, not ASCII", "https://h.example/é", CHARACTERS),
  illegal("A4, not ASCII", "https://bücher.example/", CHARACTERS),
  illegal("A4, an ideographic full stop", "https://h。example/", CHARACTERS),
  illegal("A4, a bare percent", "https://h.example/100%", CHARACTERS),
  illegal("A4, a broken escape", "https://h.example/%zz", CHARACTERS),
  illegal("A4, half an escape", "https://h.example/%4", CHARACTERS),

  illegal("A4, user information", "https://user@h.example/", USER),
  illegal("A4, user information", "https://user:password@h.example/", USER),
  illegal("A4, empty user information", "https://@h.example/", USER),
  illegal("A4, a host that is user information", "https://h.example@evil.example/", USER),
  illegal("A4, a loopback host that is user information", "http://localhost@evil.example/", USER),

  illegal("A5, A9, AM-01, RI-01", "https://h.example/mcp#top", FRAGMENT),
  illegal("A5, A9, an empty fragment", "https://h.example/mcp#", FRAGMENT),
  illegal("A5, A9, a fragment after a query", "https://h.example/mcp?a=b#c", FRAGMENT),

  notAnIssuer("A10, AM-01", "https://h.example/mcp?tenant=1", QUERY),
  notAnIssuer("A10, an empty query", "https://h.example/mcp?", QUERY),
  notAnIssuer("A10, a query without a path", "https://h.example?a", QUERY),

  legal("A11", "http://localhost"),
  legal("A11", "http://localhost:3000/t1"),
  legal("A11", "http://LOCALHOST:3000"),
  legal("A11", "http://localhost./"),
  legal("A11", "http://auth.localhost/"),
  legal("A11", "http://127.0.0.1:9000"),
  legal("A11", "http://127.8.8.8/"),
  legal("A11", "http://[::1]:9000/"),
  legal("A11, ::1 in full", "http://[0:0:0:0:0:0:0:1]/"),
  legal("A11, decimal", "http://2130706433/"),
  legal("A11, octal", "http://0177.0.0.1/"),
  legal("A11, hexadecimal", "http://0x7f.0.0.1/"),
  legal("A11, hexadecimal", "http://0x7f000001/"),
  legal("A11, short", "http://127.1/"),
  notAnIssuer("A11", "http://as.example", SECURE),
  notAnIssuer("A11", "http://as.example:443", SECURE),
  notAnIssuer("A11, look-alike", "http://localhost.evil.com/", SECURE),
  notAnIssuer("A11, look-alike", "http://127.0.0.1.evil.com/", SECURE),
  notAnIssuer("A11, look-alike", "http://127.0.0.1.nip.io/", SECURE),
  notAnIssuer("A11, look-alike", "http://evil-localhost/", SECURE),
  notAnIssuer("A11, look-alike", "http://notlocalhost/", SECURE),
  notAnIssuer("A11, look-alike", "http://localhost1/", SECURE),
  notAnIssuer("A11, look-alike, the dot escaped", "http://localhost%2eevil.com/", SECURE),
  notAnIssuer("A11, look-alike in the path", "http://evil.com/localhost", SECURE),
  notAnIssuer("A11, unspecified addresses are not loopback", "http://0.0.0.0/", SECURE),
  notAnIssuer("A11, unspecified addresses are not loopback", "http://0/", SECURE),
  notAnIssuer("A11, unspecified addresses are not loopback", "http://[::]/", SECURE),
  notAnIssuer("A11, IPv4-mapped addresses are not listed", "http://[::ffff:127.0.0.1]/", SECURE),
  notAnIssuer("A11, private addresses", "http://10.0.0.1/", SECURE),
  notAnIssuer("A11, link-local addresses", "http://169.254.169.254/", SECURE),
  notAnIssuer("A11, 128/8", "http://128.0.0.1/", SECURE)
]

/** `covers(resource, url)`. */
export const coverage: ReadonlyArray<{
  readonly title: string
  readonly resource: string
  readonly url: string
  readonly covers: boolean
}> = [
  { title: "itself", resource: "https://h.example/a", url: "https://h.example/a", covers: true },
  { title: "below, at a segment", resource: "https://h.example/a", url: "https://h.example/a/mcp", covers: true },
  { title: "a bare origin", resource: "https://h.example", url: "https://h.example/a/b", covers: true },
  { title: "an origin with a slash", resource: "https://h.example/", url: "https://h.example", covers: true },
  { title: "the slash below", resource: "https://h.example/a", url: "https://h.example/a/", covers: true },
  { title: "a longer word", resource: "https://h.example/a", url: "https://h.example/ab", covers: false },
  {
    title: "a longer word after an escape",
    resource: "https://h.example/a",
    url: "https://h.example/a%2fb",
    covers: false
  },
  { title: "above", resource: "https://h.example/a/b", url: "https://h.example/a", covers: false },
  { title: "no slash is coerced", resource: "https://h.example/a/", url: "https://h.example/a", covers: false },
  { title: "below a final slash", resource: "https://h.example/a/", url: "https://h.example/a/b", covers: true },
  { title: "a path in another case", resource: "https://h.example/a", url: "https://h.example/A/b", covers: false },
  { title: "a host in another case", resource: "HTTPS://H.Example/a", url: "https://h.eXAMPLE/a/b", covers: true },
  { title: "the default port", resource: "https://h.example:443/a", url: "https://h.example/a", covers: true },
  { title: "the default port of http", resource: "http://h.example/a", url: "http://h.example:80/a", covers: true },
  { title: "another port", resource: "https://h.example/a", url: "https://h.example:8443/a", covers: false },
  { title: "another scheme", resource: "https://h.example/a", url: "http://h.example/a", covers: false },
  {
    title: "another scheme on the same port",
    resource: "https://h.example/a",
    url: "http://h.example:443/a",
    covers: false
  },
  { title: "wss", resource: "https://h.example/a", url: "wss://h.example/a", covers: false },
  { title: "another host", resource: "https://h.example/a", url: "https://g.example/a", covers: false },
  { title: "a subdomain", resource: "https://h.example", url: "https://x.h.example/", covers: false },
  { title: "a longer host", resource: "https://h.example", url: "https://h.example.evil.com/", covers: false },
  {
    title: "the host as user information",
    resource: "https://h.example",
    url: "https://h.example@evil.com/",
    covers: false
  },
  {
    title: "the host before a backslash and @",
    resource: "https://evil.com",
    url: "https://h.example\\@evil.com/",
    covers: false
  },
  {
    title: "dot segments that climb out",
    resource: "https://h.example/a",
    url: "https://h.example/a/../b",
    covers: false
  },
  {
    title: "escaped dot segments",
    resource: "https://h.example/a",
    url: "https://h.example/a/%2e%2E/b",
    covers: false
  },
  {
    title: "half-escaped dot segments",
    resource: "https://h.example/a",
    url: "https://h.example/a/.%2e/b",
    covers: false
  },
  {
    title: "dot segments after a backslash",
    resource: "https://h.example/a",
    url: "https://h.example/a\\..\\b",
    covers: false
  },
  {
    title: "dot segments with a tab inside",
    resource: "https://h.example/a",
    url: "https://h.example/a/.\t./b",
    covers: false
  },
  {
    title: "dot segments that stay inside",
    resource: "https://h.example/a",
    url: "https://h.example/a/b/../c",
    covers: true
  },
  { title: "IPv6", resource: "https://[2001:db8::1]/a", url: "https://[2001:DB8:0::1]:443/a/b", covers: true },
  { title: "another IPv6 address", resource: "https://[2001:db8::1]/a", url: "https://[2001:db8::2]/a", covers: false },
  { title: "one address, two spellings", resource: "http://127.0.0.1/a", url: "http://0x7f.1/a", covers: true },
  { title: "two names of loopback", resource: "http://127.0.0.1/a", url: "http://localhost/a", covers: false },
  {
    title: "the query of a url is its own business",
    resource: "https://h.example/a",
    url: "https://h.example/a?x=1",
    covers: true
  },
  { title: "a query on both", resource: "https://h.example/a?t=1", url: "https://h.example/a?t=1", covers: true },
  { title: "another query", resource: "https://h.example/a?t=1", url: "https://h.example/a?t=2", covers: false },
  {
    title: "a query with more in it",
    resource: "https://h.example/a?t=1",
    url: "https://h.example/a?t=1&t=2",
    covers: false
  },
  {
    title: "no query where one is asked for",
    resource: "https://h.example/a?t=1",
    url: "https://h.example/a",
    covers: false
  },
  { title: "malformed: nothing", resource: "", url: "https://h.example/a", covers: false },
  { title: "malformed: both nothing", resource: "", url: "", covers: false },
  { title: "malformed: both the same", resource: "mcp", url: "mcp", covers: false },
  { title: "malformed: opaque", resource: "urn:a", url: "urn:a", covers: false },
  { title: "malformed: no http", resource: "ftp://h.example/a", url: "ftp://h.example/a/b", covers: false },
  { title: "malformed: a file", resource: "file:///a", url: "file:///a/b", covers: false },
  {
    title: "malformed: a blob of the origin",
    resource: "https://h.example/",
    url: "blob:https://h.example/x",
    covers: false
  },
  { title: "malformed: a fragment", resource: "https://h.example/a#b", url: "https://h.example/a", covers: false },
  {
    title: "malformed: user information",
    resource: "https://u@h.example/a",
    url: "https://h.example/a",
    covers: false
  },
  { title: "malformed: three slashes", resource: "https:///h.example/a", url: "https://h.example/a", covers: false },
  { title: "malformed: one slash", resource: "https:/h.example/a", url: "https://h.example/a", covers: false },
  { title: "malformed: backslashes", resource: "https:\\\\h.example\\a", url: "https://h.example/a", covers: false },
  { title: "malformed: white space", resource: " https://h.example/a", url: "https://h.example/a", covers: false },
  { title: "malformed: a wildcard host", resource: "https://*", url: "https://h.example/a", covers: false },
  { title: "malformed: the url", resource: "https://h.example/a", url: "/a", covers: false }
]

/** `equivalent(left, right)`, which is symmetric. */
export const equivalence: ReadonlyArray<{
  readonly title: string
  readonly left: string
  readonly right: string
  readonly equivalent: boolean
}> = [
  { title: "itself", left: "https://h.example/a", right: "https://h.example/a", equivalent: true },
  {
    title: "scheme and host in another case",
    left: "HTTPS://H.Example/a",
    right: "https://h.example/a",
    equivalent: true
  },
  { title: "the default port", left: "https://h.example:443", right: "https://h.example", equivalent: true },
  {
    title: "the default port before a path",
    left: "https://h.example:443/a?b",
    right: "https://h.example/a?b",
    equivalent: true
  },
  { title: "the default port of http", left: "http://h.example:80/", right: "http://h.example/", equivalent: true },
  { title: "an empty port", left: "https://h.example:/a", right: "https://h.example/a", equivalent: true },
  {
    title: "the default port of IPv6",
    left: "https://[2001:DB8::1]:443/a",
    right: "https://[2001:db8::1]/a",
    equivalent: true
  },
  {
    title: "the port of the other scheme",
    left: "https://h.example:80/",
    right: "https://h.example/",
    equivalent: false
  },
  {
    title: "the port of the other scheme",
    left: "http://h.example:443/",
    right: "http://h.example/",
    equivalent: false
  },
  { title: "an IPv6 address that ends like a port", left: "http://[::80]/", right: "http://[::]/", equivalent: false },
  { title: "another scheme", left: "http://h.example/", right: "https://h.example/", equivalent: false },
  {
    title: "another scheme on the same port",
    left: "http://h.example:443/",
    right: "https://h.example/",
    equivalent: false
  },
  {
    title: "RI-07: a final slash on the origin",
    left: "https://h.example",
    right: "https://h.example/",
    equivalent: false
  },
  {
    title: "RI-07: a final slash on the path",
    left: "https://h.example/a",
    right: "https://h.example/a/",
    equivalent: false
  },
  { title: "a path in another case", left: "https://h.example/a", right: "https://h.example/A", equivalent: false },
  {
    title: "a query in another case",
    left: "https://h.example/a?b",
    right: "https://h.example/a?B",
    equivalent: false
  },
  { title: "an empty query", left: "https://h.example/a?", right: "https://h.example/a", equivalent: false },
  { title: "PR-08: an escape", left: "https://h.example/%7Ea", right: "https://h.example/~a", equivalent: false },
  {
    title: "PR-08: an escape in another case",
    left: "https://h.example/%c3",
    right: "https://h.example/%C3",
    equivalent: false
  },
  { title: "PR-08: dot segments", left: "https://h.example/a/../b", right: "https://h.example/b", equivalent: false },
  {
    title: "PR-08: an address in another spelling",
    left: "http://2130706433/",
    right: "http://127.0.0.1/",
    equivalent: false
  },
  { title: "PR-08: an escaped host", left: "https://%68.example/", right: "https://h.example/", equivalent: false },
  { title: "a final dot of the host", left: "https://h.example./", right: "https://h.example/", equivalent: false },
  { title: "a fragment", left: "https://h.example/a#b", right: "https://h.example/a", equivalent: false },
  { title: "an empty fragment", left: "https://h.example/a#", right: "https://h.example/a", equivalent: false },
  { title: "user information", left: "https://u@h.example/a", right: "https://h.example/a", equivalent: false },
  {
    title: "user information on both, in another case of the host",
    left: "https://u@H.example/",
    right: "https://u@h.example/",
    equivalent: false
  },
  {
    title: "user information instead of a host",
    left: "https://h.example@evil.com/",
    right: "https://evil.com/",
    equivalent: false
  },
  { title: "backslashes", left: "https:\\\\h.example/a", right: "https://h.example/a", equivalent: false },
  {
    title: "a backslash before @",
    left: "https://a.example\\@evil.com/",
    right: "https://evil.com/",
    equivalent: false
  },
  { title: "three slashes", left: "https:///h.example/a", right: "https://h.example/a", equivalent: false },
  { title: "white space", left: "https://h.example/a ", right: "https://h.example/a", equivalent: false },
  { title: "a tab", left: "https://h.exam\tple/a", right: "https://h.example/a", equivalent: false },
  { title: "an audience that is no URL, and itself", left: "api://default", right: "api://default", equivalent: true },
  {
    title: "an audience that is no URL, in another case",
    left: "API://default",
    right: "api://default",
    equivalent: false
  }
]
