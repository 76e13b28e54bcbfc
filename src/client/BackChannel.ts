/**
 * What a client asks of an authorization server without a browser in between: an authenticated form is sent, and its
 * answer judged.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as ClientAuthentication from "../discovery/ClientAuthentication.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import { fail, RegistrationFailed, type Step, TokenUnavailable, unavailable } from "./ClientError.js"

/**
 * Form parameters, in order.
 *
 * @since 0.1.0
 * @category models
 */
export type Parameters = ReadonlyArray<readonly [string, string]>

/**
 * Who asks, and at which issuer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly issuer: string
  readonly clientId: string
  readonly authentication: ClientAuthentication.ClientAuthentication
}

/**
 * An answer, and all that was sent for it: what a server echoes may be a secret.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly response: GuardedHttp.Response
  readonly sent: Parameters
}

/**
 * An answer judged. `Refused` is a rejection in the words of RFC 6749 §5.2 and nothing else; `Unusable` decides nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Judged =
  | { readonly _tag: "Answered"; readonly body: Readonly<Record<string, unknown>> }
  | Refused
  | { readonly _tag: "Unusable"; readonly detail: string }

/**
 * A rejection: the error code and what was said about it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: "Refused"
  readonly error: string
  readonly description?: string | undefined
}

/**
 * One word of the characters of RFC 6749 §5.2; and not the reason of a status, such as `Not Found` or `Forbidden`, which
 * gateways and frameworks put in the same place when the authorization server is not there.
 */
const ERROR = /^(?![A-Z][a-z]+$)[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * The codes by which a server says that it is out of order, whatever status it found for them.
 *
 * @since 0.1.0
 * @category constants
 */
export const passing: ReadonlyArray<string> = ["server_error", "temporarily_unavailable", "slow_down"]

const readObject = (body: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    return undefined
  }
}

/**
 * Judges an answer: lenient about the status, strict about the shape (RFC 6749 §5). The codes in `except` are taken for
 * an answer although they usually mean that the server is out of order.
 *
 * @since 0.1.0
 * @category validation
 * @example
 * ```ts
 * import { BackChannel } from "effect-mcp-auth/client"
 *
 * console.log(BackChannel.judge({ status: 400, body: '{"error":"invalid_grant"}' }))
 * // { _tag: "Refused", error: "invalid_grant" }
 * console.log(BackChannel.judge({ status: 502, body: "<html>" }))
 * // { _tag: "Unusable", detail: "answered 502" }
 * ```
 */
export const judge = (
  response: { readonly status: number; readonly body: string },
  except: ReadonlyArray<string> = []
): Judged => {
  const { status } = response
  const unusable = (detail: string): Judged => ({ _tag: "Unusable", detail })
  if (status >= 500 || status === 429 || status === 408) return unusable(`answered ${status}`)
  const body = readObject(response.body)
  if (body === undefined) return unusable(`answered ${status} with something that is no JSON object`)
  const { error, error_description: description } = body
  if (typeof error === "string" && ERROR.test(error)) {
    if (passing.includes(error) && !except.includes(error)) return unusable(`answered ${error}`)
    return { _tag: "Refused", error, ...(typeof description === "string" ? { description } : {}) }
  }
  return status < 200 || status > 299
    ? unusable(`answered ${status} without an error code`)
    : { _tag: "Answered", body }
}

/** What may be shown although it was sent. */
const open = ["grant_type", "resource", "scope", "redirect_uri"]

/**
 * A rejection as it may be shown: printable, short, and without anything secret of what was `sent` that the server might
 * echo.
 *
 * @since 0.1.0
 * @category rendering
 */
export const presentable = ({ _tag, description, error }: Refused, sent: Parameters): Refused => {
  const secrets = sent.filter(([name, value]) => !open.includes(name) && value.length > 7)
  const clean = (text: string) =>
    secrets
      .reduce((text, [, value]) => text.replaceAll(value, "…"), text)
      .replace(/[^\x20-\x7e…]/g, " ")
      .slice(0, 300)
  return { _tag, error: clean(error), ...(description === undefined ? {} : { description: clean(description) }) }
}

/**
 * A rejection that is {@link presentable}, as a sentence.
 *
 * @since 0.1.0
 * @category rendering
 */
export const sentence = (what: string, { description, error }: Refused): string =>
  `${what}: ${error}${description ? `: ${description}` : ""}`

/**
 * Sends a form with the client's authentication. The request follows no redirect and is bounded in time and size; it goes
 * to this endpoint only. Fails with `TokenUnavailable` where there is no answer, and with `RegistrationFailed` where the
 * client cannot authenticate with what it was configured with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const post = (options: {
  readonly endpoint: string
  readonly client: Client
  readonly parameters: Parameters
  readonly purpose: string
  readonly step: Step
}): Effect.Effect<Answer, TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { client, endpoint, parameters, purpose, step } = options
    const { issuer } = client
    const authentication = yield* Effect.catchAll(
      ClientAuthentication.present(client.authentication, client),
      ({ detail }) => {
        const rule = "RFC 7523 section 2.2"
        return fail((trace) => new RegistrationFailed({ issuer, reason: "InvalidConfiguration", detail, rule, trace }))
      }
    )
    // An authorization request names the client by itself, and once is enough.
    const own = authentication.parameters.filter(([name]) => !parameters.some(([other]) => other === name))
    const sent = [...parameters, ...own]
    const request = HttpClientRequest.post(endpoint, { acceptJson: true, headers: authentication.headers }).pipe(
      HttpClientRequest.bodyUrlParams(UrlParams.fromInput(sent))
    )
    const response = yield* Effect.catchAll(GuardedHttp.execute(request, purpose), (error) => unavailable(step, error))
    return { response, sent }
  })

/**
 * Fails with what an unusable answer is: nothing is decided, and `Retry-After` is passed on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unusable = (
  step: Step,
  response: GuardedHttp.Response,
  detail: string
): Effect.Effect<never, TokenUnavailable> =>
  Effect.flatMap(GuardedHttp.statusError(response), ({ retryAfter }) => {
    const rule = "only an answer in the words of OAuth decides anything"
    return fail((trace) => new TokenUnavailable({ step, detail, rule, trace, retryAfter }))
  })
