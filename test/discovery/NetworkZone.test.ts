import { BlockList } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as NetworkZone from "../../src/discovery/NetworkZone.js"
import * as vectors from "../vectors/NetworkZone.js"

describe("NetworkZone", () => {
  for (const [zone, hosts] of Object.entries(vectors.hosts)) {
    it.each(hosts)(`SEC-11: %s is ${zone}, however it is written`, (host) => {
      const { hostname } = new URL(`https://${host}/`)
      assert.strictEqual(NetworkZone.ofHost(hostname) ?? "unknown", zone)
    })
  }

  it.each(vectors.addresses)("the address %j is %s", (address, zone) => {
    assert.strictEqual(NetworkZone.ofAddress(address), zone)
  })

  it.each([
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::1%lo]",
    "1.2.3.4.5",
    "256.256.256.256",
    "[127.0.0.1]",
    "[::ffff:127.0.0.1.]",
    "0x7f.0.0.0.1"
  ])("%s is no host at all", (host) => assert.isFalse(URL.canParse(`https://${host}/`)))

  it("is total, and what is no address is reserved", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        NetworkZone.ofHost(text)
        return NetworkZone.ofAddress(`${text}!`) === "reserved"
      })
    )
  })

  /** The runtime's own arithmetic of prefixes, over the ranges that nobody may reach from outside. */
  const inner = new BlockList()
  for (const [network, length] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["224.0.0.0", 3]
  ] as const) {
    inner.addSubnet(network, length, "ipv4")
  }
  const outer = new BlockList()
  outer.addSubnet("2000::", 3, "ipv6")

  it("agrees with the runtime on whatever IPv4 address, mapped, translated or plain", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const zone = NetworkZone.ofAddress(address)
        if (inner.check(address, "ipv4")) assert.notStrictEqual(zone, "public", address)
        assert.strictEqual(NetworkZone.ofAddress(`::ffff:${address}`), zone)
        assert.strictEqual(NetworkZone.ofAddress(`64:ff9b::${address}`), zone)
        assert.notStrictEqual(NetworkZone.ofAddress(`::${address}`), "public")
      }),
      { numRuns: 2000 }
    )
  })

  it("takes no IPv6 address for public that is not global unicast, or an IPv4 one in disguise", () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const url = `http://[${address}]/`
        const isEmbedded = URL.canParse(url) && /^\[(::ffff:|64:ff9b::)/.test(new URL(url).hostname)
        if (outer.check(address, "ipv6") || isEmbedded) return
        assert.notStrictEqual(NetworkZone.ofAddress(address), "public", address)
      }),
      { numRuns: 2000 }
    )
  })
})
