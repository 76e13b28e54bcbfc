/**
 * A protected MCP server: the official MCP SDK speaks MCP, so that clients of every revision can join, and this library
 * guards it. The tools are Effects that read `CurrentClaims`.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import { AuthInfo, Claims, HttpAppAuth, OperationScopes, WebHandlerAuth } from "effect-mcp-auth/server"

/** A tool is an Effect of its caller; `scopes` are what it needs beyond the scopes that every request needs. */
interface Tool {
  readonly description: string
  readonly scopes: ReadonlyArray<string>
  readonly handler: Effect.Effect<unknown, never, Claims.CurrentClaims>
}

const whoami = Effect.map(Claims.CurrentClaims, ({ clientId, scopes, subject }) => ({ subject, clientId, scopes }))

export const tools: Readonly<Record<string, Tool>> = {
  whoami: { description: "Says who is calling", scopes: [], handler: whoami },
  write_note: {
    description: "Writes a note; needs the scope mcp:write",
    scopes: ["mcp:write"],
    handler: Effect.map(Claims.CurrentClaims, ({ subject }) => ({ note: `written by ${subject}` }))
  }
}

const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: "effect-mcp-auth demo", version: "1.0.0" })
  for (const [name, { description, handler }] of Object.entries(tools)) {
    server.registerTool(name, { description }, async ({ http, mcpReq: { signal } }) => ({
      content: [
        {
          type: "text",
          text: JSON.stringify(await Effect.runPromise(AuthInfo.provide(handler, http?.authInfo), { signal }))
        }
      ]
    }))
  }
  return server
})

/** The whole app: MCP at `/mcp`, scopes of its tools, guard, and the RFC 9728 document beside it. */
export const app = HttpRouter.empty.pipe(
  HttpRouter.all("/mcp", WebHandlerAuth.fromWebHandler(mcp.fetch)),
  OperationScopes.middleware({ tool: (name) => tools[name]?.scopes ?? [] }),
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata
)
