/**
 * A real authorization server on loopback, for the demo and for the end-to-end tests: `oidc-provider`, certified by
 * the OpenID Foundation, with everything in memory, two development pages for the person, and an answer for every
 * resource.
 *
 * It is for demos and tests only: any name logs in with any password, and `exchanges` keeps every body, secrets too.
 */

import type { EventEmitter } from "node:events"
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { exportJWK, generateKeyPair, type JWK } from "jose"

/** What the server says about one resource: its scopes, and what its access tokens look like. */
export interface Resource {
  /** Space-separated scopes that may be granted for the resource. */
  readonly scope: string
  /** `aud` of the tokens; the resource itself when absent. */
  readonly audience?: string | undefined
  /** `jwt` when absent. Only `opaque` tokens can be introspected or revoked: for a JWT oidc-provider answers 400. */
  readonly accessTokenFormat?: "jwt" | "opaque" | undefined
  /** Seconds; the server's `accessTokenTTL` when absent. */
  readonly accessTokenTTL?: number | undefined
  /** `RS256` when absent. */
  readonly alg?: "RS256" | "ES256" | undefined
}

/** One request that reached the server, and its answer. */
export interface Exchange {
  readonly method: string
  /** As sent, without the query, with the issuer's path. */
  readonly path: string
  /** As sent, without the question mark; empty when there was none. */
  readonly query: string
  /** `0` when the client left before the answer. */
  readonly status: number
  readonly requestHeaders: IncomingMessage["headers"]
  readonly requestBody?: string
  readonly responseBody?: string
}

export interface Options {
  /** A free port when absent. Starting on a port that is taken is a defect. */
  readonly port?: number | undefined
  /** Where it is reached, if not where it listens: behind a proxy that passes the host on as it was asked for. */
  readonly origin?: string | undefined
  /** Path of the issuer, such as `/t1`. None when absent. */
  readonly path?: string | undefined
  /** `undefined` refuses the resource with `invalid_target`. When absent every resource has every scope of `scopes`. */
  readonly resources?: ((resource: string) => Resource | undefined) | undefined
  /** For requests without `resource`, of a server that does not go by it. */
  readonly defaultResource?: (() => string | undefined) | undefined
  /** What the metadata lists as `scopes_supported`; `openid` is always there. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Clients known from the start, as RFC 7591 metadata with a `client_id`. */
  readonly clients?: ReadonlyArray<Readonly<Record<string, unknown>>> | undefined
  /** Seconds, 300 when absent. */
  readonly accessTokenTTL?: number | undefined
  /** Whether codes give refresh tokens, to clients registered for that grant. `true` when absent. */
  readonly refreshTokens?: boolean | undefined
  /** For requests without `scope`, space-separated; every scope of the resource when absent. */
  readonly defaultScope?: string | undefined
  /** Whether devices can ask for a code that a person enters elsewhere (RFC 8628). `false` when absent. */
  readonly deviceFlow?: boolean | undefined
  /** Whether clients can register themselves. `true` when absent. */
  readonly registration?: boolean | undefined
  /** Called when an exchange ends, just before its answer leaves. */
  readonly onExchange?: ((exchange: Exchange) => void) | undefined
}

/** oidc-provider publishes no types: this is the part of them that is used here and in tests. */
export interface OidcProvider extends EventEmitter {
  readonly issuer: string
  readonly callback: () => RequestListener
  readonly use: (middleware: (context: { body: unknown }, next: () => Promise<void>) => Promise<void>) => unknown
  readonly Client: { readonly find: (id: string) => Promise<object | undefined> }
  readonly AccessToken: { readonly find: (value: string) => Promise<object | undefined> }
  readonly RefreshToken: { readonly find: (value: string) => Promise<object | undefined> }
}

export interface AuthorizationServer {
  /** Verbatim, without a trailing slash. */
  readonly issuer: string
  /** Where it listens, without a path. */
  readonly address: string
  /** The provider in charge: its events and models. Rotating keys makes a new one, which takes over its listeners. */
  readonly provider: OidcProvider
  /** Signs with new keys from now on, under new `kid`s. The old keys stay published, unless they are to be retired. */
  readonly rotateKeys: (options?: { readonly retire?: boolean }) => Effect.Effect<void>
  /** An outage: closes the listener and every connection. Nothing is forgotten. */
  readonly stop: Effect.Effect<void>
  /** The end of the outage, on the same port. */
  readonly start: Effect.Effect<void>
  /** Every exchange so far, oldest first; the array grows. */
  readonly exchanges: ReadonlyArray<Exchange>
}

