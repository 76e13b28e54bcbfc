import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** Where .ci/run wants the counts. */
const report = process.env["VITEST_REPORT"]

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-mcp-auth$/, replacement: src("index.ts") },
      { find: /^effect-mcp-auth\/([a-z]+)$/, replacement: src("$1/index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], tsconfig: "./tsconfig.types.json" },
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
