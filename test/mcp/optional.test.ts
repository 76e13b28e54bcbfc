/**
 * Public and protected operations on one server: whoever comes without credentials uses what is open, and is asked for a
 * token by everything else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as McpServerAuth from "../../src/mcp/McpServerAuth.js"
import { Claims, CurrentClaims, OptionalClaims } from "../../src/server/Claims.js"
import {
  challengeOf,
  invalidChallenge,
  metadataUrl,
  missingChallenge,
  requestChallenge,
  scopeChallenge
} from "../server/fixtures/Guarded.js"
import * as Notes from "./fixtures/Notes.js"

const { call, rpc } = Notes

const make = (options: Partial<McpServerAuth.Policy> = {}, more: Parameters<typeof Notes.make>[1] = {}) =>
  Notes.make(options, { ...more, optional: true })

/** The 401 of who has to sign in: no error, and all that is needed for what was asked for. */
const signIn = (scope: string): string => challengeOf({ resource_metadata: metadataUrl, scope })

const batch = (...messages: ReadonlyArray<string>): string => `[${messages.join(",")}]`

const open: ReadonlyArray<readonly [method: string, params: object, ran: string]> = [
  ["tools/call", { name: "greet", arguments: {} }, "greet"],
  ["resources/read", { uri: "notes://lobby" }, "lobby"],
  ["resources/read", { uri: "notes://public/7" }, "note notes://public/7"],
  ["prompts/get", { name: "hello", arguments: { week: "7" } }, "hello 7"]
]

const completions: ReadonlyArray<object> = [
  { ref: { type: "ref/prompt", name: "hello" }, argument: { name: "week", value: "4" } },
  { ref: { type: "ref/resource", uri: "notes://public/{id}" }, argument: { name: "id", value: "4" } }
]

/** Everything that is not open, with what is known of what it needs. */
const beyond: typeof Notes.beyondReader = [
  ["a tool that needs no scope", "tools/call", { name: "whoami", arguments: {} }, ""],
  ["a resource that needs no scope", "resources/read", { uri: "notes://welcome" }, ""],
  ["an open tool that needs one", "tools/call", { name: "peek", arguments: {} }, "notes:read "],
  ["a tool that decides, with what it would allow", "tools/call", { name: "open", arguments: { owner: "" } }, ""],
  ["a tool that one of several sets opens", "tools/call", { name: "either", arguments: {} }, "admin "],
  ...[...Notes.beyondReader, ...Notes.beyondNobody].flatMap(([what, method, params, needed]) =>
    what.includes("decides") || what.includes("several") ? [] : [[what, method, params, `${needed} `] as const]
  )
]

describe("what is open", () => {
  for (const [method, params, ran] of open) {
    it.scopedLive(`${method} is for everybody: ${ran}`, () =>
      Effect.gen(function* () {
        const { ask, ran: runs } = yield* make()
        assert.include((yield* ask(method, params)).text, `${ran} for anybody`)
        assert.include((yield* ask(method, params, "nobody")).text, `${ran} for nobody`)
        assert.deepStrictEqual(runs, [`${ran} anybody`, `${ran} nobody`])
      })
    )
  }

  it.scopedLive("so are its completions, and what comes before every call", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* make()
      for (const params of completions) assert.include((yield* ask("completion/complete", params)).text, '"4-1"')
      assert.deepStrictEqual(ran, ["complete 4", "complete 4"])
      for (const method of ["ping", "tools/list", "resources/list", "resources/templates/list", "prompts/list"]) {
        assert.strictEqual((yield* ask(method, {})).status, 200)
      }
    })
  )

  it.scopedLive("who has no token has none that could expire (RS-30)", () =>
    Effect.gen(function* () {
      const { ask } = yield* make({}, { expiry: {} })
      assert.include((yield* ask("tools/call", { name: "greet", arguments: {} })).text, "greet for anybody")
      assert.include((yield* ask("tools/call", { name: "greet", arguments: {} }, "nobody")).text, "greet for nobody")
    })
  )

  it.scopedLive("credentials that are not accepted are refused, whatever is asked for (B3, E2, E3)", () =>
    Effect.gen(function* () {
      const { send, ran } = yield* make()
      const greet = call("greet")
      assert.strictEqual((yield* send(greet, "mallory")).challenge, invalidChallenge())
      assert.strictEqual((yield* send(greet, undefined, { authorization: "" })).challenge, missingChallenge)
      assert.strictEqual((yield* send(greet, undefined, { authorization: "Basic eDp5" })).challenge, missingChallenge)
      assert.strictEqual((yield* send(greet, undefined, { authorization: "Bearer " })).challenge, missingChallenge)
      assert.strictEqual(
        (yield* send(greet, "a b")).challenge,
        requestChallenge("the token must be one b64token (RFC 6750 section 2.1)")
      )
      assert.deepStrictEqual(ran, [])
    })
  )
})

