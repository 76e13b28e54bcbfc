/**
 * A web application of two instances over one store, at a certified authorization server and a guarded MCP server, all of
 * them on sockets, with people who have a browser each.
 */
import { spawn } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { HttpAppSignIn, HttpClientAuth, TokenStore, WebSignIn } from "effect-mcp-auth/client"
import { ScriptedUser } from "effect-mcp-auth/testing"
import * as PlatformServer from "../fixtures/PlatformServer.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const user = Effect.map(HttpServerRequest.HttpServerRequest, ({ cookies }) => cookies["session"] ?? "nobody")

const login = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) => {
  const query = new URL(url, "http://application").searchParams
  return HttpServerResponse.redirect(query.get("next") ?? "/", { status: 303 }).pipe(
    HttpServerResponse.unsafeSetCookie("session", query.get("user") ?? "", {
      httpOnly: true,
      sameSite: "lax",
      path: "/"
    })
  )
})

const application = (resource: string) => {
  const callTool = (name: string) =>
    Effect.gen(function* () {
      const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
      const call = client.post(resource, {
        body: HttpBody.unsafeJson({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } }),
        headers: { accept: "application/json, text/event-stream" }
      })
      const tokens = WebSignIn.layerTokenSource({ resource, user: yield* user })
      const response = yield* Effect.provide(call, tokens)
      return HttpServerResponse.text(yield* response.text)
    })
  return HttpRouter.empty.pipe(
    HttpRouter.get("/login", login),
    HttpRouter.get("/whoami", callTool("whoami")),
    HttpRouter.get("/write", callTool("write_note")),
    HttpRouter.get("/connect", HttpAppSignIn.begin({ user, resource })),
    HttpRouter.get("/callback", HttpAppSignIn.complete({ user })),
    HttpAppSignIn.middleware({ user })
  )
}

/** Two instances that share the store and nothing else; answers arrive at the second. */
const serve = (resource: string) =>
  Effect.gen(function* () {
    const store = yield* Layer.build(TokenStore.layerMemory)
    const servers = yield* Effect.all([Layer.build(PlatformServer.layer), Layer.build(PlatformServer.layer)])
    const urls = servers.map((server) => {
      const { address } = Context.get(server, HttpServer.HttpServer)
      return `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}`
    })
    const [begins = "", completes = ""] = urls
    for (const server of servers) {
      yield* HttpServer.serve(application(resource)).pipe(
        Layer.provide(WebSignIn.layer({ redirectUri: `${completes}/callback` })),
        Layer.provide(Layer.succeedContext(Context.merge(server, store))),
        Layer.provide(FetchHttpClient.layer),
        Layer.build
      )
    }
    return { begins, completes }
  })

/** Opens a page as a person with a fresh browser, logs in wherever that is asked, and ends at `end`. */
const visit = (url: string, end: string, login: string, decision: "approve" | "deny" = "approve") =>
  ScriptedUser.visit(url, { login, redirectUri: end, decision }).pipe(Effect.provide(FetchHttpClient.layer))

const page = (url: string, user: string) =>
  Effect.promise(async () => {
    const response = await fetch(url, { headers: { cookie: `session=${user}` }, redirect: "manual" })
    return { status: response.status, text: await response.text() }
  })

