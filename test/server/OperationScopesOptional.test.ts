import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { OptionalClaims } from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as OperationScopes from "../../src/server/OperationScopes.js"
import * as ScopeRequirement from "../../src/server/ScopeRequirement.js"
import * as WebHandlerAuth from "../../src/server/WebHandlerAuth.js"
import {
  configOf,
  invalidChallenge,
  missingChallenge,
  type Question,
  scopeChallenge,
  send
} from "./fixtures/Guarded.js"

const own = ScopeRequirement.decide(({ claims }) => Effect.succeed(claims.subject === "alice" ? [] : ["admin"]))

const needs: Readonly<Record<string, ScopeRequirement.Requirement | typeof OperationScopes.open>> = {
  search: OperationScopes.open,
  vote: [],
  publish: ["posts:write"],
  own
}

const need = (name: string) => (Object.hasOwn(needs, name) ? (needs[name] ?? []) : [])

const call = (name: string, id = 1) => ({ jsonrpc: "2.0", id, method: "tools/call", params: { name } })

const serving = (options?: OperationScopes.Options) => {
  const served: Array<string> = []
  const app = Effect.zipWith(OptionalClaims, HttpServerRequest.HttpServerRequest, (claims, { method }) => {
    served.push(method)
    return HttpServerResponse.text(Option.match(claims, { onNone: () => "guest", onSome: ({ subject }) => subject }))
  }).pipe(
    OperationScopes.middlewareOptional({ tool: need, resource: need, prompt: need }, options),
    HttpAppAuth.optional
  )
  const ask = (message: unknown, question: Question = {}) =>
    send(app, { body: JSON.stringify(message), ...question }).pipe(
      Effect.provide(
        Authorizer.layerTest({
          alice: { subject: "alice", scopes: ["mcp:tools"] },
          weak: { subject: "weak", scopes: [] },
          poster: { subject: "poster", scopes: ["mcp:tools", "posts:write"] }
        })
      ),
      Effect.provideService(AuthConfig.AuthConfig, configOf())
    )
  return { ask, served }
}

const missing = (scope: string) => missingChallenge.replace(/scope="[^"]*"/, `scope="${scope}"`)

describe("OperationScopes: public and protected operations (needs 19)", () => {
  it.effect("everybody finds out what there is, and uses what is open", () =>
    Effect.gen(function* () {
      const { ask } = serving()
      const answers = yield* Effect.forEach(
        [
          { method: "initialize" },
          { method: "server/discover" },
          { method: "notifications/initialized" },
          { method: "tools/list" },
          { result: {}, id: 1 },
          call("search"),
          [call("search"), call("search", 2)]
        ],
        (message) => ask(message)
      )
      for (const { status, text } of answers) assert.deepStrictEqual([status, text], [200, "guest"])
      const { text } = yield* ask(call("search"), { token: "alice" })
      assert.strictEqual(text, "alice")
    })
  )

  for (const [what, message, scope] of [
    ["an operation without scopes", call("vote"), "mcp:tools"],
    ["one with scopes, which the 401 names", call("publish"), "posts:write mcp:tools"],
    ["one that is decided by who calls, which nobody is asked", call("own"), "mcp:tools"],
    ["one that was never declared", call("delete_all"), "mcp:tools"],
    ["one whose name is that of a prototype", call("constructor"), "mcp:tools"],
    ["one that is no name", { method: "tools/call", params: { name: 1 } }, "mcp:tools"],
    ["a resource", { method: "resources/read", params: { uri: "posts://1" } }, "mcp:tools"],
    ["one beside an open one", [call("search"), call("publish", 2)], "posts:write mcp:tools"],
    ["a method of an extension", { method: "tasks/get", params: { taskId: "1" } }, "mcp:tools"],
    ["one that is hidden in a batch", [{ method: "tools/list" }, { method: "x/y" }], "mcp:tools"]
  ] as const) {
    it.effect(`without a token 401: ${what}`, () =>
      Effect.gen(function* () {
        const { ask, served } = serving()
        const { challenge, status } = yield* ask(message)
        assert.deepStrictEqual([status, challenge], [401, missing(scope)])
        assert.lengthOf(served, 0)
      })
    )
  }

  it.effect("with a token it is what it is without public operations", () =>
    Effect.gen(function* () {
      const { ask } = serving()
      assert.strictEqual((yield* ask(call("vote"), { token: "alice" })).status, 200)
      assert.strictEqual((yield* ask(call("own"), { token: "alice" })).status, 200)
      assert.strictEqual((yield* ask(call("publish"), { token: "poster" })).status, 200)
      assert.strictEqual((yield* ask({ method: "tasks/get" }, { token: "alice" })).status, 200)
      const narrow = yield* ask(call("publish"), { token: "alice" })
      assert.deepStrictEqual([narrow.status, narrow.challenge], [403, scopeChallenge("posts:write mcp:tools")])
    })
  )

  it.effect("a token that is not accepted is refused, also where none is needed", () =>
    Effect.gen(function* () {
      const { ask, served } = serving()
      const unknown = yield* ask(call("search"), { token: "mallory" })
      assert.deepStrictEqual([unknown.status, unknown.challenge], [401, invalidChallenge()])
      const weak = yield* ask(call("search"), { token: "weak" })
      assert.strictEqual(weak.status, 403)
      assert.lengthOf(served, 0)
    })
  )

  it.effect("E20: as the result of a tool, the challenge is where ChatGPT looks for it", () =>
    Effect.gen(function* () {
      const { ask } = serving({ refusal: "ToolResult" })
      const { body, status } = yield* ask(call("publish", 7))
      assert.strictEqual(status, 200)
      const { id, result } = body as {
        readonly id: number
        readonly result: { readonly isError: boolean; readonly _meta: Readonly<Record<string, ReadonlyArray<string>>> }
      }
      assert.deepStrictEqual([id, result.isError], [7, true])
      assert.include(result._meta["mcp/www_authenticate"]?.[0], 'scope="posts:write mcp:tools"')
      assert.strictEqual((yield* ask([call("publish")])).status, 401)
    })
  )

  it.effect("a web handler is told who is known, and that nobody is", () =>
    Effect.gen(function* () {
      const seen: Array<string | undefined> = []
      const app = WebHandlerAuth.fromWebHandlerOptional(async (request, caller) => {
        seen.push(caller?.claims.subject)
        return new Response(request.headers.get("authorization"))
      }).pipe(HttpAppAuth.optional)
      for (const token of [undefined, "alice"]) {
        yield* send(app, token === undefined ? {} : { token }).pipe(
          Effect.provide(Authorizer.layerTest({ alice: { scopes: ["mcp:tools"] } })),
          Effect.provideService(AuthConfig.AuthConfig, configOf())
        )
      }
      assert.deepStrictEqual(seen, [undefined, "alice"])
    })
  )
})
