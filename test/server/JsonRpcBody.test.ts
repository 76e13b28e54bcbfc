import { createServer } from "node:http"
import { connect } from "node:net"
import { gzipSync } from "node:zlib"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { InvalidRequest } from "../../src/server/AuthError.js"
import * as JsonRpcBody from "../../src/server/JsonRpcBody.js"
import * as PlatformServer from "../fixtures/PlatformServer.js"
import * as RawHttp from "./fixtures/RawHttp.js"

const read = <A>(
  how: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<A, InvalidRequest>,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = { "content-type": "application/json" }
) =>
  Effect.suspend(() =>
    how(HttpServerRequest.fromWeb(new Request("http://127.0.0.1/mcp", { method: "POST", headers, body })))
  )

const refusalOf = (effect: Effect.Effect<unknown, InvalidRequest>) =>
  Effect.map(Effect.flip(effect), ({ description }) => description)

const compressed = "the body must not be compressed"
const encoded = "the body must be UTF-8"
const tooLarge = (max: number) => `the body must not be larger than ${max} bytes`
const notJson = "the body must be JSON in UTF-8, without a byte order mark"
const deep = (n: number): string => `${"[".repeat(n)}${"]".repeat(n)}`

describe("JsonRpcBody: what is read is what the server behind reads (G2)", () => {
  for (const contentType of [
    "application/json",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json; charset=utf8",
    "text/plain",
    "nonsense"
  ]) {
    it.effect(`Content-Type ${contentType}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* read(JsonRpcBody.json, '{"a":"é"}', { "content-type": contentType }), { a: "é" })
      })
    )
  }

  for (const charset of ["utf-16", "UTF-16LE", '"utf-7"', "iso-8859-1", "us-ascii", "utf-8x", ""]) {
    it.effect(`a charset that a body parser might honour is refused: ${charset}`, () =>
      Effect.gen(function* () {
        const headers = { "content-type": `application/json; Charset=${charset}` }
        assert.strictEqual(yield* refusalOf(read(JsonRpcBody.text, "{}", headers)), encoded)
      })
    )
  }

  for (const encoding of ["gzip", "GZIP", "deflate", "br", "identity, gzip", "zstd", "x"]) {
    it.effect(`Content-Encoding ${encoding} is refused, unread`, () =>
      Effect.gen(function* () {
        const body = new Uint8Array(gzipSync('{"method":"tools/call"}'))
        assert.strictEqual(yield* refusalOf(read(JsonRpcBody.text, body, { "content-encoding": encoding })), compressed)
      })
    )
  }

  it.effect("Content-Encoding identity is none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read(JsonRpcBody.json, "{}", { "content-encoding": " Identity " }), {})
    })
  )

  it.effect("UTF-16 under a name of UTF-8, and octets that are no UTF-8, are no JSON", () =>
    Effect.gen(function* () {
      for (const body of [
        new Uint8Array(Buffer.from('{"a":1}', "utf16le")),
        new Uint8Array(Buffer.from('\ufeff{"a":1}', "utf16le")),
        new Uint8Array([0x7b, 0xff, 0x7d])
      ]) {
        assert.strictEqual(yield* refusalOf(read(JsonRpcBody.json, body)), notJson)
      }
      // An octet that is wrong inside of a string is one and the same replacement character for all readers.
      const wrong = new Uint8Array([...Buffer.from('{"a":"'), 0xff, ...Buffer.from('"}')])
      assert.deepStrictEqual(yield* read(JsonRpcBody.json, wrong), { a: "\ufffd" })
    })
  )

  it.effect("deep, and still JSON; too deep for the parser is a refusal and no defect", () =>
    Effect.gen(function* () {
      assert.isArray(yield* read(JsonRpcBody.json, deep(1000)))
      const exit = yield* Effect.exit(read(JsonRpcBody.json, deep(1_000_000)))
      assert.isTrue(exit._tag === "Success" || exit.cause._tag === "Fail")
    })
  )

  it.effect("four MiB, and not an octet more; what the platform says goes before", () =>
    Effect.gen(function* () {
      const max = 4 * 1024 * 1024
      const ofSize = (size: number, filling = "x") => `"${filling.repeat((size - 2) / Buffer.byteLength(filling))}"`
      assert.strictEqual((yield* read(JsonRpcBody.text, ofSize(max))).length, max)
      assert.strictEqual(yield* refusalOf(read(JsonRpcBody.text, ofSize(max + 1))), tooLarge(max))
      // Octets count, not characters.
      assert.strictEqual(yield* refusalOf(read(JsonRpcBody.text, ofSize(max + 2, "é"))), tooLarge(max))
      assert.strictEqual(
        yield* refusalOf(read(JsonRpcBody.text, "{}", { "content-length": "99999999999999" })),
        tooLarge(max)
      )
      const ten = HttpIncomingMessage.withMaxBodySize(Option.some(10))
      assert.strictEqual(yield* ten(read(JsonRpcBody.text, ofSize(10))), ofSize(10))
      assert.strictEqual(yield* ten(refusalOf(read(JsonRpcBody.text, ofSize(11)))), tooLarge(10))
      const large = HttpIncomingMessage.withMaxBodySize(Option.some(2 * max))
      assert.strictEqual((yield* large(read(JsonRpcBody.text, ofSize(max + 1)))).length, max + 1)
    })
  )

  it.effect("a body that was read otherwise before cannot be read", () =>
    Effect.gen(function* () {
      const web = new Request("http://127.0.0.1/mcp", { method: "POST", body: "{}" })
      yield* Effect.promise(() => web.text())
      const error = yield* Effect.flip(JsonRpcBody.text(HttpServerRequest.fromWeb(web)))
      assert.strictEqual(error.description, "the body of the request cannot be read")
    })
  )

  it.scopedLive("over a socket: a byte order mark, a body in pieces, and one that goes on and on", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const app = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const outcome = yield* Effect.match(JsonRpcBody.json(request), {
          onFailure: ({ description }) => description,
          onSuccess: () => "read"
        })
        // Whoever is behind reads the same text.
        seen.push(yield* Effect.orElseSucceed(request.text, () => "unreadable"))
        return HttpServerResponse.text(outcome)
      })
      const context = yield* Layer.build(
        HttpServer.serve(app).pipe(
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
        )
      )
      const { address } = Context.get(context, HttpServer.HttpServer)
      const port = address._tag === "TcpAddress" ? address.port : 0
      const call = '{"method":"tools/call","params":{"name":"é"}}'
      const whole = (body: string) => Effect.promise(() => RawHttp.send(port, { method: "POST", body }))
      assert.include((yield* whole(call)).text, "read")
      assert.include((yield* whole(`\ufeff${call}`)).text, notJson)

      const inPieces = (pieces: Iterable<Uint8Array>) =>
        Effect.promise(async () => {
          const iterator = pieces[Symbol.iterator]()
          const body = new ReadableStream({
            pull: (controller) => {
              const { done, value } = iterator.next()
              if (done === true) controller.close()
              else controller.enqueue(value)
            }
          })
          // What Node adds to the type of a request.
          const request = { method: "POST", body, duplex: "half", signal: AbortSignal.timeout(5000) } as RequestInit
          return (await fetch(`http://127.0.0.1:${port}/mcp`, request).catch(() => undefined))?.text()
        })
      const octets = new TextEncoder().encode(call)
      assert.strictEqual(yield* inPieces(Array.from(octets, (octet) => new Uint8Array([octet]))), "read")
      // Whether the sender of too much gets to see the answer is up to the runtime.
      const spaces = Array.from({ length: 80 }, () => new Uint8Array(65_536).fill(0x20))
      assert.notStrictEqual(yield* inPieces(spaces), "read")
      assert.deepStrictEqual(seen, [call, `\ufeff${call}`, call, "unreadable"])
    })
  )

  it.effect("a body that does not arrive within a minute is refused, however much of it is there", () =>
    Effect.gen(function* () {
      let cancelled = false
      const dripping = (octets: number) =>
        HttpServerRequest.fromWeb(
          new Request("http://127.0.0.1/mcp", {
            method: "POST",
            duplex: "half",
            body: new ReadableStream({
              start: (controller) => controller.enqueue(new Uint8Array(octets)),
              cancel: () => {
                cancelled = true
              }
            })
          } as RequestInit)
        )
      for (const octets of [0, 1000]) {
        const reading = yield* Effect.fork(Effect.uninterruptible(refusalOf(JsonRpcBody.text(dripping(octets)))))
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual((yield* Fiber.poll(reading))._tag, "None")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(reading), "the body must arrive within a minute")
      }
      assert.isFalse(cancelled, "the connection is the server's")
    })
  )

  it.scopedLive("over a socket: whoever leaves while a body is read takes the reading away", () =>
    Effect.gen(function* () {
      const [begun, ended] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const app = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Deferred.succeed(begun, undefined)
        yield* Effect.ignore(JsonRpcBody.text(request)).pipe(Effect.ensuring(Deferred.succeed(ended, undefined)))
        return HttpServerResponse.empty()
      })
      const server = yield* Layer.build(Layer.provideMerge(HttpServer.serve(app), PlatformServer.layer))
      const port = yield* Effect.provide(PlatformServer.port, server)
      const socket = connect(port, "127.0.0.1")
      socket.write("POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{")
      yield* Deferred.await(begun)
      socket.destroy()
      yield* Effect.timeout(Deferred.await(ended), "20 seconds")
    })
  )
})
