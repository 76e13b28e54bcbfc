/**
 * The examples for other frameworks at a real authorization server, with the official clients: who is calling, stepping
 * up, streams and their end, and whose a session is.
 */
import type { RequestListener } from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { McpServer } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig, JwtAuthorizer } from "effect-mcp-auth/server"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as HttpServer from "../discovery/fixtures/HttpServer.js"
import * as Frameworks from "../fixtures/Frameworks.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as OfficialClient from "../fixtures/OfficialClient.js"

const other = { ...machine, client_id: "another machine" }

interface World {
  readonly url: string
  readonly requests: ReadonlyArray<string>
  readonly token: (client?: typeof machine) => Effect.Effect<string>
}

/** An example and an authorization server; `serve` is what the MCP server is, the example's own when absent. */
const start = (framework: Frameworks.Framework, serve?: () => McpServer) =>
  Effect.gen(function* () {
    const authorizationServer = yield* AuthorizationServer.make({
      clients: [machine, other],
      resources: () => ({ scope: "mcp:tools mcp:write" }),
      defaultScope: "mcp:tools"
    })
    let listener: RequestListener = (_, response) => response.writeHead(503).end()
    const server = yield* HttpServer.make((request, response) => listener(request, response))
    const url = `${server.url}/mcp`
    const config = AuthConfig.layer({
      resource: url,
      authorizationServers: authorizationServer.issuer,
      requiredScopes: ["mcp:tools"],
      // The SDK registers with the scope of the first challenge, and oidc-provider holds it to that.
      challengeScopes: []
    })
    listener = yield* framework(
      JwtAuthorizer.layer().pipe(Layer.provide(FetchHttpClient.layer), Layer.provideMerge(config)),
      serve
    )
    const token: World["token"] = (client) => machineToken(authorizationServer, url, "mcp:tools", client)
    return { url, requests: server.requests, token } satisfies World
  })

/** One request as a program without an SDK sends it. */
const post = (
  url: string,
  token: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
  init: RequestInit = {}
) =>
  fetch(url, {
    method: "POST",
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...body }),
    ...init,
    headers: {
      authorization: `Bearer ${token}`,
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      ...headers
    }
  })

const initialize = {
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1.0.0" } }
}

