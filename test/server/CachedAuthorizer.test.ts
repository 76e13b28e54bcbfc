import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as CachedAuthorizer from "../../src/server/CachedAuthorizer.js"
import * as Claims from "../../src/server/Claims.js"

const issuer = "https://as.example"
const claimsOf = (subject: string, expiresAt?: number) =>
  new Claims.Claims({ issuer, subject, audience: ["r"], scopes: [], expiresAt, raw: Redacted.make({}) })

const credentials = (token: string, more: Partial<Authorizer.Credentials> = {}): Authorizer.Credentials => ({
  scheme: "Bearer",
  token: Redacted.make(token),
  method: "POST",
  url: "r",
  issuers: [issuer],
  headers: {},
  ...more
})

/** A cached authorizer over one that says what `decide` says, and counts how often it was asked. */
const make = (
  options: CachedAuthorizer.Options,
  decide: (token: string) => Effect.Effect<Claims.Claims, AuthError.AuthError> = (token) =>
    Effect.succeed(claimsOf(token))
) => {
  const asked: Array<string> = []
  const counting = Authorizer.make(({ token }) => {
    asked.push(Redacted.value(token))
    return decide(Redacted.value(token))
  })
  return Effect.map(CachedAuthorizer.make(options)(counting), (authorizer) => ({
    asked,
    ask: (token: string, more?: Partial<Authorizer.Credentials>) => authorizer.authorize(credentials(token, more))
  }))
}

const each = <A, E>(count: number, ask: (token: string) => Effect.Effect<A, E>, from = 0) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => `t${from + n}`),
    ask
  )

describe("CachedAuthorizer (RS-41, N-05)", () => {
  it.effect("asks once for a token, and gives the very same claims", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 minute" })
      const first = yield* ask("t")
      assert.strictEqual(yield* ask("t"), first)
      assert.strictEqual(yield* ask("t"), first)
      assert.deepStrictEqual(asked, ["t"])
    })
  )

  it.effect("forgets at maxAge, to the millisecond", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 minute" })
      yield* ask("t")
      yield* TestClock.adjust("59999 millis")
      yield* ask("t")
      assert.strictEqual(asked.length, 1)
      yield* TestClock.adjust("1 millis")
      yield* ask("t")
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("a token in use is forgotten at maxAge as well: it is no sliding window", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 minute" })
      for (let n = 0; n < 7; n++) {
        yield* ask("t")
        yield* TestClock.adjust("10 seconds")
      }
      assert.strictEqual(asked.length, 2)
    })
  )

  const ages: ReadonlyArray<readonly [string, expiresAt: number | undefined, millis: number]> = [
    ["exp before maxAge", 10, 10_000],
    ["exp after maxAge", 100, 60_000],
    ["exp with a fraction", 10.5, 10_500],
    ["no exp", undefined, 60_000]
  ]
  it.effect.each(ages)("N-05 %s counts", ([, expiresAt, millis]) =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 minute" }, (token) =>
        Effect.succeed(claimsOf(token, expiresAt))
      )
      yield* ask("t")
      yield* TestClock.adjust(millis - 1)
      yield* ask("t")
      assert.strictEqual(asked.length, 1)
      yield* TestClock.adjust(1)
      yield* ask("t")
      assert.strictEqual(asked.length, 2)
    })
  )

  const over: ReadonlyArray<readonly [string, number]> = [
    ["at this moment", 100],
    ["a while ago, within somebody's tolerance", 97],
    ["at no time at all", Number.NaN]
  ]
  it.effect.each(over)("N-05 a token that expired %s is never remembered", ([, expiresAt]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(100_000)
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 minute" }, (token) =>
        Effect.succeed(Object.assign(claimsOf(token), { expiresAt }))
      )
      yield* ask("t")
      yield* ask("t")
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("the age counts from the question: an answer that was long under way is no younger", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "10 seconds" }, (token) =>
        Effect.delay(Effect.succeed(claimsOf(token)), "9 seconds")
      )
      const first = yield* Effect.fork(ask("t"))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.join(first)
      yield* ask("t")
      assert.strictEqual(asked.length, 1)
      yield* TestClock.adjust("1 seconds")
      yield* Effect.fork(ask("t"))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      assert.strictEqual(asked.length, 2)
    })
  )

  const failures: ReadonlyArray<AuthError.AuthError> = [
    AuthError.missing,
    new AuthError.InvalidToken({ reason: "inactive" }),
    new AuthError.InsufficientScope({ required: ["x"] }),
    new AuthError.InvalidRequest({ description: "x" }),
    new AuthError.ServerError({}),
    new AuthError.ServerError({ retryAfter: 1 })
  ]
  it.effect.each(failures)("$_tag is not remembered", (error) =>
    Effect.gen(function* () {
      let outcome: Effect.Effect<Claims.Claims, AuthError.AuthError> = Effect.fail(error)
      const { ask } = yield* make({ capacity: 10, maxAge: "1 minute" }, () => outcome)
      assert.strictEqual(yield* Effect.flip(ask("t")), error)
      outcome = Effect.succeed(claimsOf("alice"))
      assert.strictEqual((yield* ask("t")).subject, "alice")
    })
  )

  it.effect("interruption of one caller leaves nothing behind for the next", () =>
    Effect.gen(function* () {
      let outcome: Effect.Effect<Claims.Claims> = Effect.never
      const { ask } = yield* make({ capacity: 10, maxAge: "1 minute" }, () => outcome)
      const first = yield* Effect.fork(ask("t"))
      yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 20)))
      yield* Fiber.interrupt(first)
      outcome = Effect.succeed(claimsOf("alice"))
      assert.strictEqual((yield* ask("t")).subject, "alice")
    })
  )

  it.effect("holds as many as it may, and gives up the one used longest ago", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 3, maxAge: "1 hour" })
      yield* each(3, ask)
      yield* ask("t0") // t1 is the oldest now
      yield* ask("t3")
      asked.length = 0
      yield* Effect.forEach(["t0", "t2", "t3"], (token) => ask(token))
      assert.deepStrictEqual(asked, [])
      yield* ask("t1")
      assert.deepStrictEqual(asked, ["t1"])
    })
  )

  it.effect.each([0, -1, Number.NaN])("a capacity of %d holds nothing", (capacity) =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity, maxAge: "1 hour" })
      yield* ask("t")
      yield* ask("t")
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect.each([Number.POSITIVE_INFINITY, 1e12, 2.5])("a capacity of %d is bounded, and no error", (capacity) =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity, maxAge: "1 hour" })
      yield* each(2, ask)
      yield* each(2, ask)
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("what was forgotten stays so, though the clock goes back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(100_000)
      let outcome: Effect.Effect<Claims.Claims, AuthError.AuthError> = Effect.succeed(claimsOf("alice"))
      const { ask } = yield* make({ capacity: 10, maxAge: "1 minute" }, () => outcome)
      yield* ask("t")
      outcome = Effect.fail(new AuthError.InvalidToken({ reason: "inactive" }))
      yield* TestClock.setTime(160_000)
      assert.strictEqual((yield* Effect.flip(ask("t")))._tag, "InvalidToken")
      yield* TestClock.setTime(100_000)
      assert.strictEqual((yield* Effect.flip(ask("t")))._tag, "InvalidToken")
    })
  )

  it.effect("a thousand tokens at once: the last hundred are known, the others are not", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 100, maxAge: "1 hour" })
      yield* each(1000, ask)
      asked.length = 0
      yield* each(100, ask, 900)
      assert.strictEqual(asked.length, 0)
      yield* each(100, ask, 800)
      assert.strictEqual(asked.length, 100)
    })
  )

  it.effect("A13 a hit counts for requests of its issuer only", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 hour" })
      yield* ask("t")
      yield* ask("t", { issuers: ["https://other.example", issuer] })
      assert.strictEqual(asked.length, 1)
      // Not answered from memory: the authorizer behind decides.
      yield* ask("t", { issuers: ["https://other.example"] })
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("a token that came under one scheme says nothing about the same under another", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* make({ capacity: 10, maxAge: "1 hour" })
      yield* ask("t", { scheme: "DPoP" })
      yield* ask("t")
      assert.strictEqual(asked.length, 2)
    })
  )

  it.effect("tokens that only begin alike are two", () =>
    Effect.gen(function* () {
      const { ask } = yield* make({ capacity: 10, maxAge: "1 hour" })
      for (const token of ["a", "a=", "A", "aa", "a."]) assert.strictEqual((yield* ask(token)).subject, token)
      for (const token of ["a", "a=", "A", "aa", "a."]) assert.strictEqual((yield* ask(token)).subject, token)
    })
  )
})

