// Type tests: they fail by not compiling, and a `@ts-expect-error` that expects in vain is a failure, too.
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig, AuthError, Authorizer, Claims, HttpAppAuth, HttpLayerRouterAuth } from "effect-mcp-auth/server"
import { assertType, describe, expectTypeOf, it } from "vitest"

class Db extends Context.Tag("Db")<Db, { readonly read: Effect.Effect<string> }>() {}
class Missing extends Data.TaggedError("Missing")<{ readonly what: string }> {}

const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))

type Requires<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never
type Needs<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Fails<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

const server = Layer.succeed(HttpServer.HttpServer, {} as HttpServer.HttpServer)
const guard = Layer.merge(
  Layer.succeed(AuthConfig.AuthConfig, {} as AuthConfig.AuthConfig),
  Layer.succeed(Authorizer.Authorizer, {} as Authorizer.Service)
)

declare const launch: (layer: Layer.Layer<never>) => void

describe("a handler that needs CurrentClaims", () => {
  it("does not compile with HttpServer.serve unless it is guarded", () => {
    const unguarded = HttpServer.serve(whoami).pipe(Layer.provide(server))
    expectTypeOf<Requires<typeof unguarded>>().toEqualTypeOf<Claims.CurrentClaims>()
    // @ts-expect-error CurrentClaims is missing
    launch(unguarded)
    // @ts-expect-error nothing that guards provides it from outside either
    launch(unguarded.pipe(Layer.provide(guard)))

    const guarded = HttpServer.serve(HttpAppAuth.middleware(whoami)).pipe(Layer.provide(server))
    expectTypeOf<Requires<typeof guarded>>().toEqualTypeOf<AuthConfig.AuthConfig | Authorizer.Authorizer>()
    // @ts-expect-error AuthConfig and Authorizer are missing
    launch(guarded)
    launch(guarded.pipe(Layer.provide(guard)))
  })

  it("does not compile with HttpRouter either", () => {
    const router = HttpRouter.empty.pipe(HttpRouter.get("/", whoami))
    const unguarded = HttpServer.serve(router).pipe(Layer.provide(server))
    // @ts-expect-error CurrentClaims is missing
    launch(unguarded)
    launch(HttpServer.serve(HttpAppAuth.middleware(router)).pipe(Layer.provide(server), Layer.provide(guard)))
    launch(
      HttpServer.serve(HttpRouter.use(router, HttpAppAuth.middleware)).pipe(Layer.provide(server), Layer.provide(guard))
    )
  })

  it("does not compile with HttpLayerRouter.serve unless it is guarded", () => {
    const route = HttpLayerRouter.add("GET", "/", whoami)
    const unguarded = HttpLayerRouter.serve(route).pipe(Layer.provide(server))
    // @ts-expect-error CurrentClaims is missing
    launch(unguarded)
    // @ts-expect-error nothing that guards provides it from outside either
    launch(unguarded.pipe(Layer.provide(guard)))

    const guarded = HttpLayerRouter.serve(Layer.provide(route, HttpLayerRouterAuth.layer)).pipe(Layer.provide(server))
    // @ts-expect-error AuthConfig and Authorizer are missing
    launch(guarded)
    launch(guarded.pipe(Layer.provide(guard)))
  })

  it("may fail with refusals where it is guarded, and with nothing else", () => {
    const refusing = HttpLayerRouter.add("GET", "/", Effect.zipRight(Claims.requireScopes("a"), whoami))
    launch(
      HttpLayerRouter.serve(Layer.provide(refusing, HttpLayerRouterAuth.layer)).pipe(
        Layer.provide(server),
        Layer.provide(guard)
      )
    )
  })

  it("cannot be satisfied by a layer of CurrentClaims in the guard's own type", () => {
    const app = HttpAppAuth.middleware(whoami)
    expectTypeOf<Needs<typeof app>>().not.toEqualTypeOf<Claims.CurrentClaims>()
    expectTypeOf<Extract<Needs<typeof app>, Claims.CurrentClaims>>().toEqualTypeOf<never>()
  })
})

