import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { InvalidToken } from "../../src/server/AuthError.js"
import { Claims } from "../../src/server/Claims.js"
import * as JwtAccessToken from "../../src/server/JwtAccessToken.js"
import * as TokenProfile from "../../src/server/TokenProfile.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"

const { issuer, resource } = Guarded
const now = 1_800_000_000
const header = { alg: "RS256", typ: "at+jwt", kid: "k1" }
const payload = {
  iss: issuer,
  aud: resource,
  sub: "alice",
  client_id: "app",
  iat: now - 10,
  exp: now + 60,
  jti: "1",
  scope: "mcp:tools"
}

const expectation = (more: Partial<JwtAccessToken.Expectation> = {}): JwtAccessToken.Expectation => ({
  algorithms: ["RS256", "ES256"],
  profile: TokenProfile.rfc9068,
  issuers: [issuer],
  config: Guarded.configOf(),
  now,
  tolerance: 5,
  ...more
})

/** A JWS as it is before its signature is looked at; a string is taken as it is. */
const jws = (headers: unknown, claims: unknown = payload, signature = "c2ln") =>
  `${Keys.part(headers)}.${Keys.part(claims)}.${signature}`

const outcomeOf = (token: string, expected = expectation()): string => {
  const result = JwtAccessToken.preliminary(token, expected)
  return result instanceof InvalidToken ? result.reason : "passes"
}

describe("the header (W-01, W-06, J-01, J-05)", () => {
  const headers: ReadonlyArray<readonly [name: string, header: unknown, outcome: string]> = [
    ["as it should be", header, "passes"],
    ["another listed algorithm", { ...header, alg: "ES256" }, "passes"],
    ["an algorithm that is not listed", { ...header, alg: "PS256" }, "algorithm"],
    ["none", { ...header, alg: "none" }, "algorithm"],
    ["None", { ...header, alg: "None" }, "algorithm"],
    ["HMAC", { ...header, alg: "HS256" }, "algorithm"],
    ["in lower case", { ...header, alg: "rs256" }, "algorithm"],
    ["no algorithm", { ...header, alg: undefined }, "algorithm"],
    ["a list of algorithms", { ...header, alg: ["RS256"] }, "algorithm"],
    ["an algorithm by prototype", `{"__proto__":{"alg":"RS256"},"typ":"at+jwt"}`, "algorithm"],
    ["crit", { ...header, crit: ["exp"] }, "malformed"],
    ["an empty crit", { ...header, crit: [] }, "malformed"],
    ["crit null", { ...header, crit: null }, "malformed"],
    ["b64 false", { ...header, b64: false }, "malformed"],
    ["b64 true", { ...header, b64: true }, "malformed"],
    ["typ in the long form", { ...header, typ: "application/at+jwt" }, "passes"],
    ["typ in capitals", { ...header, typ: "AT+JWT" }, "passes"],
    ["typ twice long", { ...header, typ: "application/application/at+jwt" }, "type"],
    ["typ JWT", { ...header, typ: "JWT" }, "type"],
    ["typ with a space", { ...header, typ: "at+jwt " }, "type"],
    ["typ empty", { ...header, typ: "" }, "type"],
    ["typ missing", { ...header, typ: undefined }, "type"],
    ["typ null", { ...header, typ: null }, "type"],
    ["typ a list", { ...header, typ: ["at+jwt"] }, "type"],
    ["a list", [header], "malformed"],
    ["null", "null", "malformed"],
    ["a string", `"header"`, "malformed"],
    ["no JSON", "{", "malformed"],
    ["nothing", "", "malformed"],
    [
      "a key of its own, which nobody asks for",
      { ...header, jwk: { kty: "RSA" }, jku: "https://evil.example" },
      "passes"
    ]
  ]
  it.each(headers)("%s", (_, value, outcome) => {
    assert.strictEqual(outcomeOf(jws(value)), outcome)
  })

  it("W-06 a kid is handed on if it is a string, whatever it says", () => {
    const kidOf = (kid: unknown) => JwtAccessToken.preliminary(jws({ ...header, kid }), expectation())
    const expected = { alg: "RS256", issuer }
    assert.deepStrictEqual(kidOf("../../etc/passwd"), { ...expected, kid: "../../etc/passwd" })
    assert.deepStrictEqual(kidOf(""), { ...expected, kid: "" })
    assert.deepStrictEqual(kidOf(undefined), expected)
    for (const kid of [null, 1, ["k1"], {}]) {
      assert.strictEqual(outcomeOf(jws({ ...header, kid })), "malformed")
    }
  })

  it("a type that is not there passes only where the profile says so, and one that is no string nowhere", () => {
    const relaxed = expectation({ profile: TokenProfile.relaxed })
    assert.strictEqual(outcomeOf(jws({ alg: "RS256" }), relaxed), "passes")
    for (const typ of [null, 0, "", false, [], {}])
      assert.strictEqual(outcomeOf(jws({ alg: "RS256", typ }), relaxed), "type")
  })
})

