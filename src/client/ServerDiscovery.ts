/**
 * From an MCP endpoint to the authorization server that is going to be asked.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as AuthorizationServerMetadata from "../discovery/AuthorizationServerMetadata.js"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as ProtectedResourceMetadata from "../discovery/ProtectedResourceMetadata.js"
import * as AuthorizationRequest from "../protocol/AuthorizationRequest.js"
import * as Pkce from "../protocol/Pkce.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import { DiscoveryFailed, fail, ResourceMismatch, TokenUnavailable } from "./ClientError.js"
import * as OriginDiscovery from "./OriginDiscovery.js"
import * as ServerProfile from "./ServerProfile.js"

/**
 * The grants that a source can be made of, by their registered names.
 *
 * @since 0.1.0
 * @category models
 */
export type GrantType = "authorization_code" | "client_credentials" | "urn:ietf:params:oauth:grant-type:device_code"

/**
 * What the authorization server is needed for.
 *
 * - `defaultEndpoints`: an issuer that publishes no metadata at all has the endpoints of the 2025-03-26 revision
 * - `pushedRequests`: whether authorization requests are pushed (RFC 9126) wherever that is `offered`, as by default, or
 *   only where it is `required`
 * - `profiles`: the servers with ways of their own, by issuer
 *
 * @since 0.1.0
 * @category models
 */
export interface Need {
  readonly grant: GrantType
  readonly profiles: ServerProfile.ServerProfiles | undefined
  readonly defaultEndpoints?: boolean | undefined
  readonly pushedRequests?: "offered" | "required" | undefined
}

/**
 * An authorization server that can do what is needed.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationServer {
  readonly metadata: AuthorizationServerMetadata.AuthorizationServerMetadata
  readonly profile: ServerProfile.ServerProfile
  /** Empty where none is needed. */
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  /** Where authorization requests are to be pushed to; absent where they are not. */
  readonly pushedRequestEndpoint?: string | undefined
}

/**
 * The metadata of a resource. Where `published` is false there is none, and the 2025-03-26 revision says what to take
 * instead.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resource extends ProtectedResourceMetadata.ProtectedResourceMetadata {
  readonly published: boolean
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

/** A resource may name thousands, each of which would cost three requests to somebody whom it chose. */
const issuersAtMost = 8

/** Where requests are pushed to, if they are. */
const pushedRequestEndpoint = (
  metadata: AuthorizationServerMetadata.AuthorizationServerMetadata,
  { pushedRequests = "offered" }: Need
): string | undefined =>
  pushedRequests === "offered" || metadata.require_pushed_authorization_requests === true
    ? metadata.pushed_authorization_request_endpoint
    : undefined

/**
 * The rule by which a server cannot be used for what is needed; `undefined` if it can. `urlViolation` judges each of its
 * endpoints, as that of `GuardedHttp` does.
 *
 * @since 0.1.0
 * @category validation
 */
export const violation = (
  metadata: AuthorizationServerMetadata.AuthorizationServerMetadata,
  need: Need,
  urlViolation: (url: string) => string | undefined
): string | undefined => {
  const { authorization_endpoint, grant_types_supported, issuer } = metadata
  const endpointViolation = (name: string, value: string | undefined, rule: string): string | undefined => {
    if (value === undefined) return `its metadata has no ${name} (${rule})`
    const broken = urlViolation(value)
    return broken === undefined ? undefined : `its ${name} ${broken} (OAuth 2.1 section 1.5)`
  }
  const token = endpointViolation("token_endpoint", metadata.token_endpoint, "RFC 8414 section 2")
  if (token !== undefined) return token
  if (grant_types_supported?.includes(need.grant) === false) return `it does not offer the ${need.grant} grant`
  if (need.grant === "client_credentials") return undefined
  if (need.grant !== "authorization_code") {
    const { device_authorization_endpoint: endpoint } = metadata
    return endpointViolation("device_authorization_endpoint", endpoint, "RFC 8628 section 4")
  }
  if (authorization_endpoint === undefined) return "its metadata has no authorization_endpoint (RFC 8414 section 2)"
  const broken = AuthorizationRequest.endpointViolation(authorization_endpoint) ?? urlViolation(authorization_endpoint)
  if (broken !== undefined) return `its authorization_endpoint ${broken} (OAuth 2.1 section 3.1)`
  if (metadata.response_types_supported?.includes("code") === false) return "it does not offer response_type code"
  const pushed = pushedRequestEndpoint(metadata, need)
  if (pushed !== undefined || metadata.require_pushed_authorization_requests === true) {
    const broken = endpointViolation("pushed_authorization_request_endpoint", pushed, "RFC 9126 section 5")
    if (broken !== undefined) return broken
  }
  const { assumesPkce } = ServerProfile.of(need.profiles, issuer)
  if (!assumesPkce && !Pkce.isSupported(metadata.code_challenge_methods_supported)) {
    return "it does not advertise PKCE with S256 (OAuth 2.1 section 7.5.2)"
  }
  return undefined
}

