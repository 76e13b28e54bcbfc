/**
 * What an attacker sends, and exactly what comes back. A row makes the values of its `Authorization` headers, as octets of
 * Latin-1; everything runs on WebCrypto, so that the table is of use on every runtime.
 */
import * as Jose from "jose"
import * as Base64Url from "../../src/protocol/Base64Url.js"
import * as Keys from "../server/fixtures/Keys.js"

/** What the attacked server trusts, and what the attacker has got. */
export interface Forge {
  /** Two issuers that are configured. `es` and `otherKey` have the same `kid`, each at its own issuer. */
  readonly issuer: string
  readonly otherIssuer: string
  readonly rs: Keys.Key
  readonly es: Keys.Key
  readonly ed: Keys.Key
  readonly otherKey: Keys.Key
  /** Keys of nobody, with the `kid` of `es` and of `rs`. */
  readonly stranger: Keys.Key
  readonly strangerRs: Keys.Key
  readonly resource: string
  /** The document at the issuer's `jwks_uri`, to the letter. */
  readonly jwks: string
  /** In seconds. */
  readonly now: number
  /** Claims that are accepted when `es` signs them. */
  readonly claims: Readonly<Record<string, unknown>>
}

/**
 * What comes back. `accepted` is the protected answer. The others are the refusals of the failure table: `missing`,
 * `invalid` and `expired` are 401, `tooFew` is 403, and `token`, `scheme`, `query` and `repeated` are 400, each with its
 * own description. `unparsed` and `tooLarge` are what an HTTP server says on its own, 400 and 431; no app is asked.
 */
export type Outcome =
  | "accepted"
  | "missing"
  | "invalid"
  | "expired"
  | "tooFew"
  | "token"
  | "scheme"
  | "query"
  | "repeated"
  | "unparsed"
  | "tooLarge"

export interface HostileRow {
  readonly row: string
  readonly name: string
  readonly authorization: (forge: Forge) => Promise<ReadonlyArray<string>>
  readonly path?: (forge: Forge) => Promise<string>
  readonly form?: (forge: Forge) => Promise<string>
  readonly outcome: Outcome
  /** Where a web `Request` differs: another outcome, or that it cannot be made at all. */
  readonly web?: Outcome | "unsendable"
}

type Make = (forge: Forge) => Promise<string> | string

const row = (row: string, name: string, outcome: Outcome, token: Make, more: Partial<HostileRow> = {}): HostileRow => ({
  row,
  name,
  outcome,
  authorization: async (forge) => [`Bearer ${await token(forge)}`],
  ...more
})

const header = (
  row: string,
  name: string,
  outcome: Outcome,
  value: Make,
  more: Partial<HostileRow> = {}
): HostileRow => ({
  row,
  name,
  outcome,
  authorization: async (forge) => [await value(forge)],
  ...more
})

type Claims = Readonly<Record<string, unknown>> | ((forge: Forge) => Readonly<Record<string, unknown>>)
const claimsOf = (forge: Forge, more: Claims) => ({
  ...forge.claims,
  ...(typeof more === "function" ? more(forge) : more)
})

/** A token that the issuer itself signed. */
const signed =
  (more: Claims = {}, head: Keys.Header = {}): Make =>
  (forge) =>
    forge.es.token(claimsOf(forge, more), head)

/** The same, with the JSON of its payload written by hand. */
const signedText =
  (write: (json: string, forge: Forge) => string): Make =>
  (forge) =>
    forge.es.token(write(JSON.stringify(forge.claims), forge))

const unsigned =
  (head: Keys.Header, signature = ""): Make =>
  (forge) =>
    `${Keys.part({ typ: "at+jwt", kid: forge.es.kid, ...head })}.${Keys.part(forge.claims)}.${signature}`

/** HS256, with a public key of the issuer as the secret. */
const confused =
  (secret: (forge: Forge) => Promise<Uint8Array> | Uint8Array, head: Keys.Header = {}): Make =>
  async (forge) =>
    Keys.compact(
      { alg: "HS256", typ: "at+jwt", kid: forge.rs.kid, ...head },
      forge.claims,
      Keys.hmac(await secret(forge))
    )

const pem = async (forge: Forge): Promise<string> => Jose.exportSPKI(forge.rs.publicKey)
const decode = (text: string): Uint8Array =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0))

/** The parts of a good token. */
const parts = async (forge: Forge): Promise<[string, string, string]> =>
  (await forge.es.token(forge.claims)).split(".") as [string, string, string]

const resigned =
  (change: (head: string, payload: string, signature: string, forge: Forge) => string | Promise<string>): Make =>
  async (forge) =>
    change(...(await parts(forge)), forge)

