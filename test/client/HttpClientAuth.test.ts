import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { HttpClientAuth, type Refusal, TokenSource } from "../../src/client/index.js"
import { endpoint } from "./World.js"

interface Seen {
  readonly url: string
  readonly authorization: string | undefined
  readonly redirect: string | undefined
}

/** A server that answers by a function of what it has seen, and a source that hands out token-1, token-2, ... */
const setup = (answer: (seen: Seen, index: number) => Response) => {
  const seen: Array<Seen> = []
  const refusals: Array<Refusal.Refusal> = []
  const token = (n: number) => ({ value: Redacted.make(`token-${n}`), type: "Bearer" as const, scopes: [] })
  const http = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.map(Effect.serviceOption(FetchHttpClient.RequestInit), (init) => {
        const entry = {
          url: url.href,
          authorization: request.headers["authorization"],
          redirect: Option.getOrUndefined(init)?.redirect
        }
        seen.push(entry)
        return HttpClientResponse.fromWeb(request, answer(entry, seen.length))
      })
    )
  )
  const source = Layer.succeed(TokenSource.TokenSource, {
    resource: endpoint,
    current: Effect.succeedSome(token(0)),
    renew: (refusal) => Effect.sync(() => token(refusals.push(refusal)))
  })
  return { seen, refusals, layer: Layer.merge(http, source), http, source }
}

const client = (options?: HttpClientAuth.Options) =>
  Effect.map(HttpClient.HttpClient, HttpClientAuth.transform(options))

const unauthorized = () => new Response("no", { status: 401, headers: { "www-authenticate": "Bearer" } })

describe("transform", () => {
  it.effect("retries send the new token", () =>
    Effect.gen(function* () {
      const { layer, seen } = setup((_, index) => (index < 3 ? unauthorized() : new Response("ok")))
      const response = yield* Effect.flatMap(client(), (_) => _.get(endpoint)).pipe(Effect.provide(layer))
      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual(
        seen.map((_) => _.authorization),
        ["Bearer token-0", "Bearer token-1", "Bearer token-2"]
      )
    })
  )

  it.effect("I4: 3 calls and 2 renewals, then a typed failure", () =>
    Effect.gen(function* () {
      const { layer, refusals, seen } = setup(unauthorized)
      const error = yield* Effect.flatMap(client(), (_) => _.get(endpoint)).pipe(Effect.provide(layer), Effect.flip)
      assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "Exhausted")
      assert.strictEqual(seen.length, 3)
      assert.deepStrictEqual(
        refusals.map((_) => _.renewals),
        [0, 1]
      )
    })
  )

  it.effect("the schedule bounds and delays, under the test's clock", () =>
    Effect.gen(function* () {
      const { layer, seen } = setup(unauthorized)
      const schedule = Schedule.intersect(Schedule.spaced("10 seconds"), Schedule.recurs(1))
      const fiber = yield* Effect.flatMap(client({ schedule }), (_) => _.get(endpoint)).pipe(
        Effect.provide(layer),
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(seen.length, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "AccessRefused")
      assert.strictEqual(seen.length, 2)
    })
  )

  it.effect("I5: other answers pass through, a 403 without insufficient_scope too", () =>
    Effect.gen(function* () {
      for (const [status, header] of [
        [403, undefined],
        [403, 'Bearer error="invalid_token"'],
        [500, undefined],
        [404, undefined]
      ] as const) {
        const { layer, seen } = setup(
          () => new Response("", { status, headers: header === undefined ? {} : { "www-authenticate": header } })
        )
        const response = yield* Effect.flatMap(client(), (_) => _.get(endpoint)).pipe(Effect.provide(layer))
        assert.strictEqual(response.status, status)
        assert.strictEqual(seen.length, 1)
      }
    })
  )

  it.effect("of several challenges the Bearer one counts, in any case", () =>
    Effect.gen(function* () {
      const header = 'Basic realm="x, y", DPoP algs="ES256", bEaReR error="insufficient_scope", scope="a b"'
      const { layer, refusals } = setup((_, index) =>
        index === 1 ? new Response("", { status: 403, headers: { "www-authenticate": header } }) : new Response("ok")
      )
      yield* Effect.flatMap(client(), (_) => _.get(endpoint)).pipe(Effect.provide(layer))
      assert.strictEqual(Option.getOrThrow(refusals[0]?.challenge ?? Option.none()).parameters["scope"], "a b")
    })
  )

  it.effect("CL-78: no token for another origin, a sibling path or another port; their 401 is theirs", () =>
    Effect.gen(function* () {
      const { layer, refusals, seen } = setup(unauthorized)
      for (const url of [
        "https://evil.example/mcp",
        "https://mcp.example/mcpx",
        "https://mcp.example:8443/mcp",
        "http://mcp.example/mcp",
        "https://mcp.example.evil.example/mcp",
        "https://mcp.example@evil.example/mcp"
      ]) {
        const response = yield* Effect.flatMap(client(), (_) => _.get(url)).pipe(Effect.provide(layer))
        assert.strictEqual(response.status, 401)
      }
      assert.isTrue(seen.every((_) => _.authorization === undefined && _.redirect === undefined))
      assert.strictEqual(refusals.length, 0)
    })
  )

  it.effect("CL-78: the resource of the adapter narrows where tokens go, and never widens it", () =>
    Effect.gen(function* () {
      const { layer, seen } = setup(() => new Response("ok"))
      const get = (resource: string, url: string) =>
        Effect.flatMap(client({ resource }), (_) => _.get(url)).pipe(Effect.provide(layer))
      yield* get("https://evil.example", "https://evil.example/mcp")
      yield* get(new URL(endpoint).origin, `${new URL(endpoint).origin}/other`)
      yield* get(`${endpoint}/tools`, endpoint)
      yield* get(`${endpoint}/tools`, `${endpoint}/tools/a`)
      assert.deepStrictEqual(
        seen.map(({ authorization }) => authorization !== undefined),
        [false, false, false, true]
      )
    })
  )

  it.effect("CL-78: a redirect is handed back and not followed with the token", () =>
    Effect.gen(function* () {
      const { layer, seen } = setup(
        () => new Response("", { status: 307, headers: { location: "https://evil.example/mcp" } })
      )
      const response = yield* Effect.flatMap(client(), (_) => _.get(endpoint)).pipe(Effect.provide(layer))
      assert.strictEqual(response.status, 307)
      assert.deepStrictEqual(
        seen.map((_) => [_.url, _.redirect]),
        [[endpoint, "manual"]]
      )
      // And if somebody follows it outside, the token stays behind.
      const { layer: again, seen: seenAgain } = setup(({ url }) =>
        url === endpoint
          ? new Response("", { status: 307, headers: { location: "https://evil.example/mcp" } })
          : new Response("stolen?")
      )
      yield* Effect.flatMap(client(), (_) => HttpClient.followRedirects(_).get(endpoint)).pipe(Effect.provide(again))
      assert.deepStrictEqual(
        seenAgain.map((_) => _.authorization),
        ["Bearer token-0", undefined]
      )
    })
  )

  it.effect("a body that is a stream is not sent twice: renewed, and said so", () =>
    Effect.gen(function* () {
      const { layer, refusals, seen } = setup(unauthorized)
      const body = HttpBody.stream(Stream.make(new Uint8Array([1])))
      const error = yield* Effect.flatMap(client(), (_) => _.post(endpoint, { body })).pipe(
        Effect.provide(layer),
        Effect.flip
      )
      assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "BodyNotReplayable")
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(refusals.length, 1)
    })
  )

  it.effect("is a boundary: what is mapped on later still works, and sees no token", () =>
    Effect.gen(function* () {
      const { layer, seen } = setup((_, index) => (index === 1 ? unauthorized() : new Response("ok")))
      const response = yield* Effect.flatMap(client(), (_) =>
        HttpClient.mapRequest(_, HttpClientRequest.prependUrl("https://mcp.example")).get("/mcp")
      ).pipe(Effect.provide(layer))
      assert.strictEqual(response.status, 200)
      assert.strictEqual(seen[1]?.authorization, "Bearer token-1")
    })
  )
})

