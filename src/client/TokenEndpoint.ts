/**
 * The token endpoint (OAuth 2.1 §3.2): a grant is data, and {@link request} is the one interpreter of all of them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import type { AccessToken } from "./AccessToken.js"
import * as BackChannel from "./BackChannel.js"
import { fail, type RegistrationFailed, TokenRefused, type TokenUnavailable } from "./ClientError.js"
import * as ServerProfile from "./ServerProfile.js"

/** For which resource (RFC 8707), verbatim, and with which scopes; without scopes the parameter is left out. */
interface Target {
  readonly resource?: string | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
}

/**
 * What is exchanged for a token: an authorization code (OAuth 2.1 §4.1.3), a refresh token (§4.3), nothing but the
 * client's own authentication (§4.2), another token (RFC 8693), an assertion (RFC 7523 §2.1) or the code of a device that
 * a person has let in somewhere else (RFC 8628 §3.4).
 *
 * @since 0.1.0
 * @category models
 */
export type Grant = Data.TaggedEnum<{
  AuthorizationCode: Target & {
    readonly code: Redacted.Redacted<string>
    readonly redirectUri: string
    readonly verifier: Redacted.Redacted<string>
  }
  RefreshToken: Target & { readonly refreshToken: Redacted.Redacted<string> }
  ClientCredentials: Target
  TokenExchange: Target & {
    readonly subjectToken: Redacted.Redacted<string>
    readonly subjectTokenType: string
    readonly actor?: { readonly token: Redacted.Redacted<string>; readonly type: string } | undefined
    readonly audience?: string | undefined
    readonly requestedTokenType?: string | undefined
  }
  JwtBearer: Target & { readonly assertion: Redacted.Redacted<string> }
  DeviceCode: Target & { readonly deviceCode: Redacted.Redacted<string> }
}>

/**
 * The constructors.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Grant = Data.taggedEnum<Grant>()

const own = (grant: Grant): ReadonlyArray<readonly [string, string | undefined]> => {
  switch (grant._tag) {
    case "AuthorizationCode":
      return [
        ["grant_type", "authorization_code"],
        ["code", Redacted.value(grant.code)],
        ["redirect_uri", grant.redirectUri],
        ["code_verifier", Redacted.value(grant.verifier)]
      ]
    case "RefreshToken":
      return [
        ["grant_type", "refresh_token"],
        ["refresh_token", Redacted.value(grant.refreshToken)]
      ]
    case "ClientCredentials":
      return [["grant_type", "client_credentials"]]
    case "TokenExchange":
      return [
        ["grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"],
        ["subject_token", Redacted.value(grant.subjectToken)],
        ["subject_token_type", grant.subjectTokenType],
        ["actor_token", grant.actor && Redacted.value(grant.actor.token)],
        ["actor_token_type", grant.actor?.type],
        ["audience", grant.audience],
        ["requested_token_type", grant.requestedTokenType]
      ]
    case "JwtBearer":
      return [
        ["grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        ["assertion", Redacted.value(grant.assertion)]
      ]
    case "DeviceCode":
      return [
        ["grant_type", "urn:ietf:params:oauth:grant-type:device_code"],
        ["device_code", Redacted.value(grant.deviceCode)]
      ]
  }
}

/**
 * The form parameters of a grant at a server of this profile, without those that authenticate the client.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { TokenEndpoint } from "effect-mcp-auth/client"
 *
 * const grant = TokenEndpoint.Grant.ClientCredentials({ resource: "https://mcp.example.com/mcp", scopes: ["read"] })
 * console.log(TokenEndpoint.build(grant))
 * // [["grant_type", "client_credentials"], ["resource", "https://mcp.example.com/mcp"], ["scope", "read"]]
 * ```
 */
export const build = (grant: Grant, profile = ServerProfile.standard): BackChannel.Parameters => {
  const target = Object.entries(ServerProfile.target(profile, grant.resource))
  const scope = ["scope", ServerProfile.renderScopes(profile, grant.scopes ?? [])] as const
  return [...own(grant), ...target, scope].filter(
    (parameter): parameter is readonly [string, string] => parameter[1] !== undefined
  )
}

/**
 * What a token endpoint issued. A `refreshToken` that is absent means that the one in use stays in use (OAuth 2.1 §4.3).
 *
 * @since 0.1.0
 * @category models
 */
export interface Issued {
  readonly _tag: "Issued"
  readonly accessToken: AccessToken
  readonly refreshToken?: Redacted.Redacted<string> | undefined
}

