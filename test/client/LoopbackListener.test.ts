import { createHash } from "node:crypto"
import * as Http from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Tracer from "effect/Tracer"
import { AuthorizeUser, type LoopbackListener } from "../../src/client/index.js"
import * as SystemBrowser from "../../src/client/SystemBrowser.js"

/** The listener and the browser of the runtime that runs this. */
const native =
  process.versions["bun"] === undefined
    ? await import("../../src/node/NodeAuthorizeUser.js")
    : await import("../../src/bun/BunAuthorizeUser.js")

const authorizationUrl = "https://as.example/auth?state=s"

const get = (url: string, init?: RequestInit) => Effect.promise(() => fetch(url, init))

/** Whether a port can be bound, which is what "closed" means. */
const isFree = (port: number) =>
  Effect.async<boolean>((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

const portOf = (uri: string) => Number(new URL(uri).port)

/** A sign-in in the background: its redirect URI, and the fiber that waits for the answer. */
const begin = (
  options: Partial<LoopbackListener.Options> & { readonly timeout?: number } = {},
  open: (url: string) => Effect.Effect<void> = () => Effect.void
) =>
  Effect.gen(function* () {
    const redirectUri = yield* Deferred.make<string>()
    const fiber = yield* Effect.gen(function* () {
      const user = yield* AuthorizeUser.AuthorizeUser
      const prompt = yield* user.begin
      yield* Deferred.succeed(redirectUri, prompt.redirectUri)
      return yield* prompt.authorize(authorizationUrl)
    }).pipe(Effect.scoped, Effect.provide(native.layer({ ...options, open })), Effect.fork)
    return { fiber, uri: yield* Deferred.await(redirectUri) }
  })

describe("the loopback listener", () => {
  it.live("the page arrives, the answer is handed over, the port is free", () =>
    Effect.gen(function* () {
      const { fiber, uri } = yield* begin({ application: "<b>tool</b>" })
      assert.match(uri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
      const response = yield* get(`${uri}?code=c%3A1&state=s`)
      const page = yield* Effect.promise(() => response.text())
      assert.strictEqual(response.status, 200)
      assert.include(page, "Answer received")
      assert.include(page, "&#60;b&#62;tool")
      assert.notInclude(page, "c:1")
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      const script = /<script>(.*)<\/script>/.exec(page)?.[1] ?? ""
      const policy = response.headers.get("content-security-policy") ?? ""
      assert.include(policy, "default-src 'none'")
      assert.include(policy, `script-src 'sha256-${createHash("sha256").update(script).digest("base64")}';`)
      const answer = yield* Fiber.join(fiber)
      assert.strictEqual(answer.get("code"), "c:1")
      assert.isTrue(yield* isFree(portOf(uri)))
    })
  )

  it.live("wrong paths are 404, other methods 405, an empty callback 400, and none of them ends it", () =>
    Effect.gen(function* () {
      const { fiber, uri } = yield* begin({ path: "/cb" })
      assert.strictEqual((yield* get(`${uri}x?code=c&state=s`)).status, 404)
      assert.strictEqual((yield* get(new URL("/favicon.ico", uri).href)).status, 404)
      assert.strictEqual((yield* get(`${uri}?code=c&state=s`, { method: "POST" })).status, 405)
      assert.strictEqual((yield* get(uri)).status, 400)
      const refused = yield* get(`${uri}?error=access_denied&state=s`)
      assert.include(yield* Effect.promise(() => refused.text()), "not completed")
      assert.strictEqual((yield* Fiber.join(fiber)).get("error"), "access_denied")
    })
  )

  it.live("J13: interruption closes it, though a browser holds a connection open", () =>
    Effect.gen(function* () {
      const { fiber, uri } = yield* begin()
      const idle = Net.connect(portOf(uri), "127.0.0.1")
      yield* Effect.async<void>((resume) => void idle.once("connect", () => resume(Effect.void)))
      idle.on("error", () => {})
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* isFree(portOf(uri)))
      idle.destroy()
    })
  )

  it.live("a timeout is a typed failure, and closes it", () =>
    Effect.gen(function* () {
      const { fiber, uri } = yield* begin({ timeout: 50 })
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.reason, "Timeout")
      assert.isTrue(yield* isFree(portOf(uri)))
    })
  )

  it.live("a port that is taken is a typed failure", () =>
    Effect.gen(function* () {
      const taken = Http.createServer()
      yield* Effect.async<void>((resume) => void taken.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const { port } = taken.address() as Net.AddressInfo
      const error = yield* Effect.flatMap(AuthorizeUser.AuthorizeUser, (user) => user.begin).pipe(
        Effect.scoped,
        Effect.provide(native.layer({ port })),
        Effect.flip
      )
      assert.strictEqual(error.reason, "Unsupported")
      assert.include(error.message, String(port))
      taken.close()
    })
  )

  it.live("the same port is taken again while it is free", () =>
    Effect.gen(function* () {
      const user = yield* AuthorizeUser.AuthorizeUser
      const once = Effect.scoped(Effect.map(user.begin, (prompt) => prompt.redirectUri))
      assert.strictEqual(yield* once, yield* once)
    }).pipe(Effect.provide(native.layer()))
  )

  it.live("[::1] and localhost say what they bind", () =>
    Effect.gen(function* () {
      for (const host of ["[::1]", "localhost"] as const) {
        const { fiber, uri } = yield* begin({ host })
        assert.match(uri, host === "[::1]" ? /^http:\/\/\[::1\]:\d+\/callback$/ : /^http:\/\/localhost:\d+\/callback$/)
        yield* get(`${uri}?code=c&state=s`)
        assert.strictEqual((yield* Fiber.join(fiber)).get("code"), "c")
      }
    })
  )

  it.live("localhost is not listened on where somebody else has the port in the other family", () =>
    Effect.gen(function* () {
      const taken = Http.createServer()
      yield* Effect.async<void>((resume) => void taken.listen(0, "::1", () => resume(Effect.void)))
      const { port } = taken.address() as Net.AddressInfo
      const error = yield* Effect.flatMap(AuthorizeUser.AuthorizeUser, (user) => user.begin).pipe(
        Effect.scoped,
        Effect.provide(native.layer({ host: "localhost", port })),
        Effect.flip
      )
      taken.close()
      assert.strictEqual(error.reason, "Unsupported")
      assert.isTrue(yield* isFree(port))
    })
  )

  it.live("nothing that another process sends ends it, but an answer", () =>
    Effect.gen(function* () {
      const { fiber, uri } = yield* begin()
      const say = (line: string) =>
        Effect.async<string>((resume) => {
          let answer = ""
          const socket = Net.connect(portOf(uri), "127.0.0.1", () => socket.write(`${line}\r\nHost: x\r\n\r\n`))
          socket.on("data", (data) => {
            answer += data
          })
          socket.on("close", () => resume(Effect.succeed(answer.slice(0, 12))))
          socket.on("error", () => {})
        })
      for (const target of [
        "http://[",
        "//[",
        "*",
        "//evil.example:x/callback?code=c",
        `/${"a".repeat(100_000)}`,
        "é"
      ]) {
        assert.match(yield* say(`GET ${target} HTTP/1.1`), /^(HTTP\/1\.1 4|$)/, target.slice(0, 40))
      }
      yield* get(`${uri}?code=c&state=s&code=d&x=${"y".repeat(4000)}`)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).getAll("code"), ["c", "d"])
    })
  )

  it.live("pitfall 16: the code is in no span and no log", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const logger = Logger.make(({ message }) => {
        said.push(String(message))
      })
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind, options) => ({
          _tag: "Span",
          name,
          spanId: "1",
          traceId: "1",
          parent,
          context,
          links: [...links],
          sampled: true,
          kind,
          status: { _tag: "Started", startTime },
          attributes: new Map(Object.entries(options?.attributes ?? {})),
          end: () => {},
          attribute: (key, value) => said.push(`${name} ${key} ${String(value)}`),
          event: () => {},
          addLinks: () => {}
        }),
        context: (f) => f()
      })
      const { fiber, uri } = yield* begin().pipe(
        Effect.provide(Layer.merge(Layer.setTracer(tracer), Logger.replace(Logger.defaultLogger, logger)))
      )
      yield* get(`${uri}?code=very-secret&state=s`)
      yield* Fiber.join(fiber)
      assert.notInclude(said.join("\n"), "very-secret")
    })
  )
})

