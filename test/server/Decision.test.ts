import { inspect } from "node:util"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as StepUpAuthentication from "../../src/server/StepUpAuthentication.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Logs from "./fixtures/Logs.js"

const { issuer, resource } = Guarded
const now = 1_800_000_000_000
const secret = "eyJTOP.SECRET-TOKEN_0123456789.c2ln"

/** Decides by the words of the token, and holds the token where a careless one might: in its errors. */
const authorizer = Authorizer.make(({ token, url }) => {
  const text = Redacted.value(token)
  const is = (word: string) => text.includes(word)
  if (is("good")) {
    return Effect.succeed(
      new Claims.Claims({
        issuer,
        subject: "alice",
        clientId: "app",
        audience: [url],
        scopes: is("narrow") ? [] : ["mcp:tools"],
        raw: Redacted.make({ token: text })
      })
    )
  }
  if (is("malformed")) return new AuthError.InvalidRequest({ description: "two proofs" })
  if (is("dies")) return Effect.die(new Error(`cannot look up ${text}`))
  if (is("down")) return new AuthError.ServerError({ retryAfter: 5, cause: new Error(`cannot look up ${text}`) })
  return new AuthError.InvalidToken({ reason: "signature", detail: "the signature is not good" })
})

const handler = Effect.gen(function* () {
  const { subject } = yield* Claims.CurrentClaims
  return HttpServerResponse.text(subject)
})
const writer = Effect.as(Claims.requireScopes("files:write", "files:read"), HttpServerResponse.text("written"))
const careful = Effect.as(StepUpAuthentication.require({ acrValues: ["mfa"] }), HttpServerResponse.text("transferred"))

type App = HttpApp.Default<unknown, Scope.Scope>

const services = (record: (decision: Decision.Decision) => Effect.Effect<void>, config = Guarded.configOf()) =>
  Layer.mergeAll(
    Layer.succeed(AuthConfig.AuthConfig, config),
    Layer.succeed(Authorizer.Authorizer, authorizer),
    Layer.succeed(Decision.DecisionLog, { record })
  )

const adapters: Readonly<
  Record<
    string,
    (
      app: HttpApp.Default<AuthError.AuthError, Claims.CurrentClaims>,
      layer: ReturnType<typeof services>
    ) => Effect.Effect<App, never, Scope.Scope>
  >
> = {
  HttpAppAuth: (app, layer) => Effect.succeed(Effect.provide(HttpAppAuth.middleware(app), layer)),
  HttpLayerRouterAuth: (app, layer) =>
    Effect.flatMap(Layer.makeMemoMap, (memoMap) =>
      HttpLayerRouter.toHttpEffect(
        Layer.provide(HttpLayerRouter.add("*", "/mcp", app), HttpLayerRouterAuth.layer).pipe(Layer.provide(layer))
      ).pipe(Effect.provideService(Layer.CurrentMemoMap, memoMap))
    ) as Effect.Effect<App, never, Scope.Scope>
}

/** The events of one request, and its answer. */
const recorded = (
  adapter: string,
  question: Guarded.Question,
  app: HttpApp.Default<AuthError.AuthError, Claims.CurrentClaims> = handler
) =>
  Effect.gen(function* () {
    const decisions: Array<Decision.Decision> = []
    const layer = services((decision) => Effect.sync(() => void decisions.push(decision)))
    const answer = yield* Guarded.send(yield* adapters[adapter]!(app, layer), question)
    return { answer, decisions }
  })

const common = { at: now, resource, method: "GET", path: "/mcp" }
/** Who was authenticated is named, whether it got in or not. */
const caller = { ...common, issuer, subject: "alice", clientId: "app" }
const accepted = { ...caller, outcome: "Accepted" }

