import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { metadataUrl, missingChallenge, requestChallenge, scopeChallenge } from "../server/fixtures/Guarded.js"
import { nothing, notJson } from "../vectors/OperationScopes.js"
import * as Notes from "./fixtures/Notes.js"

const { call, rpc } = Notes

const beyond = [
  ...Notes.beyondReader.map((row) => ["reader", ...row] as const),
  ...Notes.beyondNobody.map((row) => ["nobody", ...row] as const)
]

const batch = (...messages: ReadonlyArray<string>): string => `[${messages.join(",")}]`

describe("what an operation needs is asked for before it runs (G2, RS-53)", () => {
  for (const [caller, what, method, params, needed] of beyond) {
    it.scopedLive(`${what} is refused with 403 and exactly the needed set, as are those who come without a token`, () =>
      Effect.gen(function* () {
        const { ask, ran } = yield* Notes.make()
        const answer = yield* ask(method, params, caller)
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(answer.challenge, scopeChallenge(`${needed} mcp:tools`))
        assert.strictEqual((yield* ask(method, params)).challenge, missingChallenge)
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  const allowed: ReadonlyArray<readonly [method: string, params: object, caller: string, ran: string]> = [
    ["tools/call", { name: "whoami", arguments: {} }, "nobody", "whoami nobody"],
    ["tools/call", { name: "write", arguments: { text: "x" } }, "writer", "write x writer"],
    ["tools/call", { name: "either", arguments: {} }, "writer", "either writer"],
    ["tools/call", { name: "either", arguments: {} }, "admin", "either admin"],
    ["tools/call", { name: "open", arguments: { owner: "reader" } }, "reader", "open reader reader"],
    ["tools/call", { name: "open", arguments: { owner: "reader" } }, "admin", "open reader admin"],
    ["resources/read", { uri: "notes://welcome" }, "nobody", "welcome nobody"],
    ["resources/read", { uri: "notes://diary" }, "reader", "diary reader"],
    ["resources/read", { uri: "notes://all/7" }, "admin", "note notes://all/7 admin"],
    ["prompts/get", { name: "team/summary", arguments: { week: "7" } }, "reader", "summary 7 reader"],
    [
      "completion/complete",
      { ref: { type: "ref/prompt", name: "team/summary" }, argument: { name: "week", value: "4" } },
      "reader",
      "complete 4"
    ],
    [
      "completion/complete",
      { ref: { type: "ref/resource", uri: "notes://all/{id}" }, argument: { name: "id", value: "4" } },
      "admin",
      "complete 4"
    ]
  ]
  for (const [method, params, caller, run] of allowed) {
    it.scopedLive(`${method} for who may: ${run} (D1)`, () =>
      Effect.gen(function* () {
        const { ask, ran } = yield* Notes.make()
        const answer = yield* ask(method, params, caller)
        assert.strictEqual(answer.status, 200)
        assert.notInclude(answer.text, "error")
        assert.deepStrictEqual(ran, [run])
      })
    )
  }

  it.scopedLive("implied scopes count (RS-57)", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* Notes.make(
        {},
        { config: { impliedScopes: { chief: ["admin"], admin: ["notes:read"] } } }
      )
      yield* ask("tools/call", { name: "either", arguments: {} }, "chief")
      yield* ask("resources/read", { uri: "notes://diary" }, "chief")
      assert.deepStrictEqual(ran, ["either chief", "diary chief"])
    })
  )
})

describe("decisions (RS-55)", () => {
  const open = (owner: string) => ["tools/call", { name: "open", arguments: { owner } }, "reader"] as const

  it.scopedLive("it is asked once for each call, with the arguments that the handler gets", () =>
    Effect.gen(function* () {
      const { ask } = yield* Notes.make()
      Notes.decided.length = 0
      yield* ask(...open("reader"))
      assert.deepStrictEqual(Notes.decided, [["reader", { owner: "reader" }]])
    })
  )

  it.scopedLive("an outage is 503 with Retry-After, a bug is 500", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* Notes.make()
      const outage = yield* ask(...open("nobody"))
      assert.strictEqual(outage.status, 503)
      assert.strictEqual(outage.headers.get("retry-after"), "3")
      assert.strictEqual((yield* ask(...open("bug"))).status, 500)
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("so they are under every policy: neither a challenge nor an absence would be true", () =>
    Effect.gen(function* () {
      for (const refusal of ["ToolResult", "Absent"] as const) {
        const { ask } = yield* Notes.make({ refusal })
        assert.strictEqual((yield* ask(...open("nobody"))).status, 503)
        assert.strictEqual((yield* ask(...open("bug"))).status, 500)
      }
    })
  )

  it.scopedLive("it may ask for another authentication (RFC 9470), in either form", () =>
    Effect.gen(function* () {
      const { ask } = yield* Notes.make()
      const answer = yield* ask(...open("vault"))
      assert.strictEqual(answer.status, 401)
      assert.include(answer.challenge, 'error="insufficient_user_authentication"')
      const { ask: askForResult } = yield* Notes.make({ refusal: "ToolResult" })
      const result = yield* askForResult(...open("vault"))
      assert.strictEqual(result.status, 200)
      assert.include(result.text, 'error=\\"insufficient_user_authentication\\"')
      assert.notInclude(result.text, "authentication)", "the reason is for logs")
    })
  )

  it.scopedLive("what arguments inherit is what the handler reads: `__proto__` hides nothing", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make()
      const hidden =
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","arguments":{"__proto__":{"owner":"writer"}}}}'
      yield* send(hidden, "reader")
      assert.deepStrictEqual(ran, [])
    })
  )
})

describe("several at once: none runs before all are judged, and one challenge names what all of them need (RS-55)", () => {
  const cases: ReadonlyArray<readonly [name: string, body: string, needed: string]> = [
    ["the refused last", batch(call("whoami", {}, 1), call("write", { text: "x" }, 2)), "notes:read notes:write"],
    ["the refused first", batch(call("write", { text: "x" }, 1), call("whoami", {}, 2)), "notes:read notes:write"],
    [
      "two refused, of different kinds",
      batch(call("write", { text: "x" }, 1), rpc("resources/read", { uri: "notes://all/7" }, 2)),
      "notes:read notes:write admin"
    ],
    [
      "one that is met needs what it needs all the same",
      batch(rpc("resources/read", { uri: "notes://diary" }, 1), rpc("resources/read", { uri: "notes://all/7" }, 2)),
      "notes:read admin"
    ],
    [
      "with the id of the other",
      batch(call("whoami", {}, 1), call("write", { text: "x" }, 1)),
      "notes:read notes:write"
    ],
    [
      "as a notification",
      batch(
        call("whoami", {}, 1),
        '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"write","arguments":{"text":"x"}}}'
      ),
      "notes:read notes:write"
    ],
    [
      "behind a message that says that this was all",
      batch(call("whoami", {}, 1), '{"jsonrpc":"2.0","method":"@effect/rpc/Eof"}', call("write", { text: "x" }, 2)),
      "notes:read notes:write"
    ],
    [
      "among messages of the RPC protocol",
      batch(
        '{"jsonrpc":"2.0","method":"@effect/rpc/Ping"}',
        '{"jsonrpc":"2.0","method":"@effect/rpc/Ack","params":{"requestId":"1"}}',
        '{"jsonrpc":"2.0","method":"@effect/rpc/Interrupt","params":{"requestId":"1"}}',
        call("write", { text: "x" }, 1)
      ),
      "notes:read notes:write"
    ]
  ]
  for (const [name, body, needed] of cases) {
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const { ran, send } = yield* Notes.make()
        const answer = yield* send(body, "reader")
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(answer.challenge, scopeChallenge(`${needed} mcp:tools`))
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  it.scopedLive("what is allowed runs, each once", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make()
      const body = batch(call("whoami", {}, 1), call("write", { text: "x" }, 2), call("write", { text: "y" }, 3))
      assert.strictEqual((yield* send(body, "writer")).status, 200)
      assert.deepStrictEqual([...ran].sort(), ["whoami writer", "write x writer", "write y writer"])
    })
  )

  it.scopedLive("a message that says that this was all ends nothing", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make()
      const eof = '{"jsonrpc":"2.0","method":"@effect/rpc/Eof"}'
      assert.strictEqual((yield* send(eof, "reader")).status, 200)
      yield* send(batch(eof, call("whoami", {}, 2)), "reader")
      assert.isAtMost(ran.length, 1)
    })
  )

  it.scopedLive("each has the answer of its own policy", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make({ refusal: "ToolResult" })
      const answer = yield* send(batch(call("whoami", {}, 1), call("write", { text: "x" }, 2)), "reader")
      assert.strictEqual(answer.status, 200)
      const results = answer.body as ReadonlyArray<{
        readonly id: number
        readonly result: { readonly isError: boolean }
      }>
      assert.deepStrictEqual(results.map(({ id, result }) => [id, result.isError]).sort(), [
        [1, false],
        [2, true]
      ])
      assert.deepStrictEqual(ran, ["whoami reader"])
      // A resource has no such result, so the whole is refused, and the tool is named as well as the resource.
      const mixed = yield* send(
        batch(call("write", { text: "x" }, 1), rpc("resources/read", { uri: "notes://all/7" }, 2)),
        "reader"
      )
      assert.strictEqual(mixed.challenge, scopeChallenge("admin mcp:tools"))
    })
  )
})

