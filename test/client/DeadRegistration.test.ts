import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { TokenSource, TokenStore } from "../../src/client/index.js"
import { settle } from "./fixtures/time.js"
import { call, endpoint, issuer, World } from "./World.js"

const status = Effect.map(call(), (response) => response.status)

/** From now on the server knows none of the clients that it registered, and says so where a program asks. */
const forget = (world: World): ReadonlyArray<string> => {
  const dead = world.prompts.flatMap(({ searchParams }) => searchParams.get("client_id") ?? [])
  world.faults.push(({ form, path }) =>
    path !== "/reg" && dead.includes(form.get("client_id") ?? "")
      ? Response.json({ error: "invalid_client" }, { status: 401 })
      : undefined
  )
  return dead
}

/** The person is sent to the server, and the program is ended before they come back. */
const abandoned = (world: World) =>
  Effect.gen(function* () {
    const sent = yield* Deferred.make<void>()
    world.thinking = Effect.zipRight(Deferred.succeed(sent, undefined), Effect.never)
    const calling = yield* Effect.fork(status)
    yield* Deferred.await(sent)
    yield* Fiber.interrupt(calling)
    world.thinking = Effect.void
  })

/** Signed in once, by a program that keeps its registration and not its grant. */
const signedOut = Effect.zipRight(status, TokenSource.signOut)

const clientIds = (world: World) => world.prompts.map(({ searchParams }) => searchParams.get("client_id"))

const probes = (world: World) =>
  world.requests.filter(({ form }) => form.get("code") !== null && !form.get("code")?.startsWith("code-"))

describe("a registration that the server forgot", () => {
  it.effect(
    "REG-21: shows the person an error and brings nobody back: the next sign-in asks first, and registers",
    () =>
      Effect.gen(function* () {
        const world = new World()
        yield* Effect.gen(function* () {
          yield* signedOut
          const [dead] = forget(world)
          yield* abandoned(world)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* status, 200)
          const [first, second, third] = clientIds(world)
          assert.deepStrictEqual([first, second], [dead, dead])
          assert.notStrictEqual(third, dead)
          assert.strictEqual(world.times("/reg"), 2)
          // Two, because one odd invalid_client is no proof.
          assert.lengthOf(probes(world), 2)
          for (const { form } of probes(world)) assert.strictEqual(form.get("client_id"), dead)
        }).pipe(Effect.provide(world.source()))
      })
  )

  it.effect("one that it knows costs a question, and stays", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedOut
        yield* abandoned(world)
        yield* TestClock.adjust("1 minute")
        yield* signedOut
        assert.lengthOf(probes(world), 1)
        yield* TestClock.adjust("1 hour")
        // Somebody came back, and there is nothing to ask.
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(probes(world), 1)
        assert.strictEqual(world.times("/reg"), 1)
        assert.lengthOf(new Set(clientIds(world)), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("nothing is asked while a person may still be on the way, and no outage is in theirs", () =>
    Effect.gen(function* () {
      const world = new World()
      yield* Effect.gen(function* () {
        yield* signedOut
        yield* abandoned(world)
        yield* TestClock.adjust("59 seconds")
        yield* abandoned(world)
        assert.lengthOf(probes(world), 0)
        yield* TestClock.adjust("1 second")
        world.faults.push(({ form, path }) =>
          path === "/token" && !form.get("code")?.startsWith("code-") ? new Response("", { status: 503 }) : undefined
        )
        assert.strictEqual(yield* status, 200)
        assert.lengthOf(probes(world), 1)
      }).pipe(Effect.provide(world.source()))
    })
  )

  it.effect("a device asks before it shows a code, and registers anew", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { device_authorization_endpoint: `${issuer}/device` }
      let odd = 1
      let shown = 0
      const source = TokenSource.layerDeviceAuthorization({
        resource: endpoint,
        show: () =>
          Effect.sync(() => {
            shown++
            for (const device of world.devices.values()) device.answer = "allowed"
          })
      }).pipe(Layer.provideMerge(TokenStore.layerMemory), Layer.provideMerge(world.layerHttp))
      const signIn = Effect.gen(function* () {
        const before = shown
        const calling = yield* Effect.fork(status)
        yield* Effect.repeat(settle, { until: () => shown > before })
        yield* Effect.zipRight(settle, TestClock.adjust("5 seconds"))
        return yield* Fiber.join(calling)
      })
      yield* Effect.gen(function* () {
        yield* signIn
        yield* TokenSource.signOut
        world.faults.push(({ path }) =>
          path === "/device" && odd-- > 0 ? Response.json({ error: "invalid_client" }, { status: 401 }) : undefined
        )
        yield* signIn
        assert.strictEqual(world.times("/reg"), 1)
        yield* TokenSource.signOut
        odd = 2
        assert.strictEqual(yield* signIn, 200)
        assert.strictEqual(world.times("/reg"), 2)
        assert.strictEqual(shown, 3)
      }).pipe(Effect.provide(source))
    })
  )
})
