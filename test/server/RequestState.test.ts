import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import * as RequestState from "../../src/server/RequestState.js"

const callerOf = (more: Partial<Claims> = {}) =>
  new Claims({
    issuer: "https://as.example",
    subject: "alice",
    clientId: "editor",
    audience: ["https://mcp.example.com/mcp"],
    scopes: [],
    raw: Redacted.make({}),
    ...more
  })

const as = (more?: Partial<Claims>) => Effect.provideService(CurrentClaims, callerOf(more))
const alice = as()

const octets = (fill: number) => new Uint8Array(32).fill(fill)
const key = (fill: number) => Redacted.make(Jose.base64url.encode(octets(fill)))
const keys = RequestState.layerKeys([key(1)])

const schema = Schema.Struct({ step: Schema.NumberFromString, note: Schema.String })
const value = { step: 2, note: "the secret plan" }
const purpose = "tools/call deploy"

const sealed = Effect.flatMap(RequestState.make({ schema }), (state) => state.seal(value, purpose))

const open = (text: string, what = purpose) =>
  Effect.flatMap(RequestState.make({ schema }), (state) => state.open(text, what))

/** `opened`, or the reason why not. */
const outcome = (text: string, caller: typeof alice = alice, what = purpose) =>
  Effect.match(open(text, what).pipe(caller), { onFailure: ({ reason }) => reason, onSuccess: () => "opened" as const })

