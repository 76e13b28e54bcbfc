/**
 * The decision whether a token is accepted. Ready-made ones check JWTs or ask the issuer; your own is three lines.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import type { AuthConfig } from "./AuthConfig.js"
import type { AuthError } from "./AuthError.js"
import { InvalidToken, isAuthError, ServerError } from "./AuthError.js"
import { Claims } from "./Claims.js"
import * as TokenDigest from "./TokenDigest.js"

/**
 * Marks what {@link make} made.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("effect-mcp-auth/server/Authorizer")

/**
 * What a request presented. `url` is the configured one of the resource, not what `Host` says; headers are in lower
 * case. `issuers` are those whose tokens count for this request, `config` is that of the resource, of several one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly scheme: "Bearer" | "DPoP"
  readonly token: Redacted.Redacted
  readonly method: string
  readonly url: string
  readonly issuers: ReadonlyArray<string>
  readonly config?: AuthConfig | undefined
  readonly headers: Readonly<Record<string, string | undefined>>
}

/**
 * An authorizer. {@link make} is the only way to one, because it bounds the time and turns defects into `ServerError`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly [TypeId]: typeof TypeId
  readonly authorize: (credentials: Credentials) => Effect.Effect<Claims, AuthError>
}

/**
 * The authorizer that guards ask. Whatever it accepts, the guard still checks audience, expiry, key binding and the
 * required scopes of the configuration.
 *
 * @since 0.1.0
 * @category tags
 */
export class Authorizer extends Context.Tag("effect-mcp-auth/server/Authorizer")<Authorizer, Service>() {}

/**
 * Makes an authorizer of a function. It has `timeout` (10 seconds by default; `Duration.infinity` sets no timer) to
 * decide, after which it counts as out of order; a defect in it is a `ServerError`; interruption stays interruption.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { AuthError, Authorizer, Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * declare const lookUp: (token: string) => Effect.Effect<Claims.Claims | undefined>
 *
 * export const authorizer = Authorizer.make(({ token }) =>
 *   Effect.flatMap(lookUp(Redacted.value(token)), (claims) =>
 *     claims === undefined ? new AuthError.InvalidToken({ reason: "inactive" }) : Effect.succeed(claims)
 *   )
 * )
 * ```
 */
export const make = (
  authorize: (credentials: Credentials) => Effect.Effect<Claims, AuthError>,
  options?: { readonly timeout?: Duration.DurationInput | undefined }
): Service => {
  const timeout = Duration.decode(options?.timeout ?? "10 seconds")
  const contained = (credentials: Credentials) =>
    Effect.suspend(() => authorize(credentials)).pipe(Effect.catchAllCause(containCause))
  return {
    [TypeId]: TypeId,
    authorize: Duration.isFinite(timeout)
      ? (credentials) =>
          // A server runs its app uninterruptibly, and an authorizer may do so itself: a timeout would then wait for what
          // it is there to end.
          Effect.timeoutFail(Effect.interruptible(Effect.disconnect(contained(credentials))), {
            duration: timeout,
            onTimeout: () => new ServerError({ retryAfter: 1, cause: new Error("the authorizer took too long") })
          })
      : (credentials) => Effect.interruptible(contained(credentials))
  }
}

/**
 * Leaves interruption and refusals as they are, and makes a `ServerError` of everything else.
 *
 * @internal
 * @since 0.1.0
 * @category combinators
 */
export const containCause = (cause: Cause.Cause<AuthError>): Effect.Effect<never, AuthError> => {
  if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
  const failure = Cause.failureOption(cause)
  return Exit.fail(
    Option.isSome(failure) && isAuthError(failure.value)
      ? failure.value
      : new ServerError({ cause: Cause.squash(cause) })
  )
}

/**
 * A layer of your own authorizer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  authorize: (credentials: Credentials) => Effect.Effect<Claims, AuthError>,
  options?: { readonly timeout?: Duration.DurationInput | undefined }
): Layer.Layer<Authorizer> => Layer.succeed(Authorizer, make(authorize, options))

/** Of two that did not accept: an outage before all that says "invalid", and what says more before what says less. */
const worse = (first: AuthError, second: AuthError): AuthError =>
  second._tag === "Missing" ||
  (second._tag === "InvalidToken" && first._tag !== "Missing") ||
  (first._tag === "ServerError" && second._tag === "ServerError")
    ? first
    : second

/**
 * Asks `that` where `self` does not accept the token. An outage of one of them is never "invalid": where none accepts and
 * one could not decide, the result is that one's `ServerError`. A token that is good and too narrow is not tried again.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Authorizer } from "effect-mcp-auth/server"
 *
 * declare const jwt: Authorizer.Service
 * declare const introspection: Authorizer.Service
 *
 * export const either = Authorizer.orElse(jwt, introspection)
 * ```
 */
