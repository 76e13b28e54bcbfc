/**
 * One refresh of a grant among all fibers and processes that share its store, and what is left of it when one of them dies
 * on the way.
 *
 * Two things keep it to one. A lease says whose turn it is, for a little longer than a request can take. And before the
 * request the record is marked, by compare-and-swap: each version of it is presented to the server at most once, even where
 * a lease has run out too early. The mark is taken away together with the refresh token that the answer replaces. One that
 * is found there under a lease of one's own was left by somebody who never got the answer, and the refresh token may have
 * been spent: it is tried once more, and if the server refuses it the failure says just that.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { FetchLimits } from "../discovery/FetchLimits.js"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import { fail, type RegistrationFailed, TokenRefused, type TokenStoreError, TokenUnavailable } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as ServerProfile from "./ServerProfile.js"
import * as StoredGrant from "./StoredGrant.js"
import * as TokenEndpoint from "./TokenEndpoint.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What a refresh fails with: `TokenRefused` is terminal, the rest keeps everything.
 *
 * @since 0.1.0
 * @category models
 */
export type RefreshError = TokenRefused | TokenUnavailable | RegistrationFailed | TokenStoreError

type Entry = TokenStore.Entry<StoredGrant.StoredGrant>

/**
 * The record of a grant.
 *
 * - `read`: as it is stored, by whichever process
 * - `write`: replaces or removes what was read; `false` where somebody was faster
 * - `keep`: the same for the answer of a server, which comes only once: what cannot be written is kept in memory, and
 *   `false` is the answer only where somebody has renewed or removed the grant
 * - `lease`: the right to refresh it, or to give it up, and until when a request may be made by it, in milliseconds since
 *   the epoch: later its answer might come when somebody else has the right
 *
 * @since 0.1.0
 * @category models
 */
export interface Record {
  readonly read: Effect.Effect<Option.Option<Entry>, TokenStoreError>
  readonly write: (
    entry: Entry,
    next: Option.Option<StoredGrant.StoredGrant>
  ) => Effect.Effect<boolean, TokenStoreError>
  readonly keep: (entry: Entry, next: StoredGrant.StoredGrant) => Effect.Effect<boolean>
  readonly lease: (grant: StoredGrant.StoredGrant) => Effect.Effect<Option.Option<number>, TokenStoreError, Scope.Scope>
}

/**
 * Leases for requests. They are longer than one can take, so that nobody presents a refresh token while the answer to it
 * may still come, and not much longer, because nobody can before the lease of a process that died is over. What it gives is
 * until when a request may be made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLease: Effect.Effect<
  (store: TokenStore.VersionedStore, key: string) => Effect.Effect<Option.Option<number>, TokenStoreError, Scope.Scope>
> = Effect.map(
  FetchLimits,
  ({ timeout }) =>
    (store, key) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const lease = yield* store.lease(key, Duration.times(timeout, 1.5))
        return Option.as(lease, now + Duration.toMillis(timeout) / 2)
      })
)

/**
 * When to look again where somebody else has the lease: often, then four times a second.
 *
 * @since 0.1.0
 * @category constants
 */
export const lookAgain = Schedule.exponential("25 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.intersect(Schedule.recurUpTo("1 minute"))
)

/** Somebody else has the lease, or was faster: look again. */
class Again extends Data.TaggedError("Again") {}

const rule = "OAuth 2.1 section 4.3"

const refused = (grant: StoredGrant.StoredGrant, error: string, detail: string, answerLostAt?: number) =>
  fail(
    (trace) =>
      new TokenRefused({
        issuer: grant.issuer,
        grant: "RefreshToken",
        error,
        status: 400,
        detail,
        rule,
        trace,
        ...(answerLostAt === undefined ? {} : { answerLostAt })
      })
  )

const removed = (grant: StoredGrant.StoredGrant) =>
  refused(grant, "invalid_grant", "the grant was removed from the store")

const lostSince = (at: number): string =>
  `no answer ever came to the refresh of ${new Date(at).toISOString()}, and the server may have replaced the refresh token in it`

/**
 * Fails with why a grant has no refresh token: there never was one, or the server has refused it.
 *
 * @since 0.1.0
 * @category errors
 */
export const ended = (grant: StoredGrant.StoredGrant): Effect.Effect<never, TokenRefused> => {
  if (grant.ended === undefined) return refused(grant, "invalid_grant", "there is no refresh token")
  const { answerLostAt, at, error } = grant.ended
  const detail = `${grant.issuer} refused the refresh token at ${new Date(at).toISOString()}: ${error}`
  return answerLostAt === undefined
    ? refused(grant, error, detail)
    : refused(grant, error, `${detail}; ${lostSince(answerLostAt)}`, answerLostAt)
}

/**
 * As whom, and how, to speak with the issuer of a grant.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly registration: ClientRegistration.Options
  readonly serverProfiles: ServerProfile.ServerProfiles | undefined
}

/** A process that was suspended, or has a slow store, may have lost its lease without noticing. */
const inTime = (until: number): Effect.Effect<void, Again> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => (now < until ? Effect.void : new Again()))

