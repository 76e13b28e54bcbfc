// Type tests of the seams: what could be forgotten in front of a framework or around a session does not compile.
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { AuthInfo as SdkV1AuthInfo } from "@modelcontextprotocol/sdk/server/auth/types.js"
import { createMcpHandler, McpServer, type AuthInfo as SdkAuthInfo } from "@modelcontextprotocol/server"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import {
  type AuthConfig,
  type AuthError,
  AuthInfo,
  type Authorizer,
  Claims,
  HttpAppAuth,
  HttpLayerRouterAuth,
  OperationScopes,
  RequestState,
  SessionBinding,
  type SessionStore,
  StreamExpiry,
  WebHandlerAuth
} from "effect-mcp-auth/server"
import { describe, expectTypeOf, it } from "vitest"

type Needs<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Fails<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type Requires<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never

declare const guard: Layer.Layer<AuthConfig.AuthConfig | Authorizer.Authorizer>
declare const server: Layer.Layer<HttpServer.HttpServer>
declare const launch: (layer: Layer.Layer<never>) => void
const mcp = createMcpHandler(() => new McpServer({ name: "types", version: "1.0.0" }))

describe("WebHandlerAuth", () => {
  it("authorize runs only where there is a configuration and an authorizer", () => {
    const decision = WebHandlerAuth.authorize(new Request("https://mcp.example.com"))
    expectTypeOf<Needs<typeof decision>>().toEqualTypeOf<AuthConfig.AuthConfig | Authorizer.Authorizer>()
    expectTypeOf<Fails<typeof decision>>().toEqualTypeOf<never>()
    // @ts-expect-error AuthConfig and Authorizer are missing
    Effect.runPromise(decision)
    ManagedRuntime.make(guard).runPromise(decision)
  })

  it("a refusal cannot be taken for a caller", async () => {
    const caller = await ManagedRuntime.make(guard).runPromise(WebHandlerAuth.authorize({} as Request))
    // @ts-expect-error it may be a Response
    caller.claims
    if (!(caller instanceof Response)) expectTypeOf(caller.claims).toEqualTypeOf<Claims.Claims>()
  })

  it("admit without the guard asks for claims that nobody has", () => {
    const forgotten = WebHandlerAuth.admit(SessionBinding.middleware)({} as Request)
    expectTypeOf<Needs<typeof forgotten>>().toEqualTypeOf<
      AuthConfig.AuthConfig | Claims.CurrentClaims | SessionStore.SessionStore
    >()
    // @ts-expect-error CurrentClaims and SessionStore are missing
    ManagedRuntime.make(guard).runPromise(forgotten)
    const guarded = WebHandlerAuth.admit((app) => HttpAppAuth.middleware(SessionBinding.middleware(app)))({} as Request)
    expectTypeOf<Needs<typeof guarded>>().toEqualTypeOf<
      AuthConfig.AuthConfig | Authorizer.Authorizer | SessionStore.SessionStore
    >()
    expectTypeOf<Fails<typeof guarded>>().toEqualTypeOf<never>()
  })

  it("a web handler is served behind the guard only", () => {
    const app = WebHandlerAuth.fromWebHandler(mcp.fetch)
    expectTypeOf<Requires<ReturnType<typeof HttpServer.serve<Fails<typeof app>, Needs<typeof app>>>>>().toEqualTypeOf<
      HttpServer.HttpServer | AuthConfig.AuthConfig | Claims.CurrentClaims
    >()
    const guarded = HttpServer.serve(HttpAppAuth.middleware(app))
    expectTypeOf<Requires<typeof guarded>>().toEqualTypeOf<
      HttpServer.HttpServer | AuthConfig.AuthConfig | Authorizer.Authorizer
    >()
  })
})

describe("public and protected operations behind the optional guard", () => {
  const app = WebHandlerAuth.fromWebHandlerOptional(mcp.fetch)
  const scoped = OperationScopes.middlewareOptional({ tool: () => OperationScopes.open })(app)

  it("ask for a caller that may be unknown, and fail with refusals alone", () => {
    expectTypeOf<Fails<typeof scoped>>().toEqualTypeOf<AuthError.AuthError>()
    launch(HttpServer.serve(HttpAppAuth.optional(scoped)).pipe(Layer.provide(Layer.merge(guard, server))))
    // @ts-expect-error OptionalClaims is missing
    launch(HttpServer.serve(scoped).pipe(Layer.provide(Layer.merge(guard, server))))
    // @ts-expect-error the guard that knows every caller gives no OptionalClaims
    launch(HttpServer.serve(HttpAppAuth.middleware(scoped)).pipe(Layer.provide(Layer.merge(guard, server))))
  })

  it("nothing is open where every caller is known, and a handler that needs one is not served to others", () => {
    // @ts-expect-error
    OperationScopes.middleware({ tool: () => OperationScopes.open })
    const strict: WebHandlerAuth.WebHandler = async (_, { claims }) => new Response(claims.subject)
    // @ts-expect-error
    WebHandlerAuth.fromWebHandlerOptional(strict)
  })
})

