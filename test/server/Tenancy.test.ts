import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as WwwAuthenticate from "../../src/protocol/WwwAuthenticate.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as CachedAuthorizer from "../../src/server/CachedAuthorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as Guard from "../../src/server/Guard.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as HttpLayerRouterAuth from "../../src/server/HttpLayerRouterAuth.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as Tenancy from "../../src/server/Tenancy.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Logs from "./fixtures/Logs.js"
import * as Network from "./fixtures/Network.js"
import * as Whoami from "./fixtures/Whoami.js"

const { issuer, resource } = Guarded

type App = HttpApp.Default<unknown, Scope.Scope>
type Services = Layer.Layer<AuthConfig.AuthConfig | Authorizer.Authorizer>

const routes = Layer.merge(
  Layer.provide(HttpLayerRouter.add("*", "/mcp", Whoami.app), HttpLayerRouterAuth.layer),
  HttpLayerRouterAuth.layerMetadata
)

/** The same server in front of each adapter, with the resolvers in a layer beside the other services. */
const adapters: Readonly<Record<string, (services: Services) => Effect.Effect<App, never, Scope.Scope>>> = {
  HttpAppAuth: (services) =>
    Effect.succeed(Whoami.app.pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata, Effect.provide(services))),
  HttpLayerRouterAuth: (services) =>
    // A router of its own for each server: within one memo map there is one router.
    Effect.flatMap(Layer.makeMemoMap, (memoMap) =>
      HttpLayerRouter.toHttpEffect(Layer.provide(routes, services)).pipe(
        Effect.provideService(Layer.CurrentMemoMap, memoMap)
      )
    ) as Effect.Effect<App, never, Scope.Scope>
}

const known = Authorizer.layerTest({
  alice: { subject: "alice", scopes: ["mcp:tools", "mcp:write"] },
  bob: { subject: "bob", scopes: ["mcp:tools"] }
})

const claimsOf = (subject: string, url: string) =>
  new Claims.Claims({ issuer, subject, audience: [url], scopes: ["mcp:tools"], raw: Redacted.make({}) })

const servicesOf = (
  resolvers: Tenancy.Resolvers,
  config: AuthConfig.AuthConfig = Guarded.configOf(),
  authorizer: Layer.Layer<Authorizer.Authorizer> = known
): Services =>
  Layer.mergeAll(Layer.succeed(AuthConfig.AuthConfig, config), Layer.succeed(Tenancy.Tenancy, resolvers), authorizer)

const serve = (adapter: string, ...args: Parameters<typeof servicesOf>) =>
  Effect.map(
    adapters[adapter]!(servicesOf(...args)),
    (app) => (question?: Guarded.Question) => Guarded.send(app, question)
  )

const header = (name: string) => Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => headers[name])
const path = "/.well-known/oauth-protected-resource/mcp"

const assertUnavailable = (answer: Guarded.Answer) => {
  assert.strictEqual(answer.status, 503)
  assert.isNull(answer.challenge)
  assert.strictEqual(answer.headers.get("retry-after"), "1")
  assert.strictEqual(answer.headers.get("cache-control"), "no-store")
  assert.deepStrictEqual(answer.body, { error: "server_error", error_description: "Service Unavailable" })
}

/** Values that types forbid, as a data base or a header may give them all the same. */
const untyped = <A>(value: unknown): Effect.Effect<A> => Effect.succeed(value as A)

