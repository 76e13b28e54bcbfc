import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { call, World } from "./World.js"

const calls = (times: number, pause: "0 seconds" | "1 second" = "0 seconds") =>
  Effect.forEach(Array.from({ length: times }), () => Effect.zipRight(TestClock.adjust(pause), Effect.either(call())))

const ends = (answers: ReadonlyArray<Effect.Effect.Success<ReturnType<typeof calls>>[number]>): string => {
  const last = answers.at(-1)
  if (last?._tag !== "Left") return "an answer"
  return last.left._tag === "AccessRefused" ? last.left.reason : last.left._tag
}

describe("a browser for each call is no way to sign in (J21)", () => {
  it.effect("a token that is expired at once is asked for six times a minute at most", () =>
    Effect.gen(function* () {
      const world = new World()
      world.expiresIn = 1
      world.issueRefreshTokens = false
      const answers = yield* calls(20, "1 second").pipe(Effect.provide(world.source()))
      assert.strictEqual(ends(answers), "TokenNotAccepted")
      assert.lengthOf(world.prompts, 6)
    })
  )

  it.effect("a lifetime of nothing is none that is known: the token serves until it is refused", () =>
    Effect.gen(function* () {
      const world = new World()
      world.expiresIn = 0
      world.issueRefreshTokens = false
      const answers = yield* calls(10).pipe(Effect.provide(world.source()))
      assert.strictEqual(ends(answers), "an answer")
      assert.lengthOf(world.prompts, 1)
    })
  )

  it.effect("a server that says no without asking anybody is asked six times a minute at most", () =>
    Effect.gen(function* () {
      const world = new World()
      world.redirect = (answer) => new URLSearchParams({ error: "access_denied", state: answer.get("state") ?? "" })
      yield* Effect.gen(function* () {
        const answers = yield* calls(20)
        assert.strictEqual(answers[0]?._tag === "Left" ? answers[0].left._tag : "", "AuthorizationRefused")
        assert.strictEqual(ends(answers), "TokenNotAccepted")
        assert.lengthOf(world.prompts, 6)
        yield* TestClock.adjust("1 minute")
        world.redirect = (answer) => answer
        assert.strictEqual(ends(yield* calls(1)), "an answer")
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a grant whose every token is refused from some day on leads to one prompt, and then to a diagnosis", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* call()
        yield* TestClock.adjust("10 minutes")
        world.faults.push(({ path }) => (path === "/mcp" ? new Response("", { status: 401 }) : undefined))
        assert.strictEqual(ends(yield* calls(10)), "TokenNotAccepted")
        assert.lengthOf(world.prompts, 2)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a clock that was put back locks nobody out", () =>
    Effect.gen(function* () {
      const world = new World()
      world.redirect = (answer) => new URLSearchParams({ error: "access_denied", state: answer.get("state") ?? "" })
      yield* Effect.gen(function* () {
        yield* TestClock.setTime(Date.parse("2030-01-01"))
        yield* calls(7)
        yield* TestClock.setTime(Date.parse("2029-12-31"))
        world.redirect = (answer) => answer
        assert.strictEqual(ends(yield* calls(1)), "an answer")
      }).pipe(Effect.provide(world.source()))
    })
  )
})
