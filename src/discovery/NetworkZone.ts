/**
 * Where on the network a host is: on the public one, on somebody's own, on this machine, or where nobody has business.
 * Pure, over literal addresses and over the names that need no resolver.
 *
 * @since 0.1.0
 */
import { isLoopbackHost } from "../protocol/Loopback.js"

/**
 * - `public`: reachable by anybody
 * - `private`: a network of one's own: RFC 1918, unique local (RFC 4193), shared by a carrier (RFC 6598), benchmarks
 *   (RFC 2544), and the names that only such a network has
 * - `loopback`: this machine
 * - `reserved`: everything else, and never reached: link-local, multicast, unspecified, documentation, tunnels, the
 *   metadata services of cloud providers, and what is no address
 *
 * @since 0.1.0
 * @category models
 */
export type NetworkZone = "public" | "private" | "loopback" | "reserved"

type Prefix = readonly [address: bigint, length: number, zone: NetworkZone]

const bytesOf = (v4: string): bigint => v4.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)

/** As `URL` writes it: hexadecimal groups, at most one `::`, never a dotted end and never a zone id. */
const groupsOf = (v6: string): bigint => {
  const [head = [], tail = []] = v6.split("::").map((side) => side.split(":").filter((group) => group !== ""))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail]
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
}

const table = (rows: ReadonlyArray<readonly [string, NetworkZone]>, parse: (text: string) => bigint) =>
  rows.map(([range, zone]): Prefix => {
    const [address = "", length = ""] = range.split("/")
    return [parse(address), Number(length), zone]
  })

/** The IANA IPv4 special-purpose registry (RFC 6890) and its kin: the first that fits counts, what fits none is public. */
const v4Ranges = table(
  [
    // The metadata and wire servers that are not link-local.
    ["100.100.100.200/32", "reserved"],
    ["168.63.129.16/32", "reserved"],
    ["0.0.0.0/8", "reserved"],
    ["10.0.0.0/8", "private"],
    ["100.64.0.0/10", "private"],
    ["127.0.0.0/8", "loopback"],
    ["169.254.0.0/16", "reserved"],
    ["172.16.0.0/12", "private"],
    ["192.0.0.0/24", "reserved"],
    ["192.0.2.0/24", "reserved"],
    ["192.88.99.0/24", "reserved"],
    ["192.168.0.0/16", "private"],
    ["198.18.0.0/15", "private"],
    ["198.51.100.0/24", "reserved"],
    ["203.0.113.0/24", "reserved"],
    ["224.0.0.0/3", "reserved"]
  ],
  bytesOf
)

/** The IANA IPv6 registries: nothing is public but what of 2000::/3 has no special purpose. */
const v6Ranges = table(
  [
    ["::1/128", "loopback"],
    ["fd00:ec2::254/128", "reserved"],
    ["fd20:ce::254/128", "reserved"],
    ["fc00::/7", "private"],
    ["64:ff9b:1::/48", "private"],
    ["2001::/23", "reserved"],
    ["2001:db8::/32", "reserved"],
    ["2002::/16", "reserved"],
    ["3fff::/20", "reserved"],
    ["2000::/3", "public"],
    ["::/0", "reserved"]
  ],
  groupsOf
)

/** An IPv4 address in the last 32 bits: mapped (RFC 4291 §2.5.5.2), and as a translator writes it (RFC 6052). */
const embedding = table(
  [
    ["::ffff:0:0/96", "reserved"],
    ["64:ff9b::/96", "reserved"]
  ],
  groupsOf
)

const fits =
  (address: bigint, width: number) =>
  ([network, length]: Prefix): boolean =>
    (address ^ network) >> BigInt(width - length) === 0n

const zoneOf = (address: bigint, width: number, ranges: ReadonlyArray<Prefix>): NetworkZone =>
  ranges.find(fits(address, width))?.[2] ?? "public"

/** The one parser of addresses is that of `URL`: what it does not take for one, and in which form, is none. */
const hostOf = (address: string): string => {
  if (!/^[\da-f:.]+$/i.test(address)) return ""
  const url = `http://${address.includes(":") ? `[${address}]` : address}/`
  return URL.canParse(url) ? new URL(url).hostname : ""
}

const isV4 = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host)

/**
 * The zone of an address, as a resolver or a socket gives it. An IPv4 address in an IPv6 one counts as what it is. With a
 * zone id, or where it is no address at all: `reserved`.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { NetworkZone } from "effect-mcp-auth/discovery"
 *
 * console.log(NetworkZone.ofAddress("::ffff:169.254.169.254")) // reserved
 * ```
 */
export const ofAddress = (address: string): NetworkZone => {
  const host = hostOf(address)
  if (isV4(host)) return zoneOf(bytesOf(host), 32, v4Ranges)
  if (!host.startsWith("[")) return "reserved"
  const value = groupsOf(host.slice(1, -1))
  return embedding.some(fits(value, 128)) ? zoneOf(value & 0xffffffffn, 32, v4Ranges) : zoneOf(value, 128, v6Ranges)
}

/** Names by which cloud providers reach what no authorization server is at, wherever a resolver says that it is. */
const metadataServices = [
  "metadata",
  "metadata.google.internal",
  "metadata.goog",
  "instance-data",
  "instance-data.ec2.internal"
]

/** Without a dot, or below what is not delegated to anybody (RFC 6762, RFC 8375, ICANN's `internal`). */
const isPrivateName = (name: string): boolean =>
  !name.includes(".") || /\.(?:internal|local|localdomain|lan|intranet|corp|home|home\.arpa)$/.test(name)

/**
 * The zone of a host as `URL.hostname` writes it, as far as its spelling says: of every literal, and of the names that are
 * local by themselves. `undefined` for any other name, which only a resolver knows the addresses of.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { NetworkZone } from "effect-mcp-auth/discovery"
 *
 * console.log(NetworkZone.ofHost(new URL("https://0x7f.1/").hostname)) // loopback
 * console.log(NetworkZone.ofHost("as.example.com")) // undefined
 * ```
 */
export const ofHost = (hostname: string): NetworkZone | undefined => {
  const host = hostname.toLowerCase().replace(/\.+$/, "")
  if (host.startsWith("[")) return ofAddress(host.slice(1, -1))
  if (isV4(host)) return ofAddress(host)
  if (isLoopbackHost(host)) return "loopback"
  if (host === "" || metadataServices.includes(host)) return "reserved"
  return isPrivateName(host) ? "private" : undefined
}