describe.each(Object.keys(adapters))("%s", (adapter) => {
  it.scoped("A13 the issuers of a request are its own: a token of one tenant is refused at another", () =>
    Effect.gen(function* () {
      const tenants = { a: "https://a.example", b: "https://b.example/t/b" } as const
      // Both tenants' servers know their keys by the same name.
      const keys = yield* Effect.promise(async () => ({
        a: await Keys.make("ES256", "1"),
        b: await Keys.make("ES256", "1")
      }))
      const network = Network.make(
        Network.documents({
          "https://a.example/.well-known/oauth-authorization-server": {
            issuer: tenants.a,
            jwks_uri: "https://a.example/k"
          },
          "https://a.example/k": { keys: [keys.a.jwk] },
          "https://b.example/.well-known/oauth-authorization-server/t/b": {
            issuer: tenants.b,
            jwks_uri: "https://b.example/k"
          },
          "https://b.example/k": { keys: [keys.b.jwk] }
        })
      )
      const config = Guarded.configOf({ authorizationServers: "https://nobody.example" })
      const jwt = yield* JwtAuthorizer.make().pipe(
        Effect.provideService(HttpClient.HttpClient, network.client),
        Effect.provideService(AuthConfig.AuthConfig, config)
      )
      const cached = yield* CachedAuthorizer.make({ capacity: 10, maxAge: "1 hour" })(jwt)
      const resolver = Effect.flatMap(header("x-tenant"), (tenant) =>
        tenant === "a" || tenant === "b" ? Effect.succeed(tenants[tenant]) : Effect.fail("no such tenant")
      )
      const tokens = yield* Effect.promise(async () => {
        const claims = { aud: resource, sub: "s", client_id: "c", exp: 60, iat: 0, jti: "1", scope: "mcp:tools" }
        return {
          a: await keys.a.token({ ...claims, iss: tenants.a }),
          b: await keys.b.token({ ...claims, iss: tenants.b }),
          "a's key, b's name": await keys.a.token({ ...claims, iss: tenants.b }),
          "the configured one": await keys.a.token({ ...claims, iss: "https://nobody.example" })
        }
      })
      for (const authorizer of [jwt, cached]) {
        const send = yield* serve(
          adapter,
          { authorizationServers: resolver },
          config,
          Layer.succeed(Authorizer.Authorizer, authorizer)
        )
        const status = (token: keyof typeof tokens, tenant: string) =>
          Effect.map(send({ token: tokens[token], headers: { "x-tenant": tenant } }), ({ status }) => status)
        // Twice, so that keys and cached claims are there as well as not.
        for (let n = 0; n < 2; n++) {
          assert.strictEqual(yield* status("a", "a"), 200)
          assert.strictEqual(yield* status("a", "b"), 401)
          assert.strictEqual(yield* status("b", "b"), 200)
          assert.strictEqual(yield* status("b", "a"), 401)
          assert.strictEqual(yield* status("a's key, b's name", "a"), 401)
          assert.strictEqual(yield* status("a's key, b's name", "b"), 401)
          assert.strictEqual(yield* status("the configured one", "a"), 401)
          // Who cannot be told apart gets nowhere, with whatever token.
          assertUnavailable(yield* send({ token: tokens.a, headers: { "x-tenant": "c" } }))
          assertUnavailable(yield* send({ token: tokens.a }))
        }
      }
      assert.strictEqual(network.asked.filter((url) => url.includes("nobody")).length, 0)
    })
  )

  it.scoped("A13 many requests at once, each with its own issuers and its own document", () =>
    Effect.gen(function* () {
      const tenant = Effect.map(header("x-tenant"), (name) => `https://${name}.example`)
      const authorizer = Authorizer.layer(({ issuers, url }) => Effect.succeed(claimsOf(issuers.join(), url)))
      const send = yield* serve(adapter, { authorizationServers: Effect.delay(tenant, 0) }, undefined, authorizer)
      const requests = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 50 }, (_, n) => `t${n}`),
          (name) =>
            Effect.all(
              [send({ token: "x", headers: { "x-tenant": name } }), send({ path, headers: { "x-tenant": name } })],
              { concurrency: "unbounded" }
            ).pipe(Effect.map((answers) => [name, answers] as const)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(0)
      for (const [name, [caller, document]] of yield* Fiber.join(requests)) {
        assert.strictEqual(caller.text, `https://${name}.example`)
        assert.deepStrictEqual(document.body, {
          resource,
          authorization_servers: [`https://${name}.example`],
          bearer_methods_supported: ["header"]
        })
      }
    })
  )

  it.scoped("A18 A19 the scopes of a request are enforced, and named to who lacks them", () =>
    Effect.gen(function* () {
      const requiredScopes = Effect.map(header("x-write"), (write) =>
        write === undefined ? ["mcp:tools"] : ["mcp:tools", "mcp:write"]
      )
      const send = yield* serve(adapter, { requiredScopes })
      const headers = { "x-write": "1" }
      assert.strictEqual((yield* send({ token: "bob" })).status, 200)
      assert.strictEqual((yield* send({ token: "alice", headers })).status, 200)
      const refused = yield* send({ token: "bob", headers })
      assert.strictEqual(refused.status, 403)
      assert.strictEqual(refused.challenge, Guarded.scopeChallenge("mcp:tools mcp:write"))
      assert.include((yield* send({ headers })).challenge, 'scope="mcp:tools mcp:write"')
      assert.strictEqual((yield* send()).challenge, Guarded.missingChallenge)
    })
  )

  it.scoped("A18 no scopes at all are none at all: the resolver replaces the configuration", () =>
    Effect.gen(function* () {
      const send = yield* serve(
        adapter,
        { requiredScopes: Effect.succeed([]) },
        Guarded.configOf({ requiredScopes: ["admin"] })
      )
      assert.strictEqual((yield* send({ token: "bob" })).status, 200)
      assert.notInclude((yield* send()).challenge, "scope=")
    })
  )

  it.scoped("A24 A26 the metadata URL of a request, with the tenant in its query", () =>
    Effect.gen(function* () {
      const resourceMetadataUrl = Effect.map(
        header("x-tenant"),
        (tenant) => `${Guarded.metadataUrl}?realm=${tenant}&x=%20`
      )
      const send = yield* serve(adapter, { resourceMetadataUrl })
      const answers = yield* Effect.all([
        send({ headers: { "x-tenant": "acme" } }),
        send({ headers: { "x-tenant": "acme" }, token: "nobody" })
      ])
      for (const { challenge, status } of answers) {
        assert.strictEqual(status, 401)
        assert.include(challenge, `resource_metadata="${Guarded.metadataUrl}?realm=acme&x=%20"`)
      }
      // The document itself stays where it is, and does not depend on the request.
      assert.strictEqual((yield* send({ path: `${path}?realm=acme` })).status, 200)
    })
  )

  it.scoped("A24 a URL from a header cannot break out of its quotes", () =>
    Effect.gen(function* () {
      const resourceMetadataUrl = Effect.map(header("x-url"), (url) => decodeURIComponent(url ?? ""))
      const send = yield* serve(adapter, { resourceMetadataUrl })
      for (const url of [
        'https://x.example/", error="',
        "https://x.example/\r\nSet-Cookie: a=b",
        "https://x.example/ü",
        "https://x.example/\\"
      ]) {
        const answer = yield* send({ headers: { "x-url": encodeURIComponent(url) } })
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(answer.challenge, 'Bearer scope="mcp:tools"', url)
        assert.isNull(answer.headers.get("set-cookie"))
      }
    })
  )

  it.scoped("F5 a document that depends on the request is never cached, any other is", () =>
    Effect.gen(function* () {
      const cacheControl = (resolvers: Tenancy.Resolvers) =>
        Effect.flatMap(serve(adapter, resolvers), (send) =>
          Effect.map(send({ path }), ({ headers, status }) => [status, headers.get("cache-control")])
        )
      const authorizationServers = Effect.succeed("https://t.example")
      assert.deepStrictEqual(yield* cacheControl({ authorizationServers }), [200, "no-store"])
      assert.deepStrictEqual(yield* cacheControl({}), [200, "public, max-age=300"])
      assert.deepStrictEqual(yield* cacheControl({ requiredScopes: Effect.succeed(["x"]) }), [
        200,
        "public, max-age=300"
      ])
      assert.deepStrictEqual(yield* cacheControl({ resourceMetadataUrl: Effect.succeed("x") }), [
        200,
        "public, max-age=300"
      ])
    })
  )

  it.scoped("F10 a document that cannot be resolved is 503, and other methods do not try", () =>
    Effect.gen(function* () {
      let asked = 0
      const authorizationServers = Effect.suspend(() => {
        asked++
        return Effect.dieMessage("secret of the data base")
      })
      const [send, lines] = yield* Effect.flatMap(serve(adapter, { authorizationServers }), (send) =>
        Logs.collect(Effect.as(send({ path }), send))
      )
      assert.include(lines.find(({ level }) => level === "WARN")?.text, "secret of the data base")
      const answer = yield* send({ path })
      assertUnavailable(answer)
      assert.strictEqual(answer.headers.get("access-control-allow-origin"), "*")
      assert.notInclude(answer.text, "secret")
      assert.strictEqual((yield* send({ path, method: "HEAD" })).status, 503)
      assert.strictEqual(asked, 3)
      assert.strictEqual((yield* send({ path, method: "OPTIONS" })).status, 204)
      assert.strictEqual((yield* send({ path, method: "DELETE" })).status, 405)
      assert.strictEqual(asked, 3)
    })
  )

  it.scoped("B3 nobody is asked for a request without credentials", () =>
    Effect.gen(function* () {
      let asked = 0
      const authorizationServers = Effect.sync(() => {
        asked++
        return issuer
      })
      const send = yield* serve(adapter, { authorizationServers })
      assert.strictEqual((yield* send()).status, 401)
      assert.strictEqual((yield* send({ headers: { authorization: "Bearer a b" } })).status, 400)
      assert.strictEqual(asked, 0)
    })
  )
})

