/**
 * An authorizer for JWT access tokens (RFC 9068, RFC 8725), with the keys that their issuers publish.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Jose from "jose"
import { LRUCache } from "lru-cache"
import * as AuthorizationServerMetadata from "../discovery/AuthorizationServerMetadata.js"
import * as FetchLimits from "../discovery/FetchLimits.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as JwkSet from "../discovery/JwkSet.js"
import { AuthConfig } from "./AuthConfig.js"
import type { AuthError } from "./AuthError.js"
import { InvalidToken, ServerError } from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import type { Claims } from "./Claims.js"
import * as JwtAccessToken from "./JwtAccessToken.js"
import * as TokenProfile from "./TokenProfile.js"

/**
 * The signature algorithms that may be configured. Symmetric ones and `none` are not among them: a resource server has
 * no business with a key that can issue tokens.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm =
  | "RS256"
  | "RS384"
  | "RS512"
  | "PS256"
  | "PS384"
  | "PS512"
  | "ES256"
  | "ES384"
  | "ES512"
  | "EdDSA"
  | "Ed25519"

/**
 * How tokens are checked. `algorithms` (default `RS256`, `PS256`, `ES256`, `EdDSA`, `Ed25519`) is the only source of
 * algorithms. `profile` (default {@link TokenProfile.rfc9068}) says what tokens look like. `clockTolerance` (default 5
 * seconds, at most 5 minutes) applies to `exp`, `nbf` and `iat`. `jwksUri` is asked for the key document of an issuer,
 * in place of the issuer's metadata, where it knows one. `keys` are the times of {@link JwkSet.Options}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly algorithms?: readonly [Algorithm, ...Array<Algorithm>] | undefined
  readonly profile?: TokenProfile.TokenProfile | undefined
  readonly clockTolerance?: Duration.DurationInput | undefined
  readonly jwksUri?: Readonly<Record<string, string>> | undefined
  readonly keys?: JwkSet.Options | undefined
}

/** Issuers whose keys are kept at the same time; with more tenants than that, the least used are fetched anew. */
const MAX_ISSUERS = 256

const verify = (
  token: string,
  keys: ReadonlyArray<Jose.CryptoKey>,
  options: Jose.JWTVerifyOptions
): Effect.Effect<Jose.JWTPayload, InvalidToken> =>
  Effect.tryPromise({
    try: async () => {
      for (const [index, key] of keys.entries()) {
        try {
          return (await Jose.jwtVerify(token, key, options)).payload
        } catch (error) {
          const last = index === keys.length - 1
          if (last || !(error instanceof Jose.errors.JWSSignatureVerificationFailed)) throw error
        }
      }
      throw new Jose.errors.JWSSignatureVerificationFailed()
    },
    catch: (error) =>
      error instanceof Jose.errors.JWTExpired
        ? JwtAccessToken.expired()
        : error instanceof Jose.errors.JWTClaimValidationFailed
          ? JwtAccessToken.refuse("claims", `${error.claim} is not acceptable`)
          : JwtAccessToken.refuse(
              "signature",
              error instanceof Jose.errors.JOSEError ? error.code : "the key does not fit the algorithm"
            )
  })

