/**
 * This client at a certified authorization server, `oidc-provider`, in front of MCP servers that are guarded by this
 * library and by the official SDK's own helpers.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as V2 from "@modelcontextprotocol/client"
import * as V1 from "@modelcontextprotocol/sdk/client/index.js"
import * as V1Http from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { createMcpHandler } from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AuthorizeUser, FetchAuth, ServerProfile, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { HttpAppAuth, OperationScopes, WebHandlerAuth } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import { makeServer } from "../../docs/examples/tools.js"
import * as OfficialServer from "../client/fixtures/OfficialServer.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const redirectUri = "http://127.0.0.1:9/callback"

/** A scripted person, and what they were asked to open. */
const person = () => {
  const prompts: Array<URL> = []
  const layer = Layer.effect(
    AuthorizeUser.AuthorizeUser,
    Effect.map(AuthorizeUser.AuthorizeUser, (user) => ({
      begin: Effect.map(user.begin, (prompt) => ({
        ...prompt,
        authorize: (url: string) => {
          prompts.push(new URL(url))
          return prompt.authorize(url)
        }
      }))
    }))
  ).pipe(Layer.provide(ScriptedUser.layer({ login: "alice", redirectUri })), Layer.provide(FetchHttpClient.layer))
  return { prompts, layer }
}

const source = (
  resource: string,
  user: Layer.Layer<AuthorizeUser.AuthorizeUser>,
  options: Partial<TokenSource.AuthorizationCodeOptions> = {}
) =>
  TokenSource.layerAuthorizationCode({ resource, ...options }).pipe(
    Layer.provide([user, TokenStore.layerMemory]),
    Layer.provideMerge(FetchHttpClient.layer)
  )

interface Connected {
  readonly callTool: (name: string) => Effect.Effect<string, unknown>
  readonly progress: Array<number>
}

const text = (result: unknown): string =>
  (result as { readonly content: ReadonlyArray<{ readonly text: string }> }).content[0]?.text ?? ""

/** The official clients over our `fetch`. */
const connect = {
  v2: (url: string) =>
    Effect.gen(function* () {
      const fetch = yield* FetchAuth.make
      const client = new V2.Client({ name: "v2", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } })
      const transport = new V2.StreamableHTTPClientTransport(new URL(url), { fetch })
      yield* Effect.acquireRelease(
        Effect.tryPromise(() => client.connect(transport)),
        () => Effect.promise(() => client.close())
      )
      const progress: Array<number> = []
      const onprogress = (event: { readonly progress: number }) => progress.push(event.progress)
      return {
        progress,
        callTool: (name) =>
          Effect.map(
            Effect.tryPromise(() => client.callTool({ name, arguments: {} }, { onprogress })),
            text
          )
      } satisfies Connected
    }),
  v1: (url: string) =>
    Effect.gen(function* () {
      const fetch = yield* FetchAuth.make
      const client = new V1.Client({ name: "v1", version: "1.0.0" })
      const transport = new V1Http.StreamableHTTPClientTransport(new URL(url), { fetch })
      yield* Effect.acquireRelease(
        Effect.tryPromise(() => client.connect(transport as Parameters<typeof client.connect>[0])),
        () => Effect.promise(() => client.close())
      )
      const progress: Array<number> = []
      const onprogress = (event: { readonly progress: number }) => progress.push(event.progress)
      return {
        progress,
        callTool: (name) =>
          Effect.map(
            Effect.tryPromise(() => client.callTool({ name, arguments: {} }, undefined, { onprogress })),
            text
          )
      } satisfies Connected
    })
}

