/**
 * The authorization code flow in two halves with a record between them (OAuth 2.1 §4.1): what was asked is kept, what
 * comes back is judged by it, once.
 *
 * @since 0.1.0
 */
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
import {
  AuthorizationInvalid,
  AuthorizationRefused,
  fail,
  type RegistrationFailed,
  type TokenRefused,
  type TokenUnavailable
} from "./ClientError.js"
import type { ClientRegistration } from "./ClientRegistration.js"
import * as PushedRequest from "./PushedRequest.js"
import type { AuthorizationServer } from "./ServerDiscovery.js"
import * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What has to be remembered between request and response, in one record: the issuer that was validated stands beside the
 * verifier and the `state` (RFC 9207 §2.4). It serves once.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pending = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  state: Schema.String,
  verifier: Schema.Redacted(Schema.String),
  issuer: Schema.String,
  issuerParameterSupported: Schema.Boolean,
  tokenEndpoint: Schema.String,
  redirectUri: Schema.String,
  clientId: Schema.String,
  resource: Schema.String,
  scopes: Schema.Array(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Pending extends Schema.Schema.Type<typeof Pending> {}

/**
 * What is asked for. `parameters` are further ones of the authorization request and replace none of the flow's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly server: AuthorizationServer
  readonly registration: ClientRegistration
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
 * OpenID providers ignore it (OpenID Connect Core §11).
 *
 * @since 0.1.0
 * @category constructors
 */
export const prepare = (request: Request): Effect.Effect<Prepared> =>
  Effect.gen(function* () {
    const { redirectUri, registration, resource, scopes, server } = request
    const verifier = yield* Effect.sync(() => Pkce.verifier())
    const state = yield* Effect.sync(() => Base64Url.random(32))
    const codeChallenge = yield* Effect.promise(() => Pkce.challenge(verifier))
    const consent = scopes.includes("offline_access") ? { prompt: "consent" } : {}
    yield* DiscoveryTrace.decide(
      scopes.length === 0 ? "ask for no scope" : `ask for the scopes ${Scopes.render(scopes)}`,
      "MCP authorization, scope selection"
    )
    const asked = {
      clientId: registration.clientId,
      redirectUri,
      codeChallenge,
      state,
      resource,
      scope: Scopes.render(scopes),
      extra: { ...consent, ...request.parameters }
    }
    return {
      request: asked,
      url: AuthorizationRequest.toUrl(server.authorizationEndpoint, asked),
      pending: {
        schemaVersion: 1,
        state,
        verifier: Redacted.make(verifier),
        issuer: server.metadata.issuer,
        issuerParameterSupported: server.metadata.authorization_response_iss_parameter_supported === true,
        tokenEndpoint: server.tokenEndpoint,
        redirectUri,
        clientId: registration.clientId,
        resource,
        scopes
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
  registration: ClientRegistration,
  { request, url }: Prepared
): Effect.Effect<string, AuthorizationRefused | TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> => {
  const { authorizationEndpoint, pushedRequestEndpoint } = server
  return pushedRequestEndpoint === undefined
    ? Effect.succeed(url)
    : Effect.map(PushedRequest.send(pushedRequestEndpoint, registration, request), (requestUri) =>
        AuthorizationRequest.toPushedUrl(authorizationEndpoint, { clientId: registration.clientId, requestUri })
      )
}

/**
 * Judges the response by the record, and only then exchanges the code, at the token endpoint of the issuer that was asked.
 * Fails with `AuthorizationInvalid` where the response is not the answer to that request, with `AuthorizationRefused`
 * where the server said no, and as `TokenEndpoint.request` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const complete = (
  pending: Pending,
  response: URLSearchParams,
  registration: ClientRegistration
): Effect.Effect<
  TokenEndpoint.Issued,
  AuthorizationInvalid | AuthorizationRefused | TokenRefused | TokenUnavailable | RegistrationFailed,
  GuardedHttp.GuardedHttp
> => {
  const { issuer } = pending
  const judged = AuthorizationResponse.validate(response, pending)
  switch (judged._tag) {
    case "Invalid": {
      const rule = judged.rule === "issuer" ? "RFC 9207 section 2.4" : "OAuth 2.1 section 4.1.2"
      const { detail, rule: parameter } = judged
      return fail((trace) => new AuthorizationInvalid({ issuer, parameter, detail, rule, trace }))
    }
    case "Refused": {
      const { description, error } = judged
      const said = (text: string) => text.replace(/[^\x20-\x7e]/g, " ").slice(0, 300)
      const detail = `${issuer} refused the authorization: ${said(error)}${description ? `: ${said(description)}` : ""}`
      const rule = "OAuth 2.1 section 4.1.2.1"
      return fail((trace) => new AuthorizationRefused({ issuer, error, description, detail, rule, trace }))
    }
    case "Granted":
      return TokenEndpoint.request({
        endpoint: pending.tokenEndpoint,
        client: registration,
        granted: pending.scopes,
        grant: TokenEndpoint.Grant.AuthorizationCode({
          code: Redacted.make(judged.code),
          redirectUri: pending.redirectUri,
          verifier: pending.verifier,
          resource: pending.resource
        })
      })
  }
}
