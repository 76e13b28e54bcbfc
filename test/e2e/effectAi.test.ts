/**
 * An `@effect/ai` MCP server behind the guard, and one declaration of what its operations need: a 403 to a raw client, a
 * step-up for ours and for the official ones of its era, and the form that ChatGPT reads. Clients that negotiate revision
 * 2026-07-28 wait for an answer that `@effect/ai` 0.37 does not give.
 */
import * as McpServer from "@effect/ai/McpServer"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { FetchAuth, HttpClientAuth, Refusal, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { McpServerAuth } from "effect-mcp-auth/mcp"
import { WwwAuthenticate } from "effect-mcp-auth/protocol"
import { Claims, HttpLayerRouterAuth } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as OfficialClient from "../fixtures/OfficialClient.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const Caller = Schema.Struct({ subject: Schema.String, scopes: Schema.Array(Schema.String) })

const tools = Toolkit.make(
  Tool.make("whoami", { description: "Says who is calling", success: Caller }).addDependency(Claims.CurrentClaims),
  Tool.make("write_note", { description: "Writes a note", success: Schema.Struct({ note: Schema.String }) })
    .annotate(McpServerAuth.RequiredScopes, ["mcp:tools", "mcp:write"])
    .addDependency(Claims.CurrentClaims)
)

const handlers = tools.toLayer({
  whoami: () => Effect.map(Claims.CurrentClaims, ({ scopes, subject }) => ({ subject, scopes })),
  write_note: () => Effect.map(Claims.CurrentClaims, ({ subject }) => ({ note: `written by ${subject}` }))
})

const open = Toolkit.make(
  Tool.make("greet", {
    description: "Greets everybody",
    success: Schema.Struct({ greeting: Schema.String })
  }).addDependency(Claims.OptionalClaims)
)

/** For everybody, beside what is not. */
const openOperations = McpServerAuth.toolkitOptional(open).pipe(
  Layer.provide(
    open.toLayer({
      greet: () =>
        Effect.map(Claims.OptionalClaims, (caller) => ({
          greeting: `hello ${Option.match(caller, { onNone: () => "guest", onSome: ({ subject }) => subject })}`
        }))
    })
  )
)

const subject = Effect.map(Claims.CurrentClaims, (caller) => `for ${caller.subject}`)

/** The very same declarations, under either policy. */
const operations = Layer.mergeAll(
  McpServerAuth.toolkit(tools).pipe(Layer.provide(handlers)),
  McpServerAuth.register(McpServer.registerResource({ uri: "notes://all", name: "notes", content: subject }), {
    scopes: ["mcp:write"]
  }),
  McpServerAuth.register(McpServer.registerPrompt({ name: "summary", content: () => subject }), {
    scopes: ["mcp:write"]
  })
)

const server = { name: "effect-ai", version: "1.0.0", path: "/mcp" } as const

const serve = <E, R>(routes: Layer.Layer<never, E, R>) =>
  HttpLayerRouter.serve(Layer.merge(routes, HttpLayerRouterAuth.layerMetadata), {
    disableLogger: true,
    disableListenLog: true
  })

const serving = (refusal: McpServerAuth.Policy["refusal"]) =>
  serve(Layer.provide(operations, McpServerAuth.layerHttpRouter({ ...server, refusal })))

/** The same, and what is open besides. */
const servingEverybody = (refusal: McpServerAuth.Policy["refusal"]) =>
  serve(
    Layer.provide(
      Layer.merge(operations, openOperations),
      McpServerAuth.layerHttpRouterOptional({ ...server, refusal })
    )
  )

class Shared extends Context.Tag("Shared")<Shared, ProtectedServer.ProtectedServer>() {}
class ForChatGpt extends Context.Tag("ForChatGpt")<ForChatGpt, ProtectedServer.ProtectedServer>() {}
class Open extends Context.Tag("Open")<Open, ProtectedServer.ProtectedServer>() {}
class OpenForChatGpt extends Context.Tag("OpenForChatGpt")<OpenForChatGpt, ProtectedServer.ProtectedServer>() {}

const shared = Layer.scopedContext(
  Effect.gen(function* () {
    const shared = yield* ProtectedServer.make({
      authorizationServer: {
        clients: [
          machine,
          {
            client_id: "registered",
            grant_types: ["authorization_code"],
            redirect_uris: [OfficialClient.redirectUrl],
            response_types: ["code"],
            token_endpoint_auth_method: "none"
          }
        ]
      },
      serve: serving("Challenge")
    })
    const { authorizationServer } = shared
    const forChatGpt = yield* ProtectedServer.make({ authorizationServer, serve: serving("ToolResult") })
    const open = yield* ProtectedServer.make({ authorizationServer, serve: servingEverybody("Challenge") })
    const openForChatGpt = yield* ProtectedServer.make({ authorizationServer, serve: servingEverybody("ToolResult") })
    return Context.make(Shared, shared).pipe(
      Context.add(ForChatGpt, forChatGpt),
      Context.add(Open, open),
      Context.add(OpenForChatGpt, openForChatGpt)
    )
  })
)

/** Our client: a person who says yes, and nothing but the URL. */
const ours = (resource: string) =>
  TokenSource.layerAuthorizationCode({ resource }).pipe(
    Layer.provide([
      ScriptedUser.layer({ login: "alice", redirectUri: OfficialClient.redirectUrl }),
      TokenStore.layerMemory
    ]),
    Layer.provideMerge(FetchHttpClient.layer)
  )

const rpc = (method: string, params: object, id = 1) => JSON.stringify({ jsonrpc: "2.0", id, method, params })

const call = (tool: string, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: tool, arguments: {} } })