const metadataPath = "/.well-known/oauth-authorization-server"

/** Starts the server, for as long as the scope is open. After that no socket, timer or port remains. */
export const make = (options: Options = {}): Effect.Effect<AuthorizationServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { Provider, errors } = yield* Effect.promise(load)
    const path = (options.path ?? "").replace(/\/+$/, "")
    const exchanges: Array<Exchange> = []
    const adapter = makeAdapter()
    let keys = yield* makeKeys
    let answer: RequestListener = (_, response) => response.writeHead(503).end()

    const onRequest: RequestListener = (request, response) => {
      record(request, response, (exchange) => {
        exchanges.push(exchange)
        options.onExchange?.(exchange)
      })
      if (mount(request, path)) answer(request, response)
      else response.writeHead(404).end()
    }

    let server: Server | undefined
    let port = options.port ?? 0
    const start = Effect.suspend(() => (server === undefined ? listen(onRequest, port) : Effect.succeed(server))).pipe(
      Effect.tap((listening) => {
        server = listening
        port = (listening.address() as AddressInfo).port
      }),
      Effect.asVoid
    )
    const stop = Effect.suspend(() => {
      const listening = server
      server = undefined
      return listening === undefined ? Effect.void : close(listening)
    })
    yield* Effect.acquireRelease(start, () => stop)

    const issuer = `${options.origin ?? `http://127.0.0.1:${port}`}${path}`
    const makeProvider = () => {
      // The constructor is where the development-only notices are printed, so only it is quiet.
      const provider = quietly(() => new Provider(issuer, configuration(options, keys, adapter, errors.InvalidTarget)))
      provider.use(withoutWebFont)
      answer = provider.callback()
      return provider
    }
    let provider = makeProvider()
    provider.on("server_error", (_: unknown, error: unknown) => console.error("oidc-provider:", error))

    return {
      issuer,
      address: `http://127.0.0.1:${port}`,
      exchanges,
      start,
      stop,
      get provider() {
        return provider
      },
      // oidc-provider reads its keys once. A second one over the same adapter knows every client, session and grant.
      rotateKeys: (rotation) =>
        Effect.map(makeKeys, (fresh) => {
          keys = rotation?.retire === true ? fresh : [...fresh, ...keys]
          const previous = provider
          provider = makeProvider()
          for (const event of previous.eventNames()) {
            for (const listener of new Set(previous.rawListeners(event))) {
              if (!provider.listeners(event).includes(listener)) provider.on(event, listener as () => void)
            }
          }
        })
    }
  })

// -- the library ------------------------------------------------------------------------------------------------------

interface Library {
  readonly Provider: new (issuer: string, configuration: object) => OidcProvider
  readonly errors: { readonly InvalidTarget: new (description?: string) => Error }
}

let loading: Promise<Library> | undefined
// Imported late, because the notice about the runtime is printed while the module loads.
// @ts-expect-error: no types are published
const load = () => (loading ??= quietly(() => import("oidc-provider") as Promise<Library>))

/** Runs `f`, and until its end drops oidc-provider's notices, and nothing else, from the console. */
function quietly<A>(f: () => A): A {
  const { info, warn } = console
  const but =
    (print: typeof console.info) =>
    (...args: Array<unknown>) => {
      if (!/oidc-provider (NOTICE|WARNING): /.test(String(args[0]))) print(...args)
    }
  const quiet = { info: but(info), warn: but(warn) }
  const restore = () => {
    if (console.info === quiet.info) console.info = info
    if (console.warn === quiet.warn) console.warn = warn
  }
  Object.assign(console, quiet)
  let result: A | undefined
  try {
    result = f()
    return result
  } finally {
    if (result instanceof Promise) result.then(restore, restore)
    else restore()
  }
}

/** The members of oidc-provider's request context that the policies below read. */
interface Context {
  readonly oidc: {
    readonly route: string
    readonly params: { scope?: string | undefined; grant_type?: string }
    readonly client?: Client
  }
  type: string
  body: unknown
}
interface Client {
  readonly clientId: string
  readonly clientAuthMethod: string
  readonly scope?: string
  readonly grantTypeAllowed: (grant: string) => boolean
}
interface Token {
  readonly clientId: string
  readonly resourceServer?: { readonly accessTokenTTL?: number }
}

