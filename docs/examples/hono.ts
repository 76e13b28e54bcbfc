/**
 * Hono in front of the official SDK's handler for both revisions: the guard is a middleware, and the caller a variable.
 */
import { createMcpHandler } from "@modelcontextprotocol/server"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import { type AuthConfig, type Authorizer, WebHandlerAuth } from "effect-mcp-auth/server"
import { Hono } from "hono"
import { makeServer } from "./tools.js"

export const make = (
  runtime: ManagedRuntime.ManagedRuntime<AuthConfig.AuthConfig | Authorizer.Authorizer, unknown>,
  serve = makeServer
): Hono<{ Variables: { caller: WebHandlerAuth.Caller } }> => {
  const mcp = createMcpHandler(serve)
  const app = new Hono<{ Variables: { caller: WebHandlerAuth.Caller } }>()
  app.use(async (context, next) => {
    const request = context.req.raw
    const caller = await runtime.runPromise(WebHandlerAuth.authorize(request), { signal: request.signal })
    if (caller instanceof Response) return caller
    context.set("caller", caller)
    return next()
  })
  app.all("/mcp", (context) => mcp.fetch(context.req.raw, { authInfo: context.var.caller.authInfo }))
  return app
}
