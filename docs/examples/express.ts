/**
 * Express, with the official SDK's sessions: the guard is a middleware, each session belongs to the caller who started it,
 * and the tools read the caller from `authInfo`.
 */

import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type {} from "@modelcontextprotocol/express"
import { NodeStreamableHTTPServerTransport } from "@modelcontextprotocol/node"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import {
  type AuthConfig,
  AuthInfo,
  type Authorizer,
  HttpAppAuth,
  SessionBinding,
  type SessionStore,
  WebHandlerAuth
} from "effect-mcp-auth/server"
import express, { type Express, type Response as ExpressResponse, type Request } from "express"
import { LRUCache } from "lru-cache"
import { makeServer } from "./tools.js"

type Services = AuthConfig.AuthConfig | Authorizer.Authorizer | SessionStore.SessionStore

/** Who is calling and whether the session is theirs, or what to answer. */
const admit = WebHandlerAuth.admit((app) =>
  app.pipe(SessionBinding.middleware, HttpAppAuth.middleware, HttpAppAuth.withMetadata)
)

const send = async (response: Response, res: ExpressResponse) =>
  res
    .status(response.status)
    .set(Object.fromEntries(response.headers))
    .end(await response.text())

export const make = (runtime: ManagedRuntime.ManagedRuntime<Services, unknown>, serve = makeServer): Express => {
  // As many as the session store keeps by default, and no longer.
  const transports = new LRUCache<string, NodeStreamableHTTPServerTransport>({
    max: 10_000,
    ttl: 24 * 60 * 60 * 1000,
    updateAgeOnGet: true,
    dispose: (transport) => void transport.close()
  })

  const open = async ({ auth }: Request) => {
    const asCaller = (effect: ReturnType<typeof SessionBinding.bind>) =>
      runtime.runPromise(AuthInfo.provide(effect, auth))
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: async (id) => {
        await asCaller(SessionBinding.bind(id))
        transports.set(id, transport)
      },
      onsessionclosed: async (id) => {
        await asCaller(SessionBinding.release(id))
        transports.delete(id)
      }
    })
    await serve().connect(transport)
    return transport
  }

  const app = express()
  // Before the body is read: whoever has no token sends nothing else.
  app.use(async (req, res, next) => {
    const caller = await runtime.runPromise(admit(req))
    if (caller instanceof Response) return send(caller, res)
    req.auth = caller.authInfo
    return next()
  })
  app.use(express.json({ limit: "1mb" }))
  app.all("/mcp", async (req, res) => {
    const id = req.header("mcp-session-id")
    const transport = id === undefined ? await open(req) : transports.get(id)
    // Its caller has it still, and this process has not: it was started anew, or had too many.
    if (transport === undefined) return send(HttpServerResponse.toWeb(SessionBinding.notFound), res)
    return transport.handleRequest(req, res, req.body)
  })
  return app
}
