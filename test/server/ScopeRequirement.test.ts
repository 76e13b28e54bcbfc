import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Scopes from "../../src/protocol/Scopes.js"
import * as AuthError from "../../src/server/AuthError.js"
import { Claims } from "../../src/server/Claims.js"
import * as ScopeRequirement from "../../src/server/ScopeRequirement.js"

const callerWith = (...scopes: ReadonlyArray<string>): Claims =>
  new Claims(
    { issuer: "https://as.example", subject: "alice", audience: [], scopes, raw: Redacted.make({}) },
    { disableValidation: true }
  )

const asked: ScopeRequirement.Operation = { kind: "tool", name: "delete", arguments: { path: "/x" } }

const judge = (requirement: ScopeRequirement.Requirement, ...scopes: ReadonlyArray<string>) =>
  Effect.map(ScopeRequirement.judge(requirement, asked, callerWith(...scopes)), ({ refusal, required }) => ({
    required,
    refusal: refusal?._tag,
    named: refusal?._tag === "InsufficientScope" ? refusal.required : undefined
  }))

const met = (...required: ReadonlyArray<string>) => ({ required, refusal: undefined, named: undefined })
const short = (...required: ReadonlyArray<string>) => ({
  required,
  refusal: "InsufficientScope" as const,
  named: required
})

const table: ReadonlyArray<
  readonly [
    name: string,
    requirement: ScopeRequirement.Requirement,
    granted: ReadonlyArray<string>,
    outcome: { readonly required: ReadonlyArray<string>; readonly refusal: string | undefined }
  ]
> = [
  ["nothing is needed", [], [], met()],
  ["all of them are there", ["a", "b"], ["b", "c", "a"], met("a", "b")],
  ["one is missing: all are named", ["a", "b"], ["a"], short("a", "b")],
  ["none is there", ["a"], [], short("a")],
  ["scopes are compared letter by letter", ["a"], ["A", "a ", "a:b", ""], short("a")],
  ["any of: the first is there", ScopeRequirement.anyOf(["a"], ["b"]), ["a"], met("a")],
  ["any of: the second is there", ScopeRequirement.anyOf(["a"], ["b"]), ["b"], met("b")],
  ["any of: none is there, the first is named", ScopeRequirement.anyOf(["a"], ["b"]), [], short("a")],
  ["any of: the one that lacks least is named", ScopeRequirement.anyOf(["a", "b"], ["c", "d"]), ["d"], short("c", "d")],
  ["any of: half of each is not enough", ScopeRequirement.anyOf(["a", "b"], ["c", "d"]), ["b", "c"], short("a", "b")],
  ["any of: an empty set is always there", ScopeRequirement.anyOf(["a"], []), [], met()]
]

describe("ScopeRequirement: fixed ones (G2, RS-55)", () => {
  for (const [name, requirement, granted, outcome] of table) {
    it.effect(name, () =>
      Effect.map(judge(requirement, ...granted), (verdict) =>
        assert.deepStrictEqual(verdict, outcome as typeof verdict)
      )
    )
    it.effect(`${name}; decided`, () =>
      Effect.map(
        judge(
          ScopeRequirement.decide(() => Effect.succeed(requirement as never)),
          ...granted
        ),
        (verdict) => assert.deepStrictEqual(verdict, outcome as typeof verdict)
      )
    )
  }

  const scope = fc.constantFrom("a", "b", "c", "d")
  it.effect.prop(
    "allowed exactly where one alternative is there whole",
    { alternatives: fc.array(fc.array(scope), { minLength: 1 }), granted: fc.array(scope) },
    ({ alternatives, granted }) =>
      Effect.gen(function* () {
        const [first = [], ...rest] = alternatives
        const verdict = yield* ScopeRequirement.judge(
          ScopeRequirement.anyOf(first, ...rest),
          asked,
          callerWith(...granted)
        )
        const open = alternatives.some((scopes) => Scopes.missing(scopes, granted).length === 0)
        assert.strictEqual(verdict.refusal === undefined, open)
        assert.isTrue(alternatives.some((scopes) => scopes === verdict.required))
      })
  )
})

