// What is particular to HttpLayerRouterAuth. How it answers is in Adapters.test.ts, and who is seen by whom in Callers.test.ts.
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
import { CurrentClaims } from "../../src/server/Claims.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as Tenancy from "../../src/server/Tenancy.js"
import { challengeOf, configOf, missingChallenge, type Question, send } from "./fixtures/Guarded.js"

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
  HttpLayerRouter.add(
    "GET",
    "/own",
    Effect.catchAll(Effect.fail(new Missing()), ({ _tag }) => HttpServerResponse.text(_tag))
  )
).pipe(
  Layer.provide(HttpLayerRouterAuth.layer),
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

  it.effect("RS-33, F8 of several resources in one router, the one that covers an unknown path refuses it", () => {
    const as = (path: string, name: string) =>
      HttpLayerRouter.add("GET", `${path}/known` as `/${string}`, whoami).pipe(
        Layer.provide(HttpLayerRouterAuth.layer),
        Layer.provide(Authorizer.layerTest({ [`for-${name}`]: { subject: name, scopes: ["mcp:tools"] } })),
        Layer.provide(Layer.succeed(AuthConfig.AuthConfig, configOf({ resource: `https://mcp.example.com${path}` })))
      )
    return Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(Layer.mergeAll(as("/a", "a"), as("/a/b", "b"), as("/c/", "c")))
      for (const [path, name, resource] of [
        ["/a/x", "a", "/a"],
        ["/a", "a", "/a"],
        ["/a?/a/b", "a", "/a"],
        ["/ab", "a", "/a"],
        ["/a/b", "b", "/a/b"],
        ["/a/b/x", "b", "/a/b"],
        ["/a/bx", "a", "/a"],
        ["/c", "c", "/c/"],
        ["/c/x", "c", "/c/"],
        ["/", "a", "/a"],
        ["/elsewhere", "a", "/a"]
      ] as const) {
        const { challenge } = yield* send(app, { path })
        const document = `https://mcp.example.com/.well-known/oauth-protected-resource${resource}`
        assert.strictEqual(challenge, challengeOf({ resource_metadata: document, scope: "mcp:tools" }), path)
        for (const other of ["a", "b", "c"]) {
          const { status } = yield* send(app, { path, token: `for-${other}` })
          assert.strictEqual(status, other === name ? 404 : 401, `${path} with a token for ${other}`)
        }
      }
    }).pipe(Effect.scoped)
  })

  it.effect("one guard that passes and one that refuses: unknown routes are refused", () =>
    Effect.gen(function* () {
      const guarded = (path: `/${string}`) =>
        HttpLayerRouter.add("GET", path, whoami).pipe(Layer.provide(HttpLayerRouterAuth.layer), Layer.provide(services))
      const passing = Layer.provide(guarded("/a"), Layer.succeed(HttpLayerRouterAuth.UnknownRoutes, "pass"))
      const statusOf = (routes: typeof passing) =>
        Effect.flatMap(HttpLayerRouter.toHttpEffect(routes), (app) => send(app, { path: "/nowhere" }))
      assert.strictEqual((yield* statusOf(passing)).status, 404)
      assert.strictEqual((yield* statusOf(Layer.merge(passing, guarded("/b")))).challenge, missingChallenge)
    }).pipe(Effect.scoped)
  )

  it.effect("what is in the context of an unknown request is not replaced for those who come after the guard", () =>
    Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(routes)
      const other = configOf({ resource: "https://other.example.com" })
      const seen = app.pipe(
        Effect.catchAll(() => Effect.map(AuthConfig.AuthConfig, ({ resource }) => HttpServerResponse.text(resource))),
        Effect.provideService(AuthConfig.AuthConfig, other)
      )
      assert.strictEqual((yield* send(seen, { path: "/nowhere", token: "bob" })).text, other.resource)
    }).pipe(Effect.scoped)
  )

  it.effect("F9 the guard of everything serves the document, and that of no other resource", () =>
    Effect.gen(function* () {
      const app = yield* HttpLayerRouter.toHttpEffect(
        HttpLayerRouter.add("*", "/*", whoami).pipe(
          Layer.provide(HttpLayerRouterAuth.layerGlobal),
          Layer.provide(services)
        )
      )
      const root = "/.well-known/oauth-protected-resource"
      for (const [path, status] of [
        [root, 200],
        [`${root}/mcp`, 200],
        [`${root}/mcp?tenant=x`, 200],
        [`${root}/other`, 401],
        [`${root}/mcp/x`, 401],
        [`${root}x`, 401],
        ["/.well-known/other", 401],
        ["/", 401]
      ] as const) {
        assert.strictEqual((yield* send(app, { path })).status, status, path)
      }
      assert.strictEqual((yield* send(app, { path: `${root}/mcp`, method: "POST" })).status, 405)
      assert.strictEqual((yield* send(app, { path: `${root}/other`, token: "alice" })).text, "alice")
    }).pipe(Effect.scoped)
  )

  it.effect("an error of the app of the same name is the app's", () =>
    Effect.map(ask({ path: "/own", token: "bob" }), ({ text }) => assert.strictEqual(text, "Missing"))
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
