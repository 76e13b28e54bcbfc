/**
 * A sign-in that waits for its answer, wherever that arrives: a record in the store, which serves once, expires, and
 * belongs to the browser that began it (RFC 9700 §4.7).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { constantTimeEquals } from "../protocol/AuthorizationResponse.js"
import * as Base64Url from "../protocol/Base64Url.js"
import * as AuthorizationCode from "./AuthorizationCode.js"
import { fail, TokenStoreError } from "./ClientError.js"
import * as TokenStore from "./TokenStore.js"
import { WebSignInError } from "./WebSignInError.js"

/** Of all that arrives only the `state` is looked at before it is known whose it is, and only if it can be one of ours. */
const form = /^[A-Za-z0-9_-]{43}$/

/** How long it is known afterwards that there was one, in milliseconds: too late and twice are no mystery then. */
const remembered = Duration.toMillis("10 minutes")

const common = {
  schemaVersion: Schema.Literal(1),
  binding: Schema.String,
  returnTo: Schema.String,
  expiresAt: Schema.Number
}

/**
 * The record. `binding` is the digest of what the browser holds, `endpoint` and `user` are whose grant it is going to be,
 * `operation` the scopes of the operation that it is for, if it is for one; `expiresAt` is in milliseconds since the
 * epoch. Once the answer has arrived nothing is left but that it has.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PendingSignIn = Schema.Union(
  Schema.TaggedStruct("Waiting", {
    ...common,
    request: AuthorizationCode.Pending,
    endpoint: Schema.String,
    user: Schema.String,
    operation: Schema.optional(Schema.Array(Schema.String))
  }),
  Schema.TaggedStruct("Used", common)
)

/**
 * @since 0.1.0
 * @category models
 */
export type PendingSignIn = typeof PendingSignIn.Type

/**
 * One whose answer has not arrived.
 *
 * @since 0.1.0
 * @category models
 */
export type Waiting = Extract<PendingSignIn, { readonly _tag: "Waiting" }>

const records = TokenStore.records(PendingSignIn)

/** By the digest: who lists the keys of a store learns no `state`. */
const keyOf = (state: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => Base64Url.sha256(state)),
    (digest) => TokenStore.key("pending", digest)
  )

const refuse = (reason: WebSignInError["reason"], detail: string, rule: string, returnTo?: string) =>
  Effect.fail(new WebSignInError({ reason, detail, rule, ...(returnTo === undefined ? {} : { returnTo }) }))

/**
 * What binds a sign-in to a browser: the secret that the browser already holds, if it can be one, else a fresh one. The
 * sign-ins of several tabs share it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bindingOf = (held: Redacted.Redacted<string> | undefined): Redacted.Redacted<string> =>
  held !== undefined && form.test(Redacted.value(held)) ? held : Redacted.make(Base64Url.random(32))

/**
 * Stores a sign-in that has begun, and gives the time at which it expires.
 *
 * @since 0.1.0
 * @category combinators
 */
export const put = (
  pending: Omit<Waiting, "_tag" | "schemaVersion" | "binding" | "expiresAt">,
  binding: Redacted.Redacted<string>,
  lifetime: Duration.Duration
): Effect.Effect<number, TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const key = yield* keyOf(pending.request.state)
    const digest = yield* Effect.promise(() => Base64Url.sha256(Redacted.value(binding)))
    const expiresAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(lifetime)
    const value = { _tag: "Waiting" as const, schemaVersion: 1 as const, ...pending, binding: digest, expiresAt }
    const isNew = yield* records.write(key, {
      expected: Option.none(),
      value: Option.some(value),
      expiresAt: expiresAt + remembered
    })
    if (isNew) return expiresAt
    const detail = `there is an entry ${key} already`
    const rule = "a state is random, and used once (RFC 9700 section 4.7)"
    return yield* fail((trace) => new TokenStoreError({ key, operation: "write", detail, rule, trace }))
  })

/**
 * A sign-in whose answer is here: what was stored, and the verb that takes it out of the store. `take` succeeds once,
 * wherever it is called; to everybody else the answer has arrived before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly pending: Waiting
  readonly take: Effect.Effect<void, WebSignInError | TokenStoreError, TokenStore.TokenStore>
}

/**
 * The sign-in that an answer is for, by its `state`. Nothing is taken: who is not the browser and the user that began
 * it cannot spoil it either, and learns nothing about it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const find = (arrival: {
  readonly parameters: URLSearchParams
  readonly binding: Redacted.Redacted<string> | undefined
  readonly user: string
}): Effect.Effect<Found, WebSignInError | TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const [state, ...more] = arrival.parameters.getAll("state")
    if (state === undefined || more.length > 0) {
      return yield* refuse("NoAnswer", "there is not one state", "OAuth 2.1 section 4.1.2")
    }
    const unknown = refuse("Unknown", "no sign-in with this state is known", "RFC 9700 section 4.7")
    if (!form.test(state)) return yield* unknown
    const key = yield* keyOf(state)
    const entry = yield* records.read(key)
    if (Option.isNone(entry)) return yield* unknown
    const { value: pending, version } = entry.value
    const { expiresAt, returnTo } = pending
    const presented = Redacted.value(arrival.binding ?? Redacted.make(""))
    const digest = yield* Effect.promise(() => Base64Url.sha256(presented))
    if (!constantTimeEquals(digest, pending.binding)) {
      const detail = "it was begun by another browser, or the cookie is gone"
      return yield* refuse("OtherBrowser", detail, "RFC 9700 section 4.7")
    }
    const used = refuse("AlreadyUsed", "its answer has arrived before", "RFC 9700 section 4.7", returnTo)
    if (pending._tag === "Used") return yield* used
    if (expiresAt <= (yield* Clock.currentTimeMillis)) {
      return yield* refuse("Expired", "its answer took too long", "MCP security best practices, state", returnTo)
    }
    if (pending.user !== arrival.user) {
      return yield* refuse("OtherUser", "it was begun for another user", "RFC 9700 section 4.7")
    }
    const { binding } = pending
    const take = records.write(key, {
      expected: Option.some(version),
      value: Option.some({ _tag: "Used", schemaVersion: 1, binding, returnTo, expiresAt }),
      expiresAt: expiresAt + remembered
    })
    return { pending, take: Effect.flatMap(take, (isFirst) => (isFirst ? Effect.void : used)) }
  })
