/**
 * The demo as a person runs it: a process, its output, its exit code, and what is left when it is stopped.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "../..")
const isBun = process.versions["bun"] !== undefined
const running = new Set<ChildProcess>()

afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
})

const command = (program: string) => [...(isBun ? [] : ["--import", "tsx"]), program]

const demo = (args: ReadonlyArray<string> = [], env: Record<string, string> = {}) => {
  const child = spawn(process.execPath, [...command("docs/examples/demo/main.ts"), ...args], {
    cwd: root,
    env: { ...process.env, ...env }
  })
  running.add(child)
  let output = ""
  child.stdout.on("data", (chunk) => {
    output += chunk
  })
  child.stderr.on("data", (chunk) => {
    output += chunk
  })
  const exit = new Promise<number | string>((resolve) => {
    child.on("exit", (code, signal) => {
      running.delete(child)
      resolve(code ?? signal ?? "?")
    })
  })
  const shows = async (pattern: RegExp) => {
    while (!pattern.test(output)) {
      if (!running.has(child)) throw new Error(`the demo ended: ${output}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return pattern.exec(output) as RegExpExecArray
  }
  return { child, exit, output: () => output, shows }
}

const isOpen = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

describe("npm run demo", () => {
  it("signs in, steps up, proves it, and exits 0", { timeout: 90_000 }, async () => {
    const { exit, output } = demo()
    assert.strictEqual(await exit, 0, output())
    const order = [
      /401 {2}client → MCP server .*Bearer resource_metadata=/,
      /200 {2}client → MCP server .*oauth-protected-resource\/mcp/,
      /200 {2}client → authorization server .*oauth-authorization-server/,
      /201 {2}client → authorization server .*POST \/reg/,
      /201 {2}client → authorization server .*PKCE S256, resource, scope "mcp:tools"$/m,
      /303 {2}person → authorization server .*by reference to what was pushed$/m,
      /200 {2}client → authorization server .*token request: authorization_code, resource/,
      /200 {2}client → MCP server .*tools\/call whoami/,
      /403 {2}client → MCP server .*error="insufficient_scope", scope="mcp:write mcp:tools"/,
      /201 {2}client → authorization server .*PKCE S256, resource, scope "mcp:tools mcp:write"$/m,
      /200 {2}client → MCP server .*tools\/call write_note/
    ]
    let at = 0
    for (const pattern of order) {
      const found = pattern.exec(output().slice(at))
      assert.isNotNull(found, `${pattern} is not where it should be in:\n${output()}`)
      at += (found?.index ?? 0) + 1
    }
    assert.notInclude(output(), "✗")
    assert.strictEqual(output().split("✓").length - 1, 8)
  })

  it.runIf(process.platform === "linux")(
    "--browser opens the system's browser and receives the redirect on the loopback listener",
    { timeout: 90_000 },
    async () => {
      const bin = mkdtempSync(join(tmpdir(), "browser-"))
      const script = `#!/bin/sh\ncd '${root}' && exec '${process.execPath}' ${command("test/fixtures/browser.ts").join(" ")} "$1"\n`
      writeFileSync(join(bin, "xdg-open"), script, { mode: 0o755 })
      const { exit, output } = demo(["--browser"], { PATH: `${bin}:${process.env["PATH"]}` })
      assert.strictEqual(await exit, 0, output())
      assert.include(output(), "the tool saw its caller: carol")
      assert.notInclude(output(), "✗")
      rmSync(bin, { recursive: true })
    }
  )

  it("--serve stays up, and Ctrl-C leaves no process and no open port", { timeout: 90_000 }, async () => {
    const { child, exit, shows } = demo(["--serve"])
    const [, port = ""] = await shows(/MCP server is at http:\/\/127\.0\.0\.1:(\d+)\/mcp/)
    const url = `http://127.0.0.1:${port}`
    const metadata = await fetch(`${url}/.well-known/oauth-protected-resource/mcp`)
    const document = (await metadata.json()) as { readonly authorization_servers: ReadonlyArray<string> }
    const authorizationServer = Number(new URL(document.authorization_servers[0] ?? "").port)
    assert.isTrue(await isOpen(Number(port)))
    assert.isTrue(await isOpen(authorizationServer))
    child.kill("SIGINT")
    await exit
    assert.isFalse(await isOpen(Number(port)))
    assert.isFalse(await isOpen(authorizationServer))
  })
})