describe("the claims (J-06, W-04, W-05, W-08)", () => {
  const claims: ReadonlyArray<readonly [name: string, claims: unknown, outcome: string]> = [
    ["as they should be", payload, "passes"],
    ["iss of another", { ...payload, iss: "https://other.example" }, "issuer"],
    ["iss with a slash more", { ...payload, iss: `${issuer}/` }, "issuer"],
    ["iss in capitals", { ...payload, iss: issuer.toUpperCase() }, "issuer"],
    ["iss a list", { ...payload, iss: [issuer] }, "issuer"],
    ["iss missing", { ...payload, iss: undefined }, "issuer"],
    ["exp within the tolerance", { ...payload, exp: now - 4 }, "passes"],
    ["exp within the tolerance, just", { ...payload, exp: now - 4.999 }, "passes"],
    ["exp at the tolerance", { ...payload, exp: now - 5 }, "expired"],
    ["exp long ago", { ...payload, exp: 0 }, "expired"],
    ["exp a string", { ...payload, exp: String(now + 60) }, "claims"],
    ["exp missing", { ...payload, exp: undefined }, "claims"],
    ["exp null", { ...payload, exp: null }, "claims"],
    ["exp infinite", JSON.stringify(payload).replace(/"exp":\d+/, '"exp":1e999'), "claims"],
    ["exp true", { ...payload, exp: true }, "claims"],
    ["nbf within the tolerance", { ...payload, nbf: now + 5 }, "passes"],
    ["nbf beyond it", { ...payload, nbf: now + 6 }, "notYetValid"],
    ["nbf a string", { ...payload, nbf: "0" }, "claims"],
    ["nbf null", { ...payload, nbf: null }, "claims"],
    ["iat within the tolerance", { ...payload, iat: now + 5 }, "passes"],
    ["iat beyond it", { ...payload, iat: now + 6 }, "notYetValid"],
    ["iat an object", { ...payload, iat: {} }, "claims"],
    ["nonce", { ...payload, nonce: "n" }, "type"],
    ["nonce null", { ...payload, nonce: null }, "type"],
    ["at_hash", { ...payload, at_hash: "h" }, "type"],
    ["aud a list with the resource", { ...payload, aud: ["x", resource] }, "passes"],
    ["aud another", { ...payload, aud: "x" }, "audience"],
    ["aud empty", { ...payload, aud: [] }, "audience"],
    ["aud a list in a list", { ...payload, aud: [[resource]] }, "audience"],
    ["aud an object", { ...payload, aud: { 0: resource, length: 1 } }, "audience"],
    ["aud twice, the last time another", JSON.stringify(payload).replace(/\}$/, ',"aud":"x"}'), "audience"],
    ["sub missing", { ...payload, sub: undefined }, "claims"],
    ["jti missing", { ...payload, jti: undefined }, "claims"],
    ["client_id missing", { ...payload, client_id: undefined }, "claims"],
    ["client_id empty", { ...payload, client_id: "" }, "claims"],
    ["client_id a number", { ...payload, client_id: 1 }, "claims"],
    ["by prototype", `{"__proto__":${JSON.stringify(payload)}}`, "issuer"],
    ["a list", [payload], "malformed"],
    ["null", "null", "malformed"],
    ["a string", `"${issuer}"`, "malformed"],
    ["no JSON", "{", "malformed"],
    ["nothing", "", "malformed"]
  ]
  it.each(claims)("%s", (_, value, outcome) => {
    assert.strictEqual(outcomeOf(jws(header, value)), outcome)
  })

  it("claims must be own: what every object has is no claim", () => {
    const profile = { ...TokenProfile.rfc9068, requiredValues: { toString: "x" } }
    assert.strictEqual(outcomeOf(jws(header), expectation({ profile })), "type")
  })

  it("expiry comes before all that another token might cure", () => {
    assert.strictEqual(outcomeOf(jws(header, { ...payload, exp: 0, aud: "x" })), "expired")
  })
})