/** Every string that becomes the key of a map while `effect` runs. */
const keysOfMaps = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const { set } = Map.prototype
      const keys: Array<string> = []
      Map.prototype.set = function (this: Map<unknown, unknown>, key: unknown, value: unknown) {
        if (typeof key === "string") keys.push(key)
        return set.call(this, key, value)
      }
      return { set, keys }
    }),
    ({ keys }) => Effect.as(effect, keys),
    ({ set }) =>
      Effect.sync(() => {
        Map.prototype.set = set
      })
  )

const keyOf = (token: string) => createHash("sha256").update(`Bearer ${token}`).digest().toString("latin1")

describe("what a cache gives away (RS-40, RS-41)", () => {
  it.effect("its keys are digests, and no token is in one", () =>
    Effect.gen(function* () {
      const { ask } = yield* make({ capacity: 10, maxAge: "1 hour" })
      const token = "token-that-nobody-may-see"
      const keys = yield* keysOfMaps(ask(token))
      assert.include(keys, keyOf(token))
      assert.isFalse(keys.some((key) => key.includes("nobody-may-see")))
    })
  )

  it.effect("tokens that are refused leave nothing behind, however many", () =>
    Effect.gen(function* () {
      const refusal = Effect.fail(new AuthError.InvalidToken({ reason: "inactive" }))
      const { ask } = yield* make({ capacity: 10, maxAge: "1 hour" }, () => refusal)
      const tokens: Array<string> = []
      const keys = yield* keysOfMaps(each(500, (token) => Effect.either(ask(tokens[tokens.push(token) - 1] ?? ""))))
      assert.strictEqual(tokens.length, 500)
      assert.deepStrictEqual(
        tokens.filter((token) => keys.includes(keyOf(token))),
        []
      )
    })
  )
})
