import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { insecureUrl, isLoopbackHost } from "../../src/protocol/Loopback.js"
import { hosts, urls } from "../vectors/Loopback.js"

const RULES = { absolute: "must be an absolute URL", secure: "must use https, or http on a loopback host" }

describe("Loopback", () => {
  describe("isLoopbackHost (A11, A-02)", () => {
    for (const [host, loopback] of hosts) {
      it(`${JSON.stringify(host)}: ${loopback}`, () => assert.strictEqual(isLoopbackHost(host), loopback))
    }

    it("all of 127.0.0.0/8, in every spelling that URL reads", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0x7f000000, max: 0x7fffffff }), (address) => {
          for (const spelling of [`${address}`, `0x${address.toString(16)}`, `0${address.toString(8)}`]) {
            assert.isTrue(isLoopbackHost(new URL(`http://${spelling}/`).hostname), spelling)
          }
        })
      )
    })

    it("no other IPv4 address", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 0xffffffff }), (address) => {
          fc.pre(address >>> 24 !== 127)
          assert.isFalse(isLoopbackHost(new URL(`http://${address}/`).hostname))
        })
      )
    })
  })

  describe("insecureUrl (SEC-01, SEC-02, CL-51, CL-58)", () => {
    for (const [url, rule] of urls) {
      it(`${JSON.stringify(url)}: ${rule ?? "legal"}`, () =>
        assert.strictEqual(insecureUrl(url), rule === undefined ? undefined : RULES[rule]))
    }

    it("lets nothing through but https, and http on loopback hosts", () => {
      const fragments = [
        "https:",
        "http:",
        "//",
        "/",
        "\\",
        "@",
        "localhost",
        "evil.com",
        ":",
        "80",
        "?",
        "#",
        "\t",
        "."
      ]
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...fragments)), (chosen) => {
          const value = chosen.join("")
          if (insecureUrl(value) !== undefined) return
          const { hostname, protocol } = new URL(value)
          assert.isTrue(protocol === "https:" || isLoopbackHost(hostname))
          assert.match(value, /^https?:\/\/[!-~]+$/)
        }),
        { numRuns: 1000 }
      )
    })
  })
})
