/**
 * Sets of OAuth scopes as ordered lists without repetition.
 *
 * @since 0.1.0
 */

const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Whether a string is one `scope-token` of RFC 6749 §3.3: printable ASCII without space, `"` and `\`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isScopeToken = (value: string): boolean => SCOPE_TOKEN.test(value)

/**
 * Reads the value of a `scope` parameter. Repetitions count once; anything that is no scope-token is left out.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (scope: string): ReadonlyArray<string> => union(scope.split(/[ \t\r\n]+/).filter(isScopeToken))

/**
 * Writes scopes as the value of a `scope` parameter.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (scopes: ReadonlyArray<string>): string => scopes.join(" ")

/**
 * The scopes of every list, in the order first met, each once.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Scopes } from "effect-mcp-auth/protocol"
 *
 * console.log(Scopes.union(["read"], ["write", "read"])) // ["read", "write"]
 * console.log(Scopes.missing(["read", "write"], ["read"])) // ["write"]
 * ```
 */
export const union = (...lists: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> =>
  Array.from(new Set(lists.flat()))

/**
 * The required scopes that were not granted.
 *
 * @since 0.1.0
 * @category combinators
 */
export const missing = (required: ReadonlyArray<string>, granted: ReadonlyArray<string>): ReadonlyArray<string> =>
  required.filter((scope) => !granted.includes(scope))

/**
 * The scopes of a resource, as a function that gives some of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Vocabulary<Scope extends string> {
  <const Some extends readonly [Scope, ...Array<Scope>]>(...scopes: Some): Some
  readonly all: readonly [Scope, ...Array<Scope>]
}

/**
 * Declares the scopes of a resource once. Wherever scopes are asked for, in a configuration, a handler, an endpoint or a
 * tool, one that is not declared then does not compile.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Scopes } from "effect-mcp-auth/protocol"
 *
 * const scopes = Scopes.vocabulary("mcp:tools", "files:write")
 *
 * console.log(scopes("files:write")) // ["files:write"]
 * console.log(scopes.all) // ["mcp:tools", "files:write"]
 * // @ts-expect-error no such scope
 * scopes("files:wirte")
 * ```
 */
export const vocabulary = <const Scope extends string>(...all: readonly [Scope, ...Array<Scope>]): Vocabulary<Scope> =>
  Object.assign(<const Some extends readonly [Scope, ...Array<Scope>]>(...scopes: Some): Some => scopes, { all })

/**
 * Of several sets of which one is enough, the one that lacks the fewest scopes; the first of equals. It lacks none where
 * any of them lacks none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const nearest = <Set extends ReadonlyArray<string>>(
  alternatives: readonly [Set, ...Array<Set>],
  granted: ReadonlyArray<string>
): Set =>
  alternatives.reduce((best, one) => (missing(one, granted).length < missing(best, granted).length ? one : best))
