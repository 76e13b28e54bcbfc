import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { type BearerCredentials, parse } from "../../src/protocol/BearerCredentials.js"
import { headers } from "../vectors/BearerCredentials.js"

/** Any UTF-16, well-formed or not. */
const wide = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) })

const b64token = fc
  .tuple(
    fc.string({ unit: fc.constantFrom(..."-._~+/azAZ09"), minLength: 1, maxLength: 40 }),
    fc.constantFrom("", "=", "==")
  )
  .map((parts) => parts.join(""))

const expectation = (expected: (typeof headers)[number]["expected"]): BearerCredentials => {
  switch (expected) {
    case "missing":
      return { _tag: "Missing" }
    case "scheme":
      return { _tag: "Malformed", rule: "the scheme must be a token, followed by a space (RFC 9110 section 11.4)" }
    case "token":
      return { _tag: "Malformed", rule: "the token must be one b64token (RFC 6750 section 2.1)" }
    default:
      return { _tag: "Credentials", scheme: expected[0], token: expected[1] }
  }
}

describe("BearerCredentials", () => {
  for (const { row, header, expected } of headers) {
    it(`${row}: ${JSON.stringify(header)}`, () => assert.deepStrictEqual(parse(header), expectation(expected)))
  }

  it("B2, B-03: any b64token, after any number of spaces", () => {
    fc.assert(
      fc.property(b64token, fc.integer({ min: 1, max: 4 }), (token, spaces) => {
        const header = `Bearer${" ".repeat(spaces)}${token}`
        assert.deepStrictEqual(parse(header), { _tag: "Credentials", scheme: "Bearer", token })
      })
    )
  })

  it("never throws, and gives no token that is none", () => {
    const any = fc.oneof(
      wide,
      fc.tuple(fc.constantFrom("Bearer ", "dpop ", "Bearer"), wide).map((parts) => parts.join("")),
      fc.array(fc.constantFrom("Bearer", " ", "\t", "a", "=", ",", "\u00a0")).map((parts) => parts.join(""))
    )
    fc.assert(
      fc.property(any, (header) => {
        const parsed = parse(header)
        if (parsed._tag === "Credentials") assert.match(parsed.token, /^[A-Za-z0-9._~+/-]+=*$/)
      }),
      { numRuns: 1000 }
    )
  })

  it("B8: a joined second header never wins", () => {
    fc.assert(
      fc.property(b64token, b64token, fc.constantFrom(",", ", ", " , "), (first, second, comma) => {
        assert.strictEqual(parse(`Bearer ${first}${comma}Bearer ${second}`)._tag, "Malformed")
      })
    )
  })

  it("a refusal holds nothing of the header", () => {
    fc.assert(
      fc.property(b64token, (token) => {
        const { rule } = parse(`Bearer 5ecret${token} x`) as { readonly rule: string }
        assert.notInclude(rule, "5ecret")
      })
    )
  })

  it("reads 100 kB in linear time", () => {
    const start = performance.now()
    for (const unit of [" ", "a", "=", "a ", "a=", "\t", ","]) {
      for (const end of ["", "@"]) parse(`Bearer ${unit.repeat(100_000 / unit.length)}${end}`)
      parse(`${unit.repeat(100_000 / unit.length)}a`)
    }
    assert.isBelow(performance.now() - start, 1000)
  })
})
