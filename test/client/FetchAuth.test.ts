import * as Http from "node:http"
import type * as Net from "node:net"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import { FetchAuth, TokenSource } from "../../src/client/index.js"

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly type: string | undefined
  readonly body: string
}

/** A server on a real socket; tokens other than `good` are refused. */
const server = (handle: (request: Seen, response: Http.ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly seen: Array<Seen>; readonly http: Http.Server }>((resume) => {
      const seen: Array<Seen> = []
      const http = Http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk) => chunks.push(chunk))
        request.on("end", () => {
          const { authorization, "content-type": type } = request.headers
          const { method, url } = request
          const entry = { method, url, authorization, type, body: Buffer.concat(chunks).toString() }
          seen.push(entry)
          if (url?.startsWith("/mcp") && authorization !== "Bearer good") response.writeHead(401).end("no")
          else handle(entry, response)
        })
      })
      http.listen(0, "127.0.0.1", () => {
        const { port } = http.address() as Net.AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, seen, http }))
      })
    }),
    ({ http }) =>
      Effect.async<void>((resume) => {
        http.close(() => resume(Effect.void))
        http.closeAllConnections()
      })
  )

const fetchFor = (resource: string) =>
  FetchAuth.make.pipe(
    Effect.provide([
      FetchHttpClient.layer,
      Layer.succeed(TokenSource.TokenSource, {
        resource,
        current: Effect.succeedNone,
        renew: () => Effect.succeed({ value: Redacted.make("good"), type: "Bearer", scopes: [] })
      })
    ])
  )

const promise = <A>(f: () => Promise<A>) => Effect.promise(f)

