import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type ClientError, StoredGrant, TokenStore } from "../../src/client/index.js"
import * as Process from "./fixtures/Process.js"
import { gate, passing, settle } from "./fixtures/time.js"
import { endpoint, issuer, redirectUri, World } from "./World.js"

const refreshes = (world: World) => world.requests.filter((r) => r.form.get("grant_type") === "refresh_token")

const stored = (store: Process.Options["store"]) =>
  Effect.map(
    Effect.provideService(StoredGrant.find({ endpoint }), TokenStore.TokenStore, store),
    Option.map(({ value }) => value)
  )

/** Signed in an hour before its token expires, which is when this ends. */
const expired = (world: World, store: Process.Options["store"]) =>
  Effect.zipRight(Process.run(world, { store, attended: true }), TestClock.adjust("2 hours"))

/** Why a background process could not go on: what it would have had to ask a person for. */
const reason = (error: ClientError.ClientError | { readonly _tag: string }): ClientError.TokenRefused | undefined => {
  const cause = "cause" in error ? (error.cause as ClientError.TokenRefused) : undefined
  return cause?._tag === "TokenRefused" ? cause : undefined
}

describe("killed at any point of a refresh", { timeout: 60_000 }, () => {
  const source = { registration: { preRegistered: [{ issuer, clientId: "c" }] } }

  /** The same without the way to it, because it is done often. */
  const expired = (world: World, store: Process.Options["store"]) => {
    const { access_token: access, refresh_token: refresh } = world.issue(["mcp:read"])
    const grant: StoredGrant.StoredGrant = {
      schemaVersion: 1,
      issuer,
      clientId: "c",
      resource: endpoint,
      redirectUri,
      tokenEndpoint: `${issuer}/token`,
      tokenEndpointAuthMethods: ["none"],
      accessToken: { value: Redacted.make(String(access)), type: "Bearer", expiresAt: 1, scopes: ["mcp:read"] },
      refreshToken: Redacted.make(String(refresh)),
      requestedScopes: ["mcp:read"],
      issuedAt: 0
    }
    const stored = Effect.provideService(StoredGrant.replace({ endpoint }, grant), TokenStore.TokenStore, store)
    return Effect.zipRight(stored, TestClock.adjust("2 hours"))
  }

  const points = Effect.gen(function* () {
    const world = new World()
    const store = yield* Process.memory
    yield* expired(world, store)
    const counting = Process.mortal(store, Number.POSITIVE_INFINITY, "before")
    yield* Process.run(world, { store: counting.store, source })
    return Array.from({ length: counting.verbs() }, (_, n) => n + 1).flatMap(
      (nth) =>
        [
          [nth, "before"],
          [nth, "after"]
        ] as const
    )
  })

  /** What is there once a process was killed at a point, and its lease is over. */
  const killed = (nth: number, when: "before" | "after") =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* expired(world, store)
      const victim = Process.mortal(store, nth, when)
      const process = yield* Process.start(world, { store: victim.store, source })
      yield* Effect.forkDaemon(process.call)
      while (!victim.isDead()) yield* settle
      yield* settle
      const at = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("15 seconds")
      return { world, store, at, asked: refreshes(world).length }
    })

  it.scoped("the grant is whole, or it is said to be lost by just that (CL-77)", () =>
    Effect.gen(function* () {
      const outcomes = { whole: 0, lost: 0 }
      for (const [nth, when] of yield* points) {
        const { asked, at, store, world } = yield* killed(nth, when)
        const result = yield* Effect.either(Process.run(world, { store, source }))
        const point = `${when} verb ${nth}`
        if (result._tag === "Right") {
          outcomes.whole++
          assert.strictEqual(result.right, 200, point)
          assert.isUndefined(Option.getOrThrow(yield* stored(store)).refreshing, point)
        } else {
          outcomes.lost++
          assert.strictEqual(asked, 1, point)
          const refused = reason(result.left)
          assert.strictEqual(refused?.error, "invalid_grant", point)
          assert.strictEqual(refused?.answerLostAt, at, point)
          assert.include(refused?.message, `no answer ever came to the refresh of ${new Date(at).toISOString()}`, point)
          // Tried once: whoever comes later hears the same, without another request.
          const tried = refreshes(world).length
          assert.strictEqual(tried, 2, point)
          const later = yield* Effect.flip(Process.run(world, { store, source }))
          assert.strictEqual(reason(later)?.answerLostAt, at, point)
          assert.strictEqual(refreshes(world).length, tried, point)
        }
      }
      // Only a kill between the request and the write loses anything.
      assert.isAbove(outcomes.whole, outcomes.lost)
      assert.strictEqual(outcomes.lost, 1)
    })
  )

  it.scoped("a server that takes a refresh token for a while longer recovers all of it", () =>
    Effect.gen(function* () {
      for (const [nth, when] of yield* points) {
        const { store, world } = yield* killed(nth, when)
        for (const token of world.refreshTokens.values()) token.active = true
        assert.strictEqual(yield* Process.run(world, { store, source }), 200)
        assert.strictEqual(yield* Process.run(world, { store, source }), 200)
        const grant = Option.getOrThrow(yield* stored(store))
        assert.isUndefined(grant.refreshing)
        assert.strictEqual(grant.generation, 1)
      }
    })
  )

  it.scoped("who still has a living token is not held up by the dead", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* Process.run(world, { store, attended: true })
      yield* TestClock.adjust("3590 seconds")
      // Between the mark and the answer.
      const victim = Process.mortal(store, 9, "before")
      const process = yield* Process.start(world, { store: victim.store })
      yield* process.call
      while (!victim.isDead()) yield* settle
      assert.isDefined(Option.getOrThrow(yield* stored(store)).refreshing)
      const other = yield* Process.start(world, { store })
      assert.strictEqual(yield* other.call, 200)
      assert.lengthOf(world.prompts, 1)
      // What it has begun by itself ends with it.
      const ending = yield* Effect.fork(other.end)
      yield* passing("20 seconds")
      yield* Fiber.join(ending)
    })
  )
})

