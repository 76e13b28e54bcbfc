/**
 * A web application whose users each sign in at a protected MCP server. Try it at the demo: `npm run demo -- --serve`, then
 *
 *     node --import tsx docs/examples/webApplication.ts http://127.0.0.1:PORT/mcp
 *
 * and open http://127.0.0.1:3000. `/write` needs a scope that was not asked for at first.
 */
import { createServer } from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpAppSignIn, HttpClientAuth, TokenSource, TokenStore, WebSignIn } from "effect-mcp-auth/client"

const resource = process.argv[2] ?? "http://127.0.0.1:4000/mcp"
const port = Number(process.argv[3] ?? 3000)

// -- the application's own sessions: any name will do -----------------------------------------------------------------

class NotLoggedIn extends Data.TaggedError("NotLoggedIn") {}

const sessions = new Map<string, string>()

const user = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ cookies }) => {
  const name = sessions.get(cookies["session"] ?? "")
  return name === undefined ? new NotLoggedIn() : Effect.succeed(name)
})

const login = Effect.gen(function* () {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  const query = new URL(url, "http://localhost").searchParams
  const name = query.get("user") ?? "alice"
  const session = crypto.randomUUID()
  sessions.set(session, name)
  // Lax: a Strict cookie would not come along from the authorization server.
  const cookie = { httpOnly: true, sameSite: "lax", path: "/" } as const
  return yield* HttpServerResponse.setCookie(
    HttpServerResponse.redirect("/", { status: 303 }),
    "session",
    session,
    cookie
  )
})

// -- pages that call the MCP server for whoever is there --------------------------------------------------------------

const tokens = Effect.map(user, (user) => WebSignIn.layerTokenSource({ resource, user }))

const callTool = (name: string) =>
  Effect.gen(function* () {
    const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
    const call = client.post(resource, {
      body: HttpBody.unsafeJson({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } }),
      headers: { accept: "application/json, text/event-stream" }
    })
    const response = yield* Effect.provide(call, yield* tokens)
    return HttpServerResponse.text(yield* response.text)
  })

const signOut = Effect.gen(function* () {
  const { refreshToken } = yield* Effect.provide(TokenSource.signOut, yield* tokens)
  return HttpServerResponse.text(`signed out; refresh token: ${refreshToken._tag}`)
})

const home = Effect.as(
  user,
  HttpServerResponse.html(`<a href="/whoami">who am I?</a> <a href="/write">write a note</a>
<form method="post" action="/sign-out"><button>sign out</button></form>`)
)

const app = HttpRouter.empty.pipe(
  HttpRouter.get("/", home),
  HttpRouter.get("/login", login),
  HttpRouter.get("/whoami", callTool("whoami")),
  HttpRouter.get("/write", callTool("write_note")),
  HttpRouter.post("/sign-out", signOut),
  HttpRouter.get("/connect", HttpAppSignIn.begin({ user, resource })),
  HttpRouter.get("/callback", HttpAppSignIn.complete({ user })),
  HttpAppSignIn.middleware({ user }),
  Effect.catchTag("NotLoggedIn", () =>
    HttpServerResponse.html(`<form action="/login"><input name="user" value="alice"><button>log in</button></form>`)
  )
)

HttpServer.serve(app).pipe(
  HttpServer.withLogAddress,
  Layer.provide(WebSignIn.layer({ redirectUri: `http://127.0.0.1:${port}/callback` })),
  // In a fleet, a store that all instances share.
  Layer.provide(TokenStore.layerMemory),
  Layer.provide(FetchHttpClient.layer),
  Layer.provide(NodeHttpServer.layer(createServer, { port, host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
