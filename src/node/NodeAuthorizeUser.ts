/**
 * Signing in with the system's browser, on Node.
 *
 * @since 0.1.0
 */
import { spawn } from "node:child_process"
import * as Http from "node:http"
import { platform } from "node:os"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as AuthorizeUser from "../client/AuthorizeUser.js"
import type { AuthorizeUserError } from "../client/ClientError.js"
import type * as LoopbackListener from "../client/LoopbackListener.js"
import * as SystemBrowser from "../client/SystemBrowser.js"

/**
 * Listens with `node:http`. When the scope closes the port is free at once: a browser may have opened connections in
 * advance, and `close` alone would wait for them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen: LoopbackListener.Listen = (options) => {
  const server = Http.createServer()
  return Effect.tap(
    NodeHttpServer.make(() => server, options),
    Effect.addFinalizer(() =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
    )
  )
}

/**
 * Opens a URL in the system's browser, without a shell. The browser outlives the program. Fails with `Unsupported` where
 * there is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open: (url: string) => Effect.Effect<void, AuthorizeUserError> = SystemBrowser.open({
  platform: platform(),
  spawn: (program, args, options) => spawn(program, args, options)
})

/**
 * The system's browser and a listener on the loopback interface.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { NodeAuthorizeUser } from "effect-mcp-auth/node"
 *
 * const browser = NodeAuthorizeUser.layer({ application: "my tool", timeout: "2 minutes" })
 * ```
 */
export const layer = (
  options: Partial<Parameters<typeof AuthorizeUser.layerLoopback>[0]> = {}
): Layer.Layer<AuthorizeUser.AuthorizeUser> => AuthorizeUser.layerLoopback({ listen, open, ...options })
