/**
 * An MCP session belongs to whoever started it.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Base64Url from "../protocol/Base64Url.js"
import { ServerError } from "./AuthError.js"
import { CurrentClaims } from "./Claims.js"
import { SessionStore, type SessionStoreError } from "./SessionStore.js"

/**
 * There is no such session, or it is not the caller's. Which of the two nobody is told.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionNotFound extends Schema.TaggedError<SessionNotFound>("effect-mcp-auth/server/SessionNotFound")(
  "SessionNotFound",
  {}
) {
  override get message(): string {
    return "Session not found"
  }
}

/**
 * The answer to {@link SessionNotFound}: 404, by which a client knows that it has to start another session, and the body
 * that the official SDK has for it.
 *
 * @since 0.1.0
 * @category rendering
 */
export const notFound: HttpServerResponse.HttpServerResponse = HttpServerResponse.unsafeJson(
  { jsonrpc: "2.0", error: { code: -32001, message: "Session not found" }, id: null },
  { status: 404, headers: { "cache-control": "no-store" } }
)

/** Visible ASCII (Streamable HTTP, session management), and no longer than a header reasonably is. */
const isSessionId = (value: string): boolean => /^[\x21-\x7e]{1,4096}$/.test(value)

/**
 * The session and its owner as the store knows them. Issuer, subject and client stay the same when a token is renewed;
 * with the session ID among them, an owner cannot be guessed from the digest.
 */
const digests = (sessionId: string): Effect.Effect<readonly [session: string, owner: string], never, CurrentClaims> =>
  Effect.flatMap(CurrentClaims, ({ clientId, issuer, subject }) =>
    Effect.promise(() =>
      Promise.all([
        Base64Url.sha256(sessionId),
        Base64Url.sha256(JSON.stringify([sessionId, issuer, subject, clientId ?? null]))
      ])
    )
  )

const outage = (cause: SessionStoreError) => new ServerError({ retryAfter: 1, cause })

/**
 * Goes on only where the session belongs to the caller. A session that nobody has, one that somebody else has, and what
 * is no session ID at all fail alike; a store that cannot be asked fails with `ServerError`, a 503.
 *
 * @since 0.1.0
 * @category combinators
 */
export const verify = (
  sessionId: string
): Effect.Effect<void, SessionNotFound | ServerError, CurrentClaims | SessionStore> =>
  Effect.gen(function* () {
    if (!isSessionId(sessionId)) return yield* new SessionNotFound()
    const store = yield* SessionStore
    const owned = yield* Effect.mapError(store.owns(...(yield* digests(sessionId))), outage)
    if (!owned) return yield* new SessionNotFound()
  })

/**
 * Gives a new session to the caller. A session that belongs to somebody else, and an ID that no client could send, are
 * faults of the server behind, and fail with `ServerError`, a 500.
 *
 * @since 0.1.0
 * @category combinators
 */
export const bind = (sessionId: string): Effect.Effect<void, ServerError, CurrentClaims | SessionStore> =>
  Effect.gen(function* () {
    if (!isSessionId(sessionId)) {
      return yield* new ServerError({
        cause: new Error("The server made a session ID that is not 1 to 4096 of 0x21-0x7E")
      })
    }
    const store = yield* SessionStore
    const bound = yield* Effect.mapError(store.bind(...(yield* digests(sessionId))), outage)
    if (!bound)
      return yield* new ServerError({ cause: new Error("The server made a session ID that is another caller's") })
  })

/**
 * Forgets a session that the caller has ended. It is never a failure: what cannot be forgotten now is logged, and
 * forgotten when it was not used for long.
 *
 * @since 0.1.0
 * @category combinators
 */
export const release = (sessionId: string): Effect.Effect<void, never, CurrentClaims | SessionStore> =>
  Effect.gen(function* () {
    const store = yield* SessionStore
    yield* store.release(...(yield* digests(sessionId)))
  }).pipe(Effect.catchAll((error) => Effect.logWarning("A session that has ended is still bound", error)))

const header = "mcp-session-id"

/**
 * Puts an MCP server's sessions under its callers. A request with an `Mcp-Session-Id` reaches the app only where the
 * session is the caller's; the others are answered {@link notFound}. A session ID in a response is bound to its caller
 * before the caller sees it. A DELETE that the app has accepted releases the session.
 *
 * It belongs inside of the guard, which gives it the caller and answers its outages.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import type * as HttpApp from "@effect/platform/HttpApp"
 * import * as HttpServer from "@effect/platform/HttpServer"
 * import { HttpAppAuth, SessionBinding, SessionStore } from "effect-mcp-auth/server"
 * import * as Layer from "effect/Layer"
 *
 * declare const mcp: HttpApp.Default
 *
 * const app = mcp.pipe(SessionBinding.middleware, HttpAppAuth.middleware, HttpAppAuth.withMetadata)
 *
 * export const server = HttpServer.serve(app).pipe(Layer.provide(SessionStore.layerMemory()))
 * ```
 */
export const middleware = <E, R>(
  app: HttpApp.Default<E, R>
): HttpApp.Default<E | ServerError, R | CurrentClaims | SessionStore> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const presented = request.headers[header]
    const answer = Effect.tap(app, (response) => {
      const issued = response.headers[header]
      if (issued !== undefined && issued !== presented) return bind(issued)
      const ended = request.method === "DELETE" && response.status >= 200 && response.status < 300
      return ended && presented !== undefined ? release(presented) : Effect.void
    })
    return presented === undefined
      ? answer
      : Effect.matchEffect(verify(presented), {
          onFailure: (error) =>
            error._tag === "SessionNotFound"
              ? Effect.as(Effect.logDebug("Refused: SessionNotFound"), notFound)
              : Effect.fail(error),
          onSuccess: () => answer
        })
  })
