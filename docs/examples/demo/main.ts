/**
 * The demo: a real authorization server, a protected MCP server, and a client that is told the MCP URL and nothing else.
 *
 *     npm run demo                      nobody has to click
 *     npm run demo -- --runtime bun     the same program on Bun
 *     npm run demo -- --browser         the real login page in the system's browser
 *     npm run demo -- --serve [--port N]  server and authorization server stay up
 */
import { spawn } from "node:child_process"
import { parseArgs } from "node:util"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { AuthConfig, JwtAuthorizer } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import * as AuthorizationServer from "./AuthorizationServer.js"
import * as Client from "./Client.js"
import { app } from "./McpServer.js"
import { claims } from "./Proof.js"
import { load } from "./runtime.js"
import * as Trace from "./Trace.js"

const { values: options } = parseArgs({
  options: {
    runtime: { type: "string", default: process.versions["bun"] === undefined ? "node" : "bun" },
    browser: { type: "boolean", default: false },
    serve: { type: "boolean", default: false },
    port: { type: "string", default: "0" }
  }
})

const scopes = ["mcp:tools", "mcp:write"]
const login = "alice"

const httpClient = (name: string) =>
  Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, Trace.as(name))).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const howToConnect = (url: string) => `
The protected MCP server is at ${url}

  curl        curl -i -X POST ${url} -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"ping"}'
  official SDK  new StreamableHTTPClientTransport(new URL("${url}"), { authProvider })
  Inspector   npx @modelcontextprotocol/inspector, transport "Streamable HTTP", URL ${url}

Any name and password sign in. Ctrl-C ends everything.
`

const program = Effect.gen(function* () {
  const runtime = yield* Effect.promise(load)
  const lines: Array<Trace.Line> = []
  const record = (line: Trace.Line) => {
    lines.push(line)
    Trace.print(line)
  }
  const authorizationServer = yield* AuthorizationServer.make({
    scopes,
    resources: () => ({ scope: scopes.join(" ") }),
    onExchange: (exchange) => record(Trace.ofAuthorizationServer(exchange))
  })

  // The resource is the URL that clients use; here it is known only once the port is.
  const config = Layer.unwrapEffect(
    HttpServer.addressWith((address) =>
      Effect.succeed(
        AuthConfig.layer({
          resource: `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}/mcp`,
          authorizationServers: authorizationServer.issuer,
          requiredScopes: ["mcp:tools"]
        })
      )
    )
  )
  const server = HttpServer.serve(Trace.ofMcpServer(record)(app)).pipe(
    Layer.provide(JwtAuthorizer.layer()),
    Layer.provide(httpClient("MCP server")),
    Layer.provideMerge(config),
    Layer.provide(runtime.server(Number(options.port)))
  )
  const { resource } = yield* Effect.flatMap(Layer.build(server), (services) =>
    Effect.provide(AuthConfig.AuthConfig, services)
  )

  if (options.serve) {
    console.log(howToConnect(resource))
    return yield* Effect.never
  }

  console.log(`${runtime.name}: the client is told ${resource} and nothing else\n`)
  const person = options.browser
    ? runtime.browser
    : Layer.provide(ScriptedUser.layer({ login, redirectUri: "http://127.0.0.1:9/callback" }), httpClient("person"))
  const results = yield* Client.run(resource).pipe(
    Effect.provide(Layer.merge(person, httpClient("client"))),
    Effect.scoped
  )

  const proved = claims(lines, {
    resource,
    login: options.browser ? (results.whoami.subject ?? "") : login,
    ...results
  })
  console.log("\nProved:")
  for (const { holds, text } of proved) console.log(`  ${holds ? "✓" : "✗ NOT"} ${text}`)
  if (proved.some(({ holds }) => !holds)) return yield* Effect.fail("something did not happen")
}).pipe(
  Effect.scoped,
  Effect.tapErrorCause((cause) => Effect.logError("the demo failed", cause)),
  Logger.withMinimumLogLevel(LogLevel.Warning)
)

if (options.runtime === "bun" && process.versions["bun"] === undefined) {
  const args = ["run", import.meta.filename, ...process.argv.slice(2)]
  const child = spawn("bun", args, { stdio: "inherit" })
  child.on("error", () => {
    console.error("bun is not on the PATH: npm i --prefix DIR bun, then PATH=DIR/node_modules/.bin:$PATH")
    process.exitCode = 1
  })
  child.on("exit", (code) => {
    process.exitCode = code ?? 1
  })
  // The terminal tells both processes of Ctrl-C; this one waits for the other to have cleaned up.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal))
} else {
  const { runMain } = await load()
  runMain(program)
}
