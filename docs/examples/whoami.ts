/**
 * A protected server that does not know its runtime: `whoamiNode.ts` and `whoamiBun.ts` choose one, with a layer.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig, Claims, HttpAppAuth, JwtAuthorizer } from "effect-mcp-auth/server"

const app = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/mcp",
    Effect.map(Claims.CurrentClaims, ({ subject }) => HttpServerResponse.text(`You are ${subject}`))
  ),
  HttpAppAuth.middleware,
  HttpAppAuth.withMetadata
)

/** Everything but the HTTP server. */
export const program = HttpServer.serve(app).pipe(
  HttpServer.withLogAddress,
  Layer.provide(JwtAuthorizer.layer()),
  Layer.provide(FetchHttpClient.layer),
  Layer.provide(
    AuthConfig.layerConfig({
      resource: Config.string("MCP_RESOURCE"),
      authorizationServers: Config.array(Config.string(), "MCP_AUTHORIZATION_SERVERS")
    })
  )
)
