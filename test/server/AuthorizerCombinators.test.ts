import { inspect } from "node:util"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"
import * as Whoami from "./fixtures/Whoami.js"

const { issuer, resource } = Guarded

const claimsOf = (subject: string) =>
  new Claims.Claims({ issuer, subject, audience: [resource], scopes: ["mcp:tools"], raw: Redacted.make({}) })

const credentials = (token = "t", more: Partial<Authorizer.Credentials> = {}): Authorizer.Credentials => ({
  scheme: "Bearer",
  token: Redacted.make(token),
  method: "POST",
  url: resource,
  issuers: [issuer],
  headers: {},
  ...more
})

/** What became of a request, in one word; who answered, in brackets. */
const verdictOf = (exit: Exit.Exit<Claims.Claims, AuthError.AuthError>): string =>
  Exit.match(exit, {
    onSuccess: ({ subject }) => `accepted (${subject})`,
    onFailure: (cause) => {
      if (Cause.isInterrupted(cause)) return "interrupted"
      const error = Cause.squash(cause) as AuthError.AuthError
      switch (error._tag) {
        case "InvalidToken":
          return `invalid (${error.detail})`
        case "InsufficientScope":
          return `too narrow (${error.required[0]})`
        case "InvalidRequest":
          return `malformed (${error.description})`
        case "ServerError":
          return `out of order (${String((error.cause as { readonly message?: unknown }).message)})`
        default:
          return error._tag
      }
    }
  })

/** On the clock of the test, which goes on by a minute for those that hang. */
const verdict = (authorizer: Authorizer.Service, of = credentials()) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(authorizer.authorize(of))
    yield* Effect.repeatN(Effect.yieldNow(), 20)
    if ((yield* Fiber.poll(fiber))._tag === "None") yield* TestClock.adjust("1 minute")
    return verdictOf(yield* Fiber.await(fiber))
  })

/** Every way in which an authorizer may end, by the name of the one that does. */
const endings: Readonly<Record<string, (who: string) => Effect.Effect<Claims.Claims, AuthError.AuthError>>> = {
  accepts: (who) => Effect.succeed(claimsOf(who)),
  "misses credentials": () => Effect.fail(AuthError.missing),
  refuses: (who) => new AuthError.InvalidToken({ reason: "signature", detail: who }),
  "says expired": (who) => new AuthError.InvalidToken({ reason: "expired", detail: who, description: "expired" }),
  "misses scopes": (who) => new AuthError.InsufficientScope({ required: [who] }),
  "calls it malformed": (who) => new AuthError.InvalidRequest({ description: who }),
  "is out of order": (who) => new AuthError.ServerError({ retryAfter: 5, cause: new Error(who) }),
  "has a bug": (who) => new AuthError.ServerError({ cause: new Error(who) }),
  dies: (who) => Effect.die(new Error(who)),
  throws: (who) => {
    throw new Error(who)
  },
  "fails with what is no refusal": (who) => Effect.fail(new Error(who) as never),
  hangs: () => Effect.never
}
const kindOf = (ending: string): "accepted" | "invalid" | "decided" | "outage" => {
  switch (ending) {
    case "accepts":
      return "accepted"
    case "misses credentials":
    case "refuses":
    case "says expired":
      return "invalid"
    case "misses scopes":
    case "calls it malformed":
      return "decided"
    default:
      return "outage"
  }
}

const link = (ending: string, who: string, asked: Array<string> = []) =>
  Authorizer.make((of) => {
    asked.push(who)
    return endings[ending]!(who).pipe(Effect.ensuring(Effect.sync(() => Redacted.value(of.token))))
  })

const pairs = Object.keys(endings).flatMap((first) => Object.keys(endings).map((second) => [first, second] as const))