describe("the examples for frameworks", () => {
  for (const [name, framework] of Object.entries(Frameworks.all)) {
    const kinds: ReadonlyArray<OfficialClient.Kind> =
      name in Frameworks.withSessions ? ["v2 legacy", "v1"] : OfficialClient.kinds

    for (const kind of kinds) {
      it.scopedLive(
        `${name}: ${kind} signs in, is known to the tools, and steps up`,
        () =>
          Effect.gen(function* () {
            const { url } = yield* start(framework)
            // Version 1 renews where it should ask for more, if it can.
            const metadata = kind === "v1" ? { grant_types: ["authorization_code"] } : {}
            const client = yield* OfficialClient.make(kind, url, { login: "alice", metadata })
            yield* client.connect
            assert.sameMembers([...(yield* client.listTools)], ["whoami", "write_note"])
            const before = JSON.parse(yield* client.callTool("whoami"))
            assert.deepStrictEqual([before.subject, before.scopes], ["alice", ["mcp:tools"]])
            const after = JSON.parse(yield* client.callTool("write_note"))
            assert.sameMembers(after.scopes, ["mcp:tools", "mcp:write"])
            assert.lengthOf(client.authorizationRequests, 2)
          }),
        60_000
      )
    }

    it.scopedLive(
      `${name}: a stream is there as it comes, and the tool ends when its client leaves`,
      () =>
        Effect.gen(function* () {
          let stopped: () => void = () => {}
          const stop = new Promise<void>((resolve) => {
            stopped = resolve
          })
          const { token, url } = yield* start(framework, () => {
            const server = new McpServer({ name: "waiting", version: "1.0.0" })
            server.registerTool("wait", {}, async ({ mcpReq }) => {
              mcpReq.signal.addEventListener("abort", stopped, { once: true })
              await mcpReq.notify({
                method: "notifications/progress",
                params: { progressToken: mcpReq._meta?.progressToken ?? "", progress: 1 }
              })
              await stop
              return { content: [] }
            })
            return server
          })
          const bearer = yield* token()
          const started = yield* Effect.promise(() => post(url, bearer, initialize))
          yield* Effect.promise(() => started.text())
          const session = started.headers.get("mcp-session-id")
          const leaving = new AbortController()
          const call = { method: "tools/call", params: { name: "wait", arguments: {}, _meta: { progressToken: "p" } } }
          const headers: Record<string, string> = { "mcp-protocol-version": "2025-11-25" }
          if (session !== null) headers["mcp-session-id"] = session
          const response = yield* Effect.promise(() => post(url, bearer, call, headers, { signal: leaving.signal }))
          assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
          const first = yield* Effect.promise(async () => response.body?.getReader().read())
          assert.include(new TextDecoder().decode(first?.value), "notifications/progress")
          leaving.abort()
          // With sessions a call outlives its connection (Streamable HTTP, resumability); without, it ends with it.
          if (session === null) yield* Effect.promise(() => stop)
          else stopped()
        }),
      60_000
    )
  }

  for (const [name, framework] of Object.entries(Frameworks.withSessions)) {
    it.scopedLive(
      `${name}: a session is refused to everybody but its starter, as if it did not exist (SEC-40, SEC-41)`,
      () =>
        Effect.gen(function* () {
          const { token, url } = yield* start(framework)
          const [mine, renewed, foreign] = [yield* token(), yield* token(), yield* token(other)]
          assert.notStrictEqual(mine, renewed)
          const started = yield* Effect.promise(() => post(url, mine, initialize))
          yield* Effect.promise(() => started.text())
          const session = started.headers.get("mcp-session-id") ?? ""
          assert.match(session, /^[0-9a-f-]{36}$/)

          const ask = (bearer: string, id: string, method = "POST") =>
            Effect.promise(async () => {
              const headers = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" }
              const call = { method: "tools/call", params: { name: "whoami", arguments: {} } }
              const response = await post(url, bearer, call, headers, method === "POST" ? {} : { method, body: null })
              return [response.status, await response.text()] as const
            })

          for (const method of ["POST", "GET", "DELETE"]) {
            const unknown = yield* ask(foreign, crypto.randomUUID(), method)
            assert.strictEqual(unknown[0], 404)
            assert.deepStrictEqual(yield* ask(foreign, session, method), unknown)
          }
          for (const own of [mine, renewed]) {
            const [status, text] = yield* ask(own, session)
            assert.strictEqual(status, 200)
            assert.include(text, "machine")
          }
          assert.strictEqual((yield* ask(renewed, session, "DELETE"))[0], 200)
          assert.strictEqual((yield* ask(mine, session))[0], 404)
        }),
      60_000
    )

    it.scopedLive(
      `${name}: a client that renews its token keeps its session`,
      () =>
        Effect.gen(function* () {
          const sessions = new Set<string | undefined>()
          const { url } = yield* start((auth, serve) =>
            Effect.map(
              framework(auth, serve),
              (listener): RequestListener =>
                (request, response) => {
                  if (request.headers.authorization !== undefined)
                    sessions.add(String(request.headers["mcp-session-id"]))
                  listener(request, response)
                }
            )
          )
          const client = yield* OfficialClient.make("v2 legacy", url, { login: "alice" })
          yield* client.connect
          assert.include(yield* client.callTool("whoami"), "alice")
          client.spoilAccessToken()
          assert.include(yield* client.callTool("whoami"), "alice")
          assert.lengthOf(client.authorizationRequests, 1)
          // One for the first request, which had none, and one for all others.
          assert.lengthOf(sessions, 2)
        }),
      60_000
    )
  }
})
