/**
 * The guard in front of a whole `HttpApp`.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { AuthConfig } from "./AuthConfig.js"
import type * as AuthError from "./AuthError.js"
import type { Authorizer } from "./Authorizer.js"
import type { CurrentClaims, OptionalClaims } from "./Claims.js"
import * as Gate from "./Gate.js"
import * as RequestTarget from "./RequestTarget.js"
import * as ResourceMetadata from "./ResourceMetadata.js"

/**
 * Guards an app: every request is authorized first, the app's handlers read `CurrentClaims`, and the refusals of guard
 * and handlers alike become responses. Unknown paths are refused like any other, so that the routes do not show.
 * A plain function, usable wherever an `HttpMiddleware` is, on one route as well. CORS preflights need no token: they are
 * answered with an empty 204, and a CORS middleware that goes around the guard says what is allowed.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpRouter from "@effect/platform/HttpRouter"
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { Claims, HttpAppAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * export const app = HttpRouter.empty.pipe(
 *   HttpRouter.get("/whoami", Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))),
 *   HttpAppAuth.middleware,
 *   HttpAppAuth.withMetadata
 * )
 * ```
 */
export const middleware: <E, R>(
  app: HttpApp.Default<E, R>
) => HttpApp.Default<Exclude<E, AuthError.AuthError>, Exclude<R, CurrentClaims> | Authorizer | AuthConfig> = Gate.guard(
  Gate.required,
  Gate.fromRequest
)

/**
 * Guards an app that serves everybody and knows some: its handlers read `OptionalClaims`. Only a request without any
 * credentials is anonymous; a token that is not accepted is refused. A handler that cannot go on without a caller fails
 * with `AuthError.missing`, which asks the client for a token.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { Claims, HttpAppAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 *
 * export const app = Claims.OptionalClaims.pipe(
 *   Effect.map(Option.match({ onNone: () => "a guest", onSome: ({ subject }) => subject })),
 *   Effect.map(HttpServerResponse.text),
 *   HttpAppAuth.optional
 * )
 * ```
 */
export const optional: <E, R>(
  app: HttpApp.Default<E, R>
) => HttpApp.Default<Exclude<E, AuthError.AuthError>, Exclude<R, OptionalClaims> | Authorizer | AuthConfig> =
  Gate.guard(Gate.optional, Gate.fromRequest)

/**
 * For an app of which only some routes are guarded: a request that it has no route for is refused like one for a guarded
 * route, 401 without an accepted token, so that the routes do not show. With one it is `RouteNotFound`, as before.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpRouter from "@effect/platform/HttpRouter"
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { Claims, HttpAppAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))
 *
 * export const app = HttpRouter.empty.pipe(
 *   HttpRouter.get("/whoami", HttpAppAuth.middleware(whoami)),
 *   HttpRouter.get("/health", HttpServerResponse.text("ok")),
 *   HttpAppAuth.guardUnknown
 * )
 * ```
 */
export const guardUnknown: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R | Authorizer | AuthConfig> =
  Gate.guardUnknown(Gate.fromRequest)

/**
 * Serves the RFC 9728 document beside an app, at the well-known paths of the configured resource. Other resources below
 * the well-known prefix are 404, every other path goes to the app. It belongs outside of {@link middleware}: the document
 * needs no token.
 *
 * @since 0.1.0
 * @category middleware
 */
export const withMetadata = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R | AuthConfig> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.flatMap(AuthConfig, (config) => ResourceMetadata.route(request, routesOf(config)) ?? app)
  )

const routesByConfig = new WeakMap<AuthConfig, ResourceMetadata.Routes>()

const routesOf = (config: AuthConfig): ResourceMetadata.Routes => {
  const known = routesByConfig.get(config)
  if (known !== undefined) return known
  const routes = Either.getOrThrow(ResourceMetadata.routes([config])) // one cannot be in conflict with itself
  routesByConfig.set(config, routes)
  return routes
}

/**
 * Several protected resources in one server: each app is guarded by its own configuration, each has its own document, and
 * the requests that belong to none go to `fallback`. A request belongs to the resource whose path covers its own, the
 * longest first; one that a router might read as another resource's, by its escapes, dots or slashes, belongs to none. `root` is the resource whose document is served at the root well-known path, if any. Two resources with
 * the same path are refused: the host of a request tells nothing (RFC 9728 §7.8), so one of them would never be reached.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { AuthConfig, Claims, HttpAppAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Either from "effect/Either"
 *
 * const as = "https://as.example.com"
 * const files = AuthConfig.unsafeMake({ resource: "https://mcp.example.com/files", authorizationServers: as })
 * const mail = AuthConfig.unsafeMake({ resource: "https://mcp.example.com/mail", authorizationServers: as })
 * const whoami = Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))
 *
 * export const app = HttpAppAuth.resources([
 *   { config: files, app: whoami },
 *   { config: mail, app: whoami }
 * ], HttpServerResponse.empty({ status: 404 })).pipe(Either.getOrThrow)
 * ```
 */
export const resources = <E1, R1, E2 = never, R2 = never>(
  guarded: ReadonlyArray<{ readonly config: AuthConfig; readonly app: HttpApp.Default<E1, R1> }>,
  fallback: HttpApp.Default<E2, R2>,
  root?: AuthConfig
): Either.Either<
  HttpApp.Default<
    Exclude<E1, AuthError.AuthError> | E2,
    Exclude<Exclude<R1, CurrentClaims>, AuthConfig> | Authorizer | R2
  >,
  ResourceMetadata.ResourceConflict
> => {
  type Outcome = Either.Either.Right<ReturnType<typeof resources<E1, R1, E2, R2>>>
  const configs = guarded.map(({ config }) => config)
  const nearest = RequestTarget.nearest(
    guarded.map(({ app, config }) => ({
      path: RequestTarget.pathOf(config.resource),
      app: Effect.provideService(middleware(app), AuthConfig, config)
    }))
  )
  return Either.map(ResourceMetadata.routes(configs, root), (routes) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): Outcome => {
      const metadata = ResourceMetadata.route(request, routes)
      if (metadata !== undefined) return metadata
      const match = nearest(request.url)
      return match === undefined ? fallback : (match.app as Outcome)
    })
  )
}
