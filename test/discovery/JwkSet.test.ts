import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as FetchLimits from "../../src/discovery/FetchLimits.js"
import type * as GuardedHttp from "../../src/discovery/GuardedHttp.js"
import * as JwkSet from "../../src/discovery/JwkSet.js"
import * as Keys from "../server/fixtures/Keys.js"
import * as Network from "../server/fixtures/Network.js"
import * as GuardedFetch from "./fixtures/GuardedFetch.js"

const url = "https://as.example/jwks"
const [first, second, third] = await Promise.all(["k1", "k2", "k3"].map((kid) => Keys.make("ES256", kid)))
const rsa = await Keys.make("RS256", "r1")
if (first === undefined || second === undefined || third === undefined) throw new Error("no keys")

/** An issuer whose keys, manners and health a test may change at any time. */
const issuer = () => {
  const state: { keys: ReadonlyArray<unknown>; answer: (() => Network.Answer) | undefined } = {
    keys: [first.jwk],
    answer: undefined
  }
  const network = Network.make(() => state.answer?.() ?? Network.json({ keys: state.keys }))
  return { state, network, fetches: () => network.asked.length }
}

const setOf = (
  network: Network.Network,
  options?: JwkSet.Options,
  uri: Effect.Effect<string> = Effect.succeed(url),
  guard?: Partial<GuardedHttp.Options>
) => JwkSet.make(uri, options).pipe(GuardedFetch.over(network.client, guard))

const header = (key: Keys.Key): JwkSet.KeyHeader => ({ alg: key.alg, kid: key.kid })
const unknown = (n: number): JwkSet.KeyHeader => ({ alg: "ES256", kid: `made-up-${n}` })
const crowd = <A, E>(size: number, each: (n: number) => Effect.Effect<A, E>) =>
  Effect.forEach(
    Array.from({ length: size }, (_, n) => n),
    (n) => Effect.either(each(n)),
    { concurrency: "unbounded" }
  )

/** Lets every fiber that can run do so. */
const settle = Effect.repeatN(Effect.yieldNow(), 50)

const assertUnknown = (result: Either.Either<unknown, JwkSet.UnknownKey | JwkSet.JwkSetUnavailable>) =>
  assert.strictEqual(Either.isLeft(result) ? result.left._tag : "found", "UnknownKey")
const assertUnavailable = (
  result: Either.Either<unknown, JwkSet.UnknownKey | JwkSet.JwkSetUnavailable>,
  retryAfter = 1
) => {
  assert.isTrue(Either.isLeft(result) && result.left._tag === "JwkSetUnavailable")
  if (Either.isLeft(result) && result.left._tag === "JwkSetUnavailable") {
    assert.strictEqual(result.left.retryAfter, retryAfter)
  }
}

