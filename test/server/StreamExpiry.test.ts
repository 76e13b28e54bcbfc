import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, type CurrentClaims } from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as StreamExpiry from "../../src/server/StreamExpiry.js"
import { configOf, invalidChallenge, requestOf, resource } from "./fixtures/Guarded.js"

const tenMinutes = 600
const known = {
  issuer: "https://as.example",
  subject: "alice",
  clientId: "client",
  audience: [resource],
  scopes: ["mcp:tools", "files"],
  raw: Redacted.make({})
}
const good = new Claims({ ...known, expiresAt: tenMinutes })
const endless = new Claims(known)
const revoked = new AuthError.InvalidToken({ reason: "inactive" })
const outage = new AuthError.ServerError({ retryAfter: 1 })

/** A guarded app in front of an authorizer that says from now on what `says` is. */
const guarded = (
  app: HttpApp.Default<never, CurrentClaims>,
  options: StreamExpiry.Options,
  first: Claims | AuthError.AuthError = good
) => {
  const world = {
    says: first as Claims | AuthError.AuthError,
    asked: 0,
    decisions: [] as Array<Decision.Decision>
  }
  const authorizer = Authorizer.layer(() => {
    world.asked++
    return AuthError.isAuthError(world.says) ? Effect.fail(world.says) : Effect.succeed(world.says)
  })
  const answer = app.pipe(
    StreamExpiry.middleware(options),
    HttpAppAuth.middleware,
    Effect.provide(authorizer),
    Effect.provideService(AuthConfig.AuthConfig, configOf()),
    Effect.provideService(HttpServerRequest.HttpServerRequest, HttpServerRequest.fromWeb(requestOf({ token: "t" }))),
    Effect.provideService(Decision.DecisionLog, {
      record: (decision) => Effect.sync(() => void world.decisions.push(decision))
    }),
    Effect.scoped
  )
  return { world, answer }
}

/** Everything that a stream has given, and whether it has ended. */
const reading = (response: HttpServerResponse.HttpServerResponse) =>
  Effect.gen(function* () {
    assert.strictEqual(response.body._tag, "Stream")
    const seen: Array<string> = []
    const stream = response.body._tag === "Stream" ? response.body.stream : Stream.die("no stream")
    const fiber = yield* Effect.fork(
      Stream.runForEach(Stream.decodeText(stream), (text) => Effect.sync(() => void seen.push(text)))
    )
    return { seen, fiber, ended: Effect.map(Fiber.poll(fiber), (exit) => exit._tag === "Some") }
  })

/** One event a minute, the first at once, and what became of the source. */
const ticking = () => {
  const source = { given: 0, released: 0 }
  const ticks = Stream.repeatEffectWithSchedule(
    Effect.sync(() => `event ${++source.given}`),
    Schedule.spaced("1 minute")
  ).pipe(Stream.encodeText, Stream.ensuring(Effect.sync(() => void source.released++)))
  return { source, app: Effect.sync(() => HttpServerResponse.stream(ticks, { contentType: "text/event-stream" })) }
}

/** Runs a test on a clock that knows how many wait for it: the clock of tests forgets nobody. */
const test = (name: string, body: (timers: () => number) => Effect.Effect<void, never, Scope.Scope>) =>
  it.scoped(name, () =>
    Effect.clockWith((clock) => {
      let waiting = 0
      const counting: Clock.Clock = Object.assign(Object.create(clock), {
        sleep: (duration: Duration.Duration) =>
          Effect.acquireUseRelease(
            Effect.sync(() => void waiting++),
            () => clock.sleep(duration),
            () => Effect.sync(() => void waiting--)
          )
      })
      return Effect.withClock(
        body(() => waiting),
        counting
      )
    })
  )