describe("HttpAppAuth.middleware", () => {
  it("removes CurrentClaims from R and AuthError from E, adds Authorizer and AuthConfig, and keeps the rest", () => {
    const app = Effect.gen(function* () {
      const claims = yield* Claims.CurrentClaims
      const db = yield* Db
      const text = yield* db.read
      yield* Claims.requireScopes("a")
      if (text === "") return yield* new Missing({ what: claims.subject })
      if (text === "x") return yield* new AuthError.InvalidToken({ reason: "other" })
      return HttpServerResponse.text(text)
    })
    expectTypeOf<Fails<typeof app>>().toEqualTypeOf<Missing | AuthError.InsufficientScope | AuthError.InvalidToken>()

    const guarded = HttpAppAuth.middleware(app)
    expectTypeOf<Fails<typeof guarded>>().toEqualTypeOf<Missing>()
    expectTypeOf<Needs<typeof guarded>>().toEqualTypeOf<
      Db | AuthConfig.AuthConfig | Authorizer.Authorizer | HttpServerRequest.HttpServerRequest
    >()
  })

  it("keeps an error of the app that has one of our names", () => {
    const guarded = HttpAppAuth.middleware(Effect.fail(new Missing({ what: "x" })) as HttpApp.Default<Missing>)
    expectTypeOf<Fails<typeof guarded>>().toEqualTypeOf<Missing>()
    class Bare extends Data.TaggedError("Missing") {}
    const bare = HttpAppAuth.middleware(Effect.fail(new Bare()) as HttpApp.Default<Bare>)
    expectTypeOf<Fails<typeof bare>>().toEqualTypeOf<Bare>()
  })

  it("keeps RouteNotFound of a router", () => {
    const guarded = HttpAppAuth.middleware(HttpRouter.empty)
    expectTypeOf<Fails<typeof guarded>>().toEqualTypeOf<HttpServerError.RouteNotFound>()
  })

  it("is an HttpMiddleware", () => {
    assertType<HttpMiddleware.HttpMiddleware>(HttpAppAuth.middleware)
  })

  it("withMetadata adds AuthConfig and nothing else, and guards nothing", () => {
    const app = HttpAppAuth.withMetadata(whoami)
    expectTypeOf<Needs<typeof app>>().toEqualTypeOf<
      Claims.CurrentClaims | AuthConfig.AuthConfig | HttpServerRequest.HttpServerRequest
    >()
    expectTypeOf<Fails<typeof app>>().toEqualTypeOf<never>()
  })
})

describe("AuthConfig", () => {
  const options = { resource: "https://mcp.example.com/mcp", authorizationServers: "https://as.example.com" }

  it("is made by make and its siblings, and not by hand", () => {
    assertType<AuthConfig.AuthConfig>(AuthConfig.unsafeMake(options))
    // @ts-expect-error an object of the same shape is not checked
    assertType<AuthConfig.AuthConfig>({
      resource: "https://mcp.example.com/mcp",
      authorizationServers: ["https://as.example.com"],
      allowInsecureAuthorizationServers: false,
      requiredScopes: [],
      audiencePolicy: "exact",
      audiences: ["https://mcp.example.com/mcp"],
      resourceMetadataUrl: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
      bearerMethodsSupported: ["header"]
    })
    // @ts-expect-error options are not a configuration
    Layer.succeed(AuthConfig.AuthConfig, options)
    // @ts-expect-error nor does the tag make one of them
    AuthConfig.AuthConfig.of(options)
  })

  it("knows its options by name and by type", () => {
    // @ts-expect-error resource is required
    AuthConfig.unsafeMake({ authorizationServers: "https://as.example.com" })
    // @ts-expect-error authorizationServers is required
    AuthConfig.unsafeMake({ resource: "https://mcp.example.com/mcp" })
    // @ts-expect-error there is no such option
    AuthConfig.unsafeMake({ ...options, requiredScope: ["a"] })
    // @ts-expect-error C13: there is no policy that skips the audience
    AuthConfig.unsafeMake({ ...options, audiencePolicy: "skip" })
    // @ts-expect-error A34: renamed
    AuthConfig.unsafeMake({ ...options, scopes: ["a"] })
    // @ts-expect-error A21: scopes are strings
    AuthConfig.unsafeMake({ ...options, requiredScopes: [5] })
  })

  it("fails in its type", () => {
    expectTypeOf(AuthConfig.make(options)).toHaveProperty("_tag")
    expectTypeOf<Requires<ReturnType<typeof AuthConfig.layer>>>().toEqualTypeOf<never>()
  })
})

describe("Authorizer", () => {
  const claims = {} as Claims.Claims

  it("is made by Authorizer.make, and not by hand", () => {
    assertType<Authorizer.Service>(Authorizer.make(() => Effect.succeed(claims)))
    // @ts-expect-error without make nothing bounds its time and contains its defects
    assertType<Authorizer.Service>({ authorize: () => Effect.succeed(claims) })
    // @ts-expect-error nor by way of the tag
    Layer.succeed(Authorizer.Authorizer, { authorize: () => Effect.succeed(claims) })
  })

  it("gives claims, fails with refusals, and needs nothing", () => {
    // @ts-expect-error C4, C5: a plain object is no Claims
    Authorizer.make(() => Effect.succeed({ subject: "alice" }))
    // @ts-expect-error C10: nor is nothing
    Authorizer.make(() => Effect.void)
    // @ts-expect-error C9: nor is another error a refusal
    Authorizer.make(() => Effect.fail(new Missing({ what: "x" })))
    // @ts-expect-error what it needs is provided when it is made
    Authorizer.make(() => Effect.as(Db, claims))
  })

  it("InvalidToken has one of the reasons", () => {
    // @ts-expect-error there is no such reason
    new AuthError.InvalidToken({ reason: "whatever" })
  })
})
