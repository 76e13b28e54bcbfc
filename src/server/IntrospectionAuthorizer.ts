/**
 * An authorizer that asks the issuer about each token (RFC 7662), for opaque tokens and for immediate revocation.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Jose from "jose"
import * as AuthorizationServerMetadata from "../discovery/AuthorizationServerMetadata.js"
import * as ClientAuthentication from "../discovery/ClientAuthentication.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as JwkSet from "../discovery/JwkSet.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as Scopes from "../protocol/Scopes.js"
import { AuthConfig } from "./AuthConfig.js"
import { InvalidToken, ServerError } from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import * as CachedAuthorizer from "./CachedAuthorizer.js"
import { Claims } from "./Claims.js"
import * as JwtAccessToken from "./JwtAccessToken.js"

/**
 * How the issuer is asked.
 *
 * - `issuer`: whose tokens these are; the only configured one where it is left out.
 * - `endpoint`: the introspection endpoint; from the issuer's metadata where it is left out.
 * - `clientId` and `credentials`: this resource server's own registration at the issuer.
 * - `cache`: answers are remembered for so long, and never beyond the token's expiry; a revoked token is accepted for
 *   that time. Nothing is remembered where it is left out.
 * - `signed`: asks for signed answers (RFC 9701) and accepts no others, with these algorithms.
 * - `audience`: `required` (default) refuses an answer without `aud`; `bound` takes it that the issuer answers `active`
 *   to this client only for tokens of this resource (RFC 7662 §2.2), which is for you to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly issuer?: string | undefined
  readonly endpoint?: string | undefined
  readonly clientId: string
  readonly credentials: ClientAuthentication.Credentials
  readonly cache?: { readonly capacity: number; readonly maxAge: Duration.DurationInput } | undefined
  readonly signed?: { readonly algorithms: readonly [string, ...Array<string>] } | undefined
  readonly audience?: "required" | "bound" | undefined
}

const Answer = Schema.Struct(
  {
    active: Schema.Boolean,
    iss: Schema.optional(Schema.String),
    sub: Schema.optional(Schema.String),
    client_id: Schema.optional(Schema.String),
    aud: Schema.optional(Schema.Union(Schema.String, Schema.Array(Schema.String))),
    scope: Schema.optional(Schema.String),
    exp: Schema.optional(Schema.Number),
    nbf: Schema.optional(Schema.Number),
    token_type: Schema.optional(Schema.String),
    cnf: Schema.optional(Schema.Unknown)
  },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
)

const decodeAnswer = GuardedHttp.decodeJson(Answer)
const decodeObject = Schema.decodeUnknown(Answer)

const outOfOrder = (cause: unknown): ServerError => {
  const retryAfter = cause instanceof GuardedHttp.FetchError ? cause.retryAfter : undefined
  return new ServerError({ retryAfter: Math.min(retryAfter ?? 1, 300), cause })
}

/**
 * The claims of an answer, or why it is none (RFC 7662 §2.2): only the boolean `true` is active, and times and issuer are
 * checked all the same.
 *
 * @since 0.1.0
 * @category validation
 */
export const toClaims = (
  answer: typeof Answer.Type,
  expected: {
    readonly issuer: string
    readonly resource: string
    readonly audience: "required" | "bound"
    readonly now: number
  }
): Claims | InvalidToken => {
  if (!answer.active) return JwtAccessToken.refuse("inactive", "the issuer says that it is not active")
  if (answer.iss !== undefined && answer.iss !== expected.issuer) {
    return JwtAccessToken.refuse("issuer", "iss is not the issuer that was asked")
  }
  if (answer.exp !== undefined && expected.now >= answer.exp) return JwtAccessToken.expired()
  if (answer.nbf !== undefined && expected.now < answer.nbf) {
    return JwtAccessToken.refuse("notYetValid", "nbf lies in the future")
  }
  const subject = answer.sub ?? answer.client_id
  if (subject === undefined) return JwtAccessToken.refuse("claims", "there is neither sub nor client_id")
  const audience = answer.aud === undefined ? [] : typeof answer.aud === "string" ? [answer.aud] : answer.aud
  const confirmation = answer.cnf === undefined ? undefined : JwtAccessToken.confirmationOf(answer.cnf)
  if (confirmation instanceof InvalidToken) return confirmation
  return new Claims(
    {
      issuer: expected.issuer,
      subject,
      clientId: answer.client_id,
      audience: audience.length === 0 && expected.audience === "bound" ? [expected.resource] : audience,
      scopes: Scopes.parse(answer.scope ?? ""),
      expiresAt: answer.exp,
      confirmation,
      raw: Redacted.make(answer)
    },
    { disableValidation: true }
  )
}

