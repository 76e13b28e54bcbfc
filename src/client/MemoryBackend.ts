/**
 * A store in this process, and leases that only its own fibers can take.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { type Entry, expiryOf, type Lease, type VersionedStore } from "./VersionedStore.js"

/**
 * The leases of one process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLeases: Effect.Effect<VersionedStore["lease"]> = Effect.sync(() => {
  const leases = new Map<string, { readonly fence: number; readonly expiresAt: number }>()
  let fence = 0
  return (key, duration) =>
    Effect.acquireRelease(
      Effect.map(Clock.currentTimeMillis, (now) => {
        const held = leases.get(key)
        if (held !== undefined && now < held.expiresAt) return Option.none<Lease>()
        const lease = { fence: ++fence, expiresAt: now + Duration.toMillis(duration) }
        leases.set(key, lease)
        return Option.some<Lease>(lease)
      }),
      (lease) => Effect.sync(() => Option.isSome(lease) && leases.get(key) === lease.value && leases.delete(key))
    )
})

/** How often what has expired is looked for, in milliseconds. */
const sweepEvery = 60_000

/**
 * An empty store.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<VersionedStore> = Effect.map(makeLeases, (lease) => {
  const entries = new Map<string, Entry<Redacted.Redacted<string>> & { readonly expiresAt?: number }>()
  let count = 0
  const current = (key: string, now: number) => {
    const entry = entries.get(key)
    if (entry?.expiresAt === undefined || now < entry.expiresAt) return entry
    entries.delete(key)
    return undefined
  }
  let sweptAt = 0
  // Nobody asks again for a sign-in that was broken off.
  const sweep = (now: number) => {
    if (Math.abs(now - sweptAt) < sweepEvery) return
    sweptAt = now
    for (const key of entries.keys()) current(key, now)
  }
  return {
    lease,
    read: (key) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        Option.map(Option.fromNullable(current(key, now)), ({ value, version }) => ({ value, version }))
      ),
    write: (key, { expected, value, ...write }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        sweep(now)
        if (current(key, now)?.version !== Option.getOrUndefined(expected)) return false
        if (Option.isNone(value)) entries.delete(key)
        else entries.set(key, { value: value.value, version: String(++count), ...expiryOf(write) })
        return true
      })
  }
})
