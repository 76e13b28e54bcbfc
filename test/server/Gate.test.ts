// Several guards on one request: the authorizer is asked once, and the decision is one.
import * as Headers from "@effect/platform/Headers"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims, OptionalClaims } from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpApiAuth from "../../src/server/HttpApiAuth.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as Guarded from "./fixtures/Guarded.js"

const whoami = Effect.map(CurrentClaims, ({ subject }) => subject)
const greet = Effect.map(OptionalClaims, Option.match({ onNone: () => "a guest", onSome: ({ subject }) => subject }))
const text = <E, R>(handler: Effect.Effect<string, E, R>) =>
  Effect.map(handler, (body) => HttpServerResponse.text(body))

type Services = AuthConfig.AuthConfig | Authorizer.Authorizer
type App<E = never> = HttpApp.Default<E, Services | Scope.Scope>

const get = <const Name extends string>(name: Name) =>
  HttpApiEndpoint.get(name, "/mcp").addSuccess(HttpApiSchema.Text())

class Required extends HttpApi.make("api").add(
  HttpApiGroup.make("g").add(get("whoami")).middleware(HttpApiAuth.Authorization)
) {}
class Levels extends HttpApi.make("api")
  .add(HttpApiGroup.make("g").add(get("greet").middleware(HttpApiAuth.OptionalAuthorization)))
  .middleware(HttpApiAuth.Authorization) {}

const required = HttpApiBuilder.group(Required, "g", (group) => group.handle("whoami", () => whoami))
const levels = HttpApiBuilder.group(Levels, "g", (group) => group.handle("greet", () => greet))

/** Routes as the app that a server would run. */
const routed = <E>(layer: Layer.Layer<never, E, Services | HttpLayerRouter.HttpRouter>) =>
  Effect.flatMap(Effect.context<Services>(), (services) =>
    HttpLayerRouter.toHttpEffect(Layer.provide(layer, Layer.succeedContext(services)) as Layer.Layer<never, E>)
  )

const layerRoute = HttpLayerRouter.add("GET", "/mcp", text(whoami)).pipe(Layer.provide(HttpLayerRouterAuth.layer))

const compositions: Readonly<Record<string, Effect.Effect<App<unknown>, unknown, Services | Scope.Scope>>> = {
  "HttpAppAuth in HttpAppAuth": Effect.succeed(HttpAppAuth.middleware(HttpAppAuth.middleware(text(whoami)))),
  "HttpAppAuth.optional in HttpAppAuth": Effect.succeed(HttpAppAuth.middleware(HttpAppAuth.optional(text(greet)))),
  "HttpAppAuth in HttpAppAuth.optional": Effect.succeed(HttpAppAuth.optional(HttpAppAuth.middleware(text(whoami)))),
  "HttpAppAuth on a mounted route, and on the whole": Effect.succeed(
    HttpRouter.empty.pipe(
      HttpRouter.mount("/mcp", HttpRouter.empty.pipe(HttpRouter.get("/", HttpAppAuth.middleware(text(whoami))))),
      HttpAppAuth.middleware
    )
  ),
  "HttpLayerRouterAuth.layer in layerGlobal": routed(layerRoute.pipe(Layer.provide(HttpLayerRouterAuth.layerGlobal))),
  "HttpApiAuth on a router with layerGlobal": routed(
    HttpLayerRouter.addHttpApi(Required).pipe(
      Layer.provide(required),
      Layer.provide(HttpApiAuth.layer),
      Layer.provide(HttpServer.layerContext),
      Layer.provide(HttpLayerRouterAuth.layerGlobal)
    )
  ),
  "HttpApiAuth: an optional endpoint of a guarded api": Effect.flatMap(Effect.context<Services>(), (services) =>
    Effect.flatMap(
      Layer.build(
        HttpApiBuilder.api(Levels).pipe(
          Layer.provide(levels),
          Layer.provide(HttpApiAuth.layer),
          Layer.provide(Layer.succeedContext(services)),
          Layer.provideMerge(HttpServer.layerContext),
          Layer.provideMerge(Layer.mergeAll(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer))
        )
      ),
      (context) => Effect.provide(HttpApiBuilder.httpApp, context) as Effect.Effect<App<unknown>>
    )
  )
}

