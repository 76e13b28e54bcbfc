import { assert, it } from "@effect/vitest"

// .ci/run says which runtime it means, so that a suite that falls back to another one fails.
it("the tests run on the runtime that was asked for", () => {
  const { bun, node } = process.versions
  const actual = bun === undefined ? `node ${node}` : `bun ${bun}`
  assert.isTrue(actual.startsWith(process.env["EXPECTED_RUNTIME"] ?? actual), actual)
})
