/**
 * What is declared with an operation of an `@effect/ai` MCP server: the scopes it needs, and how it shows to those who
 * lack them.
 *
 * @since 0.1.0
 */
import * as McpSchema from "@effect/ai/McpSchema"
import type * as McpServer from "@effect/ai/McpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Claims } from "../server/Claims.js"
import * as ScopeRequirement from "../server/ScopeRequirement.js"

/**
 * How operations show to callers who may not use them. What is declared with an operation goes before what is said for
 * the server.
 *
 * `listing`: `"All"` lists everything to everybody, so that a client can call it and step up. `"Annotated"` does so too
 * and says of each what it needs, in `_meta`. `"Permitted"` leaves out what the caller may not use. A list is presentation:
 * whatever it shows, every call is checked.
 *
 * `refusal`: `"Challenge"` is HTTP 403 with the scopes. `"ToolResult"` is the result of the tool that ChatGPT reads, with
 * the same challenge in `_meta["mcp/www_authenticate"]`; resources and prompts have no such result and are answered 403.
 * `"Absent"` answers as if there were no such operation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  readonly listing: "All" | "Annotated" | "Permitted"
  readonly refusal: "Challenge" | "ToolResult" | "Absent"
}

/**
 * What is declared with one operation. What is left out is as the server has it; without scopes it needs what every
 * request needs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly scopes?: ScopeRequirement.Requirement | undefined
  readonly listing?: Policy["listing"] | undefined
  readonly refusal?: Policy["refusal"] | undefined
}

/**
 * Whom an operation is for: callers with an accepted token, or those without credentials as well.
 *
 * @since 0.1.0
 * @category models
 */
export type Callers = "Known" | "All"

/**
 * What is declared with one operation, complete. Each has an object of its own, by which the gate and the handler know
 * that they speak of the same operation.
 *
 * @since 0.1.0
 * @category models
 */
export class Declaration {
  readonly requirement: ScopeRequirement.Requirement
  readonly policy: Policy
  /** Whether it needs no token. */
  readonly isPublic: boolean
  constructor(options: Options, defaults: Policy, callers: Callers) {
    this.requirement = options.scopes ?? []
    this.policy = { listing: options.listing ?? defaults.listing, refusal: options.refusal ?? defaults.refusal }
    this.isPublic = callers === "All" && ScopeRequirement.isEmpty(this.requirement)
  }
  /** Whether the caller may; `None` came without credentials. */
  judge(operation: ScopeRequirement.Operation, caller: Option.Option<Claims>): Effect.Effect<ScopeRequirement.Verdict> {
    if (Option.isSome(caller)) return ScopeRequirement.judge(this.requirement, operation, caller.value)
    return Effect.succeed(this.isPublic ? { required: [] } : ScopeRequirement.judgeAnonymous(this.requirement))
  }
}

/**
 * How far a message has come: `Question` asks the server who would answer it, and nothing runs; `Admitted` was judged and
 * goes to that one operation, or to an answer in its place. A private matter of gate and handlers.
 *
 * @since 0.1.0
 * @category tags
 */
export class Passage extends Context.Tag("effect-mcp-auth/mcp/Passage")<
  Passage,
  | {
      readonly _tag: "Question"
      /** The answer. */
      declaration?: Declaration
    }
  | {
      readonly _tag: "Admitted"
      readonly declaration: Declaration
      /** Instead of the handler's; `undefined` where the caller meets the requirement. */
      readonly instead?: "Absent" | McpSchema.CallToolResult | undefined
    }
>() {}

/**
 * Lets a handler run for what the gate admitted to it, and for nothing else: whatever came another way is answered as if
 * there were no such operation.
 */
const enter = <A, E, R>(
  declaration: Declaration,
  handler: () => Effect.Effect<A, E, R>,
  absent: Effect.Effect<A, unknown, R>
): Effect.Effect<A, E, R> => {
  // What an absent operation fails with, its kind of RPC may fail with, whatever its handler may.
  const answerAbsent = Effect.mapError(absent, (error) => error as E)
  return Effect.flatMap(
    Effect.serviceOption(Passage),
    Option.match({
      onNone: () => answerAbsent,
      onSome: (passage) => {
        if (passage._tag === "Question") {
          passage.declaration = declaration
          return answerAbsent
        }
        if (passage.declaration !== declaration || passage.instead === "Absent") return answerAbsent
        return passage.instead === undefined ? Effect.suspend(handler) : Effect.succeed(passage.instead as A)
      }
    })
  )
}

/** What is declared, by the name under which it is listed. */
interface Declared {
  readonly tools: Map<string, Declaration>
  readonly resources: Map<string, Declaration>
  readonly resourceTemplates: Map<string, Declaration>
  readonly prompts: Map<string, Declaration>
}

/**
 * Registers operations with a server so that they run for what the gate admits only.
 *
 * @since 0.1.0
 * @category models
 */
export interface Registrar {
  readonly declared: Declared
  /** The server as registrations see it; `options` gives what is declared with an operation, by its name. */
  readonly registering: (callers: Callers, options: (name: string) => Options) => McpServer.McpServer["Type"]
}

type Server = McpServer.McpServer["Type"]

const completing = (
  declaration: Declaration,
  completions: Parameters<Server["addPrompt"]>[0]["completions"]
): typeof completions =>
  Object.fromEntries(
    Object.entries(completions).map(([name, complete]) => [
      name,
      (input: string) => enter(declaration, () => complete(input), Effect.succeed(McpSchema.CompleteResult.empty))
    ])
  )

/**
 * Makes a registrar. `empty` is a server of the same kind without any operation: it answers for those that are to look
 * absent, so that they look so to the letter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const registrar = (server: Server, empty: Server, defaults: Policy): Registrar => {
  const declared: Declared = {
    tools: new Map(),
    resources: new Map(),
    resourceTemplates: new Map(),
    prompts: new Map()
  }
  const registering: Registrar["registering"] = (callers, options) => {
    const declare = (kind: keyof Declared, key: string): Declaration => {
      const declaration = new Declaration(options(key), defaults, callers)
      declared[kind].set(key, declaration)
      return declaration
    }
    const adding: Pick<Server, "addTool" | "addResource" | "addResourceTemplate" | "addPrompt"> = {
      addTool: ({ handle, tool }) => {
        const declaration = declare("tools", tool.name)
        return server.addTool({
          tool,
          handle: (payload) =>
            enter(declaration, () => handle(payload), empty.callTool({ name: tool.name, arguments: payload }))
        })
      },
      addResource: (resource, handle) => {
        const declaration = declare("resources", resource.uri)
        return server.addResource(
          resource,
          enter(declaration, () => handle, empty.findResource(resource.uri))
        )
      },
      addResourceTemplate: ({ completions, handle, routerPath, template }) => {
        const declaration = declare("resourceTemplates", template.uriTemplate)
        return server.addResourceTemplate({
          template,
          routerPath,
          completions: completing(declaration, completions) as typeof completions,
          handle: (uri, params) => enter(declaration, () => handle(uri, params), empty.findResource(uri))
        })
      },
      addPrompt: ({ completions, handle, prompt }) => {
        const declaration = declare("prompts", prompt.name)
        return server.addPrompt({
          prompt,
          completions: completing(declaration, completions),
          handle: (params) =>
            enter(declaration, () => handle(params), empty.getPromptResult({ name: prompt.name, arguments: params }))
        })
      }
    }
    // Not by spreading: its lists are getters.
    return Object.assign(Object.create(server), adding)
  }
  return { declared, registering }
}