describe("the form", () => {
  const token = jws(header)
  const forms: ReadonlyArray<readonly [name: string, token: string, outcome: string]> = [
    ["as it should be", token, "passes"],
    ["longer than 16 kB", `${token}${"A".repeat(JwtAccessToken.maxLength)}`, "malformed"],
    ["two parts", token.slice(0, token.lastIndexOf(".")), "malformed"],
    ["four parts", `${token}.x`, "malformed"],
    ["five parts, as a JWE", `${token}.x.y`, "malformed"],
    ["one part", "opaque", "malformed"],
    ["nothing", "", "malformed"],
    ["dots", "..", "malformed"],
    ["JSON serialisation", JSON.stringify({ payload: Keys.part(payload), signatures: [] }), "malformed"],
    ["padding", token.replace(".", "=."), "malformed"],
    ["the alphabet of plain base64", `${Keys.part(header)}.${Keys.part(payload)}.+/+/`, "malformed"],
    ["a space in front", ` ${token}`, "malformed"]
  ]
  // What passes here has its signature checked over the very characters that came: see the authorizer's own tests.
  it.each(forms)("%s", (_, value, outcome) => {
    assert.strictEqual(outcomeOf(value), outcome)
  })

  it("no text at all makes it throw, and none passes", () => {
    const text = FastCheck.oneof(
      FastCheck.string({ unit: "binary" }),
      FastCheck.array(FastCheck.base64String(), { maxLength: 6 }).map((parts) => parts.join(".")),
      FastCheck.tuple(FastCheck.json(), FastCheck.json()).map(([head, body]) => jws(head, body))
    )
    FastCheck.assert(
      FastCheck.property(text, (token) => {
        assert.instanceOf(JwtAccessToken.preliminary(token, expectation()), InvalidToken)
      }),
      { numRuns: 500 }
    )
  })

  it("no claim of any value makes it throw, and what passes has every claim that it needs", () => {
    const names = [...TokenProfile.rfc9068.requiredClaims, "nbf", "nonce", "cnf", "scope"]
    const claims = FastCheck.tuple(FastCheck.constantFrom(...names), FastCheck.jsonValue())
    FastCheck.assert(
      FastCheck.property(claims, ([name, value]) => {
        const changed = { ...payload, [name]: value }
        const result = JwtAccessToken.preliminary(jws(header, changed), expectation())
        if (result instanceof InvalidToken) return
        const made = JwtAccessToken.toClaims(changed, issuer, TokenProfile.rfc9068)
        if (made instanceof Claims) assert.isTrue(made.subject !== "" && made.audience.includes(resource))
      }),
      { numRuns: 500 }
    )
  })
})

