import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { isScopeToken, missing, nearest, parse, render, union } from "../../src/protocol/Scopes.js"

/** Any UTF-16, well-formed or not. */
const wide = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) })

const token = fc.oneof(
  fc.constantFrom("read", "write", "files:read", "__proto__", "constructor", "https://h.example/a"),
  fc.string({
    unit: fc
      .integer({ min: 0x21, max: 0x7e })
      .filter((code) => code !== 0x22 && code !== 0x5c)
      .map((code) => String.fromCharCode(code)),
    minLength: 1
  })
)
const tokens = fc.array(token)

describe("Scopes", () => {
  describe("isScopeToken (A21, B-08, RFC 6749 §3.3)", () => {
    for (const value of [
      "read",
      "files:read",
      "a",
      "!",
      "#",
      "[",
      "]",
      "~",
      "https://h.example/a?b=c",
      "a,b",
      "*",
      "'"
    ]) {
      it(`${JSON.stringify(value)} is one`, () => assert.isTrue(isScopeToken(value)))
    }
    for (const value of [
      "",
      " ",
      "a b",
      "a ",
      " a",
      '"',
      'a"b',
      "\\",
      "a\\b",
      "a\tb",
      "a\n",
      "\u0000",
      "\u007f",
      "é",
      "\u00a0"
    ]) {
      it(`${JSON.stringify(value)} is none`, () => assert.isFalse(isScopeToken(value)))
    }

    it("agrees with the grammar on every character", () => {
      for (let code = 0; code < 0x180; code++) {
        const legal = code === 0x21 || (code >= 0x23 && code <= 0x5b) || (code >= 0x5d && code <= 0x7e)
        assert.strictEqual(isScopeToken(String.fromCharCode(code)), legal, `U+${code.toString(16)}`)
      }
    })
  })

  describe("parse (D6)", () => {
    const table: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
      ["", []],
      [" ", []],
      ["read", ["read"]],
      ["read write", ["read", "write"]],
      ["write read", ["write", "read"]],
      ["read  write ", ["read", "write"]],
      ["\tread\r\nwrite", ["read", "write"]],
      ["read write read", ["read", "write"]],
      ["Read read", ["Read", "read"]],
      ["a,b", ["a,b"]],
      ['read "quoted" wr\\ite é ok', ["read", "ok"]],
      ["read\u00a0write admin", ["admin"]],
      ["__proto__ constructor", ["__proto__", "constructor"]]
    ]
    for (const [scope, expected] of table) {
      it(JSON.stringify(scope), () => assert.deepStrictEqual(parse(scope), expected))
    }

    it("never throws, gives scope-tokens only, each once", () => {
      fc.assert(
        fc.property(
          fc.oneof(
            wide,
            tokens.map((list) => list.join(" "))
          ),
          (scope) => {
            const parsed = parse(scope)
            assert.isTrue(parsed.every(isScopeToken))
            assert.strictEqual(new Set(parsed).size, parsed.length)
            assert.deepStrictEqual(parse(render(parsed)), parsed)
          }
        )
      )
    })

    it("reads 100 kB in linear time", () => {
      const start = performance.now()
      parse(" ".repeat(100_000))
      parse("a ".repeat(50_000))
      parse(Array.from({ length: 20_000 }, (_, index) => `s${index}`).join(" "))
      parse('"'.repeat(100_000))
      assert.isBelow(performance.now() - start, 1000)
    })
  })

  it("render: single spaces between (B-08)", () => {
    assert.strictEqual(render([]), "")
    assert.strictEqual(render(["a"]), "a")
    assert.strictEqual(render(["a", "b:c"]), "a b:c")
  })

  describe("union (CL-65, J9)", () => {
    it("keeps the order first met, each once", () => {
      assert.deepStrictEqual(union(), [])
      assert.deepStrictEqual(union(["a", "a"]), ["a"])
      assert.deepStrictEqual(union(["b", "a"], [], ["c", "a"], ["b"]), ["b", "a", "c"])
    })

    it("is associative and idempotent, has [] as its unit, and holds every member", () => {
      fc.assert(
        fc.property(tokens, tokens, tokens, (a, b, c) => {
          assert.deepStrictEqual(union(union(a, b), c), union(a, union(b, c)))
          assert.deepStrictEqual(union(a, a), union(a))
          assert.deepStrictEqual(union([], a), union(a, []))
          assert.sameMembers([...union(a, b)], Array.from(new Set([...a, ...b])))
        })
      )
    })

    it("changes no argument", () => {
      const a = Object.freeze(["a", "a"])
      assert.deepStrictEqual(union(a, a), ["a"])
      assert.deepStrictEqual(a, ["a", "a"])
    })
  })

  describe("missing (C3, RS-54)", () => {
    it("is what is required and not granted, in the order required", () => {
      assert.deepStrictEqual(missing([], []), [])
      assert.deepStrictEqual(missing([], ["a"]), [])
      assert.deepStrictEqual(missing(["a", "b"], []), ["a", "b"])
      assert.deepStrictEqual(missing(["c", "a", "b"], ["a", "x"]), ["c", "b"])
    })

    it("compares case, and knows no glob (D13)", () => {
      assert.deepStrictEqual(missing(["Read"], ["read"]), ["Read"])
      assert.deepStrictEqual(missing(["files:read"], ["files:*", "*"]), ["files:read"])
      assert.deepStrictEqual(missing(["__proto__", "length"], []), ["__proto__", "length"])
    })

    it("is empty exactly where a union adds nothing", () => {
      fc.assert(
        fc.property(tokens, tokens, (required, granted) => {
          const adds = union(granted, required).length > union(granted).length
          assert.strictEqual(missing(required, granted).length > 0, adds)
          assert.deepStrictEqual(missing(required, union(granted, required)), [])
        })
      )
    })
  })

  describe("nearest (RS-54)", () => {
    const sets = fc.array(fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 3 }), {
      minLength: 1,
      maxLength: 4
    })

    it("is one of the sets, none lacks fewer, and those before it lack more", () => {
      fc.assert(
        fc.property(sets, tokens, (sets, granted) => {
          const best = nearest(sets as [Array<string>, ...Array<Array<string>>], granted)
          const lacks = (set: ReadonlyArray<string>) => missing(set, granted).length
          const index = sets.indexOf(best as Array<string>)
          assert.isAtLeast(index, 0)
          assert.isTrue(sets.every((set) => lacks(set) >= lacks(best)))
          assert.isTrue(sets.slice(0, index).every((set) => lacks(set) > lacks(best)))
        })
      )
    })
  })
})
