/**
 * A grant as one process holds it: read from the store, refreshed ahead of its expiry, never lost to a failure that passes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as AccessToken from "./AccessToken.js"
import * as BackOff from "./BackOff.js"
import type { TokenStoreError } from "./ClientError.js"
import type * as ClientRegistration from "./ClientRegistration.js"
import * as GrantRefresh from "./GrantRefresh.js"
import type * as ServerProfile from "./ServerProfile.js"
import * as StoredGrant from "./StoredGrant.js"
import * as TokenStore from "./TokenStore.js"

/**
 * Whose grant is held. `refreshMargin` is how long before its expiry a token is refreshed, 30 seconds by default and never
 * more than a quarter of its life. With `readThrough`, every `get` is a `reload`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends StoredGrant.Owner {
  readonly registration: ClientRegistration.Options
  readonly serverProfiles: ServerProfile.ServerProfiles | undefined
  readonly refreshMargin?: Duration.DurationInput | undefined
  readonly readThrough?: boolean | undefined
}

/**
 * - `get`: what this process has, else what the store has
 * - `reload`: what the store has, by whichever process
 * - `isDue`: whether the token should be refreshed ahead of its expiry, by a jitter drawn once per token, and may be by now
 * - `refresh`: one request however many ask, in this process by waiting for it, in others by a lease; who comes second
 *   gets the winner's token. A server that is out of order is asked again, within reason, and then left alone for a while.
 * - `replace`: after a sign-in
 * - `surrender`: removes the grant, here and from the store, once `last` has seen it, and however that ends
 *
 * @since 0.1.0
 * @category models
 */
export interface HeldGrant {
  readonly get: Effect.Effect<Option.Option<StoredGrant.StoredGrant>, TokenStoreError>
  readonly reload: Effect.Effect<Option.Option<StoredGrant.StoredGrant>, TokenStoreError>
  readonly isDue: (grant: StoredGrant.StoredGrant, now: number) => boolean
  readonly refresh: (
    grant: StoredGrant.StoredGrant
  ) => Effect.Effect<StoredGrant.StoredGrant, GrantRefresh.RefreshError>
  readonly replace: (grant: StoredGrant.StoredGrant) => Effect.Effect<void>
  readonly surrender: <A, E>(
    last: (grant: StoredGrant.StoredGrant) => Effect.Effect<A, E>
  ) => Effect.Effect<Option.Option<A>, E | TokenStoreError>
}

type Entry = TokenStore.Entry<StoredGrant.StoredGrant>

/** Soon, then twice a minute, for as long as it takes. */
const untilSaved = Schedule.exponential("1 second").pipe(
  Schedule.union(Schedule.spaced("30 seconds")),
  Schedule.jittered
)

/** What could not be written, as it is, and how to try again. */
interface Unsaved {
  readonly entry: Entry
  readonly save: Effect.Effect<unknown, TokenStoreError>
}

