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

export type Line = Readonly<Record<string, unknown>>

export interface Caller {
  readonly child: ChildProcess
  /** The lines it has printed, each an object. */
  readonly lines: ReadonlyArray<Line>
  /** The first line of which it holds; `undefined` where the process ends before. */
  readonly line: (holds: (line: Line) => boolean) => Effect.Effect<Line | undefined>
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
      const lines: Array<Line> = []
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
      const line: Caller["line"] = (holds) =>
        Effect.async((resume) => {
          const check = () => {
            const found = lines.find(holds)
            if (found === undefined && !isOver) return
            child.off("line", check)
            resume(Effect.succeed(found))
          }
          child.on("line", check)
          check()
          return Effect.sync(() => child.off("line", check))
        })
      const end = line(() => false)
      return {
        child,
        lines,
        line,
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
