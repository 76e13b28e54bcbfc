import * as McpServer from "@effect/ai/McpServer"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as McpServerAuth from "../../src/mcp/McpServerAuth.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import {
  configOf,
  invalidChallenge,
  metadataUrl,
  missingChallenge,
  requestChallenge
} from "../server/fixtures/Guarded.js"
import * as Notes from "./fixtures/Notes.js"
import * as Web from "./fixtures/Web.js"

const { call, rpc } = Notes
const options = { name: "guarded", version: "1.0.0", path: "/mcp" } as const
const config = Layer.succeed(AuthConfig.AuthConfig, configOf())
const root = new Claims(
  {
    issuer: "https://as.example",
    subject: "root",
    audience: ["https://mcp.example.com/mcp"],
    scopes: ["mcp:tools", "notes:read", "notes:write", "admin"],
    raw: Redacted.make({})
  },
  { disableValidation: true }
)

describe("who gets in (E2, E3, E4, RS-30)", () => {
  it.scopedLive("no token, a wrong one, and one that is malformed; whatever is asked for", () =>
    Effect.gen(function* () {
      const { ask, ran, send } = yield* Notes.make()
      assert.strictEqual((yield* send(call("whoami"))).challenge, missingChallenge)
      assert.strictEqual((yield* send(call("whoami"), "mallory")).challenge, invalidChallenge())
      assert.strictEqual(
        (yield* send(call("whoami"), "a b")).challenge,
        requestChallenge("the token must be one b64token (RFC 6750 section 2.1)")
      )
      for (const method of ["initialize", "ping", "tools/list", "resources/list", "prompts/list"]) {
        assert.strictEqual((yield* ask(method, {})).status, 401)
      }
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("the document is beside it", () =>
    Effect.gen(function* () {
      const send = yield* Web.serve(Layer.orDie(HttpLayerRouterAuth.layerMetadata).pipe(Layer.provide(config)))
      const answer = yield* send("", { path: metadataUrl.slice("https://mcp.example.com".length), method: "GET" })
      assert.strictEqual(Reflect.get(Object(answer.body), "resource"), "https://mcp.example.com/mcp")
    })
  )
})

describe("what is registered runs for what the gate admitted, and for nothing else (G2)", () => {
  it.scopedLive("a call that takes another way than HTTP finds nothing", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const Open = Tool.make("open", { success: Schema.String })
      const toolkit = Toolkit.make(Open)
      const content = Effect.sync(() => {
        ran.push("read")
        return "content"
      })
      const context = yield* Layer.build(
        Layer.mergeAll(
          McpServerAuth.toolkit(toolkit).pipe(
            Layer.provide(toolkit.toLayer({ open: () => Effect.sync(() => `${ran.push("open")}`) }))
          ),
          McpServerAuth.register(McpServer.registerResource({ uri: "x://y", name: "y", content })),
          McpServerAuth.register(McpServer.registerPrompt({ name: "p", content: () => content }))
        ).pipe(
          Layer.provideMerge(McpServerAuth.layerHttpRouter(options)),
          Layer.provide(Layer.merge(Notes.authorizer, config)),
          Layer.provide(HttpLayerRouter.layer)
        )
      )
      const server = Context.get(context, McpServer.McpServer)
      const direct = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.either(
          Effect.provideService(effect, CurrentClaims, root).pipe(Effect.provide(context)) as Effect.Effect<A, E>
        )
      assert.strictEqual((yield* direct(server.callTool({ name: "open", arguments: {} })))._tag, "Left")
      assert.strictEqual((yield* direct(server.getPromptResult({ name: "p" })))._tag, "Left")
      assert.deepStrictEqual(yield* direct(server.findResource("x://y")), Either.right({ contents: [] }))
      assert.deepStrictEqual(ran, [])
    })
  )

  it.scopedLive("what is registered by the platform's own functions is guarded, and needs no scope", () =>
    Effect.gen(function* () {
      const content = Effect.succeed("content")
      const routes = Layer.effectDiscard(McpServer.registerResource({ uri: "x://y", name: "y", content })).pipe(
        Layer.provide(McpServerAuth.layerHttpRouter(options)),
        Layer.provide(Layer.merge(Notes.authorizer, config))
      )
      const send = yield* Web.serve(routes)
      const read = rpc("resources/read", { uri: "x://y" })
      assert.strictEqual((yield* send(read)).status, 401)
      assert.include((yield* send(read, { token: "nobody" })).text, "content")
    })
  )

  for (const [kind, layer] of [
    ["servers", McpServerAuth.layerHttpRouter],
    ["optional servers", McpServerAuth.layerHttpRouterOptional]
  ] as const) {
    it.scopedLive(`two ${kind} in one router keep operations, scopes and callers to themselves (RS-33)`, () =>
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
            Layer.provide(layer({ ...options, path: `/${name}` })),
            Layer.provide(Authorizer.layerTest({ [`for-${name}`]: { scopes: ["mcp:tools"] } })),
            Layer.provide(
              Layer.succeed(AuthConfig.AuthConfig, configOf({ resource: `https://mcp.example.com/${name}` }))
            )
          ) as Layer.Layer<never, never, HttpLayerRouter.HttpRouter>
        }
        const send = yield* Web.serve(Layer.merge(side("open", []), side("closed", ["admin"])))
        const post = (tool: string, token: string, path: string) => send(call(tool), { token, path })
        assert.include((yield* post("secret", "for-open", "/open")).text, "secret of open")
        assert.strictEqual((yield* post("secret", "for-closed", "/closed")).status, 403)
        assert.strictEqual((yield* post("secret", "for-open", "/closed")).status, 401)
        assert.strictEqual((yield* post("secret", "for-closed", "/open")).status, 401)
        assert.notInclude((yield* post("only_closed", "for-open", "/open")).text, "only closed")
        assert.include((yield* post("only_closed", "for-closed", "/closed")).text, "only closed")
      })
    )
  }
})

