/**
 * What the official suite cannot see of a client: servers that misbehave over real sockets, and where the secrets went.
 */
import type { ServerResponse } from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthorizeUser, ClientError, HttpClientAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { DiscoveryTrace, FetchLimits } from "effect-mcp-auth/discovery"
import { NodeAuthorizeUser } from "effect-mcp-auth/node"
import * as Sockets from "../client/fixtures/Sockets.js"

interface Person {
  readonly prompts: Array<URL>
  readonly layer: Layer.Layer<AuthorizeUser.AuthorizeUser>
}

/** A browser that shows where it was redirected to; `tamper` changes it on the way. */
const person = (tamper: (answer: URLSearchParams) => URLSearchParams = (answer) => answer): Person => {
  const prompts: Array<URL> = []
  const layer = AuthorizeUser.layer({
    redirectUri: "http://127.0.0.1:9/callback",
    authorize: (url) =>
      Effect.tryPromise({
        try: async () => {
          prompts.push(new URL(url))
          const response = await fetch(url, { redirect: "manual" })
          return tamper(new URL(response.headers.get("location") ?? "").searchParams)
        },
        catch: (cause) => new ClientError.AuthorizeUserError({ reason: "Cancelled", detail: "no redirect", cause })
      })
  })
  return { prompts, layer }
}

const call = (endpoint: string) =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    Effect.flatMap(HttpClientAuth.transform()(client).post(endpoint), (response) =>
      Effect.as(response.text, response.status)
    )
  ).pipe(Effect.scoped)

const services = ({ endpoint }: Sockets.Sockets, user: Layer.Layer<AuthorizeUser.AuthorizeUser>) =>
  TokenSource.layerAuthorizationCode({ resource: endpoint }).pipe(
    Layer.provide([user, TokenStore.layerMemory]),
    Layer.provideMerge(FetchHttpClient.layer)
  )

/** The failure of one call, with what the person saw. */
const failing = (sockets: Sockets.Sockets, { layer, prompts } = person()) =>
  Effect.map(call(sockets.endpoint).pipe(Effect.flip, Effect.provide(services(sockets, layer))), (error) => ({
    error,
    prompts
  }))

const codeRequests = ({ authorizationServer }: Sockets.Sockets) =>
  authorizationServer.requests.filter(({ path }) => path === "/token").length

describe("the authorization response", () => {
  it.scopedLive("J6 CL-50: a state that is missing or wrong is refused, and the code goes nowhere", () =>
    Effect.gen(function* () {
      for (const tamper of [
        (answer: URLSearchParams) => {
          answer.delete("state")
          return answer
        },
        (answer: URLSearchParams) => {
          answer.set("state", `${answer.get("state")}x`)
          return answer
        },
        (answer: URLSearchParams) => {
          answer.set("state", "")
          return answer
        }
      ]) {
        const sockets = yield* Sockets.make
        const { error } = yield* failing(sockets, person(tamper))
        assert.strictEqual(error._tag, "AuthorizationInvalid")
        assert.strictEqual(codeRequests(sockets), 0)
      }
    })
  )

  it.scopedLive("CL-59: an answer that served once is none the second time", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      let first: string | undefined
      const { layer, prompts } = person((answer) => {
        first ??= answer.toString()
        return new URLSearchParams(first)
      })
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* call(sockets.endpoint), 200)
        yield* TokenSource.signOut
        const error = yield* Effect.flip(call(sockets.endpoint))
        assert.strictEqual(error._tag, "AuthorizationInvalid")
        assert.lengthOf(prompts, 2)
        assert.strictEqual(codeRequests(sockets), 1)
      }).pipe(Effect.provide(services(sockets, layer)))
    })
  )

  it.scopedLive("J13: error= is the server's no, typed, and asks nobody again", () =>
    Effect.gen(function* () {
      for (const code of ["access_denied", "invalid_scope", "server_error"]) {
        const sockets = yield* Sockets.make
        sockets.authorizationServer.handlers.set("/authorize", ({ query }, response) => {
          const answer = new URLSearchParams({ error: code, state: query.get("state") ?? "" })
          response.writeHead(302, { location: `${query.get("redirect_uri")}?${answer}` }).end()
        })
        const { error, prompts } = yield* failing(sockets)
        assert.strictEqual(error._tag === "AuthorizationRefused" ? error.error : error._tag, code)
        assert.lengthOf(prompts, 1)
        assert.strictEqual(codeRequests(sockets), 0)
      }
    })
  )

  it.scopedLive("the redirect URI is the same, byte for byte, when registering, asking and exchanging", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const registered: Array<string> = []
      sockets.authorizationServer.handlers.set("/register", ({ body }, response) => {
        registered.push(...JSON.parse(body).redirect_uris)
        Sockets.json(response, { client_id: "registered" }, 201)
      })
      const user = AuthorizeUser.layerLoopback({
        listen: NodeAuthorizeUser.listen,
        open: (url) => Effect.promise(() => fetch(url).then((response) => response.text())).pipe(Effect.asVoid)
      })
      assert.strictEqual(yield* call(sockets.endpoint).pipe(Effect.provide(services(sockets, user))), 200)
      const of = (path: string) => sockets.authorizationServer.requests.find((request) => request.path === path)
      const asked = of("/authorize")?.query.get("redirect_uri")
      assert.match(asked ?? "", /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
      assert.strictEqual(of("/token")?.form.get("redirect_uri"), asked)
      assert.deepStrictEqual(registered, [asked])
    })
  )
})