/** The answer to a request, how often an authorizer was asked, and what is on record. */
const asked = (
  make: Effect.Effect<App<unknown>, unknown, Services | Scope.Scope>,
  question: Guarded.Question,
  times = 1
) =>
  Effect.gen(function* () {
    let asked = 0
    const decisions: Array<Decision.Decision> = []
    const services = Layer.mergeAll(
      Layer.succeed(AuthConfig.AuthConfig, Guarded.configOf()),
      Authorizer.layer(({ token: _, url }) => {
        asked++
        return Effect.succeed(
          new Claims(
            {
              issuer: Guarded.issuer,
              subject: "alice",
              audience: [url],
              scopes: ["mcp:tools"],
              raw: undefined as never
            },
            true
          )
        )
      }),
      Layer.succeed(Decision.DecisionLog, { record: (decision) => Effect.sync(() => void decisions.push(decision)) })
    )
    const answers = yield* Effect.flatMap(Effect.orDie(make), (app) =>
      Effect.replicateEffect(Guarded.send(app, question), times)
    ).pipe(Effect.provide(services))
    return { answers, asked, outcomes: decisions.map(({ outcome }) => outcome) }
  }).pipe(Effect.scoped)

describe("several guards on one request: one question, one decision (RS-30, D1)", () => {
  for (const [name, make] of Object.entries(compositions)) {
    it.effect(`${name}: accepted`, () =>
      Effect.gen(function* () {
        const { answers, asked: count, outcomes } = yield* asked(make, { token: "t" }, 2)
        assert.deepStrictEqual(
          answers.map(({ text }) => text),
          ["alice", "alice"]
        )
        assert.strictEqual(count, 2, "once for each request")
        assert.deepStrictEqual(outcomes, ["Accepted", "Accepted"])
      })
    )

    it.effect(`${name}: refused`, () =>
      Effect.gen(function* () {
        const { answers, asked: count, outcomes } = yield* asked(make, {})
        assert.strictEqual(answers[0]?.challenge, Guarded.missingChallenge)
        assert.strictEqual(count, 0)
        assert.deepStrictEqual(outcomes, ["Missing"])
      })
    )
  }
})

describe("a guard that would decide on other grounds decides for itself (RS-32, D2)", () => {
  const inner = text(whoami)
  const other = Guarded.configOf({ resource: "https://mcp.example.com/other" })
  const provided = Effect.provideService(AuthConfig.AuthConfig, other)

  const known = Layer.mergeAll(
    Layer.succeed(AuthConfig.AuthConfig, Guarded.configOf()),
    Authorizer.layerTest({
      alice: { scopes: ["mcp:tools"], audience: [Guarded.resource] },
      bob: { scopes: ["mcp:tools"], audience: [Guarded.resource] }
    })
  )
  const answer = <E>(app: App<E>, token: string) => Effect.provide(Guarded.send(app, { token }), known)

  it.effect("another resource", () =>
    Effect.gen(function* () {
      const nested = HttpAppAuth.middleware(provided(HttpAppAuth.middleware(inner)))
      const { challenge, status } = yield* answer(nested, "alice")
      assert.strictEqual(status, 401)
      assert.include(challenge, `resource_metadata="${other.resourceMetadataUrl}"`)
      // And back: whoever is let in by the one in the middle is asked again, too.
      const back = HttpAppAuth.middleware(
        Effect.provide(HttpAppAuth.middleware(provided(HttpAppAuth.middleware(inner))), known)
      )
      assert.strictEqual((yield* answer(back, "alice")).status, 401)
    })
  )

  it.effect("another authorizer", () =>
    Effect.gen(function* () {
      const strict = Effect.provide(
        HttpAppAuth.middleware(inner),
        Authorizer.layerTest({ bob: { scopes: ["mcp:tools"] } })
      )
      const nested = HttpAppAuth.middleware(strict)
      assert.strictEqual((yield* answer(nested, "alice")).status, 401)
      assert.strictEqual((yield* answer(nested, "bob")).text, "bob")
    })
  )

  it.effect("other headers, which somebody in between has put there", () =>
    Effect.gen(function* () {
      const as = (authorization: string) =>
        Effect.updateService(HttpServerRequest.HttpServerRequest, (request) =>
          request.modify({ headers: Headers.fromInput({ ...request.headers, authorization }) })
        )
      const nested = (authorization: string) => HttpAppAuth.middleware(as(authorization)(HttpAppAuth.middleware(inner)))
      assert.strictEqual((yield* answer(nested("Bearer bob"), "alice")).text, "bob")
      assert.strictEqual((yield* answer(nested("Bearer mallory"), "alice")).status, 401)
    })
  )

  it.effect("another request, although the fiber remembers the one before", () =>
    Effect.gen(function* () {
      let kept: Context.Context<never> | undefined
      const keeping = HttpAppAuth.middleware(
        Effect.zipRight(
          Effect.map(Effect.context<never>(), (context) => {
            kept = context
          }),
          inner
        )
      )
      assert.strictEqual((yield* answer(keeping, "alice")).text, "alice")
      const guarded = HttpAppAuth.middleware(inner)
      const replayed = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        guarded.pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.provide(kept ?? Context.empty())
        )
      )
      assert.strictEqual((yield* answer(replayed, "mallory")).status, 401)
      assert.strictEqual((yield* answer(replayed, "bob")).text, "bob")
    })
  )
})
