/**
 * Runs every auth scenario of the official conformance suite that is no extension, on the wire that the suite chooses and
 * on each revision where it applies, one process per scenario, and writes the table of results into the README.
 *
 *     CONFORMANCE=path/to/conformance ROUNDS=5 node --import tsx test/conformance/run.ts
 *
 * Strict: a scenario passes with exit code 0, no failure and no warning. The suite needs Node 22, and is installed beside
 * the project. The last line is `N passed, N failed`.
 */
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const suite = process.env["CONFORMANCE"] ?? "conformance"
const rounds = Number(process.env["ROUNDS"] ?? "1")
const client = process.env["CLIENT"] ?? "node --import tsx test/conformance/client.ts"
const revisions = ["2025-11-25", "2026-07-28"]
const atOnce = 2

const run = (args: ReadonlyArray<string>): Promise<{ readonly code: number; readonly output: string }> =>
  new Promise((resolve) => {
    execFile(suite, args, { cwd: root, timeout: 120_000, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1
      resolve({ code, output: `${stdout}${stderr}` })
    })
  })

interface Scenario {
  readonly name: string
  /** `undefined` leaves the wire to the suite. */
  readonly revision: string | undefined
}

const list = async (): Promise<ReadonlyArray<Scenario>> => {
  const { output } = await run(["list"])
  const found = Array.from(output.matchAll(/^ *- (auth\/\S+) \[([^\]]+)\]$/gm), ([, name = "", applies = ""]) => ({
    name,
    applies: applies.split(",")
  })).filter(({ applies }) => !applies.includes("extension"))
  return found.flatMap(({ applies, name }) => [
    { name, revision: undefined },
    ...revisions.filter((revision) => applies.includes(revision)).map((revision) => ({ name, revision }))
  ])
}

const judge = async ({ name, revision }: Scenario) => {
  const wire = revision === undefined ? [] : ["--spec-version", revision]
  const started = performance.now()
  const { code, output } = await run(["client", "--command", client, "--scenario", name, "--timeout", "60000", ...wire])
  const counts = /Passed: (\d+)\/(\d+), (\d+) failed, (\d+) warnings/.exec(output)
  const [, passed = "0", total = "0", failed = "?", warnings = "?"] = counts ?? []
  const ok = code === 0 && passed === total && Number(total) > 0 && failed === "0" && warnings === "0"
  const label = `${name} ${revision ?? "auto"}`.padEnd(64)
  console.log(
    `${ok ? "ok  " : "FAIL"} ${label} ${passed}/${total} ${((performance.now() - started) / 1000).toFixed(1)} s`
  )
  if (!ok) console.log(output.slice(-4000))
  return { name, revision, ok }
}

const scenarios = await list()
if (scenarios.length === 0) throw new Error(`${suite} lists no scenario`)
const queue = Array.from({ length: rounds }, () => scenarios).flat()
const results: Array<Awaited<ReturnType<typeof judge>>> = []
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results.push(await judge(next))
  })
)

const cell = (name: string, revision: string | undefined): string => {
  const of = results.filter((result) => result.name === name && result.revision === revision)
  if (of.length === 0) return "–"
  const failed = of.filter(({ ok }) => !ok).length
  return failed === 0 ? "passed" : `**${failed} of ${of.length} failed**`
}
const names = Array.from(new Set(scenarios.map(({ name }) => name)))
const table = [
  "| scenario | auto | 2025-11-25 | 2026-07-28 |",
  "|---|---|---|---|",
  ...names.map(
    (name) => `| \`${name}\` | ${[undefined, ...revisions].map((revision) => cell(name, revision)).join(" | ")} |`
  )
].join("\n")
const readme = join(root, "README.md")
const text = readFileSync(readme, "utf8")
const written = text.replace(/(<!-- conformance -->\n)[\s\S]*?(<!-- \/conformance -->)/, `$1${table}\n$2`)
if (process.env["CI"] === undefined) writeFileSync(readme, written)
else if (written !== text)
  console.log("The table in the README is not what this run gives; run it without CI to write it.")

const failed = results.filter(({ ok }) => !ok).length + (process.env["CI"] !== undefined && written !== text ? 1 : 0)
console.log(`${results.length - results.filter(({ ok }) => !ok).length} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
