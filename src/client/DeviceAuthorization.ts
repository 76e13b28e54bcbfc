/**
 * The device authorization grant (RFC 8628): a code is shown, the person enters it in a browser on any machine, and the
 * client asks until the answer is there.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import { insecureUrl } from "../protocol/Loopback.js"
import * as BackChannel from "./BackChannel.js"
import {
  AuthorizationRefused,
  AuthorizeUserError,
  fail,
  type RegistrationFailed,
  type TokenRefused,
  type TokenUnavailable
} from "./ClientError.js"
import * as ServerProfile from "./ServerProfile.js"
import * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What to show to the person: where to go, and what to enter there. `verificationUriComplete`, where the server has one,
 * has the code in it already, for a link or a QR code; the code is to be shown all the same, so that it can be compared.
 * `expiresIn` is in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface DevicePrompt {
  readonly userCode: string
  readonly verificationUri: string
  readonly verificationUriComplete?: string | undefined
  readonly expiresIn: number
}

/**
 * A request that a server has taken. `interval` is the time between two questions, in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pending {
  readonly prompt: DevicePrompt
  readonly deviceCode: Redacted.Redacted<string>
  readonly interval: number
}

/** Nobody is waited for longer than a day, or asked about more often than every second, whatever the server says. */
const seconds = (value: unknown): number | undefined =>
  typeof value === "number" && value > 0 ? Math.min(Math.max(value, 1), 24 * 3600) : undefined

/** What reaches a terminal and a person: printable, short, and a URL only if it is a secure one. */
const printable = (value: unknown, pattern: RegExp): string | undefined =>
  typeof value === "string" && pattern.test(value) ? value : undefined

const secure = (value: unknown): string | undefined => {
  const url = printable(value, /^[\x21-\x7e]{1,2000}$/)
  return url !== undefined && insecureUrl(url) === undefined ? url : undefined
}

/**
 * Judges the answer to a request (RFC 8628 §3.2), or says what it lacks.
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (body: Readonly<Record<string, unknown>>): Pending | string => {
  const deviceCode = printable(body["device_code"], /^[\x21-\x7e]+$/)
  const userCode = printable(body["user_code"], /^[\x20-\x7e]{1,64}$/)
  const verificationUri = secure(body["verification_uri"])
  const expiresIn = seconds(body["expires_in"])
  if (deviceCode === undefined) return "answered without a usable device_code"
  if (userCode === undefined) return "answered without a usable user_code"
  if (verificationUri === undefined) return "answered without a verification_uri that is a secure URL"
  if (expiresIn === undefined) return "answered without expires_in"
  const complete = secure(body["verification_uri_complete"])
  return {
    deviceCode: Redacted.make(deviceCode),
    interval: seconds(body["interval"]) ?? 5,
    prompt: {
      userCode,
      verificationUri,
      expiresIn,
      ...(complete === undefined ? {} : { verificationUriComplete: complete })
    }
  }
}

const rule = "RFC 8628 section 3.5"

const refuse = (issuer: string, error: string, detail: string, description?: string) =>
  fail((trace) => new AuthorizationRefused({ issuer, error, description, detail, rule, trace }))

/**
 * Asks for a device code. Fails with `AuthorizationRefused` where the server says no, with `TokenUnavailable` where it is
 * out of order or makes no sense, and with `RegistrationFailed` where the client cannot authenticate.
 *
 * @since 0.1.0
 * @category constructors
 */
export const begin = (request: {
  readonly endpoint: string
  readonly client: BackChannel.Client
  readonly profile: ServerProfile.ServerProfile
  readonly resource: string
  readonly scopes: ReadonlyArray<string>
}): Effect.Effect<Pending, AuthorizationRefused | TokenUnavailable | RegistrationFailed, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { client, endpoint, profile, resource, scopes } = request
    const { issuer } = client
    const scope = ServerProfile.renderScopes(profile, scopes)
    const { response, sent } = yield* BackChannel.post({
      endpoint,
      client,
      parameters: [
        // Also beside HTTP Basic: RFC 8628 section 3.1 wants it unless the client authenticates otherwise.
        ["client_id", client.clientId],
        ...Object.entries(ServerProfile.target(profile, resource)),
        ...(scope === undefined ? [] : [["scope", scope] as const])
      ],
      purpose: "device authorization request",
      step: "Authorization"
    })
    const judged = BackChannel.judge(response)
    if (judged._tag === "Refused") {
      const refused = BackChannel.presentable(judged, sent)
      const detail = BackChannel.sentence(`${issuer} refused the device authorization request`, refused)
      return yield* refuse(issuer, refused.error, detail, refused.description)
    }
    const pending = judged._tag === "Unusable" ? judged.detail : validate(judged.body)
    return typeof pending === "string"
      ? yield* BackChannel.unusable("Authorization", response, `the device endpoint of ${issuer} ${pending}`)
      : pending
  })

/** No answer yet. */
class Waiting extends Data.TaggedError("Waiting") {}

/**
 * Asks until there is an answer: every `interval` seconds, 5 seconds slower from each `slow_down` on, and half as often
 * from each failure to reach the server on. Ends when the device code does. Fails with `AuthorizationRefused` where the
 * person or the server said no, with `AuthorizeUserError` (`Timeout`) where nobody came, and as `TokenEndpoint.request`
 * does for anything else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const poll = (request: {
  readonly endpoint: string
  readonly client: BackChannel.Client
  readonly profile: ServerProfile.ServerProfile
  readonly resource: string
  readonly scopes: ReadonlyArray<string>
  readonly pending: Pending
}): Effect.Effect<
  TokenEndpoint.Issued,
  AuthorizationRefused | AuthorizeUserError | TokenRefused | TokenUnavailable | RegistrationFailed,
  GuardedHttp.GuardedHttp
> =>
  Effect.suspend(() => {
    const { client, endpoint, pending, profile, resource, scopes } = request
    const { issuer } = client
    let interval = pending.interval
    const later = (next: number) => {
      interval = next
      return new Waiting()
    }
    const expired = fail(
      (trace) => new AuthorizeUserError({ reason: "Timeout", detail: "nobody entered the code in time", rule, trace })
    )
    const { deviceCode } = pending
    const grant = TokenEndpoint.Grant.DeviceCode({ deviceCode, resource })
    const ask = TokenEndpoint.request({ endpoint, client, profile, grant, granted: scopes }).pipe(
      Effect.catchTags({
        // Not reached: RFC 8628 section 3.5 wants the questions to become fewer.
        TokenUnavailable: ({ retryAfter }) => Effect.fail(later(Math.max(interval * 2, retryAfter ?? 0))),
        TokenRefused: (
          refused
        ): Effect.Effect<never, Waiting | AuthorizationRefused | AuthorizeUserError | TokenRefused> => {
          switch (refused.error) {
            case "authorization_pending":
              return Effect.fail(later(interval))
            case "slow_down":
              return Effect.fail(later(interval + 5))
            case "expired_token":
              return expired
            case "access_denied":
              return refuse(issuer, refused.error, refused.detail, refused.description)
            default:
              return Effect.fail(refused)
          }
        }
      })
    )
    const asked = Effect.suspend(() => Effect.delay(ask, Duration.seconds(interval)))
    return Effect.retry(asked, { while: (error) => error._tag === "Waiting", schedule: Schedule.forever }).pipe(
      Effect.catchTag("Waiting", () => expired),
      Effect.timeoutTo({
        duration: Duration.seconds(pending.prompt.expiresIn),
        onSuccess: Effect.succeed,
        onTimeout: () => expired
      }),
      Effect.flatten
    )
  })
