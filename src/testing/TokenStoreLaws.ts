/**
 * What a `TokenStore` has to do, as programs that any test runner can run. Write a store, and these say whether grants are
 * safe in it: races between fibers and processes, versions, expiry, leases, crashes, and entries that cannot be read.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { TokenStoreError } from "../client/ClientError.js"
import * as TokenStore from "../client/TokenStore.js"
import * as EntryLaws from "./EntryLaws.js"
import { create, type Given, get, holds, type Law, LawViolation, put, same } from "./Law.js"
import * as LeaseLaws from "./LeaseLaws.js"

export {
  /**
   * A store did something else than it has to.
   *
   * @since 0.1.0
   * @category errors
   */
  LawViolation
} from "./Law.js"

/**
 * The store under test.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subject<S, E, R> {
  /** Makes room for one law: an empty directory, an unused prefix. */
  readonly storage: Effect.Effect<S, E, R | Scope.Scope>
  /** Opens it. Every time this layer is built stands for a process. */
  readonly open: (storage: S) => Layer.Layer<TokenStore.TokenStore, E, R>
  /** Whether many processes may have it open, or one at a time. */
  readonly processes: "one" | "many"
  /** Damages what is stored under a key, where that is possible. */
  readonly corrupt?: ((storage: S, key: string) => Effect.Effect<void, E, R>) | undefined
  /** Leaves behind what a process does that is killed while it writes under a key, where that is possible. */
  readonly kill?: ((storage: S, key: string) => Effect.Effect<void, E, R>) | undefined
  /** The shortest time that the store can tell apart on a busy machine; 50 milliseconds when absent. */
  readonly unit?: Duration.DurationInput | undefined
}

/**
 * A law and its name: the program fails with a {@link LawViolation} where the store breaks it, and with what the store
 * fails with.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamedLaw<E, R> {
  readonly name: string
  readonly law: Effect.Effect<void, LawViolation | TokenStoreError | E, R>
}

/** The failure that an entry which cannot be read has to give. */
const unreadable = (store: TokenStore.VersionedStore, key: string) =>
  Effect.matchEffect(store.read(key), {
    onSuccess: () => Effect.fail(new LawViolation({ detail: "a damaged entry is read as if it were none or whole" })),
    onFailure: (error) =>
      Effect.as(same([error.operation, error.key], ["decode", key], "the operation and key of the failure"), error)
  })

const setAside = (store: TokenStore.VersionedStore, error: TokenStoreError) =>
  Effect.provideService(TokenStore.setAside(error), TokenStore.TokenStore, store)

const corruptionLaw =
  <S, E0, R>(corrupt: (storage: S, key: string) => Effect.Effect<void, E0, R>) =>
  <E>({ first, second }: Given<E>, storage: S) =>
    Effect.gen(function* () {
      const version = yield* create(first, "damaged", "1")
      yield* corrupt(storage, "damaged")
      const error = yield* unreadable(second, "damaged")
      for (const expected of [undefined, version]) {
        const written = yield* Effect.orElseSucceed(put(second, "damaged", expected, "2"), () => false)
        yield* same(written, false, "a write on what cannot be read")
      }
      yield* unreadable(first, "damaged")
      const place = yield* setAside(first, error)
      yield* holds(Option.isSome(place), "it cannot be set aside")
      yield* same(yield* get(second, "damaged"), {}, "what there is when it was set aside")
      yield* create(second, "damaged", "2")
      yield* same(yield* setAside(second, error), Option.none(), "what there is to be set aside a second time")
      yield* same((yield* get(first, "damaged")).value, "2", "the value that came after it")
    })

const killLaw =
  <S, E0, R>(kill: (storage: S, key: string) => Effect.Effect<void, E0, R>) =>
  <E>({ first, open }: Given<E>, storage: S) =>
    Effect.gen(function* () {
      yield* kill(storage, "k")
      const version = yield* create(first, "k", "1")
      yield* kill(storage, "k")
      const later = yield* open
      yield* same(yield* get(later, "k"), { value: "1", version }, "the entry after the crash")
      yield* same(yield* put(later, "k", version, "2"), true, "a write after the crash")
      yield* same((yield* get(first, "k")).value, "2", "the value after that")
    })

const asideLaw: Law = ({ first, second }) =>
  Effect.gen(function* () {
    const version = yield* create(first, "k", "not understood")
    const error = new TokenStoreError({ key: "k", operation: "decode", version, detail: "", rule: "" })
    const [one, two] = yield* Effect.all([setAside(first, error), setAside(second, error)], {
      concurrency: "unbounded"
    })
    const place = Option.getOrElse(
      Option.orElse(one, () => two),
      () => ""
    )
    yield* holds(Option.isSome(one) !== Option.isSome(two), "of two who set an entry aside, it is not one that did")
    yield* same((yield* get(second, place)).value, "not understood", `the value at ${place}`)
    yield* create(second, "k", "new")
    yield* same(yield* setAside(first, error), Option.none(), "what there is to be set aside a second time")
    yield* same((yield* get(first, "k")).value, "new", "the value that came after it")
  })

/**
 * The laws for a store, to be run one by one with the time of the world, not with a `TestClock`.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { TokenStore } from "effect-mcp-auth/client"
 * import { TokenStoreLaws } from "effect-mcp-auth/testing"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const laws = TokenStoreLaws.make({
 *   storage: Layer.build(TokenStore.layerMemory),
 *   open: (memory) => Layer.succeedContext(memory),
 *   processes: "one"
 * })
 *
 * // With vitest: for (const { law, name } of laws) it(name, () => Effect.runPromise(law))
 * await Effect.runPromise(Effect.forEach(laws, ({ law }) => law))
 * console.log(laws.length > 15) // true
 * ```
 */
export const make = <S, E, R>({
  corrupt,
  kill,
  open,
  processes,
  storage,
  unit = "50 millis"
}: Subject<S, E, R>): ReadonlyArray<NamedLaw<E, Exclude<R, Scope.Scope>>> => {
  const named = <E2, R2>(
    name: string,
    law: (given: Given<E>, storage: S) => Effect.Effect<void, E2, R2>
  ): {
    readonly name: string
    readonly law: Effect.Effect<void, E | E2, Exclude<R | R2, Scope.Scope>>
  } => ({
    name,
    law: Effect.gen(function* () {
      const context = yield* Effect.context<R>()
      const room = yield* storage
      const opened = Layer.build(open(room)).pipe(
        Effect.map(Context.get(TokenStore.TokenStore)),
        // What the law runs with, but the scope that is closed is that of the process.
        Effect.mapInputContext((scope: Context.Context<Scope.Scope>) => Context.merge(context, scope))
      )
      const first = yield* opened
      const second = processes === "many" ? yield* opened : first
      yield* law({ first, second, open: opened, unit: Duration.toMillis(unit) }, room)
    }).pipe(Effect.scoped)
  })
  const plain = { ...EntryLaws.laws, ...LeaseLaws.laws, "an entry that is not understood is set aside once": asideLaw }
  return [
    ...Object.entries(plain).map(([name, law]) => named(name, law)),
    ...(corrupt === undefined
      ? []
      : [
          named(
            "an entry that cannot be read says so, is not overwritten, and can be set aside",
            corruptionLaw(corrupt)
          )
        ]),
    ...(kill === undefined ? [] : [named("a process that is killed while it writes changes nothing", killLaw(kill))])
  ]
}