describe("a lease that ran out while the holder lived", () => {
  /** The first answer is held back until the lease is over and another process has asked. */
  const slow = Effect.gen(function* () {
    const world = new World()
    const store = yield* Process.memory
    yield* expired(world, store)
    const held = gate()
    let first = true
    world.faults.push(async ({ form, path }) => {
      if (path !== "/token" || !first) return undefined
      first = false
      const issued = world.issue(["mcp:read"])
      const spent = world.refreshTokens.get(form.get("refresh_token") ?? "")
      if (spent !== undefined) spent.active = false
      await held.opened
      return Response.json(issued)
    })
    const slow = yield* Process.start(world, { store })
    const calling = yield* Effect.fork(slow.call)
    while (first) yield* settle
    return { world, store, held, calling, end: slow.end }
  })

  it.scoped("its answer stands where the other was refused", () =>
    Effect.gen(function* () {
      const { calling, end, held, store, world } = yield* slow
      // Not by the clock of this process, whose request has 10 seconds: by that of the store.
      const early: Process.Options["store"] = { ...store, lease: () => Effect.succeedSome({ fence: 9 }) }
      const refusal = gate()
      world.faults.unshift(async ({ path }) => {
        if (path === "/token") await refusal.opened
        return undefined
      })
      const other = yield* Effect.fork(Process.run(world, { store: early }))
      while (refreshes(world).length < 2) yield* settle
      held.open()
      assert.strictEqual(yield* Fiber.join(calling), 200)
      refusal.open()
      // Who was refused finds the token of the one who was not.
      assert.strictEqual(yield* Fiber.join(other), 200)
      const grant = Option.getOrThrow(yield* stored(store))
      assert.isDefined(grant.refreshToken)
      assert.isUndefined(grant.ended)
      assert.lengthOf(world.prompts, 1)
      yield* end
    })
  )

  it.scoped("a newer grant is not overwritten by it, and is what its caller gets", () =>
    Effect.gen(function* () {
      const { calling, end, held, store, world } = yield* slow
      const early: Process.Options["store"] = { ...store, lease: () => Effect.succeedSome({ fence: 9 }) }
      for (const token of world.refreshTokens.values()) token.active = true
      assert.strictEqual(yield* Process.run(world, { store: early }), 200)
      const newer = Option.getOrThrow(yield* stored(store)).accessToken
      held.open()
      assert.strictEqual(yield* Fiber.join(calling), 200)
      const kept = Option.getOrThrow(yield* stored(store)).accessToken
      assert.strictEqual(Redacted.value(kept.value), Redacted.value(newer.value))
      yield* end
    })
  )

  it.scoped("a grant that was given up meanwhile is not brought back", () =>
    Effect.gen(function* () {
      const { calling, end, held, store } = yield* slow
      yield* Effect.provideService(StoredGrant.remove({ endpoint }), TokenStore.TokenStore, store)
      held.open()
      assert.strictEqual((yield* Effect.flip(Fiber.join(calling)))._tag, "SignInRequired")
      assert.isTrue(Option.isNone(yield* stored(store)))
      yield* end
    })
  )
})

