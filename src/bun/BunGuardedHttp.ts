/**
 * An `HttpClient` over Bun's `fetch` that resolves a name once, judges the addresses, and connects to one of those that it
 * judged: a resolver that changes its answer changes nothing (RFC 9728 §7.7).
 *
 * @since 0.1.0
 */
import { isIP } from "node:net"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as GuardedClient from "../discovery/GuardedClient.js"
import type * as NetworkZone from "../discovery/NetworkZone.js"
import * as Reach from "../discovery/Reach.js"

/**
 * `tls` is for what else there is to say of connections, as PEM: a certificate authority of one's own, a certificate of the
 * client and its key. `lookup` takes the place of Bun's resolver.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends GuardedClient.Options {
  readonly tls?: { readonly ca?: string | Array<string>; readonly cert?: string; readonly key?: string } | undefined
  readonly lookup?: ((hostname: string) => Promise<ReadonlyArray<{ readonly address: string }>>) | undefined
}

const isRefused = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ConnectionRefused" || error.code === "ECONNREFUSED")

/** The name stays in the `Host` header and in TLS, where the certificate is held against it. */
const at = (url: URL, address: string): string => {
  const target = new URL(url)
  target.hostname = address.includes(":") ? `[${address}]` : address
  return target.href
}

const pinned =
  ({ lookup = (hostname) => Bun.dns.lookup(hostname), tls }: Options, reach: ReadonlyArray<NetworkZone.NetworkZone>) =>
  async (url: URL, given: RequestInit): Promise<Response> => {
    const { host, hostname } = url
    // Where a redirect leads nobody would have looked.
    const init: RequestInit = { ...given, redirect: "manual" }
    if (isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return fetch(url, { ...init, ...(tls && { tls }) })
    const admitted = Reach.admit(hostname, await lookup(hostname), reach)
    if (admitted instanceof Reach.AddressRefused) throw admitted
    let failure: unknown = new Error(`${hostname} has no address`)
    for (const { address } of admitted) {
      const headers = new Headers(init.headers)
      headers.set("host", host)
      try {
        return await fetch(at(url, address), { ...init, headers, tls: { ...tls, serverName: hostname } })
      } catch (error) {
        // Nothing was sent: the next address may be the one that listens.
        if (!isRefused(error)) throw error
        failure = error
      }
    }
    throw failure
  }

/**
 * The client. Give it to whatever discovers and asks for tokens, in the place of `FetchHttpClient.layer`. It follows no
 * redirect.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { BunAuthorizeUser, BunGuardedHttp } from "effect-mcp-auth/bun"
 * import { TokenSource, TokenStore } from "effect-mcp-auth/client"
 * import * as Layer from "effect/Layer"
 *
 * const tokens = TokenSource.layerAuthorizationCode({ resource: "https://mcp.example.com/mcp" }).pipe(
 *   Layer.provide([BunAuthorizeUser.layer(), TokenStore.layerMemory, BunGuardedHttp.layer()])
 * )
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (client) =>
      GuardedClient.make(options, (reach) =>
        Effect.succeed(
          HttpClient.transformResponse(
            client,
            Effect.provideService(FetchHttpClient.Fetch, pinned(options, reach) as typeof fetch)
          )
        )
      )
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))
