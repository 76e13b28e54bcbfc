import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import { call, endpoint, issuer, redirectUri, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

const offering = (metadata: Record<string, unknown> = {}) => {
  const world = new World()
  world.metadata = { pushed_authorization_request_endpoint: `${issuer}/par`, ...metadata }
  return world
}

describe("PAR", () => {
  it.effect("Q-01 Q-03: where it is offered, the request is pushed and the URL holds a reference to it only", () =>
    Effect.gen(function* () {
      const world = offering()
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source())), 200)
      assert.deepStrictEqual(
        world.requests.map(({ method, path }) => `${method} ${path}`),
        [
          "POST /mcp",
          "GET /.well-known/oauth-protected-resource/mcp",
          "GET /.well-known/oauth-authorization-server",
          "POST /reg",
          "POST /par",
          "POST /token",
          "POST /mcp"
        ]
      )
      const pushed = world.requests[4]?.form ?? new URLSearchParams()
      assert.deepStrictEqual(Array.from(pushed.keys()), [
        "response_type",
        "client_id",
        "redirect_uri",
        "code_challenge",
        "code_challenge_method",
        "state",
        "resource",
        "scope"
      ])
      assert.strictEqual(pushed.get("resource"), endpoint)
      assert.strictEqual(pushed.get("redirect_uri"), redirectUri)
      assert.deepStrictEqual(Array.from(world.prompts[0]?.searchParams.keys() ?? []), ["client_id", "request_uri"])
      assert.strictEqual(world.prompts[0]?.searchParams.get("client_id"), pushed.get("client_id"))
    })
  )

  it.effect("the client authenticates as at the token endpoint, and names itself once", () =>
    Effect.gen(function* () {
      for (const [method, header, keys] of [
        ["client_secret_basic", `Basic ${btoa("known:a+secret")}`, []],
        ["client_secret_post", undefined, ["client_secret"]]
      ] as const) {
        const world = offering({ token_endpoint_auth_methods_supported: [method] })
        const preRegistered = [{ issuer, clientId: "known", clientSecret: Redacted.make("a secret") }]
        assert.strictEqual(yield* status.pipe(Effect.provide(world.source({ registration: { preRegistered } }))), 200)
        const pushed = world.requests.find(({ path }) => path === "/par")
        assert.strictEqual(pushed?.headers["authorization"], header)
        assert.lengthOf(pushed?.form.getAll("client_id") ?? [], 1)
        for (const key of keys) assert.isTrue(pushed?.form.has(key))
        assert.isFalse(world.prompts[0]?.searchParams.has("client_secret"))
      }
    })
  )

  it.effect("only where the server insists, if the application wants it so (Q-04)", () =>
    Effect.gen(function* () {
      const offered = offering()
      yield* status.pipe(Effect.provide(offered.source({ pushedRequests: "required" })))
      assert.strictEqual(offered.times("/par"), 0)
      assert.isTrue(offered.prompts[0]?.searchParams.has("code_challenge"))
      const required = offering({ require_pushed_authorization_requests: true })
      yield* status.pipe(Effect.provide(required.source({ pushedRequests: "required" })))
      assert.strictEqual(required.times("/par"), 1)
    })
  )

  it.effect("a server that insists and has no endpoint, or an insecure one, cannot be used", () =>
    Effect.gen(function* () {
      for (const pushed_authorization_request_endpoint of [undefined, "http://as.example/par"]) {
        const world = offering({ require_pushed_authorization_requests: true, pushed_authorization_request_endpoint })
        const error = yield* Effect.flip(status.pipe(Effect.provide(world.source())))
        assert.strictEqual(error._tag, "DiscoveryFailed")
        assert.include(error.message, "pushed_authorization_request_endpoint")
      }
    })
  )

  it.effect("Q-02: a refusal comes before anybody was asked, and shows nothing that was sent", () =>
    Effect.gen(function* () {
      const world = offering()
      world.faults.push(({ form, path }) =>
        path === "/par"
          ? Response.json({ error: "invalid_scope", error_description: `no: ${form.get("state")}` }, { status: 400 })
          : undefined
      )
      const error = yield* Effect.flip(status.pipe(Effect.provide(world.source())))
      assert.strictEqual(error._tag === "AuthorizationRefused" ? error.error : error._tag, "invalid_scope")
      assert.notInclude(error.message, world.requests.find(({ path }) => path === "/par")?.form.get("state") ?? "?")
      assert.lengthOf(world.prompts, 0)
    })
  )

  it.effect(
    "an endpoint that is out of order or makes no sense is a passing failure, and no reason to do without",
    () =>
      Effect.gen(function* () {
        for (const odd of [
          () => new Response("", { status: 429, headers: { "retry-after": "3" } }),
          () => new Response("", { status: 405 }),
          () => Response.json({ expires_in: 60 }, { status: 201 }),
          () => Response.json({ request_uri: "a b" }, { status: 201 }),
          () => new Response("", { status: 302, headers: { location: "https://evil.example" } }),
          () => "unreachable" as const
        ]) {
          const world = offering()
          world.faults.push(({ path }) => (path === "/par" ? odd() : undefined))
          const error = yield* Effect.flip(status.pipe(Effect.provide(world.source())))
          assert.strictEqual(error._tag, "TokenUnavailable")
          assert.lengthOf(world.prompts, 0)
        }
      })
  )

  it.effect("a registration that the server forgot is made anew before the one prompt", () =>
    Effect.gen(function* () {
      const world = offering()
      yield* Effect.gen(function* () {
        yield* status
        for (const token of world.tokens.values()) token.active = false
        for (const token of world.refreshTokens.values()) token.active = false
        const dead = world.prompts[0]?.searchParams.get("client_id")
        world.faults.push(({ form, path }) =>
          path === "/par" && form.get("client_id") === dead
            ? Response.json({ error: "invalid_client" }, { status: 401 })
            : undefined
        )
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(world.prompts, 2)
        assert.strictEqual(world.times("/reg"), 2)
        assert.notStrictEqual(world.prompts[1]?.searchParams.get("client_id"), dead)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("configured credentials that the server does not know are for the application to hear of", () =>
    Effect.gen(function* () {
      const world = offering()
      world.faults.push(({ path }) =>
        path === "/par" ? Response.json({ error: "invalid_client" }, { status: 401 }) : undefined
      )
      const source = world.source({ registration: { preRegistered: [{ issuer, clientId: "known" }] } })
      const error = yield* Effect.flip(status.pipe(Effect.provide(source)))
      assert.strictEqual(error._tag === "AuthorizationRefused" ? error.error : error._tag, "invalid_client")
      assert.strictEqual(world.times("/par"), 2)
      assert.lengthOf(world.prompts, 0)
    })
  )

  it.effect("the trace says that the request was pushed, and none of it", () =>
    Effect.gen(function* () {
      const world = offering()
      const text = yield* DiscoveryTrace.collect((trace) => Effect.zipRight(status, trace)).pipe(
        Effect.map(DiscoveryTrace.render),
        Effect.provide(world.source())
      )
      assert.include(text, "POST https://as.example/par → 201 (pushed authorization request)")
      assert.notInclude(text, "urn:ietf:params:oauth:request_uri")
    })
  )
})
