// Many callers at once on one server, for each adapter that tells a handler who is calling.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Authorizer from "../../src/server/Authorizer.js"
import { Claims } from "../../src/server/Claims.js"
import * as Adapters from "./fixtures/Adapters.js"
import { issuer, resource } from "./fixtures/Guarded.js"

const CALLERS = 64
const CALLS = 10_000

/** Every token is somebody. Some decisions take a moment longer than others, so that requests overtake each other. */
const everybody = Authorizer.layer(({ token }) => {
  const subject = Redacted.value(token)
  const decided = Effect.sync(
    () => new Claims({ issuer, subject, audience: [resource], scopes: ["mcp:tools"], raw: Redacted.make({}) })
  )
  return subject.length % 2 === 0 ? decided : Effect.delay(decided, "1 millis")
})

/** Calls in turns for each caller, all callers at once: what each was told. */
const calls = async (port: number): Promise<ReadonlyMap<string, number>> => {
  const told = new Map<string, number>()
  let left = CALLS
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, n) => {
      const caller = `caller-${n}`
      while (left-- > 0) {
        const response = await fetch(`http://127.0.0.1:${port}/whoami`, {
          headers: { authorization: `Bearer ${caller}` }
        })
        const answer = `${response.status} ${(await response.text()).replace(caller, "itself")}`
        told.set(answer, (told.get(answer) ?? 0) + 1)
      }
    })
  )
  return told
}

/** One of each kind. */
const one = ["HttpAppAuth.middleware around an app", "HttpLayerRouterAuth.layer", "HttpApiAuth.Authorization on groups"]

const variants = [
  ["", Layer.empty],
  [", with a layer that provides a foreign identity", Adapters.foreignIdentity as Layer.Layer<never>]
] as const

describe(`${CALLERS} callers, ${CALLS} calls`, () => {
  for (const { name, serve } of Adapters.adapters.filter(({ name }) => one.includes(name))) {
    for (const [variant, more] of variants) {
      it.scopedLive(
        `D1, D2 ${name}: each handler sees its own caller${variant}`,
        () =>
          Effect.gen(function* () {
            const { port, reached } = yield* Adapters.start(serve, everybody, more)
            const told = yield* Effect.promise(() => calls(port))
            assert.deepStrictEqual([...told], [["200 itself", CALLS]])
            assert.strictEqual(reached.length, CALLS)
          }),
        { timeout: 240_000 }
      )
    }
  }
})
