/**
 * The configuration of a protected resource: the one source of its metadata document and of every challenge.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { insecureUrl } from "../protocol/Loopback.js"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import { isScopeToken } from "../protocol/Scopes.js"
import * as WellKnown from "../protocol/WellKnown.js"

const quote = (value: string, rule: string | undefined): string | undefined =>
  rule === undefined ? undefined : `${JSON.stringify(value)} ${rule}`

const Url = Schema.String.pipe(Schema.filter((value) => quote(value, ResourceIdentifier.violation(value))))

const SCOPE_TOKEN = "must be one scope-token (RFC 6749 section 3.3)"

const isJson = (value: unknown): boolean => {
  try {
    return JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}

const Scopes = Schema.Array(
  Schema.String.pipe(Schema.filter((value) => (isScopeToken(value) ? undefined : quote(value, SCOPE_TOKEN))))
)

const renamed = (hint: string) => Schema.optional(Schema.Never.annotations({ message: () => hint }))

const AudiencePolicy = Schema.Literal("exact", "exact-single", "equivalent", "covering")

/** Members of the metadata document that options set; `metadata` may not set them again. */
const managedFields = {
  resource: "resource",
  authorizationServers: "authorization_servers",
  bearerMethodsSupported: "bearer_methods_supported",
  scopesSupported: "scopes_supported",
  resourceName: "resource_name",
  jwksUri: "jwks_uri",
  resourceDocumentation: "resource_documentation",
  resourcePolicyUri: "resource_policy_uri",
  resourceTosUri: "resource_tos_uri",
  resourceSigningAlgValuesSupported: "resource_signing_alg_values_supported",
  tlsClientCertificateBoundAccessTokens: "tls_client_certificate_bound_access_tokens",
  authorizationDetailsTypesSupported: "authorization_details_types_supported",
  dpopSigningAlgValuesSupported: "dpop_signing_alg_values_supported",
  dpopBoundAccessTokensRequired: "dpop_bound_access_tokens_required",
  signedMetadata: "signed_metadata"
} as const

const Options = Schema.Struct({
  /** The resource identifier: the public URL of the MCP endpoint, as clients call it. Kept exactly as written. */
  resource: Url,
  /** The issuers whose tokens are accepted, as written in their metadata. One, or a list. */
  authorizationServers: Schema.Union(Schema.String, Schema.Array(Schema.String)),
  /** Lets issuers be `http` beyond loopback. Only for closed networks. */
  allowInsecureAuthorizationServers: Schema.optional(Schema.Boolean),
  /** Lets `resource` and `jwksUri` be `http` beyond loopback. Only for closed networks. */
  allowInsecureResource: Schema.optional(Schema.Boolean),
  /** Scopes that every request needs. They are enforced, and named in challenges. */
  requiredScopes: Schema.optional(Scopes),
  /**
   * Scopes that the challenge of a 401 names, in place of `requiredScopes`; an empty list names none. Some clients register
   * themselves with exactly these, and can never step up beyond them at servers that hold them to it.
   */
  challengeScopes: Schema.optional(Scopes),
  /** Lets the challenge of a 403 also name what the token was granted: clients of 2025-11-25 ask for nothing else. */
  repeatGrantedScopes: Schema.optional(Schema.Boolean),
  /** Scopes to advertise: the few for basic use, because clients may ask for all of them. */
  scopesSupported: Schema.optional(Scopes),
  /** Which scopes a broader scope includes, by the broader one's name. */
  impliedScopes: Schema.optional(Schema.Record({ key: Schema.String, value: Scopes })),
  /**
   * How a token's audience must name this resource. `exact`: one of its audiences is `resource` or one of `audiences`,
   * code point by code point. `exact-single`: it has no other audience besides. `equivalent`: scheme and host in any
   * case, default port or none. `covering`: an audience that is a parent of `resource` on its origin will do.
   */
  audiencePolicy: Schema.optional(AudiencePolicy),
  /** Further audiences that stand for this resource, for issuers that do not use resource indicators (RFC 8707). */
  audiences: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  /** Where the metadata document is, if not at the well-known URL of `resource`. */
  resourceMetadataUrl: Schema.optional(Url),
  bearerMethodsSupported: Schema.optional(Schema.Array(Schema.Literal("header"))),
  resourceName: Schema.optional(Schema.String),
  jwksUri: Schema.optional(Url),
  resourceDocumentation: Schema.optional(Url),
  resourcePolicyUri: Schema.optional(Url),
  resourceTosUri: Schema.optional(Url),
  resourceSigningAlgValuesSupported: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  tlsClientCertificateBoundAccessTokens: Schema.optional(Schema.Boolean),
  authorizationDetailsTypesSupported: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  dpopSigningAlgValuesSupported: Schema.optional(Schema.Array(Schema.NonEmptyString)),
  dpopBoundAccessTokensRequired: Schema.optional(Schema.Boolean),
  signedMetadata: Schema.optional(Schema.NonEmptyString),
  /** Further members for the metadata document. */
  metadata: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  issuer: renamed("is not an option: issuers are listed in authorizationServers"),
  audience: renamed("is not an option: the audience is resource, others go to audiences"),
  scopes: renamed("is not an option: use requiredScopes (enforced) or scopesSupported (advertised)"),
  authorizer: renamed("is not an option: provide an Authorizer layer")
}).annotations({ identifier: "AuthConfig.Input" })

