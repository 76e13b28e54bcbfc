/**
 * Tokens by the authorization code flow: discovered, registered for, asked of a person, refreshed, and asked for again
 * with more scopes.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import { displayUrl } from "../discovery/GuardedHttp.js"
import type * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import { insecureUrl } from "../protocol/Loopback.js"
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import * as AuthorizationCode from "./AuthorizationCode.js"
import * as AuthorizeUser from "./AuthorizeUser.js"
import { AccessRefused, AuthorizeUserError, type ClientError, fail } from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as HeldGrant from "./HeldGrant.js"
import * as Refusal from "./Refusal.js"
import * as RenewalDecision from "./RenewalDecision.js"
import * as RenewalMetrics from "./RenewalMetrics.js"
import * as ServerDiscovery from "./ServerDiscovery.js"
import type { StoredGrant } from "./StoredGrant.js"
import * as TokenStore from "./TokenStore.js"

/**
 * What there is to say. Only `resource`, the URL of the MCP endpoint, has no default.
 *
 * - `registration`: pre-registered credentials, a client ID metadata document, what to register with
 * - `scopes`: asked for where the challenge names none, and beside those that it names; by default what the resource's
 *   metadata lists
 * - `resourcePolicy`: which `resource` values are taken for this endpoint's, `covering` by default
 * - `selectAuthorizationServer`: the order in which to try those that the resource names
 * - `assumePkceAt`: issuers whose metadata forgets to say that they do PKCE
 * - `user`: keeps the grants of several people apart in one store
 * - `refreshMargin`: how long before its expiry a token is refreshed, 30 seconds by default
 * - `authorizationParameters`: further parameters of the authorization request, such as `prompt` or `login_hint`
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly resource: string
  readonly registration?: ClientRegistration.Options | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly resourcePolicy?: ProtectedResourceMetadata.ResourcePolicy | undefined
  readonly selectAuthorizationServer?: ServerDiscovery.SelectAuthorizationServer | undefined
  readonly assumePkceAt?: ReadonlyArray<string> | undefined
  readonly user?: string | undefined
  readonly refreshMargin?: Duration.DurationInput | undefined
  readonly authorizationParameters?: Readonly<Record<string, string>> | undefined
}

/** A person is asked by a program over a redirect that nobody else on the way can read. */
const checkedPrompt = (prompt: AuthorizeUser.Prompt): Effect.Effect<AuthorizeUser.Prompt, AuthorizeUserError> => {
  const broken = insecureUrl(prompt.redirectUri)
  return broken === undefined
    ? Effect.succeed(prompt)
    : Effect.fail(
        new AuthorizeUserError({
          reason: "Unsupported",
          detail: `the redirect URI ${broken}`,
          rule: "OAuth 2.1 section 2.3.1"
        })
      )
}

const withTrace = Effect.catchAll((error: AuthorizeUserError) =>
  fail((trace) => new AuthorizeUserError({ ...error, trace }))
)