/** A raw ECDSA signature as ASN.1 DER, as most libraries but JOSE's write it. */
const der = (signature: Uint8Array): Uint8Array => {
  const integer = (value: Uint8Array): Array<number> => {
    let bytes = Array.from(value)
    while (bytes.length > 1 && bytes[0] === 0) bytes = bytes.slice(1)
    if ((bytes[0] ?? 0) > 127) bytes.unshift(0)
    return [2, bytes.length, ...bytes]
  }
  const both = [...integer(signature.slice(0, 32)), ...integer(signature.slice(32))]
  return new Uint8Array([0x30, both.length, ...both])
}

const algorithms: ReadonlyArray<HostileRow> = [
  row(
    "W-01",
    "HS256 with the RSA key's PEM as the secret",
    "invalid",
    confused(async (forge) => Keys.octets(await pem(forge)))
  ),
  row(
    "W-01",
    "HS256 with the PEM, no final newline",
    "invalid",
    confused(async (forge) => Keys.octets((await pem(forge)).trimEnd()))
  ),
  row(
    "W-01",
    "HS256 with the key's DER",
    "invalid",
    confused(async (forge) => decode((await pem(forge)).replace(/-----[^-]+-----|\s/g, "")))
  ),
  row(
    "W-01",
    "HS256 with the key's JWK",
    "invalid",
    confused((forge) => Keys.octets(JSON.stringify(forge.rs.jwk)))
  ),
  row(
    "W-01",
    "HS256 with the key's modulus",
    "invalid",
    confused((forge) => decode(forge.rs.jwk.n ?? ""))
  ),
  row(
    "W-01",
    "HS256 with the whole JWK set",
    "invalid",
    confused((forge) => Keys.octets(forge.jwks))
  ),
  row(
    "W-01",
    "HS256 with the kid",
    "invalid",
    confused((forge) => Keys.octets(forge.rs.kid))
  ),
  row(
    "W-01",
    "HS256 with a secret that anybody guesses",
    "invalid",
    confused(() => Keys.octets("secret"))
  ),
  row(
    "W-01",
    "HS256 that says RS256",
    "invalid",
    confused(async (forge) => Keys.octets(await pem(forge)), { alg: "RS256" })
  ),
  row(
    "W-01",
    "HS256 that says HS512",
    "invalid",
    confused(async (forge) => Keys.octets(await pem(forge)), { alg: "HS512" })
  ),
  row("W-01", "RS256 that says PS256", "invalid", (forge) => forge.rs.token(forge.claims, { alg: "PS256" })),
  row("W-01", "RS256 with the kid of another key", "invalid", (forge) =>
    forge.rs.token(forge.claims, { kid: forge.es.kid })
  ),
  row("W-01", "ES256 with the kid of the RSA key", "invalid", (forge) =>
    forge.es.token(forge.claims, { kid: forge.rs.kid })
  ),
  row("W-01", "ES256 that says RS256", "invalid", (forge) =>
    forge.es.token(forge.claims, { alg: "RS256", kid: forge.rs.kid })
  ),
  row("W-01", "ES384, which is not configured", "invalid", signed({}, { alg: "ES384" })),
  row("W-01", "an algorithm of encryption", "invalid", signed({}, { alg: "RSA-OAEP" })),
  row("W-01", "an algorithm that every object has", "invalid", signed({}, { alg: "constructor" })),
  ...["none", "None", "NONE", "nOnE", "none ", " none", "\u0000none", ""].flatMap((alg) => [
    row("J-01, W-02", `alg ${JSON.stringify(alg)}, no signature`, "invalid", unsigned({ alg })),
    row("J-01, W-02", `alg ${JSON.stringify(alg)}, with the signature of another`, "invalid", signed({}, { alg }))
  ]),
  row(
    "J-01, W-02",
    "alg none, without kid and typ",
    "invalid",
    (forge) => `${Keys.part({ alg: "none" })}.${Keys.part(forge.claims)}.`
  ),
  row("W-01", "no alg", "invalid", unsigned({})),
  row("W-01", "alg null", "invalid", signed({}, { alg: null })),
  row("W-01", "alg in a list", "invalid", signed({}, { alg: ["ES256"] })),
  row("W-01", "alg that is a number", "invalid", signed({}, { alg: 256 })),
  row("W-08", "alg twice, the last one none", "invalid", async (forge) => {
    const head = `{"alg":"ES256","typ":"at+jwt","kid":"${forge.es.kid}","alg":"none"}`
    return Keys.compact(head, forge.claims, forge.es.sign)
  })
]

