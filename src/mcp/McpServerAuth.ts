/**
 * The guard on an `@effect/ai` MCP server, with scopes declared on its tools.
 *
 * @since 0.1.0
 */
import * as McpSchema from "@effect/ai/McpSchema"
import * as McpServer from "@effect/ai/McpServer"
import type * as Tool from "@effect/ai/Tool"
import type * as Toolkit from "@effect/ai/Toolkit"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scopes from "../protocol/Scopes.js"
import type { AuthConfig } from "../server/AuthConfig.js"
import type { Authorizer } from "../server/Authorizer.js"
import { CurrentClaims } from "../server/Claims.js"
import * as HttpLayerRouterAuth from "../server/HttpLayerRouterAuth.js"
import * as OperationScopes from "../server/OperationScopes.js"

/**
 * The scopes that a tool needs, all of them, as an annotation of the tool. None by default.
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
  defaultValue: (): ReadonlyArray<string> => []
}) {}

/**
 * The scopes that the registered tools need. Only {@link layerHttpRouter} provides it, so a toolkit registered with
 * {@link toolkit} does not compile in front of a server that is not guarded.
 *
 * @since 0.1.0
 * @category tags
 */
export class ToolScopes extends Context.Tag("effect-mcp-auth/mcp/ToolScopes")<
  ToolScopes,
  {
    readonly declare: (tool: string, scopes: ReadonlyArray<string>) => Effect.Effect<void>
    readonly required: (tool: string) => ReadonlyArray<string>
  }
>() {
  static readonly layer = Layer.sync(ToolScopes, () => {
    const scopes = new Map<string, ReadonlyArray<string>>()
    return {
      declare: (tool, required) => Effect.sync(() => void (required.length > 0 && scopes.set(tool, required))),
      required: (tool) => scopes.get(tool) ?? []
    }
  })
}

const scopeGate = HttpLayerRouter.middleware(
  Effect.map(ToolScopes, ({ required }) => {
    const check = OperationScopes.check({ tool: required })
    return (handler) => Effect.zipRight(check, handler)
  })
)

/**
 * An `@effect/ai` MCP server at a path of the router, behind the guard: requests without an accepted token, and calls of
 * tools whose scopes the token lacks, are refused before they reach it. Add {@link HttpLayerRouterAuth.layerMetadata}
 * for the RFC 9728 document.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpRouter = (
  options: Parameters<typeof McpServer.layerHttpRouter>[0]
): Layer.Layer<
  McpServer.McpServer | McpSchema.McpServerClient | ToolScopes,
  never,
  HttpLayerRouter.HttpRouter | AuthConfig | Authorizer
> =>
  // Layers are shared by reference: two servers of one router would have the same tools, and the guard of the first.
  Layer.suspend(() =>
    McpServer.layerHttpRouter(options).pipe(
      Layer.provide(scopeGate.combine(HttpLayerRouterAuth.middleware).layer),
      Layer.provideMerge(ToolScopes.layer),
      Layer.fresh
    )
  )

/** Checks once more where the handler runs, whatever way the call took. */
const guarded =
  (required: ReadonlyArray<string>) =>
  <R>(handle: Effect.Effect<McpSchema.CallToolResult, never, R>): Effect.Effect<McpSchema.CallToolResult, never, R> =>
    required.length === 0
      ? handle
      : Effect.flatMap(Effect.contextWith(Context.getOption(CurrentClaims)), (claims) =>
          Option.isSome(claims) && claims.value.hasScopes(required)
            ? handle
            : Effect.succeed(
                new McpSchema.CallToolResult({
                  isError: true,
                  content: [{ type: "text", text: `insufficient_scope: needs ${Scopes.render(required)}` }]
                })
              )
        )

/**
 * What a toolkit needs at registration: handlers, and what the tools require but for the caller of each request. The
 * platform's own `McpServer.toolkit` loses the requirements of the tools in its type.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<Tools extends Record<string, Tool.Any>> =
  | Tool.HandlersFor<Tools>
  | Exclude<Tool.Requirements<Tools[keyof Tools]>, McpSchema.McpServerClient | CurrentClaims>

const register = <Tools extends Record<string, Tool.Any>>(toolkit: Toolkit.Toolkit<Tools>) =>
  Effect.mapInputContext(
    McpServer.registerToolkit(toolkit) as Effect.Effect<void, never, McpServer.McpServer | Requirements<Tools>>,
    // What is in the context here would win over the request's own: the caller must never be in it.
    (context: Context.Context<McpServer.McpServer | Requirements<Tools>>): typeof context =>
      Context.omit(CurrentClaims as never)(context) as typeof context
  )

/**
 * Registers a toolkit with the guarded server. Handlers of tools that have `CurrentClaims` among their `dependencies` read
 * the caller of their own request; a `CurrentClaims` that some layer provides is never seen by them.
 *
 * @since 0.1.0
 * @category layers
 */
export const toolkit = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>
): Layer.Layer<never, never, McpServer.McpServer | ToolScopes | Requirements<Tools>> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const server = yield* McpServer.McpServer
      const scopes = yield* ToolScopes
      for (const tool of Object.values(toolkit.tools)) {
        yield* scopes.declare(tool.name, Context.get(tool.annotations, RequiredScopes))
      }
      const registrar: McpServer.McpServer["Type"] = Object.assign(Object.create(server), {
        addTool: ({ handle, tool }: Parameters<typeof server.addTool>[0]) =>
          server.addTool({ tool, handle: (payload) => guarded(scopes.required(tool.name))(handle(payload)) })
      })
      yield* Effect.provideService(register(toolkit), McpServer.McpServer, registrar)
    })
  )