/** Without what happens between the person and the pages. */
const withoutPages = (trace: ReadonlyArray<string>) =>
  trace.filter((line) => !/^as (GET|POST) \/(auth|interaction)\//.test(line) && !line.startsWith("mcp GET /mcp "))

const tokenRequests = ({ exchanges }: AuthorizationServer.AuthorizationServer, grant: string) =>
  exchanges
    .filter(({ path, status }) => path === "/token" && status === 200)
    .map(({ requestBody = "", responseBody = "{}" }) => ({
      form: new URLSearchParams(requestBody),
      answer: JSON.parse(responseBody) as Record<string, string>
    }))
    .filter(({ form }) => form.get("grant_type") === grant)

describe("at oidc-provider, in front of a guarded server", () => {
  it.scopedLive("signs in with a pushed request, steps up, and refreshes with rotation", () =>
    Effect.gen(function* () {
      const server = yield* ProtectedServer.make({
        authorizationServer: { resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: 3 }) }
      })
      const { authorizationServer, trace, url } = server
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        assert.deepStrictEqual(withoutPages(trace), [
          "mcp POST /mcp server/discover 401",
          "mcp GET /.well-known/oauth-protected-resource/mcp 200",
          "as GET /.well-known/oauth-authorization-server 200",
          "as POST /reg 201",
          "as POST /request 201",
          "as GET /auth 303",
          "as POST /token 200",
          // The guard fetches what it checks signatures with.
          "as GET /.well-known/oauth-authorization-server 200",
          "as GET /jwks 200",
          "mcp POST /mcp server/discover 200"
        ])
        // nothing of the request is in the URL.
        assert.deepStrictEqual(Array.from(prompts[0]?.searchParams.keys() ?? []), ["client_id", "request_uri"])
        const pushed = new URLSearchParams(
          authorizationServer.exchanges.find((_) => _.path === "/request")?.requestBody
        )
        assert.strictEqual(pushed.get("resource"), url)
        assert.strictEqual(pushed.get("code_challenge_method"), "S256")

        const before = trace.length
        assert.strictEqual(yield* callTool("write_note"), '{"note":"written by alice"}')
        assert.deepStrictEqual(withoutPages(trace.slice(before)), [
          "mcp POST /mcp tools/call write_note 403",
          "mcp GET /.well-known/oauth-protected-resource/mcp 200",
          "as GET /.well-known/oauth-authorization-server 200",
          "as POST /request 201",
          "as GET /auth 303",
          "as POST /token 200",
          "mcp POST /mcp tools/call write_note 200"
        ])
        assert.lengthOf(prompts, 2)

        for (const _ of [1, 2]) {
          yield* Effect.sleep("3100 millis")
          const from = trace.length
          assert.strictEqual(yield* callTool("write_note"), '{"note":"written by alice"}')
          assert.deepStrictEqual(withoutPages(trace.slice(from)), [
            "as POST /token 200",
            "mcp POST /mcp tools/call write_note 200"
          ])
        }
        assert.lengthOf(prompts, 2)
        const refreshes = tokenRequests(authorizationServer, "refresh_token")
        const signIns = tokenRequests(authorizationServer, "authorization_code")
        // Each refresh token serves once, and the next one is that of the answer.
        assert.strictEqual(refreshes[0]?.form.get("refresh_token"), signIns[1]?.answer["refresh_token"])
        assert.strictEqual(refreshes[1]?.form.get("refresh_token"), refreshes[0]?.answer["refresh_token"])
        assert.notStrictEqual(refreshes[1]?.form.get("refresh_token"), refreshes[0]?.form.get("refresh_token"))
        for (const { form } of [...refreshes, ...signIns]) assert.strictEqual(form.get("resource"), url)
      }).pipe(Effect.provide(source(url, layer)))
    })
  )

  it.scopedLive("signs in when a protected tool needs it, at a server that anybody may use", () =>
    Effect.gen(function* () {
      const mcp = createMcpHandler(() => makeServer())
      const open = WebHandlerAuth.fromWebHandlerOptional((request, caller) =>
        mcp.fetch(request, caller && { authInfo: caller.authInfo })
      ).pipe(
        OperationScopes.middlewareOptional({
          tool: (name) => (name === "whoami" ? OperationScopes.open : name === "write_note" ? ["mcp:write"] : [])
        }),
        HttpAppAuth.optional,
        HttpAppAuth.withMetadata
      )
      const { trace, url } = yield* ProtectedServer.make({ serve: HttpServer.serve(open) })
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        yield* Effect.ignore(callTool("whoami"))
        assert.lengthOf(prompts, 0)
        assert.isFalse(trace.some((line) => line.startsWith("as ") || line.endsWith(" 401")))
        assert.include(yield* callTool("write_note"), '"subject":"alice"')
        assert.lengthOf(prompts, 1)
        assert.include(yield* callTool("whoami"), '"subject":"alice"')
      }).pipe(Effect.provide(source(url, layer)))
      assert.deepStrictEqual(
        trace.filter((line) => line.includes("tools/call")),
        [
          "mcp POST /mcp tools/call whoami 200",
          "mcp POST /mcp tools/call write_note 401",
          "mcp POST /mcp tools/call write_note 200",
          "mcp POST /mcp tools/call whoami 200"
        ]
      )
    })
  )

  it.scopedLive("J7: signs in and refreshes where `resource` is left out by profile", () =>
    Effect.gen(function* () {
      // Which resource is meant an authorization server of this kind takes from its own configuration.
      let resource: string | undefined
      const { authorizationServer, url } = yield* ProtectedServer.make({
        authorizationServer: {
          defaultResource: () => resource,
          resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: 2 })
        }
      })
      resource = url
      // Unlike Entra ID, oidc-provider gives no refresh token without prompt=consent.
      const profile = { ...ServerProfile.entraId, offlineNeedsConsent: true }
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        yield* callTool("whoami")
        yield* Effect.sleep("2100 millis")
        yield* callTool("whoami")
        assert.lengthOf(prompts, 1)
        assert.lengthOf(tokenRequests(authorizationServer, "refresh_token"), 1)
        for (const { query, requestBody = "" } of authorizationServer.exchanges) {
          assert.isFalse(new URLSearchParams(query).has("resource") || new URLSearchParams(requestBody).has("resource"))
        }
      }).pipe(Effect.provide(source(url, layer, { serverProfiles: { [authorizationServer.issuer]: profile } })))
    })
  )

  it.scopedLive("a refresh token that was revoked leads to one new sign-in, however many calls there are", () =>
    Effect.gen(function* () {
      const { authorizationServer, url } = yield* ProtectedServer.make({
        authorizationServer: { resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: 2 }) }
      })
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        yield* callTool("whoami")
        const [signIn] = tokenRequests(authorizationServer, "authorization_code")
        yield* Effect.promise(() =>
          fetch(`${authorizationServer.issuer}/token/revocation`, {
            method: "POST",
            body: new URLSearchParams({
              token: signIn?.answer["refresh_token"] ?? "",
              client_id: signIn?.form.get("client_id") ?? ""
            })
          })
        )
        yield* Effect.sleep("2100 millis")
        yield* Effect.all(
          Array.from({ length: 5 }, () => callTool("whoami")),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(prompts, 2)
        assert.lengthOf(
          authorizationServer.exchanges.filter(({ path, status }) => path === "/token" && status === 400),
          1
        )
      }).pipe(Effect.provide(source(url, layer)))
    })
  )

  it.scopedLive("signs out: the refresh token is revoked, and a JWT cannot be", () =>
    Effect.gen(function* () {
      const { authorizationServer, url } = yield* ProtectedServer.make()
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        yield* callTool("whoami")
        const signedOut = yield* TokenSource.signOut
        assert.deepStrictEqual(signedOut.issuer, Option.some(authorizationServer.issuer))
        assert.strictEqual(signedOut.refreshToken._tag, "Revoked")
        const { accessToken } = signedOut
        assert.strictEqual(accessToken._tag === "StillValid" ? accessToken.reason : "", "Unsupported")
        const [signIn] = tokenRequests(authorizationServer, "authorization_code")
        const refreshToken = signIn?.answer["refresh_token"] ?? ""
        assert.isUndefined(yield* Effect.promise(() => authorizationServer.provider.RefreshToken.find(refreshToken)))
        yield* callTool("whoami")
        assert.lengthOf(prompts, 2)
        assert.lengthOf(
          authorizationServer.exchanges.filter(({ path }) => path === "/reg"),
          1
        )
      }).pipe(Effect.provide(source(url, layer)))
    })
  )

  it.scopedLive(
    "signs in by device authorization, refreshes, and signs out",
    () =>
      Effect.gen(function* () {
        const { authorizationServer, trace, url } = yield* ProtectedServer.make({
          authorizationServer: {
            deviceFlow: true,
            resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: 3 })
          }
        })
        const codes: Array<string> = []
        const device = TokenSource.layerDeviceAuthorization({
          resource: url,
          show: ({ userCode, verificationUriComplete = "" }) => {
            codes.push(userCode)
            // The last page is the end of it: there is no redirect to come to.
            return ScriptedUser.visit(verificationUriComplete, { login: "alice", redirectUri }).pipe(
              Effect.ignore,
              Effect.provide(FetchHttpClient.layer),
              Effect.forkDaemon,
              Effect.asVoid
            )
          }
        }).pipe(Layer.provide(TokenStore.layerMemory), Layer.provideMerge(FetchHttpClient.layer))
        yield* Effect.gen(function* () {
          const { callTool } = yield* connect.v2(url)
          assert.include(yield* callTool("whoami"), '"subject":"alice"')
          assert.lengthOf(codes, 1)
          assert.match(codes[0] ?? "", /^[A-Z]{4}-[A-Z]{4}$/)
          assert.includeMembers(withoutPages(trace), ["as POST /device/auth 200"])
          const [signIn] = tokenRequests(authorizationServer, "urn:ietf:params:oauth:grant-type:device_code")
          assert.strictEqual(signIn?.form.get("resource"), url)
          yield* Effect.sleep("3100 millis")
          yield* callTool("whoami")
          assert.lengthOf(tokenRequests(authorizationServer, "refresh_token"), 1)
          assert.lengthOf(codes, 1)
          assert.strictEqual((yield* TokenSource.signOut).refreshToken._tag, "Revoked")
        }).pipe(Effect.provide(device))
      }),
    30_000
  )
})

