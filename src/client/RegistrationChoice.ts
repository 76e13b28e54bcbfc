/**
 * Which way of getting a client ID to take: a pure function of what the application has to offer and of what the
 * authorization server says it can do.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import type { AuthorizationServerMetadata } from "../discovery/AuthorizationServerMetadata.js"
import type * as ClientAuthentication from "../discovery/ClientAuthentication.js"
import type * as DynamicRegistration from "./DynamicRegistration.js"

/**
 * Credentials that an authorization server's operator handed out.
 *
 * @since 0.1.0
 * @category models
 */
export interface PreRegistered extends ClientAuthentication.Credentials {
  readonly clientId: string
}

/**
 * What an application has to offer. `preRegistered`: credentials by issuer, as a list or as a function that is asked
 * with an issuer. `metadataDocument`: the https URL at which the application publishes its client metadata. `dynamic`:
 * what to say when registering; `false` forbids it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly preRegistered?:
    | ReadonlyArray<PreRegistered & { readonly issuer: string }>
    | ((issuer: string) => Option.Option<PreRegistered>)
    | undefined
  readonly metadataDocument?:
    | { readonly url: string; readonly privateKey?: ClientAuthentication.PrivateKey | undefined }
    | undefined
  readonly dynamic?: false | DynamicRegistration.Options | undefined
}

/**
 * The way that was chosen, and why.
 *
 * @since 0.1.0
 * @category models
 */
export type RegistrationChoice =
  | { readonly _tag: "PreRegistered"; readonly credentials: PreRegistered; readonly reason: string }
  | { readonly _tag: "MetadataDocument"; readonly url: string; readonly reason: string }
  | { readonly _tag: "Dynamic"; readonly endpoint: string; readonly reason: string }
  | { readonly _tag: "None"; readonly reason: string }

/**
 * The credentials that the application has for an issuer.
 *
 * @since 0.1.0
 * @category accessors
 */
export const credentialsFor = (options: Options, issuer: string): PreRegistered | undefined =>
  typeof options.preRegistered === "function"
    ? Option.getOrUndefined(options.preRegistered(issuer))
    : options.preRegistered?.find((credentials) => credentials.issuer === issuer)

/** Why a server cannot take the client ID metadata document. */
const violationOf = (
  document: Options["metadataDocument"],
  metadata: AuthorizationServerMetadata
): string | undefined => {
  if (document === undefined) return "no client ID metadata document is configured"
  if (metadata.client_id_metadata_document_supported !== true) return "it does not read client ID metadata documents"
  const listed = metadata.token_endpoint_auth_methods_supported
  return document.privateKey === undefined || listed === undefined || listed.includes("private_key_jwt")
    ? undefined
    : "the client ID metadata document has a key, and it does not list private_key_jwt"
}

/**
 * The order of the MCP specification: credentials for this very issuer, then the client ID metadata document where the
 * server says that it reads them, then dynamic registration where it has an endpoint. Credentials of another issuer are
 * never an answer, and neither is a document with a key where the server lists its authentication methods without
 * `private_key_jwt`: such a client may not go without.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { RegistrationChoice } from "effect-mcp-auth/client"
 *
 * const choice = RegistrationChoice.choose(
 *   { metadataDocument: { url: "https://app.example/client.json" } },
 *   { issuer: "https://as.example", client_id_metadata_document_supported: true }
 * )
 * console.log(choice._tag) // MetadataDocument
 * ```
 */
export const choose = (options: Options, metadata: AuthorizationServerMetadata): RegistrationChoice => {
  const { issuer } = metadata
  const credentials = credentialsFor(options, issuer)
  if (credentials !== undefined) {
    return { _tag: "PreRegistered", credentials, reason: `credentials are configured for ${issuer}` }
  }
  const { metadataDocument } = options
  const documentViolation = violationOf(metadataDocument, metadata)
  if (metadataDocument !== undefined && documentViolation === undefined) {
    return { _tag: "MetadataDocument", url: metadataDocument.url, reason: `${issuer} reads client ID documents` }
  }
  const endpoint = metadata.registration_endpoint
  if (endpoint !== undefined && options.dynamic !== false) {
    return { _tag: "Dynamic", endpoint, reason: `${issuer} registers clients by itself, and knows none of ours` }
  }
  const reasons = [
    `no credentials are configured for ${issuer}`,
    typeof options.preRegistered === "object" && options.preRegistered.length > 0
      ? "those of other issuers are not used"
      : undefined,
    documentViolation,
    endpoint === undefined ? "it has no registration endpoint" : "dynamic registration is not allowed here"
  ]
  return { _tag: "None", reason: reasons.filter((reason) => reason !== undefined).join("; ") }
}

/**
 * The rule that a client ID URL breaks: https, with a path, without dot segments, fragment and user information.
 * `undefined` if it breaks none.
 *
 * @since 0.1.0
 * @category validation
 */
export const documentUrlViolation = (url: string): string | undefined => {
  if (!URL.canParse(url) || !/^https:\/\//i.test(url)) return "must be an https URL"
  const { password, pathname, username } = new URL(url)
  if (pathname === "/") return "must have a path"
  if (/\/\.{1,2}(?:[/?#]|$)/.test(url)) return "must have no dot segments"
  if (url.includes("#")) return "must not have a fragment"
  return username === "" && password === "" ? undefined : "must not contain user information"
}
