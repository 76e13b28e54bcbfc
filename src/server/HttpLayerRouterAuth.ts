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
import * as WellKnown from "../protocol/WellKnown.js"
import { AuthConfig } from "./AuthConfig.js"
import type { AuthError } from "./AuthError.js"
import type { Authorizer } from "./Authorizer.js"
import type { CurrentClaims, OptionalClaims } from "./Claims.js"
import * as Gate from "./Gate.js"
import * as RequestTarget from "./RequestTarget.js"
import * as ResourceMetadata from "./ResourceMetadata.js"
import { type Resolvers, Tenancy } from "./Tenancy.js"

/**
 * What a router with guarded routes answers to a request that it has no route for, whatever its path or its method.
 * `refuse` is the default: what a guarded route would answer, so that the routes do not show; 404 with an accepted token.
 * `pass` leaves it to the router: 404 for everybody.
 *
 * @since 0.1.0
 * @category references
 * @example
 * ```ts
 * import { HttpLayerRouterAuth } from "effect-mcp-auth/server"
 * import * as Layer from "effect/Layer"
 *
 * export const guard = HttpLayerRouterAuth.layer.pipe(
 *   Layer.provide(Layer.succeed(HttpLayerRouterAuth.UnknownRoutes, "pass"))
 * )
 * ```
 */
export class UnknownRoutes extends Context.Reference<UnknownRoutes>()("effect-mcp-auth/server/UnknownRoutes", {
  defaultValue: (): "refuse" | "pass" => "refuse"
}) {}

type Services = Context.Context<AuthConfig | Authorizer>

/** The guards of a router that answer for unknown routes, each for those below its resource, the first for all others. */
const guardsOf = new WeakMap<
  HttpLayerRouter.HttpRouter,
  Array<{ readonly path: string; readonly services: Services }>
>()

const answerForUnknown = (services: Services): Effect.Effect<void, never, HttpLayerRouter.HttpRouter> =>
  Effect.gen(function* () {
    const router = yield* HttpLayerRouter.HttpRouter
    const path = RequestTarget.pathOf(Context.get(services, AuthConfig).resource)
    const known = guardsOf.get(router)
    if (known !== undefined) return void known.push({ path, services })
    const guards = [{ path, services }]
    guardsOf.set(router, guards)
    const nearest: Gate.Source<never> = (effect) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) =>
        Effect.provide(effect, RequestTarget.nearest(guards)(url)?.services ?? services)
      )
    yield* router.addGlobalMiddleware(Gate.guardUnknown(nearest))
  })

/** The services of the guard, which has joined those that answer for unknown routes. */
const joined = Effect.tap(Gate.services, (services) =>
  Effect.flatMap(UnknownRoutes, (unknown) => (unknown === "pass" ? Effect.void : answerForUnknown(services)))
)

/**
 * The guard as a router middleware, to be combined with others. {@link layer} is what most routes need.
 *
 * @since 0.1.0
 * @category middleware
 */
export const middleware = HttpLayerRouter.middleware<{ provides: CurrentClaims; handles: AuthError }>()(
  Effect.map(joined, (services) => Gate.guard(Gate.required, Gate.from(services)))
)

/**
 * Provide it to route layers to guard them. Their handlers may then ask for `CurrentClaims` and fail with refusals. Other
 * routes of the router stay public; what is no route is answered as {@link UnknownRoutes} says.
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
    const config = served?.routes.byPath.get(RequestTarget.path(request.url))
    return config === undefined
      ? Effect.succeed(ResourceMetadata.notFound)
      : Effect.provideService(ResourceMetadata.respond(request, config), Tenancy, served?.resources.get(config) ?? {})
  })

/**
 * The optional guard as a router middleware, to be combined with others. {@link layerOptional} is what most routes need.
 *
 * @since 0.1.0
 * @category middleware
 */
export const middlewareOptional = HttpLayerRouter.middleware<{ provides: OptionalClaims; handles: AuthError }>()(
  Effect.map(Gate.services, (services) => Gate.guard(Gate.optional, Gate.from(services)))
)

/**
 * Provide it to routes that serve everybody and know some: their handlers may ask for `OptionalClaims`. Only a request
 * without any credentials is anonymous; a token that is not accepted is refused.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOptional = Layer.fresh(middlewareOptional.layer)

/**
 * Guards whatever the router serves, unknown paths included, except for the RFC 9728 document of the configuration, which
 * it serves itself. All handlers may ask for `CurrentClaims`. Of such middlewares the one that is built first is outermost:
 * what has to go around the guard, as `HttpLayerRouter.cors` and `OriginCheck.layer` have, is provided to it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGlobal = Layer.fresh(
  HttpLayerRouter.middleware<{ provides: CurrentClaims; handles: AuthError }>()(
    Effect.map(Gate.services, (services) => {
      const guard = Gate.guard(Gate.required, Gate.from(services))
      const config = Context.get(services, AuthConfig)
      const document = new Set(WellKnown.protectedResourcePaths(config.resource))
      return (app) => {
        const guarded = guard(app)
        return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          document.has(RequestTarget.path(request.url))
            ? Effect.provide(ResourceMetadata.respond(request, config), services)
            : guarded
        )
      }
    }),
    { global: true }
  )
)

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
