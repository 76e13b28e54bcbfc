/**
 * What an issuer puts into its JWT access tokens, as data.
 *
 * @since 0.1.0
 */

/**
 * The shape of an issuer's access tokens. `types` are the accepted values of the `typ` header in lower case and without
 * `application/`; `undefined` among them accepts a token without one. Claims are given by name; scopes are collected
 * from all of `scopeClaims`, each a space-separated string or a list.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenProfile {
  readonly types: ReadonlyArray<string | undefined>
  readonly requiredClaims: ReadonlyArray<string>
  readonly subjectClaims: ReadonlyArray<string>
  readonly clientIdClaims: ReadonlyArray<string>
  readonly scopeClaims: ReadonlyArray<string>
  readonly audienceClaims: ReadonlyArray<string>
}

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
  subjectClaims: ["sub"],
  clientIdClaims: ["client_id"],
  scopeClaims: ["scope"],
  audienceClaims: ["aud"]
}

/**
 * What most issuers have in common that do not follow RFC 9068: `typ` may be `JWT` or absent, the client is in
 * `client_id` or `azp`, scopes are in `scope`, `scp` or `scopes`. Audience and expiry are required all the same, and an ID
 * token is still refused.
 *
 * @since 0.1.0
 * @category profiles
 */
export const relaxed: TokenProfile = {
  types: ["at+jwt", "jwt", undefined],
  requiredClaims: ["iss", "exp", "aud", "sub"],
  subjectClaims: ["sub"],
  clientIdClaims: ["client_id", "azp"],
  scopeClaims: ["scope", "scp", "scopes"],
  audienceClaims: ["aud"]
}
