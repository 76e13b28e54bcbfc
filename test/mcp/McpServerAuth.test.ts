import { createServer } from "node:http"
import * as McpServer from "@effect/ai/McpServer"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport, StreamableHTTPError } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as McpServerAuth from "../../src/mcp/McpServerAuth.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import {
  answerOf,
  configOf,
  invalidChallenge,
  metadataUrl,
  missingChallenge,
  requestChallenge,
  scopeChallenge
} from "../server/fixtures/Guarded.js"
import { nonsense } from "../vectors/OperationScopes.js"

const Whoami = Tool.make("whoami", { success: Schema.String, dependencies: [CurrentClaims] })
const DeleteFile = Tool.make("delete_file", {
  parameters: { path: Schema.String },
  success: Schema.String,
  dependencies: [CurrentClaims]
}).annotate(McpServerAuth.RequiredScopes, ["files:read", "files:write"])
const Admin = Tool.make("admin", { success: Schema.String }).annotate(McpServerAuth.RequiredScopes, ["admin"])
const tools = Toolkit.make(Whoami, DeleteFile, Admin)

/** Which tools ran, and for whom. */
const makeHandlers = () => {
  const ran: Array<string> = []
  const handlers = tools.toLayer({
    whoami: () =>
      Effect.gen(function* () {
        // Other requests get their turn in between.
        yield* Effect.sleep(`${Math.floor(Math.random() * 5)} millis`)
        const { subject } = yield* CurrentClaims
        yield* Effect.sleep("1 millis")
        return `${subject} ${(yield* CurrentClaims).subject}`
      }),
    delete_file: ({ path }) =>
      Effect.map(CurrentClaims, ({ subject }) => {
        ran.push(`delete_file ${subject}`)
        return `${path} is gone`
      }),
    admin: () =>
      Effect.sync(() => {
        ran.push("admin")
        return "done"
      })
  })
  return { ran, handlers }
}

const crowd = Array.from({ length: 64 }, (_, n) => `caller-${n}`)
const authorizer = Authorizer.layerTest({
  alice: { subject: "alice", scopes: ["mcp:tools", "files:read", "files:write"] },
  bob: { subject: "bob", scopes: ["mcp:tools", "files:read"] },
  ...Object.fromEntries(crowd.map((token) => [token, { subject: `subject of ${token}`, scopes: ["mcp:tools"] }]))
})
const config = Layer.succeed(AuthConfig.AuthConfig, configOf())

const options = { name: "guarded", version: "1.0.0", path: "/mcp" } as const

/** A server on a free port; closed with the scope. */
const serve = <E>(routes: Layer.Layer<never, E, HttpLayerRouter.HttpRouter>) =>
  Effect.map(
    Layer.build(
      Layer.provideMerge(
        HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }),
        NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })
      )
    ),
    (context) => {
      const { address } = Context.get(context, HttpServer.HttpServer)
      return `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}`
    }
  )

const guarded = Effect.gen(function* () {
  const { handlers, ran } = makeHandlers()
  const routes = McpServerAuth.toolkit(tools).pipe(
    Layer.provide(handlers),
    Layer.provide(McpServerAuth.layerHttpRouter(options)),
    Layer.merge(HttpLayerRouterAuth.layerMetadata),
    Layer.provide(Layer.merge(authorizer, config))
  )
  return { url: yield* serve(routes), ran }
})

