/**
 * What an operation of an MCP server asks of its caller's scopes: all of some, any one of several sets, or what an Effect
 * says of the caller and the arguments.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as Scopes from "../protocol/Scopes.js"
import * as AuthError from "./AuthError.js"
import type { Claims } from "./Claims.js"

const TypeId = "~effect-mcp-auth/server/ScopeRequirement"

/**
 * A call of a tool, a resource that is read, a prompt that is asked for. Resources are named by URI. `arguments` are as
 * they came, not checked; they are `undefined` where the question is whether to list it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operation {
  readonly kind: "tool" | "resource" | "prompt"
  readonly name: string
  readonly arguments?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Any one of several sets of scopes. Made by {@link anyOf}.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnyOf<out S extends string = string> {
  readonly [TypeId]: "AnyOf"
  readonly alternatives: readonly [ReadonlyArray<S>, ...ReadonlyArray<ReadonlyArray<S>>]
}

/**
 * What is known of scopes before anybody asks: a list is all of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Fixed<S extends string = string> = ReadonlyArray<S> | AnyOf<S>

/**
 * Decides on the caller and the arguments. It gives what this operation needs, or fails with a refusal of its own:
 * `InsufficientScope` with no scopes is a denial that no scope cures.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision<S extends string = string> = (
  operation: Operation & { readonly claims: Claims }
) => Effect.Effect<Fixed<S>, AuthError.AuthError>

/**
 * A decision as a requirement. Made by {@link decide}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decided<out S extends string = string> {
  readonly [TypeId]: "Decided"
  readonly decision: Decision<S>
}

/**
 * What an operation needs: a list of scopes is all of them.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirement<S extends string = string> = Fixed<S> | Decided<S>

/**
 * Any one of these sets is enough. A challenge names the one of which the caller lacks least, the first of equals.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { ScopeRequirement } from "effect-mcp-auth/server"
 *
 * export const either = ScopeRequirement.anyOf(["files:write"], ["admin"])
 * ```
 */
export const anyOf = <const S extends string>(...alternatives: AnyOf<S>["alternatives"]): AnyOf<S> => ({
  [TypeId]: "AnyOf",
  alternatives
})

/**
 * Lets an Effect decide. It has ten seconds; what takes longer, or dies, is a `ServerError`, and nobody gets in.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { ScopeRequirement } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * // Other people's files take a scope of their own; one's own take none.
 * export const ownOrAny = ScopeRequirement.decide(({ arguments: args, claims }) =>
 *   Effect.succeed(args === undefined || args["owner"] === claims.subject ? [] : ["files:any"])
 * )
 * ```
 */
export const decide = <const S extends string>(decision: Decision<S>): Decided<S> => ({
  [TypeId]: "Decided",
  decision
})

/**
 * The scopes that a server knows. Requirements made by it name no others: a misspelt one does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export interface Vocabulary<S extends string> {
  /** For `scopesSupported` of the configuration, where all of them are for basic use. */
  readonly scopes: ReadonlyArray<S>
  readonly allOf: (...scopes: readonly [S, ...ReadonlyArray<S>]) => ReadonlyArray<S>
  readonly anyOf: (...alternatives: AnyOf<S>["alternatives"]) => AnyOf<S>
  readonly decide: (decision: Decision<S>) => Decided<S>
}

/**
 * Declares the scopes of a server.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { ScopeRequirement } from "effect-mcp-auth/server"
 *
 * const files = ScopeRequirement.vocabulary("files:read", "files:write")
 *
 * export const both = files.allOf("files:read", "files:write")
 * // @ts-expect-error nobody grants it, because nobody declared it
 * export const misspelt = files.allOf("files:wirte")
 * ```
 */
export const vocabulary = <const S extends string>(...scopes: readonly [S, ...ReadonlyArray<S>]): Vocabulary<S> => ({
  scopes,
  allOf: (...all) => all,
  anyOf,
  decide
})

