import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ProtectedResourceMetadata from "../../src/discovery/ProtectedResourceMetadata.js"
import * as WellKnown from "../../src/protocol/WellKnown.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as Tenancy from "../../src/server/Tenancy.js"
import * as GuardedFetch from "../discovery/fixtures/GuardedFetch.js"
import * as PlatformServer from "../fixtures/PlatformServer.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"
import * as RawHttp from "./fixtures/RawHttp.js"

const origin = "https://mcp.example.com"
const root = "/.well-known/oauth-protected-resource"

const configOf = (path: string, more: Partial<AuthConfig.Input> = {}) =>
  AuthConfig.unsafeMake({ resource: `${origin}${path}`, authorizationServers: `https://as.example${path}`, ...more })

/** A token says whom it is for: `/files~x.read` is for that resource and has that scope. */
const authorizer = Authorizer.make(({ token, url }) => {
  const [path = "", ...scopes] = Redacted.value(token).split("~")
  return Effect.succeed(
    new Claims.Claims({
      issuer: "https://as.example",
      subject: url,
      audience: [`${origin}${path}`],
      scopes,
      raw: Redacted.make({})
    })
  )
})

/** Says which app answered, for which resource, and how it sees the request. */
const appOf = (name: string) =>
  Effect.gen(function* () {
    const { subject } = yield* Claims.CurrentClaims
    const request = yield* HttpServerRequest.HttpServerRequest
    return HttpServerResponse.text(`${name} ${subject} ${request.url}`)
  })

const fallback = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
  HttpServerResponse.text(`fallback ${url}`, { status: 404 })
)

const serverOf = (paths: ReadonlyArray<string>, rootPath?: string, more?: Partial<AuthConfig.Input>) => {
  const guarded = paths.map((path) => ({ config: configOf(path, more), app: appOf(path) }))
  return HttpAppAuth.resources(guarded, fallback, guarded.find((_, index) => paths[index] === rootPath)?.config).pipe(
    Either.getOrThrow
  )
}

const send = <E, R extends Authorizer.Authorizer>(app: HttpApp.Default<E, R>, question: Guarded.Question) =>
  Effect.provideService(Guarded.send(app, question), Authorizer.Authorizer, authorizer) as Effect.Effect<Guarded.Answer>

const metadataOf = (path: string) => `${origin}${root}${path}`

