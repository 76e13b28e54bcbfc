/**
 * Many callers at once on one MCP server. Every handler says whom it sees, before and after it let others go first, and the
 * answer has to name whose token the request had.
 */
import * as McpServer from "@effect/ai/McpServer"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as McpServerAuth from "../../src/mcp/McpServerAuth.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import { configOf, issuer, resource } from "../server/fixtures/Guarded.js"
import { call, rpc } from "./fixtures/Notes.js"
import * as Web from "./fixtures/Web.js"

const CALLERS = 64
const CALLS = 10_000

const subjects = Array.from({ length: CALLERS }, (_, n) => `caller-${n}-`)
const known = { issuer, audience: [resource], scopes: ["mcp:tools", "even", "odd"], raw: Redacted.make({}) }
const foreign = new Claims({ ...known, subject: "foreign" })

const Whoami = Tool.make("whoami", { success: Schema.String, dependencies: [CurrentClaims] })
const Even = Tool.make("even", { success: Schema.String, dependencies: [CurrentClaims] }).annotate(
  McpServerAuth.RequiredScopes,
  ["even"]
)
const toolkit = Toolkit.make(Whoami, Even)

/** Whom a handler sees, asked twice, with others in between. */
const seen = Effect.gen(function* () {
  const first = yield* CurrentClaims
  // Now at once, now after others, now after a timer.
  const pause = Number(first.subject.split("-")[1]) % 3
  if (pause === 1) yield* Effect.yieldNow()
  if (pause === 2) yield* Effect.sleep("1 millis")
  const second = yield* CurrentClaims
  return `${first.subject} ${second.subject}`
})

const operations = Layer.mergeAll(
  McpServerAuth.toolkit(toolkit).pipe(Layer.provide(toolkit.toLayer({ whoami: () => seen, even: () => seen }))),
  McpServerAuth.register(McpServer.registerResource({ uri: "who://ami", name: "whoami", content: seen })),
  McpServerAuth.register(McpServer.registerPrompt({ name: "whoami", content: () => seen }))
)

const authorizer = Authorizer.layerTest(
  Object.fromEntries(
    subjects.map((subject, n) => [`token-${n}`, { subject, scopes: ["mcp:tools", n % 2 === 0 ? "even" : "odd"] }])
  )
)

/** Four calls in one request: a batch takes less of the runner's time, and its calls run at once as well. */
const BATCH = `[${[
  call("whoami", {}, 1),
  rpc("resources/read", { uri: "who://ami" }, 2),
  rpc("prompts/get", { name: "whoami" }, 3),
  call("whoami", {}, 4)
].join(",")}]`
const REQUESTS = CALLS / 4

const storm = (around: Layer.Layer<CurrentClaims> | Layer.Layer<never>) =>
  Effect.gen(function* () {
    const send = yield* Web.serve(
      Layer.provide(operations, around).pipe(
        Layer.provide(
          Layer.provide(McpServerAuth.layerHttpRouter({ name: "crowd", version: "1", path: "/mcp" }), around)
        ),
        Layer.provide(Layer.merge(authorizer, Layer.succeed(AuthConfig.AuthConfig, configOf()))),
        Layer.provideMerge(around)
      )
    )
    const wrong: Array<string> = []
    let refused = 0
    const one = (n: number) =>
      Effect.gen(function* () {
        const caller = n % CALLERS
        const token = `token-${caller}`
        const { status, text } = yield* send(BATCH, { token })
        const named = text.match(/caller-\d+-|foreign/g) ?? []
        if (status !== 200 || named.length < 8 || named.some((name) => name !== subjects[caller])) {
          wrong.push(`${subjects[caller]}: ${status} ${text}`)
        }
        // Among them some that need what every other caller has.
        if (n % 16 > 1) return
        const even = yield* send(call("even"), { token })
        if (even.status === 403) refused++
        if (even.status !== (caller % 2 === 0 ? 200 : 403))
          wrong.push(`${subjects[caller]}: ${even.status} ${even.text}`)
      })
    yield* Effect.forEach(
      Array.from({ length: REQUESTS }, (_, n) => n),
      one,
      { concurrency: CALLERS, discard: true }
    )
    assert.deepStrictEqual(wrong, [])
    assert.strictEqual(refused, Math.floor(REQUESTS / 16) + (REQUESTS % 16 > 1 ? 1 : 0))
  })

describe(`${CALLERS} callers at once, ${CALLS} calls (D1, D2)`, () => {
  it.scopedLive("each handler sees its own caller", () => storm(Layer.empty), 240_000)

  it.scopedLive(
    "so it does with a layer that provides a foreign identity everywhere",
    () => storm(Layer.succeed(CurrentClaims, foreign)),
    240_000
  )
})