describe.each(Object.keys(adapters))("every decision is told, through %s", (adapter) => {
  const requests: ReadonlyArray<
    readonly [
      name: string,
      question: Guarded.Question,
      status: number,
      events: ReadonlyArray<object>,
      app?: HttpApp.Default<AuthError.AuthError, Claims.CurrentClaims>
    ]
  > = [
    ["Accepted", { token: `${secret}good` }, 200, [accepted]],
    ["Missing, without a header", {}, 401, [{ ...common, outcome: "Missing", reason: "Authorization required" }]],
    [
      "Missing, with another scheme",
      { headers: { authorization: `Basic ${btoa(secret)}` } },
      401,
      [{ ...common, outcome: "Missing", reason: "Authorization required" }]
    ],
    ["InvalidToken", { token: `${secret}bad` }, 401, [{ ...common, outcome: "InvalidToken", reason: "signature" }]],
    [
      "InvalidRequest, of the form",
      { headers: { authorization: `Bearer ${secret} ${secret}` } },
      400,
      [
        {
          ...common,
          outcome: "InvalidRequest",
          reason: "the token must be one b64token (RFC 6750 section 2.1)"
        }
      ]
    ],
    [
      "InvalidRequest, of a token in the query",
      { path: `/mcp?a=1&access_token=${secret}`, method: "DELETE" },
      400,
      [
        {
          ...common,
          method: "DELETE",
          outcome: "InvalidRequest",
          reason: "access_token must not be sent in the query; use the header"
        }
      ]
    ],
    [
      "InvalidRequest, of the authorizer",
      { token: `${secret}malformed`, method: "POST", body: secret },
      400,
      [{ ...common, method: "POST", outcome: "InvalidRequest", reason: "two proofs" }]
    ],
    [
      "InsufficientScope, of the configuration",
      { token: `${secret}good-narrow` },
      403,
      [
        {
          ...caller,
          outcome: "InsufficientScope",
          reason: "The operation needs the scopes: mcp:tools",
          requiredScopes: ["mcp:tools"]
        }
      ]
    ],
    [
      "InsufficientScope, of a handler",
      { token: `${secret}good` },
      403,
      [
        accepted,
        {
          ...caller,
          outcome: "InsufficientScope",
          reason: "The operation needs the scopes: files:write files:read",
          requiredScopes: ["files:write", "files:read"]
        }
      ],
      writer
    ],
    [
      "InvalidToken, of a handler that wants another sign-in",
      { token: `${secret}good` },
      401,
      [accepted, { ...caller, outcome: "InvalidToken", reason: "authentication" }],
      careful
    ],
    [
      "ServerError, of an outage",
      { token: `${secret}down` },
      503,
      [{ ...common, outcome: "ServerError", reason: "Authorization is out of order for now" }]
    ],
    [
      "ServerError, of a bug",
      { token: `${secret}dies` },
      500,
      [{ ...common, outcome: "ServerError", reason: "Authorization failed" }]
    ]
  ]

  it.scoped.each(requests)("%s", ([, question, status, events, app]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const { answer, decisions } = yield* recorded(adapter, question, app)
      assert.strictEqual(answer.status, status)
      // Who, what, when, what came of it and why; and not a member more.
      assert.deepStrictEqual(decisions, events as Array<Decision.Decision>)
      // The bytes of the token are in none of it, however it is printed.
      const printed = [JSON.stringify(decisions), inspect(decisions, { depth: 20, showHidden: true })].join("\n")
      for (const bytes of [secret, btoa(secret), secret.split(".")[1]!, encodeURIComponent(secret)]) {
        assert.notInclude(printed, bytes)
      }
    })
  )

  it.scoped("the answer waits for it: what was answered was recorded", () =>
    Effect.gen(function* () {
      let written = false
      const layer = services(() =>
        Effect.delay(
          Effect.sync(() => {
            written = true
          }),
          "500 millis"
        )
      )
      const app = yield* adapters[adapter]!(handler, layer)
      const fiber = yield* Effect.fork(Guarded.send(app, { token: `${secret}good` }))
      yield* TestClock.adjust("499 millis")
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.isTrue(written)
    })
  )
})