describe("at a server of the official SDK, behind its own bearer gate", () => {
  for (const version of ["v2", "v1"] as const) {
    it.scopedLive(`${version} over FetchAuth: signs in, hears the progress of a call over SSE, steps up`, () =>
      Effect.gen(function* () {
        const authorizationServer = yield* AuthorizationServer.make({
          resources: () => ({ scope: ProtectedServer.scopes })
        })
        const { trace, url } = yield* OfficialServer.make(authorizationServer.issuer)
        const { layer, prompts } = person()
        yield* Effect.gen(function* () {
          const { callTool, progress } = yield* connect[version](url)
          assert.strictEqual(yield* callTool("count"), "three")
          assert.deepStrictEqual(progress, [1, 2, 3])
          assert.lengthOf(prompts, 1)
          const [first] = trace
          assert.match(first ?? "", version === "v2" ? /^POST server\/discover 401/ : /^POST initialize 401/)
          assert.include(trace, "POST tools/call count 200 text/event-stream")

          const from = trace.length
          assert.strictEqual(yield* callTool("write_note"), "written")
          assert.lengthOf(prompts, 2)
          assert.deepStrictEqual(
            trace.slice(from).filter((line) => line.startsWith("POST")),
            ["POST tools/call write_note 403 application/json", "POST tools/call write_note 200 text/event-stream"]
          )
        }).pipe(Effect.provide(source(url, layer)))
      })
    )
  }

  it.scopedLive("signs out where tokens are opaque: both are revoked, and the server knows at once", () =>
    Effect.gen(function* () {
      const authorizationServer = yield* AuthorizationServer.make({
        resources: () => ({ scope: ProtectedServer.scopes, accessTokenFormat: "opaque" })
      })
      const { url } = yield* OfficialServer.make(authorizationServer.issuer, async (token) => {
        const found = (await authorizationServer.provider.AccessToken.find(token)) as
          | { readonly clientId: string; readonly scope: string; readonly exp: number }
          | undefined
        return found && { token, clientId: found.clientId, scopes: found.scope.split(" "), expiresAt: found.exp }
      })
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        const { callTool } = yield* connect.v2(url)
        yield* callTool("count")
        const { accessToken, refreshToken } = yield* TokenSource.signOut
        assert.deepStrictEqual([refreshToken._tag, accessToken._tag], ["Revoked", "Revoked"])
        const [signIn] = tokenRequests(authorizationServer, "authorization_code")
        const access = signIn?.answer["access_token"] ?? ""
        assert.isUndefined(yield* Effect.promise(() => authorizationServer.provider.AccessToken.find(access)))
        yield* callTool("count")
        assert.lengthOf(prompts, 2)
      }).pipe(Effect.provide(source(url, layer)))
    })
  )
})
