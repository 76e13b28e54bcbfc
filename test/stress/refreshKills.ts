/**
 * Processes that are killed in the middle of a refresh:
 *
 *     STORE=file KILLS=200 GRANTS=12 node --import tsx test/stress/refreshKills.ts
 *
 * Each of several grants has processes that call all the time, with access tokens that live three seconds, at an authorization
 * server that is slow to take a refresh request and slow to answer it. One after the other is killed at a random moment,
 * and the next one takes its place: the grant has to be valid then, or reported lost with the reason, an answer that was on
 * its way when a process was killed. For one that is lost a person signs in again, and the process goes on by itself.
 *
 * Prints one line of JSON. It is `sound` where nothing else than that became of any grant, and what was reported is what the
 * server refused, one for one. It is `telling` where some kills hit a refresh, and some of these lost an answer, as they do
 * among two hundred. It is good where it is both.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StoredGrant } from "effect-mcp-auth/client"
import * as FaultyProxy from "../fixtures/FaultyProxy.js"
import * as Callers from "./Callers.js"
import * as Party from "./party.js"

const number = (name: string, otherwise: number) => Config.withDefault(Config.integer(name), otherwise)

const called = ({ _tag }: Callers.Line) => _tag === "Called"

const lost = ({ error }: Callers.Line) => error === "SignInRequired"

type Kept = Option.Option<StoredGrant.StoredGrant>

/** Whether a refresh was begun whose answer is not in the store. */
const isMarked: (kept: Kept) => boolean = Option.exists(({ refreshing }) => refreshing !== undefined)

const isEnded: (kept: Kept) => boolean = Option.exists(({ ended }) => ended !== undefined)

const program = Effect.gen(function* () {
  const kills = yield* number("KILLS", 200)
  const grants = yield* number("GRANTS", 12)
  const started = yield* Clock.currentTimeMillis
  const proxy = yield* FaultyProxy.make
  const { counts, environment, grant, refreshes, server, signIn } = yield* Party.make({
    lifetime: 3,
    origin: proxy.url
  })
  proxy.target = server.authorizationServer.address
  const slow = () => 150 + Math.random() * 150
  proxy.fault = ({ path }) => (path === "/token" ? { _tag: "Slow", before: slow(), after: slow() } : undefined)
  yield* Callers.bundle

  const tally = { kills: 0, duringRefresh: 0, valid: 0, lost: 0, signIns: 0 }
  const wrong: Array<unknown> = []

  const enter = (user: string) =>
    Effect.zipRight(
      signIn(user),
      Effect.sync(() => tally.signIns++)
    )

  /** The life of one grant: a process is killed, and another finds out what is left. */
  const live = (user: string, times: number) =>
    Effect.gen(function* () {
      const variables = {
        ...environment,
        RESOURCE: server.url,
        GRANT_OF: user,
        FIBERS: "2",
        PAUSE: "400",
        TIMEOUT: "4"
      }
      let before = yield* Callers.start(variables)
      yield* before.line(called)
      while (tally.kills < kills && times-- > 0) {
        yield* Effect.sleep(Math.random() * 3500)
        const at = yield* Clock.currentTimeMillis
        yield* before.kill
        tally.kills++
        if (isMarked(yield* grant(user))) tally.duringRefresh++
        const after = yield* Callers.start(variables)
        // What passes is none: a call may come too late for a token, and the lease of who was killed has to run out. Before
        // that a call may come in time for the token before, which says nothing.
        const outcome = yield* Effect.repeat(Effect.delay(grant(user), "200 millis"), { while: isMarked }).pipe(
          Effect.flatMap((left) => after.line(isEnded(left) ? lost : called)),
          Effect.timeoutOption("1 minute"),
          Effect.map(Option.getOrUndefined)
        )
        if (outcome !== undefined && called(outcome)) tally.valid++
        else {
          const reason = outcome?.["lost"] as { readonly error: string; readonly answerLostAt?: number } | undefined
          // The refresh was begun when the process lived that was killed, and not long before.
          const isTrue = reason?.error === "invalid_grant" && Math.abs(at - (reason.answerLostAt ?? 0)) < 10_000
          if (isTrue) tally.lost++
          else wrong.push(outcome ?? after.lines.at(-1) ?? "not a word")
          // Nothing has to be started again.
          const { length } = after.lines
          yield* enter(user)
          yield* after.line((line) => called(line) && after.lines.indexOf(line) >= length)
        }
        before = after
      }
      yield* before.stop
    })

  const users = Array.from({ length: grants }, (_, n) => `user-${n}`)
  yield* Effect.forEach(users, enter)
  yield* Effect.forEach(users, (user) => live(user, Math.ceil(kills / grants)), { concurrency: "unbounded" })
  const summary = {
    store: environment.STORE,
    seconds: Math.round(((yield* Clock.currentTimeMillis) - started) / 1000),
    ...tally,
    refreshes: refreshes.length,
    refreshesRefused: refreshes.filter(({ status }) => status !== 200).length,
    familiesRevoked: counts.revoked,
    wrong: wrong.length,
    firstWrong: wrong.slice(0, 3)
  }
  const sound =
    wrong.length === 0 &&
    tally.kills >= kills &&
    tally.valid + tally.lost === tally.kills &&
    tally.lost === summary.refreshesRefused
  const telling = tally.duringRefresh > tally.lost && tally.lost > 0
  console.log(JSON.stringify({ stress: "refreshKills", good: sound && telling, sound, telling, ...summary }))
  if (!sound || !telling) process.exitCode = 1
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
