/**
 * A person made of HTTP requests, for end-to-end tests of an authorization code flow: opens the authorization URL, logs
 * in, consents or refuses, and hands over what the authorization server sent back to the redirect URI.
 *
 * @since 0.1.0
 */
import * as Cookies from "@effect/platform/Cookies"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AuthorizeUser from "../client/AuthorizeUser.js"
import { AuthorizeUserError } from "../client/ClientError.js"
import { type Element, elements, textOf } from "./Html.js"

/**
 * Why a {@link visit} did not reach the redirect URI. `reason` is one of
 *
 * - `InvalidUrl`: a URL, `Location` or form action that is no http(s) URL, or no redirect URI to wait for
 * - `Http`: the request failed; `cause` says how
 * - `UnexpectedStatus`: neither a page nor a redirect; `detail` has the status and the text of the page
 * - `NoForm`: a page without a form, so that nothing can be submitted
 * - `NoDenial`: a page that asks for consent and offers no way to refuse it
 * - `TooManySteps`: more requests than `maxSteps`
 *
 * `url` is where it happened, without its query, which may carry secrets.
 *
 * @example
 * ```ts
 * import { ScriptedUser } from "effect-mcp-auth/testing"
 *
 * const error = new ScriptedUser.ScriptedUserError({ reason: "NoForm", url: "http://127.0.0.1/login", detail: "200" })
 * console.log(error.message) // NoForm at http://127.0.0.1/login: 200
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ScriptedUserError extends Schema.TaggedError<ScriptedUserError>(
  "effect-mcp-auth/testing/ScriptedUserError"
)("ScriptedUserError", {
  reason: Schema.Literal("InvalidUrl", "Http", "UnexpectedStatus", "NoForm", "NoDenial", "TooManySteps"),
  url: Schema.String,
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `${this.reason} at ${this.url}: ${this.detail}`
  }
}

/**
 * What the person knows and wants.
 *
 * @example
 * ```ts
 * import type { ScriptedUser } from "effect-mcp-auth/testing"
 *
 * const refuses: ScriptedUser.VisitOptions = { login: "alice", decision: "deny" }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface VisitOptions {
  /** Where the visit ends. When absent, the `redirect_uri` parameter of the URL; a pushed request has none there. */
  readonly redirectUri?: string | undefined
  /** Typed into the text field of a login form. `alice` when absent. */
  readonly login?: string | undefined
  /** Typed into password fields. `password` when absent. */
  readonly password?: string | undefined
  /** `deny` takes the first link or button that cancels, on whichever page it is. `approve` when absent. */
  readonly decision?: "approve" | "deny" | undefined
  /** Requests at most. 20 when absent. */
  readonly maxSteps?: number | undefined
}

interface Step {
  readonly url: URL
  readonly post?: UrlParams.UrlParams | undefined
}