describe("where the secrets go", () => {
  it.scopedLive(
    "CL-71 CL-72 CL-73: no access token to the authorization server, no refresh token to the MCP server",
    () =>
      Effect.gen(function* () {
        const sockets = yield* Sockets.make
        const { authorizationServer, issued, mcp, tokens } = sockets
        const { layer } = person()
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* call(sockets.endpoint), 200)
          for (let round = 0; round < 3; round++) {
            tokens.clear()
            assert.strictEqual(yield* call(sockets.endpoint), 200)
          }
        }).pipe(Effect.provide(services(sockets, layer)))
        assert.lengthOf(issued.access, 4)
        for (const token of issued.access) assert.notInclude(authorizationServer.bytes(), token)
        for (const token of issued.refresh) assert.notInclude(mcp.bytes(), token)
        // They did go where they belong, and the access token only in its header.
        for (const token of issued.access) assert.include(mcp.bytes(), `Bearer ${token}`)
        for (const token of issued.refresh.slice(0, 3)) assert.include(authorizationServer.bytes(), token)
        const verifiers = authorizationServer.requests.flatMap(({ form }) => form.get("code_verifier") ?? [])
        for (const verifier of verifiers) assert.notInclude(mcp.bytes(), verifier)
        assert.isTrue(mcp.requests.every(({ query }) => !query.has("access_token")))
      })
  )

  it.scopedLive("CL-78: a redirect of the MCP endpoint to another origin is an answer, and the token stays", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const other = yield* Sockets.make
      const { layer } = person()
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* call(sockets.endpoint), 200)
        for (const status of [302, 307, 308]) {
          sockets.mcp.handlers.set("/mcp", (_, response) => {
            response.writeHead(status, { location: other.endpoint }).end()
          })
          assert.strictEqual(yield* call(sockets.endpoint), status)
        }
        // Not asked directly either: its refusals are nobody's business here.
        assert.strictEqual(yield* call(other.endpoint), 401)
      }).pipe(Effect.provide(services(sockets, layer)))
      assert.lengthOf(other.mcp.requests, 1)
      assert.notMatch(other.mcp.bytes(), /authorization:/i)
    })
  )
})

