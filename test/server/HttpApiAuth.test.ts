// What is particular to HttpApi. That it answers like every other adapter is in Adapters.test.ts.
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims, CurrentClaims, requireScopes } from "../../src/server/Claims.js"
import * as Decision from "../../src/server/Decision.js"
import * as HttpApiAuth from "../../src/server/HttpApiAuth.js"
import * as HttpApiRefusal from "../../src/server/HttpApiRefusal.js"
import {
  answerOf,
  challengeOf,
  configOf,
  issuer,
  metadataUrl,
  type Question,
  requestOf,
  resource,
  scopeChallenge
} from "./fixtures/Guarded.js"
import * as Network from "./fixtures/Network.js"

const whoami = HttpApiEndpoint.get("whoami", "/whoami").addSuccess(Schema.String)

/** A token is its scopes, joined by `~`. */
const authorizer = (asked: Array<string> = []) =>
  Authorizer.layer(({ token }) => {
    const [subject = "", ...scopes] = Redacted.value(token).split("~")
    asked.push(subject)
    return subject === "down"
      ? new AuthError.ServerError({ retryAfter: 7 })
      : subject === "mallory"
        ? new AuthError.InvalidToken({ reason: "signature" })
        : Effect.succeed(new Claims({ issuer, subject, audience: [resource], scopes, raw: Redacted.make({}) }))
  })

const config = configOf({ requiredScopes: [] })

const services = (asked?: Array<string>) => Layer.merge(authorizer(asked), Layer.succeed(AuthConfig.AuthConfig, config))

type Made = Layer.Layer<HttpApi.Api, never, AuthConfig.AuthConfig | Authorizer.Authorizer>

/** Sends to an api as a server would, without sockets. */
const server = (api: Made, more: Layer.Layer<never> = Layer.empty, asked?: Array<string>) => {
  const { handler } = HttpApiBuilder.toWebHandler(
    Layer.mergeAll(Layer.provide(api, services(asked)), more, HttpServer.layerContext).pipe(
      Layer.provideMerge(Logger.minimumLogLevel(LogLevel.None))
    )
  )
  return {
    handler,
    send: (question: Question) => Effect.promise(async () => answerOf(await handler(requestOf(question))))
  }
}

const subject = Effect.map(CurrentClaims, ({ subject }) => subject)

