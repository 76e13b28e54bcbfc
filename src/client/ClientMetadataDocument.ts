/**
 * The client ID metadata document (OAuth Client ID Metadata Document, draft): the client's ID is the https URL at which
 * it is served. Built from few words, checked as an authorization server would, and served as it should be.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { insecureUrl } from "../protocol/Loopback.js"
import * as DynamicRegistration from "./DynamicRegistration.js"
import * as RegistrationChoice from "./RegistrationChoice.js"

/**
 * What to say. `url` is where the document will be, `clientName` what a person is shown. List redirect URIs of native
 * clients by literal and by name, because some servers compare ports as well. `jwks` holds public keys, and with them or
 * `jwksUri` the client authenticates by `private_key_jwt`. `metadata` are further members of RFC 7591 §2, such as
 * `logo_uri`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  readonly url: string
  readonly clientName: string
  readonly redirectUris: ReadonlyArray<string>
  readonly jwks?: { readonly keys: ReadonlyArray<Readonly<Record<string, unknown>>> } | undefined
  readonly jwksUri?: string | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The document, as it is sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientMetadataDocument {
  readonly client_id: string
  readonly client_name: string
  readonly redirect_uris: ReadonlyArray<string>
  readonly token_endpoint_auth_method: "none" | "private_key_jwt"
  readonly grant_types: ReadonlyArray<string>
  readonly response_types: ReadonlyArray<string>
  readonly [member: string]: unknown
}

/**
 * The document would be refused. `violations` are all the rules that it breaks; no value of a key or secret is in them.
 *
 * @since 0.1.0
 * @category errors
 */
