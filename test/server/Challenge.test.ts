import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as Scopes from "../../src/protocol/Scopes.js"
import * as WwwAuthenticate from "../../src/protocol/WwwAuthenticate.js"
import type * as AuthConfig from "../../src/server/AuthConfig.js"
import * as AuthError from "../../src/server/AuthError.js"
import * as Challenge from "../../src/server/Challenge.js"
import { configOf, metadataUrl } from "./fixtures/Guarded.js"

const config = configOf()
const plain = configOf({ requiredScopes: [] })
const advertised = configOf({ requiredScopes: [], scopesSupported: ["files:read", "files:write"] })

interface Row {
  readonly row: string
  readonly name: string
  readonly error: AuthError.AuthError
  readonly config?: AuthConfig.AuthConfig
  readonly hints?: Challenge.Hints
  readonly expected: Challenge.Refusal
}

const M = `resource_metadata="${metadataUrl}"`

/** The failure table, byte for byte. */
const table: ReadonlyArray<Row> = [
  {
    row: "E2, E8, B-09, RS-51",
    name: "Missing has no error code",
    error: AuthError.missing,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}, scope="mcp:tools"`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E2, E15",
    name: "Missing where no scope is required has no scope",
    error: AuthError.missing,
    config: plain,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E2",
    name: "Missing does not fall back on scopes_supported",
    error: AuthError.missing,
    config: advertised,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E2, RS-55",
    name: "Missing names what the operation needs before what every request needs",
    error: new AuthError.Missing({ required: ["files:write", "mcp:tools", "offline_access"] }),
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}, scope="files:write mcp:tools"`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E3, E16, B-11",
    name: "InvalidToken says nothing of its reason and detail",
    error: new AuthError.InvalidToken({ reason: "signature", detail: "the detail" }),
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token is not valid", ${M}, scope="mcp:tools"`,
      body: { error: "invalid_token", error_description: "The access token is not valid" }
    }
  },
  {
    row: "C6, C7",
    name: "InvalidToken with a description",
    error: new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" }),
    config: plain,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token has expired", ${M}`,
      body: { error: "invalid_token", error_description: "The access token has expired" }
    }
  },
  {
    row: "S-01",
    name: "InvalidToken of an extension",
    error: new AuthError.InvalidToken({
      reason: "authentication",
      code: "insufficient_user_authentication",
      description: "A different authentication level is required",
      parameters: { acr_values: "myACR other", max_age: "5" }
    }),
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", ${M}, scope="mcp:tools", acr_values="myACR other", max_age="5"`,
      body: {
        error: "insufficient_user_authentication",
        error_description: "A different authentication level is required"
      }
    }
  },
  {
    row: "E4, E9, RS-53, RS-54",
    name: "InsufficientScope names what the operation needs first, and what every request needs as well",
    error: new AuthError.InsufficientScope({ required: ["files:read", "files:write"] }),
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:read files:write mcp:tools", ${M}, error_description="The access token lacks scopes that this operation needs"`,
      body: {
        error: "insufficient_scope",
        error_description: "The access token lacks scopes that this operation needs"
      }
    }
  },
  {
    row: "RS-55",
    name: "each scope once",
    error: new AuthError.InsufficientScope({ required: ["mcp:tools", "files:read", "mcp:tools"], description: "no" }),
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="mcp:tools files:read", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "E9",
    name: "InsufficientScope that names nothing: what is required of every request",
    error: new AuthError.InsufficientScope({ required: [], description: "no" }),
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="mcp:tools", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "E9",
    name: "and where that is nothing: scopes_supported",
    error: new AuthError.InsufficientScope({ required: [] }),
    config: advertised,
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:read files:write", ${M}, error_description="The access token lacks scopes that this operation needs"`,
      body: {
        error: "insufficient_scope",
        error_description: "The access token lacks scopes that this operation needs"
      }
    }
  },
  {
    row: "E9, E15",
    name: "and where nothing is known: no scope",
    error: new AuthError.InsufficientScope({ required: [] }),
    config: plain,
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", ${M}, error_description="The access token lacks scopes that this operation needs"`,
      body: {
        error: "insufficient_scope",
        error_description: "The access token lacks scopes that this operation needs"
      }
    }
  },
  {
    row: "E5, B-01",
    name: "InvalidRequest has no scope",
    error: new AuthError.InvalidRequest({ description: "the token came twice" }),
    expected: {
      status: 400,
      wwwAuthenticate: `Bearer error="invalid_request", error_description="the token came twice", ${M}`,
      body: { error: "invalid_request", error_description: "the token came twice" }
    }
  },
  {
    row: "E6, C11",
    name: "ServerError has no challenge, and nothing of the cause",
    error: new AuthError.ServerError({ cause: new Error("the database password is hunter2") }),
    expected: { status: 500, body: { error: "server_error", error_description: "Internal Server Error" } }
  },
  {
    row: "E6, C16",
    name: "ServerError with a time to come back",
    error: new AuthError.ServerError({ retryAfter: 30, cause: new Error("hunter2") }),
    expected: { status: 503, retryAfter: 30, body: { error: "server_error", error_description: "Service Unavailable" } }
  },
  ...[
    [0, 1],
    [-5, 1],
    [0.2, 1],
    [1.2, 2],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 86_400],
    [Number.NEGATIVE_INFINITY, 1],
    [1e21, 86_400]
  ].map(
    ([retryAfter, expected]): Row => ({
      row: "C16",
      name: `Retry-After of ${retryAfter} is a number of seconds`,
      error: new AuthError.ServerError({ retryAfter }),
      expected: {
        status: 503,
        retryAfter: expected as number,
        body: { error: "server_error", error_description: "Service Unavailable" }
      }
    })
  ),
  {
    row: "E10, E11",
    name: "scopes that could not be resolved cost their parameter only",
    error: new AuthError.InvalidToken({ reason: "other" }),
    hints: { requiredScopes: null },
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token is not valid", ${M}`,
      body: { error: "invalid_token", error_description: "The access token is not valid" }
    }
  },
  {
    row: "E12",
    name: "a metadata URL that could not be resolved costs its parameter only",
    error: new AuthError.InvalidToken({ reason: "other" }),
    hints: { resourceMetadataUrl: null },
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token is not valid", scope="mcp:tools"`,
      body: { error: "invalid_token", error_description: "The access token is not valid" }
    }
  },
  {
    row: "E12, B-06",
    name: "Missing with nothing resolved is still a challenge",
    error: AuthError.missing,
    hints: { resourceMetadataUrl: null, requiredScopes: null },
    expected: {
      status: 401,
      wwwAuthenticate: "Bearer",
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E10, E9",
    name: "scopes of the operation stay when those of the request could not be resolved",
    error: new AuthError.InsufficientScope({ required: ["files:write"] }),
    hints: { resourceMetadataUrl: null, requiredScopes: null },
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:write", error_description="The access token lacks scopes that this operation needs"`,
      body: {
        error: "insufficient_scope",
        error_description: "The access token lacks scopes that this operation needs"
      }
    }
  },
  {
    row: "E17, A24",
    name: "hints of the request win over the configuration",
    error: AuthError.missing,
    hints: { resourceMetadataUrl: "https://h.example/doc?tenant=1", requiredScopes: ["a", "b"] },
    expected: {
      status: 401,
      wwwAuthenticate: 'Bearer resource_metadata="https://h.example/doc?tenant=1", scope="a b"',
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "E13, B-08",
    name: "control characters, quotes, backslashes and what is not ASCII",
    error: new AuthError.InvalidRequest({ description: 'a\r\nSet-Cookie: x\u0000 "b" \\c\u007f é😀\u0085\ud800' }),
    expected: {
      status: 400,
      wwwAuthenticate: `Bearer error="invalid_request", error_description="a  Set-Cookie: x  'b' /c  ?? ?", ${M}`,
      body: { error: "invalid_request", error_description: "a  Set-Cookie: x  'b' /c  ?? ?" }
    }
  },
  {
    row: "E13",
    name: "an error code is as clean",
    error: new AuthError.InvalidToken({ reason: "other", code: 'x"\r\ny' }),
    config: plain,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="x'  y", error_description="The access token is not valid", ${M}`,
      body: { error: "x'  y", error_description: "The access token is not valid" }
    }
  },
  {
    row: "E3",
    name: "an empty code is the usual one, an empty description none",
    error: new AuthError.InvalidToken({ reason: "other", code: "", description: "" }),
    config: plain,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", ${M}`,
      body: { error: "invalid_token", error_description: "" }
    }
  },
  {
    row: "E13, E14",
    name: "parameters of an extension: illegal names are left out, values are cleaned, ours are not replaced",
    error: new AuthError.InvalidToken({
      reason: "other",
      parameters: {
        error: "none",
        ERROR_description: "x",
        resource_metadata: "https://evil.example",
        Scope: "admin",
        "bad name": "x",
        "": "x",
        'q"': "x",
        acr_values: 'a "b" \\ \r\n é'
      }
    }),
    config: plain,
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token is not valid", ${M}, acr_values="a \\"b\\" \\\\    ?"`,
      body: { error: "invalid_token", error_description: "The access token is not valid" }
    }
  },
  {
    row: "B-08, A21",
    name: "what is no scope is in no challenge",
    error: new AuthError.InsufficientScope({ required: ["files:write", "a b", 'c"', "", "é"] }),
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:write mcp:tools", ${M}, error_description="The access token lacks scopes that this operation needs"`,
      body: {
        error: "insufficient_scope",
        error_description: "The access token lacks scopes that this operation needs"
      }
    }
  },
  {
    row: "RS-51, RS-52",
    name: "challengeScopes stand for the required ones in a 401",
    error: AuthError.missing,
    config: configOf({ challengeScopes: ["mcp:tools", "mcp:write"] }),
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}, scope="mcp:tools mcp:write"`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "RS-51, RS-52",
    name: "and an empty list of them names none",
    error: AuthError.missing,
    config: configOf({ challengeScopes: [] }),
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  },
  {
    row: "RS-54",
    name: "but not in a 403",
    error: new AuthError.InsufficientScope({ required: ["files:write"], description: "no" }),
    config: configOf({ challengeScopes: [] }),
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:write mcp:tools", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "RS-59",
    name: "what was granted is repeated after what is needed, each once, where it is known",
    error: new AuthError.InsufficientScope({ required: ["files:write"], description: "no" }),
    hints: { grantedScopes: ["mcp:read", "mcp:tools", "files:write", "mcp:read"] },
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:write mcp:tools mcp:read", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "RS-59",
    name: "and does not stand in for what is needed",
    error: new AuthError.InsufficientScope({ required: [], description: "no" }),
    config: advertised,
    hints: { grantedScopes: ["mcp:read"] },
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="files:read files:write mcp:read", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "RS-09, RS-59",
    name: "but for what no challenge may name",
    error: new AuthError.InsufficientScope({ required: ["offline_access"], description: "no" }),
    hints: { grantedScopes: ["offline_access", "a b", 'c"', "mcp:read"] },
    expected: {
      status: 403,
      wwwAuthenticate: `Bearer error="insufficient_scope", scope="mcp:tools mcp:read", ${M}, error_description="no"`,
      body: { error: "insufficient_scope", error_description: "no" }
    }
  },
  {
    row: "RS-59",
    name: "a 401 repeats nothing",
    error: new AuthError.InvalidToken({ reason: "expired" }),
    hints: { grantedScopes: ["mcp:read"] },
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer error="invalid_token", error_description="The access token is not valid", ${M}, scope="mcp:tools"`,
      body: { error: "invalid_token", error_description: "The access token is not valid" }
    }
  },
  {
    row: "B-08, A21",
    name: "nor is it when a resolver gives it",
    error: AuthError.missing,
    hints: { requiredScopes: ["a b", 'c", error="x', "ok"] },
    expected: {
      status: 401,
      wwwAuthenticate: `Bearer ${M}, scope="ok"`,
      body: { error: "invalid_token", error_description: "Authorization required" }
    }
  }
]

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom('"', "\\", "\r\n", "é", ", Basic realm=x")
)
const texts = fc.array(fc.oneof(fc.constantFrom("a", "b:c"), text), { maxLength: 4 })
const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const anyError: fc.Arbitrary<AuthError.AuthError> = fc.oneof(
  fc.constant(AuthError.missing),
  fc
    .record({
      reason: fc.constantFrom(...AuthError.InvalidTokenReason.literals),
      detail: optional(text),
      description: optional(text),
      code: optional(text),
      parameters: optional(
        fc.dictionary(fc.oneof(text, fc.constantFrom("acr_values", "Error", "1", "__proto__")), text)
      )
    })
    .map((fields) => new AuthError.InvalidToken(fields)),
  fc.record({ required: texts, description: optional(text) }).map((fields) => new AuthError.InsufficientScope(fields)),
  text.map((description) => new AuthError.InvalidRequest({ description })),
  fc
    .record({ retryAfter: optional(fc.double()), cause: fc.anything() })
    .map((fields) => new AuthError.ServerError(fields))
)
const anyHints: fc.Arbitrary<Challenge.Hints> = fc.record({
  resourceMetadataUrl: fc.constantFrom(undefined, null, "https://h.example/doc?a=b"),
  requiredScopes: fc.oneof(fc.constantFrom(undefined, null), texts)
})