export const orElse: {
  (that: Service): (self: Service) => Service
  (self: Service, that: Service): Service
} = dual(
  2,
  (self: Service, that: Service): Service =>
    unbounded((credentials) =>
      Effect.catchAll(self.authorize(credentials), (first) =>
        first._tag === "InsufficientScope" || first._tag === "InvalidRequest"
          ? Effect.fail(first)
          : Effect.mapError(that.authorize(credentials), (second) => worse(first, second))
      )
    )
)

/**
 * Refuses what an authorizer accepted and a condition does not hold for.
 *
 * @since 0.1.0
 * @category combinators
 */
export const filterOrFail: {
  (predicate: (claims: Claims) => boolean, orFailWith: (claims: Claims) => AuthError): (self: Service) => Service
  (self: Service, predicate: (claims: Claims) => boolean, orFailWith: (claims: Claims) => AuthError): Service
} = dual(
  3,
  (self: Service, predicate: (claims: Claims) => boolean, orFailWith: (claims: Claims) => AuthError): Service =>
    unbounded((credentials) => Effect.filterOrFail(self.authorize(credentials), predicate, orFailWith))
)

const unverifiedIssuer = (token: string): string | undefined => {
  try {
    const { iss } = Jose.decodeJwt(token)
    return typeof iss === "string" ? iss : undefined
  } catch {
    return undefined
  }
}

/**
 * Chooses the authorizer by the issuer that a JWT names; `otherwise` gets opaque tokens and issuers that are not listed,
 * which are refused where it is left out. The choice trusts nothing: the chosen one checks the token.
 *
 * @since 0.1.0
 * @category combinators
 */
export const byIssuer = (issuers: Readonly<Record<string, Service>>, otherwise?: Service): Service =>
  unbounded((credentials) => {
    const issuer = unverifiedIssuer(Redacted.value(credentials.token))
    const chosen = issuer !== undefined && Object.hasOwn(issuers, issuer) ? issuers[issuer] : otherwise
    return chosen === undefined
      ? new InvalidToken({ reason: "issuer", detail: "no authorizer for the issuer of the token" })
      : chosen.authorize(credentials)
  })

/** For what is made of authorizers that bound their own time. */
const unbounded = (authorize: Service["authorize"]): Service => make(authorize, { timeout: Duration.infinity })

/**
 * What is said of a token that is simply known: everything that is left out is filled in, `audience` with the resource
 * that is asked, `issuer` with `urn:effect-mcp-auth:static`.
 *
 * @since 0.1.0
 * @category models
 */
export interface KnownClaims {
  readonly subject?: string | undefined
  readonly issuer?: string | undefined
  readonly clientId?: string | undefined
  readonly audience?: ReadonlyArray<string> | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly expiresAt?: number | undefined
  readonly raw?: Readonly<Record<string, unknown>> | undefined
}

const toClaims = (known: KnownClaims, credentials: Credentials, subject: string): Claims =>
  new Claims({
    issuer: known.issuer ?? "urn:effect-mcp-auth:static",
    subject: known.subject ?? subject,
    clientId: known.clientId,
    audience: known.audience ?? [credentials.url],
    scopes: known.scopes ?? [],
    expiresAt: known.expiresAt,
    raw: Redacted.make({ ...known.raw })
  })

const unknown = new InvalidToken({ reason: "inactive", detail: "the token is not one of those known" })

/**
 * An authorizer for a few fixed tokens, such as API keys of services. Tokens are kept and compared as SHA-256 digests. Each
 * needs a subject and the scopes that it grants.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStatic = (
  tokens: ReadonlyArray<{
    readonly token: Redacted.Redacted
    readonly claims: KnownClaims & { readonly subject: string; readonly scopes: ReadonlyArray<string> }
  }>
): Layer.Layer<Authorizer> =>
  Layer.sync(Authorizer, () => {
    const byDigest = new Map(tokens.map(({ claims, token }) => [TokenDigest.of(Redacted.value(token)), claims]))
    return make((credentials) => {
      const claims = byDigest.get(TokenDigest.of(Redacted.value(credentials.token)))
      return claims === undefined ? unknown : Effect.succeed(toClaims(claims, credentials, claims.subject))
    })
  })

/**
 * An authorizer for tests: it knows exactly the tokens listed, each with its claims or with the refusal it is to meet. The
 * token itself is the subject where none is given.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { Authorizer } from "effect-mcp-auth/server"
 *
 * export const layer = Authorizer.layerTest({
 *   alice: { subject: "alice", scopes: ["mcp:tools", "admin"] },
 *   bob: { subject: "bob", scopes: ["mcp:tools"] }
 * })
 * ```
 */
export const layerTest = (tokens: Readonly<Record<string, KnownClaims | AuthError>>): Layer.Layer<Authorizer> =>
  layer((credentials) => {
    const token = Redacted.value(credentials.token)
    const known = Object.hasOwn(tokens, token) ? tokens[token] : undefined
    if (known === undefined) return Effect.fail(unknown)
    return isAuthError(known) ? Effect.fail(known) : Effect.succeed(toClaims(known, credentials, token))
  })
