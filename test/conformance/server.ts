/**
 * A protected server that outside judges can be pointed at: an application that uses the public API and nothing else. The
 * official SDK speaks MCP, of every revision.
 *
 *     PORT=3000 MCP_AUTH_ISSUER=https://as.example.com node --import tsx test/conformance/server.ts
 *     PORT=3000 MCP_AUTH_ISSUER=https://as.example.com bun test/conformance/server.ts
 *
 * - `PORT`: on 127.0.0.1; 0 takes a free one.
 * - `MCP_AUTH_ISSUER`: trusted, and asked for its metadata when the first token comes.
 * - `MCP_AUTH_INTROSPECTION`: `CLIENT_ID:CLIENT_SECRET`, split at the first colon. The issuer is asked about every token
 *   that is not a JWT of its own; without it, only those are accepted.
 *
 * Tokens are for `http://127.0.0.1:PORT/mcp` and need the scope `mcp`. The tool `whoami` says the subject, the client and
 * the scopes of its caller, `admin-action` needs the scope `admin` besides. When it accepts requests it prints
 * `ready URL`, and nothing else on stdout: logs go to stderr. SIGTERM ends it with exit code 0 within a few seconds,
 * whatever connections and streams are open.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import { createMcpHandler, McpServer, type ServerContext } from "@modelcontextprotocol/server"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import {
  AuthConfig,
  AuthInfo,
  Authorizer,
  Claims,
  HttpAppAuth,
  IntrospectionAuthorizer,
  JwtAuthorizer,
  OperationScopes,
  WebHandlerAuth
} from "effect-mcp-auth/server"
import { load } from "../../docs/examples/demo/runtime.js"
import { localOnly } from "./localOnly.js"

const settings = Config.all({
  port: Config.integer("PORT"),
  issuer: Config.nonEmptyString("MCP_AUTH_ISSUER"),
  introspection: Config.redacted("MCP_AUTH_INTROSPECTION").pipe(
    Config.validate({
      message: "MCP_AUTH_INTROSPECTION must be CLIENT_ID:CLIENT_SECRET",
      validation: (value) => /^[^:]+:./.test(Redacted.value(value))
    }),
    Config.option
  )
})

const whoami = Effect.map(Claims.CurrentClaims, ({ clientId, scopes, subject }) => ({
  subject,
  client: clientId ?? null,
  scopes
}))

const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: "effect-mcp-auth conformance", version: "1.0.0" })
  const answer = async ({ http }: ServerContext) => {
    const caller = await Effect.runPromise(AuthInfo.provide(whoami, http?.authInfo))
    return { content: [{ type: "text" as const, text: JSON.stringify(caller) }], structuredContent: { ...caller } }
  }
  server.registerTool("whoami", { description: "Says who is calling" }, answer)
  server.registerTool("admin-action", { description: "Needs the scope admin" }, answer)
  return server
})

const app = HttpRouter.empty.pipe(
  HttpRouter.all("/mcp", WebHandlerAuth.fromWebHandler(mcp.fetch)),
  OperationScopes.middleware({ tool: (name) => (name === "admin-action" ? ["admin"] : []) }),
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata,
  localOnly
)

const authorizer = (introspection: Option.Option<Redacted.Redacted>) =>
  Option.match(introspection, {
    onNone: () => JwtAuthorizer.layer(),
    onSome: (credentials) => {
      const [clientId = "", ...secret] = Redacted.value(credentials).split(":")
      const asking = IntrospectionAuthorizer.make({
        clientId,
        credentials: { clientSecret: Redacted.make(secret.join(":")) }
      })
      return Layer.scoped(Authorizer.Authorizer, Effect.zipWith(JwtAuthorizer.make(), asking, Authorizer.orElse))
    }
  })

const program = Effect.gen(function* () {
  const { introspection, issuer, port } = yield* settings
  const { server } = yield* Effect.promise(load)
  const serve = HttpServer.addressWith((address) => {
    const resource = `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : port}/mcp`
    const config = AuthConfig.layer({
      resource,
      authorizationServers: issuer,
      requiredScopes: ["mcp"],
      scopesSupported: ["mcp", "admin"]
    })
    return Effect.succeed(
      Layer.effectDiscard(Console.log(`ready ${resource}`)).pipe(
        Layer.provide(HttpServer.serve(app)),
        Layer.provide(authorizer(introspection)),
        Layer.provide([config, FetchHttpClient.layer])
      )
    )
  })
  yield* Layer.launch(Layer.provide(Layer.unwrapEffect(serve), server(port)))
})

const logToStderr = Layer.mergeAll(
  Logger.remove(Logger.defaultLogger),
  Logger.remove(Logger.prettyLoggerDefault),
  Logger.add(Logger.prettyLogger({ stderr: true }))
)

const { runMain } = await load()
runMain(program.pipe(Effect.tapErrorCause(Effect.logError), Effect.provide(logToStderr)))
