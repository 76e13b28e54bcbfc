/**
 * One readable line per HTTP exchange: who → whom, what, why, status.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import type { Exchange } from "./AuthorizationServer.js"

export interface Line {
  readonly from: string
  readonly to: string
  readonly what: string
  readonly why: string
  readonly status: number
  /** For the proof at the end; never printed. */
  readonly parameters: URLSearchParams
}

/** A client that says in each request who it is, so that the trace can. */
export const as = (name: string) => HttpClient.mapRequest(HttpClientRequest.setHeader("user-agent", name))

const who = (userAgent: string | undefined): string =>
  userAgent === undefined ? "?" : userAgent.startsWith("Mozilla") ? "browser" : userAgent

/** What an exchange with the authorization server is for, by its path; `oidc-provider` chooses the paths. */
const purposes: ReadonlyArray<readonly [RegExp, (parameters: URLSearchParams) => string]> = [
  [/\.well-known/, () => "authorization server metadata (RFC 8414)"],
  [/\/reg$/, () => "dynamic client registration (RFC 7591)"],
  [/\/jwks$/, () => "keys to check signatures with"],
  [
    /\/request$/,
    (parameters) =>
      `pushed authorization request (RFC 9126): PKCE ${parameters.get("code_challenge_method")}, resource, scope "${parameters.get("scope")}"`
  ],
  [/\/auth$/, () => "authorization request, by reference to what was pushed"],
  [/\/auth\//, () => "back to the authorization request"],
  [/\/interaction\//, () => "login and consent pages"],
  [/\/token$/, (parameters) => `token request: ${parameters.get("grant_type")}, resource`]
]

export const ofAuthorizationServer = (exchange: Exchange): Line => {
  const parameters = new URLSearchParams(exchange.method === "GET" ? exchange.query : (exchange.requestBody ?? ""))
  const purpose = purposes.find(([pattern]) => pattern.test(exchange.path))
  return {
    from: who(exchange.requestHeaders["user-agent"]),
    to: "authorization server",
    what: `${exchange.method} ${exchange.path.replace(/(\/(?:auth|interaction)\/)[^/]+/, "$1…")}`,
    why: purpose?.[1](parameters) ?? "",
    status: exchange.status,
    parameters
  }
}

const calledMethod = (body: string): string => {
  try {
    const { method, params } = JSON.parse(body)
    return method === "tools/call" ? `tools/call ${params.name}` : String(method)
  } catch {
    return ""
  }
}

/** Wraps the MCP server's app: a line when its answer leaves. */
export const ofMcpServer =
  (record: (line: Line) => void) =>
  <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const body = request.method === "POST" ? yield* Effect.orElseSucceed(request.text, () => "") : ""
      const metadata = request.url.startsWith("/.well-known/")
      yield* HttpApp.appendPreResponseHandler((_, response) =>
        Effect.sync(() => {
          const challenge = response.headers["www-authenticate"]
          record({
            from: who(request.headers["user-agent"]),
            to: "MCP server",
            what: `${request.method} ${request.url.split("?", 1)[0]}`,
            why: [metadata ? "protected resource metadata (RFC 9728)" : calledMethod(body), challenge]
              .filter((part) => part !== undefined && part !== "")
              .join("  ⟵  "),
            status: response.status,
            parameters: new URLSearchParams()
          })
          return response
        })
      )
      return yield* app
    })

const paint = (status: number, text: string): string =>
  process.stdout.isTTY ? `\u001b[${status < 300 ? 32 : status < 400 ? 36 : 33}m${text}\u001b[0m` : text

export const print = (line: Line): void => {
  const route = `${line.from} → ${line.to}`.padEnd(36)
  console.log(`${paint(line.status, String(line.status))}  ${route}${line.what.padEnd(58)}${line.why}`)
}
