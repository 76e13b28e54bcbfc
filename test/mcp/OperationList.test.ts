import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as McpServerAuth from "../../src/mcp/McpServerAuth.js"
import * as Notes from "./fixtures/Notes.js"

const lists = {
  "tools/list": ["tools", "name"],
  "resources/list": ["resources", "name"],
  "resources/templates/list": ["resourceTemplates", "name"],
  "prompts/list": ["prompts", "name"]
} as const

type Entry = Readonly<Record<string, unknown>>

/** What a caller sees, by list. */
const seen = (
  caller: string,
  policy: Partial<McpServerAuth.Policy>,
  more?: Parameters<typeof Notes.make>[1]
): Effect.Effect<Record<string, ReadonlyArray<Entry>>> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { ask } = yield* Notes.make(policy, more)
      const all: Record<string, ReadonlyArray<Entry>> = {}
      for (const [method, [list]] of Object.entries(lists)) {
        const { body } = yield* ask(method, {}, caller)
        all[list] = (body as { readonly result: Record<string, ReadonlyArray<Entry>> }).result[list] ?? []
      }
      return all
    })
  )

const namesOf = (all: Record<string, ReadonlyArray<Entry>>) =>
  Object.fromEntries(Object.entries(all).map(([list, entries]) => [list, entries.map(({ name }) => name)]))

const everything = {
  tools: ["whoami", "write", "either", "open"],
  resources: ["welcome", "diary"],
  resourceTemplates: ["all"],
  prompts: ["team/summary"]
}

describe("lists (RS-45, G1)", () => {
  it.live('"All" is the default: everybody sees everything, and nothing is added', () =>
    Effect.gen(function* () {
      const all = yield* seen("nobody", {})
      assert.deepStrictEqual(namesOf(all), everything)
      assert.notInclude(JSON.stringify(all), "_meta")
    })
  )

  const permitted: Readonly<Record<keyof typeof Notes.callers, object>> = {
    nobody: { tools: ["whoami", "open"], resources: ["welcome"], resourceTemplates: [], prompts: [] },
    reader: {
      tools: ["whoami", "open"],
      resources: ["welcome", "diary"],
      resourceTemplates: [],
      prompts: ["team/summary"]
    },
    writer: { ...everything, resourceTemplates: [] },
    admin: { tools: ["whoami", "either", "open"], resources: ["welcome"], resourceTemplates: ["all"], prompts: [] },
    chief: everything
  }
  for (const [caller, visible] of Object.entries(permitted)) {
    it.live(`"Permitted": what ${caller} may use, and nothing else`, () =>
      Effect.gen(function* () {
        const config = { impliedScopes: { chief: ["admin", "notes:write", "notes:read"] } }
        assert.deepStrictEqual(namesOf(yield* seen(caller, { listing: "Permitted" }, { config })), visible)
      })
    )
  }

  it.scopedLive("what is hidden is guarded all the same (G1)", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* Notes.make({ listing: "Permitted" })
      for (const [, method, params] of Notes.beyondNobody) {
        assert.strictEqual((yield* ask(method, params, "nobody")).status, 403)
      }
      assert.deepStrictEqual(ran, [])
    })
  )

  it.live(
    '"Annotated": each says what it needs, with what every request needs, and whether it can be called (G5)',
    () =>
      Effect.gen(function* () {
        const all = yield* seen("reader", { listing: "Annotated" })
        assert.deepStrictEqual(namesOf(all), everything)
        const metaOf = (list: string, name: string) => all[list]?.find((entry) => entry["name"] === name)?.["_meta"]
        assert.deepStrictEqual(metaOf("tools", "write"), {
          securitySchemes: [{ type: "oauth2", scopes: ["notes:read", "notes:write", "mcp:tools"] }],
          "effect-mcp-auth/access": {
            callable: false,
            scopes: ["notes:read", "notes:write", "mcp:tools"],
            missing: ["notes:write"]
          }
        })
        assert.deepStrictEqual(metaOf("tools", "whoami"), {
          securitySchemes: [{ type: "oauth2", scopes: ["mcp:tools"] }],
          "effect-mcp-auth/access": { callable: true, scopes: ["mcp:tools"], missing: [] }
        })
        const template = { callable: false, scopes: ["admin", "mcp:tools"], missing: ["admin"] }
        assert.deepStrictEqual(metaOf("resourceTemplates", "all"), { "effect-mcp-auth/access": template })
        const prompt = { callable: true, scopes: ["notes:read", "mcp:tools"], missing: [] }
        assert.deepStrictEqual(metaOf("prompts", "team/summary"), { "effect-mcp-auth/access": prompt })
      })
  )

  it.live("what an operation declares of itself goes before what the server says", () =>
    Effect.gen(function* () {
      const all = namesOf(yield* seen("nobody", { listing: "Permitted" }, { shown: "Challenge", listed: "All" }))
      assert.deepStrictEqual(all["resourceTemplates"], ["all"])
      assert.deepStrictEqual(all["prompts"], [])
    })
  )

  it.scopedLive("each in a batch, and those with the same id", () =>
    Effect.gen(function* () {
      const { send } = yield* Notes.make({ listing: "Permitted" })
      for (const ids of [
        [1, 2],
        [1, 1]
      ]) {
        const body = `[${Notes.rpc("tools/list", {}, ids[0])},${Notes.rpc("resources/list", {}, ids[1])}]`
        const { text } = yield* send(body, "nobody")
        assert.notInclude(text, '"write"')
        assert.notInclude(text, "notes://diary")
      }
    })
  )

  it.scopedLive("what a tool answers is no list, whatever it holds", () =>
    Effect.gen(function* () {
      const { ask } = yield* Notes.make({ listing: "Permitted" })
      const { text } = yield* ask("tools/call", { name: "whoami", arguments: {} }, "nobody")
      assert.include(text, "whoami for nobody")
    })
  )
})
