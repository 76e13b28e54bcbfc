import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import { type Answer, configOf, type Question, send } from "./fixtures/Guarded.js"

const root = "/.well-known/oauth-protected-resource"
const app = HttpAppAuth.withMetadata(HttpAppAuth.middleware(Effect.succeed(HttpServerResponse.text("the app"))))

const serve =
  (config: AuthConfig.AuthConfig) =>
  (question: Question): Effect.Effect<Answer> =>
    send(app, question).pipe(
      Effect.provide(Authorizer.layerTest({})),
      Effect.provideService(AuthConfig.AuthConfig, config)
    )

const serveRouter =
  (config: AuthConfig.AuthConfig) =>
  (question: Question): Effect.Effect<Answer> =>
    HttpLayerRouter.toHttpEffect(
      Layer.provide(HttpLayerRouterAuth.layerMetadata, Layer.succeed(AuthConfig.AuthConfig, config))
    ).pipe(
      Effect.orDie,
      Effect.flatMap((app) => send(app, question)),
      Effect.scoped
    )

const document = {
  resource: "https://mcp.example.com/mcp",
  authorization_servers: ["https://as.example"],
  bearer_methods_supported: ["header"],
  scopes_supported: ["mcp:tools"]
}
const config = configOf({ scopesSupported: ["mcp:tools"] })

const patterned = [
  "https://mcp.example.com/%76/mcp",
  "https://mcp.example.com/:version/mcp",
  "https://mcp.example.com/*/mcp"
]

for (const [name, serving] of [
  ["HttpAppAuth.withMetadata", serve],
  ["HttpLayerRouterAuth.layerMetadata", serveRouter]
] as const) {
  describe(`ResourceMetadata, by ${name}`, () => {
    const ask = serving(config)

    for (const path of [`${root}/mcp`, `${root}/mcp/`, root, `${root}/mcp?x=1`]) {
      it.effect(`F1, F2, F4, RS-11 GET ${path}`, () =>
        Effect.map(ask({ path }), (answer) => {
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(answer.text, JSON.stringify(document))
          assert.strictEqual(answer.headers.get("content-type"), "application/json")
          assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
          assert.strictEqual(answer.headers.get("cache-control"), "public, max-age=300")
          assert.match(answer.headers.get("etag") ?? "", /^"[^"]+"$/)
          assert.isNull(answer.challenge)
        })
      )
    }

    it.effect("F3 HEAD: the same headers and no body", () =>
      Effect.gen(function* () {
        const get = yield* ask({ path: `${root}/mcp` })
        const head = yield* ask({ path: `${root}/mcp`, method: "HEAD" })
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.text, "")
        for (const header of [
          "content-type",
          "content-length",
          "etag",
          "cache-control",
          "access-control-allow-origin"
        ]) {
          assert.strictEqual(head.headers.get(header), get.headers.get(header), header)
        }
        assert.strictEqual(head.headers.get("content-length"), String(JSON.stringify(document).length))
      })
    )

    it.effect("F3, F4 OPTIONS: 204, and any origin may ask", () =>
      Effect.map(
        ask({
          path: `${root}/mcp`,
          method: "OPTIONS",
          headers: { origin: "https://app.example", "access-control-request-method": "GET" }
        }),
        (answer) => {
          assert.strictEqual(answer.status, 204)
          assert.strictEqual(answer.text, "")
          assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
          assert.strictEqual(answer.headers.get("access-control-allow-methods"), "GET, HEAD, OPTIONS")
          assert.strictEqual(answer.headers.get("access-control-allow-headers"), "*")
          assert.isNull(answer.headers.get("access-control-allow-credentials"))
        }
      )
    )

    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      it.effect(`F3 ${method}: 405 with Allow and JSON`, () =>
        Effect.map(ask({ path: `${root}/mcp`, method }), (answer) => {
          assert.strictEqual(answer.status, 405)
          assert.strictEqual(answer.headers.get("allow"), "GET, HEAD, OPTIONS")
          assert.strictEqual(answer.headers.get("content-type"), "application/json")
          assert.deepStrictEqual(answer.body, { error: "invalid_request", error_description: "Method Not Allowed" })
        })
      )
    }

    it.effect("F1 no credentials are asked for, and wrong ones do not matter", () =>
      Effect.gen(function* () {
        for (const authorization of ["Bearer nonsense", "Bearer a b", "Basic x"]) {
          assert.strictEqual((yield* ask({ path: root, headers: { authorization } })).status, 200)
        }
        assert.strictEqual((yield* ask({ path: `${root}?access_token=x` })).status, 200)
      })
    )

    it.effect("F5, PR-20 If-None-Match", () =>
      Effect.gen(function* () {
        const etag = (yield* ask({ path: root })).headers.get("etag") ?? ""
        for (const [value, status] of [
          [etag, 304],
          [`W/${etag}`, 304],
          [`"x", ${etag} , "y"`, 304],
          ["*", 304],
          ['"x"', 200],
          [etag.slice(1, -1), 200],
          ["", 200]
        ] as const) {
          for (const method of ["GET", "HEAD"]) {
            const answer = yield* ask({ path: root, method, headers: { "if-none-match": value } })
            assert.strictEqual(answer.status, status, `${method} ${value}`)
            assert.strictEqual(answer.headers.get("etag"), etag)
            assert.strictEqual(answer.headers.get("cache-control"), "public, max-age=300")
            assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
            if (status === 304) assert.strictEqual(answer.text, "")
          }
        }
      })
    )

    it.effect("F5 another document has another ETag", () =>
      Effect.gen(function* () {
        const etags = new Set<string | null>()
        for (const resourceName of [undefined, "a", "b", "aa", "é"]) {
          etags.add((yield* serving(configOf({ resourceName }))({ path: root })).headers.get("etag"))
        }
        assert.strictEqual(etags.size, 5)
      })
    )

    it.effect("the length counts octets", () =>
      Effect.gen(function* () {
        const answer = yield* serving(configOf({ resourceName: "é😀" }))({ path: root })
        assert.strictEqual(answer.headers.get("content-length"), String(new TextEncoder().encode(answer.text).length))
        assert.include(answer.text, "é😀")
      })
    )

    it.effect("RS-12 Host and forwarding headers change nothing", () =>
      Effect.map(
        ask({
          path: root,
          headers: { host: "evil.example", "x-forwarded-host": "evil.example", forwarded: "host=evil.example" }
        }),
        (answer) => assert.strictEqual(answer.text, JSON.stringify(document))
      )
    )

    for (const [resource, paths] of [
      ["https://mcp.example.com", [root]],
      ["https://mcp.example.com/", [root]],
      ["https://mcp.example.com/a/b/mcp", [root, `${root}/a/b/mcp`, `${root}/a/b/mcp/`]],
      ["https://mcp.example.com/mcp/", [root, `${root}/mcp`, `${root}/mcp/`]],
      ["https://mcp.example.com/mcp?t=1", [root, `${root}/mcp?t=1`, `${root}/mcp`]],
      ["https://[2001:db8::1]:8443/mcp", [root, `${root}/mcp`]],
      ["https://mcp.example.com/a-b_c.d~e", [root, `${root}/a-b_c.d~e`]]
    ] as const) {
      it.effect(`A29, F2, RS-04 ${resource} is at ${paths.join(" ")}`, () =>
        Effect.gen(function* () {
          for (const path of paths) {
            const answer = yield* serving(configOf({ resource }))({ path })
            assert.strictEqual(answer.status, 200, path)
            assert.strictEqual(Reflect.get(Object(answer.body), "resource"), resource)
          }
        })
      )
    }

    // In a path of the router these are patterns, or are never met.
    const patterns = it.effect
    for (const resource of patterned) {
      patterns(`F2 ${resource} is at its own path, and at no other`, () =>
        Effect.gen(function* () {
          const path = resource.slice("https://mcp.example.com".length)
          const answer = yield* serving(configOf({ resource }))({ path: `${root}${path}` })
          assert.strictEqual(Reflect.get(Object(answer.body), "resource"), resource)
          const other = yield* serving(configOf({ resource }))({ path: `${root}/v/mcp` })
          assert.notStrictEqual(other.status, 200)
        })
      )
    }

    for (const path of [`${root}x`, `${root}/other`, `${root}/mcp/x`, `/x${root}`, "/.well-known", "/"]) {
      it.effect(`F6, F8 there is no document at ${path}`, () =>
        Effect.map(ask({ path }), (answer) => {
          assert.oneOf(answer.status, [401, 404])
          assert.notInclude(answer.text, "authorization_servers")
        })
      )
    }
  })
}

