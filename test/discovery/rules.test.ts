/** Rules of the specification that no test of a module names. */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as AuthorizationServerMetadata from "../../src/discovery/AuthorizationServerMetadata.js"
import * as GuardedHttp from "../../src/discovery/GuardedHttp.js"
import * as ProtectedResourceMetadata from "../../src/discovery/ProtectedResourceMetadata.js"
import * as Network from "../server/fixtures/Network.js"
import * as GuardedFetch from "./fixtures/GuardedFetch.js"

const issuer = "https://as.example/t1"
const oauth = "https://as.example/.well-known/oauth-authorization-server/t1"
const inserted = "https://as.example/.well-known/openid-configuration/t1"
const appended = "https://as.example/t1/.well-known/openid-configuration"

const discover = (network: Network.Network) =>
  AuthorizationServerMetadata.discover(issuer).pipe(GuardedFetch.over(network.client))

describe("authorization server metadata", () => {
  for (const url of [oauth, inserted, appended]) {
    it.effect(`CL-11 AM-11: a document of either kind will do, without the members of the other: ${url}`, () =>
      Effect.gen(function* () {
        const network = Network.make(Network.documents({ [url]: { issuer, token_endpoint: `${issuer}/token` } }))
        const metadata = yield* discover(network)
        assert.deepStrictEqual({ ...metadata }, { issuer, token_endpoint: `${issuer}/token` })
        assert.deepStrictEqual(network.asked, [oauth, inserted, appended].slice(0, network.asked.length))
      })
    )
  }

  it.effect("AM-13: the members that clients act on are read, further ones are left out", () =>
    Effect.gen(function* () {
      const members = {
        issuer,
        registration_endpoint: `${issuer}/reg`,
        revocation_endpoint: `${issuer}/revoke`,
        introspection_endpoint: `${issuer}/introspect`,
        device_authorization_endpoint: `${issuer}/device`,
        pushed_authorization_request_endpoint: `${issuer}/par`,
        require_pushed_authorization_requests: true,
        scopes_supported: ["a"],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
        dpop_signing_alg_values_supported: ["ES256"],
        acr_values_supported: ["mfa"],
        authorization_grant_profiles_supported: ["p"],
        protected_resources: ["https://mcp.example.com/mcp"]
      }
      const network = Network.make(Network.documents({ [oauth]: { ...members, something_else: [1] } }))
      const read: Readonly<Record<string, unknown>> = { ...(yield* discover(network)) }
      assert.deepStrictEqual(read, members)
    })
  )
})

describe("what is fetched", () => {
  const get = (url: string, network: Network.Network) =>
    GuardedHttp.execute(HttpClientRequest.get(url), "a test").pipe(
      GuardedFetch.over(network.client),
      Effect.flip,
      Effect.map(({ reason }) => reason)
    )

  it.effect("PR-18 SEC-10 B-12: nothing goes out in clear or by another scheme, and no redirect is followed", () =>
    Effect.gen(function* () {
      const network = Network.make(() => new Response("", { status: 302, headers: { location: "https://10.0.0.1/" } }))
      for (const url of ["http://as.example/", "http://169.254.169.254/latest", "ftp://as.example/", "file:///etc"]) {
        assert.strictEqual(yield* get(url, network), "InsecureUrl", url)
      }
      assert.lengthOf(network.asked, 0)
      assert.strictEqual(yield* get("https://as.example/", network), "Redirect")
      assert.deepStrictEqual(network.asked, ["https://as.example/"])
    })
  )

  it.effect("PR-18: a URL in a challenge gets to the public network and no further", () =>
    Effect.gen(function* () {
      const network = Network.make(() => new Response("", { status: 404 }))
      const endpoint = "https://mcp.example.com/mcp"
      for (const [challengeUrl, reason] of [
        ["http://169.254.169.254/latest/meta-data", "InsecureUrl"],
        ["https://169.254.169.254/latest/meta-data", "OutOfReach"],
        ["https://10.0.0.1/", "OutOfReach"],
        ["http://localhost:6379/", "OutOfReach"]
      ] as const) {
        const error = yield* ProtectedResourceMetadata.discover({ endpoint, challengeUrl }).pipe(
          GuardedFetch.over(network.client, { configured: [endpoint] }),
          Effect.flip
        )
        assert.strictEqual(error.attempts[0]?.reason, reason, challengeUrl)
      }
      assert.lengthOf(network.asked, 0)
    })
  )
})