describe("a web application of two instances at oidc-provider", () => {
  it.scopedLive(
    "signs in through both of them with a pushed request, steps up, and has the grant at each",
    () =>
      Effect.gen(function* () {
        const { authorizationServer, trace, url } = yield* ProtectedServer.make()
        const { begins, completes } = yield* serve(url)
        const open = `${begins}/login?user=alice&next=/whoami`
        yield* visit(open, `${completes}/whoami`, "alice")
        const pages = /^as (GET|POST) \/(auth|interaction)\//
        assert.deepStrictEqual(
          trace.filter((line) => !pages.test(line)),
          [
            "mcp POST /mcp tools/call whoami 401",
            // What the call asks for, to know what counts of a grant; and the sign-in, to begin with.
            "mcp GET /.well-known/oauth-protected-resource/mcp 200",
            "mcp GET /.well-known/oauth-protected-resource/mcp 200",
            "as GET /.well-known/oauth-authorization-server 200",
            "as POST /reg 201",
            "as POST /request 201",
            "as GET /auth 303",
            "as POST /token 200"
          ]
        )
        for (const instance of [begins, completes]) {
          const { status, text } = yield* page(`${instance}/whoami`, "alice")
          assert.strictEqual(status, 200)
          assert.include(text, '\\"subject\\":\\"alice\\"')
        }
        yield* visit(`${begins}/login?user=alice&next=/write`, `${completes}/write`, "alice")
        assert.include((yield* page(`${begins}/write`, "alice")).text, "written by alice")
        const pushed = authorizationServer.exchanges.filter(({ path }) => path === "/request").at(-1)?.requestBody
        const scopes = new URLSearchParams(pushed).get("scope") ?? ""
        assert.includeMembers(scopes.split(" "), ["mcp:tools", "mcp:write"])
      }),
    120_000
  )

  it.scopedLive(
    "ten people at once, of whom each is themselves at both",
    () =>
      Effect.gen(function* () {
        const { url } = yield* ProtectedServer.make()
        const { begins, completes } = yield* serve(url)
        const people = Array.from({ length: 10 }, (_, n) => `person-${n}`)
        const open = (name: string) => `${begins}/login?user=${name}&next=/whoami`
        yield* Effect.forEach(people, (name) => visit(open(name), `${completes}/whoami`, name), {
          concurrency: "unbounded"
        })
        yield* Effect.forEach(
          people.flatMap((name) => [begins, completes].map((instance) => [name, instance] as const)),
          ([name, instance]) =>
            Effect.map(page(`${instance}/whoami`, name), ({ text }) => {
              assert.include(text, `\\"subject\\":\\"${name}\\"`)
            }),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* page(`${begins}/whoami`, "person-10")).status, 303)
      }),
    120_000
  )

  it.scopedLive(
    "a person who refuses is told so, and may change their mind",
    () =>
      Effect.gen(function* () {
        const { url } = yield* ProtectedServer.make()
        const { begins, completes } = yield* serve(url)
        const open = `${begins}/login?user=bob&next=/whoami`
        const refused = yield* Effect.flip(visit(open, `${completes}/whoami`, "bob", "deny"))
        assert.strictEqual(refused.url, `${completes}/callback`)
        assert.match(refused.detail, /^403 .*Sign-in not completed/)
        yield* visit(open, `${completes}/whoami`, "bob")
        assert.strictEqual((yield* page(`${begins}/whoami`, "bob")).status, 200)
      }),
    120_000
  )
})

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

describe.runIf(process.versions["bun"] === undefined)("docs/examples/webApplication.ts", () => {
  it.scopedLive(
    "runs: a person logs in, signs in at the MCP server on the way to a page, and signs out",
    () =>
      Effect.gen(function* () {
        const { exchanges, url } = yield* ProtectedServer.make()
        const port = yield* freePort
        const example = ["--import", "tsx", "docs/examples/webApplication.ts", url, String(port)]
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, example, { cwd: join(import.meta.dirname, "../.."), stdio: "ignore" })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        const start = `http://127.0.0.1:${port}`
        yield* Effect.retry(
          Effect.tryPromise(() => fetch(start)),
          Schedule.spaced("250 millis").pipe(Schedule.upTo("90 seconds"))
        )
        const cookies = new Map<string, string>()
        const open = (path: string, method = "GET") =>
          Effect.promise(async () => {
            const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ")
            const response = await fetch(new URL(path, start), { method, headers: { cookie }, redirect: "manual" })
            for (const set of response.headers.getSetCookie()) {
              const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(set) ?? []
              cookies.set(name, value)
            }
            return { location: response.headers.get("location") ?? "", text: await response.text() }
          })
        assert.include((yield* open("/")).text, "log in")
        yield* open("/login?user=carol")
        // Once for a token, and once for the scope that this page needs.
        for (const _ of [1, 2]) {
          const { location } = yield* open("/write")
          const answer = yield* visit(location, `${start}/callback`, "carol")
          assert.strictEqual((yield* open(`/callback?${answer}`)).location, "/write")
        }
        assert.include((yield* open("/write")).text, "written by carol")
        assert.include((yield* open("/sign-out", "POST")).text, "refresh token: Revoked")
        assert.include((yield* open("/write")).location, "/auth?")
        assert.deepStrictEqual(
          exchanges.flatMap(({ status, tool }) => (tool === undefined ? [] : [status])),
          [401, 403, 200, 401]
        )
      }),
    120_000
  )
})