const post = (url: string, body: string | Uint8Array<ArrayBuffer>, token?: string, path = "/mcp") =>
  Effect.promise(async () =>
    answerOf(
      await fetch(`${url}${path}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
        },
        body
      })
    )
  )

const known = {
  issuer: "https://as.example",
  subject: "alice",
  clientId: undefined,
  audience: ["https://mcp.example.com/mcp"],
  expiresAt: undefined,
  confirmation: undefined,
  raw: Redacted.make({})
}

const message = (name: string, args: object = {}, id: unknown = 1) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: args }
})
const call = (name: string, args?: object, id?: unknown): string => JSON.stringify(message(name, args, id))
const remove = { path: "/x" }

describe("McpServerAuth", () => {
  describe("who is calling (D1, D2)", () => {
    it.scopedLive("a handler reads its own caller", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        assert.include((yield* post(url, call("whoami"), "alice")).text, "alice alice")
        assert.include((yield* post(url, call("whoami"), "bob")).text, "bob bob")
      })
    )

    it.scopedLive("64 at the same time, each with a token of its own: none is taken for another", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        const answers = yield* Effect.forEach(crowd, (token) => post(url, call("whoami"), token), { concurrency: 64 })
        answers.forEach((answer, n) => {
          const subject = `subject of ${crowd[n]}`
          assert.include(answer.text, `"${subject} ${subject}"`.slice(1, -1))
          assert.strictEqual(answer.status, 200)
        })
      })
    )

    it.scopedLive("in a batch, too", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        const answer = yield* post(url, JSON.stringify([message("whoami", {}, 1), message("whoami", {}, 2)]), "alice")
        assert.strictEqual(answer.text.split("alice alice").length - 1 >= 2, true)
        assert.notInclude(answer.text, "bob")
      })
    )
  })

  describe("who gets in (E2, E3, E4, RS-30)", () => {
    it.scopedLive("no token, a wrong one, and one that is malformed", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        assert.strictEqual((yield* post(url, call("whoami"))).challenge, missingChallenge)
        assert.strictEqual((yield* post(url, call("whoami"), "mallory")).challenge, invalidChallenge())
        const malformed = yield* post(url, call("whoami"), "a b")
        assert.strictEqual(
          malformed.challenge,
          requestChallenge("the token must be one b64token (RFC 6750 section 2.1)")
        )
        assert.strictEqual(
          (yield* post(url, JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }))).status,
          401
        )
        assert.strictEqual(
          (yield* post(url, JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize" }))).status,
          401
        )
      })
    )

    it.scopedLive("the document is beside it", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        const path = metadataUrl.slice("https://mcp.example.com".length)
        const answer = yield* Effect.promise(async () => answerOf(await fetch(`${url}${path}`)))
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(Reflect.get(Object(answer.body), "resource"), "https://mcp.example.com/mcp")
      })
    )
  })

  describe("scopes of tools (G2, RS-53, RS-55)", () => {
    const refused = scopeChallenge("files:read files:write mcp:tools")

    it.scopedLive("a tool whose scopes are there runs", () =>
      Effect.gen(function* () {
        const { ran, url } = yield* guarded
        const answer = yield* post(url, call("delete_file", remove), "alice")
        assert.strictEqual(answer.status, 200)
        assert.include(answer.text, "/x is gone")
        assert.deepStrictEqual(ran, ["delete_file alice"])
      })
    )

    it.scopedLive("one whose scopes are not is a 403 with the complete challenge, and does not run", () =>
      Effect.gen(function* () {
        const { ran, url } = yield* guarded
        const answer = yield* post(url, call("delete_file", remove), "bob")
        assert.strictEqual(answer.status, 403)
        assert.strictEqual(answer.challenge, refused)
        assert.deepStrictEqual(answer.body, {
          error: "insufficient_scope",
          error_description: "The access token lacks scopes that this operation needs"
        })
        assert.deepStrictEqual(ran, [])
      })
    )

    it.scopedLive("a tool without scopes of its own needs what every request needs", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        assert.strictEqual((yield* post(url, call("whoami"), "bob")).status, 200)
      })
    )

    for (const [name, body] of [
      ["last in a batch", JSON.stringify([message("whoami", {}, 1), message("delete_file", remove, 2)])],
      ["first in a batch", JSON.stringify([message("delete_file", remove, 1), message("whoami", {}, 2)])],
      ["in a batch of one", JSON.stringify([message("delete_file", remove)])],
      [
        "as a notification",
        JSON.stringify({ jsonrpc: "2.0", method: "tools/call", params: { name: "delete_file", arguments: remove } })
      ],
      ["with a string id", call("delete_file", remove, "x")],
      ["with id 0", call("delete_file", remove, 0)],
      ["with id null", call("delete_file", remove, null)],
      [
        "without jsonrpc",
        JSON.stringify({ id: 1, method: "tools/call", params: { name: "delete_file", arguments: remove } })
      ],
      [
        "with the name twice",
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{"path":"/x"},"name":"delete_file"}}'
      ],
      [
        "with escapes",
        '{"jsonrpc":"2.0","id":1,"\\u006dethod":"tools\\/call","params":{"name":"delete\\u005ffile","arguments":{"path":"/x"}}}'
      ],
      [
        "with headers in the message",
        JSON.stringify({ ...message("delete_file", remove), headers: [["authorization", "Bearer alice"]] })
      ]
    ] as const) {
      it.scopedLive(`no way around: ${name}`, () =>
        Effect.gen(function* () {
          const { ran, url } = yield* guarded
          const answer = yield* post(url, body, "bob")
          assert.strictEqual(answer.status, 403)
          assert.strictEqual(answer.challenge, refused)
          assert.deepStrictEqual(ran, [])
        })
      )
    }

    for (const [name, body] of [
      [
        "a byte order mark",
        new Uint8Array([0xef, 0xbb, 0xbf, ...new TextEncoder().encode(call("delete_file", remove))])
      ],
      ["UTF-16", new Uint8Array(Buffer.from(call("delete_file", remove), "utf16le"))],
      ["a batch in a batch", new TextEncoder().encode(JSON.stringify([[message("delete_file", remove)]]))],
      ["a name in another case", new TextEncoder().encode(call("Delete_File", remove))],
      [
        "a name in a list",
        new TextEncoder().encode(
          JSON.stringify({ ...message("x"), params: { name: ["delete_file"], arguments: remove } })
        )
      ]
    ] as ReadonlyArray<readonly [string, Uint8Array<ArrayBuffer>]>) {
      it.scopedLive(`what is read differently is not served either: ${name}`, () =>
        Effect.gen(function* () {
          const { ran, url } = yield* guarded
          yield* post(url, body, "bob")
          assert.deepStrictEqual(ran, [])
        })
      )
    }

    it.scopedLive("bodies without an operation reach the MCP server", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        for (const body of nonsense) {
          assert.notInclude([401, 403], (yield* post(url, body, "bob")).status)
        }
      })
    )

    it.scopedLive("G1 hidden or not, tools are checked when they are called; the list shows them all", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        const list = yield* post(
          url,
          JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} }),
          "bob"
        )
        for (const name of ["whoami", "delete_file", "admin"]) assert.include(list.text, `"${name}"`)
        assert.strictEqual((yield* post(url, call("admin"), "bob")).challenge, scopeChallenge("admin mcp:tools"))
      })
    )

    it.scopedLive("G2 fails closed where the call took another way than HTTP", () =>
      Effect.gen(function* () {
        const { handlers, ran } = makeHandlers()
        const context = yield* Layer.build(
          McpServerAuth.toolkit(tools).pipe(
            Layer.provide(handlers),
            Layer.provideMerge(McpServerAuth.layerHttpRouter(options)),
            Layer.provide(Layer.merge(authorizer, config)),
            Layer.provide(HttpLayerRouter.layer)
          )
        )
        const server = Context.get(context, McpServer.McpServer)
        const direct = (claims: Claims | undefined) =>
          server
            .callTool({ name: "delete_file", arguments: remove })
            .pipe(
              (effect) => (claims === undefined ? effect : Effect.provideService(effect, CurrentClaims, claims)),
              Effect.provide(context)
            )
        const claims = (scopes: ReadonlyArray<string>) => new Claims({ ...known, scopes }, { disableValidation: true })
        for (const result of [
          yield* direct(undefined),
          yield* direct(claims([])),
          yield* direct(claims(["files:read"]))
        ]) {
          assert.isTrue(result.isError)
          assert.include(JSON.stringify(result.content), "insufficient_scope: needs files:read files:write")
        }
        assert.deepStrictEqual(ran, [])
        const result = yield* direct(claims(["files:read", "files:write"]))
        assert.isNotTrue(result.isError)
        assert.deepStrictEqual(ran, ["delete_file alice"])
      })
    )
  })

  describe("a CurrentClaims that some layer provides is never the caller (P5, pitfall 6)", () => {
    const hostile = Layer.succeed(
      CurrentClaims,
      new Claims(
        { ...known, subject: "root", scopes: ["mcp:tools", "files:read", "files:write", "admin"] },
        { disableValidation: true }
      )
    )
    const { handlers } = makeHandlers()
    const server = McpServerAuth.layerHttpRouter(options)
    const services = Layer.merge(authorizer, config)

    for (const [name, routes] of [
      [
        "around the registration",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(hostile),
          Layer.provide(handlers),
          Layer.provide(server),
          Layer.provide(services)
        )
      ],
      [
        "around the handlers",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(Layer.provide(handlers, hostile)),
          Layer.provide(server),
          Layer.provide(services)
        )
      ],
      [
        "around the server",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(handlers),
          Layer.provide(Layer.provide(server, hostile)),
          Layer.provide(services)
        )
      ],
      [
        "around the guard's services",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(handlers),
          Layer.provide(server),
          Layer.provide(Layer.provide(services, hostile))
        )
      ],
      [
        "around everything",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(handlers),
          Layer.provide(server),
          Layer.provide(services),
          Layer.provide(hostile)
        )
      ],
      [
        "merged with everything",
        McpServerAuth.toolkit(tools).pipe(
          Layer.provide(handlers),
          Layer.provide(server),
          Layer.provide(services),
          Layer.provideMerge(hostile)
        )
      ]
    ] as const) {
      it.scopedLive(name, () =>
        Effect.gen(function* () {
          const url = yield* serve(routes)
          assert.include((yield* post(url, call("whoami"), "bob")).text, "bob bob")
          assert.strictEqual((yield* post(url, call("delete_file", remove), "bob")).status, 403)
          assert.strictEqual((yield* post(url, call("admin"), "bob")).status, 403)
          assert.strictEqual((yield* post(url, call("whoami"))).status, 401)
        })
      )
    }
  })

  it.scopedLive(
    "two servers in one router keep their tools, their scopes and their callers to themselves (RS-33)",
    () =>
      Effect.gen(function* () {
        const Secret = Tool.make("secret", { success: Schema.String })
        const side = (name: string, scopes: ReadonlyArray<string>) => {
          const toolkit = Toolkit.make(
            Secret.annotate(McpServerAuth.RequiredScopes, scopes),
            Tool.make(`only_${name}`, { success: Schema.String })
          )
          const handlers = toolkit.toLayer({
            secret: () => Effect.succeed(`secret of ${name}`),
            [`only_${name}`]: () => Effect.succeed(`only ${name}`)
          } as never)
          return McpServerAuth.toolkit(toolkit).pipe(
            Layer.provide(handlers),
            Layer.provide(McpServerAuth.layerHttpRouter({ ...options, path: `/${name}` })),
            Layer.provide(Authorizer.layerTest({ [`for-${name}`]: { scopes: ["mcp:tools"] } })),
            Layer.provide(
              Layer.succeed(AuthConfig.AuthConfig, configOf({ resource: `https://mcp.example.com/${name}` }))
            )
          ) as Layer.Layer<never, never, HttpLayerRouter.HttpRouter>
        }
        const url = yield* serve(Layer.merge(side("open", []), side("closed", ["admin"])))
        assert.include((yield* post(url, call("secret"), "for-open", "/open")).text, "secret of open")
        assert.strictEqual((yield* post(url, call("secret"), "for-closed", "/closed")).status, 403)
        assert.strictEqual((yield* post(url, call("secret"), "for-open", "/closed")).status, 401)
        assert.strictEqual((yield* post(url, call("secret"), "for-closed", "/open")).status, 401)
        assert.notInclude((yield* post(url, call("only_closed"), "for-open", "/open")).text, "only closed")
        assert.include((yield* post(url, call("only_closed"), "for-closed", "/closed")).text, "only closed")
      })
  )

  describe("the official SDK, v1, with a token of its own", () => {
    const connect = (url: string, token: string) =>
      Effect.acquireRelease(
        Effect.promise(async () => {
          const client = new Client({ name: "test", version: "1.0.0" })
          const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
            requestInit: { headers: { authorization: `Bearer ${token}` } }
          })
          // Its `sessionId` may be undefined where the interface says that it may be left out.
          await client.connect(transport as Parameters<typeof client.connect>[0])
          return client
        }),
        (client) => Effect.promise(() => client.close())
      )

    it.scopedLive("it lists and calls tools as its caller", () =>
      Effect.gen(function* () {
        const { ran, url } = yield* guarded
        const client = yield* connect(url, "alice")
        const { tools } = yield* Effect.promise(() => client.listTools())
        assert.deepStrictEqual(tools.map(({ name }) => name).sort(), ["admin", "delete_file", "whoami"])
        const whoami = yield* Effect.promise(() => client.callTool({ name: "whoami", arguments: {} }))
        assert.include(JSON.stringify(whoami.content), "alice alice")
        yield* Effect.promise(() => client.callTool({ name: "delete_file", arguments: remove }))
        assert.deepStrictEqual(ran, ["delete_file alice"])
      })
    )

    it.scopedLive("a tool that it may not call is an HTTP error 403", () =>
      Effect.gen(function* () {
        const { ran, url } = yield* guarded
        const client = yield* connect(url, "bob")
        const error = yield* Effect.flip(
          Effect.tryPromise({
            try: () => client.callTool({ name: "delete_file", arguments: remove }),
            catch: (error) => error
          })
        )
        assert.instanceOf(error, StreamableHTTPError)
        assert.strictEqual(Reflect.get(Object(error), "code"), 403)
        assert.deepStrictEqual(ran, [])
        const whoami = yield* Effect.promise(() => client.callTool({ name: "whoami", arguments: {} }))
        assert.include(JSON.stringify(whoami.content), "bob bob")
      })
    )

    it.scopedLive("without a good token it does not connect", () =>
      Effect.gen(function* () {
        const { url } = yield* guarded
        const exit = yield* Effect.exit(connect(url, "mallory"))
        assert.strictEqual(exit._tag, "Failure")
      })
    )
  })
})
