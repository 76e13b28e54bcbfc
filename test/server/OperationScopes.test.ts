import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as McpOperation from "../../src/server/McpOperation.js"
import * as OperationScopes from "../../src/server/OperationScopes.js"
import { nothing, notJson, operations, scopesOf } from "../vectors/OperationScopes.js"
import {
  configOf,
  missingChallenge,
  type Question,
  requestChallenge,
  scopeChallenge,
  send
} from "./fixtures/Guarded.js"

const lookUp = (name: string): ReadonlyArray<string> => (Object.hasOwn(scopesOf, name) ? (scopesOf[name] ?? []) : [])
const scopes: OperationScopes.OperationScopes = { tool: lookUp, resource: lookUp, prompt: lookUp }

const every = ["files:read", "files:write", "admin", "odd"]

const deleteFile = '{"method":"tools/call","params":{"name":"delete_file"}}'

/** An MCP server that says how often it was reached, and what it read. */
const serving = (options?: { readonly refusal: OperationScopes.Refusal }) => {
  const read: Array<string> = []
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.map(
      Effect.orElseSucceed(request.text, () => "(no body)"),
      (text) => {
        read.push(text)
        return HttpServerResponse.text("served")
      }
    )
  ).pipe(OperationScopes.middleware(scopes, options), HttpAppAuth.middleware)
  const ask = (granted: ReadonlyArray<string>, question: Question) =>
    send(app, { token: "t", ...question }).pipe(
      Effect.provide(Authorizer.layerTest({ t: { scopes: ["mcp:tools", ...granted] } })),
      Effect.provideService(AuthConfig.AuthConfig, configOf())
    )
  return { ask, read }
}

