/**
 * What an issuer puts into its JWT access tokens, as data: RFC 9068, and what the well-known issuers do instead.
 *
 * @since 0.1.0
 */

/**
 * A claim by its name, or the names on the way to a claim inside of others.
 *
 * @since 0.1.0
 * @category models
 */
export type ClaimPath = string | ReadonlyArray<string>

/**
 * The shape of an issuer's access tokens.
 *
 * - `types`: accepted values of the `typ` header, in lower case and without `application/`; `undefined` among them
 *   accepts a token without one.
 * - `requiredClaims`: claims without which a token is refused. `exp` always is one.
 * - `requiredValues`: claims that must have exactly this value.
 * - `forbiddenClaims`: claims that tell an ID token.
 * - `clientIdRequired`: whether a token with none of `clientIdClaims` is refused. With some issuers nothing else tells an
 *   access token from an ID token.
 * - `scopeClaims`: scopes are collected from all of these, each a space-separated string or a list of single scopes.
 * - `audienceClaims`: the claims that stand for the audience; the first of them that is there does. There is always one,
 *   and it is always checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenProfile {
  readonly types: ReadonlyArray<string | undefined>
  readonly requiredClaims: ReadonlyArray<string>
  readonly requiredValues: Readonly<Record<string, string>>
  readonly forbiddenClaims: ReadonlyArray<string>
  readonly subjectClaims: ReadonlyArray<ClaimPath>
  readonly clientIdClaims: ReadonlyArray<ClaimPath>
  readonly clientIdRequired: boolean
  readonly scopeClaims: ReadonlyArray<ClaimPath>
  readonly audienceClaims: readonly [ClaimPath, ...Array<ClaimPath>]
}

const idTokenClaims = ["nonce", "at_hash", "c_hash", "s_hash"]

/**
 * RFC 9068 to the letter: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are there. The
 * default.
 *
 * @since 0.1.0
 * @category profiles
 */
export const rfc9068: TokenProfile = {
  types: ["at+jwt"],
  requiredClaims: ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
  requiredValues: {},
  forbiddenClaims: idTokenClaims,
  subjectClaims: ["sub"],
  clientIdClaims: ["client_id"],
  clientIdRequired: true,
  scopeClaims: ["scope"],
  audienceClaims: ["aud"]
}

/**
 * What most issuers have in common that do not follow RFC 9068: `typ` may be `JWT` or absent, the client is in
 * `client_id` or `azp`, scopes are in `scope`, `scp` or `scopes`. Audience and expiry are required all the same, and what
 * tells an ID token is still refused. Where an issuer marks its ID tokens by nothing but their audience, see to it that
 * no client id is among the accepted audiences.
 *
 * @since 0.1.0
 * @category profiles
 */
export const relaxed: TokenProfile = {
  ...rfc9068,
  types: ["at+jwt", "jwt", undefined],
  requiredClaims: ["iss", "exp", "aud", "sub"],
  clientIdClaims: ["client_id", "azp"],
  clientIdRequired: false,
  scopeClaims: ["scope", "scp", "scopes"]
}

/**
 * Auth0: `typ` is `JWT` unless the API's token profile is RFC 9068, the client is in `azp`, which its ID tokens do not
 * have, and permissions of its role-based access control count as scopes. Its issuer ends in a slash.
 *
 * @since 0.1.0
 * @category profiles
 */
export const auth0: TokenProfile = {
  ...relaxed,
  types: ["at+jwt", "jwt"],
  requiredClaims: ["iss", "exp", "aud", "sub", "iat"],
  clientIdRequired: true,
  scopeClaims: ["scope", "permissions"]
}

/**
 * Microsoft Entra ID, versions 1.0 and 2.0: delegated scopes are in `scp`, application roles in `roles`, the client in
 * `azp` or `appid`. The audience is the application's id or its `api://` URI: list it in `audiences`. An ID token for the
 * same application has the same audience and may have the same `roles`; it is told by having neither `azp` nor `appid`.
 *
 * @since 0.1.0
 * @category profiles
 */
export const entraId: TokenProfile = {
  ...relaxed,
  types: ["jwt", "at+jwt"],
  requiredClaims: ["iss", "exp", "aud", "sub", "iat"],
  clientIdClaims: ["azp", "appid"],
  clientIdRequired: true,
  scopeClaims: ["scp", "roles"]
}

/**
 * Keycloak: the claim `typ` tells access tokens (`Bearer`) from ID and refresh tokens, the client is in `azp`, realm roles
 * count as scopes. Give the client an audience mapper for the resource.
 *
 * @since 0.1.0
 * @category profiles
 */
export const keycloak: TokenProfile = {
  ...relaxed,
  types: ["jwt", "at+jwt"],
  requiredClaims: ["iss", "exp", "aud", "sub", "iat", "jti", "typ"],
  requiredValues: { typ: "Bearer" },
  forbiddenClaims: ["at_hash", "c_hash", "s_hash"],
  clientIdClaims: ["azp", "client_id"],
  scopeClaims: ["scope", ["realm_access", "roles"]]
}

/**
 * Okta custom authorization servers: no `typ` or `at+jwt`, the client is in `cid`, scopes are a list in `scp`. The audience
 * is that of the authorization server.
 *
 * @since 0.1.0
 * @category profiles
 */
export const okta: TokenProfile = {
  ...relaxed,
  types: ["at+jwt", "jwt", "okta-internal-at+jwt", undefined],
  requiredClaims: ["iss", "exp", "aud", "sub", "iat", "jti", "cid"],
  clientIdClaims: ["cid"],
  scopeClaims: ["scp"]
}

/**
 * Amazon Cognito: no `typ`; `token_use` is `access`. Without resource binding there is no `aud`, and `client_id` stands for
 * the audience: list the app clients in `audiences`. With it, `aud` is the resource.
 *
 * @since 0.1.0
 * @category profiles
 */
export const cognito: TokenProfile = {
  ...relaxed,
  types: ["jwt", undefined],
  requiredClaims: ["iss", "exp", "sub", "iat", "jti", "client_id"],
  requiredValues: { token_use: "access" },
  clientIdClaims: ["client_id"],
  scopeClaims: ["scope"],
  audienceClaims: ["aud", "client_id"]
}

/**
 * Google's identity tokens of service accounts, for calls between services: the audience is the URL that the caller asked
 * for, the client is in `azp`, and there are no scopes. Google's own access tokens are opaque and are for its own APIs.
 *
 * Everybody who has a service account, in whatever project, gets such a token for any audience. It tells who calls, and
 * nothing about whether they may: put `Authorizer.filterOrFail` behind it, with the subjects that you know.
 *
 * @since 0.1.0
 * @category profiles
 */
export const google: TokenProfile = {
  ...relaxed,
  types: ["jwt"],
  requiredClaims: ["iss", "exp", "aud", "sub", "iat", "azp"],
  clientIdClaims: ["azp"],
  scopeClaims: []
}