describe("requireScopes", () => {
  type Group = HttpApiGroup.HttpApiGroup<"g", typeof whoami, HttpApiAuth.Authorization, HttpApiAuth.Authorization>

  const { Authorization, requireScopes } = HttpApiAuth
  const group = HttpApiGroup.make("g")
  const api = HttpApi.make("api")
  const plain = group.add(whoami)
  // Only what they need at run time differs between them; the types are tested in test/types.
  const levels: ReadonlyArray<readonly [name: string, api: unknown, needed: ReadonlyArray<string>]> = [
    ["an endpoint", api.add(group.add(whoami.pipe(requireScopes("a")))), ["a"]],
    ["an endpoint, twice", api.add(group.add(whoami.pipe(requireScopes("a"), requireScopes("b", "a")))), ["b", "a"]],
    [
      "an endpoint of a guarded group",
      api.add(group.add(whoami.pipe(requireScopes("a"))).middleware(Authorization)),
      ["a"]
    ],
    [
      "an endpoint that is guarded before",
      api.add(group.add(whoami.middleware(Authorization).pipe(requireScopes("a")))),
      ["a"]
    ],
    [
      "an endpoint that is guarded after",
      api.add(group.add(whoami.pipe(requireScopes("a")).middleware(Authorization))),
      ["a"]
    ],
    ["a group", api.add(plain.pipe(requireScopes("a"))), ["a"]],
    ["a group that is guarded before", api.add(plain.middleware(Authorization).pipe(requireScopes("a"))), ["a"]],
    ["a group that is guarded after", api.add(plain.pipe(requireScopes("a")).middleware(Authorization)), ["a"]],
    [
      "a group and its endpoint",
      api.add(group.add(whoami.pipe(requireScopes("b"))).pipe(requireScopes("a"))),
      ["b", "a"]
    ],
    [
      "a group whose endpoint is guarded, too",
      api.add(group.add(whoami.middleware(Authorization)).pipe(requireScopes("a"))),
      ["a"]
    ],
    ["an api", api.add(plain).pipe(requireScopes("a")), ["a"]],
    [
      "an endpoint of a guarded api",
      api.add(group.add(whoami.pipe(requireScopes("a")))).middleware(Authorization),
      ["a"]
    ],
    ["an api whose group is guarded, too", api.add(plain.middleware(Authorization)).pipe(requireScopes("a")), ["a"]]
  ]

  const handled = (made: unknown): Made => {
    const api = made as HttpApi.HttpApi<"api", Group>
    const group = HttpApiBuilder.group(api, "g", (handlers) => handlers.handle("whoami", () => subject))
    return HttpApiBuilder.api(api).pipe(Layer.provide(group), Layer.provide(HttpApiAuth.layer)) as Made
  }

  for (const [name, made, needed] of levels) {
    it.effect(`RS-53, G2 on ${name}: 403 that names ${needed.join(" ")}, and the authorizer is asked once`, () => {
      const asked: Array<string> = []
      const { send } = server(handled(made), Layer.empty, asked)
      return Effect.gen(function* () {
        assert.strictEqual((yield* send({ path: "/whoami" })).status, 401)
        for (const missing of needed) {
          const scopes = needed.filter((scope) => scope !== missing)
          const refused = yield* send({ path: "/whoami", token: ["alice", ...scopes].join("~") })
          assert.strictEqual(refused.status, 403)
          assert.strictEqual(refused.challenge, scopeChallenge(needed.join(" ")))
        }
        asked.length = 0
        const answer = yield* send({ path: "/whoami", token: ["alice", ...needed].join("~") })
        assert.deepStrictEqual([answer.status, answer.body], [200, "alice"])
        assert.deepStrictEqual(asked, ["alice"])
      })
    })
  }

  it.effect("RS-53 what the levels of an api ask for is judged from the outside to the inside", () => {
    const made = api.add(group.add(whoami.pipe(requireScopes("c"))).pipe(requireScopes("b"))).pipe(requireScopes("a"))
    const asked: Array<string> = []
    const { send } = server(handled(made), Layer.empty, asked)
    return Effect.gen(function* () {
      assert.strictEqual((yield* send({ path: "/whoami", token: "x~b~c" })).challenge, scopeChallenge("a"))
      assert.strictEqual((yield* send({ path: "/whoami", token: "x~a" })).challenge, scopeChallenge("a c b"))
      assert.strictEqual((yield* send({ path: "/whoami", token: "x~a~b" })).challenge, scopeChallenge("a c b"))
      asked.length = 0
      assert.strictEqual((yield* send({ path: "/whoami", token: "x~a~b~c" })).status, 200)
      assert.deepStrictEqual(asked, ["x"])
      assert.strictEqual((yield* send({ path: "/nowhere", token: "x~b~c" })).status, 403)
      assert.strictEqual((yield* send({ path: "/nowhere", token: "x~a" })).status, 404)
    })
  })
})

/** Endpoints that fail in all ways. */
class Api extends HttpApi.make("api")
  .add(
    HttpApiGroup.make("guarded")
      .add(whoami)
      .add(HttpApiEndpoint.post("write", "/write/:id").addSuccess(Schema.String).pipe(HttpApiAuth.requireScopes("w")))
      .add(HttpApiEndpoint.get("stepUp", "/step-up"))
      .add(HttpApiEndpoint.get("own", "/own").addError(Schema.TaggedStruct("Missing", {}), { status: 418 }))
      .middleware(HttpApiAuth.Authorization)
  )
  .add(
    HttpApiGroup.make("optional")
      .add(HttpApiEndpoint.get("greet", "/greet"))
      .middleware(HttpApiAuth.OptionalAuthorization)
  )
  .add(HttpApiGroup.make("open").add(HttpApiEndpoint.get("refuse", "/refuse").addError(HttpApiRefusal.schema)))
  .pipe(HttpApiAuth.documented) {}

