import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import {
  AuthorizeUser,
  ClientError,
  FetchAuth,
  PendingSignIn,
  SignInRequired,
  TokenSource,
  TokenStore,
  WebSignIn,
  type WebSignInError
} from "../../src/client/index.js"
import { gate, passing, settle } from "./fixtures/time.js"
import { call, endpoint, issuer, World } from "./World.js"

const redirectUri = "https://app.example/callback"

type Service = Effect.Effect.Success<ReturnType<typeof WebSignIn.make>>

/** An instance of the application, over the store that all of them share. */
const instance = (world: World, options: Partial<WebSignIn.Options> = {}) =>
  Effect.provide(WebSignIn.make({ redirectUri, ...options }), world.layerHttp)

/** What a user's request to an instance comes to: the status of the MCP endpoint, or why there is none. */
const use = (world: World, service: Service, user = "alice", resource = endpoint) =>
  Effect.flatMap(service.source({ resource, user }), (source) =>
    call().pipe(
      Effect.provideService(TokenSource.TokenSource, source),
      Effect.map(({ status }) => status)
    )
  ).pipe(Effect.scoped, Effect.provide(world.layerHttp))

/** Begins for a user, who approves; what their browser comes back with. */
const visited = (world: World, service: Service, options: Partial<WebSignIn.Begin> = {}) =>
  Effect.map(service.begin({ user: "alice", resource: endpoint, ...options } as WebSignIn.Begin), (begun) => ({
    begun,
    arrival: { parameters: world.approve(begun.url), binding: begun.binding, user: options.user ?? "alice" }
  }))

const signIn = (world: World, service: Service, options: Partial<WebSignIn.Begin> = {}) =>
  Effect.flatMap(visited(world, service, options), ({ arrival }) => service.complete(arrival))

const required = <A>(effect: Effect.Effect<A, unknown>) =>
  Effect.map(Effect.flip(effect), (error) => Option.getOrThrow(SignInRequired.within(error)))

const reason = <A, R>(effect: Effect.Effect<A, ClientError.ClientError | WebSignInError.WebSignInError, R>) =>
  Effect.map(Effect.flip(effect), (error) => ("reason" in error ? `${error._tag} ${error.reason}` : error._tag))

const scopesOf = ({ url }: WebSignIn.Begun) => new URL(url).searchParams.get("scope")

const test = it.scoped

