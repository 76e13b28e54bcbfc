import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as WwwAuthenticate from "../../src/protocol/WwwAuthenticate.js"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as Authorizer from "../../src/server/Authorizer.js"
import * as Claims from "../../src/server/Claims.js"
import * as HttpAppAuth from "../../src/server/HttpAppAuth.js"
import * as IntrospectionAuthorizer from "../../src/server/IntrospectionAuthorizer.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as StepUpAuthentication from "../../src/server/StepUpAuthentication.js"
import * as Endpoint from "./fixtures/Endpoint.js"
import * as Guarded from "./fixtures/Guarded.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"

const { issuer, resource } = Guarded
const now = 1_800_000_000

const claimsOf = (raw: Readonly<Record<string, unknown>>) =>
  new Claims.Claims({ issuer, subject: "s", audience: [resource], scopes: ["mcp:tools"], raw: Redacted.make(raw) })

describe("isMet (S-04)", () => {
  const cases: ReadonlyArray<
    readonly [name: string, raw: Readonly<Record<string, unknown>>, StepUpAuthentication.Requirement, boolean]
  > = [
    ["nothing asked, nothing said", {}, {}, true],
    ["the acr that is asked", { acr: "mfa" }, { acrValues: ["mfa"] }, true],
    ["the second that is asked", { acr: "mfa" }, { acrValues: ["phr", "mfa"] }, true],
    ["another acr", { acr: "pwd" }, { acrValues: ["mfa"] }, false],
    ["an acr in capitals", { acr: "MFA" }, { acrValues: ["mfa"] }, false],
    ["an acr that only begins alike", { acr: "mfa2" }, { acrValues: ["mfa"] }, false],
    ["both in one string", { acr: "mfa phr" }, { acrValues: ["mfa", "phr"] }, false],
    ["no acr", {}, { acrValues: ["mfa"] }, false],
    ["acr null", { acr: null }, { acrValues: ["null"] }, false],
    ["acr as a list", { acr: ["mfa"] }, { acrValues: ["mfa"] }, false],
    ["amr in place of acr", { amr: ["mfa"] }, { acrValues: ["mfa"] }, false],
    ["auth_time at this moment", { auth_time: now }, { maxAge: "5 minutes" }, true],
    ["auth_time at the limit", { auth_time: now - 300 }, { maxAge: "5 minutes" }, true],
    ["auth_time a second beyond", { auth_time: now - 301 }, { maxAge: "5 minutes" }, false],
    ["no auth_time", {}, { maxAge: "5 minutes" }, false],
    ["auth_time as a string", { auth_time: String(now) }, { maxAge: "5 minutes" }, false],
    ["auth_time null", { auth_time: null }, { maxAge: "5 minutes" }, false],
    ["auth_time not a number", { auth_time: Number.NaN }, { maxAge: "5 minutes" }, false],
    ["auth_time a little ahead: clocks differ", { auth_time: now + 60 }, { maxAge: "5 minutes" }, true],
    ["auth_time in milliseconds", { auth_time: now * 1000 }, { maxAge: "5 minutes" }, false],
    ["auth_time at the end of time", { auth_time: Number.POSITIVE_INFINITY }, { maxAge: "5 minutes" }, false],
    ["iat, which a refresh renews, in place of auth_time", { iat: now }, { maxAge: "5 minutes" }, false],
    ["any age will do", {}, { maxAge: Duration.infinity }, true],
    ["begun seconds count whole", { auth_time: now - 2 }, { maxAge: "1500 millis" }, true],
    ["the acr, too long ago", { acr: "mfa", auth_time: 0 }, { acrValues: ["mfa"], maxAge: "1 hour" }, false],
    ["another acr, just now", { acr: "pwd", auth_time: now }, { acrValues: ["mfa"], maxAge: "1 hour" }, false],
    ["both", { acr: "mfa", auth_time: now }, { acrValues: ["mfa"], maxAge: "1 hour" }, true]
  ]
  it.each(cases)("%s", (_, raw, requirement, expected) => {
    assert.strictEqual(StepUpAuthentication.isMet(claimsOf(raw), requirement, now), expected)
  })
})

/** A handler behind the guard that asks for more than a scope. */
const ask = (
  requirement: StepUpAuthentication.Requirement,
  raw: Readonly<Record<string, unknown>>,
  config = Guarded.configOf()
) =>
  Guarded.send(
    StepUpAuthentication.require(requirement).pipe(
      Effect.map(({ subject }) => HttpServerResponse.text(`done by ${subject}`)),
      HttpAppAuth.middleware
    ),
    { token: "t" }
  ).pipe(
    Effect.provideService(AuthConfig.AuthConfig, config),
    Effect.provideService(
      Authorizer.Authorizer,
      Authorizer.make(() => Effect.succeed(claimsOf(raw)))
    )
  )

const description = "A different or more recent authentication is required"

