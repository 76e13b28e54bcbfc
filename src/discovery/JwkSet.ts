/**
 * The keys that an issuer publishes, kept so that a token costs no request, a rotation no refusal, an outage no service
 * while keys are known, and a flood of made-up key ids a bounded number of fetches.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Jose from "jose"
import * as AuthorizationServerMetadata from "./AuthorizationServerMetadata.js"
import * as GuardedHttp from "./GuardedHttp.js"
import * as SingleFlight from "./SingleFlight.js"

/**
 * The keys cannot be had: they were never fetched, or are older than they may be, and fetching failed. `retryAfter` is
 * in seconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class JwkSetUnavailable extends Schema.TaggedError<JwkSetUnavailable>(
  "effect-mcp-auth/discovery/JwkSetUnavailable"
)("JwkSetUnavailable", { retryAfter: Schema.Number, cause: Schema.Defect }) {}

/**
 * The set holds no key for the header of a token.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownKey extends Schema.TaggedError<UnknownKey>("effect-mcp-auth/discovery/UnknownKey")(
  "UnknownKey",
  {}
) {}

/** It holds nothing of a token, and anybody may ask for it in a loop. */
const unknownKey = Exit.fail(new UnknownKey())

/**
 * The parts of a JWS header by which a key is chosen.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyHeader {
  readonly alg: string
  readonly kid?: string | undefined
}

/**
 * A kept JWK set. `keys` gives the candidates for a header, at least one; more than one only where a token names no
 * `kid` and several keys fit.
 *
 * @since 0.1.0
 * @category models
 */
export interface JwkSet {
  readonly keys: (
    header: KeyHeader
  ) => Effect.Effect<readonly [Jose.CryptoKey, ...Array<Jose.CryptoKey>], UnknownKey | JwkSetUnavailable>
}

/**
 * How long keys are kept. `maxAge`: after it they are fetched again, in the background. `maxStale`: how much longer they
 * serve while fetching fails. `cooldown`: the least time between two fetches for an unknown key. `retryAfter`: the least
 * time between two failed fetches, and what a caller is told to wait. `patience`: how long a caller waits for a fetch,
 * which then goes on without it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly maxAge?: Duration.DurationInput | undefined
  readonly maxStale?: Duration.DurationInput | undefined
  readonly cooldown?: Duration.DurationInput | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
  readonly patience?: Duration.DurationInput | undefined
}

const Document = Schema.Struct({ keys: Schema.Array(Schema.Record({ key: Schema.String, value: Schema.Unknown })) })

const getDocument = GuardedHttp.getJson(Document)

interface Loaded {
  readonly select: (header: KeyHeader) => Promise<ReadonlyArray<Jose.CryptoKey>>
  readonly kids: ReadonlySet<unknown>
  readonly known: Map<string, ReadonlyArray<Jose.CryptoKey>>
  readonly at: number
}

const load = (document: typeof Document.Type, at: number): Loaded => {
  // A set may hold symmetric keys or keys of kinds we do not know; they are passed over, never used (RFC 7517 section 5).
  const keys = document.keys.filter((key) => typeof key["kty"] === "string" && key["kty"] !== "oct") as Array<Jose.JWK>
  const local = Jose.createLocalJWKSet({ keys })
  return {
    at,
    known: new Map(),
    kids: new Set(keys.map(({ kid }) => kid)),
    select: async (header) => {
      const jws = { alg: header.alg, ...(header.kid === undefined ? {} : { kid: header.kid }) }
      try {
        return [await local(jws)]
      } catch (error) {
        if (!(error instanceof Jose.errors.JWKSMultipleMatchingKeys)) return []
        const candidates: Array<Jose.CryptoKey> = []
        for await (const key of error) candidates.push(key)
        return candidates
      }
    }
  }
}

/** The longest wait, in seconds, that one of the answers behind a failed fetch asked for. */
const retryAfterOf = (cause: Cause.Cause<unknown>): number => {
  const errors = Array.from(Cause.failures(cause)).flatMap(
    (error): ReadonlyArray<unknown> =>
      error instanceof AuthorizationServerMetadata.AuthorizationServerMetadataError ? error.attempts : [error]
  )
  return Math.max(0, ...errors.map((error) => (error instanceof GuardedHttp.FetchError ? (error.retryAfter ?? 0) : 0)))
}

