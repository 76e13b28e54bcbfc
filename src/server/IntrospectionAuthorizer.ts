/**
 * An authorizer that asks the issuer about each token (RFC 7662), for opaque tokens and for immediate revocation.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
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
import { AuthConfig } from "./AuthConfig.js"
import { InvalidToken, ServerError } from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import * as CachedAuthorizer from "./CachedAuthorizer.js"
import * as IntrospectionResponse from "./IntrospectionResponse.js"
import * as JwtAccessToken from "./JwtAccessToken.js"

/**
 * How the issuer is asked.
 *
 * - `issuer`: whose tokens these are; the configured one where it is left out, which has to be the only one.
 * - `endpoint`: the introspection endpoint; from the issuer's metadata where it is left out.
 * - `clientId` and `credentials`: this resource server's own registration at the issuer.
 * - `cache`: answers are remembered for so long, and never beyond the token's expiry; a revoked token is accepted for
 *   that time. Nothing is remembered where it is left out.
 * - `signed`: asks for signed answers (RFC 9701) and accepts no others, with these algorithms.
 * - `audience`: `required` (default) refuses an answer without `aud`; `bound` takes it that the issuer answers `active`
 *   to this client only for tokens of this resource (RFC 7662 §2.2), which is for you to know. An answer without `aud`
 *   then needs a `token_type`: nothing else tells an access token from a refresh token, which is as active.
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

const decodeError = GuardedHttp.decodeJson(Schema.Struct({ error: Schema.String }))

const retryAfterOf = (cause: unknown): number => {
  if (cause instanceof JwkSet.JwkSetUnavailable) return cause.retryAfter
  const failed =
    cause instanceof AuthorizationServerMetadata.AuthorizationServerMetadataError ? cause.attempts : [cause]
  return Math.max(1, ...failed.map((error) => (error instanceof GuardedHttp.FetchError && error.retryAfter) || 1))
}

const outOfOrder = (cause: unknown): ServerError =>
  new ServerError({ retryAfter: Math.min(retryAfterOf(cause), 300), cause })

/** A JWT that says it is another issuer's is not shown to this one, whatever it would make of it. */
const isForeign = (token: string, issuer: string): boolean => {
  try {
    const { iss } = Jose.decodeJwt(token)
    return iss !== undefined && iss !== issuer
  } catch {
    return false
  }
}

/** After this, metadata is looked at again, so that a moved endpoint is found; what was known serves until then. */
const METADATA_AGE_MILLIS = 600_000

/**
 * Errors of a 400 that are about the token: what some issuers say of a JWT, or in place of `active`. All others are about
 * the request, and so about this server: credentials that are badly encoded, for instance, are `invalid_request`.
 */
const aboutTheToken = ["unsupported_token_type", "invalid_token"]