describe("orElse (H10, C16)", () => {
  it.effect.each(pairs)("the first %s, the second %s", ([first, second]) =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const alone = {
        first: yield* verdict(link(first, "first")),
        second: yield* verdict(link(second, "second"))
      }
      const chained = yield* verdict(Authorizer.orElse(link(first, "first", asked), link(second, "second", asked)))
      const [one, two] = [kindOf(first), kindOf(second)]

      // What the chain says is what one of the two says.
      const stops = one === "accepted" || one === "decided"
      const says = (ending: string) => (ending === "misses credentials" ? 0 : 1)
      const keepsFirst =
        (one === "outage" && two === "outage") ||
        (two === "invalid" && (one !== "invalid" || says(first) >= says(second)))
      const expected = stops || keepsFirst ? alone.first : alone.second
      assert.strictEqual(chained, expected)
      assert.deepStrictEqual(asked, stops ? ["first"] : ["first", "second"])

      // The law behind the table, whatever the table says.
      if (one === "outage" || two === "outage") assert.notMatch(chained, /^(invalid|Missing)/)
      if (two === "accepted" && !stops) assert.strictEqual(chained, "accepted (second)")
      assert.match(
        yield* verdict(pipe(link(first, "first"), Authorizer.orElse(link(second, "second")))),
        new RegExp(`^${chained.split(" ")[0]}`)
      )
    })
  )

  it.effect("is associative: how a chain of three is put together makes no difference", () =>
    Effect.gen(function* () {
      const kinds = [
        "accepts",
        "misses credentials",
        "refuses",
        "misses scopes",
        "calls it malformed",
        "is out of order"
      ]
      for (const a of kinds) {
        for (const b of kinds) {
          for (const c of kinds) {
            const [one, two, three] = [link(a, "a"), link(b, "b"), link(c, "c")]
            const left = yield* Effect.exit(
              Authorizer.orElse(Authorizer.orElse(one, two), three).authorize(credentials())
            )
            const right = yield* Effect.exit(
              Authorizer.orElse(one, Authorizer.orElse(two, three)).authorize(credentials())
            )
            assert.strictEqual(verdictOf(left), verdictOf(right), `${a}, ${b}, ${c}`)
          }
        }
      }
    })
  )

  it.effect("uniform failure: who refuses last does not show in what a client is told", () =>
    Effect.gen(function* () {
      const told = (...reasons: ReadonlyArray<string>) =>
        Effect.map(
          Effect.flip(
            reasons
              .map((reason) =>
                Authorizer.make(() =>
                  Effect.fail(new AuthError.InvalidToken({ reason: reason as "signature", detail: reason }))
                )
              )
              .reduce((chain, next) => Authorizer.orElse(chain, next))
              .authorize(credentials())
          ),
          (error) => (error as AuthError.InvalidToken).description
        )
      assert.isUndefined(yield* told("signature", "inactive"))
      assert.isUndefined(yield* told("inactive", "malformed", "issuer"))
    })
  )

  it.effect("interruption of the caller ends the link at work, and the next is not asked", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      let ended = false
      const first = Authorizer.make(() =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            ended = true
          })
        )
      )
      const fiber = yield* Effect.fork(
        Authorizer.orElse(first, link("accepts", "second", asked)).authorize(credentials())
      )
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      assert.strictEqual(verdictOf(yield* Fiber.interrupt(fiber)), "interrupted")
      assert.isTrue(ended)
      assert.deepStrictEqual(asked, [])
    })
  )
})

