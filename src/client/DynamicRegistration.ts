/**
 * Dynamic client registration (RFC 7591): what is sent, and what came back.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AuthorizationServerMetadata } from "../discovery/AuthorizationServerMetadata.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import { isLoopbackHost } from "../protocol/Loopback.js"
import * as BackChannel from "./BackChannel.js"
import { fail, RegistrationFailed, type TokenStoreError, type TokenUnavailable, unavailable } from "./ClientError.js"
import * as StoredRegistration from "./StoredRegistration.js"
import type * as TokenStore from "./TokenStore.js"

/**
 * What to say when registering: the name shown to the person, further client metadata (RFC 7591 §2), and the token that
 * some servers ask for first. `scope` is never sent: servers keep a client to it for life. Keys go in `jwks` or in
 * `jwks_uri`, not in both.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly clientName?: string | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  readonly initialAccessToken?: Redacted.Redacted<string> | undefined
}

/**
 * `native` for a redirect URI on this machine or of a private scheme, `web` for any other (OpenID Connect Registration
 * §2).
 *
 * @since 0.1.0
 * @category combinators
 */
export const applicationType = (redirectUri: string): "native" | "web" => {
  if (!URL.canParse(redirectUri)) return "native"
  const { hostname, protocol } = new URL(redirectUri)
  return protocol !== "https:" || isLoopbackHost(hostname) ? "native" : "web"
}

const grantOf = (redirectUri: string): string =>
  redirectUri === "" ? "urn:ietf:params:oauth:grant-type:device_code" : "authorization_code"

const registrable = ["none", "client_secret_basic", "client_secret_post"] as const

/**
 * The document that is sent, or `undefined` where the server lists no authentication method that such a client can use.
 * A public client is preferred; a server that lists no `none` gets a method that it lists. Refresh tokens are asked for
 * unless the server lists its grant types without them. An empty redirect URI registers for device authorization.
 *
 * @since 0.1.0
 * @category constructors
 */
export const document = (
  options: Options,
  metadata: AuthorizationServerMetadata,
  redirectUri: string
):
  | (Readonly<Record<string, unknown>> & { readonly token_endpoint_auth_method: (typeof registrable)[number] })
  | undefined => {
  const supported = metadata.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
  const method = registrable.find((name) => supported.includes(name))
  if (method === undefined) return undefined
  const { scope: _, ...extra } = options.metadata ?? {}
  const refresh = metadata.grant_types_supported?.includes("refresh_token") === false ? [] : ["refresh_token"]
  return {
    client_name: options.clientName ?? "MCP client",
    ...extra,
    redirect_uris: redirectUri === "" ? [] : [redirectUri],
    application_type: applicationType(redirectUri),
    token_endpoint_auth_method: method,
    grant_types: [grantOf(redirectUri), ...refresh],
    response_types: redirectUri === "" ? [] : ["code"]
  }
}

const text = Schema.optional(Schema.NullOr(Schema.String))

const Response = Schema.Struct({
  // RFC 6749 appendix A.1.
  client_id: Schema.String.pipe(Schema.pattern(/^[\x20-\x7e]+$/)),
  client_secret: text,
  client_secret_expires_at: Schema.optional(Schema.NullOr(Schema.Number)),
  token_endpoint_auth_method: text,
  redirect_uris: Schema.optional(Schema.NullOr(Schema.Array(Schema.String))),
  grant_types: Schema.optional(Schema.NullOr(Schema.Array(Schema.String)))
})

const decodeResponse = GuardedHttp.decodeJson(Response)

/** What the server registered instead counts, if this client can live with it (RFC 7591 §3.2.1). */
const accept = (
  response: typeof Response.Type,
  requested: (typeof registrable)[number],
  issuer: string,
  redirectUri: string
): typeof StoredRegistration.Stored.Type | string => {
  const method = registrable.find((name) => name === (response.token_endpoint_auth_method ?? requested))
  if (method === undefined) {
    return `it registered the authentication method ${GuardedHttp.displayValue(response.token_endpoint_auth_method ?? "")}`
  }
  if (method !== "none" && !response.client_secret) return `it registered ${method} and gave no secret`
  const isMissing = redirectUri !== "" && response.redirect_uris?.includes(redirectUri) === false
  if (isMissing) return `it did not register ${redirectUri}`
  const grant = grantOf(redirectUri)
  if (response.grant_types?.includes(grant) === false) return `it did not register ${grant}`
  const expires = response.client_secret_expires_at
  return {
    schemaVersion: 1,
    issuer,
    clientId: response.client_id,
    redirectUri,
    method,
    ...(response.client_secret ? { clientSecret: Redacted.make(response.client_secret) } : {}),
    // Seconds in the response, 0 for never; and what no store can hold is never as well.
    ...(expires && method !== "none" && Number.isFinite(expires * 1000) ? { secretExpiresAt: expires * 1000 } : {})
  }
}

