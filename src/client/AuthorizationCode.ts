/**
 * The authorization code flow in two halves with a record between them (OAuth 2.1 §4.1): what was asked is kept, what
 * comes back is judged by it, once.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as AuthorizationRequest from "../protocol/AuthorizationRequest.js"
import * as AuthorizationResponse from "../protocol/AuthorizationResponse.js"
import * as Base64Url from "../protocol/Base64Url.js"
import * as Pkce from "../protocol/Pkce.js"
import * as Scopes from "../protocol/Scopes.js"
import * as BackChannel from "./BackChannel.js"
import {
  AuthorizationInvalid,
  AuthorizationRefused,
  fail,
  type RegistrationFailed,
  type TokenRefused,
  type TokenStoreError,
  type TokenUnavailable
} from "./ClientError.js"
import * as ClientRegistration from "./ClientRegistration.js"
import * as PushedRequest from "./PushedRequest.js"
import type { AuthorizationServer } from "./ServerDiscovery.js"
import * as ServerProfile from "./ServerProfile.js"
import * as SignIn from "./SignIn.js"
import * as StoredGrant from "./StoredGrant.js"
import * as StoredRegistration from "./StoredRegistration.js"
import * as TokenEndpoint from "./TokenEndpoint.js"
import type { TokenStore } from "./TokenStore.js"

/**
 * What has to be remembered between request and response, in one record: the issuer that was validated stands, with the
 * other terms, beside the verifier and the `state` (RFC 9207 §2.4). It serves once.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pending = Schema.Struct({
  state: Schema.String,
  verifier: Schema.Redacted(Schema.String),
  issuerParameterSupported: Schema.Boolean,
  terms: StoredGrant.Terms
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Pending extends Schema.Schema.Type<typeof Pending> {}

/**
 * What the application says of itself, and what further parameters it has for every authorization request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly registration?: ClientRegistration.Options | undefined
  readonly authorizationParameters?: Readonly<Record<string, string>> | undefined
}

/**
 * What is asked for. `parameters` are further ones of the authorization request and replace none of the flow's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly server: AuthorizationServer
  readonly registration: ClientRegistration.ClientRegistration
  readonly redirectUri: string
  readonly resource: string
  readonly scopes: ReadonlyArray<string>
  readonly parameters?: Readonly<Record<string, string>> | undefined
}

/**
 * A request that is ready, as it is and as the URL that says it all, and the record to judge the answer by.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prepared {
  readonly request: AuthorizationRequest.AuthorizationRequest
  readonly url: string
  readonly pending: Pending
}

/**
 * Makes the request. `state` and verifier are fresh each time. With `offline_access` it asks for consent, without which
 * OpenID providers ignore it (OpenID Connect Core §11), unless the server's profile says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prepare = (request: Request): Effect.Effect<Prepared> =>
  Effect.gen(function* () {
    const { redirectUri, registration, scopes, server } = request
    const verifier = yield* Effect.sync(() => Pkce.verifier())
    const state = yield* Effect.sync(() => Base64Url.random(32))
    const codeChallenge = yield* Effect.promise(() => Pkce.challenge(verifier))
    const needsConsent = server.profile.offlineNeedsConsent && scopes.includes("offline_access")
    const consent = needsConsent ? { prompt: "consent" } : {}
    yield* DiscoveryTrace.decide(
      scopes.length === 0 ? "ask for no scope" : `ask for the scopes ${Scopes.render(scopes)}`,
      "MCP authorization, scope selection"
    )
    const { resource, ...target } = ServerProfile.target(server.profile, request.resource)
    const asked = {
      clientId: registration.clientId,
      redirectUri,
      codeChallenge,
      state,
      resource,
      scope: ServerProfile.renderScopes(server.profile, scopes),
      extra: { ...consent, ...request.parameters, ...target }
    }
    return {
      request: asked,
      url: AuthorizationRequest.toUrl(server.authorizationEndpoint, asked),
      pending: {
        state,
        verifier: Redacted.make(verifier),
        issuerParameterSupported: server.metadata.authorization_response_iss_parameter_supported === true,
        terms: SignIn.terms(request, registration, redirectUri)
      }
    }
  })

/**
 * The URL for the person's browser. Where the server takes pushed requests the request goes there first, and the URL says
 * no more than where it is. Fails as `PushedRequest.send` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  server: AuthorizationServer,
  registration: ClientRegistration.ClientRegistration,
  { request, url }: Prepared
): Effect.Effect<string, AuthorizationRefused | TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> => {
  const { authorizationEndpoint, pushedRequestEndpoint } = server
  return pushedRequestEndpoint === undefined
    ? Effect.succeed(url)
    : Effect.map(PushedRequest.send(pushedRequestEndpoint, registration, request), (requestUri) =>
        AuthorizationRequest.toPushedUrl(authorizationEndpoint, { clientId: registration.clientId, requestUri })
      )
}

/** How long somebody may take, in milliseconds, before it is asked whether the server knows the client at all. */
const patience = 60_000