describe("several resources in one server (F7, F8)", () => {
  const server = serverOf(["/files", "/files/private", "/mail", "/mail2/"])

  const routes: ReadonlyArray<readonly [path: string, resource: string | undefined]> = [
    ["/files", "/files"],
    ["/files/", "/files"],
    ["/files?x=/mail", "/files"],
    ["/files/a/b", "/files"],
    ["/files/private", "/files/private"],
    ["/files/private/", "/files/private"],
    ["/files/private/x", "/files/private"],
    ["/files/privateer", "/files"],
    ["/files/../mail", "/mail"], // the URL of a request has no dots left
    ["/mail", "/mail"],
    ["/mail2", "/mail2/"],
    ["/mail2/x", "/mail2/"],
    ["/mail3", undefined],
    ["/filesystem", undefined],
    ["/Files", undefined],
    ["//files", undefined],
    ["/%66iles", undefined],
    ["/x/files", undefined],
    ["/", undefined]
  ]
  it.effect.each(routes)("F8 %s belongs to the resource that covers it, the longest first", ([path, resource]) =>
    Effect.gen(function* () {
      const missing = yield* send(server, { path })
      if (resource === undefined) {
        assert.deepStrictEqual([missing.status, missing.text.split(" ")[0]], [404, "fallback"])
        assert.isNull(missing.challenge)
        return
      }
      assert.strictEqual(missing.challenge, Guarded.challengeOf({ resource_metadata: metadataOf(resource) }))
      const own = yield* send(server, { path, token: resource })
      assert.strictEqual(own.status, 200)
      assert.strictEqual(own.text.split(" ").slice(0, 2).join(" "), `${resource} ${origin}${resource}`)
      // The token of any other resource is refused, the one of a parent included (RS-32, RS-34).
      for (const other of ["/files", "/files/private", "/mail", "/mail2/", ""].filter((one) => one !== resource)) {
        const foreign = yield* send(server, { path, token: other })
        assert.strictEqual(foreign.status, 401, other)
        assert.include(foreign.challenge, `resource_metadata="${metadataOf(resource)}"`)
      }
    })
  )

  it.effect("the order in which they are listed makes no difference", () =>
    Effect.gen(function* () {
      const other = serverOf(["/mail2/", "/mail", "/files/private", "/files"])
      for (const [path] of routes) {
        const question = { path, token: "/files/private" }
        assert.deepStrictEqual((yield* send(other, question)).text, (yield* send(server, question)).text)
      }
    })
  )

  it.effect("each is guarded by its own configuration", () =>
    Effect.gen(function* () {
      const files = configOf("/files", { requiredScopes: ["files.read"] })
      const mail = configOf("/mail", { requiredScopes: ["mail.read"], audiences: [`${origin}/all`] })
      const server = HttpAppAuth.resources(
        [
          { config: files, app: appOf("files") },
          { config: mail, app: appOf("mail") }
        ],
        fallback
      ).pipe(Either.getOrThrow)
      const status = (path: string, token: string) => Effect.map(send(server, { path, token }), ({ status }) => status)
      assert.strictEqual(yield* status("/files", "/files~files.read"), 200)
      assert.strictEqual(yield* status("/files", "/files~mail.read"), 403)
      assert.strictEqual(yield* status("/mail", "/mail~mail.read"), 200)
      assert.strictEqual(yield* status("/mail", "/all~mail.read"), 200)
      assert.strictEqual(yield* status("/files", "/all~files.read"), 401)
      const refused = yield* send(server, { path: "/mail", token: "/mail" })
      assert.include(refused.challenge, 'scope="mail.read"')
      assert.include(refused.challenge, `resource_metadata="${metadataOf("/mail")}"`)
    })
  )

  it.scoped("one JwtAuthorizer serves them all, each by its own audience (RS-32)", () =>
    Effect.gen(function* () {
      const key = yield* Effect.promise(() => Keys.make("ES256", "k"))
      const issuer = "https://as.example"
      const jwks = `${issuer}/jwks`
      const configs = ["/files", "/mail"].map((path) => configOf(path, { authorizationServers: issuer }))
      const jwt = yield* JwtAuthorizer.make({ jwksUri: { [issuer]: jwks } }).pipe(
        Effect.provideService(AuthConfig.AuthConfig, configs[0]!),
        Effect.provideService(
          HttpClient.HttpClient,
          Network.make(Network.documents({ [jwks]: { keys: [key.jwk] } })).client
        )
      )
      const server = HttpAppAuth.resources(
        configs.map((config) => ({ config, app: appOf(config.resource) })),
        fallback
      ).pipe(Either.getOrThrow)
      const token = (path: string) =>
        Effect.promise(() =>
          key.token({ iss: issuer, aud: `${origin}${path}`, sub: "s", client_id: "c", exp: 60, iat: 0, jti: "1" })
        )
      for (const [path, audience, status] of [
        ["/files", "/files", 200],
        ["/files", "/mail", 401],
        ["/mail", "/mail", 200],
        ["/mail", "/files", 401]
      ] as const) {
        const question = { path, token: yield* token(audience) }
        const answer = yield* Effect.provideService(Guarded.send(server, question), Authorizer.Authorizer, jwt)
        assert.strictEqual(answer.status, status, `${audience} at ${path}`)
      }
    })
  )

  it.scopedLive(
    "RS-12, RS-32 over a socket: one router for all of them, and no target gets to a neighbour's handler",
    () =>
      Effect.gen(function* () {
        const reached: Array<string> = []
        const handler = (name: string) =>
          Effect.map(Claims.CurrentClaims, ({ audience }) => {
            reached.push(`${audience[0]} at ${name}`)
            return HttpServerResponse.text(name)
          })
        const router = HttpRouter.empty.pipe(
          HttpRouter.all("/files/private", handler("/files/private")),
          HttpRouter.all("/files/private/*", handler("/files/private")),
          HttpRouter.all("/files/*", handler("/files")),
          HttpRouter.all("/mail", handler("/mail"))
        )
        const app = HttpAppAuth.resources(
          ["/files", "/files/private", "/mail"].map((path) => ({ config: configOf(path), app: router })),
          HttpServerResponse.empty({ status: 404 })
        ).pipe(Either.getOrThrow)
        const server = yield* Layer.build(
          Layer.provideMerge(
            HttpServer.serve(
              app.pipe(Effect.catchTag("RouteNotFound", () => HttpServerResponse.empty({ status: 404 })))
            ),
            PlatformServer.layer
          ).pipe(Layer.provide(Layer.succeed(Authorizer.Authorizer, authorizer)))
        )
        const port = yield* Effect.provide(PlatformServer.port, server)
        const ask = (path: string, token: string) =>
          Effect.promise(() => RawHttp.send(port, { path, headers: [["Authorization", `Bearer ${token}`]] }))
        for (const path of [
          "/files/private/x",
          "/files/%70rivate/x",
          "/files/%2570rivate/x",
          "/files//private/x",
          "/files/./private/x",
          "/files/y/../private/x",
          "/files/y/%2e%2e/private/x",
          "/files/..%2fmail",
          "/files/../mail",
          "/files/PRIVATE/x",
          "/files/private;x",
          "/files/private#x",
          "/files\\private\\x",
          "http://mcp.example.com/files/%70rivate/x",
          "http://mcp.example.com//files/private/x"
        ]) {
          for (const token of ["/files", "/files/private", "/mail"]) {
            assert.oneOf((yield* ask(path, token)).status, [200, 400, 401, 404], path)
          }
        }
        for (const line of reached) assert.match(line, /^https:\/\/mcp\.example\.com(\S+) at \1$/)
        assert.include(reached, `${origin}/files/private at /files/private`)
        assert.strictEqual((yield* ask("http://mcp.example.com/files/x", "/files")).text, "/files")
        assert.strictEqual((yield* ask("https://other.example/files/private/x", "/files/private")).status, 200)
      })
  )

  it.effect("RS-12 the resource is chosen by the path, and never by what Host says", () =>
    Effect.gen(function* () {
      const headers = { host: "evil.example", "x-forwarded-host": "evil.example", "x-original-url": "/mail" }
      const answer = yield* send(server, { path: "/files", headers })
      assert.strictEqual(answer.challenge, Guarded.challengeOf({ resource_metadata: metadataOf("/files") }))
    })
  )

  const conflicts: ReadonlyArray<readonly [name: string, resources: readonly [string, string], path: string]> = [
    ["the same one twice", [`${origin}/files`, `${origin}/files`], "/files"],
    ["with and without a final slash", [`${origin}/files`, `${origin}/files/`], "/files"],
    ["on another host", [`${origin}/files`, "https://other.example/files"], "/files"],
    ["on another port", [`${origin}/files`, `${origin}:8443/files`], "/files"],
    ["with a query", [`${origin}/files?tenant=a`, `${origin}/files?tenant=b`], "/files"],
    ["both the origin", [origin, `${origin}/`], ""]
  ]
  it.each(conflicts)("F7, F8 RS-12 two with one path are refused, not shadowed: %s", (_, [first, second], path) => {
    const guarded = [first, `${origin}/mail`, second].map((resource) => ({
      config: configOf("", { resource }),
      app: appOf(resource)
    }))
    const refused = Either.flip(HttpAppAuth.resources(guarded, fallback)).pipe(Either.getOrThrow)
    assert.deepInclude(refused, { _tag: "ResourceConflict", path: `${root}${path}`, resources: [first, second] })
    assert.strictEqual(
      refused.message,
      `${first} and ${second} are served by one server and have the document ${root}${path} in common`
    )
  })

  it("F8 a root that takes the document of the resource at the origin is refused", () => {
    const [atOrigin, files] = [configOf(""), configOf("/files")]
    const guarded = [atOrigin, files].map((config) => ({ config, app: appOf(config.resource) }))
    const refused = Either.flip(HttpAppAuth.resources(guarded, fallback, files)).pipe(Either.getOrThrow)
    assert.deepInclude(refused, { path: root, resources: [atOrigin.resource, files.resource] })
    assert.isTrue(Either.isRight(HttpAppAuth.resources(guarded, fallback, atOrigin)))
  })

  it.effect("of no resources at all everything is the fallback's, and no document is served", () =>
    Effect.gen(function* () {
      const empty = serverOf([])
      assert.strictEqual((yield* send(empty, { path: "/files", token: "/files" })).text, "fallback /files")
      assert.strictEqual((yield* send(empty, { path: root })).status, 404)
    })
  )
})