describe("OperationScopes, StreamExpiry and SessionBinding around an app", () => {
  const app = HttpServerResponse.text("ok")
  const guarding = Layer.mergeAll(guard, server, {} as Layer.Layer<SessionStore.SessionStore>)
  const scoped = OperationScopes.middleware({})(app)
  const expiring = StreamExpiry.middleware()(app)
  const bound = SessionBinding.middleware(app)

  it("need a caller each, fail with refusals alone, and compile inside of the guard", () => {
    expectTypeOf<Fails<typeof scoped>>().toEqualTypeOf<AuthError.AuthError>()
    expectTypeOf<Fails<typeof expiring>>().toEqualTypeOf<AuthError.AuthError>()
    expectTypeOf<Fails<typeof bound>>().toEqualTypeOf<AuthError.InsufficientScope | AuthError.ServerError>()
    // @ts-expect-error CurrentClaims is missing
    launch(HttpServer.serve(scoped).pipe(Layer.provide(guarding)))
    // @ts-expect-error CurrentClaims is missing
    launch(HttpServer.serve(expiring).pipe(Layer.provide(guarding)))
    // @ts-expect-error CurrentClaims is missing
    launch(HttpServer.serve(bound).pipe(Layer.provide(guarding)))
    // @ts-expect-error and a guard inside does not give it to what is around
    launch(HttpServer.serve(SessionBinding.middleware(HttpAppAuth.middleware(app))).pipe(Layer.provide(guarding)))
    const whole = app.pipe(OperationScopes.middleware({}), StreamExpiry.middleware(), SessionBinding.middleware)
    launch(HttpServer.serve(HttpAppAuth.middleware(whole)).pipe(Layer.provide(guarding)))
  })

  it("on routes they are combined with the guard, and are nothing without it", () => {
    const route = HttpLayerRouter.add("POST", "/mcp", app)
    const { layer } = SessionBinding.routerMiddleware.combine(HttpLayerRouterAuth.middleware)
    launch(HttpLayerRouter.serve(Layer.provide(route, layer)).pipe(Layer.provide(guarding)))
    // @ts-expect-error nobody keeps the sessions
    launch(HttpLayerRouter.serve(Layer.provide(route, layer)).pipe(Layer.provide(Layer.merge(guard, server))))
    // @ts-expect-error without the guard there is no caller
    Layer.provide(route, SessionBinding.routerMiddleware.layer)
  })
})

describe("AuthInfo", () => {
  it("is what both official SDKs take", () => {
    expectTypeOf<AuthInfo.AuthInfo>().toExtend<SdkAuthInfo>()
    expectTypeOf<AuthInfo.AuthInfo>().toExtend<SdkV1AuthInfo>()
    const subject = Effect.map(Claims.CurrentClaims, (claims) => claims.subject)
    expectTypeOf(AuthInfo.provide(subject, {} as SdkAuthInfo | undefined)).toEqualTypeOf<
      Effect.Effect<string, AuthError.Missing>
    >()
  })

  it("holds no token that could be passed on", () => {
    expectTypeOf<AuthInfo.AuthInfo["token"]>().toEqualTypeOf<"">()
  })
})

describe("SessionBinding and RequestState", () => {
  it("are nothing without a caller", () => {
    expectTypeOf<Needs<ReturnType<typeof SessionBinding.bind>>>().toEqualTypeOf<
      Claims.CurrentClaims | SessionStore.SessionStore
    >()
    expectTypeOf<Needs<ReturnType<typeof SessionBinding.verify>>>().toEqualTypeOf<
      Claims.CurrentClaims | SessionStore.SessionStore
    >()
    expectTypeOf<Fails<ReturnType<typeof SessionBinding.verifyReader>>>().toEqualTypeOf<
      SessionBinding.SessionNotFound | AuthError.InsufficientScope | AuthError.ServerError
    >()
    expectTypeOf(RequestState.layerConfig()).toEqualTypeOf<Layer.Layer<RequestState.RequestStateKeys, ConfigError>>()
    const states = RequestState.make({ schema: Schema.NumberFromString })
    expectTypeOf<Needs<typeof states>>().toEqualTypeOf<RequestState.RequestStateKeys>()
    const use = Effect.flatMap(states, ({ open, seal }) => Effect.flatMap(seal(1, "p"), (state) => open(state, "p")))
    expectTypeOf<Needs<typeof use>>().toEqualTypeOf<RequestState.RequestStateKeys | Claims.CurrentClaims>()
    expectTypeOf<Fails<typeof use>>().toEqualTypeOf<RequestState.RequestStateError>()
  })
})