export class ClientMetadataDocumentError extends Schema.TaggedError<ClientMetadataDocumentError>(
  "effect-mcp-auth/client/ClientMetadataDocumentError"
)("ClientMetadataDocumentError", { violations: Schema.Array(Schema.String) }) {
  override get message(): string {
    return this.violations.join("; ")
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The members of a JWK that make it a private or a shared one (RFC 7518 §6). */
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]

const keyViolations = (jwks: unknown): ReadonlyArray<string> => {
  const keys = isRecord(jwks) ? jwks["keys"] : undefined
  if (!Array.isArray(keys) || keys.length === 0) return ["jwks must have keys"]
  return keys.flatMap((key, index) => {
    if (!isRecord(key) || typeof key["kty"] !== "string") return [`jwks.keys.${index} must be a JWK`]
    const secret = secretMembers.filter((name) => name in key)
    const isPublic = secret.length === 0 && key["kty"] !== "oct"
    return isPublic ? [] : [`jwks.keys.${index} must be a public key, without ${secret.join(", ") || "kty oct"}`]
  })
}

const uriViolations = (uris: unknown): ReadonlyArray<string> => {
  if (!Array.isArray(uris) || uris.length === 0) return ["redirect_uris must not be empty"]
  return uris.flatMap((uri, index) => {
    const broken =
      typeof uri !== "string"
        ? "must be a string"
        : (insecureUrl(uri) ?? (uri.includes("#") ? "must not have a fragment" : undefined))
    return broken === undefined ? [] : [`redirect_uris.${index} ${broken}`]
  })
}

const includes = (list: unknown, value: string): boolean => Array.isArray(list) && list.includes(value)

/** As much as an authorization server is told to read at least (section 6.6 of the draft). */
const maxBytes = 5 * 1024

/**
 * Every rule that a document breaks, whoever made it: the URL, the equality of `client_id`, the members that must be
 * there, those that must not, and the size. Empty if it breaks none.
 *
 * @since 0.1.0
 * @category validation
 * @example
 * ```ts
 * import { ClientMetadataDocument } from "effect-mcp-auth/client"
 *
 * const violations = ClientMetadataDocument.violations("https://app.example/", { client_id: "https://app.example/" })
 * console.log(violations[0]) // client_id must have a path
 * ```
 */
export const violations = (url: string, document: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const {
    client_name: name,
    jwks,
    jwks_uri: jwksUri,
    redirect_uris: uris,
    token_endpoint_auth_method: method
  } = document
  const atUrl = RegistrationChoice.documentUrlViolation(url)
  const insecureKeys = typeof jwksUri === "string" ? insecureUrl(jwksUri) : "must be an https URL"
  const size = new TextEncoder().encode(JSON.stringify(document)).byteLength
  const found: ReadonlyArray<string | false | undefined> = [
    atUrl !== undefined && `client_id ${atUrl}`,
    document["client_id"] !== url && "client_id must be the URL of the document, character by character",
    (typeof name !== "string" || name.trim() === "") && "client_name must not be empty",
    ...uriViolations(uris),
    ...["client_secret", "client_secret_expires_at"].map(
      (member) => member in document && `${member} must not be there`
    ),
    !(method === "none" || method === "private_key_jwt") &&
      "token_endpoint_auth_method must be none or private_key_jwt: a secret cannot be shared by a document",
    jwks !== undefined && jwksUri !== undefined && "jwks and jwks_uri must not both be there",
    ...(jwks === undefined ? [] : keyViolations(jwks)),
    jwksUri !== undefined && insecureKeys !== undefined && `jwks_uri ${insecureKeys}`,
    method === "private_key_jwt" &&
      jwks === undefined &&
      jwksUri === undefined &&
      "private_key_jwt needs jwks or jwks_uri",
    !includes(document["grant_types"], "authorization_code") && "grant_types must have authorization_code",
    !includes(document["response_types"], "code") && "response_types must have code",
    size > maxBytes && `it must not be larger than ${maxBytes} bytes`
  ]
  return found.filter((violation) => typeof violation === "string")
}

/**
 * The document. Its own members cannot be replaced by those of `metadata`, except `grant_types`. Fails with every rule
 * that it would break.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { ClientMetadataDocument, TokenSource } from "effect-mcp-auth/client"
 *
 * const document = ClientMetadataDocument.unsafeMake({
 *   url: "https://app.example.com/oauth/client.json",
 *   clientName: "Example",
 *   redirectUris: ["http://127.0.0.1:4711/callback", "http://localhost:4711/callback"]
 * })
 *
 * const source = TokenSource.layerAuthorizationCode({
 *   resource: "https://mcp.example.com/mcp",
 *   registration: { metadataDocument: { url: document.client_id } }
 * })
 * console.log(document.token_endpoint_auth_method) // none
 * ```
 */
export const make = (input: Input): Either.Either<ClientMetadataDocument, ClientMetadataDocumentError> => {
  const { clientName, jwks, jwksUri, metadata, redirectUris, url } = input
  const types = new Set(redirectUris.map(DynamicRegistration.applicationType))
  const document: ClientMetadataDocument = {
    grant_types: ["authorization_code", "refresh_token"],
    ...(types.size === 1 ? { application_type: Array.from(types)[0] } : {}),
    ...metadata,
    client_id: url,
    client_name: clientName,
    redirect_uris: redirectUris,
    response_types: ["code"],
    token_endpoint_auth_method: jwks === undefined && jwksUri === undefined ? "none" : "private_key_jwt",
    ...(jwks === undefined ? {} : { jwks }),
    ...(jwksUri === undefined ? {} : { jwks_uri: jwksUri })
  }
  const broken = violations(url, document)
  return broken.length === 0
    ? Either.right(document)
    : Either.left(new ClientMetadataDocumentError({ violations: broken }))
}

/**
 * The same for a document that is known to be right. Throws where it is not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (input: Input): ClientMetadataDocument => Either.getOrThrowWith(make(input), (error) => error)

/**
 * Serves the document at its own path, and hands every other request on: GET and HEAD get it, anything else 405. It may
 * be kept for `maxAge`, an hour by default, which is also how long an outdated redirect URI lives; any origin may read it.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { ClientMetadataDocument } from "effect-mcp-auth/client"
 *
 * const document = ClientMetadataDocument.unsafeMake({
 *   url: "https://app.example.com/oauth/client.json",
 *   clientName: "Example",
 *   redirectUris: ["https://app.example.com/callback"]
 * })
 *
 * export const app = HttpServerResponse.text("the application").pipe(ClientMetadataDocument.serve(document))
 * ```
 */
export const serve = (
  document: ClientMetadataDocument,
  options?: { readonly maxAge?: Duration.DurationInput | undefined }
) => {
  const { pathname } = new URL(document.client_id)
  const bytes = new TextEncoder().encode(JSON.stringify(document))
  const headers = {
    "cache-control": `public, max-age=${Math.floor(Duration.toSeconds(options?.maxAge ?? "1 hour"))}`,
    "access-control-allow-origin": "*",
    "x-content-type-options": "nosniff"
  }
  const found = HttpServerResponse.uint8Array(bytes, { contentType: "application/json", headers })
  const head = HttpServerResponse.empty({
    status: 200,
    headers: { ...headers, "content-type": "application/json", "content-length": String(bytes.byteLength) }
  })
  const notAllowed = HttpServerResponse.empty({ status: 405, headers: { allow: "GET, HEAD" } })
  return <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): HttpApp.Default<E, R> => {
      if (request.url.split("?", 1)[0] !== pathname) return app
      if (request.method === "HEAD") return Effect.succeed(head)
      return Effect.succeed(request.method === "GET" ? found : notAllowed)
    })
}
