import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as HttpClientAuth from "../../src/client/HttpClientAuth.js"
import * as ServerProfile from "../../src/client/ServerProfile.js"
import * as StoredGrant from "../../src/client/StoredGrant.js"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import * as Pkce from "../../src/protocol/Pkce.js"
import { gate, passing, settle } from "./fixtures/time.js"
import { call, endpoint, issuer, redirectUri, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

const callWithStream = Effect.flatMap(HttpClient.HttpClient, (client) =>
  HttpClientAuth.transform()(client).post(endpoint, { body: HttpBody.stream(Stream.make(new Uint8Array([1]))) })
)

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(Effect.flip(effect))

const tenCalls = Effect.forEach(Array.from({ length: 10 }), () => status, { concurrency: "unbounded" })

/** Signs in, then has every token refused that was issued so far. */
const signedIn = (world: World) =>
  Effect.tap(status, () =>
    Effect.sync(() => {
      for (const token of world.tokens.values()) token.active = false
    })
  )

describe("the first sign-in", () => {
  it.effect("J1 J2 J4 J5 J6 J7 J10: takes exactly 6 requests, and says all that it has to say", () =>
    Effect.gen(function* () {
      const world = new World()
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source())), 200)
      assert.deepStrictEqual(
        world.requests.map((request) => `${request.method} ${request.url}`),
        [
          "POST https://mcp.example/mcp",
          "GET https://mcp.example/.well-known/oauth-protected-resource/mcp",
          "GET https://as.example/.well-known/oauth-authorization-server",
          "POST https://as.example/reg",
          "POST https://as.example/token",
          "POST https://mcp.example/mcp"
        ]
      )
      const [prompt] = world.prompts
      const query = prompt?.searchParams ?? new URLSearchParams()
      const form = world.requests[4]?.form ?? new URLSearchParams()
      // CL-46, CL-47: the same bytes in both requests.
      assert.strictEqual(query.get("resource"), endpoint)
      assert.strictEqual(form.get("resource"), endpoint)
      assert.strictEqual(query.get("code_challenge_method"), "S256")
      const verifier = form.get("code_verifier") ?? ""
      assert.strictEqual(query.get("code_challenge"), yield* Effect.promise(() => Pkce.challenge(verifier)))
      assert.strictEqual(query.get("redirect_uri"), redirectUri)
      assert.strictEqual(form.get("redirect_uri"), redirectUri)
      assert.strictEqual(query.get("scope"), "mcp:read")
      assert.isAbove(query.get("state")?.length ?? 0, 20)
      // CL-72: the token goes to the resource and nowhere else.
      assert.strictEqual(world.requests[5]?.headers["authorization"], "Bearer at-3")
      assert.isTrue(world.requests.slice(0, 5).every((request) => request.headers["authorization"] === undefined))
    })
  )

  it.effect("REG-20 REG-22 REG-23: registers as a native public client, without scope", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* status.pipe(Effect.provide(world.source()))
      assert.deepStrictEqual(world.requests[3]?.json, {
        client_name: "MCP client",
        redirect_uris: [redirectUri],
        application_type: "native",
        token_endpoint_auth_method: "none",
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"]
      })
    })
  )

  it.effect("a pre-registered client takes 5 requests", () =>
    Effect.gen(function* () {
      const world = new World()
      const source = world.source({ registration: { preRegistered: [{ issuer, clientId: "known" }] } })
      assert.strictEqual(yield* status.pipe(Effect.provide(source)), 200)
      assert.strictEqual(world.requests.length, 5)
      assert.strictEqual(world.prompts[0]?.searchParams.get("client_id"), "known")
    })
  )

  it.effect("CL-61: without a scope in the challenge, those of the metadata; without those, none", () =>
    Effect.gen(function* () {
      const listed = new World()
      listed.challengeScope = undefined
      listed.resourceScopes = ["a", "b"]
      yield* status.pipe(Effect.provide(listed.source()))
      assert.strictEqual(listed.prompts[0]?.searchParams.get("scope"), "a b")
      const silent = new World()
      silent.challengeScope = undefined
      yield* status.pipe(Effect.provide(silent.source()))
      assert.isFalse(silent.prompts[0]?.searchParams.has("scope"))
    })
  )

  it.effect("CL-74 AM-14: offline_access only where the server lists it, and then with prompt=consent", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { scopes_supported: ["offline_access", "mcp:read"] }
      yield* status.pipe(Effect.provide(world.source()))
      assert.strictEqual(world.prompts[0]?.searchParams.get("scope"), "mcp:read offline_access")
      assert.strictEqual(world.prompts[0]?.searchParams.get("prompt"), "consent")
    })
  )

  it.effect("ten concurrent 401s make one sign-in (CL-69)", () =>
    Effect.gen(function* () {
      const world = new World()
      const statuses = yield* tenCalls.pipe(Effect.provide(world.source()))
      assert.deepStrictEqual(
        statuses,
        Array.from({ length: 10 }, () => 200)
      )
      assert.strictEqual(world.prompts.length, 1)
      assert.strictEqual(world.times("/token"), 1)
      assert.strictEqual(world.times("/reg"), 1)
    })
  )

  it.effect("concurrent 401s that ask for different scopes make one sign-in, too, one after the other", () =>
    Effect.gen(function* () {
      const world = new World()
      world.thinking = settle
      const scopes = ["mcp:read", "mcp:write", "mcp:list"]
      world.faults.push(({ headers, path }) => {
        if (path !== "/mcp" || headers["authorization"] !== undefined) return undefined
        return new Response("", { status: 401, headers: { "www-authenticate": `Bearer scope="${scopes.pop()}"` } })
      })
      yield* Effect.gen(function* () {
        const three = Effect.all([status, status, status], { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* three, [200, 200, 200])
        assert.lengthOf(scopes, 0)
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("the trace of a success reaches whoever collects around the call", () =>
    Effect.gen(function* () {
      const world = new World()
      const text = yield* DiscoveryTrace.collect((trace) => Effect.zipRight(status, trace)).pipe(
        Effect.map(DiscoveryTrace.render),
        Effect.provide(world.source())
      )
      assert.include(text, "GET https://mcp.example/.well-known/oauth-protected-resource/mcp → 200")
      assert.include(text, "registration: Dynamic")
      assert.notMatch(text, /at-\d|rt-\d|code-\d/)
    })
  )
})

describe("what the trace tells", () => {
  it.effect("the way to a token is in the failure of a request for which that was not enough", () =>
    Effect.gen(function* () {
      const ways = [
        ["Exhausted", call({ schedule: Schedule.recurs(1) })],
        ["BodyNotReplayable", callWithStream]
      ] as const
      for (const [reason, way] of ways) {
        const world = new World()
        world.faults.push(({ path }) => (path === "/mcp" ? new Response("", { status: 401 }) : undefined))
        const error = yield* Effect.flip(Effect.provide(way, world.source()))
        assert(error._tag === "AccessRefused")
        assert.strictEqual(error.reason, reason)
        const text = DiscoveryTrace.render(error.trace)
        for (const path of ["/.well-known/oauth-protected-resource/mcp", "/reg", "/token"]) assert.include(text, path)
      }
    })
  )
})

describe("the authorization response", () => {
  const answering = (redirect: World["redirect"], metadata: Record<string, unknown> = {}) => {
    const world = new World()
    world.redirect = redirect
    world.metadata = metadata
    return { world, error: failure(Effect.provide(status, world.source())) }
  }
  const set = (name: string, value: string) => (parameters: URLSearchParams) => {
    parameters.set(name, value)
    return parameters
  }

  it("J6 CL-50: a missing or wrong state is refused, and the code is not sent anywhere", async () => {
    for (const redirect of [
      set("state", "wrong"),
      (p: URLSearchParams) => {
        p.delete("state")
        return p
      },
      (p: URLSearchParams) => {
        p.append("state", p.get("state") ?? "")
        return p
      }
    ]) {
      const { error, world } = answering(redirect)
      assert.strictEqual((await error)._tag, "AuthorizationInvalid")
      assert.strictEqual(world.times("/token"), 0)
    }
  })

  it("CL-54: the issuer table of RFC 9207", async () => {
    const flag = { authorization_response_iss_parameter_supported: true }
    const none = (p: URLSearchParams) => p
    const rows: ReadonlyArray<readonly [Record<string, unknown>, World["redirect"], boolean]> = [
      [flag, set("iss", issuer), true],
      [flag, set("iss", `${issuer}/`), false],
      [flag, none, false],
      [{}, set("iss", issuer), true],
      [{}, set("iss", "https://evil.example"), false],
      [{}, none, true]
    ]
    for (const [metadata, redirect, accepted] of rows) {
      const world = new World()
      world.redirect = redirect
      world.metadata = metadata
      const exit = await Effect.runPromiseExit(Effect.provide(status, world.source()))
      assert.strictEqual(Exit.isSuccess(exit), accepted)
      assert.strictEqual(world.times("/token"), accepted ? 1 : 0)
    }
  })

  it("J13: error= is a refusal once it is verified; CL-56: and says nothing where it is not", async () => {
    const refusing = (p: URLSearchParams) => {
      p.delete("code")
      p.set("error", "access_denied")
      p.set("error_description", "click https://evil.example")
      return p
    }
    const refused = await answering(refusing).error
    assert.strictEqual(refused._tag, "AuthorizationRefused")
    assert.include(refused.message, "access_denied")
    const foreign = await answering((p) => set("iss", "https://evil.example")(refusing(p))).error
    assert.strictEqual(foreign._tag, "AuthorizationInvalid")
    assert.notInclude(foreign.message, "evil.example")
  })
})

describe("discovery", () => {
  it("J5 CL-44: a server that does not advertise S256 is refused", async () => {
    for (const methods of [undefined, ["plain"]]) {
      const world = new World()
      world.metadata = { code_challenge_methods_supported: methods }
      const error = await failure(Effect.provide(status, world.source()))
      assert.strictEqual(error._tag, "DiscoveryFailed")
      assert.include(error.message, "PKCE")
      assert.strictEqual(world.prompts.length, 0)
    }
  })

  it.effect("CL-44: unless the application vouches for that very issuer", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { code_challenge_methods_supported: undefined }
      assert.strictEqual(
        yield* status.pipe(
          Effect.provide(
            world.source({ serverProfiles: { [issuer]: { ...ServerProfile.standard, assumesPkce: true } } })
          )
        ),
        200
      )
    })
  )

  it("CL-14: metadata of another issuer is not used", async () => {
    const world = new World()
    world.metadata = { issuer: `${issuer}/` }
    const error = await failure(Effect.provide(status, world.source()))
    assert.strictEqual(error._tag, "DiscoveryFailed")
    assert.include(error.message, `"${issuer}/"`)
  })

  it("CL-05: a resource mismatch prints both strings", async () => {
    const world = new World()
    world.resource = "https://mcp.example/mcp/"
    const error = await failure(Effect.provide(status, world.source()))
    assert.strictEqual(error._tag, "ResourceMismatch")
    assert.include(error.message, '"https://mcp.example/mcp/"')
    assert.include(error.message, '"https://mcp.example/mcp"')
    assert.isAbove(error._tag === "ResourceMismatch" ? error.trace.length : 0, 1)
  })

  it.effect("CL-06: a parent on the same origin is accepted and sent as it is advertised", () =>
    Effect.gen(function* () {
      const world = new World()
      world.resource = "https://mcp.example/"
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source())), 200)
      assert.strictEqual(world.prompts[0]?.searchParams.get("resource"), "https://mcp.example/")
      assert.strictEqual(world.requests.find((r) => r.path === "/token")?.form.get("resource"), "https://mcp.example/")
    })
  )

  it.effect("J3: the first authorization server is dead, the second is used", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issuers = ["https://dead.example", "http://insecure.example", issuer]
      world.faults.push((r) => (r.url.startsWith("https://dead.example") ? "unreachable" : undefined))
      assert.strictEqual(yield* status.pipe(Effect.provide(world.source())), 200)
      assert.strictEqual(world.prompts[0]?.origin, issuer)
    })
  )

  it("an authorization server that is out of order is a passing failure", async () => {
    const world = new World()
    world.faults.push((r) => (r.url.startsWith(issuer) ? new Response("", { status: 503 }) : undefined))
    assert.strictEqual((await failure(Effect.provide(status, world.source())))._tag, "TokenUnavailable")
  })

  it("CL-58: an authorization endpoint that is no secure URL reaches no browser", async () => {
    for (const bad of [
      "javascript:alert(1)",
      "http://as.example/auth",
      "file:///etc/passwd",
      `${issuer}/auth?state=x`
    ]) {
      const world = new World()
      world.metadata = { authorization_endpoint: bad }
      assert.strictEqual((await failure(Effect.provide(status, world.source())))._tag, "DiscoveryFailed")
      assert.strictEqual(world.prompts.length, 0)
    }
  })
})