/**
 * Makes the authorizer. It fails closed: where the issuer is not reached, refuses this server's credentials or answers
 * nonsense, the result is `ServerError` with `Retry-After`, and never "valid" nor "invalid". A 400 counts as "not active"
 * where its error is about the token: `unsupported_token_type` or `invalid_token`. Dies where several issuers are
 * configured and `issuer` does not say which.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Authorizer.Service, never, AuthConfig | HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* AuthConfig
    if (options.issuer === undefined && config.authorizationServers.length > 1) {
      return yield* Effect.dieMessage("IntrospectionAuthorizer: set options.issuer, because several are configured")
    }
    const issuer = options.issuer ?? config.authorizationServers[0]
    // The operator chose the issuer and, where it is configured, the endpoint. What the metadata names instead was not.
    const http = yield* GuardedHttp.make({
      configured: [issuer, ...(options.endpoint === undefined ? [] : [options.endpoint])],
      allowInsecure: config.allowInsecureAuthorizationServers
    })
    const guarded = Effect.provideService(GuardedHttp.GuardedHttp, http)
    const misconfigured = (detail: string) =>
      new GuardedHttp.FetchError({ url: issuer, reason: "Malformed", detail: `${detail} of this issuer` })
    let known:
      | { readonly metadata: AuthorizationServerMetadata.AuthorizationServerMetadata; readonly at: number }
      | undefined
    const discover = yield* SingleFlight.make(
      guarded(AuthorizationServerMetadata.discover(issuer)).pipe(
        Effect.zip(Clock.currentTimeMillis),
        Effect.map(([metadata, at]) => {
          known = { metadata, at }
          return metadata
        })
      )
    )
    const metadata = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (known === undefined) return discover
      if (now - known.at < METADATA_AGE_MILLIS) return Effect.succeed(known.metadata)
      const { metadata } = known
      known = { metadata, at: now }
      return Effect.orElseSucceed(discover, () => metadata)
    })
    const jwksUri = Effect.flatMap(metadata, ({ jwks_uri }) =>
      jwks_uri === undefined ? misconfigured("there is no jwks_uri in the metadata") : Effect.succeed(jwks_uri)
    )
    const keySet = yield* guarded(JwkSet.make(jwksUri))

    const ask = (token: string) =>
      Effect.gen(function* () {
        const found = options.endpoint === undefined ? yield* metadata : undefined
        const endpoint = options.endpoint ?? found?.introspection_endpoint
        if (endpoint === undefined) {
          return yield* misconfigured(
            "options.endpoint is not set, and there is no introspection_endpoint in the metadata"
          )
        }
        const methods =
          found === undefined
            ? ["private_key_jwt", "client_secret_basic"]
            : (found.introspection_endpoint_auth_methods_supported ?? found.token_endpoint_auth_methods_supported)
        const authentication = ClientAuthentication.choose(options.credentials, methods)
        if (authentication === undefined) {
          return yield* misconfigured("options.credentials fit none of the authentication methods in the metadata")
        }
        const proof = yield* ClientAuthentication.present(authentication, { clientId: options.clientId, issuer })
        const response = yield* HttpClientRequest.post(endpoint).pipe(
          HttpClientRequest.setHeaders({
            ...proof.headers,
            accept: options.signed === undefined ? "application/json" : "application/token-introspection+jwt"
          }),
          HttpClientRequest.bodyUrlParams([["token", token], ["token_type_hint", "access_token"], ...proof.parameters]),
          (request) => http.execute(request, "token introspection")
        )
        if (response.status === 400) {
          const { error } = yield* Effect.orElseSucceed(decodeError(response), () => ({ error: "" }))
          if (aboutTheToken.includes(error)) return { active: false } as const
        }
        if (response.status !== 200) return yield* Effect.flip(GuardedHttp.statusError(response))
        return options.signed === undefined
          ? yield* IntrospectionResponse.decode(response)
          : yield* IntrospectionResponse.decodeSigned(response, {
              algorithms: options.signed.algorithms,
              issuer,
              audience: [options.clientId, config.resource],
              keySet
            })
      }).pipe(Effect.mapError(outOfOrder))

    const authorizer = Authorizer.make(
      (credentials) =>
        Effect.gen(function* () {
          const token = Redacted.value(credentials.token)
          if (!credentials.issuers.includes(issuer)) {
            return yield* JwtAccessToken.refuse("issuer", "the issuer is not one of this request's")
          }
          if (token.length > JwtAccessToken.maxLength) return yield* JwtAccessToken.tooLong()
          if (isForeign(token, issuer)) return yield* JwtAccessToken.refuse("issuer", "iss is another issuer")
          const answer = yield* ask(token)
          const now = (yield* Clock.currentTimeMillis) / 1000
          const audience = options.audience ?? "required"
          const claims = IntrospectionResponse.toClaims(answer, { issuer, resource: config.resource, audience, now })
          return claims instanceof InvalidToken ? yield* claims : claims
          // Servers run apps uninterruptibly, in which the timeout of a request to the issuer ends nothing.
        }).pipe(Effect.interruptible),
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
