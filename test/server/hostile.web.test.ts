// The same table without sockets: nothing here belongs to a runtime, so it runs on Node and on Bun alike.
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Layer from "effect/Layer"
import { hostileTokens } from "../vectors/HostileTokens.js"
import * as Hostile from "./fixtures/Hostile.js"
import * as Network from "./fixtures/Network.js"

const origin = "https://as.example"
const { documents, forge } = Hostile.makeForge(origin)
const network = Network.make((url) => {
  const document = url.startsWith(origin) ? documents[url.slice(origin.length)] : undefined
  return document === undefined ? new Response("", { status: 404 }) : Network.json(document)
})
const { app, reached } = Hostile.makeApp()
const { dispose, handler } = HttpApp.toWebHandlerLayer(
  app,
  Hostile.layer(forge, Layer.succeed(HttpClient.HttpClient, network.client))
)
afterAll(dispose)

describe("hostile tokens in a web handler", () => {
  for (const row of hostileTokens) {
    const outcome = row.web ?? row.outcome
    const test = it
    test(`${row.row} ${row.name}: ${outcome}`, async () => {
      const before = reached.length
      const values = await row.authorization(forge)
      const url = `https://mcp.example.com${row.path === undefined ? "/mcp" : await row.path(forge)}`
      const form = await row.form?.(forge)
      const make = () => {
        const headers = new Headers()
        for (const value of values) headers.append("authorization", value)
        if (form !== undefined) headers.set("content-type", "application/x-www-form-urlencoded")
        return new Request(url, form === undefined ? { headers } : { method: "POST", headers, body: form })
      }
      if (outcome === "unsendable") {
        assert.throws(make)
        return
      }
      const response = await handler(make())
      const { challenge, status, text } = Hostile.expected[outcome]
      assert.strictEqual(response.status, status)
      assert.strictEqual(response.headers.get("www-authenticate") ?? undefined, challenge)
      assert.strictEqual(await response.text(), text)
      assert.strictEqual(reached.length - before, outcome === "accepted" ? 1 : 0, "how often the app was reached")
    })
  }

  it("the issuers were asked for their documents and nothing else", () => {
    assert.deepStrictEqual(new Set(network.asked), new Set(Object.keys(documents).map((path) => `${origin}${path}`)))
  })
})
