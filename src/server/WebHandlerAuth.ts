/**
 * The seam to everything that is not an `HttpApp`: the guard in front of the handlers of other frameworks, and web-standard
 * handlers behind the guard.
 *
 * @since 0.1.0
 */
import * as PlatformHeaders from "@effect/platform/Headers"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { AuthConfig } from "./AuthConfig.js"
import { type AuthError, InvalidRequest } from "./AuthError.js"
import * as AuthInfo from "./AuthInfo.js"
import type { Authorizer } from "./Authorizer.js"
import { type Claims, CurrentClaims, OptionalClaims } from "./Claims.js"
import * as Guard from "./Guard.js"
import * as HttpAppAuth from "./HttpAppAuth.js"
import * as JsonRpcBody from "./JsonRpcBody.js"
import * as RequestTarget from "./RequestTarget.js"

/**
 * What the guard reads of a request of `node:http`, which Express and Fastify (`request.raw`) build on. The raw headers
 * are there because Node drops all `Authorization` headers but one. `originalUrl` is Express's URL before it was mounted.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly originalUrl?: string | undefined
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly rawHeaders: ReadonlyArray<string>
}

/** The request as the platform has it. Nothing is parsed and nothing is read of the body. */
const fromRequest = (request: Request | NodeRequest): HttpServerRequest.HttpServerRequest => {
  if (!("rawHeaders" in request)) return HttpServerRequest.fromWeb(request)
  const { headers, method = "GET", rawHeaders } = request
  // A web Request cannot be made of every request that Node accepts; these are the members that the platform reads.
  const url = RequestTarget.originForm(request.originalUrl ?? request.url ?? "/")
  const source = { method, url, headers, rawHeaders }
  return HttpServerRequest.fromWeb(source as unknown as Request)
}

const toResponse = (
  response: HttpServerResponse.HttpServerResponse,
  request: HttpServerRequest.HttpServerRequest
): Response => HttpServerResponse.toWeb(response, { withoutBody: request.method === "HEAD" })

/**
 * Who is calling: the claims for handlers of your own, and the same as the official SDK reads them.
 *
 * @since 0.1.0
 * @category models
 */
export class Caller extends Data.Class<{ readonly claims: Claims; readonly authInfo: AuthInfo.AuthInfo }> {}

const callerOf = (claims: Claims, config: AuthConfig): Caller =>
  new Caller({ claims, authInfo: AuthInfo.fromClaims(claims, config) })

const current = Effect.zipWith(CurrentClaims, AuthConfig, callerOf)

/** Stands where the app would be. Its status is that of no answer yet, and the caller is in it. */
const admitted = Effect.map(current, (caller) => HttpServerResponse.raw(caller, { status: 100 }))

/**
 * Lets requests of other frameworks through a guard of your own composition: the caller of a request that would have
 * reached the app, or the response of whatever stopped it. Made once, used for each request.
 *
 * The body is not touched, so a middleware that reads it does not belong here, and none sees the framework's response.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { HttpAppAuth, OriginCheck, SessionBinding, WebHandlerAuth } from "effect-mcp-auth/server"
 *
 * export const admit = WebHandlerAuth.admit((app) =>
 *   app.pipe(
 *     SessionBinding.middleware,
 *     HttpAppAuth.middleware,
 *     HttpAppAuth.withMetadata,
 *     OriginCheck.middleware(["https://chat.example.com"])
 *   )
 * )
 * ```
 */
export const admit = <E, R>(
  guard: (app: HttpApp.Default<never, AuthConfig | CurrentClaims>) => HttpApp.Default<E, R>
): ((
  request: Request | NodeRequest
) => Effect.Effect<Caller | Response, E, Exclude<R, HttpServerRequest.HttpServerRequest>>) => {
  const guarded = guard(admitted)
  return (request) => {
    const source = fromRequest(request)
    return Effect.provideService(guarded, HttpServerRequest.HttpServerRequest, source).pipe(
      Effect.map((response) =>
        response.body._tag === "Raw" && response.body.body instanceof Caller
          ? response.body.body
          : toResponse(response, source)
      )
    )
  }
}

/**
 * Authorizes a request of any framework. Its caller, or what to answer instead: a refusal, or the RFC 9728 document,
 * which is served at its well-known paths. Run it with a `ManagedRuntime`, and put the framework's CORS in front of it:
 * preflights carry no token.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { AuthConfig, JwtAuthorizer, WebHandlerAuth } from "effect-mcp-auth/server"
 * import * as Layer from "effect/Layer"
 * import * as ManagedRuntime from "effect/ManagedRuntime"
 *
 * const runtime = ManagedRuntime.make(
 *   JwtAuthorizer.layer().pipe(
 *     Layer.provide(FetchHttpClient.layer),
 *     Layer.provideMerge(
 *       AuthConfig.layer({
 *         resource: "https://mcp.example.com/mcp",
 *         authorizationServers: "https://as.example.com"
 *       })
 *     )
 *   )
 * )
 *
 * export const fetch = async (request: Request): Promise<Response> => {
 *   const caller = await runtime.runPromise(WebHandlerAuth.authorize(request), { signal: request.signal })
 *   return caller instanceof Response ? caller : new Response(`You are ${caller.claims.subject}`)
 * }
 * ```
 */
