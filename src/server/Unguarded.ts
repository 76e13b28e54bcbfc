/**
 * For a server that asks nobody for a token: it says so when it starts.
 *
 * @since 0.1.0
 */
import * as HttpServer from "@effect/platform/HttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isLoopbackHost } from "../protocol/Loopback.js"

/** Addresses as runtimes write them, an IPv4 one in the dress of IPv6 included. */
const isLoopbackAddress = (hostname: string): boolean =>
  isLoopbackHost(hostname.toLowerCase().replace(/^::ffff:(?=\d+\.)/, ""))

/**
 * Whether a server can be reached from other machines.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isReachable = (address: HttpServer.Address): boolean =>
  address._tag === "TcpAddress" && !isLoopbackAddress(address.hostname)

/**
 * Authorization is optional in MCP, and a server without the guard serves everybody. Where that is meant, provide this
 * layer beside it: it warns once, at start, if the server is bound beyond loopback.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, HttpServer.HttpServer> = Layer.effectDiscard(
  Effect.flatMap(HttpServer.HttpServer, ({ address }) =>
    isReachable(address)
      ? Effect.logWarning("This MCP server is bound beyond loopback and asks nobody for a token")
      : Effect.void
  )
)
