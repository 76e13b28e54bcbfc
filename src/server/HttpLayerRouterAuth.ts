/**
 * The guard on routes of an `HttpLayerRouter`.
 *
 * @since 0.1.0
 */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
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
import { Tenancy } from "./Tenancy.js"

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

/**
 * Adds the routes of the RFC 9728 document.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMetadata: Layer.Layer<never, never, AuthConfig | HttpLayerRouter.HttpRouter> = Layer.effectDiscard(
  Effect.gen(function* () {
    const config = yield* AuthConfig
    const tenancy = yield* Tenancy
    const router = yield* HttpLayerRouter.HttpRouter
    const routes = ResourceMetadata.routes([config])
    // One wildcard and not a route for each path: in a route `:` and `*` are patterns, and escapes are never met.
    const handler = HttpServerRequest.HttpServerRequest.pipe(
      Effect.flatMap((request) => ResourceMetadata.route(request, routes) ?? HttpServerResponse.empty({ status: 404 })),
      Effect.provideService(Tenancy, tenancy)
    )
    yield* router.add("*", routes.prefix as HttpLayerRouter.PathInput, handler)
    yield* router.add("*", `${routes.prefix}/*` as HttpLayerRouter.PathInput, handler)
  })
)