/**
 * What came of a requirement: the scopes that the operation needs, and the refusal where it is not met.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verdict {
  readonly required: ReadonlyArray<string>
  readonly refusal?: AuthError.AuthError | undefined
}

const isAnyOf = (requirement: Requirement): requirement is AnyOf =>
  hasProperty(requirement, TypeId) && requirement[TypeId] === "AnyOf"

const isDecided = (requirement: Requirement): requirement is Decided =>
  hasProperty(requirement, TypeId) && requirement[TypeId] === "Decided"

/** Of what is known, the set to ask for. */
const nearest = (requirement: Fixed, granted: ReadonlyArray<string>): ReadonlyArray<string> =>
  isAnyOf(requirement) ? Scopes.nearest(requirement.alternatives, granted) : requirement

/** A verdict on what is known. The caller's scopes already hold all that they imply. */
const judgeFixed = (requirement: Fixed, { scopes }: Claims): Verdict => {
  const required = nearest(requirement, scopes)
  return Scopes.missing(required, scopes).length === 0
    ? { required }
    : { required, refusal: new AuthError.InsufficientScope({ required: Scopes.union(required) }) }
}

const refused = (refusal: AuthError.AuthError): Verdict => ({
  required: refusal._tag === "InsufficientScope" ? refusal.required : [],
  refusal
})

/** Where the request itself is interrupted this is passed over: what gets here failed, died or was interrupted by itself. */
const notDecided = (cause: Cause.Cause<AuthError.AuthError>): Verdict => {
  const error = Cause.squash(cause)
  return refused(AuthError.isAuthError(error) ? error : new AuthError.ServerError({ cause: error }))
}

/**
 * Judges whether a caller meets a requirement.
 *
 * @since 0.1.0
 * @category combinators
 */
export const judge = (requirement: Requirement, operation: Operation, claims: Claims): Effect.Effect<Verdict> =>
  isDecided(requirement)
    ? Effect.suspend(() => requirement.decision({ ...operation, claims })).pipe(
        Effect.disconnect,
        Effect.timeoutFail({
          duration: "10 seconds",
          onTimeout: () => new AuthError.ServerError({ retryAfter: 1, cause: new Error("a decision took too long") })
        }),
        Effect.map((fixed) => judgeFixed(fixed, claims)),
        Effect.catchAllCause((cause) => Effect.succeed(notDecided(cause))),
        // Servers run apps uninterruptibly, in which no timeout ends anything.
        Effect.interruptible
      )
    : Effect.sync(() => judgeFixed(requirement, claims))

/**
 * Whether a requirement is met by everybody, whoever calls. A decision is about a caller, so there has to be one.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isEmpty = (requirement: Requirement): boolean =>
  !isDecided(requirement) && nearest(requirement, []).length === 0

/**
 * The verdict on a caller who came without credentials: `Missing`, with the scopes that are known before anybody decides.
 *
 * @since 0.1.0
 * @category combinators
 */
export const judgeAnonymous = (requirement: Requirement): Verdict => {
  const required = isDecided(requirement) ? [] : nearest(requirement, [])
  return { required, refusal: new AuthError.Missing({ required: Scopes.union(required) }) }
}

/**
 * The one refusal of several operations that are asked for together, if there is any: what is not a lack of scopes comes
 * first; otherwise it names what all of them need, those that alone would be granted as well, so that one step-up, or one
 * sign-in, is enough.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refusalOf = (verdicts: ReadonlyArray<Verdict>): AuthError.AuthError | undefined => {
  const refusals = verdicts.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal]))
  const other = refusals.find(({ _tag }) => _tag !== "InsufficientScope")
  if (refusals.length === 0 || verdicts.length === 1 || (other !== undefined && other._tag !== "Missing")) {
    return other ?? refusals[0]
  }
  const required = Scopes.union(...verdicts.map(({ required }) => required))
  return other === undefined ? new AuthError.InsufficientScope({ required }) : new AuthError.Missing({ required })
}
