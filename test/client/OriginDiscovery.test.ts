/** CL-18: what the revision of 2025-03-26 had before there was protected resource metadata. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as OriginDiscovery from "../../src/client/OriginDiscovery.js"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import { call, endpoint, type Recorded, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)
const origin = "https://mcp.example"

/** An endpoint of that time: a bare 401, and no protected resource metadata. */
const old = () => {
  const world = new World()
  world.faults.push((request) => {
    if (request.path === "/mcp" && request.headers["authorization"] === undefined) {
      return new Response("", { status: 401, headers: { "www-authenticate": "Bearer" } })
    }
    return request.path.includes("oauth-protected-resource") ? new Response("", { status: 404 }) : undefined
  })
  return world
}

const withFault = (world: World, answer: (request: Recorded) => Response | undefined) => {
  world.faults.unshift(answer)
  return world
}

const without = (world: World) =>
  withFault(world, ({ path }) =>
    /(oauth-authorization-server|openid-configuration)/.test(path) ? new Response("", { status: 404 }) : undefined
  )

/** `/authorize` and `/register`, as that revision has them. */
const defaults = (world: World) => {
  withFault(world, ({ json, path }) =>
    path === "/register" ? Response.json({ ...json, client_id: "default-client" }, { status: 201 }) : undefined
  )
  return without(world)
}

describe("fallback to 2025-03-26", () => {
  it.effect("CL-18: off by default: there is no metadata, and that is that", () =>
    Effect.gen(function* () {
      const world = old()
      const error = yield* Effect.flip(status.pipe(Effect.provide(world.source())))
      assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "NoMetadata")
      assert.isFalse(world.requests.some(({ path }) => path.includes("oauth-authorization-server")))
    })
  )

  it.effect("CL-10: the origin is the issuer, and its RFC 8414 metadata is checked as ever", () =>
    Effect.gen(function* () {
      const world = old()
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source({ fallback: "2025-03-26" }))), 200)
      assert.deepStrictEqual(
        world.requests.map(({ method, url }) => `${method} ${url}`),
        [
          "POST https://mcp.example/mcp",
          "GET https://mcp.example/.well-known/oauth-protected-resource/mcp",
          "GET https://mcp.example/.well-known/oauth-protected-resource",
          "GET https://mcp.example/.well-known/oauth-authorization-server",
          "POST https://mcp.example/reg",
          "POST https://mcp.example/token",
          "POST https://mcp.example/mcp"
        ]
      )
      assert.strictEqual(world.prompts[0]?.searchParams.get("resource"), endpoint)
      assert.deepStrictEqual(
        world.requests.map(({ headers }) => headers["mcp-protocol-version"]),
        [undefined, undefined, undefined, "2025-03-26", undefined, undefined, undefined]
      )
      const silent = old()
      silent.metadata = { code_challenge_methods_supported: undefined }
      const error = yield* Effect.flip(status.pipe(Effect.provide(silent.source({ fallback: "2025-03-26" }))))
      assert.include(error.message, "PKCE")
    })
  )

  it("CL-48 CL-49: the resource is the endpoint in its canonical form", () => {
    for (const [endpoint, resource] of [
      ["HTTPS://MCP.Example.com/Mcp", "https://mcp.example.com/Mcp"],
      ["https://mcp.example.com:443/mcp/", "https://mcp.example.com/mcp/"],
      ["https://mcp.example.com/", "https://mcp.example.com"],
      ["https://mcp.example.com", "https://mcp.example.com"],
      ["https://mcp.example.com/?a=B", "https://mcp.example.com/?a=B"]
    ] as const) {
      assert.strictEqual(OriginDiscovery.protectedResource(endpoint).resource, resource)
    }
  })

  it.effect("an issuer with a final slash is the same origin; any other is another", () =>
    Effect.gen(function* () {
      const slash = old()
      slash.metadata = { issuer: `${origin}/` }
      assert.strictEqual(yield* status.pipe(Effect.provide(slash.source({ fallback: "2025-03-26" }))), 200)
      const other = defaults(old())
      other.faults.shift()
      other.metadata = { issuer: "https://evil.example" }
      const error = yield* Effect.flip(status.pipe(Effect.provide(other.source({ fallback: "2025-03-26" }))))
      assert.strictEqual(error._tag, "DiscoveryFailed")
      assert.isFalse(other.requests.some(({ path }) => path === "/register"))
    })
  )

  it.effect("RS-13: without metadata: /authorize, /register and /token of the origin, with PKCE and resource", () =>
    Effect.gen(function* () {
      const world = defaults(old())
      const text = yield* DiscoveryTrace.collect((trace) => Effect.zipRight(status, trace)).pipe(
        Effect.map(DiscoveryTrace.render),
        Effect.provide(world.source({ fallback: "2025-03-26" }))
      )
      assert.include(text, "it has the default endpoints, and PKCE (MCP 2025-03-26, chosen by the application)")
      const [prompt] = world.prompts
      assert.strictEqual(`${prompt?.origin}${prompt?.pathname}`, `${origin}/authorize`)
      assert.strictEqual(prompt?.searchParams.get("code_challenge_method"), "S256")
      assert.strictEqual(prompt?.searchParams.get("resource"), endpoint)
      const token = world.requests.find(({ path }) => path === "/token")
      assert.strictEqual(token?.url, `${origin}/token`)
      assert.strictEqual(token?.form.get("resource"), endpoint)
      assert.isTrue(token?.form.has("code_verifier"))
    })
  )

  it.effect("only a 404 is an absence: a resource that is out of order is not one of that time", () =>
    Effect.gen(function* () {
      for (const status of [500, 403, 200, 302]) {
        const world = withFault(defaults(old()), ({ path }) =>
          path === "/.well-known/oauth-protected-resource" ? new Response("<html>", { status }) : undefined
        )
        const failed = yield* Effect.flip(call().pipe(Effect.provide(world.source({ fallback: "2025-03-26" }))))
        assert.strictEqual(failed._tag, status === 500 ? "TokenUnavailable" : "DiscoveryFailed")
        assert.lengthOf(world.prompts, 0)
      }
    })
  )

  it.effect("CL-04: nor is one whose challenge names its metadata; nor is an issuer that is only out of order", () =>
    Effect.gen(function* () {
      const named = new World()
      named.faults.push(({ path }) =>
        path.includes("oauth-protected-resource") ? new Response("", { status: 404 }) : undefined
      )
      const error = yield* Effect.flip(status.pipe(Effect.provide(named.source({ fallback: "2025-03-26" }))))
      assert.strictEqual(error._tag, "DiscoveryFailed")
      const ill = withFault(old(), ({ path }) =>
        path.includes("oauth-authorization-server") ? new Response("", { status: 503 }) : undefined
      )
      const passing = yield* Effect.flip(status.pipe(Effect.provide(ill.source({ fallback: "2025-03-26" }))))
      assert.strictEqual(passing._tag, "TokenUnavailable")
    })
  )

  it.effect("a resource that publishes metadata is taken at its word, and its issuer has no default endpoints", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issuers = [origin]
      without(world)
      const error = yield* Effect.flip(status.pipe(Effect.provide(world.source({ fallback: "2025-03-26" }))))
      assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "NoAuthorizationServer")
    })
  )
})
