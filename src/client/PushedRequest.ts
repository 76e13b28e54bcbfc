/**
 * Pushed authorization requests (RFC 9126): what is asked for goes to the authorization server itself, with the client's
 * authentication, and the browser carries only a reference to it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as AuthorizationRequest from "../protocol/AuthorizationRequest.js"
import * as BackChannel from "./BackChannel.js"
import { AuthorizationRefused, fail, type RegistrationFailed, type TokenUnavailable } from "./ClientError.js"

/** A URI as it may stand in a query, and no longer than browsers take. */
const REQUEST_URI = /^[\x21-\x7e]{1,2000}$/

/**
 * Pushes a request and gives its `request_uri`, which serves once and soon. Fails with `AuthorizationRefused` where the
 * server says no, before any person was asked; with `TokenUnavailable` where it is out of order or makes no sense; and
 * with `RegistrationFailed` where the client cannot authenticate.
 *
 * @since 0.1.0
 * @category constructors
 */
export const send = (
  endpoint: string,
  client: BackChannel.Client,
  request: AuthorizationRequest.AuthorizationRequest
): Effect.Effect<string, AuthorizationRefused | TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { issuer } = client
    const { response, sent } = yield* BackChannel.post({
      endpoint,
      client,
      parameters: AuthorizationRequest.parameters(request),
      purpose: "pushed authorization request",
      step: "Authorization"
    })
    const judged = BackChannel.judge(response)
    if (judged._tag === "Refused") {
      const refused = BackChannel.presentable(judged, sent)
      const { description, error } = refused
      const detail = BackChannel.sentence(`${issuer} refused the pushed authorization request`, refused)
      const rule = "RFC 9126 section 2.3"
      return yield* fail((trace) => new AuthorizationRefused({ issuer, error, description, detail, rule, trace }))
    }
    const requestUri = judged._tag === "Answered" ? judged.body["request_uri"] : undefined
    if (typeof requestUri !== "string" || !REQUEST_URI.test(requestUri)) {
      const what = judged._tag === "Unusable" ? judged.detail : "answered without a request_uri"
      const detail = `the pushed authorization request endpoint of ${issuer} ${what}`
      return yield* BackChannel.unusable("Authorization", response, detail)
    }
    yield* DiscoveryTrace.decide("the browser gets client_id and request_uri only", "RFC 9126 section 4")
    return requestUri
  })
