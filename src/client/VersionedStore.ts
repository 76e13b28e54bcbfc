/**
 * The shape of a store, and what its backends have in common.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Base64Url from "../protocol/Base64Url.js"
import { fail, TokenStoreError } from "./ClientError.js"

/**
 * What is stored under a key. A version is opaque, and never comes back once it was replaced.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry<A> {
  readonly value: A
  readonly version: string
}

/**
 * A write. `expected` is the version that was read; `None` means that there must be no entry. A `value` of `None` removes
 * the entry. After `expiresAt`, in milliseconds since the epoch, a store may forget it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Write<A> {
  readonly expected: Option.Option<string>
  readonly value: Option.Option<A>
  readonly expiresAt?: number | undefined
}

/**
 * A lease that is held. `fence` is larger than that of every earlier lease on the key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease {
  readonly fence: number
}

/**
 * A store of secrets under string keys.
 *
 * Keys stand in errors. Those of this package name issuers, clients and resources, and never a user.
 *
 * - `read` gives the entry and its version.
 * - `write` answers `false`, and changes nothing, where the version is another than expected by now. Where it fails, it may
 *   have happened, or happen yet: read again.
 * - `lease` answers `None` where somebody holds it; otherwise it is held until the scope closes, and at most for the
 *   duration, so that a process that dies blocks nobody for longer.
 * - `setAside` moves an entry that `read` cannot read out of the way, and answers where it is now; `None` where there is
 *   no such entry. Only a store that may fail with `operation: "decode"` has to have it.
 *
 * @since 0.1.0
 * @category models
 */
export interface VersionedStore {
  readonly read: (key: string) => Effect.Effect<Option.Option<Entry<Redacted.Redacted<string>>>, TokenStoreError>
  readonly write: (key: string, write: Write<Redacted.Redacted<string>>) => Effect.Effect<boolean, TokenStoreError>
  readonly lease: (
    key: string,
    duration: Duration.DurationInput
  ) => Effect.Effect<Option.Option<Lease>, TokenStoreError, Scope.Scope>
  readonly setAside?: ((key: string) => Effect.Effect<Option.Option<string>, TokenStoreError>) | undefined
}

/**
 * A name for a key that a file system and a keyspace can bear, and that tells nothing of issuer, client or user. Distinct
 * keys have distinct names.
 *
 * @internal
 */
// As JSON, because UTF-8 alone would make one of all lone surrogates.
export const nameOf = (key: string): Promise<string> => Base64Url.sha256(JSON.stringify(key))

/**
 * Fails because of a store. `detail` and `cause` must not quote what is stored.
 *
 * @internal
 */
export const storeFails = (
  operation: TokenStoreError["operation"],
  key: string,
  detail: string,
  more: { readonly cause?: unknown; readonly version?: string } = {}
): Effect.Effect<never, TokenStoreError> =>
  fail(
    (trace) =>
      new TokenStoreError({
        operation,
        key,
        detail,
        rule:
          operation === "decode"
            ? "an entry that is not understood is never overwritten"
            : "a store that cannot be used loses nothing",
        trace,
        ...more
      })
  )

/**
 * Moves an entry to a key of its own, if it is still the one that was read. Whoever comes second finds the copy there.
 *
 * @internal
 */
export const moveAside = (
  store: VersionedStore,
  key: string,
  { value, version }: Entry<Redacted.Redacted<string>>
): Effect.Effect<Option.Option<string>, TokenStoreError> => {
  const place = `${key}/set-aside/${version}`
  return store.write(place, { expected: Option.none(), value: Option.some(value) }).pipe(
    Effect.zipRight(store.write(key, { expected: Option.some(version), value: Option.none() })),
    Effect.map((isMoved) => (isMoved ? Option.some(place) : Option.none()))
  )
}

/**
 * Somebody else has written in between.
 *
 * @internal
 */
export class Overtaken extends Data.TaggedError("Overtaken") {}

const again = Schedule.exponential("5 millis", 1.5).pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(10)))

/**
 * Does what reads and then writes anew for as long as others write in between, within reason.
 *
 * @internal
 */
export const persist = <A, R>(
  key: string,
  once: Effect.Effect<A, TokenStoreError | Overtaken, R>
): Effect.Effect<A, TokenStoreError, R> =>
  once.pipe(
    Effect.retry({ while: (error) => error._tag === "Overtaken", schedule: again }),
    Effect.catchTag("Overtaken", () => storeFails("write", key, `others keep writing ${key}`))
  )

/**
 * When a written entry may be forgotten; one that never is has no time.
 *
 * @internal
 */
export const expiryOf = ({ expiresAt }: Pick<Write<never>, "expiresAt">): { readonly expiresAt?: number } =>
  expiresAt !== undefined && Number.isFinite(expiresAt) ? { expiresAt: Math.ceil(expiresAt) } : {}

/**
 * What is left to do where a lease cannot be given back.
 *
 * @internal
 */
export const leftToExpire = ({ detail }: TokenStoreError): Effect.Effect<void> =>
  Effect.logWarning("A lease could not be given back, and is left to expire", detail)