describe("a sign-in that begins at one instance and is completed at another", () => {
  test("leaves the grant to both, and asks for all that the in-process flow asks for (CL-40, CL-46, REG-20)", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const b = yield* instance(world)
      const { arrival, begun } = yield* visited(world, a, { returnTo: "/notes" })
      const { searchParams } = new URL(begun.url)
      assert.strictEqual(searchParams.get("redirect_uri"), redirectUri)
      assert.strictEqual(searchParams.get("resource"), endpoint)
      assert.strictEqual(searchParams.get("code_challenge_method"), "S256")
      const { grant, resource, returnTo } = yield* b.complete(arrival)
      assert.deepStrictEqual([resource, returnTo], [endpoint, "/notes"])
      assert.deepStrictEqual([grant.issuer, grant.resource, grant.redirectUri], [issuer, endpoint, redirectUri])
      assert.strictEqual(yield* use(world, a), 200)
      assert.strictEqual(yield* use(world, b), 200)
      // A redirect over https is a web application's.
      assert.strictEqual(world.requests.find(({ path }) => path === "/reg")?.json["application_type"], "web")
      assert.strictEqual(world.times("/token"), 1)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("pushes the request where that is offered (Q-03)", () =>
    Effect.gen(function* () {
      const world = new World()
      world.metadata = { pushed_authorization_request_endpoint: `${issuer}/par` }
      const a = yield* instance(world)
      const { arrival, begun } = yield* visited(world, a)
      assert.deepStrictEqual(Array.from(new URL(begun.url).searchParams.keys()), ["client_id", "request_uri"])
      yield* a.complete(arrival)
      assert.strictEqual(yield* use(world, a), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("of ten that begin at once, each with a registration of its own, all are completed and refreshed", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const b = yield* instance(world)
      const users = Array.from({ length: 10 }, (_, n) => `user-${n}`)
      yield* Effect.forEach(
        users,
        (user, n) =>
          Effect.flatMap(visited(world, n % 2 ? a : b, { user }), ({ arrival }) => (n % 2 ? b : a).complete(arrival)),
        { concurrency: "unbounded" }
      )
      yield* TestClock.adjust(3_601_000)
      const statuses = yield* Effect.forEach(users, (user) => use(world, a, user), { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(statuses), new Set([200]))
      assert.lengthOf(
        world.requests.filter(({ form }) => form.get("grant_type") === "refresh_token"),
        10
      )
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("ten users at once, of whom none ever has another's grant", () =>
    Effect.gen(function* () {
      const world = new World()
      const services = [yield* instance(world), yield* instance(world)] as const
      const users = Array.from({ length: 10 }, (_, n) => `user-${n}`)
      const tokens = yield* Effect.forEach(
        users,
        (user, n) =>
          Effect.gen(function* () {
            const { arrival } = yield* visited(world, services[n % 2 ? 0 : 1], { user })
            yield* Effect.yieldNow()
            const { grant } = yield* services[n % 2 ? 1 : 0].complete(arrival)
            return Redacted.value(grant.accessToken.value)
          }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(tokens).size, 10)
      yield* Effect.forEach(
        users,
        (user, n) =>
          Effect.gen(function* () {
            const source = yield* services[n % 2 ? 0 : 1].source({ resource: endpoint, user })
            const held = Option.getOrThrow(yield* source.current)
            assert.strictEqual(Redacted.value(held.value), tokens[n])
          }),
        { concurrency: "unbounded" }
      )
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("goes on when its caller is interrupted: the code is used up by then", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      let answer = () => {}
      const held = new Promise<void>((resolve) => {
        answer = resolve
      })
      world.faults.push(async ({ path }) => {
        if (path === "/token") await held
        return undefined
      })
      const fiber = yield* Effect.fork(a.complete(arrival))
      while (world.times("/token") === 0) yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      answer()
      const again = yield* reason(a.complete(arrival))
      assert.strictEqual(again, "WebSignInError AlreadyUsed")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual(yield* use(world, a), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("an instance that is shut down", () => {
  test("waits for the answer to a code that it has sent: it would be lost, and the person asked again", () =>
    Effect.gen(function* () {
      const world = new World()
      const scope = yield* Scope.make()
      const ending = yield* Scope.extend(instance(world), scope)
      const { arrival } = yield* visited(world, ending)
      const held = gate()
      world.faults.push(({ path }) => (path === "/token" ? held.opened : undefined))
      const completing = yield* Effect.fork(ending.complete(arrival))
      while (world.times("/token") === 0) yield* settle
      // As a server does: the requests that are under way first, then what they use.
      yield* Fiber.interrupt(completing)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      held.open()
      yield* Fiber.join(closing)
      assert.strictEqual(yield* use(world, yield* instance(world)), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("waits no longer than a request may take", () =>
    Effect.gen(function* () {
      const world = new World()
      const scope = yield* Scope.make()
      const ending = yield* Scope.extend(instance(world), scope)
      const { arrival } = yield* visited(world, ending)
      world.faults.push(({ path }) => (path === "/token" ? gate().opened : undefined))
      const completing = yield* Effect.fork(ending.complete(arrival))
      while (world.times("/token") === 0) yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* passing("11 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(Fiber.join(completing)))._tag, "TokenUnavailable")
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("a pending sign-in (CL-59)", () => {
  test("serves once; of twenty arrivals at two instances exactly one wins", () =>
    Effect.gen(function* () {
      const world = new World()
      const services = [yield* instance(world), yield* instance(world)] as const
      const { arrival } = yield* visited(world, services[0], { returnTo: "/notes" })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 20 }),
        (_, n) => Effect.either(services[n % 2 ? 1 : 0].complete(arrival)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(outcomes.filter(Either.isRight), 1)
      for (const { left } of outcomes.filter(Either.isLeft)) {
        assert.strictEqual(left._tag === "WebSignInError" && left.reason, "AlreadyUsed")
        assert.strictEqual(left._tag === "WebSignInError" && left.returnTo, "/notes")
      }
      assert.strictEqual(world.times("/token"), 1)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("serves until the last millisecond of its ten minutes, is known to be late, and then unknown", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const early = yield* visited(world, a)
      const late = yield* visited(world, a)
      yield* TestClock.adjust(10 * 60_000 - 1)
      yield* a.complete(early.arrival)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* reason(a.complete(late.arrival)), "WebSignInError Expired")
      assert.strictEqual(yield* reason(a.complete(early.arrival)), "WebSignInError AlreadyUsed")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* reason(a.complete(late.arrival)), "WebSignInError Unknown")
      assert.strictEqual(yield* reason(a.complete(early.arrival)), "WebSignInError Unknown")
      const short = yield* instance(world, { lifetime: "1 minute" })
      const soon = yield* visited(world, short)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reason(short.complete(soon.arrival)), "WebSignInError Expired")
      assert.strictEqual(world.times("/token"), 1)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("is for the browser that began it; any other learns nothing, and spoils nothing (Z-02)", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      const { binding } = yield* a.begin({ user: "alice", resource: endpoint })
      for (const other of [undefined, binding, Redacted.make(""), Redacted.make("x".repeat(10_000))]) {
        const error = yield* Effect.flip(a.complete({ ...arrival, binding: other }))
        assert.strictEqual(error._tag === "WebSignInError" && error.reason, "OtherBrowser")
        assert.isUndefined(error._tag === "WebSignInError" ? error.returnTo : "")
      }
      yield* a.complete(arrival)
      // Whether it was used already is not for another browser either.
      assert.strictEqual(yield* reason(a.complete({ ...arrival, binding })), "WebSignInError OtherBrowser")
      assert.strictEqual(world.times("/token"), 1)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("is for the user for whom it was begun", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      assert.strictEqual(yield* reason(a.complete({ ...arrival, user: "mallory" })), "WebSignInError OtherUser")
      yield* a.complete(arrival)
      assert.strictEqual((yield* required(use(world, a, "mallory"))).reason, "NoGrant")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("the tabs of a browser share what binds them, and what no application made is not taken over", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const first = yield* visited(world, a)
      const second = yield* visited(world, a, { binding: first.begun.binding })
      assert.strictEqual(Redacted.value(second.begun.binding), Redacted.value(first.begun.binding))
      yield* a.complete(first.arrival)
      yield* a.complete(second.arrival)
      const { begun } = yield* visited(world, a, { binding: Redacted.make("short") })
      assert.match(Redacted.value(begun.binding), /^[\w-]{43}$/)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("its key is a digest, and neither the store nor an error shows what is in the browser (CL-73)", () =>
    Effect.gen(function* () {
      const world = new World()
      const written: Array<readonly [string, string]> = []
      const store = yield* TokenStore.TokenStore
      const recording = Layer.succeed(TokenStore.TokenStore, {
        ...store,
        write: (key, write) => {
          written.push([key, Option.match(write.value, { onNone: () => "", onSome: Redacted.value })])
          return store.write(key, write)
        }
      })
      const a = yield* Effect.provide(instance(world), recording)
      const { arrival, begun } = yield* visited(world, a)
      const state = arrival.parameters.get("state") ?? ""
      const [key = "", value = ""] = written.find(([key]) => key.startsWith("pending/")) ?? []
      assert.match(key, /^pending\/[\w-]{43}$/)
      assert.notInclude(key, state)
      assert.include(value, '"verifier"')
      assert.notInclude(value, Redacted.value(begun.binding))
      yield* a.complete(arrival)
      const last = written.filter(([one]) => one === key).at(-1)?.[1] ?? ""
      assert.notInclude(last, state)
      assert.notInclude(last, "verifier")
      const error = yield* Effect.flip(a.complete(arrival))
      for (const secret of [state, arrival.parameters.get("code") ?? "", Redacted.value(begun.binding), "alice"]) {
        assert.notInclude(JSON.stringify(error), secret)
      }
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("what cannot be read is a failure of the store, and stays where it is", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      const store = yield* TokenStore.TokenStore
      const damaged = Layer.succeed(TokenStore.TokenStore, {
        ...store,
        read: (key) =>
          key.startsWith("pending/")
            ? Effect.succeedSome({ value: Redacted.make('{"_tag":"Waiting","schemaVersion":2}'), version: "1" })
            : store.read(key)
      })
      const b = yield* Effect.provide(instance(world), damaged)
      const error = yield* Effect.flip(b.complete(arrival))
      assert.strictEqual(error._tag === "TokenStoreError" && error.operation, "decode")
      yield* a.complete(arrival)
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("an answer", () => {
  const judged = (name: string, parameters: (answer: URLSearchParams) => void, expected: string, exchanges = 0) =>
    test(name, () =>
      Effect.gen(function* () {
        const world = new World()
        world.metadata = { authorization_response_iss_parameter_supported: true }
        world.redirect = (answer) => {
          answer.set("iss", issuer)
          parameters(answer)
          return answer
        }
        const a = yield* instance(world)
        const { arrival } = yield* visited(world, a)
        const error = yield* Effect.flip(a.complete(arrival))
        assert.strictEqual("parameter" in error ? `${error._tag} ${error.parameter}` : error._tag, expected)
        assert.notInclude(JSON.stringify(error), "code-")
        assert.strictEqual(world.times("/token"), exchanges)
        // Whatever it was, it was the answer.
        assert.strictEqual(yield* reason(a.complete(arrival)), "WebSignInError AlreadyUsed")
      }).pipe(Effect.provide(TokenStore.layerMemory))
    )

  judged(
    "of another issuer is a mix-up (CL-54, Z-03)",
    (_) => _.set("iss", "https://evil.example"),
    "AuthorizationInvalid issuer"
  )
  judged(
    "without the issuer that the server promises is one as well",
    (_) => _.delete("iss"),
    "AuthorizationInvalid issuer"
  )
  judged(
    "whose issuer differs by a slash is one, too (CL-55)",
    (_) => _.set("iss", `${issuer}/`),
    "AuthorizationInvalid issuer"
  )
  judged("that repeats the code is none", (_) => _.append("code", "code-x"), "AuthorizationInvalid duplicate")
  judged("without a code is none", (_) => _.delete("code"), "AuthorizationInvalid code")
  judged("with an error is a refusal", (_) => _.set("error", "access_denied"), "AuthorizationRefused")
  judged(
    "with a code that was never issued is refused by the token endpoint",
    (_) => _.set("code", "x"),
    "TokenRefused",
    1
  )

  test("an error of another issuer is not shown (CL-56)", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      arrival.parameters.set("iss", "https://evil.example")
      arrival.parameters.set("error", "call_0800_evil")
      const error = yield* Effect.flip(a.complete(arrival))
      assert.strictEqual(error._tag, "AuthorizationInvalid")
      assert.notInclude(JSON.stringify(error), "0800")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("without one state of ours is none, whatever it holds, and no sign-in is spoilt", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      const state = arrival.parameters.get("state") ?? ""
      const { binding } = arrival
      const complete = (parameters: URLSearchParams) => reason(a.complete({ parameters, binding, user: "alice" }))
      const twice = new URLSearchParams(arrival.parameters)
      twice.append("state", state)
      assert.strictEqual(yield* complete(twice), "WebSignInError NoAnswer")
      assert.strictEqual(yield* complete(new URLSearchParams()), "WebSignInError NoAnswer")
      const huge = new URLSearchParams({ state: "s".repeat(1_000_000), code: "c".repeat(1_000_000) })
      assert.strictEqual(yield* complete(huge), "WebSignInError Unknown")
      const near = fc.oneof(
        fc.string({ unit: "binary" }),
        fc.constantFrom(
          `${state} `,
          state.slice(1),
          `${state.slice(0, -1)}é`,
          state.toLowerCase(),
          "../grant",
          "__proto__"
        )
      )
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(near, fc.dictionary(fc.string(), fc.string()), async (value, others) => {
            const parameters = new URLSearchParams({ ...others, state: value })
            const found = await Effect.runPromise(complete(parameters))
            assert.strictEqual(found, "WebSignInError Unknown")
          }),
          { numRuns: 200 }
        )
      )
      yield* a.complete(arrival)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("is of no use where the registration is gone, and says so", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const { arrival } = yield* visited(world, a)
      const store = yield* TokenStore.TokenStore
      const key = TokenStore.key("registration", issuer, redirectUri)
      const { version } = Option.getOrThrow(yield* store.read(key))
      yield* store.write(key, { expected: Option.some(version), value: Option.none() })
      assert.strictEqual(yield* reason(a.complete(arrival)), "RegistrationFailed NoMethod")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("one invalid_client is no proof that the registration is dead; two are", () =>
    Effect.gen(function* () {
      const world = new World()
      let refusals = 1
      world.faults.push(({ path }) =>
        path === "/token" && refusals-- > 0 ? Response.json({ error: "invalid_client" }, { status: 401 }) : undefined
      )
      const a = yield* instance(world)
      yield* signIn(world, a)
      assert.strictEqual(yield* use(world, a), 200)
      refusals = 2
      assert.strictEqual((yield* Effect.flip(signIn(world, a)))._tag, "TokenRefused")
      assert.strictEqual(world.times("/reg"), 1)
      yield* signIn(world, a)
      assert.strictEqual(world.times("/reg"), 2)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a store that stumbles when the tokens are there is asked again", () =>
    Effect.gen(function* () {
      const world = new World()
      const store = yield* TokenStore.TokenStore
      let faults = 2
      const stumbling = Layer.succeed(TokenStore.TokenStore, {
        ...store,
        write: (key, write) =>
          key.startsWith("grant/") && faults-- > 0
            ? Effect.fail(new ClientError.TokenStoreError({ key, operation: "write", detail: "busy", rule: "test" }))
            : store.write(key, write)
      })
      const a = yield* Effect.provide(instance(world), stumbling)
      const { arrival } = yield* visited(world, a)
      const fiber = yield* Effect.fork(a.complete(arrival))
      while (faults > 0) {
        yield* TestClock.adjust("50 millis")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* use(world, a), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("where nobody can be asked", () => {
  test("without a grant a call says so, without asking an authorization server anything", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const error = yield* required(use(world, a))
      assert.deepStrictEqual([error.reason, error.resource, error.scopes], ["NoGrant", endpoint, ["mcp:read"]])
      assert.strictEqual(error.metadataUrl, "https://mcp.example/.well-known/oauth-protected-resource/mcp")
      assert.isTrue(world.requests.every(({ url }) => url.startsWith("https://mcp.example/")))
      yield* signIn(world, a, { required: error, resource: undefined })
      assert.strictEqual(yield* use(world, a), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a program in the background fails the same way", () =>
    Effect.gen(function* () {
      const world = new World()
      const background = TokenSource.layerAuthorizationCode({ resource: endpoint }).pipe(
        Layer.provide(AuthorizeUser.layerForbidden),
        Layer.provideMerge(world.layerHttp)
      )
      const error = yield* Effect.flip(Effect.provide(call(), background))
      assert.strictEqual(error._tag, "SignInRequired")
      const fetched = yield* FetchAuth.make.pipe(
        Effect.flatMap((fetch) => Effect.tryPromise(() => fetch(endpoint, { method: "POST" }))),
        Effect.provide(background),
        Effect.flip
      )
      assert.strictEqual(Option.getOrThrow(SignInRequired.within(fetched)).reason, "NoGrant")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a step up is asked for with all that there was before (CL-65, CL-67)", () =>
    Effect.gen(function* () {
      const world = new World()
      world.resourceScopes = ["mcp:read"]
      const a = yield* instance(world)
      const b = yield* instance(world)
      yield* signIn(world, a)
      world.requiredScopes = ["mcp:write"]
      const error = yield* required(use(world, b))
      assert.deepStrictEqual([error.reason, error.scopes], ["InsufficientScope", ["mcp:write"]])
      const { arrival, begun } = yield* visited(world, b, { required: error, resource: undefined })
      assert.strictEqual(scopesOf(begun), "mcp:read mcp:write")
      yield* a.complete(arrival)
      assert.strictEqual(yield* use(world, b), 200)
      assert.strictEqual(yield* use(world, a), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a stronger authentication is asked for as the challenge says (RFC 9470)", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      yield* signIn(world, a)
      const challenge = 'Bearer error="insufficient_user_authentication", acr_values="gold", max_age="60"'
      world.faults.push(({ path }) =>
        path === "/mcp" ? new Response("", { status: 401, headers: { "www-authenticate": challenge } }) : undefined
      )
      const error = yield* required(use(world, a))
      assert.strictEqual(error.reason, "InsufficientAuthentication")
      const { begun } = yield* visited(world, a, { required: error, resource: undefined })
      const { searchParams } = new URL(begun.url)
      assert.deepStrictEqual([searchParams.get("acr_values"), searchParams.get("max_age")], ["gold", "60"])
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a grant that ended says so; a refresh is tried first, and its token used", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      yield* signIn(world, a)
      for (const token of world.tokens.values()) token.active = false
      assert.strictEqual(yield* use(world, a), 200)
      for (const token of [...world.tokens.values(), ...world.refreshTokens.values()]) token.active = false
      assert.strictEqual((yield* required(use(world, a))).reason, "GrantEnded")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("what is not granted is not asked for in a circle, whichever instance it goes through (CL-66)", () =>
    Effect.gen(function* () {
      const world = new World()
      const services = [yield* instance(world), yield* instance(world)] as const
      yield* signIn(world, services[0])
      world.requiredScopes = ["mcp:write"]
      world.grants = ["mcp:read"]
      const error = yield* required(use(world, services[0]))
      yield* signIn(world, services[1], { required: error, resource: undefined })
      const again = yield* required(use(world, services[1]))
      const stopped = yield* reason(services[0].begin({ user: "alice", required: again }))
      assert.strictEqual(stopped, "AccessRefused ScopesNotGranted")
      yield* TestClock.adjust("1 minute")
      world.grants = undefined
      yield* signIn(world, services[0], { required: again, resource: undefined })
      assert.strictEqual(yield* use(world, services[1]), 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a token that is refused whatever is done ends as well; a person who asks is let through", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      world.faults.push(({ path }) => (path === "/mcp" ? new Response("", { status: 401 }) : undefined))
      let rounds = 0
      let stopped = ""
      while (stopped === "") {
        const error = yield* required(use(world, a))
        const outcome = yield* Effect.either(signIn(world, a, { required: error, resource: undefined }))
        if (Either.isLeft(outcome)) stopped = "reason" in outcome.left ? outcome.left.reason : outcome.left._tag
        else rounds++
      }
      assert.deepStrictEqual([rounds, stopped], [6, "TokenNotAccepted"])
      yield* signIn(world, a)
      yield* signIn(world, a, { user: "bob" })
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("who signs out at one instance is signed out at all of them, and may sign in as somebody else", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const b = yield* instance(world)
      yield* signIn(world, a)
      const mine = yield* a.source({ resource: endpoint, user: "alice" })
      const theirs = yield* b.source({ resource: endpoint, user: "alice" })
      const token = Effect.map(
        theirs.current,
        Option.map(({ value }) => Redacted.value(value))
      )
      const first = yield* token
      yield* TokenSource.signOut.pipe(Effect.provideService(TokenSource.TokenSource, mine))
      assert.isTrue(Option.isNone(yield* token))
      yield* signIn(world, a)
      const second = yield* token
      assert.isTrue(Option.isSome(second))
      assert.notDeepEqual(second, first)
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("what cannot be", () => {
  test("an address to return to that is elsewhere is refused before anything is asked", () =>
    Effect.gen(function* () {
      const world = new World()
      const a = yield* instance(world)
      const options = { user: "alice", resource: endpoint, returnTo: "//evil.example" }
      assert.strictEqual(yield* reason(a.begin(options)), "WebSignInError ReturnTo")
      assert.isEmpty(world.requests)
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a redirect URI and a resource that others can listen to (CL-51)", () =>
    Effect.gen(function* () {
      const world = new World()
      const insecure = yield* Effect.flip(instance(world, { redirectUri: "http://app.example/callback" }))
      assert.strictEqual(insecure.reason, "Unsupported")
      const a = yield* instance(world)
      const resource = "http://mcp.example/mcp"
      assert.strictEqual(yield* reason(a.begin({ user: "alice", resource })), "DiscoveryFailed InvalidResource")
      assert.strictEqual(yield* reason(a.source({ resource, user: "alice" })), "DiscoveryFailed InvalidResource")
    }).pipe(Effect.provide(TokenStore.layerMemory)))

  test("a state that is there already", () =>
    Effect.gen(function* () {
      const request = {
        state: "s",
        verifier: Redacted.make("v"),
        issuerParameterSupported: false,
        terms: {
          issuer,
          clientId: "c",
          resource: endpoint,
          redirectUri,
          tokenEndpoint: `${issuer}/token`,
          requestedScopes: []
        }
      }
      const put = PendingSignIn.put(
        { request, endpoint, user: "alice", returnTo: "/" },
        PendingSignIn.bindingOf(undefined),
        yield* Effect.map(instance(new World()), ({ lifetime }) => lifetime)
      )
      yield* put
      assert.strictEqual((yield* Effect.flip(put)).operation, "write")
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})

describe("layerTokenSource", () => {
  test("is the source of one user, for HttpClientAuth as for FetchAuth", () =>
    Effect.gen(function* () {
      const world = new World()
      const service = yield* instance(world)
      yield* signIn(world, service)
      const tokens = (user: string) =>
        WebSignIn.layerTokenSource({ resource: endpoint, user }).pipe(
          Layer.provide(Layer.succeed(WebSignIn.WebSignIn, service))
        )
      const status = Effect.map(call(), (response) => response.status).pipe(Effect.provide(world.layerHttp))
      assert.strictEqual(yield* Effect.provide(status, tokens("alice")), 200)
      assert.strictEqual((yield* Effect.flip(Effect.provide(status, tokens("bob"))))._tag, "SignInRequired")
      const fetched = yield* FetchAuth.make.pipe(
        Effect.flatMap((fetch) => Effect.promise(() => fetch(endpoint, { method: "POST" }))),
        Effect.provide([tokens("alice"), world.layerHttp])
      )
      assert.strictEqual(fetched.status, 200)
    }).pipe(Effect.provide(TokenStore.layerMemory)))
})
