/**
 * The guard as a middleware of an `HttpApi`.
 *
 * @since 0.1.0
 */
import * as HttpApi from "@effect/platform/HttpApi"
import type * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { AuthConfig } from "./AuthConfig.js"
import { type AuthError, InsufficientScope } from "./AuthError.js"
import type { Authorizer } from "./Authorizer.js"
import { type Claims, CurrentClaims, OptionalClaims } from "./Claims.js"
import * as Gate from "./Gate.js"
import * as HttpApiRefusal from "./HttpApiRefusal.js"
import * as HttpApiScopes from "./HttpApiScopes.js"

const bearer = HttpApiSecurity.bearer.pipe(
  HttpApiSecurity.annotate(
    OpenApi.Description,
    "An OAuth 2.1 access token of this resource, in the Authorization header (RFC 6750). The challenge of a 401 names the document that says where to get one (RFC 9728)."
  )
)

/**
 * The guard of an endpoint, a group or a whole api: handlers read `CurrentClaims`, and fail with refusals as they like. On
 * the api it also refuses unknown paths. Responses are those of `HttpAppAuth`, to the letter; clients of the api get the
 * refusal as a typed error.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpApi from "@effect/platform/HttpApi"
 * import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
 * import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
 * import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
 * import { Claims, HttpApiAuth } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schema from "effect/Schema"
 *
 * class Files extends HttpApiGroup.make("files")
 *   .add(HttpApiEndpoint.get("list", "/files").addSuccess(Schema.String))
 *   .add(HttpApiEndpoint.del("clear", "/files").pipe(HttpApiAuth.requireScopes("files:write")))
 *   .middleware(HttpApiAuth.Authorization) {}
 *
 * class Api extends HttpApi.make("api").add(Files) {}
 *
 * const files = HttpApiBuilder.group(Api, "files", (handlers) =>
 *   handlers
 *     .handle("list", () => Effect.map(Claims.CurrentClaims, ({ subject }) => `the files of ${subject}`))
 *     .handle("clear", () => Effect.void)
 * )
 *
 * export const api = HttpApiBuilder.api(Api).pipe(Layer.provide(files), Layer.provide(HttpApiAuth.layer))
 * ```
 */
export class Authorization extends HttpApiMiddleware.Tag<Authorization>()(
  "effect-mcp-auth/server/HttpApiAuth/Authorization",
  { provides: CurrentClaims, failure: HttpApiRefusal.schema, security: { bearer } }
) {}

/**
 * The guard of what serves everybody and knows some: handlers read `OptionalClaims`. Only a request without any
 * credentials is anonymous; a token that is not accepted is refused.
 *
 * @since 0.1.0
 * @category middleware
 */
export class OptionalAuthorization extends HttpApiMiddleware.Tag<OptionalAuthorization>()(
  "effect-mcp-auth/server/HttpApiAuth/OptionalAuthorization",
  { provides: OptionalClaims, failure: HttpApiRefusal.schema, security: { bearer } }
) {}

/**
 * A request goes through it once for each level of an api that is guarded. Who is calling is found out once, the scopes are
 * judged each time. What is refused is answered here and now: it is on record, and nothing that catches the failure on its
 * way out takes the challenge away.
 */
const entrance = Effect.map(Gate.services, (services) => {
  const from = Gate.from(services)
  const accepted = new WeakMap<object, Claims>()
  return <I, S>({ authorize, caller, claims }: Gate.Gate<I, S>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const source = request.source as object
      const answer = (error: AuthError, who?: Claims) =>
        Effect.provideService(from(Gate.refuse(error, who)), HttpServerRequest.HttpServerRequest, request)
      const refused = (error: AuthError, who?: Claims) => {
        HttpApiRefusal.answerWith(source, undefined)
        return Effect.zipRight(Effect.flatMap(answer(error, who), HttpApiRefusal.send), Effect.fail(error))
      }
      const known = accepted.get(source)
      const admitted =
        known === undefined ? yield* Effect.catchAll(from(authorize), (error) => refused(error)) : caller(known)
      const who = claims(admitted)
      if (who !== undefined) accepted.set(source, who)
      const required = yield* HttpApiScopes.Required
      if (who !== undefined && !who.hasScopes(required)) {
        return yield* refused(new InsufficientScope({ required }), who)
      }
      HttpApiRefusal.answerWith(source, (error) => answer(error, who))
      return admitted
    })
})

/**
 * The guard that the middlewares of an api ask. What it needs is taken from here and not from the context of a request.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Authorization | OptionalAuthorization, never, AuthConfig | Authorizer> = Layer.fresh(
  Layer.effectContext(
    Effect.map(entrance, (enter) => {
      const [required, optional] = [enter(Gate.required), enter(Gate.optional)]
      return Context.make(Authorization, { bearer: () => required }).pipe(
        Context.add(OptionalAuthorization, { bearer: () => optional })
      )
    })
  )
)

/**
 * What {@link requireScopes} makes of an endpoint, a group or an api: the same, behind {@link Authorization}.
 *
 * @since 0.1.0
 * @category models
 */
