/**
 * A `fetch` that authorizes its requests, for clients that take one: the official MCP SDK first.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type { HttpMethod } from "@effect/platform/HttpMethod"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { ClientError } from "./ClientError.js"
import * as HttpClientAuth from "./HttpClientAuth.js"
import type * as TokenSource from "./TokenSource.js"

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
 * The request as a value. Bodies are read into memory, so that they can be sent again with another token; only a
 * `ReadableStream` given as `init.body` stays one.
 */
const toRequest = async (input: string | URL | Request, init: RequestInit | undefined) => {
  const stream = init?.body instanceof ReadableStream ? init.body : undefined
  const { body: _, signal: __, ...rest } = init ?? {}
  const body = stream === undefined ? init?.body : undefined
  const source = new Request(input, body === undefined || body === null ? rest : { ...rest, body })
  // Fetch gives a text its type when it makes the request; Bun does so only when it sends it.
  const textType = typeof init?.body === "string" ? "text/plain;charset=UTF-8" : undefined
  const type = source.headers.get("content-type") ?? textType
  const request = HttpClientRequest.make(source.method as HttpMethod)(source.url, {
    headers: Object.fromEntries(source.headers)
  })
  if (stream !== undefined) {
    return HttpClientRequest.setBody(
      request,
      HttpBody.stream(
        Stream.fromReadableStream(() => stream, identity),
        type
      )
    )
  }
  const bytes = source.body === null ? undefined : new Uint8Array(await source.arrayBuffer())
  return bytes === undefined ? request : HttpClientRequest.setBody(request, HttpBody.uint8Array(bytes, type))
}

/** What the caller wants of fetch beyond the request, such as a dispatcher; the request itself is told elsewhere. */
const optionsOf = (input: string | URL | Request, init: RequestInit | undefined): RequestInit => {
  const { body: _, headers: __, method: ___, signal: ____, ...rest } = init ?? {}
  return input instanceof Request ? { redirect: input.redirect, ...rest } : rest
}

const aborted = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.async((resume) => {
    const onAbort = () => resume(Effect.fail(signal.reason))
    signal.addEventListener("abort", onAbort, { once: true })
    if (signal.aborted) onAbort()
    return Effect.sync(() => signal.removeEventListener("abort", onAbort))
  })

/** The response as it streams in: a chunk is there when it has arrived, and the signal ends it at any time. */
const toResponse = (response: HttpClientResponse.HttpClientResponse, signal: AbortSignal | undefined): Response => {
  const { headers, request, status } = response
  // What a browser shows of a redirect that was not followed.
  if (status === 0) return Response.error()
  const empty = request.method === "HEAD" || [101, 204, 205, 304].includes(status)
  const stream = response.stream.pipe(
    Stream.catchAll((error) => (error.reason === "EmptyBody" ? Stream.empty : Stream.fail(error.cause ?? error))),
    signal === undefined ? identity : Stream.interruptWhen(aborted(signal))
  )
  const result = new Response(empty ? null : Stream.toReadableStream(stream), { status, headers: { ...headers } })
  // A Response made by hand has no URL, and some callers look.
  return Object.defineProperty(result, "url", { value: request.url })
}

const rejection = (error: ClientError | HttpClientError.HttpClientError): Error => {
  if (error._tag === "RequestError" && error.cause instanceof Error) return error.cause
  return new TypeError(error.message, { cause: error })
}

/**
 * Makes the `fetch`, with the options of `HttpClientAuth.transform`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeWith = (
  options?: HttpClientAuth.Options
): Effect.Effect<typeof globalThis.fetch, never, TokenSource.TokenSource | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const client = HttpClientAuth.transform(options)(yield* HttpClient.HttpClient)
    // What the application has set up for all its work goes along: services, and in Effect 3 beside them loggers and the
    // tracer. The span in which the fetch was made has ended.
    const context = Context.omit(Tracer.ParentSpan)(yield* Effect.context<TokenSource.TokenSource>())
    const fiberRefs = yield* Effect.getFiberRefs
    const authorized: Fetch = async (input, init) => {
      const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
      signal?.throwIfAborted()
      const request = await toRequest(input, init)
      const answer = client.execute(request).pipe(
        Effect.provideService(FetchHttpClient.RequestInit, optionsOf(input, init)),
        Effect.mapInputContext((_: Context.Context<never>) => context)
      )
      const run = Effect.zipRight(Effect.setFiberRefs(fiberRefs), answer)
      const exit = await Effect.runPromiseExit(run, signal ? { signal } : {})
      if (Exit.isSuccess(exit)) return toResponse(exit.value, signal)
      if (signal?.aborted) throw signal.reason
      const error = Cause.failureOption(exit.cause)
      throw error._tag === "Some" ? rejection(error.value) : Cause.squash(exit.cause)
    }
    return authorized as typeof globalThis.fetch
  })

/**
 * Makes a `fetch` that authorizes its requests as `HttpClientAuth.transform` does. Bodies are streamed back as they
 * arrive, server-sent events included; the signal is heeded before the answer and during its body. Requests for anything
 * but the resource of the token source pass through it untouched.
 *
 * This is where Effect ends: failures become rejections. Those of authorization are a `TypeError` with the `ClientError`
 * as `cause`, a connection that fails rejects with what the underlying client said.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { FetchAuth, TokenSource } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const program = Effect.gen(function* () {
 *   const fetch = yield* FetchAuth.make
 *   // new StreamableHTTPClientTransport(new URL("https://mcp.example.com/mcp"), { fetch })
 *   return yield* Effect.promise(() => fetch("https://mcp.example.com/mcp"))
 * }).pipe(
 *   Effect.provide(TokenSource.layerStatic({ resource: "https://mcp.example.com/mcp", token: Redacted.make("t") })),
 *   Effect.provide(FetchHttpClient.layer)
 * )
 * ```
 */
export const make: Effect.Effect<typeof globalThis.fetch, never, TokenSource.TokenSource | HttpClient.HttpClient> =
  makeWith()
