/**
 * What a protected server answers under load while its authorization server rotates its keys, dies and comes back: over
 * real sockets, with tokens of a real authorization server.
 */
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { JwkSet } from "effect-mcp-auth/discovery"
import { Claims, HttpAppAuth } from "effect-mcp-auth/server"
import type { AuthorizationServer } from "../../docs/examples/demo/AuthorizationServer.js"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

interface Answer {
  /** The name of the token. */
  readonly token: string
  readonly at: number
  readonly status: number
  readonly retryAfter: string | null
  readonly wwwAuthenticate: string | null
}

/** As little as possible behind the guard, so that the load falls on the guard. */
const app = Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(subject)).pipe(
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata
)

const post = (url: string, name: string, token: string): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: "{}" })
    await response.text()
    return {
      token: name,
      at: Date.now(),
      status: response.status,
      retryAfter: response.headers.get("retry-after"),
      wwwAuthenticate: response.headers.get("www-authenticate")
    }
  })

/** Requests without a pause, by several callers at once, with every token that is in `tokens` at the moment. */
const load = (url: string, callers = 4) =>
  Effect.gen(function* () {
    const answers: Array<Answer> = []
    const tokens = new Map<string, string>()
    let turn = 0
    const one = Effect.suspend(() => {
      const all = [...tokens]
      const next = all[turn++ % all.length]
      return next === undefined
        ? Effect.sleep("5 millis")
        : Effect.map(post(url, ...next), (answer) => void answers.push(answer))
    })
    const fiber = yield* Effect.forkScoped(
      Effect.forEach(Array.from({ length: callers }), () => Effect.forever(one), { concurrency: "unbounded" })
    )
    /** Once `count` more answers are there. */
    const more = (count: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const wanted = answers.length + count
        return Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => answers.length >= wanted }), Effect.asVoid)
      })
    return { answers, tokens, more, stop: Fiber.interrupt(fiber) }
  })

const make = (keys: JwkSet.Options) =>
  Effect.gen(function* () {
    const server = yield* ProtectedServer.make({
      authorizationServer: { clients: [machine] },
      authorizer: { keys },
      serve: HttpServer.serve(app)
    })
    const token = machineToken(server.authorizationServer, server.url, "mcp:tools")
    return { ...server, token }
  })

const fetches = ({ exchanges }: AuthorizationServer, path: string) =>
  exchanges.filter((exchange) => exchange.path === path).length

const statuses = (answers: ReadonlyArray<Answer>) => [...new Set(answers.map(({ status }) => status))].sort()

