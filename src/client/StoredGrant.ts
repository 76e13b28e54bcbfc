/**
 * What a sign-in leaves behind: everything that a later process needs to use and to refresh it, without asking anybody
 * for metadata again.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as AccessToken from "./AccessToken.js"
import { fail, TokenStoreError } from "./ClientError.js"
import * as TokenStore from "./TokenStore.js"

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
 * again when the record is read.
 *
 * - `requestedScopes`: all that were ever asked for on the way to this grant; those granted are with the token
 * - `redirectUri`: empty where there was none (RFC 8628)
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

interface Records<A> {
  readonly read: (
    key: string
  ) => Effect.Effect<Option.Option<TokenStore.Entry<A>>, TokenStoreError, TokenStore.TokenStore>
  readonly write: (
    key: string,
    write: TokenStore.Write<A>
  ) => Effect.Effect<boolean, TokenStoreError, TokenStore.TokenStore>
}

/** Somebody else has written in between. */
class Overtaken extends Data.TaggedError("Overtaken") {}

const again = Schedule.exponential("5 millis", 1.5).pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(10)))

/** Does what reads and then writes anew for as long as others write in between, within reason. */
const persist = <A>(
  key: string,
  once: Effect.Effect<A, TokenStoreError | Overtaken, TokenStore.TokenStore>
): Effect.Effect<A, TokenStoreError, TokenStore.TokenStore> =>
  once.pipe(
    Effect.retry({ while: (error) => error._tag === "Overtaken", schedule: again }),
    Effect.catchTag("Overtaken", () =>
      fail(
        (trace) =>
          new TokenStoreError({
            key,
            operation: "write",
            detail: `others keep writing ${key}`,
            rule: "a write succeeds only on the version that was read",
            trace
          })
      )
    )
  )

/** Puts a value under a key, or removes it, whatever is there by now; gives what was. */
const put = <A>(records: Records<A>, key: string, value: Option.Option<A>) =>
  persist(
    key,
    Effect.flatMap(records.read(key), (entry) => {
      if (Option.isNone(entry) && Option.isNone(value)) return Effect.succeed(entry)
      const expected = Option.map(entry, ({ version }) => version)
      return Effect.flatMap(records.write(key, { expected, value }), (written) =>
        written ? Effect.succeed(entry) : new Overtaken()
      )
    })
  )

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
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> => {
  const at = key(grant, owner.user)
  return persist(
    pointerKey(owner),
    Effect.gen(function* () {
      yield* put(grants, at, Option.some(grant))
      const before = yield* put(pointers, pointerKey(owner), Option.some({ schemaVersion: 1, grant: at }))
      const place = Option.match(before, { onNone: () => at, onSome: ({ value }) => value.grant })
      if (place === at) return
      const replaced = yield* grants.read(place)
      const pointer = yield* pointers.read(pointerKey(owner))
      if (Option.isNone(replaced) || Option.isNone(pointer) || pointer.value.value.grant === place) return
      yield* grants.write(place, { expected: Option.some(replaced.value.version), value: Option.none() })
      // Somebody may have signed in there again at that very moment, and what they point at would be gone.
      const now = yield* pointers.read(pointerKey(owner))
      if (Option.isSome(now) && Option.isNone(yield* grants.read(now.value.value.grant))) return yield* new Overtaken()
    })
  )
}

/**
 * Removes the grant of an endpoint, and what points at it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (owner: Owner): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  persist(
    pointerKey(owner),
    Effect.flatMap(
      pointers.read(pointerKey(owner)),
      Option.match({
        onNone: () => Effect.void,
        onSome: ({ value, version }) =>
          put(grants, value.grant, Option.none()).pipe(
            Effect.zipRight(
              pointers.write(pointerKey(owner), { expected: Option.some(version), value: Option.none() })
            ),
            Effect.flatMap((removed) => (removed ? Effect.void : new Overtaken()))
          )
      })
    )
  )
