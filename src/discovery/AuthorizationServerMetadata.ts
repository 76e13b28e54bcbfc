/**
 * Authorization server metadata (RFC 8414, OpenID Connect Discovery): the document, and how it is found.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as WellKnown from "../protocol/WellKnown.js"
import * as DiscoveryTrace from "./DiscoveryTrace.js"
import * as GuardedHttp from "./GuardedHttp.js"

/** A member that has no value is to be left out (RFC 8414 §3.2, RFC 9728 §3.2); not every server knows. */
const optional = <A>(value: Schema.Schema<A>) => Schema.optionalWith(Schema.UndefinedOr(value), { nullable: true })

const strings = optional(Schema.Array(Schema.String))
const text = optional(Schema.String)
const flag = optional(Schema.Boolean)

/**
 * The members that are read. Members that only OpenID providers need are not asked for; unknown ones are ignored.
 *
 * @since 0.1.0
 * @category schemas
 */
export const AuthorizationServerMetadata = Schema.Struct({
  issuer: Schema.String,
  authorization_endpoint: text,
  token_endpoint: text,
  jwks_uri: text,
  registration_endpoint: text,
  revocation_endpoint: text,
  introspection_endpoint: text,
  device_authorization_endpoint: text,
  pushed_authorization_request_endpoint: text,
  require_pushed_authorization_requests: flag,
  scopes_supported: strings,
  response_types_supported: strings,
  grant_types_supported: strings,
  token_endpoint_auth_methods_supported: strings,
  token_endpoint_auth_signing_alg_values_supported: strings,
  revocation_endpoint_auth_methods_supported: strings,
  introspection_endpoint_auth_methods_supported: strings,
  code_challenge_methods_supported: strings,
  authorization_response_iss_parameter_supported: flag,
  client_id_metadata_document_supported: flag,
  dpop_signing_alg_values_supported: strings,
  acr_values_supported: strings,
  authorization_grant_profiles_supported: strings,
  protected_resources: strings
})

/**
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationServerMetadata extends Schema.Schema.Type<typeof AuthorizationServerMetadata> {}

/**
 * No document of the issuer could be used. `attempts` are all that were tried, in order.
 *
 * @since 0.1.0
 * @category errors
 */
export class AuthorizationServerMetadataError extends Schema.TaggedError<AuthorizationServerMetadataError>(
  "effect-mcp-auth/discovery/AuthorizationServerMetadataError"
)("AuthorizationServerMetadataError", {
  issuer: Schema.String,
  detail: Schema.String,
  attempts: Schema.Array(GuardedHttp.FetchError)
}) {
  override get message(): string {
    return `no authorization server metadata for ${this.issuer}: ${this.detail}`
  }
  /** Whether trying again later may help. */
  get isTransient(): boolean {
    return this.attempts.some((attempt) => attempt.isTransient)
  }
  /** Whether every place was asked, and each said that there is nothing. */
  get isAbsent(): boolean {
    return this.attempts.length > 0 && this.attempts.every(({ status }) => status === 404)
  }
}

const get = GuardedHttp.getJson(AuthorizationServerMetadata)

const attempt = (
  url: string,
  issuer: string,
  headers: Readonly<Record<string, string>> | undefined
): Effect.Effect<AuthorizationServerMetadata, GuardedHttp.FetchError, GuardedHttp.GuardedHttp> =>
  Effect.flatMap(get(url, "authorization server metadata", headers), (document) =>
    document.issuer === issuer
      ? Effect.succeed(document)
      : Effect.fail(
          new GuardedHttp.FetchError({
            url: GuardedHttp.displayUrl(url),
            reason: "Malformed",
            detail: `issuer is ${GuardedHttp.displayValue(document.issuer)}, expected ${GuardedHttp.displayValue(issuer)}, code point by code point (RFC 8414 section 3.3)`,
            status: 200
          })
        )
  )

/**
 * Finds the metadata of an issuer: the well-known URLs in the order of the MCP specification, the first usable document
 * wins. A document whose `issuer` is not the very same string is not used (RFC 8414 §3.3). `headers` are sent along.
 *
 * @since 0.1.0
 * @category constructors
 */
export const discover = (
  issuer: string,
  headers?: Readonly<Record<string, string>>
): Effect.Effect<AuthorizationServerMetadata, AuthorizationServerMetadataError, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const attempts: Array<GuardedHttp.FetchError> = []
    for (const url of WellKnown.authorizationServer(issuer)) {
      const result = yield* Effect.either(attempt(url, issuer, headers))
      if (result._tag === "Right") {
        yield* DiscoveryTrace.decide(
          `authorization server is ${issuer}`,
          "its metadata names it as issuer, RFC 8414 section 3.3"
        )
        return result.right
      }
      attempts.push(result.left)
    }
    return yield* new AuthorizationServerMetadataError({
      issuer,
      detail: attempts.map((error) => error.message).join("; ") || "the issuer is not an absolute URL",
      attempts
    })
  })
