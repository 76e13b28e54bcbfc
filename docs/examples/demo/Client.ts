/**
 * A client that is told the MCP URL and nothing else: the official MCP SDK, with this library's `fetch`.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type AuthorizeUser, FetchAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"

const text = (result: Awaited<ReturnType<Client["callTool"]>>): unknown => {
  const [content] = result.content as ReadonlyArray<{ readonly type: string; readonly text?: string }>
  return JSON.parse(content?.text ?? "null")
}

export const run = (
  url: string
): Effect.Effect<
  { readonly whoami: { subject?: string; scopes?: ReadonlyArray<string> }; readonly note: { note?: string } },
  unknown,
  AuthorizeUser.AuthorizeUser | HttpClient.HttpClient | Scope.Scope
> =>
  Effect.gen(function* () {
    const fetch = yield* FetchAuth.make
    const client = new Client({ name: "effect-mcp-auth demo", version: "1.0.0" })
    yield* Effect.acquireRelease(
      Effect.tryPromise(() => client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }))),
      () => Effect.promise(() => client.close())
    )
    const call = (name: string) => Effect.tryPromise(() => client.callTool({ name, arguments: {} }).then(text))
    // The first call signed in on the way; the second needs a scope that it did not ask for then.
    return { whoami: (yield* call("whoami")) as object, note: (yield* call("write_note")) as object }
  }).pipe(
    Effect.provide(TokenSource.layerAuthorizationCode({ resource: url }).pipe(Layer.provide(TokenStore.layerMemory)))
  )
