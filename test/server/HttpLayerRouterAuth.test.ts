import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { CurrentClaims, requireScopes } from "../../src/server/Claims.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as Tenancy from "../../src/server/Tenancy.js"
import {
  configOf,
  invalidChallenge,
  missingChallenge,
  type Question,
  scopeChallenge,
  send
} from "./fixtures/Guarded.js"

const services = Layer.merge(
  Authorizer.layerTest({
    alice: { subject: "alice", scopes: ["mcp:tools", "files:write"] },
    bob: { subject: "bob", scopes: ["mcp:tools"] }
  }),
  Layer.succeed(AuthConfig.AuthConfig, configOf())
)

class Missing extends Data.TaggedError("Missing") {}

const whoami = Effect.map(CurrentClaims, ({ subject }) => HttpServerResponse.text(subject))

const routes = Layer.mergeAll(
  HttpLayerRouter.add("GET", "/whoami", whoami),
  HttpLayerRouter.add("POST", "/write", Effect.zipRight(requireScopes("files:write"), whoami)),
  HttpLayerRouter.add(
    "GET",
    "/own",
    Effect.catchAll(Effect.fail(new Missing()), ({ _tag }) => HttpServerResponse.text(_tag))
  ),
  HttpLayerRouter.add("GET", "/die", Effect.die(new Error("hunter2")))
).pipe(
  Layer.provide(HttpLayerRouterAuth.layer),
  Layer.merge(HttpLayerRouter.add("GET", "/public", HttpServerResponse.text("public"))),
  Layer.merge(HttpLayerRouterAuth.layerMetadata),
  Layer.provide(services)
)

const ask = (question: Question) =>
  Effect.scoped(Effect.flatMap(HttpLayerRouter.toHttpEffect(routes), (app) => send(app, question)))

