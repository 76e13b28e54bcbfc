/**
 * The guard on routes of an `HttpLayerRouter`.
 *
 * @since 0.1.0
 */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import { Authorizer } from "./Authorizer.js"
import { CurrentClaims } from "./Claims.js"
import { DecisionLog } from "./Decision.js"
import * as Guard from "./Guard.js"
import * as ResourceMetadata from "./ResourceMetadata.js"
import { type Resolvers, Tenancy } from "./Tenancy.js"

/**
 * The guard as a router middleware, to be combined with others. {@link layer} is what most routes need.
 *
 * @since 0.1.0
 * @category middleware
 */
export const middleware = HttpLayerRouter.middleware<{ provides: CurrentClaims; handles: AuthError.AuthError }>()(
  Effect.gen(function* () {
    const config = yield* AuthConfig
    const authorizer = yield* Authorizer
    const tenancy = yield* Tenancy
    const log = yield* DecisionLog
    const services = Context.make(AuthConfig, config).pipe(
      Context.add(Authorizer, authorizer),
      Context.add(Tenancy, tenancy),
      Context.add(DecisionLog, log)
    )
    const authorize = Effect.provide(Guard.authorize, services)
    return (handler) =>
      Effect.matchEffect(authorize, {
        onFailure: (error) => Effect.provide(Guard.respond(error), services),
        onSuccess: (claims) =>
          Effect.catchAll(Effect.provideService(handler, CurrentClaims, claims), (error) =>
            AuthError.isAuthError(error) ? Effect.provide(Guard.respond(error, claims), services) : Effect.fail(error)
          )
      })
  })
)

/**
 * Provide it to route layers to guard them. Their handlers may then ask for `CurrentClaims` and fail with refusals.
 * A router wraps only what it matches: unknown paths are answered 404 without a challenge. To guard those as well, put
 * `HttpAppAuth.middleware` around the whole app.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { Claims, HttpLayerRouterAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const routes = HttpLayerRouter.add(
 *   "GET",
 *   "/whoami",
 *   Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))
 * ).pipe(Layer.provide(HttpLayerRouterAuth.layer), Layer.merge(HttpLayerRouterAuth.layerMetadata))
 * ```
 */
export const layer = Layer.fresh(middleware.layer) // shared by reference, a second group would get the guard of the first

/** What a router serves: the resources, each with the resolvers of its own, and the routes of their documents. */
interface Served {
  readonly resources: ReadonlyMap<AuthConfig, Resolvers>
  readonly routes: ResourceMetadata.Routes
}

const servedBy = new WeakMap<HttpLayerRouter.HttpRouter, Served>()

/** Answers with what the router serves by then, which may be more than when the route was added. */
const documents = (router: HttpLayerRouter.HttpRouter) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const served = servedBy.get(router)
    const config = served?.routes.byPath.get(request.url.split("?", 1)[0] ?? "")
    return config === undefined
      ? Effect.succeed(ResourceMetadata.notFound)
      : Effect.provideService(ResourceMetadata.respond(request, config), Tenancy, served?.resources.get(config) ?? {})
  })

/**
 * Adds the document of the configuration to those that the router serves (RFC 9728). Provide it beside {@link layer}, once
 * for each resource of the router; it fails where two of them have a document's path in common. Of several, only that of
 * the resource at the origin is at the root path.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMetadata: Layer.Layer<
  never,
  ResourceMetadata.ResourceConflict,
  AuthConfig | HttpLayerRouter.HttpRouter
> = Layer.fresh(
  Layer.effectDiscard(
    Effect.gen(function* () {
      const config = yield* AuthConfig
      const tenancy = yield* Tenancy
      const router = yield* HttpLayerRouter.HttpRouter
      const before = servedBy.get(router)
      const resources = new Map(before?.resources).set(config, tenancy)
      const routes = yield* ResourceMetadata.routes(Array.from(resources.keys()))
      servedBy.set(router, { resources, routes })
      if (before !== undefined) return
      // One wildcard and not a route for each path: in a route `:` and `*` are patterns, and escapes are never met.
      const prefix = routes.prefix as `/${string}`
      yield* router.add("*", prefix, documents(router))
      yield* router.add("*", `${prefix}/*`, documents(router))
    })
  )
)
