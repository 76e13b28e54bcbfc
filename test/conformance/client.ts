/**
 * The program that the official conformance suite drives: an application that uses the public API and nothing else. It
 * knows no scenario by name; credentials come from `MCP_CONFORMANCE_CONTEXT`, as an operator would configure them.
 *
 *     node --import tsx test/conformance/client.ts URL
 *     bun test/conformance/client.ts URL
 *
 * So that longer lives can be watched from outside: `MCP_CALLS` concurrent calls of the first tool in each of
 * `MCP_ROUNDS` rounds, `MCP_PAUSE_MS` before each round, all after one first call; each authorization URL is POSTed to
 * `MCP_REPORT_URL` just before it would be opened. Exits 0 only if all went well.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { Client, StreamableHTTPClientTransport, type VersionNegotiationMode } from "@modelcontextprotocol/client"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { AuthorizeUser, ClientError, FetchAuth, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { DiscoveryTrace } from "effect-mcp-auth/discovery"

const Context = Schema.parseJson(
  Schema.Struct({
    client_id: Schema.optional(Schema.String),
    client_secret: Schema.optional(Schema.String),
    issuer: Schema.optional(Schema.String)
  })
)

const settings = Config.all({
  context: Schema.Config("MCP_CONFORMANCE_CONTEXT", Context).pipe(Config.withDefault({} as typeof Context.Type)),
  revision: Config.option(Config.string("MCP_CONFORMANCE_PROTOCOL_VERSION")),
  calls: Config.integer("MCP_CALLS").pipe(Config.withDefault(1)),
  rounds: Config.integer("MCP_ROUNDS").pipe(Config.withDefault(0)),
  pause: Config.integer("MCP_PAUSE_MS").pipe(Config.withDefault(0)),
  report: Config.option(Config.string("MCP_REPORT_URL"))
})

/** Revisions up to 2025-11-25 begin with a handshake, later ones have none. Asked for neither, the SDK finds out. */
const mode = (revision: Option.Option<string>): VersionNegotiationMode =>
  Option.match(revision, {
    onNone: () => "auto",
    onSome: (date) => (date <= "2025-11-25" ? "legacy" : { pin: date })
  })

/** Nothing listens at the redirect URI: where the authorization endpoint redirects to is all there is to see. */
const user = (report: Option.Option<string>) =>
  AuthorizeUser.layer({
    redirectUri: "http://localhost:3000/callback",
    authorize: (url) =>
      Effect.tryPromise({
        try: async () => {
          if (Option.isSome(report)) await fetch(report.value, { method: "POST", body: url })
          const response = await fetch(url, { redirect: "manual" })
          return new URL(response.headers.get("location") ?? "").searchParams
        },
        catch: (cause) => new ClientError.AuthorizeUserError({ reason: "Cancelled", detail: "no redirect came", cause })
      })
  })

const program = Effect.gen(function* () {
  const { calls, context, pause, report, revision, rounds } = yield* settings
  const url = process.argv[2] ?? ""
  const { client_id: clientId, client_secret: secret, issuer } = context
  const tokens = TokenSource.layerAuthorizationCode({
    resource: url,
    fallback: "2025-03-26",
    registration: {
      metadataDocument: { url: "https://conformance-test.local/client-metadata.json" },
      ...(clientId === undefined || issuer === undefined
        ? {}
        : {
            preRegistered: [
              { issuer, clientId, ...(secret === undefined ? {} : { clientSecret: Redacted.make(secret) }) }
            ]
          })
    }
  }).pipe(Layer.provide(Layer.mergeAll(user(report), TokenStore.layerMemory, FetchHttpClient.layer)))

  yield* Effect.gen(function* () {
    const fetch = yield* FetchAuth.make
    const client = new Client(
      { name: "effect-mcp-auth conformance", version: "1.0.0" },
      { versionNegotiation: { mode: mode(revision) } }
    )
    yield* Effect.acquireRelease(
      Effect.tryPromise(() => client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }))),
      () => Effect.promise(() => client.close())
    )
    const { tools } = yield* Effect.tryPromise(() => client.listTools())
    const name = tools[0]?.name
    if (name === undefined) return
    const call = Effect.tryPromise(() => client.callTool({ name, arguments: {} }))
    yield* call
    for (let round = 0; round < rounds; round++) {
      yield* Effect.sleep(pause)
      yield* Effect.all(
        Array.from({ length: calls }, () => call),
        { concurrency: "unbounded" }
      )
    }
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(tokens, FetchHttpClient.layer)))
})

/** The failure below the SDK's and `fetch`'s wrappings, with its trace. */
const explain = (error: unknown): string => {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("trace" in at)
      return `${at.name}: ${at.message}\n${DiscoveryTrace.render(at.trace as DiscoveryTrace.DiscoveryTrace)}`
  }
  return String(error instanceof Error && error.cause !== undefined ? error.cause : error)
}

Effect.runPromise(Effect.tapError(program, (error) => Effect.sync(() => console.error(explain(error))))).then(
  () => process.exit(0),
  () => process.exit(1)
)
