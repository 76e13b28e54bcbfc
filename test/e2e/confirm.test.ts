/** `docs/examples/confirm.ts`: a state that a client gives back is good for its caller alone (RS-43, RS-44). */
import * as HttpApp from "@effect/platform/HttpApp"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { AuthConfig, Authorizer, RequestState } from "effect-mcp-auth/server"
import { app } from "../../docs/examples/confirm.js"
import { configOf, requestOf } from "../server/fixtures/Guarded.js"

const services = Layer.mergeAll(
  Authorizer.layerTest({
    alice: { subject: "alice", scopes: ["mcp:tools"] },
    renewed: { subject: "alice", scopes: ["mcp:tools"] },
    bob: { subject: "bob", scopes: ["mcp:tools"] }
  }),
  Layer.succeed(AuthConfig.AuthConfig, configOf()),
  RequestState.layerKeys([Redacted.make("A".repeat(43))])
)

it.scopedLive("requestState of the official SDK, sealed for its caller", () =>
  Effect.gen(function* () {
    const served = yield* Effect.provide(app, services)
    const { handler } = yield* Effect.acquireRelease(
      Effect.sync(() => HttpApp.toWebHandlerLayer(served, services)),
      ({ dispose }) => Effect.promise(() => dispose())
    )

    const deploy = (token: string, environment: string, more: object = {}) =>
      Effect.promise(async () => {
        const response = await handler(
          requestOf({
            token,
            headers: {
              accept: "application/json, text/event-stream",
              "content-type": "application/json",
              "mcp-protocol-version": "2026-07-28",
              "mcp-method": "tools/call",
              "mcp-name": "deploy"
            },
            body: JSON.stringify({
              jsonrpc: "2.0",
              id: 1,
              method: "tools/call",
              params: {
                name: "deploy",
                arguments: { environment },
                _meta: {
                  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                  "io.modelcontextprotocol/clientCapabilities": { elicitation: {} }
                },
                ...more
              }
            })
          })
        )
        return (await response.json()) as {
          readonly result?: {
            readonly requestState?: string
            readonly content?: ReadonlyArray<{ readonly text: string }>
          }
          readonly error?: { readonly code: number; readonly message: string }
        }
      })

    const asked = yield* deploy("alice", "production")
    const requestState = asked.result?.requestState
    assert.isString(requestState)
    const answer = { requestState, inputResponses: { confirmation: { action: "accept", content: { sure: true } } } }

    for (const token of ["alice", "renewed"]) {
      const done = yield* deploy(token, "production", answer)
      assert.deepStrictEqual(done.result?.content?.[0]?.text, "deployed to production")
    }
    const refused = { code: -32602, message: "Invalid or expired requestState" }
    const foreign = yield* deploy("bob", "production", answer)
    assert.deepInclude(foreign.error, refused)
    const forged = yield* deploy("alice", "production", { ...answer, requestState: `${requestState}A` })
    assert.deepInclude(forged.error, refused)
    // Asked about one environment is not asked about another.
    assert.isString((yield* deploy("alice", "staging", answer)).result?.requestState)
  })
)
