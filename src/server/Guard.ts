/**
 * The gate that every server adapter shares: from a request to claims or a refusal, and from a refusal to a response.
 *
 * @since 0.1.0
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as Redacted from "effect/Redacted"
import * as BearerCredentials from "../protocol/BearerCredentials.js"
import * as Scopes from "../protocol/Scopes.js"
import * as Audience from "./Audience.js"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import * as Authorizer from "./Authorizer.js"
import * as Challenge from "./Challenge.js"
import { Claims } from "./Claims.js"

/** Node keeps the first of several `Authorization` headers and drops the rest; only its own view of them still tells. */
const authorizationIsRepeated = (request: HttpServerRequest.HttpServerRequest): boolean => {
  const distinct = (request.source as { readonly headersDistinct?: Record<string, ReadonlyArray<string> | undefined> })
    .headersDistinct
  return (distinct?.["authorization"]?.length ?? 1) > 1
}

const hasTokenInQuery = (url: string): boolean => {
  const query = url.indexOf("?")
  return (
    query !== -1 && url.includes("access_token", query) && new URLSearchParams(url.slice(query)).has("access_token")
  )
}

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
): Effect.Effect<Authorizer.Credentials, AuthError.Missing | AuthError.InvalidRequest> => {
  if (hasTokenInQuery(request.url)) {
    return new AuthError.InvalidRequest({ description: "access_token must not be sent in the query; use the header" })
  }
  if (authorizationIsRepeated(request)) {
    return new AuthError.InvalidRequest({ description: "the Authorization header must not be repeated" })
  }
  const parsed = BearerCredentials.parse(request.headers["authorization"])
  switch (parsed._tag) {
    case "Missing":
      return Effect.fail(AuthError.missing)
    case "Malformed":
      return new AuthError.InvalidRequest({ description: parsed.rule })
    case "Credentials":
      return parsed.scheme === "DPoP"
        ? Effect.fail(AuthError.missing)
        : Effect.succeed({
            scheme: parsed.scheme,
            token: Redacted.make(parsed.token),
            method: request.method,
            url: config.resource,
            headers: request.headers
          })
  }
}

/** Scopes together with all that they imply, however long the chain. */
const withImplied = (scopes: ReadonlyArray<string>, implied: AuthConfig["impliedScopes"]): ReadonlyArray<string> => {
  if (implied === undefined) return scopes
  const all = new Set(scopes)
  for (const scope of all) for (const narrower of implied[scope] ?? []) all.add(narrower)
  return Array.from(all)
}

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
  scheme: Authorizer.Credentials["scheme"],
  nowMillis: number
): Claims | AuthError.AuthError => {
  if (!Audience.accepts(config, claims.audience)) {
    return new AuthError.InvalidToken({ reason: "audience", detail: "the audience is not this resource" })
  }
  if (claims.expiresAt !== undefined && nowMillis >= (claims.expiresAt + 300) * 1000) {
    return new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" })
  }
  if (claims.confirmation !== undefined && scheme === "Bearer") {
    return new AuthError.InvalidToken({ reason: "binding", detail: "the token is bound to a key and came as Bearer" })
  }
  const scopes = withImplied(claims.scopes, config.impliedScopes)
  if (Scopes.missing(config.requiredScopes, scopes).length > 0) {
    return new AuthError.InsufficientScope({ required: config.requiredScopes })
  }
  return scopes === claims.scopes ? claims : new Claims({ ...claims, scopes }, { disableValidation: true })
}

const decisions = Metric.counter("mcp_auth_decisions", { incremental: true, description: "Decisions by outcome" })
const outcomes = new Map(
  ["Accepted", "Missing", "InvalidToken", "InsufficientScope", "InvalidRequest", "ServerError"].map(
    (outcome) => [outcome, Metric.tagged(decisions, "outcome", outcome)] as const
  )
)
const duration = Metric.histogram(
  "mcp_auth_authorize_ms",
  MetricBoundaries.exponential({ start: 0.05, factor: 2, count: 18 }),
  "Time to a decision, in milliseconds"
)

const count = (outcome: string): Effect.Effect<void> => {
  const metric = outcomes.get(outcome)
  return metric === undefined ? Effect.void : Metric.increment(metric)
}

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
  const presented = yield* credentials(request, config)
  const started = yield* Clock.currentTimeMillis
  const claims = yield* authorizer
    .authorize(presented)
    .pipe(
      Effect.withSpan("Authorizer.authorize", { captureStackTrace: false, attributes: { scheme: presented.scheme } })
    )
  const now = yield* Clock.currentTimeMillis
  yield* Metric.update(duration, now - started)
  const judged = judge(claims, config, presented.scheme, now)
  if (AuthError.isAuthError(judged)) return yield* Effect.fail(judged)
  yield* count("Accepted")
  return judged
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

const toResponse = (error: AuthError.AuthError, config: AuthConfig): HttpServerResponse.HttpServerResponse => {
  if (error._tag !== "Missing") return render(Challenge.respond(error, config))
  const prepared = missingResponses.get(config)
  if (prepared !== undefined) return prepared
  const response = render(Challenge.respond(error, config))
  missingResponses.set(config, response)
  return response
}

/**
 * Answers a refusal: counted, logged (at Debug; a `ServerError` at Warning with its cause) and rendered.
 *
 * @since 0.1.0
 * @category rendering
 */
export const respond = (
  error: AuthError.AuthError
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, AuthConfig> =>
  Effect.gen(function* () {
    const config = yield* AuthConfig
    yield* count(error._tag)
    yield* error._tag === "ServerError"
      ? Effect.logWarning("Authorization could not be decided", error.cause ?? error.message)
      : Effect.logDebug(`Refused: ${error._tag}`, error.message)
    return toResponse(error, config)
  })
