import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import {
  ClientError,
  HttpAppSignIn,
  HttpClientAuth,
  SignInPage,
  TokenStore,
  WebSignIn,
  WebSignInError
} from "../../src/client/index.js"
import * as Logs from "../server/fixtures/Logs.js"
import * as Telemetry from "../server/fixtures/Telemetry.js"
import { endpoint, issuer, World } from "./World.js"

const origin = "https://app.example"

class NotSignedIn extends Data.TaggedError("NotSignedIn") {}

const user = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ cookies }) =>
  cookies["session"] === undefined ? new NotSignedIn() : Effect.succeed(cookies["session"])
)

const notes = Effect.gen(function* () {
  const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
  const tokens = WebSignIn.layerTokenSource({ resource: endpoint, user: yield* user })
  const response = yield* Effect.provide(client.post(endpoint), tokens)
  return HttpServerResponse.text(yield* response.text)
})

const app = HttpRouter.empty.pipe(
  HttpRouter.all("/notes", notes),
  HttpRouter.get("/connect", HttpAppSignIn.begin({ user, resource: endpoint })),
  HttpRouter.get("/inbox", HttpAppSignIn.begin({ user, resource: endpoint, returnTo: "/inbox/all" })),
  HttpRouter.get("/callback", HttpAppSignIn.complete({ user })),
  HttpAppSignIn.middleware({ user }),
  Effect.catchTag("NotSignedIn", () => HttpServerResponse.redirect("/login", { status: 303 })),
  Effect.catchTag("RouteNotFound", () => HttpServerResponse.empty({ status: 404 })),
  Effect.orDie
)

interface Browser {
  readonly cookies: Map<string, string>
  readonly get: (url: string, init?: RequestInit) => Effect.Effect<Response>
}

/** The application, for as many browsers as there have to be. */
const serve = (world: World, options: Partial<WebSignIn.Options> = {}) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(
      WebSignIn.layer({ redirectUri: `${origin}/callback`, ...options }).pipe(Layer.provideMerge(world.layerHttp))
    )
    const runtime = yield* Effect.runtime()
    const handler = HttpApp.toWebHandlerRuntime(runtime)(Effect.provide(app, services), HttpMiddleware.logger)
    return (session: string | undefined): Browser => {
      const cookies = new Map(session === undefined ? [] : [["session", session]])
      const get = (url: string, init?: RequestInit) =>
        Effect.promise(async () => {
          const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ")
          const response = await handler(new Request(new URL(url, origin), { headers: { cookie }, ...init }))
          for (const set of response.headers.getSetCookie()) {
            const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(set) ?? []
            cookies.set(name, value)
          }
          return response
        })
      return { cookies, get }
    }
  })

const locationOf = (response: Response) => response.headers.get("location") ?? ""

const textOf = (response: Response) => Effect.promise(() => response.text())

/** What the browser of a person who approves is redirected with. */
const answerTo = (world: World, response: Response) => `/callback?${world.approve(locationOf(response))}`

const test = <E>(name: string, body: () => Effect.Effect<void, E, TokenStore.TokenStore | Scope.Scope>) =>
  it.scoped(name, () => body().pipe(Effect.provide(TokenStore.layerMemory), Logger.withMinimumLogLevel(LogLevel.None)))

const cookie = "__Host-mcp-sign-in"