export type Guarded<A> =
  A extends HttpApiEndpoint.HttpApiEndpoint<
    infer Name,
    infer Method,
    infer Path,
    infer UrlParams,
    infer Payload,
    infer Headers,
    infer Success,
    infer E,
    infer R,
    infer RE
  >
    ? HttpApiEndpoint.HttpApiEndpoint<
        Name,
        Method,
        Path,
        UrlParams,
        Payload,
        Headers,
        Success,
        E | AuthError,
        R | Authorization,
        RE
      >
    : A extends HttpApiGroup.HttpApiGroup<infer Id, infer Endpoints, infer E, infer R, infer TopLevel>
      ? HttpApiGroup.HttpApiGroup<Id, Endpoints, E | AuthError, R | Authorization, TopLevel>
      : A extends HttpApi.HttpApi<infer Id, infer Groups, infer E, infer R>
        ? HttpApi.HttpApi<Id, Groups, E | AuthError, R | Authorization>
        : never

type Any = HttpApiEndpoint.HttpApiEndpoint.Any | HttpApiGroup.HttpApiGroup.Any | HttpApi.HttpApi.Any

interface WithMiddleware {
  readonly middleware: (tag: unknown) => WithMiddleware
}

/**
 * Guards an endpoint, a group or a whole api, and asks for scopes, all of them besides those of the levels around: 403 with
 * a challenge that names exactly these, before the handler runs. It brings {@link Authorization} along, so that scopes are
 * never asked for without a guard.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
 * import { HttpApiAuth } from "effect-mcp-auth/server"
 *
 * export const clear = HttpApiEndpoint.del("clear", "/files").pipe(HttpApiAuth.requireScopes("files:write"))
 * ```
 */
export const requireScopes =
  (...scopes: readonly [string, ...Array<string>]) =>
  <A extends Any>(self: A): Guarded<A> =>
    // Each of the three has this method, with a type of its own. The order counts, see HttpApiScopes.
    (self as unknown as WithMiddleware).middleware(Authorization).middleware(HttpApiScopes.needs(scopes)) as Guarded<A>

/** What an operation asks for, as OpenAPI has it: a list of alternatives. */
const securityOf = (
  middlewares: ReadonlyArray<HttpApiMiddleware.TagClassAny>
): ReadonlyArray<OpenApi.OpenAPISecurityRequirement> | undefined => {
  const has = ({ key }: { readonly key: string }) => middlewares.some((tag) => tag.key === key)
  if (has(Authorization)) return [{ bearer: [...HttpApiScopes.of(middlewares)] }]
  return has(OptionalAuthorization) ? [{}, { bearer: [] }] : undefined
}

const header = (description: string) => ({ description, schema: { type: "string" } })

const noStore = { "Cache-Control": header("no-store") }
const challenge = { ...noStore, "WWW-Authenticate": header("The challenge (RFC 6750 section 3, RFC 9728 section 5.1)") }

const headersOf: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  400: challenge,
  401: challenge,
  403: challenge,
  500: noStore,
  503: { ...noStore, "Retry-After": header("The seconds to wait") }
}

/**
 * Adds to the OpenAPI document of an api what its schemas cannot say: the scopes of each operation that {@link
 * requireScopes} asks for, and the headers of refusals. It comes last, when everything has been added to the api.
 *
 * @since 0.1.0
 * @category documentation
 * @example
 * ```ts
 * import * as HttpApi from "@effect/platform/HttpApi"
 * import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
 * import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
 * import * as OpenApi from "@effect/platform/OpenApi"
 * import { HttpApiAuth } from "effect-mcp-auth/server"
 *
 * const clear = HttpApiEndpoint.del("clear", "/files").pipe(HttpApiAuth.requireScopes("files:write"))
 *
 * class Api extends HttpApi.make("api")
 *   .add(HttpApiGroup.make("files").add(clear))
 *   .pipe(HttpApiAuth.documented) {}
 *
 * console.log(OpenApi.fromApi(Api).paths["/files"]?.delete?.security) // [{ bearer: ["files:write"] }]
 * ```
 */
export const documented = <Id extends string, Groups extends HttpApiGroup.HttpApiGroup.Any, E, R>(
  api: HttpApi.HttpApi<Id, Groups, E, R>
): HttpApi.HttpApi<Id, Groups, E, R> => {
  const before = Context.getOption(api.annotations, OpenApi.Transform)
  return api.annotate(OpenApi.Transform, (spec) => {
    const transformed = Option.isSome(before) ? before.value(spec) : spec
    const paths = transformed["paths"] as OpenApi.OpenAPISpecPaths
    HttpApi.reflect(api, {
      onGroup() {},
      onEndpoint({ endpoint, middleware }) {
        const path = paths[endpoint.path.replace(/:(\w+)\??/g, "{$1}")]
        const operation = path?.[endpoint.method.toLowerCase() as OpenApi.OpenAPISpecMethodName]
        const security = securityOf([...api.middlewares, ...middleware])
        if (operation === undefined || security === undefined) return
        operation.security = [...security]
        for (const [status, headers] of Object.entries(headersOf))
          Object.assign(operation.responses[Number(status)] ?? {}, { headers })
      }
    })
    return transformed
  })
}
