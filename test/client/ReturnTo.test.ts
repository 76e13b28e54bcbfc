import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ReturnTo } from "../../src/client/index.js"

const own = ["/", "/notes", "/notes?page=2&q=a%20b", "/a/b/../c", "/%2f%2fevil.example", "/@evil.example", "/?u=//evil"]

const others = [
  "",
  "notes",
  "?a",
  "#a",
  "https://evil.example/",
  "javascript:alert(1)",
  "//evil.example",
  "///evil.example",
  "/\\evil.example",
  "\\\\evil.example",
  "/\t/evil.example",
  "/\n/evil.example",
  " //evil.example",
  "/ /evil.example",
  "/..//evil.example",
  "/.//evil.example",
  "/%2e%2e//evil.example",
  "/notes\r\nset-cookie: a=b",
  "/ärger",
  `/${"a".repeat(2048)}`
]

describe("ReturnTo", () => {
  for (const address of own) {
    it(`${address} is the application's own`, () => assert.isUndefined(ReturnTo.violation(address)))
  }

  for (const address of others) {
    it(`${JSON.stringify(address.slice(0, 40))} is refused`, () => assert.isString(ReturnTo.violation(address)))
  }

  it("whatever is taken leads to the same origin, also where it is resolved twice", () => {
    const piece = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "\t",
      "\n",
      " ",
      "@",
      ":",
      "?",
      "#",
      "%2f",
      "%5c",
      "evil.example",
      "https:"
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const address = pieces.join("")
        if (ReturnTo.violation(address) !== undefined) return
        const base = "https://application.example"
        const once = new URL(address, base)
        assert.strictEqual(once.origin, base)
        assert.strictEqual(new URL(once.pathname + once.search, base).origin, base)
      }),
      { numRuns: 5000 }
    )
  })
})
