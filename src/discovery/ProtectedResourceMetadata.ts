/**
 * Protected resource metadata (RFC 9728): the document, and how a client finds and judges it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import * as WellKnown from "../protocol/WellKnown.js"
import * as DiscoveryTrace from "./DiscoveryTrace.js"
import * as GuardedHttp from "./GuardedHttp.js"

/** A member that has no value is to be left out (RFC 8414 §3.2, RFC 9728 §3.2); not every server knows. */
const optional = <A>(value: Schema.Schema<A>) => Schema.optionalWith(Schema.UndefinedOr(value), { nullable: true })

const strings = optional(Schema.Array(Schema.String))
const text = optional(Schema.String)

/**
 * The members of RFC 9728 §2 that are read. MCP requires at least one authorization server. Unknown members are
 * ignored.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ProtectedResourceMetadata = Schema.Struct({
  resource: Schema.String,
  authorization_servers: Schema.Array(Schema.String).pipe(Schema.minItems(1)),
  jwks_uri: text,
  scopes_supported: strings,
  bearer_methods_supported: strings,
  resource_signing_alg_values_supported: strings,
  resource_name: text,
  resource_documentation: text,
  resource_policy_uri: text,
  resource_tos_uri: text,
  tls_client_certificate_bound_access_tokens: optional(Schema.Boolean),
  authorization_details_types_supported: strings,
  dpop_signing_alg_values_supported: strings,
  dpop_bound_access_tokens_required: optional(Schema.Boolean),
  signed_metadata: text
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ProtectedResourceMetadata extends Schema.Schema.Type<typeof ProtectedResourceMetadata> {}

/**
 * Which `resource` values make a document usable for an MCP endpoint. `exact`: the endpoint itself (the origin, for a
 * document at the root), as RFC 9728 §3.3 has it. `covering`: also a parent of the endpoint on the same origin, at a
 * segment boundary, because many deployed servers name their origin. Another origin is never usable.
 *
 * @since 0.1.0
 * @category models
 */
export type ResourcePolicy = "exact" | "covering"

/**
 * No document could be used. `attempts` are all that were tried, in order. `mismatch` is there where a document was
 * found that is another resource's: both values, as they were compared.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtectedResourceMetadataError extends Schema.TaggedError<ProtectedResourceMetadataError>(
  "effect-mcp-auth/discovery/ProtectedResourceMetadataError"
)("ProtectedResourceMetadataError", {
  endpoint: Schema.String,
  detail: Schema.String,
  attempts: Schema.Array(GuardedHttp.FetchError),
  mismatch: Schema.optional(Schema.Struct({ expected: Schema.String, actual: Schema.String }))
}) {
  override get message(): string {
    return `no protected resource metadata for ${this.endpoint}: ${this.detail}`
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

const get = GuardedHttp.getJson(ProtectedResourceMetadata)

/**
 * Judges the `resource` of a document. `undefined` where it may be used, otherwise the rule with both values.
 *
 * @since 0.1.0
 * @category validation
 */
export const resourceViolation = (
  resource: string,
  expected: ReadonlyArray<string>,
  endpoint: string,
  policy: ResourcePolicy
): string | undefined => {
  const shape = ResourceIdentifier.violation(resource)
  if (shape !== undefined) return `resource ${GuardedHttp.displayValue(resource)} ${shape}`
  // Scheme and host of what was typed may be in capitals (MCP authorization, canonical server URI).
  if ([...expected, ...expected.map(ResourceIdentifier.canonical)].includes(resource)) return undefined
  if (policy === "covering" && ResourceIdentifier.covers(resource, endpoint)) return undefined
  const rule = policy === "covering" ? "or a parent of the endpoint on its origin" : "code point by code point"
  return `resource is ${GuardedHttp.displayValue(resource)}, expected ${GuardedHttp.displayValue(expected[0] ?? endpoint)}, ${rule} (RFC 9728 section 3.3)`
}

/** A document, or why the one at this URL is of no use; with its `resource` where that is the reason. */
const attempt = (
  candidate: WellKnown.ProtectedResourceCandidate,
  endpoint: string,
  policy: ResourcePolicy
): Effect.Effect<
  ProtectedResourceMetadata,
  { readonly error: GuardedHttp.FetchError; readonly actual?: string },
  GuardedHttp.GuardedHttp
> =>
  get(candidate.url, "protected resource metadata").pipe(
    Effect.mapError((error) => ({ error })),
    Effect.flatMap((document) => {
      const broken = resourceViolation(document.resource, candidate.resources, endpoint, policy)
      if (broken !== undefined) {
        const url = GuardedHttp.displayUrl(candidate.url)
        const error = new GuardedHttp.FetchError({ url, reason: "Malformed", detail: broken, status: 200 })
        return Effect.fail({ error, actual: document.resource })
      }
      return Effect.as(
        DiscoveryTrace.decide(`resource is ${document.resource}`, "RFC 9728 section 3.3, sent verbatim from here on"),
        document
      )
    })
  )

/**
 * Finds the metadata of an MCP endpoint. A URL from the challenge is the only one asked, and without one a `metadataUrl`
 * that the application knows; without either, the path-inserted well-known URL and then the root one are tried, and the
 * next is asked only where the one before gave nothing usable.
 *
 * @since 0.1.0
 * @category constructors
 */
export const discover = (options: {
  readonly endpoint: string
  readonly challengeUrl?: string | undefined
  readonly metadataUrl?: string | undefined
  readonly policy?: ResourcePolicy | undefined
}): Effect.Effect<ProtectedResourceMetadata, ProtectedResourceMetadataError, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { challengeUrl, endpoint, metadataUrl, policy = "covering" } = options
    const url = challengeUrl ?? metadataUrl
    const candidates =
      url === undefined ? WellKnown.protectedResourceCandidates(endpoint) : [{ url, resources: [endpoint] }]
    const unnamed = "the challenge names no resource_metadata"
    yield* challengeUrl !== undefined
      ? DiscoveryTrace.decide("use the resource_metadata of the challenge", "RFC 9728 section 5.1")
      : DiscoveryTrace.decide(
          url === undefined ? "probe the well-known URLs" : "use the URL that is configured",
          unnamed
        )
    const attempts: Array<GuardedHttp.FetchError> = []
    let mismatch: { readonly expected: string; readonly actual: string } | undefined
    for (const candidate of candidates) {
      const result = yield* Effect.either(attempt(candidate, endpoint, policy))
      if (result._tag === "Right") return result.right
      attempts.push(result.left.error)
      const { actual } = result.left
      if (actual !== undefined) mismatch ??= { expected: candidate.resources[0] ?? endpoint, actual }
    }
    return yield* new ProtectedResourceMetadataError({
      endpoint: GuardedHttp.displayUrl(endpoint),
      detail: attempts.map((error) => error.message).join("; ") || "the endpoint is not an absolute URL",
      attempts,
      ...(mismatch === undefined ? {} : { mismatch })
    })
  })