describe("what a resolver gives is checked like a configured value, on every request", () => {
  const issuers: ReadonlyArray<readonly [string, unknown, boolean]> = [
    ["one", "https://t.example", true],
    ["a list", ["https://t.example", "https://u.example/path"], true],
    ["http on loopback", "http://127.0.0.1:9000", true],
    ["http on localhost", "http://x.localhost/t", true],
    ["an empty list", [], false],
    ["nothing", "", false],
    ["no URL", "t.example", false],
    ["another scheme", "ftp://t.example", false],
    ["http", "http://t.example", false],
    ["a query", "https://t.example?x", false],
    ["a fragment", "https://t.example#x", false],
    ["user information", "https://user@t.example", false],
    ["no host", "https:///t", false],
    ["a space", "https://t.example/ x", false],
    ["a line break", "https://t.example/\n", false],
    ["a good one and a bad one", ["https://t.example", "x"], false],
    ["the same one twice", ["https://t.example", "https://t.example"], false],
    ["undefined", undefined, false],
    ["null", null, false],
    ["a number", 5, false],
    ["an object", { 0: "https://t.example", length: 1 }, false],
    ["a list with null", [null], false],
    ["a list in a list", [["https://t.example"]], false],
    ["a set", new Set(["https://t.example"]), false]
  ]
  it.scoped.each(issuers)("A14 issuers: %s", ([, value, valid]) =>
    Effect.gen(function* () {
      const send = yield* serve("HttpAppAuth", { authorizationServers: untyped(value) })
      const document = yield* send({ path })
      const caller = yield* send({ token: "alice" })
      if (valid) {
        assert.strictEqual(caller.text, "alice")
        assert.deepInclude(document.body as object, { authorization_servers: [value].flat() })
      } else {
        assertUnavailable(caller)
        assertUnavailable(document)
      }
      // The challenge does not depend on it.
      assert.strictEqual((yield* send()).challenge, Guarded.missingChallenge)
    })
  )

  it.scoped("A12 A14 http issuers, where the configuration allows them", () =>
    Effect.gen(function* () {
      const config = Guarded.configOf({ allowInsecureAuthorizationServers: true })
      const send = yield* serve("HttpAppAuth", { authorizationServers: Effect.succeed("http://t.example") }, config)
      assert.strictEqual((yield* send({ token: "alice" })).status, 200)
      const broken = yield* serve("HttpAppAuth", { authorizationServers: Effect.succeed("http://t.example#x") }, config)
      assertUnavailable(yield* broken({ token: "alice" }))
    })
  )

  const scopes: ReadonlyArray<readonly [string, unknown]> = [
    ["two in one", ["a b"]],
    ["nothing in one", [""]],
    ["a quote", ['a"']],
    ["a backslash", ["a\\"]],
    ["a line break", ["a\n"]],
    ["not ASCII", ["ä"]],
    ["a number", [5]],
    ["null", [null]],
    ["a string instead of a list", "mcp:tools"],
    ["nothing instead of a list", undefined],
    ["null instead of a list", null],
    ["an object", {}],
    ["a good one and a bad one", ["mcp:tools", "a b"]]
  ]
  it.scoped.each(scopes)("A21 scopes: %s", ([, value]) =>
    Effect.gen(function* () {
      const send = yield* serve("HttpAppAuth", { requiredScopes: untyped(value) })
      // Enforcement fails closed, and the challenge loses its hint alone.
      assertUnavailable(yield* send({ token: "alice" }))
      const { challenge, status } = yield* send()
      assert.strictEqual(status, 401)
      assert.strictEqual(challenge, Guarded.challengeOf({ resource_metadata: Guarded.metadataUrl }))
    })
  )

  const urls: ReadonlyArray<readonly [string, unknown]> = [
    ["a path", "/metadata"],
    ["nothing", ""],
    ["another scheme", "javascript:alert(1)"],
    ["a fragment", `${Guarded.metadataUrl}#x`],
    ["user information", "https://user:password@mcp.example.com/"],
    ["a quote", `${Guarded.metadataUrl}?"`],
    ["a space", `${Guarded.metadataUrl}? `],
    ["not ASCII", `${Guarded.metadataUrl}?ä`],
    ["undefined", undefined],
    ["null", null],
    ["a URL object", new URL(Guarded.metadataUrl)],
    ["a list", [Guarded.metadataUrl]]
  ]
  it.scoped.each(urls)("A25 E12 metadata URL: %s", ([, value]) =>
    Effect.gen(function* () {
      const send = yield* serve("HttpAppAuth", { resourceMetadataUrl: untyped(value) })
      assert.strictEqual((yield* send()).challenge, 'Bearer scope="mcp:tools"')
      // It is a hint: a good token is good all the same.
      assert.strictEqual((yield* send({ token: "alice" })).status, 200)
      const bare = yield* serve(
        "HttpAppAuth",
        { resourceMetadataUrl: untyped(value) },
        Guarded.configOf({ requiredScopes: [] })
      )
      const minimal = yield* bare()
      assert.deepStrictEqual([minimal.status, minimal.challenge], [401, "Bearer"])
    })
  )

  it.scoped("a value that breaks a rule is logged, and moves no cursor there", () =>
    Effect.gen(function* () {
      const authorizationServers = Effect.succeed(`https://t.example/\n\u001b[31mFORGED\u202e${"x".repeat(10_000)}`)
      const send = yield* serve("HttpAppAuth", { authorizationServers })
      const [, lines] = yield* Logs.collect(send({ token: "alice" }))
      const warnings = lines.filter(({ level, text }) => level === "WARN" && text.includes("Tenancy: "))
      assert.strictEqual(warnings.length, 1)
      const said = /Tenancy: authorizationServers: .*/.exec(warnings[0]?.text ?? "")?.[0] ?? ""
      assert.include(said, "must contain only characters that are legal in a URI")
      assert.notMatch(said, /[\p{Cc}\p{Cf}]|x{300}/u)
    })
  )
})

