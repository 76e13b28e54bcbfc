/**
 * Streams and long calls that end when the caller's access does: at the token's expiry, or when it is revoked.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Scopes from "../protocol/Scopes.js"
import type { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import type { Authorizer } from "./Authorizer.js"
import { type Claims, CurrentClaims } from "./Claims.js"
import * as Gate from "./Gate.js"
import * as Guard from "./Guard.js"

/**
 * When access ends while a request is under way.
 *
 * `margin`: so long before its expiry a token counts as expired here, also for a call that is only about to begin; zero by
 * default. It has to be less than tokens live.
 *
 * `recheckEvery`: how often the authorizer is asked again with the same credentials; a minute by default, a second at the
 * least. Nothing but this notices a revocation, so with `Duration.infinity` access ends at expiry alone, and never where the
 * token names none. An authorizer that remembers (`CachedAuthorizer`) notices it so much later.
 *
 * `outage`: how long it goes on while the authorizer cannot decide; five minutes by default, and never beyond expiry.
 *
 * `calls`: what becomes of a call that has not been answered. `"Interrupt"`, the default, ends its handler and answers 401;
 * `"Finish"` lets it come to its end, for calls that take longer than tokens live.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly margin?: Duration.DurationInput | undefined
  readonly recheckEvery?: Duration.DurationInput | undefined
  readonly outage?: Duration.DurationInput | undefined
  readonly calls?: "Interrupt" | "Finish" | undefined
}

type Services = CurrentClaims | AuthConfig | Authorizer | HttpServerRequest.HttpServerRequest

const expired = new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" })

/** When a token counts as expired, in milliseconds; never where it names no expiry. */
const endOf = ({ expiresAt }: Claims, options: Options): number =>
  expiresAt === undefined ? Number.POSITIVE_INFINITY : expiresAt * 1000 - Duration.toMillis(options.margin ?? 0)

const hasEnded = (claims: Claims, options: Options, now: number): boolean => !(now < endOf(claims, options))

/** Who asks again is to be who asked, with all that was granted then: what runs was decided by that. */
const changed = (before: Claims, after: Claims): AuthError.InvalidToken | undefined =>
  before.issuer !== after.issuer || before.subject !== after.subject || before.clientId !== after.clientId
    ? new AuthError.InvalidToken({ reason: "claims", detail: "the token is somebody else's by now" })
    : Scopes.missing(before.scopes, after.scopes).length > 0
      ? new AuthError.InvalidToken({ reason: "inactive", detail: "the token lost scopes while it was in use" })
      : undefined

/** An authorizer is not asked more often, whatever the options say. */
const SHORTEST_RECHECK = Duration.toMillis("1 second")

/** No timer runs longer: some clocks drop what is further ahead than 24 days. */
const LONGEST_SLEEP = Duration.toMillis("1 day")

/**
 * Waits until the caller's access ends, and gives the reason. What interrupts it takes its timer away.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lapse = (options: Options = {}): Effect.Effect<AuthError.AuthError, never, Services> =>
  Effect.gen(function* () {
    const every = Math.max(SHORTEST_RECHECK, Duration.toMillis(options.recheckEvery ?? "1 minute"))
    const outage = Duration.toMillis(options.outage ?? "5 minutes")
    const caller = yield* CurrentClaims
    let claims = caller
    let asked = yield* Clock.currentTimeMillis
    let decided = asked
    for (;;) {
      const now = yield* Clock.currentTimeMillis
      if (hasEnded(claims, options, now)) return expired
      if (now - asked < every) {
        yield* Effect.sleep(Math.min(endOf(claims, options) - now, asked + every - now, LONGEST_SLEEP))
        continue
      }
      asked = now
      const answer = yield* Effect.either(Guard.authorize)
      if (answer._tag === "Right") {
        const other = changed(caller, answer.right)
        if (other !== undefined) return other
        claims = answer.right
        decided = now
      } else if (answer.left._tag !== "ServerError" || now - decided >= outage) {
        return answer.left
      }
    }
  }).pipe(Effect.interruptible)

/**
 * A body of the web platform that ends when `ended` does: cleanly, also in the middle of a wait, and with its source
 * cancelled. For adapters that have a `Response` and no `HttpServerResponse`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const endWhen = <R>(
  body: ReadableStream<Uint8Array>,
  ended: Effect.Effect<unknown, never, R>
): Effect.Effect<ReadableStream<Uint8Array>, never, R> =>
  Stream.toReadableStreamEffect(Stream.interruptWhen(fromWeb(body), ended))

const fromWeb = (body: ReadableStream<Uint8Array>): Stream.Stream<Uint8Array, unknown> =>
  Stream.fromReadableStream(
    () => body,
    (cause) => cause
  )

/**
 * The bytes that a response has not made yet; `undefined` where all of it is there. What a runtime calls a stream of its own
 * cannot be ended while it is waited for.
 */
