/**
 * A protected MCP server: the official MCP SDK speaks MCP, so that clients of every revision can join, and this library
 * guards it. The tools are Effects that read `CurrentClaims`.
 */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { AuthConfig, Claims, HttpAppAuth, OperationScopes } from "effect-mcp-auth/server"

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

type Run = (handler: Tool["handler"], signal: AbortSignal) => Promise<unknown>

const mcp = createMcpHandler(({ authInfo }) => {
  const run = authInfo?.extra?.["run"] as Run
  const server = new McpServer({ name: "effect-mcp-auth demo", version: "1.0.0" })
  for (const [name, { description, handler }] of Object.entries(tools)) {
    server.registerTool(name, { description }, async ({ mcpReq }) => ({
      content: [{ type: "text", text: JSON.stringify(await run(handler, mcpReq.signal)) }]
    }))
  }
  return server
})

/** One request through the SDK: the claims go along as `authInfo`, the token itself does not. */
const speakMcp = Effect.gen(function* () {
  const claims = yield* Claims.CurrentClaims
  const config = yield* AuthConfig.AuthConfig
  const request = yield* HttpServerRequest.HttpServerRequest
  const runtime = yield* Effect.runtime<Claims.CurrentClaims>()
  const parsedBody = request.method === "POST" ? yield* Effect.orElseSucceed(request.json, () => undefined) : undefined
  const authInfo = {
    token: "",
    clientId: claims.clientId ?? claims.subject,
    scopes: [...claims.scopes],
    resourceMetadataUrl: config.resourceMetadataUrl,
    extra: { run: ((handler, signal) => Runtime.runPromise(runtime)(handler, { signal })) satisfies Run }
  }
  const response = yield* Effect.promise(async (signal) => {
    const web = await Effect.runPromise(HttpServerRequest.toWeb(request, { signal }))
    const answer = await mcp.fetch(web, { authInfo, parsedBody })
    // Of the hop, so not the SDK's to say: Node would keep a connection open that its client asked to close.
    answer.headers.delete("connection")
    return answer
  })
  return HttpServerResponse.fromWeb(response)
})

/** The whole app: MCP at `/mcp`, scopes of its tools, guard, and the RFC 9728 document beside it. */
export const app = HttpRouter.empty.pipe(
  HttpRouter.all("/mcp", speakMcp),
  OperationScopes.middleware({ tool: (name) => tools[name]?.scopes ?? [] }),
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata
)