describe("a CurrentClaims that some layer provides is never the caller (D1, D2)", () => {
  const hostile = Layer.succeed(CurrentClaims, root)
  const handlers = Notes.tools.toLayer({
    whoami: () => Effect.map(CurrentClaims, ({ subject }) => `it is ${subject}`),
    write: () => Effect.map(CurrentClaims, ({ subject }) => `it is ${subject}`),
    either: () => Effect.map(CurrentClaims, ({ subject }) => `it is ${subject}`),
    open: () => Effect.map(CurrentClaims, ({ subject }) => `it is ${subject}`)
  })
  const content = Effect.map(CurrentClaims, ({ subject }) => `it is ${subject}`)
  const registered = (around: Layer.Layer<CurrentClaims> | Layer.Layer<never>, inner = handlers) =>
    Layer.mergeAll(
      Layer.provide(McpServerAuth.toolkit(Notes.tools), inner),
      McpServerAuth.register(McpServer.registerResource({ uri: "x://y", name: "y", content })),
      McpServerAuth.register(McpServer.registerPrompt({ name: "p", content: () => content }))
    ).pipe(Layer.provide(around))
  const server = McpServerAuth.layerHttpRouter(options)
  const services = Layer.merge(Notes.authorizer, config)
  const nothing = Layer.empty

  for (const [name, routes] of [
    ["around the registration", registered(hostile).pipe(Layer.provide(server), Layer.provide(services))],
    [
      "around the handlers",
      registered(nothing, Layer.provide(handlers, hostile)).pipe(Layer.provide(server), Layer.provide(services))
    ],
    [
      "around the server",
      registered(nothing).pipe(Layer.provide(Layer.provide(server, hostile)), Layer.provide(services))
    ],
    [
      "around the guard's services",
      registered(nothing).pipe(Layer.provide(server), Layer.provide(Layer.provide(services, hostile)))
    ],
    [
      "around everything",
      registered(nothing).pipe(Layer.provide(server), Layer.provide(services), Layer.provide(hostile))
    ],
    [
      "merged with everything",
      registered(hostile).pipe(Layer.provide(server), Layer.provide(services), Layer.provideMerge(hostile))
    ]
  ] as const) {
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const send = yield* Web.serve(routes)
        for (const body of [
          call("whoami"),
          rpc("resources/read", { uri: "x://y" }),
          rpc("prompts/get", { name: "p" })
        ]) {
          assert.include((yield* send(body, { token: "reader" })).text, "it is reader")
          assert.strictEqual((yield* send(body)).status, 401)
        }
        assert.strictEqual((yield* send(call("write", { text: "x" }), { token: "reader" })).status, 403)
        assert.strictEqual((yield* send(call("either"), { token: "reader" })).status, 403)
      })
    )
  }
})

describe("calls that are under way (RS-30)", () => {
  const Long = Tool.make("long", { success: Schema.String })
  const toolkit = Toolkit.make(Long)

  const serving = (
    more: Partial<McpServerAuth.Options> = {},
    expiresAt?: number,
    layer: typeof McpServerAuth.layerHttpRouter = McpServerAuth.layerHttpRouter
  ) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const handlers = toolkit.toLayer({
        long: () =>
          Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
      })
      const send = yield* Web.serve(
        McpServerAuth.toolkit(toolkit).pipe(
          Layer.provide(handlers),
          Layer.provide(layer({ ...options, ...more })),
          Layer.provide(Layer.merge(Authorizer.layerTest({ t: { scopes: ["mcp:tools"], expiresAt } }), config))
        )
      )
      return { send, started, interrupted }
    })

  it.scopedLive("a client that goes away interrupts its call", () =>
    Effect.gen(function* () {
      const { interrupted, send, started } = yield* serving()
      const abort = new AbortController()
      yield* Effect.fork(send(call("long"), { token: "t", signal: abort.signal }))
      yield* Deferred.await(started)
      abort.abort()
      yield* Deferred.await(interrupted)
    })
  )

  for (const [where, layer] of [
    ["", McpServerAuth.layerHttpRouter],
    [", also where some calls need none", McpServerAuth.layerHttpRouterOptional]
  ] as const) {
    it.scopedLive(`a token that expires interrupts it, too, and is answered 401${where}`, () =>
      Effect.gen(function* () {
        const { interrupted, send } = yield* serving({ expiry: {} }, Math.floor(Date.now() / 1000) + 2, layer)
        const answer = yield* send(call("long"), { token: "t" })
        assert.strictEqual(answer.challenge, invalidChallenge("The access token has expired"))
        yield* Deferred.await(interrupted)
      })
    )
  }
})
