/**
 * The one way in which this library fetches what others publish: secure URLs only, within reach, no redirects, bounded in
 * time and size, and a typed failure for everything that can go wrong.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { insecureUrl } from "../protocol/Loopback.js"
import * as BodyText from "./BodyText.js"
import * as DiscoveryTrace from "./DiscoveryTrace.js"
import * as FetchLimits from "./FetchLimits.js"
import * as JsonDocument from "./JsonDocument.js"
import * as Reach from "./Reach.js"
import * as RetryAfter from "./RetryAfter.js"

/**
 * A fetch that gave nothing usable. `url` is without query; `status` is there where an answer came; `retryAfter` is in
 * seconds, from the answer's `Retry-After`.
 *
 * @since 0.1.0
 * @category errors
 */
export class FetchError extends Schema.TaggedError<FetchError>("effect-mcp-auth/discovery/FetchError")("FetchError", {
  url: Schema.String,
  reason: Schema.Literal(
    "InsecureUrl",
    "OutOfReach",
    "Transport",
    "Timeout",
    "TooLarge",
    "Redirect",
    "Status",
    "Malformed"
  ),
  detail: Schema.String,
  status: Schema.optional(Schema.Number),
  retryAfter: Schema.optional(Schema.Number),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `${this.url}: ${this.detail}`
  }
  /** Whether the same request may succeed later: the other side was not reached, or said that it is out of order. */
  get isTransient(): boolean {
    if (this.reason === "Transport" || this.reason === "Timeout") return true
    return this.status !== undefined && (this.status >= 500 || this.status === 429 || this.status === 408)
  }
}

/**
 * An answer, read whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Response {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/**
 * A URL fit for errors, traces and spans: without query, fragment and user information.
 *
 * @since 0.1.0
 * @category rendering
 */
export const displayUrl = (value: string): string => {
  if (!URL.canParse(value)) return "(not a URL)"
  const { host, pathname, protocol } = new URL(value)
  return `${protocol}//${host}${pathname}`
}

/**
 * A value that somebody else chose, fit for errors and logs: quoted, short, and nothing in it moves a cursor.
 *
 * @since 0.1.0
 * @category rendering
 */
export const displayValue = (value: string): string =>
  JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value).replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu,
    "?"
  )

const describe = (error: HttpClientError.HttpClientError): string =>
  error._tag === "RequestError" && error.reason === "InvalidUrl" ? "the URL is not valid" : "could not be reached"

/**
 * On whose behalf requests are made: the URLs that the application or its operator chose. Every other URL was chosen by
 * somebody else and goes no further than {@link Reach.of} says. `allowInsecure` lets `http` through beyond loopback.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly configured: readonly [string, ...Array<string>]
  readonly allowInsecure?: boolean | undefined
}

/**
 * Fetches on behalf of what was configured. `violation` says why a URL would not be asked, as far as its spelling tells.
 *
 * @since 0.1.0
 * @category services
 */
export class GuardedHttp extends Context.Tag("effect-mcp-auth/discovery/GuardedHttp")<
  GuardedHttp,
  {
    readonly violation: (url: string) => string | undefined
    readonly execute: (
      request: HttpClientRequest.HttpClientRequest,
      purpose: string
    ) => Effect.Effect<Response, FetchError>
  }
>() {}

