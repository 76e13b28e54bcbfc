/**
 * A grant as one process holds it: read from the store, refreshed by one at a time, never lost to a failure that passes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as Scopes from "../protocol/Scopes.js"
import { fail, type RegistrationFailed, TokenRefused, type TokenStoreError, TokenUnavailable } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as StoredGrant from "./StoredGrant.js"
import * as TokenEndpoint from "./TokenEndpoint.js"
import * as TokenStore from "./TokenStore.js"

/**
 * Whose grant is held. `refreshMargin` is how long before its expiry a token is refreshed, 30 seconds by default and never
 * more than a quarter of its life. With `readThrough`, every `get` is a `reload`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly endpoint: string
  readonly user?: string | undefined
  readonly registration: ClientRegistration.Options
  readonly refreshMargin?: Duration.DurationInput | undefined
  readonly readThrough?: boolean | undefined
}

/**
 * What {@link HeldGrant.refresh} fails with: `TokenRefused` is terminal, the rest keeps everything.
 *
 * @since 0.1.0
 * @category models
 */
export type RefreshError = TokenRefused | TokenUnavailable | RegistrationFailed | TokenStoreError

/**
 * - `get`: what this process has, else what the store has
 * - `reload`: what the store has, by whichever process
 * - `isDue`: whether the token should be refreshed ahead of its expiry, by a jitter drawn once per token
 * - `refresh`: one request however many ask, in this process by waiting for it, in others by a lease; who comes second
 *   gets the winner's token
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
  readonly refresh: (grant: StoredGrant.StoredGrant) => Effect.Effect<StoredGrant.StoredGrant, RefreshError>
  readonly replace: (grant: StoredGrant.StoredGrant) => Effect.Effect<void, TokenStoreError>
  readonly surrender: <A, E>(
    last: (grant: StoredGrant.StoredGrant) => Effect.Effect<A, E>
  ) => Effect.Effect<Option.Option<A>, E | TokenStoreError>
}

const isInvalidClient = (error: { readonly _tag: string; readonly error?: string | undefined }): boolean =>
  error._tag === "TokenRefused" && error.error === "invalid_client"

/** Longer than a token request can take, so that no second one starts while the first may still arrive. */
const leaseDuration = Duration.seconds(30)

/** Somebody else has the lease. */
class Waiting extends Data.TaggedError("Waiting") {}

const lookAgain = Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(600))

const sameToken = (left: StoredGrant.StoredGrant, right: StoredGrant.StoredGrant): boolean =>
  Redacted.value(left.accessToken.value) === Redacted.value(right.accessToken.value)

const refused = (grant: StoredGrant.StoredGrant, error: string, detail: string) =>
  fail(
    (trace) =>
      new TokenRefused({
        issuer: grant.issuer,
        grant: "RefreshToken",
        error,
        status: 400,
        detail,
        rule: "OAuth 2.1 section 4.3",
        trace
      })
  )