describe("ResourceMetadata beside an app", () => {
  it.effect("F6 every other path goes to the app, and there the guard stands", () =>
    Effect.gen(function* () {
      for (const path of ["/", "/mcp", "/.well-known/oauth-authorization-server", `${root}x`, root.toUpperCase()]) {
        const answer = yield* serve(config)({ path })
        assert.strictEqual(answer.status, 401, path)
      }
    })
  )

  it.effect("F8 a suffix nobody knows is 404, in JSON, and not stored", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* serve(config)({ path: `${root}/MCP` })).status, 404)
      const answer = yield* serve(config)({ path: `${root}/other` })
      assert.strictEqual(answer.status, 404)
      assert.strictEqual(answer.headers.get("cache-control"), "no-store")
      assert.deepStrictEqual(answer.body, { error: "invalid_request", error_description: "No such protected resource" })
    })
  )

  it.effect("F9 the URL of the challenge is where the document is, whatever the resource (PR-06, RS-06)", () =>
    Effect.gen(function* () {
      for (const resource of [
        "https://mcp.example.com/mcp",
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "https://mcp.example.com/a/b/",
        "https://mcp.example.com/mcp?tenant=1",
        "https://mcp.example.com/a%20b/mcp",
        "https://mcp.example.com/v1:beta/mcp",
        "https://mcp.example.com/*/mcp"
      ]) {
        const ask = serve(configOf({ resource }))
        const challenge = (yield* ask({})).challenge ?? ""
        const url = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? ""
        assert.isTrue(url.startsWith("https://mcp.example.com/"))
        const answer = yield* ask({ path: url.slice("https://mcp.example.com".length) })
        assert.strictEqual(Reflect.get(Object(answer.body), "resource"), resource)
      }
    })
  )
})