describe("one authorizer alone (C10–C12, C16)", () => {
  it.effect.each(Object.keys(endings).filter((ending) => kindOf(ending) === "outage"))(
    "that %s is a ServerError that keeps its cause",
    (ending) =>
      Effect.gen(function* () {
        const said = yield* verdict(link(ending, "the cause"))
        assert.strictEqual(said, `out of order (${ending === "hangs" ? "the authorizer took too long" : "the cause"})`)
      })
  )

  it.effect("has ten seconds, or what it was given", () =>
    Effect.gen(function* () {
      const millis = (authorizer: Authorizer.Service) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(authorizer.authorize(credentials()))
          for (let passed = 0; ; passed += 500) {
            yield* Effect.repeatN(Effect.yieldNow(), 10)
            if ((yield* Fiber.poll(fiber))._tag === "Some") return passed
            yield* TestClock.adjust("500 millis")
          }
        })
      assert.strictEqual(yield* millis(Authorizer.make(() => Effect.never)), 10_000)
      assert.strictEqual(yield* millis(Authorizer.make(() => Effect.never, { timeout: "2 seconds" })), 2000)
    })
  )

  it.effect.each(["hangs", "hangs and will not be interrupted", "waits for a promise that nobody keeps"])(
    "that %s is 503 in a server, which runs apps uninterruptibly",
    (name) =>
      Effect.gen(function* () {
        const hanging: Readonly<Record<string, Effect.Effect<never>>> = {
          hangs: Effect.never,
          "hangs and will not be interrupted": Effect.uninterruptible(Effect.never),
          "waits for a promise that nobody keeps": Effect.promise(() => new Promise<never>(() => {}))
        }
        const fiber = yield* Effect.fork(Whoami.ask(Authorizer.make(() => hanging[name]!)))
        yield* TestClock.adjust("9999 millis")
        assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
        yield* TestClock.adjust("1 millis")
        const { headers, status } = yield* Fiber.join(fiber)
        assert.deepStrictEqual([status, headers.get("retry-after")], [503, "1"])
      })
  )

  it.live("C12 a client that goes away ends it, in a server as well", () =>
    Effect.gen(function* () {
      let ended = 0
      const hanging = Authorizer.make(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended++)))
      const services = Layer.merge(
        Layer.succeed(AuthConfig.AuthConfig, Guarded.configOf()),
        Layer.succeed(Authorizer.Authorizer, hanging)
      )
      const { dispose, handler } = HttpApp.toWebHandlerLayer(HttpAppAuth.middleware(Whoami.app), services)
      yield* Effect.promise(async () => {
        const controller = new AbortController()
        const headers = { authorization: "Bearer t" }
        const answered = handler(new Request(resource, { headers, signal: controller.signal })).then(
          ({ status }) => status,
          () => 0
        )
        await new Promise((resume) => setTimeout(resume, 30))
        controller.abort()
        assert.notInclude([200, 401, 403], await answered)
        await dispose()
      })
      assert.strictEqual(ended, 1)
    })
  )

  const nonsense: ReadonlyArray<unknown> = [
    undefined,
    null,
    true,
    {},
    "alice",
    { subject: "alice", scopes: ["mcp:tools"] }
  ]
  it.effect.each(nonsense)("C10 that accepts with %j is a bug, answered like one", (claims) =>
    Effect.gen(function* () {
      const answer = yield* Whoami.ask(Authorizer.make(() => Effect.succeed(claims as Claims.Claims)))
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(answer.body, { error: "server_error", error_description: "Internal Server Error" })
      assert.strictEqual(answer.decision?.outcome, "ServerError")
    })
  )

  it.effect("a ServerError tells its message, and never its cause", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Authorizer.make(() => Effect.die(new Error("db password"))).authorize(credentials())
      )
      assert.notInclude(error.message, "password")
    })
  )
})