describe("layer", () => {
  const authorized = Effect.flatMap(HttpClient.HttpClient, (_) => _.get(endpoint))

  it.effect("exhausted: a ResponseError with the last response, the ClientError as cause", () =>
    Effect.gen(function* () {
      const { http, source } = setup(unauthorized)
      const error = yield* authorized.pipe(
        Effect.provide(HttpClientAuth.layer().pipe(Layer.provide(source), Layer.provide(http))),
        Effect.flip
      )
      assert.instanceOf(error, HttpClientError.ResponseError)
      assert.strictEqual(error._tag === "ResponseError" ? error.response.status : 0, 401)
    })
  )

  it.effect("I7: a static token's 401 is terminal, and no retry of transient failures repeats it", () =>
    Effect.gen(function* () {
      const { http, seen } = setup(unauthorized)
      const fixed = TokenSource.layerStatic({ resource: endpoint, token: Redacted.make("fixed") })
      const error = yield* Effect.flatMap(HttpClient.HttpClient, (_) =>
        HttpClient.retryTransient(_, { times: 3 }).get(endpoint)
      ).pipe(Effect.provide(HttpClientAuth.layer().pipe(Layer.provide(fixed), Layer.provide(http))), Effect.flip)
      assert.strictEqual(error._tag, "RequestError")
      assert.include(error.message, "no other")
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(seen[0]?.authorization, "Bearer fixed")
    })
  )
})

describe("layerStatic", () => {
  it.effect("SEC-02: refuses a resource to which a token must not be sent", () =>
    Effect.gen(function* () {
      for (const resource of ["http://mcp.example/mcp", "https://mcp.example/#x", "mcp"]) {
        const error = yield* Effect.flip(
          Layer.build(TokenSource.layerStatic({ resource, token: Redacted.make("t") })).pipe(Effect.scoped)
        )
        assert.strictEqual(error.reason, "InvalidResource")
      }
    })
  )
})
