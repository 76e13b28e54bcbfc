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
import type { AuthConfig } from "./AuthConfig.js"
import type * as AuthError from "./AuthError.js"
import type * as Challenge from "./Challenge.js"
import { type Claims, CurrentClaims } from "./Claims.js"
import * as Guard from "./Guard.js"
import * as JsonRpcBody from "./JsonRpcBody.js"
import * as ScopeRequirement from "./ScopeRequirement.js"

/**
 * What a named tool, resource or prompt needs beyond what the configuration requires of every request; nothing where the
 * result is an empty list. Resources are named by URI, templates in a completion by their template: tell URIs apart as
 * your server does.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperationScopes {
  readonly tool?: ((name: string) => ScopeRequirement.Requirement) | undefined
  readonly resource?: ((uri: string) => ScopeRequirement.Requirement) | undefined
  readonly prompt?: ((name: string) => ScopeRequirement.Requirement) | undefined
}

/**
 * How a call of a tool is refused: `Challenge` is the HTTP answer that the MCP specification asks for. `ToolResult` is a
 * result of the tool that carries the same challenge where ChatGPT looks for it; a batch, a notification, a resource and
 * a prompt have no such result and are answered as by `Challenge`.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusal = "Challenge" | "ToolResult"

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

const named = (
  kind: ScopeRequirement.Operation["kind"],
  name: unknown,
  args: Readonly<Record<string, unknown>>
): ScopeRequirement.Operation | undefined => (typeof name === "string" ? { kind, name, arguments: args } : undefined)

/** A completion tells what there is, so it needs what the prompt or the resource needs. */
const completed = (params: unknown): ScopeRequirement.Operation | undefined => {
  const ref = field(params, "ref")
  const argument = field(params, "argument")
  const name = field(argument, "name")
  const args = {
    ...record(field(field(params, "context"), "arguments")),
    ...(typeof name === "string" ? { [name]: field(argument, "value") } : {})
  }
  return field(ref, "type") === "ref/prompt"
    ? named("prompt", field(ref, "name"), args)
    : named("resource", field(ref, "uri"), args)
}

/**
 * The operation that a JSON-RPC request asks for, if it asks for one.
 *
 * @since 0.1.0
 * @category destructors
 */
export const operation = (method: unknown, params: unknown): ScopeRequirement.Operation | undefined => {
  switch (method) {
    case "tools/call":
      return named("tool", field(params, "name"), record(field(params, "arguments")))
    case "resources/read":
    case "resources/subscribe":
      return named("resource", field(params, "uri"), {})
    case "prompts/get":
      return named("prompt", field(params, "name"), record(field(params, "arguments")))
    case "completion/complete":
      return completed(params)
    default:
      return undefined
  }
}

/** Revision 2026-07-28 subscribes to any number of resources with one request. */
const subscribed = (params: unknown): ReadonlyArray<ScopeRequirement.Operation> => {
  const uris = field(field(params, "notifications"), "resourceSubscriptions")
  return Array.isArray(uris) ? uris.flatMap((uri) => named("resource", uri, {}) ?? []) : []
}

/**
 * The operations that a JSON-RPC body asks for: those of every message, because each message of a batch is served.
 *
 * @since 0.1.0
 * @category destructors
 */
export const operations = (body: unknown): ReadonlyArray<ScopeRequirement.Operation> =>
  (Array.isArray(body) ? body : [body]).flatMap((message) => {
    const [method, params] = [field(message, "method"), field(message, "params")]
    return method === "subscriptions/listen" ? subscribed(params) : (operation(method, params) ?? [])
  })

/** Whatever else has a body may be served as POST is. */
const BODILESS: ReadonlyArray<string> = ["GET", "HEAD", "DELETE", "OPTIONS"]

const refusalOf = (body: unknown, scopes: OperationScopes, claims: Claims) =>
  Effect.map(
    Effect.forEach(operations(body), (asked) =>
      ScopeRequirement.judge(scopes[asked.kind]?.(asked.name) ?? [], asked, claims)
    ),
    ScopeRequirement.refusalOf
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
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    BODILESS.includes(request.method)
      ? Effect.void
      : Effect.gen(function* () {
          const claims = yield* CurrentClaims
          const body = yield* JsonRpcBody.json(request)
          const refusal = yield* refusalOf(body, scopes, claims)
          if (refusal !== undefined) return yield* Effect.fail(refusal)
        })
  )

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

/** The id of the one call of a tool that a body is, if a result can answer it. */
const callId = (body: unknown): string | number | undefined => {
  const id = field(body, "id")
  return field(body, "method") === "tools/call" && (typeof id === "string" || typeof id === "number") ? id : undefined
}

const answer = (
  error: AuthError.AuthError
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  AuthError.AuthError,
  AuthConfig | CurrentClaims | HttpServerRequest.HttpServerRequest
> =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* JsonRpcBody.json(request)
    const id = callId(body)
    if (id === undefined || error._tag === "ServerError") return yield* Effect.fail(error)
    const result = toolResult(yield* Guard.refusal(error, yield* CurrentClaims))
    // Revision 2026-07-28 wants to be told that this is all; those before pass over it.
    return HttpServerResponse.unsafeJson({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } })
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
  (scopes: OperationScopes, options?: { readonly refusal?: Refusal | undefined }) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | AuthError.AuthError, R | CurrentClaims | AuthConfig> =>
    Effect.matchEffect(check(scopes), {
      onFailure: options?.refusal === "ToolResult" ? answer : Effect.fail,
      onSuccess: () => app
    })
