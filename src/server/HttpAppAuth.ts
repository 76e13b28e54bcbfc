/**
 * The guard in front of a whole `HttpApp`.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import type { Authorizer } from "./Authorizer.js"
import { CurrentClaims } from "./Claims.js"
import * as Guard from "./Guard.js"
import * as ResourceMetadata from "./ResourceMetadata.js"

/**
 * Guards an app: every request is authorized first, the app's handlers read `CurrentClaims`, and the refusals of guard
 * and handlers alike become responses. Unknown paths are refused like any other, so that the routes do not show.
 * A plain function, usable wherever an `HttpMiddleware` is. A CORS middleware goes around it: preflights carry no token.
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
export const middleware = <E, R>(
  app: HttpApp.Default<E, R>
): HttpApp.Default<Exclude<E, AuthError.AuthError>, Exclude<R, CurrentClaims> | Authorizer | AuthConfig> =>
  Guard.authorize.pipe(
    Effect.flatMap((claims) => Effect.provideService(app, CurrentClaims, claims)),
    Effect.catchAll((error) =>
      AuthError.isAuthError(error) ? Guard.respond(error) : Effect.fail(error as Exclude<E, AuthError.AuthError>)
    )
  )

/**
 * Serves the RFC 9728 document beside an app, at the well-known paths of the configured resource; every other path goes
 * to the app. It belongs outside of {@link middleware}: the document needs no token.
 *
 * @since 0.1.0
 * @category middleware
 */
export const withMetadata = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R | AuthConfig> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.flatMap(AuthConfig, (config) => {
      const query = request.url.indexOf("?")
      const path = query === -1 ? request.url : request.url.slice(0, query)
      return ResourceMetadata.paths(config).has(path) ? Effect.succeed(ResourceMetadata.respond(request, config)) : app
    })
  )
