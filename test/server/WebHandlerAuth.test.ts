import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as AuthInfo from "../../src/server/AuthInfo.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { CurrentClaims } from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as OperationScopes from "../../src/server/OperationScopes.js"
import * as OriginCheck from "../../src/server/OriginCheck.js"
import * as SessionBinding from "../../src/server/SessionBinding.js"
import { layerMemory } from "../../src/server/SessionStore.js"
import * as WebHandlerAuth from "../../src/server/WebHandlerAuth.js"
import * as PlatformServer from "../fixtures/PlatformServer.js"
import {
  type Answer,
  answerOf,
  configOf,
  invalidChallenge,
  metadataUrl,
  missingChallenge,
  type Question,
  requestChallenge,
  requestOf,
  resource,
  scopeChallenge,
  send
} from "./fixtures/Guarded.js"
import * as RawHttp from "./fixtures/RawHttp.js"

const auth = Layer.merge(
  Authorizer.layerTest({
    alice: { subject: "alice", clientId: "editor", scopes: ["mcp:tools"], expiresAt: 9_999_999_999 },
    machine: { subject: "machine", scopes: ["mcp:tools", "mcp:write"] },
    weak: { subject: "weak", scopes: [] },
    away: new AuthError.ServerError({ retryAfter: 3 })
  }),
  Layer.succeed(AuthConfig.AuthConfig, configOf())
)

/** A request of `node:http`, as the parts of it that are read. */
const nodeRequest = (
  headers: ReadonlyArray<readonly [string, string]>,
  more: Partial<WebHandlerAuth.NodeRequest> = {}
) => {
  const first: Record<string, string> = {}
  for (const [name, value] of headers) first[name.toLowerCase()] ??= value
  return { method: "POST", url: "/mcp", headers: first, rawHeaders: headers.flat(), ...more }
}

/** `served` and who was let through, or the answer instead. */
const outcome = (request: Request | WebHandlerAuth.NodeRequest): Effect.Effect<Answer | WebHandlerAuth.Caller> =>
  Effect.flatMap(
    WebHandlerAuth.authorize(request),
    (caller): Effect.Effect<Answer | WebHandlerAuth.Caller> =>
      caller instanceof Response ? Effect.promise(() => answerOf(caller)) : Effect.succeed(caller)
  ).pipe(Effect.provide(auth))

const refusal = (request: Request | WebHandlerAuth.NodeRequest) =>
  Effect.map(outcome(request), (answer) => {
    assert.isFalse(answer instanceof WebHandlerAuth.Caller)
    const { challenge, status } = answer as Exclude<typeof answer, WebHandlerAuth.Caller>
    return [status, challenge]
  })

const subjectOf = (request: Request | WebHandlerAuth.NodeRequest) =>
  Effect.map(outcome(request), (answer) => {
    assert.isTrue(answer instanceof WebHandlerAuth.Caller)
    return (answer as WebHandlerAuth.Caller).claims.subject
  })

