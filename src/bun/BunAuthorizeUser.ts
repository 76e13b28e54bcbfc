/**
 * Signing in with the system's browser, on Bun.
 *
 * @since 0.1.0
 */
import { spawn } from "node:child_process"
import { platform } from "node:os"
import * as BunHttpServer from "@effect/platform-bun/BunHttpServer"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as AuthorizeUser from "../client/AuthorizeUser.js"
import type { AuthorizeUserError } from "../client/ClientError.js"
import type * as LoopbackListener from "../client/LoopbackListener.js"
import * as SystemBrowser from "../client/SystemBrowser.js"

/** Bun writes a page in the turn of the event loop after it was handed over, and a program may end before that. */
const written = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/**
 * Listens with `Bun.serve`, which throws where a port cannot be bound; here that is a failure like any other.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen: LoopbackListener.Listen = ({ host, port }) =>
  BunHttpServer.make({ hostname: host, port }).pipe(
    Effect.tap(Effect.addFinalizer(() => written)),
    Effect.catchAllDefect(Effect.fail)
  )

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
 * import { BunAuthorizeUser } from "effect-mcp-auth/bun"
 *
 * const browser = BunAuthorizeUser.layer({ application: "my tool", timeout: "2 minutes" })
 * ```
 */
export const layer = (
  options: Partial<Parameters<typeof AuthorizeUser.layerLoopback>[0]> = {}
): Layer.Layer<AuthorizeUser.AuthorizeUser> => AuthorizeUser.layerLoopback({ listen, open, ...options })
