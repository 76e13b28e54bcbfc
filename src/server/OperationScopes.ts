/**
 * Which scopes the operations of an MCP server need, checked on the HTTP request before the server sees it, whichever
 * library serves MCP behind the guard.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AuthConfig } from "./AuthConfig.js"
import type * as AuthError from "./AuthError.js"
import type * as Challenge from "./Challenge.js"
import { type Claims, CurrentClaims, OptionalClaims } from "./Claims.js"
import * as Guard from "./Guard.js"
import * as JsonRpcBody from "./JsonRpcBody.js"
import * as McpOperation from "./McpOperation.js"
import * as ScopeRequirement from "./ScopeRequirement.js"

/**
 * What a named tool, resource or prompt needs beyond what the configuration requires of every request; nothing where the
 * result is an empty list. Resources are named by URI, templates in a completion by their template: tell URIs apart as
 * your server does.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperationScopes<Need = ScopeRequirement.Requirement> {
  readonly tool?: ((name: string) => Need) | undefined
  readonly resource?: ((uri: string) => Need) | undefined
  readonly prompt?: ((name: string) => Need) | undefined
}

/**
 * The need of an operation that serves callers without a token as well. An empty list is not that: it asks for a token,
 * and for no scope.
 *
 * @since 0.1.0
 * @category constants
 */
export const open = "Open"

/**
 * The same for a server with public operations: those are {@link open}, and every other one asks for a token.
 *
 * @since 0.1.0
 * @category models
 */
export type OptionalOperationScopes = OperationScopes<ScopeRequirement.Requirement | typeof open>

/**
 * How a call of a tool is refused: `Challenge` is the HTTP answer that the MCP specification asks for. `ToolResult` is a
 * result of the tool that carries the same challenge where ChatGPT looks for it; a batch, a notification, a resource and
 * a prompt have no such result and are answered as by `Challenge`.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusal = "Challenge" | "ToolResult"

/** Whatever else has a body may be served as POST is. */
const BODILESS: ReadonlyArray<string> = ["GET", "HEAD", "DELETE", "OPTIONS"]

const judge = (
  need: ScopeRequirement.Requirement | typeof open,
  asked: ScopeRequirement.Operation,
  caller?: Claims
) => {
  if (caller !== undefined) return ScopeRequirement.judge(need === open ? [] : need, asked, caller)
  return Effect.succeed(need === open ? { required: [] } : ScopeRequirement.judgeAnonymous(need))
}

const checkFor = (scopes: OptionalOperationScopes, caller: Claims | undefined) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    BODILESS.includes(request.method)
      ? Effect.void
      : Effect.gen(function* () {
          const body = yield* JsonRpcBody.json(request)
          const verdicts = yield* Effect.forEach(McpOperation.all(body), (asked) =>
            judge(scopes[asked.kind]?.(asked.name) ?? [], asked, caller)
          )
          const isOdd = caller === undefined && !McpOperation.isKnown(body)
          const refusal = ScopeRequirement.refusalOf(
            isOdd ? [...verdicts, ScopeRequirement.judgeAnonymous([])] : verdicts
          )
          if (refusal !== undefined) return yield* Effect.fail(refusal)
        })
  )

/**
 * Checks the request at hand: fails with `InsufficientScope` naming all scopes of its operations where the caller lacks
 * one, with whatever a decision refuses with, and with `InvalidRequest` where the body cannot be read for certain
 * ({@link JsonRpcBody}). The request keeps the text of its body, so the MCP server behind reads the very same.
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = (
  scopes: OperationScopes
): Effect.Effect<void, AuthError.AuthError, CurrentClaims | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(CurrentClaims, (claims) => checkFor(scopes, claims))

/**
 * The same for a request whose caller may be unknown: it fails with `Missing`, naming the scopes to sign in for, where one
 * without a token asks for an operation that is not {@link open}.
 *
 * @since 0.1.0
 * @category combinators
 */