describe("toClaims (D3–D9)", () => {
  const made = (more: object, profile = TokenProfile.relaxed): Claims | string => {
    const claims = JwtAccessToken.toClaims({ ...payload, ...more }, issuer, profile)
    return claims instanceof InvalidToken ? claims.reason : claims
  }
  const scopes = (more: object, profile?: TokenProfile.TokenProfile) => {
    const claims = made({ scope: undefined, ...more }, profile)
    return claims instanceof Claims ? claims.scopes : claims
  }

  it("D3 D5 D7 D9 takes subject, expiry and audience, and keeps the rest behind Redacted", () => {
    const claims = made({ aud: [resource, "x"], custom: "kept" }) as Claims
    assert.deepInclude({ ...claims }, { issuer, subject: "alice", audience: [resource, "x"], expiresAt: now + 60 })
    assert.deepInclude(Redacted.value(claims.raw), { custom: "kept" })
    assert.notInclude(JSON.stringify(claims), "kept")
  })

  it("D3 a subject is a string that is not empty", () => {
    for (const sub of [undefined, null, "", 1, ["alice"], { id: 1 }]) assert.strictEqual(made({ sub }), "claims")
  })

  it("D4 client_id, else azp", () => {
    assert.strictEqual((made({ azp: "other" }) as Claims).clientId, "app")
    assert.strictEqual((made({ client_id: undefined, azp: "other" }) as Claims).clientId, "other")
    assert.strictEqual((made({ client_id: 1, azp: "other" }) as Claims).clientId, "other")
    assert.isUndefined((made({ client_id: undefined }) as Claims).clientId)
  })

  const lists: ReadonlyArray<readonly [name: string, claims: object, scopes: ReadonlyArray<string>]> = [
    ["a string", { scope: "a b" }, ["a", "b"]],
    ["a list", { scp: ["a", "b"] }, ["a", "b"]],
    ["a single one", { scopes: "a" }, ["a"]],
    ["all three, without repetition", { scope: "a b", scp: ["b", "c"], scopes: "c d" }, ["a", "b", "c", "d"]],
    ["white space of all kinds", { scope: " a\t b \n" }, ["a", "b"]],
    ["a list item with a space: it is no scope, let alone two", { scp: ["read admin", "b"] }, ["b"]],
    ["a list item that is empty or not ASCII", { scp: ["", "ä", 'a"', "b"] }, ["b"]],
    ["a list with what is no string", { scp: [1, null, ["admin"], { a: 1 }, "b"] }, ["b"]],
    ["a number", { scope: 1 }, []],
    ["null", { scope: null }, []],
    ["an object", { scope: { admin: true } }, []],
    ["nothing", {}, []]
  ]
  it.each(lists)("D6 scopes of %s", (_, claims, expected) => {
    assert.deepStrictEqual(scopes(claims), expected)
  })

  it("D6 scopes from inside of other claims, and only from what is there itself", () => {
    const profile = {
      ...TokenProfile.relaxed,
      scopeClaims: [
        ["realm_access", "roles"],
        ["a", "b", "c"]
      ]
    }
    assert.deepStrictEqual(scopes({ realm_access: { roles: ["x"] }, a: { b: { c: "y z" } } }, profile), ["x", "y", "z"])
    for (const realm_access of [null, 1, "roles", [], ["roles"], { roles: {} }, { __proto__: { roles: ["x"] } }]) {
      assert.deepStrictEqual(scopes({ realm_access }, profile), [])
    }
    const inherited = {
      ...profile,
      scopeClaims: [
        ["constructor", "name"],
        ["__proto__", "x"]
      ]
    }
    assert.deepStrictEqual(scopes({}, inherited), [])
  })

  it("N-03 RS-32 the first claim that stands for the audience does, even if it names nobody", () => {
    const profile = { ...TokenProfile.relaxed, audienceClaims: ["aud", "client_id"] as const }
    const audience = (more: object) => (made(more, profile) as Claims).audience
    assert.deepStrictEqual(audience({ aud: "x" }), ["x"])
    assert.deepStrictEqual(audience({ aud: undefined }), ["app"])
    assert.deepStrictEqual(audience({ aud: [] }), [])
    assert.deepStrictEqual(audience({ aud: null }), [])
    assert.deepStrictEqual(audience({ aud: 1 }), [])
  })
})

describe("confirmationOf (N-03; RFC 7800)", () => {
  const bindings: ReadonlyArray<readonly [cnf: unknown, expected: unknown]> = [
    [{ jkt: "a" }, { jkt: "a" }],
    [{ "x5t#S256": "b" }, { "x5t#S256": "b" }],
    [
      { jkt: "a", "x5t#S256": "b", kid: "c" },
      { jkt: "a", "x5t#S256": "b" }
    ],
    [{ jkt: 1, "x5t#S256": "b" }, { "x5t#S256": "b" }],
    [{ jkt: 1 }, "binding"],
    [{ kid: "c" }, "binding"],
    [{ jwk: {} }, "binding"],
    [{}, "binding"],
    [[], "binding"],
    [null, "binding"],
    ["jkt", "binding"],
    [1, "binding"],
    [true, "binding"]
  ]
  it.each(bindings)("%j", (cnf, expected) => {
    const found = JwtAccessToken.confirmationOf(cnf)
    assert.deepStrictEqual(found instanceof InvalidToken ? found.reason : found, expected)
  })

  it("a token with a binding that is not understood does not count as unbound", () => {
    const claims = JwtAccessToken.toClaims({ ...payload, cnf: { kid: "c" } }, issuer, TokenProfile.rfc9068)
    assert.instanceOf(claims, InvalidToken)
  })
})

describe("what a client is told (H7)", () => {
  it("of all reasons only that the token has expired", () => {
    assert.strictEqual(JwtAccessToken.expired().description, "The access token has expired")
    assert.isUndefined(JwtAccessToken.tooLong().description)
    for (const token of ["x", jws({ ...header, alg: "none" }), jws(header, { ...payload, aud: "secret-audience" })]) {
      const refused = JwtAccessToken.preliminary(token, expectation())
      assert.instanceOf(refused, InvalidToken)
      if (!(refused instanceof InvalidToken)) return
      assert.isUndefined(refused.description)
      // Nor is anything of the token in what the log is told.
      assert.notInclude(refused.message, "secret-audience")
    }
  })
})