/**
 * The source for one endpoint. What is shared while it is under way: one renewal, one refresh, one prompt, however many
 * wait for it, and a caller that is interrupted harms no other; when the last one is, the prompt is withdrawn.
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
  },
  never,
  HttpClient.HttpClient | AuthorizeUser.AuthorizeUser | TokenStore.TokenStore | Scope.Scope
> =>
  Effect.gen(function* () {
    const { registration = {}, resource: endpoint, selectAuthorizationServer = ServerDiscovery.liveFirst } = options
    const client = yield* HttpClient.HttpClient
    const store = yield* TokenStore.TokenStore
    const user = yield* AuthorizeUser.AuthorizeUser
    const held = yield* HeldGrant.make({ ...options, endpoint, registration })
    const flights = yield* SingleFlight.keyed<AccessToken.AccessToken, ClientError>({ abandoned: "Interrupt" })
    const turn = yield* Effect.makeSemaphore(1)
    const provided = <A, E>(effect: Effect.Effect<A, E, HttpClient.HttpClient | TokenStore.TokenStore>) =>
      effect.pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(TokenStore.TokenStore, store)
      )
    let history: RenewalDecision.History = { signIns: [] }

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
        const url = displayUrl(refusal.url)
        return fail((trace) => new AccessRefused({ url, status, reason, scopes, detail, rule, trace }))
      })

    const refresh = (grant: StoredGrant) =>
      Effect.map(held.refresh(grant), ({ accessToken, requestedScopes: requested }) => {
        history = { ...history, last: { token: accessToken.value, by: "Refresh", requested } }
        return accessToken
      })

    const signIn = (
      metadata: ProtectedResourceMetadata.ProtectedResourceMetadata,
      refusal: Refusal.Refusal,
      live: Option.Option<StoredGrant>
    ) =>
      Effect.gen(function* () {
        const grant = Option.getOrUndefined(live)
        const issuers = selectAuthorizationServer(metadata.authorization_servers, grant?.issuer)
        const need = { grant: "authorization_code", assumePkceAt: options.assumePkceAt } as const
        const server = yield* ServerDiscovery.authorizationServer(displayUrl(endpoint), issuers, need)
        const scopes = RenewalDecision.scopes({
          challenged: Refusal.scopes(refusal),
          configured: options.scopes,
          resourceSupports: metadata.scopes_supported,
          serverSupports: server.metadata.scopes_supported,
          before: grant === undefined ? [] : Scopes.union(grant.requestedScopes, grant.accessToken.scopes)
        })
        const answered = yield* Effect.gen(function* () {
          const prompt = yield* Effect.flatMap(user.begin, checkedPrompt).pipe(withTrace)
          const { redirectUri } = prompt
          const client = yield* ClientRegistration.obtain(registration, server.metadata, redirectUri)
          const { pending, url } = yield* AuthorizationCode.prepare({
            server,
            registration: client,
            redirectUri,
            resource: metadata.resource,
            scopes,
            parameters: { ...options.authorizationParameters, ...Refusal.authentication(refusal) }
          })
          const response = yield* prompt.authorize(url).pipe(
            withTrace,
            Effect.withSpan("AuthorizeUser.authorize", {
              captureStackTrace: false,
              attributes: { issuer: pending.issuer }
            })
          )
          return { client, pending, response }
        }).pipe(Effect.scoped)
        const { client, pending, response } = answered
        const issued = yield* Effect.tapErrorTag(
          AuthorizationCode.complete(pending, response, client),
          "TokenRefused",
          ({ error }) => (error === "invalid_client" ? ClientRegistration.forget(client) : Effect.void)
        )
        const now = yield* Clock.currentTimeMillis
        yield* held.replace({
          schemaVersion: 1,
          issuer: pending.issuer,
          clientId: pending.clientId,
          resource: pending.resource,
          redirectUri: pending.redirectUri,
          tokenEndpoint: pending.tokenEndpoint,
          tokenEndpointAuthMethods: server.metadata.token_endpoint_auth_methods_supported,
          accessToken: issued.accessToken,
          refreshToken: issued.refreshToken,
          requestedScopes: scopes,
          issuedAt: now
        })
        const last = { token: issued.accessToken.value, by: "SignIn", requested: scopes } as const
        const signIns = refusal.status === 401 ? [...history.signIns.slice(-9), now] : history.signIns
        history = { ...history, last, signIns }
        return issued.accessToken
      }).pipe(provided)

    const renew = (refusal: Refusal.Refusal, used: Option.Option<AccessToken.AccessToken>) =>
      Effect.gen(function* () {
        const stored = yield* held.reload
        const now = yield* Clock.currentTimeMillis
        const decision = RenewalDecision.decide({ refusal, used, stored, history, now })
        if (decision._tag === "Use") return decision.token
        if (decision._tag === "Stop") return yield* stop(refusal, used, decision)
        // A challenge may mean that the metadata has changed: it is read anew, and what is held counts only by it.
        const metadata = yield* ServerDiscovery.resource({
          endpoint,
          challengeUrl: Refusal.metadataUrl(refusal),
          policy: options.resourcePolicy
        }).pipe(provided)
        const live = Option.filter(
          stored,
          (grant) => metadata.authorization_servers.includes(grant.issuer) && grant.resource === metadata.resource
        )
        if (decision._tag === "Refresh" && Option.isSome(live)) {
          const refreshed = yield* Effect.either(refresh(live.value))
          if (refreshed._tag === "Right") return refreshed.right
          const error = refreshed.left
          const terminal = error._tag === "TokenRefused"
          if (
            !terminal ||
            (error.error === "invalid_client" && ClientRegistration.isConfigured(registration, live.value))
          ) {
            return yield* Effect.fail(error)
          }
          yield* DiscoveryTrace.decide("sign in again", `the refresh token is refused: ${error.error}`)
        }
        if (refusal.status === 403 && Option.isSome(used) && Refusal.scopes(refusal).length === 0) {
          const known = options.scopes ?? metadata.scopes_supported ?? []
          if (Scopes.missing(known, used.value.scopes).length === 0) {
            const detail = "the challenge names no scope, and the token has every scope that is known"
            return yield* stop(refusal, used, { _tag: "Stop", reason: "ScopesAlreadyGranted", detail })
          }
        }
        return yield* signIn(metadata, refusal, live)
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
      if (!held.isDue(found.value, now)) return Option.some(accessToken)
      // An expired token is not sent: the refusal of a request without one starts the renewal just as well.
      const fallback = AccessToken.isExpired(accessToken, now) ? Option.none() : Option.some(accessToken)
      if (refreshToken === undefined) return fallback
      const need = [Redacted.value(accessToken.value)]
      const refreshed = yield* Effect.either(shared("expiry", need, refresh(found.value)))
      if (refreshed._tag === "Right") return Option.some(refreshed.right)
      const terminal = refreshed.left._tag === "TokenRefused"
      return Option.isSome(fallback) || terminal ? fallback : yield* Effect.fail(refreshed.left)
    })

    return {
      current,
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
