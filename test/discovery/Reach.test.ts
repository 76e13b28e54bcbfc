import { assert, describe, it } from "@effect/vitest"
import * as Reach from "../../src/discovery/Reach.js"

const publicEndpoint = "https://mcp.example/mcp"
const here = "http://localhost:3000/mcp"
const inside = "https://mcp.internal/mcp"

const allows = (url: string, configured: ReadonlyArray<string>, allowedHosts: ReadonlyArray<string> = []) =>
  Reach.refusal(url, Reach.of(url, { configured, allowedHosts })) === undefined

describe("Reach", () => {
  for (const [url, configured, expected] of [
    ["https://as.example/token", publicEndpoint, true],
    ["https://8.8.8.8/token", publicEndpoint, true],
    ["https://127.0.0.1/token", publicEndpoint, false],
    ["http://localhost:9/token", publicEndpoint, false],
    ["https://10.0.0.1/token", publicEndpoint, false],
    ["https://[fd00::1]/token", publicEndpoint, false],
    ["https://sso.internal/token", publicEndpoint, false],
    ["https://169.254.169.254/token", publicEndpoint, false],
    ["https://as.example/token", here, true],
    ["http://127.0.0.1:9/token", here, true],
    ["http://[::1]:9/token", here, true],
    ["https://10.0.0.1/token", here, false],
    ["https://169.254.169.254/token", here, false],
    ["https://as.example/token", inside, true],
    ["https://10.0.0.1/token", inside, true],
    ["https://sso.internal/token", inside, true],
    ["http://127.0.0.1:9/token", inside, false],
    ["https://metadata.google.internal/token", inside, false],
    ["https://169.254.169.254/token", "https://169.254.169.254/mcp", false]
  ] as const) {
    it(`SEC-11: on behalf of ${configured}, ${url} is ${expected ? "asked" : "refused"}`, () => {
      assert.strictEqual(allows(url, [configured]), expected)
    })
  }

  it("what a resolver says of a configured name counts for its own origin, and widens nothing else", () => {
    assert.deepStrictEqual(Reach.of(publicEndpoint, { configured: [publicEndpoint], allowedHosts: [] }), Reach.anywhere)
    for (const url of ["https://mcp.example:8443/", "https://as.mcp.example/", "http://mcp.example/"]) {
      assert.deepStrictEqual(Reach.of(url, { configured: [publicEndpoint], allowedHosts: [] }), ["public"])
    }
  })

  it("allowed hosts are names, literals, and all below a dot; what is reserved stays so", () => {
    const names = ["sso.corp.example", ".corp2.example", "10.0.0.5", "[fd00::1]", "169.254.169.254"]
    for (const [url, expected] of [
      ["https://sso.corp.example/", "anywhere"],
      ["https://SSO.corp.example:8443/", "anywhere"],
      ["https://a.b.corp2.example/", "anywhere"],
      ["https://10.0.0.5/", "anywhere"],
      ["https://[FD00:0::1]/", "anywhere"],
      ["https://corp2.example/", "public"],
      ["https://x.sso.corp.example/", "public"],
      ["https://evilcorp2.example/", "public"],
      ["https://10.0.0.50/", "public"]
    ] as const) {
      const reach = Reach.of(url, { configured: [publicEndpoint], allowedHosts: names })
      assert.deepStrictEqual(reach, expected === "anywhere" ? Reach.anywhere : ["public"], url)
    }
    assert.isFalse(allows("https://169.254.169.254/", [publicEndpoint], names))
  })

  it("what is no URL gets nowhere, and configuring it opens nothing", () => {
    for (const garbage of ["", "mcp", "https://", "http://[fe80::1%25eth0]/", "http://1.2.3.4.5/"]) {
      assert.isFalse(allows(garbage, [publicEndpoint]), garbage)
      assert.isFalse(allows("https://10.0.0.1/", [garbage]), garbage)
      assert.isFalse(allows(garbage, [garbage]), garbage)
    }
  })

  it("of the addresses of a name those within reach are taken, and a failure names host and zone", () => {
    const addresses = ["10.0.0.1", "8.8.8.8", "::1"].map((address) => ({ address }))
    assert.deepStrictEqual(Reach.admit("as.example", addresses, ["public"]), [{ address: "8.8.8.8" }])
    const refused = Reach.admit("as.example", [{ address: "10.0.0.1" }], ["public"])
    assert.instanceOf(refused, Reach.AddressRefused)
    assert.include(String(refused), "as.example is at a private address")
    assert.deepStrictEqual(Reach.admit("as.example", [], ["public"]), [])
  })
})
