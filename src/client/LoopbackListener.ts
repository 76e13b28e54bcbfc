/**
 * The listener on this machine that receives one authorization response (RFC 8252 §7.3), over whichever HTTP server the
 * runtime has.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { AuthorizeUserError } from "./ClientError.js"
import * as SignInPage from "./SignInPage.js"

/**
 * How a runtime listens: on that host, a literal address, and port, `0` for a free one, until the scope closes.
 *
 * @since 0.1.0
 * @category models
 */
export type Listen = (options: {
  readonly host: string
  readonly port: number
}) => Effect.Effect<HttpServer.HttpServer, unknown, Scope.Scope>

/**
 * Where to listen. `host` is what the redirect URI says, `127.0.0.1` by default; `localhost` listens on both families
 * where the machine has both, and on none where somebody else has the port in one of them. `port` is a free one by default, `path` is `/callback`. `application` is the name that
 * the page shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly listen: Listen
  readonly host?: "127.0.0.1" | "[::1]" | "localhost" | undefined
  readonly port?: number | undefined
  readonly path?: `/${string}` | undefined
  readonly application?: string | undefined
}

/**
 * A listener that is bound: its redirect URI, exactly as it listens, and the parameters of the first answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoopbackListener {
  readonly redirectUri: string
  readonly port: number
  readonly answer: Effect.Effect<URLSearchParams>
}

const page = (status: number, title: string, text: string, application?: string) => {
  const next = `You can close this window${application === undefined ? "" : ` and go back to ${application}`}.`
  // A connection that the browser keeps open would keep the port busy.
  return SignInPage.render({ status, title, text: `${text} ${next}`, headers: { connection: "close" } })
}

const base = "http://loopback.invalid"

/**
 * What a request to the listener gets, and whether it is the answer. It says nothing of what the answer carries, because
 * nothing of it is verified yet (RFC 9207 §2.4).
 */
const judge = (
  method: string,
  url: string,
  options: Options
): { readonly response: HttpServerResponse.HttpServerResponse; readonly answer?: URLSearchParams } => {
  const { application, path = "/callback" } = options
  // Anybody on this machine may send anything for a request target.
  const { pathname, searchParams } = new URL(URL.canParse(url, base) ? url : "/", base)
  if (pathname !== path) {
    return { response: HttpServerResponse.empty({ status: 404, headers: { connection: "close" } }) }
  }
  if (method !== "GET") {
    return { response: HttpServerResponse.empty({ status: 405, headers: { allow: "GET", connection: "close" } }) }
  }
  if (!["state", "code", "error"].some((name) => searchParams.has(name))) {
    return { response: page(400, "Not an answer", "This address waits for the answer of a sign-in.", application) }
  }
  return {
    answer: searchParams,
    response: searchParams.has("error")
      ? page(200, "Sign-in not completed", "The authorization server did not grant access.", application)
      : page(200, "Answer received", "The sign-in is being completed.", application)
  }
}

const receiver = (
  options: Options,
  answered: Deferred.Deferred<URLSearchParams>
): HttpApp.Default<never, Scope.Scope> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const { answer, response } = judge(request.method, request.url, options)
    // The request's scope closes once the page has been handed over: only then may the listener go.
    return answer === undefined
      ? Effect.succeed(response)
      : Effect.as(
          Effect.addFinalizer(() => Deferred.succeed(answered, answer)),
          response
        )
  })

const isTaken = (error: unknown): boolean =>
  (Predicate.hasProperty(error, "code") && error.code === "EADDRINUSE") ||
  (Predicate.hasProperty(error, "cause") && isTaken(error.cause))

/**
 * Binds the listener for as long as the scope lives. Only a GET of the exact path that carries `state`, `code` or `error`
 * is an answer; anything else is turned away and waited past. No request is traced or logged, because its URL carries
 * the code; the page takes it out of the browser's address.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bind = (options: Options): Effect.Effect<LoopbackListener, AuthorizeUserError, Scope.Scope> =>
  Effect.gen(function* () {
    const { host = "127.0.0.1", path = "/callback" } = options
    const answered = yield* Deferred.make<URLSearchParams>()
    const serveAt = (address: string, port: number) =>
      Effect.tap(options.listen({ host: address, port }), (server) =>
        server.serve(receiver(options, answered)).pipe(Effect.withTracerEnabled(false))
      )
    const failure = (cause: unknown) =>
      new AuthorizeUserError({
        reason: "Unsupported",
        detail: `could not listen on ${host} port ${options.port ?? "0 (any)"}`,
        rule: "RFC 8252 section 7.3",
        cause
      })
    const server = yield* Effect.mapError(serveAt(host === "[::1]" ? "::1" : "127.0.0.1", options.port ?? 0), failure)
    const port = server.address._tag === "TcpAddress" ? server.address.port : 0
    if (host === "localhost") {
      // A browser may take localhost for either family. A machine without IPv6 does with one; but where somebody else has
      // the port in the other, the answer would be theirs (RFC 8252 section 8.3).
      yield* Effect.catchAll(serveAt("::1", port), (cause) =>
        isTaken(cause) ? Effect.fail(failure(cause)) : Effect.void
      )
    }
    return { redirectUri: `http://${host}:${port}${path}`, port, answer: Deferred.await(answered) }
  })
