/**
 * A web-standard `fetch` handler, for `Bun.serve`, Deno, Hono's `mount` and whatever else takes one: the official SDK's
 * sessions, scopes of tools, guard and metadata document, composed like any app of `@effect/platform`.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { type McpServer, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server"
import * as Layer from "effect/Layer"
import {
  type AuthConfig,
  type Authorizer,
  HttpAppAuth,
  OperationScopes,
  SessionBinding,
  SessionStore,
  WebHandlerAuth
} from "effect-mcp-auth/server"
import { LRUCache } from "lru-cache"
import { makeServer } from "./tools.js"

/** A transport of the SDK for each session. Whose session it is, is not its concern. */
export const withSessions = (serve: () => McpServer): WebHandlerAuth.WebHandler => {
  const transports = new LRUCache<string, WebStandardStreamableHTTPServerTransport>({
    max: 10_000,
    ttl: 24 * 60 * 60 * 1000,
    updateAgeOnGet: true,
    dispose: (transport) => void transport.close()
  })
  const open = async () => {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (id) => void transports.set(id, transport),
      onsessionclosed: (id) => void transports.delete(id)
    })
    await serve().connect(transport)
    return transport
  }
  return async (request, caller) => {
    const id = request.headers.get("mcp-session-id")
    const transport = id === null ? await open() : transports.get(id)
    // Its caller has it still, and this process has not: it was started anew, or had too many.
    if (transport === undefined) return HttpServerResponse.toWeb(SessionBinding.notFound)
    return transport.handleRequest(request, caller)
  }
}

export const app = (serve = makeServer) =>
  WebHandlerAuth.fromWebHandler(withSessions(serve)).pipe(
    OperationScopes.middleware({ tool: (name) => (name === "write_note" ? ["mcp:write"] : []) }),
    SessionBinding.middleware,
    HttpAppAuth.middleware,
    HttpAppAuth.withMetadata
  )

/** With the layers of the guard: `{ handler, dispose }`. */
export const make = <E>(auth: Layer.Layer<AuthConfig.AuthConfig | Authorizer.Authorizer, E>, serve = makeServer) =>
  HttpApp.toWebHandlerLayer(app(serve), Layer.merge(auth, SessionStore.layerMemory()))