/**
 * Makes the authorizer. Keys are fetched when the first token asks for them, so a server starts while its authorization
 * server is down; until keys are there, tokens are answered with `ServerError` and `Retry-After`, never with a 401.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: Options
): Effect.Effect<Authorizer.Service, never, AuthConfig | HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* AuthConfig
    const profile = options?.profile ?? TokenProfile.rfc9068
    const algorithms: ReadonlyArray<string> = options?.algorithms ?? ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
    const tolerance = Math.min(Duration.toSeconds(options?.clockTolerance ?? "5 seconds"), 300)
    const limits = yield* FetchLimits.FetchLimits
    const client = yield* HttpClient.HttpClient
    const scope = yield* Effect.scope
    const allowInsecure = config.allowInsecureAuthorizationServers
    const keySets = new LRUCache<string, JwkSet.JwkSet>({ max: MAX_ISSUERS })
    const keySetOf = (issuer: string): Effect.Effect<JwkSet.JwkSet> => {
      const known = keySets.get(issuer)
      if (known !== undefined) return Effect.succeed(known)
      const configured = options?.jwksUri?.[issuer]
      // The operator chose the issuer and, where it is configured, the URL of its keys. What its metadata names instead
      // was not.
      const chosen = [issuer, ...(configured === undefined ? [] : [configured])] as const
      return JwkSet.make(jwksUri(issuer, configured), options?.keys).pipe(
        Effect.provideServiceEffect(GuardedHttp.GuardedHttp, GuardedHttp.make({ configured: chosen, allowInsecure })),
        Effect.provideService(FetchLimits.FetchLimits, limits),
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(Scope.Scope, scope),
        Effect.map((made) => {
          // The first that was made serves all, or a cold burst would fetch more than once.
          const first = keySets.get(issuer) ?? made
          keySets.set(issuer, first)
          return first
        })
      )
    }

    const authorize = (credentials: Authorizer.Credentials): Effect.Effect<Claims, AuthError> =>
      Effect.clockWith((clock) => {
        const token = Redacted.value(credentials.token)
        const now = clock.unsafeCurrentTimeMillis()
        const { issuers } = credentials
        const asked = credentials.config ?? config
        const expected = { algorithms, profile, issuers, config: asked, now: now / 1000, tolerance }
        const unverified = JwtAccessToken.preliminary(token, expected)
        if (unverified instanceof InvalidToken) return Exit.fail(unverified)
        const verified = Effect.flatMap(keySetOf(unverified.issuer), (keySet) =>
          Effect.matchEffect(keySet.keys(unverified), {
            onFailure: (error) =>
              Exit.fail(
                error._tag === "UnknownKey"
                  ? JwtAccessToken.refuse("key", "the issuer publishes no key for this token")
                  : new ServerError({ retryAfter: error.retryAfter, cause: error })
              ),
            onSuccess: (keys) =>
              verify(token, keys, {
                algorithms: [unverified.alg],
                issuer: unverified.issuer,
                currentDate: new Date(now),
                clockTolerance: tolerance
              })
          })
        )
        return Effect.flatMap(verified, (payload) => {
          const claims = JwtAccessToken.toClaims(payload, unverified.issuer, profile)
          return claims instanceof InvalidToken ? Exit.fail(claims) : Exit.succeed(claims)
        })
      })
    return Authorizer.make(authorize, { timeout: Duration.infinity })
  })

const jwksUri = (
  issuer: string,
  configured: string | undefined
): Effect.Effect<
  string,
  AuthorizationServerMetadata.AuthorizationServerMetadataError | GuardedHttp.FetchError,
  GuardedHttp.GuardedHttp
> =>
  configured !== undefined
    ? Effect.succeed(configured)
    : Effect.flatMap(AuthorizationServerMetadata.discover(issuer), ({ jwks_uri }) =>
        jwks_uri === undefined
          ? Effect.fail(
              new GuardedHttp.FetchError({
                url: issuer,
                reason: "Malformed",
                detail: "the metadata has no jwks_uri; set options.jwksUri for this issuer"
              })
            )
          : Effect.succeed(jwks_uri)
      )

/**
 * The authorizer as a layer over the configured issuers.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { AuthConfig, JwtAuthorizer } from "effect-mcp-auth/server"
 * import * as Layer from "effect/Layer"
 *
 * export const layer = JwtAuthorizer.layer({ algorithms: ["RS256"] }).pipe(
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provideMerge(
 *     AuthConfig.layer({ resource: "https://mcp.example.com/mcp", authorizationServers: "https://as.example.com" })
 *   )
 * )
 * ```
 */
export const layer = (
  options?: Options
): Layer.Layer<Authorizer.Authorizer, never, AuthConfig | HttpClient.HttpClient> =>
  Layer.scoped(Authorizer.Authorizer, make(options))
