import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import {
  type AuthorizationRequest,
  endpointViolation,
  parameters,
  toUrl
} from "../../src/protocol/AuthorizationRequest.js"
import { endpoints } from "../vectors/AuthorizationRequest.js"

const request: AuthorizationRequest = {
  clientId: "https://client.example/id.json",
  redirectUri: "http://127.0.0.1:4711/callback",
  codeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
  state: "af0ifjsldkj"
}
const base: ReadonlyArray<readonly [string, string]> = [
  ["response_type", "code"],
  ["client_id", "https://client.example/id.json"],
  ["redirect_uri", "http://127.0.0.1:4711/callback"],
  ["code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
  ["code_challenge_method", "S256"],
  ["state", "af0ifjsldkj"]
]

describe("AuthorizationRequest", () => {
  describe("endpointViolation (CL-58, SEC-01)", () => {
    for (const [row, endpoint, rule] of endpoints) {
      it(`${row}: ${JSON.stringify(endpoint)}`, () => assert.strictEqual(endpointViolation(endpoint), rule))
    }

    it("nothing but https, or http on a loopback host, reaches a browser", () => {
      const fragments = [
        "https:",
        "http:",
        "javascript:",
        "//",
        "/",
        "\\",
        "@",
        "localhost",
        "evil.com",
        "?",
        "#",
        "\n",
        "state=",
        "&"
      ]
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...fragments)), (chosen) => {
          const endpoint = chosen.join("")
          if (endpointViolation(endpoint) !== undefined) return
          const url = new URL(toUrl(endpoint, request))
          assert.isTrue(url.protocol === "https:" || url.hostname === "localhost")
          assert.strictEqual(url.origin, new URL(endpoint).origin)
          assert.deepStrictEqual(url.searchParams.getAll("state"), [request.state])
        }),
        { numRuns: 1000 }
      )
    })
  })

  describe("parameters", () => {
    it("the code flow with PKCE, in a fixed order (CL-40, CL-41)", () => {
      assert.deepStrictEqual(parameters(request), base)
    })

    it("resource and scope come next (CL-46, CL-61)", () => {
      assert.deepStrictEqual(parameters({ ...request, scope: "a b", resource: "https://h.example/mcp" }), [
        ...base,
        ["resource", "https://h.example/mcp"],
        ["scope", "a b"]
      ])
    })

    it("CL-61: no scope, no parameter", () => {
      assert.deepStrictEqual(parameters({ ...request, scope: undefined, resource: undefined, extra: undefined }), base)
      assert.deepStrictEqual(parameters({ ...request, scope: "" }), base)
    })

    it("extra comes last (S-02)", () => {
      assert.deepStrictEqual(
        parameters({ ...request, extra: { acr_values: "a b", max_age: "5", prompt: "consent" } }),
        [...base, ["acr_values", "a b"], ["max_age", "5"], ["prompt", "consent"]]
      )
    })

    it("extra replaces, repeats and supplies none of the others (RFC 6749 §3.1, RFC 9101 §4, Q-01)", () => {
      const extra = {
        response_type: "token",
        client_id: "evil",
        redirect_uri: "https://evil.example",
        code_challenge: "x",
        code_challenge_method: "plain",
        state: "x",
        resource: "https://evil.example",
        scope: "admin",
        request: "jwt",
        request_uri: "urn:x"
      }
      assert.deepStrictEqual(parameters({ ...request, extra }), base)
      assert.deepStrictEqual(parameters({ ...request, scope: "a", resource: "https://h.example", extra }), [
        ...base,
        ["resource", "https://h.example"],
        ["scope", "a"]
      ])
    })

    it("no name comes twice", () => {
      const name = fc.oneof(fc.constantFrom("state", "resource", "scope", "prompt", "__proto__"), fc.string())
      fc.assert(
        fc.property(
          fc.array(fc.tuple(name, fc.string())),
          fc.option(fc.string(), { nil: undefined }),
          (extra, scope) => {
            const names = parameters({ ...request, scope, extra: Object.fromEntries(extra) }).map(([key]) => key)
            assert.strictEqual(new Set(names).size, names.length)
          }
        )
      )
    })
  })

  describe("toUrl", () => {
    it("form-encodes (RFC 6749 appendix B)", () => {
      assert.strictEqual(
        toUrl("https://as.example/authorize", { ...request, scope: "a b", extra: { x: "ü&=+%" } }),
        "https://as.example/authorize?response_type=code&client_id=https%3A%2F%2Fclient.example%2Fid.json" +
          "&redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback" +
          "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&state=af0ifjsldkj" +
          "&scope=a+b&x=%C3%BC%26%3D%2B%25"
      )
    })

    const own: ReadonlyArray<readonly [string, string]> = [
      ["https://as.example", "?"],
      ["https://as.example/authorize", "?"],
      ["https://as.example/authorize?", ""],
      ["https://as.example/authorize?a=b", "&"],
      ["https://as.example/authorize?a=b&", ""],
      ["https://AS.example:443/a/../b?x=%2f+%7e&y=1&y=2&&z", "&"],
      ["https://as.example/authorize?next=/?", "&"],
      ["https://as.example/authorize?p='a'(b)*~!", "&"]
    ]
    for (const [endpoint, separator] of own) {
      it(`the endpoint's own query is kept byte for byte (OAuth 2.1 §3.1): ${endpoint}`, () => {
        const url = toUrl(endpoint, request)
        assert.isTrue(url.startsWith(`${endpoint}${separator}response_type=code&`))
        const { searchParams } = new URL(url)
        for (const [name, value] of base) assert.deepStrictEqual(searchParams.getAll(name), [value])
      })
    }

    it("CL-47, RI-07: resource arrives as it was given", () => {
      const resource = fc.oneof(
        fc.constantFrom(
          "https://h.example",
          "https://h.example/",
          "HTTPS://H.example:443/A%2fb/?q=%7E&r=+#",
          "https://[2001:DB8::1]/mcp",
          "https://h.example/a/../b"
        ),
        fc.string({ unit: "grapheme" })
      )
      fc.assert(
        fc.property(resource, fc.constantFrom("https://as.example", "https://as.example/?a=b"), (value, endpoint) => {
          const url = new URL(toUrl(endpoint, { ...request, resource: value }))
          assert.deepStrictEqual(url.searchParams.getAll("resource"), [value])
        })
      )
    })

    it("gives back what parameters gave", () => {
      fc.assert(
        fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })), (extra) => {
          const full = { ...request, resource: "https://h.example/mcp", scope: "a b", extra }
          const arrived = Array.from(new URL(toUrl("https://as.example", full)).searchParams)
          assert.deepStrictEqual(arrived as ReadonlyArray<readonly [string, string]>, parameters(full))
        })
      )
    })
  })
})
