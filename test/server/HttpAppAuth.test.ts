// What is particular to HttpAppAuth. How it answers is in Adapters.test.ts, and who is seen by whom in Callers.test.ts.
import * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { CurrentClaims, requireScopes } from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import { answerOf, configOf, missingChallenge, requestOf, scopeChallenge, send } from "./fixtures/Guarded.js"

const layer = Layer.merge(
  Authorizer.layerTest({
    alice: { subject: "alice", scopes: ["mcp:tools", "files:write"] },
    bob: { subject: "bob", scopes: ["mcp:tools"] }
  }),
  Layer.succeed(AuthConfig.AuthConfig, configOf())
)

const whoami = Effect.map(CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))

/** Errors of an application that happens to use our names. */
class Missing extends Data.TaggedError("Missing") {}
class InvalidToken extends Data.TaggedError("InvalidToken")<{ readonly reason: "other" }> {}
class ServerError extends Data.TaggedError("ServerError") {}

describe("HttpAppAuth", () => {
  describe("middleware", () => {
    const app = HttpAppAuth.middleware(Effect.zipRight(requireScopes("files:write"), whoami))

    const repeated: ReadonlyArray<readonly [repeatGrantedScopes: boolean | undefined, token: string, scope: string]> = [
      [undefined, "carol", "files:write mcp:tools"],
      [false, "carol", "files:write mcp:tools"],
      [true, "carol", "files:write mcp:tools mail:read"],
      // Refused by the guard itself, and not by the handler.
      [undefined, "dave", "mcp:tools"],
      [true, "dave", "mcp:tools mail:read mail:send"],
      // Another caller's answer is not his.
      [true, "bob", "files:write mcp:tools"]
    ]
    it.effect.each(repeated)("RS-59, RS-54 repeatGrantedScopes %s: %s is told %s", ([option, token, scope]) =>
      Effect.gen(function* () {
        const services = Layer.merge(
          Authorizer.layerTest({
            bob: { subject: "bob", scopes: ["mcp:tools"] },
            carol: { subject: "carol", scopes: ["mcp:tools", "mail:read", "offline_access"] },
            dave: { subject: "dave", scopes: ["mail:read", "mail:send"] }
          }),
          Layer.succeed(AuthConfig.AuthConfig, configOf({ repeatGrantedScopes: option }))
        )
        const answer = yield* Effect.provide(Effect.scoped(send(app, { method: "POST", token })), services)
        assert.deepStrictEqual([answer.status, answer.challenge], [403, scopeChallenge(scope)])
      })
    )

    it.effect("C12 a defect of the app stays a defect", () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(send(HttpAppAuth.middleware(Effect.die("bug")), { token: "bob" }))
        assert.strictEqual(exit._tag, "Success")
        const app = HttpAppAuth.middleware(Effect.die("bug"))
        let seen: unknown
        const tapped = Effect.tapDefect(app, (defect) =>
          Effect.sync(() => {
            seen = defect
          })
        )
        yield* send(tapped, { token: "bob" })
        assert.include(String(seen), "bug")
      }).pipe(Effect.provide(layer))
    )

    it.effect("errors of the app that have our names are not swallowed", () =>
      Effect.gen(function* () {
        for (const error of [new Missing(), new InvalidToken({ reason: "other" }), new ServerError()]) {
          const seen = yield* send(
            HttpAppAuth.middleware(Effect.fail(error)).pipe(
              Effect.either,
              Effect.map(
                Either.match({ onLeft: (left) => `${left instanceof error.constructor}`, onRight: () => "a response" })
              ),
              Effect.map(HttpServerResponse.text)
            ),
            { token: "bob" }
          )
          assert.strictEqual(seen.text, "true", error._tag)
        }
      }).pipe(Effect.provide(layer))
    )

    it.effect("the app is not run, nor anything of it, before the token is accepted", () => {
      let runs = 0
      const app = HttpAppAuth.middleware(
        Effect.sync(() => {
          runs++
          return HttpServerResponse.empty()
        })
      )
      return Effect.gen(function* () {
        yield* send(app)
        yield* send(app, { token: "mallory" })
        assert.strictEqual(runs, 0)
        yield* send(app, { token: "bob" })
        assert.strictEqual(runs, 1)
      }).pipe(Effect.provide(layer))
    })

    it.effect("P2 it is an HttpMiddleware, too", () =>
      Effect.gen(function* () {
        const middleware: HttpMiddleware.HttpMiddleware = HttpAppAuth.middleware
        const app = HttpRouter.empty.pipe(HttpRouter.get("/whoami", whoami), HttpRouter.use(HttpAppAuth.middleware))
        assert.strictEqual((yield* Effect.scoped(send(app, { path: "/whoami", token: "alice" }))).text, "alice")
        assert.isFunction(middleware)
      }).pipe(Effect.provide(layer))
    )

    it.effect("the innermost of two guards says who calls", () =>
      Effect.gen(function* () {
        const twice = HttpAppAuth.middleware(HttpAppAuth.middleware(whoami))
        assert.strictEqual((yield* send(twice, { token: "alice" })).text, "alice")
        assert.strictEqual((yield* send(twice)).status, 401)
      }).pipe(Effect.provide(layer))
    )

    it.effect("a CurrentClaims that is provided around the guard is not the caller", () =>
      Effect.gen(function* () {
        const foreign = yield* send(HttpAppAuth.middleware(whoami), { token: "alice" }).pipe(
          Effect.provideService(CurrentClaims, { subject: "root" } as never)
        )
        assert.strictEqual(foreign.text, "alice")
      }).pipe(Effect.provide(layer))
    )
  })

  it("as a web handler, with the app's services from a layer", async () => {
    const app = HttpRouter.empty.pipe(
      HttpRouter.get("/whoami", whoami),
      HttpAppAuth.middleware,
      HttpAppAuth.withMetadata,
      Effect.catchTag("RouteNotFound", () => Effect.succeed(HttpServerResponse.empty({ status: 404 })))
    )
    const { dispose, handler } = HttpApp.toWebHandlerLayer(app, layer)
    try {
      assert.strictEqual((await answerOf(await handler(requestOf({ path: "/whoami", token: "alice" })))).text, "alice")
      assert.strictEqual((await answerOf(await handler(requestOf({ path: "/whoami" })))).challenge, missingChallenge)
      const metadata = await answerOf(await handler(requestOf({ path: "/.well-known/oauth-protected-resource/mcp" })))
      assert.strictEqual(metadata.status, 200)
    } finally {
      await dispose()
    }
  })
})