/** The statement inside of a signed answer (RFC 9701 §5): typed, from this issuer, for this client. */
const signedAnswer = (
  body: string,
  options: Options,
  issuer: string,
  keySet: JwkSet.JwkSet,
  now: number
): Effect.Effect<typeof Answer.Type, ServerError> =>
  Effect.gen(function* () {
    const { alg = "", kid } = yield* Effect.try(() => Jose.decodeProtectedHeader(body))
    const keys = yield* keySet.keys({ alg, kid })
    const { payload } = yield* Effect.tryPromise(() =>
      Jose.jwtVerify(body, keys[0], {
        algorithms: [...(options.signed?.algorithms ?? [])],
        typ: "token-introspection+jwt",
        issuer,
        audience: options.clientId,
        requiredClaims: ["iat"],
        currentDate: new Date(now)
      })
    )
    return yield* decodeObject(payload["token_introspection"])
  }).pipe(Effect.mapError(outOfOrder))

/**
 * Makes the authorizer. It fails closed: where the issuer is not reached, refuses this server's credentials or answers
 * nonsense, the result is `ServerError` with `Retry-After`, and never "valid" nor "invalid". A 400 says of the token that
 * the issuer does not know it, which is not active.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Authorizer.Service, never, AuthConfig | HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* AuthConfig
    const client = yield* HttpClient.HttpClient
    const issuer = options.issuer ?? config.authorizationServers[0]
    const limits = yield* GuardedHttp.Limits
    const allowInsecure = limits.allowInsecure || config.allowInsecureAuthorizationServers
    const guarded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      effect.pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(GuardedHttp.Limits, { ...limits, allowInsecure })
      )
    let known: AuthorizationServerMetadata.AuthorizationServerMetadata | undefined
    const discover = yield* SingleFlight.make(
      guarded(
        Effect.tap(AuthorizationServerMetadata.discover(issuer), (metadata) => {
          known = metadata
        })
      )
    )
    const metadata = Effect.suspend(() => (known === undefined ? discover : Effect.succeed(known)))
    const keySet = yield* JwkSet.make(Effect.flatMap(metadata, ({ jwks_uri }) => Effect.fromNullable(jwks_uri))).pipe(
      Effect.provideService(GuardedHttp.Limits, { ...limits, allowInsecure })
    )

    const ask = (token: string) =>
      Effect.gen(function* () {
        const found = options.endpoint === undefined ? yield* metadata : undefined
        const endpoint = yield* Effect.fromNullable(options.endpoint ?? found?.introspection_endpoint)
        const methods =
          found?.introspection_endpoint_auth_methods_supported ?? found?.token_endpoint_auth_methods_supported
        const authentication = yield* Effect.fromNullable(ClientAuthentication.choose(options.credentials, methods))
        const proof = yield* ClientAuthentication.present(authentication, { clientId: options.clientId, issuer })
        const response = yield* HttpClientRequest.post(endpoint).pipe(
          HttpClientRequest.setHeaders({
            ...proof.headers,
            accept: options.signed === undefined ? "application/json" : "application/token-introspection+jwt"
          }),
          HttpClientRequest.bodyUrlParams([["token", token], ["token_type_hint", "access_token"], ...proof.parameters]),
          (request) => guarded(GuardedHttp.execute(request, "token introspection"))
        )
        if (response.status === 400) return { active: false }
        if (response.status !== 200) return yield* Effect.flip(GuardedHttp.statusError(response))
        const now = yield* Clock.currentTimeMillis
        return options.signed === undefined
          ? yield* decodeAnswer(response)
          : yield* signedAnswer(response.body, options, issuer, keySet, now)
      }).pipe(Effect.mapError((error) => (error instanceof ServerError ? error : outOfOrder(error))))

    const authorizer = Authorizer.make(
      (credentials) =>
        Effect.gen(function* () {
          if (!credentials.issuers.includes(issuer)) {
            return yield* JwtAccessToken.refuse("issuer", "the issuer is not one of this request's")
          }
          const answer = yield* ask(Redacted.value(credentials.token))
          const now = (yield* Clock.currentTimeMillis) / 1000
          const audience = options.audience ?? "required"
          const claims = toClaims(answer, { issuer, resource: config.resource, audience, now })
          return claims instanceof InvalidToken ? yield* claims : claims
        }),
      { timeout: "30 seconds" }
    )
    return options.cache === undefined ? authorizer : yield* CachedAuthorizer.make(options.cache)(authorizer)
  })

/**
 * The authorizer as a layer.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { IntrospectionAuthorizer } from "effect-mcp-auth/server"
 * import * as Redacted from "effect/Redacted"
 *
 * export const layer = IntrospectionAuthorizer.layer({
 *   clientId: "mcp-server",
 *   credentials: { clientSecret: Redacted.make("from your configuration") },
 *   cache: { capacity: 10_000, maxAge: "30 seconds" }
 * })
 * ```
 */
export const layer = (
  options: Options
): Layer.Layer<Authorizer.Authorizer, never, AuthConfig | HttpClient.HttpClient> =>
  Layer.scoped(Authorizer.Authorizer, make(options))
