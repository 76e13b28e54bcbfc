import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as DiscoveryTrace from "../../src/discovery/DiscoveryTrace.js"
import * as ProtectedResourceMetadata from "../../src/discovery/ProtectedResourceMetadata.js"
import * as Network from "../server/fixtures/Network.js"
import * as GuardedFetch from "./fixtures/GuardedFetch.js"

const root = "https://h.example/.well-known/oauth-protected-resource"
const endpoint = "https://h.example/a/mcp"
const inserted = `${root}/a/mcp`
const challengeUrl = "https://h.example/documents/mcp?tenant=1"

const document = (resource: unknown, more: object = {}) => ({
  resource,
  authorization_servers: ["https://as.example"],
  ...more
})

const discover = (options: Parameters<typeof ProtectedResourceMetadata.discover>[0], network: Network.Network) =>
  ProtectedResourceMetadata.discover(options).pipe(GuardedFetch.over(network.client))

const nothing = () => Network.make(() => new Response("", { status: 404 }))

describe("ProtectedResourceMetadata", () => {
  describe("where it looks (CL-03, PR-02)", () => {
    for (const [url, expected] of [
      ["https://h.example/a/mcp", [inserted, root]],
      ["https://h.example/a/mcp/", [inserted, `${inserted}/`, root]],
      ["https://h.example", [root]],
      ["https://h.example/", [root]],
      [
        "https://h.example:8443/mcp?x=1",
        [
          "https://h.example:8443/.well-known/oauth-protected-resource/mcp?x=1",
          "https://h.example:8443/.well-known/oauth-protected-resource"
        ]
      ]
    ] as ReadonlyArray<readonly [string, ReadonlyArray<string>]>) {
      it.effect(`${url}, with no URL in the challenge`, () =>
        Effect.gen(function* () {
          const network = nothing()
          const error = yield* Effect.flip(discover({ endpoint: url }, network))
          assert.deepStrictEqual(network.asked, [...expected])
          assert.strictEqual(error.attempts.length, expected.length)
        })
      )
    }

    it.effect("J2: a URL that is configured is asked in the place of those, and the challenge's before it", () =>
      Effect.gen(function* () {
        const metadataUrl = "https://docs.example/mcp.json"
        const documents = Network.documents({ [metadataUrl]: document(endpoint), [challengeUrl]: document(endpoint) })
        const network = Network.make(documents)
        yield* discover({ endpoint, metadataUrl }, network)
        yield* discover({ endpoint, metadataUrl, challengeUrl }, network)
        assert.deepStrictEqual(network.asked, [metadataUrl, challengeUrl])
        const gone = nothing()
        const error = yield* Effect.flip(discover({ endpoint, metadataUrl }, gone))
        assert.deepStrictEqual(gone.asked, [metadataUrl])
        assert.lengthOf(error.attempts, 1)
        const foreign = Network.make(() => Network.json(document("https://evil.example/a/mcp")))
        const mismatch = yield* Effect.flip(discover({ endpoint, metadataUrl }, foreign))
        assert.strictEqual(mismatch.mismatch?.actual, "https://evil.example/a/mcp")
      })
    )

    it.effect(
      "CL-48: an endpoint that was typed in capitals is also the one in lower case, and what is named is sent",
      () =>
        Effect.gen(function* () {
          const named = (resource: string) =>
            discover(
              { endpoint: "https://H.Example:443/a/mcp", policy: "exact" },
              Network.make(() => Network.json(document(resource)))
            )
          for (const resource of ["https://h.example/a/mcp", "https://H.Example:443/a/mcp"]) {
            assert.strictEqual((yield* named(resource)).resource, resource)
          }
          for (const resource of ["https://h.EXAMPLE/a/mcp", "https://h.example/A/mcp", "https://h.example/a/mcp/"]) {
            assert.strictEqual((yield* Effect.flip(named(resource))).mismatch?.actual, resource)
          }
        })
    )

    it.effect("a path document that is there is the one: the root is not asked", () =>
      Effect.gen(function* () {
        const network = Network.make(
          Network.documents({ [inserted]: document(endpoint), [root]: document("https://h.example") })
        )
        assert.strictEqual((yield* discover({ endpoint }, network)).resource, endpoint)
        assert.deepStrictEqual(network.asked, [inserted])
      })
    )

    for (const status of [400, 401, 403, 404, 405, 410, 500, 503]) {
      it.effect(`${status} at the path-inserted URL moves on to the root (CL-04)`, () =>
        Effect.gen(function* () {
          const network = Network.make((url) =>
            url === root ? Network.json(document("https://h.example")) : new Response("", { status })
          )
          assert.strictEqual((yield* discover({ endpoint, policy: "exact" }, network)).resource, "https://h.example")
          assert.deepStrictEqual(network.asked, [inserted, root])
        })
      )
    }
  })

  describe("a URL in the challenge (CL-03, CL-04)", () => {
    it.effect("it is the only one that is asked", () =>
      Effect.gen(function* () {
        const network = Network.make(
          Network.documents({
            [challengeUrl]: document(endpoint, { scopes_supported: ["a"] }),
            [inserted]: document(endpoint)
          })
        )
        assert.deepStrictEqual((yield* discover({ endpoint, challengeUrl }, network)).scopes_supported, ["a"])
        assert.deepStrictEqual(network.asked, [challengeUrl])
      })
    )

    for (const [name, answer] of [
      ["is not there", new Response("", { status: 404 })],
      ["is not reached", Network.unreachable],
      ["is no JSON", new Response("<html>")],
      ["names another resource", Network.json(document("https://evil.example/mcp"))],
      ["lists no authorization server", Network.json({ resource: endpoint, authorization_servers: [] })]
    ] as const) {
      it.effect(`no other is asked where its document ${name}`, () =>
        Effect.gen(function* () {
          const network = Network.make((url) => (url === challengeUrl ? answer : Network.json(document(endpoint))))
          const error = yield* Effect.flip(discover({ endpoint, challengeUrl }, network))
          assert.strictEqual(error._tag, "ProtectedResourceMetadataError")
          assert.deepStrictEqual(network.asked, [challengeUrl])
        })
      )
    }

    it.effect("not even over http, and then nothing at all is asked (SEC-02)", () =>
      Effect.gen(function* () {
        const network = Network.make(() => Network.json(document(endpoint)))
        const error = yield* Effect.flip(discover({ endpoint, challengeUrl: "http://h.example/doc" }, network))
        assert.deepStrictEqual(
          error.attempts.map(({ reason }) => reason),
          ["InsecureUrl"]
        )
        assert.deepStrictEqual(network.asked, [])
      })
    )
  })

  describe("whose document counts (CL-05, CL-06, PR-06, PR-07, PR-08)", () => {
    /** Whether a document of this `resource` is used, by policy and by where it was found. */
    const table: ReadonlyArray<readonly [resource: string, exact: boolean, covering: boolean]> = [
      [endpoint, true, true],
      ["https://h.example/a/mcp/", false, false],
      ["https://h.example/a", false, true],
      ["https://h.example/a/", false, true],
      ["https://h.example", false, true],
      ["https://h.example/", false, true],
      ["https://H.example/a/mcp", false, true],
      ["https://h.example:443/a/mcp", false, true],
      ["https://h.example/a/mcp/more", false, false],
      ["https://h.example/a/mc", false, false],
      ["https://h.example/b", false, false],
      ["https://h.example/A/mcp", false, false],
      ["http://h.example/a/mcp", false, false],
      ["https://h.example:8443/a/mcp", false, false],
      ["https://evil.example/a/mcp", false, false],
      ["https://h.example.evil.example/a/mcp", false, false],
      ["https://h.example/a/mcp#x", false, false],
      ["https://h.example/a/mcp?x=1", false, false],
      ["https://user@h.example/a/mcp", false, false],
      ["urn:example:mcp", false, false],
      ["", false, false]
    ]
    for (const [resource, exact, covering] of table) {
      for (const policy of ["exact", "covering"] as const) {
        const used = policy === "exact" ? exact : covering
        it.effect(
          `${policy}: ${JSON.stringify(resource)} is ${used ? "used" : "refused"}, wherever the URL came from`,
          () =>
            Effect.gen(function* () {
              const answer = () => Network.json(document(resource))
              const byChallenge = yield* Effect.either(
                discover({ endpoint, challengeUrl, policy }, Network.make(answer))
              )
              assert.strictEqual(byChallenge._tag, used ? "Right" : "Left")
              const probed = yield* Effect.either(
                discover(
                  { endpoint, policy },
                  Network.make((url) => (url === inserted ? answer() : new Response("", { status: 404 })))
                )
              )
              assert.strictEqual(probed._tag, used ? "Right" : "Left")
              if (probed._tag === "Left") {
                assert.deepStrictEqual(probed.left.mismatch, { expected: endpoint, actual: resource })
                assert.isFalse(probed.left.isTransient)
              }
            })
        )
      }
    }

    for (const [resource, used] of [
      ["https://h.example", true],
      ["https://h.example/", true],
      ["https://h.example/a/mcp", false],
      ["https://h.example/a", false],
      ["https://evil.example", false]
    ] as const) {
      it.effect(`exact: the root document may name ${resource}: ${used} (RS-06)`, () =>
        Effect.gen(function* () {
          const network = Network.make(Network.documents({ [root]: document(resource) }))
          const result = yield* Effect.either(discover({ endpoint, policy: "exact" }, network))
          assert.strictEqual(result._tag, used ? "Right" : "Left")
        })
      )
    }

    it.effect("a path document of another resource moves on to the root (CL-04)", () =>
      Effect.gen(function* () {
        const network = Network.make(
          Network.documents({ [inserted]: document("https://evil.example/mcp"), [root]: document("https://h.example") })
        )
        assert.strictEqual((yield* discover({ endpoint }, network)).resource, "https://h.example")
      })
    )

    it("of another origin nothing is ever used", () => {
      const resource = fc.oneof(fc.webUrl(), fc.string(), fc.constant("https://h.example@evil.example/a/mcp"))
      fc.assert(
        fc.property(resource, fc.constantFrom("exact" as const, "covering" as const), (resource, policy) => {
          const used = ProtectedResourceMetadata.resourceViolation(resource, [endpoint], endpoint, policy) === undefined
          return !used || new URL(resource).origin === "https://h.example"
        })
      )
    })
  })

  describe("what it says (RS-02, PR-04, PR-05)", () => {
    for (const [name, body, detail] of [
      ["no authorization_servers", { resource: endpoint }, "authorization_servers is missing"],
      ["an empty list of them", document(endpoint, { authorization_servers: [] }), "authorization_servers must be"],
      [
        "one that is no string",
        document(endpoint, { authorization_servers: [5] }),
        "authorization_servers.0 must be string"
      ],
      ["no resource", { authorization_servers: ["https://as.example"] }, "resource is missing"],
      ["a resource that is no string", document(5), "resource must be string"]
    ] as const) {
      it.effect(`${name} is refused`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(
            discover(
              { endpoint },
              Network.make(() => Network.json(body))
            )
          )
          assert.include(error.detail, detail)
          assert.isUndefined(error.mismatch)
        })
      )
    }

    it.effect("every member of RFC 9728 is read, unknown ones are ignored", () =>
      Effect.gen(function* () {
        const members = {
          jwks_uri: "https://h.example/jwks",
          scopes_supported: ["a"],
          bearer_methods_supported: ["header"],
          resource_signing_alg_values_supported: ["ES256"],
          resource_name: "n",
          resource_documentation: "https://h.example/docs",
          resource_policy_uri: "https://h.example/policy",
          resource_tos_uri: "https://h.example/tos",
          tls_client_certificate_bound_access_tokens: true,
          authorization_details_types_supported: ["t"],
          dpop_signing_alg_values_supported: ["ES256"],
          dpop_bound_access_tokens_required: true,
          signed_metadata: "a.b.c"
        }
        const body = { ...document(endpoint, members), "resource_name#de": "N", other: 1 }
        const read = yield* discover(
          { endpoint },
          Network.make(() => Network.json(body))
        )
        assert.deepStrictEqual({ ...read }, { ...document(endpoint), ...members })
      })
    )

    it.effect("a member that is null is one that is not there", () =>
      Effect.gen(function* () {
        const body = document(endpoint, { scopes_supported: null, resource_name: null, signed_metadata: null })
        const read = yield* discover(
          { endpoint },
          Network.make(() => Network.json(body))
        )
        assert.deepStrictEqual({ ...read }, { ...document(endpoint) })
      })
    )

    it.effect("an outage is transient, a refusal is not", () =>
      Effect.gen(function* () {
        assert.isTrue(
          (yield* Effect.flip(
            discover(
              { endpoint },
              Network.make(() => Network.unreachable)
            )
          )).isTransient
        )
        assert.isFalse((yield* Effect.flip(discover({ endpoint }, nothing()))).isTransient)
      })
    )

    it.effect("the trace says why", () =>
      DiscoveryTrace.collect((trace) =>
        Effect.gen(function* () {
          yield* discover(
            { endpoint, challengeUrl },
            Network.make(() => Network.json(document(endpoint)))
          )
          assert.strictEqual(
            DiscoveryTrace.render(yield* trace),
            [
              "1. use the resource_metadata of the challenge (RFC 9728 section 5.1)",
              "2. GET https://h.example/documents/mcp → 200 (protected resource metadata)",
              "3. resource is https://h.example/a/mcp (RFC 9728 section 3.3, sent verbatim from here on)"
            ].join("\n")
          )
        })
      )
    )
  })
})
