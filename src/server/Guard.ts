/**
 * The gate that every server adapter shares: from a request to claims or a refusal, and from a refusal to a response.
 *
 * @since 0.1.0
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as BearerCredentials from "../protocol/BearerCredentials.js"
import * as Scopes from "../protocol/Scopes.js"
import * as Audience from "./Audience.js"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import * as Challenge from "./Challenge.js"
import { Claims } from "./Claims.js"
import * as DecisionTelemetry from "./DecisionTelemetry.js"
import * as Tenancy from "./Tenancy.js"

/** Node keeps the first of several `Authorization` headers and drops the rest; only its own view of them still tells. */
const authorizationIsRepeated = (request: HttpServerRequest.HttpServerRequest): boolean => {
  const raw = (request.source as { readonly rawHeaders?: ReadonlyArray<string> }).rawHeaders
  // Servers that hand on a web Request, Bun's among them, have joined the two. No b64token has a comma.
  if (raw === undefined) return /,\s*(?:basic|bearer|dpop)\s/i.test(request.headers["authorization"] ?? "")
  let seen = 0
  for (let i = 0; i < raw.length; i += 2) if (raw[i]?.toLowerCase() === "authorization") seen++
  return seen > 1
}

const hasTokenInQuery = (url: string): boolean => {
  const query = url.indexOf("?")
  return query !== -1 && new URLSearchParams(url.slice(query)).has("access_token")
}

/** What a request presented, before it is known which issuers count. */
type Presented = Omit<Authorizer.Credentials, "issuers" | "config">

/**
 * Takes the credentials off a request: from the `Authorization` header and nowhere else. No header, a blank token and a
 * scheme that is not served are `Missing`; a token in the query, two headers, or what is no token is `InvalidRequest`
 * (RFC 6750 §2, §3.1).
 *
 * @since 0.1.0
 * @category parsing
 */
export const credentials = (
  request: HttpServerRequest.HttpServerRequest,
  config: AuthConfig
): Presented | AuthError.Missing | AuthError.InvalidRequest => {
  if (hasTokenInQuery(request.url)) {
    return new AuthError.InvalidRequest({ description: "access_token must not be sent in the query; use the header" })
  }
  if (authorizationIsRepeated(request)) {
    return new AuthError.InvalidRequest({ description: "the Authorization header must not be repeated" })
  }
  const parsed = BearerCredentials.parse(request.headers["authorization"])
  if (parsed._tag === "Malformed") return new AuthError.InvalidRequest({ description: parsed.rule })
  if (parsed._tag === "Missing" || parsed.scheme === "DPoP") return AuthError.missing
  return {
    scheme: parsed.scheme,
    token: Redacted.make(parsed.token),
    method: request.method,
    url: config.resource,
    headers: request.headers
  }
}

/** Scopes together with all that they imply, however long the chain. */
const withImplied = (scopes: ReadonlyArray<string>, implied: AuthConfig["impliedScopes"]): ReadonlyArray<string> => {
  if (implied === undefined) return scopes
  const all = new Set(scopes)
  for (const scope of all) {
    if (Object.hasOwn(implied, scope)) for (const narrower of implied[scope] ?? []) all.add(narrower)
  }
  return Array.from(all)
}

/** Authorizers apply their own tolerance; this is the limit that none of them can exceed. */
const MAX_TOLERANCE_SECONDS = 300

/**
 * Judges what an authorizer accepted, so that none can forget it: the audience names this resource, the token has not
 * expired, is not bound to a key that was not proved, and has the required scopes. Expiry comes before scopes, so that a
 * client with an old token renews instead of stepping up.
 *
 * @since 0.1.0
 * @category validation
 */
export const judge = (
  claims: Claims,
  config: AuthConfig,
  requiredScopes: ReadonlyArray<string>,
  scheme: Authorizer.Credentials["scheme"],
  nowMillis: number
): Claims | AuthError.InvalidToken | AuthError.InsufficientScope => {
  if (!Audience.accepts(config, claims.audience)) {
    return new AuthError.InvalidToken({ reason: "audience", detail: "the audience is not this resource" })
  }
  if (claims.expiresAt !== undefined && !(nowMillis < (claims.expiresAt + MAX_TOLERANCE_SECONDS) * 1000)) {
    return new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" })
  }
  if (claims.confirmation !== undefined && scheme === "Bearer") {
    return new AuthError.InvalidToken({ reason: "binding", detail: "the token is bound to a key and came as Bearer" })
  }
  const scopes = withImplied(claims.scopes, config.impliedScopes)
  if (Scopes.missing(requiredScopes, scopes).length > 0) {
    return new AuthError.InsufficientScope({ required: requiredScopes })
  }
  return scopes === claims.scopes ? claims : new Claims({ ...claims, scopes }, { disableValidation: true })
}

/** Asks the authorizer and judges what it says, with the time, the outcome and the reason of it. */
const decide = (
  authorizer: Authorizer.Service,
  credentials: Authorizer.Credentials,
  config: AuthConfig,
  required: ReadonlyArray<string>
): Effect.Effect<Claims, AuthError.AuthError> =>
  Effect.flatMap(Clock.currentTimeMillis, (started) =>
    authorizer.authorize(credentials).pipe(
      Effect.flatMap((claims) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const judged = judge(claims, config, required, credentials.scheme, now)
          return AuthError.isAuthError(judged)
            ? Effect.fail(DecisionTelemetry.attribute(judged, claims))
            : Effect.succeed(judged)
        })
      ),
      Effect.catchAllDefect((cause) => new AuthError.ServerError({ cause })),
      DecisionTelemetry.observe(started),
      Effect.withSpan("Authorizer.authorize", {
        captureStackTrace: false,
        attributes: { scheme: credentials.scheme }
      })
    )
  )