const post = (url: string, body: string, token?: string) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` })
      },
      body
    })
    return {
      status: response.status,
      wwwAuthenticate: response.headers.get("www-authenticate"),
      body: await response.text()
    }
  })

layer(shared, { excludeTestServices: true })((it) => {
  for (const kind of ["v1", "v2 legacy"] as const) {
    const login = kind.replace(" ", "-")

    it.scoped(`${kind} signs in, lists the tools, and a tool knows its caller`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* Shared
        const from = exchanges.length
        const client = yield* OfficialClient.make(kind, url, { login })
        yield* client.connect
        assert.deepStrictEqual([...(yield* client.listTools)].sort(), ["whoami", "write_note"])
        assert.deepStrictEqual(JSON.parse(yield* client.callTool("whoami")), { subject: login, scopes: ["mcp:tools"] })
        assert.deepStrictEqual(
          exchanges.slice(from).map(({ method, path, rpc, status }) => [method, rpc ?? path, status]),
          [
            ["POST", "initialize", 401],
            ["GET", "/.well-known/oauth-protected-resource/mcp", 200],
            ["POST", "initialize", 200],
            ["POST", "notifications/initialized", 200],
            ["POST", "tools/list", 200],
            ["POST", "tools/call", 200]
          ]
        )
      })
    )

    it.scoped(`${kind} steps up for a tool that requires a scope (G2)`, () =>
      Effect.gen(function* () {
        const { authorizationServer, exchanges, url } = yield* Shared
        const client = yield* OfficialClient.make(kind, url, {
          login,
          client: { client_id: "registered", issuer: authorizationServer.issuer }
        })
        yield* client.connect
        const from = exchanges.length
        assert.deepStrictEqual(JSON.parse(yield* client.callTool("write_note")), { note: `written by ${login}` })
        assert.deepStrictEqual(
          exchanges.slice(from).map(({ status, tool }) => [tool, status]),
          [
            ["write_note", 403],
            ["write_note", 200]
          ]
        )
      })
    )
  }

  for (const [what, method, params, answer] of [
    ["a tool", "tools/call", { name: "write_note", arguments: {} }, "written by alice"],
    ["a resource", "resources/read", { uri: "notes://all" }, "for alice"],
    ["a prompt", "prompts/get", { name: "summary" }, "for alice"]
  ] as const) {
    it.scoped(`our client signs in and steps up for ${what}, in one call (G2)`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* Shared
        const from = exchanges.length
        const text = yield* Effect.gen(function* () {
          const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
          const request = HttpClientRequest.post(url).pipe(
            HttpClientRequest.bodyText(rpc(method, params), "application/json")
          )
          return yield* Effect.flatMap(client.execute(request), (response) => response.text)
        }).pipe(Effect.provide(ours(url)))
        assert.include(text, answer)
        assert.deepStrictEqual(
          exchanges.slice(from).flatMap(({ path, status }) => (path === "/mcp" ? [status] : [])),
          [401, 403, 200]
        )
      })
    )
  }

  for (const kind of ["v1", "v2 legacy"] as const) {
    it.scoped(`the official SDK over our fetch steps up without knowing of it: ${kind} (G2)`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* Shared
        yield* Effect.gen(function* () {
          const client = yield* OfficialClient.over(kind, url, yield* FetchAuth.make)
          const from = exchanges.length
          assert.include(JSON.stringify(yield* client.callTool("write_note")), "written by alice")
          assert.deepStrictEqual(
            exchanges.slice(from).flatMap(({ path, status, tool }) => (path === "/mcp" ? [[tool, status]] : [])),
            [
              ["write_note", 403],
              ["write_note", 200]
            ]
          )
        }).pipe(Effect.provide(ours(url)))
      })
    )

    it.scoped(`the form that ChatGPT reads, as the official SDK hands it on: ${kind} (E20)`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* ForChatGpt
        yield* Effect.gen(function* () {
          const client = yield* OfficialClient.over(kind, url, yield* FetchAuth.make)
          const from = exchanges.length
          const refused = yield* client.callTool("write_note")
          assert.deepStrictEqual(
            exchanges.slice(from).map(({ status, tool }) => [tool, status]),
            [["write_note", 200]]
          )
          assert.isTrue(refused.isError)
          // What such a client does next: it signs in with the challenge that it finds, and calls again.
          const [challenge = ""] = (refused._meta?.["mcp/www_authenticate"] ?? []) as ReadonlyArray<string>
          assert.strictEqual(WwwAuthenticate.parse(challenge)[0]?.parameters["scope"], "mcp:tools mcp:write")
          const source = yield* TokenSource.TokenSource
          const refusal = yield* Refusal.fromResponse({ status: 403, wwwAuthenticate: challenge, url })
          yield* source.renew(refusal, yield* source.current)
          assert.include(JSON.stringify(yield* client.callTool("write_note")), "written by alice")
        }).pipe(Effect.provide(ours(url)))
      })
    )
  }

  it.scoped("one declaration, one challenge: the 403 and the result carry the same (E20, G2)", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* Shared, yield* ForChatGpt]
      const challengeOf = ({ authorizationServer, config, url }: ProtectedServer.ProtectedServer) =>
        Effect.gen(function* () {
          const token = yield* machineToken(authorizationServer, url, "mcp:tools")
          const { body, status, wwwAuthenticate } = yield* post(url, call("write_note"), token)
          const meta = (JSON.parse(body) as { readonly result?: { readonly _meta: Record<string, Array<string>> } })
            .result?._meta
          const challenge = wwwAuthenticate ?? meta?.["mcp/www_authenticate"]?.[0] ?? ""
          return { status, challenge: challenge.replace(config.resourceMetadataUrl, "") }
        })
      const [http, result] = [yield* challengeOf(first), yield* challengeOf(second)]
      assert.deepStrictEqual([http.status, result.status], [403, 200])
      assert.strictEqual(http.challenge, result.challenge)
      assert.include(http.challenge, 'scope="mcp:tools mcp:write"')
    })
  )

  it.scoped("a call of a tool whose scope is missing is answered 403, with the complete challenge", () =>
    Effect.gen(function* () {
      const { authorizationServer, config, url } = yield* Shared
      const because = "The access token lacks scopes that this operation needs"
      const refusal = {
        status: 403,
        wwwAuthenticate: `Bearer error="insufficient_scope", scope="mcp:tools mcp:write", resource_metadata="${config.resourceMetadataUrl}", error_description="${because}"`,
        body: JSON.stringify({ error: "insufficient_scope", error_description: because })
      }
      const token = yield* machineToken(authorizationServer, url, "mcp:tools")
      assert.deepStrictEqual(yield* post(url, call("write_note"), token), refusal)
      // One call of a batch is enough.
      assert.deepStrictEqual(yield* post(url, `[${call("whoami", 1)},${call("write_note", 2)}]`, token), refusal)
      assert.strictEqual((yield* post(url, call("whoami"), token)).status, 200)

      const both = yield* machineToken(authorizationServer, url, "mcp:tools mcp:write")
      const served = yield* post(url, call("write_note"), both)
      assert.strictEqual(served.status, 200)
      assert.include(served.body, "written by machine")
    })
  )

  it.scoped("a call without a token is answered 401, with the complete challenge", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      assert.deepStrictEqual(yield* post(url, call("whoami")), {
        status: 401,
        wwwAuthenticate: `Bearer resource_metadata="${config.resourceMetadataUrl}", scope="mcp:tools"`,
        body: JSON.stringify({ error: "invalid_token", error_description: "Authorization required" })
      })
    })
  )

  it.scoped("D1: callers at the same time are not mixed up", () =>
    Effect.gen(function* () {
      const { authorizationServer, url } = yield* Shared
      const [small, big] = yield* Effect.all([
        machineToken(authorizationServer, url, "mcp:tools"),
        machineToken(authorizationServer, url, "mcp:tools mcp:write")
      ])
      const scopes = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => index),
        (index) =>
          Effect.map(post(url, call("whoami", index + 1), index % 2 === 0 ? small : big), ({ body }) => {
            const { result } = JSON.parse(body) as { result: { structuredContent: typeof Caller.Type } }
            return result.structuredContent.scopes.length
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        scopes,
        scopes.map((_, index) => (index % 2 === 0 ? 1 : 2))
      )
    })
  )

  it.scoped(
    "what is open answers without a token; what is not is answered 401, with all that it needs (E2, RS-55)",
    () =>
      Effect.gen(function* () {
        const { authorizationServer, config, url } = yield* Open
        const initialize = {
          protocolVersion: "2025-06-18",
          capabilities: {},
          clientInfo: { name: "raw", version: "1" }
        }
        assert.strictEqual((yield* post(url, rpc("initialize", initialize))).status, 200)
        assert.include((yield* post(url, rpc("tools/list", {}))).body, "write_note")
        assert.include((yield* post(url, call("greet"))).body, "hello guest")
        const asked = (scope: string) => ({
          status: 401,
          wwwAuthenticate: `Bearer resource_metadata="${config.resourceMetadataUrl}", scope="${scope}"`,
          body: JSON.stringify({ error: "invalid_token", error_description: "Authorization required" })
        })
        assert.deepStrictEqual(yield* post(url, call("whoami")), asked("mcp:tools"))
        assert.deepStrictEqual(yield* post(url, call("write_note")), asked("mcp:tools mcp:write"))
        assert.deepStrictEqual(
          yield* post(url, `[${call("greet", 1)},${call("write_note", 2)}]`),
          asked("mcp:tools mcp:write")
        )
        // Who sends a token that is not accepted does not mean to be anonymous.
        assert.strictEqual((yield* post(url, call("greet"), "bad")).status, 401)
        const token = yield* machineToken(authorizationServer, url, "mcp:tools")
        assert.include((yield* post(url, call("greet"), token)).body, "hello machine")
        assert.strictEqual((yield* post(url, call("write_note"), token)).status, 403)
      })
  )

  it.scoped("our client uses what is open without signing in, and signs in once for what is not (E2)", () =>
    Effect.gen(function* () {
      const { exchanges, url } = yield* Open
      const from = exchanges.length
      yield* Effect.gen(function* () {
        const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
        const ask = (tool: string) =>
          Effect.flatMap(
            client.execute(
              HttpClientRequest.post(url).pipe(HttpClientRequest.bodyText(call(tool), "application/json"))
            ),
            (response) => response.text
          )
        assert.include(yield* ask("greet"), "hello guest")
        assert.include(yield* ask("write_note"), "written by alice")
        assert.include(yield* ask("greet"), "hello alice")
      }).pipe(Effect.provide(ours(url)))
      assert.deepStrictEqual(
        exchanges.slice(from).flatMap(({ path, status, tool }) => (path === "/mcp" ? [[tool, status]] : [])),
        [
          ["greet", 200],
          ["write_note", 401],
          ["write_note", 200],
          ["greet", 200]
        ]
      )
    })
  )

  for (const kind of ["v1", "v2 legacy"] as const) {
    it.scoped(`${kind} connects without a token, and signs in where a tool asks for one (E2)`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* Open
        const from = exchanges.length
        const client = yield* OfficialClient.make(kind, url, { login: "alice" })
        yield* client.connect
        assert.sameMembers([...(yield* client.listTools)], ["whoami", "write_note", "greet"])
        assert.deepStrictEqual(JSON.parse(yield* client.callTool("greet")), { greeting: "hello guest" })
        assert.lengthOf(client.authorizationRequests, 0)
        assert.deepStrictEqual(JSON.parse(yield* client.callTool("write_note")), { note: "written by alice" })
        assert.lengthOf(client.authorizationRequests, 1)
        assert.match(client.authorizationRequests[0]?.get("scope") ?? "", /^mcp:tools mcp:write( offline_access)?$/)
        assert.deepStrictEqual(
          exchanges
            .slice(from)
            .flatMap(({ path, rpc, status, tool }) => (path === "/mcp" ? [[tool ?? rpc, status]] : [])),
          [
            ["initialize", 200],
            ["notifications/initialized", 200],
            ["tools/list", 200],
            ["greet", 200],
            ["write_note", 401],
            ["write_note", 200]
          ]
        )
      })
    )

    it.scoped(`the form that ChatGPT signs in on, as the official SDK hands it on: ${kind} (E20)`, () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* OpenForChatGpt
        yield* Effect.gen(function* () {
          const client = yield* OfficialClient.over(kind, url, yield* FetchAuth.make)
          const from = exchanges.length
          assert.include(JSON.stringify(yield* client.callTool("greet")), "hello guest")
          const refused = yield* client.callTool("write_note")
          assert.isTrue(refused.isError)
          assert.deepStrictEqual(
            exchanges.slice(from).map(({ status }) => status),
            [200, 200]
          )
          const [challenge = ""] = (refused._meta?.["mcp/www_authenticate"] ?? []) as ReadonlyArray<string>
          const parameters = WwwAuthenticate.parse(challenge)[0]?.parameters
          assert.include(parameters, { error: "insufficient_scope", scope: "mcp:tools mcp:write" })
          const source = yield* TokenSource.TokenSource
          const refusal = yield* Refusal.fromResponse({ status: 401, wwwAuthenticate: challenge, url })
          yield* source.renew(refusal, yield* source.current)
          assert.include(JSON.stringify(yield* client.callTool("write_note")), "written by alice")
        }).pipe(Effect.provide(ours(url)))
      })
    )
  }
})
