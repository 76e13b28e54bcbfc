import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { scopeChallenge } from "../server/fixtures/Guarded.js"
import * as Notes from "./fixtures/Notes.js"

describe("probe", () => {
  for (const [caller, table] of [["reader", Notes.beyondReader], ["nobody", Notes.beyondNobody]] as const) {
    for (const [what, method, params, needed] of table) {
      it.scopedLive(`${what}`, () =>
        Effect.gen(function* () {
          const { ask, ran } = yield* Notes.make()
          const answer = yield* ask(method, params, caller)
          console.log(answer.status, answer.text, answer.challenge)
          assert.strictEqual(answer.challenge, scopeChallenge(`${needed} mcp:tools`))
          assert.deepStrictEqual(ran, [])
        }))
    }
  }
  it.scopedLive("lists", () => Effect.gen(function* () {
    const { ask, send } = yield* Notes.make({ listing: "Annotated" })
    for (const l of ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]) console.log((yield* ask(l, {}, "reader")).text)
    console.log((yield* send('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":{"__proto__":{"owner":"writer"}}}}', "reader")).text)
    console.log(Notes.decided)
  }))
})