describe("what is not open asks for a token (E2, G2, RS-55)", () => {
  for (const [what, method, params, needed] of beyond) {
    it.scopedLive(`${what}: 401 with what it needs, so that one sign-in is enough`, () =>
      Effect.gen(function* () {
        const { ask, ran } = yield* make()
        const answer = yield* ask(method, params)
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(answer.challenge, signIn(`${needed}mcp:tools`))
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  it.scopedLive("who has a token is asked for scopes, as on any server", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* make()
      for (const [, method, params, needed] of Notes.beyondReader) {
        assert.strictEqual((yield* ask(method, params, "reader")).challenge, scopeChallenge(`${needed} mcp:tools`))
      }
      const peek = ["tools/call", { name: "peek", arguments: {} }] as const
      assert.strictEqual((yield* ask(...peek, "nobody")).challenge, scopeChallenge("notes:read mcp:tools"))
      assert.deepStrictEqual(ran, [])
      yield* ask(...peek, "reader")
      assert.deepStrictEqual(ran, ["peek reader"])
    })
  )

  it.scopedLive("nobody decides about a caller who is not known", () =>
    Effect.gen(function* () {
      const { ask } = yield* make()
      Notes.decided.length = 0
      for (const owner of ["nobody", "ghost", "bug", "vault", ""]) {
        assert.strictEqual((yield* ask("tools/call", { name: "open", arguments: { owner } })).status, 401)
      }
      assert.deepStrictEqual(Notes.decided, [])
    })
  )

  it.scopedLive("one protected call of a batch is enough, and one challenge names what all of them need", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* make()
      const body = batch(
        call("greet", {}, 1),
        call("write", { text: "x" }, 2),
        call("whoami", {}, 3),
        rpc("resources/read", { uri: "notes://all/7" }, 4)
      )
      assert.strictEqual((yield* send(body)).challenge, signIn("notes:read notes:write admin mcp:tools"))
      assert.strictEqual((yield* send(batch(call("whoami"), call("greet")))).challenge, signIn("mcp:tools"))
      assert.deepStrictEqual(ran, [])
      yield* send(batch(call("greet", {}, 1), rpc("resources/read", { uri: "notes://lobby" }, 2)))
      assert.deepStrictEqual([...ran].sort(), ["greet anybody", "lobby anybody"])
    })
  )

  it.scopedLive("a body that is read twice is one", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* make()
      for (const body of [
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{},"name":"whoami"}}',
        '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"whoami","arguments":{}}}',
        '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"whoami","arguments":{}}}'
      ]) {
        assert.strictEqual((yield* send(body)).challenge, missingChallenge)
      }
      assert.deepStrictEqual(ran, [])
    })
  )
})