describe("opening a browser", () => {
  it("CL-58: a program and one argument, never a shell", () => {
    const url = "https://as.example/auth?a=1&b=$(id)"
    assert.deepStrictEqual(SystemBrowser.command("linux", url), ["xdg-open", [url]])
    assert.deepStrictEqual(SystemBrowser.command("darwin", url), ["open", [url]])
    assert.deepStrictEqual(SystemBrowser.command("win32", url), [
      "C:\\Windows\\System32\\rundll32.exe",
      ["url.dll,FileProtocolHandler", url]
    ])
  })

  it.live("on Windows it is that of the system, and not one in the working directory", () =>
    Effect.gen(function* () {
      const started: Array<string> = []
      const open = SystemBrowser.open({
        platform: "win32",
        spawn: (program) => {
          started.push(program)
          return {
            once: (event: string, end: (code: never) => void) => event === "exit" && end(0 as never),
            unref: () => {}
          }
        }
      })
      yield* open(authorizationUrl)
      yield* Effect.withConfigProvider(
        open(authorizationUrl),
        ConfigProvider.fromMap(new Map([["SystemRoot", "D:\\Win"]]))
      )
      assert.deepStrictEqual(started, ["C:\\Windows\\System32\\rundll32.exe", "D:\\Win\\System32\\rundll32.exe"])
    })
  )

  it.live("a URL that is too long for an argument is a typed failure", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(native.open(`https://as.example/${"a".repeat(1_000_000)}`))
      assert.strictEqual(error.reason, "Unsupported")
      assert.isBelow(JSON.stringify(error).length, 1000)
    })
  )

  it.live("without one, the sign-in fails with Unsupported and closes its port", () =>
    Effect.gen(function* () {
      const started: Array<unknown> = []
      const open = SystemBrowser.open({
        platform: "linux",
        spawn: (_program, args, options) => {
          started.push(args, options)
          return {
            once: (event: string, listener: (argument: never) => void) =>
              event === "error" ? setTimeout(() => listener(new Error("ENOENT") as never), 5) : undefined,
            unref: () => {}
          }
        }
      })
      const error = yield* Effect.gen(function* () {
        const prompt = yield* (yield* AuthorizeUser.AuthorizeUser).begin
        return yield* prompt.authorize(authorizationUrl)
      }).pipe(Effect.scoped, Effect.provide(native.layer({ open })), Effect.flip)
      assert.strictEqual(error.reason, "Unsupported")
      assert.deepStrictEqual(started, [[authorizationUrl], { detached: true, stdio: "ignore", shell: false }])
    })
  )

  it.live("only secure http(s) URLs are opened", () =>
    Effect.gen(function* () {
      const opened: Array<string> = []
      const layer = native.layer({ open: (url) => Effect.sync(() => void opened.push(url)) })
      const prompt = yield* Effect.flatMap(AuthorizeUser.AuthorizeUser, (user) => user.begin).pipe(
        Effect.provide(layer)
      )
      for (const url of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://as.example/auth"]) {
        assert.strictEqual((yield* Effect.flip(prompt.authorize(url))).reason, "Unsupported")
      }
      assert.deepStrictEqual(opened, [])
    }).pipe(Effect.scoped)
  )
})

