import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { layerMemory, SessionStore } from "../../src/server/SessionStore.js"
import { laws, owns } from "./fixtures/SessionStoreLaws.js"

describe("SessionStore.layerMemory", () => {
  laws(layerMemory({ idle: "1 hour" }), TestClock.adjust("31 minutes"), it.effect)

  it.effect("holds no more than its capacity, and drops what was used longest ago (SEC-41, G7)", () =>
    Effect.gen(function* () {
      const store = yield* SessionStore
      yield* store.bind("kept", "alice")
      for (let n = 0; n < 1000; n++) {
        yield* store.bind(`flood-${n}`, "mallory")
        assert.isTrue(yield* owns(store, "kept", "alice"))
      }
      assert.isFalse(yield* owns(store, "flood-997", "mallory"))
      assert.isTrue(yield* owns(store, "flood-999", "mallory"))
    }).pipe(Effect.provide(layerMemory({ capacity: 2 })))
  )
})
