/** What every stress runs against: a real authorization server, a guarded resource server, a store, and grants to begin with. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { HttpClientAuth, StoredGrant, TokenSource } from "effect-mcp-auth/client"
import { HttpAppAuth } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import type * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"
import * as Store from "./store.js"

/** One refresh as the authorization server saw it. */
export interface Refresh {
  readonly token: string
  readonly status: number
  readonly error: string | undefined
}

/** Starts everything, for as long as the scope is open. Access tokens live `lifetime` seconds. */
export const make = (options: { readonly lifetime: number } & AuthorizationServer.Options) =>
  Effect.gen(function* () {
    const environment = yield* Store.environment
    const refreshes: Array<Refresh> = []
    const counts = { unauthorized: 0, revoked: 0 }
    const server = yield* ProtectedServer.make({
      authorizationServer: {
        ...options,
        resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL: options.lifetime }),
        onExchange: ({ path, requestBody = "", responseBody = "", status }) => {
          const form = new URLSearchParams(requestBody)
          if (path !== "/token" || form.get("grant_type") !== "refresh_token") return
          const error = status === 200 ? undefined : (/"error":"(\w+)"/.exec(responseBody)?.[1] ?? "?")
          refreshes.push({ token: form.get("refresh_token") ?? "", status, error })
        }
      },
      // Times in tokens are whole seconds, rounded down: without it one of two seconds lives for one to two.
      authorizer: { clockTolerance: "1 second" },
      serve: HttpServer.serve(HttpServerResponse.text("ok").pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata))
    })
    server.authorizationServer.provider.on("grant.revoked", () => {
      counts.revoked++
    })

    /** A person signs in, and the store has the grant; it is no matter if the token was too old for a call by then. */
    const signIn = (user?: string) =>
      Effect.flatMap(HttpClient.HttpClient, (client) =>
        Effect.scoped(Effect.flatMap(HttpClientAuth.transform()(client).get(server.url), (response) => response.text))
      ).pipe(
        Effect.catchTag("AccessRefused", () => Effect.void),
        Effect.provide(
          TokenSource.layerAuthorizationCode({ resource: server.url, user }).pipe(
            Layer.provide(ScriptedUser.layer({ redirectUri: "http://127.0.0.1:9/callback" })),
            Layer.provide(Store.layer),
            Layer.provideMerge(FetchHttpClient.layer)
          )
        )
      )

    const grant = (user?: string) =>
      Effect.map(
        StoredGrant.find({ endpoint: server.url, user }),
        Option.map(({ value }) => value)
      ).pipe(Effect.provide(Store.layer))

    return { server, environment, refreshes, counts, signIn, grant }
  })
