/** Every hostile token of the table, at the guard in front of every framework, over real sockets. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as HttpServer from "../discovery/fixtures/HttpServer.js"
import * as Frameworks from "../fixtures/Frameworks.js"
import * as Hostile from "../server/fixtures/Hostile.js"
import * as RawHttp from "../server/fixtures/RawHttp.js"
import { hostileTokens } from "../vectors/HostileTokens.js"

const portOf = (url: string): number => Number(new URL(url).port)

describe("hostile tokens", () => {
  for (const [name, framework] of Object.entries(Frameworks.all)) {
    it.scopedLive(
      `${name}: each is refused to the letter, as it is by the guard of an HttpApp`,
      () =>
        Effect.gen(function* () {
          let documents: Readonly<Record<string, string>> = {}
          const issuers = yield* HttpServer.make((request, response) => {
            const document = documents[request.url ?? ""]
            if (document === undefined) response.writeHead(404).end()
            else response.writeHead(200, { "content-type": "application/json" }).end(document)
          })
          const made = Hostile.makeForge(issuers.url)
          documents = made.documents
          const listener = yield* framework(
            Layer.provide(Hostile.layer(made.forge, FetchHttpClient.layer), Logger.minimumLogLevel(LogLevel.None))
          )
          const { url } = yield* HttpServer.make(listener)
          const wrong: Array<unknown> = []
          for (const row of hostileTokens) {
            yield* Effect.promise(async () => {
              const values = await row.authorization(made.forge)
              const path = (await row.path?.(made.forge)) ?? "/mcp"
              const form = await row.form?.(made.forge)
              const { headers, status, text } = await RawHttp.send(portOf(url), {
                path,
                method: form === undefined ? "GET" : "POST",
                headers: [
                  ...values.map((value) => ["Authorization", value] as const),
                  ...(form === undefined ? [] : [["Content-Type", "application/x-www-form-urlencoded"] as const])
                ],
                ...(form === undefined ? {} : { body: form })
              })
              // What is one header with a comma and what came twice look the same in a web Request.
              const joined = name in Frameworks.ofWebRequests && row.web === "repeated"
              const outcome = joined ? row.web : row.outcome
              const expected = Hostile.expected[outcome]
              // What is accepted goes on to the SDK, which has its own opinion of such a request.
              const isAsExpected =
                outcome === "accepted"
                  ? ![401, 403, 500, 503].includes(status) && !("www-authenticate" in headers)
                  : status === expected.status &&
                    headers["www-authenticate"] === expected.challenge &&
                    (expected.text === undefined || text === expected.text)
              if (!isAsExpected) wrong.push({ name: row.name, outcome, status, headers, text })
            })
          }
          assert.deepStrictEqual(wrong, [])
        }),
      120_000
    )
  }
})