const embedded: ReadonlyArray<HostileRow> = [
  row("W-06", "the attacker's key in jwk", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { jwk: forge.stranger.jwk })
  ),
  row("W-06", "and no kid", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { jwk: forge.stranger.jwk, kid: undefined })
  ),
  row("W-06", "the attacker's private key in jwk", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { jwk: forge.stranger.privateJwk })
  ),
  row(
    "W-06",
    "a symmetric key in jwk",
    "invalid",
    confused(() => Keys.octets("0123456789abcdef0123456789abcdef"), {
      jwk: { kty: "oct", k: Base64Url.encode(Keys.octets("0123456789abcdef0123456789abcdef")) }
    })
  ),
  row("W-06", "a certificate in x5c", "invalid", (forge) =>
    forge.strangerRs.token(forge.claims, { x5c: ["MIIBszCCAVmgAwIBAgIUQ"] })
  ),
  row("W-06", "a key set at the attacker's, by jku", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { jku: "http://127.0.0.1:1/jwks" })
  ),
  row("W-06", "a certificate at the attacker's, by x5u", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { x5u: "http://127.0.0.1:1/x5u" })
  ),
  row("W-06", "jku of the issuer itself", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { jku: `${forge.issuer}/jwks` })
  ),
  row(
    "W-06",
    "jku next to a good signature is passed over",
    "accepted",
    signed({}, { jku: "http://127.0.0.1:1/jwks" })
  ),
  row("W-02", "crit that names a claim", "invalid", signed({}, { crit: ["exp"] })),
  row(
    "W-02",
    "crit that names an extension",
    "invalid",
    signed({}, { crit: ["http://example.com/x"], "http://example.com/x": true })
  ),
  row("W-02", "an empty crit", "invalid", signed({}, { crit: [] })),
  row("W-02", "crit that is no list", "invalid", signed({}, { crit: "exp" })),
  row("W-02", "crit null", "invalid", signed({}, { crit: null })),
  row("W-02", "an unencoded payload", "invalid", signed({}, { crit: ["b64"], b64: false })),
  row("W-02", "b64 true", "invalid", signed({}, { crit: ["b64"], b64: true })),
  row("W-02", "b64 without crit", "invalid", signed({}, { b64: false }))
]

const signatures: ReadonlyArray<HostileRow> = [
  row("W-02", "a stranger's, with the right kid", "invalid", (forge) => forge.stranger.token(forge.claims)),
  row("W-02", "a stranger's RSA", "invalid", (forge) => forge.strangerRs.token(forge.claims)),
  row("W-02", "a stranger's, with no kid", "invalid", (forge) =>
    forge.stranger.token(forge.claims, { kid: undefined })
  ),
  row("W-02", "ECDSA in DER", "invalid", (forge) =>
    Keys.compact({ alg: "ES256", typ: "at+jwt", kid: forge.es.kid }, forge.claims, async (input) =>
      der(await forge.es.sign(input))
    )
  ),
  row(
    "W-03",
    "ECDSA with r and s of zero",
    "invalid",
    resigned((head, payload) => `${head}.${payload}.${Base64Url.encode(new Uint8Array(64))}`)
  ),
  row(
    "W-03",
    "ECDSA of half the length",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature.slice(0, 43)}`)
  ),
  row(
    "W-02",
    "one octet less",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature.slice(0, -2)}`)
  ),
  row(
    "W-02",
    "one octet more",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature}AA`)
  ),
  row(
    "W-02",
    "one bit flipped",
    "invalid",
    resigned(
      (head, payload, signature) => `${head}.${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`
    )
  ),
  row(
    "W-02",
    "that of another token of the same issuer",
    "invalid",
    resigned(async (head, payload, _, forge) => {
      const other = await forge.es.token({ ...forge.claims, sub: "bob" })
      return `${head}.${payload}.${other.split(".")[2]}`
    })
  ),
  row(
    "W-02",
    "the payload changed after it was signed",
    "invalid",
    resigned(
      (head, _, signature, forge) => `${head}.${Keys.part({ ...forge.claims, scope: "mcp:tools admin" })}.${signature}`
    )
  ),
  row(
    "W-02",
    "the header changed after it was signed",
    "invalid",
    resigned(
      (_, payload, signature, forge) =>
        `${Keys.part({ alg: "ES256", typ: "at+jwt", kid: forge.es.kid, x: 1 })}.${payload}.${signature}`
    )
  ),
  row(
    "W-02",
    "padding behind it",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature}==`),
    {}
  ),
  row("B-03", "padding behind the payload", "token", (forge) =>
    Keys.compactOf(
      `${Keys.part({ alg: "ES256", typ: "at+jwt", kid: "es" })}.${Keys.part(forge.claims)}=`,
      forge.es.sign
    )
  )
]

