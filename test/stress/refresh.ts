/**
 * Many fibers in many processes on one grant, whose access tokens live two seconds, at an authorization server that rotates
 * refresh tokens and revokes the family of one that is used twice:
 *
 *     STORE=file SECONDS=60 PROCESSES=4 FIBERS=50 node --import tsx test/stress/refresh.ts
 *
 * Prints one line of JSON. It is good where every request was answered, each generation of the grant took exactly one
 * token request, and nothing was ever revoked.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Callers from "./Callers.js"
import * as Party from "./party.js"

const number = (name: string, otherwise: number) => Config.withDefault(Config.integer(name), otherwise)

const program = Effect.gen(function* () {
  const seconds = yield* number("SECONDS", 60)
  const processes = yield* number("PROCESSES", 4)
  const fibers = yield* number("FIBERS", 50)
  const pause = yield* number("PAUSE", 1000)
  const { counts, environment, grant, refreshes, server, signIn } = yield* Party.make({ lifetime: 2 })
  yield* signIn()
  const variables = { ...environment, RESOURCE: server.url, FIBERS: String(fibers), PAUSE: String(pause) }
  yield* Callers.bundle
  const callers = yield* Effect.all(Array.from({ length: processes }, () => Callers.start(variables)))
  yield* Effect.all(callers.map(({ line }) => line(({ _tag }) => _tag === "Called")))
  yield* Effect.sleep(`${seconds} seconds`)
  yield* Effect.all(
    callers.map(({ stop }) => stop),
    { concurrency: "unbounded" }
  )
  const lines = callers.flatMap((caller) => caller.lines)
  const failures = lines.filter(({ _tag }) => _tag === "Failed")
  const reports = lines.filter(({ _tag }) => _tag === "Done")
  const numbers = (name: string) => reports.map((report) => Number(report[name]))
  const generation = Option.match(yield* grant(), { onNone: () => -1, onSome: ({ generation = 0 }) => generation })
  const summary = {
    store: environment.STORE,
    seconds,
    processes,
    fibers,
    calls: numbers("calls"),
    slowest: Math.max(...numbers("slowest")),
    failures: failures.length,
    firstFailures: failures.slice(0, 3),
    refused: server.exchanges.filter(({ status }) => status === 401).length,
    generation,
    refreshes: refreshes.length,
    refreshesRefused: refreshes.filter(({ status }) => status !== 200).length,
    refreshTokensUsedTwice: refreshes.length - new Set(refreshes.map(({ token }) => token)).size,
    familiesRevoked: counts.revoked
  }
  const good =
    failures.length === 0 &&
    reports.length === processes &&
    summary.refreshes === generation &&
    generation >= seconds / 4 &&
    summary.refreshesRefused + summary.refreshTokensUsedTwice + summary.familiesRevoked === 0
  console.log(JSON.stringify({ stress: "refresh", good, ...summary }))
  if (!good) process.exitCode = 1
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
