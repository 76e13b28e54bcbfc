// Every adapter, over real sockets, request by request: all of them answer like HttpAppAuth does, to the letter.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Adapters from "./fixtures/Adapters.js"
import { invalidChallenge, missingChallenge, requestChallenge, resource, scopeChallenge } from "./fixtures/Guarded.js"
import * as RawHttp from "./fixtures/RawHttp.js"

const authorizer = Authorizer.layerTest({
  alice: { subject: "alice", scopes: ["mcp:tools", "files:write"] },
  bob: { subject: "bob", scopes: ["mcp:tools"] },
  nothing: { scopes: [] },
  old: { scopes: ["mcp:tools"], expiresAt: 1 },
  foreign: { scopes: ["mcp:tools"], audience: ["https://other.example"] },
  bound: { scopes: ["mcp:tools"] },
  down: new AuthError.ServerError({ retryAfter: 3, cause: new Error("hunter2") }),
  bug: new AuthError.ServerError({ cause: new Error("hunter2") }),
  quoted: new AuthError.InvalidToken({ reason: "other", description: 'not "you"\r\n\\ é' }),
  strange: new AuthError.InsufficientScope({ required: ["a", "b"], description: "more" })
})

const ask = (port: number, path: string, token?: string, more: Partial<RawHttp.RawRequest> = {}) =>
  Effect.promise(() =>
    RawHttp.send(port, {
      path,
      ...more,
      headers: [
        ...(more.headers ?? []),
        ...(token === undefined ? [] : [["Authorization", `Bearer ${token}`] as const])
      ]
    })
  )

/** What is left when the headers that are about the connection, the server and the time are left out. */
const essence = ({ headers, status, text }: RawHttp.RawResponse) => {
  const { connection: _, date: _date, "keep-alive": _alive, "transfer-encoding": _encoding, ...rest } = headers
  return { status, headers: rest, text }
}

const authorization = (...values: ReadonlyArray<string>): Partial<RawHttp.RawRequest> => ({
  headers: values.map((value) => ["Authorization", value] as const)
})

interface Row {
  readonly name: string
  readonly path: string
  readonly token?: string
  readonly more?: Partial<RawHttp.RawRequest>
  readonly status: number
  readonly challenge?: string
}

const TOKEN = "the token must be one b64token (RFC 6750 section 2.1)"
const SCHEME = "the scheme must be a token, followed by a space (RFC 9110 section 11.4)"
const QUERY = "access_token must not be sent in the query; use the header"
const REPEATED = "the Authorization header must not be repeated"

const row = (name: string, path: string, token: string | undefined, status: number, challenge?: string): Row => ({
  name,
  path,
  status,
  ...(token === undefined ? {} : { token }),
  ...(challenge === undefined ? {} : { challenge })
})

