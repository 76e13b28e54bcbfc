import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as AuthConfig from "../../src/server/AuthConfig.js"
import type * as Authorizer from "../../src/server/Authorizer.js"
import * as JwtAuthorizer from "../../src/server/JwtAuthorizer.js"
import * as TokenProfile from "../../src/server/TokenProfile.js"
import * as Keys from "./fixtures/Keys.js"
import * as Network from "./fixtures/Network.js"
import * as Whoami from "./fixtures/Whoami.js"

const now = 1_800_000_000
const resource = "https://mcp.example.com/mcp"
const [key, foreign] = await Promise.all([Keys.make("RS256", "k1"), Keys.make("RS256", "k1")])
if (key === undefined || foreign === undefined) throw new Error("no keys")

type Json = Readonly<Record<string, unknown>>

interface Expected {
  readonly subject: string
  readonly clientId?: string
  readonly audience: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
}

/** An issuer as it is in the field: what its tokens look like, and what they are to be taken for. */
interface Issuer {
  readonly profile: TokenProfile.TokenProfile
  readonly issuer: string
  readonly config?: Partial<AuthConfig.Input>
  readonly accepted: Readonly<Record<string, readonly [header: Json, payload: Json, expected: Expected]>>
  /** Tokens of the same issuer, signed with the same keys, that are no access tokens for this resource. */
  readonly refused: Readonly<Record<string, readonly [header: Json, payload: Json, reason: string]>>
  /** Tokens of the same issuer that are no JWTs. */
  readonly opaque?: Readonly<Record<string, string>>
}

const times = { iat: now - 10, exp: now + 3590 }
const tenant = "11111111-2222-3333-4444-555555555555"
const application = "99999999-8888-7777-6666-555555555555"
const user = "auth0|5f7c8ec7c33c6c004bbafe82"

const entra = `https://login.microsoftonline.com/${tenant}/v2.0`
const entraCommon = {
  iss: entra,
  ...times,
  nbf: now - 10,
  aio: "AWQAm/8",
  rh: "0.AX",
  sub: "AAAAAAAA",
  tid: tenant,
  uti: "u",
  ver: "2.0"
}
const realm = "https://sso.example.com/realms/acme"
const keycloakCommon = { ...times, iss: realm, sub: "f:1:alice", sid: "s1", acr: "1" }
const pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc"
const cognitoCommon = {
  sub: "0f9b",
  iss: pool,
  origin_jti: "o",
  event_id: "e",
  auth_time: now - 10,
  ...times,
  jti: "j"
}
const okta = "https://acme.okta.com/oauth2/default"
const google = "https://accounts.google.com"

