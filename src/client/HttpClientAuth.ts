/**
 * Puts access tokens in front of an `HttpClient`: attached to every request for the resource, renewed when it refuses.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import { displayUrl } from "../discovery/GuardedHttp.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import type { AccessToken } from "./AccessToken.js"
import { AccessRefused, type ClientError, fail } from "./ClientError.js"
import * as Refusal from "./Refusal.js"
import * as TokenSource from "./TokenSource.js"

/**
 * How often one request may be renewed for, {@link defaultSchedule} by default; the schedule is fed the refusals and may
 * delay. `resource` narrows where tokens go, and never widens it: that of the token source is where they go at most.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly schedule?: Schedule.Schedule<unknown, Refusal.Refusal> | undefined
  readonly resource?: string | undefined
}

/**
 * Two renewals, so three requests at most: one for the token, one for its scopes.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultSchedule: Schedule.Schedule<number> = Schedule.recurs(2)

/** The loop ended with this response; what becomes of it is for each adapter to say. */
class Stopped extends Data.TaggedError("Stopped")<{
  readonly response: HttpClientResponse.HttpClientResponse
  readonly error: AccessRefused
}> {}

/** Whether a body can be sent a second time; a stream may have been used up by the first. */
const isReplayable = (body: HttpBody.HttpBody): boolean => {
  if (body._tag !== "Raw") return body._tag !== "Stream"
  const raw = body.body
  return (
    typeof raw === "string" ||
    raw instanceof ArrayBuffer ||
    ArrayBuffer.isView(raw) ||
    raw instanceof URLSearchParams ||
    raw instanceof Blob ||
    raw instanceof FormData
  )
}

/** Reads the little that a refusal says, so that the connection can be used again; a long one is cut off. */
const discard = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  response.stream.pipe(
    Stream.mapAccum(0, (size, chunk) => [size + chunk.byteLength, size + chunk.byteLength]),
    Stream.takeUntil((size) => size > 64 * 1024),
    Stream.runDrain,
    Effect.timeoutOption("1 second"),
    Effect.ignore
  )

const attach = (request: HttpClientRequest.HttpClientRequest, token: Option.Option<AccessToken>) =>
  Option.match(token, {
    onNone: () => request,
    onSome: ({ type, value }) =>
      HttpClientRequest.setHeader(request, "authorization", `${type} ${Redacted.value(value)}`)
  })

/** A redirect is an answer like any other: where it leads, the token does not follow. */
const withoutRedirects = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.serviceOption(FetchHttpClient.RequestInit), (init) =>
    Effect.provideService(effect, FetchHttpClient.RequestInit, {
      ...Option.getOrUndefined(init),
      redirect: "manual"
    })
  )

const refused = (refusal: Refusal.Refusal, reason: "Exhausted" | "BodyNotReplayable", detail: string, rule: string) => {
  const { status, url } = refusal
  const scopes = Refusal.scopes(refusal)
  return fail((trace) => new AccessRefused({ url: displayUrl(url), status, reason, scopes, detail, rule, trace }))
}

