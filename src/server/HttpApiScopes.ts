/**
 * Scopes as middlewares of an `HttpApi`: declared on an endpoint, a group or an api, for the guard to judge.
 *
 * @since 0.1.0
 */
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Scopes from "../protocol/Scopes.js"

/**
 * What the endpoint at hand needs, as far as the middlewares around have said.
 *
 * @since 0.1.0
 * @category references
 */
export class Required extends Context.Reference<Required>()("effect-mcp-auth/server/HttpApiScopes/Required", {
  defaultValue: (): ReadonlyArray<string> => []
}) {}

/**
 * A middleware that adds to {@link Required}. Of the middlewares of a group and its endpoint the last runs first, so it has
 * to come after the guard. It is a reference with itself as the default: no layer has to provide it.
 *
 * @since 0.1.0
 * @category middleware
 */
export const needs = (scopes: ReadonlyArray<string>) =>
  Object.assign(
    Context.Reference<never>()(`${Required.key}(${Scopes.render(scopes)})`, {
      defaultValue: () => Effect.map(Required, (outer) => Scopes.union(outer, scopes))
    }),
    {
      [HttpApiMiddleware.TypeId]: HttpApiMiddleware.TypeId,
      optional: false,
      failure: Schema.Never,
      provides: Required,
      scopes
    } as const
  )

/**
 * The scopes that these middlewares ask for, all of them.
 *
 * @since 0.1.0
 * @category destructors
 */
export const of = (middlewares: ReadonlyArray<HttpApiMiddleware.TagClassAny>): ReadonlyArray<string> =>
  Scopes.union(
    ...middlewares.map((tag) =>
      tag.provides === Required && "scopes" in tag ? (tag.scopes as ReadonlyArray<string>) : []
    )
  )
