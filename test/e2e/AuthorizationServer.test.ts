import { createHash, randomBytes } from "node:crypto"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from "jose"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as ScriptedUser from "../../src/testing/ScriptedUser.js"

const redirectUri = "http://127.0.0.1:9/callback" // the discard port: nobody may ever call it
const resource = "http://127.0.0.1:3000/mcp"

interface Metadata {
  readonly issuer: string
  readonly authorization_endpoint: string
  readonly token_endpoint: string
  readonly registration_endpoint: string
  readonly revocation_endpoint: string
  readonly introspection_endpoint: string
  readonly pushed_authorization_request_endpoint: string
  readonly jwks_uri: string
  readonly code_challenge_methods_supported: ReadonlyArray<string>
  readonly dpop_signing_alg_values_supported: ReadonlyArray<string>
  readonly grant_types_supported: ReadonlyArray<string>
  readonly authorization_response_iss_parameter_supported: boolean
}

/** Whatever the endpoints that take a POST answer with. */
interface Reply {
  readonly access_token: string
  readonly refresh_token: string
  readonly scope: string
  readonly expires_in: number
  readonly client_id: string
  readonly request_uri: string
  readonly active: boolean
  readonly aud: string
  readonly error: string
}

const get = <A>(url: string) =>
  Effect.flatMap(HttpClient.get(url), (response) =>
    Effect.map(response.json, (body) => ({ status: response.status, body: body as A }))
  )

const post = (url: string, body: HttpBody.HttpBody) =>
  Effect.flatMap(HttpClient.post(url, { body }), (response) =>
    Effect.map(response.json, (body) => ({ status: response.status, body: body as Reply }))
  )

const form = (fields: Record<string, string>) =>
  HttpBody.text(`${new URLSearchParams(fields)}`, "application/x-www-form-urlencoded")