describe("a resolver that fails costs its own parameter, and nothing else (E10–E12)", () => {
  const failures: Readonly<Record<string, Effect.Effect<never, unknown>>> = {
    fails: Effect.fail(new Error("the cause")),
    dies: Effect.dieMessage("the cause"),
    throws: Effect.sync(() => {
      throw new Error("the cause")
    }),
    "is interrupted": Effect.interrupt,
    hangs: Effect.never,
    "hangs and will not be interrupted": Effect.uninterruptible(Effect.never),
    "waits for a promise that nobody keeps": Effect.promise(() => new Promise<never>(() => {}))
  }
  const parameters = {
    requiredScopes: "scope",
    resourceMetadataUrl: "resource_metadata",
    authorizationServers: undefined
  } as const
  type Name = keyof typeof parameters
  const good: Required<Tenancy.Resolvers> = {
    authorizationServers: Effect.succeed(issuer),
    requiredScopes: Effect.succeed(["mcp:tools"]),
    resourceMetadataUrl: Effect.succeed(Guarded.metadataUrl)
  }
  const refusals: Readonly<Record<string, AuthError.AuthError>> = {
    Missing: AuthError.missing,
    InvalidToken: new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" }),
    InsufficientScope: new AuthError.InsufficientScope({ required: ["mcp:write"] }),
    InvalidRequest: new AuthError.InvalidRequest({ description: "malformed" }),
    ServerError: new AuthError.ServerError({ retryAfter: 9 })
  }
  const cases = Object.keys(failures).flatMap((failure) =>
    (Object.keys(parameters) as Array<Name>).map((name) => [name, failure] as const)
  )

  const responseOf = (error: AuthError.AuthError, resolvers: Tenancy.Resolvers) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(Guarded.send(Guard.respond(error)))
      yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 5)))
      if ((yield* Fiber.poll(fiber))._tag === "None") yield* TestClock.adjust("1 minute")
      return yield* Fiber.join(fiber)
    }).pipe(
      Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf()),
      Effect.provideService(Tenancy.Tenancy, resolvers)
    )

  it.effect.each(cases)("%s %s", ([name, failure]) =>
    Effect.gen(function* () {
      const broken = { ...good, [name]: failures[failure]! }
      for (const [tag, error] of Object.entries(refusals)) {
        const whole = yield* responseOf(error, good)
        const [answer, lines] = yield* Logs.collect(responseOf(error, broken))
        assert.strictEqual(answer.status, whole.status)
        assert.deepStrictEqual(answer.body, whole.body)
        assert.strictEqual(answer.headers.get("retry-after"), whole.headers.get("retry-after"))
        const [expected] = WwwAuthenticate.parse(whole.challenge ?? "")
        const [found] = WwwAuthenticate.parse(answer.challenge ?? "")
        const lost = parameters[name]
        // Of the scopes in a 403, those that the operation itself needs are known whatever the resolver says.
        const left = Object.entries(expected?.parameters ?? {}).flatMap(([parameter, value]) =>
          parameter !== lost ? [[parameter, value]] : value.startsWith("mcp:write") ? [[parameter, "mcp:write"]] : []
        )
        assert.deepStrictEqual(Object.entries(found?.parameters ?? {}), left, tag)
        assert.notInclude(JSON.stringify([...answer.headers, answer.text]), "the cause")
        // No hint is in the answer to an outage, so nobody is asked for one.
        if (lost !== undefined && tag !== "ServerError") {
          const told = lines.filter(({ level }) => level === "WARN").map(({ text }) => text)
          assert.isTrue(
            told.some((text) => text.includes(`Tenancy: ${name}: the resolver failed`)),
            tag
          )
        }
      }
    })
  )

  const enforced = cases.filter(([name]) => name !== "resourceMetadataUrl")
  it.scoped.each(enforced)("%s %s: nobody gets in, and the authorizer is not asked (A19)", ([name, failure]) =>
    Effect.gen(function* () {
      let asked = 0
      const authorizer = Authorizer.layer(() => {
        asked++
        return Effect.succeed(claimsOf("alice", resource))
      })
      const send = yield* serve("HttpAppAuth", { ...good, [name]: failures[failure]! }, undefined, authorizer)
      const fiber = yield* Effect.fork(send({ token: "alice" }))
      yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 5)))
      if ((yield* Fiber.poll(fiber))._tag === "None") yield* TestClock.adjust("1 minute")
      assertUnavailable(yield* Fiber.join(fiber))
      assert.strictEqual(asked, 0)
    })
  )

  it.scoped("has five seconds, in a server that runs apps uninterruptibly", () =>
    Effect.gen(function* () {
      const send = yield* serve("HttpAppAuth", { resourceMetadataUrl: Effect.never })
      const fiber = yield* Effect.fork(send())
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).challenge, 'Bearer scope="mcp:tools"')
    })
  )

  it.scoped("an answer waits five seconds for all of them together, and for none where it needs no hint", () =>
    Effect.gen(function* () {
      const hints = { resourceMetadataUrl: Effect.never, requiredScopes: Effect.never }
      const millis = (resolvers: Tenancy.Resolvers, question?: Guarded.Question) =>
        Effect.gen(function* () {
          const send = yield* serve("HttpAppAuth", resolvers)
          const fiber = yield* Effect.fork(send(question))
          for (let passed = 0; passed < 60_000; passed += 1000) {
            yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 5)))
            if ((yield* Fiber.poll(fiber))._tag === "Some") return [passed, (yield* Fiber.join(fiber)).status]
            yield* TestClock.adjust("1 seconds")
          }
          return assert.fail("no answer")
        })
      assert.deepStrictEqual(yield* millis(hints), [5000, 401])
      assert.deepStrictEqual(
        yield* millis({ ...hints, authorizationServers: Effect.never }, { token: "alice" }),
        [5000, 503]
      )
    })
  )

  it.live("C12 a client that goes away ends it, and nothing is made of that", () =>
    Effect.gen(function* () {
      let ended = 0
      const authorizationServers = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended++))
      const app = HttpAppAuth.middleware(Whoami.app)
      const { dispose, handler } = HttpApp.toWebHandlerLayer(app, servicesOf({ authorizationServers }))
      const controller = new AbortController()
      const request = new Request(resource, { headers: { authorization: "Bearer alice" }, signal: controller.signal })
      yield* Effect.promise(async () => {
        const answered = handler(request).then(
          ({ status }) => status,
          () => "gone"
        )
        await new Promise((resume) => setTimeout(resume, 30))
        controller.abort()
        assert.notInclude([200, 401, 403], await answered)
        await dispose()
      })
      assert.strictEqual(ended, 1)
    })
  )
})

