import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { constantTimeEquals, type Expected, validate } from "../../src/protocol/AuthorizationResponse.js"
import { ISSUER, issuers, nearIssuers } from "../vectors/AuthorizationResponse.js"

/** Any UTF-16, well-formed or not. */
const wide = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) })

const STATE = "af0ifjsldkj"
const expected = (issuerParameterSupported: boolean): Expected => ({
  state: STATE,
  issuer: ISSUER,
  issuerParameterSupported
})
const responses = {
  success: { code: "SplxlOBeZQQYbYS6WxSbIA" },
  error: { error: "access_denied", error_description: "The user said no", error_uri: "https://as.example/e" }
}
const accepted = {
  success: { _tag: "Granted", code: "SplxlOBeZQQYbYS6WxSbIA" },
  error: { _tag: "Refused", error: "access_denied", description: "The user said no" }
}
const kinds = ["success", "error"] as const

describe("AuthorizationResponse", () => {
  describe("the issuer table (CL-54, I-03, I-04)", () => {
    for (const { flag, iss, passes } of issuers) {
      for (const kind of kinds) {
        it(`flag ${flag}, iss ${iss ?? "absent"}, ${kind}: ${passes ? "continue" : "reject"}`, () => {
          const response = new URLSearchParams({ ...responses[kind], state: STATE })
          if (iss !== undefined) response.set("iss", iss)
          const judged = validate(response, expected(flag))
          if (passes) assert.deepStrictEqual(judged as unknown, accepted[kind])
          else {
            assert.strictEqual(judged._tag, "Invalid")
            assert.strictEqual((judged as { readonly rule: string }).rule, "issuer")
          }
        })
      }
    }

    for (const iss of nearIssuers) {
      it(`CL-55: ${JSON.stringify(iss)} is not ${ISSUER}`, () => {
        for (const kind of kinds) {
          for (const flag of [true, false]) {
            const judged = validate(new URLSearchParams({ ...responses[kind], state: STATE, iss }), expected(flag))
            assert.strictEqual(judged._tag === "Invalid" && judged.rule, "issuer")
          }
        }
      })
    }

    it("I-03: iss is compared after form-decoding", () => {
      const response = new URLSearchParams(`code=abc&state=${STATE}&iss=https%3A%2F%2Fas.example%2Ft1`)
      assert.deepStrictEqual(validate(response, expected(true)), { _tag: "Granted", code: "abc" })
    })
  })

  describe("state (J6, CL-50, Z-02)", () => {
    const table: ReadonlyArray<readonly [string, string | undefined]> = [
      ["missing", undefined],
      ["empty", ""],
      ["another", "af0ifjsldkk"],
      ["shorter", "af0ifjsldk"],
      ["longer", `${STATE}x`],
      ["in another case", STATE.toUpperCase()],
      ["with a space", ` ${STATE}`]
    ]
    for (const [title, state] of table) {
      for (const kind of kinds) {
        it(`${title}, ${kind}`, () => {
          const response = new URLSearchParams({ ...responses[kind], iss: ISSUER })
          if (state !== undefined) response.set("state", state)
          const judged = validate(response, expected(true))
          assert.strictEqual(judged._tag === "Invalid" && judged.rule, "state")
        })
      }
    }

    it("an empty state is refused even where an empty one was recorded", () => {
      for (const query of ["code=abc", "code=abc&state=", "error=x&state"]) {
        const judged = validate(new URLSearchParams(query), { ...expected(false), state: "" })
        assert.strictEqual(judged._tag === "Invalid" && judged.rule, "state")
      }
    })

    it("is judged before iss, and iss before the rest", () => {
      const rule = (query: string) => {
        const judged = validate(new URLSearchParams(query), expected(true))
        return judged._tag === "Invalid" ? judged.rule : judged._tag
      }
      assert.strictEqual(rule("state=wrong&iss=wrong"), "state")
      assert.strictEqual(rule(`state=${STATE}&iss=wrong`), "issuer")
      assert.strictEqual(rule(`state=${STATE}&iss=${encodeURIComponent(ISSUER)}`), "code")
    })
  })

  describe("repeated parameters (K-13, RFC 6749 §3.1)", () => {
    for (const name of ["state", "iss", "code", "error", "error_description", "error_uri"]) {
      it(`${name}, even with the same value`, () => {
        const response = new URLSearchParams({ ...responses.success, ...responses.error, state: STATE, iss: ISSUER })
        assert.strictEqual(validate(response, expected(true))._tag, "Refused")
        response.append(name, response.get(name) ?? "")
        const judged = validate(response, expected(true))
        assert.strictEqual(judged._tag === "Invalid" && judged.rule, "duplicate")
      })
    }

    it("the wrong value first or last", () => {
      for (const states of [`state=${STATE}&state=x`, `state=x&state=${STATE}`]) {
        assert.strictEqual(validate(new URLSearchParams(`code=a&${states}`), expected(false))._tag, "Invalid")
      }
    })

    it("K-13: unknown parameters are ignored", () => {
      const response = new URLSearchParams(`code=a&state=${STATE}&session_state=1&session_state=2&Code=b&__proto__=c`)
      assert.deepStrictEqual(validate(response, expected(false)), { _tag: "Granted", code: "a" })
    })
  })

  describe("what a verified response says", () => {
    it("no code and no error (J22)", () => {
      for (const query of [`state=${STATE}`, `state=${STATE}&code=`]) {
        const judged = validate(new URLSearchParams(query), expected(false))
        assert.strictEqual(judged._tag === "Invalid" && judged.rule, "code")
      }
    })

    it("an error wins over a code", () => {
      const judged = validate(new URLSearchParams(`state=${STATE}&code=a&error=server_error`), expected(false))
      assert.deepStrictEqual(judged, { _tag: "Refused", error: "server_error" })
    })

    it("a code is kept as it was decoded", () => {
      const code = "a+b/c=d e%41\u00e9"
      const judged = validate(new URLSearchParams({ code, state: STATE }), expected(false))
      assert.deepStrictEqual(judged, { _tag: "Granted", code })
    })

    it("control characters of an error become spaces (RFC 6749 §4.1.2.1)", () => {
      const response = new URLSearchParams({
        state: STATE,
        error: "access\u001b[2Jdenied",
        error_description: "AADSTS1\r\nTrace\u0000\u007f\u009b31m é"
      })
      assert.deepStrictEqual(validate(response, expected(false)), {
        _tag: "Refused",
        error: "access [2Jdenied",
        description: "AADSTS1  Trace   31m é"
      })
    })
  })

  it("CL-56: Invalid holds nothing that the response carried", () => {
    const MARK = "attacker"
    const value = fc.constantFrom(STATE, ISSUER, "", MARK, `<b>${MARK}</b>`, `https://${MARK}.example`)
    const entry = fc.tuple(
      fc.constantFrom("state", "iss", "code", "error", "error_description", "error_uri", MARK),
      value
    )
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), fc.boolean(), (entries, flag) => {
        const judged = validate(new URLSearchParams(entries), expected(flag))
        if (judged._tag === "Invalid") assert.notInclude(JSON.stringify(judged), MARK)
        else {
          const response = new URLSearchParams(entries)
          assert.deepStrictEqual(response.getAll("state"), [STATE])
          assert.includeDeepMembers(flag ? [[ISSUER]] : [[ISSUER], []], [response.getAll("iss")])
        }
      }),
      { numRuns: 1000 }
    )
  })

  describe("constantTimeEquals", () => {
    it("agrees with ===", () => {
      const value = fc.oneof(wide, fc.constantFrom("", "a", "b", "ab", "\u0000", "a\u0000"))
      fc.assert(
        fc.property(value, value, (left, right) => {
          assert.strictEqual(constantTimeEquals(left, right), left === right)
          assert.isTrue(constantTimeEquals(left, `${left}`))
          assert.isFalse(constantTimeEquals(left, `${left}\u0000`))
          assert.isFalse(constantTimeEquals(`${left}\u0000`, left))
        })
      )
    })
  })
})