describe("WebHandlerAuth", () => {
  describe("authorize", () => {
    it.effect("D1 gives the caller of a request, as claims and as the SDK wants them", () =>
      Effect.gen(function* () {
        const caller = yield* outcome(requestOf({ token: "alice", body: "{}" }))
        assert.isTrue(caller instanceof WebHandlerAuth.Caller)
        const { authInfo, claims } = caller as WebHandlerAuth.Caller
        assert.strictEqual(claims.subject, "alice")
        assert.deepStrictEqual(authInfo, {
          token: "",
          clientId: "editor",
          scopes: ["mcp:tools"],
          expiresAt: 9_999_999_999,
          resource: new URL(resource),
          resourceMetadataUrl: metadataUrl,
          extra: { claims }
        })
      })
    )

    it.effect("refuses with the response of the failure table (RS-50, C16)", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* refusal(requestOf()), [401, missingChallenge])
        assert.deepStrictEqual(yield* refusal(requestOf({ token: "nobody" })), [401, invalidChallenge()])
        assert.deepStrictEqual(yield* refusal(requestOf({ token: "weak" })), [403, scopeChallenge("mcp:tools")])
        const outage = yield* outcome(requestOf({ token: "away" }))
        assert.isTrue("headers" in outage && outage.status === 503 && outage.headers.get("retry-after") === "3")
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )

    it.effect("answers HEAD without a body", () =>
      Effect.gen(function* () {
        const answer = yield* outcome(requestOf({ method: "HEAD" }))
        assert.isTrue("text" in answer && answer.text === "" && answer.status === 401)
      })
    )

    it.effect("serves the metadata document, without a token (F2, F3)", () =>
      Effect.gen(function* () {
        const path = "/.well-known/oauth-protected-resource/mcp"
        const document = yield* outcome(requestOf({ path }))
        assert.isTrue("body" in document && (document.body as { resource: string }).resource === resource)
        const raw = yield* outcome(nodeRequest([], { method: "GET", url: path }))
        assert.deepStrictEqual("text" in raw && raw.text, "text" in document && document.text)
        for (const [method, status] of [
          ["HEAD", 200],
          ["OPTIONS", 204],
          ["POST", 405]
        ] as const) {
          const answer = yield* outcome(nodeRequest([], { method, url: path }))
          assert.strictEqual("status" in answer && answer.status, status)
        }
      })
    )

    it.effect("leaves the body to whoever comes after it", () =>
      Effect.gen(function* () {
        const request = requestOf({ token: "alice", body: "the body" })
        assert.strictEqual(yield* subjectOf(request), "alice")
        assert.isFalse(request.bodyUsed)
        assert.strictEqual(yield* Effect.promise(() => request.text()), "the body")
      })
    )

    it.effect("B8 sees the headers that Node has dropped, and those that a web Request has joined", () =>
      Effect.gen(function* () {
        const repeated = [400, requestChallenge("the Authorization header must not be repeated")]
        const twice = [
          ["Authorization", "Bearer alice"],
          ["authorization", "Bearer machine"]
        ] as const
        assert.deepStrictEqual(yield* refusal(nodeRequest(twice)), repeated)
        const joined = new Request(resource, { headers: twice.map(([name, value]): [string, string] => [name, value]) })
        assert.deepStrictEqual(yield* refusal(joined), repeated)
        assert.strictEqual(yield* subjectOf(nodeRequest(twice.slice(0, 1))), "alice")
      })
    )

    it.effect("takes requests as Node and Express have them, mounted and odd ones too", () =>
      Effect.gen(function* () {
        const bearer = [["Authorization", "Bearer alice"]] as const
        const query = [400, requestChallenge("access_token must not be sent in the query; use the header")]
        const mounted = { url: "/", originalUrl: "/mcp?access_token=alice" }
        assert.deepStrictEqual(yield* refusal(nodeRequest(bearer, mounted)), query)
        for (const more of [
          { method: "TRACE" },
          { method: undefined },
          { url: undefined },
          { url: "*" },
          { url: "//elsewhere.example/mcp" },
          { url: "https://elsewhere.example/mcp" },
          { url: "/%zz" }
        ]) {
          assert.strictEqual(yield* subjectOf(nodeRequest(bearer, more)), "alice")
        }
      })
    )

    it.effect("a caller who leaves ends the decision", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        const slow = Authorizer.layer(() =>
          Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
          )
        )
        const fiber = yield* WebHandlerAuth.authorize(requestOf({ token: "alice" })).pipe(
          Effect.provide([auth, slow]),
          Effect.fork
        )
        yield* Deferred.await(begun)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        yield* Deferred.await(ended)
      })
    )

    it.effect("D2 64 callers at the same time are not mixed up", () =>
      Effect.gen(function* () {
        const names = Array.from({ length: 64 }, (_, n) => `caller-${n}`)
        const many = Layer.merge(
          auth,
          Authorizer.layerTest(Object.fromEntries(names.map((name) => [name, { scopes: ["mcp:tools"] }])))
        )
        const callers = yield* Effect.forEach(names, (token) => WebHandlerAuth.authorize(requestOf({ token })), {
          concurrency: "unbounded"
        }).pipe(Effect.provide(many))
        assert.deepStrictEqual(
          callers.map((caller) => caller instanceof WebHandlerAuth.Caller && caller.claims.subject),
          names
        )
      })
    )
  })

  it.effect("admit lets through what every middleware lets through, in their order", () =>
    Effect.gen(function* () {
      const admit = WebHandlerAuth.admit((app) =>
        app.pipe(
          SessionBinding.middleware,
          HttpAppAuth.middleware,
          HttpAppAuth.withMetadata,
          OriginCheck.middleware(["https://chat.example.com"])
        )
      )
      const status = (question: Question) =>
        Effect.map(admit(requestOf(question)), (caller) => (caller instanceof Response ? caller.status : "admitted"))
      const alice = { token: "alice" }
      assert.strictEqual(yield* status(alice), "admitted")
      assert.strictEqual(yield* status({ headers: { origin: "https://evil.example" } }), 403)
      assert.strictEqual(yield* status({ headers: { origin: "https://chat.example.com" } }), 401)
      assert.strictEqual(yield* status({ token: "alice", headers: { "mcp-session-id": "s1" } }), 404)
      const caller = yield* admit(requestOf(alice))
      assert.isTrue(caller instanceof WebHandlerAuth.Caller)
      yield* AuthInfo.provide(SessionBinding.bind("s1"), (caller as WebHandlerAuth.Caller).authInfo)
      assert.strictEqual(yield* status({ token: "alice", headers: { "mcp-session-id": "s1" } }), "admitted")
      // The end of a session is for the framework's handler to tell: it may refuse.
      const ending = { token: "alice", method: "DELETE", headers: { "mcp-session-id": "s1" } }
      assert.strictEqual(yield* status(ending), "admitted")
      assert.strictEqual(yield* status(ending), "admitted")
      assert.strictEqual(yield* status({ token: "machine", headers: { "mcp-session-id": "s1" } }), 404)
    }).pipe(Effect.provide([auth, layerMemory()]))
  )

  it.effect("respond answers a refusal that a handler found, for the record with its caller", () =>
    Effect.gen(function* () {
      const decisions: Array<Decision.Decision> = []
      const request = requestOf({ token: "alice" })
      const caller = yield* outcome(request)
      const response = yield* WebHandlerAuth.respond(
        request,
        new AuthError.InsufficientScope({ required: ["mcp:write"] }),
        (caller as WebHandlerAuth.Caller).claims
      ).pipe(
        Effect.provide(auth),
        Effect.provideService(Decision.DecisionLog, {
          record: (decision) => Effect.sync(() => void decisions.push(decision))
        })
      )
      assert.strictEqual(response.status, 403)
      assert.strictEqual(response.headers.get("www-authenticate"), scopeChallenge("mcp:write mcp:tools"))
      assert.deepStrictEqual(
        decisions.map(({ outcome, subject }) => [outcome, subject]),
        [["InsufficientScope", "alice"]]
      )
    })
  )

  describe("fromWebHandler", () => {
    const ask = (handler: WebHandlerAuth.WebHandler, question: Question) =>
      send(HttpAppAuth.middleware(WebHandlerAuth.fromWebHandler(handler)), { token: "alice", ...question }).pipe(
        Effect.provide(auth)
      )

    it.effect("gives the handler its request and its caller", () =>
      Effect.gen(function* () {
        const answer = yield* ask(
          async (request, { authInfo, claims }) =>
            Response.json([
              request.method,
              request.url,
              request.headers.get("x-own"),
              await request.text(),
              claims.subject,
              authInfo.clientId
            ]),
          { path: "/mcp/a?b=c", body: "{}", headers: { "x-own": "1", host: "evil.example" } }
        )
        assert.deepStrictEqual(answer.body, ["POST", "https://mcp.example.com/mcp/a?b=c", "1", "{}", "alice", "editor"])
      })
    )

    it.scopedLive("RS-12 over a socket: whatever the target, the URL is one of the resource's origin", () =>
      Effect.gen(function* () {
        const app = HttpAppAuth.middleware(
          WebHandlerAuth.fromWebHandler(async ({ url }) => new Response(null, { headers: { "x-url": url } }))
        )
        const server = yield* Layer.build(
          Layer.provideMerge(HttpServer.serve(app), PlatformServer.layer).pipe(Layer.provide(auth))
        )
        const port = yield* Effect.provide(PlatformServer.port, server)
        const ask = (path: string, more: Partial<RawHttp.RawRequest> = {}) =>
          Effect.promise(() => RawHttp.send(port, { path, headers: [["Authorization", "Bearer alice"]], ...more }))
        for (const [target, path] of [
          ["/mcp?a=b", "/mcp?a=b"],
          ["http://mcp.example.com/mcp?a=b", "/mcp?a=b"],
          ["https://evil.example:1/mcp", "/mcp"],
          ["http://evil.example", "/"],
          ["//evil.example/mcp", "//evil.example/mcp"],
          ["/@evil.example/mcp", "/@evil.example/mcp"]
        ] as const) {
          const { headers, status } = yield* ask(target)
          assert.deepStrictEqual([status, headers["x-url"]], [200, `https://mcp.example.com${path}`], target)
        }
        for (const target of ["*", "evil.example", "@evil.example/mcp", ":80/mcp", "\\\\evil.example/mcp"]) {
          const { headers, status } = yield* ask(target, { method: "OPTIONS" })
          if (status !== 400) assert.match(headers["x-url"] ?? "", /^https:\/\/mcp\.example\.com\//, target)
        }
        assert.strictEqual((yield* ask("http://mcp.example.com/mcp", { headers: [] })).status, 401)
        assert.strictEqual((yield* ask("http://mcp.example.com?access_token=alice")).status, 400)
      })
    )

    it.effect("the handler reads what a middleware has read before it", () =>
      Effect.gen(function* () {
        const body = JSON.stringify({ method: "tools/call", params: { name: "write" }, text: "é" })
        const app = WebHandlerAuth.fromWebHandler(async (request) => new Response(await request.text())).pipe(
          OperationScopes.middleware({ tool: () => ["mcp:write"] }),
          HttpAppAuth.middleware
        )
        assert.strictEqual((yield* send(app, { token: "machine", body })).text, body)
        const refused = yield* send(app, { token: "alice", body })
        assert.strictEqual(refused.challenge, scopeChallenge("mcp:write mcp:tools"))
      }).pipe(Effect.provide(auth))
    )

    it.effect("the handler gets no token that it could pass on, nor what was of the connection", () =>
      Effect.gen(function* () {
        const hop = { connection: "keep-alive", "transfer-encoding": "chunked", "content-length": "2" }
        const answer = yield* ask(async ({ headers }) => Response.json([...headers.keys()]), {
          body: "{}",
          headers: { ...hop, "content-type": "application/json", "x-own": "1" }
        })
        assert.sameMembers(answer.body as Array<string>, ["content-type", "x-own"])
      })
    )

    it.effect("a body that is no text, or too much of it, is refused before the handler", () =>
      Effect.gen(function* () {
        const never: WebHandlerAuth.WebHandler = () => assert.fail("reached")
        for (const [question, rule] of [
          [{ body: "{}", headers: { "content-encoding": "gzip" } }, "the body must not be compressed"],
          [{ body: "{}", headers: { "content-type": "text/plain; charset=utf-16" } }, "the body must be UTF-8"],
          [{ body: "x".repeat(4 * 1024 * 1024 + 1) }, "the body must not be larger than 4194304 bytes"]
        ] as const) {
          const { challenge, status } = yield* ask(never, question)
          assert.deepStrictEqual([status, challenge], [400, requestChallenge(rule)])
        }
      })
    )

    it.effect("the response is the handler's: status, headers, cookies, but for those of the hop", () =>
      Effect.gen(function* () {
        const headers = new Headers({ "x-own": "1", connection: "keep-alive", "set-cookie": "a=1; Path=/" })
        headers.append("set-cookie", "b=2")
        const answer = yield* ask(async () => new Response("made", { status: 201, headers }), {})
        assert.deepStrictEqual([answer.status, answer.text], [201, "made"])
        assert.deepStrictEqual(
          ["x-own", "connection", "set-cookie"].map((name) => answer.headers.get(name)),
          ["1", null, "a=1; Path=/, b=2"]
        )
        const empty = yield* ask(async () => new Response(null, { status: 202 }), { body: "{}" })
        assert.deepStrictEqual([empty.status, empty.text], [202, ""])
      })
    )

    it.effect("a stream is there as it comes, and ends when nobody reads it any more", () =>
      Effect.gen(function* () {
        const cancelled = yield* Deferred.make<void>()
        const handler = async () =>
          new Response(
            new ReadableStream({
              start: (controller) => controller.enqueue(new TextEncoder().encode("data: first\n\n")),
              cancel: () => void Effect.runFork(Deferred.succeed(cancelled, undefined))
            }),
            { headers: { "content-type": "text/event-stream" } }
          )
        const app = HttpAppAuth.middleware(WebHandlerAuth.fromWebHandler(handler))
        const web = HttpApp.toWebHandlerLayer(app, auth)
        const response = yield* Effect.promise(() => web.handler(requestOf({ token: "alice" })))
        const reader = response.body?.getReader()
        const first = yield* Effect.promise(async () => reader?.read())
        assert.strictEqual(new TextDecoder().decode(first?.value), "data: first\n\n")
        yield* Effect.promise(async () => reader?.cancel())
        yield* Deferred.await(cancelled)
        yield* Effect.promise(() => web.dispose())
      })
    )

    it.effect("the handler's signal ends when its client leaves", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        const handler: WebHandlerAuth.WebHandler = ({ signal }) => {
          signal.addEventListener("abort", () => Effect.runFork(Deferred.succeed(ended, undefined)))
          Effect.runFork(Deferred.succeed(begun, undefined))
          return new Promise(() => {})
        }
        const leaving = new AbortController()
        const web = HttpApp.toWebHandlerLayer(HttpAppAuth.middleware(WebHandlerAuth.fromWebHandler(handler)), auth)
        void web.handler(new Request(requestOf({ token: "alice" }), { signal: leaving.signal }))
        yield* Deferred.await(begun)
        leaving.abort()
        yield* Deferred.await(ended)
        yield* Effect.promise(() => web.dispose())
      })
    )

    it.effect("a handler that rejects is a bug: 500, and nothing of it in the answer (C11)", () =>
      Effect.gen(function* () {
        const answer = yield* ask(() => Promise.reject(new Error("hunter2")), {})
        assert.strictEqual(answer.status, 500)
        assert.notInclude(answer.text, "hunter2")
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )
  })

  it.effect("AuthInfo.provide runs an effect as the caller, and as nobody without one (G2)", () =>
    Effect.gen(function* () {
      const subject = Effect.map(CurrentClaims, (claims) => claims.subject)
      const caller = yield* outcome(requestOf({ token: "machine" }))
      const { authInfo } = caller as WebHandlerAuth.Caller
      assert.strictEqual(yield* AuthInfo.provide(subject, authInfo), "machine")
      assert.strictEqual(authInfo.clientId, "machine")
      const forged = { extra: { claims: { ...authInfo.extra.claims, subject: "root" } } }
      for (const nobody of [undefined, {}, { extra: {} }, forged]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(AuthInfo.provide(subject, nobody))))
      }
    })
  )
})