const audiences: ReadonlyArray<HostileRow> = (
  [
    ["another", () => "https://other.example/mcp"],
    ["others, in a list", () => ["https://other.example/mcp", "https://third.example"]],
    ["none", () => undefined],
    ["null", () => null],
    ["empty", () => ""],
    ["an empty list", () => []],
    ["a list of nothing", () => [null]],
    ["an object", ({ resource }) => ({ 0: resource, length: 1 })],
    ["a number", () => 0],
    ["true", () => true],
    ["in a list in a list", ({ resource }) => [[resource]]],
    ["a prefix", ({ resource }) => resource.slice(0, -1)],
    ["a parent", () => "https://mcp.example.com"],
    ["more behind it", ({ resource }) => `${resource}2`],
    ["a child", ({ resource }) => `${resource}/admin`],
    ["in another case", ({ resource }) => resource.toUpperCase()],
    ["a final slash", ({ resource }) => `${resource}/`],
    ["the default port", () => "https://mcp.example.com:443/mcp"],
    ["http", () => "http://mcp.example.com/mcp"],
    ["a query", ({ resource }) => `${resource}?`],
    ["a fragment", ({ resource }) => `${resource}#`],
    ["user information", () => "https://mcp.example.com@evil.example/mcp"],
    ["white space", ({ resource }) => ` ${resource}`],
    ["a NUL behind it", ({ resource }) => `${resource}\u0000`],
    ["several in one string", ({ resource }) => `${resource} https://other.example`],
    ["an escape", () => "https://mcp.example.com/%6dcp"],
    ["a look-alike", () => "https://mcp.ex\u0430mple.com/mcp"],
    ["everything", () => "*"],
    ["the client", () => "client-1"],
    ["the issuer", ({ issuer }) => issuer]
  ] as ReadonlyArray<readonly [string, (forge: Forge) => unknown]>
).map(([name, aud]) =>
  row(
    "RS-32, RS-33, W-05",
    `aud: ${name}`,
    "invalid",
    signed((forge) => ({ aud: aud(forge) }))
  )
)

const times: ReadonlyArray<HostileRow> = [
  row("H6", "no exp", "invalid", signed({ exp: undefined })),
  ...["1", "", [], {}, true, null].map((exp) => row("H6", `exp ${JSON.stringify(exp)}`, "invalid", signed({ exp }))),
  row(
    "H6",
    "exp as the string of a good time",
    "invalid",
    signed(({ now }) => ({ exp: String(now + 60) }))
  ),
  row(
    "H6",
    "exp in a list",
    "invalid",
    signed(({ now }) => ({ exp: [now + 60] }))
  ),
  row(
    "H6",
    "exp that is infinite",
    "invalid",
    signedText((json, { now }) => json.replace(`"exp":${now + 60}`, '"exp":1e400'))
  ),
  row(
    "H6",
    "exp NaN, which is no JSON",
    "invalid",
    signedText((json, { now }) => json.replace(`"exp":${now + 60}`, '"exp":NaN'))
  ),
  row(
    "RS-36",
    "exp now and a while ago",
    "expired",
    signed(({ now }) => ({ exp: now - 60 }))
  ),
  row("RS-36", "exp 0", "expired", signed({ exp: 0 })),
  row("RS-36", "exp before 1970", "expired", signed({ exp: -1e9 })),
  row(
    "RS-36",
    "exp minus infinity",
    "invalid",
    signedText((json, { now }) => json.replace(`"exp":${now + 60}`, '"exp":-1e400'))
  ),
  row(
    "RS-36",
    "exp in a fraction of the past",
    "expired",
    signed(({ now }) => ({ exp: now - 60.5 }))
  ),
  row(
    "W-08",
    "exp in a fraction to come",
    "accepted",
    signed(({ now }) => ({ exp: now + 60.5 }))
  ),
  row("W-08", "exp in the year 31 million, if the issuer says so", "accepted", signed({ exp: 1e15 })),
  row(
    "W-08",
    "exp twice, the last one past",
    "expired",
    signedText((json) => json.replace(/}$/, ',"exp":1}'))
  ),
  row(
    "H6",
    "nbf to come",
    "invalid",
    signed(({ now }) => ({ nbf: now + 3600 }))
  ),
  row("H6", "nbf as a string", "invalid", signed({ nbf: "0" })),
  row("H6", "nbf null", "invalid", signed({ nbf: null })),
  row(
    "H6",
    "nbf that is infinite",
    "invalid",
    signedText((json) => json.replace(/}$/, ',"nbf":1e400}'))
  ),
  row(
    "H6",
    "iat to come",
    "invalid",
    signed(({ now }) => ({ iat: now + 3600 }))
  ),
  row("H6", "iat as a string", "invalid", signed({ iat: "0" })),
  row("H6", "no iat", "invalid", signed({ iat: undefined })),
  row("RS-36", "expired and signed by a stranger", "expired", (forge) =>
    forge.stranger.token({ ...forge.claims, exp: 1 })
  )
]

