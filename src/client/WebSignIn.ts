/**
 * Signing in at an authorization server from a web application: one request begins, another one completes, perhaps in
 * another process, and in between there is nothing but a record in the store.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as SingleFlight from "../discovery/SingleFlight.js"
import * as Base64Url from "../protocol/Base64Url.js"
import * as AuthorizationCode from "./AuthorizationCode.js"
import * as AuthorizationCodeSource from "./AuthorizationCodeSource.js"
import * as AuthorizeUser from "./AuthorizeUser.js"
import {
  type AuthorizeUserError,
  type ClientError,
  type DiscoveryFailed,
  fail,
  RegistrationFailed
} from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as GrantRefresh from "./GrantRefresh.js"
import * as PendingSignIn from "./PendingSignIn.js"
import * as ReturnTo from "./ReturnTo.js"
import * as SignIn from "./SignIn.js"
import * as SignInAttempts from "./SignInAttempts.js"
import type { SignInRequired } from "./SignInRequired.js"
import * as StoredGrant from "./StoredGrant.js"
import * as TokenSource from "./TokenSource.js"
import * as TokenStore from "./TokenStore.js"
import { WebSignInError } from "./WebSignInError.js"

/**
 * What the application is, for all of its users and all of the MCP servers that they sign in at. `redirectUri` is where
 * it receives answers, an https URL (or http on loopback), and unless `reachOf` says otherwise what is fetched for a user
 * goes no further than that is: the public network, or loopback. `lifetime` is how long an answer is waited for, 10
 * minutes by default. The others are those of `TokenSource.layerAuthorizationCode`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<AuthorizationCodeSource.Options, "resource" | "user" | "readThrough"> {
  readonly redirectUri: string
  readonly lifetime?: Duration.DurationInput | undefined
}

/**
 * Whose grant, and for what: `resource` is the URL of the MCP endpoint, `user` how the application calls the person whose
 * session it is. The grants of different users never meet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly resource: string
  readonly user: string
}

/**
 * A sign-in that is to begin: for a resource, or because a call failed with `SignInRequired`. `binding` is what the
 * browser holds from an earlier one, `returnTo` where it goes on to afterwards, `/` by default.
 *
 * @since 0.1.0
 * @category models
 */
export type Begin = {
  readonly user: string
  readonly binding?: Redacted.Redacted<string> | undefined
  readonly returnTo?: string | undefined
} & (
  | { readonly resource: string; readonly required?: undefined }
  | { readonly required: SignInRequired; readonly resource?: undefined }
)

/**
 * A sign-in that has begun: the URL to send the browser to, and the secret that it has to hold until it comes back, as a
 * cookie that no script can read. `expiresAt` is in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Begun {
  readonly url: string
  readonly binding: Redacted.Redacted<string>
  readonly expiresAt: number
}

/**
 * What arrived at the redirect URI: its parameters, the secret that came along, and who is there by the application's
 * own session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrival {
  readonly parameters: URLSearchParams
  readonly binding: Redacted.Redacted<string> | undefined
  readonly user: string
}

/**
 * A sign-in that is complete. Its grant is in the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Completed {
  readonly resource: string
  readonly grant: StoredGrant.StoredGrant
  readonly returnTo: string
}

/**
 * - `begin`: discovers, registers, makes the request, and remembers it
 * - `complete`: judges the answer by what was remembered, exchanges the code, and stores the grant. It succeeds once for
 *   a sign-in, whatever process it is called in. Once it has begun to, it goes on when its caller is interrupted, and the
 *   end of the service waits for it: the code is used up by then
 * - `source`: the tokens of one user for one resource. It refreshes, asks nobody, and fails with `SignInRequired` where
 *   somebody has to be asked; {@link layerTokenSource} provides it
 *
 * `HttpAppSignIn` has them as routes.
 *
 * @since 0.1.0
 * @category services
 */
