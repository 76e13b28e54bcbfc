/**
 * What is kept of a client that was registered dynamically.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ClientAuthentication from "../discovery/ClientAuthentication.js"
import type { TokenStoreError } from "./ClientError.js"
import * as TokenStore from "./TokenStore.js"

/**
 * A client that was registered. `redirectUri` is empty for one that asks people in another way (RFC 8628).
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicRegistration {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
  readonly authentication: ClientAuthentication.ClientAuthentication
}

/**
 * A registration as it is stored. `unansweredSince`, in milliseconds since the epoch, is there from when a person was sent
 * to the server with it until one comes back.
 *
 * @internal
 */
export const Stored = Schema.Struct({
  schemaVersion: Schema.Literal(1),
  issuer: Schema.String,
  clientId: Schema.String,
  redirectUri: Schema.String,
  method: Schema.Literal("none", "client_secret_basic", "client_secret_post"),
  clientSecret: Schema.optional(Schema.Redacted(Schema.NonEmptyString)),
  secretExpiresAt: Schema.optional(Schema.Number),
  unansweredSince: Schema.optional(Schema.Number)
})

/**
 * The registrations of a store, by {@link keyOf}.
 *
 * @internal
 */
export const stored = TokenStore.records(Stored)

/**
 * Where the registration at an issuer for a redirect URI is.
 *
 * @internal
 */
export const keyOf = (issuer: string, redirectUri: string) => TokenStore.key("registration", issuer, redirectUri)

/**
 * The client of a record, if it can still authenticate.
 *
 * @internal
 */
export const toRegistration = (record: typeof Stored.Type): Option.Option<DynamicRegistration> =>
  Option.map(
    Option.fromNullable(
      ClientAuthentication.choose({ clientSecret: record.clientSecret, method: record.method }, undefined)
    ),
    (authentication) => ({
      issuer: record.issuer,
      clientId: record.clientId,
      redirectUri: record.redirectUri,
      authentication
    })
  )

/**
 * The registration that is kept for an issuer and a redirect URI. One whose secret has expired is none (RFC 7591 §3.2.1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const load = (
  issuer: string,
  redirectUri: string,
  now: number
): Effect.Effect<Option.Option<DynamicRegistration>, TokenStoreError, TokenStore.TokenStore> =>
  Effect.map(
    stored.read(keyOf(issuer, redirectUri)),
    Option.flatMap(({ value }) =>
      value.secretExpiresAt !== undefined && value.secretExpiresAt <= now ? Option.none() : toRegistration(value)
    )
  )

/**
 * Since when nobody has come back whom it sent to the server; `undefined` where it is not kept, or somebody has.
 *
 * @internal
 */
export const unansweredSince = ({
  issuer,
  redirectUri
}: DynamicRegistration): Effect.Effect<number | undefined, TokenStoreError, TokenStore.TokenStore> =>
  Effect.map(stored.read(keyOf(issuer, redirectUri)), (entry) => Option.getOrUndefined(entry)?.value.unansweredSince)

/**
 * Notes that a person is sent to the server with it, and when, or that one came back. Where the store fails, or somebody
 * writes at the same time, nothing is noted and nothing is wrong.
 *
 * @internal
 */
export const note = (
  { clientId, issuer, redirectUri }: DynamicRegistration,
  since: number | undefined
): Effect.Effect<void, never, TokenStore.TokenStore> => {
  const key = keyOf(issuer, redirectUri)
  return Effect.gen(function* () {
    const entry = yield* stored.read(key)
    if (Option.isNone(entry)) return
    const { value, version } = entry.value
    if (value.clientId !== clientId || value.unansweredSince === since) return
    const next = Option.some({ ...value, unansweredSince: since })
    yield* stored.write(key, { expected: Option.some(version), value: next })
  }).pipe(Effect.ignore)
}

/**
 * Removes what is kept for an issuer and a redirect URI.
 *
 * @since 0.1.0
 * @category combinators
 */
export const remove = (
  issuer: string,
  redirectUri: string
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> => {
  const key = keyOf(issuer, redirectUri)
  return Effect.flatMap(
    stored.read(key),
    Option.match({
      onNone: () => Effect.void,
      onSome: ({ version }) =>
        Effect.asVoid(stored.write(key, { expected: Option.some(version), value: Option.none() }))
    })
  )
}