describe("refresh", () => {
  it.effect("J16 J19: a refused token is refreshed, without a prompt, with the same resource", () =>
    Effect.gen(function* () {
      const world = new World()
      const second = yield* Effect.zipRight(signedIn(world), status).pipe(Effect.provide(world.source()))
      assert.strictEqual(second, 200)
      assert.strictEqual(world.prompts.length, 1)
      const refreshes = world.requests.filter((r) => r.form.get("grant_type") === "refresh_token")
      assert.strictEqual(refreshes.length, 1)
      assert.strictEqual(refreshes[0]?.form.get("resource"), endpoint)
      assert.isFalse(refreshes[0]?.form.has("scope"))
    })
  )

  it.effect("J17: refreshed ahead of expiry with 2 requests in all, none of them refused, and nobody waits", () =>
    Effect.gen(function* () {
      const world = new World()
      world.expiresIn = 300
      yield* Effect.gen(function* () {
        yield* status
        yield* TestClock.adjust("1 minute")
        yield* status
        assert.strictEqual(world.times("/token"), 1)
        yield* TestClock.adjust("235 seconds")
        const before = world.requests.length
        const held = gate()
        world.faults.push(({ path }) => (path === "/token" ? held.opened : undefined))
        assert.deepStrictEqual(
          yield* tenCalls,
          Array.from({ length: 10 }, () => 200)
        )
        held.open()
        yield* settle
        assert.strictEqual(yield* status, 200)
        const since = world.requests.slice(before)
        assert.strictEqual(since.filter((r) => r.path === "/token").length, 1)
        const sent = since.filter((r) => r.path === "/mcp").map((r) => r.headers["authorization"])
        assert.deepStrictEqual(sent, [...Array.from({ length: 10 }, () => "Bearer at-3"), "Bearer at-4"])
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("ten concurrent calls with an expired token: one refresh, all succeed", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(
          yield* tenCalls,
          Array.from({ length: 10 }, () => 200)
        )
        assert.strictEqual(world.times("/token"), 2)
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("ten concurrent calls with a revoked token: one token request, all succeed", () =>
    Effect.gen(function* () {
      const world = new World()
      const statuses = yield* Effect.zipRight(signedIn(world), tenCalls).pipe(Effect.provide(world.source()))
      assert.deepStrictEqual(
        statuses,
        Array.from({ length: 10 }, () => 200)
      )
      assert.strictEqual(world.times("/token"), 2)
    })
  )

  it.effect("J18: a response without a refresh token keeps the old one", () =>
    Effect.gen(function* () {
      const world = new World()
      world.rotate = false
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        yield* signedIn(world)
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(world.source()))
      const used = world.requests.flatMap((r) => r.form.get("refresh_token") ?? [])
      assert.deepStrictEqual(used, ["rt-3", "rt-3"])
      assert.strictEqual(world.prompts.length, 1)
    })
  )

  it.effect("a transient failure keeps the refresh token and asks nobody; afterwards it goes on", () =>
    Effect.gen(function* () {
      for (const odd of [
        () => new Response("", { status: 503, headers: { "retry-after": "7" } }),
        () => new Response("", { status: 429 }),
        () => new Response("<html>", { status: 200 }),
        () => Response.json({ error: "temporarily_unavailable" }, { status: 400 }),
        () => "unreachable" as const
      ]) {
        const world = new World()
        yield* Effect.gen(function* () {
          yield* signedIn(world)
          world.faults.push((r) => (r.path === "/token" ? odd() : undefined))
          const calling = yield* Effect.fork(Effect.flip(status))
          yield* passing("20 seconds")
          const error = yield* Fiber.join(calling)
          assert.strictEqual(error._tag, "TokenUnavailable")
          assert.isAbove(error._tag === "TokenUnavailable" ? (error.retryAfter ?? 0) : 0, 0)
          // Twice more within the call, and nobody loses anything by it.
          assert.strictEqual(world.times("/token"), 4)
          world.faults.pop()
          yield* passing("10 seconds")
          assert.strictEqual(yield* status, 200)
          assert.strictEqual(world.prompts.length, 1)
        }).pipe(Effect.provide(world.source()))
      }
    })
  )

  it.effect("Retry-After is passed on, and heeded without another request", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        world.faults.push((r) =>
          r.path === "/token" ? new Response("", { status: 503, headers: { "retry-after": "20" } }) : undefined
        )
        const first = yield* Effect.flip(status)
        assert.strictEqual(first._tag === "TokenUnavailable" ? first.retryAfter : undefined, 20)
        const asked = world.times("/token")
        yield* TestClock.adjust("5 seconds")
        const second = yield* Effect.flip(status)
        assert.strictEqual(second._tag === "TokenUnavailable" ? second.retryAfter : undefined, 15)
        assert.strictEqual(world.times("/token"), asked)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("while the token lives, a failing refresh ahead of its expiry does no harm", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        yield* TestClock.adjust("3590 seconds")
        world.faults.push((r) => (r.path === "/token" ? "unreachable" : undefined))
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("invalid_grant leads to a sign-in", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        for (const token of world.refreshTokens.values()) token.active = false
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts.length, 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("invalid_client, twice, drops the registration and its grant, and one prompt makes both anew", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        const dead = world.prompts[0]?.searchParams.get("client_id")
        world.faults.push((r) =>
          r.path === "/token" && r.form.get("client_id") === dead
            ? Response.json({ error: "invalid_client" }, { status: 401 })
            : undefined
        )
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts.length, 2)
        assert.strictEqual(world.times("/reg"), 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("one odd invalid_client is no proof", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        let odd = true
        world.faults.push((r) => {
          if (r.path !== "/token" || !odd) return undefined
          odd = false
          return Response.json({ error: "invalid_client" }, { status: 401 })
        })
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("CL-08 REG-32: a new challenge reads the metadata anew, and follows it to another server", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedIn(world)
        world.issuers = ["https://new.example"]
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts[1]?.origin, "https://new.example")
        assert.isFalse(world.requests.some((r) => r.form.get("grant_type") === "refresh_token"))
        assert.strictEqual(world.times("/reg"), 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("REG-31 REG-32: the grant of the server before is revoked there, and gone from the store", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { revocation_endpoint: `${issuer}/revoke` }
      yield* Effect.gen(function* () {
        yield* status
        const clientId = world.prompts[0]?.searchParams.get("client_id") ?? ""
        const before = Effect.flatMap(
          StoredGrant.key({ issuer, clientId, resource: endpoint }, undefined),
          StoredGrant.grants.read
        )
        assert.isTrue(Option.isSome(yield* before))
        world.issuers = ["https://new.example"]
        for (const token of world.tokens.values()) token.active = false
        world.metadata = { revocation_endpoint: "https://new.example/revoke" }
        assert.strictEqual(yield* status, 200)
        const revoked = world.requests.filter(({ path }) => path === "/revoke")
        assert.deepStrictEqual(
          revoked.map(({ form, url }) => [url, form.get("token_type_hint"), form.get("client_id")]),
          ["refresh_token", "access_token"].map((hint) => [`${issuer}/revoke`, hint, clientId])
        )
        assert.isFalse(world.refreshTokens.get(revoked[0]?.form.get("token") ?? "")?.active)
        assert.isTrue(Option.isNone(yield* before))
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a server before that is dead delays the new sign-in by three seconds and no more", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { revocation_endpoint: `${issuer}/revoke` }
      world.faults.push((r) => (r.path === "/revoke" ? new Promise(() => {}) : undefined))
      yield* Effect.gen(function* () {
        yield* status
        world.issuers = ["https://new.example"]
        for (const token of world.tokens.values()) token.active = false
        const fiber = yield* Effect.fork(status)
        while (world.times("/revoke") === 0) yield* Effect.yieldNow()
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(yield* Fiber.join(fiber), 200)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("the same server's grant is not revoked: the new one may hang on it", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { revocation_endpoint: `${issuer}/revoke` }
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:write"]
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.times("/revoke"), 0)
      }).pipe(Effect.provide(world.source()))
    })
  )
})

describe("step up", () => {
  it.effect("J9 J20 J21 CL-65: asks for the union, never by refresh", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:write"]
        const before = world.requests.length
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts[1]?.searchParams.get("scope"), "mcp:read mcp:write")
        assert.isFalse(world.requests.some((r) => r.form.get("grant_type") === "refresh_token"))
        // The registration is used again: call, two documents, token, call.
        assert.strictEqual(world.requests.length - before, 5)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("CL-68: scopes that the token has already are no reason to ask, but to stop", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        const header = { "www-authenticate": 'Bearer error="insufficient_scope", scope="mcp:read"' }
        world.faults.push((r) => (r.path === "/mcp" ? new Response("", { status: 403, headers: header }) : undefined))
        const error = yield* Effect.flip(status)
        assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "ScopesAlreadyGranted")
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("CL-66: scopes that are not granted end in a diagnosis, and not in a second prompt", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:admin"]
        world.grants = ["mcp:read"]
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(status)
          assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "ScopesNotGranted")
          assert.strictEqual(world.prompts.length, 2)
        }
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("S-02 S-04: a challenge for a stronger authentication goes into the request, and is no refresh", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        const header = {
          "www-authenticate": 'Bearer error="insufficient_user_authentication", acr_values="mfa", max_age=5'
        }
        world.faults.push((r) =>
          r.path === "/mcp" && world.prompts.length === 1
            ? new Response("", { status: 401, headers: header })
            : undefined
        )
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts[1]?.searchParams.get("acr_values"), "mfa")
        assert.strictEqual(world.prompts[1]?.searchParams.get("max_age"), "5")
        assert.isFalse(world.requests.some((r) => r.form.get("grant_type") === "refresh_token"))
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("401 for ever: one prompt, then a diagnosis that holds for the requests that follow", () =>
    Effect.gen(function* () {
      const world = new World()
      world.issueRefreshTokens = false
      yield* Effect.gen(function* () {
        world.faults.push((r) => (r.path === "/mcp" ? new Response("", { status: 401 }) : undefined))
        for (const _ of [1, 2, 3]) {
          const error = yield* Effect.flip(status)
          assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "TokenNotAccepted")
        }
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )
})

describe("interruption", () => {
  it.effect("the first caller goes, the rest get their token from the same prompt", () =>
    Effect.gen(function* () {
      const world = new World()
      const gate = yield* Deferred.make<void>()
      world.thinking = Deferred.await(gate)
      yield* Effect.gen(function* () {
        const first = yield* Effect.fork(status)
        yield* TestClock.adjust(0)
        const rest = yield* Effect.fork(tenCalls)
        yield* Effect.yieldNow().pipe(Effect.repeatN(200))
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        yield* Fiber.interrupt(first)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(
          yield* Fiber.join(rest),
          Array.from({ length: 10 }, () => 200)
        )
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("the last caller goes, and the prompt is withdrawn", () =>
    Effect.gen(function* () {
      const world = new World()
      const withdrawn = yield* Deferred.make<void>()
      const asked = yield* Deferred.make<void>()
      world.thinking = Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Deferred.succeed(withdrawn, undefined))
      )
      yield* Effect.gen(function* () {
        const only = yield* Effect.fork(status)
        yield* Deferred.await(asked)
        yield* Fiber.interrupt(only)
        yield* Deferred.await(withdrawn)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("the last caller goes while the code is exchanged: the person has said yes, and is not asked again", () =>
    Effect.gen(function* () {
      const world = new World()
      const { open, opened } = gate()
      const asked = yield* Deferred.make<void>()
      world.faults.push(({ path }) => {
        if (path !== "/token") return undefined
        Deferred.unsafeDone(asked, Exit.void)
        return opened
      })
      yield* Effect.gen(function* () {
        const only = yield* Effect.fork(status)
        yield* Deferred.await(asked)
        const gone = yield* Effect.fork(Fiber.interrupt(only))
        yield* settle
        open()
        yield* Fiber.join(gone)
        assert.strictEqual(yield* status, 200)
        assert.strictEqual(world.prompts.length, 1)
      }).pipe(Effect.provide(world.source()))
    })
  )
})