/**
 * Makes a kept set. `uri` finds the document's URL anew for every fetch that needs it, so that a moved `jwks_uri` is
 * followed; keep what it costs in mind. One fetch at a time serves all who wait, and belongs to the scope: a caller that
 * goes away harms no other.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E>(
  uri: Effect.Effect<string, E, GuardedHttp.GuardedHttp>,
  options?: Options
): Effect.Effect<JwkSet, never, GuardedHttp.GuardedHttp | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* GuardedHttp.GuardedHttp
    const scope = yield* Effect.scope
    const maxAge = Duration.toMillis(options?.maxAge ?? "10 minutes")
    const maxStale = Duration.toMillis(options?.maxStale ?? "1 hour")
    const cooldown = Duration.toMillis(options?.cooldown ?? "5 seconds")
    const pause = Duration.toMillis(options?.retryAfter ?? "1 second")
    const patience = Duration.decode(options?.patience ?? "10 seconds")
    let loaded: Loaded | undefined
    let renewing = false
    let failure: { readonly at: number; readonly error: JwkSetUnavailable } | undefined
    /** Whether a fetch for an unknown key is wanted or under way, and when the last one ended. */
    let seeking = false
    let soughtAt = Number.NEGATIVE_INFINITY

    const fetch = yield* SingleFlight.make(
      uri.pipe(
        Effect.flatMap((url) => getDocument(url, "JWK set")),
        Effect.provideService(GuardedHttp.GuardedHttp, http),
        Effect.zip(Clock.currentTimeMillis),
        Effect.map(([document, now]) => {
          failure = undefined
          loaded = load(document, now)
          if (seeking) soughtAt = now
          return loaded
        }),
        Effect.catchAllCause((cause) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const retryAfter = Math.min(Math.max(Math.ceil(pause / 1000), retryAfterOf(cause)), 300)
            const error = new JwkSetUnavailable({ retryAfter, cause })
            failure = { at: now, error }
            return Effect.zipRight(Effect.logWarning("The JWK set could not be fetched", cause), Effect.fail(error))
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            seeking = false
          })
        )
      )
    )

    const fetchUnlessJustFailed = Effect.flatMap(Clock.currentTimeMillis, (now) =>
      failure !== undefined && now - failure.at < pause
        ? Effect.fail(failure.error)
        : Effect.timeoutFail(Effect.interruptible(fetch), {
            duration: patience,
            onTimeout: () =>
              new JwkSetUnavailable({
                retryAfter: Math.ceil(pause / 1000),
                cause: new Error(`no keys within ${Duration.format(patience)}`)
              })
          })
    )

    const renew = Effect.suspend(() => {
      if (renewing) return Effect.void
      renewing = true
      const done = Effect.sync(() => {
        renewing = false
      })
      return Effect.forkIn(Effect.ensuring(Effect.ignore(fetchUnlessJustFailed), done), scope)
    })

    const current = Effect.flatMap(Clock.currentTimeMillis, (now): Effect.Effect<Loaded, JwkSetUnavailable> => {
      if (loaded === undefined || now - loaded.at > maxAge + maxStale) return fetchUnlessJustFailed
      if (now - loaded.at <= maxAge) return Effect.succeed(loaded)
      return Effect.as(renew, loaded)
    })

    const find = (set: Loaded, header: KeyHeader): Effect.Effect<ReadonlyArray<Jose.CryptoKey>> => {
      const id = header.kid === undefined ? header.alg : `${header.alg} ${header.kid}`
      const known = set.known.get(id)
      if (known !== undefined) return Effect.succeed(known)
      if (header.kid !== undefined && !set.kids.has(header.kid)) return Effect.succeed([])
      return Effect.tap(
        Effect.promise(() => set.select(header)),
        (keys) => Effect.sync(() => keys.length > 0 && set.known.set(id, keys))
      )
    }

    const nonEmpty = (keys: ReadonlyArray<Jose.CryptoKey>) => {
      const [first, ...rest] = keys
      return first === undefined ? unknownKey : Exit.succeed([first, ...rest] as const)
    }

    const seek = (before: Loaded | undefined, set: Loaded, header: KeyHeader) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        // Fetched for this very token, or by another caller while this one looked through the set it had.
        const latest = loaded ?? set
        if (latest !== before) return Effect.flatMap(find(latest, header), nonEmpty)
        // Only fetches for unknown keys count: a rotation right after any other fetch costs no refusal.
        // Where the last fetch failed, nothing is known of this key: that is no reason to call it wrong.
        if (!seeking && failure === undefined && now - soughtAt < cooldown) return unknownKey
        seeking = true
        return Effect.flatMap(fetchUnlessJustFailed, (set) => Effect.flatMap(find(set, header), nonEmpty))
      })

    return {
      keys: (header) =>
        Effect.suspend(() => {
          const before = loaded
          return Effect.flatMap(current, (set) =>
            Effect.flatMap(find(set, header), (keys) => (keys.length > 0 ? nonEmpty(keys) : seek(before, set, header)))
          )
        })
    }
  })