describe("as a layer in front of a real server", () => {
  const resolvers: Tenancy.Resolvers = {
    authorizationServers: Effect.map(header("x-tenant"), (tenant) => `https://${tenant}.example`)
  }
  const app = Whoami.app.pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata)
  const servers = {
    HttpAppAuth: HttpServer.serve(app),
    HttpLayerRouterAuth: HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true })
  }
  it.scopedLive.each(Object.keys(servers) as Array<keyof typeof servers>)("%s sees it", (name) =>
    Effect.gen(function* () {
      const client = yield* HttpClient.HttpClient
      yield* Layer.launch(Layer.provide(servers[name], servicesOf(resolvers))).pipe(Effect.forkScoped)
      const document = (tenant: string) =>
        client.get(path, { headers: { "x-tenant": tenant } }).pipe(
          Effect.flatMap((response) => response.json),
          Effect.retry({ times: 20, while: () => true })
        )
      assert.deepInclude((yield* document("acme")) as object, { authorization_servers: ["https://acme.example"] })
      const unresolved = yield* client.get("/mcp", { headers: { "x-tenant": "#", authorization: "Bearer alice" } })
      assert.strictEqual(unresolved.status, 503)
      const resolved = yield* client.get("/mcp", { headers: { "x-tenant": "acme", authorization: "Bearer alice" } })
      assert.strictEqual(resolved.status, 200)
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Logger.withMinimumLogLevel(LogLevel.None))
  )
})