/**
 * A server that does not know a client any more shows that to the person, who cannot come back with it. Where nobody has
 * come back, the token endpoint is asked: to a code that is none it says `invalid_client` only where it means it.
 */
const checkKnown = (server: AuthorizationServer, client: ClientRegistration.ClientRegistration) =>
  Effect.gen(function* () {
    if (client._tag !== "Dynamic" || server.pushedRequestEndpoint !== undefined) return
    const since = yield* Effect.orElseSucceed(StoredRegistration.unansweredSince(client), () => undefined)
    const now = yield* Clock.currentTimeMillis
    if (since !== undefined && now - since >= patience) {
      yield* DiscoveryTrace.decide("ask whether the client is known", "nobody who was sent there has come back")
      const code = yield* Effect.sync(() => Redacted.make(Base64Url.random(32)))
      const { redirectUri } = client
      yield* TokenEndpoint.request({
        endpoint: server.tokenEndpoint,
        client,
        profile: server.profile,
        grant: TokenEndpoint.Grant.AuthorizationCode({ code, redirectUri, verifier: code })
      }).pipe(
        Effect.catchIf(
          (error) => error._tag !== "TokenRefused" || error.error !== "invalid_client",
          () => Effect.void
        )
      )
    }
    if (since === undefined || now - since >= patience) yield* StoredRegistration.note(client, now)
  })

/**
 * The first half: registers where there is no client yet, makes the request, pushes it where that is offered, and gives
 * the URL for the person's browser with the record to judge the answer by. A registration that is dead is made anew before
 * anybody was asked, once: a pushed request shows it, and so does the token endpoint where people whom it sent to the
 * server did not come back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const begin = (
  options: Options,
  { authentication, resource, scopes, server }: SignIn.Request,
  redirectUri: string
): Effect.Effect<
  { readonly client: ClientRegistration.ClientRegistration; readonly pending: Pending; readonly url: string },
  AuthorizationRefused | TokenRefused | TokenUnavailable | RegistrationFailed | TokenStoreError,
  GuardedHttp.GuardedHttp | TokenStore
> =>
  ClientRegistration.use(options.registration ?? {}, server.metadata, redirectUri, (client) =>
    Effect.gen(function* () {
      yield* checkKnown(server, client)
      const parameters = { ...options.authorizationParameters, ...authentication }
      const prepared = yield* prepare({ server, registration: client, redirectUri, resource, scopes, parameters })
      return { client, pending: prepared.pending, url: yield* open(server, client, prepared) }
    })
  )

const exchange = (
  pending: Pending,
  code: string,
  registration: ClientRegistration.ClientRegistration,
  profile: ServerProfile.ServerProfile
) =>
  Effect.flatMap(
    ClientRegistration.confirmed(
      TokenEndpoint.request({
        endpoint: pending.terms.tokenEndpoint,
        client: registration,
        profile,
        granted: pending.terms.requestedScopes,
        grant: TokenEndpoint.Grant.AuthorizationCode({
          code: Redacted.make(code),
          redirectUri: pending.terms.redirectUri,
          verifier: pending.verifier,
          resource: pending.terms.resource
        })
      }),
      registration
    ),
    (issued) => StoredGrant.make(pending.terms, issued)
  )

/**
 * The second half: judges the response by the record, and only then exchanges the code, at the token endpoint of the
 * issuer that was asked, for a grant that is not stored yet. Fails with `AuthorizationInvalid` where the response is not
 * the answer to that request, with `AuthorizationRefused` where the server said no, and as `TokenEndpoint.request` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const complete = (
  pending: Pending,
  response: URLSearchParams,
  registration: ClientRegistration.ClientRegistration,
  serverProfiles: ServerProfile.ServerProfiles | undefined
): Effect.Effect<
  StoredGrant.StoredGrant,
  AuthorizationInvalid | AuthorizationRefused | TokenRefused | TokenUnavailable | RegistrationFailed | TokenStoreError,
  GuardedHttp.GuardedHttp | TokenStore
> => {
  const { issuer } = pending.terms
  const judged = AuthorizationResponse.validate(response, { ...pending, issuer })
  const answered = registration._tag === "Dynamic" ? StoredRegistration.note(registration, undefined) : Effect.void
  switch (judged._tag) {
    case "Invalid": {
      const rule = judged.rule === "issuer" ? "RFC 9207 section 2.4" : "OAuth 2.1 section 4.1.2"
      const { detail, rule: parameter } = judged
      return fail((trace) => new AuthorizationInvalid({ issuer, parameter, detail, rule, trace }))
    }
    case "Refused": {
      const shown = BackChannel.presentable(judged, [["state", pending.state]])
      const { description, error } = shown
      const detail = BackChannel.sentence(`${issuer} refused the authorization`, shown)
      const rule = "OAuth 2.1 section 4.1.2.1"
      const refused = fail((trace) => new AuthorizationRefused({ issuer, error, description, detail, rule, trace }))
      return Effect.zipRight(answered, refused)
    }
    case "Granted":
      return Effect.zipRight(
        answered,
        exchange(pending, judged.code, registration, ServerProfile.of(serverProfiles, issuer))
      )
  }
}
