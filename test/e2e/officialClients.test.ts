/**
 * The official MCP TypeScript clients, with their own OAuth, at the demo's server: what they ask for, in order, and what
 * they make of a 403. They are told the URL and nothing else.
 */
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpAppAuth, OperationScopes } from "effect-mcp-auth/server"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import { app } from "../../docs/examples/demo/McpServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as OfficialClient from "../fixtures/OfficialClient.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

interface Servers {
  readonly authorizationServer: AuthorizationServer.AuthorizationServer
  /** As `npm run demo` has it: every request needs `mcp:tools`, and `write_note` needs `mcp:write` besides. */
  readonly demo: ProtectedServer.ProtectedServer
  /** The same, and a 403 names all scopes that the tool needs, not only those beyond the scopes of every request. */
  readonly complete: ProtectedServer.ProtectedServer
  /** No scope is in the first challenge: each tool names all that it needs, and the first scope is the issuer's choice. */
  readonly silent: ProtectedServer.ProtectedServer
  /** The same, but the metadata lists the scopes. */
  readonly listing: ProtectedServer.ProtectedServer
  /** Of all of them, without what happens between the person and the pages of the authorization server. */
  readonly during: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<readonly [A, ReadonlyArray<string>], E>
}
class Shared extends Context.Tag("Shared")<Shared, Servers>() {}

const toolScopes: Readonly<Record<string, ReadonlyArray<string>>> = {
  whoami: ["mcp:tools"],
  write_note: ["mcp:tools", "mcp:write"]
}

const completeApp = app.pipe(
  OperationScopes.middleware({ tool: (name) => toolScopes[name] ?? [] }),
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata
)

/** A client that was registered by hand, without `scope`. */
const registered = (client_id: string, grant_types: ReadonlyArray<string>) => ({
  client_id,
  grant_types,
  redirect_uris: [OfficialClient.redirectUrl],
  response_types: ["code"],
  token_endpoint_auth_method: "none"
})

