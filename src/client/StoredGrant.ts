/**
 * What a sign-in leaves behind: everything that a later process needs to use and to refresh it, without asking anybody
 * for metadata again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as AccessToken from "./AccessToken.js"
import type { TokenStoreError } from "./ClientError.js"
import * as TokenStore from "./TokenStore.js"

/**
 * A grant as it is stored, versioned. Times are in milliseconds since the epoch; expiry is absolute, and never computed
 * again when the record is read. `requestedScopes` are all that were ever asked for on the way to this grant; those
 * granted are with the token. `redirectUri` is empty where there was none (RFC 8628).
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
  revocationEndpoint: Schema.optional(Schema.String),
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

/** Whatever is under a key by now; who writes in between is asked again, a few times. */
const erase = <A>(
  records: {
    readonly read: (
      key: string
    ) => Effect.Effect<Option.Option<TokenStore.Entry<A>>, TokenStoreError, TokenStore.TokenStore>
    readonly write: (
      key: string,
      write: TokenStore.Write<A>
    ) => Effect.Effect<boolean, TokenStoreError, TokenStore.TokenStore>
  },
  key: string
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  Effect.flatMap(
    records.read(key),
    Option.match({
      onNone: () => Effect.succeed(true),
      onSome: ({ version }) => records.write(key, { expected: Option.some(version), value: Option.none() })
    })
  ).pipe(Effect.repeat({ until: (gone) => gone, schedule: Schedule.recurs(5) }), Effect.asVoid)

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
    const before = yield* pointers.read(pointerKey(owner))
    const at = key(grant, owner.user)
    const entry = yield* grants.read(at)
    yield* grants.write(at, { expected: Option.map(entry, ({ version }) => version), value: Option.some(grant) })
    if (Option.isSome(before)) {
      if (before.value.value.grant === at) return
      yield* erase(grants, before.value.value.grant)
    }
    yield* pointers.write(pointerKey(owner), {
      expected: Option.map(before, ({ version }) => version),
      value: Option.some({ schemaVersion: 1, grant: at })
    })
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
    if (Option.isSome(pointer)) yield* erase(grants, pointer.value.value.grant)
    yield* erase(pointers, pointerKey(owner))
  })
