/**
 * An authorizer for JWT access tokens (RFC 9068, RFC 8725), with the keys that their issuers publish.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Jose from "jose"
import * as AuthorizationServerMetadata from "../discovery/AuthorizationServerMetadata.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as JwkSet from "../discovery/JwkSet.js"
import * as Scopes from "../protocol/Scopes.js"
import * as Audience from "./Audience.js"
import { AuthConfig } from "./AuthConfig.js"
import type { AuthError } from "./AuthError.js"
import { InvalidToken, ServerError } from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import { Claims } from "./Claims.js"
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

const MAX_TOKEN_LENGTH = 16 * 1024

const refuse = (reason: InvalidToken["reason"], detail: string, description?: string): InvalidToken =>
  new InvalidToken({ reason, detail, ...(description === undefined ? {} : { description }) })

const typeOf = (typ: unknown): string | undefined =>
  typeof typ === "string" ? typ.toLowerCase().replace(/^application\//, "") : undefined

const stringList = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.filter((item) => typeof item === "string") : []

const firstString = (payload: Jose.JWTPayload, names: ReadonlyArray<string>): string | undefined =>
  names.map((name) => payload[name]).find((value): value is string => typeof value === "string" && value !== "")

interface Unverified {
  readonly header: JwkSet.KeyHeader
  readonly payload: Jose.JWTPayload
  readonly issuer: string
}

/** What can be refused without a key: it costs no cryptography and no request. */
const preliminary = (
  token: string,
  nowSeconds: number,
  tolerance: number,
  algorithms: ReadonlyArray<string>,
  profile: TokenProfile.TokenProfile,
  config: AuthConfig
): Unverified | InvalidToken => {
  if (token.length > MAX_TOKEN_LENGTH) return refuse("malformed", `longer than ${MAX_TOKEN_LENGTH} characters`)
  let header: Jose.ProtectedHeaderParameters
  let payload: Jose.JWTPayload
  try {
    header = Jose.decodeProtectedHeader(token)
    payload = Jose.decodeJwt(token)
  } catch {
    return refuse("malformed", "not a compact JWS of a JSON object")
  }
  const alg = header.alg
  if (alg === undefined || !algorithms.includes(alg)) return refuse("algorithm", "alg is not an accepted one")
  if (header.crit !== undefined) return refuse("malformed", "crit names extensions that are not understood")
  if (!profile.types.includes(typeOf(header.typ))) return refuse("type", `typ is not ${profile.types.join(" or ")}`)
  const issuer = payload.iss
  if (typeof issuer !== "string" || !config.authorizationServers.includes(issuer)) {
    return refuse("issuer", "iss is not a configured issuer")
  }
  const absent = profile.requiredClaims.find((name) => payload[name] === undefined || payload[name] === null)
  if (absent !== undefined) return refuse("claims", `${absent} is missing`)
  for (const name of ["exp", "nbf", "iat"] as const) {
    const value: unknown = payload[name]
    if (value !== undefined && !(typeof value === "number" && Number.isFinite(value))) {
      return refuse("claims", `${name} is not a number`)
    }
  }
  if (payload.exp === undefined || nowSeconds >= payload.exp + tolerance) {
    return refuse("expired", "exp has passed", "The access token has expired")
  }
  if ((payload.nbf ?? 0) > nowSeconds + tolerance || (payload.iat ?? 0) > nowSeconds + tolerance) {
    return refuse("notYetValid", "nbf or iat lies in the future")
  }
  if (["nonce", "at_hash", "c_hash"].some((name) => name in payload)) return refuse("type", "this is an ID token")
  const audience = profile.audienceClaims.flatMap((name) => stringList(payload[name]))
  if (!Audience.accepts(config, audience)) return refuse("audience", "the audience is not this resource")
  return {
    header: { alg, ...(typeof header.kid === "string" ? { kid: header.kid } : {}) },
    payload,
    issuer
  }
}

const toClaims = (
  payload: Jose.JWTPayload,
  issuer: string,
  profile: TokenProfile.TokenProfile
): Claims | InvalidToken => {
  const subject = firstString(payload, profile.subjectClaims)
  if (subject === undefined) return refuse("claims", "there is no subject")
  const cnf = payload["cnf"] as Record<string, unknown> | undefined
  const jkt = cnf?.["jkt"]
  const x5t = cnf?.["x5t#S256"]
  if (cnf !== undefined && typeof jkt !== "string" && typeof x5t !== "string") {
    return refuse("binding", "cnf holds no method that is understood")
  }
  return new Claims(
    {
      issuer,
      subject,
      clientId: firstString(payload, profile.clientIdClaims),
      audience: profile.audienceClaims.flatMap((name) => stringList(payload[name])),
      scopes: Scopes.union(
        ...profile.scopeClaims.map((name) => stringList(payload[name]).flatMap((value) => Scopes.parse(value)))
      ),
      expiresAt: payload.exp,
      confirmation:
        cnf === undefined
          ? undefined
          : {
              ...(typeof jkt === "string" ? { jkt } : {}),
              ...(typeof x5t === "string" ? { "x5t#S256": x5t } : {})
            },
      raw: Redacted.make(payload as Record<string, unknown>)
    },
    { disableValidation: true }
  )
}

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
        ? refuse("expired", "exp has passed", "The access token has expired")
        : error instanceof Jose.errors.JWTClaimValidationFailed
          ? refuse("claims", `${error.claim} is not acceptable`)
          : refuse(
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
    const limits = yield* GuardedHttp.Limits
    const keySets = new Map<string, JwkSet.JwkSet>()
    for (const issuer of config.authorizationServers) {
      const uri = jwksUri(issuer, options?.jwksUri?.[issuer])
      const allowInsecure = limits.allowInsecure || config.allowInsecureAuthorizationServers
      const keySet = yield* JwkSet.make(
        Effect.provideService(uri, GuardedHttp.Limits, { ...limits, allowInsecure }),
        options?.keys
      )
      keySets.set(issuer, keySet)
    }

    const authorize = (credentials: Authorizer.Credentials): Effect.Effect<Claims, AuthError> =>
      Effect.gen(function* () {
        const token = Redacted.value(credentials.token)
        const now = yield* Clock.currentTimeMillis
        const unverified = preliminary(token, now / 1000, tolerance, algorithms, profile, config)
        if (unverified instanceof InvalidToken) return yield* unverified
        const keySet = keySets.get(unverified.issuer)
        if (keySet === undefined) return yield* refuse("issuer", "iss is not a configured issuer")
        const keys = yield* keySet.keys(unverified.header).pipe(
          Effect.catchTags({
            UnknownKey: () => refuse("key", "the issuer publishes no key for this token"),
            JwkSetUnavailable: (cause) => new ServerError({ retryAfter: cause.retryAfter, cause })
          })
        )
        const payload = yield* verify(token, keys, {
          algorithms: [unverified.header.alg],
          issuer: unverified.issuer,
          currentDate: new Date(now),
          clockTolerance: tolerance
        })
        const claims = toClaims(payload, unverified.issuer, profile)
        return claims instanceof InvalidToken ? yield* claims : claims
      })
    return Authorizer.make(authorize, { timeout: Duration.infinity })
  })

const jwksUri = (
  issuer: string,
  configured: string | undefined
): Effect.Effect<
  string,
  AuthorizationServerMetadata.AuthorizationServerMetadataError | GuardedHttp.FetchError,
  HttpClient.HttpClient
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
