/**
 * What an authorization server that fails costs a client under load: a real one behind a proxy that breaks it, and calls
 * that never stop. Nothing that is held is lost, nobody is asked, and nothing has to be started again.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { HttpClientAuth, StoredGrant, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { FetchLimits } from "effect-mcp-auth/discovery"
import { HttpAppAuth } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import * as FaultyProxy from "../fixtures/FaultyProxy.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const app = HttpServerResponse.text("ok").pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata)

/** Seconds that an access token lives; refreshed in the last quarter of them. */
const lifetime = 4

/** A person has signed in, and ten fibers call all the time. */
const underLoad = Effect.gen(function* () {
  const proxy = yield* FaultyProxy.make
  const server = yield* ProtectedServer.make({
    authorizationServer: {
      origin: proxy.url,
      resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: lifetime })
    },
    authorizer: { clockTolerance: 0 },
    serve: HttpServer.serve(app)
  })
  proxy.target = server.authorizationServer.address
  const context = yield* Layer.build(
    TokenSource.layerAuthorizationCode({ resource: server.url }).pipe(
      Layer.provide(ScriptedUser.layer({ redirectUri: "http://127.0.0.1:9/callback" })),
      Layer.provide(FetchLimits.layer({ timeout: Duration.seconds(4) })),
      Layer.provideMerge(TokenStore.layerMemory),
      Layer.provideMerge(FetchHttpClient.layer)
    )
  )
  const client = HttpClientAuth.transform()(Context.get(context, HttpClient.HttpClient))
  const call = Effect.scoped(
    Effect.flatMap(client.get(server.url), (response) => Effect.as(response.text, response.status))
  ).pipe(Effect.provide(context))

  const answers: Array<string> = []
  const record = Effect.matchEffect(call, {
    onSuccess: (status) => Effect.sync(() => answers.push(String(status))),
    onFailure: (error) => Effect.sync(() => answers.push(error._tag))
  })
  assert.strictEqual(yield* call, 200)
  const load = yield* Effect.forkScoped(
    Effect.all(
      Array.from({ length: 10 }, () => Effect.forever(Effect.zipRight(record, Effect.sleep("50 millis")))),
      { concurrency: "unbounded", discard: true }
    )
  )
  const grant = Effect.map(
    Effect.provide(StoredGrant.find({ endpoint: server.url }), context),
    (entry) => Option.getOrThrow(entry).value
  )
  const prompts = () => server.trace.filter((line) => / \/auth /.test(line)).length
  return { proxy, server, answers, grant, prompts, stop: Fiber.interrupt(load) }
}).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))

const until = (holds: () => boolean, within: Duration.DurationInput) =>
  Effect.repeat(Effect.sleep("20 millis"), { until: holds }).pipe(Effect.timeout(within))

type Break = (proxy: FaultyProxy.FaultyProxy) => Effect.Effect<void>

const token =
  (fault: FaultyProxy.Fault): Break =>
  (proxy) =>
    Effect.sync(() => {
      proxy.fault = ({ path }) => (path === "/token" ? fault : undefined)
    })

const faults: ReadonlyArray<readonly [string, Break]> = [
  ["is stopped", (proxy) => proxy.stop],
  ["answers 500", token({ _tag: "Answer", status: 500, body: "<h1>oops</h1>" })],
  [
    "answers 429 with Retry-After",
    token({ _tag: "Answer", status: 429, headers: { "retry-after": "2" }, body: '{"error":"slow_down"}' })
  ],
  ["answers garbage", token({ _tag: "Answer", status: 200, headers: { "content-type": "text/html" }, body: "<p>hi" })],
  ["answers nothing", token({ _tag: "Silence" })],
  ["closes the connection", token({ _tag: "Reset" })]
]

describe.concurrent("under load an authorization server", () => {
  for (const [name, breaks] of faults) {
    it.scopedLive(
      `that ${name} costs no credential and no sign-in, and all goes on when it is back`,
      () =>
        Effect.gen(function* () {
          const { answers, grant, prompts, proxy, stop } = yield* underLoad
          const before = yield* grant
          const asked = prompts()
          const healthy = answers.length
          yield* breaks(proxy)
          // For longer than the token lives, so that calls have to fail, and do by a failure that passes.
          yield* until(() => answers.slice(healthy).includes("TokenUnavailable"), "40 seconds")
          const broken = yield* grant
          assert.isDefined(broken.refreshToken)
          assert.strictEqual(
            broken.refreshToken && Redacted.value(broken.refreshToken),
            before.refreshToken && Redacted.value(before.refreshToken)
          )
          proxy.fault = () => undefined
          yield* proxy.start
          const recovering = answers.length
          yield* until(() => answers.slice(recovering).filter((answer) => answer === "200").length > 20, "40 seconds")
          yield* stop
          assert.deepStrictEqual([...new Set(answers)].sort(), ["200", "TokenUnavailable"])
          assert.strictEqual(prompts(), asked)
          assert.isAbove((yield* grant).generation ?? 0, before.generation ?? 0)
        }),
      120_000
    )
  }

  it.scopedLive(
    "whose answer is lost on the way is asked once more, and then one person signs in",
    () =>
      Effect.gen(function* () {
        const { answers, grant, prompts, proxy, server, stop } = yield* underLoad
        const asked = prompts()
        const healthy = answers.length
        let lost = 0
        proxy.fault = ({ path }) => (path === "/token" && lost++ === 0 ? { _tag: "Lose" } : undefined)
        // Asked again with what it has replaced, it revokes the family, as it should; a person signs in once.
        yield* until(() => prompts() > asked, "40 seconds")
        const since = answers.length
        yield* until(() => answers.slice(since).filter((answer) => answer === "200").length > 20, "40 seconds")
        yield* stop
        assert.deepStrictEqual([...new Set(answers.slice(healthy))], ["200"])
        assert.strictEqual(prompts(), asked + 1)
        assert.isUndefined((yield* grant).ended)
        const refused = server.authorizationServer.exchanges.filter(
          ({ path, status }) => path === "/token" && status === 400
        )
        assert.lengthOf(refused, 1)
      }),
    120_000
  )
})