describe("RequestState", () => {
  it.effect("what was sealed opens for the caller it was sealed for, and nobody can read it on the way (RS-43)", () =>
    Effect.gen(function* () {
      const state = yield* sealed
      assert.deepStrictEqual(yield* open(state), value)
      const [header = "", ...parts] = state.split(".")
      assert.deepStrictEqual(Object.keys(JSON.parse(atob(header))), ["alg", "enc", "kid"])
      const readable = parts.map((part) => Buffer.from(part, "base64url").toString("latin1")).join()
      assert.notMatch(readable, /secret|alice|editor|as\.example|deploy/)
      assert.notStrictEqual(yield* sealed, state)
    }).pipe(alice, Effect.provide(keys))
  )

  it.effect("any value of a schema comes back as it was", () =>
    Effect.gen(function* () {
      const any = yield* RequestState.make({ schema: Schema.Unknown })
      for (const json of FastCheck.sample(FastCheck.jsonValue(), 50)) {
        const expected: unknown = JSON.parse(JSON.stringify(json))
        assert.deepStrictEqual(yield* any.open(yield* any.seal(json, ""), ""), expected)
      }
    }).pipe(alice, Effect.provide(keys))
  )

  for (const [who, claims] of [
    ["another person", { subject: "bob" }],
    ["the same name at another issuer", { issuer: "https://other.example" }],
    ["the same person at another client", { clientId: "phone" }],
    ["the same person at no client", { clientId: undefined }],
    ["a caller whose names run together", { issuer: "https://as.exampleali", subject: "ce" }]
  ] as const) {
    it.effect(`${who} cannot open it (RS-43, RS-44)`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* outcome(yield* alice(sealed), as(claims as Partial<Claims>)), "caller")
      }).pipe(Effect.provide(keys))
    )
  }

  it.effect("a renewed token of the same caller opens it", () =>
    Effect.gen(function* () {
      const renewed = as({ scopes: ["mcp:write"], expiresAt: 9_999_999_999 })
      assert.strictEqual(yield* outcome(yield* alice(sealed), renewed), "opened")
    }).pipe(Effect.provide(keys))
  )

  it.effect("it opens for its own purpose only (RS-43)", () =>
    Effect.gen(function* () {
      const state = yield* alice(sealed)
      for (const other of ["", "tools/call destroy", `${purpose} `, purpose.toUpperCase()]) {
        assert.strictEqual(yield* outcome(state, alice, other), "purpose")
      }
    }).pipe(Effect.provide(keys))
  )

  it.effect("it opens until the moment that it expires (RS-43)", () =>
    Effect.gen(function* () {
      const state = yield* alice(sealed)
      const short = yield* Effect.flatMap(RequestState.make({ schema, maxAge: "1500 millis" }), ({ seal }) =>
        alice(seal(value, purpose))
      )
      yield* TestClock.adjust("1499 millis")
      assert.strictEqual(yield* outcome(short), "opened")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* outcome(short), "expired")
      yield* TestClock.setTime(600_000 - 1)
      assert.strictEqual(yield* outcome(state), "opened")
      yield* TestClock.setTime(600_000)
      assert.strictEqual(yield* outcome(state), "expired")
    }).pipe(Effect.provide(keys))
  )

  describe("keys", () => {
    const under = (...fills: readonly [number, ...Array<number>]) => {
      const [first, ...others] = fills
      return Effect.provide(RequestState.layerKeys([key(first), ...others.map(key)]))
    }

    it.effect("are replaced without losing what is under way, until the old one is dropped", () =>
      Effect.gen(function* () {
        const old = yield* alice(sealed).pipe(under(1))
        assert.strictEqual(yield* outcome(old).pipe(under(2, 1)), "opened")
        assert.strictEqual(yield* outcome(old).pipe(under(2)), "key")
        const fresh = yield* alice(sealed).pipe(under(2, 1))
        assert.strictEqual(yield* outcome(fresh).pipe(under(2)), "opened")
        assert.strictEqual(yield* outcome(fresh).pipe(under(1)), "key")
      })
    )

    for (const [what, text] of [
      ["empty", ""],
      ["too short", Jose.base64url.encode(octets(1).subarray(1))],
      ["too long", Jose.base64url.encode(new Uint8Array(33))],
      ["a passphrase", "correct horse battery staple"],
      ["base64 with padding", Buffer.from(octets(255)).toString("base64")]
    ] as const) {
      it.effect(`one that is ${what} is refused, by its place and the rule, and is not in the message`, () =>
        Effect.gen(function* () {
          const layer = RequestState.layerKeys([key(1), Redacted.make(text)])
          const error = yield* Effect.flip(Layer.build(layer))
          assert.strictEqual(error.message, "The request state is not valid (key: key 1 is not 32 octets in base64url)")
        }).pipe(Effect.scoped)
      )
    }
  })

  describe("keys from the configuration", () => {
    const text = (...keys: ReadonlyArray<Redacted.Redacted>) => keys.map(Redacted.value).join(", ")
    const load = (name: string, value: string) =>
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([[name, value]])))
    const build = (name?: string) => Effect.scoped(Layer.build(RequestState.layerConfig(name)))

    it.effect("seal with the first and open with each, under either name", () =>
      Effect.gen(function* () {
        const old = yield* alice(sealed).pipe(Effect.provide(RequestState.layerKeys([key(1)])))
        const replaced = Effect.provide(RequestState.layerConfig())(outcome(old))
        const loaded = load("MCP_AUTH_REQUEST_STATE_KEYS", ` ${text(key(2), key(1))}\n`)
        assert.strictEqual(yield* loaded(replaced), "opened")
        const fresh = yield* load("MINE", text(key(2)))(Effect.provide(alice(sealed), RequestState.layerConfig("MINE")))
        assert.strictEqual(yield* loaded(Effect.provide(outcome(fresh), RequestState.layerConfig())), "opened")
        assert.strictEqual(yield* outcome(fresh).pipe(Effect.provide(keys)), "key")
      })
    )

    for (const [what, value, rule] of [
      ["empty", "", "there is no key"],
      ["only commas", " , ", "there is no key"],
      ["a passphrase", "hunter2", "key 0 is not 32 octets in base64url"],
      ["a passphrase after a key", `${text(key(1))},hunter2`, "key 1 is not 32 octets in base64url"]
    ] as const) {
      it.effect(`fails where the value is ${what}, with the name and the rule and without the value`, () =>
        Effect.gen(function* () {
          const printed = inspect(yield* Effect.flip(load("MINE", value)(build("MINE"))), { depth: 10 })
          assert.include(printed, "MINE")
          assert.include(printed, rule)
          assert.notInclude(printed, "hunter2")
          assert.notInclude(printed, text(key(1)))
        })
      )
    }

    it.effect("fails where there is no value", () =>
      Effect.gen(function* () {
        assert.include(String(yield* Effect.flip(load("OTHER", "")(build()))), "MCP_AUTH_REQUEST_STATE_KEYS")
      })
    )
  })

  describe("garbage", () => {
    it.effect("a state cut off anywhere, or with any character changed, does not open", () =>
      Effect.gen(function* () {
        const state = yield* alice(sealed)
        for (let at = 0; at < state.length; at++) {
          assert.notStrictEqual(yield* outcome(state.slice(0, at)), "opened", `cut at ${at}`)
          // The last character of a part has bits that do not count: the first of them is always among those that do.
          const changed = state[at] === "A" ? "Q" : "A"
          const bent = state.slice(0, at) + changed + state.slice(at + 1)
          assert.notStrictEqual(yield* outcome(bent), "opened", `changed at ${at}`)
        }
        assert.notStrictEqual(yield* outcome(state + state), "opened")
      }).pipe(Effect.provide(keys))
    )

    it.effect("what is no state at all is malformed, and no defect", () =>
      Effect.gen(function* () {
        const texts = ["", ".", "....", "null", "{}", "v1.abc.def", "\u0000", "é".repeat(100), ".".repeat(70_000)]
        const random = FastCheck.sample(FastCheck.string({ maxLength: 100, unit: "binary" }), 50)
        for (const text of [...texts, ...random]) assert.strictEqual(yield* outcome(text), "malformed", text)
      }).pipe(Effect.provide(keys))
    )

    const forge = (header: Readonly<Record<string, unknown>>, secret: Uint8Array, plaintext: string) =>
      Effect.promise(() =>
        new Jose.CompactEncrypt(new TextEncoder().encode(plaintext)).setProtectedHeader(header as never).encrypt(secret)
      )

    it.effect("other algorithms are not tried, not even with the right key", () =>
      Effect.gen(function* () {
        const header = Jose.decodeProtectedHeader(yield* alice(sealed))
        const wrapped = yield* forge({ ...header, alg: "A256KW" }, octets(1), "{}")
        assert.strictEqual(yield* outcome(wrapped), "malformed")
        const signed = yield* Effect.promise(() =>
          new Jose.CompactSign(new TextEncoder().encode("{}"))
            .setProtectedHeader({ ...header, alg: "HS256" })
            .sign(octets(1))
        )
        assert.strictEqual(yield* outcome(signed), "malformed")
        assert.strictEqual(yield* outcome(new Jose.UnsecuredJWT({}).encode()), "malformed")
      }).pipe(Effect.provide(keys))
    )

    it.effect("under the right key, what is no envelope of ours does not open either", () =>
      Effect.gen(function* () {
        const header = Jose.decodeProtectedHeader(yield* alice(sealed))
        for (const plaintext of ["", "null", "[]", "{}", '{"issuer":"https://as.example"}', "\ufffd"]) {
          assert.strictEqual(yield* outcome(yield* forge(header, octets(1), plaintext)), "value", plaintext)
        }
      }).pipe(Effect.provide(keys))
    )

    it.effect("a value of another shape does not open, and one that is no JSON or too large is not sealed", () =>
      Effect.gen(function* () {
        const any = yield* RequestState.make({ schema: Schema.Unknown })
        const other = yield* any.seal({ step: "two" }, purpose)
        assert.strictEqual(yield* outcome(other), "value")
        for (const value of [1n, "x".repeat(60_000)]) {
          const refused = yield* Effect.either(any.seal(value, purpose))
          assert.isTrue(Either.isLeft(refused) && refused.left.reason === "value")
        }
      }).pipe(alice, Effect.provide(keys))
    )
  })
})