const wellKnown = (issuer: string) => {
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/oauth-authorization-server${pathname === "/" ? "" : pathname}`
}

interface Flow {
  readonly scope?: string
  readonly pkce?: boolean
  readonly resource?: string
  readonly decision?: "approve" | "deny"
}

/** Discovers, registers and sends the person there; what comes back is what a client has when the browser returns. */
const authorize = Effect.fn(function* (issuer: string, flow: Flow = {}) {
  const { body: metadata } = yield* get<Metadata>(wellKnown(issuer))
  const { body: client } = yield* post(
    metadata.registration_endpoint,
    HttpBody.unsafeJson({
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"]
    })
  )
  const verifier = randomBytes(32).toString("base64url")
  const url = new URL(metadata.authorization_endpoint)
  url.search = `${new URLSearchParams({
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: redirectUri,
    state: "the state",
    resource: flow.resource ?? resource,
    ...(flow.scope !== undefined && { scope: flow.scope }),
    ...(flow.pkce !== false && {
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256"
    })
  })}`
  const answer = yield* ScriptedUser.visit(url.href, {
    redirectUri,
    ...(flow.decision !== undefined && { decision: flow.decision })
  })
  return { answer, metadata, verifier, clientId: client.client_id }
})

const redeem = ({ answer, clientId, metadata, verifier }: Effect.Effect.Success<ReturnType<typeof authorize>>) =>
  post(
    metadata.token_endpoint,
    form({
      grant_type: "authorization_code",
      code: answer.get("code") ?? "",
      redirect_uri: redirectUri,
      client_id: clientId,
      code_verifier: verifier,
      resource
    })
  )

const kids = (issuer: string) =>
  Effect.gen(function* () {
    const { body: metadata } = yield* get<Metadata>(wellKnown(issuer))
    const { body } = yield* get<JSONWebKeySet>(metadata.jwks_uri)
    return body.keys.map(({ kid }) => kid)
  })

const isBun = process.versions["bun"] !== undefined

// Bun has its own undici, without the dispatchers that NodeHttpClient asks for.
const clients = [
  ["fetch", FetchHttpClient.layer],
  ["node:http", NodeHttpClient.layer],
  ...(isBun ? [] : [["undici", NodeHttpClient.layerUndici] as const])
] as const

describe.each(clients)("AuthorizationServer and ScriptedUser over %s", (_, layer) => {
  it.scopedLive("code, PKCE and resource give a token for that resource", () =>
    Effect.gen(function* () {
      const { exchanges, issuer } = yield* AuthorizationServer.make()
      const flow = yield* authorize(issuer, { scope: "mcp:tools" })
      assert.strictEqual(flow.answer.get("iss"), issuer)
      assert.strictEqual(flow.answer.get("state"), "the state")

      const { body, status } = yield* redeem(flow)
      assert.strictEqual(status, 200)
      assert.strictEqual(body.scope, "mcp:tools")
      assert.strictEqual(body.expires_in, 300)
      assert.isString(body.refresh_token)

      const { body: jwks } = yield* get<JSONWebKeySet>(flow.metadata.jwks_uri)
      const { payload, protectedHeader } = yield* Effect.promise(() =>
        jwtVerify(body.access_token, createLocalJWKSet(jwks))
      )
      assert.strictEqual(protectedHeader.typ, "at+jwt")
      assert.strictEqual(protectedHeader.alg, "RS256")
      assert.strictEqual(payload.iss, issuer)
      assert.strictEqual(payload.aud, resource)
      assert.strictEqual(payload.sub, "alice")
      assert.strictEqual(payload["scope"], "mcp:tools")
      assert.strictEqual(payload["client_id"], flow.clientId)

      assert.isEmpty(exchanges.filter(({ path }) => path === "/callback"))
      const [token, ...others] = exchanges.filter(({ path }) => path === "/token")
      assert.isEmpty(others)
      assert.strictEqual(new URLSearchParams(token?.requestBody).get("resource"), resource)
      assert.strictEqual(JSON.parse(token?.responseBody ?? "").access_token, body.access_token)
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("a person who refuses comes back with access_denied", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({ path: "/t1" })
      const { answer } = yield* authorize(issuer, { scope: "mcp:tools", decision: "deny" })
      assert.strictEqual(answer.get("error"), "access_denied")
      assert.strictEqual(answer.get("iss"), issuer)
      assert.isNull(answer.get("code"))
    }).pipe(Effect.provide(layer))
  )
})

describe("AuthorizationServer", () => {
  it.scopedLive.each(["", "/t1", "/deep/t1/"])("publishes RFC 8414 metadata for the issuer path '%s'", (path) =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({ path })
      assert.isFalse(issuer.endsWith("/"))
      const { body, status } = yield* get<Metadata>(wellKnown(issuer))
      assert.strictEqual(status, 200)
      assert.strictEqual(body.issuer, issuer)
      for (const endpoint of ["authorization", "token", "registration", "revocation", "introspection"] as const) {
        assert.isTrue(`${body[`${endpoint}_endpoint`]}`.startsWith(`${issuer}/`), endpoint)
      }
      assert.isTrue(`${body.jwks_uri}`.startsWith(`${issuer}/`))
      assert.deepStrictEqual(body.code_challenge_methods_supported, ["S256"])
      assert.isTrue(body.authorization_response_iss_parameter_supported)
      assert.include(body.dpop_signing_alg_values_supported, "ES256")
      assert.include(body.grant_types_supported, "client_credentials")
      assert.strictEqual((yield* get<Metadata>(`${issuer}/.well-known/openid-configuration`)).body.issuer, issuer)

      const elsewhere =
        path === ""
          ? `${issuer}/.well-known/oauth-authorization-server/t1`
          : `${issuer}${new URL(wellKnown("http://x")).pathname}`
      assert.strictEqual((yield* HttpClient.get(elsewhere)).status, 404)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("a path issuer completes the flow, with its own algorithm and audience", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({
        path: "/t1",
        resources: (resource) => ({ scope: "a b", alg: "ES256", audience: `aud of ${resource}`, accessTokenTTL: 7 })
      })
      const flow = yield* authorize(issuer, { scope: "a c" })
      assert.strictEqual(flow.answer.get("iss"), issuer)
      const { body } = yield* redeem(flow)
      const token = decodeJwt(body.access_token)
      assert.strictEqual(decodeProtectedHeader(body.access_token).alg, "ES256")
      assert.strictEqual(token.aud, `aud of ${resource}`)
      assert.strictEqual(token.iss, issuer)
      assert.strictEqual(token["scope"], "a")
      assert.strictEqual(body.expires_in, 7)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("refuses requests without PKCE, and resources it does not know", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({
        resources: (asked) => (asked === resource ? { scope: "mcp:tools" } : undefined)
      })
      const { answer } = yield* authorize(issuer, { pkce: false })
      assert.strictEqual(answer.get("error"), "invalid_request")
      assert.match(answer.get("error_description") ?? "", /PKCE/)
      const other = yield* authorize(issuer, { resource: "http://127.0.0.1:3000/other" })
      assert.strictEqual(other.answer.get("error"), "invalid_target")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("gives requests without scope the default one: direct, pushed and client credentials", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({
        defaultScope: "mcp:tools",
        clients: [
          {
            client_id: "service",
            client_secret: "service-secret",
            redirect_uris: [redirectUri],
            grant_types: ["client_credentials", "authorization_code"],
            token_endpoint_auth_method: "client_secret_post"
          }
        ]
      })
      const { body } = yield* redeem(yield* authorize(issuer))
      assert.strictEqual(body.scope, "mcp:tools")

      const { body: metadata } = yield* get<Metadata>(wellKnown(issuer))
      const credentials = { client_id: "service", client_secret: "service-secret" }
      const own = yield* post(
        metadata.token_endpoint,
        form({ ...credentials, grant_type: "client_credentials", resource })
      )
      assert.strictEqual(own.body.scope, "mcp:tools")
      assert.strictEqual(decodeJwt(own.body.access_token).aud, resource)

      const pushed = yield* post(
        metadata.pushed_authorization_request_endpoint,
        form({
          ...credentials,
          resource,
          response_type: "code",
          redirect_uri: redirectUri,
          code_challenge: createHash("sha256").update("v".repeat(43)).digest("base64url"),
          code_challenge_method: "S256"
        })
      )
      assert.strictEqual(pushed.status, 201)
      const request = new URLSearchParams({ client_id: "service", request_uri: pushed.body.request_uri })
      const answer = yield* ScriptedUser.visit(`${metadata.authorization_endpoint}?${request}`, { redirectUri })
      const granted = yield* post(
        metadata.token_endpoint,
        form({
          ...credentials,
          grant_type: "authorization_code",
          code: answer.get("code") ?? "",
          redirect_uri: redirectUri,
          code_verifier: "v".repeat(43)
        })
      )
      assert.strictEqual(granted.body.scope, "mcp:tools")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("rotates refresh tokens, and a replay ends the whole family", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make()
      const flow = yield* authorize(issuer, { scope: "mcp:tools mcp:write" })
      const { body: first } = yield* redeem(flow)
      const refresh = (token: string, more = {}) =>
        post(
          flow.metadata.token_endpoint,
          form({ grant_type: "refresh_token", client_id: flow.clientId, refresh_token: token, resource, ...more })
        )
      const second = yield* refresh(first.refresh_token, { scope: "mcp:tools" })
      assert.strictEqual(second.status, 200)
      assert.notStrictEqual(second.body.refresh_token, first.refresh_token)
      assert.strictEqual(decodeJwt(second.body.access_token)["scope"], "mcp:tools")
      const third = yield* refresh(second.body.refresh_token)
      assert.strictEqual(decodeJwt(third.body.access_token)["scope"], "mcp:tools mcp:write")

      const replayed = yield* refresh(first.refresh_token)
      assert.deepStrictEqual([replayed.status, replayed.body.error], [400, "invalid_grant"])
      assert.strictEqual((yield* refresh(third.body.refresh_token)).body.error, "invalid_grant")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("without refresh tokens none is given, and without registration there is no endpoint", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({ refreshTokens: false })
      const { body } = yield* redeem(yield* authorize(issuer, { scope: "mcp:tools" }))
      assert.isString(body.access_token)
      assert.notProperty(body, "refresh_token")
      const closed = yield* AuthorizationServer.make({ registration: false })
      assert.notProperty((yield* get<Metadata>(wellKnown(closed.issuer))).body, "registration_endpoint")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("opaque tokens can be introspected and revoked", () =>
    Effect.gen(function* () {
      const { issuer } = yield* AuthorizationServer.make({
        resources: () => ({ scope: "mcp:tools", accessTokenFormat: "opaque" }),
        clients: [
          {
            client_id: "resource-server",
            client_secret: "rs-secret",
            redirect_uris: [],
            response_types: [],
            grant_types: [],
            token_endpoint_auth_method: "client_secret_post"
          }
        ]
      })
      const flow = yield* authorize(issuer, { scope: "mcp:tools" })
      const { body } = yield* redeem(flow)
      const token = body.access_token
      const introspect = Effect.map(
        post(
          flow.metadata.introspection_endpoint,
          form({ client_id: "resource-server", client_secret: "rs-secret", token })
        ),
        ({ body }) => body
      )
      const active = yield* introspect
      assert.isTrue(active.active)
      assert.strictEqual(active.aud, resource)
      assert.strictEqual(active.scope, "mcp:tools")
      yield* HttpClient.post(flow.metadata.revocation_endpoint, {
        body: form({ token, client_id: flow.clientId })
      })
      assert.deepStrictEqual(yield* introspect, { active: false } as Reply)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("rotating keys publishes new kids, keeps what it knew, and can retire the old keys", () =>
    Effect.gen(function* () {
      const server = yield* AuthorizationServer.make()
      let grants = 0
      server.provider.on("grant.success", () => grants++)
      const before = yield* kids(server.issuer)
      const flow = yield* authorize(server.issuer, { scope: "mcp:tools" })
      const { body: first } = yield* redeem(flow)
      yield* server.rotateKeys()
      const after = yield* kids(server.issuer)
      assert.includeMembers(after, before)
      assert.lengthOf(after, 2 * before.length)

      // The client and its refresh token outlive the rotation.
      const { body: second } = yield* post(
        flow.metadata.token_endpoint,
        form({ grant_type: "refresh_token", client_id: flow.clientId, refresh_token: first.refresh_token })
      )
      assert.strictEqual(grants, 2)
      const { kid } = decodeProtectedHeader(second.access_token)
      assert.include(after, kid)
      assert.notInclude(before, kid)
      assert.include(before, decodeProtectedHeader(first.access_token).kid)

      yield* server.rotateKeys({ retire: true })
      const last = yield* kids(server.issuer)
      assert.lengthOf(last, before.length)
      assert.isEmpty(last.filter((kid) => after.includes(kid)))
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("an outage ends on the same port, with nothing forgotten", () =>
    Effect.gen(function* () {
      const server = yield* AuthorizationServer.make()
      const flow = yield* authorize(server.issuer, { scope: "mcp:tools" })
      yield* server.stop
      yield* server.stop
      const down = yield* Effect.either(HttpClient.get(wellKnown(server.issuer)))
      assert.strictEqual(down._tag, "Left")
      yield* server.start
      yield* server.start
      assert.strictEqual((yield* get<Metadata>(wellKnown(server.issuer))).body.issuer, server.issuer)
      assert.strictEqual((yield* redeem(flow)).status, 200)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.live("says nothing on the console, reports every exchange, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const printed: Array<unknown> = []
      const { error, info, log, warn } = console
      for (const name of ["error", "info", "log", "warn"] as const) console[name] = (...args) => printed.push(args)
      const seen: Array<AuthorizationServer.Exchange> = []
      // A handle that was closed is counted until the event loop has turned, on Node 20 up to two times.
      const sockets = Effect.map(Effect.sleep("20 millis"), () => {
        const active = process.getActiveResourcesInfo()
        return ["TCPServerWrap", "TCPSocketWrap"].map((kind) => active.filter((one) => one === kind).length)
      })
      const before = yield* sockets
      const issuer = yield* AuthorizationServer.make({ onExchange: (exchange) => seen.push(exchange) }).pipe(
        Effect.tap(({ exchanges, issuer }) =>
          Effect.gen(function* () {
            yield* redeem(yield* authorize(issuer, { scope: "mcp:tools" }))
            assert.deepStrictEqual(seen, [...exchanges])
            // Bun does not list its sockets; there the refused connection below is what tells.
            assert.strictEqual((yield* sockets)[0], isBun ? 0 : (before[0] ?? 0) + 1)
          })
        ),
        Effect.map(({ issuer }) => issuer),
        Effect.scoped,
        Effect.ensuring(Effect.sync(() => Object.assign(console, { error, info, log, warn })))
      )
      assert.deepStrictEqual(printed, [])
      assert.deepStrictEqual(
        seen.map(({ method, path, status }) => `${method} ${path.replace(/\/[\w-]{43}(?=\/|$)/, "/:uid")} ${status}`),
        [
          "GET /.well-known/oauth-authorization-server 200",
          "POST /reg 201",
          "GET /auth 303",
          "GET /interaction/:uid 200",
          "POST /interaction/:uid 303",
          "GET /auth/:uid 303",
          "GET /interaction/:uid 200",
          "POST /interaction/:uid 303",
          "GET /auth/:uid 303",
          "POST /token 200"
        ]
      )
      assert.deepStrictEqual(yield* sockets, before)
      assert.strictEqual((yield* Effect.either(HttpClient.get(wellKnown(issuer))))._tag, "Left")
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )
})

describe("ScriptedUser", () => {
  type Page = { readonly status?: number; readonly body?: string; readonly headers?: ReadonlyArray<[string, string]> }
  const start = `http://as.test/auth?redirect_uri=${encodeURIComponent("http://app.test/cb?x=1")}`

  /** An authorization server made of pages, and what was sent to it. */
  const visiting = (pages: Record<string, Page>, options?: ScriptedUser.VisitOptions, url = start) =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      const client = HttpClient.make((request, url) =>
        Effect.gen(function* () {
          const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
          const cookie = request.headers["cookie"] ?? ""
          sent.push([request.method, url.host + url.pathname + url.search, body, cookie].filter(Boolean).join(" "))
          const { body: page = "", headers = [], status = 200 } = pages[url.host + url.pathname] ?? { status: 404 }
          return HttpClientResponse.fromWeb(request, new Response(page, { status, headers: [...headers] }))
        })
      )
      const answer = yield* Effect.either(
        Effect.provideService(ScriptedUser.visit(url, options), HttpClient.HttpClient, client)
      )
      return { sent, reason: answer._tag === "Left" ? answer.left.message : `${answer.right}` }
    })

  const to = (location: string, status = 302, ...cookies: ReadonlyArray<string>): Page => ({
    status,
    headers: [["location", location], ...cookies.map((cookie): [string, string] => ["set-cookie", cookie])]
  })

  it.effect("keeps cookies by host and path, until they are deleted or expire", () =>
    Effect.gen(function* () {
      const { reason, sent } = yield* visiting({
        "as.test/auth": to("/a/b", 302, "all=1; Path=/", "a=2; Path=/a; Max-Age=60", "none=; Path=/; Max-Age=-1"),
        "as.test/a/b": to("/a", 303, "here=3", "all=4; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        "as.test/a": to("/ab", 301),
        "as.test/ab": to("http://other.test/a/b", 307, "s=5; Path=/; Secure"),
        "other.test/a/b": to("http://as.test/a/c#fragment", 308),
        "as.test/a/c": to("http://app.test/cb?x=1&code=c%20d", 303)
      })
      assert.strictEqual(reason, "x=1&code=c+d")
      assert.deepStrictEqual(
        sent.map((line) => line.replace(/\?\S*/, "")),
        [
          "GET as.test/auth",
          "GET as.test/a/b all=1; a=2",
          "GET as.test/a a=2; here=3",
          "GET as.test/ab",
          "GET other.test/a/b",
          "GET as.test/a/c a=2; here=3"
        ]
      )
    })
  )

  it.effect("fills in what it finds, presses a button, and repeats a POST only after 307 and 308", () =>
    Effect.gen(function* () {
      const login = `<!-- <form action="/wrong"> --><FORM ACTION='/log&#105;n?a=1&amp;b=2' method=POST>
        <input type=hidden name=csrf value="&lt;&quot;&#x26;&#39;>"><input name="user"><input type="password" name="pw">
        <input type="checkbox" name="stay"><input type="checkbox" name="ok" checked><input name="off" disabled value="1">
        <button name="do" value="cancel">Cancel</button><button name="do" value="in">Sign in</button></FORM>`
      const pages = {
        "as.test/auth": { body: login },
        "as.test/login": to("/again", 307),
        "as.test/again": to("/consent", 302),
        "as.test/consent": { body: `<form action="/done"><input type="hidden" name="c" value="1"></form>` },
        "as.test/done": to("http://app.test/cb?code=c")
      }
      const approved = yield* visiting(pages, { login: "bob b", password: "p&w" })
      const posted = "csrf=%3C%22%26%27%3E&user=bob+b&pw=p%26w&ok=on&do="
      assert.strictEqual(approved.reason, "code=c")
      assert.deepStrictEqual(approved.sent.slice(1), [
        `POST as.test/login?a=1&b=2 ${posted}in`,
        `POST as.test/again ${posted}in`,
        "GET as.test/consent",
        "GET as.test/done?c=1"
      ])
      const denied = yield* visiting(pages, { login: "bob b", password: "p&w", decision: "deny" })
      assert.strictEqual(denied.sent[1], `POST as.test/login?a=1&b=2 ${posted}cancel`)
      assert.match(denied.reason, /^NoDenial at http:\/\/as\.test\/consent: /)
    })
  )

  it.effect.each<[string, Record<string, Page>, string, string?]>([
    ["no page", {}, "UnexpectedStatus at http://as.test/auth: 404"],
    [
      "an error page",
      { "as.test/auth": { status: 400, body: "<h1>a &amp; b" } },
      "UnexpectedStatus at http://as.test/auth: 400 a & b"
    ],
    ["a page without a form", { "as.test/auth": { body: "<form" } }, "NoForm at http://as.test/auth: <form"],
    [
      "a loop",
      { "as.test/auth": to("/auth?secret") },
      "TooManySteps at http://as.test/auth: no redirect to http://app.test/cb"
    ],
    ["no URL", { "as.test/auth": to("http://[") }, "InvalidUrl at http://as.test/auth: not a URL"],
    ["another scheme", { "as.test/auth": to("app:/cb?code=1") }, "InvalidUrl at app:/cb: neither http nor https"],
    [
      "a redirect URI with another port",
      { "as.test/auth": to("http://app.test:81/cb?code=1") },
      "UnexpectedStatus at http://app.test:81/cb: 404"
    ],
    ["no redirect URI", {}, "InvalidUrl at http://as.test/auth: no redirect URI to wait for", "http://as.test/auth"],
    [
      "broken HTML",
      { "as.test/auth": { body: `<form action="http://[" <input name=&#x110000;><a href='"` } },
      'NoForm at http://as.test/auth: <form action="http://[" <a href=\'"'
    ]
  ])("fails as a value on %s", ([_, pages, expected, url]) =>
    Effect.gen(function* () {
      const { reason, sent } = yield* visiting(pages, {}, url)
      assert.strictEqual(reason, expected)
      assert.isAtMost(sent.length, 20)
    })
  )
})