export const checkOptional = (
  scopes: OptionalOperationScopes
): Effect.Effect<void, AuthError.AuthError, OptionalClaims | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(OptionalClaims, (claims) => checkFor(scopes, Option.getOrUndefined(claims)))

/**
 * A refusal as the result of a tool, with the challenge where ChatGPT looks for it: in `_meta["mcp/www_authenticate"]`, a
 * list.
 *
 * @since 0.1.0
 * @category rendering
 */
export const toolResult = ({ body, wwwAuthenticate }: Challenge.Refusal) => ({
  isError: true,
  content: [{ type: "text" as const, text: `${body.error}: ${body.error_description}` }],
  _meta: { "mcp/www_authenticate": wwwAuthenticate === undefined ? [] : [wwwAuthenticate] }
})

const answer = (
  error: AuthError.AuthError,
  caller: Claims | undefined
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  AuthError.AuthError,
  AuthConfig | HttpServerRequest.HttpServerRequest
> =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* JsonRpcBody.json(request)
    const id = McpOperation.toolCallId(body)
    if (id === undefined || error._tag === "ServerError") return yield* Effect.fail(error)
    const result = toolResult(yield* Guard.refusal(error, caller))
    // Revision 2026-07-28 wants to be told that this is all; those before pass over it.
    return HttpServerResponse.unsafeJson({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } })
  })

/**
 * How calls of tools are refused, as `Challenge` by default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly refusal?: Refusal | undefined
}

const around = <E, R>(
  app: HttpApp.Default<E, R>,
  scopes: OptionalOperationScopes,
  caller: Claims | undefined,
  options: Options | undefined
): HttpApp.Default<E | AuthError.AuthError, R | AuthConfig> =>
  Effect.matchEffect(checkFor(scopes, caller), {
    onFailure: (error) => (options?.refusal === "ToolResult" ? answer(error, caller) : Effect.fail(error)),
    onSuccess: () => app
  })

/**
 * Puts {@link check} in front of an app, inside of the guard.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import type * as HttpApp from "@effect/platform/HttpApp"
 * import { HttpAppAuth, OperationScopes } from "effect-mcp-auth/server"
 *
 * declare const mcp: HttpApp.Default
 *
 * const scopes = new Map([["delete_file", ["files:write"]]])
 *
 * export const app = mcp.pipe(
 *   OperationScopes.middleware({ tool: (name) => scopes.get(name) ?? [] }),
 *   HttpAppAuth.middleware,
 *   HttpAppAuth.withMetadata
 * )
 * ```
 */
export const middleware =
  (scopes: OperationScopes, options?: Options) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | AuthError.AuthError, R | CurrentClaims | AuthConfig> =>
    Effect.flatMap(CurrentClaims, (claims) => around(app, scopes, claims, options))

/**
 * Puts {@link checkOptional} in front of an app, inside of `HttpAppAuth.optional`.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import { createMcpHandler, McpServer } from "@modelcontextprotocol/server"
 * import { HttpAppAuth, OperationScopes, WebHandlerAuth } from "effect-mcp-auth/server"
 *
 * const mcp = createMcpHandler(() => new McpServer({ name: "posts", version: "1.0.0" }))
 * const needs = (tool: string) => (tool === "search" ? OperationScopes.open : [])
 *
 * // Everybody may search. Every other tool, also one that is added later, needs a token.
 * export const app = WebHandlerAuth.fromWebHandlerOptional(mcp.fetch).pipe(
 *   OperationScopes.middlewareOptional({ tool: needs }),
 *   HttpAppAuth.optional,
 *   HttpAppAuth.withMetadata
 * )
 * ```
 */
export const middlewareOptional =
  (scopes: OptionalOperationScopes, options?: Options) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | AuthError.AuthError, R | OptionalClaims | AuthConfig> =>
    Effect.flatMap(OptionalClaims, (claims) => around(app, scopes, Option.getOrUndefined(claims), options))
