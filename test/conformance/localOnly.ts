/**
 * The transport's own rule comes before authorization: on loopback, what a browser was led to by another site's name gets
 * nothing. The checks are the official SDK's.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import {
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  validateHostHeader,
  validateOriginHeader
} from "@modelcontextprotocol/server"
import * as Effect from "effect/Effect"

export const localOnly = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
    validateHostHeader(headers["host"], localhostAllowedHostnames()).ok &&
    validateOriginHeader(headers["origin"], localhostAllowedOrigins()).ok
      ? app
      : HttpServerResponse.empty({ status: 403 })
  )
