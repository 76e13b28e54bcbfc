/** The program of docs/runtimes.md as a process of its own, on whatever runtime the tests run. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as ChildServer from "../fixtures/ChildServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const native = process.versions["bun"] === undefined ? "whoamiNode" : "whoamiBun"

it.scopedLive(
  `${native}: the same program, and SIGTERM ends it`,
  () =>
    Effect.gen(function* () {
      const authorizationServer = yield* AuthorizationServer.make({ clients: [machine] })
      const port = yield* freePort
      const resource = `http://127.0.0.1:${port}/mcp`
      const { end } = yield* ChildServer.make(`docs/examples/${native}.ts`, /Listening on (\S+)/, {
        PORT: String(port),
        MCP_RESOURCE: resource,
        MCP_AUTHORIZATION_SERVERS: authorizationServer.issuer
      })
      const ask = (headers: Record<string, string>) =>
        Effect.promise(async () => {
          const response = await fetch(resource, { headers: { connection: "close", ...headers } })
          return [response.status, await response.text()] as const
        })
      assert.strictEqual((yield* ask({}))[0], 401)
      const token = yield* machineToken(authorizationServer, resource, "mcp:tools")
      assert.deepStrictEqual(yield* ask({ authorization: `Bearer ${token}` }), [200, "You are machine"])
      assert.strictEqual(yield* Effect.timeout(end("SIGTERM"), "20 seconds"), 0)
    }),
  90_000
)