const issuersOf = (servers: string | ReadonlyArray<string>): ReadonlyArray<string> =>
  typeof servers === "string" ? [servers] : servers

const checked = Options.pipe(
  Schema.filter((options) => {
    const issues: Array<Schema.FilterIssue> = []
    const issue = (path: ReadonlyArray<PropertyKey>, message: string | undefined) => {
      if (message !== undefined) issues.push({ path, message })
    }
    const issuers = issuersOf(options.authorizationServers)
    if (issuers.length === 0) issue(["authorizationServers"], "must list at least one issuer (RFC 9728 section 2)")
    issuers.forEach((issuer, index) => {
      const allowInsecure = options.allowInsecureAuthorizationServers
      issue(
        ["authorizationServers", index],
        quote(issuer, ResourceIdentifier.issuerViolation(issuer, { allowInsecure }))
      )
      if (issuers.indexOf(issuer) !== index) issue(["authorizationServers", index], quote(issuer, "is listed twice"))
    })
    for (const name of ["resource", "jwksUri"] as const) {
      const url = options.allowInsecureResource === true ? undefined : options[name]
      if (url !== undefined) issue([name], quote(url, insecureUrl(url)))
    }
    for (const name of ["requiredScopes", "challengeScopes", "scopesSupported"] as const) {
      // It asks an authorization server for refresh tokens; a resource has no use for it (MCP, refresh tokens).
      if (options[name]?.includes("offline_access"))
        issue([name], quote("offline_access", "must not be listed by a resource"))
    }
    const managed = new Set<string>(Object.values(managedFields))
    for (const field of Object.keys(options.metadata ?? {})) {
      if (managed.has(field)) issue(["metadata", field], "is set by an option of its own and may not be set here")
    }
    for (const broader of Object.keys(options.impliedScopes ?? {})) {
      if (!isScopeToken(broader)) issue(["impliedScopes", broader], quote(broader, SCOPE_TOKEN))
    }
    if (options.metadata !== undefined && !isJson(options.metadata)) issue(["metadata"], "must be JSON")
    return issues
  })
).annotations({ identifier: "AuthConfig.Input" })

const Decoded = Schema.Struct({
  ...Options.fields,
  authorizationServers: Schema.NonEmptyArray(Schema.String),
  allowInsecureAuthorizationServers: Schema.Boolean,
  requiredScopes: Schema.Array(Schema.String),
  audiencePolicy: AudiencePolicy,
  audiences: Schema.NonEmptyArray(Schema.String),
  resourceMetadataUrl: Schema.String,
  bearerMethodsSupported: Schema.Array(Schema.Literal("header"))
})

