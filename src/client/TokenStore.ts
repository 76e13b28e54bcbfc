/**
 * Where grants and registrations are kept. Three verbs that make losing one hard to write: a read that names a version, a
 * write that succeeds only on that version, and a lease that expires.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
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
 * - `read` gives the entry and its version.
 * - `write` answers `false`, and changes nothing, where the version is another than expected by now.
 * - `lease` answers `None` where somebody holds it; otherwise it is held until the scope closes, and at most for the
 *   duration, so that a process that dies blocks nobody for longer.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenStore extends Context.Tag("effect-mcp-auth/client/TokenStore")<
  TokenStore,
  {
    readonly read: (key: string) => Effect.Effect<Option.Option<Entry<Redacted.Redacted<string>>>, TokenStoreError>
    readonly write: (key: string, write: Write<Redacted.Redacted<string>>) => Effect.Effect<boolean, TokenStoreError>
    readonly lease: (
      key: string,
      duration: Duration.DurationInput
    ) => Effect.Effect<Option.Option<Lease>, TokenStoreError, Scope.Scope>
  }
>() {}

/**
 * A key of its parts, such as a kind, an issuer, a client and a resource. Different parts never give the same key.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { TokenStore } from "effect-mcp-auth/client"
 *
 * console.log(TokenStore.key("grant", "https://as.example", "c1")) // grant/https%3A%2F%2Fas.example/c1
 * ```
 */
export const key = (...parts: ReadonlyArray<string>): string => parts.map(encodeURIComponent).join("/")

/** Somebody wrote in between. */
class Overtaken extends Data.TaggedError("Overtaken") {}

/**
 * The store as a store of one kind of record, as JSON. An entry that cannot be read as one is a `TokenStoreError` that
 * names it, and stays where it is. `modify` makes what is to be there from what is there, again where somebody wrote in
 * between; `None` is no entry.
 *
 * @since 0.1.0
 * @category combinators
 */
export const records = <A, I>(schema: Schema.Schema<A, I>) => {
  const json = Schema.parseJson(schema)
  const decode = Schema.decode(json)
  const encode = Schema.encodeSync(json)
  const records = {
    read: (key: string): Effect.Effect<Option.Option<Entry<A>>, TokenStoreError, TokenStore> =>
      Effect.flatMap(TokenStore, (store) => store.read(key)).pipe(
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: ({ value, version }) =>
              decode(Redacted.value(value)).pipe(
                Effect.map((value) => Option.some({ value, version })),
                // What the decoder says would quote the entry.
                Effect.catchAll(() =>
                  fail(
                    (trace) =>
                      new TokenStoreError({
                        key,
                        operation: "decode",
                        detail: `the entry ${key} is not readable`,
                        rule: "an entry that is not understood is never overwritten",
                        trace
                      })
                  )
                )
              )
          })
        )
      ),
    write: (key: string, write: Write<A>): Effect.Effect<boolean, TokenStoreError, TokenStore> =>
      Effect.flatMap(TokenStore, (store) =>
        store.write(key, { ...write, value: Option.map(write.value, (value) => Redacted.make(encode(value))) })
      ),
    modify: (
      key: string,
      f: (value: Option.Option<A>) => Option.Option<A>,
      expiresAt?: number
    ): Effect.Effect<void, TokenStoreError, TokenStore> =>
      Effect.gen(function* () {
        const entry = yield* records.read(key)
        const value = f(Option.map(entry, ({ value }) => value))
        if (Option.isNone(entry) && Option.isNone(value)) return
        const expected = Option.map(entry, ({ version }) => version)
        if (!(yield* records.write(key, { expected, value, expiresAt }))) return yield* new Overtaken()
      }).pipe(
        Effect.retry({ while: (error) => error._tag === "Overtaken", times: 9 }),
        Effect.catchTag("Overtaken", () => {
          const detail = `the entry ${key} is written by others all the time`
          const rule = "a write succeeds only on the version that was read"
          return fail((trace) => new TokenStoreError({ key, operation: "write", detail, rule, trace }))
        })
      )
  }
  return records
}

/**
 * Keeps everything in this process, and loses it with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = Layer.sync(TokenStore, () => {
  const entries = new Map<string, Entry<Redacted.Redacted<string>> & { readonly expiresAt: number }>()
  const leases = new Map<string, { readonly fence: number; readonly expiresAt: number }>()
  let count = 0
  const current = (key: string, now: number) => {
    const entry = entries.get(key)
    if (entry === undefined || now < entry.expiresAt) return entry
    entries.delete(key)
    return undefined
  }
  return {
    read: (key) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        Option.map(Option.fromNullable(current(key, now)), ({ value, version }) => ({ value, version }))
      ),
    write: (key, { expected, expiresAt = Number.POSITIVE_INFINITY, value }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (current(key, now)?.version !== Option.getOrUndefined(expected)) return false
        if (Option.isNone(value)) entries.delete(key)
        else entries.set(key, { value: value.value, version: String(++count), expiresAt })
        return true
      }),
    lease: (key, duration) =>
      Effect.acquireRelease(
        Effect.map(Clock.currentTimeMillis, (now) => {
          const held = leases.get(key)
          if (held !== undefined && now < held.expiresAt) return Option.none<Lease>()
          const lease = { fence: ++count, expiresAt: now + Duration.toMillis(duration) }
          leases.set(key, lease)
          return Option.some<Lease>(lease)
        }),
        (lease) => Effect.sync(() => Option.isSome(lease) && leases.get(key) === lease.value && leases.delete(key))
      )
  }
})
