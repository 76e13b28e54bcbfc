import { createServer } from "node:http"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as OperationScopes from "../../src/server/OperationScopes.js"
import { nonsense, operations, scopesOf } from "../vectors/OperationScopes.js"
import { configOf, missingChallenge, type Question, scopeChallenge, send } from "./fixtures/Guarded.js"
import * as RawHttp from "./fixtures/RawHttp.js"

const lookUp = (name: string): ReadonlyArray<string> => (Object.hasOwn(scopesOf, name) ? (scopesOf[name] ?? []) : [])
const scopes: OperationScopes.OperationScopes = { tool: lookUp, resource: lookUp, prompt: lookUp }

const every = ["files:read", "files:write", "admin", "odd"]

/** An MCP server that says how often it was reached, and what it read. */
const serving = () => {
  const read: Array<string> = []
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.map(
      Effect.orElseSucceed(request.text, () => "(no body)"),
      (text) => {
        read.push(text)
        return HttpServerResponse.text("served")
      }
    )
  ).pipe(OperationScopes.middleware(scopes), HttpAppAuth.middleware)
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

  for (const body of nonsense) {
    it.effect(`no operation, no scope: ${JSON.stringify(body)}`, () =>
      Effect.gen(function* () {
        const { ask } = serving()
        assert.strictEqual((yield* ask([], { body, method: "POST" })).status, 200)
      })
    )
  }

  // Some parsers pass over a byte order mark, so that a server behind may find an operation where the check found none.
  // A bug that is known and not mended: the test turns red when it is, and then becomes `it.scopedLive`.
  it.scopedLive("G2 a byte order mark hides no operation", () =>
    Effect.gen(function* () {
      const app = Effect.succeed(HttpServerResponse.text("served")).pipe(
        OperationScopes.middleware(scopes),
        HttpAppAuth.middleware
      )
      const context = yield* Layer.build(
        HttpServer.serve(app).pipe(
          Layer.provide(Authorizer.layerTest({ t: { scopes: ["mcp:tools"] } })),
          Layer.provide(Layer.succeed(AuthConfig.AuthConfig, configOf())),
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
        )
      )
      const { address } = Context.get(context, HttpServer.HttpServer)
      const answer = yield* Effect.promise(() =>
        RawHttp.send(address._tag === "TcpAddress" ? address.port : 0, {
          method: "POST",
          headers: [["Authorization", "Bearer t"]],
          body: '\ufeff{"method":"tools/call","params":{"name":"delete_file"}}'
        })
      )
      assert.notStrictEqual(answer.status, 200)
    })
  )

  it("required: of a value that no JSON makes", () => {
    for (const value of [undefined, Symbol("x"), () => "tools/call", Number.NaN]) {
      assert.deepStrictEqual(OperationScopes.required(value, scopes), [])
    }
    class Message {
      method = "tools/call"
      params = { name: "delete_file" }
    }
    assert.deepStrictEqual(OperationScopes.required(new Message(), scopes), ["files:write"])
    assert.deepStrictEqual(OperationScopes.required({ method: "tools/call", params: { name: "delete_file" } }, {}), [])
  })

  it.prop("required is total, and of a batch the union", { messages: fc.array(fc.jsonValue()) }, ({ messages }) => {
    const one = messages.flatMap((message) => (Array.isArray(message) ? [] : OperationScopes.required(message, scopes)))
    assert.deepStrictEqual(new Set(OperationScopes.required(messages, scopes)), new Set(one))
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
      const body = '{"method":"tools/call","params":{"name":"delete_file"}}'
      for (const type of ["text/plain", "application/json; charset=utf-16", "multipart/form-data; boundary=x", ""]) {
        assert.strictEqual((yield* ask([], { body, headers: { "content-type": type } })).status, 403)
      }
    })
  )

  it.effect("other methods have no operation", () =>
    Effect.gen(function* () {
      const { ask } = serving()
      for (const method of ["GET", "HEAD", "DELETE"]) assert.strictEqual((yield* ask([], { method })).status, 200)
    })
  )
})