const issuers: Readonly<Record<string, Issuer>> = {
  rfc9068: {
    profile: TokenProfile.rfc9068,
    issuer: "https://as.example.com",
    accepted: {
      "an access token": [
        { typ: "at+jwt" },
        {
          iss: "https://as.example.com",
          ...times,
          aud: resource,
          sub: "5ba552d67",
          client_id: "s6BhdRkqt3",
          jti: "dbe39bf3a3ba4238a513f51d6e1691c4",
          scope: "openid profile mcp:tools"
        },
        {
          subject: "5ba552d67",
          clientId: "s6BhdRkqt3",
          audience: [resource],
          scopes: ["openid", "profile", "mcp:tools"]
        }
      ],
      "one with the long form of typ": [
        { typ: "application/AT+JWT" },
        { iss: "https://as.example.com", ...times, aud: [resource], sub: "c", client_id: "c", jti: "1" },
        { subject: "c", clientId: "c", audience: [resource], scopes: [] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: "JWT" },
        { iss: "https://as.example.com", ...times, aud: "s6BhdRkqt3", sub: "5ba552d67", nonce: "n" },
        "type"
      ],
      "an ID token for this audience, under the typ of an access token": [
        { typ: "at+jwt" },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "5", client_id: "c", jti: "1", nonce: "n" },
        "type"
      ],
      "a refresh token": [
        { typ: "rt+jwt" },
        { iss: "https://as.example.com", ...times, aud: "https://as.example.com", sub: "5", client_id: "c", jti: "1" },
        "type"
      ],
      "a logout token": [
        { typ: "logout+jwt" },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "5", client_id: "c", jti: "1", events: {} },
        "type"
      ],
      "an ID-JAG": [
        { typ: "oauth-id-jag+jwt" },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "5", client_id: "c", jti: "1", resource },
        "type"
      ],
      "one whose client is no string": [
        { typ: "at+jwt" },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "5", client_id: 7, jti: "1" },
        "claims"
      ]
    }
  },
  relaxed: {
    profile: TokenProfile.relaxed,
    issuer: "https://as.example.com",
    accepted: {
      "an access token without typ": [
        { typ: undefined },
        { iss: "https://as.example.com", exp: now + 60, aud: resource, sub: "s", azp: "c", scp: ["a"], scopes: "b c" },
        { subject: "s", clientId: "c", audience: [resource], scopes: ["a", "b", "c"] }
      ],
      "an access token with the least": [
        { typ: "JWT" },
        { iss: "https://as.example.com", exp: now + 60, aud: resource, sub: "s" },
        { subject: "s", audience: [resource], scopes: [] }
      ]
    },
    refused: {
      "an ID token of the authorization code flow": [
        { typ: "JWT" },
        { iss: "https://as.example.com", ...times, aud: "client", sub: "s" },
        "audience"
      ],
      "an ID token with a nonce, for this audience": [
        { typ: undefined },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "s", nonce: "n" },
        "type"
      ],
      "an ID token with at_hash, for this audience": [
        { typ: undefined },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "s", at_hash: "h" },
        "type"
      ],
      "one whose typ is a number": [
        { typ: 7 },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "s" },
        "type"
      ],
      "one whose typ is null": [
        { typ: null },
        { iss: "https://as.example.com", ...times, aud: resource, sub: "s" },
        "type"
      ],
      "one without an end": [{ typ: "JWT" }, { iss: "https://as.example.com", aud: resource, sub: "s" }, "claims"],
      "one without an audience": [{ typ: "JWT" }, { iss: "https://as.example.com", ...times, sub: "s" }, "claims"]
    }
  },
  auth0: {
    profile: TokenProfile.auth0,
    issuer: "https://acme.eu.auth0.com/",
    accepted: {
      "an access token of a person": [
        { typ: "JWT" },
        {
          iss: "https://acme.eu.auth0.com/",
          sub: user,
          aud: [resource, "https://acme.eu.auth0.com/userinfo"],
          ...times,
          azp: "my_client_id",
          scope: "openid profile mcp:tools",
          permissions: ["files:read", "files:write"]
        },
        {
          subject: user,
          clientId: "my_client_id",
          audience: [resource, "https://acme.eu.auth0.com/userinfo"],
          scopes: ["openid", "profile", "mcp:tools", "files:read", "files:write"]
        }
      ],
      "an access token of a machine": [
        { typ: "JWT" },
        {
          iss: "https://acme.eu.auth0.com/",
          sub: "abc@clients",
          aud: resource,
          ...times,
          azp: "abc",
          gty: "client-credentials",
          scope: "mcp:tools"
        },
        { subject: "abc@clients", clientId: "abc", audience: [resource], scopes: ["mcp:tools"] }
      ],
      "an access token of the RFC 9068 token profile": [
        { typ: "at+jwt" },
        {
          iss: "https://acme.eu.auth0.com/",
          sub: user,
          aud: resource,
          ...times,
          client_id: "my_client_id",
          jti: "j",
          scope: "mcp:tools"
        },
        { subject: user, clientId: "my_client_id", audience: [resource], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: "JWT" },
        {
          iss: "https://acme.eu.auth0.com/",
          sub: user,
          aud: "my_client_id",
          ...times,
          sid: "s",
          nonce: "n",
          name: "A"
        },
        "type"
      ],
      "an ID token without a nonce": [
        { typ: "JWT" },
        { iss: "https://acme.eu.auth0.com/", sub: user, aud: "my_client_id", ...times, sid: "s", name: "A" },
        "claims"
      ],
      "an access token for /userinfo alone": [
        { typ: "JWT" },
        { iss: "https://acme.eu.auth0.com/", sub: user, aud: "https://acme.eu.auth0.com/userinfo", ...times, azp: "c" },
        "audience"
      ],
      "one of the issuer without its slash": [
        { typ: "JWT" },
        { iss: "https://acme.eu.auth0.com", sub: user, aud: resource, ...times, azp: "c" },
        "issuer"
      ]
    },
    opaque: {
      "a refresh token": "v1.MRrtmkrMxK4zJ3Hh4dPzVq0cKxlTnQ",
      "an encrypted access token": `${Keys.part({ alg: "dir", enc: "A256GCM", iss: "https://acme.eu.auth0.com/" })}..aaaa.bbbb.cccc`
    }
  },
  entraId: {
    profile: TokenProfile.entraId,
    issuer: entra,
    // One application is client and API at once, which is where an ID token has the audience of an access token.
    config: { audiences: [application, `api://${application}`] },
    accepted: {
      "a delegated access token": [
        { typ: "JWT", x5t: "nOo3ZDrODXEK1jKWhXslHR_KXEg" },
        {
          ...entraCommon,
          aud: application,
          azp: "client-app",
          azpacr: "0",
          name: "Alice",
          oid: "o",
          scp: "mcp:tools x"
        },
        { subject: "AAAAAAAA", clientId: "client-app", audience: [application], scopes: ["mcp:tools", "x"] }
      ],
      "an application's access token": [
        { typ: "JWT" },
        { ...entraCommon, aud: application, azp: "daemon", azpacr: "1", idtyp: "app", oid: "o", roles: ["mcp:tools"] },
        { subject: "AAAAAAAA", clientId: "daemon", audience: [application], scopes: ["mcp:tools"] }
      ],
      "one whose role has a space in its name: it grants no scope": [
        { typ: "JWT" },
        { ...entraCommon, aud: application, azp: "daemon", roles: ["not mcp:admin", "mcp:tools"] },
        { subject: "AAAAAAAA", clientId: "daemon", audience: [application], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: "JWT" },
        { ...entraCommon, aud: application, name: "Alice", nonce: "n", oid: "o", preferred_username: "alice@acme" },
        "type"
      ],
      "an ID token of the code flow, with the roles of the same application": [
        { typ: "JWT" },
        { ...entraCommon, aud: application, name: "Alice", oid: "o", roles: ["mcp:tools", "admin"] },
        "claims"
      ],
      "an ID token of the hybrid flow": [
        { typ: "JWT" },
        { ...entraCommon, aud: application, azp: "x", c_hash: "h" },
        "type"
      ],
      "an access token for Microsoft Graph": [
        { typ: "JWT", nonce: "header" },
        { ...entraCommon, aud: "00000003-0000-0000-c000-000000000000", azp: "client-app", scp: "User.Read" },
        "audience"
      ],
      "one of another tenant": [
        { typ: "JWT" },
        { ...entraCommon, iss: entra.replace(tenant, application), aud: application, azp: "c", scp: "mcp:tools" },
        "issuer"
      ]
    },
    opaque: { "a refresh token": "0.AXkAeJ8c2.AgABAwEAAADnfolhJpSnRYB1SVj" }
  },
  "entraId, version 1.0": {
    profile: TokenProfile.entraId,
    issuer: `https://sts.windows.net/${tenant}/`,
    config: { audiences: [`api://${application}`] },
    accepted: {
      "a delegated access token": [
        { typ: "JWT" },
        {
          ...entraCommon,
          iss: `https://sts.windows.net/${tenant}/`,
          aud: `api://${application}`,
          acr: "1",
          amr: ["pwd", "mfa"],
          appid: "client-app",
          appidacr: "0",
          scp: "mcp:tools",
          unique_name: "alice@acme",
          ver: "1.0"
        },
        { subject: "AAAAAAAA", clientId: "client-app", audience: [`api://${application}`], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: "JWT" },
        {
          ...entraCommon,
          iss: `https://sts.windows.net/${tenant}/`,
          aud: `api://${application}`,
          amr: ["pwd"],
          unique_name: "alice@acme",
          ver: "1.0"
        },
        "claims"
      ]
    }
  },
  keycloak: {
    profile: TokenProfile.keycloak,
    issuer: realm,
    accepted: {
      "an access token of a person": [
        { typ: "JWT" },
        {
          ...keycloakCommon,
          jti: "onrtac:1",
          aud: [resource, "account"],
          typ: "Bearer",
          azp: "my-client",
          "allowed-origins": ["*"],
          realm_access: { roles: ["offline_access", "mcp:tools", "two words"] },
          resource_access: { account: { roles: ["manage-account"] } },
          scope: "openid email",
          preferred_username: "alice"
        },
        {
          subject: "f:1:alice",
          clientId: "my-client",
          audience: [resource, "account"],
          scopes: ["openid", "email", "offline_access", "mcp:tools"]
        }
      ],
      "an access token of a machine": [
        { typ: "JWT" },
        {
          ...keycloakCommon,
          jti: "1",
          aud: resource,
          typ: "Bearer",
          azp: "daemon",
          client_id: "daemon",
          scope: "mcp:tools"
        },
        { subject: "f:1:alice", clientId: "daemon", audience: [resource], scopes: ["mcp:tools"] }
      ],
      "an access token with a nonce, as older versions have it": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: resource, typ: "Bearer", azp: "c", nonce: "n", scope: "mcp:tools" },
        { subject: "f:1:alice", clientId: "c", audience: [resource], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: "my-client", typ: "ID", azp: "my-client", at_hash: "h", nonce: "n" },
        "type"
      ],
      "an ID token for this audience": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: resource, typ: "ID", azp: "my-client" },
        "type"
      ],
      "a refresh token, as realms with asymmetric keys for it sign it": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: realm, typ: "Refresh", azp: "my-client", scope: "openid mcp:tools" },
        "type"
      ],
      "an offline token": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: [realm, resource], typ: "Offline", azp: "my-client", scope: "mcp:tools" },
        "type"
      ],
      "a logout token": [
        { typ: "logout+jwt" },
        { ...keycloakCommon, jti: "1", aud: resource, typ: "Logout", events: {} },
        "type"
      ],
      "an access token without the audience mapper": [
        { typ: "JWT" },
        { ...keycloakCommon, jti: "1", aud: "account", typ: "Bearer", azp: "my-client", scope: "mcp:tools" },
        "audience"
      ]
    },
    opaque: {
      "a refresh token, signed with HMAC": `${Keys.part({ alg: "HS512", typ: "JWT", kid: "k1" })}.${Keys.part({ ...keycloakCommon, jti: "1", aud: realm, typ: "Refresh", azp: "c" })}.c2ln`
    }
  },
  okta: {
    profile: TokenProfile.okta,
    issuer: okta,
    config: { audiences: ["api://default"] },
    accepted: {
      "an access token of a person": [
        { typ: undefined },
        {
          ver: 1,
          jti: "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
          iss: okta,
          aud: "api://default",
          sub: "alice@acme.com",
          ...times,
          cid: "nmdP1fcyvdVO11AL7ECm",
          uid: "00ujmkLgagxeRrAg20g3",
          scp: ["openid", "mcp:tools"],
          auth_time: now - 10
        },
        {
          subject: "alice@acme.com",
          clientId: "nmdP1fcyvdVO11AL7ECm",
          audience: ["api://default"],
          scopes: ["openid", "mcp:tools"]
        }
      ],
      "an access token of a machine": [
        { typ: "at+jwt" },
        { ver: 1, jti: "AT.1", iss: okta, aud: "api://default", sub: "cid", ...times, cid: "cid", scp: ["mcp:tools"] },
        { subject: "cid", clientId: "cid", audience: ["api://default"], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: undefined },
        { ver: 1, jti: "ID.1", iss: okta, aud: "client", sub: "00uid4", ...times, amr: ["pwd"], idp: "i", nonce: "n" },
        "claims"
      ],
      "an ID token for this audience": [
        { typ: undefined },
        { ver: 1, jti: "ID.1", iss: okta, aud: "api://default", sub: "00uid4", ...times, at_hash: "h", auth_time: now },
        "claims"
      ],
      "an access token of the organisation's own server": [
        { typ: undefined },
        {
          ver: 1,
          jti: "AT.1",
          iss: "https://acme.okta.com",
          aud: "https://acme.okta.com",
          sub: "a",
          ...times,
          cid: "c",
          scp: ["x"]
        },
        "issuer"
      ]
    },
    opaque: { "a refresh token": "a9VpZDRCeFh3Nkk2VdYa" }
  },
  "cognito, an app client for the audience": {
    profile: TokenProfile.cognito,
    issuer: pool,
    config: { audiences: ["5k2v1m8n3abc"] },
    accepted: {
      "an access token of a person": [
        { typ: undefined },
        {
          ...cognitoCommon,
          "cognito:groups": ["admins"],
          version: 2,
          client_id: "5k2v1m8n3abc",
          token_use: "access",
          scope: "openid mcp:tools",
          username: "alice"
        },
        { subject: "0f9b", clientId: "5k2v1m8n3abc", audience: ["5k2v1m8n3abc"], scopes: ["openid", "mcp:tools"] }
      ]
    },
    refused: {
      "an ID token": [
        { typ: undefined },
        { ...cognitoCommon, aud: "5k2v1m8n3abc", token_use: "id", at_hash: "h", "cognito:username": "alice" },
        "claims"
      ],
      "an ID token with all claims of an access token": [
        { typ: undefined },
        { ...cognitoCommon, aud: "5k2v1m8n3abc", token_use: "id", client_id: "5k2v1m8n3abc" },
        "type"
      ],
      "an access token of another app client": [
        { typ: undefined },
        { ...cognitoCommon, client_id: "another", token_use: "access", scope: "mcp:tools" },
        "audience"
      ],
      "an access token of the app client that is bound to another resource": [
        { typ: undefined },
        { ...cognitoCommon, aud: "https://other.example.com", client_id: "5k2v1m8n3abc", token_use: "access" },
        "audience"
      ],
      "an access token of the app client that is bound to no resource at all": [
        { typ: undefined },
        { ...cognitoCommon, aud: [], client_id: "5k2v1m8n3abc", token_use: "access" },
        "audience"
      ],
      "an access token with no use": [{ typ: undefined }, { ...cognitoCommon, client_id: "5k2v1m8n3abc" }, "type"]
    },
    opaque: {
      "a refresh token": `${Keys.part({ cty: "JWT", enc: "A256GCM", alg: "RSA-OAEP" })}.aaaa.bbbb.cccc.dddd`
    }
  },
  "cognito, with resource binding": {
    profile: TokenProfile.cognito,
    issuer: pool,
    config: { audiencePolicy: "exact-single" },
    accepted: {
      "an access token": [
        { typ: undefined },
        { ...cognitoCommon, aud: resource, client_id: "any", token_use: "access", scope: "mcp:tools" },
        { subject: "0f9b", clientId: "any", audience: [resource], scopes: ["mcp:tools"] }
      ]
    },
    refused: {
      "an access token without a resource": [
        { typ: undefined },
        { ...cognitoCommon, client_id: "any", token_use: "access", scope: "mcp:tools" },
        "audience"
      ]
    }
  },
  google: {
    profile: TokenProfile.google,
    issuer: google,
    accepted: {
      "an identity token of a service account": [
        { typ: "JWT" },
        {
          aud: resource,
          azp: "112010400000000710080",
          email: "robot@acme.iam.gserviceaccount.com",
          email_verified: true,
          ...times,
          iss: google,
          sub: "112010400000000710080"
        },
        { subject: "112010400000000710080", clientId: "112010400000000710080", audience: [resource], scopes: [] }
      ]
    },
    refused: {
      "an ID token of a person": [
        { typ: "JWT" },
        {
          aud: "app.apps.googleusercontent.com",
          azp: "app.apps.googleusercontent.com",
          ...times,
          iss: google,
          sub: "1",
          nonce: "n"
        },
        "type"
      ],
      "an ID token of a person, without a nonce": [
        { typ: "JWT" },
        {
          aud: "app.apps.googleusercontent.com",
          azp: "app.apps.googleusercontent.com",
          ...times,
          iss: google,
          sub: "1"
        },
        "audience"
      ],
      "an identity token for another service": [
        { typ: "JWT" },
        { aud: "https://other.example.com", azp: "1", ...times, iss: google, sub: "1" },
        "audience"
      ]
    },
    opaque: { "an access token": "ya29.a0AfH6SMBx3Qc", "a refresh token": "1//0gLKyZr3tXabc" }
  }
}

