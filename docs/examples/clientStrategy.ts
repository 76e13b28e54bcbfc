/**
 * A strategy of your own: tokens that another program makes, such as a cloud's command line. Two verbs are all there is.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { ClientError, TokenSource } from "effect-mcp-auth/client"

const run = promisify(execFile)

/** Tokens for `resource` from a command that prints one. A refused token is replaced by the next that it prints. */
export const layerCommand = (options: {
  readonly resource: string
  readonly command: string
  readonly args?: ReadonlyArray<string>
}): Layer.Layer<TokenSource.TokenSource> =>
  Layer.sync(TokenSource.TokenSource, () => {
    const { args = [], command, resource } = options
    const print = Effect.tryPromise({
      try: async () => {
        const { stdout } = await run(command, [...args])
        return { value: Redacted.make(stdout.trim()), type: "Bearer" as const, scopes: [] }
      },
      // No cause: what the command printed may be a token.
      catch: () =>
        new ClientError.TokenUnavailable({ step: "Token", detail: `${command} gave no token`, rule: "it exits with 0" })
    })
    let held: Effect.Effect.Success<typeof print> | undefined
    const renewed = Effect.tap(print, (token) => {
      held = token
    })
    return {
      resource,
      current: Effect.suspend(() => Effect.asSome(held === undefined ? renewed : Effect.succeed(held))),
      // Somebody else may have renewed it meanwhile.
      renew: (_, used) =>
        Effect.suspend(() =>
          held !== undefined &&
          !Option.contains(
            Option.map(used, ({ value }) => value),
            held.value
          )
            ? Effect.succeed(held)
            : renewed
        )
    }
  })
