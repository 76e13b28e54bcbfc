/**
 * The gate between HTTP and an `@effect/ai` MCP server. It sits behind the server's own parser, so it judges the very
 * messages that the server will handle: none is parsed twice, and none is handled before all of its request are judged.
 *
 * @since 0.1.0
 */
import * as McpSchema from "@effect/ai/McpSchema"
import type * as McpServer from "@effect/ai/McpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as RpcMessage from "@effect/rpc/RpcMessage"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AuthConfig } from "../server/AuthConfig.js"
import * as AuthError from "../server/AuthError.js"
import { type Claims, CurrentClaims, OptionalClaims } from "../server/Claims.js"
import * as Guard from "../server/Guard.js"
import * as JsonRpcBody from "../server/JsonRpcBody.js"
import * as McpOperation from "../server/McpOperation.js"
import * as OperationScopes from "../server/OperationScopes.js"
import * as ScopeRequirement from "../server/ScopeRequirement.js"
import { type Declaration, Passage, type Registrar } from "./Declaration.js"
import * as OperationList from "./OperationList.js"

type Message = RpcMessage.FromClientEncoded
type Deliver = (clientId: number, message: Message) => Effect.Effect<void>

type Server = McpServer.McpServer["Type"]

type OfRequest = OptionalClaims | HttpServerRequest.HttpServerRequest | McpSchema.McpServerClient

/** `None` came without credentials. */
type Caller = Option.Option<Claims>

/** One HTTP request on its way through the gate. */
class Exchange extends Context.Tag("effect-mcp-auth/mcp/OperationGate/Exchange")<
  Exchange,
  {
    /** Those that wait until all of them are there. */
    readonly messages: Array<Message>
    /** Why the request is refused as a whole. */
    refusal?: AuthError.AuthError
  }
>() {}

/**
 * The HTTP side: refuses a body that another parser might read differently, and answers what the protocol side refuses.
 *
 * @since 0.1.0
 * @category middleware
 */
export const middleware = <E, R>(
  handler: HttpApp.Default<E, R>
): HttpApp.Default<E | AuthError.AuthError, Exclude<R, Exchange>> =>
  Effect.gen(function* () {
    yield* JsonRpcBody.text(yield* HttpServerRequest.HttpServerRequest)
    const exchange: Exchange["Type"] = { messages: [] }
    const response = yield* Effect.provideService(handler, Exchange, exchange)
    return exchange.refusal === undefined ? response : yield* Effect.fail(exchange.refusal)
  })

/** How the server reads what a request asks for, and which of its own functions finds who answers. */
const reading =
  <A, I>(
    schema: Schema.Schema<A, I>,
    find: (server: Server, payload: A) => Effect.Effect<unknown, unknown, McpSchema.McpServerClient>
  ) =>
  (server: Server, payload: unknown) =>
    Effect.map(Schema.decodeUnknown(schema)(payload), (decoded) => ({ decoded, found: find(server, decoded) }))

const readings: Readonly<Record<string, ReturnType<typeof reading>>> = {
  "tools/call": reading(McpSchema.CallTool.payloadSchema, (server, call) => server.callTool(call)),
  "resources/read": reading(McpSchema.ReadResource.payloadSchema, (server, { uri }) => server.findResource(uri)),
  "resources/subscribe": reading(McpSchema.Subscribe.payloadSchema, (server, { uri }) => server.findResource(uri)),
  "prompts/get": reading(McpSchema.GetPrompt.payloadSchema, (server, prompt) => server.getPromptResult(prompt)),
  "completion/complete": reading(McpSchema.Complete.payloadSchema, (server, complete) => server.completion(complete))
}

/** An operation that a message asks for, as the server reads it, and what was declared with it. */
interface Asked {
  readonly operation: ScopeRequirement.Operation
  readonly declaration: Declaration
}

/**
 * Asks the server which of its operations a message would reach. It runs none: they say what is declared with them, and
 * answer as if they were absent. What the server itself cannot read, and what it does not have, reaches nobody.
 */
const ask = (
  server: Server,
  message: Message
): Effect.Effect<Option.Option<Asked>, never, McpSchema.McpServerClient> => {
  const read = message._tag === "Request" && Object.hasOwn(readings, message.tag) ? readings[message.tag] : undefined
  if (read === undefined || message._tag !== "Request") return Effect.succeedNone
  return Effect.gen(function* () {
    const { decoded, found } = yield* read(server, message.payload)
    const question: Passage["Type"] = { _tag: "Question" }
    // What the search for it makes of an odd name is the server's to say, when it gets the message.
    yield* found.pipe(
      Effect.provideService(Passage, question),
      Effect.ignore,
      Effect.catchAllDefect(() => Effect.void)
    )
    const declaration = yield* Option.fromNullable(question.declaration)
    return { declaration, operation: yield* Option.fromNullable(McpOperation.of(message.tag, decoded)) }
  }).pipe(Effect.option)
}

