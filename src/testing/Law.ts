/**
 * What a law is, and what the laws of a store have to hand.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { TokenStoreError } from "../client/ClientError.js"
import type { VersionedStore } from "../client/TokenStore.js"

/**
 * A store did something else than it has to.
 *
 * @since 0.1.0
 * @category errors
 */
export class LawViolation extends Schema.TaggedError<LawViolation>("effect-mcp-auth/testing/LawViolation")(
  "LawViolation",
  { detail: Schema.String }
) {
  override get message(): string {
    return this.detail
  }
}

/**
 * A store as two processes have it open, or as one process has it twice; and what it is to open it once more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Given<E> {
  readonly first: VersionedStore
  readonly second: VersionedStore
  readonly open: Effect.Effect<VersionedStore, E, Scope.Scope>
  /** The shortest time that is told apart, in milliseconds. */
  readonly unit: number
}

/**
 * What has to hold of every store.
 *
 * @since 0.1.0
 * @category models
 */
export type Law = <E>(given: Given<E>) => Effect.Effect<void, LawViolation | TokenStoreError | E, Scope.Scope>

/**
 * Fails unless the condition holds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const holds = (condition: boolean, detail: string): Effect.Effect<void, LawViolation> =>
  condition ? Effect.void : Effect.fail(new LawViolation({ detail }))

/**
 * Fails unless both are the same, and says what each was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const same = (actual: unknown, expected: unknown, what: string): Effect.Effect<void, LawViolation> => {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)]
  return holds(left === right, `${what}: ${left?.slice(0, 200)} instead of ${right?.slice(0, 200)}`)
}

/**
 * The value under a key, and its version; both `undefined` where there is none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const get = (
  store: VersionedStore,
  key: string
): Effect.Effect<{ readonly value?: string; readonly version?: string }, TokenStoreError> =>
  Effect.map(
    store.read(key),
    Option.match({
      onNone: () => ({}),
      onSome: ({ value, version }) => ({ value: Redacted.value(value), version })
    })
  )

/**
 * Writes on a version; `undefined` is no entry, before and after.
 *
 * @since 0.1.0
 * @category combinators
 */
export const put = (
  store: VersionedStore,
  key: string,
  expected: string | undefined,
  value: string | undefined,
  expiresAt?: number
): Effect.Effect<boolean, TokenStoreError> =>
  store.write(key, {
    expected: Option.fromNullable(expected),
    value: Option.map(Option.fromNullable(value), (text) => Redacted.make(text)),
    expiresAt
  })

/**
 * Makes an entry where there is none, and gives its version.
 *
 * @since 0.1.0
 * @category combinators
 */
export const create = (
  store: VersionedStore,
  key: string,
  value: string
): Effect.Effect<string, LawViolation | TokenStoreError> =>
  Effect.gen(function* () {
    yield* same(
      yield* put(store, key, undefined, value),
      true,
      `write of ${JSON.stringify(key.slice(0, 50))} where there was no entry`
    )
    const { version } = yield* get(store, key)
    return version ?? (yield* new LawViolation({ detail: "what was just written is not there" }))
  })
