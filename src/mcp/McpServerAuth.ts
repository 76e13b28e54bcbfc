/**
 * The guard on an `@effect/ai` MCP server, with scopes declared on its tools, resources, templates and prompts.
 *
 * @since 0.1.0
 */
import type * as McpSchema from "@effect/ai/McpSchema"
import * as McpServer from "@effect/ai/McpServer"
import type * as Tool from "@effect/ai/Tool"
import type * as Toolkit from "@effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrentClaims, OptionalClaims } from "../server/Claims.js"
import type { Requirement } from "../server/ScopeRequirement.js"
import * as Declaration from "./Declaration.js"
import { GuardedServer, layer, type Needed, OptionalServer, type Options, type Provided } from "./GuardedServer.js"

export {
  /**
   * The guarded server as operations are registered with it. Only {@link layerHttpRouter} and
   * {@link layerHttpRouterOptional} provide it, so what is registered with {@link toolkit} or {@link register} does not
   * compile in front of a server that is not guarded.
   *
   * @since 0.1.0
   * @category tags
   */
  GuardedServer,
  /**
   * The same for operations that serve everybody and know some. Only {@link layerHttpRouterOptional} provides it.
   *
   * @since 0.1.0
   * @category tags
   */
  OptionalServer,
  /**
   * What the platform's own server takes; the policy of its operations; and when calls under way end, which without
   * `expiry` is their own affair.
   *
   * @since 0.1.0
   * @category models
   */
  type Options
} from "./GuardedServer.js"

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
 * An `@effect/ai` MCP server at a path of the router, behind the guard: requests without an accepted token, and operations
 * whose scopes the token lacks, are refused before they reach it. Add {@link HttpLayerRouterAuth.layerMetadata} for the
 * RFC 9728 document.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpRouter = (options: Options): Layer.Layer<Provided, never, Needed> => layer("Known", options)

/**
 * The same for public and protected operations on one server. A request without any credentials is let in; it may connect,
 * list, and use what is registered with {@link registerOptional} and {@link toolkitOptional} and needs no scope. Every other
 * operation asks it for a token, with the scopes that it needs, in the form that the policy says. A token that is not
 * accepted is refused, whatever is asked for.
 *
 * Many clients sign in only where the connection itself is refused, and never on a call. Give those a server of
 * {@link layerHttpRouter} at another path, as a resource of its own.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as Tool from "@effect/ai/Tool"
 * import * as Toolkit from "@effect/ai/Toolkit"
 * import { McpServerAuth } from "effect-mcp-auth/mcp"
 * import { Claims } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Option from "effect/Option"
 * import * as Schema from "effect/Schema"
 *
 * const open = Toolkit.make(
 *   Tool.make("greet", { success: Schema.String, dependencies: [Claims.OptionalClaims] })
 * )
 * const greet = Effect.map(
 *   Claims.OptionalClaims,
 *   Option.match({ onNone: () => "Hello, guest", onSome: ({ subject }) => `Hello, ${subject}` })
 * )
 *
 * export const routes = McpServerAuth.toolkitOptional(open).pipe(
 *   Layer.provide(open.toLayer({ greet: () => greet })),
 *   Layer.provide(McpServerAuth.layerHttpRouterOptional({ name: "greeter", version: "1.0.0", path: "/mcp" }))
 * )
 * ```
 */
export const layerHttpRouterOptional = (options: Options): Layer.Layer<Provided | OptionalServer, never, Needed> =>
  layer("All", options)

/** Of what is registered, what it needs before there is a request; `Caller` is how its handlers know who calls. */
type BeforeRequest<R, Caller> = Exclude<R, McpServer.McpServer | McpSchema.McpServerClient | Caller>

/** What operations are registered with, and by what their handlers know who calls. */
interface Kind<Server, Caller> {
  readonly server: Context.Tag<Server, Declaration.Registrar>
  readonly callers: Declaration.Callers
  readonly caller: { readonly Identifier: Caller }
}

const known: Kind<GuardedServer, CurrentClaims> = { server: GuardedServer, callers: "Known", caller: CurrentClaims }
const all: Kind<OptionalServer, OptionalClaims> = { server: OptionalServer, callers: "All", caller: OptionalClaims }

const registering = <Server, Caller, E, R>(
  { callers, server }: Kind<Server, Caller>,
  registration: Effect.Effect<void, E, R>,
  options: (name: string) => DeclareOptions
): Layer.Layer<never, E, Server | BeforeRequest<R, Caller>> =>
  Layer.effectDiscard(
    Effect.flatMap(server, (registrar) =>
      // What is in the context of a registration wins over the context of a request. So no caller must be in it, and no
      // passage either.
      Effect.mapInputContext(
        registration,
        (context: Context.Context<BeforeRequest<R, Caller>>) =>
          Context.omit(
            CurrentClaims as never,
            OptionalClaims as never,
            Declaration.Passage as never
          )(Context.add(context, McpServer.McpServer, registrar.registering(callers, options))) as Context.Context<R>
      )
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
): Layer.Layer<never, E, GuardedServer | BeforeRequest<R, CurrentClaims>> =>
  registering(known, registration, () => options)

/**
 * The same for those without credentials as well: handlers read `OptionalClaims`. With scopes, it needs a token all the
 * same.
 *
 * @since 0.1.0
 * @category layers
 */
export const registerOptional = <E, R>(
  registration: Effect.Effect<void, E, R>,
  options: DeclareOptions = {}
): Layer.Layer<never, E, OptionalServer | BeforeRequest<R, OptionalClaims>> =>
  registering(all, registration, () => options)

/**
 * What a toolkit needs at registration: handlers, and what the tools require but for the caller of each request. The
 * platform's own `McpServer.toolkit` loses the requirements of the tools in its type.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<Tools extends Record<string, Tool.Any>, Caller = CurrentClaims> =
  | Tool.HandlersFor<Tools>
  | BeforeRequest<Tool.Requirements<Tools[keyof Tools]>, Caller>

/** What the tools say of themselves. */
const declaredBy =
  <Tools extends Record<string, Tool.Any>>({ tools }: Toolkit.Toolkit<Tools>) =>
  (name: string): DeclareOptions => {
    const annotations = tools[name]?.annotations ?? Context.empty()
    return { scopes: Context.get(annotations, RequiredScopes), ...Context.get(annotations, Access) }
  }

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
  registering(known, McpServer.registerToolkit(toolkit), declaredBy(toolkit)) as Layer.Layer<
    never,
    never,
    GuardedServer | Requirements<Tools>
  >

/**
 * The same for those without credentials as well: tools have `OptionalClaims` among their `dependencies`. One with scopes
 * needs a token all the same.
 *
 * @since 0.1.0
 * @category layers
 */
export const toolkitOptional = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>
): Layer.Layer<never, never, OptionalServer | Requirements<Tools, OptionalClaims>> =>
  registering(all, McpServer.registerToolkit(toolkit), declaredBy(toolkit)) as Layer.Layer<
    never,
    never,
    OptionalServer | Requirements<Tools, OptionalClaims>
  >
