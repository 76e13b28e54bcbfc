/**
 * The one way in which this library fetches what others publish: secure URLs only, no redirects, bounded in time and
 * size, and a typed failure for everything that can go wrong.
 *
 * @since 0.1.0
 */

import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { insecureUrl } from "../protocol/Loopback.js"
import * as DiscoveryTrace from "./DiscoveryTrace.js"
import * as JsonDocument from "./JsonDocument.js"

/**
 * The limits of a fetch: the time for the whole exchange and the size of the body in bytes. `allowInsecure` lets `http`
 * through beyond loopback, for closed networks without TLS.
 *
 * @since 0.1.0
 * @category references
 */
export class Limits extends Context.Reference<Limits>()("effect-mcp-auth/discovery/GuardedHttp/Limits", {
  defaultValue: (): {
    readonly timeout: Duration.Duration
    readonly maxBytes: number
    readonly allowInsecure: boolean
  } => ({ timeout: Duration.seconds(10), maxBytes: 256 * 1024, allowInsecure: false })
}) {}

/**
 * A fetch that gave nothing usable. `url` is without query; `status` is there where an answer came; `retryAfter` is in
 * seconds, from the answer's `Retry-After`.
 *
 * @since 0.1.0
 * @category errors
 */
export class FetchError extends Schema.TaggedError<FetchError>("effect-mcp-auth/discovery/FetchError")("FetchError", {
  url: Schema.String,
  reason: Schema.Literal("InsecureUrl", "Transport", "Timeout", "TooLarge", "Redirect", "Status", "Malformed"),
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

const retryAfterSeconds = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header)
  // Only the forms of RFC 9110 §5.6.7, which begin with a day; `Date.parse` makes a date of "-5".
  if (!/^[A-Z][a-z]{2,8},? /.test(header)) return undefined
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000))
}

const readBody = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number,
  fail: (reason: FetchError["reason"], detail: string, cause?: unknown) => FetchError
): Effect.Effect<string, FetchError> => {
  const tooLarge = fail("TooLarge", `the body is larger than ${maxBytes} bytes`)
  const announced = Number(response.headers["content-length"] ?? 0)
  if (announced > maxBytes) return Effect.fail(tooLarge)
  const decoder = new TextDecoder()
  return response.stream.pipe(
    Stream.mapError((error) => (error.reason === "EmptyBody" ? undefined : error)),
    Stream.runFoldEffect({ size: 0, text: "" }, (read, chunk) => {
      const size = read.size + chunk.byteLength
      return size > maxBytes
        ? Effect.fail(tooLarge)
        : Effect.succeed({ size, text: read.text + decoder.decode(chunk, { stream: true }) })
    }),
    Effect.map(({ text }) => text + decoder.decode()),
    Effect.catchAll((error) =>
      error === undefined
        ? Effect.succeed("")
        : Effect.fail(
            error._tag === "FetchError"
              ? error
              : fail("Transport", "the connection broke while the body was read", error)
          )
    )
  )
}

const describe = (error: HttpClientError.HttpClientError): string =>
  error._tag === "RequestError" && error.reason === "InvalidUrl" ? "the URL is not valid" : "could not be reached"

/**
 * Sends a request and reads its answer, whatever the status. Fails with {@link FetchError} where the URL is not secure,
 * the other side is not reached, answers with a redirect, is too slow, or sends too much. `purpose` is what the trace
 * says the request is for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const execute = (
  request: HttpClientRequest.HttpClientRequest,
  purpose: string
): Effect.Effect<Response, FetchError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const limits = yield* Limits
    // Ending the scope ends the connection of an answer that is not read to its end.
    // Its own span would hold query and headers as they were sent; the one around this says what may be said.
    const client = HttpClient.withScope(HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true))
    const url = displayUrl(request.url)
    const fail = (reason: FetchError["reason"], detail: string, cause?: unknown) =>
      new FetchError({ url, reason, detail, ...(cause === undefined ? {} : { cause }) })
    // The loosening lets http count as https, and waives no other rule.
    const insecure = insecureUrl(limits.allowInsecure ? request.url.replace(/^http:/i, "https:") : request.url)
    if (insecure !== undefined) return yield* fail("InsecureUrl", insecure)
    const answer = yield* client.execute(request).pipe(
      Effect.mapError((error) => fail("Transport", describe(error), error)),
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
          : Effect.map(readBody(response, limits.maxBytes, fail), (body) => ({
              url: request.url,
              status: response.status,
              headers: response.headers,
              body
            }))
      ),
      Effect.scoped,
      // A server runs its app uninterruptibly; a timeout would then wait for what it is there to end.
      Effect.interruptible,
      Effect.timeoutFail({
        duration: limits.timeout,
        onTimeout: () => fail("Timeout", `gave no answer within ${Duration.format(limits.timeout)}`)
      }),
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual", credentials: "omit" }),
      Effect.tapBoth({
        onSuccess: (response) => trace(request, purpose, String(response.status)),
        onFailure: (error) => trace(request, purpose, error.detail)
      })
    )
    return answer
  }).pipe(
    Effect.withSpan("Discovery.fetch", {
      captureStackTrace: false,
      attributes: { purpose, url: displayUrl(request.url) }
    })
  )

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
    const retryAfter = retryAfterSeconds(response.headers["retry-after"], now)
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
 * Fetches a JSON document: GET, status 200, decoded by a schema. Everything else is a {@link FetchError}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const getJson = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = decodeJson(schema)
  return (url: string, purpose: string): Effect.Effect<A, FetchError, HttpClient.HttpClient> =>
    execute(HttpClientRequest.get(url, { acceptJson: true }), purpose).pipe(
      Effect.flatMap((response) =>
        response.status === 200 ? decode(response) : Effect.flatMap(statusError(response), Effect.fail)
      )
    )
}