/**
 * The schema of the options. Decoding fills in what was left out and brands the result; unknown options are refused by
 * name.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = Schema.transform(checked, Schema.typeSchema(Decoded), {
  strict: true,
  decode: (options) => ({
    ...options,
    authorizationServers: issuersOf(options.authorizationServers) as [string, ...Array<string>],
    allowInsecureAuthorizationServers: options.allowInsecureAuthorizationServers ?? false,
    requiredScopes: options.requiredScopes ?? [],
    audiencePolicy: options.audiencePolicy ?? ("exact" as const),
    audiences: [options.resource, ...(options.audiences ?? [])] as [string, ...Array<string>],
    resourceMetadataUrl: options.resourceMetadataUrl ?? WellKnown.protectedResource(options.resource),
    bearerMethodsSupported: options.bearerMethodsSupported ?? ["header" as const]
  }),
  encode: (config) => ({ ...config, audiences: config.audiences.slice(1) })
}).pipe(
  Schema.annotations({ identifier: "AuthConfig", parseOptions: { errors: "all", onExcessProperty: "error" } }),
  Schema.brand("effect-mcp-auth/AuthConfig")
)

/**
 * The options of {@link make}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input extends Schema.Schema.Encoded<typeof schema> {}

/**
 * A checked configuration. Only {@link make} and its siblings can produce one. Identifiers are the strings that were
 * configured, never rebuilt from a `URL`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthConfig extends Schema.Schema.Type<typeof Decoded>, Brand.Brand<"effect-mcp-auth/AuthConfig"> {}

/**
 * The configuration that guards, authorizers and metadata routes read.
 *
 * @since 0.1.0
 * @category tags
 */
export const AuthConfig = Context.GenericTag<AuthConfig>("effect-mcp-auth/server/AuthConfig")

/**
 * Checks options. The failure lists every option that breaks a rule: its name, the rule, and the value.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { AuthConfig } from "effect-mcp-auth/server"
 *
 * const config = AuthConfig.make({
 *   resource: "https://mcp.example.com/mcp",
 *   authorizationServers: "https://as.example.com",
 *   requiredScopes: ["mcp:tools"]
 * })
 * console.log(config._tag) // "Right"
 * ```
 */
export const make: (input: Input) => Either.Either<AuthConfig, ParseResult.ParseError> = Schema.decodeEither(schema)

/**
 * Checks options and throws the `ParseError` where they break a rule. For configuration written into the program.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake: (input: Input) => AuthConfig = Schema.decodeSync(schema)

const decode = Schema.decode(schema)

const warned = (config: AuthConfig): Effect.Effect<AuthConfig> =>
  config.allowInsecureAuthorizationServers || config.allowInsecureResource === true
    ? Effect.as(
        Effect.logWarning(
          "AuthConfig allows http beyond loopback: tokens and metadata can be read and changed on the way"
        ),
        config
      )
    : Effect.succeed(config)

/**
 * A layer of checked options. Building it fails with the `ParseError` where they break a rule.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (input: Input): Layer.Layer<AuthConfig, ParseResult.ParseError> =>
  Layer.effect(AuthConfig, Effect.flatMap(decode(input), warned))

/**
 * A layer of options that come from `Config`, for instance from the environment.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { AuthConfig } from "effect-mcp-auth/server"
 * import * as Config from "effect/Config"
 *
 * export const layer = AuthConfig.layerConfig({
 *   resource: Config.string("MCP_RESOURCE"),
 *   authorizationServers: Config.array(Config.string(), "MCP_AUTHORIZATION_SERVERS")
 * })
 * ```
 */
export const layerConfig = (
  config: Config.Config.Wrap<Input>
): Layer.Layer<AuthConfig, ConfigError.ConfigError | ParseResult.ParseError> =>
  Layer.effect(AuthConfig, Config.unwrap(config).pipe(Effect.flatMap(decode), Effect.flatMap(warned)))

/**
 * The members of the metadata document, in a fixed order, optional ones only where they are set (RFC 9728 §3.2).
 *
 * @since 0.1.0
 * @category destructors
 */
export const toMetadata = (config: AuthConfig): Readonly<Record<string, unknown>> => {
  const document: Record<string, unknown> = {}
  for (const [option, field] of Object.entries(managedFields)) {
    const value = config[option as keyof typeof managedFields]
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) document[field] = value
  }
  return { ...document, ...config.metadata }
}
