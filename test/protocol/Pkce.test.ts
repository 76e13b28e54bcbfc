import { assert, describe, it } from "@effect/vitest"
import * as Base64Url from "../../src/protocol/Base64Url.js"
import { challenge, isSupported, method, verifier } from "../../src/protocol/Pkce.js"

describe("Pkce", () => {
  it("RFC 7636 appendix B: octets, verifier, challenge (J5, K-02)", async () => {
    const octets = new Uint8Array([
      116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240,
      91, 88, 5, 88, 83, 132, 141, 121
    ])
    const value = Base64Url.encode(octets)
    assert.strictEqual(value, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert.strictEqual(await challenge(value), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
  })

  it("K-01: 43 characters of the alphabet, fresh each time", () => {
    const values = Array.from({ length: 1000 }, verifier)
    for (const value of values) assert.match(value, /^[A-Za-z0-9._~-]{43}$/)
    assert.strictEqual(new Set(values).size, values.length)
  })

  it("CL-41: S256 is the one method", () => {
    assert.strictEqual(method, "S256")
  })

  describe("isSupported", () => {
    const table: ReadonlyArray<readonly [string, ReadonlyArray<string> | undefined, boolean]> = [
      ["CL-44, AM-05: absent", undefined, false],
      ["CL-43: empty", [], false],
      ["CL-43: plain only", ["plain"], false],
      ["CL-42: S256", ["S256"], true],
      ["CL-42: both", ["plain", "S256"], true],
      ["another case", ["s256"], false],
      ["a longer name", ["S2560", "XS256"], false]
    ]
    for (const [title, methods, supported] of table) {
      it(title, () => assert.strictEqual(isSupported(methods), supported))
    }
  })
})