const rows: ReadonlyArray<Row> = [
  row("RS-30, E2 no token", "/whoami", undefined, 401, missingChallenge),
  row("RS-30 no token, for a handler that needs no caller", "/plain", undefined, 401, missingChallenge),
  row("D1, D2 a token", "/whoami", "alice", 200),
  row("D1, D2 another token", "/whoami", "bob", 200),
  row("a handler that needs no caller", "/plain", "bob", 200),
  row("E3 an unknown token", "/whoami", "mallory", 401, invalidChallenge()),
  row("RS-36 an expired token", "/whoami", "old", 401, invalidChallenge("The access token has expired")),
  row("RS-32 a token for another resource", "/whoami", "foreign", 401, invalidChallenge()),
  row("H5 a token without the scope of every request", "/whoami", "nothing", 403, scopeChallenge("mcp:tools")),
  row("C16 an outage", "/whoami", "down", 503),
  row("E6 no decision", "/whoami", "bug", 500),
  row("E13 what a header may not hold", "/whoami", "quoted", 401, invalidChallenge("not 'you'  / ?")),
  row("C3 scopes that the authorizer names", "/whoami", "strange", 403, scopeChallenge("a b mcp:tools", "more")),
  row("RS-53, E4, G2 requireScopes in a handler", "/write", "bob", 403, scopeChallenge("files:write mcp:tools")),
  row("RS-53, E4, G2 scopes where they are declared", "/declared", "bob", 403, scopeChallenge("files:write mcp:tools")),
  row("requireScopes in a handler, granted", "/write", "alice", 200),
  row("scopes where they are declared, granted", "/declared", "alice", 200),
  row("any other refusal of a handler", "/refuse", "bob", 401, invalidChallenge("not for you")),
  row("an outage that a handler met", "/outage", "bob", 503),
  row("a refusal of a handler that says nothing", "/broken", "bob", 500),
  row("C11, C12 a defect of a handler", "/die", "bob", 500),
  ...(
    [
      ["B2 bearer", 200, ["bearer alice"]],
      ["B2 several spaces", 200, ["BEARER    alice  "]],
      ["B3 a blank token", 401, ["Bearer"]],
      ["B4 a token of spaces", 401, ["Bearer    "]],
      ["B3 an empty header", 401, [""]],
      ["H-11 another scheme", 401, ["Basic dXNlcjpwYXNz"]],
      ["D-11 DPoP, which is not served here", 401, ["DPoP alice"]],
      ["B8 two tokens", 400, ["Bearer alice alice"], TOKEN],
      ["B8 a character outside of the alphabet", 400, ["Bearer alice!"], TOKEN],
      ["B8 no space", 400, ["Bearer:alice"], SCHEME],
      ["B8, B-01 two headers", 400, ["Bearer alice", "Bearer alice"], REPEATED],
      ["B8, B-01 two headers of two schemes", 400, ["Basic YTpi", "Bearer alice"], REPEATED]
    ] as const
  ).map(
    ([name, status, values, rule]): Row => ({
      name,
      path: "/whoami",
      more: authorization(...values),
      status,
      ...(status === 200 ? {} : { challenge: rule === undefined ? missingChallenge : requestChallenge(rule) })
    })
  ),
  row("B1, B-05 a token in the query", "/whoami?access_token=alice", undefined, 400, requestChallenge(QUERY)),
  row(
    "B1, B-05 a token in the query and in the header",
    "/whoami?access%5Ftoken=",
    "alice",
    400,
    requestChallenge(QUERY)
  )
]

/** The servers of all adapters, by name. */
class Servers extends Context.Tag("Servers")<Servers, ReadonlyMap<string, Adapters.Started>>() {}

const servers = Layer.scoped(
  Servers,
  Effect.map(
    Effect.forEach(Adapters.adapters, ({ name, serve }) =>
      Effect.map(Adapters.start(serve, authorizer), (started) => [name, started] as const)
    ),
    (started) => new Map(started)
  )
)

const serverOf = ({ name }: Adapters.Adapter) => Effect.map(Servers, (servers) => servers.get(name) as Adapters.Started)

const [reference, ...others] = Adapters.adapters as [Adapters.Adapter, ...Array<Adapters.Adapter>]