describe("the routes of a web sign-in", () => {
  test("lead from a page to the authorization server and back to the page, which is there then", () =>
    Effect.gen(function* () {
      const world = new World()
      const { cookies, get } = (yield* serve(world))("alice")
      const sent = yield* get("/notes?page=2")
      assert.strictEqual(sent.status, 303)
      assert.isTrue(locationOf(sent).startsWith(`${issuer}/auth?`))
      const [set = "", ...more] = sent.headers.getSetCookie()
      assert.isEmpty(more)
      const attributes = set.split("; ").slice(1)
      assert.sameMembers(attributes, ["Max-Age=600", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"])
      assert.match(cookies.get(cookie) ?? "", /^[\w-]{43}$/)
      const back = yield* get(answerTo(world, sent))
      assert.deepStrictEqual([back.status, locationOf(back)], [303, "/notes?page=2"])
      for (const { headers } of [sent, back]) {
        assert.strictEqual(headers.get("cache-control"), "no-store")
        assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
      }
      const there = yield* get("/notes?page=2")
      assert.deepStrictEqual([there.status, yield* textOf(there)], [200, '{"ok":true,"scopes":["mcp:read"]}'])
    }))

  test("over plain http on loopback the cookie is neither Secure nor __Host-", () =>
    Effect.gen(function* () {
      const redirectUri = "http://127.0.0.1:3000/callback"
      const browser = (yield* serve(new World(), { redirectUri }))("alice")
      const sent = yield* browser.get("/connect")
      const [set = ""] = sent.headers.getSetCookie()
      assert.match(set, /^mcp-sign-in=/)
      assert.notInclude(set, "Secure")
      assert.include(set, "HttpOnly")
      assert.include(set, "SameSite=Lax")
    }))

  test("a connect button returns to where it says, within the application", () =>
    Effect.gen(function* () {
      const world = new World()
      const { get } = (yield* serve(world))("alice")
      const destination = (path: string) =>
        Effect.flatMap(get(path), (sent) => Effect.map(get(answerTo(world, sent)), locationOf))
      assert.strictEqual(yield* destination("/connect"), "/")
      assert.strictEqual(yield* destination("/connect?returnTo=%2Fnotes%3Fpage%3D2"), "/notes?page=2")
      assert.strictEqual(yield* destination("/inbox?returnTo=%2Fnotes"), "/inbox/all")
      const asked = world.requests.length
      for (const address of ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]) {
        const refused = yield* get(`/connect?${new URLSearchParams({ returnTo: address })}`)
        assert.strictEqual(refused.status, 400)
        assert.notInclude(yield* textOf(refused), "evil")
      }
      assert.lengthOf(world.requests, asked)
    }))

  test("a request that is no GET, or whose address is none to return to, returns to the start", () =>
    Effect.gen(function* () {
      const world = new World()
      const { get } = (yield* serve(world))("alice")
      const sent = yield* get("/notes", { method: "POST", headers: { cookie: "session=alice" } })
      assert.strictEqual(locationOf(yield* get(answerTo(world, sent))), "/")
      world.tokens.clear()
      world.refreshTokens.clear()
      const long = yield* get(`/notes?${"a".repeat(4000)}`)
      assert.strictEqual(locationOf(yield* get(answerTo(world, long))), "/")
    }))

  test("a HEAD or a POST of the answer uses nothing up", () =>
    Effect.gen(function* () {
      const world = new World()
      const { cookies, get } = (yield* serve(world))("alice")
      const answer = answerTo(world, yield* get("/connect"))
      const headers = { cookie: Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ") }
      const head = yield* get(answer, { method: "HEAD", headers })
      assert.deepStrictEqual([head.status, head.headers.get("allow")], [405, "GET"])
      assert.strictEqual((yield* get(answer, { method: "POST", headers })).status, 404)
      assert.strictEqual((yield* get(answer)).status, 303)
    }))

  test("a second arrival is told so, with the way on; of two tabs each is completed (CL-59)", () =>
    Effect.gen(function* () {
      const world = new World()
      const { get } = (yield* serve(world))("alice")
      const first = answerTo(world, yield* get("/notes?a=<b>"))
      const second = answerTo(world, yield* get("/connect"))
      assert.strictEqual((yield* get(first)).status, 303)
      const again = yield* get(first)
      const page = yield* textOf(again)
      assert.strictEqual(again.status, 409)
      assert.include(page, "Already used")
      assert.include(page, 'href="/notes?a=%3Cb%3E"')
      assert.strictEqual((yield* get(second)).status, 303)
    }))

  test("another browser, and another user of the same one, is turned away (Z-02)", () =>
    Effect.gen(function* () {
      const world = new World()
      const open = yield* serve(world)
      const mallory = open("mallory")
      const answer = answerTo(world, yield* mallory.get("/connect"))
      // Login CSRF: the victim's browser is led to the attacker's answer.
      const victim = open("alice")
      assert.strictEqual((yield* victim.get(answer)).status, 403)
      yield* victim.get("/connect")
      assert.strictEqual((yield* victim.get(answer)).status, 403)
      // And where the browser is shared.
      mallory.cookies.set("session", "alice")
      assert.strictEqual((yield* mallory.get(answer)).status, 403)
      mallory.cookies.set("session", "mallory")
      assert.strictEqual((yield* mallory.get(answer)).status, 303)
      assert.strictEqual((yield* victim.get("/notes")).status, 303)
    }))

  test("who is not signed in at the application is the application's to deal with", () =>
    Effect.gen(function* () {
      const world = new World()
      const open = yield* serve(world)
      const alice = open("alice")
      const answer = answerTo(world, yield* alice.get("/connect"))
      alice.cookies.delete("session")
      for (const path of ["/notes", "/connect", answer]) {
        assert.strictEqual(locationOf(yield* alice.get(path)), "/login")
      }
      alice.cookies.set("session", "alice")
      assert.strictEqual(locationOf(yield* alice.get(answer)), "/")
    }))

  test("a step up goes the same way (CL-65)", () =>
    Effect.gen(function* () {
      const world = new World()
      world.resourceScopes = ["mcp:read"]
      const { get } = (yield* serve(world))("alice")
      yield* get(answerTo(world, yield* get("/connect")))
      world.requiredScopes = ["mcp:write"]
      const sent = yield* get("/notes")
      assert.strictEqual(new URL(locationOf(sent)).searchParams.get("scope"), "mcp:read mcp:write")
      yield* get(answerTo(world, sent))
      assert.strictEqual((yield* get("/notes")).status, 200)
      world.requiredScopes = ["mcp:admin"]
      world.grants = ["mcp:read", "mcp:write"]
      yield* get(answerTo(world, yield* get("/notes")))
      const refused = yield* get("/notes")
      assert.strictEqual(refused.status, 403)
      assert.include(yield* textOf(refused), "No access")
    }))

  test("an outage is 503 with Retry-After, and nothing is lost by it", () =>
    Effect.gen(function* () {
      const world = new World()
      const { get } = (yield* serve(world))("alice")
      let down = true
      world.faults.push(({ path }) =>
        down && path.includes("oauth-authorization-server")
          ? new Response("", { status: 503, headers: { "retry-after": "7" } })
          : undefined
      )
      assert.strictEqual((yield* get("/notes")).status, 503)
      down = false
      const sent = yield* get("/notes")
      world.faults.push(({ path }) =>
        path === "/token" ? new Response("", { status: 429, headers: { "retry-after": "7" } }) : undefined
      )
      const busy = yield* get(answerTo(world, sent))
      assert.deepStrictEqual([busy.status, busy.headers.get("retry-after")], [503, "7"])
    }))

  test("hostile answers get a page that repeats nothing of them", () =>
    Effect.gen(function* () {
      const world = new World()
      const { get } = (yield* serve(world))("alice")
      const state = new URLSearchParams(answerTo(world, yield* get("/connect")).slice(10)).get("state") ?? ""
      const evil = "<script>alert(1)</script>"
      const queries = [
        "",
        "?",
        "?state",
        `?code=${evil}`,
        `?state=${encodeURIComponent(evil)}&code=c`,
        `?state=${state}&state=${state}&code=c`,
        `?state=${"s".repeat(100_000)}`,
        `?state=%ff%fe&code=%00`,
        `?state=${state}%00&code=c`,
        `?${Array.from({ length: 2000 }, (_, n) => `p${n}=${n}`).join("&")}`
      ]
      for (const query of queries) {
        const refused = yield* get(`/callback${query}`)
        const page = yield* textOf(refused)
        assert.strictEqual(refused.status, 400, query.slice(0, 60))
        assert.notInclude(page, "alert")
        assert.notInclude(page, state)
        assert.strictEqual(refused.headers.get("cache-control"), "no-store")
        assert.include(refused.headers.get("content-security-policy") ?? "", "default-src 'none'")
      }
      // The one error that the server is entitled to say is not repeated either: it is not for this person to read.
      const error = yield* get(`/callback?state=${state}&error=access_denied&error_description=${evil}`)
      assert.deepStrictEqual([error.status, (yield* textOf(error)).includes("alert")], [403, false])
    }))

  it.scoped("neither logs nor spans have the code or the cookie", () =>
    Telemetry.run((telemetry) =>
      Effect.gen(function* () {
        const world = new World()
        const [secrets, lines] = yield* Logs.collect(
          Effect.gen(function* () {
            const { cookies, get } = (yield* serve(world))("alice")
            const answer = answerTo(world, yield* get("/notes"))
            yield* get(answer)
            yield* get(answer)
            yield* get("/notes")
            cookies.delete("session")
            yield* get(answer)
            const code = new URLSearchParams(answer.slice(10)).get("code") ?? "?"
            return [code, cookies.get(cookie) ?? "?", ...world.tokens.keys()]
          })
        )
        const told = `${yield* telemetry.text}\n${lines.map(({ text }) => text).join("\n")}`
        assert.include(told, "/notes")
        assert.include(told, "WebSignIn.complete")
        for (const secret of secrets) assert.notInclude(told, secret)
        const callbacks = telemetry.spans().filter(({ attributes }) => attributes["url.path"] === "/callback")
        assert.lengthOf(callbacks, 3)
        for (const { attributes } of callbacks) {
          assert.strictEqual(attributes["url.query"], "<redacted>")
          assert.strictEqual(attributes["url.full"], `${origin}/callback`)
        }
      }).pipe(Effect.provide(TokenStore.layerMemory))
    )
  )

  test("a script gets the URL and the cookie, and goes there by itself", () =>
    Effect.gen(function* () {
      const world = new World()
      const service = yield* Effect.provide(WebSignIn.make({ redirectUri: `${origin}/callback` }), world.layerHttp)
      const begun = yield* service.begin({ user: "alice", resource: endpoint })
      const response = yield* HttpAppSignIn.bind(HttpServerResponse.unsafeJson({ location: begun.url }), begun).pipe(
        Effect.provideService(WebSignIn.WebSignIn, service)
      )
      const web = HttpServerResponse.toWeb(response)
      assert.include(web.headers.getSetCookie()[0] ?? "", `${cookie}=`)
    }))
})

describe("SignInPage.ofFailure", () => {
  const rule = "test"
  const detail = "the secret detail"
  const step = "Token" as const
  const failures: ReadonlyArray<readonly [number, ClientError.ClientError | WebSignInError.WebSignInError]> = [
    ...(["NoAnswer", "Unknown", "ReturnTo"] as const).map(
      (reason) => [400, new WebSignInError.WebSignInError({ reason, detail, rule })] as const
    ),
    ...(["OtherBrowser", "OtherUser"] as const).map(
      (reason) => [403, new WebSignInError.WebSignInError({ reason, detail, rule })] as const
    ),
    [409, new WebSignInError.WebSignInError({ reason: "AlreadyUsed", detail, rule })],
    [410, new WebSignInError.WebSignInError({ reason: "Expired", detail, rule })],
    [503, new ClientError.TokenUnavailable({ step, detail, rule, retryAfter: 5 })],
    [503, new ClientError.TokenStoreError({ key: "k", operation: "read", detail, rule })],
    [502, new ClientError.DiscoveryFailed({ endpoint, reason: "NoMetadata", detail, rule })],
    [502, new ClientError.ResourceMismatch({ expected: "a", actual: "b", detail, rule })],
    [502, new ClientError.RegistrationFailed({ issuer, reason: "NoMethod", detail, rule })],
    [502, new ClientError.TokenRefused({ issuer, grant: "AuthorizationCode", error: "e", status: 400, detail, rule })],
    [502, new ClientError.AuthorizeUserError({ reason: "Unsupported", detail, rule })],
    [403, new ClientError.AuthorizationRefused({ issuer, error: "access_denied", detail, rule })],
    [400, new ClientError.AuthorizationInvalid({ issuer, parameter: "issuer", detail, rule })],
    [403, new ClientError.AccessRefused({ url: endpoint, status: 403, reason: "ScopesNotGranted", detail, rule })]
  ]
  for (const [status, error] of failures) {
    it(`${error._tag} ${"reason" in error ? error.reason : ""} is ${status}, and says nothing of the cause`, async () => {
      const response = HttpServerResponse.toWeb(SignInPage.ofFailure(error))
      assert.strictEqual(response.status, status)
      assert.notInclude(await response.text(), detail)
      assert.isTrue(SignInPage.isFailure(error))
    })
  }

  it("errors of others are not taken for one", () => {
    for (const error of [new NotSignedIn(), { _tag: "toString", trace: [] }, { _tag: "TokenRefused" }, undefined]) {
      assert.isFalse(SignInPage.isFailure(error))
    }
  })

  it("what goes into a page is text, and not markup", async () => {
    const evil = `<b>&"'`
    const link = { href: `/?${evil}`, text: evil }
    const page = SignInPage.render({ status: 200, title: evil, text: evil, link })
    assert.notInclude(await HttpServerResponse.toWeb(page).text(), "<b>")
  })
})