const stepUp = new AuthError.InvalidToken({
  reason: "authentication",
  code: "insufficient_user_authentication",
  description: "Sign in again",
  parameters: { max_age: "5" }
})

const handlers = Layer.mergeAll(
  HttpApiBuilder.group(Api, "guarded", (group) =>
    group
      .handle("whoami", () => subject)
      .handle("write", () => Effect.zipRight(requireScopes("h"), subject))
      .handle("stepUp", () => stepUp)
      .handle("own", () => Effect.fail({ _tag: "Missing" as const }))
  ),
  HttpApiBuilder.group(Api, "optional", (group) => group.handle("greet", () => Effect.void)),
  HttpApiBuilder.group(Api, "open", (group) =>
    group.handle("refuse", () => new AuthError.InsufficientScope({ required: ["x"] }))
  )
)

const made: Made = HttpApiBuilder.api(Api).pipe(Layer.provide(handlers), Layer.provide(HttpApiAuth.layer))

describe("what a client of the api gets", () => {
  const { handler } = server(made)
  const network = (token: string | undefined, alter: (response: Response) => Response | Promise<Response>) =>
    HttpClient.make((request, url) =>
      Effect.flatMap(
        Effect.promise(async () =>
          alter(
            await handler(
              requestOf({ path: url.pathname, method: request.method, ...(token === undefined ? {} : { token }) })
            )
          )
        ),
        (response) => Network.make(() => response).client.execute(request)
      )
    )
  const clientOf = (
    token: string | undefined,
    transformClient: (client: HttpClient.HttpClient) => HttpClient.HttpClient,
    alter: (response: Response) => Response | Promise<Response> = (response) => response
  ) =>
    HttpApiClient.make(Api, { baseUrl: new URL(resource).origin, transformClient }).pipe(
      Effect.provideService(HttpClient.HttpClient, network(token, alter))
    )
  type Call = Effect.Effect.Success<ReturnType<typeof clientOf>>["guarded"]
  const description = "The access token lacks scopes that this operation needs"
  const { InsufficientScope, InvalidToken, ServerError } = AuthError
  const write = (call: Call) => call.write({})

  const table: ReadonlyArray<
    readonly [
      name: string,
      token: string | undefined,
      call: (call: Call) => Effect.Effect<unknown, unknown>,
      bare: unknown,
      full?: unknown
    ]
  > = [
    ["Missing", undefined, write, AuthError.missing],
    [
      "InvalidToken",
      "mallory",
      write,
      new InvalidToken({ reason: "other", description: "The access token is not valid" })
    ],
    [
      "InsufficientScope",
      "alice",
      write,
      new InsufficientScope({ required: [], description }),
      new InsufficientScope({ required: ["w"], description })
    ],
    [
      "InsufficientScope of a handler",
      "alice~w",
      write,
      new InsufficientScope({ required: [], description }),
      new InsufficientScope({ required: ["h"], description })
    ],
    ["ServerError", "down", write, new ServerError({ retryAfter: 1 }), new ServerError({ retryAfter: 7 })],
    [
      "InvalidToken of a handler (RFC 9470)",
      "alice",
      (call) => call.stepUp(),
      new InvalidToken({
        reason: "authentication",
        code: "insufficient_user_authentication",
        description: "Sign in again"
      }),
      stepUp
    ],
    [
      "InvalidRequest",
      "a!",
      write,
      new AuthError.InvalidRequest({ description: "the token must be one b64token (RFC 6750 section 2.1)" })
    ],
    ["an error of the api that has one of our names", "alice", (call) => call.own(), { _tag: "Missing" }]
  ]
  for (const [name, token, call, bare, full = bare] of table) {
    it.effect(`a typed ${name}, with what its headers say where they are read`, () =>
      Effect.gen(function* () {
        const plain = yield* clientOf(token, (client) => client)
        assert.deepStrictEqual(yield* Effect.flip(call(plain.guarded)), bare)
        const reading = yield* clientOf(token, HttpApiRefusal.readHeaders)
        assert.deepStrictEqual(yield* Effect.flip(call(reading.guarded)), full)
      })
    )
  }

  it.effect("the answer itself where nothing is refused", () =>
    Effect.gen(function* () {
      const client = yield* clientOf("alice~w~h", HttpApiRefusal.readHeaders)
      assert.strictEqual(yield* write(client.guarded), "alice")
    })
  )

  const altered: ReadonlyArray<
    readonly [name: string, status: number, body: string, headers: Record<string, string>, error: string]
  > = [
    ["HTML on the way", 401, "<html>", { "www-authenticate": "Bearer" }, "ParseError"],
    ["a list", 401, "[]", { "www-authenticate": "Bearer" }, "ParseError"],
    ["null", 403, "null", { "retry-after": "1" }, "ParseError"],
    ["nothing", 401, "", {}, "ParseError"],
    ["another object", 401, '{"error":5}', { "www-authenticate": 'Bearer error="x"' }, "ParseError"],
    ["a status that is not declared", 502, "{}", { "retry-after": "1" }, "ResponseError"]
  ]
  it.effect.each(altered)("%s is a typed failure, too", ([, status, body, headers, tag]) =>
    Effect.gen(function* () {
      const client = yield* clientOf(
        undefined,
        HttpApiRefusal.readHeaders,
        () => new Response(body, { status, headers })
      )
      const error = yield* Effect.flip(write(client.guarded))
      assert.strictEqual(error._tag, tag)
    })
  )

  it.effect.each(["constructor", "__proto__", "toString", ""])("the code %j is only a code", (code) =>
    Effect.gen(function* () {
      const client = yield* clientOf(
        undefined,
        HttpApiRefusal.readHeaders,
        () => new Response(body(code), { status: 401 })
      )
      const error = yield* Effect.flip(write(client.guarded))
      assert.deepStrictEqual(error, new InvalidToken({ reason: "other", code, description: "d" }))
    })
  )

  const body = (error: string) => JSON.stringify({ error, error_description: "d" })
  const waits: ReadonlyArray<readonly [header: string, seconds: number]> = [
    ["30", 30],
    ["Wed, 21 Oct 2026 07:28:00 GMT", 1],
    ["-1", 1],
    ["1e9", 1],
    ["", 1]
  ]
  it.effect.each(waits)("Retry-After %j", ([header, seconds]) =>
    Effect.gen(function* () {
      const response = () => new Response(body("server_error"), { status: 503, headers: { "retry-after": header } })
      const client = yield* clientOf(undefined, HttpApiRefusal.readHeaders, response)
      assert.deepStrictEqual(yield* Effect.flip(write(client.guarded)), new ServerError({ retryAfter: seconds }))
    })
  )

  it.effect("scopes come from the challenge for Bearer, of several, and a header that is none says nothing", () =>
    Effect.gen(function* () {
      for (const [header, required] of [
        ['DPoP scope="x", Bearer scope="a b"', ["a", "b"]],
        ['bearer scope=" a  a \\\\" b"', ["a", "b"]],
        ["Bearer scope", []],
        [",,=;", []]
      ] as const) {
        const response = () =>
          new Response(body("insufficient_scope"), { status: 403, headers: { "www-authenticate": header } })
        const client = yield* clientOf(undefined, HttpApiRefusal.readHeaders, response)
        const error = yield* Effect.flip(write(client.guarded))
        assert.deepStrictEqual(error, new InsufficientScope({ required, description: "d" }), header)
      }
    })
  )
})

