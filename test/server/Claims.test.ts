import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Claims, CurrentClaims, requireAnyScopes, requireScopes } from "../../src/server/Claims.js"

const secret = "raw-payload-7f3a"
const make = (more: Partial<ConstructorParameters<typeof Claims>[0]> = {}): Claims =>
  new Claims({
    issuer: "https://as.example",
    subject: "alice",
    clientId: "c1",
    audience: ["https://mcp.example.com/mcp"],
    scopes: ["mcp:tools", "files:read"],
    expiresAt: 1_700_000_000,
    raw: Redacted.make({ sub: "alice", email: secret }),
    ...more
  })

const capturing = (logged: Array<string>) =>
  Effect.provide(
    Logger.replace(
      Logger.defaultLogger,
      Logger.make((options) => {
        for (const logger of [Logger.stringLogger, Logger.logfmtLogger, Logger.jsonLogger])
          logged.push(logger.log(options))
        logged.push(inspect(options.message, { depth: 10 }))
      })
    )
  )

describe("Claims", () => {
  describe("D9 the raw payload is kept and never shown", () => {
    const claims = make()

    for (const [name, shown] of [
      ["JSON.stringify", JSON.stringify(claims)],
      ["JSON.stringify inside of something", JSON.stringify({ a: [claims] })],
      ["String", String(claims)],
      ["a template", `${claims}`],
      ["inspect", inspect(claims)],
      ["inspect, everything", inspect(claims, { depth: 20, showHidden: true, getters: true })],
      ["inspect inside of something", inspect({ a: { b: [claims] } }, { depth: 20 })],
      ["the spread", JSON.stringify({ ...claims })],
      ["an error message", String(new Error(`no ${claims}`))],
      ["a pretty cause", Cause.pretty(Cause.fail(claims))],
      ["inspect of an exit", inspect(Exit.succeed(claims), { depth: 20 })]
    ] as const) {
      it(`by ${name}`, () => {
        assert.notInclude(shown, secret)
      })
    }

    it("but the rest is, so that logs are of use", () => {
      assert.include(inspect(claims), "alice")
      assert.include(JSON.stringify(claims), '"subject":"alice"')
      assert.include(inspect(claims), "<redacted>")
    })

    it.effect("by any logger, as message, annotation or cause", () => {
      const logged: Array<string> = []
      return Effect.gen(function* () {
        yield* Effect.logInfo(claims)
        yield* Effect.logInfo("a message", claims, { claims })
        yield* Effect.annotateLogs(Effect.logInfo("annotated"), "claims", claims)
        yield* Effect.logError("a cause", Cause.fail(claims))
        assert.isAbove(logged.length, 12)
        for (const line of logged) assert.notInclude(line, secret)
      }).pipe(capturing(logged))
    })

    it("it is there for who asks for it by name", () => {
      assert.deepStrictEqual(Redacted.value(claims.raw), { sub: "alice", email: secret })
    })
  })

  describe("D10 hasScopes", () => {
    it("all of them, and nothing like them", () => {
      const claims = make()
      assert.isTrue(claims.hasScopes([]))
      assert.isTrue(claims.hasScopes(["files:read"]))
      assert.isTrue(claims.hasScopes(["files:read", "mcp:tools", "files:read"]))
      for (const scope of [
        "files",
        "files:read ",
        "FILES:READ",
        "files:*",
        "*",
        "",
        "mcp:tools files:read",
        "constructor"
      ]) {
        assert.isFalse(claims.hasScopes([scope]), scope)
        assert.isFalse(claims.hasScopes(["files:read", scope]), scope)
      }
    })

    it.prop(
      "it is the subset relation",
      { scopes: fc.array(fc.string()), asked: fc.array(fc.string()) },
      ({ asked, scopes }) => {
        assert.strictEqual(
          make({ scopes }).hasScopes(asked),
          asked.every((scope) => new Set(scopes).has(scope))
        )
      }
    )
  })

  describe("requireScopes (RS-53)", () => {
    const run = (...scopes: readonly [string, ...Array<string>]) =>
      Effect.either(Effect.provideService(requireScopes(...scopes), CurrentClaims, make()))

    it.effect("gives the caller who has them", () =>
      Effect.map(run("files:read", "mcp:tools"), (result) => {
        assert.isTrue(result._tag === "Right" && result.right.subject === "alice")
      })
    )

    it.effect("fails with all that were asked for, those that are there included (RS-54, RS-55)", () =>
      Effect.map(run("files:read", "files:write", "admin"), (result) => {
        assert.isTrue(result._tag === "Left" && result.left._tag === "InsufficientScope")
        if (result._tag === "Left") assert.deepStrictEqual(result.left.required, ["files:read", "files:write", "admin"])
      })
    )
  })

  describe("requireAnyScopes (RS-53, RS-54)", () => {
    type Sets = Parameters<typeof requireAnyScopes>
    const table: ReadonlyArray<readonly [name: string, sets: Sets, required: ReadonlyArray<string> | undefined]> = [
      ["the only set", [["files:read"]], undefined],
      ["the first", [["files:read"], ["admin"]], undefined],
      ["the last", [["admin"], ["x", "y"], ["mcp:tools", "files:read"]], undefined],
      ["none, the first of equals", [["admin"], ["root"]], ["admin"]],
      ["none, the nearest", [["a", "b"], ["files:read", "admin"], ["root"]], ["files:read", "admin"]],
      [
        "scopes of two sets, but no set",
        [
          ["files:read", "a"],
          ["mcp:tools", "b"]
        ],
        ["files:read", "a"]
      ]
    ]
    it.effect.each(table)("%s", ([, sets, required]) =>
      Effect.map(Effect.either(Effect.provideService(requireAnyScopes(...sets), CurrentClaims, make())), (result) => {
        const refused = result._tag === "Left" ? result.left.required : undefined
        assert.deepStrictEqual(refused, required)
      })
    )
  })

  it("C4, C5 what is no claim set is refused when it is made", () => {
    for (const more of [
      { issuer: 5 },
      { subject: undefined },
      { audience: "https://mcp.example.com/mcp" },
      { scopes: "mcp:tools" },
      { expiresAt: "soon" },
      { raw: { sub: "alice" } }
    ]) {
      assert.throws(() => make(more as never))
    }
  })

  it("it encodes without the secret becoming plain: the raw payload stays redacted", () => {
    const encoded = Schema.encodeSync(Claims)(make())
    assert.isTrue(Redacted.isRedacted(encoded.raw))
    assert.notInclude(JSON.stringify(encoded), secret)
  })
})
