import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { exportJWK, generateKeyPair } from "jose"
import { ClientMetadataDocument } from "../../src/client/index.js"

const url = "https://app.example.com/oauth/client.json"

const input: ClientMetadataDocument.Input = {
  url,
  clientName: "Example",
  redirectUris: ["http://127.0.0.1:4711/callback", "http://localhost:4711/callback"]
}

const broken = (changes: Partial<ClientMetadataDocument.Input>) =>
  Either.match(ClientMetadataDocument.make({ ...input, ...changes }), {
    onLeft: ({ message }) => message,
    onRight: () => ""
  })

describe("make", () => {
  it("REG-10 REG-11 CI-03: the URL is the client ID, and the members that must be there are", () => {
    assert.deepStrictEqual(
      ClientMetadataDocument.unsafeMake({ ...input, metadata: { client_uri: "https://app.example.com" } }),
      {
        grant_types: ["authorization_code", "refresh_token"],
        application_type: "native",
        client_uri: "https://app.example.com",
        client_id: url,
        client_name: "Example",
        redirect_uris: ["http://127.0.0.1:4711/callback", "http://localhost:4711/callback"],
        response_types: ["code"],
        token_endpoint_auth_method: "none"
      }
    )
  })

  it("CI-01: refuses what is no client ID URL", () => {
    for (const bad of [
      "http://app.example.com/client.json",
      "https://app.example.com",
      "https://app.example.com/",
      "https://app.example.com/a/../b",
      "https://app.example.com/client.json#x",
      "https://user@app.example.com/client.json"
    ]) {
      assert.match(broken({ url: bad }), /^client_id must/, bad)
    }
  })

  it("CL-51: redirect URIs are https or loopback, without a fragment, and there is one", () => {
    assert.include(broken({ redirectUris: [] }), "redirect_uris must not be empty")
    for (const bad of ["http://app.example.com/cb", "com.example:/cb", "https://app.example.com/cb#x", "nonsense"]) {
      assert.include(broken({ redirectUris: [bad] }), "redirect_uris.0", bad)
    }
  })

  it("REG-12 CI-05: keys make it private_key_jwt; both kinds at once, or none, are refused", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true })
    const jwks = { keys: [{ ...(await exportJWK(publicKey)) }] }
    assert.strictEqual(
      ClientMetadataDocument.unsafeMake({ ...input, jwks }).token_endpoint_auth_method,
      "private_key_jwt"
    )
    const jwksUri = "https://app.example.com/jwks"
    assert.strictEqual(
      ClientMetadataDocument.unsafeMake({ ...input, jwksUri }).token_endpoint_auth_method,
      "private_key_jwt"
    )
    assert.include(broken({ jwks, jwksUri }), "jwks and jwks_uri must not both be there")
    assert.include(broken({ jwksUri: "http://app.example.com/jwks" }), "jwks_uri must use https")
    assert.include(broken({ jwks: { keys: [] } }), "jwks must have keys")
    const secret = await exportJWK(privateKey)
    const said = broken({ jwks: { keys: [{ ...secret }] } })
    assert.include(said, "jwks.keys.0 must be a public key, without d")
    assert.notInclude(said, secret.d ?? "?")
    assert.include(broken({ jwks: { keys: [{ kty: "oct", k: "c2VjcmV0" }] } }), "public key")
    const document = { ...ClientMetadataDocument.unsafeMake(input), token_endpoint_auth_method: "private_key_jwt" }
    assert.include(ClientMetadataDocument.violations(url, document).join(), "private_key_jwt needs jwks or jwks_uri")
  })

  it("CI-04: no secret, and no method that shares one", () => {
    assert.include(broken({ metadata: { client_secret: "hush" } }), "client_secret must not be there")
    assert.notInclude(broken({ metadata: { client_secret: "hush" } }), "hush")
    assert.include(broken({ metadata: { client_secret_expires_at: 0 } }), "client_secret_expires_at")
    const document = { ...ClientMetadataDocument.unsafeMake(input), token_endpoint_auth_method: "client_secret_basic" }
    assert.include(ClientMetadataDocument.violations(url, document).join(), "none or private_key_jwt")
  })

  it("its own members are its own, and every rule that is broken is named at once", () => {
    const document = ClientMetadataDocument.unsafeMake({ ...input, metadata: { client_id: "x", response_types: [] } })
    assert.strictEqual(document.client_id, url)
    assert.deepStrictEqual(document.response_types, ["code"])
    assert.lengthOf(broken({ url: "http://a", clientName: " ", redirectUris: [] }).split("; "), 3)
    assert.include(broken({ metadata: { policy: "x".repeat(6000) } }), "5120 bytes")
    assert.include(broken({ metadata: { grant_types: ["refresh_token"] } }), "authorization_code")
  })
})

describe("serve", () => {
  const document = ClientMetadataDocument.unsafeMake(input)
  const app = HttpServerResponse.text("the application").pipe(
    ClientMetadataDocument.serve(document, { maxAge: "5 minutes" })
  )
  const handler = HttpApp.toWebHandler(app)
  const ask = (method: string, at = url) => handler(new Request(at, { method }))

  it("CI-13: GET: the document as JSON, with a lifetime, for any origin", async () => {
    const response = await ask("GET")
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("content-type"), "application/json")
    assert.strictEqual(response.headers.get("cache-control"), "public, max-age=300")
    assert.strictEqual(response.headers.get("access-control-allow-origin"), "*")
    assert.deepStrictEqual(await response.json(), { ...document })
  })

  it("HEAD: the same without a body; anything else 405; other paths are the application's", async () => {
    const head = await ask("HEAD")
    assert.strictEqual(head.status, 200)
    assert.strictEqual(head.headers.get("content-type"), "application/json")
    assert.strictEqual(await head.text(), "")
    for (const method of ["POST", "PUT", "DELETE"]) {
      const response = await ask(method)
      assert.strictEqual(response.status, 405)
      assert.strictEqual(response.headers.get("allow"), "GET, HEAD")
    }
    assert.strictEqual(await (await ask("GET", `${url}x`)).text(), "the application")
  })
})
