/**
 * What a sign-in leaves behind: everything that a later process needs to use and to refresh it, without asking anybody
 * for metadata again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AccessToken from "./AccessToken.js"
import type { TokenStoreError } from "./ClientError.js"
import type { Issued } from "./TokenEndpoint.js"
import * as TokenStore from "./TokenStore.js"

/**
 * What a grant is known by before there is a token: who was asked, by which client, for what. `requestedScopes` are all
 * that were ever asked for on the way to it; `redirectUri` is empty where there was none (RFC 8628).
 *
 * @since 0.1.0
 * @category schemas
 */
export const Terms = Schema.Struct({
  issuer: Schema.String,
  clientId: Schema.String,
  resource: Schema.String,
  redirectUri: Schema.String,
  tokenEndpoint: Schema.String,
  tokenEndpointAuthMethods: Schema.optional(Schema.Array(Schema.String)),
  revocationEndpoint: Schema.optional(Schema.String),
  requestedScopes: Schema.Array(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Terms extends Schema.Schema.Type<typeof Terms> {}

/**
 * A grant as it is stored, versioned. Times are in milliseconds since the epoch; expiry is absolute, and never computed
 * again when the record is read. The scopes that were granted are with the token.
 *
 * @since 0.1.0
 * @category schemas
 */
export const StoredGrant = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  ...Terms.fields,
  accessToken: AccessToken.AccessToken,
  refreshToken: Schema.optional(Schema.Redacted(Schema.NonEmptyString)),
  issuedAt: Schema.Number
})

/**
 * @since 0.1.0
 * @category models
 */
export interface StoredGrant extends Schema.Schema.Type<typeof StoredGrant> {}

/**
 * The grant that a token endpoint gave just now, on these terms.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (terms: Terms, { accessToken, refreshToken }: Issued): Effect.Effect<StoredGrant> =>
  Effect.map(Clock.currentTimeMillis, (issuedAt) => ({
    schemaVersion: 1,
    ...terms,
    accessToken,
    refreshToken,
    issuedAt
  }))

/**
 * Which grant belongs to an endpoint. The grant itself is kept under issuer, client and resource, so that those of
 * different authorization servers never meet.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pointer = Schema.Struct({ schemaVersion: Schema.Literal(1), grant: Schema.String })

/**
 * The grants of a store, by {@link key}.
 *
 * @since 0.1.0
 * @category accessors
 */
export const grants = TokenStore.records(StoredGrant)

const pointers = TokenStore.records(Pointer)

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
 * Whose grant: that of an endpoint, as its URL was configured, and of a user where one process serves several.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owner {
  readonly endpoint: string
  readonly user?: string | undefined
}

const pointerKey = ({ endpoint, user }: Owner): string =>
  TokenStore.key("endpoint", endpoint, ...(user === undefined ? [] : [user]))

/**
 * The grant of an endpoint, if there is one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const find = (
  owner: Owner
): Effect.Effect<Option.Option<TokenStore.Entry<StoredGrant>>, TokenStoreError, TokenStore.TokenStore> =>
  Effect.flatMap(
    pointers.read(pointerKey(owner)),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ value }) => grants.read(value.grant)
    })
  )

/**
 * Stores the grant of a sign-in, and removes the one that it takes the place of.
 *
 * @since 0.1.0
 * @category combinators
 */
export const replace = (
  owner: Owner,
  grant: StoredGrant
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const at = key(grant, owner.user)
    yield* grants.modify(at, () => Option.some(grant))
    const before = yield* pointers.read(pointerKey(owner))
    if (Option.isSome(before) && before.value.value.grant === at) return
    yield* pointers.modify(pointerKey(owner), () => Option.some({ schemaVersion: 1, grant: at }))
    if (Option.isSome(before)) yield* grants.modify(before.value.value.grant, Option.none)
  })

/**
 * Removes the grant of an endpoint, and what points at it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (owner: Owner): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const pointer = yield* pointers.read(pointerKey(owner))
    if (Option.isSome(pointer)) yield* grants.modify(pointer.value.value.grant, Option.none)
    yield* pointers.modify(pointerKey(owner), Option.none)
  })
