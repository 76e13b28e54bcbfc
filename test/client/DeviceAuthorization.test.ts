import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { DeviceAuthorization, TokenSource, TokenStore } from "../../src/client/index.js"
import { call, endpoint, issuer, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)
const grant = "urn:ietf:params:oauth:grant-type:device_code"

const offering = () => {
  const world = new World()
  world.metadata = { device_authorization_endpoint: `${issuer}/device` }
  return world
}

const shown = (world: World, options: Partial<TokenSource.DeviceAuthorizationOptions> = {}) => {
  const prompts: Array<DeviceAuthorization.DevicePrompt> = []
  const source = TokenSource.layerDeviceAuthorization({
    resource: endpoint,
    show: (prompt) => Effect.sync(() => prompts.push(prompt)),
    ...options
  }).pipe(Layer.provideMerge(TokenStore.layerMemory), Layer.provideMerge(world.layerHttp))
  return { prompts, source }
}

const polls = (world: World) => world.requests.filter(({ form }) => form.get("grant_type") === grant)

/** What the fibers have to do now, they do. */
const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
const later = (duration: string) => Effect.zipRight(TestClock.adjust(duration as "1 second"), settle)

const answer = (world: World, answer: "allowed" | "denied") => {
  for (const device of world.devices.values()) device.answer = answer
}

