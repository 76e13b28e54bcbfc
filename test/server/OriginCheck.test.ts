import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Layer from "effect/Layer"
import { AuthConfig, Authorizer, HttpAppAuth, OriginCheck } from "effect-mcp-auth/server"

const { handler } = HttpApp.toWebHandlerLayer(
  HttpServerResponse.text("ok").pipe(HttpAppAuth.middleware, OriginCheck.middleware(["https://chat.example.com"])),
  Layer.merge(
    AuthConfig.layer({ resource: "https://mcp.test/mcp", authorizationServers: "https://as.test" }),
    Authorizer.layerTest({ alice: {} })
  )
)

const send = (headers: Record<string, string>) => handler(new Request("https://mcp.test/mcp", { headers }))

describe("OriginCheck", () => {
  for (const origin of [
    "https://evil.example.com",
    "http://chat.example.com",
    "https://chat.example.com:8443",
    "https://chat.example.com.evil.com",
    "https://CHAT.example.com",
    "null",
    ""
  ]) {
    it(`B7, SEC-30 the origin ${JSON.stringify(origin)} is 403 before authorization, with a token and without`, async () => {
      for (const headers of [{ origin }, { origin, authorization: "Bearer alice" }]) {
        const response = await send(headers)
        assert.strictEqual(response.status, 403)
        assert.isNull(response.headers.get("www-authenticate"))
      }
    })
  }

  it("B7, SEC-30 an allowed origin and no origin at all go on to the guard", async () => {
    const origin = "https://chat.example.com"
    assert.strictEqual((await send({ origin })).status, 401)
    assert.strictEqual((await send({ origin, authorization: "Bearer alice" })).status, 200)
    assert.strictEqual((await send({})).status, 401)
    assert.strictEqual((await send({ authorization: "Bearer alice" })).status, 200)
  })
})
