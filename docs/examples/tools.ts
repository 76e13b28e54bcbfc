/**
 * The MCP server that the examples for frameworks have in common: the official SDK's, with tools that know their caller.
 */
import { McpServer, requireScopes, type AuthInfo as SdkAuthInfo } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import { AuthInfo, Claims } from "effect-mcp-auth/server"

const whoami = Effect.map(Claims.CurrentClaims, ({ clientId, scopes, subject }) =>
  JSON.stringify({ subject, clientId, scopes })
)

/** A tool as an Effect of its caller. */
const call = async (tool: Effect.Effect<string, never, Claims.CurrentClaims>, authInfo: SdkAuthInfo | undefined) => ({
  content: [{ type: "text" as const, text: await Effect.runPromise(AuthInfo.provide(tool, authInfo)) }]
})

export const makeServer = (): McpServer => {
  const server = new McpServer({ name: "effect-mcp-auth examples", version: "1.0.0" })
  server.registerTool("whoami", { description: "Says who is calling" }, ({ http }) => call(whoami, http?.authInfo))
  server.registerTool(
    "write_note",
    // The SDK answers 403 itself, with the scopes and the metadata URL that `authInfo` has.
    { description: "Needs the scope mcp:write", scopeChallenge: requireScopes("mcp:tools", "mcp:write") },
    ({ http }) => call(whoami, http?.authInfo)
  )
  return server
}
