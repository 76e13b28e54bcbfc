/**
 * A person at a real browser: the example of docs/client.md opens it, Chromium signs in at `oidc-provider`, consents, and
 * ends on the page of the loopback listener.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { chromium, type Page } from "playwright-core"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const root = join(import.meta.dirname, "../..")
const isBun = process.versions["bun"] !== undefined
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

const folder = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `${name}-`))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 10 }))
  )

/** A page of a browser that nobody has used before. */
const browser = Effect.gen(function* () {
  if (!existsSync(executablePath)) {
    return yield* Effect.dieMessage(
      `this test needs Chromium: install it (apt-get install chromium), or set CHROMIUM to it; there is none at ${executablePath}`
    )
  }
  const profile = yield* folder("chromium")
  const context = yield* Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launchPersistentContext(profile, {
        executablePath,
        args: [
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync"
        ]
      })
    ),
    (context) => Effect.promise(() => context.close())
  )
  return yield* Effect.promise(() => context.newPage())
})

/** The application under test, and the URL that it opens: `xdg-open` hands it to us. */
const application = (endpoint: string) =>
  Effect.gen(function* () {
    const bin = yield* folder("bin")
    const opened = join(bin, "opened")
    const script = `#!/bin/sh\nprintf %s "$1" > '${opened}.part' && mv '${opened}.part' '${opened}'\n`
    writeFileSync(join(bin, "xdg-open"), script, { mode: 0o755 })
    const program = isBun ? ["docs/examples/clientBun.ts"] : ["--import", "tsx", "docs/examples/clientNode.ts"]
    const ended = yield* Effect.async<{ readonly code: number | null; readonly output: string }>((resume) => {
      const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}` }
      const child = spawn(process.execPath, [...program, endpoint], { cwd: root, env })
      let output = ""
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk))
      child.on("close", (code) => resume(Effect.succeed({ code, output })))
      return Effect.sync(() => child.kill("SIGKILL"))
    }).pipe(Effect.forkScoped)
    const url = yield* Effect.retry(
      Effect.try(() => readFileSync(opened, "utf8")),
      Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(1200))
    )
    return { url, ended: Fiber.join(ended) }
  })

/** Opens what the application opened, and logs in. */
const logIn = async (page: Page, url: string) => {
  await page.goto(url, { waitUntil: "domcontentloaded" })
  await page.fill("input[name=login]", "carol")
  await page.fill("input[name=password]", "any")
  await page.click("button[type=submit]")
  await page.waitForSelector("text=Authorize")
}

const addressOf = (url: string) => `${new URL(url).origin}${new URL(url).pathname}`

describe.runIf(process.platform === "linux")("in Chromium (needs it at /usr/bin/chromium, or at $CHROMIUM)", () => {
  it.scopedLive(
    "login and consent end on the loopback page, and the code is nowhere to be seen",
    () =>
      Effect.gen(function* () {
        const { authorizationServer, url: endpoint } = yield* ProtectedServer.make()
        const page = yield* browser
        const asked: Array<string> = []
        page.on("request", (request) => asked.push(request.url()))
        const { ended, url } = yield* application(endpoint)
        yield* Effect.promise(async () => {
          await logIn(page, url)
          await page.click("button[type=submit]")
          await page.waitForSelector("h1:has-text('Answer received')")
        })
        const { code, output } = yield* ended
        assert.strictEqual(code, 0, output)
        assert.include(output, '"result":{')
        assert.include(output, "signed out")

        const exchange = authorizationServer.exchanges.find(({ path, status }) => path === "/token" && status === 200)
        const form = new URLSearchParams(exchange?.requestBody)
        const [secret, redirectUri] = [form.get("code") ?? "", form.get("redirect_uri") ?? ""]
        assert.match(secret, /^[\w-]{20,}$/)
        const seen = yield* Effect.promise(async () => ({
          url: page.url(),
          title: await page.title(),
          text: (await page.textContent("body")) ?? "",
          html: await page.content()
        }))
        assert.strictEqual(seen.url, redirectUri)
        assert.strictEqual(seen.title, "Answer received")
        assert.match(
          seen.text,
          /The sign-in is being completed\. You can close this window and go back to the example\./
        )
        for (const text of [...Object.values(seen), output]) assert.notInclude(text, secret)
        // The browser went to the two servers and to the listener, which had the code once.
        const origins = new Set(asked.map((one) => new URL(one).origin))
        assert.deepStrictEqual(origins, new Set([authorizationServer.issuer, new URL(redirectUri).origin]))
        assert.deepStrictEqual(asked.filter((one) => one.includes(secret)).map(addressOf), [redirectUri])
        // The listener is gone, and no way back or forth leads to the code.
        const elsewhere = yield* Effect.promise(async () => {
          const urls: Array<string> = []
          page.on("framenavigated", (frame) => urls.push(frame.url()))
          await page.goBack({ waitUntil: "domcontentloaded" }).catch(() => null)
          await page.goForward({ waitUntil: "domcontentloaded" }).catch(() => null)
          return [...urls, page.url(), ...asked.slice(asked.findIndex((one) => one.includes(secret)) + 1)]
        })
        for (const one of elsewhere) assert.notInclude(one, secret)
      }),
    120_000
  )

  it.scopedLive(
    "a person who says no is told so, and so is the application",
    () =>
      Effect.gen(function* () {
        const { url: endpoint } = yield* ProtectedServer.make()
        const page = yield* browser
        const { ended, url } = yield* application(endpoint)
        yield* Effect.promise(async () => {
          await logIn(page, url)
          await page.click("a:has-text('Cancel')")
          await page.waitForSelector("h1:has-text('Sign-in not completed')")
        })
        assert.include(
          yield* Effect.promise(() => page.textContent("body")),
          "The authorization server did not grant access."
        )
        assert.notInclude(page.url(), "?")
        const { code, output } = yield* ended
        assert.notStrictEqual(code, 0)
        assert.include(output, "access_denied")
      }),
    120_000
  )
})
