/** An app with sessions behind the guard, as a client sees it. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims } from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as SessionBinding from "../../src/server/SessionBinding.js"
import { layerMemory, SessionStore, SessionStoreError } from "../../src/server/SessionStore.js"
import { configOf, type Question, requestOf, scopeChallenge, send } from "./fixtures/Guarded.js"
import * as Logs from "./fixtures/Logs.js"

const known = (claims: Authorizer.KnownClaims): Authorizer.KnownClaims => ({ scopes: ["mcp:tools"], ...claims })

const tokens = {
  alice: known({ subject: "alice", clientId: "editor", issuer: "https://as.example" }),
  "alice-renewed": known({
    subject: "alice",
    clientId: "editor",
    issuer: "https://as.example",
    scopes: ["mcp:tools", "mcp:write"],
    expiresAt: 9_999_999_999
  }),
  bob: known({ subject: "bob", clientId: "editor", issuer: "https://as.example" }),
  "alice-on-phone": known({ subject: "alice", clientId: "phone", issuer: "https://as.example" }),
  "alice-without-client": known({ subject: "alice", issuer: "https://as.example" }),
  "another-alice": known({ subject: "alice", clientId: "editor", issuer: "https://other.example" })
} as const

const auth = Layer.merge(
  Authorizer.layerTest(tokens),
  Layer.succeed(
    AuthConfig.AuthConfig,
    configOf({ authorizationServers: ["https://as.example", "https://other.example"] })
  )
)

/** Issues the IDs that it is given, to every POST without one; a session ends as often as somebody asks. */
const issuing = (...ids: ReadonlyArray<string>) => {
  const queue = [...ids]
  const seen: Array<string> = []
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, method }) => {
    const session = headers["mcp-session-id"]
    seen.push(`${method} ${session}`)
    const issued = session === undefined && method === "POST" ? queue.shift() : session
    return HttpServerResponse.text("served", issued === undefined ? {} : { headers: { "mcp-session-id": issued } })
  })
  return { app, seen }
}

const guarded = <E, R>(app: HttpApp.Default<E, R>) => HttpAppAuth.middleware(SessionBinding.middleware(app))

const ask = <E, R>(app: HttpApp.Default<E, R>, token: keyof typeof tokens, session?: string, question?: Question) =>
  send(guarded(app), {
    token,
    method: "POST",
    body: "{}",
    ...question,
    ...(session === undefined ? {} : { headers: { "mcp-session-id": session } })
  }).pipe(Effect.provide(auth))

const silently = Logger.withMinimumLogLevel(LogLevel.None)

const notFound = '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}'

