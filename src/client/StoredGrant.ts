/**
 * What a sign-in leaves behind: everything that a later process needs to use and to refresh it, without asking anybody
 * for metadata again.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as AccessToken from "./AccessToken.js"
import * as TokenStore from "./TokenStore.js"

/**
 * A grant as it is stored, versioned. Times are in milliseconds since the epoch; expiry is absolute, and never computed
 * again when the record is read. `requestedScopes` are all that were ever asked for on the way to this grant; those
 * granted are with the token.
 *
 * @since 0.1.0
 * @category schemas
 */
export const StoredGrant = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  issuer: Schema.String,
  clientId: Schema.String,
  resource: Schema.String,
  redirectUri: Schema.String,
  tokenEndpoint: Schema.String,
  tokenEndpointAuthMethods: Schema.optional(Schema.Array(Schema.String)),
  accessToken: AccessToken.AccessToken,
  refreshToken: Schema.optional(Schema.Redacted(Schema.NonEmptyString)),
  requestedScopes: Schema.Array(Schema.String),
  issuedAt: Schema.Number
})

/**
 * @since 0.1.0
 * @category models
 */
export interface StoredGrant extends Schema.Schema.Type<typeof StoredGrant> {}

/**
 * Which grant belongs to an endpoint. The grant itself is kept under issuer, client and resource, so that those of
 * different authorization servers never meet.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pointer = Schema.Struct({ schemaVersion: Schema.Literal(1), grant: Schema.String })

/**
 * The grants of a store.
 *
 * @since 0.1.0
 * @category accessors
 */
export const grants = TokenStore.records(StoredGrant)

/**
 * The pointers of a store.
 *
 * @since 0.1.0
 * @category accessors
 */
export const pointers = TokenStore.records(Pointer)

/**
 * The key of a grant: issuer, client, resource and, where one process serves several people, the user.
 *
 * @since 0.1.0
 * @category constructors
 */
export const key = (
  grant: { readonly issuer: string; readonly clientId: string; readonly resource: string },
  user: string | undefined
): string =>
  TokenStore.key("grant", grant.issuer, grant.clientId, grant.resource, ...(user === undefined ? [] : [user]))

/**
 * The key of the pointer of an endpoint, as its URL was configured.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pointerKey = (endpoint: string, user: string | undefined): string =>
  TokenStore.key("endpoint", endpoint, ...(user === undefined ? [] : [user]))