describe("the challenge (S-01)", () => {
  const challenges: ReadonlyArray<
    readonly [name: string, StepUpAuthentication.Requirement, parameters: Readonly<Record<string, string>>]
  > = [
    ["acr_values, in order of preference", { acrValues: ["phr", "mfa"] }, { acr_values: "phr mfa" }],
    ["max_age in seconds", { maxAge: "5 minutes" }, { max_age: "300" }],
    ["max_age of a begun second", { maxAge: "1500 millis" }, { max_age: "2" }],
    ["max_age of none at all", { maxAge: 0 }, { max_age: "0" }],
    ["both", { acrValues: ["mfa"], maxAge: "1 hour" }, { acr_values: "mfa", max_age: "3600" }],
    ["an infinite age is none", { acrValues: ["mfa"], maxAge: Duration.infinity }, { acr_values: "mfa" }],
    ["an acr in quotes", { acrValues: ['a"b\\c'] }, { acr_values: 'a"b\\c' }]
  ]
  it.effect.each(challenges)("S-01 401 with %s", ([, requirement, parameters]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const { body, challenge, headers, status } = yield* ask(requirement, { acr: "pwd", auth_time: 0 })
      assert.strictEqual(status, 401)
      const [found, ...others] = WwwAuthenticate.parse(challenge ?? "")
      assert.deepStrictEqual([found?.scheme, others], ["Bearer", []])
      assert.deepStrictEqual(
        { ...found?.parameters },
        {
          error: "insufficient_user_authentication",
          error_description: description,
          resource_metadata: Guarded.metadataUrl,
          scope: "mcp:tools",
          ...parameters
        }
      )
      assert.deepStrictEqual(body, { error: "insufficient_user_authentication", error_description: description })
      assert.strictEqual(headers.get("cache-control"), "no-store")
    })
  )

  it.effect("a control character in an acr moves no header", () =>
    Effect.gen(function* () {
      const { challenge, headers } = yield* ask({ acrValues: ["a\r\nSet-Cookie: x=1"] }, {})
      assert.isNull(headers.get("set-cookie"))
      assert.notMatch(challenge ?? "", /[^ -~]/)
    })
  )

  it.effect("who meets it gets through", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const requirement = { acrValues: ["mfa"], maxAge: "5 minutes" } as const
      const { challenge, status, text } = yield* ask(requirement, { acr: "mfa", auth_time: now - 10 })
      assert.deepStrictEqual([status, challenge, text], [200, null, "done by s"])
    })
  )

  it.effect("S-04 time goes by: what was recent enough is not for ever", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const status = Effect.map(ask({ maxAge: "5 minutes" }, { auth_time: now }), ({ status }) => status)
      assert.strictEqual(yield* status, 200)
      yield* TestClock.adjust("300 seconds")
      assert.strictEqual(yield* status, 200)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* status, 401)
    })
  )

  it.effect("a scope that is missing is told first: 403, and nothing of how to sign in", () =>
    Effect.gen(function* () {
      const answer = yield* ask({ acrValues: ["mfa"] }, {}, Guarded.configOf({ requiredScopes: ["admin"] }))
      assert.strictEqual(answer.status, 403)
      assert.notInclude(answer.challenge, "acr_values")
    })
  )
})

describe("where the claims come from (S-04, J-03, J-07)", () => {
  const requirement = { acrValues: ["mfa"], maxAge: "5 minutes" } as const
  const met = (authorizer: Authorizer.Service, token: string) =>
    Effect.map(
      authorizer.authorize({
        scheme: "Bearer",
        token: Redacted.make(token),
        method: "POST",
        url: resource,
        issuers: [issuer],
        headers: {}
      }),
      (claims) => StepUpAuthentication.isMet(claims, requirement, now)
    )

  it.scoped("S-04 a JWT", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const key = yield* Effect.promise(() => Keys.make("ES256", "k"))
      const jwks = `${issuer}/jwks`
      const authorizer = yield* JwtAuthorizer.make({ jwksUri: { [issuer]: jwks } }).pipe(
        Effect.provideService(
          HttpClient.HttpClient,
          Network.make(Network.documents({ [jwks]: { keys: [key.jwk] } })).client
        ),
        Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf())
      )
      const base = { iss: issuer, aud: resource, sub: "s", client_id: "c", iat: now, exp: now + 60, jti: "1" }
      const token = (more: object) => Effect.promise(() => key.token({ ...base, ...more }))
      assert.isTrue(yield* met(authorizer, yield* token({ acr: "mfa", auth_time: now - 60 })))
      // A refreshed token: iat is new, auth_time is not.
      assert.isFalse(yield* met(authorizer, yield* token({ acr: "mfa", auth_time: now - 3600 })))
      assert.isFalse(yield* met(authorizer, yield* token({})))
    })
  )

  it.scoped("S-04 introspection", () =>
    Effect.gen(function* () {
      const answerOf = (more: object) => () => Network.json({ active: true, sub: "s", aud: resource, ...more })
      const of = (more: object) =>
        IntrospectionAuthorizer.make({ clientId: "rs", credentials: {}, endpoint: `${issuer}/introspect` }).pipe(
          Effect.provideService(HttpClient.HttpClient, Endpoint.make(answerOf(more)).client),
          Effect.provideService(AuthConfig.AuthConfig, Guarded.configOf())
        )
      assert.isTrue(yield* met(yield* of({ acr: "mfa", auth_time: now - 60 }), "t"))
      assert.isFalse(yield* met(yield* of({ acr: "mfa", auth_time: now - 3600 }), "t"))
      assert.isFalse(yield* met(yield* of({}), "t"))
    })
  )
})