describe("byIssuer", () => {
  const jwt = (payload: unknown) => `${Keys.part({ alg: "RS256" })}.${Keys.part(payload)}.c2ln`
  const [a, b] = ["https://a.example", "https://b.example"]
  const chosen = (token: string, otherwise = true) => {
    const asked: Array<string> = []
    const authorizer = Authorizer.byIssuer(
      { [a]: link("refuses", "a", asked), [b]: link("accepts", "b", asked) },
      otherwise ? link("accepts", "otherwise", asked) : undefined
    )
    return Effect.map(
      Effect.exit(authorizer.authorize(credentials(token))),
      (exit) => [verdictOf(exit), asked] as const
    )
  }

  const tokens: ReadonlyArray<readonly [name: string, token: string, who: string]> = [
    ["names the first", jwt({ iss: a }), "a"],
    ["names the second", jwt({ iss: b }), "b"],
    ["names one with a slash more", jwt({ iss: `${a}/` }), "otherwise"],
    ["names one in capitals", jwt({ iss: a.toUpperCase() }), "otherwise"],
    ["names none", jwt({}), "otherwise"],
    ["names a number", jwt({ iss: 1 }), "otherwise"],
    ["names a list", jwt({ iss: [a] }), "otherwise"],
    ["names __proto__", jwt({ iss: "__proto__" }), "otherwise"],
    ["names constructor", jwt({ iss: "constructor" }), "otherwise"],
    ["names toString", jwt({ iss: "toString" }), "otherwise"],
    ["is opaque", "opaque", "otherwise"],
    ["is three dots", "...", "otherwise"],
    ["is no JSON", jwt("{"), "otherwise"],
    ["is null", jwt("null"), "otherwise"]
  ]
  it.effect.each(tokens)("a token that %s", ([, token, who]) =>
    Effect.gen(function* () {
      // A token that its issuer refuses is not shown to anybody else.
      const [said, asked] = yield* chosen(token)
      assert.deepStrictEqual(asked, [who])
      assert.strictEqual(said, who === "a" ? "invalid (a)" : `accepted (${who})`)
      if (who === "otherwise") {
        assert.deepStrictEqual(yield* chosen(token, false), ["invalid (no authorizer for the issuer of the token)", []])
      }
    })
  )

  it.effect.each(Object.keys(endings).filter((ending) => kindOf(ending) === "outage"))(
    "C16 an issuer that %s is an outage, and nobody else is asked",
    (ending) =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const authorizer = Authorizer.byIssuer({ [a]: link(ending, "a") }, link("accepts", "otherwise", asked))
        assert.match(yield* verdict(authorizer, credentials(jwt({ iss: a }))), /^out of order/)
        assert.deepStrictEqual(asked, [])
      })
  )

  it.scoped("W-04 the choice trusts nothing: a token of one issuer under the name of the other is refused", () =>
    Effect.gen(function* () {
      const [keyA, keyB] = yield* Effect.promise(() => Promise.all([Keys.make("ES256", "k"), Keys.make("ES256", "k")]))
      const network = Network.make(
        Network.documents({ [`${a}/jwks`]: { keys: [keyA.jwk] }, [`${b}/jwks`]: { keys: [keyB.jwk] } })
      )
      const of = (iss: string) =>
        JwtAuthorizer.make({ jwksUri: { [iss]: `${iss}/jwks` } }).pipe(
          Effect.provideService(HttpClient.HttpClient, network.client),
          Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf({ authorizationServers: [a, b] }))
        )
      const authorizer = Authorizer.byIssuer({ [a]: yield* of(a), [b]: yield* of(b) })
      const token = (key: Keys.Key, iss: string) =>
        Effect.promise(() =>
          key.token({ iss, aud: resource, sub: "s", client_id: "c", exp: 60, iat: 0, jti: "1", scope: "mcp:tools" })
        )
      const ask = (token: string) =>
        Effect.map(Effect.exit(authorizer.authorize(credentials(token, { issuers: [a, b] }))), verdictOf)
      assert.strictEqual(yield* ask(yield* token(keyA, a)), "accepted (s)")
      assert.strictEqual(yield* ask(yield* token(keyB, b)), "accepted (s)")
      assert.match(yield* ask(yield* token(keyA, b)), /^invalid/)
      assert.match(yield* ask(yield* token(keyB, a)), /^invalid/)
    })
  )
})

