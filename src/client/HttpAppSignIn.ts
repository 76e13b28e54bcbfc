/**
 * The two requests of a web sign-in as `HttpApp`s: the one that sends the browser away, and the one that it comes back
 * with.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Tracer from "effect/Tracer"
import type { ClientError } from "./ClientError.js"
import * as ReturnTo from "./ReturnTo.js"
import * as SignInPage from "./SignInPage.js"
import * as SignInRequired from "./SignInRequired.js"
import * as WebSignIn from "./WebSignIn.js"
import type { WebSignInError } from "./WebSignInError.js"

type Service = Context.Tag.Service<typeof WebSignIn.WebSignIn>

/**
 * Who is there, by the application's own session; an effect of the request. Its failures are the application's, and go
 * through as they are. The session's cookie has to be `SameSite=Lax`: a `Strict` one does not come along from the
 * authorization server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session<E, R> {
  readonly user: Effect.Effect<string, E, R>
}

/**
 * The cookie that binds a sign-in to the browser. Over https its name has the prefix `__Host-`, so that no other host
 * and no plain connection can set it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const cookieName = (redirectUri: string): string =>
  isSecure(redirectUri) ? "__Host-mcp-sign-in" : "mcp-sign-in"

const isSecure = (redirectUri: string): boolean => /^https:/i.test(redirectUri)

const bindingOf = (request: HttpServerRequest.HttpServerRequest, { redirectUri }: Service) => {
  const value = request.cookies[cookieName(redirectUri)]
  return value === undefined ? undefined : Redacted.make(value)
}

/**
 * Sets the cookie of a sign-in that has begun, on whatever response tells the browser where to go: for an application
 * whose scripts ask for the URL, and go there by themselves.
 *
 * @since 0.1.0
 * @category combinators
 */
export const bind = (
  response: HttpServerResponse.HttpServerResponse,
  { binding }: WebSignIn.Begun
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, WebSignIn.WebSignIn> =>
  Effect.map(WebSignIn.WebSignIn, ({ lifetime, redirectUri }) =>
    // The value is base64url, so that nothing can be wrong with it.
    HttpServerResponse.unsafeSetCookie(response, cookieName(redirectUri), Redacted.value(binding), {
      httpOnly: true,
      secure: isSecure(redirectUri),
      sameSite: "lax",
      path: "/",
      maxAge: lifetime
    })
  )

const queryOf = ({ url }: HttpServerRequest.HttpServerRequest): URLSearchParams =>
  new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?")).replace(/#.*$/s, "") : "")

/** The address of a request within its origin; only one that was read can be gone back to. */
const addressOf = ({ method, originalUrl }: HttpServerRequest.HttpServerRequest): string => {
  const address = originalUrl.replace(/^[a-z]+:\/\/[^/]*/i, "")
  return method === "GET" && ReturnTo.violation(address) === undefined ? address : "/"
}

/**
 * Begins a sign-in and redirects the browser to the authorization server: for a resource, as the route of a "connect"
 * button, or for a `SignInRequired`, in the place of the answer that could not be given. `returnTo` is where the browser
 * goes on to afterwards: by default, for a resource, what the parameter `returnTo` of the query says, else `/`; for a
 * `SignInRequired`, the address of the request if it is a GET.
 *
 * @since 0.1.0
 * @category constructors
 */
export const begin = <E, R>(
  options: Session<E, R> & { readonly returnTo?: string | undefined } & (
      | { readonly resource: string; readonly required?: undefined }
      | { readonly required: SignInRequired.SignInRequired; readonly resource?: undefined }
    )
): HttpApp.Default<E | ClientError | WebSignInError, R | WebSignIn.WebSignIn> =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const signIn = yield* WebSignIn.WebSignIn
    const { required, resource } = options
    const own = required === undefined ? (queryOf(request).get("returnTo") ?? "/") : addressOf(request)
    const common = {
      user: yield* options.user,
      binding: bindingOf(request, signIn),
      returnTo: options.returnTo ?? own
    }
    const begun = yield* signIn.begin(required === undefined ? { ...common, resource } : { ...common, required })
    return yield* bind(seeOther(begun.url), begun)
  })

