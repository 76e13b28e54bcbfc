/**
 * The RFC 9728 documents of protected resources, as a server answers with them.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import * as WellKnown from "../protocol/WellKnown.js"
import * as AuthConfig from "./AuthConfig.js"
import * as RequestTarget from "./RequestTarget.js"
import * as Tenancy from "./Tenancy.js"

const encoder = new TextEncoder()

const cors = { "access-control-allow-origin": "*" }

const json = (body: unknown, status: number, headers: Readonly<Record<string, string>>) =>
  HttpServerResponse.uint8Array(encoder.encode(JSON.stringify(body)), {
    status,
    contentType: "application/json",
    headers: { ...cors, ...headers }
  })

const preflight = HttpServerResponse.empty({
  status: 204,
  headers: {
    ...cors,
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "*",
    "access-control-max-age": "86400"
  }
})

const notAllowed = json({ error: "invalid_request", error_description: "Method Not Allowed" }, 405, {
  allow: "GET, HEAD, OPTIONS"
})

/**
 * The answer for a resource that is not served here.
 *
 * @since 0.1.0
 * @category rendering
 */
export const notFound: HttpServerResponse.HttpServerResponse = json(
  { error: "invalid_request", error_description: "No such protected resource" },
  404,
  {
    "cache-control": "no-store"
  }
)

const unavailable = json({ error: "server_error", error_description: "Service Unavailable" }, 503, {
  "cache-control": "no-store",
  "retry-after": "1"
})

interface Document {
  readonly etag: string
  readonly get: HttpServerResponse.HttpServerResponse
  readonly head: HttpServerResponse.HttpServerResponse
  readonly notModified: HttpServerResponse.HttpServerResponse
}

const makeDocument = (members: unknown, cacheControl: string): Document => {
  const text = JSON.stringify(members)
  const body = encoder.encode(text)
  const etag = `"${(Hash.string(text) >>> 0).toString(16)}-${body.byteLength}"`
  const headers = { ...cors, "cache-control": cacheControl, etag }
  return {
    etag,
    get: HttpServerResponse.uint8Array(body, { contentType: "application/json", headers }),
    head: HttpServerResponse.empty({
      status: 200,
      headers: { ...headers, "content-type": "application/json", "content-length": String(body.byteLength) }
    }),
    notModified: HttpServerResponse.empty({ status: 304, headers })
  }
}

const fixedDocuments = new WeakMap<AuthConfig.AuthConfig, Document>()

const fixedDocument = (config: AuthConfig.AuthConfig): Document => {
  const known = fixedDocuments.get(config)
  if (known !== undefined) return known
  const document = makeDocument(AuthConfig.toMetadata(config), "public, max-age=300")
  fixedDocuments.set(config, document)
  return document
}

const document = (
  config: AuthConfig.AuthConfig
): Effect.Effect<Document, Tenancy.TenancyError, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(Tenancy.Tenancy, (tenancy) =>
    tenancy.authorizationServers === undefined
      ? Effect.succeed(fixedDocument(config))
      : Effect.map(Tenancy.authorizationServers(tenancy, config), (authorization_servers) =>
          makeDocument({ ...AuthConfig.toMetadata(config), authorization_servers }, "no-store")
        )
  )

const matches = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === "*" || header.split(",").some((value) => value.trim().replace(/^W\//, "") === etag))

/**
 * Answers a request for the document of a resource: GET and HEAD with the document, OPTIONS with 204, anything else with
 * 405. No credentials are asked for, and any origin may read it (RFC 9728 §3.1). A document that depends on the request
 * (see {@link Tenancy}) is never cached; where it cannot be resolved the answer is 503.
 *
 * @since 0.1.0
 * @category rendering
 */
export const respond = (
  request: HttpServerRequest.HttpServerRequest,
  config: AuthConfig.AuthConfig
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> => {
  switch (request.method) {
    case "GET":
    case "HEAD":
      return Effect.match(document(config), {
        onFailure: () => unavailable,
        onSuccess: ({ etag, get, head, notModified }) =>
          matches(request.headers["if-none-match"], etag) ? notModified : request.method === "GET" ? get : head
      })
    case "OPTIONS":
      return Effect.succeed(preflight)
    default:
      return Effect.succeed(notAllowed)
  }
}

/**
 * Two resources of one server that nothing tells apart: the path of a request says which resource it is for, and these
 * have the same one, but for a final slash, a query or the host.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResourceConflict extends Schema.TaggedError<ResourceConflict>("effect-mcp-auth/server/ResourceConflict")(
  "ResourceConflict",
  {
    path: Schema.String,
    resources: Schema.Tuple(Schema.String, Schema.String)
  }
) {
  override get message(): string {
    return `${this.resources.join(" and ")} are served by one server and have the document ${this.path} in common`
  }
}

/**
 * The resources of one server by the paths of their documents. Each is served at its path-inserted well-known path, with
 * and without a final slash; the root path has the document of `root`, of the resource at the origin, or of the only one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Routes {
  readonly prefix: string
  readonly byPath: ReadonlyMap<string, AuthConfig.AuthConfig>
}

/**
 * The routes of these resources. Fails where two of them have a document's path in common.
 *
 * @since 0.1.0
 * @category constructors
 */
export const routes = (
  configs: ReadonlyArray<AuthConfig.AuthConfig>,
  root?: AuthConfig.AuthConfig
): Either.Either<Routes, ResourceConflict> => {
  const byPath = new Map<string, AuthConfig.AuthConfig>()
  const prefix = WellKnown.protectedResourceRoot
  const conflict = (path: string, one: AuthConfig.AuthConfig, other: AuthConfig.AuthConfig) =>
    Either.left(new ResourceConflict({ path, resources: [one.resource, other.resource] }))
  for (const config of configs) {
    // The first is its own document; at the root, that is where the resource is the origin.
    const [own = prefix, ...rest] = WellKnown.protectedResourcePaths(config.resource)
    const taken = byPath.get(own)
    if (taken !== undefined) return conflict(own, taken, config)
    for (const path of [own, ...rest.filter((path) => path !== prefix)]) byPath.set(path, config)
  }
  const atRoot = byPath.get(prefix)
  if (root !== undefined && atRoot !== undefined && atRoot !== root) return conflict(prefix, atRoot, root)
  const shown = root ?? atRoot ?? (configs.length === 1 ? configs[0] : undefined)
  if (shown !== undefined) byPath.set(prefix, shown)
  return Either.right({ prefix, byPath })
}

/**
 * Answers a request below the well-known prefix: with a document, or 404 for a resource that is not served here.
 * `undefined` for any other path.
 *
 * @since 0.1.0
 * @category rendering
 */
export const route = (
  request: HttpServerRequest.HttpServerRequest,
  { byPath, prefix }: Routes
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> | undefined => {
  const path = RequestTarget.path(request.url)
  if (path !== prefix && !path.startsWith(`${prefix}/`)) return undefined
  const config = byPath.get(path)
  return config === undefined ? Effect.succeed(notFound) : respond(request, config)
}