describe('refusal: "ToolResult", the form that ChatGPT reads (E20)', () => {
  it.scopedLive("from the same declaration, the same challenge", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* Notes.make({ refusal: "ToolResult" })
      const answer = yield* ask("tools/call", { name: "write", arguments: { text: "x" } }, "reader")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(answer.body, {
        jsonrpc: "2.0",
        id: 1,
        result: {
          isError: true,
          content: [
            { type: "text", text: "insufficient_scope: The access token lacks scopes that this operation needs" }
          ],
          _meta: { "mcp/www_authenticate": [scopeChallenge("notes:read notes:write mcp:tools")] }
        }
      })
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("who has no token is answered 401 all the same", () =>
    Effect.gen(function* () {
      const { ask } = yield* Notes.make({ refusal: "ToolResult" })
      assert.strictEqual((yield* ask("tools/call", { name: "whoami", arguments: {} })).status, 401)
    })
  )
})

describe('refusal: "Absent", to the letter (G4)', () => {
  const pairs: ReadonlyArray<readonly [what: string, method: string, denied: object, absent: object]> = [
    ["a tool", "tools/call", { name: "write", arguments: { text: "x" } }, { name: "wrote", arguments: { text: "x" } }],
    ["a tool with wrong arguments", "tools/call", { name: "write", arguments: {} }, { name: "wrote", arguments: {} }],
    ["a tool without arguments", "tools/call", { name: "write" }, { name: "wrote" }],
    [
      "a tool that decides",
      "tools/call",
      { name: "open", arguments: { owner: "ghost" } },
      { name: "oben", arguments: { owner: "ghost" } }
    ],
    ["a resource", "resources/read", { uri: "notes://diary" }, { uri: "notes://diarz" }],
    ["a resource of a template", "resources/read", { uri: "notes://all/7" }, { uri: "notes://alk/7" }],
    [
      "a prompt",
      "prompts/get",
      { name: "team/summary", arguments: { week: "7" } },
      { name: "team/tummary", arguments: { week: "7" } }
    ],
    ["a prompt with wrong arguments", "prompts/get", { name: "team/summary" }, { name: "team/tummary" }],
    [
      "a completion",
      "completion/complete",
      { ref: { type: "ref/prompt", name: "team/summary" }, argument: { name: "week", value: "4" } },
      { ref: { type: "ref/prompt", name: "team/tummary" }, argument: { name: "week", value: "4" } }
    ]
  ]
  for (const [what, method, denied, absent] of pairs) {
    it.scopedLive(`${what} that is denied is answered like one that is not there`, () =>
      Effect.gen(function* () {
        const { ask, ran } = yield* Notes.make({ refusal: "Absent" })
        const [first, second] = [yield* ask(method, denied, "nobody"), yield* ask(method, absent, "nobody")]
        const masked = (text: string) =>
          text
            .replace(/wrote/g, "write")
            .replace(/oben/g, "open")
            .replace(/tummary/g, "summary")
        assert.strictEqual(masked(first.text), masked(second.text))
        assert.strictEqual(first.status, second.status)
        assert.deepStrictEqual(
          [...first.headers],
          [...second.headers].map(([name, value]) => [name, value])
        )
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  it.scopedLive("what a hidden operation needs is in no challenge of others", () =>
    Effect.gen(function* () {
      const { send } = yield* Notes.make({ refusal: "Absent" }, { shown: "Challenge" })
      const body = batch(call("write", { text: "x" }, 1), rpc("resources/read", { uri: "notes://all/7" }, 2))
      assert.strictEqual((yield* send(body, "nobody")).challenge, scopeChallenge("admin mcp:tools"))
    })
  )
})

describe("bodies (G2, W-08)", () => {
  const write = (name: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${name}}`
  const refused: ReadonlyArray<readonly [name: string, body: string]> = [
    [
      "the method twice",
      '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"write","arguments":{"text":"x"}}}'
    ],
    ["the name twice", write('{"name":"whoami","arguments":{"text":"x"},"name":"write"}')],
    [
      "the params twice",
      '{"jsonrpc":"2.0","id":1,"params":{"name":"whoami"},"method":"tools/call","params":{"name":"write","arguments":{"text":"x"}}}'
    ],
    [
      "escapes",
      '{"jsonrpc":"2.0","id":1,"\\u006dethod":"tools\\/call","par\\u0061ms":{"n\\u0061me":"wr\\u0069te","arguments":{"text":"x"}}}'
    ],
    ["white space", `\n\t ${write('{ "name" : "write" , "arguments" : {"text":"x"}}')} \r\n`],
    [
      "__proto__ beside",
      '{"__proto__":{"method":"ping"},"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"__proto__":{"name":"whoami"},"name":"write","arguments":{"text":"x"}}}'
    ],
    [
      "headers of its own",
      JSON.stringify({ ...JSON.parse(call("write", { text: "x" })), headers: [["authorization", "Bearer writer"]] })
    ],
    [
      "arguments nested a thousand deep",
      call("write", { text: "x", deep: JSON.parse(`${"[".repeat(1000)}${"]".repeat(1000)}`) })
    ],
    ["more arguments than there are", call("write", { text: "x", name: "whoami", method: "ping" })],
    ["id 0", call("write", { text: "x" }, 0)],
    ["id null", call("write", { text: "x" }, null)],
    [
      "a large id",
      '{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"tools/call","params":{"name":"write","arguments":{"text":"x"}}}'.replace(
        "123456789012345678901234567890",
        "9007199254740993"
      )
    ],
    ["no jsonrpc", '{"id":1,"method":"tools/call","params":{"name":"write","arguments":{"text":"x"}}}']
  ]
  for (const [name, body] of refused) {
    it.scopedLive(`no way around: ${name}`, () =>
      Effect.gen(function* () {
        const { ran, send } = yield* Notes.make()
        const answer = yield* send(body, "reader")
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(answer.challenge, scopeChallenge("notes:read notes:write mcp:tools"))
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  const unserved: ReadonlyArray<readonly [name: string, body: string]> = [
    ["the name last is another", write('{"name":"write","arguments":{"text":"x"},"name":"none"}')],
    ["params that are a list", write('["write",{"text":"x"}]')],
    ["params that are a text", write('"write"')],
    ["a name that is a list", write('{"name":["write"],"arguments":{"text":"x"}}')],
    ["a name that is a number", write('{"name":1,"arguments":{"text":"x"}}')],
    ["a name in another case", write('{"name":"Write","arguments":{"text":"x"}}')],
    ["a name with a space", write('{"name":"write ","arguments":{"text":"x"}}')],
    [
      "a method in another case",
      '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"write","arguments":{"text":"x"}}}'
    ],
    [
      "a method that is a list",
      '{"jsonrpc":"2.0","id":1,"method":["tools/call"],"params":{"name":"write","arguments":{"text":"x"}}}'
    ],
    ["a batch in a batch", batch(batch(call("write", { text: "x" })))],
    ["a string id, which this server cannot read", call("write", { text: "x" }, "x")],
    ["an id that is an object", call("write", { text: "x" }, {})],
    ["the message within __proto__", `{"__proto__":${call("write", { text: "x" })}}`],
    ["the message within a result", `{"jsonrpc":"2.0","id":1,"result":${call("write", { text: "x" })}}`],
    [
      "the RPC protocol's own request",
      '{"jsonrpc":"2.0","method":"@effect/rpc/Request","params":{"requestId":"1","tag":"tools/call","payload":{"name":"write","arguments":{"text":"x"}}}}'
    ],
    ...nothing.map((body) => [`nothing at all: ${body}`, body] as const),
    ...notJson.map((body) => [`no JSON: ${JSON.stringify(body)}`, body] as const)
  ]
  for (const [name, body] of unserved) {
    it.scopedLive(`what the server does not read, nobody runs: ${name}`, () =>
      Effect.gen(function* () {
        const { ran, send } = yield* Notes.make()
        yield* send(body, "reader")
        yield* send(body, "writer")
        assert.deepStrictEqual(ran, [])
      })
    )
  }

  it.scopedLive("a message that makes the server stumble is answered by the server, and those beside it run", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make()
      for (const odd of [
        '{"jsonrpc":"2.0","method":"notifications/cancelled"}',
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":null}',
        '{"jsonrpc":"2.0","method":"@effect/rpc/Nothing"}',
        '{"jsonrpc":"2.0","method":"@effect/rpc/__proto__"}'
      ]) {
        ran.length = 0
        for (const body of [odd, batch(odd, call("whoami")), batch(call("whoami"), odd)]) {
          const { status, text } = yield* send(body, "reader")
          assert.strictEqual(status, 200)
          assert.include(text, "A defect occurred")
        }
        assert.deepStrictEqual(ran, ["whoami reader", "whoami reader"])
      }
    })
  )

  it.scopedLive("a URI that no router can read is answered by the server, not by a defect of the gate", () =>
    Effect.gen(function* () {
      const { ask, ran } = yield* Notes.make()
      for (const uri of ["notes://all/%", "notes://all/%E0%A4%A", "", "%", "*", ":", "notes://all/*", "//", "\u0000"]) {
        assert.include([200, 403], (yield* ask("resources/read", { uri }, "nobody")).status)
      }
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("what another parser might read differently is refused before it is read", () =>
    Effect.gen(function* () {
      const { ran, send } = yield* Notes.make()
      const body = call("whoami")
      const refusalOf = (headers: Record<string, string>, octets: string | Uint8Array<ArrayBuffer> = body) =>
        Effect.map(send(octets, "writer", headers), ({ challenge }) => challenge)
      assert.strictEqual(
        yield* refusalOf({ "content-encoding": "gzip" }),
        requestChallenge("the body must not be compressed")
      )
      assert.strictEqual(
        yield* refusalOf({ "content-type": "application/json; charset=utf-16" }),
        requestChallenge("the body must be UTF-8")
      )
      assert.strictEqual(
        yield* refusalOf({}, " ".repeat(4 * 1024 * 1024) + body),
        requestChallenge("the body must not be larger than 4194304 bytes")
      )
      yield* send(new Uint8Array(Buffer.from(body, "utf16le")), "writer")
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("the tenant's metadata document is in the challenge of either form", () =>
    Effect.gen(function* () {
      const { ask } = yield* Notes.make({ refusal: "ToolResult" })
      const { text } = yield* ask("tools/call", { name: "write", arguments: { text: "x" } }, "reader")
      assert.include(text, metadataUrl)
    })
  )
})
