/**
 * Whose turn it is to ask a person, among the processes that share a store: one browser, and not one for each of them.
 *
 * It is a courtesy between processes, and nothing is wrong where it fails. So it is no lease, which would have to last for
 * as long as a person may think: it is a record that is renewed while its owner lives, and soon over when they do not.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { fail, type TokenStoreError, TokenUnavailable } from "./ClientError.js"
import type { Owner } from "./StoredGrant.js"
import * as TokenStore from "./TokenStore.js"

const Turn = Schema.Struct({ schemaVersion: Schema.Literal(1), by: Schema.String, until: Schema.Number })

const turns = TokenStore.records(Turn)

/** How long others wait for one that was killed. */
const term = Duration.seconds(15)

/** Whose turn it is, and until when. */
const claim = (key: string, entry: Option.Option<TokenStore.Entry<typeof Turn.Type>>, by: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const until = now + Duration.toMillis(term)
    return turns.write(key, {
      expected: Option.map(entry, ({ version }) => version),
      value: Option.some({ schemaVersion: 1, by, until }),
      expiresAt: until
    })
  })

/** Does something with the turn for as long as it is one's own. */
const mine = <A>(
  key: string,
  by: string,
  use: (entry: TokenStore.Entry<typeof Turn.Type>) => Effect.Effect<A, TokenStoreError, TokenStore.TokenStore>
) =>
  Effect.flatMap(turns.read(key), (entry) =>
    Option.isSome(entry) && entry.value.value.by === by ? Effect.asSome(use(entry.value)) : Effect.succeedNone
  )

const enter = (key: string, by: string) =>
  Effect.gen(function* () {
    const entry = yield* turns.read(key)
    const now = yield* Clock.currentTimeMillis
    return Option.isSome(entry) && now < entry.value.value.until ? false : yield* claim(key, entry, by)
  })

/** Takes the turn, for as long as the scope lives; `false` where another has it. */
const take = ({ endpoint, user }: Owner): Effect.Effect<boolean, never, TokenStore.TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const key = yield* TokenStore.keyFor(user, "sign-in-turn", endpoint)
    const by = yield* Effect.sync(() => crypto.randomUUID())
    const leave = mine(key, by, ({ version }) =>
      turns.write(key, { expected: Option.some(version), value: Option.none() })
    ).pipe(Effect.ignore)
    const isMine = yield* Effect.acquireRelease(
      Effect.orElseSucceed(enter(key, by), () => true),
      (isMine) => (isMine ? leave : Effect.void)
    )
    if (!isMine) return false
    const stay = mine(key, by, (entry) => claim(key, Option.some(entry), by))
    yield* Effect.ignore(stay).pipe(Effect.schedule(Schedule.spaced(Duration.times(term, 1 / 3))), Effect.forkScoped)
    return true
  })

/** Another process is asking the person. */
class Waiting extends Data.TaggedError("SignInTurn/Waiting") {}

const isWaiting = <E>(error: E | Waiting): error is Waiting => Predicate.isTagged(error, "SignInTurn/Waiting")

/** For as long as a person may take; a process that died is not waited for. */
const lookAgain = Schedule.intersect(Schedule.spaced("500 millis"), Schedule.recurUpTo("10 minutes"))

/**
 * Asks a person when it is one's turn. `None` where `isDone`, which is looked at whenever the turn may have changed, says
 * that somebody else has done it meanwhile. Fails with `TokenUnavailable` where another process asks and does not finish.
 * Where the store fails, nobody is waited for.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ask = <A, E, E2>(
  owner: Owner,
  options: { readonly isDone: Effect.Effect<boolean, E>; readonly prompt: Effect.Effect<A, E2> }
): Effect.Effect<Option.Option<A>, E | E2 | TokenUnavailable, TokenStore.TokenStore> => {
  const attempt: Effect.Effect<Option.Option<A>, E | E2 | Waiting, TokenStore.TokenStore> = Effect.gen(function* () {
    const isMine = yield* take(owner)
    if (yield* options.isDone) return Option.none()
    return isMine ? Option.some(yield* options.prompt) : yield* new Waiting()
  }).pipe(Effect.scoped)
  return attempt.pipe(
    Effect.retry({ while: isWaiting, schedule: lookAgain }),
    Effect.catchIf(isWaiting, () => {
      const detail = "another process is asking the person, and does not finish"
      return fail(
        (trace) => new TokenUnavailable({ step: "Authorization", rule: "one prompt per grant", detail, trace })
      )
    })
  )
}
