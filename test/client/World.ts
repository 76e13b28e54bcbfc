/**
 * An MCP server, its authorization servers and a person, all in memory behind one `HttpClient`. Every request is on
 * record; a fault may take the place of any answer.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthorizeUser, HttpClientAuth, TokenSource, TokenStore } from "../../src/client/index.js"
import * as GuardedHttp from "../../src/discovery/GuardedHttp.js"
import * as Pkce from "../../src/protocol/Pkce.js"

export const endpoint = "https://mcp.example/mcp"
export const issuer = "https://as.example"
export const redirectUri = "http://127.0.0.1:4711/callback"

export interface Recorded {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly form: URLSearchParams
  readonly json: Record<string, unknown>
  readonly headers: Readonly<Record<string, string | undefined>>
}

export interface Token {
  scopes: ReadonlyArray<string>
  active: boolean
}

type Answer = Response | undefined | "unreachable"

export class World {
  readonly requests: Array<Recorded> = []
  readonly prompts: Array<URL> = []
  readonly tokens = new Map<string, Token>()
  readonly refreshTokens = new Map<string, { scopes: ReadonlyArray<string>; active: boolean }>()
  readonly codes = new Map<string, { challenge: string; scopes: ReadonlyArray<string>; redirectUri: string }>()
  /** Takes the place of an answer; the first one that gives something wins. */
  readonly faults: Array<(request: Recorded) => Answer | Promise<Answer>> = []
  /** What the MCP endpoint needs beyond a token. */
  requiredScopes: ReadonlyArray<string> = []
  challengeScope: string | undefined = "mcp:read"
  expiresIn: number | undefined = 3600
  issueRefreshTokens = true
  rotate = true
  resource: unknown = endpoint
  resourceScopes: ReadonlyArray<string> | undefined = undefined
  issuers: ReadonlyArray<string> = [issuer]
  metadata: Record<string, unknown> = {}
  /** Grants these instead of what was asked for. */
  grants: ReadonlyArray<string> | undefined = undefined
  /** How a scope that was granted is called in a token. */
  inToken: (scope: string) => string = (scope) => scope
  /** Rewrites what arrives at the redirect URI. */
  redirect: (parameters: URLSearchParams) => URLSearchParams = (parameters) => parameters
  /** The requests that were pushed, by their `request_uri`. */
  readonly pushed = new Map<string, URLSearchParams>()
  /** The device codes: whether the person has come, and with what. */
  readonly devices = new Map<string, { scopes: ReadonlyArray<string>; answer: "pending" | "allowed" | "denied" }>()
  /** How long the person thinks, in this test's clock. */
  thinking: Effect.Effect<void> = Effect.void
  private count = 0

  readonly times = (path: string, method?: string): number =>
    this.requests.filter((r) => r.path === path && (method === undefined || r.method === method)).length

  issue(scopes: ReadonlyArray<string>): Record<string, unknown> {
    const n = ++this.count
    this.tokens.set(`at-${n}`, { scopes, active: true })
    if (this.issueRefreshTokens) this.refreshTokens.set(`rt-${n}`, { scopes, active: true })
    return {
      access_token: `at-${n}`,
      token_type: "bearer",
      scope: scopes.join(" "),
      ...(this.expiresIn === undefined ? {} : { expires_in: this.expiresIn }),
      ...(this.issueRefreshTokens ? { refresh_token: `rt-${n}` } : {})
    }
  }

  private async answer(request: Recorded): Promise<Answer> {
    for (const fault of this.faults) {
      const answer = await fault(request)
      if (answer !== undefined) return answer
    }
    const json = (body: unknown, status = 200) => Response.json(body, { status })
    const { origin } = new URL(request.url)
    switch (`${request.method} ${request.path}`) {
      case "GET /.well-known/oauth-protected-resource/mcp":
        return json({
          resource: this.resource,
          authorization_servers: this.issuers,
          ...(this.resourceScopes === undefined ? {} : { scopes_supported: this.resourceScopes })
        })
      case "GET /.well-known/oauth-authorization-server":
        return json({
          issuer: origin,
          authorization_endpoint: `${origin}/auth`,
          token_endpoint: `${origin}/token`,
          registration_endpoint: `${origin}/reg`,
          code_challenge_methods_supported: ["S256"],
          token_endpoint_auth_methods_supported: ["none"],
          ...this.metadata
        })
      case "POST /reg":
        return json({ ...request.json, client_id: `client-${++this.count}` }, 201)
      case "POST /token":
        return this.token(request.form)
      case "POST /par": {
        const uri = `urn:ietf:params:oauth:request_uri:${++this.count}`
        this.pushed.set(uri, request.form)
        return json({ request_uri: uri, expires_in: 60 }, 201)
      }
      case "POST /device": {
        const code = `device-code-${++this.count}`
        const scopes = (request.form.get("scope") ?? "").split(" ").filter(Boolean)
        this.devices.set(code, { scopes, answer: "pending" })
        return json({
          device_code: code,
          user_code: "WDJB-MJHT",
          verification_uri: `${origin}/go`,
          verification_uri_complete: `${origin}/go?user_code=WDJB-MJHT`,
          expires_in: 600,
          interval: 5
        })
      }
      case "POST /revoke": {
        const value = request.form.get("token") ?? ""
        const held = this.tokens.get(value) ?? this.refreshTokens.get(value)
        if (held !== undefined) held.active = false
        return new Response(null, { status: 200 })
      }
      case "POST /mcp":
        return this.mcp(request)
      default:
        return new Response("", { status: 404 })
    }
  }

  private async token(form: URLSearchParams): Promise<Response> {
    const refuse = (error: string) => Response.json({ error, error_description: `no: ${error}` }, { status: 400 })
    switch (form.get("grant_type")) {
      case "authorization_code": {
        const code = this.codes.get(form.get("code") ?? "")
        this.codes.delete(form.get("code") ?? "")
        if (code === undefined || code.redirectUri !== form.get("redirect_uri")) return refuse("invalid_grant")
        if ((await Pkce.challenge(form.get("code_verifier") ?? "")) !== code.challenge) return refuse("invalid_grant")
        return Response.json(this.issue(code.scopes))
      }
      case "refresh_token": {
        const held = this.refreshTokens.get(form.get("refresh_token") ?? "")
        if (held?.active !== true) return refuse("invalid_grant")
        if (this.rotate) held.active = false
        const { refresh_token: next, ...rest } = this.issue(held.scopes)
        return Response.json(this.rotate ? { ...rest, refresh_token: next } : rest)
      }
      case "client_credentials":
        return Response.json(this.issue((form.get("scope") ?? "").split(" ").filter(Boolean)))
      case "urn:ietf:params:oauth:grant-type:device_code": {
        const device = this.devices.get(form.get("device_code") ?? "")
        if (device === undefined) return refuse("invalid_grant")
        if (device.answer === "pending") return refuse("authorization_pending")
        return device.answer === "denied" ? refuse("access_denied") : Response.json(this.issue(device.scopes))
      }
      default:
        return refuse("unsupported_grant_type")
    }
  }

  private mcp(request: Recorded): Response {
    const metadata = `resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"`
    const scope = this.challengeScope === undefined ? "" : `, scope="${this.challengeScope}"`
    const token = this.tokens.get((request.headers["authorization"] ?? "").replace(/^Bearer /, ""))
    if (token?.active !== true) {
      return new Response("{}", { status: 401, headers: { "www-authenticate": `Bearer ${metadata}${scope}` } })
    }
    const granted = token.scopes.map(this.inToken)
    const missing = this.requiredScopes.filter((name) => !granted.includes(name))
    if (missing.length > 0) {
      const needed = `Bearer error="insufficient_scope", scope="${this.requiredScopes.join(" ")}", ${metadata}`
      return new Response("{}", { status: 403, headers: { "www-authenticate": needed } })
    }
    return Response.json({ ok: true, scopes: token.scopes })
  }

  /** What the person who approves is redirected with. */
  approve(url: string): URLSearchParams {
    const { searchParams } = new URL(url)
    const parameters = this.pushed.get(searchParams.get("request_uri") ?? "") ?? searchParams
    const code = `code-${++this.count}`
    this.codes.set(code, {
      challenge: parameters.get("code_challenge") ?? "",
      scopes: this.grants ?? (parameters.get("scope") ?? "").split(" ").filter(Boolean),
      redirectUri: parameters.get("redirect_uri") ?? ""
    })
    return this.redirect(new URLSearchParams({ code, state: parameters.get("state") ?? "" }))
  }

  private readonly layerClient: Layer.Layer<HttpClient.HttpClient> = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.gen(this, function* () {
        const text = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        const type = request.headers["content-type"] ?? ""
        const recorded: Recorded = {
          method: request.method,
          url: url.href,
          path: url.pathname,
          form: new URLSearchParams(type.includes("urlencoded") ? text : ""),
          json: type.includes("json") && text !== "" ? JSON.parse(text) : {},
          headers: request.headers
        }
        this.requests.push(recorded)
        const answer = yield* Effect.promise(() => this.answer(recorded))
        return answer === "unreachable" || answer === undefined
          ? yield* Effect.fail(
              new HttpClientError.RequestError({ request, reason: "Transport", cause: "ECONNREFUSED" })
            )
          : HttpClientResponse.fromWeb(request, answer)
      })
    )
  )

  readonly layerHttp: Layer.Layer<HttpClient.HttpClient | GuardedHttp.GuardedHttp> = GuardedHttp.layer({
    configured: [endpoint]
  }).pipe(Layer.provideMerge(this.layerClient))

  readonly layerUser: Layer.Layer<AuthorizeUser.AuthorizeUser> = AuthorizeUser.layer({
    redirectUri,
    authorize: (url) =>
      Effect.gen(this, function* () {
        this.prompts.push(new URL(url))
        yield* this.thinking
        return this.approve(url)
      })
  })

  source(
    options: Partial<TokenSource.AuthorizationCodeOptions> = {},
    store: Layer.Layer<TokenStore.TokenStore> = TokenStore.layerMemory
  ) {
    return TokenSource.layerAuthorizationCode({ resource: endpoint, ...options }).pipe(
      Layer.provideMerge(store),
      Layer.provide(this.layerUser),
      Layer.provideMerge(this.layerHttp)
    )
  }
}

/** One call of the MCP endpoint, authorized. */
export const call = (options?: HttpClientAuth.Options) =>
  Effect.flatMap(HttpClient.HttpClient, (client) => HttpClientAuth.transform(options)(client).post(endpoint, {}))
