import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as Audience from "../../src/server/Audience.js"
import { configOf } from "./fixtures/Guarded.js"

type Policy = "exact" | "exact-single" | "equivalent" | "covering"
const policies: ReadonlyArray<Policy> = ["exact", "exact-single", "equivalent", "covering"]

const resource = "https://mcp.example.com/api/mcp"
const accepts = (audiencePolicy: Policy, audience: ReadonlyArray<string>, audiences?: ReadonlyArray<string>): boolean =>
  Audience.accepts(configOf({ resource, audiencePolicy, audiences }), audience)

/** Which policies accept an audience. */
const table: ReadonlyArray<readonly [row: string, audience: ReadonlyArray<string>, accepting: ReadonlyArray<Policy>]> =
  [
    ["RS-32 itself", [resource], ["exact", "exact-single", "equivalent", "covering"]],
    ["RS-32 none", [], []],
    ["W-05 another", ["https://other.example/mcp"], []],
    ["D15 itself among others", ["https://other.example", resource], ["exact", "equivalent", "covering"]],
    ["D15 itself twice", [resource, resource], ["exact", "equivalent", "covering"]],
    ["D16 scheme and host in another case", ["HTTPS://MCP.Example.com/api/mcp"], ["equivalent", "covering"]],
    ["D16 the default port", ["https://mcp.example.com:443/api/mcp"], ["equivalent", "covering"]],
    ["D16 a final slash more", ["https://mcp.example.com/api/mcp/"], []],
    ["RS-39 the path in another case", ["https://mcp.example.com/api/MCP"], []],
    ["D11 a parent", ["https://mcp.example.com/api"], ["covering"]],
    ["D11 a parent with a slash", ["https://mcp.example.com/api/"], ["covering"]],
    ["D11 the origin", ["https://mcp.example.com"], ["covering"]],
    ["D11 the origin with a slash", ["https://mcp.example.com/"], ["covering"]],
    ["D11 not at a segment boundary", ["https://mcp.example.com/ap"], []],
    ["D11 a child", ["https://mcp.example.com/api/mcp/x"], []],
    ["D11 a sibling", ["https://mcp.example.com/api/other"], []],
    ["D11 another host", ["https://example.com/api/mcp"], []],
    ["D11 a host that begins like it", ["https://mcp.example.com.evil.example/api/mcp"], []],
    ["D11 user information", ["https://mcp.example.com@evil.example/api/mcp"], []],
    ["D11 http", ["http://mcp.example.com/api/mcp"], []],
    ["D11 another port", ["https://mcp.example.com:8443/api/mcp"], []],
    ["D11 dot segments", ["https://mcp.example.com/x/../api"], ["covering"]],
    ["D11 a fragment", ["https://mcp.example.com/api#x"], []],
    ["D11 a query", ["https://mcp.example.com/api?x"], []],
    ["D11 malformed covers nothing", ["https://", "mcp.example.com", "*", "", " ", "null", "undefined"], []],
    ["RS-39 white space around", [` ${resource}`], []],
    ["RS-39 all in one string", [`${resource} https://other.example`], []],
    ["PR-08 another normal form", ["https://mcp.example.com/api/mc\u0070\u0301"], []]
  ]

describe("Audience", () => {
  for (const [row, audience, accepting] of table) {
    for (const policy of policies) {
      const expected = accepting.includes(policy)
      it(`${policy}: ${row} is ${expected ? "accepted" : "refused"}`, () => {
        assert.strictEqual(accepts(policy, audience), expected)
      })
    }
  }

  describe("RS-39 further audiences, by name", () => {
    for (const policy of policies) {
      it(policy, () => {
        assert.isTrue(accepts(policy, ["api://mcp"], ["api://mcp"]))
        assert.isTrue(accepts(policy, [resource], ["api://mcp"]))
        for (const audience of ["api://MCP", "api://mcp/", "api://", "client-1"]) {
          assert.isFalse(accepts(policy, [audience], ["api://mcp"]), audience)
        }
      })
    }

    it("an identifier that is no URL is covered by nothing but itself", () => {
      assert.isFalse(accepts("covering", ["api:"], ["api://mcp"]))
      assert.isFalse(accepts("equivalent", ["API://mcp"], ["api://mcp"]))
    })
  })

  it.prop(
    "exact is membership, exact-single is equality",
    { audience: fc.array(fc.constantFrom(resource, "a", "b")) },
    ({ audience }) => {
      assert.strictEqual(accepts("exact", audience, ["a"]), audience.includes(resource) || audience.includes("a"))
      assert.strictEqual(accepts("exact-single", audience), audience.length === 1 && audience[0] === resource)
    }
  )

  it.prop(
    "no policy accepts what is no parent of the resource on its origin",
    { audience: fc.array(fc.oneof(fc.webUrl(), fc.string())) },
    ({ audience }) => {
      for (const policy of policies) assert.isFalse(accepts(policy, audience))
    }
  )
})
