/**
 * A store over a `KeyValueStore` of `@effect/platform`, which has no compare-and-swap: one process at a time.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TokenStoreError } from "./ClientError.js"
import * as MemoryBackend from "./MemoryBackend.js"
import { expiryOf, nameOf, storeFails, type VersionedStore } from "./VersionedStore.js"

const Record = Schema.parseJson(
  Schema.Struct({
    schemaVersion: Schema.Literal(1),
    key: Schema.String,
    version: Schema.String,
    value: Schema.String,
    expiresAt: Schema.optional(Schema.Number)
  })
)

const decode = Schema.decodeOption(Record)
const encode = Schema.encodeSync(Record)

/** When what expires does, by name: a `KeyValueStore` cannot be listed. */
const Expiring = Schema.parseJson(
  Schema.Struct({
    schemaVersion: Schema.Literal(1),
    names: Schema.Record({ key: Schema.String, value: Schema.Number })
  })
)

const decodeExpiring = Schema.decodeOption(Expiring)
const encodeExpiring = Schema.encodeSync(Expiring)

const expiring = "mcp-auth-expiring"

/** How many records are swept away by one write at most: more than one writes, and nobody waits for all of them. */
const sweptAtOnce = 20

/**
 * A record per entry, under a hash of its key; those that have expired are removed when others that expire are written.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (keyValueStore: KeyValueStore.KeyValueStore): Effect.Effect<VersionedStore> =>
  Effect.gen(function* () {
    const lease = yield* MemoryBackend.makeLeases
    const turn = yield* Effect.makeSemaphore(1)

    const named = <A>(
      operation: TokenStoreError["operation"],
      key: string,
      use: (name: string) => Effect.Effect<A, PlatformError>
    ) =>
      Effect.promise(() => nameOf(key)).pipe(
        Effect.flatMap((name) => use(`mcp-auth-${name}`)),
        Effect.catchAll((error) =>
          storeFails(operation, key, `the key-value store cannot be used: ${error.message}`, { cause: error })
        )
      )

    const isOver = (name: string, now: number) =>
      Effect.map(keyValueStore.get(name), (text) =>
        Option.exists(Option.flatMap(text, decode), ({ expiresAt = Number.POSITIVE_INFINITY }) => expiresAt <= now)
      )

    /** Notes when a record is going to expire, before it is there, and removes some of those that have. */
    const expires = (name: string, expiresAt: number) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        // A list that was cut is made anew: only what stood in nothing but it is left over.
        const listed = Option.flatMap(yield* keyValueStore.get(expiring), decodeExpiring)
        const names = Option.match(listed, { onNone: () => ({}), onSome: ({ names }) => names })
        const rest = new Map(Object.entries<number>(names))
        const over = [...rest].filter(([other, time]) => time <= now && other !== name).slice(0, sweptAtOnce)
        for (const [other] of over) {
          // It may have been written again, to expire later or not at all.
          if (yield* isOver(other, now)) yield* keyValueStore.remove(other)
          rest.delete(other)
        }
        const next = Object.fromEntries(rest.set(name, expiresAt))
        yield* keyValueStore.set(expiring, encodeExpiring({ schemaVersion: 1, names: next }))
      })

    const readable = (text: string, key: string) => Option.filter(decode(text), (record) => record.key === key)

    const current = (operation: TokenStoreError["operation"], key: string) =>
      Effect.gen(function* () {
        const text = yield* named(operation, key, keyValueStore.get)
        if (Option.isNone(text)) return Option.none()
        const record = readable(text.value, key)
        if (Option.isNone(record)) return yield* storeFails("decode", key, `the record of ${key} is not readable`)
        const now = yield* Clock.currentTimeMillis
        return Option.filter(record, ({ expiresAt }) => expiresAt === undefined || now < expiresAt)
      })

    return {
      lease,
      // In turn as well: nothing says that a value is not half written when it is read.
      read: (key) =>
        current("read", key).pipe(
          Effect.map(Option.map(({ value, version }) => ({ value: Redacted.make(value), version }))),
          turn.withPermits(1)
        ),
      write: (key, { expected, value, ...write }) =>
        Effect.gen(function* () {
          const found = Option.getOrUndefined(yield* current("write", key))
          if (found?.version !== Option.getOrUndefined(expected)) return false
          if (Option.isNone(value)) {
            if (found !== undefined) yield* named("write", key, keyValueStore.remove)
            return true
          }
          const expiry = expiryOf(write)
          const record = encode({
            schemaVersion: 1,
            key,
            version: crypto.randomUUID(),
            value: Redacted.value(value.value),
            ...expiry
          })
          yield* named("write", key, (name) =>
            Effect.zipRight(
              expiry.expiresAt === undefined ? Effect.void : expires(name, expiry.expiresAt),
              keyValueStore.set(name, record)
            )
          )
          return true
        }).pipe(turn.withPermits(1), Effect.uninterruptible),
      setAside: (key) =>
        Effect.gen(function* () {
          const text = yield* named("write", key, keyValueStore.get)
          if (Option.isNone(text) || Option.isSome(readable(text.value, key))) return Option.none<string>()
          const id = crypto.randomUUID()
          const place = yield* named("write", key, (name) =>
            Effect.as(keyValueStore.set(`${name}-${id}`, text.value), `${name}-${id}`)
          )
          yield* named("write", key, keyValueStore.remove)
          return Option.some(place)
        }).pipe(turn.withPermits(1), Effect.uninterruptible)
    }
  })