describe("FetchAuth", () => {
  it.scopedLive("bodies of every replayable kind are sent again, as fetch would have sent them", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* server((_, response) => response.end("ok"))
      const fetch = yield* fetchFor(`${url}/mcp`)
      const form = new FormData()
      form.set("a", "b")
      for (const [init, type, body] of [
        [
          { method: "POST", body: "{}", headers: { "content-type": "application/json" } },
          /^application\/json$/,
          /^\{\}$/
        ],
        [{ method: "POST", body: "text" }, /^text\/plain/, /^text$/],
        [{ method: "POST", body: new TextEncoder().encode("bytes") }, /undefined|octet-stream/, /^bytes$/],
        [{ method: "PUT", body: new URLSearchParams({ a: "b c" }) }, /urlencoded/, /^a=b\+c$/],
        [{ method: "POST", body: form }, /multipart\/form-data; boundary=/, /name="a"/],
        [{ method: "POST", body: new Blob(["blob"], { type: "text/x" }) }, /^text\/x$/, /^blob$/],
        [{ method: "DELETE" }, /undefined/, /^$/]
      ] as const) {
        seen.length = 0
        const response = yield* promise(() => fetch(`${url}/mcp`, init))
        assert.strictEqual(response.status, 200)
        assert.strictEqual(yield* promise(() => response.text()), "ok")
        assert.deepStrictEqual(
          seen.map((_) => _.authorization),
          [undefined, "Bearer good"]
        )
        for (const request of seen) {
          assert.strictEqual(request.method, init.method)
          assert.match(String(request.type), type)
          assert.match(request.body, body)
        }
      }
      const response = yield* promise(() => fetch(new Request(`${url}/mcp/x`, { method: "POST", body: "r" })))
      assert.strictEqual(response.url, `${url}/mcp/x`)
      assert.strictEqual(seen.at(-1)?.body, "r")
    })
  )

  it.scopedLive("server-sent events arrive one by one, and cancelling ends the request", () =>
    Effect.gen(function* () {
      let stream: Http.ServerResponse | undefined
      let closed = false
      const { url } = yield* server((_, response) => {
        stream = response
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.on("close", () => {
          closed = true
        })
        response.write("data: 1\n\n")
      })
      const fetch = yield* fetchFor(`${url}/mcp`)
      const response = yield* promise(() => fetch(`${url}/mcp`, { headers: { accept: "text/event-stream" } }))
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      const reader = response.body?.getReader()
      const read = async () => new TextDecoder().decode((await reader?.read())?.value as Uint8Array)
      assert.strictEqual(yield* promise(read), "data: 1\n\n")
      stream?.write("data: 2\n\n")
      assert.strictEqual(yield* promise(read), "data: 2\n\n")
      yield* promise(async () => reader?.cancel())
      yield* Effect.sleep("100 millis")
      assert.isTrue(closed)
    })
  )

  it.scopedLive("the signal is heeded before the answer and during its body", () =>
    Effect.gen(function* () {
      const { url } = yield* server(({ url }, response) => {
        if (url === "/mcp/body") {
          response.writeHead(200)
          response.write("begin")
        }
      })
      const fetch = yield* fetchFor(`${url}/mcp`)
      const name = (run: () => Promise<unknown>) =>
        promise(() =>
          run().then(
            () => "resolved",
            (error: Error) => error.name
          )
        )
      assert.strictEqual(yield* name(() => fetch(`${url}/mcp`, { signal: AbortSignal.abort() })), "AbortError")
      assert.strictEqual(
        yield* name(() => fetch(`${url}/mcp/never`, { signal: AbortSignal.timeout(50) })),
        "TimeoutError"
      )
      const controller = new AbortController()
      const response = yield* promise(() => fetch(`${url}/mcp/body`, { signal: controller.signal }))
      setTimeout(() => controller.abort(), 20)
      assert.strictEqual(yield* name(() => response.text()), "AbortError")
    })
  )

  it.scopedLive("a failure of authorization rejects with the ClientError as cause", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* server((_, response) => response.end())
      const fetch = yield* FetchAuth.make.pipe(
        Effect.provide([
          FetchHttpClient.layer,
          TokenSource.layerStatic({ resource: `${url}/mcp`, token: Redacted.make("bad-secret") })
        ])
      )
      const error = yield* promise(() =>
        fetch(`${url}/mcp`).then(
          () => undefined,
          (error: Error) => error
        )
      )
      const cause = error?.cause as { readonly _tag: string } | undefined
      assert.strictEqual(cause?._tag, "AccessRefused")
      assert.notInclude(JSON.stringify(cause), "bad-secret")
      assert.strictEqual(seen.length, 1)
    })
  )

  it.scopedLive("what is not the resource is left alone, redirects included; with a token none is followed", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* server(({ url }, response) =>
        url === "/elsewhere" ? response.end("there") : response.writeHead(307, { location: "/elsewhere" }).end()
      )
      const fetch = yield* fetchFor(`${url}/mcp`)
      const other = yield* promise(() => fetch(`${url}/other`))
      assert.strictEqual(yield* promise(() => other.text()), "there")
      const own = yield* promise(() => fetch(`${url}/mcp`))
      assert.strictEqual(own.status, 307)
      assert.isFalse(seen.some((_) => _.url === "/elsewhere" && _.authorization !== undefined))
    })
  )

  it.scopedLive("spans go where the application sends them, and carry no token", () =>
    Effect.gen(function* () {
      const { url } = yield* server((_, response) => response.end("ok"))
      const said: Array<string> = []
      const make = Effect.map(Effect.tracer, (inner) =>
        Tracer.make({
          ...inner,
          span: (name, ...rest) => {
            const span = inner.span(name, ...rest)
            const attribute = span.attribute.bind(span)
            span.attribute = (key, value) => {
              said.push(`${name} ${key} ${String(value)}`)
              attribute(key, value)
            }
            return span
          }
        })
      )
      const fetch = yield* fetchFor(`${url}/mcp`).pipe(Effect.withTracer(yield* make))
      const response = yield* promise(() => fetch(`${url}/mcp`))
      yield* promise(() => response.text())
      assert.isAbove(said.length, 0)
      assert.notInclude(said.join("\n"), "good")
    })
  )

  it.scopedLive("what is logged on the way goes to the application's logger", () =>
    Effect.gen(function* () {
      const { url } = yield* server((_, response) => response.end("ok"))
      const said: Array<unknown> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => said.push(message))
      )
      const token = Effect.as(Effect.log("asked for a token"), {
        value: Redacted.make("good"),
        type: "Bearer" as const,
        scopes: []
      })
      const fetch = yield* FetchAuth.make.pipe(
        Effect.provideService(TokenSource.TokenSource, {
          resource: `${url}/mcp`,
          current: Effect.asSome(token),
          renew: () => token
        }),
        Effect.provide(FetchHttpClient.layer),
        Effect.provide(logger)
      )
      yield* promise(() => fetch(`${url}/mcp`).then((response) => response.text()))
      assert.deepStrictEqual(said, [["asked for a token"]])
    })
  )
})
