/**
 * The examples of docs/client.md as a person runs them: a process that opens the system's browser, at a real server.
 */
import { spawn } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { HttpClientAuth } from "effect-mcp-auth/client"
import { layerCommand } from "../../docs/examples/clientStrategy.js"
import * as Sockets from "../client/fixtures/Sockets.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const root = join(import.meta.dirname, "../..")
const isBun = process.versions["bun"] !== undefined
const command = (program: string) => [...(isBun ? [] : ["--import", "tsx"]), program]

const run = (program: string, args: ReadonlyArray<string>) =>
  Effect.async<{ readonly code: number | null; readonly output: string }>((resume) => {
    const bin = mkdtempSync(join(tmpdir(), "browser-"))
    const script = `#!/bin/sh\ncd '${root}' && exec '${process.execPath}' ${command("test/fixtures/browser.ts").join(" ")} "$1"\n`
    writeFileSync(join(bin, "xdg-open"), script)
    chmodSync(join(bin, "xdg-open"), 0o755)
    const child = spawn(process.execPath, [...command(program), ...args], {
      cwd: root,
      env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` }
    })
    let output = ""
    const keep = (chunk: unknown) => {
      output += chunk
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.on("exit", (code) => {
      rmSync(bin, { recursive: true })
      resume(Effect.succeed({ code, output }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe.runIf(process.platform === "linux")("docs/examples", () => {
  const native = isBun ? "clientBun" : "clientNode"
  it.scopedLive(
    `${native} signs in through the browser and the loopback listener, calls, and signs out`,
    () =>
      Effect.gen(function* () {
        const { authorizationServer, exchanges, url } = yield* ProtectedServer.make()
        const { code, output } = yield* run(`docs/examples/${native}.ts`, [url])
        assert.strictEqual(code, 0, output)
        assert.include(output, '"result":{')
        assert.include(output, "signed out; refresh token: Revoked, access token: StillValid")
        assert.lengthOf(exchanges, 3)
        assert.isFalse(authorizationServer.exchanges.some(({ query }) => query.includes("redirect_uri")))
      }),
    60_000
  )

  it.scopedLive(
    "clientSdk lists the tools",
    () =>
      Effect.gen(function* () {
        const { url } = yield* ProtectedServer.make()
        const { code, output } = yield* run("docs/examples/clientSdk.ts", [url])
        assert.strictEqual(code, 0, output)
        assert.include(output, "whoami, write_note")
      }),
    60_000
  )

  it.scopedLive("clientStrategy: a refused token is replaced by the next that the command prints", () =>
    Effect.gen(function* () {
      const { endpoint, mcp, tokens } = yield* Sockets.make
      const folder = mkdtempSync(join(tmpdir(), "tokens-"))
      const file = join(folder, "count")
      writeFileSync(file, "")
      const args = ["-c", `echo x >> '${file}'; echo "token-$(wc -l < '${file}' | tr -d ' ')"`]
      tokens.set("token-2", [])
      const status = yield* Effect.flatMap(HttpClient.HttpClient, (client) =>
        HttpClientAuth.transform()(client).post(endpoint)
      ).pipe(
        Effect.map((response) => response.status),
        Effect.provide([layerCommand({ resource: endpoint, command: "sh", args }), FetchHttpClient.layer])
      )
      rmSync(folder, { recursive: true })
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        mcp.requests.map(({ headers }) => headers.authorization),
        ["Bearer token-1", "Bearer token-2"]
      )
    })
  )
})
