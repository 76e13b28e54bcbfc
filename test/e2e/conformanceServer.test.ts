/** The server that outside judges are pointed at, as a process of its own: what they would see. */
import { connect } from "node:net"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, it, layer } from "@effect/vitest"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { FetchAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { ScriptedUser } from "effect-mcp-auth/testing"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as WwwAuthenticate from "../../src/protocol/WwwAuthenticate.js"
import * as ChildServer from "../fixtures/ChildServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as OfficialClient from "../fixtures/OfficialClient.js"

const resourceServer = {
  client_id: "resource server",
  client_secret: "with: a colon",
  token_endpoint_auth_method: "client_secret_basic",
  grant_types: [],
  redirect_uris: [],
  response_types: []
}

/** Registered by hand, and not held to a scope. */
const official = {
  client_id: "official",
  grant_types: ["authorization_code"],
  redirect_uris: [OfficialClient.redirectUrl],
  response_types: ["code"],
  token_endpoint_auth_method: "none"
}

interface Options {
  readonly format?: "jwt" | "opaque"
  readonly introspection?: string
  /** Whether the issuer is away when the server starts. */
  readonly down?: boolean
}

const start = (options: Options = {}) =>
  Effect.gen(function* () {
    const authorizationServer = yield* AuthorizationServer.make({
      clients: [machine, resourceServer, official],
      resources: () => ({ scope: "mcp admin", accessTokenFormat: options.format }),
      defaultScope: "mcp"
    })
    const before = authorizationServer.exchanges.length
    if (options.down === true) yield* authorizationServer.stop
    const server = yield* ChildServer.make("test/conformance/server.ts", /^ready (\S+)$/m, {
      PORT: "0",
      MCP_AUTH_ISSUER: authorizationServer.issuer,
      ...(options.introspection === undefined ? {} : { MCP_AUTH_INTROSPECTION: options.introspection })
    })
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/mcp$/)
    assert.lengthOf(authorizationServer.exchanges, before, "the issuer is asked when the first token comes")
    return {
      ...server,
      authorizationServer,
      token: (scope: string) => machineToken(authorizationServer, server.url, scope)
    }
  })

/** Starting a process takes longer than all that is asked of it. */
class Shared extends Context.Tag("Shared")<Shared, Effect.Effect.Success<ReturnType<typeof start>>>() {}

/** One call without an SDK. */
const call = (url: string, tool: string, token?: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2025-11-25",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: {} } })
    })
    const [challenge] = WwwAuthenticate.parse(response.headers.get("www-authenticate") ?? "")
    return { status: response.status, text: await response.text(), challenge }
  })

/** Of every request of revision 2026-07-28. */
const _meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {}
}

const parametersOf = (challenge: WwwAuthenticate.Challenge | undefined) =>
  Object.fromEntries(Object.entries(challenge?.parameters ?? {}).filter(([name]) => name !== "error_description"))

