// Type tests: they fail by not compiling, and a `@ts-expect-error` that expects in vain is a failure, too.
import * as McpServer from "@effect/ai/McpServer"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { McpServerAuth } from "effect-mcp-auth/mcp"
import {
  AuthConfig,
  type AuthError,
  Authorizer,
  Claims,
  HttpAppAuth,
  HttpLayerRouterAuth,
  OperationScopes,
  ScopeRequirement,
  StreamExpiry
} from "effect-mcp-auth/server"
import { describe, expectTypeOf, it } from "vitest"

class Db extends Context.Tag("Db")<Db, { readonly read: Effect.Effect<string> }>() {}

type Requires<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never
type Needs<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Fails<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

const server = Layer.succeed(HttpServer.HttpServer, {} as HttpServer.HttpServer)
const guard = Layer.merge(
  Layer.succeed(AuthConfig.AuthConfig, {} as AuthConfig.AuthConfig),
  Layer.succeed(Authorizer.Authorizer, {} as Authorizer.Service)
)
const options = { name: "n", version: "1", path: "/mcp" } as const

declare const launch: (layer: Layer.Layer<never>) => void

describe("McpServerAuth: a server that is not guarded does not compile", () => {
  const Whoami = Tool.make("whoami", { success: Schema.String, dependencies: [Claims.CurrentClaims] })
  const tools = Toolkit.make(Whoami)
  const handlers = tools.toLayer({ whoami: () => Effect.map(Claims.CurrentClaims, ({ subject }) => subject) })
  const diary = McpServer.registerResource({
    uri: "file:///diary",
    name: "diary",
    content: Effect.map(Claims.CurrentClaims, ({ subject }) => subject)
  })

  for (const registered of [
    McpServerAuth.toolkit(tools).pipe(Layer.provide(handlers)),
    McpServerAuth.register(diary, { scopes: ["diary:read"] })
  ]) {
    it("behind the platform's own layer", () => {
      const unguarded = HttpLayerRouter.serve(Layer.provide(registered, McpServer.layerHttpRouter(options))).pipe(
        Layer.provide(server)
      )
      // @ts-expect-error GuardedServer is missing
      launch(unguarded)
      // @ts-expect-error and nothing else that guards provides it
      launch(unguarded.pipe(Layer.provide(guard)))
    })

    it("without AuthConfig and Authorizer", () => {
      const guarded = HttpLayerRouter.serve(Layer.provide(registered, McpServerAuth.layerHttpRouter(options))).pipe(
        Layer.provide(server)
      )
      // @ts-expect-error AuthConfig and Authorizer are missing
      launch(guarded)
      launch(guarded.pipe(Layer.provide(guard)))
    })
  }

  it("an operation that the platform registers with a server of its own, and that asks for the caller", () => {
    const unguarded = HttpLayerRouter.serve(
      Layer.provide(Layer.effectDiscard(diary), McpServer.layerHttpRouter(options))
    ).pipe(Layer.provide(server))
    expectTypeOf<Requires<typeof unguarded>>().toEqualTypeOf<Claims.CurrentClaims>()
    // @ts-expect-error CurrentClaims is missing
    launch(unguarded)
  })
})

describe("McpServerAuth: what operations need but for the caller is needed when they are registered", () => {
  const Whoami = Tool.make("whoami", { success: Schema.String, dependencies: [Claims.CurrentClaims] })
  const Read = Tool.make("read", { success: Schema.String, dependencies: [Db] })

  it("of tools, however they say it", () => {
    const both = Toolkit.make(Whoami, Read)
    expectTypeOf<McpServerAuth.Requirements<(typeof both)["tools"]>>().toEqualTypeOf<
      Db | Tool.HandlersFor<(typeof both)["tools"]>
    >()
    expectTypeOf<Requires<ReturnType<typeof McpServerAuth.toolkit<(typeof both)["tools"]>>>>().toEqualTypeOf<
      Db | Tool.HandlersFor<(typeof both)["tools"]> | McpServerAuth.GuardedServer
    >()
    // The interface of a tool has `addRequirement`, which is not there at run time; `addDependency` is in both.
    const added = Toolkit.make(
      Tool.make("added", { success: Schema.String }).addDependency(Claims.CurrentClaims).addDependency(Db)
    )
    expectTypeOf<McpServerAuth.Requirements<(typeof added)["tools"]>>().toEqualTypeOf<
      Db | Tool.HandlersFor<(typeof added)["tools"]>
    >()
  })

  it("of resources, templates and prompts", () => {
    const content = Effect.zipRight(
      Claims.CurrentClaims,
      Effect.flatMap(Db, ({ read }) => read)
    )
    const resource = McpServerAuth.register(McpServer.registerResource({ uri: "x://y", name: "y", content }))
    expectTypeOf<Requires<typeof resource>>().toEqualTypeOf<Db | McpServerAuth.GuardedServer>()
    const template = McpServerAuth.register(
      McpServer.registerResource`x://${Schema.String}`({ name: "y", content: () => content })
    )
    expectTypeOf<Requires<typeof template>>().toEqualTypeOf<Db | McpServerAuth.GuardedServer>()
    const prompt = McpServerAuth.register(McpServer.registerPrompt({ name: "p", content: () => content }))
    expectTypeOf<Requires<typeof prompt>>().toEqualTypeOf<Db | McpServerAuth.GuardedServer>()
  })
})