describe("StreamExpiry: streams (RS-30)", () => {
  test("ends at the token's expiry, cleanly, with all that came before", (timers) =>
    Effect.gen(function* () {
      const { app, source } = ticking()
      const { answer, world } = guarded(app, { recheckEvery: Number.POSITIVE_INFINITY })
      const { ended, fiber, seen } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("599 seconds")
      assert.isFalse(yield* ended)
      assert.strictEqual(seen.length, 10)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Success")
      assert.strictEqual(source.released, 1)
      assert.strictEqual(world.asked, 1, "nobody is asked again")
      assert.strictEqual(timers(), 0)
    }))

  test("margin: so much earlier, to the millisecond", () =>
    Effect.gen(function* () {
      const { answer } = guarded(ticking().app, { recheckEvery: Number.POSITIVE_INFINITY, margin: "90 seconds" })
      const { ended } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust((tenMinutes - 90) * 1000 - 1)
      assert.isFalse(yield* ended)
      yield* TestClock.adjust(1)
      assert.isTrue(yield* ended)
    }))

  test("a stream that says nothing ends as well", () =>
    Effect.gen(function* () {
      const { answer } = guarded(Effect.succeed(HttpServerResponse.stream(Stream.never)), {})
      const { ended } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(yield* ended)
    }))

  test("a token that is revoked: noticed at the next recheck, and recorded", (timers) =>
    Effect.gen(function* () {
      const { app, source } = ticking()
      const { answer, world } = guarded(app, {})
      const { ended, fiber } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("150 seconds")
      assert.strictEqual(world.asked, 3, "once by the guard, and once a minute")
      world.says = revoked
      yield* TestClock.adjust("29 seconds")
      assert.isFalse(yield* ended)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Success")
      assert.strictEqual(source.released, 1)
      const last = world.decisions.at(-1)
      assert.strictEqual(last?.outcome, "InvalidToken")
      assert.strictEqual(last?.reason, "inactive")
      assert.strictEqual(last?.subject, "alice")
      assert.strictEqual(timers(), 0)
    }))

  const changes: ReadonlyArray<readonly [name: string, Claims | AuthError.AuthError]> = [
    ["it lost a scope that it had", new Claims({ ...known, scopes: ["mcp:tools"] })],
    ["it lost the scope that every request needs", new Claims({ ...known, scopes: ["files"] })],
    ["it is another subject's", new Claims({ ...known, subject: "mallory" })],
    ["it is another client's", new Claims({ ...known, clientId: "other" })],
    ["it is another issuer's", new Claims({ ...known, issuer: "https://other.example" })],
    ["it is for another resource", new Claims({ ...known, audience: ["https://other.example"] })],
    ["its expiry was put into the past", new Claims({ ...known, expiresAt: 1 })],
    ["its expiry is no number", new Claims({ ...known, expiresAt: Number.NaN }, { disableValidation: true })]
  ]
  for (const [name, says] of changes) {
    test(`ends at the recheck where ${name}`, () =>
      Effect.gen(function* () {
        const { answer, world } = guarded(ticking().app, {}, endless)
        const { ended } = yield* Effect.flatMap(answer, reading)
        world.says = says
        yield* TestClock.adjust("59 seconds")
        assert.isFalse(yield* ended)
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* ended)
      }))
  }

  test("goes on as long as the recheck says, also beyond the first expiry", () =>
    Effect.gen(function* () {
      const { answer, world } = guarded(ticking().app, {})
      const { ended } = yield* Effect.flatMap(answer, reading)
      world.says = new Claims({ ...known, scopes: [...known.scopes, "more"], expiresAt: 2 * tenMinutes })
      yield* TestClock.adjust("1199 seconds")
      assert.isFalse(yield* ended)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* ended)
    }))

  test("a token without an expiry lives by its rechecks, for weeks", () =>
    Effect.gen(function* () {
      const quiet = Effect.succeed(HttpServerResponse.stream(Stream.never))
      const { answer, world } = guarded(quiet, { recheckEvery: "30 days" }, endless)
      const { ended } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("89 days")
      assert.isFalse(yield* ended)
      assert.strictEqual(world.asked, 3)
      world.says = revoked
      yield* TestClock.adjust("1 day")
      assert.isTrue(yield* ended)
    }))

  test("an outage is no revocation: it goes on for five minutes, and starts anew where somebody answers", () =>
    Effect.gen(function* () {
      const { answer, world } = guarded(ticking().app, {}, endless)
      const { ended } = yield* Effect.flatMap(answer, reading)
      world.says = outage
      yield* TestClock.adjust("4 minutes")
      assert.isFalse(yield* ended)
      world.says = endless
      yield* TestClock.adjust("1 minute")
      world.says = outage
      yield* TestClock.adjust("299 seconds")
      assert.isFalse(yield* ended)
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* ended)
      assert.strictEqual(world.decisions.at(-1)?.outcome, "ServerError")
    }))

  test("an outage does not outlive the token, and `outage: 0` not the next recheck", () =>
    Effect.gen(function* () {
      const patient = guarded(ticking().app, { outage: "1 hour" })
      const impatient = guarded(ticking().app, { outage: 0 })
      const first = yield* Effect.flatMap(patient.answer, reading)
      const second = yield* Effect.flatMap(impatient.answer, reading)
      patient.world.says = outage
      impatient.world.says = outage
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* first.ended)
      assert.isTrue(yield* second.ended)
      yield* TestClock.adjust("9 minutes")
      assert.isTrue(yield* first.ended)
    }))

  test("the authorizer is asked once a second at the most", () =>
    Effect.gen(function* () {
      const { answer, world } = guarded(ticking().app, { recheckEvery: 0 }, endless)
      const { fiber } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(world.asked, 11)
      yield* Fiber.interrupt(fiber)
    }))

  test("a client that goes away leaves no timer and no source behind", (timers) =>
    Effect.gen(function* () {
      const { app, source } = ticking()
      const { answer, world } = guarded(app, {})
      const { fiber } = yield* Effect.flatMap(answer, reading)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(timers(), 2)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(timers(), 0)
      assert.strictEqual(source.released, 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(world.asked, 1)
    }))

  test("a stream that comes to its own end leaves no timer behind", (timers) =>
    Effect.gen(function* () {
      const short = Effect.succeed(HttpServerResponse.stream(Stream.encodeText(Stream.make("a", "b"))))
      const { answer } = guarded(short, {})
      const { fiber, seen } = yield* Effect.flatMap(answer, reading)
      yield* Fiber.await(fiber)
      assert.strictEqual(seen.join(""), "ab")
      assert.strictEqual(timers(), 0)
    }))

  test("one that nobody reads starts nothing", (timers) =>
    Effect.gen(function* () {
      const { app, source } = ticking()
      yield* guarded(app, {}).answer
      assert.strictEqual(source.given, 0)
      assert.strictEqual(timers(), 0)
    }))

  test("a slow reader slows the source down", () =>
    Effect.gen(function* () {
      let given = 0
      const fast = Stream.repeatEffect(Effect.sync(() => new Uint8Array([++given])))
      const { answer } = guarded(Effect.succeed(HttpServerResponse.stream(fast)), {})
      const response = yield* answer
      const stream = response.body._tag === "Stream" ? response.body.stream : Stream.empty
      const fiber = yield* Effect.fork(Stream.runForEach(stream, () => Effect.sleep("1 second")))
      yield* TestClock.adjust("20 seconds")
      assert.isAtLeast(given, 20)
      assert.isAtMost(given, 24)
      yield* Fiber.interrupt(fiber)
    }))

  test("a failure of the source stays a failure", () =>
    Effect.gen(function* () {
      const broken = Stream.concat(Stream.make(new Uint8Array([1])), Stream.fail("broken"))
      const { answer } = guarded(Effect.succeed(HttpServerResponse.stream(broken)), {})
      const { fiber } = yield* Effect.flatMap(answer, reading)
      assert.strictEqual((yield* Fiber.await(fiber))._tag, "Failure")
    }))

  test("status and headers of the response stay", () =>
    Effect.gen(function* () {
      const stream = HttpServerResponse.stream(Stream.never, {
        status: 206,
        contentType: "text/event-stream",
        headers: { "x-of-the-app": "1" }
      })
      const response = yield* guarded(Effect.succeed(stream), {}).answer
      assert.strictEqual(response.status, 206)
      assert.strictEqual(response.headers["content-type"], "text/event-stream")
      assert.strictEqual(response.headers["x-of-the-app"], "1")
    }))

  describe("what SDK transports give: bodies of the web platform", () => {
    const web = () => {
      const source = { cancelled: 0 }
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
        cancel: () => void source.cancelled++
      })
      return { body, source }
    }

    const bodies: ReadonlyArray<
      readonly [name: string, (body: ReadableStream<Uint8Array>) => HttpServerResponse.HttpServerResponse]
    > = [
      ["a stream", (body) => HttpServerResponse.raw(body, { status: 202, headers: { "x-of": "it" } })],
      ["a response", (body) => HttpServerResponse.raw(new Response(body, { status: 202, headers: { "x-of": "it" } }))],
      [
        "a response that the platform converted",
        (body) => HttpServerResponse.fromWeb(new Response(body, { status: 202, headers: { "x-of": "it" } }))
      ]
    ]
    for (const [name, make] of bodies) {
      test(`${name} ends, and its source is cancelled`, () =>
        Effect.gen(function* () {
          const { body, source } = web()
          const response = yield* guarded(Effect.succeed(make(body)), {}).answer
          assert.strictEqual(response.status, 202)
          assert.strictEqual(response.headers["x-of"], "it")
          const { fiber, seen } = yield* reading(response)
          yield* TestClock.adjust("10 minutes")
          assert.strictEqual((yield* Fiber.await(fiber))._tag, "Success")
          assert.deepStrictEqual(seen, ["first"])
          assert.strictEqual(source.cancelled, 1)
        }))
    }

    test("what a runtime calls a stream of its own cannot be ended, so it is not begun", () =>
      Effect.gen(function* () {
        const response = yield* guarded(Effect.succeed(HttpServerResponse.raw({ pipe: () => {} })), {}).answer
        assert.strictEqual(response.status, 500)
      }))

    test("endWhen, for who has no HttpServerResponse", () =>
      Effect.gen(function* () {
        const { body, source } = web()
        const reader = (yield* StreamExpiry.endWhen(body, Effect.sleep("1 minute"))).getReader()
        const first = yield* Effect.promise(() => reader.read())
        assert.strictEqual(new TextDecoder().decode(first.value), "first")
        const next = yield* Effect.fork(Effect.promise(() => reader.read()))
        yield* TestClock.adjust("1 minute")
        assert.isTrue((yield* Fiber.join(next)).done)
        assert.strictEqual(source.cancelled, 1)
      }))

    test("endWhen: a reader that goes away cancels the source and the wait", (timers) =>
      Effect.gen(function* () {
        const { body, source } = web()
        const reader = (yield* StreamExpiry.endWhen(body, Effect.sleep("1 minute"))).getReader()
        yield* Effect.promise(() => reader.read())
        yield* Effect.promise(() => reader.cancel())
        assert.strictEqual(source.cancelled, 1)
        assert.strictEqual(timers(), 0)
      }))
  })
})