describe("filterOrFail", () => {
  const tooNarrow = new AuthError.InsufficientScope({ required: ["admin"] })

  it.effect("lets through what the condition holds for, and fails with what is asked otherwise", () =>
    Effect.gen(function* () {
      const of = (subject: string) =>
        Authorizer.filterOrFail(
          link("accepts", subject),
          (claims) => claims.subject === "alice",
          (claims) => new AuthError.InvalidToken({ reason: "other", detail: `not ${claims.subject}` })
        )
      assert.strictEqual(yield* verdict(of("alice")), "accepted (alice)")
      assert.strictEqual(yield* verdict(of("bob")), "invalid (not bob)")
      const piped = pipe(
        link("accepts", "bob"),
        Authorizer.filterOrFail(
          () => false,
          () => tooNarrow
        )
      )
      assert.strictEqual(yield* verdict(piped), "too narrow (admin)")
    })
  )

  it.effect.each(Object.keys(endings).filter((ending) => ending !== "accepts"))(
    "leaves one that %s as it is, without a look at the condition",
    (ending) =>
      Effect.gen(function* () {
        const filtered = Authorizer.filterOrFail(
          link(ending, "who"),
          () => assert.fail("there are no claims"),
          () => tooNarrow
        )
        assert.strictEqual(yield* verdict(filtered), yield* verdict(link(ending, "who")))
      })
  )

  const bug = (): never => {
    throw new Error("a bug")
  }
  const bugs: ReadonlyArray<readonly [string, () => boolean, () => AuthError.AuthError]> = [
    ["condition", bug, () => tooNarrow],
    ["refusal", () => false, bug]
  ]
  it.effect.each(bugs)("C11 a %s that throws lets nobody in", ([, predicate, orFailWith]) =>
    Effect.gen(function* () {
      const filtered = Authorizer.filterOrFail(link("accepts", "alice"), predicate, orFailWith)
      assert.strictEqual(yield* verdict(filtered), "out of order (a bug)")
    })
  )
})

describe("layerStatic", () => {
  const token = "service-key-0123456789"
  const make = (tokens: Parameters<typeof Authorizer.layerStatic>[0]) =>
    Effect.provide(Authorizer.Authorizer, Authorizer.layerStatic(tokens))
  const one = { token: Redacted.make(token), claims: { subject: "backup", scopes: ["mcp:tools"] } }

  it.effect("knows its tokens, and gives each its own claims", () =>
    Effect.gen(function* () {
      const authorizer = yield* make([one, { token: Redacted.make("second"), claims: { subject: "b", scopes: [] } }])
      const claims = yield* authorizer.authorize(credentials(token))
      assert.deepInclude(
        { ...claims },
        { subject: "backup", scopes: ["mcp:tools"], audience: [resource], issuer: "urn:effect-mcp-auth:static" }
      )
      assert.deepStrictEqual((yield* authorizer.authorize(credentials("second"))).scopes, [])
    })
  )

  const others = [token.slice(0, -1), `${token}0`, token.toUpperCase(), ` ${token}`, "x", "__proto__", "constructor"]
  it.effect.each(others)("does not know %j", (other) =>
    Effect.gen(function* () {
      const authorizer = yield* make([one])
      const error = yield* Effect.flip(authorizer.authorize(credentials(other)))
      assert.deepInclude(error, { _tag: "InvalidToken", reason: "inactive" })
    })
  )

  it.effect("knows nothing where nothing is listed", () =>
    Effect.gen(function* () {
      assert.match(yield* verdict(yield* make([])), /^invalid/)
    })
  )

  it.effect("RS-40 keeps digests: the token is nowhere in what it holds", () =>
    Effect.gen(function* () {
      const authorizer = yield* make([one])
      const claims = yield* authorizer.authorize(credentials(token))
      const seen = inspect([authorizer, claims, one], { depth: 20, showHidden: true }) + JSON.stringify([claims, one])
      assert.notInclude(seen, token)
    })
  )

  it.effect("RS-32 its tokens are judged like others: audience, expiry and scopes", () =>
    Effect.gen(function* () {
      const known = (claims: Partial<Authorizer.KnownClaims>) =>
        Effect.flatMap(make([{ ...one, claims: { ...one.claims, ...claims } as typeof one.claims }]), (authorizer) =>
          guardedStatus(authorizer, token)
        )
      yield* TestClock.setTime(1_000_000_000)
      assert.strictEqual(yield* known({}), 200)
      assert.strictEqual(yield* known({ audience: ["https://other.example"] }), 401)
      assert.strictEqual(yield* known({ expiresAt: 500_000 }), 401)
      assert.strictEqual(yield* known({ scopes: [] }), 403)
    })
  )
})

const guardedStatus = (authorizer: Authorizer.Service, token: string) =>
  Effect.map(Whoami.ask(authorizer, { token }), ({ status }) => status)