/** The one loop; every adapter is a way of writing its failures down. */
const send = <E, R>(
  client: HttpClient.HttpClient.With<E, R>,
  source: Context.Tag.Service<typeof TokenSource.TokenSource>,
  options: Options | undefined,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientResponse.HttpClientResponse, E | ClientError | Stopped, R> =>
  Effect.gen(function* () {
    const target = UrlParams.makeUrl(request.url, request.urlParams, request.hash)
    const { resource } = options ?? {}
    const isCovered =
      Either.isRight(target) &&
      ResourceIdentifier.covers(source.resource, target.right.href) &&
      (resource === undefined || ResourceIdentifier.covers(resource, target.right.href))
    if (!isCovered) {
      return yield* client.execute(request)
    }
    const url = target.right.href
    const attempt = (token: Option.Option<AccessToken>) =>
      Effect.map(withoutRedirects(client.execute(attach(request, token))), (response) => {
        const { headers, status } = response
        const refusal = Refusal.fromResponse({ status, wwwAuthenticate: headers["www-authenticate"], url })
        return { response, refusal, token }
      })
    const first = yield* Effect.flatMap(source.current, attempt)
    if (Option.isNone(first.refusal)) return first.response
    const driver = yield* Schedule.driver(options?.schedule ?? defaultSchedule)
    const renewing = Effect.gen(function* () {
      let last = first
      for (let renewals = 0; Option.isSome(last.refusal); renewals++) {
        const { response, token } = last
        const refusal: Refusal.Refusal = { ...last.refusal.value, renewals }
        const goesOn = yield* Effect.isSuccess(driver.next(refusal))
        if (!goesOn) {
          const detail = `still answered ${refusal.status} after ${renewals} renewals`
          const rule = "MCP authorization, step-up: a few attempts, then a failure"
          return yield* Effect.catchAll(refused(refusal, "Exhausted", detail, rule), (error) =>
            Effect.fail(new Stopped({ response, error }))
          )
        }
        yield* discard(response)
        const renewed = yield* source.renew(refusal, token)
        if (!isReplayable(request.body)) {
          const detail = "the token was renewed, but the body of the request is a stream and cannot be sent again"
          return yield* refused(refusal, "BodyNotReplayable", detail, "RFC 9110 section 9.2.2")
        }
        last = yield* attempt(Option.some(renewed))
      }
      return last.response
    })
    return yield* DiscoveryTrace.collect(() => renewing)
  })

/**
 * A client that authorizes its requests. To a request for the resource it attaches the current token. When the answer is
 * a 401, or a 403 that says `insufficient_scope`, it renews the token and sends the request again with the new one, as
 * often as the schedule allows; after that it fails with `AccessRefused` (`Exhausted`), because a response that looks
 * like one of the application's would hide that nothing more can be done. Every other answer is handed on as it is,
 * a redirect too: it is not followed with a token. Requests for anything else are not touched.
 *
 * A body that is a stream cannot be sent twice: the token is renewed, and the request fails with `BodyNotReplayable`.
 *
 * It is a boundary: what is mapped onto the resulting client (`mapRequest`, `retry`) runs once per request, and the token
 * is attached inside. Apply `prependUrl` to the result and not to the client that goes in, so that the URL can be seen,
 * and give it no client that follows redirects by itself.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import * as HttpClient from "@effect/platform/HttpClient"
 * import { HttpClientAuth } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * const call = Effect.gen(function* () {
 *   const client = (yield* HttpClient.HttpClient).pipe(HttpClientAuth.transform({ schedule: Schedule.recurs(1) }))
 *   return yield* client.get("https://mcp.example.com/mcp")
 * })
 * ```
 */
export const transform =
  (options?: Options) =>
  <E, R>(
    client: HttpClient.HttpClient.With<E, R>
  ): HttpClient.HttpClient.With<E | ClientError, R | TokenSource.TokenSource> =>
    HttpClient.makeWith(
      Effect.flatMap((request: HttpClientRequest.HttpClientRequest) =>
        Effect.flatMap(TokenSource.TokenSource, (source) => send(client, source, options, request)).pipe(
          Effect.catchIf(
            (error) => error instanceof Stopped,
            ({ error, response }) => Effect.zipRight(discard(response), Effect.fail(error))
          )
        )
      ),
      Effect.succeed<HttpClientRequest.HttpClientRequest>
    )

/**
 * The same for programs that know nothing of it: an `HttpClient` in the place of an `HttpClient`. What it cannot say in
 * its own errors it says in theirs, with the `ClientError` as `cause`: a `ResponseError` with the last response where the
 * schedule is exhausted, and a `RequestError` of reason `Encode` for everything else. Neither counts as transient, so that
 * no retry policy repeats a sign-in.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { HttpClientAuth, TokenSource } from "effect-mcp-auth/client"
 * import * as Layer from "effect/Layer"
 * import * as Redacted from "effect/Redacted"
 *
 * const authorized = HttpClientAuth.layer().pipe(
 *   Layer.provide(TokenSource.layerStatic({ resource: "https://mcp.example.com/mcp", token: Redacted.make("t") })),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 */
export const layer = (
  options?: Options
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | TokenSource.TokenSource> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.zipWith(HttpClient.HttpClient, TokenSource.TokenSource, (client, source) =>
      HttpClient.makeWith(
        Effect.flatMap((request: HttpClientRequest.HttpClientRequest) =>
          Effect.mapError(send(client, source, options, request), (error) => {
            if (error._tag === "RequestError" || error._tag === "ResponseError") return error
            const cause = error._tag === "Stopped" ? error.error : error
            const description = cause.message
            return error._tag === "Stopped"
              ? new HttpClientError.ResponseError({
                  request,
                  response: error.response,
                  reason: "StatusCode",
                  cause,
                  description
                })
              : new HttpClientError.RequestError({ request, reason: "Encode", cause, description })
          })
        ),
        Effect.succeed<HttpClientRequest.HttpClientRequest>
      )
    )
  )
