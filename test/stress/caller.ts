/**
 * One of the processes of a stress: `FIBERS` callers of `RESOURCE`, for `GRANT_OF` where there are several users, that rest
 * for about `PAUSE` milliseconds between calls, until standard input ends. Nobody can be asked here. On standard output it
 * says, line by line, what fails, and what succeeds first and after that.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { AuthorizeUser, type ClientError, HttpClientAuth, TokenSource } from "effect-mcp-auth/client"
import { FetchLimits } from "effect-mcp-auth/discovery"
import * as Store from "./store.js"

const print = (line: { readonly _tag: string } & Record<string, unknown>) =>
  Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

const ended = Effect.async<void>((resume) => {
  process.stdin.once("end", () => resume(Effect.void)).resume()
})

/** Why a person would have to be asked, if it is known. */
const lost = (error: { readonly _tag: string; readonly cause?: unknown }) => {
  const cause = error.cause as ClientError.TokenRefused | undefined
  return error._tag === "SignInRequired" && cause?._tag === "TokenRefused"
    ? { error: cause.error, answerLostAt: cause.answerLostAt }
    : undefined
}

const program = Effect.gen(function* () {
  const resource = yield* Config.string("RESOURCE")
  const user = Option.getOrUndefined(yield* Config.option(Config.string("GRANT_OF")))
  const fibers = yield* Config.integer("FIBERS")
  const pause = yield* Config.integer("PAUSE")
  const timeout = Duration.seconds(yield* Config.withDefault(Config.number("TIMEOUT"), 10))
  let calls = 0
  let slowest = 0
  let succeeds = false

  const callers = Effect.gen(function* () {
    const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
    const call = Effect.scoped(
      Effect.flatMap(client.get(resource), (response) => Effect.as(response.text, response.status))
    )
    const timed = Effect.gen(function* () {
      const start = yield* Clock.currentTimeMillis
      const result = yield* Effect.either(call)
      slowest = Math.max(slowest, (yield* Clock.currentTimeMillis) - start)
      const succeeded = succeeds
      succeeds = result._tag === "Right" && result.right === 200
      if (result._tag === "Left") {
        const { left: error } = result
        yield* print({ _tag: "Failed", error: error._tag, message: error.message, lost: lost(error) })
      } else if (result.right !== 200) yield* print({ _tag: "Failed", error: result.right })
      else {
        calls++
        if (!succeeded) yield* print({ _tag: "Called" })
      }
      yield* Effect.sleep(Math.random() * 2 * pause)
    })
    yield* print({ _tag: "Ready" })
    yield* Effect.all(
      Array.from({ length: fibers }, () => Effect.forever(timed)),
      { concurrency: "unbounded" }
    )
  }).pipe(
    Effect.provide(
      TokenSource.layerAuthorizationCode({ resource, user }).pipe(
        Layer.provide([AuthorizeUser.layerForbidden, Store.layer, FetchLimits.layer({ timeout })]),
        Layer.provideMerge(FetchHttpClient.layer)
      )
    )
  )
  yield* Effect.raceFirst(callers, ended)
  yield* print({ _tag: "Done", calls, slowest })
})

// Standard output is for the report.
program.pipe(Logger.withMinimumLogLevel(LogLevel.None), NodeRuntime.runMain)
