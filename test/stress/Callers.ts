/** Starting and ending the processes of a stress. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"

const source = fileURLToPath(new URL("caller.ts", import.meta.url))

/** In the checkout, but not of it. */
const bundled = fileURLToPath(new URL("../../.tmp/caller.mjs", import.meta.url))

/** As one file: it starts in a tenth of the time. */
export const bundle = Effect.promise(() =>
  build({
    entryPoints: [source],
    outfile: bundled,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' }
  })
)

export interface Caller {
  readonly child: ChildProcess
  /** The lines it has printed, each an object. */
  readonly lines: ReadonlyArray<Readonly<Record<string, unknown>>>
  /** The first line that matches. Ends without one where the process does. */
  readonly line: (tag: string) => Effect.Effect<Readonly<Record<string, unknown>> | undefined>
  /** Asks it to end, and waits for that. */
  readonly stop: Effect.Effect<void>
  /** What nothing in it can prepare for. */
  readonly kill: Effect.Effect<void>
}

/** Starts one, for as long as the scope is open. */
export const start = (environment: Readonly<Record<string, string>>): Effect.Effect<Caller, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Caller => {
      const child = spawn(process.execPath, [bundled], {
        env: { ...process.env, ...environment },
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines: Array<Readonly<Record<string, unknown>>> = []
      let rest = ""
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        const all = (rest + chunk).split("\n")
        rest = all.pop() ?? ""
        for (const line of all) lines.push(JSON.parse(line))
        child.emit("line")
      })
      let isOver = false
      child.once("close", () => {
        isOver = true
        child.emit("line")
      })
      const until = <A>(look: () => A | undefined, otherwise: A) =>
        Effect.async<A>((resume) => {
          const check = () => {
            const found = look() ?? (isOver ? otherwise : undefined)
            if (found === undefined && !isOver) return
            child.off("line", check)
            resume(Effect.succeed(found ?? otherwise))
          }
          child.on("line", check)
          check()
          return Effect.sync(() => child.off("line", check))
        })
      const end = until<undefined>(() => undefined, undefined)
      return {
        child,
        lines,
        line: (tag) =>
          until(
            () => lines.find((line) => line["_tag"] === tag),
            undefined as Readonly<Record<string, unknown>> | undefined
          ),
        stop: Effect.zipRight(
          Effect.sync(() => child.stdin.end()),
          end
        ),
        kill: Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          end
        )
      }
    }),
    ({ kill }) => kill
  )