describe("metadata", () => {
  const quick = Effect.provide(FetchLimits.layer({ timeout: Duration.millis(500) }))

  const paths = [
    ["mcp", "/.well-known/oauth-protected-resource/mcp"],
    ["authorizationServer", "/.well-known/oauth-authorization-server"]
  ] as const

  const behaviours: ReadonlyArray<
    readonly [string, Sockets.Peer["handlers"] extends Map<string, infer H> ? H : never, string]
  > = [
    [
      "redirects",
      (_, response) => {
        response.writeHead(302, { location: "http://127.0.0.1:9/elsewhere" }).end()
      },
      "redirects are not followed"
    ],
    [
      "drips",
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json" })
        const timer = setInterval(() => response.write(" "), 20)
        response.on("close", () => clearInterval(timer))
      },
      "no answer within"
    ],
    [
      "is 10 MB",
      (_, response) => {
        const half = Buffer.alloc(64 * 1024, " ")
        response.writeHead(200, { "content-type": "application/json" })
        const more = (left: number): unknown =>
          left === 0 ? response.end("{}") : response.write(half, () => more(left - 1))
        more(160)
      },
      "larger than"
    ],
    [
      "is not JSON",
      (_, response) => {
        response.writeHead(200, { "content-type": "text/html" }).end("<h1>secret welcome</h1>")
      },
      "must be JSON"
    ],
    [
      "is no object",
      (_, response) => {
        Sockets.json(response, ["secret"])
      },
      "the document is not what it should be"
    ]
  ]
  for (const [name, handler, said] of behaviours) {
    it.scopedLive(`that ${name} is a typed failure in time, of either server`, () =>
      Effect.gen(function* () {
        for (const [peer, path] of paths) {
          const sockets = yield* Sockets.make
          sockets[peer].handlers.set(path, handler)
          const started = performance.now()
          const { error, prompts } = yield* quick(failing(sockets))
          assert.isBelow(performance.now() - started, 4000)
          assert.include(["DiscoveryFailed", "TokenUnavailable"], error._tag)
          assert.include(error.message, said)
          assert.notInclude(error.message, "secret")
          assert.lengthOf(prompts, 0)
        }
      })
    )
  }

  it.scopedLive("J5 CL-42 CL-44: an authorization server without S256 is refused before anybody is asked", () =>
    Effect.gen(function* () {
      for (const methods of [undefined, ["plain"]]) {
        const sockets = yield* Sockets.make
        sockets.documents.server["code_challenge_methods_supported"] = methods
        const { error, prompts } = yield* failing(sockets)
        assert.strictEqual(error._tag, "DiscoveryFailed")
        assert.include(error.message, "PKCE")
        assert.lengthOf(prompts, 0)
        assert.isFalse(sockets.authorizationServer.requests.some(({ path }) => path === "/register"))
      }
    })
  )

  it.scopedLive("J3 CL-07: the first authorization server is dead, the second serves", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const dead = yield* Sockets.make
      dead.authorizationServer.die()
      sockets.documents.resource["authorization_servers"] = [
        dead.authorizationServer.url,
        sockets.authorizationServer.url
      ]
      const { layer, prompts } = person()
      const trace = yield* DiscoveryTrace.collect((trace) => Effect.zipRight(call(sockets.endpoint), trace)).pipe(
        Effect.provide(services(sockets, layer))
      )
      assert.lengthOf(prompts, 1)
      assert.include(DiscoveryTrace.render(trace), `pass over ${dead.authorizationServer.url}`)
    })
  )

  it.scopedLive("several challenges in one header, with commas and quotes: the Bearer one is read", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const { challenge } = sockets.documents
      sockets.documents.challenge = `Basic realm="a, Bearer scope=\\"evil\\"", DPoP algs="ES256", ${challenge}, Negotiate abc==`
      const { layer, prompts } = person()
      assert.strictEqual(yield* call(sockets.endpoint).pipe(Effect.provide(services(sockets, layer))), 200)
      assert.strictEqual(prompts[0]?.searchParams.get("scope"), "read")
      assert.isFalse(sockets.mcp.requests.some(({ path }) => path === "/.well-known/oauth-protected-resource"))
    })
  )
})

