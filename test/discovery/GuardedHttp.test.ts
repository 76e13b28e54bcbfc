import { gzipSync } from "node:zlib"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import * as FetchLimits from "../../src/discovery/FetchLimits.js"
import * as GuardedHttp from "../../src/discovery/GuardedHttp.js"
import * as Network from "../server/fixtures/Network.js"
import * as GuardedFetch from "./fixtures/GuardedFetch.js"
import * as HttpServer from "./fixtures/HttpServer.js"

const Document = Schema.Struct({
  name: Schema.String,
  size: Schema.optional(Schema.Number),
  list: Schema.optional(Schema.Array(Schema.String))
})
const getDocument = GuardedHttp.getJson(Document)
const get = (url: string) => getDocument(url, "a document")

const withLimits =
  (limits: Partial<FetchLimits.FetchLimits["Type"]>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.provide(self, FetchLimits.layer(limits))

const through = (network: Network.Network, options?: Partial<GuardedHttp.Options>) =>
  GuardedFetch.over(network.client, options)

/** Over real sockets, on behalf of this machine. */
const local = { configured: ["http://127.0.0.1/"] } as const
const over = (client: Layer.Layer<HttpClient.HttpClient>) => Layer.provideMerge(GuardedHttp.layer(local), client)

/** Lets every fiber that can run do so. */
const settle = Effect.repeatN(Effect.yieldNow(), 100)

const failureOf = (answer: (url: string) => Network.Answer, url = "https://as.example/doc") =>
  get(url).pipe(Effect.flip, through(Network.make(answer)))

const assertFailure = (
  error: GuardedHttp.FetchError,
  expected: Partial<Pick<GuardedHttp.FetchError, "reason" | "status" | "retryAfter" | "isTransient" | "detail" | "url">>
) => {
  const actual = Object.fromEntries(Object.keys(expected).map((key) => [key, error[key as keyof typeof expected]]))
  assert.deepStrictEqual(actual, expected)
}

describe("GuardedHttp", () => {
  describe("which URLs (SEC-02)", () => {
    for (const url of [
      "https://as.example/doc",
      "http://127.0.0.1:9/doc",
      "http://localhost/doc",
      "http://[::1]/doc",
      "HTTPS://as.example/doc"
    ]) {
      it.effect(`${url} is asked`, () => {
        const network = Network.make(() => Network.json({ name: "x" }))
        return Effect.map(get(url), (document) => {
          assert.deepStrictEqual(document, { name: "x" })
          assert.strictEqual(network.asked.length, 1)
        }).pipe(through(network, local))
      })
    }

    for (const url of [
      "http://as.example/doc",
      "http://127.0.0.1.example/doc",
      "http://localhost.example/doc",
      "http://10.0.0.1/doc",
      "http://169.254.169.254/latest/meta-data/",
      "ftp://as.example/doc",
      "file:///etc/passwd",
      "data:application/json,{}",
      "javascript:alert(1)",
      "/doc",
      "https://",
      "https:\\\\as.example\\doc",
      "https://as.example/a b",
      "https://as.example/a\r\nx",
      ""
    ]) {
      it.effect(`${JSON.stringify(url)} is refused before anything is sent`, () => {
        const network = Network.make(() => Network.json({ name: "x" }))
        return Effect.map(Effect.flip(get(url)), (error) => {
          assertFailure(error, { reason: "InsecureUrl", isTransient: false })
          assert.deepStrictEqual(network.asked, [])
        }).pipe(through(network))
      })
    }

    for (const url of [
      "https://127.0.0.1/doc",
      "https://0x7f.1/doc",
      "https://[::ffff:127.0.0.1]/doc",
      "http://localhost:9/doc",
      "https://10.0.0.1/doc",
      "https://sso.internal/doc",
      "https://169.254.169.254/doc",
      "https://metadata.google.internal/doc"
    ]) {
      it.effect(`SEC-10 SEC-11: on behalf of a public endpoint ${url} is refused before anything is sent`, () => {
        const network = Network.make(() => Network.json({ name: "x" }))
        return DiscoveryTrace.collect((trace) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(get(url))
            assertFailure(error, { reason: "OutOfReach", isTransient: false })
            assert.include(error.detail, new URL(url).hostname)
            assert.deepStrictEqual(network.asked, [])
            const [entry] = yield* trace
            assert.strictEqual(entry?._tag === "Request" ? entry.outcome : "", error.detail)
          })
        ).pipe(through(network))
      })
    }

    it.effect("allowInsecure lets http through, and no address", () => {
      const network = Network.make(() => Network.json({ name: "x" }))
      return Effect.map(Effect.flip(get("http://10.0.0.1/doc")), (error) => {
        assertFailure(error, { reason: "OutOfReach" })
        assert.deepStrictEqual(network.asked, [])
      }).pipe(through(network, { allowInsecure: true }))
    })

    it.effect("allowInsecure lets http through, and no other scheme", () => {
      const network = Network.make(() => Network.json({ name: "x" }))
      return Effect.gen(function* () {
        yield* get("http://as.internal/doc")
        for (const url of ["ftp://as.internal/doc", "nonsense"]) {
          assertFailure(yield* Effect.flip(get(url)), { reason: "InsecureUrl" })
        }
        assert.deepStrictEqual(network.asked, ["http://as.internal/doc"])
      }).pipe(through(network, { configured: ["http://as.internal/"], allowInsecure: true }))
    })
  })

  describe("what comes back (SEC-15)", () => {
    for (const [name, answer, expected] of [
      ["404", () => new Response("", { status: 404 }), { reason: "Status", status: 404, isTransient: false }],
      ["401", () => new Response("", { status: 401 }), { reason: "Status", status: 401, isTransient: false }],
      [
        "201",
        () => Network.json({ name: "x" }, { status: 201 }),
        { reason: "Status", status: 201, isTransient: false }
      ],
      ["408", () => new Response("", { status: 408 }), { reason: "Status", status: 408, isTransient: true }],
      ["429", () => new Response("", { status: 429 }), { reason: "Status", status: 429, isTransient: true }],
      ["500", () => new Response("", { status: 500 }), { reason: "Status", status: 500, isTransient: true }],
      ["503", () => new Response("", { status: 503 }), { reason: "Status", status: 503, isTransient: true }],
      ["204", () => new Response(null, { status: 204 }), { reason: "Status", status: 204, isTransient: false }],
      ["nobody", () => Network.unreachable, { reason: "Transport", isTransient: true, detail: "could not be reached" }],
      [
        "301",
        () => new Response("", { status: 301, headers: { location: "https://as.example/x" } }),
        { reason: "Redirect", status: 301, isTransient: false }
      ],
      [
        "307",
        () => new Response("", { status: 307, headers: { location: "/x" } }),
        { reason: "Redirect", status: 307 }
      ],
      ["304", () => new Response(null, { status: 304 }), { reason: "Redirect", status: 304 }],
      [
        "an empty body",
        () => new Response(""),
        { reason: "Malformed", detail: "the document is not what it should be: it must be JSON" }
      ],
      [
        "no body",
        () => new Response(null),
        { reason: "Malformed", detail: "the document is not what it should be: it must be JSON" }
      ],
      [
        "HTML",
        () => new Response("<html>SECRET</html>"),
        { reason: "Malformed", detail: "the document is not what it should be: it must be JSON" }
      ],
      [
        "half of it",
        () => new Response('{"name":"SECRET"'),
        { reason: "Malformed", detail: "the document is not what it should be: it must be JSON" }
      ],
      ["null", () => Network.json("null"), { reason: "Malformed", isTransient: false }],
      ["a list", () => Network.json([]), { reason: "Malformed" }],
      [
        "a member missing",
        () => Network.json({}),
        { reason: "Malformed", detail: "the document is not what it should be: name is missing" }
      ],
      [
        "a wrong type",
        () => Network.json({ name: ["SECRET"] }),
        { reason: "Malformed", detail: "the document is not what it should be: name must be string" }
      ],
      [
        "a wrong type inside",
        () => Network.json({ name: "x", list: ["SECRET", { a: "SECRET" }] }),
        { reason: "Malformed", detail: "the document is not what it should be: list.1 must be string" }
      ],
      [
        "nested too deep",
        () => Network.json(`{"name":"x","extra":${"[".repeat(64)}${"]".repeat(64)}}`),
        { reason: "Malformed", detail: "the document is not what it should be: it is nested deeper than 64 levels" }
      ],
      [
        "nested very deep where a string should be",
        () => Network.json(`{"name":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
        { reason: "Malformed" }
      ],
      ["nested very deep and not closed", () => Network.json('{"name":'.repeat(20_000)), { reason: "Malformed" }]
    ] as ReadonlyArray<readonly [string, () => Network.Answer, Parameters<typeof assertFailure>[1]]>) {
      it.effect(`${name} is ${expected.reason}`, () =>
        Effect.map(failureOf(answer), (error) => {
          assertFailure(error, expected)
          assert.notInclude(error.message, "SECRET")
        })
      )
    }

    for (const [name, body] of [
      ["unknown members are ignored (PR-05)", '{"name":"x","other":{"a":[1,null,true]}}'],
      ["brackets inside of strings are no nesting", JSON.stringify({ name: "x", other: `${"[{".repeat(500)}\\"` })],
      ["63 levels are not too deep", `{"name":"x","other":${"[".repeat(63)}${"]".repeat(63)}}`],
      ["many siblings are no nesting", JSON.stringify({ name: "x", other: Array.from({ length: 500 }, () => [{}]) })],
      ["of a member that comes twice the last counts (W-08)", '{"name":"y","name":"x"}'],
      ["a byte order mark is no part of it", '\ufeff{"name":"x"}']
    ] as const) {
      it.effect(name, () =>
        Effect.map(get("https://as.example/doc"), ({ name }) => assert.strictEqual(name, "x")).pipe(
          through(Network.make(() => new Response(body, { headers: { "content-type": "text/plain" } })))
        )
      )
    }

    it.prop(
      "no body makes a defect, and no failure shows a value of it",
      { body: fc.oneof(fc.string(), fc.json()) },
      ({ body }) => {
        const exit = Effect.runSyncExit(
          Effect.either(
            GuardedHttp.decodeJson(Document)({
              url: "https://as.example/doc",
              status: 200,
              headers: {},
              body: `"leak-me"${body}`
            })
          )
        )
        assert.strictEqual(exit._tag, "Success")
        if (exit._tag === "Success" && exit.value._tag === "Left") assert.notInclude(exit.value.left.message, "leak-me")
      }
    )
  })

  describe("the body has a limit", () => {
    const doc = (size: number) => JSON.stringify({ name: "x".repeat(size - 11) })

    it.effect("256 KiB are read, one byte more is not", () =>
      Effect.gen(function* () {
        yield* get("https://as.example/doc").pipe(through(Network.make(() => Network.json(doc(256 * 1024)))))
        const error = yield* failureOf(() => Network.json(doc(256 * 1024 + 1)))
        assertFailure(error, { reason: "TooLarge", isTransient: false })
      })
    )

    it.effect("it counts octets, not characters", () =>
      Effect.map(
        get("https://as.example/doc").pipe(
          Effect.flip,
          through(Network.make(() => Network.json({ name: "é".repeat(60) }))),
          withLimits({ maxBytes: 100 })
        ),
        (error) => assertFailure(error, { reason: "TooLarge", detail: "the body is larger than 100 bytes" })
      )
    )

    it.effect("an announced size is believed when it is too large, and only then", () =>
      Effect.gen(function* () {
        const announced = yield* failureOf(() =>
          Network.json({ name: "x" }, { headers: { "content-length": "10000000" } })
        )
        assertFailure(announced, { reason: "TooLarge" })
        for (const length of ["0", "nonsense", "-1", "2"]) {
          const error = yield* failureOf(() => Network.json(doc(300_000), { headers: { "content-length": length } }))
          assertFailure(error, { reason: "TooLarge" })
        }
      })
    )

    it.effect("a character that is cut in two by the network is whole again", () => {
      const bytes = new TextEncoder().encode('{"name":"é😀"}')
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const byte of bytes) controller.enqueue(new Uint8Array([byte]))
          controller.close()
        }
      })
      return Effect.map(get("https://as.example/doc"), ({ name }) => assert.strictEqual(name, "é😀")).pipe(
        through(Network.make(() => new Response(body)))
      )
    })

    it.effect("octets that are no UTF-8 do not throw", () =>
      Effect.map(get("https://as.example/doc"), ({ name }) => assert.strictEqual(name, "\ufffd")).pipe(
        through(
          Network.make(() => new Response(new Uint8Array([...new TextEncoder().encode('{"name":"'), 0xff, 0x22, 0x7d])))
        )
      )
    )
  })

  describe("the exchange has a time", () => {
    it.effect("ten seconds by default, and not one more", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(failureOf(() => Effect.never))
        yield* TestClock.adjust("9999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assertFailure(yield* Fiber.join(fiber), {
          reason: "Timeout",
          isTransient: true,
          detail: "gave no answer within 10s"
        })
      })
    )

    it.effect("also where nothing may be interrupted, as in the app of a server", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.uninterruptible(failureOf(() => Effect.never)))
        yield* TestClock.adjust("10 seconds")
        yield* settle
        assert.isNotNull(fiber.unsafePoll())
        assertFailure(yield* Fiber.join(fiber), { reason: "Timeout" })
      })
    )

    it.effect("the body counts too", () =>
      Effect.gen(function* () {
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new Uint8Array([0x7b]))
        })
        const fiber = yield* Effect.fork(failureOf(() => new Response(body)))
        yield* TestClock.adjust("10 seconds")
        assertFailure(yield* Fiber.join(fiber), { reason: "Timeout" })
      })
    )
  })

  describe("Retry-After", () => {
    for (const [value, expected] of [
      ["120", 120],
      ["0", 0],
      ["Wed, 15 Nov 2023 00:00:30 GMT", 30],
      ["Tue, 14 Nov 2023 23:00:00 GMT", 0],
      ["Wednesday, 15-Nov-23 00:00:30 GMT", 30],
      ["Wed Nov 15 00:00:30 2023 GMT", 30],
      ["2023-11-15T00:00:30Z", undefined],
      ["-5", undefined],
      ["1.5", undefined],
      ["1e9", undefined],
      ["9999999999", undefined],
      ["soon", undefined],
      ["", undefined]
    ] as const) {
      it.effect(`${JSON.stringify(value)} is ${expected}`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(Date.UTC(2023, 10, 15))
          const error = yield* failureOf(() => new Response("", { status: 503, headers: { "retry-after": value } }))
          assert.strictEqual(error.retryAfter, expected)
        })
      )
    }
  })

  describe("what is told", () => {
    const url = "https://user:SECRET@as.example/doc?code=SECRET#SECRET"

    it.effect("errors and traces hold no query, fragment or user information", () =>
      DiscoveryTrace.collect((trace) =>
        Effect.gen(function* () {
          const error = yield* failureOf(() => new Response("", { status: 500 }), url)
          assert.strictEqual(error.url, "https://as.example/doc")
          assert.strictEqual(error.message, "https://as.example/doc: answered 500")
          assert.deepStrictEqual(yield* trace, [
            { _tag: "Request", purpose: "a document", method: "GET", url: "https://as.example/doc", outcome: "500" }
          ])
        })
      )
    )

    it.effect("failures are traced as well", () =>
      DiscoveryTrace.collect((trace) =>
        Effect.gen(function* () {
          yield* failureOf(() => Network.unreachable)
          assert.deepStrictEqual(
            (yield* trace).map((entry) => (entry._tag === "Request" ? entry.outcome : "")),
            ["could not be reached"]
          )
        })
      )
    )

    it("displayUrl is total", () => {
      assert.strictEqual(GuardedHttp.displayUrl("not a URL"), "(not a URL)")
      fc.assert(fc.property(fc.string(), (value) => typeof GuardedHttp.displayUrl(value) === "string"))
    })

    it("displayValue is short and moves no cursor", () => {
      assert.strictEqual(GuardedHttp.displayValue("https://as.example"), '"https://as.example"')
      assert.strictEqual(GuardedHttp.displayValue("a\u001b[2J\u009b\u202eb\n\ud800"), '"a\\u001b[2J??b\\n\\ud800"')
      assert.strictEqual(GuardedHttp.displayValue("x".repeat(1000)), `"${"x".repeat(200)}…"`)
    })
  })

  describe("over real sockets", () => {
    // Bun has no dispatcher of undici.
    const clients = [
      ["fetch", over(FetchHttpClient.layer)],
      ["node:http", over(NodeHttpClient.layer)],
      ...(process.versions["bun"] === undefined ? [["undici", over(NodeHttpClient.layerUndici)] as const] : [])
    ] as const
    for (const [name, client] of clients) {
      describe(name, () => {
        it.scopedLive("a redirect is never followed, with or without a change of host (SEC-12)", () =>
          Effect.gen(function* () {
            const target = yield* HttpServer.make((_, response) => response.end('{"name":"x"}'))
            for (const status of [301, 302, 303, 307, 308]) {
              const server = yield* HttpServer.make((request, response) => {
                if (request.url === "/doc") response.writeHead(status, { location: `${target.url}/doc` }).end()
                else if (request.url === "/here") response.writeHead(status, { location: "/elsewhere" }).end()
                else response.end('{"name":"x"}')
              })
              for (const path of ["/doc", "/here"]) {
                assertFailure(yield* Effect.flip(get(`${server.url}${path}`)), { reason: "Redirect", status })
              }
              assert.deepStrictEqual(server.requests, ["GET /doc", "GET /here"])
            }
            assert.deepStrictEqual(target.requests, [])
          }).pipe(Effect.provide(client))
        )

        it.scopedLive("a body in drips ends at the timeout, and so does its connection", () =>
          Effect.gen(function* () {
            const server = yield* HttpServer.make((_, response) => {
              const timer = setInterval(() => response.write(" "), 20)
              response.on("close", () => clearInterval(timer))
            })
            const error = yield* Effect.flip(get(`${server.url}/doc`))
            assertFailure(error, { reason: "Timeout" })
            yield* Effect.sleep("100 millis")
            assert.strictEqual(server.open(), 0)
          }).pipe(Effect.provide(client), withLimits({ timeout: Duration.millis(200) }))
        )

        it.scopedLive("ten megabytes are not read, and the connection ends", () =>
          Effect.gen(function* () {
            const server = yield* HttpServer.make((request, response) => {
              const chunk = "x".repeat(100_000)
              if (request.url === "/announced") response.setHeader("content-length", 10_000_000)
              let sent = 0
              const more = (): void => {
                while (sent < 100) {
                  sent++
                  if (!response.write(chunk)) return void response.once("drain", more)
                }
                response.end()
              }
              more()
            })
            for (const path of ["/announced", "/streamed"]) {
              assertFailure(yield* Effect.flip(get(`${server.url}${path}`)), { reason: "TooLarge" })
            }
            yield* Effect.sleep("100 millis")
            assert.strictEqual(server.open(), 0)
          }).pipe(Effect.provide(client))
        )

        it.scopedLive("an answer that is refused by its head holds no connection", () =>
          Effect.gen(function* () {
            const server = yield* HttpServer.make((_, response) => {
              response.writeHead(302, { location: "/elsewhere" })
              const timer = setInterval(() => response.write(" "), 20)
              response.on("close", () => clearInterval(timer))
            })
            yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.flip(get(`${server.url}/doc`)))
            yield* Effect.sleep("100 millis")
            assert.strictEqual(server.open(), 0)
          }).pipe(Effect.provide(client))
        )

        it.scopedLive("a connection that breaks is Transport", () =>
          Effect.gen(function* () {
            const server = yield* HttpServer.make((request, response) => {
              if (request.url === "/head") return void request.socket.destroy()
              response.writeHead(200, { "content-length": 100 })
              response.write('{"name":')
              setTimeout(() => request.socket.destroy(), 20)
            })
            for (const path of ["/head", "/body"]) {
              assertFailure(yield* Effect.flip(get(`${server.url}${path}`)), { reason: "Transport", isTransient: true })
            }
          }).pipe(Effect.provide(client))
        )

        it.scopedLive("nobody listens: Transport", () =>
          Effect.gen(function* () {
            const server = yield* Effect.scoped(HttpServer.make((_, response) => response.end()))
            assertFailure(yield* Effect.flip(get(`${server.url}/doc`)), { reason: "Transport", isTransient: true })
          }).pipe(Effect.provide(client))
        )

        it.scopedLive("interruption ends the request", () =>
          Effect.gen(function* () {
            const server = yield* HttpServer.make(() => {})
            const fiber = yield* Effect.fork(get(`${server.url}/doc`))
            yield* Effect.sleep("50 millis")
            assert.strictEqual(server.open(), 1)
            yield* Fiber.interrupt(fiber)
            yield* Effect.sleep("50 millis")
            assert.strictEqual(server.open(), 0)
          }).pipe(Effect.provide(client))
        )
      })
    }

    it.scopedLive("fetch unpacks gzip: a bomb is counted as it unpacks", () =>
      Effect.gen(function* () {
        const bomb = gzipSync(Buffer.alloc(10_000_000, 0x20))
        assert.isBelow(bomb.byteLength, 20_000)
        const server = yield* HttpServer.make((_, response) => {
          response.writeHead(200, { "content-encoding": "gzip", "content-length": bomb.byteLength }).end(bomb)
        })
        assertFailure(yield* Effect.flip(get(`${server.url}/doc`)), { reason: "TooLarge" })
      }).pipe(Effect.provide(over(FetchHttpClient.layer)))
    )

    it.scopedLive("a good answer leaves its connection to the next request", () =>
      Effect.gen(function* () {
        const server = yield* HttpServer.make((_, response) => response.end('{"name":"x"}'))
        yield* Effect.forEach(Array.from({ length: 10 }), () => get(`${server.url}/doc`))
        assert.isBelow(server.open(), 3)
      }).pipe(Effect.provide(over(FetchHttpClient.layer)))
    )

    it.scopedLive("no cookie and no trace header goes along", () =>
      Effect.gen(function* () {
        let headers: Record<string, unknown> = {}
        const server = yield* HttpServer.make((request, response) => {
          headers = request.headers
          response.setHeader("set-cookie", "a=b").end('{"name":"x"}')
        })
        yield* get(`${server.url}/doc`)
        yield* Effect.withSpan(get(`${server.url}/doc`), "outer")
        assert.strictEqual(headers["accept"], "application/json")
        for (const name of ["cookie", "traceparent", "b3", "authorization", "origin", "referer"]) {
          assert.notProperty(headers, name)
        }
      }).pipe(Effect.provide(over(FetchHttpClient.layer)))
    )

    it.scopedLive("a client that follows redirects by itself is found out", () =>
      Effect.gen(function* () {
        const server = yield* HttpServer.make((request, response) => {
          if (request.url === "/doc") response.writeHead(302, { location: "/elsewhere" }).end()
          else response.end('{"name":"x"}')
        })
        const following = HttpClient.followRedirects(yield* HttpClient.HttpClient)
        const error = yield* get(`${server.url}/doc`).pipe(Effect.flip, GuardedFetch.over(following, local))
        assertFailure(error, { reason: "Redirect" })
      }).pipe(Effect.provide(over(FetchHttpClient.layer)))
    )

    it.scopedLive("execute gives whatever the status is", () =>
      Effect.gen(function* () {
        const server = yield* HttpServer.make((_, response) => response.writeHead(400).end('{"error":"x"}'))
        const response = yield* GuardedHttp.execute(HttpClientRequest.post(`${server.url}/token`), "a token")
        assert.strictEqual(response.status, 400)
        assert.strictEqual(response.body, '{"error":"x"}')
      }).pipe(Effect.provide(over(FetchHttpClient.layer)))
    )
  })
})