describe("a process that was suspended", () => {
  /** As seen by one that sleeps when the store has answered and before it has heard of it: the verb of the grant that is its `nth`. */
  const drowsy = (inner: Process.Options["store"], nth: number): Process.Options["store"] => {
    let count = 0
    const verb =
      <A extends ReadonlyArray<unknown>, B, E, R>(run: (key: string, ...args: A) => Effect.Effect<B, E, R>) =>
      (key: string, ...args: A) =>
        key.startsWith("grant/") && ++count === nth
          ? Effect.zipLeft(run(key, ...args), Effect.sleep("1 minute"))
          : run(key, ...args)
    return { read: verb(inner.read), write: verb(inner.write), lease: verb(inner.lease) }
  }

  it.scoped("presents no refresh token that another one may have used meanwhile, wherever it slept", () =>
    Effect.gen(function* () {
      let slept = 0
      for (let nth = 1; nth < 12; nth++) {
        const world = new World()
        const store = yield* Process.memory
        yield* expired(world, store)
        const sleeper = yield* Process.start(world, { store: drowsy(store, nth) })
        const calling = yield* Effect.fork(sleeper.call)
        yield* passing("20 seconds", 4)
        if ((yield* Fiber.poll(calling))._tag === "None") slept++
        const other = yield* Effect.fork(Process.run(world, { store }))
        yield* passing("1 minute", 60)
        assert.strictEqual(yield* Fiber.join(other), 200, `verb ${nth}`)
        assert.strictEqual(yield* Fiber.join(calling), 200, `verb ${nth}`)
        const presented = refreshes(world).map(({ form }) => form.get("refresh_token"))
        assert.deepStrictEqual([...new Set(presented)], presented, `verb ${nth}`)
        assert.isUndefined(Option.getOrThrow(yield* stored(store)).refreshing)
        yield* sleeper.end
      }
      assert.isAtLeast(slept, 4)
    })
  )

  it.scoped("nor does one that is told invalid_client late, and asks once more", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* expired(world, store)
      const answers = [gate(), gate()] as const
      world.faults.push(async ({ form, path }) => {
        if (path !== "/token") return undefined
        if (refreshes(world).length === 1) {
          await answers[0].opened
          return Response.json({ error: "invalid_client" }, { status: 401 })
        }
        const spent = world.refreshTokens.get(form.get("refresh_token") ?? "")
        if (spent?.active !== true) return undefined
        spent.active = false
        const issued = world.issue(spent.scopes)
        await answers[1].opened
        return Response.json(issued)
      })
      const slow = yield* Process.start(world, { store })
      const calling = yield* Effect.fork(slow.call)
      while (refreshes(world).length === 0) yield* settle
      yield* passing("8 seconds")
      answers[0].open()
      while (refreshes(world).length === 1) yield* passing("50 millis", 1)
      yield* passing("8 seconds")
      const other = yield* Effect.fork(Process.run(world, { store }))
      yield* passing("1 second")
      answers[1].open()
      assert.strictEqual(yield* Fiber.join(calling), 200)
      yield* passing("1 second")
      assert.strictEqual(yield* Fiber.join(other), 200)
      assert.lengthOf(refreshes(world), 2)
      yield* slow.end
    })
  )
})

describe("a pause", () => {
  it.scoped("does not keep a process from what another one has brought", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* expired(world, store)
      world.faults.push(({ path }) =>
        path === "/token" ? new Response("", { status: 429, headers: { "retry-after": "600" } }) : undefined
      )
      const patient = yield* Process.start(world, { store })
      assert.strictEqual((yield* Effect.flip(patient.call))._tag, "TokenUnavailable")
      world.faults.pop()
      const asked = refreshes(world).length
      const again = yield* Effect.flip(patient.call)
      assert.strictEqual(again._tag === "TokenUnavailable" ? again.retryAfter : again._tag, 600)
      assert.lengthOf(refreshes(world), asked)
      assert.strictEqual(yield* Process.run(world, { store }), 200)
      assert.strictEqual(yield* patient.call, 200)
      assert.lengthOf(refreshes(world), asked + 1)
      yield* patient.end
    })
  )
})