/** A message; and where it asks for an operation, what was declared with that, and whether the caller may. */
interface Judged {
  readonly message: Message
  readonly asked?: { readonly declaration: Declaration; readonly verdict: ScopeRequirement.Verdict }
}

const judge = (
  server: Server,
  message: Message,
  caller: Caller
): Effect.Effect<Judged, never, McpSchema.McpServerClient> =>
  Effect.flatMap(
    ask(server, message),
    Option.match({
      onNone: () => Effect.succeed({ message }),
      onSome: ({ declaration, operation }) =>
        Effect.map(declaration.judge(operation, caller), (verdict) => ({ message, asked: { declaration, verdict } }))
    })
  )

/** Whether a refusal is answered within MCP. An outage never is: neither a challenge nor an absence would be true. */
const isInside = ({ asked, message }: Judged): boolean => {
  const policy = asked?.declaration.policy.refusal
  return (
    asked?.verdict.refusal !== undefined &&
    asked.verdict.refusal._tag !== "ServerError" &&
    (policy === "Absent" || (policy === "ToolResult" && message._tag === "Request" && message.tag === "tools/call"))
  )
}

/**
 * ChatGPT acts on a challenge that says what is wrong, with the code that it documents for those who have to sign in. Over
 * HTTP there is none for a request without credentials (RFC 6750 section 3.1).
 */
const inResult = (refusal: AuthError.AuthError): AuthError.AuthError =>
  refusal._tag === "Missing"
    ? new AuthError.InsufficientScope({ required: refusal.required ?? [], description: refusal.message })
    : refusal

/**
 * The protocol side: the protocol with the gate in it. `services` are the guard's own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  protocol: RpcServer.Protocol["Type"],
  server: Server,
  { declared }: Registrar,
  services: Context.Context<AuthConfig>
): RpcServer.Protocol["Type"] => {
  const passageOf = (
    { declaration, verdict: { refusal } }: NonNullable<Judged["asked"]>,
    caller: Caller
  ): Effect.Effect<Passage["Type"], never, HttpServerRequest.HttpServerRequest> => {
    if (refusal === undefined) return Effect.succeed({ _tag: "Admitted", declaration })
    const isAbsent = declaration.policy.refusal === "Absent"
    const told = Guard.refusal(isAbsent ? refusal : inResult(refusal), Option.getOrUndefined(caller))
    return Effect.map(Effect.provide(told, services), (rendered) => ({
      _tag: "Admitted",
      declaration,
      instead: isAbsent ? "Absent" : new McpSchema.CallToolResult(OperationScopes.toolResult(rendered))
    }))
  }

  const admit = (
    messages: ReadonlyArray<Message>,
    deliver: (message: Message) => Effect.Effect<void>
  ): Effect.Effect<void, AuthError.AuthError, OfRequest> =>
    Effect.gen(function* () {
      const caller = yield* OptionalClaims
      const judged = yield* Effect.forEach(messages, (message) => judge(server, message, caller))
      const refusal = ScopeRequirement.refusalOf(
        judged.flatMap((one) => (one.asked === undefined || isInside(one) ? [] : [one.asked.verdict]))
      )
      if (refusal !== undefined) return yield* Effect.fail(refusal)
      for (const { asked, message } of judged) {
        const delivered = Option.match(caller, {
          onNone: () => deliver(message),
          onSome: (claims) => Effect.provideService(deliver(message), CurrentClaims, claims)
        })
        yield* asked === undefined
          ? delivered
          : Effect.provideServiceEffect(delivered, Passage, passageOf(asked, caller))
      }
    })

  const gated =
    (deliver: Deliver) =>
    (clientId: number, message: Message): Effect.Effect<void, never, Exchange | OfRequest> =>
      Effect.flatMap(Exchange, (exchange) => {
        // The one that says that this was all. A message of the client may bear its name, and is another object.
        if (message !== RpcMessage.constEof) return Effect.sync(() => void exchange.messages.push(message))
        return Effect.matchEffect(
          admit(exchange.messages.splice(0), (each) =>
            // As the platform answers what throws while it takes messages in, which is over by now.
            Effect.catchAllDefect(
              Effect.suspend(() => deliver(clientId, each)),
              (defect) => protocol.send(clientId, RpcMessage.ResponseDefectEncoded(defect))
            )
          ),
          {
            onFailure: (refusal) => {
              exchange.refusal = refusal
              return protocol.end(clientId)
            },
            onSuccess: () => deliver(clientId, message)
          }
        )
      })

  const { requiredScopes } = Context.get(services, AuthConfig)
  return RpcServer.Protocol.of({
    ...protocol,
    // It runs with the context of the HTTP request. There is no client in it, and nobody who needs one is run here.
    run: (deliver) => protocol.run(gated(deliver) as Deliver),
    send: (clientId, response, transferables) =>
      Effect.flatMap(OperationList.permitted(response, declared, requiredScopes), (permitted) =>
        protocol.send(clientId, permitted, transferables)
      )
  })
}
