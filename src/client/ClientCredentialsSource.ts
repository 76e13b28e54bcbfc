/**
 * Tokens that a client obtains for itself, without a person (OAuth 2.1 §4.2).
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import type * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import * as BackOff from "./BackOff.js"
import { AccessRefused, type ClientError, fail } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as Refusal from "./Refusal.js"
import * as RenewalMetrics from "./RenewalMetrics.js"
import * as Revocation from "./Revocation.js"
import * as ServerDiscovery from "./ServerDiscovery.js"
import * as ServerProfile from "./ServerProfile.js"
import * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * The URL of the MCP endpoint, the credentials by issuer, and what else there is to say; see the options of the
 * authorization code source.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly resource: string
  readonly resourceMetadataUrl?: string | undefined
  readonly credentials: NonNullable<ClientRegistration.Options["preRegistered"]>
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly resourcePolicy?: ProtectedResourceMetadata.ResourcePolicy | undefined
  readonly selectAuthorizationServer?: ServerDiscovery.SelectAuthorizationServer | undefined
  readonly serverProfiles?: ServerProfile.ServerProfiles | undefined
  readonly refreshMargin?: Duration.DurationInput | undefined
}

interface Held {
  readonly token: AccessToken.AccessToken
  readonly client: ClientRegistration.ClientRegistration
  readonly profile: ServerProfile.ServerProfile
  readonly tokenEndpoint: string
  readonly revocationEndpoint: string | undefined
  readonly resource: string
  readonly requested: ReadonlyArray<string>
  readonly dueAt: number
}

const stopped = (
  refusal: Refusal.Refusal,
  reason: "TokenNotAccepted" | "ScopesAlreadyGranted" | "ScopesNotGranted",
  detail: string
) => {
  const rule = "MCP authorization, step-up: a few attempts, then a failure"
  const scopes = Refusal.scopes(refusal)
  const url = GuardedHttp.displayUrl(refusal.url)
  return fail((trace) => new AccessRefused({ url, status: refusal.status, reason, scopes, detail, rule, trace }))
}

/**
 * The source for one endpoint. There is nothing to refresh: a token that is about to expire is replaced by a new one, and
 * one that is refused too, once per request.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<
  {
    readonly current: Effect.Effect<Option.Option<AccessToken.AccessToken>, ClientError>
    readonly renew: (
      refusal: Refusal.Refusal,
      used: Option.Option<AccessToken.AccessToken>
    ) => Effect.Effect<AccessToken.AccessToken, ClientError>
    readonly signOut: Effect.Effect<Revocation.SignedOut>
  },
  never,
  HttpClient.HttpClient | Scope.Scope
> =>
  Effect.gen(function* () {
    const { resource: endpoint, selectAuthorizationServer = ServerDiscovery.liveFirst } = options
    const { resourceMetadataUrl: metadataUrl } = options
    const http = yield* GuardedHttp.make({
      configured: [endpoint, ...(metadataUrl === undefined ? [] : [metadataUrl])]
    })
    const flights = yield* SingleFlight.keyed<AccessToken.AccessToken, ClientError>({ abandoned: "Interrupt" })
    const turn = yield* Effect.makeSemaphore(1)
    const scope = yield* Effect.scope
    const backOff = yield* BackOff.make
    const margin = Duration.toMillis(options.refreshMargin ?? "30 seconds")
    let held: Held | undefined

    const ask = (target: Omit<Held, "token" | "dueAt">) =>
      Effect.gen(function* () {
        const asked = yield* Clock.currentTimeMillis
        const { accessToken: token } = yield* TokenEndpoint.request({
          endpoint: target.tokenEndpoint,
          client: target.client,
          profile: target.profile,
          grant: TokenEndpoint.Grant.ClientCredentials({ resource: target.resource, scopes: target.requested })
        })
        const { expiresAt = Number.POSITIVE_INFINITY } = token
        const jitter = yield* BackOff.jitter
        held = { ...target, token, dueAt: expiresAt - jitter * Math.min(margin, (expiresAt - asked) / 4) }
        return token
      }).pipe(Effect.provideService(GuardedHttp.GuardedHttp, http), backOff.guard)

    const discover = (refusal: Refusal.Refusal) =>
      Effect.gen(function* () {
        const challengeUrl = Refusal.metadataUrl(refusal)
        const { resourcePolicy: policy } = options
        const metadata = yield* ServerDiscovery.resource({ endpoint, challengeUrl, metadataUrl, policy })
        const issuers = selectAuthorizationServer(metadata.authorization_servers, held?.client.issuer)
        const need = { grant: "client_credentials", profiles: options.serverProfiles } as const
        const server = yield* ServerDiscovery.authorizationServer(GuardedHttp.displayUrl(endpoint), issuers, need)
        const registration = yield* ClientRegistration.configured(
          { preRegistered: options.credentials, dynamic: false },
          server.metadata
        )
        const challenged = Refusal.scopes(refusal)
        const chosen = challenged.length > 0 ? challenged : (options.scopes ?? metadata.scopes_supported ?? [])
        const wanted = Scopes.union(held?.requested ?? [], options.scopes ?? [], chosen.filter(Scopes.isScopeToken))
        return {
          client: registration,
          profile: server.profile,
          tokenEndpoint: server.tokenEndpoint,
          revocationEndpoint: server.metadata.revocation_endpoint,
          resource: metadata.resource,
          requested: ServerProfile.combine(server.profile, wanted)
        }
      }).pipe(Effect.provideService(GuardedHttp.GuardedHttp, http))

    const renew = (refusal: Refusal.Refusal, used: Option.Option<AccessToken.AccessToken>) =>
      Effect.gen(function* () {
        const { profile = ServerProfile.standard } = held ?? {}
        const challenged = ServerProfile.shorten(profile, Refusal.scopes(refusal))
        const now = yield* Clock.currentTimeMillis
        const mine = Option.filter(
          used,
          ({ value }) => held !== undefined && Redacted.value(value) === Redacted.value(held.token.value)
        )
        if (held !== undefined && Option.isNone(mine) && !AccessToken.isExpired(held.token, now)) {
          // Somebody else was faster, and their token may do.
          if (refusal.status === 401 || Scopes.missing(challenged, held.token.scopes).length === 0) return held.token
        }
        if (held !== undefined && Option.isSome(mine)) {
          if (refusal.status === 403 && Scopes.missing(challenged, held.token.scopes).length === 0) {
            return yield* stopped(refusal, "ScopesAlreadyGranted", "the token has every scope that is asked for")
          }
          const again = (refusal.renewals ?? 0) > 0
          if (again && refusal.status === 401) {
            return yield* stopped(refusal, "TokenNotAccepted", "a token fresh from the authorization server is refused")
          }
          const more = ServerProfile.combine(profile, [...held.requested, ...challenged])
          if (again && refusal.status === 403 && Scopes.missing(more, held.requested).length === 0) {
            return yield* stopped(
              refusal,
              "ScopesNotGranted",
              "the authorization server does not grant what is asked for"
            )
          }
        }
        return yield* ask(yield* discover(refusal))
      })

    const shared = (
      cause: RenewalMetrics.Cause,
      need: ReadonlyArray<string>,
      run: Effect.Effect<AccessToken.AccessToken, ClientError>
    ) =>
      flights(
        JSON.stringify([cause, ...need]),
        DiscoveryTrace.collect(() => turn.withPermits(1)(run)).pipe(RenewalMetrics.observe(cause))
      )

    const current: Effect.Effect<Option.Option<AccessToken.AccessToken>, ClientError> = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (held === undefined) return Option.none()
      const { dueAt, token } = held
      const renewed = shared("expiry", [Redacted.value(token.value)], ask(held))
      if (AccessToken.isExpired(token, now)) return yield* Effect.asSome(renewed)
      // It serves while it lives, and nobody waits for the next one.
      if (now >= dueAt && !backOff.isPaused(now)) yield* Effect.forkIn(RenewalMetrics.ahead(renewed), scope)
      return Option.some(token)
    })

    const signOut = Effect.gen(function* () {
      if (held === undefined) return Revocation.nobody
      const { client: registration, revocationEndpoint: endpoint, token } = held
      held = undefined
      const now = yield* Clock.currentTimeMillis
      const accessToken = AccessToken.isExpired(token, now) ? undefined : token.value
      const revoked = Revocation.revokeAll({ endpoint, client: registration, refreshToken: undefined, accessToken })
      return { issuer: Option.some(registration.issuer), ...(yield* revoked) }
    }).pipe(Effect.provideService(GuardedHttp.GuardedHttp, http))

    return {
      current,
      signOut,
      renew: (refusal, used) =>
        shared(
          refusal.status === 401 ? "unauthorized" : "insufficient_scope",
          [Scopes.render(Refusal.scopes(refusal)), ...Option.toArray(used).map(({ value }) => Redacted.value(value))],
          renew(refusal, used)
        )
    }
  })