describe("what is refused", () => {
  it.scoped("a winner's token that has expired meanwhile is refreshed, and not sent", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      const early = yield* Process.start(world, { store, attended: true })
      yield* early.call
      yield* TestClock.adjust("2 hours")
      yield* Process.run(world, { store })
      yield* TestClock.adjust("2 hours")
      const before = world.requests.length
      assert.strictEqual(yield* early.call, 200)
      assert.deepStrictEqual(
        world.requests.slice(before).map(({ path }) => path),
        ["/token", "/mcp"]
      )
      yield* early.end
    })
  )

  it.scoped("only invalid_grant ends a grant: any other refusal leaves the refresh token where it is", () =>
    Effect.gen(function* () {
      for (const error of ["invalid_request", "unauthorized_client", "invalid_scope", "invalid_target", "made_up"]) {
        const world = new World()
        const store = yield* Process.memory
        yield* expired(world, store)
        world.faults.push(({ path }) => (path === "/token" ? Response.json({ error }, { status: 400 }) : undefined))
        assert.strictEqual(reason(yield* Effect.flip(Process.run(world, { store })))?.error, error)
        const grant = Option.getOrThrow(yield* stored(store))
        assert.isDefined(grant.refreshToken)
        assert.isUndefined(grant.refreshing)
        world.faults.pop()
        assert.strictEqual(yield* Process.run(world, { store }), 200)
      }
    })
  )

  it.scoped("what the server says is the reason, and stays it", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* expired(world, store)
      for (const token of world.refreshTokens.values()) token.active = false
      for (const _ of [1, 2]) {
        const refused = reason(yield* Effect.flip(Process.run(world, { store })))
        assert.strictEqual(refused?.error, "invalid_grant")
        assert.isUndefined(refused?.answerLostAt)
        assert.lengthOf(refreshes(world), 1)
      }
    })
  )

  it.scoped("scopes that a refresh did not bring back are with the token, and in the store, until they are back", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      world.challengeScope = "mcp:read mcp:write"
      yield* expired(world, store)
      const answer = (scope: string) =>
        world.faults.splice(0, 1, ({ path }) => {
          if (path !== "/token") return undefined
          const { scope: _, ...issued } = world.issue(scope.split(" "))
          return Response.json(scope === "" ? issued : { ...issued, scope })
        })
      const process = yield* Process.start(world, { store })
      const lost = Effect.map(process.current, (token) => Option.getOrThrow(token).lostScopes)
      // An answer without scope means that nothing has changed.
      for (const [scope, expected] of [
        ["", undefined],
        ["mcp:read", ["mcp:write"]],
        ["mcp:read", ["mcp:write"]],
        ["mcp:read mcp:write", undefined]
      ] as const) {
        answer(scope)
        assert.deepStrictEqual(yield* lost, expected)
        assert.deepStrictEqual(Option.getOrThrow(yield* stored(store)).accessToken.lostScopes, expected)
        yield* TestClock.adjust("2 hours")
      }
      yield* process.end
    })
  )
})

describe("the end of a process", () => {
  it.scoped("waits for an answer that is on its way, and not for a server that is out of order", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* Process.memory
      yield* expired(world, store)
      const held = gate()
      world.faults.push(({ path }) => (path === "/token" ? held.opened : undefined))
      const process = yield* Process.start(world, { store })
      const calling = yield* Effect.fork(process.call)
      while (refreshes(world).length === 0) yield* settle
      const ending = yield* Effect.fork(process.end)
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(ending)))
      held.open()
      yield* Fiber.join(ending)
      yield* Fiber.interrupt(calling)
      assert.strictEqual(Option.getOrThrow(yield* stored(store)).generation, 1)

      yield* TestClock.adjust("2 hours")
      world.faults.splice(0, 1, ({ path }) => (path === "/token" ? new Response("", { status: 503 }) : undefined))
      const patient = yield* Process.start(world, { store })
      const waiting = yield* Effect.fork(patient.call)
      while (refreshes(world).length < 2) yield* settle
      yield* patient.end
      yield* Fiber.interrupt(waiting)
    })
  )
})

describe("the record", () => {
  it("of the first version is read as it is", () => {
    const record = {
      schemaVersion: 1,
      issuer: "https://as.example",
      clientId: "c",
      resource: endpoint,
      redirectUri: "",
      tokenEndpoint: "https://as.example/token",
      accessToken: { value: "at", type: "Bearer", expiresAt: 1, scopes: ["a"] },
      refreshToken: "rt",
      requestedScopes: ["a"],
      issuedAt: 0
    }
    const decoded = Schema.decodeUnknownSync(StoredGrant.StoredGrant)(record)
    assert.isUndefined(decoded.refreshing)
    assert.deepStrictEqual(Schema.encodeSync(StoredGrant.StoredGrant)(decoded), record as never)
  })
})
