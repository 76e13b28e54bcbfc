/**
 * From an MCP endpoint to the authorization server that is going to be asked.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as AuthorizationServerMetadata from "../discovery/AuthorizationServerMetadata.js"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import * as AuthorizationRequest from "../protocol/AuthorizationRequest.js"
import { insecureUrl } from "../protocol/Loopback.js"
import * as Pkce from "../protocol/Pkce.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import { DiscoveryFailed, fail, ResourceMismatch, TokenUnavailable } from "./ClientError.js"

/**
 * What the authorization server is needed for, and at which issuers PKCE is taken to work although their metadata does
 * not say so. The specification has a client refuse those (OAuth 2.1 §7.5.2); name one only if you know it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Need {
  readonly grant: "authorization_code" | "client_credentials"
  readonly assumePkceAt?: ReadonlyArray<string> | undefined
}

/**
 * An authorization server that can do what is needed.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationServer {
  readonly metadata: AuthorizationServerMetadata.AuthorizationServerMetadata
  /** Empty where none is needed. */
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
}

/**
 * The order in which to try the issuers that a resource names. `live` is the one at which this client holds a grant.
 *
 * @since 0.1.0
 * @category models
 */
export type SelectAuthorizationServer = (
  issuers: ReadonlyArray<string>,
  live: string | undefined
) => ReadonlyArray<string>

/**
 * The one with a live grant first, then as listed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const liveFirst: SelectAuthorizationServer = (issuers, live) =>
  live !== undefined && issuers.includes(live) ? [live, ...issuers.filter((issuer) => issuer !== live)] : issuers

/**
 * The rule by which a server cannot be used for what is needed; `undefined` if it can.
 *
 * @since 0.1.0
 * @category validation
 */
export const violation = (
  metadata: AuthorizationServerMetadata.AuthorizationServerMetadata,
  need: Need
): string | undefined => {
  const { authorization_endpoint, grant_types_supported, issuer, token_endpoint } = metadata
  if (token_endpoint === undefined) return "its metadata has no token_endpoint (RFC 8414 section 2)"
  const insecure = insecureUrl(token_endpoint)
  if (insecure !== undefined) return `its token_endpoint ${insecure} (OAuth 2.1 section 1.5)`
  if (grant_types_supported?.includes(need.grant) === false) return `it does not offer the ${need.grant} grant`
  if (need.grant === "client_credentials") return undefined
  if (authorization_endpoint === undefined) return "its metadata has no authorization_endpoint (RFC 8414 section 2)"
  const broken = AuthorizationRequest.endpointViolation(authorization_endpoint)
  if (broken !== undefined) return `its authorization_endpoint ${broken} (OAuth 2.1 section 3.1)`
  if (metadata.response_types_supported?.includes("code") === false) return "it does not offer response_type code"
  if (metadata.require_pushed_authorization_requests === true) return "it requires pushed requests (RFC 9126)"
  if (!Pkce.isSupported(metadata.code_challenge_methods_supported) && need.assumePkceAt?.includes(issuer) !== true) {
    return "it does not advertise PKCE with S256 (OAuth 2.1 section 7.5.2)"
  }
  return undefined
}

/**
 * The metadata of the resource. Fails with `ResourceMismatch` where it is another's, with `TokenUnavailable` where it was
 * not reached, with `DiscoveryFailed` where there is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resource = (options: {
  readonly endpoint: string
  readonly challengeUrl: string | undefined
  readonly policy: ProtectedResourceMetadata.ResourcePolicy | undefined
}): Effect.Effect<
  ProtectedResourceMetadata.ProtectedResourceMetadata,
  DiscoveryFailed | ResourceMismatch | TokenUnavailable,
  HttpClient.HttpClient
> =>
  Effect.catchAll(ProtectedResourceMetadata.discover(options), (error) =>
    fail((trace): DiscoveryFailed | ResourceMismatch | TokenUnavailable => {
      const { endpoint, message: detail, mismatch } = error
      if (mismatch !== undefined) {
        const detail = `the metadata is that of ${JSON.stringify(mismatch.actual)}, needed is that of ${JSON.stringify(mismatch.expected)}`
        return new ResourceMismatch({ ...mismatch, detail, rule: "RFC 9728 section 3.3", trace })
      }
      const rule = "RFC 9728 section 3"
      const retryAfter = error.attempts.find((attempt) => attempt.retryAfter !== undefined)?.retryAfter
      return error.isTransient
        ? new TokenUnavailable({ step: "Discovery", detail, rule, trace, retryAfter })
        : new DiscoveryFailed({ endpoint, reason: "NoMetadata", detail, rule, trace })
    })
  )

/**
 * The first of the issuers, in this order, that can do what is needed; one that is dead or cannot is passed over, and
 * the trace says why. Fails with `DiscoveryFailed` where none can, and with `TokenUnavailable` where one of them may
 * later.
 *
 * @since 0.1.0
 * @category constructors
 */
export const authorizationServer = (
  endpoint: string,
  issuers: ReadonlyArray<string>,
  need: Need
): Effect.Effect<AuthorizationServer, DiscoveryFailed | TokenUnavailable, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const reasons: Array<string> = []
    let transient = false
    const passOver = (issuer: string, reason: string) => {
      reasons.push(`${issuer}: ${reason}`)
      return DiscoveryTrace.decide(`pass over ${issuer}`, reason)
    }
    for (const issuer of new Set(issuers)) {
      const shape = ResourceIdentifier.issuerViolation(issuer)
      if (shape !== undefined) {
        yield* passOver(issuer, `the issuer ${shape} (RFC 8414 section 2)`)
        continue
      }
      const found = yield* Effect.either(AuthorizationServerMetadata.discover(issuer))
      if (found._tag === "Left") {
        transient ||= found.left.isTransient
        yield* passOver(issuer, found.left.detail)
        continue
      }
      const metadata = found.right
      const broken = violation(metadata, need)
      if (broken === undefined) {
        const { authorization_endpoint: authorizationEndpoint = "", token_endpoint: tokenEndpoint = "" } = metadata
        return { metadata, authorizationEndpoint, tokenEndpoint }
      }
      yield* passOver(issuer, broken)
    }
    const detail = `no authorization server of ${endpoint} can be used: ${reasons.join("; ")}`
    const rule = "RFC 9728 section 7.6"
    return yield* fail((trace): DiscoveryFailed | TokenUnavailable =>
      transient
        ? new TokenUnavailable({ step: "Discovery", detail, rule, trace })
        : new DiscoveryFailed({ endpoint, reason: "NoAuthorizationServer", detail, rule, trace })
    )
  })
