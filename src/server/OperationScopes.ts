/**
 * Which scopes the operations of an MCP server need, checked on the HTTP request before the server sees it, whichever
 * library serves MCP behind the guard.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Scopes from "../protocol/Scopes.js"
import { InsufficientScope, InvalidRequest } from "./AuthError.js"
import { CurrentClaims } from "./Claims.js"

/**
 * The scopes that a named tool, resource or prompt needs, all of them; nothing for one that needs no more than the
 * configuration requires of every request. Resources are named by URI.
 *
 * @since 0.1.0
 * @category models
 */
export interface OperationScopes {
  readonly tool?: ((name: string) => ReadonlyArray<string>) | undefined
  readonly resource?: ((uri: string) => ReadonlyArray<string>) | undefined
  readonly prompt?: ((name: string) => ReadonlyArray<string>) | undefined
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

const ofMessage = (message: unknown, scopes: OperationScopes): ReadonlyArray<string> => {
  const params = field(message, "params")
  const named = (lookup: ((name: string) => ReadonlyArray<string>) | undefined, key: string): ReadonlyArray<string> => {
    const name = field(params, key)
    return lookup !== undefined && typeof name === "string" ? lookup(name) : []
  }
  switch (field(message, "method")) {
    case "tools/call":
      return named(scopes.tool, "name")
    case "resources/read":
    case "resources/subscribe":
      return named(scopes.resource, "uri")
    case "prompts/get":
      return named(scopes.prompt, "name")
    default:
      return []
  }
}

/**
 * The scopes that a JSON-RPC body needs: those of every message, because each message of a batch is served.
 *
 * @since 0.1.0
 * @category destructors
 */
export const required = (body: unknown, scopes: OperationScopes): ReadonlyArray<string> =>
  Scopes.union(...(Array.isArray(body) ? body : [body]).map((message) => ofMessage(message, scopes)))

const parseJson = (text: string): unknown => {
  try {
    // Some parsers pass over a byte order mark: what they find behind it counts.
    return JSON.parse(text.replace(/^\ufeff/, ""))
  } catch {
    return undefined
  }
}

/**
 * Checks the request at hand: fails with `InsufficientScope` naming all scopes of the operation where the caller lacks
 * one, and with `InvalidRequest` where the body cannot be read. The request keeps the text of its body, so the MCP server
 * behind reads the very same. A body that is no JSON needs no scope: no operation is in it, and the MCP server says what is
 * wrong with it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = (
  scopes: OperationScopes
): Effect.Effect<void, InsufficientScope | InvalidRequest, CurrentClaims | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    request.method !== "POST"
      ? Effect.void
      : Effect.gen(function* () {
          const claims = yield* CurrentClaims
          const text = yield* Effect.mapError(
            request.text,
            () => new InvalidRequest({ description: "the body of the request cannot be read" })
          )
          const needed = required(parseJson(text), scopes)
          if (!claims.hasScopes(needed)) return yield* new InsufficientScope({ required: needed })
        })
  )

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
  (scopes: OperationScopes) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | InsufficientScope | InvalidRequest, R | CurrentClaims> =>
    Effect.zipRight(check(scopes), app)