const bytesOf = ({
  body
}: HttpServerResponse.HttpServerResponse): Stream.Stream<Uint8Array, unknown> | undefined | AuthError.ServerError => {
  if (body._tag === "Stream") return body.stream
  if (body._tag !== "Raw" || typeof body.body !== "object" || body.body === null) return undefined
  if (body.body instanceof ReadableStream) return fromWeb(body.body)
  return "pipe" in body.body
    ? new AuthError.ServerError({ cause: new Error("a raw body of the runtime cannot be ended: make it a Stream") })
    : undefined
}

/** What a platform sends as it is, as a response whose body is at hand. */
const opened = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse =>
  response.body._tag === "Raw" && response.body.body instanceof Response
    ? HttpServerResponse.setHeaders(HttpServerResponse.fromWeb(response.body.body), response.headers)
    : response

const ending = <R>(
  response: HttpServerResponse.HttpServerResponse,
  bytes: Stream.Stream<Uint8Array, unknown>,
  ended: Effect.Effect<unknown, never, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  Effect.map(Effect.context<R>(), (context) => {
    const { contentLength, contentType } = response.body
    const stream = Stream.interruptWhen(bytes, Effect.provide(ended, context))
    return HttpServerResponse.setBody(response, HttpBody.stream(stream, contentType, contentLength))
  })

/**
 * A response whose stream ends when `ended` does, if it has one that can be ended.
 *
 * @internal
 */
export const until = <R>(
  response: HttpServerResponse.HttpServerResponse,
  ended: Effect.Effect<unknown, never, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> => {
  const whole = opened(response)
  const bytes = bytesOf(whole)
  return bytes === undefined || AuthError.isAuthError(bytes) ? Effect.succeed(response) : ending(whole, bytes, ended)
}

/** Keeps a request and its answer within the caller's access. */
const within = <E, R, L>(
  app: HttpApp.Default<E, R>,
  options: Options,
  lapsed: Effect.Effect<AuthError.AuthError, never, L>,
  services: Context.Context<AuthConfig>
): HttpApp.Default<E | AuthError.AuthError, R | L | CurrentClaims> =>
  Effect.gen(function* () {
    const claims = yield* CurrentClaims
    const interrupts = options.calls !== "Finish"
    const refuseEnded = Effect.filterOrFail(
      Clock.currentTimeMillis,
      (now) => !hasEnded(claims, options, now),
      () => expired
    )
    if (interrupts) yield* refuseEnded
    const response = opened(
      yield* interrupts ? Effect.interruptible(Effect.raceFirst(app, Effect.flatMap(lapsed, Effect.fail))) : app
    )
    const bytes = bytesOf(response)
    if (bytes === undefined) return response
    if (AuthError.isAuthError(bytes)) return yield* bytes
    // Not a stream that ends where it begins: a client that is told 401 gets a new token, and would else just come again.
    yield* refuseEnded
    const told = (reason: AuthError.AuthError) => Effect.provide(Guard.refusal(reason, claims), services)
    return yield* ending(response, bytes, Effect.tap(lapsed, told))
  })

/**
 * Puts an app's streams and long calls under {@link Options}. It belongs inside of the guard. A stream ends cleanly, so that
 * a client comes again, is told 401, and renews its token; nothing of it runs on once its client has gone.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import type * as HttpApp from "@effect/platform/HttpApp"
 * import { HttpAppAuth, StreamExpiry } from "effect-mcp-auth/server"
 *
 * declare const mcp: HttpApp.Default
 *
 * export const app = mcp.pipe(
 *   StreamExpiry.middleware({ margin: "10 seconds", recheckEvery: "1 minute" }),
 *   HttpAppAuth.middleware,
 *   HttpAppAuth.withMetadata
 * )
 * ```
 */
export const middleware =
  (options: Options = {}) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E | AuthError.AuthError, R | Services> =>
    Effect.flatMap(Effect.context<AuthConfig>(), (services) => within(app, options, lapse(options), services))

/**
 * The same for routes of an `HttpLayerRouter`, to be combined with the guard:
 * `StreamExpiry.routerMiddleware({}).combine(HttpLayerRouterAuth.middleware).layer`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const routerMiddleware = (options: Options = {}) =>
  HttpLayerRouter.middleware(
    Effect.map(
      Gate.services,
      (services) => (handler) => within(handler, options, Effect.provide(lapse(options), services), services)
    )
  )