describe("JwkSet", () => {
  describe("one flight (W-10)", () => {
    it.scoped("a cold burst of 200 is one fetch, and all get the key", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { fetches, network, state } = issuer()
        state.answer = () => Effect.as(Deferred.await(gate), Network.json({ keys: [first.jwk] }))
        const set = yield* setOf(network)
        const burst = yield* Effect.fork(crowd(200, () => set.keys(header(first))))
        yield* settle
        assert.strictEqual(fetches(), 1)
        yield* Deferred.succeed(gate, undefined)
        const results = yield* Fiber.join(burst)
        assert.strictEqual(results.filter(Either.isRight).length, 200)
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("a cold burst of 200 during an outage is one fetch, and all are told to come back", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        state.answer = () => Network.unreachable
        const set = yield* setOf(network)
        const results = yield* crowd(200, () => set.keys(header(first)))
        for (const result of results) assertUnavailable(result)
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("interruption of the first caller harms no other", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { fetches, network, state } = issuer()
        state.answer = () => Effect.as(Deferred.await(gate), Network.json({ keys: [first.jwk] }))
        const set = yield* setOf(network)
        const leader = yield* Effect.fork(set.keys(header(first)))
        yield* settle
        const others = yield* Effect.fork(crowd(20, () => set.keys(header(first))))
        yield* settle
        yield* Fiber.interrupt(leader)
        yield* Deferred.succeed(gate, undefined)
        const results = yield* Fiber.join(others)
        assert.isTrue(results.every(Either.isRight))
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("the fetch outlives all who asked for it, so that the next one finds the keys", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { fetches, network, state } = issuer()
        state.answer = () => Effect.as(Deferred.await(gate), Network.json({ keys: [first.jwk] }))
        const set = yield* setOf(network)
        const callers = yield* Effect.fork(crowd(5, () => set.keys(header(first))))
        yield* settle
        yield* Fiber.interrupt(callers)
        yield* Deferred.succeed(gate, undefined)
        yield* set.keys(header(first))
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("keys that are there cost no request, however many ask", () =>
      Effect.gen(function* () {
        const { fetches, network } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        yield* crowd(100, () => set.keys(header(first)))
        yield* TestClock.adjust("10 minutes")
        yield* set.keys(header(first))
        assert.strictEqual(fetches(), 1)
      })
    )
  })

  describe("outage (C16, W-10)", () => {
    it.scoped("a failure is not kept beyond the pause", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        state.answer = () => Network.unreachable
        const set = yield* setOf(network)
        assertUnavailable(yield* Effect.either(set.keys(header(first))))
        state.answer = undefined
        yield* TestClock.adjust("999 millis")
        assertUnavailable(yield* Effect.either(set.keys(header(first))))
        assert.strictEqual(fetches(), 1)
        yield* TestClock.adjust("1 millis")
        yield* set.keys(header(first))
        assert.strictEqual(fetches(), 2)
      })
    )

    it.scoped("an issuer that hangs is an outage after ten seconds, and its late answer is of use to the next", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { fetches, network, state } = issuer()
        state.answer = () => Effect.as(Deferred.await(gate), Network.json({ keys: [first.jwk] }))
        const set = yield* Effect.provideService(setOf(network), FetchLimits.FetchLimits, {
          ...(yield* FetchLimits.FetchLimits),
          timeout: Duration.minutes(1)
        })
        // A server runs its app uninterruptibly.
        const caller = yield* Effect.fork(Effect.uninterruptible(Effect.either(set.keys(header(first)))))
        yield* TestClock.adjust("9999 millis")
        assert.isNull(caller.unsafePoll())
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.isNotNull(caller.unsafePoll())
        assertUnavailable(yield* Fiber.join(caller))
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        yield* set.keys(header(first))
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("the pause is an option, and what callers are told", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        state.answer = () => Network.unreachable
        const set = yield* setOf(network, { retryAfter: "7 seconds" })
        assertUnavailable(yield* Effect.either(set.keys(header(first))), 7)
        yield* TestClock.adjust("6999 millis")
        assertUnavailable(yield* Effect.either(set.keys(header(first))), 7)
        assert.strictEqual(fetches(), 1)
      })
    )

    for (const [name, retryAfter, expected] of [
      ["no Retry-After", undefined, 1],
      ["Retry-After: 30", "30", 30],
      ["Retry-After: 0", "0", 1],
      ["Retry-After: 999999999, which is too much", "999999999", 300],
      ["Retry-After that says nothing", "soon", 1]
    ] as const) {
      it.scoped(`callers are told what the issuer says, within bounds: ${name}`, () =>
        Effect.gen(function* () {
          const { network, state } = issuer()
          const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter }
          state.answer = () => new Response("", { status: 503, headers })
          const set = yield* setOf(network)
          assertUnavailable(yield* Effect.either(set.keys(header(first))), expected)
        })
      )
    }

    for (const [name, answer] of [
      ["404", () => new Response("", { status: 404 })],
      ["500", () => new Response("", { status: 500 })],
      ["a redirect", () => new Response("", { status: 302, headers: { location: "https://elsewhere.example/jwks" } })],
      ["HTML", () => new Response("<html>")],
      ["an array", () => Network.json([])],
      ["keys that are no list", () => Network.json({ keys: first.jwk })],
      ["keys that are no objects", () => Network.json({ keys: ["k"] })],
      ["nothing at all", () => new Response("")]
    ] as const) {
      it.scoped(`cold, ${name} is an outage and not an unknown key`, () =>
        Effect.gen(function* () {
          const { network, state } = issuer()
          state.answer = answer
          const set = yield* setOf(network)
          assertUnavailable(yield* Effect.either(set.keys(header(first))))
        })
      )
    }

    it.scoped("an address that cannot be found, or a defect in finding it, is an outage", () =>
      Effect.gen(function* () {
        const { network } = issuer()
        const failing = yield* setOf(network, {}, Effect.die("boom"))
        assertUnavailable(yield* Effect.either(failing.keys(header(first))))
        const insecure = yield* setOf(network, {}, Effect.succeed("http://as.example/jwks"))
        assertUnavailable(yield* Effect.either(insecure.keys(header(first))))
        assert.deepStrictEqual(network.asked, [])
      })
    )

    it.scoped("the guard is that at hand when the set was made, for its document too (A12)", () =>
      Effect.gen(function* () {
        const { network } = issuer()
        const guard = { configured: ["http://as.internal"], allowInsecure: true } as const
        const set = yield* setOf(network, {}, Effect.succeed("http://as.internal/jwks"), guard)
        yield* set.keys(header(first))
        assert.deepStrictEqual(network.asked, ["http://as.internal/jwks"])
      })
    )

    it.scoped("keys serve over an outage until maxAge + maxStale, then it shows; and recovery is immediate", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        const set = yield* setOf(network, { maxAge: "10 minutes", maxStale: "1 hour" })
        yield* set.keys(header(first))
        state.answer = () => Network.unreachable
        for (let minute = 1; minute <= 70; minute++) {
          yield* TestClock.adjust("1 minute")
          yield* set.keys(header(first))
          yield* settle
        }
        // Minutes 11 to 70 found the keys old and tried once each.
        assert.strictEqual(fetches(), 61)
        yield* TestClock.adjust("1 millis")
        assertUnavailable(yield* Effect.either(set.keys(header(first))))
        yield* TestClock.adjust("1 second")
        state.answer = undefined
        yield* set.keys(header(first))
      })
    )

    it.scoped("during an outage the issuer is asked once in a pause, whatever the load", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        state.answer = () => Network.unreachable
        const set = yield* setOf(network, { retryAfter: "2 seconds" })
        for (let second = 0; second < 20; second++) {
          yield* crowd(50, () => set.keys(header(first)))
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(fetches(), 10)
      })
    )

    it.scoped("an unknown key during an outage is not known to be wrong: Unavailable, as long as it lasts", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        state.keys = [second.jwk]
        state.answer = () => Network.unreachable
        for (let second = 0; second < 4; second++) {
          for (const result of yield* crowd(50, () => set.keys(header(third)))) assertUnavailable(result)
          yield* set.keys(header(first))
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(fetches(), 1 + 4)
        state.answer = undefined
        yield* set.keys(header(second))
      })
    )

    it.scoped("nor while an outage shows within the cooldown of an earlier unknown key", () =>
      Effect.gen(function* () {
        const { network, state } = issuer()
        const set = yield* setOf(network, { maxAge: "1 second" })
        yield* set.keys(header(first))
        assertUnknown(yield* Effect.either(set.keys(unknown(1))))
        state.answer = () => Network.unreachable
        yield* TestClock.adjust("1001 millis")
        yield* set.keys(header(first))
        yield* settle
        assertUnavailable(yield* Effect.either(set.keys(unknown(2))))
      })
    )
  })

  describe("age", () => {
    it.scoped("old keys serve at once while one fetch in the background renews them", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { fetches, network, state } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        yield* TestClock.adjust("10 minutes")
        yield* TestClock.adjust("1 millis")
        state.answer = () => Effect.as(Deferred.await(gate), Network.json({ keys: [second.jwk] }))
        const served = yield* crowd(50, () => set.keys(header(first)))
        assert.isTrue(served.every(Either.isRight))
        yield* settle
        assert.strictEqual(fetches(), 2)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        yield* set.keys(header(second))
        assert.strictEqual(fetches(), 2)
      })
    )
  })

  describe("rotation and unknown keys (W-10)", () => {
    it.scoped("a new key is found at once, with one fetch; the old one is then gone", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        state.keys = [second.jwk]
        const found = yield* crowd(100, () => set.keys(header(second)))
        assert.isTrue(found.every(Either.isRight))
        assert.strictEqual(fetches(), 2)
        assertUnknown(yield* Effect.either(set.keys(header(first))))
        assert.strictEqual(fetches(), 2)
      })
    )

    it.scoped("a second rotation is found after the cooldown", () =>
      Effect.gen(function* () {
        const { fetches, network, state } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        state.keys = [second.jwk]
        yield* set.keys(header(second))
        state.keys = [third.jwk]
        yield* TestClock.adjust("4999 millis")
        assertUnknown(yield* Effect.either(set.keys(header(third))))
        yield* TestClock.adjust("1 millis")
        yield* set.keys(header(third))
        assert.strictEqual(fetches(), 3)
      })
    )

    it.scoped("a flood of 500 made-up kids is one fetch, and none within the cooldown", () =>
      Effect.gen(function* () {
        const { fetches, network } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        for (const result of yield* crowd(500, (n) => set.keys(unknown(n)))) assertUnknown(result)
        assert.strictEqual(fetches(), 2)
        yield* TestClock.adjust("4999 millis")
        for (const result of yield* crowd(500, (n) => set.keys(unknown(n)))) assertUnknown(result)
        assert.strictEqual(fetches(), 2)
        yield* TestClock.adjust("1 millis")
        for (const result of yield* crowd(500, (n) => set.keys(unknown(n)))) assertUnknown(result)
        assert.strictEqual(fetches(), 3)
      })
    )

    it.scoped("a minute of 100 made-up kids a second is twelve fetches", () =>
      Effect.gen(function* () {
        const { fetches, network } = issuer()
        const set = yield* setOf(network)
        yield* set.keys(header(first))
        for (let second = 0; second < 60; second++) {
          yield* crowd(100, (n) => set.keys(unknown(second * 1000 + n)))
          yield* set.keys(header(first))
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(fetches(), 1 + 12)
      })
    )

    it.scoped("a cold flood of 500 made-up kids is one fetch", () =>
      Effect.gen(function* () {
        const { fetches, network } = issuer()
        const set = yield* setOf(network)
        for (const result of yield* crowd(500, (n) => set.keys(unknown(n)))) assertUnknown(result)
        assert.strictEqual(fetches(), 1)
      })
    )

    it.scoped("a moved jwks_uri is followed", () =>
      Effect.gen(function* () {
        const { network } = issuer()
        let at = 1
        const set = yield* setOf(
          network,
          {},
          Effect.sync(() => `https://as.example/jwks/${at}`)
        )
        yield* set.keys(header(first))
        at = 2
        yield* TestClock.adjust("5 seconds")
        yield* Effect.either(set.keys(unknown(1)))
        assert.deepStrictEqual(network.asked, ["https://as.example/jwks/1", "https://as.example/jwks/2"])
      })
    )
  })

  describe("which keys count (W-01, W-06, W-09)", () => {
    const choose = (keys: ReadonlyArray<unknown>, asked: JwkSet.KeyHeader) =>
      Effect.gen(function* () {
        const { network, state } = issuer()
        state.keys = keys
        const set = yield* setOf(network)
        const result = yield* Effect.either(set.keys(asked))
        if (Either.isRight(result)) return result.right.length
        return result.left._tag
      })
    const { alg: _, kid: __, ...bare } = first.jwk
    const oct = { kty: "oct", k: "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", kid: "k1", alg: "HS256" }

    for (const [name, keys, asked, expected] of [
      ["the one named", [first.jwk, second.jwk], header(first), 1],
      ["a kid that is another's prefix", [first.jwk], { alg: "ES256", kid: "k" }, "UnknownKey"],
      ["a kid in another case", [first.jwk], { alg: "ES256", kid: "K1" }, "UnknownKey"],
      ["an empty kid", [first.jwk], { alg: "ES256", kid: "" }, "UnknownKey"],
      ["no kid, one key", [first.jwk], { alg: "ES256" }, 1],
      ["no kid, three keys", [first.jwk, second.jwk, third.jwk], { alg: "ES256" }, 3],
      ["no kid, keys of another kind beside it", [rsa.jwk, first.jwk], { alg: "ES256" }, 1],
      ["the algorithm is not the key's", [rsa.jwk], { alg: "PS256", kid: "r1" }, "UnknownKey"],
      ["the kind of key does not fit the algorithm", [first.jwk], { alg: "RS256", kid: "k1" }, "UnknownKey"],
      ["one kid for two kinds of key", [{ ...rsa.jwk, kid: "k1" }, first.jwk], header(first), 1],
      ["a key for encryption", [{ ...first.jwk, use: "enc" }], header(first), "UnknownKey"],
      ["a key that may not verify", [{ ...first.jwk, key_ops: ["sign"] }], header(first), "UnknownKey"],
      ["a key that may verify", [{ ...first.jwk, key_ops: ["verify"] }], header(first), 1],
      ["a key without alg and kid, asked without kid", [bare], { alg: "ES256" }, 1],
      ["a private key", [first.privateJwk], header(first), "UnknownKey"],
      ["a symmetric key", [oct], { alg: "HS256", kid: "k1" }, "UnknownKey"],
      ["none", [first.jwk], { alg: "none", kid: "k1" }, "UnknownKey"],
      ["a kind nobody knows, beside it", [{ kty: "ABC", kid: "x" }, first.jwk], header(first), 1],
      ["a member missing", [{ kty: "EC", kid: "k1", alg: "ES256", crv: "P-256" }], header(first), "UnknownKey"],
      ["a broken key beside it", [{ kty: "EC", kid: "x", crv: "P-256", x: "!", y: 5 }, first.jwk], header(first), 1],
      ["a point off the curve", [{ ...first.jwk, y: first.jwk.x }], header(first), "UnknownKey"],
      ["kty that is no string", [{ ...first.jwk, kty: 5 }, second.jwk], header(second), 1],
      ["an empty set", [], header(first), "UnknownKey"]
    ] as ReadonlyArray<readonly [string, ReadonlyArray<unknown>, JwkSet.KeyHeader, number | string]>) {
      it.scoped(name, () => Effect.map(choose(keys, asked), (actual) => assert.strictEqual(actual, expected)))
    }

    it.scoped("an empty kid is not the same as none, not even after one without was found", () =>
      Effect.gen(function* () {
        const { network } = issuer()
        const set = yield* setOf(network)
        yield* set.keys({ alg: "ES256" })
        assertUnknown(yield* Effect.either(set.keys({ alg: "ES256", kid: "" })))
      })
    )

    it.scoped("a set nested 50 000 deep neither throws nor hangs", () =>
      Effect.gen(function* () {
        const { network, state } = issuer()
        const deep = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`
        state.answer = () => Network.json(`{"keys":[{"kty":"EC","kid":"k1","x":${deep}}]}`)
        const set = yield* setOf(network)
        const result = yield* Effect.either(set.keys(header(first)))
        assert.isTrue(Either.isLeft(result))
      })
    )
  })
})