layer(servers, { excludeTestServices: true })("over a socket", (it) => {
  describe(reference.name, () => {
    for (const { challenge, more, name, path, status, token } of rows) {
      it.effect(`${name}: ${status}`, () =>
        Effect.gen(function* () {
          const { port, reached } = yield* serverOf(reference)
          const before = reached.length
          const answer = yield* ask(port, path, token, more)
          assert.strictEqual(answer.status, status)
          assert.strictEqual(answer.headers["www-authenticate"], challenge)
          assert.notInclude(answer.text, "hunter2")
          assert.strictEqual(reached.length - before, status === 200 ? 1 : 0, "how often a handler was reached")
        })
      )
    }
  })

  for (const adapter of others) {
    describe(adapter.name, () => {
      for (const { more, name, path, status, token } of rows) {
        it.effect(`${name}: ${status}, as HttpAppAuth answers it`, () =>
          Effect.gen(function* () {
            const { port, reached } = yield* serverOf(adapter)
            const { port: referencePort } = yield* serverOf(reference)
            const before = reached.length
            const [answer, expected] = yield* Effect.all([
              ask(port, path, token, more),
              ask(referencePort, path, token, more)
            ])
            assert.deepStrictEqual(essence(answer), essence(expected))
            assert.strictEqual(reached.length - before, status === 200 ? 1 : 0, "how often a handler was reached")
          })
        )
      }
    })
  }

  for (const adapter of Adapters.adapters) {
    const { beside, name, unknown } = adapter
    describe(name, () => {
      it.effect(`an unknown path, and an unknown method of a known one, is ${unknown} without an accepted token`, () =>
        Effect.gen(function* () {
          const { port } = yield* serverOf(adapter)
          for (const [path, method] of [
            ["/nowhere", "GET"],
            ["/nowhere", "POST"],
            ["/whoami", "DELETE"],
            ["/whoami", "POST"],
            ["/whoami/", "PUT"]
          ] as const) {
            const anonymous = yield* ask(port, path, undefined, { method })
            assert.strictEqual(anonymous.status, unknown, `${method} ${path}`)
            assert.strictEqual(anonymous.headers["www-authenticate"], unknown === 401 ? missingChallenge : undefined)
            assert.strictEqual((yield* ask(port, path, "mallory", { method })).status, unknown)
            assert.strictEqual((yield* ask(port, path, "bob", { method })).status, 404)
          }
        })
      )

      it.effect("RS-30 HEAD is a GET without a body", () =>
        Effect.gen(function* () {
          const { port, reached } = yield* serverOf(adapter)
          const before = reached.length
          const get = yield* ask(port, "/whoami")
          const head = yield* ask(port, "/whoami", undefined, { method: "HEAD" })
          assert.deepStrictEqual(essence(head), { ...essence(get), text: "" })
          assert.strictEqual(reached.length, before)
          const letIn = yield* ask(port, "/whoami", "bob", { method: "HEAD" })
          assert.deepStrictEqual([letIn.status, letIn.text], [200, ""])
          assert.strictEqual(reached.length, before + 1)
        })
      )

      it.effect(
        "a preflight reaches no handler and is never refused for lack of a token; any other OPTIONS needs one",
        () =>
          Effect.gen(function* () {
            const { port, reached } = yield* serverOf(adapter)
            const before = reached.length
            const origin = ["Origin", "https://chat.example.com"] as const
            const asked = ["Access-Control-Request-Method", "GET"] as const
            const options = (headers: RawHttp.RawRequest["headers"], token?: string) =>
              ask(port, "/whoami", token, { method: "OPTIONS", headers: headers ?? [] })
            const preflight = yield* options([origin, asked])
            assert.strictEqual(preflight.status, unknown === 401 ? 204 : 404)
            assert.isUndefined(preflight.headers["www-authenticate"])
            for (const headers of [[], [origin], [asked]]) {
              assert.strictEqual((yield* options(headers)).status, unknown)
            }
            assert.strictEqual((yield* options([origin, asked], "mallory")).status, unknown)
            assert.strictEqual((yield* ask(port, "/whoami", undefined, { headers: [origin, asked] })).status, 401)
            assert.strictEqual(reached.length, before)
          })
      )

      for (const target of [
        "//whoami",
        "/whoami/",
        "/whoami//",
        "/%77hoami",
        "/%2577hoami",
        "/whoami%2f",
        "/whoami%00",
        "/./whoami",
        "/x/../whoami",
        "/x/..%2fwhoami",
        "/public/../whoami",
        "/public/..;/whoami",
        "/public%2f..%2fwhoami",
        "/whoami;x=1",
        "/whoami;/../nowhere",
        "/WHOAMI",
        "/whoami#/public",
        "/whoami?/public",
        "/whoami??x",
        "/\\whoami",
        "\\whoami",
        "whoami",
        "http://mcp.example.com/whoami",
        "http://mcp.example.com//whoami",
        "http://mcp.example.com/public/../whoami",
        "https://elsewhere.example/whoami",
        "/whoami?access_token",
        "*"
      ]) {
        it.effect(`RS-30 the target ${target} does not slip past`, () =>
          Effect.gen(function* () {
            const { port, reached } = yield* serverOf(adapter)
            for (const method of ["GET", "HEAD", "POST", "OPTIONS"]) {
              for (const headers of [[], [["Host", "elsewhere.example"] as const]]) {
                const before = reached.length
                const answer = yield* ask(port, target, undefined, { method, headers })
                assert.strictEqual(reached.length, before, method)
                assert.oneOf(answer.status, [400, 401, 404], method)
              }
            }
            // With a token it is whatever the router makes of it, and a handler knows its caller.
            const answer = yield* ask(port, target, "bob")
            assert.oneOf(answer.status, [200, 400, 404])
            if (answer.status === 200) assert.strictEqual(answer.text, "bob")
          })
        )
      }

      it.effect("F2, F3 the document is there for a target that is a path, an absolute URL, or has a query", () =>
        Effect.gen(function* () {
          const { port } = yield* serverOf(adapter)
          const wellKnown = "/.well-known/oauth-protected-resource"
          for (const path of [wellKnown, `${wellKnown}/mcp`, `${wellKnown}/mcp/`, `${wellKnown}/mcp?x=/y`]) {
            for (const origin of ["", "http://mcp.example.com", "https://elsewhere.example:1", "http://127.0.0.1"]) {
              const answer = yield* ask(port, `${origin}${path}`)
              assert.strictEqual(answer.status, 200, `${origin}${path}`)
              assert.strictEqual(JSON.parse(answer.text).resource, resource)
            }
          }
          for (const target of [`/${wellKnown}/mcp`, `${wellKnown}/MCP`, `http://h/x${wellKnown}/mcp`]) {
            assert.oneOf((yield* ask(port, target)).status, [401, 404], target)
          }
        })
      )

      if (beside) {
        it.effect("what is public stays so, whatever comes as a token", () =>
          Effect.gen(function* () {
            const { port } = yield* serverOf(adapter)
            for (const token of [undefined, "bob", "mallory"]) {
              const answer = yield* ask(port, "/public", token)
              assert.deepStrictEqual([answer.status, answer.text], [200, "public"])
            }
          })
        )

        it.effect(
          "D12 an optional guard lets in whoever has no credentials, and refuses all that is not accepted",
          () =>
            Effect.gen(function* () {
              const { port } = yield* serverOf(adapter)
              assert.strictEqual((yield* ask(port, "/greet")).text, "a guest")
              assert.strictEqual((yield* ask(port, "/greet", "bob")).text, "hello bob")
              const { port: referencePort } = yield* serverOf(reference)
              for (const { more, name, path, status, token } of rows) {
                if (!path.startsWith("/whoami") || status === 200 || (token ?? more) === undefined) continue
                const refused = yield* ask(port, path.replace("/whoami", "/greet"), token, more)
                assert.deepStrictEqual(essence(refused), essence(yield* ask(referencePort, path, token, more)), name)
              }
            })
        )
      }
    })
  }
})