export const authorize: (
  request: Request | NodeRequest
) => Effect.Effect<Caller | Response, never, AuthConfig | Authorizer> = admit((app) =>
  HttpAppAuth.withMetadata(HttpAppAuth.middleware(app))
)

/**
 * The response to a refusal that comes later, from a handler: `InsufficientScope` of a tool, for one. `caller` is whom
 * {@link authorize} let through.
 *
 * @since 0.1.0
 * @category rendering
 */
export const respond = (
  request: Request | NodeRequest,
  error: AuthError,
  caller?: Claims
): Effect.Effect<Response, never, AuthConfig> => {
  const source = fromRequest(request)
  return Guard.respond(error, caller).pipe(
    Effect.provideService(HttpServerRequest.HttpServerRequest, source),
    Effect.map((response) => toResponse(response, source))
  )
}

/**
 * A web-standard handler that is told its caller. `fetch` of the official SDK's `createMcpHandler` is one, and so is
 * `handleRequest` of its transports.
 *
 * @since 0.1.0
 * @category models
 */
export type WebHandler<C = Caller> = (request: Request, caller: C) => Promise<Response>

/** Of the hop between handler and server, so not for the client: Node would keep a connection that it asked to close. */
const withoutHop = (response: Response): Response => {
  if (!response.headers.has("connection")) return response
  const headers = new Headers(response.headers)
  headers.delete("connection")
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers })
}

/** Of the connection, and the token: what a handler does not have it cannot pass on. */
const WITHHELD = ["authorization", "connection", "content-length", "transfer-encoding"]

/**
 * A web-standard handler as an app that needs the guard. Middleware that reads the body may go around it, such as
 * `OperationScopes`: the handler reads the same text, as one piece, and `JsonRpcBody` says what is too large, too slow or
 * no text. The URL it sees is the one of the configured resource, whatever `Host` says; that header is there to be checked.
 * `Authorization` is not: a server must not pass on the token it was given (MCP, token passthrough). The signal of its
 * request ends it when the client is gone, and its response is streamed. A handler that rejects is a bug, and answered
 * with 500.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { createMcpHandler, McpServer } from "@modelcontextprotocol/server"
 * import { HttpAppAuth, OperationScopes, WebHandlerAuth } from "effect-mcp-auth/server"
 *
 * const mcp = createMcpHandler(() => new McpServer({ name: "files", version: "1.0.0" }))
 * const scopes = new Map([["delete_file", ["files:write"]]])
 *
 * export const app = WebHandlerAuth.fromWebHandler(mcp.fetch).pipe(
 *   OperationScopes.middleware({ tool: (name) => scopes.get(name) ?? [] }),
 *   HttpAppAuth.middleware,
 *   HttpAppAuth.withMetadata
 * )
 * ```
 */
export const fromWebHandler = (handler: WebHandler): HttpApp.Default<InvalidRequest, AuthConfig | CurrentClaims> =>
  Effect.flatMap(current, (caller) => handled(handler, caller))

/**
 * The same for a handler that serves everybody and knows some, behind `HttpAppAuth.optional`: a caller without a token is
 * `undefined`. Which operations are for everybody says `OperationScopes.middlewareOptional`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromWebHandlerOptional = (
  handler: WebHandler<Caller | undefined>
): HttpApp.Default<InvalidRequest, AuthConfig | OptionalClaims> =>
  Effect.flatMap(Effect.zip(OptionalClaims, AuthConfig), ([claims, config]) =>
    handled(handler, Option.getOrUndefined(Option.map(claims, (known) => callerOf(known, config))))
  )

const handled = <C>(handler: WebHandler<C>, caller: C): HttpApp.Default<InvalidRequest, AuthConfig> =>
  Effect.gen(function* () {
    const { resource } = yield* AuthConfig
    const request = yield* HttpServerRequest.HttpServerRequest
    const { method } = request
    const path = RequestTarget.originForm(request.url)
    // What is no path, such as the `*` of an OPTIONS, would become part of the host.
    if (!path.startsWith("/")) return yield* new InvalidRequest({ description: "the request target must be a path" })
    const text = method === "GET" || method === "HEAD" ? "" : yield* JsonRpcBody.text(request)
    const target = new URL(resource).origin + path
    const headers = PlatformHeaders.remove(request.headers, WITHHELD)
    const source = yield* Effect.try({
      try: () => new Request(target, { method, headers, body: text === "" ? null : text }),
      catch: () => new InvalidRequest({ description: "the request cannot be read" })
    })
    const response = yield* Effect.promise((signal) => handler(new Request(source, { signal }), caller))
    return HttpServerResponse.fromWeb(withoutHop(response))
    // The platform runs apps uninterruptibly, and leaves it to them what a client that leaves may end.
  }).pipe(Effect.interruptible)
