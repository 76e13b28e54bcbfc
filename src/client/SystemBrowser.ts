/**
 * Opening a URL in the person's browser. The program is started as it is, with the URL as one argument: a shell never
 * sees it.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { AuthorizeUserError } from "./ClientError.js"

/**
 * What a runtime brings: the name of its platform (`process.platform`) and its `spawn` (`node:child_process`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Runtime {
  readonly platform: string
  readonly spawn: (
    program: string,
    args: ReadonlyArray<string>,
    options: { readonly detached: true; readonly stdio: "ignore"; readonly shell: false }
  ) => {
    readonly once: {
      (event: "error", listener: (error: Error) => void): unknown
      (event: "exit", listener: (code: number | null) => void): unknown
    }
    readonly unref: () => void
  }
}

/** Where Windows is, and the programs that are its own. */
const windows = Config.string("SystemRoot").pipe(Effect.orElseSucceed(() => "C:\\Windows"))

/**
 * The program that opens a URL on a platform, and its arguments. `systemRoot` is where Windows is: there, a program without
 * its path is looked for in the working directory first.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { SystemBrowser } from "effect-mcp-auth/client"
 *
 * console.log(SystemBrowser.command("darwin", "https://as.example/auth")) // ["open", ["https://as.example/auth"]]
 * ```
 */
export const command = (
  platform: string,
  url: string,
  systemRoot = "C:\\Windows"
): readonly [string, ReadonlyArray<string>] => {
  switch (platform) {
    case "darwin":
      return ["open", [url]]
    case "win32":
      // Not `cmd /c start`: cmd would read the `&` and `%` of the URL.
      return [`${systemRoot}\\System32\\rundll32.exe`, ["url.dll,FileProtocolHandler", url]]
    default:
      return ["xdg-open", [url]]
  }
}

/**
 * Opens a URL. The browser outlives the program; the effect ends when the opener does, which may be when the browser is
 * closed. Fails with `Unsupported` where there is no browser.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open =
  (runtime: Runtime) =>
  (url: string): Effect.Effect<void, AuthorizeUserError> =>
    Effect.flatMap(windows, (systemRoot) =>
      Effect.async((resume) => {
        const [program, args] = command(runtime.platform, url, systemRoot)
        const fail = (detail: string, cause?: Error) =>
          resume(
            Effect.fail(
              new AuthorizeUserError({
                reason: "Unsupported",
                detail: `no browser could be opened: ${program} ${detail}`,
                rule: "RFC 8252 section 6",
                // The error of spawn holds the arguments, and with them the URL and its state.
                ...(cause === undefined ? {} : { cause: cause.name })
              })
            )
          )
        try {
          const child = runtime.spawn(program, args, { detached: true, stdio: "ignore", shell: false })
          child.once("error", (cause) => fail("could not be started", cause))
          child.once("exit", (code) => (code === 0 ? resume(Effect.void) : fail(`ended with ${code}`)))
          child.unref()
        } catch (cause) {
          // Thrown, and not emitted, where the URL is longer than an argument may be.
          fail("could not be started", cause instanceof Error ? cause : undefined)
        }
      })
    )