describe("HttpLayerRouterAuth", () => {
  it.effect("RS-33, F8 two resources in one router: each is guarded by its own configuration and authorizer", () => {
    const guarded = (name: string) =>
      HttpLayerRouter.add("GET", `/${name}`, whoami).pipe(
        Layer.provide(HttpLayerRouterAuth.layer),
        Layer.provide(Authorizer.layerTest({ [`for-${name}`]: { subject: name, scopes: ["mcp:tools"] } })),
        Layer.provide(Layer.succeed(AuthConfig.AuthConfig, configOf({ resource: `https://mcp.example.com/${name}` })))
      )
    return Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(Layer.merge(guarded("a"), guarded("b")))
      for (const [path, token, status] of [
        ["/a", "for-a", 200],
        ["/b", "for-b", 200],
        ["/a", "for-b", 401],
        ["/b", "for-a", 401]
      ] as const) {
        assert.strictEqual((yield* send(app, { path, token })).status, status, `${path} ${token}`)
      }
      assert.include((yield* send(app, { path: "/b" })).challenge ?? "", "/.well-known/oauth-protected-resource/b")
    }).pipe(Effect.scoped)
  })

  /** A resource as an application has one: its routes, its guard, its document, its configuration. */
  const resourceOf = (resource: string, tenant?: string) =>
    HttpLayerRouter.add("GET", resource.replace(/^https:\/\/[^/]+/, "") as HttpLayerRouter.PathInput, whoami).pipe(
      Layer.provide(HttpLayerRouterAuth.layer),
      Layer.merge(HttpLayerRouterAuth.layerMetadata),
      Layer.provide(
        tenant === undefined
          ? Layer.empty
          : Layer.succeed(Tenancy.Tenancy, { authorizationServers: Effect.succeed(tenant) })
      ),
      Layer.provide(Authorizer.layerTest({})),
      Layer.provide(Layer.succeed(AuthConfig.AuthConfig, configOf({ resource })))
    )
  const origin = "https://mcp.example.com"
  const documentAt = <E>(app: HttpApp.Default<E, Scope.Scope>, path: string) =>
    Effect.map(send(app, { path: `/.well-known/oauth-protected-resource${path}` }), ({ body, status }) =>
      status === 200
        ? (body as { readonly resource: string; readonly authorization_servers: ReadonlyArray<string> })
        : status
    )

  it.scoped("F7, F8, F2 each resource of a router has its own document, by its own tenancy", () =>
    Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(
        Layer.mergeAll(resourceOf(`${origin}/a`), resourceOf(`${origin}/b`, "https://b.as.example"))
      )
      for (const [resource, issuer] of [
        ["/a", "https://as.example"],
        ["/b", "https://b.as.example"]
      ] as const) {
        for (const path of [resource, `${resource}/`]) {
          assert.deepInclude(yield* documentAt(app, path), {
            resource: `${origin}${resource}`,
            authorization_servers: [issuer]
          })
        }
      }
      for (const path of ["", "/", "/c", "/a/b"]) assert.strictEqual(yield* documentAt(app, path), 404, path)
    })
  )

  it.scoped("F8 of several, that of the resource at the origin is at the root", () =>
    Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(
        Layer.mergeAll(resourceOf(`${origin}/a`), resourceOf(`${origin}/`), resourceOf(`${origin}/b`))
      )
      assert.deepInclude(yield* documentAt(app, ""), { resource: `${origin}/` })
      assert.deepInclude(yield* documentAt(app, "/b"), { resource: `${origin}/b` })
    })
  )

  it.scoped("F8 what two groups of one resource add is one document", () =>
    Effect.gen(function* () {
      const group = (path: HttpLayerRouter.PathInput) =>
        HttpLayerRouter.add("GET", path, whoami).pipe(
          Layer.provide(HttpLayerRouterAuth.layer),
          Layer.merge(HttpLayerRouterAuth.layerMetadata)
        )
      const app = yield* HttpLayerRouter.toHttpEffect(
        Layer.mergeAll(group("/x"), group("/y")).pipe(Layer.provide(services))
      )
      for (const path of ["", "/mcp"]) assert.deepInclude(yield* documentAt(app, path), { resource: `${origin}/mcp` })
    })
  )

  it.effect("F8 RS-12 two resources with one path are refused when the app is built", () =>
    Effect.gen(function* () {
      const documentOf = (resource: string) =>
        Layer.provide(HttpLayerRouterAuth.layerMetadata, Layer.succeed(AuthConfig.AuthConfig, configOf({ resource })))
      for (const other of ["https://other.example/a", `${origin}/a/`, `${origin}/a?tenant=b`, `${origin}/a`]) {
        const both = Layer.merge(documentOf(`${origin}/a`), documentOf(other))
        const refused = yield* Effect.flip(Effect.scoped(HttpLayerRouter.toHttpEffect(both)))
        assert.strictEqual(refused._tag, "ResourceConflict")
        assert.sameMembers([...refused.resources], [`${origin}/a`, other])
      }
    })
  )

  it.effect("D1 a handler reads its own caller", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask({ path: "/whoami", token: "alice" })).text, "alice")
      assert.strictEqual((yield* ask({ path: "/whoami", token: "bob" })).text, "bob")
    })
  )

  it.effect("E2, E3 refusals are answered with their challenge", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask({ path: "/whoami" })).challenge, missingChallenge)
      assert.strictEqual((yield* ask({ path: "/whoami", token: "mallory" })).challenge, invalidChallenge())
      const repeated = yield* ask({ path: "/whoami", headers: { authorization: "Bearer a, Bearer b" } })
      assert.strictEqual(repeated.status, 400)
    })
  )

  it.effect("RS-53 a handler's requireScopes is a 403 with a complete challenge", () =>
    Effect.gen(function* () {
      const refused = yield* ask({ path: "/write", method: "POST", token: "bob" })
      assert.strictEqual(refused.status, 403)
      assert.strictEqual(refused.challenge, scopeChallenge("files:write mcp:tools"))
      assert.strictEqual((yield* ask({ path: "/write", method: "POST", token: "alice" })).text, "alice")
    })
  )

  it.effect("P11 only what it is provided to is guarded; what is not there is 404", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask({ path: "/public" })).text, "public")
      for (const question of [{ path: "/nowhere" }, { path: "/whoami", method: "DELETE" }]) {
        const answer = yield* ask(question)
        assert.strictEqual(answer.status, 404)
        assert.isNull(answer.challenge)
      }
    })
  )

  it.effect("an error of the app of the same name is the app's", () =>
    Effect.map(ask({ path: "/own", token: "bob" }), ({ text }) => assert.strictEqual(text, "Missing"))
  )

  it.effect("a defect of the app is the app's", () =>
    Effect.map(ask({ path: "/die", token: "bob" }), (answer) => {
      assert.strictEqual(answer.status, 500)
      assert.isNull(answer.challenge)
      assert.notInclude(answer.text, "hunter2")
    })
  )

  it.effect("F9 the document is served beside, without a token", () =>
    Effect.map(ask({ path: "/.well-known/oauth-protected-resource/mcp" }), ({ status }) =>
      assert.strictEqual(status, 200)
    )
  )

  it.effect("a CurrentClaims from a layer is not the caller", () =>
    Effect.gen(function* () {
      const hostile = Layer.succeed(CurrentClaims, { subject: "root" } as never)
      const app = HttpLayerRouter.toHttpEffect(
        HttpLayerRouter.add("GET", "/whoami", whoami).pipe(
          Layer.provide(HttpLayerRouterAuth.layer),
          Layer.provide(services),
          Layer.provide(hostile)
        )
      )
      const answer = yield* Effect.scoped(Effect.flatMap(app, (app) => send(app, { path: "/whoami", token: "alice" })))
      assert.strictEqual(answer.text, "alice")
    })
  )

  it.effect("what is in the context of the request does not replace the services of the guard", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.provide(
        ask({ path: "/whoami", token: "mallory" }),
        Authorizer.layerTest({ mallory: { scopes: ["mcp:tools"] } })
      )
      assert.strictEqual(answer.status, 401)
    })
  )

  it.effect("it combines with other middleware, which then sees the caller", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const audit = HttpLayerRouter.middleware<{ provides: never }>()(
        Effect.succeed((handler) =>
          Effect.flatMap(Effect.serviceOption(CurrentClaims), (claims) => {
            seen.push(claims._tag === "Some" ? claims.value.subject : "nobody")
            return handler
          })
        )
      )
      const app = HttpLayerRouter.toHttpEffect(
        HttpLayerRouter.add("GET", "/whoami", whoami).pipe(
          Layer.provide(audit.combine(HttpLayerRouterAuth.middleware).layer),
          Layer.provide(services)
        )
      )
      yield* Effect.scoped(
        Effect.flatMap(app, (app) =>
          Effect.zipRight(
            send(app, { path: "/whoami", token: "alice" }),
            send(app, { path: "/whoami", token: "mallory" })
          )
        )
      )
      assert.deepStrictEqual(seen, ["alice"])
    })
  )
})
