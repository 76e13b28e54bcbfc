/**
 * The official MCP SDK over this library's `fetch`: the SDK speaks MCP, and knows nothing of OAuth. At the demo,
 * `npm run demo -- --serve`, then
 *
 *     node --import tsx docs/examples/clientSdk.ts http://127.0.0.1:PORT/mcp
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { FetchAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { NodeAuthorizeUser } from "effect-mcp-auth/node"

const resource = process.argv[2] ?? "http://127.0.0.1:3000/mcp"

const program = Effect.gen(function* () {
  const fetch = yield* FetchAuth.make
  const client = new Client({ name: "example", version: "1.0.0" })
  yield* Effect.acquireRelease(
    Effect.tryPromise(() => client.connect(new StreamableHTTPClientTransport(new URL(resource), { fetch }))),
    () => Effect.promise(() => client.close())
  )
  const { tools } = yield* Effect.tryPromise(() => client.listTools())
  yield* Console.log(tools.map(({ name }) => name).join(", "))
}).pipe(Effect.scoped)

const tokens = TokenSource.layerAuthorizationCode({ resource }).pipe(
  Layer.provide([NodeAuthorizeUser.layer(), TokenStore.layerMemory]),
  Layer.provideMerge(FetchHttpClient.layer)
)

program.pipe(Effect.provide(tokens), NodeRuntime.runMain)
