import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TokenSource } from "../../src/client/index.js"
import { DiscoveryTrace } from "../../src/discovery/index.js"
import { call, type Recorded, World } from "./World.js"

/** Clears a screen, moves a cursor, begins a line, turns the direction of writing. */
const hostile = "\u001b[2J\u009b1;1H\r\nINFO signed in\u202e"

const moves = /[\p{Cc}\p{Cf}]/u

const initialAccessToken = "the-initial-access-token"

const at = (path: string, answer: (request: Recorded) => Response) => (world: World) => {
  world.faults.push((request) => (request.path === path ? answer(request) : undefined))
}

const refusal = (error: string, error_description: string) =>
  Response.json({ error, error_description }, { status: 400 })

/** What a server may say, where it may say it. */
const said: ReadonlyArray<readonly [string, (world: World) => unknown]> = [
  ["an issuer", (world) => Object.assign(world, { issuers: [`https://as.example/${hostile}`] })],
  ["a resource", (world) => Object.assign(world, { resource: `https://mcp.example/${hostile}` })],
  [
    "another issuer in the metadata of one",
    (world) => Object.assign(world, { metadata: { issuer: `https://as.example${hostile}` } })
  ],
  [
    "a token endpoint",
    (world) => Object.assign(world, { metadata: { token_endpoint: `https://as.example/${hostile}` } })
  ],
  [
    "methods at registration",
    (world) => Object.assign(world, { metadata: { token_endpoint_auth_methods_supported: [hostile] } })
  ],
  [
    "a method that it registered",
    at("/reg", () => Response.json({ client_id: "c", token_endpoint_auth_method: hostile }))
  ],
  ["a client ID", at("/reg", () => Response.json({ client_id: hostile }))],
  ["a refused registration", at("/reg", () => refusal("no", `${hostile} ${initialAccessToken}`))],
  ["the code of a refused registration", at("/reg", () => refusal(`no ${initialAccessToken}`, ""))],
  ["a refused code", at("/token", ({ form }) => refusal("no", `${hostile} ${form.get("code_verifier")}`))],
  ["the code of a refused code", at("/token", ({ form }) => refusal(`no ${form.get("code_verifier")}`, ""))],
  [
    "a refused request",
    (world) => {
      world.metadata = { pushed_authorization_request_endpoint: "https://as.example/par" }
      at("/par", ({ form }) => refusal(`no ${form.get("state")}`, `${hostile} ${form.get("code_challenge")}`))(world)
    }
  ],
  [
    "an answer of the browser",
    (world) => {
      world.redirect = (answer) =>
        new URLSearchParams({ state: answer.get("state") ?? "", error: `no${hostile}`, error_description: hostile })
    }
  ]
]

describe("what servers say, in what is shown of it", () => {
  const options: Partial<TokenSource.AuthorizationCodeOptions> = {
    registration: { dynamic: { initialAccessToken: Redacted.make(initialAccessToken) } }
  }

  it.effect.each(said)("%s: moves no cursor, and repeats no secret", ([, say]) =>
    Effect.gen(function* () {
      const world = new World()
      say(world)
      const error = yield* Effect.flip(call().pipe(Effect.provide(world.source(options))))
      assert(error._tag !== "RequestError" && error._tag !== "ResponseError")
      const shown = `${error.message}${error.detail}${DiscoveryTrace.render(error.trace).replaceAll("\n", "")}`
      assert.notMatch(shown, moves)
      const secrets = [
        initialAccessToken,
        ...world.requests.flatMap(({ form }) => ["code_verifier", "code_challenge", "state"].map((_) => form.get(_)))
      ]
      const all = `${shown}${JSON.stringify(error)}`
      for (const secret of secrets) if (secret !== null) assert.notInclude(all, secret)
    })
  )

  it.effect("a resource that names thousands of authorization servers has eight of them asked", () =>
    Effect.gen(function* () {
      const world = new World()
      const servers = Array.from({ length: 5000 }, (_, index) => `https://as${index}.example`)
      world.issuers = servers
      world.faults.push(({ url }) =>
        servers.some((server) => url.startsWith(`${server}/`)) ? "unreachable" : undefined
      )
      const error = yield* Effect.flip(call().pipe(Effect.provide(world.source())))
      assert.strictEqual(error._tag, "TokenUnavailable")
      assert.include(error.message, "4992 others: no more than 8 are asked")
      const asked = new Set(
        world.requests.map(({ url }) => new URL(url).origin).filter((_) => _ !== "https://mcp.example")
      )
      assert.deepStrictEqual(Array.from(asked), servers.slice(0, 8))
    })
  )
})