export class WebSignIn extends Context.Tag("effect-mcp-auth/client/WebSignIn")<
  WebSignIn,
  {
    readonly redirectUri: string
    readonly lifetime: Duration.Duration
    readonly begin: (options: Begin) => Effect.Effect<Begun, ClientError | WebSignInError>
    readonly complete: (arrival: Arrival) => Effect.Effect<Completed, ClientError | WebSignInError>
    readonly source: (
      target: Target
    ) => Effect.Effect<Context.Tag.Service<typeof TokenSource.TokenSource>, DiscoveryFailed, Scope.Scope>
  }
>() {}

/** The code is used up, and the tokens are nowhere else yet: a store that stumbles is asked again. */
const untilStored = Schedule.exponential("100 millis").pipe(Schedule.intersect(Schedule.recurs(4)))

const unregistered = ({ clientId, issuer }: StoredGrant.Terms) => {
  const detail = `the registration ${clientId} at ${issuer}, with which the sign-in began, is not known any more`
  const rule = "OAuth 2.1 section 2.2"
  return fail((trace) => new RegistrationFailed({ issuer, reason: "NoMethod", detail, rule, trace }))
}

/**
 * Makes it, for as long as the scope lives. Fails where the redirect URI cannot be one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<
  Context.Tag.Service<typeof WebSignIn>,
  AuthorizeUserError,
  HttpClient.HttpClient | TokenStore.TokenStore | Scope.Scope
> =>
  Effect.gen(function* () {
    const { reachOf = [options.redirectUri], redirectUri, registration = {}, serverProfiles } = options
    yield* AuthorizationCodeSource.checkedRedirectUri(redirectUri)
    const lifetime = Duration.decode(options.lifetime ?? "10 minutes")
    // Which server it is a user may say: what is fetched on the way to a token goes no further than the application is.
    const http = yield* GuardedHttp.make({ configured: reachOf })
    const store = yield* TokenStore.TokenStore
    const provided = <A, E>(effect: Effect.Effect<A, E, GuardedHttp.GuardedHttp | TokenStore.TokenStore>) =>
      effect.pipe(
        Effect.provideService(GuardedHttp.GuardedHttp, http),
        Effect.provideService(TokenStore.TokenStore, store)
      )
    const flights = yield* SingleFlight.keyed<Completed, ClientError | WebSignInError>({ abandoned: "Finish" })
    // Shared by the requests of a user while there are any, so that they refresh once and back off together.
    const sources = yield* RcMap.make({
      lookup: (target: Target) =>
        AuthorizationCodeSource.make({ ...options, ...target, reachOf, readThrough: true }).pipe(
          Effect.map((source) => ({ resource: target.resource, ...source })),
          Effect.provide(AuthorizeUser.layerForbidden)
        ),
      idleTimeToLive: "1 minute"
    })

    const begin = ({ binding: held, required, resource, returnTo = "/", user }: Begin) =>
      Effect.gen(function* () {
        const violation = ReturnTo.violation(returnTo)
        if (violation !== undefined) {
          const detail = `the address to return to ${violation}`
          return yield* new WebSignInError({ reason: "ReturnTo", detail, rule: "RFC 9700 section 4.11" })
        }
        const endpoint = yield* TokenSource.checked({ resource: resource ?? required.resource })
        const owner = { endpoint, user }
        if (required !== undefined) yield* SignInAttempts.check(owner, required)
        const demand: SignIn.Demand = required ?? { scopes: [] }
        const asked = { ...options, resource: endpoint }
        const way = AuthorizationCodeSource.need(options)
        const stored = Option.map(yield* StoredGrant.find(owner), ({ value }) => value)
        const found = yield* SignIn.find(asked, way, demand, stored)
        const request = yield* SignIn.request(asked, way, found, demand)
        const { pending, url } = yield* AuthorizationCode.begin(options, request, redirectUri)
        const binding = PendingSignIn.bindingOf(held)
        const operation = required && SignInAttempts.operationOf(required)
        const waiting = { request: pending, endpoint, user, returnTo, operation }
        const expiresAt = yield* PendingSignIn.put(waiting, binding, lifetime)
        if (required !== undefined) yield* SignInAttempts.begin(owner, required)
        return { url, binding, expiresAt }
      }).pipe(provided, Effect.withSpan("WebSignIn.begin", { captureStackTrace: false }))

    const finish = (
      { endpoint, operation, request, returnTo, user }: PendingSignIn.Waiting,
      parameters: URLSearchParams
    ) =>
      Effect.gen(function* () {
        const client = yield* ClientRegistration.recall(registration, request.terms)
        if (Option.isNone(client)) return yield* unregistered(request.terms)
        const grant = yield* AuthorizationCode.complete(request, parameters, client.value, serverProfiles)
        const owner = { endpoint, user }
        yield* Effect.retry(StoredGrant.replace(owner, grant), untilStored)
        // The grant is there; that the count is not is no reason to say otherwise.
        yield* Effect.ignore(SignInAttempts.conclude(owner, operation, grant.accessToken.scopes))
        return { resource: endpoint, grant, returnTo }
      })

    const complete = (arrival: Arrival) =>
      Effect.gen(function* () {
        const { pending, take } = yield* PendingSignIn.find(arrival)
        yield* Effect.annotateCurrentSpan({ issuer: pending.request.terms.issuer })
        const run = GrantRefresh.undisturbed(Effect.zipRight(take, finish(pending, arrival.parameters)))
        // A run of its own for each arrival: of two, one is to win and the other to hear of it, here as anywhere.
        return yield* flights(Base64Url.random(16), provided(run))
      }).pipe(provided, Effect.withSpan("WebSignIn.complete", { captureStackTrace: false }))

    return {
      redirectUri,
      lifetime,
      begin: (options) => DiscoveryTrace.collect(() => begin(options)),
      complete: (arrival) => DiscoveryTrace.collect(() => complete(arrival)),
      source: ({ resource, user }) =>
        Effect.zipRight(TokenSource.checked({ resource }), RcMap.get(sources, Data.struct({ resource, user })))
    }
  })

/**
 * The service, over a store that all instances of the application share, and a client that is not itself authorized.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { TokenStore, WebSignIn } from "effect-mcp-auth/client"
 * import * as Layer from "effect/Layer"
 *
 * const signIn = WebSignIn.layer({
 *   redirectUri: "https://app.example.com/callback",
 *   registration: { metadataDocument: { url: "https://app.example.com/client.json" } }
 * }).pipe(Layer.provide([TokenStore.layerMemory, FetchHttpClient.layer]))
 * ```
 */
export const layer = (
  options: Options
): Layer.Layer<WebSignIn, AuthorizeUserError, HttpClient.HttpClient | TokenStore.TokenStore> =>
  Layer.scoped(WebSignIn, make(options))

/**
 * The token source of one user for one resource, for the span of a request: with it, `HttpClientAuth` and `FetchAuth`
 * work as they do elsewhere, and what would need the person fails with `SignInRequired`.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as HttpClient from "@effect/platform/HttpClient"
 * import { HttpClientAuth, WebSignIn } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 *
 * const resource = "https://mcp.example.com/mcp"
 *
 * export const notes = (user: string) =>
 *   Effect.flatMap(HttpClient.HttpClient, (client) => HttpClientAuth.transform()(client).get(resource)).pipe(
 *     Effect.provide(WebSignIn.layerTokenSource({ resource, user }))
 *   )
 * ```
 */
export const layerTokenSource = (target: Target): Layer.Layer<TokenSource.TokenSource, DiscoveryFailed, WebSignIn> =>
  Layer.scoped(
    TokenSource.TokenSource,
    Effect.flatMap(WebSignIn, ({ source }) => source(target))
  )