describe("McpServerAuth: operations for everybody", () => {
  const Greet = Tool.make("greet", { success: Schema.String, dependencies: [Claims.OptionalClaims] })
  const Whoami = Tool.make("whoami", { success: Schema.String, dependencies: [Claims.CurrentClaims] })
  const Read = Tool.make("read", { success: Schema.String, dependencies: [Claims.OptionalClaims, Db] })
  const greeter = Toolkit.make(Greet)
  const mixed = Toolkit.make(Greet, Whoami)
  const greet = Effect.as(Claims.OptionalClaims, "hello")
  const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => subject)

  const serve = <A, E, R>(registered: Layer.Layer<A, E, R>) =>
    HttpLayerRouter.serve(registered).pipe(Layer.provide(server), Layer.provide(guard))

  it("need a server that lets callers without credentials in", () => {
    for (const registered of [
      McpServerAuth.toolkitOptional(greeter).pipe(Layer.provide(greeter.toLayer({ greet: () => greet }))),
      McpServerAuth.registerOptional(McpServer.registerResource({ uri: "x://y", name: "y", content: greet }))
    ]) {
      launch(serve(Layer.provide(registered, McpServerAuth.layerHttpRouterOptional(options))))
      // @ts-expect-error OptionalServer is missing: everybody here has a token
      launch(serve(Layer.provide(registered, McpServerAuth.layerHttpRouter(options))))
      // @ts-expect-error and it is not guarded at all
      launch(serve(Layer.provide(registered, McpServer.layerHttpRouter(options))))
    }
  })

  it("do not get a caller who may not be there", () => {
    const tools = McpServerAuth.toolkitOptional(mixed)
    expectTypeOf<Extract<Requires<typeof tools>, Claims.CurrentClaims>>().toEqualTypeOf<Claims.CurrentClaims>()
    const prompt = McpServerAuth.registerOptional(McpServer.registerPrompt({ name: "p", content: () => whoami }))
    expectTypeOf<Requires<typeof prompt>>().toEqualTypeOf<Claims.CurrentClaims | McpServerAuth.OptionalServer>()
    // @ts-expect-error CurrentClaims is missing
    launch(serve(Layer.provide(prompt, McpServerAuth.layerHttpRouterOptional(options))))
  })

  it("and those for callers with a token do not get one who may be nobody", () => {
    const prompt = McpServerAuth.register(McpServer.registerPrompt({ name: "p", content: () => greet }))
    expectTypeOf<Requires<typeof prompt>>().toEqualTypeOf<Claims.OptionalClaims | McpServerAuth.GuardedServer>()
    const known = McpServerAuth.register(McpServer.registerPrompt({ name: "p", content: () => whoami }))
    launch(serve(Layer.provide(known, McpServerAuth.layerHttpRouterOptional(options))))
  })

  it("need what else they need when they are registered", () => {
    const both = Toolkit.make(Greet, Read)
    expectTypeOf<McpServerAuth.Requirements<(typeof both)["tools"], Claims.OptionalClaims>>().toEqualTypeOf<
      Db | Tool.HandlersFor<(typeof both)["tools"]>
    >()
  })
})