describe("ScopeRequirement: decided ones (RS-55, G3)", () => {
  it.effect("it is told who asks for what", () =>
    Effect.gen(function* () {
      const told: Array<unknown> = []
      yield* judge(
        ScopeRequirement.decide(({ claims, ...operation }) => {
          told.push(claims.subject, operation)
          return Effect.succeed([])
        })
      )
      assert.deepStrictEqual(told, ["alice", asked])
    })
  )

  it.effect("a refusal of its own is the refusal", () =>
    Effect.gen(function* () {
      const verdictOf = (error: AuthError.AuthError) =>
        judge(
          ScopeRequirement.decide(() => Effect.fail(error)),
          "a"
        )
      assert.deepStrictEqual(
        yield* verdictOf(new AuthError.InsufficientScope({ required: ["a", "b"] })),
        short("a", "b")
      )
      assert.deepStrictEqual(yield* verdictOf(new AuthError.InsufficientScope({ required: [] })), short())
      const stepUp = yield* verdictOf(new AuthError.InvalidToken({ reason: "authentication" }))
      assert.deepStrictEqual(stepUp, { required: [], refusal: "InvalidToken", named: undefined })
    })
  )

  const broken: ReadonlyArray<readonly [name: string, ScopeRequirement.Decision]> = [
    [
      "throws",
      () => {
        throw new Error("a bug")
      }
    ],
    ["dies", () => Effect.die("a bug")],
    ["interrupts itself", () => Effect.interrupt],
    ["gives what is no requirement", () => Effect.succeed(undefined as never)],
    ["fails with what is no refusal", () => Effect.fail("no refusal" as never)]
  ]
  for (const [name, decision] of broken) {
    it.effect(`nobody gets in where it ${name}`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* judge(ScopeRequirement.decide(decision), "a")).refusal, "ServerError")
      })
    )
  }

  it.effect("nobody gets in where it takes more than ten seconds, not even if it will not be interrupted", () =>
    Effect.gen(function* () {
      for (const decision of [Effect.never, Effect.uninterruptible(Effect.sleep("1 hour"))]) {
        const requirement = ScopeRequirement.decide(() => Effect.as(decision, []))
        const fiber = yield* Effect.fork(Effect.uninterruptible(judge(requirement)))
        yield* TestClock.adjust("9999 millis")
        assert.isTrue((yield* Fiber.poll(fiber))._tag === "None")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).refusal, "ServerError")
      }
    })
  )

  it.effect("interruption of the request stays interruption", () =>
    Effect.gen(function* () {
      let interrupted = false
      const requirement = ScopeRequirement.decide(() =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            interrupted = true
          })
        )
      )
      const fiber = yield* Effect.fork(judge(requirement))
      yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(fiber)
      assert.strictEqual(exit._tag, "Failure")
      yield* Effect.yieldNow()
      assert.isTrue(interrupted)
    })
  )
})

describe("ScopeRequirement: several operations in one request (RS-55)", () => {
  const insufficient = (...required: ReadonlyArray<string>): ScopeRequirement.Verdict => ({
    required,
    refusal: new AuthError.InsufficientScope({ required })
  })

  it("no refusal, no refusal", () => {
    assert.isUndefined(ScopeRequirement.refusalOf([]))
    assert.isUndefined(ScopeRequirement.refusalOf([{ required: ["a"] }, { required: [] }]))
  })

  it("one is refused as it is", () => {
    const verdict = insufficient("a")
    assert.strictEqual(ScopeRequirement.refusalOf([verdict]), verdict.refusal)
  })

  it("together they need what each of them needs, those that are met as well, each scope once", () => {
    const refusal = ScopeRequirement.refusalOf([insufficient("a", "b"), { required: ["c", "a"] }, insufficient("d")])
    assert.deepStrictEqual(refusal?._tag === "InsufficientScope" && refusal.required, ["a", "b", "c", "d"])
  })

  it("what scopes cannot cure comes first", () => {
    const outage = new AuthError.ServerError({ retryAfter: 1 })
    assert.strictEqual(ScopeRequirement.refusalOf([insufficient("a"), { required: [], refusal: outage }]), outage)
  })

  it("a caller without credentials is asked for what all of them need", () => {
    const refusal = ScopeRequirement.refusalOf([
      ScopeRequirement.judgeAnonymous(["a"]),
      { required: [] },
      ScopeRequirement.judgeAnonymous(ScopeRequirement.anyOf(["b", "c"], ["a", "d"])),
      ScopeRequirement.judgeAnonymous([])
    ])
    assert.deepStrictEqual(refusal?._tag === "Missing" && refusal.required, ["a", "b", "c"])
  })
})

describe("ScopeRequirement: a caller without credentials (E2)", () => {
  const decided = ScopeRequirement.decide(() => Effect.succeed([]))
  for (const [name, requirement, required, isEmpty] of [
    ["nothing is needed", [], [], true],
    ["one of several sets is nothing", ScopeRequirement.anyOf(["a"], []), [], true],
    ["all of some", ["a", "b", "a"], ["a", "b"], false],
    ["any of several sets: the smallest is named", ScopeRequirement.anyOf(["a", "b"], ["c"]), ["c"], false],
    ["a decision is about a caller, and names nothing", decided, [], false]
  ] as const) {
    it(name, () => {
      const { refusal } = ScopeRequirement.judgeAnonymous(requirement)
      assert.deepStrictEqual(refusal?._tag === "Missing" && refusal.required, required)
      assert.strictEqual(ScopeRequirement.isEmpty(requirement), isEmpty)
    })
  }
})

describe("ScopeRequirement: a vocabulary", () => {
  it("names its scopes, and makes requirements like the others", () => {
    const files = ScopeRequirement.vocabulary("files:read", "files:write")
    assert.deepStrictEqual(files.scopes, ["files:read", "files:write"])
    assert.deepStrictEqual(files.allOf("files:read", "files:write"), ["files:read", "files:write"])
    assert.deepStrictEqual(
      files.anyOf(["files:read"], ["files:write"]),
      ScopeRequirement.anyOf(["files:read"], ["files:write"])
    )
  })
})
