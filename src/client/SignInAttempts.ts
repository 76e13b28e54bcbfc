/**
 * How often a person was sent to an authorization server for an endpoint, as it is stored: where a sign-in begins in one
 * request and its use is another, no process sees that they go in a circle.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { displayUrl } from "../discovery/GuardedHttp.js"
import { AccessRefused, fail, type TokenStoreError } from "./ClientError.js"
import type { SignInRequired } from "./SignInRequired.js"
import * as StepUpAttempts from "./StepUpAttempts.js"
import * as TokenStore from "./TokenStore.js"

const records = TokenStore.records(
  Schema.Struct({
    schemaVersion: Schema.Literal(1),
    operations: Schema.Array(
      Schema.Struct({
        scopes: Schema.Array(Schema.String),
        count: Schema.Number,
        at: Schema.Number,
        concluded: Schema.Boolean
      })
    ),
    begun: Schema.Array(Schema.Number)
  })
)

/**
 * Whose attempts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owner {
  readonly endpoint: string
  readonly user: string
}

const keyOf = ({ endpoint, user }: Owner): Effect.Effect<string> => TokenStore.keyFor(user, "attempts", endpoint)

/** As long as `StepUpAttempts` remembers anything. */
const remembered = Duration.toMillis("1 hour")

const update = (
  owner: Owner,
  f: (known: Option.Option<StepUpAttempts.StepUpAttempts>, now: number) => Option.Option<StepUpAttempts.StepUpAttempts>
) =>
  Effect.flatMap(Effect.zip(keyOf(owner), Clock.currentTimeMillis), ([key, now]) =>
    records.modify(
      key,
      (known) => Option.map(f(known, now), (attempts) => ({ schemaVersion: 1, ...attempts })),
      now + remembered
    )
  )

/**
 * The operation for which somebody is to be asked, by its scopes; `undefined` where it is for no single one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const operationOf = ({ reason, scopes }: SignInRequired): ReadonlyArray<string> | undefined =>
  reason === "InsufficientScope" ? scopes : undefined

/**
 * Fails with `AccessRefused` where `StepUpAttempts.exhausted` says that asking again is of no use.
 *
 * @since 0.1.0
 * @category validation
 */
export const check = (
  owner: Owner,
  required: SignInRequired
): Effect.Effect<void, AccessRefused | TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const entry = yield* Effect.flatMap(keyOf(owner), records.read)
    if (Option.isNone(entry)) return
    const operation = operationOf(required)
    const detail = StepUpAttempts.exhausted(entry.value.value, operation, yield* Clock.currentTimeMillis)
    if (detail === undefined) return
    const rule = "MCP authorization, step-up: a few attempts, then a failure"
    const { scopes } = required
    return yield* fail(
      (trace) =>
        new AccessRefused({
          url: displayUrl(owner.endpoint),
          status: operation === undefined ? 401 : 403,
          reason: operation === undefined ? "TokenNotAccepted" : "ScopesNotGranted",
          scopes,
          detail,
          rule,
          trace
        })
    )
  })

/**
 * Somebody is sent there.
 *
 * @since 0.1.0
 * @category combinators
 */
export const begin = (
  owner: Owner,
  required: SignInRequired
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  update(owner, (known, now) => {
    const attempts = Option.getOrElse(known, () => StepUpAttempts.none)
    return Option.some(StepUpAttempts.begin(attempts, operationOf(required), now))
  })

/**
 * They came back with a token of these scopes.
 *
 * @since 0.1.0
 * @category combinators
 */
export const conclude = (
  owner: Owner,
  operation: ReadonlyArray<string> | undefined,
  granted: ReadonlyArray<string>
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  update(
    owner,
    Option.map((attempts) => StepUpAttempts.conclude(attempts, operation, granted))
  )
