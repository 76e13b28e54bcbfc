/**
 * Tokens that begin with a person who signs in, however that is done: discovered, asked for, refreshed, asked for again
 * with more scopes, and given up.
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
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import { AccessRefused, AuthorizeUserError, type ClientError, fail, type TokenRefused } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as GrantRefresh from "./GrantRefresh.js"
import * as HeldGrant from "./HeldGrant.js"
import * as Refusal from "./Refusal.js"
import * as RenewalDecision from "./RenewalDecision.js"
import * as RenewalMetrics from "./RenewalMetrics.js"
import * as Revocation from "./Revocation.js"
import * as SignIn from "./SignIn.js"
import * as SignInRequired from "./SignInRequired.js"
import * as SignInTurn from "./SignInTurn.js"
import * as StepUpAttempts from "./StepUpAttempts.js"
import type { StoredGrant } from "./StoredGrant.js"
import * as TokenStore from "./TokenStore.js"

/**
 * The verbs of a source, and the one that ends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignInSource {
  readonly current: Effect.Effect<Option.Option<AccessToken.AccessToken>, ClientError>
  readonly renew: (
    refusal: Refusal.Refusal,
    used: Option.Option<AccessToken.AccessToken>
  ) => Effect.Effect<AccessToken.AccessToken, ClientError>
  readonly signOut: Effect.Effect<Revocation.SignedOut, ClientError>
}

/** How long a sign-in waits for the end of the grant before it, which another server issued. */
const patience = Duration.seconds(3)
const isForbidden = ({ reason }: AuthorizeUserError): boolean => reason === "PromptForbidden"

const isSame = Option.getEquivalence<StoredGrant>((left, right) =>
  AccessToken.isSame(left.accessToken, right.accessToken)
)