/**
 * Registers and keeps what came of it. Fails with `RegistrationFailed` where the server says no or registers what cannot
 * be used, and with `TokenUnavailable` where it was not reached.
 *
 * @since 0.1.0
 * @category constructors
 */
export const register = (
  options: Options,
  endpoint: string,
  metadata: AuthorizationServerMetadata,
  redirectUri: string
): Effect.Effect<
  StoredRegistration.DynamicRegistration,
  RegistrationFailed | TokenUnavailable | TokenStoreError,
  GuardedHttp.GuardedHttp | TokenStore.TokenStore
> =>
  Effect.gen(function* () {
    const { issuer } = metadata
    const refuse = (reason: RegistrationFailed["reason"], detail: string, error?: string) =>
      fail(
        (trace) =>
          new RegistrationFailed({
            issuer,
            reason,
            detail: `registration at ${issuer}: ${detail}`,
            rule: "RFC 7591 section 3.2",
            trace,
            ...(error === undefined ? {} : { error })
          })
      )
    const { initialAccessToken, metadata: { jwks, jwks_uri: jwksUri } = {} } = options
    if (jwks !== undefined && jwksUri !== undefined) {
      return yield* refuse("InvalidConfiguration", "jwks and jwks_uri must not both be there (RFC 7591 section 2)")
    }
    const key = StoredRegistration.keyOf(issuer, redirectUri)
    const before = Option.map(yield* StoredRegistration.stored.read(key), ({ version }) => version)
    const body = document(options, metadata, redirectUri)
    if (body === undefined) {
      const listed = metadata.token_endpoint_auth_methods_supported ?? []
      return yield* refuse(
        "NoMethod",
        `it authenticates clients by ${GuardedHttp.displayValue(listed.join(", "))} only`
      )
    }
    const request = HttpClientRequest.post(endpoint, { acceptJson: true }).pipe(
      HttpClientRequest.bodyUnsafeJson(body),
      initialAccessToken === undefined ? (request) => request : HttpClientRequest.bearerToken(initialAccessToken)
    )
    const failed = (
      error: GuardedHttp.FetchError,
      reason: RegistrationFailed["reason"],
      code?: string
    ): Effect.Effect<never, RegistrationFailed | TokenUnavailable> =>
      error.isTransient ? unavailable("Registration", error) : refuse(reason, error.detail, code)
    const response = yield* Effect.catchAll(GuardedHttp.execute(request, "client registration"), (error) =>
      failed(error, "Unacceptable")
    )
    const judged = BackChannel.judge(response)
    if (judged._tag === "Refused") {
      const sent = initialAccessToken === undefined ? [] : [["token", Redacted.value(initialAccessToken)] as const]
      const refused = BackChannel.presentable(judged, sent)
      return yield* refuse("Refused", BackChannel.sentence("it was refused", refused), refused.error)
    }
    if (response.status < 200 || response.status > 299) {
      return yield* failed(yield* GuardedHttp.statusError(response), "Refused", `HTTP ${response.status}`)
    }
    const decoded = yield* Effect.catchAll(decodeResponse(response), () =>
      refuse("Unacceptable", "the answer holds no usable client_id")
    )
    const record = accept(decoded, body.token_endpoint_auth_method, issuer, redirectUri)
    if (typeof record === "string") return yield* refuse("Unacceptable", record)
    const registration = StoredRegistration.toRegistration(record)
    if (Option.isNone(registration)) return yield* refuse("Unacceptable", "it cannot be used")
    const isKept = yield* StoredRegistration.stored.write(key, { expected: before, value: Option.some(record) })
    if (isKept) return registration.value
    // Somebody was faster, and sign-ins may have begun with theirs; ours could not be found again to refresh with.
    const winner = yield* StoredRegistration.load(issuer, redirectUri, yield* Clock.currentTimeMillis)
    return Option.getOrElse(winner, () => registration.value)
  }).pipe(
    Effect.withSpan("ClientRegistration.register", {
      captureStackTrace: false,
      attributes: { issuer: metadata.issuer }
    })
  )