/**
 * An answer judged. `Refused` is a rejection in the words of RFC 6749 §5.2 and nothing else; `Unusable` decides nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Judged = Issued | Exclude<BackChannel.Judged, { readonly _tag: "Answered" }>

const unusable = (detail: string): Judged => ({ _tag: "Unusable", detail })

/** What can stand in a header (RFC 6749 appendix A.12). */
const TOKEN = /^[\x21-\x7e]+$/

/** A hundred years, in seconds: longer than that, and 0 for some servers, means that it does not expire. */
const atMost = 100 * 365 * 24 * 3600

const seconds = (value: unknown): number | undefined => {
  const number = typeof value === "string" && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
  return typeof number === "number" && number > 0 && number <= atMost ? number : undefined
}

/**
 * Judges an answer: lenient about the status, strict about the shape (RFC 6749 §5). `askedAt` is when the request was
 * made, in milliseconds since the epoch: a lifetime counts from there. `asked` are the scopes that an answer without
 * `scope` has granted; others are read by the profile. For a device, `slow_down` is an answer (RFC 8628 §3.5).
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (
  response: { readonly status: number; readonly body: string },
  asked: ReadonlyArray<string>,
  askedAt: number,
  {
    grant,
    profile = ServerProfile.standard
  }: {
    readonly grant?: Grant["_tag"] | undefined
    readonly profile?: ServerProfile.ServerProfile | undefined
  } = {}
): Judged => {
  const judged = BackChannel.judge(response, grant === "DeviceCode" ? ["slow_down"] : [])
  if (judged._tag !== "Answered") return judged
  const { access_token: value, expires_in, refresh_token: refreshToken, scope, token_type: type } = judged.body
  if (typeof value !== "string" || !TOKEN.test(value)) return unusable("answered without a usable access token")
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") {
    return unusable("answered with a token type that is not Bearer")
  }
  const lifetime = seconds(expires_in)
  return {
    _tag: "Issued",
    accessToken: {
      value: Redacted.make(value),
      type: "Bearer",
      scopes: typeof scope === "string" && scope.trim() !== "" ? ServerProfile.parseScopes(profile, scope) : asked,
      ...(lifetime === undefined ? {} : { expiresAt: askedAt + lifetime * 1000 })
    },
    ...(typeof refreshToken === "string" && refreshToken !== "" ? { refreshToken: Redacted.make(refreshToken) } : {})
  }
}

/**
 * Asks a token endpoint. The request follows no redirect and is bounded in time and size; it goes to this endpoint only.
 * `granted` are the scopes that an answer without `scope` means: those of the grant, unless said otherwise.
 * Fails with `TokenRefused` where the server says no in the words of OAuth, and with `TokenUnavailable` for everything
 * else, after which the grant is as good as it was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const request = (options: {
  readonly endpoint: string
  readonly grant: Grant
  readonly granted?: ReadonlyArray<string> | undefined
  readonly client: BackChannel.Client
  readonly profile: ServerProfile.ServerProfile
}): Effect.Effect<Issued, TokenRefused | TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { client, endpoint, grant, profile } = options
    const { issuer } = client
    const askedAt = yield* Clock.currentTimeMillis
    const purpose = `token request, ${grant._tag}`
    const answer = yield* BackChannel.post({
      endpoint,
      client,
      parameters: build(grant, profile),
      purpose,
      step: "Token"
    })
    const { response, sent } = answer
    const judged = validate(response, options.granted ?? grant.scopes ?? [], askedAt, { grant: grant._tag, profile })
    switch (judged._tag) {
      case "Issued":
        return judged
      case "Unusable":
        return yield* BackChannel.unusable("Token", response, `the token endpoint of ${issuer} ${judged.detail}`)
      case "Refused": {
        const refused = BackChannel.presentable(judged, sent)
        const { description, error } = refused
        const detail = BackChannel.sentence(`${issuer} refused the ${grant._tag} grant`, refused)
        const rule = "RFC 6749 section 5.2"
        const refusal = { issuer, grant: grant._tag, error, description, status: response.status, detail, rule }
        return yield* fail((trace) => new TokenRefused({ ...refusal, trace }))
      }
    }
  }).pipe(
    Effect.tapErrorTag("TokenRefused", ({ error }) => Effect.annotateCurrentSpan("outcome", error)),
    Effect.withSpan("TokenEndpoint.request", {
      captureStackTrace: false,
      attributes: { issuer: options.client.issuer, grant: options.grant._tag }
    })
  )