describe("Challenge", () => {
  describe("respond, byte for byte:", () => {
    for (const { error, expected, hints, name, row, ...rest } of table) {
      it(`${row} ${name}`, () => {
        assert.deepStrictEqual(Challenge.respond(error, rest.config ?? config, hints), expected)
      })
    }
  })

  describe("laws (E1)", () => {
    const reserved = ["error", "error_description", "resource_metadata", "scope"]

    it.prop(
      "any refusal renders to one challenge that reads back as it was meant",
      { error: anyError, hints: anyHints },
      ({ error, hints }) => {
        const refusal = Challenge.respond(error, config, hints)
        if (error._tag === "ServerError") {
          assert.notProperty(refusal, "wwwAuthenticate")
          assert.isTrue(refusal.status === 500 || (refusal.status === 503 && Number.isInteger(refusal.retryAfter)))
          return
        }
        const header = refusal.wwwAuthenticate ?? ""
        assert.match(header, /^[ -~]+$/)
        const challenges = WwwAuthenticate.parse(header)
        assert.strictEqual(challenges.length, 1)
        assert.strictEqual(challenges[0]?.scheme, "Bearer")
        const parameters = challenges[0]?.parameters ?? {}
        const none = error._tag === "Missing"
        assert.strictEqual(parameters["error"], none ? undefined : refusal.body.error)
        assert.strictEqual(
          parameters["error_description"],
          none ? undefined : refusal.body.error_description || undefined
        )
        assert.match(refusal.body.error, /^[ !#-[\]-~]+$/)
        assert.match(refusal.body.error_description, /^[ !#-[\]-~]*$/)
        const url =
          hints.resourceMetadataUrl === undefined
            ? config.resourceMetadataUrl
            : (hints.resourceMetadataUrl ?? undefined)
        assert.strictEqual(parameters["resource_metadata"], url)
        if (parameters["scope"] !== undefined) {
          assert.isTrue(parameters["scope"].split(" ").every(Scopes.isScopeToken))
        }
        const extra = error._tag === "InvalidToken" ? Object.entries(error.parameters ?? {}) : []
        for (const [name, value] of Object.entries(parameters)) {
          if (reserved.includes(name)) continue
          assert.isTrue(extra.some(([own, given]) => own.toLowerCase() === name && given.length === value.length))
        }
      }
    )

    it.prop(
      "the body is JSON of two strings, and never holds the cause or the detail",
      { error: anyError },
      ({ error }) => {
        const leak = "do-not-leak-7f3a"
        const laden =
          error._tag === "ServerError"
            ? new AuthError.ServerError({ retryAfter: error.retryAfter, cause: new Error(leak) })
            : error._tag === "InvalidToken"
              ? new AuthError.InvalidToken({ ...error, detail: leak })
              : error
        const refusal = Challenge.respond(laden, config)
        assert.notInclude(JSON.stringify(refusal), leak)
        assert.deepStrictEqual(Object.keys(JSON.parse(JSON.stringify(refusal.body))), ["error", "error_description"])
      }
    )
  })
})