describe("policies, for callers without credentials", () => {
  it.scopedLive('"ToolResult": the challenge that ChatGPT signs in on; what is no tool is 401 (E20)', () =>
    Effect.gen(function* () {
      const { ask, ran, send } = yield* make({ refusal: "ToolResult" })
      for (const [name, needed] of [
        ["write", "notes:read notes:write mcp:tools"],
        ["whoami", "mcp:tools"]
      ] as const) {
        const answer = yield* send(call(name, { text: "x" }))
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(answer.body, {
          jsonrpc: "2.0",
          id: 1,
          result: {
            isError: true,
            content: [{ type: "text", text: "insufficient_scope: Authorization required" }],
            _meta: { "mcp/www_authenticate": [scopeChallenge(needed, "Authorization required")] }
          }
        })
      }
      assert.strictEqual(
        (yield* ask("resources/read", { uri: "notes://diary" })).challenge,
        signIn("notes:read mcp:tools")
      )
      assert.deepStrictEqual(ran, [])
      assert.include((yield* send(batch(call("greet", {}, 1), call("whoami", {}, 2)))).text, "greet for anybody")
      assert.deepStrictEqual(ran, ["greet anybody"])
    })
  )

  it.scopedLive('"Absent": it is not there, to the letter (G4)', () =>
    Effect.gen(function* () {
      const { ran, send } = yield* make({ refusal: "Absent" })
      const [denied, absent] = [yield* send(call("whoami")), yield* send(call("whoamj"))]
      assert.strictEqual(denied.text, absent.text.replaceAll("whoamj", "whoami"))
      assert.strictEqual(denied.status, absent.status)
      assert.deepStrictEqual(ran, [])
    })
  )

  const listed = (policy: Partial<McpServerAuth.Policy>, token?: string) =>
    Effect.gen(function* () {
      const { ask } = yield* make(policy)
      const tools = yield* ask("tools/list", {}, token)
      const resources = yield* ask("resources/list", {}, token)
      const entries = [tools.body, resources.body].flatMap((body) => {
        const { result } = body as { readonly result: Record<string, ReadonlyArray<Record<string, unknown>>> }
        return result["tools"] ?? result["resources"] ?? []
      })
      return new Map(entries.map((entry) => [entry["name"], entry["_meta"]]))
    })

  it.scopedLive('"Permitted": what is open, and nothing else (RS-45)', () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([...(yield* listed({ listing: "Permitted" })).keys()], ["greet", "lobby"])
      assert.deepStrictEqual([...(yield* listed({ listing: "Permitted" }, "nobody")).keys()].sort(), [
        "greet",
        "lobby",
        "open",
        "welcome",
        "whoami"
      ])
    })
  )

  it.scopedLive('"All" is the default: so that a client can call it and sign in', () =>
    Effect.gen(function* () {
      assert.sameMembers(
        [...(yield* listed({})).keys()],
        ["whoami", "write", "either", "open", "greet", "peek", "welcome", "diary", "lobby"]
      )
    })
  )

  it.scopedLive('"Annotated": what needs no token says so (G5)', () =>
    Effect.gen(function* () {
      const always = { type: "oauth2", scopes: ["mcp:tools"] }
      const greet = {
        securitySchemes: [{ type: "noauth" }, always],
        "effect-mcp-auth/access": { callable: true, scopes: [], missing: [] }
      }
      const whoami = (callable: boolean, missing: ReadonlyArray<string>) => ({
        securitySchemes: [always],
        "effect-mcp-auth/access": { callable, scopes: ["mcp:tools"], missing }
      })
      const [anybody, nobody] = [
        yield* listed({ listing: "Annotated" }),
        yield* listed({ listing: "Annotated" }, "nobody")
      ]
      assert.deepStrictEqual(anybody.get("greet"), greet)
      assert.deepStrictEqual(nobody.get("greet"), greet)
      assert.deepStrictEqual(anybody.get("whoami"), whoami(false, ["mcp:tools"]))
      assert.deepStrictEqual(nobody.get("whoami"), whoami(true, []))
      const peek = ["notes:read", "mcp:tools"]
      assert.deepStrictEqual(anybody.get("peek"), {
        securitySchemes: [{ type: "oauth2", scopes: peek }],
        "effect-mcp-auth/access": { callable: false, scopes: peek, missing: peek }
      })
    })
  )
})

describe("an identity that some layer provides is nobody's (D1, D2)", () => {
  const root = new Claims(
    { issuer: "https://as.example", subject: "root", audience: [], scopes: ["admin"], raw: Redacted.make({}) },
    { disableValidation: true }
  )
  const around = Layer.merge(Layer.succeed(CurrentClaims, root), Layer.succeed(OptionalClaims, Option.some(root)))

  for (const optional of [true, false]) {
    it.scopedLive(optional ? "where some calls need no token" : "where all of them do", () =>
      Effect.gen(function* () {
        const { ask, send } = yield* Notes.make({ listing: "Permitted" }, { around, optional })
        if (optional) {
          for (const [method, params] of open) {
            assert.include((yield* ask(method, params)).text, "for anybody")
            assert.include((yield* ask(method, params, "reader")).text, "for reader")
          }
          assert.notInclude((yield* ask("tools/list", {})).text, '"whoami"')
        }
        assert.strictEqual((yield* send(call("whoami"))).status, 401)
        assert.include((yield* send(call("whoami"), "reader")).text, "whoami for reader")
        assert.strictEqual((yield* send(call("write", { text: "x" }), "reader")).status, 403)
        assert.notInclude((yield* ask("tools/list", {}, "reader")).text, '"either"')
      })
    )
  }
})