describe("what fails in recording takes nothing from the request, and is logged", () => {
  const failures: Readonly<Record<string, () => Effect.Effect<void>>> = {
    dies: () => Effect.dieMessage("disk full"),
    throws: () => {
      throw new Error("disk full")
    },
    "fails, whatever its type says": () => Effect.fail(new Error("disk full")) as never,
    "is interrupted": () => Effect.interrupt,
    hangs: () => Effect.never,
    "hangs and will not be interrupted": () => Effect.uninterruptible(Effect.never),
    "waits for a promise that nobody keeps": () => Effect.promise(() => new Promise(() => {}))
  }
  const questions: ReadonlyArray<readonly [Guarded.Question, number]> = [
    [{ token: `${secret}good` }, 200],
    [{}, 401],
    [{ token: `${secret}good-narrow` }, 403]
  ]
  it.scoped.each(Object.entries(failures))("a log that %s", ([, record]) =>
    Effect.gen(function* () {
      for (const [question, status] of questions) {
        const app = yield* adapters["HttpAppAuth"]!(handler, services(record))
        const [answer, lines] = yield* Logs.collect(
          Effect.gen(function* () {
            const fiber = yield* Effect.fork(Guarded.send(app, question))
            yield* TestClock.adjust("1 seconds")
            return yield* Fiber.join(fiber)
          })
        )
        assert.strictEqual(answer.status, status)
        const told = lines.filter(({ level, text }) => level === "WARN" && text.includes("could not be recorded"))
        assert.strictEqual(told.length, 1)
        assert.notInclude(told[0]?.text, secret)
      }
    })
  )

  it.effect("a decision that nobody asked for is not even made", () =>
    Effect.gen(function* () {
      yield* Decision.record(() => assert.fail("made for nothing"))
    })
  )

  it.live("a client that goes away takes nothing from the record", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      const record = ({ outcome }: Decision.Decision) =>
        Effect.delay(
          Effect.sync(() => void written.push(outcome)),
          "100 millis"
        )
      const { dispose, handler: send } = HttpApp.toWebHandlerLayer(HttpAppAuth.middleware(handler), services(record))
      yield* Effect.promise(async () => {
        const controller = new AbortController()
        const headers = { authorization: `Bearer ${secret}good` }
        const answered = send(new Request(resource, { headers, signal: controller.signal })).catch(() => undefined)
        await new Promise((resume) => setTimeout(resume, 30))
        controller.abort()
        await answered
        await new Promise((resume) => setTimeout(resume, 200))
        await dispose()
      })
      assert.deepStrictEqual(written, ["Accepted"])
    })
  )

  it.scoped("many at once: each request has its own event", () =>
    Effect.gen(function* () {
      const decisions: Array<Decision.Decision> = []
      const layer = services((decision) => Effect.sync(() => void decisions.push(decision)))
      const app = yield* adapters["HttpAppAuth"]!(handler, layer)
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, n) => n),
        (n) => Guarded.send(app, { token: n % 3 === 0 ? "bad" : "good", path: `/mcp/${n}?x=${n}` }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(decisions.length, 60)
      for (let n = 0; n < 60; n++) {
        const own = decisions.filter(({ path }) => path === `/mcp/${n}`)
        assert.deepStrictEqual(
          own.map(({ outcome }) => outcome),
          [n % 3 === 0 ? "InvalidToken" : "Accepted"]
        )
      }
    })
  )

  it.scoped("one refusal may serve many requests: each event names the caller of its own", () =>
    Effect.gen(function* () {
      const decisions: Array<Decision.Decision> = []
      const echo = Authorizer.make(({ token }) =>
        Effect.as(
          Effect.yieldNow(),
          new Claims.Claims({
            issuer,
            subject: Redacted.value(token),
            audience: ["https://other.example"],
            scopes: [],
            raw: Redacted.make({})
          })
        )
      )
      const layer = Layer.mergeAll(
        Layer.succeed(AuthConfig.AuthConfig, Guarded.configOf()),
        Layer.succeed(Authorizer.Authorizer, echo),
        Layer.succeed(Decision.DecisionLog, { record: (one) => Effect.sync(() => void decisions.push(one)) })
      )
      const app = yield* adapters["HttpAppAuth"]!(handler, layer)
      yield* Effect.forEach(
        Array.from({ length: 40 }, (_, n) => n),
        (n) => Guarded.send(app, n % 4 === 0 ? { path: `/mcp/${n}` } : { token: `caller-${n}`, path: `/mcp/${n}` }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        Object.fromEntries(decisions.map(({ path, reason, subject }) => [path, [reason, subject]])),
        Object.fromEntries(
          Array.from({ length: 40 }, (_, n) => [
            `/mcp/${n}`,
            n % 4 === 0 ? ["Authorization required", undefined] : ["audience", `caller-${n}`]
          ])
        )
      )
    })
  )
})
