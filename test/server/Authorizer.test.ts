import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import { configOf, invalidChallenge, issuer, resource, send } from "./fixtures/Guarded.js"

const claimsOf = (more: Partial<ConstructorParameters<typeof Claims>[0]> = {}): Claims =>
  new Claims({
    issuer,
    subject: "alice",
    audience: [resource],
    scopes: ["mcp:tools"],
    raw: Redacted.make({}),
    ...more
  })

const credentials: Authorizer.Credentials = {
  scheme: "Bearer",
  token: Redacted.make("t"),
  method: "POST",
  url: resource,
  issuers: [issuer],
  headers: {}
}

type Authorize = (credentials: Authorizer.Credentials) => Effect.Effect<Claims, AuthError.AuthError>

const whoami = HttpAppAuth.middleware(Effect.map(CurrentClaims, ({ subject }) => HttpServerResponse.text(subject)))
const ask = (authorize: Authorize, options?: { readonly timeout?: Duration.DurationInput }) =>
  send(whoami, { token: "t" }).pipe(
    Effect.provide(Authorizer.layer(authorize, options)),
    Effect.provideService(AuthConfig.AuthConfig, configOf())
  )

const secret = "the-password-is-hunter2"
const ok = Effect.succeed(claimsOf())

/** Lets everything that can run do so, promises too. */
const settle = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))

/** What is logged, a line each, at all levels. */
const withLog = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make((options) => void lines.push(Logger.stringLogger.log(options)))
  return Effect.map(Effect.provide(self, Logger.replace(Logger.defaultLogger, logger)), (value) => ({ value, lines }))
}