describe("with CORS and a check of the origin around", () => {
  for (const { name, withCors } of Adapters.adapters) {
    it.scopedLive(`B7, SEC-30, E19 ${name}`, () =>
      Effect.gen(function* () {
        const { port, reached } = yield* Adapters.start(withCors, authorizer)
        const from = (origin: string): Partial<RawHttp.RawRequest> => ({ headers: [["Origin", origin]] })
        const origin = "https://chat.example.com"

        for (const path of ["/whoami", "/nowhere"]) {
          const preflight = yield* ask(port, path, undefined, {
            method: "OPTIONS",
            headers: [
              ["Origin", origin],
              ["Access-Control-Request-Method", "GET"],
              ["Access-Control-Request-Headers", "authorization"]
            ]
          })
          assert.strictEqual(preflight.status, 204)
          assert.strictEqual(preflight.headers["access-control-allow-origin"], origin)
        }
        assert.deepStrictEqual(reached, [])

        const refused = yield* ask(port, "/whoami", undefined, from(origin))
        assert.strictEqual(refused.status, 401)
        assert.strictEqual(refused.headers["www-authenticate"], missingChallenge)
        assert.strictEqual(refused.headers["access-control-allow-origin"], origin)
        assert.strictEqual(refused.headers["access-control-expose-headers"], "WWW-Authenticate")
        assert.strictEqual(refused.headers["cache-control"], "no-store")

        for (const token of [undefined, "alice"]) {
          for (const path of ["/whoami", "/public", "/nowhere"]) {
            const answer = yield* ask(port, path, token, from("https://evil.example.com"))
            assert.strictEqual(answer.status, 403, path)
            assert.isUndefined(answer.headers["www-authenticate"])
          }
        }
        assert.deepStrictEqual(reached, [])
        assert.strictEqual((yield* ask(port, "/whoami", "alice", from(origin))).text, "alice")
        assert.strictEqual((yield* ask(port, "/whoami", "alice")).text, "alice")
      })
    )
  }
})