/** The span of the server holds the URL as it was sent, and this one was sent with a token in it. */
const redactQuery = (config: AuthConfig): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({ "url.full": config.resource, "url.query": "access_token=<redacted>" })

const unresolved = (error: Tenancy.TenancyError) => new AuthError.ServerError({ retryAfter: 1, cause: error })

/**
 * Authorizes the request at hand.
 *
 * @since 0.1.0
 * @category combinators
 */
export const authorize: Effect.Effect<
  Claims,
  AuthError.AuthError,
  AuthConfig | Authorizer.Authorizer | HttpServerRequest.HttpServerRequest
> = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const config = yield* AuthConfig
  const authorizer = yield* Authorizer.Authorizer
  const tenancy = yield* Tenancy.Tenancy
  const presented = credentials(request, config)
  if (AuthError.isAuthError(presented)) {
    if (hasTokenInQuery(request.url)) yield* redactQuery(config)
    return yield* Effect.fail(presented)
  }
  const issuers = yield* Effect.mapError(Tenancy.authorizationServers(tenancy, config), unresolved)
  const required = yield* Effect.mapError(Tenancy.requiredScopes(tenancy, config), unresolved)
  const claims = yield* decide(authorizer, { ...presented, issuers, config }, config, required)
  yield* DecisionTelemetry.record(claims, claims)
  return claims
})

const encoder = new TextEncoder()

/** The headers that a browser's script may read off a refusal. */
const exposed = "WWW-Authenticate, Mcp-Session-Id, Mcp-Protocol-Version"

const render = (refusal: Challenge.Refusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.uint8Array(encoder.encode(JSON.stringify(refusal.body)), {
    status: refusal.status,
    contentType: "application/json",
    headers: {
      "cache-control": "no-store",
      ...(refusal.wwwAuthenticate === undefined
        ? {}
        : { "www-authenticate": refusal.wwwAuthenticate, "access-control-expose-headers": exposed }),
      ...(refusal.retryAfter === undefined ? {} : { "retry-after": String(refusal.retryAfter) })
    }
  })

/** The answer to a request without credentials holds nothing of the request, so each configuration has one. */
const missingResponses = new WeakMap<AuthConfig, HttpServerResponse.HttpServerResponse>()

const prepared = (error: AuthError.AuthError, config: AuthConfig): HttpServerResponse.HttpServerResponse => {
  if (error._tag !== "Missing") return render(Challenge.respond(error, config))
  const known = missingResponses.get(config)
  if (known !== undefined) return known
  const response = render(Challenge.respond(error, config))
  missingResponses.set(config, response)
  return response
}

/** Most loggers print nothing of an error that is a mere message. */
const causeOf = (error: AuthError.ServerError): Cause.Cause<unknown> =>
  Cause.isCause(error.cause) ? error.cause : Cause.die(error.cause ?? error.message)

const orNull = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | null, never, R> =>
  Effect.orElseSucceed(effect, () => null)

const hints = (
  tenancy: Tenancy.Resolvers,
  config: AuthConfig
): Effect.Effect<Challenge.Hints, never, HttpServerRequest.HttpServerRequest> =>
  Effect.all(
    {
      resourceMetadataUrl: orNull(Tenancy.resourceMetadataUrl(tenancy, config)),
      requiredScopes: orNull(Tenancy.requiredScopes(tenancy, config))
    },
    { concurrency: "unbounded" }
  )

/** Counts, records and logs a refusal; says what the tenancy knows of its challenge, nothing where there is no tenancy. */
const told = (
  error: AuthError.AuthError,
  caller: Claims | undefined
): Effect.Effect<Challenge.Hints | undefined, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const config = yield* AuthConfig
    const tenancy = yield* Tenancy.Tenancy
    yield* DecisionTelemetry.record(error, caller)
    yield* error._tag === "ServerError"
      ? Effect.logWarning("Authorization could not be decided", causeOf(error))
      : Effect.logDebug(`Refused: ${error._tag}`, error.message)
    // No hint is in the answer to an outage, and a resolver may be the very thing that is out of order.
    const hinted = tenancy.resourceMetadataUrl !== undefined || tenancy.requiredScopes !== undefined
    return hinted && error._tag !== "ServerError" ? yield* hints(tenancy, config) : undefined
  })

/**
 * Answers a refusal: counted, recorded, logged (at Debug; a `ServerError` at Warning with its cause) and rendered. A
 * resolver of {@link Tenancy} that fails costs the challenge its own parameter and nothing else. `caller` is who was
 * accepted before a handler refused.
 *
 * @since 0.1.0
 * @category rendering
 */
export const respond = (
  error: AuthError.AuthError,
  caller?: Claims
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  Effect.zipWith(told(error, caller), AuthConfig, (hints, config) =>
    hints === undefined ? prepared(error, config) : render(Challenge.respond(error, config, hints))
  )

/**
 * The same for a refusal that is answered in another form than an HTTP response of its own.
 *
 * @since 0.1.0
 * @category rendering
 */
export const refusal = (
  error: AuthError.AuthError,
  caller?: Claims
): Effect.Effect<Challenge.Refusal, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  Effect.zipWith(told(error, caller), AuthConfig, (hints, config) => Challenge.respond(error, config, hints))