describe("Authorizer", () => {
  describe("C10, C11, C12 whatever goes wrong in it is 500, says nothing, and is logged", () => {
    const boom = new Error(secret)
    const table: ReadonlyArray<readonly [string, Authorize]> = [
      ["it dies", () => Effect.die(boom)],
      [
        "it throws",
        () => {
          throw boom
        }
      ],
      [
        "it throws what is no error",
        () => {
          throw secret
        }
      ],
      ["a promise in it rejects", () => Effect.promise(() => Promise.reject(boom))],
      ["it fails with what is no AuthError", () => Effect.fail(boom as never)],
      ["it fails with what only looks like one", () => Effect.fail({ _tag: "InvalidToken", reason: secret } as never)],
      ["it gives no Effect", () => ({ subject: secret }) as never],
      ["it gives a promise", () => Promise.resolve(claimsOf()) as never],
      ["it gives nothing", () => undefined as never],
      ["it dies and its finalizer dies, too", () => Effect.ensuring(Effect.die(boom), Effect.die(boom))]
    ]
    for (const [name, authorize] of table) {
      it.effect(name, () =>
        Effect.gen(function* () {
          const { lines, value: answer } = yield* withLog(ask(authorize))
          assert.strictEqual(answer.status, 500)
          assert.strictEqual(answer.text, '{"error":"server_error","error_description":"Internal Server Error"}')
          assert.isNull(answer.challenge)
          assert.isNull(answer.headers.get("retry-after"))
          assert.notInclude(JSON.stringify([...answer.headers]), "hunter2")
          assert.strictEqual(lines.filter((line) => line.includes("level=WARN")).length, 1)
        })
      )
    }

    it.effect("the log holds the cause", () =>
      Effect.map(withLog(ask(() => Effect.die(boom))), ({ lines }) => {
        assert.isTrue(lines.some((line) => line.includes("level=WARN") && line.includes(secret)))
      })
    )

    it.effect("C1 and if nothing goes wrong, nothing is logged above Debug", () =>
      Effect.map(withLog(ask(() => ok)), ({ lines, value }) => {
        assert.strictEqual(value.status, 200)
        assert.deepStrictEqual(lines, [])
      })
    )
  })

  describe("C2, C3, C6 a refusal reaches the client as it is", () => {
    for (const error of [
      new AuthError.InvalidToken({ reason: "other", description: "no" }),
      new AuthError.InsufficientScope({ required: ["a"] }),
      new AuthError.InvalidRequest({ description: "no" }),
      AuthError.missing,
      new AuthError.ServerError({ retryAfter: 3 })
    ]) {
      it.effect(error._tag, () =>
        Effect.gen(function* () {
          const exit = yield* Effect.exit(Authorizer.make(() => Effect.fail(error)).authorize(credentials))
          assert.deepStrictEqual(exit, Exit.fail(error))
        })
      )
    }

    it.effect("even when others run beside it", () =>
      Effect.gen(function* () {
        const refusal = new AuthError.InvalidToken({ reason: "other" })
        const authorize = () =>
          Effect.as(Effect.all([Effect.fail(refusal), Effect.never], { concurrency: 2 }), claimsOf())
        const error = yield* Effect.flip(Authorizer.make(authorize).authorize(credentials))
        assert.strictEqual(error, refusal)
      })
    )
  })

  describe("time", () => {
    const hanging: ReadonlyArray<readonly [string, Authorize]> = [
      ["that may be interrupted", () => Effect.never],
      ["that may not", () => Effect.uninterruptible(Effect.never)],
      [
        "beside one that failed",
        () => Effect.as(Effect.all([Effect.never, Effect.never], { concurrency: 2 }), claimsOf())
      ]
    ]
    for (const [name, authorize] of hanging) {
      // A server runs its app uninterruptibly; a router runs its routes interruptibly.
      for (const [where, region] of [
        ["an app", Effect.uninterruptible],
        ["a route", Effect.interruptible]
      ] as const) {
        const test = it.effect
        test(`C16 one that hangs is out of order after ten seconds: ${name}, in ${where}`, () =>
          Effect.gen(function* () {
            const service = Authorizer.make(authorize)
            const fiber = yield* Effect.forkDaemon(region(Effect.flip(service.authorize(credentials))))
            yield* TestClock.adjust("9999 millis")
            yield* settle
            assert.isNull(fiber.unsafePoll())
            yield* TestClock.adjust("1 millis")
            yield* settle
            assert.deepStrictEqual(
              Exit.map(fiber.unsafePoll() ?? Exit.die("it still hangs"), (error) => [
                error._tag,
                Reflect.get(error, "retryAfter")
              ]),
              Exit.succeed(["ServerError", 1])
            )
          }))
      }
    }

    it.effect("C16 and 503 with Retry-After to the client", () =>
      Effect.gen(function* () {
        const interrupted = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkDaemon(
          ask(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)), {
            timeout: "2 seconds"
          })
        )
        yield* TestClock.adjust("2 seconds")
        yield* settle
        const answer = yield* fiber.unsafePoll() ?? Effect.die("it still hangs")
        assert.strictEqual(answer.status, 503)
        assert.strictEqual(answer.headers.get("retry-after"), "1")
        assert.strictEqual(answer.text, '{"error":"server_error","error_description":"Service Unavailable"}')
        assert.isNull(answer.challenge)
        assert.isTrue(yield* Deferred.isDone(interrupted))
      })
    )

    it.effect("infinity is a choice", () =>
      Effect.gen(function* () {
        const service = Authorizer.make(() => Effect.never, { timeout: Duration.infinity })
        const fiber = yield* Effect.fork(service.authorize(credentials))
        yield* TestClock.adjust("1 hour")
        assert.isNull(fiber.unsafePoll())
        yield* Fiber.interrupt(fiber)
      })
    )

    it.effect("one that takes long, but not too long, decides", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(ask(() => Effect.delay(ok, "9 seconds")))
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      })
    )
  })

  describe("C12 interruption stays interruption", () => {
    it.effect("of the request, it ends the authorizer and is no failure", () =>
      Effect.gen(function* () {
        const interrupted = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const service = Authorizer.make(() =>
          Effect.zipRight(
            Deferred.succeed(started, undefined),
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          )
        )
        const fiber = yield* Effect.fork(service.authorize(credentials))
        yield* Deferred.await(started)
        const exit = yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isInterrupted(exit))
        yield* Deferred.await(interrupted)
      })
    )

    it.effect("of itself, it is not a refusal of the token", () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Authorizer.make(() => Effect.interrupt).authorize(credentials))
        assert.isTrue(Exit.isInterrupted(exit))
      })
    )
  })

  describe("A16, C13 whatever it accepts, the guard still judges", () => {
    const refused: ReadonlyArray<readonly [string, Partial<ConstructorParameters<typeof Claims>[0]>, number, string]> =
      [
        ["C13, RS-32 a foreign audience", { audience: ["https://other.example/mcp"] }, 401, invalidChallenge()],
        ["C13, RS-32 no audience", { audience: [] }, 401, invalidChallenge()],
        ["D-13 a key that was not proved (DPoP)", { confirmation: { jkt: "thumbprint" } }, 401, invalidChallenge()],
        [
          "T-02 a key that was not proved (mTLS)",
          { confirmation: { "x5t#S256": "thumbprint" } },
          401,
          invalidChallenge()
        ],
        ["D-13 a binding that says nothing", { confirmation: {} }, 401, invalidChallenge()]
      ]
    for (const [name, more, status, challenge] of refused) {
      it.effect(name, () =>
        Effect.map(
          ask(() => Effect.succeed(claimsOf(more))),
          (answer) => {
            assert.strictEqual(answer.status, status)
            assert.strictEqual(answer.challenge, challenge)
          }
        )
      )
    }
  })

  describe("layerTest", () => {
    const askAs = (token: string) =>
      send(whoami, { token }).pipe(
        Effect.provide(
          Authorizer.layerTest({
            alice: { scopes: ["mcp:tools"] },
            bob: { subject: "Bob", scopes: ["mcp:tools"], audience: ["https://other.example"] },
            carol: { scopes: [] },
            dave: new AuthError.ServerError({ retryAfter: 7 })
          })
        ),
        Effect.provideService(AuthConfig.AuthConfig, configOf())
      )

    for (const [token, status, text] of [
      ["alice", 200, "alice"],
      ["bob", 401, '{"error":"invalid_token","error_description":"The access token is not valid"}'],
      [
        "carol",
        403,
        '{"error":"insufficient_scope","error_description":"The access token lacks scopes that this operation needs"}'
      ],
      ["dave", 503, '{"error":"server_error","error_description":"Service Unavailable"}'],
      ["mallory", 401, '{"error":"invalid_token","error_description":"The access token is not valid"}'],
      ["constructor", 401, '{"error":"invalid_token","error_description":"The access token is not valid"}'],
      ["__proto__", 401, '{"error":"invalid_token","error_description":"The access token is not valid"}']
    ] as const) {
      it.effect(`${token}: ${status}`, () =>
        Effect.map(askAs(token), (answer) => {
          assert.strictEqual(answer.status, status)
          assert.strictEqual(answer.text, text)
        })
      )
    }
  })

  it.effect("B5 it is given what the request presented: the configured URL, not what Host says", () => {
    let seen: Authorizer.Credentials | undefined
    return Effect.gen(function* () {
      yield* send(whoami, {
        token: "abc",
        headers: { host: "evil.example", "x-forwarded-host": "evil.example" },
        path: "/x?y=1"
      })
      assert.strictEqual(seen?.url, resource)
      assert.strictEqual(seen?.scheme, "Bearer")
      assert.strictEqual(seen?.method, "GET")
      assert.strictEqual(seen && Redacted.value(seen.token), "abc")
      assert.strictEqual(seen?.headers["x-forwarded-host"], "evil.example")
      assert.notInclude(JSON.stringify(seen?.token), "abc")
    }).pipe(
      Effect.provide(
        Authorizer.layer((presented) => {
          seen = presented
          return ok
        })
      ),
      Effect.provideService(AuthConfig.AuthConfig, configOf())
    )
  })
})