describe("a challenge on an answer that never ends", () => {
  for (const [name, more] of [
    ["says nothing", (_: ServerResponse) => {}],
    ["never stops", (response: ServerResponse) => void response.write(`data: ${"x".repeat(16_384)}\n\n`)]
  ] as const) {
    it.scopedLive(`and ${name}: the stream is given up, and the challenge counts`, () =>
      Effect.gen(function* () {
        const sockets = yield* Sockets.make
        const granted = sockets.mcp.handlers.get("/mcp")
        sockets.mcp.handlers.set("/mcp", (request, response) => {
          if (request.headers.authorization !== undefined) return granted?.(request, response)
          response.writeHead(401, {
            "content-type": "text/event-stream",
            "www-authenticate": sockets.documents.challenge
          })
          response.flushHeaders()
          const timer = setInterval(() => more(response), 1)
          response.on("close", () => clearInterval(timer))
        })
        const { layer, prompts } = person()
        const answer = call(sockets.endpoint).pipe(
          Effect.timeout("8 seconds"),
          Effect.provide(services(sockets, layer))
        )
        assert.strictEqual(yield* answer, 200)
        assert.strictEqual(prompts[0]?.searchParams.get("scope"), "read")
      })
    )
  }
})

describe("for ever", () => {
  it.scopedLive("401: one prompt, a diagnosis, and no more than that for whoever comes after", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      sockets.mcp.handlers.set("/mcp", (_, response) => {
        response.writeHead(401, { "www-authenticate": sockets.documents.challenge }).end()
      })
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        for (let round = 0; round < 5; round++) {
          const error = yield* Effect.flip(call(sockets.endpoint))
          assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "TokenNotAccepted")
        }
        assert.lengthOf(prompts, 1)
        assert.isAtMost(sockets.mcp.requests.filter(({ path }) => path === "/mcp").length, 6)
      }).pipe(Effect.provide(services(sockets, layer)))
    })
  )

  it.scopedLive("403 insufficient_scope: what is not granted is not asked for again; any other 403 is an answer", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const { layer, prompts } = person()
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* call(sockets.endpoint), 200)
        const mcp = (header: string) =>
          sockets.mcp.handlers.set("/mcp", (_, response) => {
            response.writeHead(403, { "www-authenticate": header }).end()
          })
        mcp(`Bearer error="insufficient_scope", scope="admin"`)
        sockets.authorizationServer.handlers.set("/token", (_, response) => {
          Sockets.json(response, { access_token: "narrow", token_type: "Bearer", expires_in: 300, scope: "read" })
        })
        for (let round = 0; round < 5; round++) {
          const error = yield* Effect.flip(call(sockets.endpoint))
          assert.strictEqual(error._tag === "AccessRefused" ? error.reason : error._tag, "ScopesNotGranted")
        }
        assert.lengthOf(prompts, 2)
        assert.strictEqual(prompts[1]?.searchParams.get("scope"), "read admin")
        mcp(`Bearer error="invalid_token"`)
        assert.strictEqual(yield* call(sockets.endpoint), 403)
        assert.lengthOf(prompts, 2)
      }).pipe(Effect.provide(services(sockets, layer)))
    })
  )
})

describe("many at once", () => {
  it.scopedLive("CL-69: ten concurrent first calls are one sign-in", () =>
    Effect.gen(function* () {
      const sockets = yield* Sockets.make
      const { layer, prompts } = person()
      const ten = Effect.all(
        Array.from({ length: 10 }, () => call(sockets.endpoint)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        yield* ten.pipe(Effect.provide(services(sockets, layer))),
        Array.from({ length: 10 }, () => 200)
      )
      assert.lengthOf(prompts, 1)
      const paths = sockets.authorizationServer.requests.map(({ path }) => path)
      assert.deepStrictEqual(paths, ["/.well-known/oauth-authorization-server", "/register", "/authorize", "/token"])
      assert.lengthOf(sockets.mcp.requests, 21)
    })
  )
})
