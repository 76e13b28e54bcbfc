/** CL-66: attempts are counted per resource and operation, whatever token is in use. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { AuthorizeUser, ClientError, StepUpAttempts, TokenSource } from "../../src/client/index.js"
import { call, endpoint, redirectUri, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

const reason = Effect.map(Effect.flip(call()), (error) => (error._tag === "AccessRefused" ? error.reason : error._tag))

describe("step up attempts (CL-66, J21)", () => {
  it.effect("an operation that is not granted is not asked for again because the token was refreshed meanwhile", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:admin"]
        world.grants = ["mcp:read"]
        assert.strictEqual(yield* reason, "ScopesNotGranted")
        assert.lengthOf(world.prompts, 2)
        for (const token of world.tokens.values()) token.active = false
        // 401, refresh, 403 with another token than the one that was found wanting.
        assert.strictEqual(yield* reason, "ScopesNotGranted")
        assert.lengthOf(world.prompts, 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("two operations in turn, one of which is never granted, are not a prompt each time", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        for (const round of [1, 2, 3]) {
          world.requiredScopes = ["mcp:admin"]
          world.grants = ["mcp:read", "mcp:write"]
          assert.strictEqual(yield* reason, "ScopesNotGranted")
          world.requiredScopes = ["mcp:write"]
          assert.strictEqual(yield* status, 200)
          assert.lengthOf(world.prompts, 2, `round ${round}`)
        }
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("it may be asked for again after a minute, three times within an hour, and after a sign-out", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:admin"]
        world.grants = ["mcp:read"]
        for (let minute = 0; minute < 10; minute++) {
          assert.strictEqual(yield* reason, "ScopesNotGranted")
          yield* TestClock.adjust("61 seconds")
        }
        assert.lengthOf(world.prompts, 4)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* reason, "ScopesNotGranted")
        assert.lengthOf(world.prompts, 5)
        yield* TokenSource.signOut
        world.grants = undefined
        assert.strictEqual(yield* status, 200)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("what is granted in the end is forgotten", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:admin"]
        world.grants = ["mcp:read"]
        assert.strictEqual(yield* reason, "ScopesNotGranted")
        yield* TestClock.adjust("2 minutes")
        world.grants = undefined
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(world.prompts, 3)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a 403 for ever that names no scope, or another one each time, ends as well", () =>
    Effect.gen(function* () {
      for (const scope of [() => "", (n: number) => `, scope="s${n}"`]) {
        const world = new World()
        let count = 0
        yield* Effect.gen(function* () {
          yield* status
          world.resourceScopes = ["mcp:read", "mcp:more"]
          world.grants = ["mcp:read"]
          world.faults.push(({ path }) =>
            path === "/mcp"
              ? new Response("", {
                  status: 403,
                  headers: { "www-authenticate": `Bearer error="insufficient_scope"${scope(++count)}` }
                })
              : undefined
          )
          for (let n = 0; n < 10; n++) yield* Effect.flip(call())
          assert.isAtMost(world.prompts.length - 1, 6)
        }).pipe(Effect.provide(world.source()))
      }
    })
  )

  it.effect("somebody who breaks off is asked three times at most", () =>
    Effect.gen(function* () {
      const world = new World()
      let prompts = 0
      const user = AuthorizeUser.layer({
        redirectUri,
        authorize: () => {
          prompts++
          return Effect.fail(new ClientError.AuthorizeUserError({ reason: "Cancelled", detail: "closed" }))
        }
      })
      yield* Effect.gen(function* () {
        yield* status
        world.requiredScopes = ["mcp:admin"]
        const source = yield* TokenSource.TokenSource
        assert.isDefined(source)
      }).pipe(Effect.provide(world.source()))
      const source = TokenSource.layerAuthorizationCode({ resource: endpoint }).pipe(Layer.provide(user))
      yield* Effect.gen(function* () {
        // Every token that there may be is good, and lacks the scope.
        world.faults.push(({ path }) =>
          path === "/mcp"
            ? new Response("", {
                status: 403,
                headers: { "www-authenticate": 'Bearer error="insufficient_scope", scope="mcp:admin"' }
              })
            : undefined
        )
        const tags = yield* Effect.forEach([1, 2, 3, 4, 5], () => reason)
        assert.deepStrictEqual(tags, [
          "AuthorizeUserError",
          "AuthorizeUserError",
          "AuthorizeUserError",
          "ScopesNotGranted",
          "ScopesNotGranted"
        ])
        assert.strictEqual(prompts, 3)
      }).pipe(Effect.provide(Layer.provideMerge(source, world.source())))
    })
  )

  it("whatever happens, an operation begins at most three times an hour, and six times a minute with all others", () => {
    const scopes = FastCheck.subarray(["a", "b", "c"])
    const step = FastCheck.record({ scopes, granted: scopes, wait: FastCheck.integer({ min: 0, max: 90_000 }) })
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 60 }), (steps) => {
        let attempts = StepUpAttempts.none
        let now = 0
        const begun: Array<number> = []
        for (const { granted, scopes, wait } of steps) {
          now += wait
          if (StepUpAttempts.exhausted(attempts, scopes, now) !== undefined) continue
          attempts = StepUpAttempts.begin(attempts, scopes, now)
          begun.push(now)
          attempts = StepUpAttempts.conclude(attempts, scopes, granted)
          assert.isAtMost(Math.max(0, ...attempts.operations.map(({ count }) => count)), 3)
          assert.isAtMost(begun.filter((at) => now - at < 60_000).length, 6)
        }
      })
    )
  })

  it("the order of the scopes is not the operation", () => {
    const asked = StepUpAttempts.conclude(StepUpAttempts.begin(StepUpAttempts.none, ["a", "b"], 0), ["b", "a"], ["a"])
    assert.isString(StepUpAttempts.exhausted(asked, ["b", "a"], 1))
    assert.isUndefined(StepUpAttempts.exhausted(asked, ["a"], 1))
  })
})
