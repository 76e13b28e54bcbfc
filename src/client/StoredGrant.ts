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
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import type { TokenStoreError } from "./ClientError.js"
import type { Issued } from "./TokenEndpoint.js"
import * as TokenStore from "./TokenStore.js"
import { Overtaken, persist } from "./VersionedStore.js"

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
 * A refresh that was begun: since when no answer has come, and the attempt that is or was the last to ask.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Refreshing = Schema.Struct({ since: Schema.Number, by: Schema.String })

/**
 * @since 0.1.0
 * @category models
 */
export interface Refreshing extends Schema.Schema.Type<typeof Refreshing> {}

/**
 * Why there is no refresh token any more: the server's error code, when it came, and since when an answer had been missing
 * by then, if one had.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Ended = Schema.Struct({
  error: Schema.String,
  at: Schema.Number,
  answerLostAt: Schema.optional(Schema.Number)
})

/**
 * A grant as it is stored, versioned. Times are in milliseconds since the epoch; expiry is absolute, and never computed
 * again when the record is read. The scopes that were granted are with the token.
 *
 * - `generation`: how often it was refreshed; absent means never
 * - `refreshing`: there while a refresh is under way, and for as long as the answer to one is missing: the refresh token
 *   may have been spent by it
 * - `ended`: there once the server has refused the refresh token
 *
 * @since 0.1.0
 * @category schemas
 */
export const StoredGrant = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  ...Terms.fields,
  accessToken: AccessToken.AccessToken,
  refreshToken: Schema.optional(Schema.Redacted(Schema.NonEmptyString)),
  issuedAt: Schema.Number,
  generation: Schema.optional(Schema.Number),
  refreshing: Schema.optional(Refreshing),
  ended: Schema.optional(Ended)
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
 * What the answer to a refresh makes of a grant: without a new refresh token it keeps the old one, and scopes that did not
 * come back are noted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const renewed = (
  { refreshing: _, ...before }: StoredGrant,
  { accessToken, refreshToken = before.refreshToken }: Issued
): Effect.Effect<StoredGrant> =>
  Effect.map(Clock.currentTimeMillis, (issuedAt) => {
    const had = Scopes.union(before.accessToken.scopes, before.accessToken.lostScopes ?? [])
    const lostScopes = Scopes.missing(had, accessToken.scopes)
    return {
      ...before,
      accessToken: lostScopes.length === 0 ? accessToken : { ...accessToken, lostScopes },
      refreshToken,
      issuedAt,
      generation: (before.generation ?? 0) + 1
    }
  })

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

/** Whom a grant is with: one of each at a time, for each user. */
type Parties = Pick<Terms, "issuer" | "clientId" | "resource">

/**
 * The key of a grant: issuer, client, resource and, where one process serves several people, a digest of the user.
 *
 * @since 0.1.0
 * @category constructors
 */
export const key = ({ clientId, issuer, resource }: Parties, user: string | undefined): Effect.Effect<string> =>
  TokenStore.keyFor(user, "grant", issuer, clientId, resource)

/**
 * Whether two grants of a user have the same {@link key}.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSamePlace = (left: Parties, right: Parties): boolean =>
  left.issuer === right.issuer && left.clientId === right.clientId && left.resource === right.resource

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

const pointerKey = ({ endpoint, user }: Owner): Effect.Effect<string> => TokenStore.keyFor(user, "endpoint", endpoint)

/**
 * The grant of an endpoint, if there is one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const find = (
  owner: Owner
): Effect.Effect<Option.Option<TokenStore.Entry<StoredGrant>>, TokenStoreError, TokenStore.TokenStore> =>
  Effect.flatMap(pointerKey(owner), (at) => {
    const once = Effect.gen(function* () {
      const pointer = yield* pointers.read(at)
      if (Option.isNone(pointer)) return Option.none()
      const found = yield* grants.read(pointer.value.value.grant)
      if (Option.isSome(found)) return found
      // Between the two somebody may have signed in, and removed what it pointed at.
      const now = yield* pointers.read(at)
      const isSame = Option.exists(now, ({ version }) => version === pointer.value.version)
      return Option.isNone(now) || isSame ? Option.none() : yield* new Overtaken()
    })
    return persist(at, once)
  })

/**
 * Stores the grant of a sign-in, and removes the one that it takes the place of. Of two that sign in at once, one stays.
 * There is a grant to be found at any time: the old one until the new one is, and the new one from then on.
 *
 * @since 0.1.0
 * @category combinators
 */
export const replace = (
  owner: Owner,
  grant: StoredGrant
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const at = yield* key(grant, owner.user)
    const pointing = yield* pointerKey(owner)
    const once = Effect.gen(function* () {
      yield* grants.modify(at, () => Option.some(grant))
      const before = yield* pointers.modify(pointing, () => Option.some({ schemaVersion: 1, grant: at }))
      const place = Option.match(before, { onNone: () => at, onSome: ({ value }) => value.grant })
      if (place === at) return
      const replaced = yield* grants.read(place)
      const pointer = yield* pointers.read(pointing)
      if (Option.isNone(replaced) || Option.isNone(pointer) || pointer.value.value.grant === place) return
      yield* grants.write(place, { expected: Option.some(replaced.value.version), value: Option.none() })
      // Somebody may have signed in there again at that very moment, and what they point at would be gone.
      const now = yield* pointers.read(pointing)
      if (Option.isSome(now) && Option.isNone(yield* grants.read(now.value.value.grant))) return yield* new Overtaken()
    })
    yield* persist(pointing, once)
  })

/**
 * Removes the grant of an endpoint, and what points at it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (owner: Owner): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  Effect.flatMap(pointerKey(owner), (at) =>
    persist(
      at,
      Effect.flatMap(
        pointers.read(at),
        Option.match({
          onNone: () => Effect.void,
          onSome: ({ value, version }) =>
            grants.modify(value.grant, Option.none).pipe(
              Effect.zipRight(pointers.write(at, { expected: Option.some(version), value: Option.none() })),
              Effect.flatMap((removed) => (removed ? Effect.void : new Overtaken()))
            )
        })
      )
    )
  )
