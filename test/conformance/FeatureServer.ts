/**
 * A small MCP server with what the conformance suite's `server` scenarios ask for, as far as the official SDK has it: both
 * revisions, sessions for those that have them, tools, resources, prompts, completion. It knows nothing of tokens.
 */
import {
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  isLegacyRequest,
  McpServer,
  ResourceTemplate,
  type ServerContext
} from "@modelcontextprotocol/server"
import { withSessions } from "../../docs/examples/web.js"

const image = {
  type: "image" as const,
  data: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  mimeType: "image/png"
}
const audio = {
  type: "audio" as const,
  data: "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=",
  mimeType: "audio/wav"
}
const text = (value: string) => ({ type: "text" as const, text: value })
const resource = (uri: string, mimeType: string, value: string) => ({
  type: "resource" as const,
  resource: { uri, mimeType, text: value }
})
const mixed = resource(
  "test://mixed-content-resource",
  "application/json",
  JSON.stringify({ test: "data", value: 123 })
)
const pause = () => new Promise((resolve) => setTimeout(resolve, 50))

const requestState = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) })

const object = <A>(properties: Readonly<Record<string, object>>) =>
  fromJsonSchema<A>({ type: "object", properties, required: Object.keys(properties) })

const registerTools = (server: McpServer) => {
  const plain = (
    name: string,
    ...content: ReadonlyArray<ReturnType<typeof text> | typeof image | typeof audio | typeof mixed>
  ) => server.registerTool(name, { description: name }, () => ({ content: [...content] }))
  plain("test_simple_text", text("This is a simple text response for testing."))
  plain("test_image_content", image)
  plain("test_audio_content", audio)
  plain(
    "test_embedded_resource",
    resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
  )
  plain("test_multiple_content_types", text("Multiple content types test:"), image, mixed)
  server.registerTool("test_error_handling", { description: "Always fails" }, () => {
    throw new Error("This tool intentionally returns an error for testing")
  })
  server.registerTool("test_tool_with_logging", { description: "Logs" }, async ({ mcpReq }) => {
    for (const message of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await mcpReq.log("info", message)
      await pause()
    }
    return { content: [text("done")] }
  })
  server.registerTool("test_tool_with_progress", { description: "Reports its progress" }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } })
      }
      await pause()
    }
    return { content: [text("done")] }
  })
  server.registerTool(
    "test_sampling",
    { description: "Asks the client's model", inputSchema: object<{ prompt: string }>({ prompt: { type: "string" } }) },
    async ({ prompt }, { mcpReq }) => {
      const messages = [{ role: "user" as const, content: text(prompt) }]
      const answer = await mcpReq.requestSampling({ messages, maxTokens: 100 })
      return { content: [text(`LLM response: ${JSON.stringify(answer.content)}`)] }
    }
  )
  server.registerTool(
    "test_elicitation",
    { description: "Asks the person", inputSchema: object<{ message: string }>({ message: { type: "string" } }) },
    async ({ message }, { mcpReq }) => {
      const requestedSchema = {
        type: "object" as const,
        properties: { username: { type: "string" as const }, email: { type: "string" as const } },
        required: ["username", "email"]
      }
      const answer = await mcpReq.elicitInput({ message, requestedSchema })
      return { content: [text(`User response: ${JSON.stringify(answer)}`)] }
    }
  )
  const asking = (name: string, key: string, state?: (context: ServerContext) => Promise<string>) =>
    server.registerTool(name, { description: "Asks, and goes on with the answer" }, async (context: ServerContext) => {
      const given = inputResponse(context.mcpReq.inputResponses, key)
      if (given.kind !== "missing") return { content: [text(`${JSON.stringify(given)} state-ok`)] }
      const requestedSchema = { type: "object" as const, properties: { name: { type: "string" as const } } }
      return inputRequired({
        inputRequests: { [key]: inputRequired.elicit({ message: "What is your name?", requestedSchema }) },
        ...(state === undefined ? {} : { requestState: await state(context) })
      })
    })
  asking("test_input_required_result_elicitation", "user_name")
  asking("test_input_required_result_request_state", "confirm", () => requestState.mint({}))
  asking("test_input_required_result_tampered_state", "confirm", () => requestState.mint({}))
}

const registerResources = (server: McpServer) => {
  server.registerResource("static-text", "test://static-text", { mimeType: "text/plain" }, () => ({
    contents: [
      {
        uri: "test://static-text",
        mimeType: "text/plain",
        text: "This is the content of the static text resource."
      }
    ]
  }))
  server.registerResource("static-binary", "test://static-binary", { mimeType: "image/png" }, () => ({
    contents: [{ uri: "test://static-binary", mimeType: "image/png", blob: image.data }]
  }))
  server.registerResource("watched", "test://watched-resource", { mimeType: "text/plain" }, () => ({
    contents: [{ uri: "test://watched-resource", mimeType: "text/plain", text: "watched" }]
  }))
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { mimeType: "application/json" },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })
        }
      ]
    })
  )
  server.server.registerCapabilities({ resources: { subscribe: true } })
  server.server.setRequestHandler("resources/subscribe", () => ({}))
  server.server.setRequestHandler("resources/unsubscribe", () => ({}))
}

const registerPrompts = (server: McpServer) => {
  const user = <A>(content: A) => ({ role: "user" as const, content })
  server.registerPrompt("test_simple_prompt", {}, () => ({
    messages: [user(text("This is a simple prompt for testing."))]
  }))
  server.registerPrompt("test_prompt_with_image", {}, () => ({
    messages: [user(image), user(text("Please analyze the image above."))]
  }))
  server.registerPrompt(
    "test_prompt_with_arguments",
    { argsSchema: object<{ arg1: string; arg2: string }>({ arg1: { type: "string" }, arg2: { type: "string" } }) },
    ({ arg1, arg2 }) => ({ messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] })
  )
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { argsSchema: object<{ resourceUri: string }>({ resourceUri: { type: "string" } }) },
    ({ resourceUri }) => ({
      messages: [
        user(resource(resourceUri, "text/plain", "Embedded resource content for testing.")),
        user(text("Please process the embedded resource above."))
      ]
    })
  )
  server.server.registerCapabilities({ completions: {} })
  server.server.setRequestHandler("completion/complete", () => ({
    completion: { values: [], total: 0, hasMore: false }
  }))
}

const makeServer = (): McpServer => {
  const server = new McpServer({ name: "features", version: "1.0.0" }, { capabilities: { logging: {} }, requestState })
  registerTools(server)
  registerResources(server)
  registerPrompts(server)
  return server
}

const modern = createMcpHandler(makeServer, { legacy: "reject" })
const legacy = withSessions(makeServer)

/** A web-standard handler. */
export const handler: typeof legacy = async (request, caller) =>
  (await isLegacyRequest(request)) ? legacy(request, caller) : modern.fetch(request, caller)