describe("StreamExpiry: calls (RS-30, RS-36)", () => {
  const long = () => {
    const handler = { started: 0, interrupted: 0, finished: 0 }
    const app = Effect.gen(function* () {
      handler.started++
      yield* Effect.sleep("20 minutes")
      handler.finished++
      return HttpServerResponse.text("done")
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => void handler.interrupted++)))
    return { handler, app }
  }

  test("a call that is under way when the token expires is interrupted, and answered 401", (timers) =>
    Effect.gen(function* () {
      const { app, handler } = long()
      const fiber = yield* Effect.fork(guarded(app, {}).answer)
      yield* TestClock.adjust("10 minutes")
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(response.status, 401)
      assert.strictEqual(response.headers["www-authenticate"], invalidChallenge("The access token has expired"))
      assert.deepStrictEqual(handler, { started: 1, interrupted: 1, finished: 0 })
      assert.strictEqual(timers(), 0)
    }))

  test("so is one whose token is revoked; an outage that lasts is 503", () =>
    Effect.gen(function* () {
      for (const [says, status] of [
        [revoked, 401],
        [outage, 503]
      ] as const) {
        const { app, handler } = long()
        const { answer, world } = guarded(app, {}, endless)
        const fiber = yield* Effect.fork(answer)
        yield* TestClock.adjust("1 second")
        world.says = says
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual((yield* Fiber.join(fiber)).status, status)
        assert.strictEqual(handler.interrupted, 1)
      }
    }))

  test("a server runs apps uninterruptibly: it is interrupted all the same", () =>
    Effect.gen(function* () {
      const { app, handler } = long()
      const fiber = yield* Effect.fork(Effect.uninterruptible(guarded(app, {}).answer))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 401)
      assert.strictEqual(handler.interrupted, 1)
    }))

  test("what the handler lets nobody interrupt comes to its end, and is answered 401 then", () =>
    Effect.gen(function* () {
      const { app, handler } = long()
      const fiber = yield* Effect.fork(guarded(Effect.uninterruptible(app), {}).answer)
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 401)
      assert.deepStrictEqual(handler, { started: 1, interrupted: 0, finished: 1 })
    }))

  test('calls: "Finish" lets it come to its end', () =>
    Effect.gen(function* () {
      const { app, handler } = long()
      const fiber = yield* Effect.fork(guarded(app, { calls: "Finish" }).answer)
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.deepStrictEqual(handler, { started: 1, interrupted: 0, finished: 1 })
    }))

  test("a stream that begins when access has ended is not begun: 401, and its client renews", () =>
    Effect.gen(function* () {
      let begun = 0
      const late = Effect.as(
        Effect.sleep("11 minutes"),
        HttpServerResponse.stream(Stream.execute(Effect.sync(() => void begun++)))
      )
      const fiber = yield* Effect.fork(guarded(late, { calls: "Finish" }).answer)
      yield* TestClock.adjust("11 minutes")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 401)
      assert.strictEqual(begun, 0)
    }))

  test("within the margin nothing is begun", () =>
    Effect.gen(function* () {
      const { app, handler } = long()
      yield* TestClock.adjust("595 seconds")
      const response = yield* guarded(app, { margin: "10 seconds" }).answer
      assert.strictEqual(response.status, 401)
      assert.strictEqual(handler.started, 0)
    }))

  test("a short call is as it was: no timer, nobody asked again, its own headers and failures", (timers) =>
    Effect.gen(function* () {
      const app = HttpApp.appendPreResponseHandler((_request, response) =>
        Effect.succeed(HttpServerResponse.setHeader(response, "x-late", "1"))
      ).pipe(Effect.as(HttpServerResponse.text("done")))
      const { answer, world } = guarded(app, {})
      assert.strictEqual((yield* answer).status, 200)
      assert.strictEqual(world.asked, 1)
      assert.strictEqual(timers(), 0)
      const refusing = guarded(Effect.fail(revoked) as never, {})
      assert.strictEqual((yield* refusing.answer).status, 401)
      const dying = yield* Effect.exit(guarded(Effect.die("a bug"), {}).answer)
      assert.strictEqual(dying._tag, "Failure")
    }))

  test("a client that goes away interrupts the call and the wait", (timers) =>
    Effect.gen(function* () {
      const { app, handler } = long()
      const fiber = yield* Effect.fork(guarded(app, {}).answer)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(handler, { started: 1, interrupted: 1, finished: 0 })
      assert.strictEqual(timers(), 0)
    }))
})
