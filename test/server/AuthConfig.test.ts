import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Challenge from "../../src/server/Challenge.js"
import { good, refused } from "../vectors/AuthConfig.js"

const input = (options: unknown): AuthConfig.Input => options as AuthConfig.Input
const issuesOf = (options: unknown) => {
  const result = AuthConfig.make(input(options))
  return Either.isRight(result) ? [] : ParseResult.ArrayFormatter.formatErrorSync(result.left)
}
const made = (more: Partial<AuthConfig.Input> = {}) => AuthConfig.unsafeMake({ ...good, ...more })

describe("AuthConfig", () => {
  describe("each refusal names the option, the rule and the value:", () => {
    for (const { name, options, path, row, rule, value } of refused) {
      it(`${row} ${name}`, () => {
        const issues = issuesOf(options)
        const here = issues.filter((issue) => JSON.stringify(issue.path) === JSON.stringify(path))
        assert.isNotEmpty(here, `no issue at ${JSON.stringify(path)} but ${JSON.stringify(issues)}`)
        const message = here.map((issue) => issue.message).join("\n")
        assert.include(message, rule)
        if (value !== undefined) assert.include(message, value)
      })
    }

    // Bugs that are known and not mended: the tests turn red when they are, and then become `it`.
    describe("known bugs", () => {
      it("A36 the message is one that a person can read", () => {
        const result = AuthConfig.make(input({ ...good, foo: 1 }))
        assert.isBelow(String(Either.isLeft(result) ? result.left : "").length, 3_000)
      })

      it("A32 metadata that is no JSON is refused when it is configured, not when it is asked for", () => {
        assert.isNotEmpty(issuesOf({ ...good, metadata: { size: 1n } }))
      })

      it("A21 the broader one of impliedScopes is a scope, too", () => {
        assert.isNotEmpty(issuesOf({ ...good, impliedScopes: { "a b": ["c"] } }))
      })
    })

    it("A36 every broken option is listed, not only the first", () => {
      const issues = issuesOf({
        authorizationServers: "https://as.example.com",
        foo: 1,
        requiredScopes: ["a b"],
        scopes: []
      })
      assert.deepStrictEqual(
        new Set(issues.map((issue) => String(issue.path[0]))),
        new Set(["resource", "foo", "requiredScopes", "scopes"])
      )
      const rules = issuesOf({
        ...good,
        resource: "http://mcp.example.com",
        authorizationServers: ["http://a.example", "https://b.example?"],
        metadata: { resource: 1 }
      })
      assert.deepStrictEqual(
        rules.map((issue) => issue.path.join(".")),
        ["authorizationServers.0", "authorizationServers.1", "resource", "metadata.resource"]
      )
    })
  })

  describe("what is accepted", () => {
    it("A18, A22, C13 defaults", () => {
      assert.deepInclude(made(), {
        resource: "https://mcp.example.com/mcp",
        authorizationServers: ["https://as.example.com"],
        allowInsecureAuthorizationServers: false,
        requiredScopes: [],
        audiencePolicy: "exact",
        audiences: ["https://mcp.example.com/mcp"],
        resourceMetadataUrl: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
        bearerMethodsSupported: ["header"]
      })
    })

    it("A7 one issuer, or a list", () => {
      assert.deepStrictEqual(made({ authorizationServers: "https://a.example" }).authorizationServers, [
        "https://a.example"
      ])
      assert.deepStrictEqual(
        made({ authorizationServers: ["https://a.example", "https://b.example/"] }).authorizationServers,
        ["https://a.example", "https://b.example/"]
      )
    })

    for (const issuer of [
      "http://localhost:3000",
      "http://127.0.0.1",
      "http://127.8.9.10:1",
      "http://[::1]:3000",
      "http://as.localhost/t1",
      "https://as.example.com/t1/",
      "https://[2001:db8::1]:8443"
    ]) {
      it(`A11 the issuer ${issuer}`, () =>
        assert.deepStrictEqual(issuesOf({ ...good, authorizationServers: issuer }), []))
    }

    it("A12 http issuers beyond loopback by option, and no other rule is lifted", () => {
      const lifted = { ...good, allowInsecureAuthorizationServers: true }
      assert.deepStrictEqual(issuesOf({ ...lifted, authorizationServers: "http://as.internal" }), [])
      for (const authorizationServers of ["http://as.internal?", "http://as.internal#", "ftp://as.internal", []]) {
        assert.isNotEmpty(issuesOf({ ...lifted, authorizationServers }))
      }
      assert.isNotEmpty(issuesOf({ ...lifted, resource: "http://mcp.internal" }))
    })

    it("A4 an http resource beyond loopback by an option of its own", () => {
      assert.deepStrictEqual(issuesOf({ ...good, resource: "http://mcp.internal", allowInsecureResource: true }), [])
      assert.isNotEmpty(issuesOf({ ...good, resource: "http://mcp.internal#", allowInsecureResource: true }))
      assert.isNotEmpty(issuesOf({ ...good, authorizationServers: "http://as.internal", allowInsecureResource: true }))
    })

    it("A23 a jwksUri with https, on loopback, or by the option that also lets the resource be http", () => {
      const issues = (jwksUri: string, more = {}) => issuesOf({ ...good, jwksUri, ...more })
      for (const uri of ["https://keys.example/jwks", "http://localhost:3000/jwks", "http://127.0.0.2/jwks"]) {
        assert.deepStrictEqual(issues(uri), [], uri)
      }
      assert.deepStrictEqual(issues("http://mcp.internal/jwks", { allowInsecureResource: true }), [])
      assert.isNotEmpty(issues("http://mcp.internal/jwks#x", { allowInsecureResource: true }))
      assert.isNotEmpty(issues("http://mcp.internal/jwks", { allowInsecureAuthorizationServers: true }))
    })

    it("A33 an option that is undefined counts as left out", () => {
      assert.deepStrictEqual(issuesOf({ ...good, issuer: undefined, requiredScopes: undefined }), [])
      assert.deepStrictEqual(made({ requiredScopes: undefined }).requiredScopes, [])
    })

    it("identifiers stay what was written, character for character", () => {
      for (const resource of [
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "HTTPS://MCP.Example.com:443/a/../b/?x=1&y",
        "https://[2001:DB8::1]:443/%7euser/"
      ]) {
        const config = made({ resource, authorizationServers: ["https://AS.example.com:443/"] })
        assert.strictEqual(config.resource, resource)
        assert.deepStrictEqual(config.audiences, [resource])
        assert.deepStrictEqual(config.authorizationServers, ["https://AS.example.com:443/"])
        assert.strictEqual(AuthConfig.toMetadata(config)["resource"], resource)
      }
    })
  })

  describe("A27 the default metadata URL", () => {
    for (const [row, resource, expected] of [
      ["A27", "https://h.example/a/mcp", "https://h.example/.well-known/oauth-protected-resource/a/mcp"],
      [
        "A28, IPv6",
        "https://[2001:db8::1]:8443/mcp",
        "https://[2001:db8::1]:8443/.well-known/oauth-protected-resource/mcp"
      ],
      [
        "A28, default port",
        "https://h.example:443/mcp",
        "https://h.example:443/.well-known/oauth-protected-resource/mcp"
      ],
      ["PR-01, query", "https://h.example/mcp?t=1", "https://h.example/.well-known/oauth-protected-resource/mcp?t=1"],
      ["A29", "https://h.example", "https://h.example/.well-known/oauth-protected-resource"],
      ["A29", "https://h.example/", "https://h.example/.well-known/oauth-protected-resource"],
      ["A29, final slash", "https://h.example/mcp/", "https://h.example/.well-known/oauth-protected-resource/mcp/"]
    ] as const) {
      it(`${row}: ${resource}`, () => assert.strictEqual(made({ resource }).resourceMetadataUrl, expected))
    }

    it("A24, A26 or the one that is configured, with its query", () => {
      const resourceMetadataUrl = "https://docs.example.com/prm?realm=a&b=c"
      assert.strictEqual(made({ resourceMetadataUrl }).resourceMetadataUrl, resourceMetadataUrl)
    })
  })

  describe("A1 one value, the document and the challenge", () => {
    it("the challenge points to where the document is, and both say the same", () => {
      const config = made({ requiredScopes: ["mcp:tools"], scopesSupported: ["mcp:tools", "mcp:write"] })
      assert.include(Challenge.respond(AuthError.missing, config).wwwAuthenticate ?? "", config.resourceMetadataUrl)
      assert.deepStrictEqual(AuthConfig.toMetadata(config), {
        resource: "https://mcp.example.com/mcp",
        authorization_servers: ["https://as.example.com"],
        bearer_methods_supported: ["header"],
        scopes_supported: ["mcp:tools", "mcp:write"]
      })
    })

    it("F1 optional members are there only where they are set, and lists only where they hold something (PR-04)", () => {
      assert.deepStrictEqual(Object.keys(AuthConfig.toMetadata(made())), [
        "resource",
        "authorization_servers",
        "bearer_methods_supported"
      ])
      assert.notProperty(AuthConfig.toMetadata(made({ scopesSupported: [] })), "scopes_supported")
      assert.strictEqual(
        AuthConfig.toMetadata(made({ dpopBoundAccessTokensRequired: false }))["dpop_bound_access_tokens_required"],
        false
      )
    })

    it("F1 every member of RFC 9728, in a fixed order", () => {
      const all = made({
        scopesSupported: ["s"],
        resourceName: "n",
        jwksUri: "https://h.example/jwks",
        resourceDocumentation: "https://h.example/d",
        resourcePolicyUri: "https://h.example/p",
        resourceTosUri: "https://h.example/t",
        resourceSigningAlgValuesSupported: ["ES256"],
        tlsClientCertificateBoundAccessTokens: true,
        authorizationDetailsTypesSupported: ["t"],
        dpopSigningAlgValuesSupported: ["ES256"],
        dpopBoundAccessTokensRequired: true,
        signedMetadata: "a.b.c",
        metadata: { "resource_name#de": "N", x_extra: { a: [1] } }
      })
      assert.deepStrictEqual(Object.entries(AuthConfig.toMetadata(all)), [
        ["resource", "https://mcp.example.com/mcp"],
        ["authorization_servers", ["https://as.example.com"]],
        ["bearer_methods_supported", ["header"]],
        ["scopes_supported", ["s"]],
        ["resource_name", "n"],
        ["jwks_uri", "https://h.example/jwks"],
        ["resource_documentation", "https://h.example/d"],
        ["resource_policy_uri", "https://h.example/p"],
        ["resource_tos_uri", "https://h.example/t"],
        ["resource_signing_alg_values_supported", ["ES256"]],
        ["tls_client_certificate_bound_access_tokens", true],
        ["authorization_details_types_supported", ["t"]],
        ["dpop_signing_alg_values_supported", ["ES256"]],
        ["dpop_bound_access_tokens_required", true],
        ["signed_metadata", "a.b.c"],
        ["resource_name#de", "N"],
        ["x_extra", { a: [1] }]
      ])
    })

    it("A31 metadata cannot replace a member by way of __proto__ either", () => {
      const metadata = JSON.parse('{"__proto__":{"resource":"https://evil.example"},"constructor":"x"}')
      const document = JSON.parse(JSON.stringify(AuthConfig.toMetadata(made({ metadata }))))
      assert.strictEqual(document.resource, "https://mcp.example.com/mcp")
      assert.strictEqual(Object.getPrototypeOf(document), Object.prototype)
    })
  })

  describe("A36 constructors", () => {
    it("make gives an Either, unsafeMake throws the same ParseError", () => {
      const result = AuthConfig.make(input({ ...good, foo: 1 }))
      assert.isTrue(Either.isLeft(result) && ParseResult.isParseError(result.left))
      assert.throws(() => AuthConfig.unsafeMake(input({ ...good, foo: 1 })), /foo/)
    })

    it("a configuration crosses a wire: what is encoded is decoded to the same", () => {
      const config = made({ audiences: ["api://mcp"], requiredScopes: ["a"], metadata: { x: 1 } })
      const encoded = JSON.parse(JSON.stringify(Schema.encodeSync(AuthConfig.schema)(config)))
      assert.deepStrictEqual({ ...AuthConfig.unsafeMake(encoded) }, { ...config })
    })

    it.prop("make is total", { options: fc.anything() }, ({ options }) => {
      assert.isTrue(Either.isEither(AuthConfig.make(input(options))))
    })

    it.prop("no option gets by unchecked, whatever its name", { name: fc.string() }, ({ name }) => {
      assert.isNotEmpty(issuesOf({ ...good, ...Object.fromEntries([[name, 5]]) }))
    })

    it.effect("layer fails with the ParseError", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(AuthConfig.layer(input({ ...good, foo: 1 })))))
        assert.strictEqual(error._tag, "ParseError")
      })
    )
  })

  describe("A39 layerConfig", () => {
    const layer = AuthConfig.layerConfig({
      resource: Config.string("MCP_RESOURCE"),
      authorizationServers: Config.array(Config.string(), "MCP_AUTHORIZATION_SERVERS"),
      requiredScopes: Config.withDefault(Config.array(Config.string(), "MCP_REQUIRED_SCOPES"), []),
      allowInsecureAuthorizationServers: Config.withDefault(Config.boolean("MCP_INSECURE"), false)
    })
    const build = (environment: Record<string, string>) =>
      Effect.provide(AuthConfig.AuthConfig, layer).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
      )

    it.effect("reads what the environment says", () =>
      Effect.gen(function* () {
        const config = yield* build({
          MCP_RESOURCE: "https://mcp.example.com/mcp",
          MCP_AUTHORIZATION_SERVERS: "https://a.example,https://b.example/t",
          MCP_REQUIRED_SCOPES: "mcp:tools"
        })
        assert.deepStrictEqual(config.authorizationServers, ["https://a.example", "https://b.example/t"])
        assert.deepStrictEqual(config.requiredScopes, ["mcp:tools"])
      })
    )

    it.effect("what is not there is a ConfigError that names the variable", () =>
      Effect.map(Effect.flip(build({ MCP_AUTHORIZATION_SERVERS: "https://a.example" })), (error) => {
        assert.notStrictEqual(String(Reflect.get(error, "_tag")), "ParseError")
        assert.include(String(error), "MCP_RESOURCE")
      })
    )

    it.effect("what breaks a rule is a ParseError that names the option", () =>
      Effect.map(
        Effect.flip(build({ MCP_RESOURCE: "mcp.example.com", MCP_AUTHORIZATION_SERVERS: "https://a.example" })),
        (error) => {
          assert.strictEqual(Reflect.get(error, "_tag"), "ParseError")
          assert.include(String(error), '["resource"]')
          assert.include(String(error), '"mcp.example.com" must be an absolute http or https URL')
        }
      )
    )
  })

  describe("A12 one warning at start, and only where something is insecure", () => {
    const warnings = (more: Partial<AuthConfig.Input>) => {
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel.label} ${message}`))
      return Effect.scoped(Layer.build(AuthConfig.layer({ ...good, ...more }))).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Effect.as(logged)
      )
    }
    for (const [more, expected] of [
      [{}, 0],
      [{ allowInsecureAuthorizationServers: false }, 0],
      [{ allowInsecureAuthorizationServers: true }, 1],
      [{ allowInsecureResource: true }, 1],
      [{ allowInsecureResource: true, allowInsecureAuthorizationServers: true }, 1]
    ] as const) {
      it.effect(`${JSON.stringify(more)}: ${expected}`, () =>
        Effect.map(warnings(more), (logged) => {
          assert.strictEqual(logged.length, expected)
          assert.isTrue(logged.every((line) => line.startsWith("WARN ")))
        })
      )
    }
  })
})
