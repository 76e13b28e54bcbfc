/**
 * The guard on an `@effect/ai` MCP server, with scopes declared on its tools, resources, templates and prompts.
 *
 * @since 0.1.0
 */
import type * as McpSchema from "@effect/ai/McpSchema"
import * as McpServer from "@effect/ai/McpServer"
import type * as Tool from "@effect/ai/Tool"
import type * as Toolkit from "@effect/ai/Toolkit"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig } from "../server/AuthConfig.js"
import type { Authorizer } from "../server/Authorizer.js"
import { CurrentClaims } from "../server/Claims.js"
import { DecisionLog } from "../server/Decision.js"
import * as HttpLayerRouterAuth from "../server/HttpLayerRouterAuth.js"
import type { Requirement } from "../server/ScopeRequirement.js"
import * as StreamExpiry from "../server/StreamExpiry.js"
import { Tenancy } from "../server/Tenancy.js"
import * as Declaration from "./Declaration.js"
import * as OperationGate from "./OperationGate.js"

/**
 * What a tool needs beyond what every request needs, as an annotation of the tool: a list of scopes is all of them,
 * `ScopeRequirement` has the rest. Nothing by default.
 *
 * @since 0.1.0
 * @category annotations
 * @example
 * ```ts
 * import * as Tool from "@effect/ai/Tool"
 * import { McpServerAuth } from "effect-mcp-auth/mcp"
 * import { Claims } from "effect-mcp-auth/server"
 * import * as Schema from "effect/Schema"
 *
 * export const DeleteFile = Tool.make("delete_file", {
 *   parameters: { path: Schema.String },
 *   success: Schema.String,
 *   dependencies: [Claims.CurrentClaims]
 * }).annotate(McpServerAuth.RequiredScopes, ["files:write"])
 * ```
 */
export class RequiredScopes extends Context.Reference<RequiredScopes>()("effect-mcp-auth/mcp/RequiredScopes", {
  defaultValue: (): Requirement => []
}) {}

/**
 * How a tool shows to those who may not use it, as an annotation of the tool. What it leaves out is as the server has it.
 *
 * @since 0.1.0
 * @category annotations
 */
export class Access extends Context.Reference<Access>()("effect-mcp-auth/mcp/Access", {
  defaultValue: (): Partial<Policy> => ({})
}) {}

/**
 * The guarded server as operations are registered with it. Only {@link layerHttpRouter} provides it, so what is registered
 * with {@link toolkit} or {@link register} does not compile in front of a server that is not guarded.
 *
 * @since 0.1.0
 * @category tags
 */
export class GuardedServer extends Context.Tag("effect-mcp-auth/mcp/GuardedServer")<
  GuardedServer,
  Declaration.Registrar
>() {}

/**
 * How operations show to callers who may not use them. What is declared with an operation goes before what is said for the
 * server, which is `"All"` and `"Challenge"` where nothing is said.
 *
 * @since 0.1.0
 * @category models
 */
export type Policy = Declaration.Policy

/**
 * What is declared with an operation: the scopes it needs, and how it shows to those who lack them.
 *
 * @since 0.1.0
 * @category models
 */
export type DeclareOptions = Declaration.Options