/**
 * Holds the grant of an endpoint for as long as the scope lives; closing it waits for a refresh that is under way,
 * because its answer may be the only copy of the next refresh token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<HeldGrant, never, GuardedHttp.GuardedHttp | TokenStore.TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* GuardedHttp.GuardedHttp
    const store = yield* TokenStore.TokenStore
    const flights = yield* SingleFlight.keyed<StoredGrant.StoredGrant, RefreshError>({ abandoned: "Finish" })
    const margin = Duration.toMillis(options.refreshMargin ?? "30 seconds")
    const keyOf = (grant: StoredGrant.StoredGrant) => StoredGrant.key(grant, options.user)
    const leaseKey = (grant: StoredGrant.StoredGrant) => `${keyOf(grant)}/refresh`
    const stored = Effect.provideService(TokenStore.TokenStore, store)

    let held: { readonly grant: StoredGrant.StoredGrant; readonly dueAt: number } | undefined
    // What could not be written, and the version that it was to replace: the answer of a server is not asked for twice.
    let unsaved: TokenStore.Entry<StoredGrant.StoredGrant> | undefined
    let pause: { readonly until: number; readonly failures: number; readonly error: TokenUnavailable } | undefined

    const hold = (grant: StoredGrant.StoredGrant): StoredGrant.StoredGrant => {
      if (held !== undefined && sameToken(held.grant, grant)) {
        held = { ...held, grant }
        return grant
      }
      const { expiresAt } = grant.accessToken
      // Drawn between half of the margin and all of it, so that processes that started together do not refresh together.
      const jitter = 0.5 + (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 33
      const dueAt =
        expiresAt === undefined
          ? Number.POSITIVE_INFINITY
          : expiresAt - jitter * Math.min(margin, (expiresAt - grant.issuedAt) / 4)
      held = { grant, dueAt }
      return grant
    }

    const read = Effect.map(
      stored(StoredGrant.find(options)),
      Option.map((entry) => (entry.version === unsaved?.version ? unsaved : entry))
    )

    const reload = Effect.map(read, (entry) => {
      if (Option.isNone(entry)) held = undefined
      return Option.map(entry, ({ value }) => hold(value))
    })

    /** Replaces or removes what was read; `false` where somebody was faster. */
    const write = (entry: TokenStore.Entry<StoredGrant.StoredGrant>, next: Option.Option<StoredGrant.StoredGrant>) =>
      stored(StoredGrant.grants.write(keyOf(entry.value), { expected: Option.some(entry.version), value: next }))

    const ask = (entry: TokenStore.Entry<StoredGrant.StoredGrant>, refreshToken: Redacted.Redacted<string>) =>
      Effect.gen(function* () {
        const { value: grant } = entry
        const registration = yield* stored(ClientRegistration.recall(options.registration, grant))
        if (Option.isNone(registration)) {
          return yield* refused(grant, "invalid_client", `the registration at ${grant.issuer} is not known any more`)
        }
        const request = TokenEndpoint.request({
          endpoint: grant.tokenEndpoint,
          client: registration.value,
          granted: grant.accessToken.scopes,
          grant: TokenEndpoint.Grant.RefreshToken({ refreshToken, resource: grant.resource })
        }).pipe(Effect.provideService(GuardedHttp.GuardedHttp, http))
        // One `invalid_client` is no proof. Two are, and a registration that is dead takes its grant along.
        const forget = Effect.zipRight(
          stored(ClientRegistration.forget(registration.value)),
          write(entry, Option.none())
        )
        return yield* Effect.catchIf(request, isInvalidClient, () =>
          Effect.tapError(request, (error) =>
            isInvalidClient(error) && registration.value._tag === "Dynamic" ? forget : Effect.void
          )
        )
      })

    const exchange = (entry: TokenStore.Entry<StoredGrant.StoredGrant>) =>
      Effect.gen(function* () {
        const { value: grant } = entry
        if (grant.refreshToken === undefined) return yield* refused(grant, "invalid_grant", "there is no refresh token")
        const issued = yield* Effect.tapErrorTag(ask(entry, grant.refreshToken), "TokenRefused", ({ error }) =>
          // The access token may serve until it expires; the refresh token never will again.
          error === "invalid_client"
            ? Effect.void
            : write(entry, Option.some(hold({ ...grant, refreshToken: undefined })))
        )
        const lost = Scopes.missing(grant.accessToken.scopes, issued.accessToken.scopes)
        if (lost.length > 0) yield* Effect.logWarning(`the refreshed token has lost the scopes ${Scopes.render(lost)}`)
        const next = hold({
          ...grant,
          accessToken: issued.accessToken,
          refreshToken: issued.refreshToken ?? grant.refreshToken,
          issuedAt: yield* Clock.currentTimeMillis
        })
        const written = yield* Effect.catchAll(write(entry, Option.some(next)), (error) => {
          unsaved = { value: next, version: entry.version }
          return Effect.as(
            Effect.logWarning("A refreshed grant could not be stored, and is kept in memory", error),
            true
          )
        })
        return written ? next : Option.getOrElse(yield* reload, () => next)
      })

    /** Whoever gets the lease asks; the others look again until the winner's token is there. */
    const attempt = (grant: StoredGrant.StoredGrant) =>
      Effect.gen(function* () {
        const lease = yield* store.lease(leaseKey(grant), leaseDuration)
        const entry = yield* read
        if (Option.isNone(entry)) return yield* refused(grant, "invalid_grant", "the grant was removed from the store")
        if (!sameToken(entry.value.value, grant)) return hold(entry.value.value)
        return Option.isNone(lease) ? yield* new Waiting() : yield* exchange(entry.value)
      }).pipe(
        Effect.scoped,
        Effect.retry({ while: (error) => error._tag === "Waiting", schedule: lookAgain }),
        Effect.catchTag("Waiting", () => {
          const detail = "another process has the refresh of this grant, and does not finish it"
          return fail((trace) => new TokenUnavailable({ step: "Token", rule: "one refresh per grant", detail, trace }))
        })
      )

    const remember = (error: TokenUnavailable) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const failures = (pause?.failures ?? 0) + 1
        const seconds = Math.max(Math.min(2 ** (failures - 1), 60), Math.min(error.retryAfter ?? 0, 300))
        pause = { until: now + seconds * 1000, failures, error }
      })

    const refresh = (grant: StoredGrant.StoredGrant) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (pause !== undefined && now < pause.until) {
          const { error, until } = pause
          return Effect.fail(new TokenUnavailable({ ...error, retryAfter: Math.ceil((until - now) / 1000) }))
        }
        const flight = attempt(grant).pipe(
          Effect.tapErrorTag("TokenUnavailable", remember),
          Effect.tap(() =>
            Effect.sync(() => {
              pause = undefined
            })
          )
        )
        return flights(Redacted.value(grant.accessToken.value), flight)
      })

    const replace = (grant: StoredGrant.StoredGrant) =>
      Effect.suspend(() => {
        hold(grant)
        pause = undefined
        unsaved = undefined
        return stored(StoredGrant.replace(options, grant))
      })

    const remove = Effect.suspend(() => {
      held = undefined
      pause = undefined
      unsaved = undefined
      return stored(StoredGrant.remove(options))
    })

    const surrender = <A, E>(last: (grant: StoredGrant.StoredGrant) => Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        const before = yield* read
        if (Option.isNone(before)) return yield* Effect.as(remove, Option.none<A>())
        // A refresh that is under way would bring a token that nobody revokes.
        yield* Effect.repeat(store.lease(leaseKey(before.value.value), leaseDuration), {
          until: Option.isSome,
          schedule: lookAgain
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
      isDue: (grant, now) => now >= (held !== undefined && sameToken(held.grant, grant) ? held.dueAt : 0),
      refresh,
      replace,
      surrender
    }
  })