describe("without a browser", () => {
  const ask = Effect.flatMap(AuthorizeUser.AuthorizeUser, (user) => user.begin).pipe(
    Effect.flatMap((prompt) => prompt.authorize(authorizationUrl)),
    Effect.scoped
  )

  it.effect("paste: the address that the browser ended at, and nothing else", () =>
    Effect.gen(function* () {
      const shown: Array<string> = []
      const paste = (text: string) =>
        AuthorizeUser.layerPaste({
          redirectUri: "http://127.0.0.1:1/cb",
          show: (url) => Effect.sync(() => void shown.push(url)),
          read: Effect.succeed(text)
        })
      const answer = yield* Effect.provide(ask, paste(" http://127.0.0.1:1/cb?code=c&state=s#_=_\n"))
      assert.deepStrictEqual(Array.from(answer), [
        ["code", "c"],
        ["state", "s"]
      ])
      assert.deepStrictEqual(shown, [authorizationUrl])
      const error = yield* Effect.flip(Effect.provide(ask, paste("https://evil.example/cb?code=c")))
      assert.strictEqual(error.reason, "Cancelled")
    })
  )

  it.effect("forbidden: a typed failure", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(ask, AuthorizeUser.layerForbidden))
      assert.strictEqual(error.reason, "PromptForbidden")
    })
  )
})