describe("the OpenAPI document", () => {
  const spec = OpenApi.fromApi(Api)

  it("has the scheme, and what each operation asks for", () => {
    assert.deepInclude(spec.components.securitySchemes["bearer"], { type: "http", scheme: "bearer" })
    assert.include(spec.components.securitySchemes["bearer"]?.description, "RFC 9728")
    assert.deepStrictEqual(spec.paths["/whoami"]?.get?.security, [{ bearer: [] }])
    assert.deepStrictEqual(spec.paths["/write/{id}"]?.post?.security, [{ bearer: ["w"] }])
    assert.deepStrictEqual(spec.paths["/greet"]?.get?.security, [{}, { bearer: [] }])
    assert.deepStrictEqual(spec.paths["/refuse"]?.get?.security, [])
  })

  it("has each refusal with its status, its body and its headers", () => {
    for (const path of ["/whoami", "/greet"]) {
      const responses = spec.paths[path]?.get?.responses ?? {}
      const headers = Object.entries(responses).map(
        ([status, response]) => [status, Object.keys((response as { headers?: object }).headers ?? {})] as const
      )
      assert.deepStrictEqual(Object.fromEntries(headers), {
        [path === "/greet" ? 204 : 200]: [],
        400: ["Cache-Control", "WWW-Authenticate"],
        401: ["Cache-Control", "WWW-Authenticate"],
        403: ["Cache-Control", "WWW-Authenticate"],
        500: ["Cache-Control"],
        503: ["Cache-Control", "Retry-After"]
      })
      assert.deepStrictEqual(responses[401]?.content?.["application/json"]?.schema, {
        $ref: "#/components/schemas/AuthorizationRefusal"
      })
    }
    assert.deepStrictEqual(Object.keys(spec.components.schemas["AuthorizationRefusal"] ?? {}), [
      "type",
      "required",
      "properties"
    ])
  })

  it("of an api that is guarded as a whole says so for each operation", () => {
    const group = HttpApiGroup.make("g")
      .add(whoami)
      .add(HttpApiEndpoint.del("clear", "/whoami").pipe(HttpApiAuth.requireScopes("b")))
    const api = HttpApi.make("whole").add(group).pipe(HttpApiAuth.requireScopes("a"), HttpApiAuth.documented)
    const { paths, security } = OpenApi.fromApi(api)
    assert.deepStrictEqual(security, [{ bearer: [] }])
    assert.deepStrictEqual(paths["/whoami"]?.get?.security, [{ bearer: ["a"] }])
    assert.deepStrictEqual(paths["/whoami"]?.delete?.security, [{ bearer: ["a", "b"] }])
  })

  it("keeps what was there: another transformation, and operations that are left out", () => {
    const hidden = HttpApiEndpoint.get("hidden", "/hidden")
      .annotate(OpenApi.Exclude, true)
      .pipe(HttpApiAuth.requireScopes("a"))
    const api = HttpApi.make("kept")
      .add(HttpApiGroup.make("g").add(hidden).add(whoami).middleware(HttpApiAuth.Authorization))
      .annotate(OpenApi.Transform, (spec) => ({ ...spec, "x-kept": true }))
      .pipe(HttpApiAuth.documented)
    const spec = OpenApi.fromApi(api)
    assert.propertyVal(spec, "x-kept", true)
    assert.deepStrictEqual(Object.keys(spec.paths), ["/whoami"])
    assert.deepStrictEqual(spec.paths["/whoami"]?.get?.security, [{ bearer: [] }])
  })
})