/**
 * Holds the grant of an endpoint for as long as the scope lives; closing it waits for a refresh that is under way, because
 * its answer may be the only copy of the next refresh token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<HeldGrant, never, GuardedHttp.GuardedHttp | TokenStore.TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* GuardedHttp.GuardedHttp
    const scope = yield* Effect.scope
    const store = yield* TokenStore.TokenStore
    const backOff = yield* BackOff.make
    const refusals = yield* BackOff.makeRefusals
    const lease = yield* GrantRefresh.makeLease
    const margin = Duration.toMillis(options.refreshMargin ?? "30 seconds")
    const stored = Effect.provideService(TokenStore.TokenStore, store)

    let held: { readonly grant: StoredGrant.StoredGrant; readonly dueAt: number } | undefined
    // The answer of a server is not asked for twice: a store that fails gets it later.
    let unsaved: Unsaved | undefined

    const hold = (grant: StoredGrant.StoredGrant) =>
      Effect.map(BackOff.jitter, (jitter) => {
        const { expiresAt = Number.POSITIVE_INFINITY } = grant.accessToken
        const dueAt =
          held !== undefined && AccessToken.isSame(held.grant.accessToken, grant.accessToken)
            ? held.dueAt
            : expiresAt - jitter * Math.min(margin, (expiresAt - grant.issuedAt) / 4)
        held = { grant, dueAt }
      })

    const save = (kept: Unsaved) =>
      Effect.tap(kept.save, () =>
        Effect.sync(() => {
          if (unsaved === kept) unsaved = undefined
        })
      )

    const saveAny = Effect.suspend(() => (unsaved === undefined ? Effect.void : save(unsaved)))

    const postpone = (next: Unsaved, error: TokenStoreError) =>
      Effect.suspend(() => {
        const isTried = unsaved !== undefined
        unsaved = next
        return Effect.zipRight(
          Effect.logWarning(`A grant could not be stored, and is kept in memory: ${error.message}`),
          isTried ? Effect.void : Effect.forkIn(Effect.interruptible(Effect.retry(saveAny, untilSaved)), scope)
        )
      })

    const find = stored(StoredGrant.find(options))

    const read = Effect.suspend(() => {
      const kept = unsaved
      return kept === undefined
        ? find
        : Effect.zipRight(save(kept), find).pipe(Effect.catchAll(() => Effect.succeedSome(kept.entry)))
    })

    const reload = Effect.flatMap(
      read,
      Option.match({
        onNone: () =>
          Effect.sync(() => {
            held = undefined
            return Option.none<StoredGrant.StoredGrant>()
          }),
        onSome: ({ value }) => Effect.as(hold(value), Option.some(value))
      })
    )

    const keyOf = (grant: StoredGrant.StoredGrant) => StoredGrant.key(grant, options.user)

    const write: GrantRefresh.Record["write"] = ({ value, version }, next) =>
      Effect.flatMap(keyOf(value), (key) =>
        stored(StoredGrant.grants.write(key, { expected: Option.some(version), value: next }))
      )

    /** An answer comes once: it stands, unless there is a newer one or the grant was given up, whoever has marked it. */
    const insist = (entry: Entry, next: StoredGrant.StoredGrant): Effect.Effect<boolean, TokenStoreError> =>
      Effect.flatMap(write(entry, Option.some(next)), (isWritten) =>
        isWritten
          ? Effect.succeed(true)
          : Effect.flatMap(find, (found) =>
              Option.isSome(found) && AccessToken.isSame(found.value.value.accessToken, entry.value.accessToken)
                ? insist(found.value, next)
                : Effect.succeed(false)
            )
      )

    const record: GrantRefresh.Record = {
      read,
      write,
      keep: (entry, next) => {
        const saved = insist(entry, next)
        return Effect.catchAll(saved, (error) =>
          Effect.as(postpone({ entry: { value: next, version: entry.version }, save: saved }, error), true)
        )
      },
      lease: (grant) => Effect.flatMap(keyOf(grant), (key) => lease(store, `${key}/refresh`))
    }

    yield* Effect.addFinalizer(() => Effect.ignore(saveAny))
    // Ended before what comes above: a refresh that is under way is waited for, and what it brings is stored.
    const flights = yield* SingleFlight.keyed<StoredGrant.StoredGrant, GrantRefresh.RefreshError>({
      abandoned: "Finish"
    })

    const refresh = (grant: StoredGrant.StoredGrant) => {
      const run = GrantRefresh.refresh(options, record, grant).pipe(
        Effect.provideService(GuardedHttp.GuardedHttp, http),
        stored,
        backOff.guard,
        // The server is left alone for a while; what another process has brought from it is as good.
        Effect.catchTag("TokenUnavailable", (error) =>
          Effect.flatMap(Effect.zip(reload, Clock.currentTimeMillis), ([found, now]) =>
            Option.isSome(found) &&
            !AccessToken.isSame(found.value.accessToken, grant.accessToken) &&
            !AccessToken.isExpired(found.value.accessToken, now)
              ? Effect.as(backOff.reset, found.value)
              : Effect.fail(error)
          )
        ),
        Effect.tapBoth({
          onSuccess: hold,
          // It may have ended, and the store knows how.
          onFailure: (error) => (error._tag === "TokenRefused" ? Effect.ignore(reload) : Effect.void)
        })
      )
      const of = Redacted.value(grant.accessToken.value)
      return flights(of, refusals.guard(of, run))
    }

    const replace = (grant: StoredGrant.StoredGrant) =>
      Effect.suspend(() => {
        unsaved = undefined
        const saved = stored(StoredGrant.replace(options, grant))
        return Effect.zipRight(backOff.reset, hold(grant)).pipe(
          Effect.zipRight(saved),
          Effect.catchAll((error) => postpone({ entry: { value: grant, version: "" }, save: saved }, error))
        )
      })

    const remove = Effect.suspend(() => {
      held = undefined
      unsaved = undefined
      return Effect.zipRight(backOff.reset, stored(StoredGrant.remove(options)))
    })

    const surrender = <A, E>(last: (grant: StoredGrant.StoredGrant) => Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        const before = yield* read
        if (Option.isNone(before)) return yield* Effect.as(remove, Option.none<A>())
        // A refresh that is under way would bring a token that nobody revokes.
        yield* Effect.repeat(record.lease(before.value.value), {
          until: Option.isSome,
          schedule: GrantRefresh.lookAgain
        })
        const entry = Option.getOrElse(yield* read, () => before.value)
        return yield* Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.exit(restore(last(entry.value))), (exit) => Effect.zipRight(remove, exit))
        ).pipe(Effect.asSome)
      }).pipe(Effect.scoped)

    return {
      get: Effect.suspend(() =>
        held === undefined || options.readThrough === true ? reload : Effect.succeedSome(held.grant)
      ),
      reload,
      isDue: (grant, now) =>
        !backOff.isPaused(now) &&
        !refusals.isPaused(Redacted.value(grant.accessToken.value), now) &&
        now >= (held !== undefined && AccessToken.isSame(held.grant.accessToken, grant.accessToken) ? held.dueAt : 0),
      refresh,
      replace,
      surrender
    }
  })
