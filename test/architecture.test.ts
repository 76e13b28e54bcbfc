import { readdirSync, readFileSync } from "node:fs"
import { join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Module from "./architecture/Module.js"
import { type House, type Manifest, rules, type Violation } from "./architecture/rules.js"

type RuleName = keyof typeof rules

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), "utf8")
const manifest: Manifest = JSON.parse(read("package.json"))

const house = (sources: Readonly<Record<string, string>>, overrides: Partial<Manifest> = {}): House => ({
  modules: new Map(Object.entries(sources).map(([path, text]) => [path, Module.make(path, text)])),
  manifest: { ...manifest, ...overrides }
})

const places = (violations: ReadonlyArray<Violation>): ReadonlyArray<string> =>
  violations.map(({ line, path }) => `${path}:${line}`)

describe("src keeps the rules of the house:", () => {
  const paths = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.split(sep).join("/")}`)
    .filter((path) => path.endsWith(".ts"))
  const src = house(Object.fromEntries(paths.map((path) => [path, read(path)])))

  it("there is something to check", () => {
    assert.include(paths, "src/index.ts")
    assert.isAbove([...src.modules.values()].flatMap((module) => module.exports).length, 0)
    assert.isAbove([...src.modules.values()].flatMap((module) => module.imports).length, 0)
  })

  for (const [name, rule] of Object.entries(rules)) {
    it(name, () => {
      const found = rule(src).map(({ line, message, path }) => `${path}:${line} ${message}`)
      assert.isEmpty(found, `\n  ${found.join("\n  ")}\n`)
    })
  }
})

// A rule that cannot fail is a defect: each is shown sources that break it, and where, and sources that only look like it.

interface Example {
  readonly sources: Readonly<Record<string, string>>
  readonly manifest?: Partial<Manifest>
  /** `path:line` of each violation; none when the sources are good. */
  readonly violations: ReadonlyArray<string>
}

const one = (path: string, text: string, ...lines: ReadonlyArray<number>): Example => ({
  sources: { [path]: text },
  violations: lines.map((line) => `${path}:${line}`)
})

const documented = (declaration: string): string =>
  `/**\n * What it is.\n *\n * @since 0.1.0\n * @category models\n */\n${declaration}\n`

const floor = (from: string, to: string, ...lines: ReadonlyArray<number>): Example => {
  const path = `src/${from}/A.ts`
  return {
    sources: { [path]: `import * as B from "../${to}/B.js"`, [`src/${to}/B.ts`]: "" },
    violations: lines.map((line) => `${path}:${line}`)
  }
}

const examples: Readonly<Record<RuleName, ReadonlyArray<Example>>> = {
  "a module imports from its own folder or from a lower floor": [
    floor("server", "client", 1),
    floor("client", "server", 1),
    floor("protocol", "discovery", 1),
    floor("discovery", "server", 1),
    floor("node", "testing", 1),
    floor("testing", "mcp", 1),
    floor("mcp", "cli", 1),
    floor("server", "discovery"),
    floor("client", "protocol"),
    floor("testing", "client"),
    floor("cli", "testing"),
    one("src/attic/A.ts", "", 1),
    one("src/server/A.ts", `import { b } from "./B"`, 1),
    one("src/server/A.ts", `import { b } from "./B.js"`, 1),
    one("src/server/A.ts", `import { b } from "../../test/B.js"`, 1),
    one("src/server/A.ts", `import type * as P from "effect-mcp-auth/protocol"`, 1),
    { sources: { "src/server/A.ts": `export * from "./B.js"`, "src/server/B.ts": "" }, violations: [] },
    { sources: { "src/index.ts": `import "./mcp/index.js"`, "src/mcp/index.ts": "" }, violations: ["src/index.ts:1"] },
    { sources: { "src/index.ts": `import "./server/index.js"`, "src/server/index.ts": "" }, violations: [] },
    { sources: { "src/cli/A.ts": `import "../index.js"`, "src/index.ts": "" }, violations: [] },
    { sources: { "src/mcp/A.ts": `import "../index.js"`, "src/index.ts": "" }, violations: ["src/mcp/A.ts:1"] }
  ],
  "every folder is an entry point": [
    { sources: { "src/index.ts": "" }, manifest: { exports: { ".": "", "./package.json": "" } }, violations: [] },
    { sources: { "src/index.ts": "" }, manifest: { exports: {} }, violations: ["package.json:1"] },
    { sources: {}, manifest: { exports: { "./server": "" } }, violations: ["package.json:1"] },
    { sources: { "src/mcp/index.ts": "" }, manifest: { exports: { "./mcp": "" } }, violations: [] },
    { sources: { "src/server/A.ts": "" }, manifest: { exports: { "./server/A": "" } }, violations: ["package.json:1"] }
  ],
  "a package is imported only where it belongs": [
    one("src/protocol/A.ts", `\nimport type * as Effect from "effect/Effect"`, 2),
    one("src/protocol/A.ts", `type T = import("jose").JWK`, 1),
    one("src/mcp/A.ts", `import { jwtVerify } from "jose"`, 1),
    one("src/node/A.ts", `import type { JWK } from "jose"`, 1),
    one("src/server/A.ts", `import { createHash } from "node:crypto"`, 1),
    one("src/server/A.ts", `import { createHash } from "crypto"`, 1),
    one("src/discovery/A.ts", `const f = () => import("node:dns/promises")`, 1),
    one("src/client/A.ts", `import type { Server } from "bun"`, 1),
    one("src/testing/A.ts", `import * as N from "@effect/platform-node/NodeHttpServer"`, 1),
    one("src/mcp/A.ts", `import * as B from "@effect/platform-bun/BunHttpServer"`, 1),
    one("src/server/A.ts", `import * as M from "@effect/ai/McpServer"`, 1),
    one("src/client/A.ts", `export type { Client } from "@modelcontextprotocol/client"`, 1),
    one("src/server/A.ts", `import { it } from "vitest"`, 1),
    one("src/server/A.ts", `const f = (name: string) => import(name)`, 1),
    one("src/server/A.ts", `/// <reference types="node" />\n`, 1),
    one("src/server/A.ts", `import fs = require("fs")`, 1),
    one("src/server/A.ts", `declare module "vitest" { interface X {} }`, 1),
    one("src/server/A.ts", `import * as E from "effect/Effect"\nimport { jwtVerify } from "jose"`),
    one("src/mcp/A.ts", `import * as M from "@effect/ai/McpServer"`),
    one("src/node/A.ts", `import { createServer } from "node:http"\nimport "@effect/platform-node/NodeHttpServer"`),
    one("src/bun/A.ts", `import { serve } from "bun"\nimport "bun:sqlite"`)
  ],
  "imports go by subpath, not through a barrel": [
    one("src/server/A.ts", `import { Effect } from "effect"`, 1),
    one("src/server/A.ts", `import type { HttpClient } from "@effect/platform"`, 1),
    one("src/server/A.ts", `import { HttpClient } from "@effect/platform/index"`, 1),
    one("src/client/A.ts", `import * as P from "../protocol/index.js"`, 1),
    one("src/client/A.ts", `import { A } from "./index.js"`, 1),
    one("src/index.ts", `export * as server from "./server/index.js"`),
    one("src/server/A.ts", `import * as Effect from "effect/Effect"\nimport { jwtVerify } from "jose"`)
  ],
  "a portable entry point reaches no optional peer and no runtime": [
    {
      sources: {
        "src/index.ts": `export * as server from "./server/index.js"`,
        "src/server/index.ts": `export * as A from "./A.js"`,
        "src/server/A.ts": `\nimport type * as M from "@effect/ai/McpServer"`
      },
      violations: ["src/server/A.ts:2"]
    },
    one("src/index.ts", `import "@effect/platform-node/NodeHttpServer"`, 1),
    one("src/testing/index.ts", `import "node:http"`, 1),
    one("src/server/index.ts", `import type { CallToolResult } from "@modelcontextprotocol/server"`, 1),
    one("src/mcp/index.ts", `import "@effect/ai/McpServer"`),
    one("src/index.ts", `import "@effect/platform/HttpClient"\nimport "jose"`)
  ],
  "imports are not circular": [
    {
      sources: {
        "src/server/A.ts": `import "./B.js"`,
        "src/server/B.ts": `\nimport type { C } from "./C.js"`,
        "src/server/C.ts": `\n\nexport { a } from "./A.js"`
      },
      violations: ["src/server/C.ts:3"]
    },
    one("src/server/A.ts", `import * as Self from "./A.js"`, 1),
    {
      sources: {
        "src/server/A.ts": `import "./B.js"\nimport "./C.js"`,
        "src/server/B.ts": `import "./C.js"`,
        "src/server/C.ts": ""
      },
      violations: []
    }
  ],
  "every export has a doc comment with @since and @category": [
    one("src/server/A.ts", "export const a = 1", 1),
    one("src/server/A.ts", "/** What it is. */\nexport type A = 1", 2),
    one("src/server/A.ts", "/**\n * What it is.\n * @since 0.1.0\n */\nexport interface A {}", 5),
    one("src/server/A.ts", "/**\n * What it is.\n * @category models\n */\nexport class A {}", 5),
    one("src/server/A.ts", "/**\n * @since 0.1.0\n * @category models\n */\nexport class A {}", 5),
    one("src/server/A.ts", "/**\n * What.\n *\n * @since soon\n * @category models\n */\nexport const a = 1", 7),
    one("src/server/A.ts", documented("export const a = 1\nexport const b = 2"), 8),
    one("src/server/A.ts", "const a = 1\nexport { a }", 2),
    one("src/server/A.ts", documented("export declare namespace N {\n  type A = 1\n}"), 8),
    one("src/server/A.ts", documented("type A = 1").replace("/**", "/*").concat("export type { A }"), 8),
    one("src/server/index.ts", `export * as A from "./A.js"`, 1),
    one("src/server/index.ts", `export * from "./A.js"`, 1),
    one("src/server/index.ts", `export {\n  a,\n  b\n} from "./A.js"`, 2, 3),
    one("src/server/index.ts", documented(`export * as A from "./A.js"`)),
    one("src/server/index.ts", documented(`export { a, b } from "./A.js"`)),
    one("src/server/index.ts", `export {\n${documented("a")},\n${documented("b")}\n} from "./A.js"`),
    one("src/server/A.ts", documented("const a = 1").concat("export { a }")),
    one("src/server/A.ts", documented("export function f(a: 1): 1").concat("export function f(a: 2): 2")),
    one("src/server/A.ts", "/**\n * For neighbours.\n *\n * @internal\n */\nexport const a = 1"),
    one(
      "src/server/A.ts",
      documented("export type A = 1").concat("/**\n * @since 0.1.0\n * @category models\n */\nexport const A = 1")
    ),
    one("src/server/internal/a.ts", "export const a = 1"),
    one("src/server/A.ts", "const a = 1")
  ],
  "nothing is a default export": [
    one("src/server/A.ts", "export default 1", 1),
    one("src/server/A.ts", "\nexport default function f() {}", 2),
    one("src/server/A.ts", "export default class {}", 1),
    one("src/server/A.ts", "const a = 1\nexport { a as default }", 2),
    one("src/server/A.ts", `export { default } from "./B.js"`, 1),
    one("src/server/A.ts", "const a = 1\nexport = a", 2),
    one("src/server/A.ts", `import ts from "typescript"\nswitch (ts.x) {\n  default:\n}\nconst a = { default: 1 }`)
  ],
  "a name says what the thing is": [
    one("src/server/utils.ts", "", 1),
    one("src/server/HttpHelpers.ts", "", 1),
    one("src/server/internal/common.ts", "", 1),
    one("src/server/misc.ts", "", 1),
    one("src/server/SessionManager.ts", "", 1),
    one("src/server/A.ts", "\nexport const AuthorizerLive = 1", 2),
    one("src/server/A.ts", "export class TokenManager {}", 1),
    one("src/server/Challenge.ts", "export const isAlive = 1\nexport const helper = 1")
  ],
  "a module has at most 300 lines": [
    one("src/server/A.ts", "//\n".repeat(301), 301),
    one("src/server/A.ts", "//\n".repeat(300))
  ],
  "time, randomness, configuration and output come from services": [
    one("src/server/A.ts", "\nconst a = Date.now()", 2),
    one("src/server/A.ts", "const now = Date.now", 1),
    one("src/server/A.ts", `const a = Date["now"]()`, 1),
    one("src/server/A.ts", "const a = globalThis.Date.now()", 1),
    one("src/server/A.ts", "const { now } = Date", 1),
    one("src/server/A.ts", "const a = new Date()", 1),
    one("src/server/A.ts", "const a = new Date", 1),
    one("src/server/A.ts", "const a = new globalThis.Date()", 1),
    one("src/server/A.ts", "const a = Date()", 1),
    one("src/server/A.ts", "const a = performance.now()", 1),
    one("src/server/A.ts", "const a = Math.random()", 1),
    one("src/node/A.ts", "const a = process.env.HOME", 1),
    one("src/node/A.ts", "const a = globalThis.process.env", 1),
    one("src/server/A.ts", "console.log(1)", 1),
    one("src/server/A.ts", "const log = { console }", 1),
    one("src/server/A.ts", "const log = console", 1),
    one("src/cli/A.ts", "console.log(Date.now(), process.env.HOME)"),
    one(
      "src/server/A.ts",
      "const f = (ms: number, d: Date): Date => new Date(ms)\nconst g = (x: unknown) => x instanceof Date"
    ),
    one(
      "src/server/A.ts",
      "const a = schema.Date.now\nconst b = { console: 1, Date: 2 }\nconst c = b.console + Math.max(1)"
    ),
    one("src/server/A.ts", `// Date.now() and console.log\nconst a = "process.env"`)
  ],
  "a runtime's globals stay in node, bun and cli": [
    one("src/server/A.ts", "const a = Buffer.from(token)", 1),
    one("src/client/A.ts", "const f = (b: Buffer) => b", 1),
    one("src/testing/A.ts", "let timer: NodeJS.Timeout", 1),
    one("src/server/A.ts", "const a = typeof Bun", 1),
    one("src/server/A.ts", "globalThis.process.exit()", 1),
    one("src/bun/A.ts", "Bun.serve({})"),
    one("src/server/A.ts", "const a = { Buffer: 1, process: 2 }\nconst b = a.process")
  ],
  "Effect is used in the subset that ports to Effect 4": [
    one("src/server/A.ts", `import * as FiberRef from "effect/FiberRef"`, 1),
    one("src/client/A.ts", `import type * as Runtime from "effect/Runtime"`, 1),
    one("src/server/A.ts", "class A extends Effect.Service<A>()('A', {}) {}", 1),
    one("src/server/A.ts", "class A extends Effect.Tag('A')<A, 1>() {}", 1),
    one("src/client/A.ts", "const f = Effect.runtime<R>()", 1),
    one("src/client/A.ts", "const f = Effect.getFiberRefs", 1),
    one("src/client/FetchAuth.ts", "const f = Effect.getFiberRefs"),
    one("src/client/FetchAuth.ts", "const f = Effect.runtime<R>()", 1),
    one("src/server/A.ts", "class A extends Context.Tag('A')<A, 1>() {}")
  ]
}

describe("each rule of the house catches what breaks it, and nothing else:", () => {
  for (const [name, rule] of Object.entries(rules)) {
    it(name, () => {
      const expected = examples[name as RuleName]
      const found = expected.map((example) => ({
        ...example,
        violations: places(rule(house(example.sources, example.manifest)))
      }))
      assert.deepStrictEqual(found, expected)
      assert.isTrue(expected.some(({ violations }) => violations.length > 0))
      assert.isTrue(expected.some(({ violations }) => violations.length === 0))
    })
  }
})
