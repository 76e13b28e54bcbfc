/**
 * The transport's own rule that comes before authorization: a browser's script of a foreign origin gets nothing.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

const forbidden = HttpServerResponse.unsafeJson(
  { error: "invalid_request", error_description: "The Origin of this request is not allowed" },
  { status: 403, headers: { "cache-control": "no-store" } }
)

/**
 * Whether a request may go on: it names no origin, as programs do, or one of these. Origins are compared as browsers
 * write them: scheme, host in lower case, and a port where it is not the default one.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAllowed = (origin: string | undefined, allowed: ReadonlyArray<string>): boolean =>
  origin === undefined || allowed.includes(origin)

/**
 * Answers 403 to requests whose `Origin` is not one of these, before anything else looks at them; without a challenge,
 * because no token would help. MCP servers over HTTP must check it (Streamable HTTP, security). It goes around the guard
 * and inside of a CORS middleware. An empty list keeps all browsers out.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { HttpAppAuth, OriginCheck } from "effect-mcp-auth/server"
 *
 * export const app = HttpServerResponse.text("ok").pipe(
 *   HttpAppAuth.middleware,
 *   OriginCheck.middleware(["https://chat.example.com"])
 * )
 * ```
 */
export const middleware =
  (allowed: ReadonlyArray<string>) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      isAllowed(request.headers["origin"], allowed) ? app : Effect.succeed(forbidden)
    )

/**
 * The same for everything that an `HttpLayerRouter` serves, whatever its routes are guarded by. In an `HttpApi`,
 * `HttpApiBuilder.middleware` takes {@link middleware} as it is.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { HttpLayerRouterAuth, OriginCheck } from "effect-mcp-auth/server"
 * import * as Layer from "effect/Layer"
 *
 * export const routes = HttpLayerRouter.add("*", "/mcp", HttpServerResponse.text("ok")).pipe(
 *   Layer.provide(HttpLayerRouterAuth.layer),
 *   Layer.merge(OriginCheck.layer(["https://chat.example.com"]))
 * )
 * ```
 */
export const layer = (allowed: ReadonlyArray<string>): Layer.Layer<never, never, HttpLayerRouter.HttpRouter> =>
  HttpLayerRouter.middleware(middleware(allowed), { global: true })
