import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as RequestTarget from "../../src/server/RequestTarget.js"

const forms: ReadonlyArray<readonly [target: string, originForm: string, path: string]> = [
  ["/mcp", "/mcp", "/mcp"],
  ["/mcp?a=/b#c", "/mcp?a=/b#c", "/mcp"],
  ["/mcp#a?b", "/mcp#a?b", "/mcp"],
  ["//mcp", "//mcp", "//mcp"],
  ["http://h/mcp?a", "/mcp?a", "/mcp"],
  ["HTTPS://h:443/mcp", "/mcp", "/mcp"],
  ["http://h", "/", "/"],
  ["http://h?a=/b", "/?a=/b", "/"],
  ["http://u@h#/b", "/#/b", "/"],
  ["http:///mcp", "/mcp", "/mcp"],
  ["http://h//mcp", "//mcp", "//mcp"],
  ["*", "*", "*"],
  ["h:443", "h:443", "h:443"],
  ["mcp", "mcp", "mcp"],
  ["", "", ""]
]

describe("RequestTarget", () => {
  it.each(forms)("%j is %j, and its path %j", (target, originForm, path) => {
    assert.strictEqual(RequestTarget.originForm(target), originForm)
    assert.strictEqual(RequestTarget.path(target), path)
  })

  const all = ["", "/files", "/files/private", "/mail"].map((path) => ({ path }))
  const nearest = (target: string, of = all) => RequestTarget.nearest(of)(target)?.path

  const covered: ReadonlyArray<readonly [target: string, path: string | undefined]> = [
    ["/", ""],
    ["/other", ""],
    ["/files", "/files"],
    ["/files/", "/files"],
    ["/files?/mail", "/files"],
    ["/files#/../mail", "/files"],
    ["http://h/files/x", "/files"],
    ["/files/a%20b", "/files"],
    ["/files/a%2Fb", "/files"],
    ["/files/a;b=c/d", "/files"],
    ["/files/%zz", "/files"],
    ["/files/x/../y", "/files"],
    ["/files/private/x", "/files/private"],
    ["/files/privateer", "/files"],
    // What a router might find to be another one's.
    ["/files/%70rivate/x", undefined],
    ["/files/%2570rivate/x", undefined],
    ["/files/PRIVATE/x", undefined],
    ["/files//private", undefined],
    ["/files/./private", undefined],
    ["/files/%2e/private", undefined],
    ["/files\\private", undefined],
    ["/files/private;x/y", undefined],
    ["/files/private%3fx", undefined],
    ["/files/private/../x", undefined],
    ["/files/private/%2e%2E/x", undefined],
    ["/files/../mail", undefined],
    ["/files/..%2fmail", undefined],
    ["/files/..\\..\\mail", undefined],
    ["//files", undefined],
    ["/./files", undefined],
    ["/%66iles", undefined],
    ["/files%2fprivate", undefined]
  ]
  it.each(covered)("F8, RS-12 the target %j belongs to %j", (target, path) => {
    assert.strictEqual(nearest(target), path)
  })

  it("paths that differ in case or in their escapes are told apart as they are written", () => {
    const alike = ["/Files", "/files", "/%C3%A4"].map((path) => ({ path }))
    assert.deepStrictEqual(
      ["/Files/x", "/files/x", "/%C3%A4/x", "/FILES", "/%c3%a4"].map((target) => nearest(target, alike)),
      ["/Files", "/files", "/%C3%A4", undefined, undefined]
    )
  })

  it.prop(
    "it is total, and gives what covers the path as it is written",
    { target: fc.string({ unit: fc.constantFrom(..."/.%2eE5fF;?#\\:files") }) },
    ({ target }) => {
      const path = nearest(target)
      const own = RequestTarget.path(target)
      if (path !== undefined) assert.isTrue(own === path || own.startsWith(`${path}/`))
    }
  )
})