describe("device authorization (J11)", () => {
  it.effect("shows the code, asks every five seconds, and needs no redirect", () =>
    Effect.gen(function* () {
      const world = offering()
      const { prompts, source } = shown(world)
      yield* Effect.gen(function* () {
        const calling = yield* Effect.fork(status)
        yield* settle
        assert.deepStrictEqual(prompts, [
          {
            userCode: "WDJB-MJHT",
            verificationUri: `${issuer}/go`,
            verificationUriComplete: `${issuer}/go?user_code=WDJB-MJHT`,
            expiresIn: 600
          }
        ])
        yield* later("4 seconds")
        assert.lengthOf(polls(world), 0)
        yield* later("1 second")
        yield* later("5 seconds")
        assert.lengthOf(polls(world), 2)
        answer(world, "allowed")
        yield* later("5 seconds")
        assert.strictEqual(yield* Fiber.join(calling), 200)
        assert.lengthOf(polls(world), 3)
        // One registration, one device request, three questions, and the call twice.
        assert.deepStrictEqual(
          world.requests.map(({ path }) => path),
          [
            "/mcp",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-authorization-server",
            "/reg",
            "/device",
            "/token",
            "/token",
            "/token",
            "/mcp"
          ]
        )
        assert.deepStrictEqual(world.requests[3]?.json, {
          client_name: "MCP client",
          redirect_uris: [],
          application_type: "native",
          token_endpoint_auth_method: "none",
          grant_types: [grant, "refresh_token"],
          response_types: []
        })
        const [asked] = world.requests.filter(({ path }) => path === "/device")
        assert.strictEqual(asked?.form.get("resource"), endpoint)
        assert.strictEqual(asked?.form.get("scope"), "mcp:read")
        assert.strictEqual(polls(world)[0]?.form.get("resource"), endpoint)
      }).pipe(Effect.provide(source))
    })
  )

  it.effect("ten concurrent calls are one code; afterwards refresh, step up and sign-out are as ever", () =>
    Effect.gen(function* () {
      const world = offering()
      const { prompts, source } = shown(world)
      yield* Effect.gen(function* () {
        const calling = yield* Effect.fork(
          Effect.all(
            Array.from({ length: 10 }, () => status),
            { concurrency: 10 }
          )
        )
        yield* settle
        answer(world, "allowed")
        yield* later("5 seconds")
        assert.deepStrictEqual(
          yield* Fiber.join(calling),
          Array.from({ length: 10 }, () => 200)
        )
        assert.lengthOf(prompts, 1)
        for (const token of world.tokens.values()) token.active = false
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(prompts, 1)
        world.requiredScopes = ["mcp:write"]
        const stepping = yield* Effect.fork(status)
        yield* settle
        answer(world, "allowed")
        yield* later("5 seconds")
        assert.strictEqual(yield* Fiber.join(stepping), 200)
        const devices = world.requests.filter(({ path }) => path === "/device")
        assert.strictEqual(devices[1]?.form.get("scope"), "mcp:read mcp:write")
        assert.strictEqual(world.times("/reg"), 1)
        assert.deepStrictEqual((yield* TokenSource.signOut).issuer, Option.some(issuer))
      }).pipe(Effect.provide(source))
    })
  )

  it.effect("slow_down makes it five seconds slower for good, and a failure half as often", () =>
    Effect.gen(function* () {
      const world = offering()
      const { source } = shown(world)
      yield* Effect.gen(function* () {
        const odd: Array<Response | "unreachable"> = [
          Response.json({ error: "slow_down" }, { status: 400 }),
          Response.json({ error: "authorization_pending" }, { status: 400 }),
          "unreachable"
        ]
        world.faults.push(({ path }) => (path === "/token" ? odd.shift() : undefined))
        const calling = yield* Effect.fork(status)
        yield* settle
        const times: Array<number> = []
        for (let second = 1; second <= 60; second++) {
          const before = polls(world).length
          yield* later("1 second")
          if (polls(world).length > before) times.push(second)
          if (second === 40) answer(world, "allowed")
        }
        // 5, then 10 apart after slow_down, then 20 apart after a connection that failed.
        assert.deepStrictEqual(times, [5, 15, 25, 45])
        assert.strictEqual(yield* Fiber.join(calling), 200)
      }).pipe(Effect.provide(source))
    })
  )

  it.effect("the ends: denied, expired by the server, expired by the clock, refused from the start", () =>
    Effect.gen(function* () {
      const refuse = (error: string) => Response.json({ error }, { status: 400 })
      for (const [path, response, seconds, tag] of [
        ["/token", () => refuse("access_denied"), "5 seconds", "AuthorizationRefused"],
        ["/token", () => refuse("expired_token"), "5 seconds", "AuthorizeUserError"],
        ["/token", () => refuse("authorization_pending"), "600 seconds", "AuthorizeUserError"],
        ["/token", () => refuse("invalid_grant"), "5 seconds", "TokenRefused"],
        ["/device", () => refuse("invalid_scope"), "1 second", "AuthorizationRefused"],
        ["/device", () => new Response("", { status: 503 }), "1 second", "TokenUnavailable"],
        ["/device", () => Response.json({ device_code: "d" }), "1 second", "TokenUnavailable"]
      ] as const) {
        const world = offering()
        world.faults.push((request) => (request.path === path ? response() : undefined))
        const { prompts, source } = shown(world)
        const calling = yield* Effect.fork(Effect.flip(status.pipe(Effect.provide(source))))
        yield* settle
        if (seconds === "600 seconds") for (let i = 0; i < 119; i++) yield* later("5 seconds")
        yield* later("5 seconds")
        const error = yield* Fiber.join(calling)
        assert.strictEqual(error._tag, tag)
        if (error._tag === "AuthorizeUserError") assert.strictEqual(error.reason, "Timeout")
        assert.lengthOf(prompts, path === "/token" ? 1 : 0)
        assert.notMatch(JSON.stringify(error), /device-code-\d/)
      }
    })
  )

  it.effect("a server without it is passed over, and so is one that does not list the grant", () =>
    Effect.gen(function* () {
      for (const metadata of [
        {},
        { device_authorization_endpoint: "http://as.example/device" },
        { device_authorization_endpoint: `${issuer}/device`, grant_types_supported: ["authorization_code"] }
      ]) {
        const world = new World()
        world.metadata = metadata
        const error = yield* Effect.flip(status.pipe(Effect.provide(shown(world).source)))
        assert.strictEqual(error._tag === "DiscoveryFailed" ? error.reason : error._tag, "NoAuthorizationServer")
      }
    })
  )

  it("only a secure address and a printable code reach a person, and no number makes it hurry or wait for ever", () => {
    const good = { device_code: "d", user_code: "A-1", verification_uri: "https://as.example/go", expires_in: 60 }
    const judged = DeviceAuthorization.validate(good)
    assert.strictEqual(typeof judged === "string" ? judged : judged.interval, 5)
    const odd = DeviceAuthorization.validate({ ...good, interval: 1e-9, expires_in: 1e308 })
    assert(typeof odd !== "string")
    assert.deepStrictEqual([odd.interval, odd.prompt.expiresIn], [1, 24 * 3600])
    for (const bad of [
      { verification_uri: "javascript:alert(1)" },
      { verification_uri: "http://as.example/go" },
      { verification_uri: "https://as.example/go\u001b[2J" },
      { user_code: "\u001b[2J" },
      { user_code: "" },
      { expires_in: "soon" },
      { device_code: "" }
    ]) {
      assert.strictEqual(typeof DeviceAuthorization.validate({ ...good, ...bad }), "string")
    }
    const complete = DeviceAuthorization.validate({ ...good, verification_uri_complete: "javascript:alert(1)" })
    assert.isFalse(typeof complete !== "string" && "verificationUriComplete" in complete.prompt)
  })
})