describe("beside the guard", () => {
  it.effect("a refusal where there is no guard has its status and its body, and no challenge", () =>
    Effect.gen(function* () {
      const answer = yield* server(made).send({ path: "/refuse", token: "alice" })
      assert.strictEqual(answer.status, 403)
      assert.isNull(answer.challenge)
      assert.deepInclude(answer.body as object, { error: "insufficient_scope" })
    })
  )

  it.effect(
    "a middleware that catches everything takes neither the challenge of the guard away nor the record of its decision",
    () => {
      const decisions: Array<string> = []
      const teapot = HttpApiBuilder.middleware((app) =>
        Effect.catchAll(app, () => Effect.succeed(HttpServerResponse.empty({ status: 418 })))
      )
      const log = Layer.succeed(Decision.DecisionLog, {
        record: ({ outcome, subject = "nobody" }) => Effect.sync(() => void decisions.push(`${outcome} ${subject}`))
      })
      const { send } = server(Layer.provide(made, log), teapot)
      return Effect.gen(function* () {
        const answer = yield* send({ path: "/whoami" })
        assert.deepStrictEqual(
          [answer.status, answer.challenge],
          [401, challengeOf({ resource_metadata: metadataUrl })]
        )
        assert.deepInclude(answer.body as object, { error: "invalid_token" })
        assert.strictEqual((yield* send({ path: "/step-up", token: "alice" })).status, 418)
        assert.deepStrictEqual(decisions, ["Missing nobody", "Accepted alice"])
      })
    }
  )

  it.effect("each refusal is on record once, with its caller", () => {
    const decisions: Array<string> = []
    const log = Layer.succeed(Decision.DecisionLog, {
      record: ({ outcome, subject = "nobody" }) => Effect.sync(() => void decisions.push(`${outcome} ${subject}`))
    })
    const { send } = server(Layer.provide(made, log))
    return Effect.gen(function* () {
      yield* send({ path: "/whoami" })
      yield* send({ path: "/whoami", token: "mallory" })
      yield* send({ path: "/write/1", method: "POST", token: "alice" })
      yield* send({ path: "/write/1", method: "POST", token: "alice~w" })
      assert.deepStrictEqual(decisions, [
        "Missing nobody",
        "InvalidToken nobody",
        "Accepted alice",
        "InsufficientScope alice",
        "Accepted alice",
        "InsufficientScope alice"
      ])
    })
  })

  it.effect("RS-30 the token comes before the request is read: 401, and no word about its parameters", () => {
    const strict = HttpApiEndpoint.get("strict", "/strict")
      .setUrlParams(Schema.Struct({ n: Schema.NumberFromString }))
      .addSuccess(HttpApiSchema.NoContent)
    const api = HttpApi.make("strict").add(HttpApiGroup.make("g").add(strict).middleware(HttpApiAuth.Authorization))
    const { send } = server(
      HttpApiBuilder.api(api).pipe(
        Layer.provide(HttpApiBuilder.group(api, "g", (group) => group.handle("strict", () => Effect.void))),
        Layer.provide(HttpApiAuth.layer)
      )
    )
    return Effect.gen(function* () {
      assert.strictEqual(
        (yield* send({ path: "/strict?n=x" })).challenge,
        challengeOf({ resource_metadata: metadataUrl })
      )
      assert.strictEqual((yield* send({ path: "/strict?n=x", token: "alice" })).status, 400)
      assert.strictEqual((yield* send({ path: "/strict?n=1", token: "alice" })).status, 204)
    })
  })

  it("RS-33 two groups can have a guard each, with a configuration and an authorizer of its own", async () => {
    const groupOf = <const Name extends string>(name: Name) =>
      HttpApiGroup.make(name)
        .add(HttpApiEndpoint.get("whoami", `/${name}`).addSuccess(Schema.String))
        .middleware(HttpApiAuth.Authorization)
    const api = HttpApi.make("two").add(groupOf("a")).add(groupOf("b"))
    const guardOf = (name: string) =>
      HttpApiAuth.layer.pipe(
        Layer.provide(Authorizer.layerTest({ [`for-${name}`]: {} })),
        Layer.provide(
          Layer.succeed(
            AuthConfig.AuthConfig,
            configOf({ resource: `https://mcp.example.com/${name}`, requiredScopes: [] })
          )
        )
      )
    const { dispose, handler } = HttpApiBuilder.toWebHandler(
      Layer.merge(
        HttpApiBuilder.api(api).pipe(
          Layer.provide(
            Layer.merge(
              HttpApiBuilder.group(api, "a", (group) => group.handle("whoami", () => subject)).pipe(
                Layer.provide(guardOf("a"))
              ),
              HttpApiBuilder.group(api, "b", (group) => group.handle("whoami", () => subject)).pipe(
                Layer.provide(guardOf("b"))
              )
            )
          )
        ),
        HttpServer.layerContext
      )
    )
    for (const [path, token, status] of [
      ["/a", "for-a", 200],
      ["/b", "for-b", 200],
      ["/a", "for-b", 401],
      ["/b", "for-a", 401]
    ] as const) {
      const answer = await answerOf(await handler(requestOf({ path, token })))
      assert.strictEqual(answer.status, status, `${path} ${token}`)
      if (status === 401) assert.include(answer.challenge, `/.well-known/oauth-protected-resource${path}"`)
    }
    await dispose()
  })
})