layer(Layer.scoped(Shared, start()), { excludeTestServices: true, timeout: 60_000 })(
  "test/conformance/server.ts",
  (it) => {
    it.scoped(
      "asks for a token, names what it takes, and tells callers apart",
      () =>
        Effect.gen(function* () {
          const { token, url } = yield* Shared
          const metadata = url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")

          const missing = yield* call(url, "whoami")
          assert.strictEqual(missing.status, 401)
          assert.deepStrictEqual(parametersOf(missing.challenge), { resource_metadata: metadata, scope: "mcp" })
          const document = yield* Effect.promise(async () => (await fetch(metadata)).json())
          assert.include(document, { resource: url })
          assert.deepStrictEqual(document.scopes_supported, ["mcp", "admin"])

          const bad = yield* call(url, "whoami", "bad")
          assert.deepStrictEqual([bad.status, parametersOf(bad.challenge)["error"]], [401, "invalid_token"])

          const plain = yield* token("mcp")
          const known = yield* call(url, "whoami", plain)
          assert.strictEqual(known.status, 200)
          assert.include(
            known.text,
            JSON.stringify(JSON.stringify({ subject: "machine", client: "machine", scopes: ["mcp"] }))
          )

          const refused = yield* call(url, "admin-action", plain)
          assert.strictEqual(refused.status, 403)
          assert.deepStrictEqual(parametersOf(refused.challenge), {
            error: "insufficient_scope",
            scope: "admin mcp",
            resource_metadata: metadata
          })
          assert.strictEqual((yield* call(url, "admin-action", yield* token("mcp admin"))).status, 200)
          const narrow = yield* call(url, "whoami", yield* token("admin"))
          assert.deepStrictEqual([narrow.status, parametersOf(narrow.challenge)["scope"]], [403, "mcp"])

          for (const headers of [{ origin: "http://evil.example" }, { origin: "null" }] as const) {
            assert.strictEqual((yield* call(url, "whoami", plain, headers)).status, 403)
          }
          assert.strictEqual((yield* call(url, "whoami", plain, { origin: new URL(url).origin })).status, 200)
        }),
      60_000
    )

    it.scoped(
      "what needs a scope is what the body asks for, whatever headers say of it (G2)",
      () =>
        Effect.gen(function* () {
          const { token, url } = yield* Shared
          const plain = yield* token("mcp")
          const ask = (params: object, headers: Readonly<Record<string, string>>, method = "tools/call") =>
            Effect.promise(async () => {
              const response = await fetch(url, {
                method: "POST",
                headers: {
                  accept: "application/json, text/event-stream",
                  "content-type": "application/json",
                  authorization: `Bearer ${plain}`,
                  "mcp-protocol-version": "2026-07-28",
                  "mcp-method": method,
                  ...headers
                },
                body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } })
              })
              return [response.status, (await response.text()).includes("machine")] as const
            })
          const [admin, whoami] = [
            { name: "admin-action", arguments: {} },
            { name: "whoami", arguments: {} }
          ]
          assert.deepStrictEqual(yield* ask(whoami, { "mcp-name": "whoami" }), [200, true])
          assert.deepStrictEqual(yield* ask(admin, { "mcp-name": "admin-action" }), [403, false])
          assert.deepStrictEqual(yield* ask(admin, { "mcp-name": "whoami" }), [403, false])
          assert.deepStrictEqual(yield* ask(admin, { "mcp-method": "ping" }), [403, false])
          assert.deepStrictEqual(yield* ask(admin, { "mcp-protocol-version": "2025-11-25" }), [403, false])
          // Where the header asks for more than the body, it is the server that finds them at odds.
          assert.deepStrictEqual(yield* ask(whoami, { "mcp-name": "admin-action" }), [400, false])
          assert.deepStrictEqual(yield* ask(whoami, { "mcp-method": "tools/list", "mcp-name": "whoami" }), [400, false])
        }),
      60_000
    )

    it.scoped(
      "it serves its own URL and no other",
      () =>
        Effect.gen(function* () {
          const { token, url } = yield* Shared
          const plain = yield* token("mcp")
          for (const other of ["/", "/other", "/mcp/more"]) {
            assert.strictEqual((yield* call(new URL(other, url).href, "whoami")).status, 401)
            assert.strictEqual((yield* call(new URL(other, url).href, "whoami", plain)).status, 404)
          }
        }),
      60_000
    )

    it.scoped(
      "this library's client signs in and steps up",
      () =>
        Effect.gen(function* () {
          const { url } = yield* Shared
          const fetch = yield* Effect.provide(
            FetchAuth.make,
            yield* Layer.build(
              TokenSource.layerAuthorizationCode({ resource: url }).pipe(
                Layer.provide([
                  ScriptedUser.layer({ login: "alice", redirectUri: "http://127.0.0.1:9/callback" }),
                  TokenStore.layerMemory
                ]),
                Layer.provideMerge(FetchHttpClient.layer)
              )
            )
          )
          for (const mode of ["legacy", { pin: "2026-07-28" }] as const) {
            const client = new Client({ name: "test", version: "1.0.0" }, { versionNegotiation: { mode } })
            yield* Effect.promise(() => client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch })))
            const { structuredContent: before } = yield* Effect.promise(() => client.callTool({ name: "whoami" }))
            assert.include(before, { subject: "alice" })
            const { structuredContent: after } = yield* Effect.promise(() => client.callTool({ name: "admin-action" }))
            assert.sameMembers((after as { readonly scopes: Array<string> }).scopes, ["mcp", "admin"])
            yield* Effect.promise(() => client.close())
          }
        }),
      60_000
    )

    for (const kind of OfficialClient.kinds) {
      it.scoped(
        `${kind} of the official clients signs in and steps up`,
        () =>
          Effect.gen(function* () {
            const { url } = yield* Shared
            const client = yield* OfficialClient.make(kind, url, { login: "alice", client: { client_id: "official" } })
            yield* client.connect
            assert.sameMembers([...(yield* client.listTools)], ["whoami", "admin-action"])
            assert.deepInclude(JSON.parse(yield* client.callTool("whoami")), { subject: "alice", client: "official" })
            assert.sameMembers(JSON.parse(yield* client.callTool("admin-action")).scopes, ["mcp", "admin"])
          }),
        60_000
      )
    }
  }
)