describe("under load", () => {
  it.scopedLive("W-10 keys rotate: tokens old and new are served without a gap, for one key fetch each time", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({ cooldown: "100 millis" })
      const { answers, more, stop, tokens } = yield* load(url)
      tokens.set("first", yield* token)
      yield* more(50)
      const rotations = 3
      for (let n = 1; n <= rotations; n++) {
        yield* authorizationServer.rotateKeys()
        tokens.set(`after rotation ${n}`, yield* token)
        yield* more(60)
        yield* Effect.sleep("100 millis")
      }
      yield* stop
      // Not one request was lost, and each token was in use to the end.
      assert.deepStrictEqual(statuses(answers), [200])
      const last = answers.slice(-40).map(({ token }) => token)
      assert.strictEqual(new Set(last).size, rotations + 1)
      // One fetch when it was cold, one for each rotation, however many requests asked for the new key at once.
      assert.strictEqual(fetches(authorizationServer, "/jwks"), 1 + rotations)
      assert.isAbove(answers.length, 200)
    })
  )

  it.scopedLive("W-10 keys that are withdrawn are given up within their age, and nothing else is", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({ maxAge: "300 millis", cooldown: "100 millis" })
      const { answers, more, stop, tokens } = yield* load(url)
      tokens.set("old", yield* token)
      yield* more(30)
      yield* authorizationServer.rotateKeys({ retire: true })
      const retired = Date.now()
      tokens.set("new", yield* token)
      yield* Effect.sleep("1500 millis")
      yield* stop
      assert.deepStrictEqual(statuses(answers.filter(({ token }) => token === "new")), [200])
      const old = answers.filter(({ token }) => token === "old")
      const refused = old.findIndex(({ status }) => status === 401)
      // Once refused it stays refused, and it was not accepted for longer than keys are kept.
      assert.deepStrictEqual(statuses(old.slice(0, refused)), [200])
      assert.deepStrictEqual(statuses(old.slice(refused)), [401])
      assert.isBelow((old[refused]?.at ?? Number.POSITIVE_INFINITY) - retired, 1500)
    })
  )

  it.scopedLive("C16 its authorization server dies and comes back: who has a known key never notices", () =>
    Effect.gen(function* () {
      // So short an age that keys are renewed in the background all the time, before, during and after.
      const { authorizationServer, token, url } = yield* make({ maxAge: "100 millis", retryAfter: "200 millis" })
      const { answers, more, stop, tokens } = yield* load(url)
      tokens.set("first", yield* token)
      tokens.set("second", yield* token)
      yield* more(50)

      const before = fetches(authorizationServer, "/jwks")
      yield* authorizationServer.stop
      const died = Date.now()
      yield* Effect.sleep("1 seconds")
      yield* authorizationServer.start
      const returned = Date.now()
      yield* more(50)
      yield* Effect.sleep("500 millis")

      // Back for good: keys are fetched again, and new ones found, without a restart.
      assert.isAbove(fetches(authorizationServer, "/jwks"), before)
      yield* authorizationServer.rotateKeys()
      tokens.set("third", yield* token)
      yield* more(100)
      yield* stop
      assert.deepStrictEqual(statuses(answers), [200])
      const during = answers.filter(({ at }) => at > died && at < returned)
      assert.isAbove(during.length, 50)
      assert.isTrue(answers.some(({ token }) => token === "third"))
    })
  )

  it.scopedLive("C16 while it is dead a key that nobody has seen yet is an outage, and is found when it is back", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({ retryAfter: "200 millis", cooldown: "100 millis" })
      const { answers, more, stop, tokens } = yield* load(url)
      tokens.set("known", yield* token)
      yield* more(30)
      yield* authorizationServer.rotateKeys()
      const unseen = yield* token
      yield* authorizationServer.stop
      tokens.set("unseen", unseen)
      yield* more(100)
      // Only tokens of the known key get in; the others are told to come back, and not that they are bad.
      const during = answers.filter(({ token }) => token === "unseen")
      assert.isAbove(during.length, 30)
      for (const { retryAfter, status, wwwAuthenticate } of during) {
        assert.deepStrictEqual([status, retryAfter, wwwAuthenticate], [503, "1", null])
      }

      yield* authorizationServer.start
      yield* Effect.sleep("400 millis")
      const back = answers.length
      yield* more(60)
      yield* stop
      assert.deepStrictEqual(statuses(answers.filter(({ token }) => token === "known")), [200])
      assert.deepStrictEqual(statuses(answers.slice(back + 4)), [200])
    })
  )

  it.scopedLive("W-10 a flood of made-up key ids costs a bounded number of fetches, and nobody else anything", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({ cooldown: "500 millis" })
      const { answers, more, stop, tokens } = yield* load(url)
      const good = yield* token
      tokens.set("good", good)
      yield* more(30)
      const began = Date.now()
      const [, claims, signature] = good.split(".")
      const header = JSON.parse(Buffer.from(good.split(".")[0] ?? "", "base64url").toString()) as object
      for (let n = 0; n < 50; n++) {
        const made = Buffer.from(JSON.stringify({ ...header, kid: `made-up-${n}` })).toString("base64url")
        tokens.set(`made up ${n}`, `${made}.${claims}.${signature}`)
      }
      yield* more(150)
      // A rotation in the middle of it is noticed within the cooldown.
      yield* authorizationServer.rotateKeys()
      tokens.clear()
      tokens.set("good", good)
      tokens.set("new", yield* token)
      yield* Effect.sleep("700 millis")
      const settled = answers.length
      yield* more(60)
      yield* stop
      const millis = Date.now() - began
      assert.deepStrictEqual(statuses(answers.filter(({ token }) => token === "good")), [200])
      assert.deepStrictEqual(statuses(answers.filter(({ token }) => token.startsWith("made up"))), [401])
      assert.deepStrictEqual(statuses(answers.slice(settled + 4)), [200])
      assert.isAtMost(fetches(authorizationServer, "/jwks"), 2 + Math.ceil(millis / 500))
    })
  )

  it.scopedLive("a cold crowd is one discovery and one key fetch", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({})
      const good = yield* token
      const answers = yield* Effect.forEach(Array.from({ length: 50 }), () => post(url, "good", good), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(statuses(answers), [200])
      assert.strictEqual(fetches(authorizationServer, "/jwks"), 1)
      assert.strictEqual(fetches(authorizationServer, "/.well-known/oauth-authorization-server"), 1)
    })
  )

  it.scopedLive("C16 a cold crowd during an outage is 503 for all, and served afterwards without a restart", () =>
    Effect.gen(function* () {
      const { authorizationServer, token, url } = yield* make({})
      const good = yield* token
      yield* authorizationServer.stop
      const crowd = Effect.forEach(Array.from({ length: 30 }), () => post(url, "good", good), {
        concurrency: "unbounded"
      })
      const refused = yield* crowd
      assert.deepStrictEqual(statuses(refused), [503])
      for (const { retryAfter, wwwAuthenticate } of refused) {
        assert.deepStrictEqual([retryAfter, wwwAuthenticate], ["1", null])
      }
      yield* authorizationServer.start
      yield* Effect.sleep("1 seconds")
      assert.deepStrictEqual(statuses(yield* crowd), [200])
      assert.strictEqual(fetches(authorizationServer, "/jwks"), 1)
    })
  )
})
