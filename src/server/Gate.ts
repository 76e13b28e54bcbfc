/**
 * What the adapters build of the guard: an app that is reached only with its caller, and every other request answered.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { AuthConfig } from "./AuthConfig.js"
import * as AuthError from "./AuthError.js"
import { Authorizer } from "./Authorizer.js"
import { type Claims, CurrentClaims, OptionalClaims } from "./Claims.js"
import { DecisionLog } from "./Decision.js"
import * as Guard from "./Guard.js"
import { Tenancy } from "./Tenancy.js"

/** What a decision and its answer need of the server. */
type Services = AuthConfig | Authorizer

/** A browser that asks whether its script may send the request. It never carries a token (Fetch, CORS-preflight fetch). */
const isPreflight = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.method === "OPTIONS" &&
  request.headers["origin"] !== undefined &&
  request.headers["access-control-request-method"] !== undefined

/**
 * Says yes to the question, and nothing of what is allowed: that is for a CORS middleware or a proxy around the guard to
 * add. The app is not reached.
 */
const preflight = HttpServerResponse.empty({ status: 204 })

/**
 * Answers a request that the guard does not let in. `caller` is who was accepted before a handler refused.
 *
 * @since 0.1.0
 * @category rendering
 */
export const refuse = (
  error: AuthError.AuthError,
  caller?: Claims
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, AuthConfig | HttpServerRequest.HttpServerRequest> =>
  error._tag !== "Missing" || caller !== undefined
    ? Guard.respond(error, caller)
    : Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        isPreflight(request) ? Effect.succeed(preflight) : Guard.respond(error)
      )

type Asking = Services | HttpServerRequest.HttpServerRequest

/** What a decision depends on: the request, whatever a router made of its path since, and the services that decide. */
const groundsOf = (context: Context.Context<Asking>) => {
  const { headers, source } = Context.get(context, HttpServerRequest.HttpServerRequest)
  return [
    source,
    headers,
    Context.get(context, AuthConfig),
    Context.get(context, Authorizer),
    Context.get(context, Tenancy),
    Context.get(context, DecisionLog)
  ]
}

/** Whom the guard around has let in, and what it knew then. */
class Before extends Context.Reference<Before>()("effect-mcp-auth/server/Gate/Before", {
  defaultValue: (): { readonly claims: Claims; readonly context: Context.Context<Asking> } | undefined => undefined
}) {}

/** A guard inside of another that would decide on the same grounds takes its word: one question, one decision on record. */
const authorize: Effect.Effect<Claims, AuthError.AuthError, Asking> = Effect.contextWithEffect(
  (context: Context.Context<Asking>) => {
    const before = Context.get(context, Before)
    if (before === undefined) return Guard.authorize
    const grounds = groundsOf(before.context)
    return groundsOf(context).every((ground, index) => ground === grounds[index])
      ? Exit.succeed(before.claims)
      : Guard.authorize
  }
)

/**
 * Who may come in, and as what: `I` is what handlers ask for, `S` what stands for a caller with these claims.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gate<I, S> {
  readonly tag: Context.Tag<I, S>
  readonly authorize: Effect.Effect<S, AuthError.AuthError, Asking>
  readonly caller: (claims: Claims) => S
  readonly claims: (caller: S) => Claims | undefined
}

/**
 * For callers with an accepted token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const required: Gate<CurrentClaims, Claims> = {
  tag: CurrentClaims,
  authorize,
  caller: identity,
  claims: identity
}

/**
 * For them, and for requests without any credentials. Credentials that are not accepted are refused, and so are those
 * that are none, such as a blank token: whoever sends them does not mean to be anonymous.
 *
 * @since 0.1.0
 * @category constructors
 */
export const optional: Gate<OptionalClaims, Option.Option<Claims>> = {
  tag: OptionalClaims,
  authorize: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    request.headers["authorization"] === undefined
      ? Effect.catchTag(Effect.asSome(authorize), "Missing", () => Effect.succeedNone)
      : Effect.asSome(authorize)
  ),
  caller: Option.some,
  claims: Option.getOrUndefined
}

/**
 * Where the services of the guard come from. They are provided to the guard and to nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export type Source<R> = <A, E>(
  effect: Effect.Effect<A, E, Asking>
) => Effect.Effect<A, E, R | HttpServerRequest.HttpServerRequest>

/**
 * They are in the context of the request.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromRequest: Source<Services> = (effect) => effect

/**
 * The services as they are here. What the context of a request holds does not replace them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const services: Effect.Effect<Context.Context<Services>, never, Services> = Effect.gen(function* () {
  const config = yield* AuthConfig
  const authorizer = yield* Authorizer
  const tenancy = yield* Tenancy
  const log = yield* DecisionLog
  return Context.make(AuthConfig, config).pipe(
    Context.add(Authorizer, authorizer),
    Context.add(Tenancy, tenancy),
    Context.add(DecisionLog, log)
  )
})

/**
 * They are given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from =
  (services: Context.Context<Services>): Source<never> =>
  (effect) =>
    Effect.provide(effect, services)

/**
 * Puts a gate in front of an app.
 *
 * @since 0.1.0
 * @category combinators
 */
export const guard = <I, S, RS>({ authorize, claims, tag }: Gate<I, S>, source: Source<RS>) => {
  const admit = source(
    Effect.contextWithEffect((context: Context.Context<Asking>) =>
      Effect.map(authorize, (caller) => {
        const known = claims(caller)
        return { caller, before: known && { claims: known, context } }
      })
    )
  )
  return <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<Exclude<E, AuthError.AuthError>, Exclude<R, I> | RS> =>
    Effect.matchEffect(admit, {
      onFailure: (error) => source(refuse(error)),
      onSuccess: ({ before, caller }) =>
        Effect.catchAll(Effect.provideService(Effect.provideService(app, tag, caller), Before, before), (error) =>
          AuthError.isAuthError(error)
            ? source(refuse(error, claims(caller)))
            : Effect.fail(error as Exclude<E, AuthError.AuthError>)
        )
    })
}

/**
 * Answers requests for which an app has no route as the guard answers those for which it has one, so that the routes do
 * not show. A caller with an accepted token learns that there is none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const guardUnknown =
  <RS>(source: Source<RS>) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R | RS> =>
    Effect.catchAll(app, (error) =>
      Predicate.isTagged(error, "RouteNotFound")
        ? Effect.matchEffect(source(authorize), {
            onFailure: (refusal) => source(refuse(refusal)),
            onSuccess: () => Effect.fail(error)
          })
        : Effect.fail(error)
    )