/**
 * The source for one endpoint. What is shared while it is under way: one renewal, one refresh, one prompt, however many
 * wait for it, and a caller that is interrupted harms no other; when the last one is, the prompt is withdrawn.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: SignIn.Options,
  way: SignIn.SignIn
): Effect.Effect<SignInSource, never, HttpClient.HttpClient | TokenStore.TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const { registration = {}, resource: endpoint } = options
    const { resourceMetadataUrl: metadataUrl = endpoint, reachOf = [endpoint, metadataUrl] } = options
    const http = yield* GuardedHttp.make({ configured: reachOf })
    const store = yield* TokenStore.TokenStore
    const scope = yield* Effect.scope
    const owner = { endpoint, user: options.user }
    const held = yield* Effect.provideService(
      HeldGrant.make({ ...options, endpoint, registration }),
      GuardedHttp.GuardedHttp,
      http
    )
    const flights = yield* SingleFlight.keyed<AccessToken.AccessToken, ClientError>({ abandoned: "Interrupt" })
    const turn = yield* Effect.makeSemaphore(1)
    const provided = <A, E>(effect: Effect.Effect<A, E, GuardedHttp.GuardedHttp | TokenStore.TokenStore>) =>
      effect.pipe(
        Effect.provideService(GuardedHttp.GuardedHttp, http),
        Effect.provideService(TokenStore.TokenStore, store)
      )
    let history = RenewalDecision.blank

    const stop = (
      refusal: Refusal.Refusal,
      used: Option.Option<AccessToken.AccessToken>,
      decision: Extract<RenewalDecision.RenewalDecision, { readonly _tag: "Stop" }>
    ) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        const { detail, reason } = decision
        const { status } = refusal
        if (Option.isSome(used)) history = { ...history, diagnosed: { token: used.value.value, status, at } }
        const scopes = Refusal.scopes(refusal)
        const rule = "MCP authorization, step-up: a few attempts, then a failure"
        const url = GuardedHttp.displayUrl(refusal.url)
        return fail((trace) => new AccessRefused({ url, status, reason, scopes, detail, rule, trace }))
      })

    const refresh = (grant: StoredGrant) =>
      Effect.map(held.refresh(grant), ({ accessToken, requestedScopes: requested }) => {
        history = { ...history, last: { token: accessToken.value, by: "Refresh", requested } }
        return accessToken
      })

    const revoke = (grant: StoredGrant) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const { accessToken: access, refreshToken, revocationEndpoint: endpoint } = grant
        const accessToken = AccessToken.isExpired(access, now) ? undefined : access.value
        const client = yield* ClientRegistration.recall(registration, grant)
        if (Option.isNone(client)) return Revocation.unknownClient(grant.issuer, refreshToken, accessToken)
        const revoked = yield* Revocation.revokeAll({ endpoint, client: client.value, refreshToken, accessToken })
        return { issuer: Option.some(grant.issuer), ...revoked }
      }).pipe(provided)

    /**
     * Ends a grant whose place another one has taken, at the server that it is from. At the server of the new one it is left
     * alone, because there revoking it may take the new one along.
     */
    const supersede = (before: Option.Option<StoredGrant>, issuer: string) =>
      Option.match(
        Option.filter(before, (grant) => grant.issuer !== issuer),
        {
          onNone: () => Effect.void,
          onSome: (grant) =>
            DiscoveryTrace.decide(`give up the grant of ${grant.issuer}`, `the resource has gone on to ${issuer}`).pipe(
              Effect.zipRight(revoke(grant)),
              Effect.timeout(patience),
              Effect.ignoreLogged
            )
        }
      )

    const signIn = (found: SignIn.Found, refusal: Refusal.Refusal, before: Option.Option<StoredGrant>) =>
      Effect.gen(function* () {
        const demand = SignIn.demandOf(refusal)
        const ask = yield* Effect.catchIf(way.ready, isForbidden, () =>
          fail((trace) => SignInRequired.make(endpoint, refusal, Option.isSome(found.live), trace))
        )
        const request = yield* SignIn.request(options, way, found, demand)
        const operation = refusal.status === 403 ? demand.scopes : undefined
        if (operation !== undefined) {
          const stepUps = StepUpAttempts.begin(history.stepUps, operation, yield* Clock.currentTimeMillis)
          history = { ...history, stepUps }
        }
        // Once the person has said yes, the answer goes into the store.
        const answered = yield* ask(request)
        const grant = yield* GrantRefresh.undisturbed(Effect.tap(answered.grant, held.replace))
        yield* supersede(before, grant.issuer)
        const { accessToken, issuedAt, requestedScopes: requested } = grant
        history = {
          ...history,
          last: { token: accessToken.value, by: "SignIn", requested },
          signIns: refusal.status === 401 ? [...history.signIns.slice(-9), issuedAt] : history.signIns,
          stepUps: StepUpAttempts.conclude(history.stepUps, operation, accessToken.scopes)
        }
        return accessToken
      }).pipe(Effect.scoped, provided)

    const renew = (
      refusal: Refusal.Refusal,
      used: Option.Option<AccessToken.AccessToken>
    ): Effect.Effect<AccessToken.AccessToken, ClientError> =>
      Effect.gen(function* () {
        const stored = yield* held.reload
        const now = yield* Clock.currentTimeMillis
        const decision = RenewalDecision.decide({ refusal, used, stored, history, now })
        if (decision._tag === "Use") return decision.token
        if (decision._tag === "Stop") return yield* stop(refusal, used, decision)
        const found = yield* SignIn.find(options, way, SignIn.demandOf(refusal), stored).pipe(provided)
        const { live, metadata } = found
        let ended: TokenRefused | undefined
        if (Option.isSome(live) && (decision._tag === "Refresh" || live.value.ended !== undefined)) {
          const refreshing = decision._tag === "Refresh" ? refresh(live.value) : GrantRefresh.ended(live.value)
          const refreshed = yield* Effect.either<AccessToken.AccessToken, GrantRefresh.RefreshError, never>(refreshing)
          if (refreshed._tag === "Right") return refreshed.right
          const error = refreshed.left
          if (
            error._tag !== "TokenRefused" ||
            (error.error === "invalid_client" && ClientRegistration.isConfigured(registration, live.value))
          ) {
            return yield* Effect.fail(error)
          }
          ended = error
          yield* DiscoveryTrace.decide("sign in again", error.detail)
        }
        if (refusal.status === 403 && Option.isSome(used) && Refusal.scopes(refusal).length === 0) {
          const known = options.scopes ?? metadata.scopes_supported ?? []
          if (Scopes.missing(known, used.value.scopes).length === 0) {
            const detail = "the challenge names no scope, and the token has every scope that is known"
            return yield* stop(refusal, used, { _tag: "Stop", reason: "ScopesAlreadyGranted", detail })
          }
        }
        const prompt = Effect.mapError(signIn(found, refusal, stored), (error) => {
          if (ended === undefined) return error
          if (error._tag === "SignInRequired") return new SignInRequired.SignInRequired({ ...error, cause: ended })
          return error._tag === "AuthorizeUserError" && error.cause === undefined
            ? new AuthorizeUserError({ ...error, cause: ended })
            : error
        })
        const before = yield* held.get
        const isDone = Effect.map(held.reload, (now) => !isSame(before, now))
        // Who may not ask waits for nobody who does.
        const mayAsk = yield* way.mayAsk ?? Effect.succeed(true)
        const asked = mayAsk ? SignInTurn.ask(owner, { isDone, prompt }).pipe(provided) : Effect.asSome(prompt)
        const token = yield* asked
        return Option.isSome(token) ? token.value : yield* renew(refusal, used)
      })

    /** One run for all who come with the same need, recorded and counted once. */
    const shared = (
      cause: RenewalMetrics.Cause,
      need: ReadonlyArray<string>,
      run: Effect.Effect<AccessToken.AccessToken, ClientError>
    ) =>
      flights(JSON.stringify([cause, ...need]), DiscoveryTrace.collect(() => run).pipe(RenewalMetrics.observe(cause)))

    const current = Effect.gen(function* () {
      const found = yield* held.get
      if (Option.isNone(found)) return Option.none()
      const { accessToken, refreshToken } = found.value
      const now = yield* Clock.currentTimeMillis
      const refreshed = shared("expiry", [Redacted.value(accessToken.value)], refresh(found.value))
      if (!AccessToken.isExpired(accessToken, now)) {
        if (refreshToken === undefined || !held.isDue(found.value, now)) return Option.some(accessToken)
        // It serves while it lives, and nobody waits for the next one.
        yield* Effect.forkIn(RenewalMetrics.ahead(refreshed), scope)
        return Option.some(accessToken)
      }
      // An expired token is not sent: the refusal of a request without one starts the renewal just as well.
      if (refreshToken === undefined) return Option.none()
      return yield* Effect.catchTag(Effect.asSome(refreshed), "TokenRefused", () => Effect.succeedNone)
    })

    const signOut = Effect.map(held.surrender(revoke), (signedOut) => {
      history = RenewalDecision.blank
      return Option.getOrElse(signedOut, () => Revocation.nobody)
    })

    return {
      current,
      signOut: DiscoveryTrace.collect(() => signOut),
      renew: (refusal, used) =>
        Effect.gen(function* () {
          const stored = yield* held.get
          const now = yield* Clock.currentTimeMillis
          const decision = RenewalDecision.decide({ refusal, used, stored, history, now })
          if (decision._tag === "Use") return decision.token
          const cause = refusal.status === 401 ? "unauthorized" : "insufficient_scope"
          const token = Option.toArray(used).map(({ value }) => Redacted.value(value))
          // One after the other: what the first obtains may be what the second needs.
          const run = turn.withPermits(1)(renew(refusal, used))
          const stronger = JSON.stringify(Refusal.authentication(refusal) ?? {})
          return yield* shared(cause, [Scopes.render(Refusal.scopes(refusal)), stronger, ...token], run)
        })
    }
  })
