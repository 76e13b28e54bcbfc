/**
 * Kills processes that write to a file store (`killWriter.ts`), at random times, two at once in a directory and several
 * directories side by side. After each pair the store has to open, and to hold a whole value: not older than the last that
 * a writer said was written, not newer than the last that one said it would write; and the lease of the dead has to be
 * over in time. The last line is a summary in JSON; the exit code is 1 if a writer failed, or anything was torn, lost
 * or stuck.
 *
 *     node --import tsx test/stress/kill.ts [kills]
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { build } from "esbuild"
import { EncryptionKeys, TokenStore } from "../../src/client/index.js"
import { grant, numberOf } from "./killValue.js"

const kills = Number(process.argv[2] ?? 200)
const lanes = 3
const started = performance.now()
const work = await mkdtemp(join(tmpdir(), "mcp-auth-kill-"))
const key = Redacted.value(Effect.runSync(EncryptionKeys.generate))
const counts = { kills: 0, duringWrite: 0, writes: 0, failed: 0, torn: 0, lost: 0, stuck: 0 }

// In one file, because a process that is to be killed soon has to start soon.
const program = join(work, "writer.mjs")
await build({
  entryPoints: [join(import.meta.dirname, "killWriter.ts")],
  outfile: program,
  bundle: true,
  platform: "node",
  format: "esm",
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  logLevel: "error"
})

interface Writer {
  readonly process: ChildProcess
  readonly gone: Promise<ReadonlyArray<unknown>>
  /** The last number it was about to write, and the last it had written. */
  intended: number
  written: number
}

const start = async (directory: string): Promise<Writer> => {
  const child = spawn(process.execPath, [program, directory], {
    env: { ...process.env, ENCRYPTION_KEY: key },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const writer: Writer = { process: child, gone: once(child, "close"), intended: 0, written: 0 }
  let rest = ""
  child.stdout.on("data", (chunk) => {
    const lines = `${rest}${chunk}`.split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      const [verb, number] = line.split(" ")
      if (verb === "writes") writer.intended = Number(number)
      else writer.written = Number(number)
    }
  })
  // One that cannot open the store ends by itself, and what it says of that is to be seen.
  await Promise.race([once(child.stdout, "data"), writer.gone])
  return writer
}

const kill = async ({ gone, process: child }: Writer): Promise<void> => {
  await sleep(Math.random() * 120)
  child.kill("SIGKILL")
  const [, signal] = await gone
  if (signal !== "SIGKILL") counts.failed++
}

/** The number in the store, 0 for none; and whether the lease can be had. */
const inspect = (directory: string) =>
  Effect.gen(function* () {
    const store = yield* TokenStore.TokenStore
    const entry = yield* store.read(grant)
    const lease = Effect.scoped(store.lease(`${grant}/refresh`, "1 second"))
    const free = Effect.repeat(Effect.zipLeft(lease, Effect.sleep("20 millis")), { until: Option.isSome })
    return {
      number: Option.match(entry, { onNone: () => 0, onSome: ({ value }) => numberOf(Redacted.value(value)) }),
      isFree: Option.isSome(yield* Effect.timeoutOption(free, "5 seconds"))
    }
  }).pipe(
    Effect.provide(TokenStore.layerFile({ directory, keys: EncryptionKeys.parse(Redacted.make(key)) })),
    Effect.provide(NodeContext.layer),
    Effect.runPromise
  )

const round = async (directory: string, known: number): Promise<number> => {
  const writers = await Promise.all([start(directory), start(directory)])
  await Promise.all(writers.map(kill))
  counts.kills += writers.length
  counts.duringWrite += writers.filter(({ intended, written }) => intended > written).length
  const written = Math.max(known, ...writers.map((writer) => writer.written))
  const intended = Math.max(known, ...writers.map((writer) => writer.intended))
  try {
    const { isFree, number } = await inspect(directory)
    if (number < written || number > intended) {
      counts.lost++
      console.error(`${directory}: ${number} is stored, ${written} was written, ${intended} was to be`)
    }
    if (!isFree) counts.stuck++
    counts.writes += number - known
    return number
  } catch (error) {
    counts.torn++
    console.error(directory, error)
    return written
  }
}

const lane = async (index: number): Promise<void> => {
  for (let era = 0; counts.kills < kills; era++) {
    // A new directory now and then, because a first entry is made in another way than the next.
    const directory = join(work, `${index}-${era}`)
    let known = 0
    for (let n = 0; n < 5 && counts.kills < kills; n++) known = await round(directory, known)
  }
}

await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)))
await rm(work, { recursive: true })
const seconds = Math.round((performance.now() - started) / 1000)
console.log(JSON.stringify({ ...counts, seconds }))
const isBad =
  counts.failed + counts.torn + counts.lost + counts.stuck > 0 || counts.duringWrite === 0 || counts.writes === 0
process.exitCode = isBad ? 1 : 0