/** What a default would announce on the console is spelled out here, even where it is the default's own policy. */
const configuration = (
  options: Options,
  keys: ReadonlyArray<JWK>,
  adapter: (model: string) => object,
  InvalidTarget: new () => Error
) => {
  const scopes = options.scopes ?? ["openid", "offline_access", "mcp:tools", "mcp:write"]
  const everyScope = scopes.filter((scope) => scope !== "openid" && scope !== "offline_access").join(" ")
  const resources = options.resources ?? ((): Resource => ({ scope: everyScope }))
  const ttl = (_: Context, token: Token) => token.resourceServer?.accessTokenTTL ?? options.accessTokenTTL ?? 300
  const day = 24 * 60 * 60
  const ownToken = (_: Context, client: Client, token: Token) =>
    client.clientAuthMethod !== "none" || token.clientId === client.clientId
  const enabled = { enabled: true }
  const registration = { enabled: options.registration ?? true }
  return {
    adapter,
    jwks: { keys },
    clients: options.clients ?? [],
    scopes,
    responseTypes: ["code"],
    clientAuthMethods: ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
    pkce: { required: () => true },
    ttl: {
      AccessToken: ttl,
      ClientCredentials: ttl,
      AuthorizationCode: 60,
      DeviceCode: 600,
      Grant: 14 * day,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 14 * day,
      Session: 14 * day
    },
    issueRefreshToken: (_: Context, client: Client) =>
      options.refreshTokens !== false && client.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: () => true,
    expiresWithSession: () => false,
    clientBasedCORS: () => true,
    findAccount: (_: Context, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    renderError: (context: Context, out: Record<string, string>) => {
      context.type = "html"
      const lines = Object.entries(out).map(([key, value]) => `<pre>${key}: ${escapeHtml(value)}</pre>`)
      context.body = `<!DOCTYPE html><html><head><title>Error</title></head><body>${lines.join("")}</body></html>`
    },
    features: {
      devInteractions: enabled,
      registration,
      registrationManagement: registration,
      clientCredentials: enabled,
      deviceFlow: { enabled: options.deviceFlow ?? false, ...devicePages },
      introspection: { enabled: true, allowedPolicy: ownToken },
      jwtIntrospection: enabled,
      revocation: { enabled: true, allowedPolicy: ownToken },
      dPoP: enabled,
      pushedAuthorizationRequests: enabled,
      rpInitiatedLogout: { enabled: false },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        defaultResource: (_: Context, __: Client, oneOf?: ReadonlyArray<string>) =>
          oneOf?.[0] ?? options.defaultResource?.(),
        getResourceServerInfo: (context: Context, identifier: string) => {
          const resource = resources(identifier)
          if (resource === undefined) throw new InvalidTarget()
          giveScope(context, options.defaultScope ?? resource.scope)
          const accessTokenFormat = resource.accessTokenFormat ?? "jwt"
          return {
            audience: resource.audience ?? identifier,
            scope: resource.scope,
            accessTokenTTL: resource.accessTokenTTL ?? options.accessTokenTTL ?? 300,
            accessTokenFormat,
            ...(accessTokenFormat === "jwt" && { jwt: { sign: { alg: resource.alg ?? "RS256" } } })
          }
        }
      }
    }
  }
}

/**
 * Without it a request without `scope` ends in `access_denied`. It sits where the resource is looked up, and not in a
 * middleware, because that is the one place which front-channel, pushed and client-credentials requests all pass.
 */
const giveScope = ({ oidc: { client, params, route } }: Context, scope: string) => {
  const first = route === "authorization" || route === "pushed_authorization_request"
  if (params.scope !== undefined || !(first || params.grant_type === "client_credentials")) return
  const allowed = client?.scope?.split(" ")
  params.scope =
    allowed === undefined
      ? scope
      : scope
          .split(" ")
          .filter((one) => allowed.includes(one))
          .join(" ")
}

/** The pages of `devInteractions` import a font from the Internet, and a browser without it would wait. */
const withoutWebFont = async (context: { body: unknown }, next: () => Promise<void>) => {
  await next()
  if (typeof context.body === "string") context.body = context.body.replace(/@import url\([^)]*\);/, "")
}

const page = (context: Context, title: string, body: string) => {
  context.type = "html"
  context.body = `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1>${body}</body></html>`
}

/** The forms are oidc-provider's own, and come without buttons. */
const devicePages = {
  userCodeInputSource: (context: Context, form: string) =>
    page(context, "Sign in a device", `${form}<button type="submit" form="op.deviceInputForm">Continue</button>`),
  userCodeConfirmSource: (context: Context, form: string, _: Client, __: unknown, userCode: string) =>
    page(
      context,
      "Confirm the device",
      `<p>${escapeHtml(userCode)}</p>${form}<button type="submit" form="op.deviceConfirmForm">Continue</button>`
    ),
  successSource: (context: Context) => page(context, "Signed in", "<p>Go back to the device.</p>")
}