const seeOther = (location: string) =>
  HttpServerResponse.redirect(location, { status: 303, headers: SignInPage.headers })

/** The spans that are open hold the URL as it was sent, and this one was sent with a code in it. */
const hideCode = (redirectUri: string): Effect.Effect<void> =>
  Effect.map(Effect.option(Effect.currentSpan), (current) => {
    let span: Option.Option<Tracer.AnySpan> = current
    while (Option.isSome(span) && span.value._tag === "Span") {
      if (span.value.attributes.has("url.full")) span.value.attribute("url.full", redirectUri)
      if (span.value.attributes.has("url.query")) span.value.attribute("url.query", "<redacted>")
      span = span.value.parent
    }
  })

/**
 * The route of the redirect URI: completes the sign-in, and redirects to where the browser was on its way to. Only a GET
 * is an answer; whatever looks at the address otherwise, such as a HEAD of a scanner, uses nothing up. The request is
 * not logged, and its query is taken out of the spans that hold it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const complete = <E, R>({
  user
}: Session<E, R>): HttpApp.Default<E | ClientError | WebSignInError, R | WebSignIn.WebSignIn> =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const signIn = yield* WebSignIn.WebSignIn
    yield* hideCode(signIn.redirectUri)
    if (request.method !== "GET") {
      return HttpServerResponse.empty({ status: 405, headers: { ...SignInPage.headers, allow: "GET" } })
    }
    const { returnTo } = yield* signIn.complete({
      parameters: queryOf(request),
      binding: bindingOf(request, signIn),
      user: yield* user
    })
    return seeOther(returnTo)
  }).pipe(HttpMiddleware.withLoggerDisabled)

/**
 * Around an application whose handlers call MCP servers for its users: a call that fails with `SignInRequired`, however
 * wrapped, sends the browser to the authorization server and brings it back; every other failure of the client becomes a
 * `SignInPage.ofFailure`. What else the application fails with goes through.
 *
 * It answers requests of a browser that navigates. Where a script asks, catch `SignInRequired` inside of it and answer
 * with the URL of `WebSignIn.begin` ({@link bind}): a redirect to another origin is of no use to `fetch`.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * ```ts
 * import * as HttpClient from "@effect/platform/HttpClient"
 * import * as HttpRouter from "@effect/platform/HttpRouter"
 * import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
 * import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
 * import { HttpAppSignIn, HttpClientAuth, WebSignIn } from "effect-mcp-auth/client"
 * import * as Effect from "effect/Effect"
 *
 * const resource = "https://mcp.example.com/mcp"
 *
 * // Yours: who is signed in at the application itself.
 * const user = Effect.map(HttpServerRequest.HttpServerRequest, ({ cookies }) => cookies["session"] ?? "nobody")
 *
 * const notes = Effect.gen(function* () {
 *   const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
 *   const tokens = WebSignIn.layerTokenSource({ resource, user: yield* user })
 *   const response = yield* Effect.provide(client.get(resource), tokens)
 *   return HttpServerResponse.text(yield* response.text)
 * })
 *
 * export const app = HttpRouter.empty.pipe(
 *   HttpRouter.get("/notes", notes),
 *   HttpRouter.get("/connect", HttpAppSignIn.begin({ user, resource })),
 *   HttpRouter.get("/callback", HttpAppSignIn.complete({ user })),
 *   HttpAppSignIn.middleware({ user })
 * )
 * ```
 */
export const middleware =
  <E1, R1>(session: Session<E1, R1>) =>
  <E, R>(
    app: HttpApp.Default<E, R>
  ): HttpApp.Default<Exclude<E | E1, ClientError | WebSignInError>, R | R1 | WebSignIn.WebSignIn> => {
    const answer = (error: E | E1 | ClientError | WebSignInError) =>
      SignInPage.isFailure(error)
        ? Effect.succeed(SignInPage.ofFailure(error))
        : Effect.fail(error as Exclude<E | E1, ClientError | WebSignInError>)
    return Effect.catchAll(app, (error) =>
      Option.match(SignInRequired.within(error), {
        onNone: () => answer(error),
        onSome: (required) => Effect.catchAll(begin({ ...session, required }), answer)
      })
    )
  }