describe("requirements", () => {
  const Whoami = Tool.make("whoami", { success: Schema.String })
  const files = ScopeRequirement.vocabulary("files:read", "files:write")

  it("a tool names a list, or what ScopeRequirement makes", () => {
    Whoami.annotate(McpServerAuth.RequiredScopes, ["a"])
    Whoami.annotate(McpServerAuth.RequiredScopes, ScopeRequirement.anyOf(["a"], ["b", "c"]))
    Whoami.annotate(
      McpServerAuth.RequiredScopes,
      ScopeRequirement.decide(() => Effect.succeed(["a"]))
    )
    Whoami.annotate(McpServerAuth.RequiredScopes, files.allOf("files:read"))
    // @ts-expect-error not a list
    Whoami.annotate(McpServerAuth.RequiredScopes, "a")
    // @ts-expect-error not of our making
    Whoami.annotate(McpServerAuth.RequiredScopes, { alternatives: [["a"]] })
    // @ts-expect-error one of nothing can never be met
    ScopeRequirement.anyOf()
    // @ts-expect-error there is no such policy
    Whoami.annotate(McpServerAuth.Access, { refusal: "Silently" })
  })

  it("an undeclared scope does not compile", () => {
    files.allOf("files:read", "files:write")
    // @ts-expect-error misspelt
    files.allOf("files:wirte")
    // @ts-expect-error none is no requirement
    files.allOf()
    // @ts-expect-error misspelt in an alternative
    files.anyOf(["files:read"], ["files:wirte"])
    // @ts-expect-error misspelt in a decision
    files.decide(() => Effect.succeed(["files:wirte" as const]))
    files.decide(({ arguments: args }) => Effect.succeed(args === undefined ? [] : ["files:write" as const]))
    expectTypeOf(files.scopes).toEqualTypeOf<ReadonlyArray<"files:read" | "files:write">>()
  })

  it("a decision cannot forget that a list asks without arguments, and trusts none", () => {
    // @ts-expect-error arguments may be undefined
    ScopeRequirement.decide(({ arguments: args }) => Effect.succeed([String(args.path)]))
    // @ts-expect-error an argument is of no type before it is checked
    ScopeRequirement.decide(({ arguments: args }) => Effect.succeed([args?.["path"]]))
    // @ts-expect-error it fails with refusals, and with nothing else
    ScopeRequirement.decide(() => Effect.fail("no"))
    // @ts-expect-error what it needs is provided when it is made
    ScopeRequirement.decide(() => Effect.as(Db, []))
  })
})

describe("OperationScopes and StreamExpiry belong inside of the guard", () => {
  const app: HttpApp.Default<never, Db> = Effect.as(Db, HttpServerResponse.empty())

  it("OperationScopes asks for the caller, and fails with refusals", () => {
    const scoped = OperationScopes.middleware({ tool: () => ["a"] })(app)
    expectTypeOf<Fails<typeof scoped>>().toEqualTypeOf<AuthError.AuthError>()
    expectTypeOf<Needs<typeof scoped>>().toEqualTypeOf<
      Db | Claims.CurrentClaims | AuthConfig.AuthConfig | HttpServerRequest.HttpServerRequest
    >()
    const guarded = HttpAppAuth.middleware(scoped)
    expectTypeOf<Fails<typeof guarded>>().toEqualTypeOf<never>()
  })

  it("StreamExpiry asks for the caller, too", () => {
    const expiring = StreamExpiry.middleware()(app)
    expectTypeOf<Needs<typeof expiring>>().toEqualTypeOf<
      Db | Claims.CurrentClaims | AuthConfig.AuthConfig | Authorizer.Authorizer | HttpServerRequest.HttpServerRequest
    >()
    const unguarded = HttpServer.serve(StreamExpiry.middleware()(Effect.succeed(HttpServerResponse.empty()))).pipe(
      Layer.provide(server)
    )
    // @ts-expect-error CurrentClaims is missing
    launch(unguarded.pipe(Layer.provide(guard)))
    // @ts-expect-error there is no such choice
    StreamExpiry.middleware({ calls: "Forget" })
  })

  it("a router's routes as well", () => {
    const route = HttpLayerRouter.add("GET", "/", HttpServerResponse.empty())
    const { layer } = StreamExpiry.routerMiddleware().combine(HttpLayerRouterAuth.middleware)
    launch(HttpLayerRouter.serve(Layer.provide(route, layer)).pipe(Layer.provide(server), Layer.provide(guard)))
    // @ts-expect-error without the guard there is no layer of it
    Layer.provide(route, StreamExpiry.routerMiddleware().layer)
  })
})