const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)

/** One RSA and one P-256 key. Their `kid` is their thumbprint, so it is never used for another key. */
const makeKeys = Effect.promise(() =>
  Promise.all(
    ["RS256", "ES256"].map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      return { ...(await exportJWK(privateKey)), alg, use: "sig" }
    })
  )
)

/** oidc-provider's storage interface over a map. Its own in-memory one evicts after 1000 entries. */
const makeAdapter = () => {
  type Payload = { grantId?: string; uid?: string; userCode?: string; consumed?: number }
  const entries = new Map<string, { readonly payload: Payload; readonly expiresAt: number }>()
  const read = (key: string) => {
    const entry = entries.get(key)
    if (entry === undefined || entry.expiresAt > Date.now()) return entry?.payload
    entries.delete(key)
    return undefined
  }
  return (model: string) => ({
    find: async (id: string) => read(`${model}:${id}`),
    findByUid: async (uid: string) => {
      for (const [key, { payload }] of entries) if (key.startsWith(`${model}:`) && payload.uid === uid) return read(key)
      return undefined
    },
    findByUserCode: async (userCode: string) => {
      for (const [key, { payload }] of entries) {
        if (key.startsWith(`${model}:`) && payload.userCode === userCode) return read(key)
      }
      return undefined
    },
    upsert: async (id: string, payload: Payload, expiresIn?: number) => {
      const expiresAt = expiresIn === undefined ? Number.POSITIVE_INFINITY : Date.now() + expiresIn * 1000
      entries.set(`${model}:${id}`, { payload, expiresAt })
    },
    consume: async (id: string) => {
      const payload = read(`${model}:${id}`)
      if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000)
    },
    destroy: async (id: string) => {
      entries.delete(`${model}:${id}`)
    },
    revokeByGrantId: async (grantId: string) => {
      for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key)
    }
  })
}

// -- the listener -----------------------------------------------------------------------------------------------------

const listen = (onRequest: RequestListener, port: number) =>
  Effect.async<Server>((resume) => {
    const server = createServer(onRequest)
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
  })

const close = (server: Server) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/**
 * Makes the request look as oidc-provider expects it below a path. RFC 8414 section 3.1 puts the well-known part before
 * the issuer's path, and only there; OpenID's own document stays behind the path, as OpenID Connect Discovery wants it.
 */
const mount = (request: IncomingMessage & { originalUrl?: string }, path: string): boolean => {
  if (path === "") return true
  const url = request.url ?? "/"
  const [pathname = "/"] = url.split("?", 1)
  const below = pathname === metadataPath + path ? metadataPath : pathname.slice(path.length)
  if (below !== metadataPath && !pathname.startsWith(`${path}/`)) return false
  if (below === metadataPath && pathname !== metadataPath + path) return false
  request.url = below + url.slice(pathname.length)
  request.originalUrl = path + request.url
  return true
}

/** Listens to both sides of an exchange without taking anything from them. */
const record = (request: IncomingMessage, response: ServerResponse, done: (exchange: Exchange) => void) => {
  const [path = "/", query = ""] = (request.url ?? "/").split(/\?(.*)/s)
  const sent: Array<Uint8Array> = []
  const answered: Array<string> = []
  // On a paused stream a data listener starts nothing: it sees what the provider reads, when the provider reads it.
  request.pause()
  request.on("data", (chunk: Uint8Array) => sent.push(chunk))
  let over = false
  const finish = (status: number) => {
    if (over) return
    over = true
    const requestBody = Buffer.concat(sent).toString()
    const responseBody = answered.join("")
    done({
      method: request.method ?? "GET",
      path,
      query,
      status,
      requestHeaders: request.headers,
      ...(requestBody !== "" && { requestBody }),
      ...(responseBody !== "" && { responseBody })
    })
  }
  const keep = (chunk: unknown) => {
    if (typeof chunk === "string") answered.push(chunk)
    else if (chunk instanceof Uint8Array) answered.push(Buffer.from(chunk).toString())
  }
  const { end, write } = response
  response.write = ((...args: Parameters<typeof write>) => {
    keep(args[0])
    return write.apply(response, args)
  }) as typeof write
  response.end = ((...args: Parameters<typeof end>) => {
    keep(args[0])
    finish(response.statusCode)
    return end.apply(response, args)
  }) as typeof end
  response.once("close", () => finish(0))
}
