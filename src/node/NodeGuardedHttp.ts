/**
 * An `HttpClient` over `node:http` that resolves a name once, judges the addresses, and connects to one of those that it
 * judged: a resolver that changes its answer changes nothing (RFC 9728 §7.7).
 *
 * @since 0.1.0
 */
import { lookup } from "node:dns"
import type { AgentOptions } from "node:https"
import type { LookupFunction } from "node:net"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as GuardedClient from "../discovery/GuardedClient.js"
import type * as NetworkZone from "../discovery/NetworkZone.js"
import * as Reach from "../discovery/Reach.js"

/**
 * `agent` is for what else there is to say of connections, such as a certificate authority of one's own. `lookup` takes
 * the place of the system's resolver.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends GuardedClient.Options {
  readonly agent?: Omit<AgentOptions, "lookup"> | undefined
  readonly lookup?: LookupFunction | undefined
}

/** The addresses that a connection is made to are those that come out of here. */
const within =
  (resolve: LookupFunction, reach: ReadonlyArray<NetworkZone.NetworkZone>): LookupFunction =>
  (hostname, options, callback) =>
    resolve(hostname, { ...options, all: true }, (error, found, family) => {
      if (error) return callback(error, [])
      const addresses = typeof found === "string" ? [{ address: found, family: family ?? 0 }] : found
      const admitted = Reach.admit(hostname, addresses, reach)
      if (admitted instanceof Reach.AddressRefused) return callback(admitted, [])
      const [first] = admitted
      if (first === undefined) return callback(new Error(`${hostname} has no address`), [])
      return options.all === true ? callback(null, [...admitted]) : callback(null, first.address, first.family)
    })

/**
 * The client. Give it to whatever discovers and asks for tokens, in the place of `FetchHttpClient.layer`. It uses no
 * proxy: one would resolve names by itself.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { TokenSource, TokenStore } from "effect-mcp-auth/client"
 * import { NodeAuthorizeUser, NodeGuardedHttp } from "effect-mcp-auth/node"
 * import * as Layer from "effect/Layer"
 *
 * const tokens = TokenSource.layerAuthorizationCode({ resource: "https://mcp.example.com/mcp" }).pipe(
 *   Layer.provide([NodeAuthorizeUser.layer(), TokenStore.layerMemory, NodeGuardedHttp.layer()])
 * )
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<HttpClient.HttpClient> =>
  Layer.scoped(
    HttpClient.HttpClient,
    Effect.map(Effect.scope, (scope) => {
      // A connection that was opened within one reach stays open for that one only.
      const pools = new Map<string, HttpClient.HttpClient>()
      return GuardedClient.make(options, (reach) =>
        Effect.gen(function* () {
          const key = reach.join(" ")
          const known = pools.get(key)
          if (known !== undefined) return known
          const agent = NodeHttpClient.makeAgent({
            keepAlive: true,
            ...options.agent,
            lookup: within(options.lookup ?? lookup, reach)
          })
          const client = yield* Effect.provideServiceEffect(
            NodeHttpClient.make,
            NodeHttpClient.HttpAgent,
            Scope.extend(agent, scope)
          )
          pools.set(key, client)
          return client
        })
      )
    })
  )
