// Type tests of the adapters: they fail by not compiling, and a `@ts-expect-error` that expects in vain is a failure, too.
// HttpApp, HttpRouter and HttpLayerRouter with a required caller are in server.test-d.ts.

import * as Tool from "@effect/ai/Tool"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import type * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { McpServerAuth } from "effect-mcp-auth/mcp"
import { Scopes } from "effect-mcp-auth/protocol"
import {
  AuthConfig,
  AuthError,
  Authorizer,
  Claims,
  HttpApiAuth,
  HttpAppAuth,
  HttpLayerRouterAuth,
  OriginCheck
} from "effect-mcp-auth/server"
import { assertType, describe, expectTypeOf, it } from "vitest"

const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => subject)
const greet = Effect.map(
  Claims.OptionalClaims,
  Option.match({ onNone: () => "a guest", onSome: ({ subject }) => subject })
)
const text = <E, R>(self: Effect.Effect<string, E, R>) => Effect.map(self, (body) => HttpServerResponse.text(body))

type Requires<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never
type Needs<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Fails<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

const server = Layer.merge(Layer.succeed(HttpServer.HttpServer, {} as HttpServer.HttpServer), HttpServer.layerContext)
const guard = Layer.merge(
  Layer.succeed(AuthConfig.AuthConfig, {} as AuthConfig.AuthConfig),
  Layer.succeed(Authorizer.Authorizer, {} as Authorizer.Service)
)

declare const launch: (layer: Layer.Layer<never>) => void

describe("a handler that needs OptionalClaims", () => {
  it("does not compile unless it is guarded, and a guard that requires a token is another one", () => {
    const app = text(greet)
    // @ts-expect-error OptionalClaims is missing
    launch(HttpServer.serve(app).pipe(Layer.provide(server), Layer.provide(guard)))
    // @ts-expect-error the guard gives CurrentClaims
    launch(HttpServer.serve(HttpAppAuth.middleware(app)).pipe(Layer.provide(server), Layer.provide(guard)))
    const guarded = HttpServer.serve(HttpAppAuth.optional(app)).pipe(Layer.provide(server))
    // @ts-expect-error AuthConfig and Authorizer are missing
    launch(guarded)
    launch(guarded.pipe(Layer.provide(guard)))

    const route = HttpLayerRouter.add("GET", "/", app)
    const serve = <A, E, R>(layer: Layer.Layer<A, E, R>) => HttpLayerRouter.serve(layer).pipe(Layer.provide(server))
    // @ts-expect-error OptionalClaims is missing
    launch(serve(route).pipe(Layer.provide(guard)))
    // @ts-expect-error the guard gives CurrentClaims
    launch(serve(Layer.provide(route, HttpLayerRouterAuth.layer)).pipe(Layer.provide(guard)))
    // @ts-expect-error AuthConfig and Authorizer are missing
    launch(serve(Layer.provide(route, HttpLayerRouterAuth.layerOptional)))
    launch(serve(Layer.provide(route, HttpLayerRouterAuth.layerOptional)).pipe(Layer.provide(guard)))
  })

  it("does not get a caller who is required from an optional guard", () => {
    const app = HttpAppAuth.optional(text(whoami))
    expectTypeOf<Extract<Needs<typeof app>, Claims.CurrentClaims>>().toEqualTypeOf<Claims.CurrentClaims>()
  })

  it("may ask for a token by failing with a refusal", () => {
    const app = HttpAppAuth.optional(
      Effect.flatMap(Claims.OptionalClaims, (claims) => (Option.isNone(claims) ? AuthError.missing : text(greet)))
    )
    expectTypeOf<Fails<typeof app>>().toEqualTypeOf<never>()
    expectTypeOf<Needs<typeof app>>().toEqualTypeOf<
      AuthConfig.AuthConfig | Authorizer.Authorizer | HttpServerRequest.HttpServerRequest
    >()
  })
})

