/**
 * A tool that asks back before it acts (multi-round-trip requests, MCP 2026-07-28). What it asked about travels through the
 * client as `requestState`, sealed for the caller who was asked.
 */
import { createMcpHandler, fromJsonSchema, inputRequired, McpServer } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { AuthInfo, HttpAppAuth, RequestState, WebHandlerAuth } from "effect-mcp-auth/server"

const Deployment = Schema.Struct({ tool: Schema.Literal("deploy"), environment: Schema.String })

const inputSchema = fromJsonSchema<{ readonly environment: string }>({
  type: "object",
  properties: { environment: { type: "string" } },
  required: ["environment"]
})

const confirmation = inputRequired.elicit({
  message: "Really?",
  requestedSchema: { type: "object", properties: { sure: { type: "boolean" } }, required: ["sure"] }
})

export const app = Effect.map(RequestState.make({ schema: Deployment }), (states) => {
  const mcp = createMcpHandler(() => {
    const server = new McpServer(
      { name: "deployments", version: "1.0.0" },
      {
        requestState: {
          // What does not open is refused before the tool runs.
          verify: (state, { http, mcpReq }) =>
            Effect.runPromise(AuthInfo.provide(states.open(state, mcpReq.method), http?.authInfo))
        }
      }
    )
    server.registerTool(
      "deploy",
      { description: "Deploys", inputSchema },
      async ({ environment }, { http, mcpReq }) => {
        const asked = mcpReq.requestState<typeof Deployment.Type>()
        if (asked?.environment === environment)
          return { content: [{ type: "text", text: `deployed to ${environment}` }] }
        const sealed = states.seal({ tool: "deploy", environment }, mcpReq.method)
        return inputRequired({
          inputRequests: { confirmation },
          requestState: await Effect.runPromise(AuthInfo.provide(sealed, http?.authInfo))
        })
      }
    )
    return server
  })
  return WebHandlerAuth.fromWebHandler(mcp.fetch).pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata)
})
