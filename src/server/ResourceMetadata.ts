/**
 * The RFC 9728 document of the configured resource, as a server answers with it.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Hash from "effect/Hash"
import * as WellKnown from "../protocol/WellKnown.js"
import * as AuthConfig from "./AuthConfig.js"

interface Prepared {
  readonly paths: ReadonlySet<string>
  readonly etag: string
  readonly get: HttpServerResponse.HttpServerResponse
  readonly head: HttpServerResponse.HttpServerResponse
  readonly notModified: HttpServerResponse.HttpServerResponse
}

const encoder = new TextEncoder()

const cors = { "access-control-allow-origin": "*" }

const preflight = HttpServerResponse.empty({
  status: 204,
  headers: {
    ...cors,
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "*",
    "access-control-max-age": "86400"
  }
})

const notAllowed = HttpServerResponse.uint8Array(
  encoder.encode(JSON.stringify({ error: "invalid_request", error_description: "Method Not Allowed" })),
  { status: 405, contentType: "application/json", headers: { ...cors, allow: "GET, HEAD, OPTIONS" } }
)

const prepare = (config: AuthConfig.AuthConfig): Prepared => {
  const text = JSON.stringify(AuthConfig.toMetadata(config))
  const etag = `"${(Hash.string(text) >>> 0).toString(16)}"`
  const headers = { ...cors, "cache-control": "public, max-age=300", etag }
  const body = encoder.encode(text)
  return {
    paths: new Set(WellKnown.protectedResourcePaths(config.resource)),
    etag,
    get: HttpServerResponse.uint8Array(body, { contentType: "application/json", headers }),
    head: HttpServerResponse.empty({
      status: 200,
      headers: { ...headers, "content-type": "application/json", "content-length": String(body.byteLength) }
    }),
    notModified: HttpServerResponse.empty({ status: 304, headers })
  }
}

const documents = new WeakMap<AuthConfig.AuthConfig, Prepared>()

const prepared = (config: AuthConfig.AuthConfig): Prepared => {
  const known = documents.get(config)
  if (known !== undefined) return known
  const document = prepare(config)
  documents.set(config, document)
  return document
}

/**
 * The paths that answer with the document: path-inserted with and without a final slash, and the root one.
 *
 * @since 0.1.0
 * @category destructors
 */
export const paths = (config: AuthConfig.AuthConfig): ReadonlySet<string> => prepared(config).paths

/**
 * Answers a request at one of the {@link paths}: GET and HEAD with the document, OPTIONS with 204, anything else with 405.
 * No credentials are asked for, and any origin may read it (RFC 9728 §3.1).
 *
 * @since 0.1.0
 * @category rendering
 */
export const respond = (
  request: HttpServerRequest.HttpServerRequest,
  config: AuthConfig.AuthConfig
): HttpServerResponse.HttpServerResponse => {
  const document = prepared(config)
  switch (request.method) {
    case "GET":
    case "HEAD":
      if (request.headers["if-none-match"] === document.etag) return document.notModified
      return request.method === "GET" ? document.get : document.head
    case "OPTIONS":
      return preflight
    default:
      return notAllowed
  }
}
