/**
 * An MCP session belongs to whoever started it.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Base64Url from "../protocol/Base64Url.js"
import { AuthConfig } from "./AuthConfig.js"
import { InsufficientScope, ServerError } from "./AuthError.js"
import { CurrentClaims } from "./Claims.js"
import { DecisionLog } from "./Decision.js"
import * as DecisionTelemetry from "./DecisionTelemetry.js"
import { SessionStore, type SessionStoreError, type Standing } from "./SessionStore.js"
import * as StreamExpiry from "./StreamExpiry.js"

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

type Own = Extract<Standing, { readonly _tag: "Own" }>
type NotOwn = Exclude<Standing, Own>

const isOwn = (standing: Standing): standing is Own => standing._tag === "Own"

/** Fails with how the caller stands to the session where it is not the caller's. */
const enter = (
  sessionId: string,
  scopes: ReadonlyArray<string>
): Effect.Effect<Own, NotOwn | ServerError, CurrentClaims | SessionStore> =>
  Effect.gen(function* () {
    if (!isSessionId(sessionId)) return yield* Effect.fail({ _tag: "Unknown" } as const)
    const store = yield* SessionStore
    const [session, owner] = yield* digests(sessionId)
    const standing = yield* Effect.mapError(store.use(session, owner, scopes), outage)
    return isOwn(standing) ? standing : yield* Effect.fail(standing)
  })

/** What a token is refreshed by is nothing that a session is used with, and no challenge may name it. */
const enterToUse = (sessionId: string) =>
  Effect.flatMap(CurrentClaims, ({ scopes }) =>
    enter(
      sessionId,
      scopes.filter((scope) => scope !== "offline_access")
    )
  )

const enterToRead = (sessionId: string) =>
  Effect.gen(function* () {
    const { scopes: required } = yield* enter(sessionId, [])
    const claims = yield* CurrentClaims
    if (!claims.hasScopes(required)) {
      return yield* new InsufficientScope({ required, description: "The session was used with more scopes than these" })
    }
  })

const hidden = <E extends { readonly _tag: string }>(error: E | NotOwn): Exclude<E, NotOwn> | SessionNotFound =>
  error._tag === "Unknown" || error._tag === "Foreign" ? new SessionNotFound() : (error as Exclude<E, NotOwn>)

/**
 * Goes on only where the session belongs to the caller, and notes with which scopes it is used. A session that nobody has,
 * one that somebody else has, and what is no session ID at all fail alike; a store that cannot be asked fails with
 * `ServerError`, a 503.
 *
 * @since 0.1.0
 * @category combinators
 */
export const verify = (
  sessionId: string
): Effect.Effect<void, SessionNotFound | ServerError, CurrentClaims | SessionStore> =>
  Effect.asVoid(Effect.mapError(enterToUse(sessionId), hidden))

/**
 * The same for a request that reads a session's streams (GET). What comes on them may have been made for any scope that the
 * session was used with, so a token of the same caller that lacks one of them fails with `InsufficientScope`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const verifyReader = (
  sessionId: string
): Effect.Effect<void, SessionNotFound | InsufficientScope | ServerError, CurrentClaims | SessionStore> =>
  Effect.mapError(enterToRead(sessionId), hidden)

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

/** How long a stream may go on that its reader may not read any more. */
const RECHECK = "1 minute"

/** Comes to its end when the caller may not read the session's streams any more. A store that is away ends nothing. */
const barred = (sessionId: string) =>
  enterToRead(sessionId).pipe(
    Effect.catchTag("ServerError", () => Effect.void),
    Effect.delay(RECHECK),
    Effect.forever,
    Effect.interruptible,
    Effect.catchAll((reason) => Effect.logDebug(`A stream has ended: ${reason._tag}`))
  )

const refuse = (standing: NotOwn) =>
  Effect.gen(function* () {
    yield* DecisionTelemetry.recordSession(standing._tag === "Foreign" ? "foreign" : "unknown", yield* CurrentClaims)
    yield* Effect.logDebug("Refused: SessionNotFound")
    return notFound
  })

type Services = AuthConfig | SessionStore
type OfRequest = CurrentClaims | HttpServerRequest.HttpServerRequest
type Source<RS> = <A, E>(effect: Effect.Effect<A, E, Services | OfRequest>) => Effect.Effect<A, E, RS | OfRequest>

/** `source` provides the services of this module, to it and to nothing of the app. */
const around =
  <RS>(source: Source<RS>) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | ServerError | InsufficientScope, R | RS | CurrentClaims> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, method }) => {
      const presented = headers[header]
      const answer = Effect.tap(app, (response) => {
        const issued = response.headers[header]
        if (issued !== undefined && issued !== presented) return source(bind(issued))
        const ended = method === "DELETE" && response.status >= 200 && response.status < 300
        return ended && presented !== undefined ? source(release(presented)) : Effect.void
      })
      if (presented === undefined) return answer
      const reads = method === "GET" || method === "HEAD"
      return Effect.matchEffect(
        source<unknown, NotOwn | ServerError | InsufficientScope>(
          reads ? enterToRead(presented) : enterToUse(presented)
        ),
        {
          onFailure: (error) =>
            error._tag === "Unknown" || error._tag === "Foreign" ? source(refuse(error)) : Effect.fail(error),
          onSuccess: () =>
            reads
              ? Effect.flatMap(answer, (response) => StreamExpiry.until(response, source(barred(presented))))
              : answer
        }
      )
    })

/**
 * Puts an MCP server's sessions under its callers. A request with an `Mcp-Session-Id` reaches the app only where the
 * session is the caller's; the others are answered {@link notFound}, and are on record ({@link DecisionLog}) with what the
 * caller is not told. A session ID in a response is bound to its caller before the caller sees it. A DELETE that the app
 * has accepted releases the session.
 *
 * A GET reads the session's streams: it needs all scopes that the session was used with, and its stream ends within a
 * minute where it has them no longer, or the session has ended.
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
export const middleware: <E, R>(
  app: HttpApp.Default<E, R>
) => HttpApp.Default<E | ServerError | InsufficientScope, R | AuthConfig | CurrentClaims | SessionStore> =
  around<Services>((effect) => effect)

/**
 * The same for routes of an `HttpLayerRouter`, to be combined with the guard:
 * `SessionBinding.routerMiddleware.combine(HttpLayerRouterAuth.middleware).layer`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const routerMiddleware = HttpLayerRouter.middleware(
  Effect.gen(function* () {
    const services = Context.make(SessionStore, yield* SessionStore).pipe(
      Context.add(AuthConfig, yield* AuthConfig),
      Context.add(DecisionLog, yield* DecisionLog)
    )
    return around<never>((effect) => Effect.provide(effect, services))
  })
)
