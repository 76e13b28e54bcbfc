import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as TokenDigest from "../../src/server/TokenDigest.js"

const expected = (token: string) => createHash("sha256").update(token).digest().toString("latin1")

describe("TokenDigest (RS-41)", () => {
  it("is SHA-256 of the UTF-8, whatever is digested in which order", () => {
    const text = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: "binary", maxLength: 200 }))
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), (tokens) => {
        for (const token of tokens) assert.strictEqual(TokenDigest.of(token), expected(token))
      })
    )
  })

  it("of any length, at every boundary of a block and of the buffer", () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 565, 1200, 4095, 4096, 4097, 8192, 70_000]) {
      for (const unit of ["x", "é", "€", "😀"]) {
        const token = unit.repeat(length)
        assert.strictEqual(TokenDigest.of(token), expected(token), `${length} times ${unit}`)
      }
    }
  })

  it("of what is no text either", () => {
    for (const token of ["\ud800", "a\udc00b", `${"x".repeat(4095)}\ud83d\ude00`]) {
      assert.strictEqual(TokenDigest.of(token), expected(token))
    }
  })
})