describe("routers", () => {
  it("a guard on one route, on a group, and on what is no route", () => {
    const router = HttpRouter.empty.pipe(
      HttpRouter.get("/one", HttpAppAuth.middleware(text(whoami))),
      HttpRouter.get("/public", HttpServerResponse.text("public"))
    )
    const app = HttpAppAuth.guardUnknown(router)
    expectTypeOf<Fails<typeof app>>().toEqualTypeOf<HttpServerError.RouteNotFound>()
    expectTypeOf<Needs<typeof app>>().toEqualTypeOf<
      AuthConfig.AuthConfig | Authorizer.Authorizer | HttpServerRequest.HttpServerRequest
    >()
    const group = HttpRouter.use(HttpRouter.empty.pipe(HttpRouter.get("/", text(whoami))), HttpAppAuth.middleware)
    launch(HttpServer.serve(group).pipe(Layer.provide(server), Layer.provide(guard)))
    const unguarded = HttpAppAuth.guardUnknown(HttpRouter.get(router, "/", text(whoami)))
    // @ts-expect-error CurrentClaims is missing: a guard of what is no route guards no route
    launch(HttpServer.serve(unguarded).pipe(Layer.provide(server), Layer.provide(guard)))
  })

  it("the guard of everything", () => {
    const route = HttpLayerRouter.add("GET", "/", Effect.zipRight(Claims.requireScopes("a"), text(whoami)))
    const serve = <A, E, R>(layer: Layer.Layer<A, E, R>) => HttpLayerRouter.serve(layer).pipe(Layer.provide(server))
    const guarded = serve(Layer.provide(route, HttpLayerRouterAuth.layerGlobal))
    // @ts-expect-error AuthConfig and Authorizer are missing
    launch(guarded)
    launch(guarded.pipe(Layer.provide(guard)))
  })

  it("a check of the origin guards nothing", () => {
    const route = HttpLayerRouter.add("GET", "/", text(whoami)).pipe(Layer.merge(OriginCheck.layer([])))
    // @ts-expect-error CurrentClaims is missing
    launch(HttpLayerRouter.serve(route).pipe(Layer.provide(server), Layer.provide(guard)))
  })

  it("UnknownRoutes has two values", () => {
    Layer.succeed(HttpLayerRouterAuth.UnknownRoutes, "pass")
    // @ts-expect-error no other
    Layer.succeed(HttpLayerRouterAuth.UnknownRoutes, "404")
  })
})

