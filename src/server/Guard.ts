/**
 * The gate that every server adapter shares: from a request to claims or a refusal, and from a refusal to a response.
 *
 * @since 0.1.0
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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
  if (raw === undefined) {
    const header = request.headers["authorization"] ?? ""
    return header.includes(",") && /,\s*(?:basic|bearer|dpop)\s/i.test(header)
  }
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

const foreign = new AuthError.InvalidToken({ reason: "audience", detail: "the audience is not this resource" })
const expired = new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" })
const bound = new AuthError.InvalidToken({
  reason: "binding",
  detail: "the token is bound to a key and came as Bearer"
})

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
  if (!Audience.accepts(config, claims.audience)) return foreign
  if (claims.expiresAt !== undefined && !(nowMillis < (claims.expiresAt + MAX_TOLERANCE_SECONDS) * 1000)) return expired
  if (claims.confirmation !== undefined && scheme === "Bearer") return bound
  const scopes = withImplied(claims.scopes, config.impliedScopes)
  if (Scopes.missing(requiredScopes, scopes).length > 0) {
    return new AuthError.InsufficientScope({ required: requiredScopes })
  }
  return scopes === claims.scopes ? claims : new Claims({ ...claims, scopes }, { disableValidation: true })
}

/** The span of the server holds the URL as it was sent, and this one was sent with a token in it. */
const redactQuery = (config: AuthConfig): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({ "url.full": config.resource, "url.query": "access_token=<redacted>" })

const unresolved = (error: Tenancy.TenancyError) => new AuthError.ServerError({ retryAfter: 1, cause: error })

/** A failure without the span that `Effect.fail` wraps around it: every property of it would be read through a proxy. */
const refused = (error: AuthError.AuthError): Effect.Effect<never, AuthError.AuthError> => Exit.fail(error)

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
> = Effect.contextWithEffect((context) => {
  const request = Context.get(context, HttpServerRequest.HttpServerRequest)
  const config = Context.get(context, AuthConfig)
  const tenancy = Context.get(context, Tenancy.Tenancy)
  const presented = credentials(request, config)
  if (AuthError.isAuthError(presented)) {
    return hasTokenInQuery(request.url) ? Effect.zipRight(redactQuery(config), refused(presented)) : refused(presented)
  }
  const decide = (issuers: ReadonlyArray<string>, required: ReadonlyArray<string>) => {
    const asked = Context.get(context, Authorizer.Authorizer).authorize({ ...presented, issuers, config })
    const judged = Effect.flatMap(asked, (claims) =>
      Effect.clockWith((clock) => {
        const verdict = judge(claims, config, required, presented.scheme, clock.unsafeCurrentTimeMillis())
        if (!AuthError.isAuthError(verdict)) return Exit.succeed(verdict)
        DecisionTelemetry.attribute(request, claims)
        return refused(verdict)
      })
    )
    return Effect.tap(
      DecisionTelemetry.observe(presented.scheme, Effect.catchAllCause(judged, Authorizer.containCause)),
      (claims) => DecisionTelemetry.record(claims, claims)
    )
  }
  if (tenancy.authorizationServers === undefined && tenancy.requiredScopes === undefined) {
    return decide(config.authorizationServers, config.requiredScopes)
  }
  return Effect.flatMap(Effect.mapError(Tenancy.authorizationServers(tenancy, config), unresolved), (issuers) =>
    Effect.flatMap(Effect.mapError(Tenancy.requiredScopes(tenancy, config), unresolved), (required) =>
      decide(issuers, required)
    )
  )
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

/** What holds nothing of a request is rendered once: each configuration has one answer to a refusal that is made once. */
const answers = new WeakMap<AuthConfig, WeakMap<AuthError.AuthError, HttpServerResponse.HttpServerResponse>>()

const prepared = (error: AuthError.AuthError, config: AuthConfig): HttpServerResponse.HttpServerResponse => {
  const byError = answers.get(config) ?? new WeakMap<AuthError.AuthError, HttpServerResponse.HttpServerResponse>()
  const known = byError.get(error)
  if (known !== undefined) return known
  const response = render(Challenge.respond(error, config))
  answers.set(config, byError.set(error, response))
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

/** Counts, records and logs a refusal; gives what its challenge says beyond the configuration, nothing where that is all. */
const told = (
  error: AuthError.AuthError,
  caller: Claims | undefined
): Effect.Effect<Challenge.Hints | undefined, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  Effect.contextWithEffect((context: Context.Context<AuthConfig | HttpServerRequest.HttpServerRequest>) => {
    const config = Context.get(context, AuthConfig)
    const tenancy = Context.get(context, Tenancy.Tenancy)
    const who = caller ?? DecisionTelemetry.callerOf(Context.get(context, HttpServerRequest.HttpServerRequest))
    const recorded = Effect.zipRight(
      DecisionTelemetry.record(error, who),
      error._tag === "ServerError"
        ? Effect.logWarning("Authorization could not be decided", causeOf(error))
        : Effect.logDebug(`Refused: ${error._tag}`, error.message)
    )
    const repeats = config.repeatGrantedScopes === true && error._tag === "InsufficientScope"
    const hinted = tenancy.resourceMetadataUrl !== undefined || tenancy.requiredScopes !== undefined
    // No hint is in the answer to an outage, and a resolver may be the very thing that is out of order.
    if (error._tag === "ServerError" || !(hinted || repeats)) return Effect.as(recorded, undefined)
    return Effect.map(Effect.zipRight(recorded, hints(tenancy, config)), (resolved) => ({
      ...resolved,
      grantedScopes: repeats ? who?.scopes : undefined
    }))
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