describe("their documents (F2, F3, F7, F8, PR-01)", () => {
  const server = serverOf(["/files", "/files/private", "/mail2/"], "/files")

  const documents: ReadonlyArray<readonly [path: string, resource: string | undefined]> = [
    ["/files", "/files"],
    ["/files/", "/files"],
    ["/files?tenant=x", "/files"],
    ["/files/private", "/files/private"],
    ["/files/private/", "/files/private"],
    ["/mail2", "/mail2/"],
    ["/mail2/", "/mail2/"],
    ["", "/files"],
    ["?x", "/files"],
    ["/", undefined],
    ["/files//", undefined],
    ["/files/private/x", undefined],
    ["/fil", undefined],
    ["/filesystem", undefined],
    ["/FILES", undefined],
    ["/%66iles", undefined],
    ["/mail", undefined],
    ["/__proto__", undefined],
    ["/constructor", undefined],
    ["/.well-known/oauth-protected-resource/files", undefined]
  ]
  it.effect.each(documents)("F8 the document at %j", ([path, resource]) =>
    Effect.gen(function* () {
      const answer = yield* send(server, { path: `${root}${path}` })
      assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
      if (resource === undefined) {
        assert.strictEqual(answer.status, 404)
        assert.strictEqual(answer.headers.get("cache-control"), "no-store")
        assert.deepStrictEqual(answer.body, {
          error: "invalid_request",
          error_description: "No such protected resource"
        })
      } else {
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(answer.body, {
          resource: `${origin}${resource}`,
          authorization_servers: [`https://as.example${resource}`],
          bearer_methods_supported: ["header"]
        })
      }
      for (const [method, status] of [
        ["HEAD", resource === undefined ? 404 : 200],
        ["OPTIONS", resource === undefined ? 404 : 204],
        ["POST", resource === undefined ? 404 : 405]
      ] as const) {
        assert.strictEqual((yield* send(server, { path: `${root}${path}`, method })).status, status, method)
      }
    })
  )

  it.effect("F6 what only looks like the well-known prefix is not taken from the fallback", () =>
    Effect.gen(function* () {
      for (const path of [`${root}x`, `${root}.json`, "/.well-known/oauth-authorization-server", `/x${root}`]) {
        assert.strictEqual((yield* send(server, { path })).text, `fallback ${path}`)
      }
    })
  )

  it.effect("F8 without a root, and none of them at the origin, the root is 404", () =>
    Effect.gen(function* () {
      const server = serverOf(["/files", "/mail"])
      assert.strictEqual((yield* send(server, { path: root })).status, 404)
      assert.strictEqual((yield* send(server, { path: `${root}/files` })).status, 200)
    })
  )

  it.effect("F8 the root is the document of the resource at the origin, wherever it is listed", () =>
    Effect.gen(function* () {
      for (const paths of [
        ["", "/files"],
        ["/files", ""],
        ["/files", "/"]
      ]) {
        const own = paths.find((path) => path !== "/files") ?? ""
        const server = serverOf(paths)
        assert.deepInclude((yield* send(server, { path: root })).body as object, { resource: `${origin}${own}` })
        assert.deepInclude((yield* send(server, { path: `${root}/files` })).body as object, {
          resource: `${origin}/files`
        })
        // It covers what no other does.
        const other = yield* send(server, { path: "/anything" })
        assert.strictEqual(other.challenge, Guarded.challengeOf({ resource_metadata: `${origin}${root}` }))
        assert.strictEqual((yield* send(server, { path: "/files", token: own })).status, 401)
      }
    })
  )

  it.effect("F8 a single resource has the root document as well", () =>
    Effect.gen(function* () {
      const server = serverOf(["/files"])
      assert.deepInclude((yield* send(server, { path: root })).body as object, { resource: `${origin}/files` })
    })
  )

  it.effect("F5 A13 a document depends on the request where issuers do, for each resource", () =>
    Effect.gen(function* () {
      const authorizationServers = Effect.map(
        HttpServerRequest.HttpServerRequest,
        ({ url }) => `https://as.example${url.slice(root.length)}`
      )
      for (const path of ["/files", "/files/private"]) {
        const answer = yield* Effect.provideService(send(server, { path: `${root}${path}` }), Tenancy.Tenancy, {
          authorizationServers
        })
        assert.deepInclude(answer.body as object, {
          resource: `${origin}${path}`,
          authorization_servers: [`https://as.example${path}`]
        })
        assert.strictEqual(answer.headers.get("cache-control"), "no-store")
      }
    })
  )
})

