/**
 * What depends on the request: which issuers, which scopes, which metadata document.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import { isScopeToken } from "../protocol/Scopes.js"
import type { AuthConfig } from "./AuthConfig.js"

/**
 * A value of the request at hand. Its result is checked like a configured one, on every request.
 *
 * @since 0.1.0
 * @category models
 */
export type Resolver<A> = Effect.Effect<A, unknown, HttpServerRequest.HttpServerRequest>

/**
 * What is resolved per request. What is left out is as `AuthConfig` says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolvers {
  /** The issuers whose tokens are accepted for this request, and that its metadata document lists. */
  readonly authorizationServers?: Resolver<string | ReadonlyArray<string>> | undefined
  /** The scopes that this request needs. They are enforced; where they cannot be resolved, nobody gets in. */
  readonly requiredScopes?: Resolver<ReadonlyArray<string>> | undefined
  /** The metadata document that challenges name, for instance with the tenant in its query. */
  readonly resourceMetadataUrl?: Resolver<string> | undefined
}

/**
 * The resolvers of a server; none by default.
 *
 * @since 0.1.0
 * @category references
 * @example
 * ```ts
 * import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
 * import { Tenancy } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const layer = Layer.succeed(Tenancy.Tenancy, {
 *   authorizationServers: Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
 *     request.headers["x-tenant"] === "acme" ? "https://acme.as.example.com" : "https://as.example.com"
 *   )
 * })
 * ```
 */
export class Tenancy extends Context.Reference<Tenancy>()("effect-mcp-auth/server/Tenancy", {
  defaultValue: (): Resolvers => ({})
}) {}

/**
 * A resolver failed, died, took more than five seconds, or gave a value that breaks a rule.
 *
 * @since 0.1.0
 * @category errors
 */
export class TenancyError extends Schema.TaggedError<TenancyError>("effect-mcp-auth/server/TenancyError")(
  "TenancyError",
  {
    resolver: Schema.String,
    detail: Schema.String,
    cause: Schema.optional(Schema.Defect)
  }
) {
  override get message(): string {
    return `${this.resolver}: ${this.detail}`
  }
}

/**
 * A resolver has five seconds and not a moment more, even if it will not be interrupted. Servers run apps uninterruptibly,
 * in which no timeout ends anything, so this part says that it is interruptible.
 */
const run = <A>(
  resolver: string,
  effect: Resolver<A>,
  violation: (value: A) => string | undefined
): Effect.Effect<A, TenancyError, HttpServerRequest.HttpServerRequest> =>
  Effect.disconnect(effect).pipe(
    Effect.timeout("5 seconds"),
    // Where the request itself is interrupted this is passed over: what gets here is a resolver that was, and has failed.
    Effect.catchAllCause((cause) =>
      Effect.fail(new TenancyError({ resolver, detail: "the resolver failed", cause: Cause.squash(cause) }))
    ),
    Effect.flatMap((value) => {
      const broken = violation(value)
      return broken === undefined ? Effect.succeed(value) : new TenancyError({ resolver, detail: broken })
    }),
    Effect.interruptible,
    // As a Cause, because most loggers print nothing of an error that is a mere message.
    Effect.tapError((error) =>
      error.cause === undefined
        ? Effect.logWarning(`Tenancy: ${error.message}`)
        : Effect.logWarning(`Tenancy: ${error.message}`, Cause.fail(error.cause))
    )
  )

const list = (value: string | ReadonlyArray<string>): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : value

/** Types say that these are strings; what comes out of a data base at run time may be anything all the same. */
const firstViolation = (values: ReadonlyArray<unknown>, rule: (value: string) => string | undefined) => {
  if (!Array.isArray(values)) return "must be a list of strings"
  for (const value of values) {
    if (typeof value !== "string") return "must hold nothing but strings"
    const broken = rule(value)
    if (broken !== undefined) return `${GuardedHttp.displayValue(value)} ${broken}`
  }
  return undefined
}

/**
 * The issuers of this request.
 *
 * @since 0.1.0
 * @category combinators
 */
export const authorizationServers = (
  resolvers: Resolvers,
  config: AuthConfig
): Effect.Effect<ReadonlyArray<string>, TenancyError, HttpServerRequest.HttpServerRequest> => {
  if (resolvers.authorizationServers === undefined) return Effect.succeed(config.authorizationServers)
  const options = { allowInsecure: config.allowInsecureAuthorizationServers }
  return run("authorizationServers", Effect.map(resolvers.authorizationServers, list), (issuers) =>
    issuers?.length === 0
      ? "must list at least one issuer"
      : firstViolation(issuers, (issuer) =>
          issuers.indexOf(issuer) === issuers.lastIndexOf(issuer)
            ? ResourceIdentifier.issuerViolation(issuer, options)
            : "is listed twice"
        )
  )
}

/**
 * The scopes that this request needs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const requiredScopes = (
  resolvers: Resolvers,
  config: AuthConfig
): Effect.Effect<ReadonlyArray<string>, TenancyError, HttpServerRequest.HttpServerRequest> =>
  resolvers.requiredScopes === undefined
    ? Effect.succeed(config.requiredScopes)
    : run("requiredScopes", resolvers.requiredScopes, (scopes) =>
        firstViolation(scopes, (scope) => (isScopeToken(scope) ? undefined : "must be one scope-token"))
      )

/**
 * The metadata document that challenges of this request name.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resourceMetadataUrl = (
  resolvers: Resolvers,
  config: AuthConfig
): Effect.Effect<string, TenancyError, HttpServerRequest.HttpServerRequest> =>
  resolvers.resourceMetadataUrl === undefined
    ? Effect.succeed(config.resourceMetadataUrl)
    : run("resourceMetadataUrl", resolvers.resourceMetadataUrl, (url) =>
        firstViolation([url], ResourceIdentifier.violation)
      )