const kinds: ReadonlyArray<HostileRow> = [
  row("J-10", "an ID token", "invalid", signed({ aud: "client-1", nonce: "n" }, { typ: "JWT" })),
  row(
    "J-09",
    "an ID token whose audience is the resource",
    "invalid",
    signed({ nonce: "n", at_hash: "h" }, { typ: "JWT" })
  ),
  row("J-09", "an ID token dressed up", "invalid", signed({ nonce: "n" })),
  row("J-09", "one by its at_hash", "invalid", signed({ at_hash: "h" })),
  row("J-09", "one by its c_hash", "invalid", signed({ c_hash: "h" })),
  ...[
    "JWT",
    "jwt",
    "JOSE",
    "",
    "at+jwt ",
    "at+jwt;v=1",
    "application/jwt",
    "text/at+jwt",
    "application/application/at+jwt",
    "id_token+jwt",
    "dpop+jwt",
    "logout+jwt",
    "token-introspection+jwt",
    "secevent+jwt",
    "client-authentication+jwt",
    null,
    5,
    ["at+jwt"],
    { typ: "at+jwt" }
  ].map((typ) => row("J-05, W-07", `typ ${JSON.stringify(typ)}`, "invalid", signed({}, { typ }))),
  row("J-05, W-07", "no typ", "invalid", signed({}, { typ: undefined })),
  row("J-05", "typ in another case", "accepted", signed({}, { typ: "AT+JWT" })),
  row("J-05", "typ with its application/", "accepted", signed({}, { typ: "application/at+jwt" })),
  row(
    "D-13",
    "a token that is bound to a DPoP key",
    "invalid",
    signed({ cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } })
  ),
  row(
    "T-02",
    "a token that is bound to a certificate",
    "invalid",
    signed({ cnf: { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } })
  ),
  row("D-10", "a token that is bound in a way nobody knows", "invalid", signed({ cnf: { kid: "x" } })),
  row("D-10", "cnf null", "invalid", signed({ cnf: null }))
]

const keyIds: ReadonlyArray<HostileRow> = [
  ...[
    "../../../../../../dev/null",
    "/etc/passwd",
    "' OR '1'='1",
    "x'; DROP TABLE keys; --",
    "http://127.0.0.1:1/key",
    "\u0000",
    "k".repeat(10_000),
    "",
    " ",
    "__proto__",
    "constructor",
    "e",
    "ES",
    "es ",
    "\u{1F600}"
  ].map((kid) =>
    row(
      "W-06",
      `kid ${JSON.stringify(kid.length > 40 ? `${kid.length} characters` : kid)}`,
      "invalid",
      signed({}, { kid })
    )
  ),
  row("W-06", "kid that is an object", "invalid", signed({}, { kid: { kid: "es" } }), {}),
  row("W-06", "kid in a list", "invalid", signed({}, { kid: ["es"] }), {}),
  row("W-06", "kid that is a number", "invalid", signed({}, { kid: 0 }), {}),
  row("W-06", "kid null", "invalid", signed({}, { kid: null }), {})
]

const issuers: ReadonlyArray<HostileRow> = [
  row("W-04", "an authorization server that nobody configured, with its own good key", "invalid", (forge) =>
    forge.stranger.token({ ...forge.claims, iss: "https://evil.example" })
  ),
  row("W-04", "one issuer's name, the other's key", "invalid", (forge) => forge.otherKey.token(forge.claims)),
  row("W-04", "and the other way round", "invalid", (forge) =>
    forge.es.token({ ...forge.claims, iss: forge.otherIssuer })
  ),
  row("W-04", "the other issuer, with its own key", "accepted", (forge) =>
    forge.otherKey.token({ ...forge.claims, iss: forge.otherIssuer })
  ),
  row("J-06", "no iss", "invalid", signed({ iss: undefined })),
  row("J-06", "iss null", "invalid", signed({ iss: null })),
  row(
    "J-06",
    "iss in a list",
    "invalid",
    signed(({ issuer }) => ({ iss: [issuer] }))
  ),
  row(
    "J-06",
    "iss with a final slash",
    "invalid",
    signed(({ issuer }) => ({ iss: `${issuer}/` }))
  ),
  row(
    "J-06",
    "iss in another case",
    "invalid",
    signed(({ issuer }) => ({ iss: issuer.toUpperCase() }))
  ),
  row(
    "J-06",
    "iss with a dot behind the host",
    "invalid",
    signed(({ issuer }) => ({ iss: issuer.replace(/(\/\/[^:/]+)/, "$1.") }))
  ),
  row(
    "J-06",
    "iss with user information",
    "invalid",
    signed(({ issuer }) => ({ iss: issuer.replace("//", "//x@") }))
  ),
  row(
    "J-06",
    "iss with a zero-width space",
    "invalid",
    signed(({ issuer }) => ({ iss: `${issuer}\u200b` }))
  ),
  row(
    "J-06",
    "iss with a NUL",
    "invalid",
    signed(({ issuer }) => ({ iss: `${issuer}\u0000` }))
  ),
  row(
    "J-06",
    "iss with a look-alike",
    "invalid",
    signed(({ issuer }) => ({ iss: issuer.replace("t", "\uff54") }))
  ),
  row(
    "J-06",
    "iss in another normal form",
    "invalid",
    signed(({ issuer }) => ({ iss: `${issuer}\u0301` }))
  ),
  row(
    "J-06",
    "iss with white space",
    "invalid",
    signed(({ issuer }) => ({ iss: ` ${issuer}` }))
  ),
  row("J-06", "iss by way of __proto__", "invalid", (forge) => {
    const { iss, ...rest } = forge.claims
    return forge.es.token(JSON.stringify(rest).replace(/}$/, `,"__proto__":{"iss":${JSON.stringify(iss)}}}`))
  }),
  row(
    "J-06",
    "iss with escapes, which is the same string",
    "accepted",
    signedText((json) => json.replace("://", ":\\u002f\\u002f"))
  ),
  row("J-02", "no sub", "invalid", signed({ sub: undefined })),
  row("J-02", "an empty sub", "invalid", signed({ sub: "" })),
  row("J-02", "sub that is a number", "invalid", signed({ sub: 1 })),
  row("J-02", "sub that is an object", "invalid", signed({ sub: { toString: "alice" } })),
  row("J-02", "no client_id", "invalid", signed({ client_id: undefined })),
  row("J-02", "no jti", "invalid", signed({ jti: undefined })),
  row("J-02", "jti that is a number", "invalid", signed({ jti: 1 }), {}),
  row(
    "W-05",
    "aud with what is no string beside the resource",
    "invalid",
    signed(({ resource }) => ({ aud: [resource, 5] })),
    {}
  )
]

