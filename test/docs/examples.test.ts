/**
 * Every TypeScript example in the README, the guides and the doc comments is compiled, then run, and what it says it
 * prints is what it prints.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import ts from "typescript"

const root = join(import.meta.dirname, "../..")
const out = join(root, ".tmp/examples")

interface Example {
  readonly source: string
  readonly line: number
  readonly file: string
  readonly code: string
}

const filesBelow = (folder: string, ending: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending) && !file.includes("node_modules"))
    .map((file) => join(root, folder, file))

const fences = (file: string): ReadonlyArray<Example> => {
  const text = readFileSync(file, "utf8")
  const source = relative(root, file)
  const indent = source.endsWith(".ts") ? /^ *\* ?/gm : /^/gm
  return Array.from(text.matchAll(/^( *\*? ?)```ts\n([\s\S]*?)^ *\*? ?```$/gm), (match) => {
    const line = text.slice(0, match.index).split("\n").length + 1
    const code = (match[2] ?? "").replace(indent, "")
    return { source, line, code, file: join(out, `${source.replace(/[^A-Za-z0-9]+/g, "_")}_${line}.ts`) }
  })
}

const examples = [join(root, "README.md"), ...filesBelow("docs", ".md"), ...filesBelow("src", ".ts")].flatMap(fences)

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
for (const { code, file } of examples) writeFileSync(file, `${code}\nexport {}\n`)

const compile = (): ReadonlyArray<string> => {
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(
    examples.map(({ file }) => file),
    { ...options, noUnusedLocals: false, noEmit: true, plugins: [] }
  )
  return examples.flatMap((example) => {
    const file = program.getSourceFile(example.file)
    return file === undefined
      ? [`${example.source}:${example.line} was not compiled`]
      : [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map((diagnostic) => {
          const { line } = file.getLineAndCharacterOfPosition(diagnostic.start ?? 0)
          const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")
          return `${example.source}:${example.line + line} ${message}`
        })
  })
}

/** What `console.log` lines say they print: on the same line, or on the next one. */
const promised = (code: string): ReadonlyArray<string> =>
  Array.from(code.matchAll(/^console\.log\(.*\)(?: \/\/ (.*)|\n\/\/ (.*))$/gm), (match) => match[1] ?? match[2] ?? "")

const normal = (text: string): string => text.replace(/\s+/g, "").replace(/'/g, '"')

/** An example that leaves something to the reader's imagination, a running server or a declared value, is only compiled. */
const canRun = ({ code }: Example): boolean => !/^declare |runMain|Layer\.launch|^import .*(node|bun)"/m.test(code)

describe("examples", () => {
  it("there are some, in the README and in every folder of src", () => {
    assert.isTrue(examples.some(({ source }) => source === "README.md"))
    assert.isAbove(examples.length, 30)
  })

  it("compile", { timeout: 120_000 }, () => {
    assert.deepStrictEqual(compile(), [])
  })

  for (const example of examples.filter(canRun)) {
    it(`${example.source}:${example.line} runs and prints what it says`, async () => {
      const printed: Array<string> = []
      const original = console.log
      console.log = (...values: ReadonlyArray<unknown>) => {
        printed.push(
          values.map((value) => (typeof value === "string" ? value : inspect(value, { depth: 9 }))).join(" ")
        )
      }
      try {
        await import(/* @vite-ignore */ example.file)
      } finally {
        console.log = original
      }
      const expected = promised(example.code)
      // A string within quotes or without: both are how people write it.
      const unquoted = (text: string) => normal(text).replace(/^"(.*)"$/, "$1")
      assert.deepStrictEqual(printed.slice(0, expected.length).map(unquoted), expected.map(unquoted))
    })
  }
})
