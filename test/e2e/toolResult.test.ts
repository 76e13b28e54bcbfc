/**
 * The form of a refusal that ChatGPT reads, in front of an MCP server of the official SDK, as the official clients of every
 * revision hand it on.
 */
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpAppAuth, OperationScopes } from "effect-mcp-auth/server"
import { app } from "../../docs/examples/demo/McpServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as OfficialClient from "../fixtures/OfficialClient.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

class Shared extends Context.Tag("Shared")<Shared, ProtectedServer.ProtectedServer>() {}

const shared = Layer.scoped(
  Shared,
  ProtectedServer.make({
    authorizationServer: { clients: [machine] },
    serve: HttpServer.serve(
      app.pipe(
        OperationScopes.middleware(
          { tool: (name) => (name === "write_note" ? ["mcp:write"] : []) },
          { refusal: "ToolResult" }
        ),
        HttpAppAuth.middleware
      )
    )
  })
)

layer(shared, { excludeTestServices: true })((it) => {
  for (const kind of OfficialClient.kinds) {
    it.scoped(`${kind}: a result with the challenge, and a call that is allowed is as it was (E20)`, () =>
      Effect.gen(function* () {
        const { authorizationServer, config, url } = yield* Shared
        const token = yield* machineToken(authorizationServer, url, "mcp:tools")
        const client = yield* OfficialClient.over(kind, url, (input, init) => {
          const headers = new Headers(init?.headers)
          headers.set("authorization", `Bearer ${token}`)
          return fetch(input, { ...init, headers })
        })
        const refused = yield* client.callTool("write_note")
        assert.isTrue(refused.isError)
        assert.deepStrictEqual(refused._meta?.["mcp/www_authenticate"], [
          `Bearer error="insufficient_scope", scope="mcp:write mcp:tools", resource_metadata="${config.resourceMetadataUrl}", error_description="The access token lacks scopes that this operation needs"`
        ])
        assert.isNotTrue((yield* client.callTool("whoami")).isError)
      })
    )
  }
})