const shared = Layer.scoped(
  Shared,
  Effect.gen(function* () {
    const trace: Array<string> = []
    const authorizationServer = yield* AuthorizationServer.make({
      clients: [
        machine,
        registered("refreshing", ["authorization_code", "refresh_token"]),
        registered("plain", ["authorization_code"])
      ],
      resources: () => ({ scope: ProtectedServer.scopes }),
      defaultScope: "mcp:tools",
      onExchange: (exchange) => trace.push(ProtectedServer.renderAuthorizationServer(exchange))
    })
    const start = (options: ProtectedServer.Options) =>
      Effect.tap(ProtectedServer.make({ ...options, authorizationServer, trace }), (server) =>
        // From here on its guard has the keys, and asks for nothing.
        Effect.flatMap(machineToken(authorizationServer, server.url, "mcp:tools"), (token) =>
          Effect.promise(() => fetch(server.url, { headers: { authorization: `Bearer ${token}` } }))
        )
      )
    const serve = HttpServer.serve(completeApp)
    return {
      authorizationServer,
      demo: yield* start({}),
      complete: yield* start({ serve }),
      silent: yield* start({ serve, config: { requiredScopes: [] } }),
      listing: yield* start({ serve, config: { requiredScopes: [], scopesSupported: ["mcp:tools", "mcp:write"] } }),
      during: (effect) =>
        Effect.suspend(() => {
          const from = trace.length
          return Effect.map(effect, (result) => [
            result,
            trace.slice(from).filter((line) => !/^as (GET|POST) \/(auth|interaction)\//.test(line))
          ])
        })
    }
  })
)

const caller = (text: string) =>
  JSON.parse(text) as { readonly subject: string; readonly scopes: ReadonlyArray<string> }

/** The request for a stream runs beside the others, so its place among them says nothing. */
const isNoStream = (line: string) => !line.startsWith("mcp GET /mcp ")

const metadata = "mcp GET /.well-known/oauth-protected-resource/mcp 200"
const discover = "as GET /.well-known/oauth-authorization-server 200"
const register = "as POST /reg 201"
const authorize = "as GET /auth 303"
const token = "as POST /token 200"
const refused = "mcp POST /mcp tools/call write_note 403"
const written = "mcp POST /mcp tools/call write_note 200"

layer(shared, { excludeTestServices: true })((it) => {
  for (const kind of OfficialClient.kinds) {
    const modern = kind === "v2 auto" || kind === "v2 modern"
    const first = modern ? "server/discover" : "initialize"
    const login = kind.replace(" ", "-")

    it.scoped(`${kind} signs in, lists the tools and calls one`, () =>
      Effect.gen(function* () {
        const { demo, during } = yield* Shared
        const client = yield* OfficialClient.make(kind, demo.url, { login })

        const [, connecting] = yield* during(client.connect)
        assert.deepStrictEqual(connecting.filter(isNoStream), [
          `mcp POST /mcp ${first} 401`,
          metadata,
          discover,
          register,
          authorize,
          token,
          `mcp POST /mcp ${first} 200`,
          ...(modern ? [] : ["mcp POST /mcp notifications/initialized 202"])
        ])
        assert.strictEqual(client.revision(), modern ? "2026-07-28" : "2025-11-25")
        assert.lengthOf(client.authorizationRequests, 1)
        const request = client.authorizationRequests[0]
        assert.strictEqual(request?.get("resource"), demo.url)
        assert.strictEqual(request?.get("code_challenge_method"), "S256")
        assert.strictEqual(request?.get("scope"), kind === "v1" ? "mcp:tools" : "mcp:tools offline_access")

        const [names, listing] = yield* during(client.listTools)
        assert.deepStrictEqual(names, ["whoami", "write_note"])
        assert.deepStrictEqual(listing.filter(isNoStream), ["mcp POST /mcp tools/list 200"])

        const [text, calling] = yield* during(client.callTool("whoami"))
        assert.deepInclude(caller(text), { subject: login, scopes: ["mcp:tools"] })
        assert.deepStrictEqual(calling.filter(isNoStream), ["mcp POST /mcp tools/call whoami 200"])
      })
    )

    it.scoped(`${kind} cannot step up where it registered with the scope of the first challenge`, () =>
      Effect.gen(function* () {
        const { demo, during } = yield* Shared
        const client = yield* OfficialClient.make(kind, demo.url, { login })
        yield* client.connect
        yield* client.listTools

        const [{ cause }, requests] = yield* during(Effect.flip(client.callTool("write_note")))
        if (kind === "v1") {
          // It has a refresh token, and tries that in the place of a new authorization. A refresh widens no scope.
          assert.propertyVal(cause, "code", 403)
          assert.propertyVal(cause, "message", "Streamable HTTP error: Server returned 403 after trying upscoping")
          assert.deepStrictEqual(requests.filter(isNoStream), [refused, token, refused])
          assert.lengthOf(client.authorizationRequests, 1)
        } else {
          assert.propertyVal(cause, "code", "invalid_scope")
          assert.deepStrictEqual(requests.filter(isNoStream), [refused, authorize])
          assert.strictEqual(client.authorizationRequests[1]?.get("scope"), "mcp:tools mcp:write offline_access")
        }
        // Nothing is lost.
        assert.deepInclude(caller(yield* client.callTool("whoami")), { subject: login, scopes: ["mcp:tools"] })
      })
    )
  }

  it.scoped("a token that is refused is renewed without the person", () =>
    Effect.gen(function* () {
      const { demo, during } = yield* Shared
      for (const kind of ["v2 auto", "v1"] as const) {
        const client = yield* OfficialClient.make(kind, demo.url, { login: "dave" })
        yield* client.connect
        client.spoilAccessToken()
        const [text, requests] = yield* during(client.callTool("whoami"))
        assert.deepInclude(caller(text), { subject: "dave", scopes: ["mcp:tools"] })
        assert.deepStrictEqual(requests.filter(isNoStream), [
          "mcp POST /mcp tools/call whoami 401",
          token,
          "mcp POST /mcp tools/call whoami 200"
        ])
        assert.lengthOf(client.authorizationRequests, 1)
      }
    })
  )

  const assertStepsUp = Effect.fn(function* (
    kind: OfficialClient.Kind,
    { url }: ProtectedServer.ProtectedServer,
    options: OfficialClient.Options
  ) {
    const { during } = yield* Shared
    const client = yield* OfficialClient.make(kind, url, { login: "bob", ...options })
    yield* client.connect
    assert.deepInclude(caller(yield* client.callTool("whoami")), { subject: "bob", scopes: ["mcp:tools"] })

    const [text, requests] = yield* during(client.callTool("write_note"))
    assert.strictEqual(text, '{"note":"written by bob"}')
    assert.deepStrictEqual(requests.filter(isNoStream), [refused, authorize, token, written])
    assert.lengthOf(client.authorizationRequests, 2)
    const scope = client.authorizationRequests[1]?.get("scope") ?? ""
    assert.includeMembers(scope.split(" "), ["mcp:tools", "mcp:write"])
    assert.deepInclude(caller(yield* client.callTool("whoami")), { scopes: ["mcp:tools", "mcp:write"] })
  })

  it.scoped("v2 steps up as a client that was registered by hand", () =>
    Effect.gen(function* () {
      const { authorizationServer, complete, demo } = yield* Shared
      const client = { client_id: "refreshing", issuer: authorizationServer.issuer }
      yield* assertStepsUp("v2 auto", demo, { client })
      yield* assertStepsUp("v2 auto", complete, { client })
    })
  )

  it.scoped("v1 steps up as a client that was registered by hand, without refresh tokens, if the 403 names all", () =>
    Effect.gen(function* () {
      const { authorizationServer, complete } = yield* Shared
      yield* assertStepsUp("v1", complete, { client: { client_id: "plain", issuer: authorizationServer.issuer } })
    })
  )

  it.scoped("v2 registers itself and steps up where the first challenge has no scope", () =>
    Effect.gen(function* () {
      const { silent } = yield* Shared
      yield* assertStepsUp("v2 auto", silent, {})
    })
  )

  it.scoped("v1 registers itself, without refresh tokens, and steps up where the first challenge has no scope", () =>
    Effect.gen(function* () {
      const { silent } = yield* Shared
      yield* assertStepsUp("v1", silent, { metadata: { grant_types: ["authorization_code"] } })
    })
  )

  it.scoped("both ask for all that the metadata lists where the first challenge has no scope", () =>
    Effect.gen(function* () {
      const { during, listing } = yield* Shared
      for (const kind of ["v2 auto", "v1"] as const) {
        const client = yield* OfficialClient.make(kind, listing.url, { login: "carol" })
        yield* client.connect
        const [text, requests] = yield* during(client.callTool("write_note"))
        assert.strictEqual(text, '{"note":"written by carol"}')
        assert.deepStrictEqual(requests.filter(isNoStream), [written])
        assert.lengthOf(client.authorizationRequests, 1)
      }
    })
  )

  it.scoped("clients of revision 2025-11-25 ask for a stream once, and do without", () =>
    Effect.gen(function* () {
      const { demo, during } = yield* Shared
      for (const kind of OfficialClient.kinds) {
        const client = yield* OfficialClient.make(kind, demo.url)
        const [, requests] = yield* during(
          Effect.zipRight(Effect.zipRight(client.connect, client.callTool("whoami")), Effect.sleep(50))
        )
        const streams = requests.filter((line) => !isNoStream(line))
        assert.deepStrictEqual(streams, kind === "v2 legacy" || kind === "v1" ? ["mcp GET /mcp 405"] : [])
      }
    })
  )
})