const scopes: ReadonlyArray<HostileRow> = [
  row("RS-37, H5", "no scope", "tooFew", signed({ scope: undefined })),
  row("RS-37, H5", "another scope", "tooFew", signed({ scope: "mcp:other" })),
  row("RS-37, H5", "the scope in another case", "tooFew", signed({ scope: "MCP:TOOLS" })),
  row("RS-37, H5", "a prefix of it", "tooFew", signed({ scope: "mcp:tool" })),
  row("D13", "a star", "tooFew", signed({ scope: "mcp:* *" })),
  row("RS-37, H5", "a number", "tooFew", signed({ scope: 1 })),
  row("RS-37, H5", "an object", "tooFew", signed({ scope: { "mcp:tools": true } })),
  row("RS-37, H5", "joined by what is no space", "tooFew", signed({ scope: "mcp:tools,mcp:other" })),
  row("J-09", "in a claim that this profile does not read", "tooFew", signed({ scope: undefined, scp: "mcp:tools" })),
  row(
    "W-08",
    "scope twice, the last one without it",
    "tooFew",
    signedText((json) => json.replace(/}$/, ',"scope":"x"}'))
  )
]

const shapes: ReadonlyArray<HostileRow> = [
  row("J-06", "an encrypted token", "invalid", async (forge) =>
    new Jose.CompactEncrypt(Keys.octets(JSON.stringify(forge.claims)))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", typ: "at+jwt" })
      .encrypt(Keys.octets("0123456789abcdef0123456789abcdef"))
  ),
  row("W-02", "a token in a token", "invalid", async (forge) =>
    forge.es.token(await forge.es.token(forge.claims), { cty: "JWT" })
  ),
  row("W-02", "a token in a token, as a JSON string", "invalid", async (forge) =>
    forge.es.token(JSON.stringify(await forge.es.token(forge.claims)), { cty: "JWT" })
  ),
  row(
    "B-11",
    "the header only",
    "invalid",
    resigned((head) => head)
  ),
  row(
    "B-11",
    "the header and a dot",
    "invalid",
    resigned((head) => `${head}.`)
  ),
  row(
    "B-11",
    "header and payload",
    "invalid",
    resigned((head, payload) => `${head}.${payload}`)
  ),
  row(
    "B-11",
    "an empty signature",
    "invalid",
    resigned((head, payload) => `${head}.${payload}.`)
  ),
  row(
    "B-11",
    "an empty payload",
    "invalid",
    resigned((head, _, signature) => `${head}..${signature}`)
  ),
  row(
    "B-11",
    "an empty header",
    "invalid",
    resigned((_, payload, signature) => `.${payload}.${signature}`)
  ),
  row("B-11", "nothing but dots", "invalid", () => ".."),
  row("B-11", "one dot", "invalid", () => "."),
  row("B-11", "four dots", "invalid", () => "...."),
  row(
    "B-11",
    "four parts",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature}.${signature}`)
  ),
  row(
    "B-11",
    "half a header",
    "invalid",
    resigned((head, payload, signature) => `${head.slice(0, 10)}.${payload}.${signature}`)
  ),
  row(
    "B-11",
    "half a payload",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload.slice(0, 20)}.${signature}`)
  ),
  row(
    "B-11",
    "half a signature",
    "invalid",
    resigned((head, payload, signature) => `${head}.${payload}.${signature.slice(0, 20)}`)
  ),
  row(
    "B-11",
    "the parts in another order",
    "invalid",
    resigned((head, payload, signature) => `${payload}.${head}.${signature}`)
  ),
  row("B-11", "an opaque token", "invalid", () => "mF_9.B5f-4.1JqM"),
  row("B-11", "one character", "invalid", () => "x"),
  row("B-11", "not base64url", "invalid", () => "~~~.~~~.~~~"),
  row(
    "B-11",
    "base64 for base64url",
    "invalid",
    resigned((head, payload, signature) =>
      `${head}.${payload}.${signature}`
        .replace(/-/g, "+")
        .replace(/_/g, "/")
        .replace(/\.[^.]*$/, ".+/+/")
    )
  ),
  row("B-11", "a header that is no JSON", "invalid", (forge) => Keys.compact("not JSON", forge.claims, forge.es.sign)),
  row("B-11", "a header that is a list", "invalid", (forge) => Keys.compact(["ES256"], forge.claims, forge.es.sign)),
  row("B-11", "a header that is null", "invalid", (forge) => Keys.compact("null", forge.claims, forge.es.sign)),
  row(
    "B-11",
    "a header with a byte order mark, which a parser may ignore (RFC 8259 section 8.1)",
    "accepted",
    (forge) => Keys.compact(`\ufeff{"alg":"ES256","typ":"at+jwt","kid":"es"}`, forge.claims, forge.es.sign)
  ),
  row("B-11", "a header nested deep", "invalid", (forge) =>
    Keys.compact(`{"alg":"ES256","typ":"at+jwt","kid":${"[".repeat(3000)}${"]".repeat(3000)}}`, {}, forge.stranger.sign)
  ),
  row("B-11", "a payload that is no JSON", "invalid", (forge) => forge.es.token("not JSON")),
  row("B-11", "a payload that is a list", "invalid", (forge) => forge.es.token([forge.claims])),
  row("B-11", "a payload that is null", "invalid", (forge) => forge.es.token("null")),
  row("B-11", "a payload that is a string", "invalid", (forge) => forge.es.token('"x"')),
  row(
    "B-11",
    "a payload with a byte order mark",
    "accepted",
    signedText((json) => `\ufeff${json}`)
  ),
  row("B-11", "a payload that is not UTF-8", "invalid", async (forge) => {
    const input = `${Keys.part({ alg: "ES256", typ: "at+jwt", kid: "es" })}.${Base64Url.encode(new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]))}`
    return `${input}.${Base64Url.encode(await forge.es.sign(Keys.octets(input)))}`
  }),
  row("B-11", "an empty object", "invalid", (forge) => forge.es.token({})),
  row(
    "W-08",
    "aud twice, the last one another's",
    "invalid",
    signedText((json) => json.replace(/}$/, ',"aud":"https://other.example"}'))
  ),
  row(
    "W-08",
    "aud twice, the last one ours",
    "accepted",
    signedText((json) => json.replace(/^{/, '{"aud":"https://other.example",'))
  ),
  row(
    "W-08",
    "a claim __proto__ is a claim like others",
    "accepted",
    signedText((json) => json.replace(/}$/, ',"__proto__":{"nonce":"x","exp":1}}'))
  ),
  row("B-11", "15 kB of nothing", "invalid", () => "x".repeat(15_000)),
  row("B-11", "15 kB of dots", "invalid", () => ".".repeat(15_000)),
  row("B-11", "64 kB", "tooLarge", () => "x".repeat(65_536), { web: "invalid" }),
  row("B-11", "a good token of 64 kB", "tooLarge", signed({ pad: "x".repeat(48_000) }), { web: "invalid" })
]

