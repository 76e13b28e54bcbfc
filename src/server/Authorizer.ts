/**
 * The decision whether a token is accepted. Ready-made ones check JWTs or ask the issuer; your own is three lines.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { AuthError } from "./AuthError.js"
import { InvalidToken, isAuthError, ServerError } from "./AuthError.js"
import { Claims } from "./Claims.js"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: unique symbol = Symbol.for("effect-mcp-auth/server/Authorizer")

/**
 * What a request presented. `url` is the configured one of the resource, not what `Host` says; headers are in lower
 * case.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly scheme: "Bearer" | "DPoP"
  readonly token: Redacted.Redacted
  readonly method: string
  readonly url: string
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
    Effect.catchAllCause(
      Effect.suspend(() => authorize(credentials)),
      containCause
    )
  return {
    [TypeId]: TypeId,
    authorize: Duration.isFinite(timeout)
      ? (credentials) =>
          Effect.timeoutFail(contained(credentials), {
            duration: timeout,
            onTimeout: () => new ServerError({ retryAfter: 1, cause: new Error("the authorizer took too long") })
          })
      : contained
  }
}

const containCause = (cause: Cause.Cause<AuthError>): Effect.Effect<never, AuthError> => {
  if (Cause.isInterrupted(cause)) return Effect.failCause(cause)
  const failure = Cause.failureOption(cause)
  return Option.isSome(failure) && isAuthError(failure.value)
    ? Effect.fail(failure.value)
    : Effect.fail(new ServerError({ cause: Cause.squash(cause) }))
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

/**
 * What a test says of a token: everything that is left out is filled in, `audience` with the resource that is asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestClaims {
  readonly subject?: string | undefined
  readonly issuer?: string | undefined
  readonly clientId?: string | undefined
  readonly audience?: ReadonlyArray<string> | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly expiresAt?: number | undefined
  readonly raw?: Readonly<Record<string, unknown>> | undefined
}

/**
 * An authorizer for tests: it knows exactly the tokens listed, each with its claims or with the refusal it is to meet.
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
export const layerTest = (tokens: Readonly<Record<string, TestClaims | AuthError>>): Layer.Layer<Authorizer> =>
  layer((credentials) => {
    const token = Redacted.value(credentials.token)
    const known = Object.hasOwn(tokens, token) ? tokens[token] : undefined
    if (known === undefined) return new InvalidToken({ reason: "inactive", detail: "not a token of this test" })
    if (isAuthError(known)) return Effect.fail(known)
    return Effect.succeed(
      new Claims({
        issuer: known.issuer ?? "https://issuer.test",
        subject: known.subject ?? token,
        clientId: known.clientId,
        audience: known.audience ?? [credentials.url],
        scopes: known.scopes ?? [],
        expiresAt: known.expiresAt,
        raw: Redacted.make({ ...known.raw })
      })
    )
  })
