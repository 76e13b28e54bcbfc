/**
 * What differs between Node and Bun: the HTTP server and the browser. Each runtime loads only its own half.
 */
import type * as HttpServer from "@effect/platform/HttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AuthorizeUser } from "effect-mcp-auth/client"

export interface Runtime {
  readonly name: string
  readonly server: (port: number) => Layer.Layer<HttpServer.HttpServer, unknown>
  readonly browser: Layer.Layer<AuthorizeUser.AuthorizeUser>
  readonly runMain: (program: Effect.Effect<void, unknown>) => void
}

const bun = async (): Promise<Runtime> => {
  const [BunHttpServer, BunRuntime, { BunAuthorizeUser }] = await Promise.all([
    import("@effect/platform-bun/BunHttpServer"),
    import("@effect/platform-bun/BunRuntime"),
    import("effect-mcp-auth/bun")
  ])
  return {
    name: `Bun ${process.versions["bun"]}`,
    // Longer than the pause between two signs of life of the official SDK's streams.
    server: (port) => BunHttpServer.layerServer({ port, hostname: "127.0.0.1", idleTimeout: 30 }),
    browser: BunAuthorizeUser.layer(),
    runMain: (program) => {
      // An app that waits for a body that does not come is interrupted when Bun gives up on it: in `idleTimeout`.
      process.once("SIGTERM", () => setTimeout(() => process.exit(0), 3000).unref())
      BunRuntime.runMain(program, { disableErrorReporting: true })
    }
  }
}

const node = async (): Promise<Runtime> => {
  const [{ createServer }, NodeHttpServer, NodeRuntime, { NodeAuthorizeUser }] = await Promise.all([
    import("node:http"),
    import("@effect/platform-node/NodeHttpServer"),
    import("@effect/platform-node/NodeRuntime"),
    import("effect-mcp-auth/node")
  ])
  return {
    name: `Node ${process.version}`,
    server: (port) =>
      Layer.suspend(() => {
        const server = createServer()
        // Node waits for every connection, and a stream never ends by itself: what is under way has two seconds.
        const close = Effect.async<void>((resume) => void server.close(() => resume(Effect.void))).pipe(
          Effect.interruptible,
          Effect.timeoutOption("2 seconds"),
          Effect.zipRight(Effect.sync(() => server.closeAllConnections()))
        )
        return Layer.provideMerge(
          Layer.scopedDiscard(Effect.addFinalizer(() => close)),
          NodeHttpServer.layerServer(() => server, { port, host: "127.0.0.1" })
        )
      }),
    browser: NodeAuthorizeUser.layer(),
    runMain: (program) => NodeRuntime.runMain(program, { disableErrorReporting: true })
  }
}

export const load = (): Promise<Runtime> => (process.versions["bun"] === undefined ? node() : bun())