const headers: ReadonlyArray<HostileRow> = [
  header("B3", "nothing", "missing", () => ""),
  header("B3", "the scheme only", "missing", () => "Bearer"),
  header("B4", "the scheme and white space", "missing", () => "Bearer \t  "),
  header("B8", "a tab for the space", "scheme", async (forge) => `Bearer\t${await signed()(forge)}`),
  header("B8", "no space", "scheme", async (forge) => `Bearer:${await signed()(forge)}`),
  header("B8", "quotes", "token", async (forge) => `Bearer "${await signed()(forge)}"`),
  header("B8", "a parameter", "token", async (forge) => `Bearer token="${await signed()(forge)}"`),
  header(
    "B8",
    "white space in the token",
    "token",
    async (forge) => `Bearer ${(await signed()(forge)).replace(".", " .")}`
  ),
  header("B8", "a tab in the token", "token", async (forge) => `Bearer ${(await signed()(forge)).replace(".", "\t.")}`),
  header("B8", "more behind the token", "token", async (forge) => `Bearer ${await signed()(forge)} x`),
  header("B8", "a comma behind the token", "token", async (forge) => `Bearer ${await signed()(forge)},`),
  header("B8", "the scheme twice", "token", async (forge) => `Bearer Bearer ${await signed()(forge)}`),
  header("B8", "JSON for a token", "token", () => 'Bearer {"payload":"e30","signature":""}'),
  header("B8", "escapes", "token", async (forge) => `Bearer ${(await signed()(forge)).replace(".", "%2e")}`),
  header("B8", "octets beyond ASCII", "token", async (forge) => `Bearer ${await signed()(forge)}\u00e9`),
  header("B8", "a no-break space", "token", async (forge) => `Bearer \u00a0${await signed()(forge)}`),
  header("B8", "a no-break space for the space", "scheme", async (forge) => `Bearer\u00a0${await signed()(forge)}`),
  ...["\u0000", "\u0001", "\u0008", "\u001b", "\u007f", "\r", "\n"].map((control) =>
    header(
      "B8, E13",
      `${JSON.stringify(control)} in the token`,
      "unparsed",
      async (forge) => `Bearer ${(await signed()(forge)).replace(".", `${control}.`)}`,
      {
        web: ["\u0000", "\r", "\n"].includes(control) ? "unsendable" : "token"
      }
    )
  ),
  header("E13", "a header smuggled in", "missing", async (forge) => `Basic x\r\nX-Evil: ${await signed()(forge)}`, {
    web: "unsendable"
  }),
  header("B8", "a header that is folded", "unparsed", async (forge) => `Bearer\r\n ${await signed()(forge)}`, {
    web: "unsendable"
  }),

  header("B2", "the scheme in small letters", "accepted", async (forge) => `bearer ${await signed()(forge)}`),
  header("B2", "white space around", "accepted", async (forge) => `   BEARER    ${await signed()(forge)}   `),
  ...["Basic", "Digest", "Negotiate", "Token", "JWT", "MAC", "Bearer2", "OAuth", "DPoP", "GNAP"].map((scheme) =>
    header("H-11", `the scheme ${scheme}`, "missing", async (forge) => `${scheme} ${await signed()(forge)}`)
  ),
  {
    ...header("B8, B-01", "the header twice, the same", "repeated", () => ""),
    authorization: async (forge) => Array<string>(2).fill(`Bearer ${await signed()(forge)}`)
  },
  {
    ...header("B8, B-01", "the header twice, good and bad", "repeated", () => ""),
    authorization: async (forge) => [`Bearer ${await signed()(forge)}`, "Bearer x"]
  },
  {
    ...header("B8, B-01", "the header twice, bad and good", "repeated", () => ""),
    authorization: async (forge) => ["Bearer x", `Bearer ${await signed()(forge)}`]
  },
  {
    ...header("B8, B-01", "two schemes in two headers", "repeated", () => ""),
    authorization: async (forge) => ["Basic dXNlcjpwYXNz", `Bearer ${await signed()(forge)}`]
  },
  {
    ...header("B8, B-01", "and in the other order", "repeated", () => ""),
    authorization: async (forge) => [`Bearer ${await signed()(forge)}`, "Basic dXNlcjpwYXNz"]
  },
  header("B8", "two tokens in one header", "token", async (forge) => `Bearer ${await signed()(forge)}, Bearer x`, {
    web: "repeated"
  }),
  header("B8", "two schemes in one header", "token", async (forge) => `Bearer ${await signed()(forge)}, Basic x`, {
    web: "repeated"
  }),
  header("B8", "another scheme first", "missing", async (forge) => `Basic x, Bearer ${await signed()(forge)}`, {
    web: "repeated"
  }),

  {
    row: "B1, B-05, K-11",
    name: "the token in the query",
    outcome: "query",
    authorization: async () => [],
    path: async (forge) => `/mcp?access_token=${await signed()(forge)}`
  },
  {
    ...header("B-01", "the token in query and header", "query", async (forge) => `Bearer ${await signed()(forge)}`),
    path: async (forge) => `/mcp?access_token=${await signed()(forge)}`
  },
  {
    row: "B1",
    name: "in the query, escaped",
    outcome: "query",
    authorization: async () => [],
    path: async (forge) => `/mcp?%61ccess_token=${await signed()(forge)}`
  },
  {
    row: "B1, B-04",
    name: "the token in a form",
    outcome: "missing",
    authorization: async () => [],
    form: async (forge) => `access_token=${await signed()(forge)}`
  }
]

const controls: ReadonlyArray<HostileRow> = [
  row("J-01", "RS256", "accepted", (forge) => forge.rs.token(forge.claims)),
  row("J-01", "ES256", "accepted", signed()),
  row("J-01", "EdDSA", "accepted", (forge) => forge.ed.token(forge.claims)),
  row(
    "J-06",
    "the resource among other audiences",
    "accepted",
    signed(({ resource }) => ({ aud: ["https://other.example", resource] }))
  )
]

export const hostileTokens: ReadonlyArray<HostileRow> = [
  ...controls,
  ...algorithms,
  ...embedded,
  ...signatures,
  ...audiences,
  ...times,
  ...kinds,
  ...keyIds,
  ...issuers,
  ...scopes,
  ...shapes,
  ...headers
]