describe("OperationScopes", () => {
  for (const { body, name, row, scopes: needed } of operations) {
    it.effect(`${row} ${name}: ${needed.length === 0 ? "nothing" : needed.join(" ")}`, () =>
      Effect.gen(function* () {
        const { ask, read } = serving()
        const granted = yield* ask(needed, { body })
        assert.strictEqual(granted.status, 200)
        assert.deepStrictEqual(read, [body])
        for (const lacking of needed) {
          const answer = yield* ask(
            every.filter((scope) => scope !== lacking),
            { body }
          )
          assert.strictEqual(answer.status, 403)
          assert.strictEqual(answer.challenge, scopeChallenge([...needed, "mcp:tools"].join(" ")))
        }
        assert.strictEqual(read.length, 1, "what is refused is not served")
      })
    )
  }

  for (const body of nothing) {
    it.effect(`no operation, no scope: ${JSON.stringify(body)}`, () =>
      Effect.gen(function* () {
        const { ask } = serving()
        assert.strictEqual((yield* ask([], { body, method: "POST" })).status, 200)
      })
    )
  }

  for (const body of notJson) {
    it.effect(`G2 what is no JSON is refused, whatever another parser finds in it: ${JSON.stringify(body)}`, () =>
      Effect.gen(function* () {
        const { ask, read } = serving()
        const answer = yield* ask(every, { body, method: "POST" })
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(
          answer.challenge,
          requestChallenge("the body must be JSON in UTF-8, without a byte order mark")
        )
        assert.deepStrictEqual(read, [])
      })
    )
  }

  it("operations: of a value that no JSON makes", () => {
    for (const value of [undefined, Symbol("x"), () => "tools/call", Number.NaN]) {
      assert.deepStrictEqual(McpOperation.all(value), [])
    }
    class Message {
      method = "tools/call"
      params = { name: "delete_file" }
    }
    assert.deepStrictEqual(McpOperation.all(new Message()), [{ kind: "tool", name: "delete_file", arguments: {} }])
  })

  it("operations: with their arguments, as they came", () => {
    const argumentsOf = (params: unknown, method = "tools/call") => McpOperation.all({ method, params })[0]?.arguments
    assert.deepStrictEqual(argumentsOf({ name: "x", arguments: { a: [1] } }), { a: [1] })
    for (const args of [undefined, null, 5, "x", ["x"]]) {
      assert.deepStrictEqual(argumentsOf({ name: "x", arguments: args }), {})
    }
    assert.deepStrictEqual(
      argumentsOf(
        {
          ref: { type: "ref/prompt", name: "x" },
          argument: { name: "week", value: "4" },
          context: { arguments: { year: "2026", week: "overruled" } }
        },
        "completion/complete"
      ),
      { year: "2026", week: "4" }
    )
  })

  it.prop("operations is total, and of a batch all", { messages: fc.array(fc.jsonValue()) }, ({ messages }) => {
    const one = messages.flatMap((message) => (Array.isArray(message) ? [] : McpOperation.all(message)))
    assert.deepStrictEqual(McpOperation.all(messages), one)
  })

  it.effect("RS-57 a broader scope is enough", () =>
    Effect.gen(function* () {
      const app = Effect.succeed(HttpServerResponse.text("served")).pipe(
        OperationScopes.middleware(scopes),
        HttpAppAuth.middleware
      )
      const answer = yield* send(app, {
        token: "t",
        body: '{"method":"tools/call","params":{"name":"move_file"}}'
      }).pipe(
        Effect.provide(Authorizer.layerTest({ t: { scopes: ["mcp:tools", "files"] } })),
        Effect.provideService(
          AuthConfig.AuthConfig,
          configOf({ impliedScopes: { files: ["files:read", "files:write"] } })
        )
      )
      assert.strictEqual(answer.status, 200)
    })
  )

  it.effect("RS-30 without a token nothing is read", () =>
    Effect.gen(function* () {
      const { read } = serving()
      const app = OperationScopes.middleware(scopes)(Effect.succeed(HttpServerResponse.text("served")))
      const answer = yield* send(HttpAppAuth.middleware(app), { body: "{}" }).pipe(
        Effect.provide(Authorizer.layerTest({})),
        Effect.provideService(AuthConfig.AuthConfig, configOf())
      )
      assert.strictEqual(answer.challenge, missingChallenge)
      assert.deepStrictEqual(read, [])
    })
  )

  it.effect("G2 the body decides, not the Content-Type", () =>
    Effect.gen(function* () {
      const { ask } = serving()
      for (const type of ["text/plain", "application/json; charset=UTF-8", "multipart/form-data; boundary=x", ""]) {
        assert.strictEqual((yield* ask([], { body: deleteFile, headers: { "content-type": type } })).status, 403)
      }
    })
  )

  describe('refusal: "ToolResult" (E20)', () => {
    const refused = (body: string, granted: ReadonlyArray<string> = []) => {
      const { ask, read } = serving({ refusal: "ToolResult" })
      return Effect.map(ask(granted, { body }), (answer) => ({ ...answer, read }))
    }

    for (const id of [1, "a-string", 0]) {
      it.effect(`a call of a tool is answered with a result that has the challenge, id ${JSON.stringify(id)}`, () =>
        Effect.gen(function* () {
          const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "delete_file" } })
          const answer = yield* refused(body)
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(answer.challenge, null)
          assert.deepStrictEqual(answer.body, {
            jsonrpc: "2.0",
            id,
            result: {
              resultType: "complete",
              isError: true,
              content: [
                {
                  type: "text",
                  text: "insufficient_scope: The access token lacks scopes that this operation needs"
                }
              ],
              _meta: { "mcp/www_authenticate": [scopeChallenge("files:write mcp:tools")] }
            }
          })
          assert.deepStrictEqual(answer.read, [])
        })
      )
    }

    it.effect("what no result can answer is a 403 all the same", () =>
      Effect.gen(function* () {
        for (const body of [
          deleteFile, // a notification
          `[${JSON.stringify({ id: 1, method: "tools/call", params: { name: "delete_file" } })}]`,
          JSON.stringify({ id: null, method: "tools/call", params: { name: "delete_file" } }),
          JSON.stringify({ id: 1, method: "resources/read", params: { uri: "delete_file" } }),
          JSON.stringify({ id: 1, method: "prompts/get", params: { name: "delete_file" } })
        ]) {
          const answer = yield* refused(body)
          assert.strictEqual(answer.status, 403)
          assert.strictEqual(answer.challenge, scopeChallenge("files:write mcp:tools"))
        }
      })
    )

    it.effect("what is allowed is served, and what is no JSON is a 400", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* refused(deleteFile, ["files:write"])).text, "served")
        assert.strictEqual((yield* refused("{")).status, 400)
      })
    )
  })

  it.effect("methods without a body have no operation; all others are as POST", () =>
    Effect.gen(function* () {
      const { ask } = serving()
      for (const method of ["GET", "HEAD", "DELETE"]) assert.strictEqual((yield* ask([], { method })).status, 200)
      for (const method of ["PUT", "PATCH", "QUERY"]) {
        assert.strictEqual((yield* ask([], { method, body: deleteFile })).status, 403)
      }
    })
  )
})
