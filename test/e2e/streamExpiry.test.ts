/**
 * Streams over real sockets that end with their token: at its expiry, and when the authorization server revokes it. The
 * official SDK speaks MCP, and its own streams are what ends.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { AuthConfig } from "effect-mcp-auth/server"
import { HttpAppAuth, IntrospectionAuthorizer, StreamExpiry } from "effect-mcp-auth/server"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const secret = "a secret"
const rs = {
  client_id: "rs",
  client_secret: secret,
  grant_types: [],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: "client_secret_basic"
}

/** A server whose one tool tells of its progress until nobody listens any more. */
const make = (options: StreamExpiry.Options, accessTokenTTL: number) =>
  Effect.gen(function* () {
    const stopped = yield* Deferred.make<void>()
    const mcp = createMcpHandler(() => {
      const server = new McpServer({ name: "endless", version: "1.0.0" })
      server.registerTool("endless", { description: "Never ends" }, async ({ mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken ?? "p"
        for (let progress = 0; !mcpReq.signal.aborted; progress++) {
          await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress } }).catch(() => {})
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        Deferred.unsafeDone(stopped, Effect.void)
        return { content: [] }
      })
      return server
    })
    const app = HttpRouter.empty.pipe(
      HttpRouter.post(
        "/mcp",
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const parsedBody = yield* request.json
          const web = yield* HttpServerRequest.toWeb(request)
          return HttpServerResponse.fromWeb(yield* Effect.promise(() => mcp.fetch(web, { parsedBody })))
        })
      ),
      StreamExpiry.middleware(options),
      HttpAppAuth.middleware
    )
    const server = yield* ProtectedServer.make({
      authorizationServer: {
        clients: [machine, rs],
        resources: () => ({ scope: ProtectedServer.scopes, accessTokenFormat: "opaque", accessTokenTTL })
      },
      serve: HttpServer.serve(app).pipe(
        Layer.provide(
          Layer.provide(
            IntrospectionAuthorizer.layer({ clientId: "rs", credentials: { clientSecret: Redacted.make(secret) } }),
            FetchHttpClient.layer
          )
        )
      ) as Layer.Layer<never, never, HttpServer.HttpServer | AuthConfig.AuthConfig>
    })
    const token = yield* machineToken(server.authorizationServer, server.url, "mcp:tools")
    const call = (signal?: AbortSignal) =>
      Effect.promise(() =>
        fetch(server.url, {
          method: "POST",
          headers: {
            accept: "application/json, text/event-stream",
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "mcp-protocol-version": "2025-11-25"
          },
          body: JSON.stringify({
            jsonrpc: "2.0",
            id: 1,
            method: "tools/call",
            params: { name: "endless", arguments: {}, _meta: { progressToken: "p" } }
          }),
          ...(signal === undefined ? {} : { signal })
        })
      )
    return { ...server, call, stopped, token }
  })

/** The whole of a stream, and how long it took. A stream that breaks off is a defect. */
const whole = (response: Response) => Effect.timed(Effect.promise(() => response.text()))

const assertStream = (response: Response, text: string) => {
  assert.strictEqual(response.status, 200)
  assert.include(response.headers.get("content-type"), "text/event-stream")
  assert.isAbove(text.split("notifications/progress").length, 3)
  assert.isTrue(text.endsWith("\n\n"), "no event is cut")
}

describe("streams of the official SDK behind the guard (RS-30)", () => {
  it.scopedLive("one ends at its token's expiry; the tool is told, and the next request is 401", () =>
    Effect.gen(function* () {
      const { call, stopped } = yield* make({}, 4)
      const response = yield* call()
      const [took, text] = yield* whole(response)
      assertStream(response, text)
      assert.isBelow(Duration.toSeconds(took), 5)
      yield* Deferred.await(stopped)
      const next = yield* call()
      assert.strictEqual(next.status, 401)
      assert.include(next.headers.get("www-authenticate"), 'error="invalid_token"')
    })
  )

  it.scopedLive("one ends soon after its token is revoked", () =>
    Effect.gen(function* () {
      const { authorizationServer, call, stopped, token } = yield* make({ recheckEvery: "1 second" }, 300)
      const response = yield* call()
      const reading = yield* Effect.fork(whole(response))
      yield* Effect.sleep("2500 millis")
      assert.strictEqual((yield* reading.poll)._tag, "None")
      yield* Effect.promise(() =>
        fetch(`${authorizationServer.issuer}/token/revocation`, {
          method: "POST",
          headers: {
            authorization: `Basic ${btoa(`${machine.client_id}:${encodeURIComponent(machine.client_secret)}`)}`
          },
          body: new URLSearchParams({ token })
        })
      )
      const [, text] = yield* reading
      assertStream(response, text)
      yield* Deferred.await(stopped)
      assert.strictEqual((yield* call()).status, 401)
      const asked = authorizationServer.exchanges.filter(({ path }) => path === "/token/introspection").length
      assert.isAtLeast(asked, 4, "the call, two rechecks at the least, the one that found out")
    })
  )

  it.scopedLive("a client that goes away ends the tool, and nobody is asked about its token any more", () =>
    Effect.gen(function* () {
      const { authorizationServer, call, stopped } = yield* make({ recheckEvery: "1 second" }, 300)
      const abort = new AbortController()
      yield* call(abort.signal)
      yield* Effect.sleep("500 millis")
      abort.abort()
      yield* Deferred.await(stopped)
      const asked = authorizationServer.exchanges.length
      yield* Effect.sleep("2500 millis")
      assert.strictEqual(authorizationServer.exchanges.length, asked)
    })
  )
})
