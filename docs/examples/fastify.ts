/**
 * Fastify in front of the official SDK's handler for both revisions: the guard is an `onRequest` hook, so it comes before
 * the body is read.
 */
import { type NodeIncomingMessageLike, toNodeHandler } from "@modelcontextprotocol/node"
import { createMcpHandler } from "@modelcontextprotocol/server"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import { type AuthConfig, type Authorizer, WebHandlerAuth } from "effect-mcp-auth/server"
import fastify, { type FastifyInstance } from "fastify"
import { makeServer } from "./tools.js"

export const make = (
  runtime: ManagedRuntime.ManagedRuntime<AuthConfig.AuthConfig | Authorizer.Authorizer, unknown>,
  serve = makeServer
): FastifyInstance => {
  const mcp = toNodeHandler(createMcpHandler(serve))
  const app = fastify()
  app.addHook("onRequest", async ({ raw }, reply) => {
    const caller = await runtime.runPromise(WebHandlerAuth.authorize(raw))
    if (caller instanceof Response) return reply.send(caller)
    // Where the SDK looks for it.
    Object.assign(raw, { auth: caller.authInfo })
  })
  app.all("/mcp", async ({ body, raw }, reply) => {
    reply.hijack()
    await mcp(raw as NodeIncomingMessageLike, reply.raw, body)
  })
  return app
}
