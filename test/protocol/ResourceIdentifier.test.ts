import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { covers, equivalent, issuerViolation, parts, violation } from "../../src/protocol/ResourceIdentifier.js"
import { coverage, equivalence, identifiers } from "../vectors/ResourceIdentifier.js"

/** Any UTF-16, well-formed or not. */
const wide = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) })

const authority = fc.constantFrom(
  "h.example",
  "H.Example:443",
  "h.example:8443",
  "[2001:db8::1]",
  "127.0.0.1:80",
  "localhost"
)
const segment = fc.string({ unit: fc.constantFrom("a", "b", "A", "%2f", "%2e", ".", "~", ":", "@"), maxLength: 4 })
const path = fc.array(segment, { maxLength: 4 }).map((segments) => segments.map((one) => `/${one}`).join(""))
const query = fc.constantFrom("", "", "?", "?a=b", "?a=b&c")
const legal = fc
  .tuple(fc.constantFrom("https", "http", "HTTPS"), authority, path, query)
  .map(([scheme, host, ...rest]) => `${scheme}://${host}${rest.join("")}`)
const wild = fc.oneof(
  legal,
  wide,
  fc
    .array(
      fc.constantFrom("https:", "http:", "/", "\\", "@", "h", ":", "80", "443", "?", "#", "%", "[", "]", "\t", " ", ".")
    )
    .map((fragments) => fragments.join(""))
)

describe("ResourceIdentifier", () => {
  describe("violation", () => {
    for (const { row, value, resource } of identifiers) {
      it(`${row}: ${JSON.stringify(value)}`, () => assert.strictEqual(violation(value), resource))
    }
  })

  describe("issuerViolation (A8, AM-01)", () => {
    for (const { row, value, issuer } of identifiers) {
      it(`${row}: ${JSON.stringify(value)}`, () => assert.strictEqual(issuerViolation(value), issuer))
    }

    it("A12: allowInsecure lifts https, and nothing else", () => {
      for (const { value, resource } of identifiers) {
        const expected = resource ?? (value.includes("?") ? "must not have a query" : undefined)
        assert.strictEqual(issuerViolation(value, { allowInsecure: true }), expected, value)
      }
    })

    it("A12: the default is false", () => {
      assert.isDefined(issuerViolation("http://as.example", {}))
      assert.isDefined(issuerViolation("http://as.example", { allowInsecure: undefined }))
      assert.isDefined(issuerViolation("http://as.example", { allowInsecure: false }))
    })
  })

  describe("parts", () => {
    const table: ReadonlyArray<readonly [string, ReturnType<typeof parts>]> = [
      ["https://h.example", { origin: "https://h.example", path: "", query: "" }],
      ["https://h.example/", { origin: "https://h.example", path: "/", query: "" }],
      ["https://h.example?", { origin: "https://h.example", path: "", query: "?" }],
      ["HTTPS://H.example:443/A/?b=/c", { origin: "HTTPS://H.example:443", path: "/A/", query: "?b=/c" }],
      ["https://[::1]:8443/a", { origin: "https://[::1]:8443", path: "/a", query: "" }],
      ["https://h.example/a/../b", { origin: "https://h.example", path: "/a/../b", query: "" }],
      ["https://u:p@h.example/a?b#c", { origin: "https://h.example", path: "/a", query: "?b" }],
      ["https://u@v@h.example/", { origin: "https://h.example", path: "/", query: "" }],
      ["https://h.example\\@evil.example/", undefined],
      ["https:\\\\evil.example/", undefined],
      ["https:///evil.example/a", undefined],
      ["https:/h.example/a", undefined],
      ["https://h.example/\t", undefined],
      ["https://h.example/%", undefined],
      ["ftp://h.example/", undefined],
      ["mcp", undefined],
      ["", undefined]
    ]
    for (const [value, expected] of table) {
      it(`A28: ${JSON.stringify(value)}`, () => assert.deepStrictEqual(parts(value), expected))
    }

    it("puts a legal identifier together again, byte for byte (PR-08)", () => {
      fc.assert(
        fc.property(legal, (value) => {
          const split = parts(value)
          assert.strictEqual(`${split?.origin}${split?.path}${split?.query}`, value)
        })
      )
    })

    it("never names another host than the one that URL would ask", () => {
      fc.assert(
        fc.property(wild, (value) => {
          const split = parts(value)
          if (split === undefined) return
          assert.strictEqual(new URL(split.origin).origin, new URL(value).origin)
          assert.strictEqual(new URL(`${split.origin}/.well-known/x`).origin, new URL(value).origin)
        }),
        { numRuns: 1000 }
      )
    })
  })

  describe("covers (D11)", () => {
    for (const { title, resource, url, covers: expected } of coverage) {
      it(`${title}: ${JSON.stringify(resource)}, ${JSON.stringify(url)}`, () =>
        assert.strictEqual(covers(resource, url), expected))
    }

    it("never reaches another origin, and never throws", () => {
      fc.assert(
        fc.property(wild, wild, (resource, url) => {
          if (!covers(resource, url)) return
          assert.strictEqual(new URL(url).origin, new URL(resource).origin)
          assert.isUndefined(violation(resource))
        }),
        { numRuns: 1000 }
      )
    })

    it("a legal identifier covers itself, and its origin covers it", () => {
      fc.assert(
        fc.property(legal, (value) => {
          assert.isTrue(covers(value, value))
          assert.isTrue(covers(parts(value)?.origin ?? "", value))
        })
      )
    })

    it("is transitive", () => {
      fc.assert(
        fc.property(legal, path, path, (value, middle, last) => {
          const base = `${parts(value)?.origin}${parts(value)?.path}`
          if (covers(base, base + middle) && covers(base + middle, base + middle + last)) {
            assert.isTrue(covers(base, base + middle + last))
          }
        })
      )
    })
  })

  describe("equivalent (D16)", () => {
    for (const { title, left, right, equivalent: expected } of equivalence) {
      it(`${title}: ${JSON.stringify(left)}, ${JSON.stringify(right)}`, () => {
        assert.strictEqual(equivalent(left, right), expected)
        assert.strictEqual(equivalent(right, left), expected)
      })
    }

    it("holds of every string and itself, is symmetric, and never throws", () => {
      fc.assert(
        fc.property(wild, wild, (left, right) => {
          assert.isTrue(equivalent(left, left))
          assert.strictEqual(equivalent(left, right), equivalent(right, left))
        }),
        { numRuns: 1000 }
      )
    })

    it("is finer than being the same URL", () => {
      fc.assert(
        fc.property(legal, legal, (left, right) => {
          if (equivalent(left, right)) assert.strictEqual(new URL(left).href, new URL(right).href)
        }),
        { numRuns: 1000 }
      )
    })
  })
})
