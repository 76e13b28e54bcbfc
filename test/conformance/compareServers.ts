/**
 * Shows that the guard changes nothing that MCP says: every `server` scenario of the official conformance suite, on each
 * revision, at a small server as it is, and at the same server behind the guard, with sessions bound to their callers,
 * through a proxy that adds a token and nothing else. Every check must end alike.
 *
 *     CONFORMANCE=path/to/conformance node --import tsx test/conformance/compareServers.ts
 *
 * The suite needs Node 22, and is installed beside the project. What the small server does not have fails on both sides,
 * and is in the table. Exits with 1 where a check differs, where no scenario passes, and where one of those that are about
 * HTTP does not pass.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer, type RequestListener, request } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import { getRequestListener } from "@hono/node-server"
import {
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse
} from "@modelcontextprotocol/server"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  AuthConfig,
  HttpAppAuth,
  JwtAuthorizer,
  SessionBinding,
  SessionStore,
  WebHandlerAuth
} from "effect-mcp-auth/server"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import { load } from "../../docs/examples/demo/runtime.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import { handler } from "./FeatureServer.js"
import { localOnly } from "./localOnly.js"

const suite = process.env["CONFORMANCE"] ?? "conformance"
const revisions = ["2025-11-25", "2026-07-28"]

/** Those that a guard could spoil; the small server has all that they ask for. */
const indispensable = [
  "2025-11-25 dns-rebinding-protection",
  "2025-11-25 server-initialize",
  "2025-11-25 server-session-lifecycle",
  "2025-11-25 server-sse-multiple-streams",
  "2025-11-25 tools-call-with-progress",
  "2025-11-25 tools-call-sampling",
  "2026-07-28 dns-rebinding-protection",
  "2026-07-28 http-header-validation",
  "2026-07-28 input-required-result-request-state",
  "2026-07-28 input-required-result-tampered-state",
  "2026-07-28 tools-call-with-progress"
]

const listen = (listener: RequestListener) =>
  Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const server = createServer(listener)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close().closeAllConnections())
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`))

/** As the official SDK would be served without us. */
const unguarded = listen(
  getRequestListener(
    (request) =>
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins()) ??
      handler(request, undefined as never)
  )
)

const guarded = Effect.gen(function* () {
  const authorizationServer = yield* AuthorizationServer.make({
    clients: [machine],
    resources: () => ({ scope: "mcp", accessTokenTTL: 3600 })
  })
  const { server } = yield* Effect.promise(load)
  const { address } = yield* Effect.map(Layer.build(server(0)), Context.get(HttpServer.HttpServer)).pipe(
    Effect.tap((http) => {
      const port = http.address._tag === "TcpAddress" ? http.address.port : 0
      const app = WebHandlerAuth.fromWebHandler(handler).pipe(
        SessionBinding.middleware,
        HttpAppAuth.middleware,
        HttpAppAuth.withMetadata,
        localOnly
      )
      return Layer.build(
        HttpServer.serve(app).pipe(
          Layer.provide(JwtAuthorizer.layer()),
          Layer.provide([
            Layer.succeed(HttpServer.HttpServer, http),
            SessionStore.layerMemory(),
            FetchHttpClient.layer,
            AuthConfig.layer({
              resource: `http://127.0.0.1:${port}/mcp`,
              authorizationServers: authorizationServer.issuer,
              requiredScopes: ["mcp"]
            })
          ])
        )
      )
    })
  )
  const url = `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}/mcp`
  const token = yield* machineToken(authorizationServer, url, "mcp")
  return { url, token }
})

/** Hands on each request as it is, with a token. */
const proxy = ({ token, url }: { readonly url: string; readonly token: string }) =>
  listen((incoming, outgoing) => {
    const { port } = new URL(url)
    const { method, rawHeaders, url: path } = incoming
    const headers = [...rawHeaders, "Authorization", `Bearer ${token}`]
    const onward = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(outgoing)
    })
    onward.on("error", () => outgoing.destroy())
    outgoing.on("close", () => onward.destroy())
    incoming.pipe(onward)
  })

/** Scenarios as `revision name`, each with the outcomes of its checks in order. */
type Verdicts = ReadonlyMap<string, string>

const judge = (url: string, revision: string): Effect.Effect<Verdicts> =>
  Effect.promise(async () => {
    const folder = mkdtempSync(join(tmpdir(), "conformance-"))
    const args = ["server", "--url", url, "--suite", "all", "--spec-version", revision, "--output-dir", folder]
    // It exits with 1 where anything fails; what did is in the folder.
    await promisify(execFile)(suite, args, { maxBuffer: 2 ** 26, timeout: 900_000 }).catch(() => undefined)
    const verdicts = readdirSync(folder).map((run) => {
      const scenario = run.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "")
      const checks: ReadonlyArray<{ readonly id: string; readonly status: string }> = JSON.parse(
        readFileSync(join(folder, run, "checks.json"), "utf8")
      )
      return [`${revision} ${scenario}`, checks.map(({ id, status }) => `${id} ${status}`).join("\n")] as const
    })
    rmSync(folder, { recursive: true })
    return new Map(verdicts)
  })

const isPassed = (verdict: string | undefined): boolean =>
  verdict !== undefined && /SUCCESS$/m.test(verdict) && !/(FAILURE|WARNING)$/m.test(verdict)

const program = Effect.gen(function* () {
  const plain = yield* unguarded
  const behind = yield* Effect.flatMap(guarded, proxy)
  let failed = 0
  let passed = 0
  for (const revision of revisions) {
    const without = yield* judge(plain, revision)
    const withGuard = yield* judge(behind, revision)
    const needed = indispensable.filter((scenario) => scenario.startsWith(revision))
    for (const scenario of Array.from(new Set([...needed, ...without.keys(), ...withGuard.keys()])).sort()) {
      const [before, after] = [without.get(scenario), withGuard.get(scenario)]
      const same = before === after
      const isGood = isPassed(before) && isPassed(after)
      if (isGood) passed++
      if (!same || (indispensable.includes(scenario) && !isGood)) failed++
      const word = (verdict: string | undefined) => (isPassed(verdict) ? "passes" : "does not pass")
      console.log(`${same ? "same  " : "DIFFER"} ${scenario.padEnd(64)} ${word(before)}, guarded ${word(after)}`)
      if (!same) console.log(`--- without\n${before}\n--- guarded\n${after}`)
    }
  }
  console.log(`${passed} passed on both sides, ${failed} failed`)
  return failed === 0 && passed > 0
})

Effect.runPromise(Effect.scoped(program)).then(
  (isGood) => process.exit(isGood ? 0 : 1),
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