/**
 * What the platform's own server takes; the policy of its operations; and when calls under way end, which without `expiry`
 * is their own affair.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Parameters<typeof McpServer.layerHttpRouter>[0] &
  Partial<Policy> & { readonly expiry?: StreamExpiry.Options | undefined }

const gateway = HttpLayerRouter.middleware(Effect.succeed(OperationGate.middleware))

const guard = ({ expiry }: Options) =>
  expiry === undefined
    ? gateway.combine(HttpLayerRouterAuth.middleware).layer
    : gateway.combine(StreamExpiry.routerMiddleware(expiry).combine(HttpLayerRouterAuth.middleware)).layer

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
const protocol = (options: Options) =>
  Layer.effect(RpcServer.Protocol, gate).pipe(
    Layer.provide(
      RpcServer.layerProtocolHttpRouter(options).pipe(
        Layer.provide(RpcSerialization.layerJsonRpc()),
        Layer.provide(guard(options))
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
      Context.add(
        McpServer.McpServer,
        registrar.registering(() => ({}))
      )
    )
  )
)

/**
 * An `@effect/ai` MCP server at a path of the router, behind the guard: requests without an accepted token, and operations
 * whose scopes the token lacks, are refused before they reach it. Add {@link HttpLayerRouterAuth.layerMetadata} for the
 * RFC 9728 document.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpRouter = (
  options: Options
): Layer.Layer<
  McpServer.McpServer | McpSchema.McpServerClient | GuardedServer,
  never,
  HttpLayerRouter.HttpRouter | AuthConfig | Authorizer
> =>
  // Layers are shared by reference: two servers of one router would have the same tools, and the guard of the first.
  Layer.suspend(
    () =>
      outside.pipe(
        Layer.provide(McpServer.layer(options).pipe(Layer.provide(protocol(options)))),
        Layer.provide(guardedServer(options).pipe(Layer.provideMerge(McpServer.McpServer.layer))),
        Layer.fresh
      )
    // The client is a service of each request, which the platform's type has here.
  ) as Layer.Layer<
    McpServer.McpServer | McpSchema.McpServerClient | GuardedServer,
    never,
    HttpLayerRouter.HttpRouter | AuthConfig | Authorizer
  >

/** What comes with each request, and is not needed before there is one. */
type OfRequest = McpSchema.McpServerClient | CurrentClaims

/**
 * What is in the context of a registration wins over the context of a request. So the caller must not be in it, and no
 * passage either.
 */
const withoutCaller = <A, E, R>(registration: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, OfRequest>> =>
  Effect.mapInputContext(
    registration,
    (context: Context.Context<Exclude<R, OfRequest>>) =>
      Context.omit(CurrentClaims as never, Declaration.Passage as never)(context) as Context.Context<R>
  )

const registering = <E, R>(
  registration: Effect.Effect<void, E, R>,
  options: (name: string) => DeclareOptions
): Layer.Layer<never, E, GuardedServer | Exclude<Exclude<R, McpServer.McpServer>, OfRequest>> =>
  Layer.effectDiscard(
    Effect.flatMap(GuardedServer, (registrar) =>
      withoutCaller(Effect.provideService(registration, McpServer.McpServer, registrar.registering(options)))
    )
  )

/**
 * Registers resources, templates and prompts, as the platform does, with what they need. Their handlers read the caller of
 * their own request; a `CurrentClaims` that some layer provides is never seen by them. Completions of a template or prompt
 * need what it needs.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as McpServer from "@effect/ai/McpServer"
 * import { McpServerAuth } from "effect-mcp-auth/mcp"
 * import { Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 *
 * export const diary = McpServerAuth.register(
 *   McpServer.registerResource({
 *     uri: "file:///diary.md",
 *     name: "diary",
 *     content: Effect.map(Claims.CurrentClaims, ({ subject }) => `The diary of ${subject}`)
 *   }),
 *   { scopes: ["diary:read"], listing: "Permitted" }
 * )
 * ```
 */
export const register = <E, R>(
  registration: Effect.Effect<void, E, R>,
  options: DeclareOptions = {}
): Layer.Layer<never, E, GuardedServer | Exclude<Exclude<R, McpServer.McpServer>, OfRequest>> =>
  registering(registration, () => options)

/**
 * What a toolkit needs at registration: handlers, and what the tools require but for the caller of each request. The
 * platform's own `McpServer.toolkit` loses the requirements of the tools in its type.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<Tools extends Record<string, Tool.Any>> =
  | Tool.HandlersFor<Tools>
  | Exclude<Tool.Requirements<Tools[keyof Tools]>, OfRequest>

/**
 * Registers a toolkit with the guarded server, each tool with what {@link RequiredScopes} and {@link Access} say of it.
 * Handlers of tools that have `CurrentClaims` among their `dependencies` read the caller of their own request.
 *
 * @since 0.1.0
 * @category layers
 */
export const toolkit = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>
): Layer.Layer<never, never, GuardedServer | Requirements<Tools>> =>
  registering(
    McpServer.registerToolkit(toolkit) as Effect.Effect<void, never, McpServer.McpServer | Requirements<Tools>>,
    (name) => {
      const annotations = toolkit.tools[name]?.annotations ?? Context.empty()
      return { scopes: Context.get(annotations, RequiredScopes), ...Context.get(annotations, Access) }
    }
  ) as Layer.Layer<never, never, GuardedServer | Requirements<Tools>>