/**
 * Visits an authorization URL as a person with a fresh browser would, and returns the query parameters of the redirect
 * to the redirect URI, with `code` or with `error`, without requesting that URI. Cookies, redirects and forms are
 * handled here; scripts are not run, so a login page made of JavaScript is out of reach.
 *
 * Use it in tests in the place of a browser. It works over every `HttpClient` that leaves redirects alone: those of
 * `FetchHttpClient` (outside browsers), `NodeHttpClient` and `HttpClient.make`, but not one piped through
 * `HttpClient.followRedirects`.
 *
 * Fails with {@link ScriptedUserError} when the redirect URI is not reached. That the server answered with `error=` is
 * no failure.
 *
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { ScriptedUser } from "effect-mcp-auth/testing"
 * import * as Effect from "effect/Effect"
 *
 * const code = ScriptedUser.visit("http://127.0.0.1:4000/auth?client_id=c&request_uri=urn:example:1", {
 *   redirectUri: "http://127.0.0.1/callback"
 * }).pipe(
 *   Effect.map((answer) => answer.get("code")),
 *   Effect.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const visit = (
  url: string,
  options: VisitOptions = {}
): Effect.Effect<URLSearchParams, ScriptedUserError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const client = yield* HttpClient.HttpClient
    const fetchInit = yield* Effect.serviceOption(FetchHttpClient.RequestInit)
    // Otherwise a client made of fetch would follow, lose the cookies on the way, and request the redirect URI.
    const byHand = { ...Option.getOrUndefined(fetchInit), redirect: "manual" } as const
    const jar = new Map<string, Kept>()

    let step: Step = { url: yield* resolve(url) }
    const redirectUri = options.redirectUri ?? step.url.searchParams.get("redirect_uri")
    if (redirectUri === null) return yield* failure("InvalidUrl", step.url, "no redirect URI to wait for")
    const target = yield* resolve(redirectUri)
    for (let left = options.maxSteps ?? 20; left > 0; left--) {
      const { post, url } = step
      const request = HttpClientRequest.make(post === undefined ? "GET" : "POST")(url.href.replace(/#.*$/, ""), {
        headers: { accept: "text/html", cookie: cookieHeader(jar, url, yield* Clock.currentTimeMillis) }
      })
      const [response, page] = yield* client
        .execute(post ? HttpClientRequest.bodyUrlParams(request, post) : request)
        .pipe(
          Effect.flatMap((response) => Effect.map(response.text, (page) => [response, page] as const)),
          Effect.provideService(FetchHttpClient.RequestInit, byHand),
          Effect.mapError((cause) => failure("Http", url, cause.reason, cause))
        )
      keepCookies(jar, url, response.cookies, yield* Clock.currentTimeMillis)
      step = yield* nextStep(step, response, page, options)
      const { host, pathname, protocol, searchParams } = step.url
      if (protocol === target.protocol && host === target.host && pathname === target.pathname) return searchParams
      if (!/^https?:$/.test(protocol)) return yield* failure("InvalidUrl", step.url, "neither http nor https")
    }
    return yield* failure("TooManySteps", step.url, `no redirect to ${bare(target)}`)
  })

/**
 * The person as the {@link AuthorizeUser.AuthorizeUser} of a client: `redirectUri` is registered and never requested.
 *
 * @example
 * ```ts
 * import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
 * import { ScriptedUser } from "effect-mcp-auth/testing"
 * import * as Layer from "effect/Layer"
 *
 * const alice = ScriptedUser.layer({ login: "alice", redirectUri: "http://127.0.0.1:9/callback" }).pipe(
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: VisitOptions & { readonly redirectUri: string }
): Layer.Layer<AuthorizeUser.AuthorizeUser, never, HttpClient.HttpClient> =>
  Layer.effect(
    AuthorizeUser.AuthorizeUser,
    Effect.map(HttpClient.HttpClient, (client) => ({
      begin: Effect.succeed({
        redirectUri: options.redirectUri,
        authorize: (url: string) =>
          visit(url, options).pipe(
            Effect.provideService(HttpClient.HttpClient, client),
            Effect.mapError((cause) => new AuthorizeUserError({ reason: "Cancelled", detail: cause.message, cause }))
          )
      })
    }))
  )

// -- what a browser, and the person in front of it, do after an answer ------------------------------------------------

const nextStep = (
  { post, url }: Step,
  { headers, status }: HttpClientResponse.HttpClientResponse,
  page: string,
  options: VisitOptions
): Effect.Effect<Step, ScriptedUserError> => {
  const location = headers["location"]
  if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
    return Effect.map(resolve(location, url), (url) => ({ url, post: status >= 307 ? post : undefined }))
  }
  return status === 200
    ? submit(url, page.slice(0, 100_000).replace(/<!--[\s\S]*?-->|<(script|style)\b[\s\S]*?<\/\1>/gi, ""), options)
    : failure("UnexpectedStatus", url, `${status} ${textOf(page)}`.trim())
}

const refuses = (...texts: ReadonlyArray<string | undefined>) =>
  /\b(abort|cancel|decline|deny|disallow|refuse|reject)/i.test(texts.join(" "))

const submit = (url: URL, html: string, options: VisitOptions): Effect.Effect<Step, ScriptedUserError> => {
  const deny = options.decision === "deny"
  const href = deny && elements("a", html).find(({ href, inside }) => refuses(href, inside))?.["href"]
  if (href) return Effect.map(resolve(href, url), (url) => ({ url }))

  const forms = elements("form", html).map(({ action = "", inside, method }) => {
    const inputs = elements("input", inside)
    const buttons = [...elements("button", inside), ...inputs.filter(({ type }) => type === "submit")]
    const button = buttons.find(({ inside, name, value }) => refuses(name, value, inside) === deny)
    return { action, button, inputs, method, denies: deny ? button !== undefined || refuses(action) : refuses(action) }
  })
  const form = forms.find(({ denies }) => denies === deny) ?? forms[0]
  if (form === undefined) return failure("NoForm", url, textOf(html))
  const login = form.inputs.some(({ type }) => type === "password")
  // On a login page without a way out the person logs in, and refuses on the next.
  if (deny && !form.denies && !login) return failure("NoDenial", url, textOf(html))

  const pressed =
    form.button?.["name"] === undefined ? [] : [[form.button["name"], form.button["value"] ?? ""] as const]
  const fields = UrlParams.fromInput([...form.inputs.flatMap((input) => fill(input, login, options)), ...pressed])
  return Effect.map(resolve(form.action, url), (url) => {
    if (form.method?.toLowerCase() === "post") return { url, post: fields }
    url.search = UrlParams.toString(fields)
    return { url }
  })
}

const fill = (
  { checked, disabled, name, type = "text", value = "" }: Element,
  login: boolean,
  options: VisitOptions
): ReadonlyArray<readonly [string, string]> => {
  if (name === undefined || disabled !== undefined) return []
  if (type === "password") return [[name, options.password ?? "password"]]
  if (/^(text|email)$/.test(type)) {
    return [[name, login || /user|login|email/i.test(name) ? (options.login ?? "alice") : value]]
  }
  if (/^(checkbox|radio)$/.test(type)) return checked === undefined ? [] : [[name, value || "on"]]
  return /^(submit|button|image|reset|file)$/.test(type) ? [] : [[name, value]]
}

// -- cookies (RFC 6265 section 5), each kept for the very host that set it: a login does not need Domain --------------

interface Kept {
  readonly cookie: Cookies.Cookie
  readonly host: string
  readonly path: string
  readonly expiresAt: number
}

// Platform keeps one cookie per name of an answer, the last; a deletion at another path that is lost so does no harm.
const keepCookies = (jar: Map<string, Kept>, { hostname: host, pathname }: URL, set: Cookies.Cookies, now: number) => {
  for (const cookie of Object.values(set.cookies)) {
    const { expires, maxAge, path = pathname.slice(0, pathname.lastIndexOf("/")) || "/" } = cookie.options ?? {}
    const expiresAt =
      maxAge === undefined ? (expires?.getTime() ?? Number.POSITIVE_INFINITY) : now + Duration.toMillis(maxAge)
    const key = `${cookie.name} ${host}${path}`
    if (expiresAt <= now) jar.delete(key)
    else jar.set(key, { cookie, expiresAt, host, path })
  }
}

const cookieHeader = (jar: Map<string, Kept>, url: URL, now: number): string | undefined => {
  // Browsers treat loopback as secure too.
  const secure = url.protocol === "https:" || /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
  const sent = [...jar.values()]
    .filter(({ cookie, expiresAt, host, path }) => {
      const below = url.pathname === path || url.pathname.startsWith(path.endsWith("/") ? path : `${path}/`)
      return below && host === url.hostname && expiresAt > now && (secure || cookie.options?.secure !== true)
    })
    .sort((a, b) => a.path.length - b.path.length) // of two with one name the more specific one is sent
  return sent.length === 0 ? undefined : Cookies.toCookieHeader(Cookies.fromIterable(sent.map(({ cookie }) => cookie)))
}

const resolve = (reference: string, base?: URL): Effect.Effect<URL, ScriptedUserError> =>
  URL.canParse(reference, base?.href)
    ? Effect.succeed(new URL(reference, base?.href))
    : failure("InvalidUrl", base ?? reference, "not a URL")

const bare = (url: URL | string): string => String(url).replace(/[?#].*$/s, "")

const failure = (reason: ScriptedUserError["reason"], url: URL | string, detail: string, cause?: unknown) =>
  new ScriptedUserError({ reason, url: bare(url), detail, ...(cause !== undefined && { cause }) })
