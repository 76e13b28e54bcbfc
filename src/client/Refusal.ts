/**
 * The answers of a resource server that another token may change, and only those.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Scopes from "../protocol/Scopes.js"
import * as WwwAuthenticate from "../protocol/WwwAuthenticate.js"

/**
 * A request that was refused. `url` is the request's, `renewals` how many tokens this very request has been given since
 * its first refusal: with it a loop is seen where it begins.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  readonly status: 401 | 403
  readonly challenge: Option.Option<WwwAuthenticate.Challenge>
  readonly url: string
  readonly renewals?: number | undefined
}

/** Of several challenges the Bearer one; failing that, one that says where the metadata is (RFC 9728 §5.1). */
const choose = (challenges: ReadonlyArray<WwwAuthenticate.Challenge>): WwwAuthenticate.Challenge | undefined =>
  challenges.find((challenge) => WwwAuthenticate.hasScheme(challenge, "Bearer")) ??
  challenges.find((challenge) => challenge.parameters["resource_metadata"] !== undefined)

/**
 * What an answer is: a refusal if it is a 401, whatever it carries, or a 403 whose Bearer challenge says
 * `insufficient_scope` (RFC 6750 §3.1). Any other answer is none of our business.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Refusal } from "effect-mcp-auth/client"
 * import * as Option from "effect/Option"
 *
 * const url = "https://mcp.example.com/mcp"
 * console.log(Option.isSome(Refusal.fromResponse({ status: 401, url }))) // true
 * console.log(Option.isSome(Refusal.fromResponse({ status: 403, url }))) // false
 * ```
 */
export const fromResponse = (response: {
  readonly status: number
  readonly wwwAuthenticate?: string | undefined
  readonly url: string
}): Option.Option<Refusal> => {
  const { status, url, wwwAuthenticate } = response
  if (status !== 401 && status !== 403) return Option.none()
  const challenge = choose(WwwAuthenticate.parse(wwwAuthenticate ?? ""))
  if (status === 403 && challenge?.parameters["error"] !== "insufficient_scope") return Option.none()
  return Option.some({ status, challenge: Option.fromNullable(challenge), url })
}

/**
 * The scopes that the challenge asks for; none if it names none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const scopes = (refusal: Refusal): ReadonlyArray<string> =>
  Option.match(refusal.challenge, {
    onNone: () => [],
    onSome: (challenge) => Scopes.parse(challenge.parameters["scope"] ?? "")
  })

/**
 * The refusal with other names for the scopes that its challenge asks for.
 *
 * @since 0.1.0
 * @category combinators
 */
export const mapScopes = (refusal: Refusal, f: (scopes: ReadonlyArray<string>) => ReadonlyArray<string>): Refusal => ({
  ...refusal,
  challenge: Option.map(refusal.challenge, ({ parameters, ...challenge }) => ({
    ...challenge,
    parameters: "scope" in parameters ? { ...parameters, scope: Scopes.render(f(scopes(refusal))) } : parameters
  }))
})

/**
 * The metadata URL that the challenge names (RFC 9728 §5.1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const metadataUrl = (refusal: Refusal): string | undefined =>
  Option.getOrUndefined(refusal.challenge)?.parameters["resource_metadata"] || undefined

/**
 * How strongly the person has to be authenticated, if the challenge is one of RFC 9470: the parameters `acr_values` and
 * `max_age` for the authorization request; `undefined` if it is not. A refresh cannot satisfy it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const authentication = (refusal: Refusal): Readonly<Record<string, string>> | undefined => {
  const parameters = Option.getOrUndefined(refusal.challenge)?.parameters
  if (refusal.status !== 401 || parameters?.["error"] !== "insufficient_user_authentication") return undefined
  const { acr_values, max_age } = parameters
  return {
    ...(acr_values === undefined ? {} : { acr_values }),
    ...(max_age !== undefined && /^\d+$/.test(max_age) ? { max_age } : {})
  }
}