it.scopedLive(
  "with MCP_AUTH_INTROSPECTION it takes opaque tokens, and learns at once that one was revoked",
  () =>
    Effect.gen(function* () {
      const introspection = `${resourceServer.client_id}:${resourceServer.client_secret}`
      const { authorizationServer, token, url } = yield* start({ format: "opaque", introspection })
      const opaque = yield* token("mcp admin")
      assert.strictEqual((yield* call(url, "admin-action", opaque)).status, 200)
      assert.strictEqual((yield* call(url, "whoami", "bad")).status, 401)
      yield* Effect.promise(() =>
        fetch(`${authorizationServer.issuer}/token/revocation`, {
          method: "POST",
          headers: { authorization: `Basic ${btoa("machine:a%20secret")}` },
          body: new URLSearchParams({ token: opaque })
        })
      )
      assert.strictEqual((yield* call(url, "whoami", opaque)).status, 401)
    }),
  60_000
)

it.scopedLive(
  "it starts while the issuer is away, says so to callers, and serves them when it is back",
  () =>
    Effect.gen(function* () {
      const { authorizationServer, output, token, url } = yield* start({ down: true })
      assert.strictEqual((yield* call(url, "whoami")).status, 401)
      // An issuer that is away signs none. Of this one, everything but the signature is as it should be.
      const claims = {
        iss: authorizationServer.issuer,
        aud: url,
        sub: "machine",
        client_id: "machine",
        scope: "mcp",
        jti: "early",
        iat: Math.floor(Date.now() / 1000),
        exp: Math.floor(Date.now() / 1000) + 600
      }
      const early = [{ alg: "RS256", typ: "at+jwt", kid: "k" }, claims, "signature"]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
        .join(".")
      const away = yield* Effect.promise(() =>
        fetch(url, { method: "POST", headers: { authorization: `Bearer ${early}` }, body: "{}" })
      )
      assert.strictEqual(away.status, 503)
      assert.match(away.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
      assert.isNull(away.headers.get("www-authenticate"))
      yield* authorizationServer.start
      const back = call(url, "whoami", yield* token("mcp"))
      yield* Effect.repeat(back, {
        until: ({ status }) => status === 200,
        schedule: Schedule.intersect(Schedule.spaced("300 millis"), Schedule.recurs(60))
      })
      assert.strictEqual((yield* call(url, "whoami", early)).status, 401)
      assert.match(output(), /^ready /, "before anything else")
    }),
  60_000
)

it.scopedLive(
  "SIGTERM ends it with 0 soon, with an open stream and connections that nobody uses",
  () =>
    Effect.gen(function* () {
      const { end, token, url } = yield* start()
      const response = yield* Effect.promise(async () =>
        fetch(url, {
          method: "POST",
          headers: {
            accept: "application/json, text/event-stream",
            "content-type": "application/json",
            authorization: `Bearer ${await Effect.runPromise(token("mcp"))}`,
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "subscriptions/listen"
          },
          body: JSON.stringify({
            jsonrpc: "2.0",
            id: 1,
            method: "subscriptions/listen",
            params: { notifications: { toolsListChanged: true }, _meta }
          })
        })
      )
      assert.include(response.headers.get("content-type"), "text/event-stream")
      const read = response.text().catch(() => undefined)
      const unused = connect(Number(new URL(url).port), "127.0.0.1")
      unused.on("error", () => {})
      yield* Effect.promise(() => new Promise<void>((resolve) => unused.on("connect", () => resolve())))
      assert.strictEqual(yield* Effect.timeout(end("SIGTERM"), "15 seconds"), 0)
      yield* Effect.promise(() => read)
      unused.destroy()
    }),
  60_000
)

it.scopedLive(
  "SIGTERM ends it with 0, an idle connection and a call under way included",
  () =>
    Effect.gen(function* () {
      const { end, output, token, url } = yield* start()
      const bearer = yield* token("mcp")
      assert.strictEqual((yield* call(url, "whoami", bearer)).status, 200)
      const underWay = connect(Number(new URL(url).port), "127.0.0.1")
      const closed = new Promise<void>((resolve) => underWay.on("close", () => resolve()))
      underWay.on("error", () => {})
      // The end of what nobody reads is not seen on every runtime.
      underWay.resume()
      yield* Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            const head = [
              "POST /mcp HTTP/1.1",
              `Host: ${new URL(url).host}`,
              `Authorization: Bearer ${bearer}`,
              "Content-Type: application/json",
              "Content-Length: 1000"
            ]
            underWay.write(`${head.join("\r\n")}\r\n\r\n{"jsonrpc"`, () => resolve())
          })
      )
      yield* Effect.sleep("300 millis")
      assert.strictEqual(yield* Effect.timeout(end("SIGTERM"), "15 seconds"), 0)
      yield* Effect.promise(() => closed)
      assert.strictEqual(output(), `ready ${url}\n`)
    }),
  120_000
)
