import { createServer } from "node:http"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Unguarded from "../../src/server/Unguarded.js"
import * as Logs from "./fixtures/Logs.js"

describe("Unguarded (A2)", () => {
  const addresses: ReadonlyArray<readonly [hostname: string, reachable: boolean]> = [
    ["127.0.0.1", false],
    ["127.8.9.10", false],
    ["localhost", false],
    ["LOCALHOST", false],
    ["app.localhost", false],
    ["::1", false],
    ["[::1]", false],
    ["::ffff:127.0.0.1", false],
    ["0.0.0.0", true],
    ["::", true],
    ["[::]", true],
    ["", true],
    ["10.0.0.1", true],
    ["192.168.1.2", true],
    ["169.254.169.254", true],
    ["::ffff:10.0.0.1", true],
    ["::ffff:0.0.0.0", true],
    ["fe80::1", true],
    ["2001:db8::1", true],
    ["mcp.example.com", true],
    ["localhost.example.com", true],
    ["127.0.0.1.example.com", true]
  ]
  it.each(addresses)("A2 bound to %j", (hostname, reachable) => {
    assert.strictEqual(Unguarded.isReachable({ _tag: "TcpAddress", hostname, port: 3000 }), reachable)
  })

  it("A2 bound to a socket of this machine", () => {
    assert.isFalse(Unguarded.isReachable({ _tag: "UnixAddress", path: "/run/mcp.sock" }))
  })

  /** Starts a real server, calls it three times, and gives what was logged. */
  const logged = (host: string) =>
    Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      const port = address._tag === "TcpAddress" ? address.port : 0
      for (let n = 0; n < 3; n++) {
        const { status } = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/mcp`))
        assert.strictEqual(status, 200)
      }
    }).pipe(
      Effect.provide(
        HttpServer.serve(HttpServerResponse.text("everybody")).pipe(
          Layer.merge(Unguarded.layer),
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host }))
        )
      ),
      Logs.collect,
      Effect.map(([, lines]) => lines.filter(({ level }) => level === "WARN"))
    )

  it.live("A2 a server that others can reach says so once, at its start", () =>
    Effect.gen(function* () {
      const warnings = yield* logged("0.0.0.0")
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]?.text, "bound beyond loopback and asks nobody for a token")
    })
  )

  it.live("A2 a server on loopback says nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged("127.0.0.1"), [])
    })
  )
})
