/**
 * How far a request may go: a URL that somebody else chose leads to the public network, or to where the application
 * itself already is, and nowhere else (RFC 9728 §7.7).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as NetworkZone from "./NetworkZone.js"

/**
 * The zones to which the connection of a request may go. {@link GuardedHttp} sets it for each of its requests; a client
 * that looks at addresses, such as that of `NodeGuardedHttp`, keeps it. Where nothing is set the request is the
 * application's own and may go anywhere that is not reserved.
 *
 * @since 0.1.0
 * @category references
 */
export class Reach extends Context.Reference<Reach>()("effect-mcp-auth/discovery/Reach", {
  defaultValue: (): ReadonlyArray<NetworkZone.NetworkZone> => anywhere
}) {}

/**
 * Every zone but what is reserved.
 *
 * @since 0.1.0
 * @category constants
 */
export const anywhere: ReadonlyArray<NetworkZone.NetworkZone> = ["public", "private", "loopback"]

/**
 * A host that is out of reach. Clients that look at addresses fail with it as the `cause` of their own error.
 *
 * @since 0.1.0
 * @category errors
 */
export class AddressRefused extends Data.TaggedError("AddressRefused")<{
  readonly host: string
  readonly zone: NetworkZone.NetworkZone
}> {
  override get message(): string {
    const remedy = this.zone === "reserved" ? "" : "; if it may be asked there, name it in allowedHosts"
    return `${this.host} is at a ${this.zone} address, to which no URL of somebody else leads${remedy} (RFC 9728 section 7.7)`
  }
}

/**
 * What the application chose by itself: the URLs on whose behalf requests are made, and the hosts that it named as
 * allowed, each as `URL.hostname` writes it, or with a dot first for all below it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chosen {
  readonly configured: ReadonlyArray<string>
  readonly allowedHosts: ReadonlyArray<string>
}

/** What is no URL has no host, and nothing is within its reach. */
const parts = (url: string): { readonly hostname: string; readonly origin: string } =>
  URL.canParse(url) ? new URL(url) : { hostname: "", origin: "" }

const isNamed = (host: string, names: ReadonlyArray<string>): boolean =>
  names.map((name) => name.toLowerCase()).some((name) => (name.startsWith(".") ? host.endsWith(name) : host === name))

/**
 * The reach of a request: anywhere for an origin that the application configured and a host that it named, otherwise
 * the public network and the zones in which the configured URLs are by their own spelling. What a resolver says of a
 * configured name widens nothing, because it may say something else the next time.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Reach } from "effect-mcp-auth/discovery"
 *
 * const chosen = { configured: ["http://localhost:3000/mcp"], allowedHosts: [] }
 * console.log(Reach.of("http://127.0.0.1:4000/token", chosen)) // ["public", "loopback"]
 * ```
 */
export const of = (url: string, { allowedHosts, configured }: Chosen): ReadonlyArray<NetworkZone.NetworkZone> => {
  const { hostname, origin } = parts(url)
  const own = configured.map(parts).filter((one) => one.hostname !== "")
  if (own.some((one) => one.origin === origin) || isNamed(hostname, allowedHosts)) return anywhere
  const zones = own.map((one) => NetworkZone.ofHost(one.hostname))
  return anywhere.filter((zone) => zone === "public" || zones.includes(zone))
}

/**
 * The host of a URL, where it is out of reach by its own spelling. For a name that only a resolver knows it takes a client
 * that looks at addresses.
 *
 * @since 0.1.0
 * @category validation
 */
export const refusal = (url: string, reach: ReadonlyArray<NetworkZone.NetworkZone>): AddressRefused | undefined => {
  const { hostname: host } = parts(url)
  const zone = NetworkZone.ofHost(host)
  return zone === undefined || reach.includes(zone) ? undefined : new AddressRefused({ host, zone })
}

/**
 * The addresses of a host that are within reach. Where there are none, why.
 *
 * @since 0.1.0
 * @category validation
 */
export const admit = <A extends { readonly address: string }>(
  host: string,
  addresses: ReadonlyArray<A>,
  reach: ReadonlyArray<NetworkZone.NetworkZone>
): ReadonlyArray<A> | AddressRefused => {
  const admitted = addresses.filter(({ address }) => reach.includes(NetworkZone.ofAddress(address)))
  const [first] = addresses
  if (admitted.length > 0 || first === undefined) return admitted
  return new AddressRefused({ host, zone: NetworkZone.ofAddress(first.address) })
}

/**
 * The refusal behind the failure of a client, if there is one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const refusalOf = (error: { readonly cause?: unknown }): AddressRefused | undefined => {
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause) {
    if (at instanceof AddressRefused) return at
  }
  return undefined
}