const authorizerOf = ({ config, issuer, profile }: Issuer) =>
  Effect.gen(function* () {
    const auth = AuthConfig.unsafeMake({ resource, authorizationServers: issuer, ...config })
    const jwks = "https://keys.example.com/jwks"
    const network = Network.make(Network.documents({ [jwks]: { keys: [key.jwk] } }))
    const authorizer = yield* JwtAuthorizer.make({ profile, jwksUri: { [issuer]: jwks } }).pipe(
      Effect.provideService(HttpClient.HttpClient, network.client),
      Effect.provideService(AuthConfig.AuthConfig, auth)
    )
    return { auth, authorizer, network }
  })

const credentials = (token: string, issuer: string): Authorizer.Credentials => ({
  scheme: "Bearer",
  token: Redacted.make(token),
  method: "POST",
  url: resource,
  issuers: [issuer],
  headers: {}
})

describe.each(Object.entries(issuers))("%s (J-09, RS-32)", (_, issuer) => {
  it.scoped.each(Object.entries(issuer.accepted))("J-09 D6 accepts %s", ([, [header, payload, expected]]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const { auth, authorizer } = yield* authorizerOf(issuer)
      const token = yield* Effect.promise(() => key.token(payload, header))
      const { audience, clientId, scopes, subject } = yield* authorizer.authorize(credentials(token, issuer.issuer))
      assert.deepStrictEqual({ audience, clientId, scopes, subject }, { clientId: undefined, ...expected })
      assert.strictEqual((yield* Whoami.ask(authorizer, { token }, auth)).text, expected.subject)

      // The very same token under a key that only claims to be the issuer's.
      const forged = yield* Effect.promise(() => foreign.token(payload, header))
      const refused = yield* Whoami.ask(authorizer, { token: forged }, auth)
      assert.deepInclude(refused.decision, { outcome: "InvalidToken", reason: "signature" })
    })
  )

  // Every required claim is required, whatever the rest.
  it.scoped.each(Object.entries(issuer.accepted))(
    "W-05 %s is refused without any claim that it needs",
    ([, [header, payload]]) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(now * 1000)
        const { auth, authorizer } = yield* authorizerOf(issuer)
        for (const claim of issuer.profile.requiredClaims) {
          for (const value of [undefined, null]) {
            const token = yield* Effect.promise(() => key.token({ ...payload, [claim]: value }, header))
            assert.strictEqual((yield* Whoami.ask(authorizer, { token }, auth)).status, 401, claim)
          }
        }
      })
  )

  it.scoped.each(Object.entries(issuer.refused))("J-10 W-07 refuses %s", ([, [header, payload, reason]]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const { auth, authorizer, network } = yield* authorizerOf(issuer)
      const token = yield* Effect.promise(() => key.token(payload, header))
      const answer = yield* Whoami.ask(authorizer, { token }, auth)
      assert.strictEqual(answer.status, 401)
      assert.deepInclude(answer.decision, { outcome: "InvalidToken", reason })
      // Refused without a key: it costs no request and no signature check.
      assert.deepStrictEqual(network.asked, [])
    })
  )

  it.scoped.each(Object.entries(issuer.opaque ?? { "no token at all": "x" }))("J-10 refuses %s", ([, token]) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const { auth, authorizer, network } = yield* authorizerOf(issuer)
      const answer = yield* Whoami.ask(authorizer, { token }, auth)
      assert.strictEqual(answer.status, 401)
      assert.deepStrictEqual(network.asked, [])
    })
  )
})

