import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as AuthorizationServerMetadata from "../../src/discovery/AuthorizationServerMetadata.js"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import * as Network from "../server/fixtures/Network.js"
import * as GuardedFetch from "./fixtures/GuardedFetch.js"

const discover = (issuer: string, network: Network.Network) =>
  AuthorizationServerMetadata.discover(issuer).pipe(GuardedFetch.over(network.client))

/** What is asked, in order, when nothing is anywhere. */
const candidates = (issuer: string) => {
  const network = Network.make(() => new Response("", { status: 404 }))
  return Effect.map(Effect.flip(discover(issuer, network)), (error) => ({ error, asked: network.asked }))
}

const documentOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  something_of_its_own: { a: [1] }
})

describe("AuthorizationServerMetadata", () => {
  describe("where it looks (CL-12, CL-13, CL-16, AM-07, AM-09, AM-10)", () => {
    for (const [issuer, expected] of [
      [
        "https://as.example",
        [
          "https://as.example/.well-known/oauth-authorization-server",
          "https://as.example/.well-known/openid-configuration"
        ]
      ],
      [
        "https://as.example/",
        [
          "https://as.example/.well-known/oauth-authorization-server",
          "https://as.example/.well-known/openid-configuration"
        ]
      ],
      [
        "https://as.example/t1",
        [
          "https://as.example/.well-known/oauth-authorization-server/t1",
          "https://as.example/.well-known/openid-configuration/t1",
          "https://as.example/t1/.well-known/openid-configuration"
        ]
      ],
      [
        "https://as.example:8443/a/b/",
        [
          "https://as.example:8443/.well-known/oauth-authorization-server/a/b",
          "https://as.example:8443/.well-known/openid-configuration/a/b",
          "https://as.example:8443/a/b/.well-known/openid-configuration"
        ]
      ]
    ] as const) {
      it.effect(`${issuer}, in this order, and nowhere else`, () =>
        Effect.map(candidates(issuer), ({ asked, error }) => {
          assert.deepStrictEqual(asked, [...expected])
          assert.strictEqual(error.attempts.length, expected.length)
          assert.isTrue(error.attempts.every(({ status }) => status === 404))
          assert.isFalse(error.isTransient)
        })
      )
    }

    it.effect("the first usable document wins", () =>
      Effect.gen(function* () {
        const issuer = "https://as.example/t1"
        const network = Network.make(
          Network.documents({ "https://as.example/.well-known/openid-configuration/t1": documentOf(issuer) })
        )
        const metadata = yield* discover(issuer, network)
        assert.strictEqual(metadata.jwks_uri, "https://as.example/t1/jwks")
        assert.strictEqual(network.asked.length, 2)
      })
    )

    it.effect("what is no identifier is not asked for at all", () =>
      Effect.map(candidates("as.example"), ({ asked, error }) => {
        assert.deepStrictEqual(asked, [])
        assert.strictEqual(error.detail, "the issuer is not an absolute URL")
      })
    )

    it.effect("http beyond loopback is not asked", () =>
      Effect.map(candidates("http://as.example"), ({ asked, error }) => {
        assert.deepStrictEqual(asked, [])
        assert.deepStrictEqual(
          error.attempts.map(({ reason }) => reason),
          ["InsecureUrl", "InsecureUrl"]
        )
      })
    )
  })

  describe("whose document counts (CL-14, CL-15, AM-08, PR-08)", () => {
    const first = "https://as.example/.well-known/oauth-authorization-server"
    const second = "https://as.example/.well-known/openid-configuration"

    for (const wrong of [
      "https://as.example/",
      "https://AS.example",
      "HTTPS://as.example",
      "https://as.example:443",
      "https://as.example/x",
      "https://evil.example",
      " https://as.example",
      "https://as.example#",
      "https://as.exaмple",
      ""
    ]) {
      it.effect(`${JSON.stringify(wrong)} is not "https://as.example": the next candidate is asked`, () =>
        Effect.gen(function* () {
          const network = Network.make(
            Network.documents({ [first]: documentOf(wrong), [second]: documentOf("https://as.example") })
          )
          const metadata = yield* discover("https://as.example", network)
          assert.strictEqual(metadata.issuer, "https://as.example")
          assert.deepStrictEqual(network.asked, [first, second])
        })
      )
    }

    it.effect("an issuer with a final slash is compared with it, though asked without", () =>
      Effect.gen(function* () {
        const network = Network.make(Network.documents({ [first]: documentOf("https://as.example/") }))
        assert.strictEqual((yield* discover("https://as.example/", network)).issuer, "https://as.example/")
      })
    )

    it.effect("if every document is another's, it fails and says which issuer was found", () =>
      Effect.gen(function* () {
        const network = Network.make(() => Network.json(documentOf("https://evil.example")))
        const error = yield* Effect.flip(discover("https://as.example", network))
        assert.strictEqual(error._tag, "AuthorizationServerMetadataError")
        assert.strictEqual(error.issuer, "https://as.example")
        assert.include(error.detail, '"https://evil.example"')
        assert.isFalse(error.isTransient)
      })
    )

    it.effect("a hostile issuer cannot fill the log", () =>
      Effect.gen(function* () {
        const network = Network.make(() => Network.json(documentOf(`https://${"x".repeat(100_000)}`)))
        const error = yield* Effect.flip(discover("https://as.example", network))
        assert.isBelow(error.message.length, 2_000)
      })
    )
  })

  describe("what it says", () => {
    it.effect("an outage of any candidate is transient", () =>
      Effect.gen(function* () {
        const network = Network.make((url) =>
          url.endsWith("openid-configuration") ? new Response("", { status: 404 }) : Network.unreachable
        )
        assert.isTrue((yield* Effect.flip(discover("https://as.example", network))).isTransient)
      })
    )

    it.effect("unknown members are ignored, members of the wrong type are not (PR-05)", () =>
      Effect.gen(function* () {
        const good = yield* discover(
          "https://as.example",
          Network.make(() => Network.json(documentOf("https://as.example")))
        )
        assert.notProperty(good, "something_of_its_own")
        const network = Network.make(() =>
          Network.json({ ...documentOf("https://as.example"), jwks_uri: ["https://x"] })
        )
        const error = yield* Effect.flip(discover("https://as.example", network))
        assert.include(error.detail, "jwks_uri must be")
      })
    )

    it.effect("a member that is null is one that is not there", () =>
      Effect.gen(function* () {
        const nulls = {
          registration_endpoint: null,
          scopes_supported: null,
          require_pushed_authorization_requests: null
        }
        const network = Network.make(() => Network.json({ ...documentOf("https://as.example"), ...nulls }))
        const read = yield* discover("https://as.example", network)
        for (const member of Object.keys(nulls)) assert.notProperty(read, member)
        const without = Network.make(() => Network.json({ ...documentOf("https://as.example"), issuer: null }))
        assert.include((yield* Effect.flip(discover("https://as.example", without))).detail, "issuer must be")
      })
    )

    it.effect("every request and the decision are in the trace", () =>
      DiscoveryTrace.collect((trace) =>
        Effect.gen(function* () {
          const network = Network.make(
            Network.documents({
              "https://as.example/.well-known/openid-configuration": documentOf("https://as.example")
            })
          )
          yield* discover("https://as.example", network)
          assert.strictEqual(
            DiscoveryTrace.render(yield* trace),
            [
              "1. GET https://as.example/.well-known/oauth-authorization-server → 404 (authorization server metadata)",
              "2. GET https://as.example/.well-known/openid-configuration → 200 (authorization server metadata)",
              "3. authorization server is https://as.example (its metadata names it as issuer, RFC 8414 section 3.3)"
            ].join("\n")
          )
        })
      )
    )
  })
})
