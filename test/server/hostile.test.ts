import { createServer } from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as IssuerServer from "../discovery/fixtures/HttpServer.js"
import { type Forge, hostileTokens } from "../vectors/HostileTokens.js"
import * as Hostile from "./fixtures/Hostile.js"
import * as RawHttp from "./fixtures/RawHttp.js"

/** A guarded server on a port of its own, its issuers on another, and all that they have logged and been asked. */
class Target extends Context.Tag("Target")<
  Target,
  {
    readonly forge: Forge
    readonly port: number
    readonly reached: ReadonlyArray<string>
    readonly asked: ReadonlyArray<string>
    readonly logged: ReadonlyArray<string>
  }
>() {}

const target = Layer.scoped(
  Target,
  Effect.gen(function* () {
    let documents: Readonly<Record<string, string>> = {}
    const issuers = yield* IssuerServer.make((request, response) => {
      const document = documents[request.url ?? ""]
      if (document === undefined) response.writeHead(404).end()
      else response.writeHead(200, { "content-type": "application/json" }).end(document)
    })
    const made = Hostile.makeForge(issuers.url)
    documents = made.documents
    const { app, reached } = Hostile.makeApp()
    const logged: Array<string> = []
    const logger = Logger.make((options) => void logged.push(Logger.jsonLogger.log(options)))
    const server = yield* Layer.build(
      Layer.provideMerge(
        Layer.provide(HttpServer.serve(app), Hostile.layer(made.forge, FetchHttpClient.layer)),
        NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })
      ).pipe(
        Layer.provide(Logger.replace(Logger.defaultLogger, logger)),
        Layer.provide(Logger.minimumLogLevel(LogLevel.Debug))
      )
    )
    const { address } = Context.get(server, HttpServer.HttpServer)
    const port = address._tag === "TcpAddress" ? address.port : 0
    return { forge: made.forge, port, reached, asked: issuers.requests, logged }
  })
)

layer(target, { excludeTestServices: true })("hostile tokens over a real socket", (it) => {
  it.effect("there are at least 80, and every outcome is among them", () =>
    Effect.sync(() => {
      assert.isAbove(hostileTokens.length, 80)
      const outcomes = new Set(hostileTokens.map(({ outcome }) => outcome))
      assert.deepStrictEqual(outcomes, new Set(Object.keys(Hostile.expected)))
      assert.strictEqual(new Set(hostileTokens.map(({ name, row }) => `${row} ${name}`)).size, hostileTokens.length)
    })
  )

  for (const row of hostileTokens) {
    const test = it.effect
    test(`${row.row} ${row.name}: ${row.outcome}`, () =>
      Effect.gen(function* () {
        const { forge, port, reached } = yield* Target
        const before = reached.length
        const values = yield* Effect.promise(() => row.authorization(forge))
        const path =
          row.path === undefined ? "/mcp" : yield* Effect.promise(() => row.path?.(forge) ?? Promise.resolve(""))
        const form =
          row.form === undefined ? undefined : yield* Effect.promise(() => row.form?.(forge) ?? Promise.resolve(""))
        const answer = yield* Effect.promise(() =>
          RawHttp.send(port, {
            path,
            method: form === undefined ? "GET" : "POST",
            headers: [
              ...values.map((value) => ["Authorization", value] as const),
              ...(form === undefined ? [] : [["Content-Type", "application/x-www-form-urlencoded"] as const])
            ],
            ...(form === undefined ? {} : { body: form })
          })
        )
        const { challenge, status, text } = Hostile.expected[row.outcome]
        assert.strictEqual(answer.status, status)
        assert.strictEqual(answer.headers["www-authenticate"], challenge)
        if (text !== undefined) assert.strictEqual(answer.text, text)
        assert.strictEqual(reached.length - before, row.outcome === "accepted" ? 1 : 0, "how often the app was reached")
      }))
  }

  it.effect("the issuers were asked for their documents and nothing else, and nobody else was asked", () =>
    Effect.gen(function* () {
      const { asked } = yield* Target
      const documents = [
        "GET /.well-known/oauth-authorization-server/a",
        "GET /.well-known/oauth-authorization-server/b",
        "GET /a/jwks",
        "GET /b/jwks"
      ]
      assert.deepStrictEqual(new Set(asked), new Set(documents))
      // Unknown kids, all within a few cooldowns of five seconds.
      assert.isBelow(asked.length, 24)
    })
  )

  it.effect("RS-40 no token was logged, and each refusal was", () =>
    Effect.gen(function* () {
      const { forge, logged } = yield* Target
      const token = yield* Effect.promise(() => forge.es.token(forge.claims))
      const [head = "", payload = ""] = token.split(".")
      assert.isAbove(logged.filter((line) => line.includes("Refused: InvalidToken")).length, 100)
      for (const line of logged) {
        assert.notInclude(line, payload)
        assert.notInclude(line, head)
        assert.notInclude(line, "alice")
      }
    })
  )

  it.effect("and a good token is still accepted", () =>
    Effect.gen(function* () {
      const { forge, port } = yield* Target
      const token = yield* Effect.promise(() => forge.es.token(forge.claims))
      const answer = yield* Effect.promise(() =>
        RawHttp.send(port, { headers: [["Authorization", `Bearer ${token}`]] })
      )
      assert.strictEqual(answer.status, 200)
    })
  )
})