describe("the profiles among each other", () => {
  const named = Object.entries(TokenProfile).filter(
    (entry): entry is [string, TokenProfile.TokenProfile] => typeof entry[1] === "object"
  )

  it("are eight, and each of them has issuers above", () => {
    assert.deepStrictEqual(named.map(([name]) => name).sort(), [
      "auth0",
      "cognito",
      "entraId",
      "google",
      "keycloak",
      "okta",
      "relaxed",
      "rfc9068"
    ])
    for (const [name, profile] of named) {
      assert.isTrue(
        Object.values(issuers).some((issuer) => issuer.profile === profile),
        name
      )
    }
  })

  it.each(named)("W-05 %s always checks an audience and an end", (_, profile) => {
    assert.isAbove(profile.audienceClaims.length, 0)
    assert.include(profile.requiredClaims, "exp")
    assert.include(profile.requiredClaims, "iss")
    assert.include(profile.requiredClaims, "sub")
    assert.includeMembers([...profile.forbiddenClaims], ["at_hash", "c_hash", "s_hash"])
    // Something tells an ID token of the same audience: a marked type, a claim of its own, or the client.
    const told =
      profile.types.every((type) => type === "at+jwt") ||
      Object.keys(profile.requiredValues).length > 0 ||
      profile.clientIdRequired ||
      profile.requiredClaims.some((claim) => ["cid", "azp"].includes(claim))
    assert.strictEqual(told, profile !== TokenProfile.relaxed)
  })

  it("a profile is data: spread one and change a field", () => {
    const own: TokenProfile.TokenProfile = { ...TokenProfile.keycloak, scopeClaims: ["scope"] }
    assert.deepStrictEqual(own.requiredValues, { typ: "Bearer" })
    assert.deepStrictEqual(TokenProfile.keycloak.scopeClaims, ["scope", ["realm_access", "roles"]])
  })
})