describe("HttpApi", () => {
  const endpoint = HttpApiEndpoint.get("whoami", "/").addSuccess(Schema.String)
  const group = HttpApiGroup.make("g").add(endpoint)
  class Unguarded extends HttpApi.make("api").add(group) {}
  class OnGroup extends HttpApi.make("api").add(group.middleware(HttpApiAuth.Authorization)) {}
  class OnEndpoint extends HttpApi.make("api").add(
    HttpApiGroup.make("g").add(endpoint.pipe(HttpApiAuth.requireScopes("a")))
  ) {}
  class OnApi extends HttpApi.make("api").add(group).pipe(HttpApiAuth.requireScopes("a"), HttpApiAuth.documented) {}

  it("a handler that needs CurrentClaims does not compile without the middleware", () => {
    const handlers = HttpApiBuilder.group(Unguarded, "g", (group) => group.handle("whoami", () => whoami))
    expectTypeOf<Requires<typeof handlers>>().toEqualTypeOf<Claims.CurrentClaims>()
    const serve = HttpApiBuilder.serve().pipe(
      Layer.provide(HttpApiBuilder.api(Unguarded)),
      Layer.provide(handlers),
      Layer.provide(server)
    )
    // @ts-expect-error CurrentClaims is missing
    launch(serve)
    // @ts-expect-error the layer of the guard does not provide it
    launch(serve.pipe(Layer.provide(HttpApiAuth.layer), Layer.provide(guard)))
  })

  it("behind the middleware the guard has to be provided, and what the guard needs", () => {
    const handlers = [
      HttpApiBuilder.api(OnGroup).pipe(
        Layer.provide(HttpApiBuilder.group(OnGroup, "g", (group) => group.handle("whoami", () => whoami)))
      ),
      HttpApiBuilder.api(OnEndpoint).pipe(
        Layer.provide(HttpApiBuilder.group(OnEndpoint, "g", (group) => group.handle("whoami", () => whoami)))
      ),
      HttpApiBuilder.api(OnApi).pipe(
        Layer.provide(HttpApiBuilder.group(OnApi, "g", (group) => group.handle("whoami", () => whoami)))
      )
    ] as const
    type Each = (typeof handlers)[number]
    expectTypeOf<Requires<Each>>().toEqualTypeOf<HttpApiAuth.Authorization>()
    for (const api of handlers) {
      const serve = HttpApiBuilder.serve().pipe(Layer.provide(api), Layer.provide(server))
      // @ts-expect-error Authorization is missing
      launch(serve)
      // @ts-expect-error AuthConfig and Authorizer are missing
      launch(serve.pipe(Layer.provide(HttpApiAuth.layer)))
      launch(serve.pipe(Layer.provide(HttpApiAuth.layer), Layer.provide(guard)))
    }
  })

  it("the document goes around the api, and needs a configuration", () => {
    const layer = HttpApiBuilder.middleware(HttpAppAuth.withMetadata<never, never>, { withContext: true })
    expectTypeOf<Requires<typeof layer>>().toEqualTypeOf<AuthConfig.AuthConfig>()
    const serve = HttpApiBuilder.serve(HttpAppAuth.withMetadata)
    expectTypeOf<Extract<Requires<typeof serve>, AuthConfig.AuthConfig>>().toEqualTypeOf<AuthConfig.AuthConfig>()
  })

  it("a handler may fail with refusals behind the middleware, and nowhere else", () => {
    const refusing = Effect.zipRight(Claims.requireScopes("b"), whoami)
    HttpApiBuilder.group(OnGroup, "g", (group) => group.handle("whoami", () => refusing))
    HttpApiBuilder.group(OnEndpoint, "g", (group) => group.handle("whoami", () => refusing))
    HttpApiBuilder.group(OnApi, "g", (group) => group.handle("whoami", () => refusing))
    // @ts-expect-error InsufficientScope is no error of this api
    HttpApiBuilder.group(Unguarded, "g", (group) => group.handle("whoami", () => refusing))
  })

  it("OptionalAuthorization gives OptionalClaims and no more", () => {
    const optional = HttpApi.make("api").add(group.middleware(HttpApiAuth.OptionalAuthorization))
    const handlers = HttpApiBuilder.group(optional, "g", (group) => group.handle("whoami", () => greet))
    expectTypeOf<Requires<typeof handlers>>().toEqualTypeOf<HttpApiAuth.OptionalAuthorization>()
    const wrong = HttpApiBuilder.group(optional, "g", (group) => group.handle("whoami", () => whoami))
    expectTypeOf<Requires<typeof wrong>>().toEqualTypeOf<HttpApiAuth.OptionalAuthorization | Claims.CurrentClaims>()
  })

  it("a client sees the refusals as typed errors, and needs nothing of the guard", () => {
    const make = HttpApiClient.make(OnEndpoint)
    expectTypeOf<Needs<typeof make>>().toEqualTypeOf<HttpClient.HttpClient>()
    type Client = Effect.Effect.Success<typeof make>
    type Call = ReturnType<Client["g"]["whoami"]>
    expectTypeOf<Fails<Call>>().toEqualTypeOf<
      AuthError.AuthError | HttpApiError.HttpApiDecodeError | HttpClientError.HttpClientError | ParseResult.ParseError
    >()
  })

  it("requireScopes asks for one at least, and is for endpoints, groups and apis", () => {
    // @ts-expect-error none
    HttpApiAuth.requireScopes()
    // @ts-expect-error an effect
    HttpApiAuth.requireScopes("a")(whoami)
  })
})

describe("a scope that is not declared", () => {
  const scopes = Scopes.vocabulary("mcp:tools", "files:write")
  const endpoint = HttpApiEndpoint.get("whoami", "/")
  const tool = Tool.make("t", { success: Schema.String })
  const options = { resource: "https://mcp.example.com/mcp", authorizationServers: "https://as.example.com" }

  it("does not compile in a handler, an endpoint, a tool or a configuration", () => {
    Claims.requireScopes(...scopes("files:write"))
    // @ts-expect-error not declared
    Claims.requireScopes(...scopes("files:wirte"))
    endpoint.pipe(HttpApiAuth.requireScopes(...scopes("files:write", "mcp:tools")))
    // @ts-expect-error not declared
    endpoint.pipe(HttpApiAuth.requireScopes(...scopes("files:write", "mcp")))
    tool.annotate(McpServerAuth.RequiredScopes, scopes("files:write"))
    // @ts-expect-error not declared
    tool.annotate(McpServerAuth.RequiredScopes, scopes("files"))
    assertType<AuthConfig.Input>({ ...options, requiredScopes: scopes("mcp:tools"), scopesSupported: scopes.all })
    // @ts-expect-error not declared
    assertType<AuthConfig.Input>({ ...options, requiredScopes: scopes("mcp:toolz") })
    // @ts-expect-error nothing at all
    scopes()
  })

  it("has its type", () => {
    expectTypeOf(scopes("files:write")).toEqualTypeOf<readonly ["files:write"]>()
    expectTypeOf(scopes.all).toEqualTypeOf<
      readonly ["mcp:tools" | "files:write", ...Array<"mcp:tools" | "files:write">]
    >()
  })
})
