import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"

const request: DiscoveryTrace.Entry = {
  _tag: "Request",
  purpose: "JWK set",
  method: "GET",
  url: "https://as.example/jwks",
  outcome: "200"
}

describe("DiscoveryTrace", () => {
  it.effect("by default nobody collects, and nothing is kept", () =>
    Effect.gen(function* () {
      yield* DiscoveryTrace.record(request)
      assert.deepStrictEqual(yield* DiscoveryTrace.recorded, [])
    })
  )

  it.effect("steps are kept in the order they were taken", () =>
    DiscoveryTrace.collect((trace) =>
      Effect.gen(function* () {
        yield* DiscoveryTrace.record(request)
        yield* DiscoveryTrace.decide("use it", "it is the only one")
        const expected: DiscoveryTrace.DiscoveryTrace = [
          request,
          { _tag: "Decision", decision: "use it", rule: "it is the only one" }
        ]
        assert.deepStrictEqual(yield* trace, expected)
        assert.deepStrictEqual(yield* DiscoveryTrace.recorded, expected)
      })
    )
  )

  it.effect("who collects around another receives every step too, and the inner one only its own", () =>
    DiscoveryTrace.collect((outer) =>
      Effect.gen(function* () {
        yield* DiscoveryTrace.decide("a", "r")
        yield* DiscoveryTrace.collect((inner) =>
          Effect.gen(function* () {
            yield* DiscoveryTrace.decide("b", "r")
            assert.strictEqual((yield* inner).length, 1)
          })
        )
        yield* DiscoveryTrace.decide("c", "r")
        assert.deepStrictEqual(
          (yield* outer).map((entry) => (entry._tag === "Decision" ? entry.decision : "")),
          ["a", "b", "c"]
        )
      })
    )
  )

  it.effect("two that run at the same time do not see each other", () =>
    Effect.gen(function* () {
      const one = (name: string) =>
        DiscoveryTrace.collect((trace) =>
          Effect.forEach([1, 2, 3], (n) =>
            Effect.zipRight(Effect.yieldNow(), DiscoveryTrace.decide(`${name}${n}`, "r"))
          ).pipe(Effect.zipRight(trace))
        )
      const traces = yield* Effect.all([one("a"), one("b")], { concurrency: 2 })
      assert.deepStrictEqual(
        traces.map((trace) => trace.map((entry) => (entry._tag === "Decision" ? entry.decision : ""))),
        [
          ["a1", "a2", "a3"],
          ["b1", "b2", "b3"]
        ]
      )
    })
  )

  it("it renders a line a step, and crosses a wire", () => {
    const trace: DiscoveryTrace.DiscoveryTrace = [request, { _tag: "Decision", decision: "d", rule: "r" }]
    assert.strictEqual(DiscoveryTrace.render(trace), "1. GET https://as.example/jwks → 200 (JWK set)\n2. d (r)")
    assert.strictEqual(DiscoveryTrace.render([]), "")
    const encoded = JSON.parse(JSON.stringify(Schema.encodeSync(DiscoveryTrace.DiscoveryTrace)(trace)))
    assert.deepStrictEqual(Schema.decodeUnknownSync(DiscoveryTrace.DiscoveryTrace)(encoded), trace)
  })
})
