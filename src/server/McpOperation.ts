/**
 * What the messages of an MCP client ask for. Pure, and strict: what is not a name is no operation.
 *
 * @since 0.1.0
 */
import type * as ScopeRequirement from "./ScopeRequirement.js"

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

const named = (
  kind: ScopeRequirement.Operation["kind"],
  name: unknown,
  args: Readonly<Record<string, unknown>>
): ScopeRequirement.Operation | undefined => (typeof name === "string" ? { kind, name, arguments: args } : undefined)

/** A completion tells what there is, so it needs what the prompt or the resource needs. */
const completed = (params: unknown): ScopeRequirement.Operation | undefined => {
  const ref = field(params, "ref")
  const argument = field(params, "argument")
  const name = field(argument, "name")
  const args = {
    ...record(field(field(params, "context"), "arguments")),
    ...(typeof name === "string" ? { [name]: field(argument, "value") } : {})
  }
  return field(ref, "type") === "ref/prompt"
    ? named("prompt", field(ref, "name"), args)
    : named("resource", field(ref, "uri"), args)
}

/**
 * The operation that a JSON-RPC request asks for, if it asks for one.
 *
 * @since 0.1.0
 * @category destructors
 */
export const of = (method: unknown, params: unknown): ScopeRequirement.Operation | undefined => {
  switch (method) {
    case "tools/call":
      return named("tool", field(params, "name"), record(field(params, "arguments")))
    case "resources/read":
    case "resources/subscribe":
      return named("resource", field(params, "uri"), {})
    case "prompts/get":
      return named("prompt", field(params, "name"), record(field(params, "arguments")))
    case "completion/complete":
      return completed(params)
    default:
      return undefined
  }
}

/** Revision 2026-07-28 subscribes to any number of resources with one request. */
const subscribed = (params: unknown): ReadonlyArray<ScopeRequirement.Operation> => {
  const uris = field(field(params, "notifications"), "resourceSubscriptions")
  return Array.isArray(uris) ? uris.flatMap((uri) => named("resource", uri, {}) ?? []) : []
}

const messages = (body: unknown): ReadonlyArray<unknown> => (Array.isArray(body) ? body : [body])

/**
 * The operations that a JSON-RPC body asks for: those of every message, because each message of a batch is served.
 *
 * @since 0.1.0
 * @category destructors
 */
export const all = (body: unknown): ReadonlyArray<ScopeRequirement.Operation> =>
  messages(body).flatMap((message) => {
    const [method, params] = [field(message, "method"), field(message, "params")]
    return method === "subscriptions/listen" ? subscribed(params) : (of(method, params) ?? [])
  })

/** What a client does to find out what there is, beside notifications and its answers to the server. */
const introductory: ReadonlyArray<unknown> = [
  undefined,
  "initialize",
  "server/discover",
  "ping",
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "prompts/list",
  "resources/unsubscribe",
  "subscriptions/listen",
  "logging/setLevel"
]

/**
 * Whether every message of a body is one whose meaning is known: an operation, or what a client does to find out what there
 * is. Methods of extensions are not.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isKnown = (body: unknown): boolean =>
  messages(body).every((message) => {
    const method = field(message, "method")
    return (
      introductory.includes(method) ||
      (typeof method === "string" && method.startsWith("notifications/")) ||
      all(message).length > 0
    )
  })

/**
 * The id of the one call of a tool that a body is, if the result of a tool can answer it.
 *
 * @since 0.1.0
 * @category destructors
 */
export const toolCallId = (body: unknown): string | number | undefined => {
  const id = field(body, "id")
  return field(body, "method") === "tools/call" && (typeof id === "string" || typeof id === "number") ? id : undefined
}