describe("SessionBinding", () => {
  describe("middleware", () => {
    it.effect("a session is its starter's, through every renewal of the token (SEC-40, SEC-41)", () =>
      Effect.gen(function* () {
        const { app, seen } = issuing("s1")
        assert.strictEqual((yield* ask(app, "alice")).headers.get("mcp-session-id"), "s1")
        assert.strictEqual((yield* ask(app, "alice", "s1")).text, "served")
        assert.strictEqual((yield* ask(app, "alice-renewed", "s1")).text, "served")
        assert.deepStrictEqual(seen, ["POST undefined", "POST s1", "POST s1"])
      }).pipe(Effect.provide(layerMemory()))
    )

    for (const token of ["bob", "alice-on-phone", "alice-without-client", "another-alice"] as const) {
      it.effect(`${token} gets the answer to a session that does not exist, whatever the method (SEC-40, SEC-41)`, () =>
        Effect.gen(function* () {
          const { app, seen } = issuing("s1")
          yield* ask(app, "alice")
          for (const method of ["GET", "POST", "DELETE", "PUT"]) {
            const body = method === "GET" ? {} : { body: "{}" }
            const [foreign, unknown] = [
              yield* send(guarded(app), { method, token, headers: { "mcp-session-id": "s1" }, ...body }),
              yield* send(guarded(app), { method, token, headers: { "mcp-session-id": "s2" }, ...body })
            ]
            assert.deepStrictEqual([foreign.status, foreign.text], [404, notFound])
            assert.deepStrictEqual(foreign, unknown)
          }
          assert.deepStrictEqual(seen, ["POST undefined"])
          assert.strictEqual((yield* ask(app, "alice", "s1")).text, "served")
        }).pipe(Effect.provide([auth, layerMemory()]))
      )
    }

    it.effect("an end that the app accepts ends the session, one that it refuses does not", () =>
      Effect.gen(function* () {
        const { app } = issuing("s1")
        const refusing = HttpServerResponse.empty({ status: 405 })
        yield* ask(app, "alice")
        assert.strictEqual((yield* ask(refusing, "alice", "s1", { method: "DELETE" })).status, 405)
        assert.strictEqual((yield* ask(app, "alice", "s1")).status, 200)
        assert.strictEqual((yield* ask(app, "alice", "s1", { method: "DELETE" })).status, 200)
        assert.strictEqual((yield* ask(app, "alice", "s1")).text, notFound)
      }).pipe(Effect.provide(layerMemory()))
    )

    it.effect("64 who start at the same time have a session each", () =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 64 }, (_, n) => `s${n}`)
        const { app } = issuing(...ids)
        const own = yield* Effect.forEach(
          ids,
          (_, n) => {
            const token = n % 2 === 0 ? "alice" : "bob"
            return Effect.map(
              ask(app, token),
              ({ headers }) => ({ token, id: headers.get("mcp-session-id") ?? "" }) as const
            )
          },
          { concurrency: "unbounded" }
        )
        assert.sameMembers(
          own.map(({ id }) => id),
          ids
        )
        for (const { id, token } of own) {
          assert.strictEqual((yield* ask(app, token, id)).status, 200)
          assert.strictEqual((yield* ask(app, token === "alice" ? "bob" : "alice", id)).status, 404)
        }
      }).pipe(Effect.provide(layerMemory()))
    )

    it.effect("a server that gives out another caller's session is stopped: 500, and the ID is not in the answer", () =>
      Effect.gen(function* () {
        const { app } = issuing("s-0", "s-0", "s-0")
        assert.strictEqual((yield* ask(app, "alice")).status, 200)
        const [second, lines] = yield* Logs.collect(ask(app, "bob"))
        assert.deepStrictEqual([second.status, second.headers.get("mcp-session-id")], [500, null])
        const warnings = lines.filter(({ level }) => level === "WARN")
        assert.lengthOf(warnings, 1)
        assert.include(warnings[0]?.text, "another caller's")
        for (const { text } of [second, ...lines]) assert.notMatch(text, /s-0|alice|bob/)
        assert.strictEqual((yield* ask(app, "bob", "s-0")).status, 404)
        assert.strictEqual((yield* ask(app, "alice")).status, 200)
      }).pipe(Effect.provide(layerMemory()))
    )

    it.effect("a server that changes the ID on the way gives the new one to the same caller", () =>
      Effect.gen(function* () {
        const { app } = issuing("s1")
        yield* ask(app, "alice")
        yield* ask(HttpServerResponse.text("moved", { headers: { "mcp-session-id": "s2" } }), "alice", "s1")
        assert.strictEqual((yield* ask(app, "alice", "s2")).status, 200)
        assert.strictEqual((yield* ask(app, "bob", "s2")).status, 404)
      }).pipe(Effect.provide(layerMemory()))
    )

    for (const [what, id] of [
      ["nothing", ""],
      ["a space", "s 1"],
      ["a repeated header, as servers join it", "s1, s1"],
      ["Latin-1", "s\u00e9"],
      ["5,000 characters", "s".repeat(5000)]
    ] as const) {
      it.effect(`${what} is no session ID: neither the store nor the app is asked`, () =>
        Effect.gen(function* () {
          const { app, seen } = issuing("s1")
          assert.deepStrictEqual((yield* ask(app, "alice", id)).text, notFound)
          assert.deepStrictEqual(seen, [])
          const issued = yield* ask(HttpServerResponse.text("served", { headers: { "mcp-session-id": id } }), "alice")
          assert.strictEqual(issued.status, 500)
        }).pipe(
          Effect.provide(
            Layer.succeed(
              SessionStore,
              away(() => assert.fail("asked"))
            )
          ),
          silently
        )
      )
    }

    it.effect("while the store is away nobody gets in, and no session gets out: 503 with Retry-After", () =>
      Effect.gen(function* () {
        const { app, seen } = issuing("s1")
        const carried = yield* ask(app, "alice", "s1")
        assert.deepStrictEqual([carried.status, carried.headers.get("retry-after")], [503, "1"])
        assert.deepStrictEqual(seen, [])
        const started = yield* ask(app, "alice")
        assert.deepStrictEqual([started.status, started.headers.get("mcp-session-id")], [503, null])
        assert.notInclude(started.text, "hunter2")
      }).pipe(
        Effect.provide(
          Layer.succeed(
            SessionStore,
            away((operation) => new SessionStoreError({ operation, cause: "hunter2" }))
          )
        ),
        silently
      )
    )

    it.effect("an end that cannot be noted is still the app's answer", () =>
      Effect.gen(function* () {
        const { app } = issuing()
        const answer = yield* ask(app, "alice", "s1", { method: "DELETE" })
        assert.strictEqual(answer.status, 200)
      }).pipe(
        Effect.provide(
          Layer.succeed(SessionStore, {
            ...away((operation) => new SessionStoreError({ operation })),
            use: () => Effect.succeed({ _tag: "Own", scopes: [] } as const)
          })
        ),
        silently
      )
    )

    it.effect("a caller who leaves while a session is being bound leaves nothing half done", () =>
      Effect.gen(function* () {
        const asked = yield* Deferred.make<void>()
        const { app } = issuing("s1")
        const slow = Layer.succeed(SessionStore, {
          ...away(() => assert.fail("asked")),
          bind: () => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never)
        })
        const claims = new Claims({ issuer: "i", subject: "alice", audience: [], scopes: [], raw: {} as never }, true)
        const fiber = yield* SessionBinding.middleware(app).pipe(
          Effect.provideService(CurrentClaims, claims),
          Effect.provideService(AuthConfig.AuthConfig, configOf()),
          Effect.provideService(
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(new Request("https://mcp.example.com/mcp", { method: "POST" }))
          ),
          Effect.provide(slow),
          Effect.fork
        )
        yield* Deferred.await(asked)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      })
    )

    it.effect("a session that was idle for too long is one that does not exist (SEC-41)", () =>
      Effect.gen(function* () {
        const { app } = issuing("s1")
        yield* ask(app, "alice")
        yield* TestClock.adjust("61 minutes")
        assert.strictEqual((yield* ask(app, "alice", "s1")).text, notFound)
      }).pipe(Effect.provide(layerMemory({ idle: "1 hour" })))
    )
  })

  describe("streams: what comes on them was made for all scopes that the session was used with (SEC-40)", () => {
    const strong = { ...tokens["alice-renewed"], expiresAt: undefined }
    const weaker = Layer.provideMerge(
      layerMemory(),
      Layer.merge(
        auth,
        Authorizer.layerTest({
          ...tokens,
          strong,
          refreshing: known({ ...strong, scopes: ["mcp:tools", "mcp:write", "offline_access"] })
        })
      )
    )
    /** Streams for GET, and a session for who asks without one. */
    const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers, method }) =>
      headers["mcp-session-id"] === undefined
        ? HttpServerResponse.text("started", { headers: { "mcp-session-id": "s1" } })
        : method === "GET"
          ? HttpServerResponse.stream(Stream.concat(Stream.make(new Uint8Array([1])), Stream.never))
          : HttpServerResponse.text("served")
    )
    const sessions = guarded(app)
    const asks = (token: string, method: string, session = "s1") =>
      send(sessions, {
        token,
        method,
        headers: { "mcp-session-id": session },
        ...(method === "POST" ? { body: "{}" } : {})
      })
    const opens = (token: string) =>
      Effect.gen(function* () {
        const response = yield* sessions.pipe(
          Effect.provideService(
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(requestOf({ token, headers: { "mcp-session-id": "s1" } }))
          ),
          Effect.scoped
        )
        const stream = response.body._tag === "Stream" ? response.body.stream : Stream.die("no stream")
        const fiber = yield* Effect.fork(Stream.runDrain(stream))
        yield* Effect.yieldNow()
        return { status: response.status, ended: Effect.map(Fiber.poll(fiber), (exit) => exit._tag === "Some") }
      })

    it.effect("a token of the same caller with fewer reads none of them, and may still ask for itself", () =>
      Effect.gen(function* () {
        yield* send(sessions, { token: "alice", body: "{}" })
        assert.strictEqual((yield* opens("alice")).status, 200)
        assert.strictEqual((yield* asks("refreshing", "POST")).status, 200)
        const refused = yield* asks("alice", "GET")
        assert.strictEqual(refused.status, 403)
        assert.strictEqual(
          refused.challenge,
          scopeChallenge("mcp:tools mcp:write", "The session was used with more scopes than these")
        )
        assert.strictEqual((yield* asks("alice", "POST")).text, "served")
        assert.strictEqual((yield* opens("strong")).status, 200)
        assert.strictEqual((yield* asks("bob", "GET")).text, notFound)
      }).pipe(Effect.provide(weaker))
    )

    it.effect("one that is open ends within a minute when the session is used with more", () =>
      Effect.gen(function* () {
        yield* send(sessions, { token: "alice", body: "{}" })
        const [narrow, broad] = [yield* opens("alice"), yield* opens("strong")]
        yield* TestClock.adjust("10 minutes")
        assert.isFalse(yield* narrow.ended)
        yield* asks("strong", "POST")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([yield* narrow.ended, yield* broad.ended], [true, false])
      }).pipe(Effect.provide(weaker))
    )

    it.effect("one that is open keeps its session, and ends with it", () =>
      Effect.gen(function* () {
        yield* send(sessions, { token: "alice", body: "{}" })
        const stream = yield* opens("alice")
        for (let minute = 0; minute < 6; minute++) yield* TestClock.adjust("1 minute")
        assert.isFalse(yield* stream.ended)
        assert.strictEqual((yield* asks("alice", "DELETE")).status, 200)
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* stream.ended)
      }).pipe(Effect.provide(layerMemory({ idle: "3 minutes" })), Effect.provide(weaker))
    )

    it.effect("a store that is away ends none", () =>
      Effect.gen(function* () {
        yield* send(sessions, { token: "alice", body: "{}" })
        const memory = yield* SessionStore
        let isAway = false
        const leaving = Layer.succeed(SessionStore, {
          ...memory,
          use: (...asked) => (isAway ? new SessionStoreError({ operation: "use" }) : memory.use(...asked))
        })
        const stream = yield* Effect.provide(opens("alice"), leaving)
        isAway = true
        yield* TestClock.adjust("10 minutes")
        assert.isFalse(yield* stream.ended)
      }).pipe(Effect.provide(weaker))
    )
  })

  it.effect("who is refused a session is on record, with what the caller is not told (SEC-41)", () =>
    Effect.gen(function* () {
      const { app } = issuing("s1")
      const decisions: Array<Decision.Decision> = []
      const recording = Effect.provideService(Decision.DecisionLog, {
        record: (decision) => Effect.sync(() => void decisions.push(decision))
      })
      yield* ask(app, "alice")
      const answers = yield* Effect.forEach(["s1", "s2", "no session"], (id) => recording(ask(app, "bob", id)))
      for (const answer of answers) assert.deepStrictEqual(answer, answers[0])
      const bob = { issuer: "https://as.example", subject: "bob", clientId: "editor" }
      assert.deepStrictEqual(
        decisions.filter(({ outcome }) => outcome !== "Accepted"),
        ["foreign", "unknown", "unknown"].map((reason) => ({
          at: 0,
          outcome: "SessionNotFound" as const,
          resource: "https://mcp.example.com/mcp",
          method: "POST",
          path: "/mcp",
          ...bob,
          reason
        }))
      )
      assert.notMatch(JSON.stringify(decisions), /s1|s2/)
    }).pipe(Effect.provide(layerMemory()))
  )

  it.scoped(
    "on an HttpLayerRouter: two identities, one session; what the handler has is not replaced (SEC-40, SEC-41)",
    () =>
      Effect.gen(function* () {
        const other = configOf({ resource: "https://other.example" })
        const started = Effect.map(AuthConfig.AuthConfig, ({ resource }) =>
          HttpServerResponse.text(resource, { headers: { "mcp-session-id": "s1" } })
        ).pipe(Effect.provideService(AuthConfig.AuthConfig, other))
        const app = yield* HttpLayerRouter.toHttpEffect(
          HttpLayerRouter.add("POST", "/mcp", started).pipe(
            Layer.provide(SessionBinding.routerMiddleware.combine(HttpLayerRouterAuth.middleware).layer),
            Layer.provide([auth, layerMemory()])
          )
        )
        const asks = (token: string, session?: string) =>
          send(app, {
            token,
            body: "{}",
            headers: session === undefined ? {} : { "mcp-session-id": session }
          })
        assert.strictEqual((yield* asks("alice")).text, other.resource)
        assert.strictEqual((yield* asks("alice-renewed", "s1")).status, 200)
        const [foreign, unknown] = [yield* asks("bob", "s1"), yield* asks("bob", "s2")]
        assert.deepStrictEqual([foreign.status, foreign.text], [404, notFound])
        assert.deepStrictEqual(foreign, unknown)
      })
  )

  it.effect("a store sees digests alone, which differ for each session (SEC-41)", () =>
    Effect.gen(function* () {
      const held: Array<string> = []
      const memory = yield* SessionStore
      const spying = Layer.succeed(SessionStore, {
        ...memory,
        bind: (session, owner) => {
          held.push(session, owner)
          return memory.bind(session, owner)
        }
      })
      const { app } = issuing("session-1", "session-2")
      yield* Effect.provide(ask(app, "alice"), spying)
      yield* Effect.provide(ask(app, "alice"), spying)
      assert.lengthOf(new Set(held), 4)
      for (const value of held) assert.match(value, /^[A-Za-z0-9_-]{43}$/)
    }).pipe(Effect.provide(layerMemory()))
  )
})

/** A store that answers nothing but this. */
function away(fault: (operation: SessionStoreError["operation"]) => SessionStoreError): SessionStore["Type"] {
  const failing = (operation: SessionStoreError["operation"]) => () =>
    Effect.suspend(() => Effect.fail(fault(operation)))
  return { bind: failing("bind"), use: failing("use"), release: failing("release") }
}