/** Asks the server. A registration that is dead takes its grant along; one `invalid_client` is no proof of it, two are. */
const ask = (
  { registration, serverProfiles }: Options,
  record: Record,
  marked: Entry,
  refreshToken: Redacted.Redacted<string>,
  until: number
) =>
  Effect.gen(function* () {
    const { value: grant } = marked
    const client = yield* ClientRegistration.recall(registration, grant)
    if (Option.isNone(client)) {
      return yield* refused(grant, "invalid_client", `the registration at ${grant.issuer} is not known any more`)
    }
    const profile = ServerProfile.of(serverProfiles, grant.issuer)
    const scopes = ServerProfile.refreshScopes(profile, grant.accessToken.scopes, grant.requestedScopes)
    const request = Effect.zipRight(
      inTime(until),
      TokenEndpoint.request({
        endpoint: grant.tokenEndpoint,
        client: client.value,
        profile,
        granted: grant.accessToken.scopes,
        grant: TokenEndpoint.Grant.RefreshToken({ refreshToken, resource: grant.resource, scopes })
      })
    )
    return yield* Effect.tapError(ClientRegistration.confirmed(request, client.value), (error) =>
      ClientRegistration.isInvalidClient(error) && client.value._tag === "Dynamic"
        ? record.write(marked, Option.none())
        : Effect.void
    )
  })

/** The winner's grant where somebody was faster. */
const unlessRenewed = <E>(
  record: Record,
  before: StoredGrant.StoredGrant,
  orElse: Effect.Effect<StoredGrant.StoredGrant, E>
): Effect.Effect<StoredGrant.StoredGrant, E | TokenStoreError> =>
  Effect.flatMap(record.read, (entry) =>
    Option.isSome(entry) && !AccessToken.isSame(entry.value.value.accessToken, before.accessToken)
      ? Effect.succeed(entry.value.value)
      : orElse
  )

/** What a failure means for the record that was marked. */
const conclude = (record: Record, marked: Entry, before: StoredGrant.StoredGrant, error: RefreshError | Again) =>
  Effect.gen(function* () {
    // Whether the server has acted on it nobody knows: the mark stays.
    if (error._tag === "TokenUnavailable") return yield* Effect.fail(error)
    if (error._tag !== "TokenRefused" || error.error !== "invalid_grant") {
      yield* Effect.ignore(record.write(marked, Option.some(before)))
      return yield* Effect.fail(error)
    }
    const { refreshing, refreshToken: _, ...rest } = before
    const answerLostAt = refreshing?.since
    const at = yield* Clock.currentTimeMillis
    const end = answerLostAt === undefined ? { error: error.error, at } : { error: error.error, at, answerLostAt }
    const failure =
      answerLostAt === undefined
        ? error
        : new TokenRefused({ ...error, answerLostAt, detail: `${error.detail}; ${lostSince(answerLostAt)}` })
    yield* Effect.logWarning(`The grant has ended: ${failure.detail}`)
    // The access token may serve until it expires; the refresh token never will again.
    const kept = yield* record.keep(marked, { ...rest, ended: end })
    return yield* kept ? Effect.fail(failure) : unlessRenewed(record, before, Effect.fail(failure))
  })

const exchange = (options: Options, record: Record, entry: Entry, until: number) =>
  Effect.gen(function* () {
    const { value: before } = entry
    if (before.refreshToken === undefined) return yield* ended(before)
    const now = yield* Clock.currentTimeMillis
    const by = yield* Effect.sync(() => crypto.randomUUID())
    const refreshing = { since: before.refreshing?.since ?? now, by }
    yield* record.write(entry, Option.some({ ...before, refreshing }))
    const found = yield* record.read
    if (Option.isNone(found) || found.value.value.refreshing?.by !== by) return yield* new Again()
    const { value: marked } = found
    const issued = yield* Effect.either(ask(options, record, marked, before.refreshToken, until))
    if (issued._tag === "Left") return yield* conclude(record, marked, before, issued.left)
    const next = yield* StoredGrant.renewed(before, issued.right)
    if (!(yield* record.keep(marked, next))) return yield* unlessRenewed(record, before, removed(next))
    const { lostScopes = [] } = next.accessToken
    if (lostScopes.length > 0) {
      yield* Effect.logWarning(`A refresh has not brought back the scopes ${Scopes.render(lostScopes)}`)
    }
    return next
  })

/**
 * Does something on a fiber of its own, which nothing interrupts: not even the end of the program, which waits for it.
 *
 * @internal
 */
export const undisturbed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(Effect.flatMap(Effect.forkDaemon(effect), Fiber.join))

/**
 * Refreshes a grant, or gives what somebody else has made of it by now: whoever gets the lease asks, the others look again
 * until the winner's token is there. Once the request is made nothing interrupts it, until the answer is in the store.
 *
 * Fails with `TokenRefused` where the grant has ended, with `TokenUnavailable` where the server is out of order or another
 * process does not finish, and with `TokenStoreError` where the record cannot be marked: no refresh token is spent where
 * the next one cannot be kept.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refresh = (
  options: Options,
  record: Record,
  grant: StoredGrant.StoredGrant
): Effect.Effect<StoredGrant.StoredGrant, RefreshError, GuardedHttp.GuardedHttp | TokenStore.TokenStore> =>
  Effect.suspend(() => {
    let leased = grant
    return Effect.gen(function* () {
      const lease = yield* record.lease(leased)
      const entry = yield* record.read
      if (Option.isNone(entry)) return yield* removed(grant)
      const { value: current } = entry.value
      const isOther = !AccessToken.isSame(current.accessToken, grant.accessToken)
      if (isOther && !AccessToken.isExpired(current.accessToken, yield* Clock.currentTimeMillis)) return current
      const isElsewhere = !StoredGrant.isSamePlace(current, leased)
      leased = current
      if (Option.isNone(lease) || isElsewhere) return yield* new Again()
      return yield* undisturbed(exchange(options, record, entry.value, lease.value))
    }).pipe(
      Effect.scoped,
      Effect.retry({ while: (error) => error._tag === "Again", schedule: lookAgain }),
      Effect.catchTag("Again", () => {
        const detail = "another process has the refresh of this grant and does not finish it, or the store is slow"
        return fail((trace) => new TokenUnavailable({ step: "Token", rule: "one refresh per grant", detail, trace }))
      })
    )
  })
