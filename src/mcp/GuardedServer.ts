/**
 * An `@effect/ai` MCP server over HTTP, behind the guard, with the gate in its protocol.
 *
 * @since 0.1.0
 */
import type * as McpSchema from "@effect/ai/McpSchema"
import * as McpServer from "@effect/ai/McpServer"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AuthConfig } from "../server/AuthConfig.js"
import type { Authorizer } from "../server/Authorizer.js"
import { CurrentClaims, OptionalClaims } from "../server/Claims.js"
import { DecisionLog } from "../server/Decision.js"
import * as HttpLayerRouterAuth from "../server/HttpLayerRouterAuth.js"
import * as StreamExpiry from "../server/StreamExpiry.js"
import { Tenancy } from "../server/Tenancy.js"
import * as Declaration from "./Declaration.js"
import * as OperationGate from "./OperationGate.js"

/**
 * The guarded server as operations are registered with it, which so do not compile in front of one that is not guarded.
 *
 * @since 0.1.0
 * @category tags
 */
export class GuardedServer extends Context.Tag("effect-mcp-auth/mcp/GuardedServer")<
  GuardedServer,
  Declaration.Registrar
>() {}

/**
 * The same for operations that serve everybody and know some.
 *
 * @since 0.1.0
 * @category tags
 */
export class OptionalServer extends Context.Tag("effect-mcp-auth/mcp/OptionalServer")<
  OptionalServer,
  Declaration.Registrar
>() {}

/**
 * What the platform's own server takes; the policy of its operations; and when calls under way end, which without `expiry`
 * is their own affair.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Parameters<typeof McpServer.layerHttpRouter>[0] &
  Partial<Declaration.Policy> & { readonly expiry?: StreamExpiry.Options | undefined }

const gateway = HttpLayerRouter.middleware(Effect.succeed(OperationGate.middleware))

/** To the gate, a caller is one that may be nobody. */
const identified = HttpLayerRouter.middleware<{ provides: OptionalClaims }>()(
  Effect.succeed((app) =>
    Effect.flatMap(CurrentClaims, (claims) => Effect.provideService(app, OptionalClaims, Option.some(claims)))
  )
)

const guards = {
  Known: ({ expiry }: Options) => {
    const gated = gateway.combine(identified)
    return expiry === undefined
      ? gated.combine(HttpLayerRouterAuth.middleware).layer
      : gated.combine(StreamExpiry.routerMiddleware(expiry).combine(HttpLayerRouterAuth.middleware)).layer
  },
  All: ({ expiry }: Options) =>
    expiry === undefined
      ? gateway.combine(HttpLayerRouterAuth.middlewareOptional).layer
      : gateway.combine(StreamExpiry.routerMiddlewareOptional(expiry).combine(HttpLayerRouterAuth.middlewareOptional))
          .layer
} satisfies Record<Declaration.Callers, unknown>

const gate = Effect.gen(function* () {
  const server = yield* McpServer.McpServer
  const protocol = yield* RpcServer.Protocol
  const registrar = yield* GuardedServer
  const services = Context.make(AuthConfig, yield* AuthConfig).pipe(
    Context.add(Tenancy, yield* Tenancy),
    Context.add(DecisionLog, yield* DecisionLog)
  )
  return OperationGate.make(protocol, server, registrar, services)
})

/** The platform's protocol over HTTP, behind the guard, with the gate in it. */
const protocol = (callers: Declaration.Callers, options: Options) =>
  Layer.effect(RpcServer.Protocol, gate).pipe(
    Layer.provide(
      RpcServer.layerProtocolHttpRouter(options).pipe(
        Layer.provide(RpcSerialization.layerJsonRpc()),
        Layer.provide(guards[callers](options))
      )
    )
  )

const guardedServer = ({ listing = "All", refusal = "Challenge" }: Options) =>
  Layer.scoped(
    GuardedServer,
    Effect.zipWith(McpServer.McpServer, McpServer.McpServer.make, (server, empty) =>
      Declaration.registrar(server, empty, { listing, refusal })
    )
  )

/** The server as it is seen from outside: whatever is registered with it is guarded. */
const outside = Layer.effectContext(
  Effect.map(GuardedServer, (registrar) =>
    Context.make(GuardedServer, registrar).pipe(
      Context.add(OptionalServer, registrar),
      Context.add(
        McpServer.McpServer,
        registrar.registering("Known", () => ({}))
      )
    )
  )
)

/**
 * What a guarded server is to those who register with it.
 *
 * @since 0.1.0
 * @category models
 */
export type Provided = McpServer.McpServer | McpSchema.McpServerClient | GuardedServer

/**
 * What it needs of the program.
 *
 * @since 0.1.0
 * @category models
 */
export type Needed = HttpLayerRouter.HttpRouter | AuthConfig | Authorizer

/**
 * Serves callers with an accepted token, or all of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  callers: Declaration.Callers,
  options: Options
): Layer.Layer<Provided | OptionalServer, never, Needed> =>
  // Layers are shared by reference: two servers of one router would have the same tools, and the guard of the first.
  Layer.suspend(
    () =>
      outside.pipe(
        Layer.provide(McpServer.layer(options).pipe(Layer.provide(protocol(callers, options)))),
        Layer.provide(guardedServer(options).pipe(Layer.provideMerge(McpServer.McpServer.layer))),
        Layer.fresh
      )
    // The client is a service of each request, which the platform's type has here.
  ) as Layer.Layer<Provided | OptionalServer, never, Needed>
