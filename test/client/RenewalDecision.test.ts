import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as RenewalDecision from "../../src/client/RenewalDecision.js"
import type { StoredGrant } from "../../src/client/StoredGrant.js"
import { endpoint, issuer, redirectUri } from "./World.js"

type Input = Parameters<typeof RenewalDecision.decide>[0]

const now = 1_000_000

const token = (value: string, scopes: ReadonlyArray<string> = ["a"], expiresAt?: number) => ({
  value: Redacted.make(value),
  type: "Bearer" as const,
  scopes,
  expiresAt
})

const grant = (changes: Partial<StoredGrant> = {}): StoredGrant => ({
  schemaVersion: 1,
  issuer,
  clientId: "c",
  resource: endpoint,
  redirectUri,
  tokenEndpoint: `${issuer}/token`,
  accessToken: token("t"),
  refreshToken: Redacted.make("r"),
  requestedScopes: ["a"],
  issuedAt: 0,
  ...changes
})

const refusal = (status: 401 | 403, scope?: string, renewals = 0): Input["refusal"] => ({
  status,
  url: endpoint,
  renewals,
  challenge: Option.some({ scheme: "Bearer", parameters: scope === undefined ? {} : { scope } })
})

const last = (by: "SignIn" | "Refresh", requested = ["a"]): RenewalDecision.History => ({
  ...RenewalDecision.blank,
  last: { token: Redacted.make("t"), by, requested }
})

const plain = RenewalDecision.blank

const used = Option.some(token("t"))

describe("decide", () => {
  const rows: ReadonlyArray<
    readonly [string, Input["refusal"], Input["used"], StoredGrant | undefined, RenewalDecision.History, string]
  > = [
    ["nothing is held", refusal(401), Option.none(), undefined, plain, "Authorize"],
    ["a token came in between", refusal(401), Option.none(), grant(), plain, "Use"],
    ["another token is held", refusal(401), Option.some(token("old")), grant(), plain, "Use"],
    [
      "another one, but expired",
      refusal(401),
      Option.some(token("old")),
      grant({ accessToken: token("t", ["a"], now) }),
      plain,
      "Refresh"
    ],
    ["J19: refresh first", refusal(401), used, grant(), plain, "Refresh"],
    ["nothing to refresh with", refusal(401), used, grant({ refreshToken: undefined }), plain, "Authorize"],
    ["just refreshed, and refused", refusal(401, undefined, 1), used, grant(), last("Refresh"), "Authorize"],
    ["just signed in, and refused", refusal(401, undefined, 1), used, grant(), last("SignIn"), "TokenNotAccepted"],
    [
      "just refreshed, and refused, but about to expire",
      refusal(401, undefined, 1),
      used,
      grant({ accessToken: token("t", ["a"], now + 29_999) }),
      last("Refresh"),
      "Refresh"
    ],
    [
      "just signed in, and refused, but in the second half of a short life",
      refusal(401, undefined, 1),
      used,
      grant({ accessToken: token("t", ["a"], now + 900), issuedAt: now - 1100 }),
      last("SignIn"),
      "Refresh"
    ],
    [
      "just refreshed, and refused in the first half of a short life",
      refusal(401, undefined, 1),
      used,
      grant({ accessToken: token("t", ["a"], now + 1100), issuedAt: now - 900 }),
      last("Refresh"),
      "Authorize"
    ],
    ["signed in a while ago", refusal(401), used, grant(), last("SignIn"), "Refresh"],
    [
      "diagnosed before",
      refusal(401),
      used,
      grant(),
      { ...plain, diagnosed: { token: Redacted.make("t"), status: 401, at: now - 59_999 } },
      "TokenNotAccepted"
    ],
    [
      "diagnosed long ago",
      refusal(401),
      used,
      grant(),
      { ...plain, diagnosed: { token: Redacted.make("t"), status: 401, at: now - 60_000 } },
      "Refresh"
    ],
    [
      "one sign-in after the other",
      refusal(401),
      used,
      grant({ refreshToken: undefined }),
      { ...plain, signIns: [now - 3, now - 2, now - 1] },
      "TokenNotAccepted"
    ],
    ["J20: a step up is never a refresh", refusal(403, "b"), used, grant(), plain, "Authorize"],
    ["CL-68: the scope is there", refusal(403, "a"), used, grant(), plain, "ScopesAlreadyGranted"],
    [
      "the scope came in between",
      refusal(403, "b"),
      Option.some(token("old")),
      grant({ accessToken: token("t", ["a", "b"]) }),
      plain,
      "Use"
    ],
    ["a token came in between, without it", refusal(403, "b"), Option.some(token("old")), grant(), plain, "Authorize"],
    ["asked for, not granted", refusal(403, "b", 1), used, grant(), last("SignIn", ["a", "b"]), "ScopesNotGranted"],
    ["asked for something else", refusal(403, "c", 1), used, grant(), last("SignIn", ["a", "b"]), "Authorize"],
    ["no scope in the challenge", refusal(403), used, grant(), plain, "Authorize"],
    ["signed in for the token, then for the scope", refusal(403, "b", 1), used, grant(), last("SignIn"), "Authorize"]
  ]
  for (const [name, refusal, used, stored, history, expected] of rows) {
    it(name, () => {
      const decision = RenewalDecision.decide({ refusal, used, stored: Option.fromNullable(stored), history, now })
      assert.strictEqual(decision._tag === "Stop" ? decision.reason : decision._tag, expected)
    })
  }
})

describe("scopes", () => {
  const ask = (changes: Partial<Parameters<typeof RenewalDecision.scopes>[0]>) =>
    RenewalDecision.scopes({
      challenged: [],
      configured: undefined,
      resourceSupports: undefined,
      serverSupports: undefined,
      before: [],
      ...changes
    }).join(" ")

  it("CL-61 CL-63 CL-65 CL-67 CL-74", () => {
    assert.strictEqual(ask({}), "")
    assert.strictEqual(ask({ resourceSupports: ["m"] }), "m")
    assert.strictEqual(ask({ resourceSupports: ["m"], configured: ["c"] }), "c")
    assert.strictEqual(ask({ resourceSupports: ["m"], configured: ["c"], challenged: ["x"] }), "x c")
    assert.strictEqual(ask({ resourceSupports: ["m"], challenged: ["x"] }), "x")
    assert.strictEqual(ask({ challenged: ["x"], before: ["b", "x"] }), "b x")
    assert.strictEqual(ask({ challenged: ["x"], serverSupports: ["offline_access"] }), "x offline_access")
    assert.strictEqual(ask({ serverSupports: ["offline_access"] }), "")
    assert.strictEqual(ask({ resourceSupports: ['no"token', "m"] }), "m")
  })
})
