import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import {
  authorizationServer,
  protectedResource,
  protectedResourceCandidates,
  protectedResourcePaths
} from "../../src/protocol/WellKnown.js"
import { authorizationServers, candidates, nowhere, protectedResources } from "../vectors/WellKnown.js"

const origin = fc.constantFrom(
  "https://h.example",
  "HTTPS://H.Example:443",
  "https://[2001:db8::1]:8443",
  "http://localhost"
)
const path = fc
  .string({ unit: fc.constantFrom("/", "/", "a", "b", "%2F", "~"), maxLength: 8 })
  .map((one) => (one === "" ? "" : `/${one}`))
const pathOf = (url: string) => url.replace(/^[a-z]+:\/\/[^/?]+/i, "").replace(/\?.*$/, "")

describe("WellKnown", () => {
  describe("protectedResource (A27, RFC 9728 §3.1)", () => {
    for (const { row, resource, url } of protectedResources) {
      it(`${row}: ${resource}`, () => assert.strictEqual(protectedResource(resource), url))
    }
  })

  describe("protectedResourcePaths (A29, F2)", () => {
    for (const { row, resource, paths } of protectedResources) {
      it(`${row}: ${resource}`, () => assert.deepStrictEqual(protectedResourcePaths(resource), paths))
    }

    it("F2: each path once, and the root is one of them", () => {
      fc.assert(
        fc.property(origin, path, (host, rest) => {
          const paths = protectedResourcePaths(host + rest)
          assert.strictEqual(new Set(paths).size, paths.length)
          assert.include(paths, "/.well-known/oauth-protected-resource")
        })
      )
    })

    it("A1, A29, PR-02: the server answers at what it advertises and wherever a client looks", () => {
      fc.assert(
        fc.property(origin, path, fc.constantFrom("", "?tenant=1"), (host, rest, query) => {
          const resource = host + rest + query
          const paths = protectedResourcePaths(resource)
          assert.include(paths, pathOf(protectedResource(resource)))
          for (const { url } of protectedResourceCandidates(resource)) assert.include(paths, pathOf(url))
        })
      )
    })
  })

  describe("protectedResourceCandidates (CL-03, J2, PR-02)", () => {
    for (const { row, endpoint, candidates: expected } of candidates) {
      it(`${row}: ${endpoint}`, () => assert.deepStrictEqual(protectedResourceCandidates(endpoint), expected))
    }

    it("PR-06, CL-06: accepts only identifiers from which the URL is derived", () => {
      fc.assert(
        fc.property(origin, path, fc.constantFrom("", "?tenant=1"), (host, rest, query) => {
          for (const { url, resources } of protectedResourceCandidates(host + rest + query)) {
            for (const resource of resources) {
              const derived = protectedResource(resource)
              const withoutSlash = derived.replace(/\/(?=\?|$)/, "")
              assert.include([derived, withoutSlash], url)
            }
          }
        })
      )
    })

    it("SEC-10: never leaves the origin", () => {
      fc.assert(
        fc.property(origin, path, (host, rest) => {
          for (const { url } of protectedResourceCandidates(host + rest))
            assert.isTrue(url.startsWith(`${host}/.well-known/`))
        })
      )
    })
  })

  describe("authorizationServer (CL-12, J4)", () => {
    for (const { row, issuer, urls } of authorizationServers) {
      it(`${row}: ${issuer}`, () => assert.deepStrictEqual(authorizationServer(issuer), urls))
    }

    it("CL-16: the root is not asked for an issuer with a path", () => {
      fc.assert(
        fc.property(origin, path, (host, rest) => {
          fc.pre(rest !== "" && rest !== "/")
          const urls = authorizationServer(host + rest)
          assert.notInclude(urls, `${host}/.well-known/oauth-authorization-server`)
          assert.notInclude(urls, `${host}/.well-known/openid-configuration`)
        })
      )
    })

    it("CL-13: only the two registered suffixes", () => {
      for (const { issuer } of authorizationServers) {
        for (const url of authorizationServer(issuer)) {
          assert.match(url, /\/\.well-known\/(oauth-authorization-server|openid-configuration)(\/|$)/)
        }
      }
    })
  })

  describe("what is no identifier leads nowhere", () => {
    for (const value of nowhere) {
      it(JSON.stringify(value), () => {
        assert.deepStrictEqual(protectedResourceCandidates(value), [])
        assert.deepStrictEqual(authorizationServer(value), [])
        // A path without an origin: no client fetches that.
        assert.strictEqual(protectedResource(value), "/.well-known/oauth-protected-resource")
      })
    }
  })
})