describe("what a client makes of them (RFC 9728 section 3.3; PR-06, PR-07, PR-08, RS-06)", () => {
  const paths = ["", "/files", "/files/private", "/mail/", "/q", "/%C3%A4", "/a//b"]
  const server = serverOf(paths)
  /** The network as a client sees it: the server under test, at its origin. */
  const network = (calls: Array<string>, of: typeof server) =>
    HttpClient.make((request, url) =>
      Effect.suspend(() => {
        calls.push(url.href)
        return Effect.flatMap(
          send(of, { path: url.href.slice(origin.length) || "/", method: request.method }),
          ({ headers, status, text }) =>
            Network.make(() => new Response(text, { status, headers })).client.execute(request)
        )
      })
    )

  const discover = (endpoint: string, challengeUrl?: string, of = server) =>
    Effect.suspend(() => {
      const calls: Array<string> = []
      return ProtectedResourceMetadata.discover({ endpoint, policy: "exact", challengeUrl }).pipe(
        GuardedFetch.over(network(calls, of)),
        Effect.map(({ resource }) => [resource, calls] as const)
      )
    })

  it.effect.each(paths)("PR-07 the challenge of %j leads to a document whose resource is that URL", (path) =>
    Effect.gen(function* () {
      const { challenge } = yield* send(server, { path: path === "" ? "/" : path })
      const url = /resource_metadata="([^"]*)"/.exec(challenge ?? "")?.[1]
      assert.strictEqual(url, WellKnown.protectedResource(`${origin}${path}`))
      const [resource, calls] = yield* discover(`${origin}${path}`, url)
      assert.strictEqual(resource, `${origin}${path}`)
      assert.deepStrictEqual(calls, [url])
    })
  )

  it.effect.each(paths)("PR-06 without a challenge the first well-known URL of %j leads there as well", (path) =>
    Effect.gen(function* () {
      const [resource, calls] = yield* discover(`${origin}${path}`)
      assert.strictEqual(resource, `${origin}${path}`)
      assert.strictEqual(calls.length, 1)
    })
  )

  it.effect.each(["/files/private/x", "/mail2", "/FILES", "/files%2Fprivate", "/mail/x"])(
    "RS-06 %s is no resource: what is found for it is the origin, and never a neighbour",
    (path) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* discover(`${origin}${path}`))[0], origin)
      })
  )

  it.effect("RS-06 a root document that is a path's is taken by nobody else who compares exactly", () =>
    Effect.gen(function* () {
      const server = serverOf(["/files", "/mail"], "/files")
      const error = yield* Effect.flip(discover(`${origin}/other`, undefined, server))
      assert.deepStrictEqual({ ...error.mismatch }, { expected: origin, actual: `${origin}/files` })
      assert.strictEqual((yield* discover(`${origin}/mail`, undefined, server))[0], `${origin}/mail`)
    })
  )
})
