import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { encode, random, sha256 } from "../../src/protocol/Base64Url.js"

const octets = (text: string) => new TextEncoder().encode(text)

describe("Base64Url", () => {
  describe("encode", () => {
    const table: ReadonlyArray<readonly [string, string]> = [
      ["", ""],
      ["f", "Zg"],
      ["fo", "Zm8"],
      ["foo", "Zm9v"],
      ["foob", "Zm9vYg"],
      ["fooba", "Zm9vYmE"],
      ["foobar", "Zm9vYmFy"]
    ]
    for (const [text, encoded] of table) {
      it(`RFC 4648 §10, without padding: ${JSON.stringify(text)}`, () =>
        assert.strictEqual(encode(octets(text)), encoded))
    }

    it("RFC 4648 §5: - and _ for + and /", () => {
      assert.strictEqual(encode(new Uint8Array([0xfb, 0xef, 0xbe])), "----")
      assert.strictEqual(encode(new Uint8Array([0xff, 0xff, 0xff])), "____")
    })

    it("RFC 7515 appendix C", () => {
      assert.strictEqual(encode(new Uint8Array([3, 236, 255, 224, 193])), "A-z_4ME")
    })

    it("agrees with Buffer", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (value) => {
          assert.strictEqual(encode(value), Buffer.from(value).toString("base64url"))
        })
      )
    })

    it("takes a part of a buffer, and a megabyte", () => {
      assert.strictEqual(encode(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), "AgM")
      const large = new Uint8Array(1_000_000).fill(0xfb)
      assert.strictEqual(encode(large), Buffer.from(large).toString("base64url"))
    })
  })

  describe("random", () => {
    it("has the length of its octets", () => {
      for (const size of [0, 1, 2, 3, 12, 16, 32]) {
        const value = random(size)
        assert.match(value, /^[A-Za-z0-9_-]*$/)
        assert.strictEqual(value.length, Math.ceil((size * 4) / 3))
      }
    })

    it("does not repeat itself", () => {
      const values = Array.from({ length: 1000 }, () => random(16))
      assert.strictEqual(new Set(values).size, values.length)
    })
  })

  describe("sha256", () => {
    it("FIPS 180-4: abc, and nothing", async () => {
      assert.strictEqual(await sha256("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
      assert.strictEqual(await sha256(""), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
    })

    it("RFC 9449 §7.1: the ath of the example token (D-02)", async () => {
      assert.strictEqual(
        await sha256("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
        "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
      )
    })

    it("digests UTF-8", async () => {
      assert.strictEqual(
        await sha256("é"),
        Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from("é"))).toString("base64url")
      )
    })
  })
})
