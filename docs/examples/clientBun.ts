/**
 * The same on Bun: the first call opens the browser, the next run of this process would again, because its store is in
 * memory. Try it at the demo: `npm run demo -- --serve`, then
 *
 *     bun docs/examples/clientBun.ts http://127.0.0.1:PORT/mcp
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BunAuthorizeUser } from "effect-mcp-auth/bun"
import { HttpClientAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { DiscoveryTrace } from "effect-mcp-auth/discovery"

const resource = process.argv[2] ?? "http://127.0.0.1:3000/mcp"

const call = (method: string, params: object) =>
  Effect.gen(function* () {
    const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
    const response = yield* client.post(resource, {
      body: HttpBody.unsafeJson({ jsonrpc: "2.0", id: 1, method, params }),
      headers: { accept: "application/json, text/event-stream" }
    })
    return `${response.status} ${yield* response.text}`
  })

const program = Effect.gen(function* () {
  const clientInfo = { name: "example", version: "1.0.0" }
  yield* Console.log(yield* call("initialize", { protocolVersion: "2025-11-25", capabilities: {}, clientInfo }))
  const { accessToken, refreshToken } = yield* TokenSource.signOut
  yield* Console.log(`signed out; refresh token: ${refreshToken._tag}, access token: ${accessToken._tag}`)
}).pipe(
  Effect.tapError((error) =>
    "trace" in error ? Console.error(`${error.message}\n${DiscoveryTrace.render(error.trace)}`) : Effect.void
  )
)

const tokens = TokenSource.layerAuthorizationCode({ resource }).pipe(
  Layer.provide([BunAuthorizeUser.layer({ application: "the example" }), TokenStore.layerMemory]),
  Layer.provideMerge(FetchHttpClient.layer)
)

program.pipe(Effect.provide(tokens), BunRuntime.runMain)