const failed = (
  error: ProtectedResourceMetadata.ProtectedResourceMetadataError
): Effect.Effect<never, DiscoveryFailed | ResourceMismatch | TokenUnavailable> =>
  fail((trace): DiscoveryFailed | ResourceMismatch | TokenUnavailable => {
    const { endpoint, message: detail, mismatch } = error
    if (mismatch !== undefined) {
      const shown = GuardedHttp.displayValue
      const detail = `the metadata is that of ${shown(mismatch.actual)}, needed is that of ${shown(mismatch.expected)}`
      return new ResourceMismatch({ ...mismatch, detail, rule: "RFC 9728 section 3.3", trace })
    }
    const rule = "RFC 9728 section 3"
    const retryAfter = error.attempts.find((attempt) => attempt.retryAfter !== undefined)?.retryAfter
    return error.isTransient
      ? new TokenUnavailable({ step: "Discovery", detail, rule, trace, retryAfter })
      : new DiscoveryFailed({ endpoint, reason: "NoMetadata", detail, rule, trace })
  })

/**
 * The metadata of the resource. Fails with `ResourceMismatch` where it is another's, with `TokenUnavailable` where it was
 * not reached, with `DiscoveryFailed` where there is none; but with the fallback to 2025-03-26, an endpoint whose
 * challenge names no metadata and whose well-known places all answer 404 is its own resource, and its origin the issuer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resource = (options: {
  readonly endpoint: string
  readonly challengeUrl: string | undefined
  readonly metadataUrl?: string | undefined
  readonly policy: ProtectedResourceMetadata.ResourcePolicy | undefined
  readonly fallback?: "2025-03-26" | undefined
}): Effect.Effect<Resource, DiscoveryFailed | ResourceMismatch | TokenUnavailable, GuardedHttp.GuardedHttp> =>
  ProtectedResourceMetadata.discover(options).pipe(
    Effect.map((metadata) => ({ ...metadata, published: true })),
    Effect.catchAll((error) => {
      const isProbed = options.challengeUrl === undefined && options.metadataUrl === undefined
      if (options.fallback !== undefined && isProbed && error.isAbsent) {
        return Effect.as(
          DiscoveryTrace.decide(
            "the origin of the endpoint is the issuer",
            "MCP 2025-03-26, chosen by the application"
          ),
          { ...OriginDiscovery.protectedResource(options.endpoint), published: false }
        )
      }
      return failed(error)
    })
  )

const discover = (issuer: string, need: Need) =>
  Effect.catchIf(
    AuthorizationServerMetadata.discover(issuer, need.defaultEndpoints === true ? OriginDiscovery.headers : undefined),
    (error) => need.defaultEndpoints === true && error.isAbsent,
    () =>
      Effect.as(
        DiscoveryTrace.decide("it has the default endpoints, and PKCE", "MCP 2025-03-26, chosen by the application"),
        OriginDiscovery.authorizationServer(issuer)
      )
  )

/**
 * The first of the issuers, in this order, that can do what is needed; one that is dead or cannot is passed over, and
 * the trace says why. No more than 8 are asked. Fails with `DiscoveryFailed` where none can, and with `TokenUnavailable` where one of them may
 * later.
 *
 * @since 0.1.0
 * @category constructors
 */
export const authorizationServer = (
  endpoint: string,
  issuers: ReadonlyArray<string>,
  need: Need
): Effect.Effect<AuthorizationServer, DiscoveryFailed | TokenUnavailable, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const http = yield* GuardedHttp.GuardedHttp
    const reasons: Array<string> = []
    let transient = false
    const passOver = (issuer: string, reason: string) => {
      reasons.push(`${issuer}: ${reason}`)
      return DiscoveryTrace.decide(`pass over ${issuer}`, reason)
    }
    const named = Array.from(new Set(issuers))
    for (const issuer of named.slice(0, issuersAtMost)) {
      const shape = ResourceIdentifier.issuerViolation(issuer)
      if (shape !== undefined) {
        yield* passOver(GuardedHttp.displayValue(issuer), `the issuer ${shape} (RFC 8414 section 2)`)
        continue
      }
      const found = yield* Effect.either(discover(issuer, need))
      if (found._tag === "Left") {
        transient ||= found.left.isTransient
        yield* passOver(issuer, found.left.detail)
        continue
      }
      const metadata = found.right
      const broken = violation(metadata, need, http.violation)
      if (broken === undefined) {
        const { authorization_endpoint: authorizationEndpoint = "", token_endpoint: tokenEndpoint = "" } = metadata
        const profile = ServerProfile.of(need.profiles, metadata.issuer)
        const ways = ServerProfile.describe(profile)
        if (ways.length > 0) {
          yield* DiscoveryTrace.decide(`at ${issuer} ${ways.join(", ")}`, "its profile, chosen by the application")
        }
        return {
          metadata,
          profile,
          authorizationEndpoint,
          tokenEndpoint,
          pushedRequestEndpoint: pushedRequestEndpoint(metadata, need)
        }
      }
      yield* passOver(issuer, broken)
    }
    const others = named.length - issuersAtMost
    if (others > 0) yield* passOver(`${others} others`, `no more than ${issuersAtMost} are asked`)
    const detail = `no authorization server of ${endpoint} can be used: ${reasons.join("; ")}`
    const rule = "RFC 9728 section 7.6"
    return yield* fail((trace): DiscoveryFailed | TokenUnavailable =>
      transient
        ? new TokenUnavailable({ step: "Discovery", detail, rule, trace })
        : new DiscoveryFailed({ endpoint, reason: "NoAuthorizationServer", detail, rule, trace })
    )
  })