/**
 * Makes the service from a client and the limits that are set here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<GuardedHttp["Type"], never, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const { allowedHosts, maxBytes, timeout } = yield* FetchLimits.FetchLimits
    // Ending the scope ends the connection of an answer that is not read to its end.
    // Its own span would hold query and headers as they were sent; the one around this says what may be said.
    const client = HttpClient.withScope(HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true))
    const reachOf = (url: string) => Reach.of(url, { allowedHosts, configured: options.configured })
    // The loosening lets http count as https, and waives no other rule.
    const insecure = (url: string) =>
      insecureUrl(options.allowInsecure === true ? url.replace(/^http:/i, "https:") : url)
    const refusal = (url: string) => Reach.refusal(url, reachOf(url))
    const execute = (request: HttpClientRequest.HttpClientRequest, purpose: string) =>
      Effect.gen(function* () {
        const url = displayUrl(request.url)
        const fail = (reason: FetchError["reason"], detail: string, cause?: unknown) =>
          new FetchError({ url, reason, detail, ...(cause === undefined ? {} : { cause }) })
        const broken = insecure(request.url)
        if (broken !== undefined) return yield* fail("InsecureUrl", broken)
        const refused = refusal(request.url)
        if (refused !== undefined) return yield* fail("OutOfReach", refused.message)
        return yield* client.execute(request).pipe(
          Effect.mapError((error) => {
            const refused = Reach.refusalOf(error)
            return refused === undefined
              ? fail("Transport", describe(error), error)
              : fail("OutOfReach", refused.message)
          }),
          Effect.flatMap((response) =>
            (response.status >= 300 && response.status < 400) || response.request.url !== request.url
              ? Effect.fail(
                  new FetchError({
                    url,
                    reason: "Redirect",
                    detail: `answered ${response.status}: redirects are not followed`,
                    status: response.status
                  })
                )
              : BodyText.read(response, maxBytes).pipe(
                  Effect.mapError(({ cause, detail, reason }) => fail(reason, detail, cause)),
                  Effect.map((body) => ({ url: request.url, status: response.status, headers: response.headers, body }))
                )
          ),
          Effect.scoped,
          // A server runs its app uninterruptibly; a timeout would then wait for what it is there to end.
          Effect.interruptible,
          Effect.timeoutFail({
            duration: timeout,
            onTimeout: () => fail("Timeout", `gave no answer within ${Duration.format(timeout)}`)
          }),
          Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual", credentials: "omit" }),
          Effect.provideService(Reach.Reach, reachOf(request.url))
        )
      }).pipe(
        Effect.tapBoth({
          onSuccess: (response) => trace(request, purpose, String(response.status)),
          onFailure: (error) => trace(request, purpose, error.detail)
        }),
        Effect.withSpan("Discovery.fetch", {
          captureStackTrace: false,
          attributes: { purpose, url: displayUrl(request.url) }
        })
      )
    const violation = (url: string) => {
      const broken = insecure(url)
      if (broken !== undefined) return broken
      const refused = refusal(url)
      return refused === undefined ? undefined : `is out of reach: ${refused.message}`
    }
    return { execute, violation }
  })

/**
 * The service as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<GuardedHttp, never, HttpClient.HttpClient> =>
  Layer.effect(GuardedHttp, make(options))

/**
 * Sends a request and reads its answer, whatever the status. Fails with {@link FetchError} where the URL is not secure or
 * out of reach, the other side is not reached, answers with a redirect, is too slow, or sends too much. `purpose` is what
 * the trace says the request is for.
 *
 * @since 0.1.0
 * @category combinators
 */
export const execute = (
  request: HttpClientRequest.HttpClientRequest,
  purpose: string
): Effect.Effect<Response, FetchError, GuardedHttp> => Effect.flatMap(GuardedHttp, (_) => _.execute(request, purpose))

const trace = (request: HttpClientRequest.HttpClientRequest, purpose: string, outcome: string) =>
  DiscoveryTrace.record({
    _tag: "Request",
    purpose,
    method: request.method,
    url: displayUrl(request.url),
    outcome
  })

/**
 * The failure that an answer with an unexpected status is, `Retry-After` included.
 *
 * @since 0.1.0
 * @category errors
 */
export const statusError = (response: Response): Effect.Effect<FetchError> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const retryAfter = RetryAfter.seconds(response.headers["retry-after"], now)
    return new FetchError({
      url: displayUrl(response.url),
      reason: "Status",
      detail: `answered ${response.status}`,
      status: response.status,
      ...(retryAfter === undefined ? {} : { retryAfter })
    })
  })

/**
 * The body of an answer as JSON of a schema. The failure names the first field that breaks a rule, and the rule; it
 * never holds a value of the body.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeJson = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = JsonDocument.decode(schema)
  return (response: Response): Effect.Effect<A, FetchError> =>
    Either.mapLeft(
      decode(response.body),
      (broken) =>
        new FetchError({
          url: displayUrl(response.url),
          reason: "Malformed",
          detail: `the document is not what it should be: ${broken}`,
          status: response.status
        })
    )
}

/**
 * Fetches a JSON document: GET, with headers if there are any to send, status 200, decoded by a schema. Everything else is
 * a {@link FetchError}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const getJson = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = decodeJson(schema)
  return (
    url: string,
    purpose: string,
    headers: Readonly<Record<string, string>> = {}
  ): Effect.Effect<A, FetchError, GuardedHttp> =>
    execute(HttpClientRequest.get(url, { acceptJson: true, headers }), purpose).pipe(
      Effect.flatMap((response) =>
        response.status === 200 ? decode(response) : Effect.flatMap(statusError(response), Effect.fail)
      )
    )
}
