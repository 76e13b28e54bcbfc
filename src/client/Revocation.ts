/**
 * Revocation of a token at the authorization server that issued it (RFC 7009), and an honest word about what came of it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as GuardedHttp from "../discovery/GuardedHttp.js"
import * as BackChannel from "./BackChannel.js"
import * as BackOff from "./BackOff.js"

/**
 * What became of one token.
 *
 * - `Revoked`: the server says that it is not valid any more
 * - `NotHeld`: there was none, or it had expired
 * - `StillValid`: it could not be revoked and lives until it expires. `NotOffered`: the server has no revocation endpoint.
 *   `Unsupported`: it cannot revoke tokens of this kind, as is common for JWTs. `Refused`: it said no. `Unavailable`: it
 *   was not reached, or was out of order for longer than was waited. `NotRegistered`: the client is not known any more.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Data.TaggedEnum<{
  // biome-ignore lint/complexity/noBannedTypes: how Data.TaggedEnum writes a case without fields
  Revoked: {}
  // biome-ignore lint/complexity/noBannedTypes: how Data.TaggedEnum writes a case without fields
  NotHeld: {}
  StillValid: {
    readonly reason: "NotOffered" | "Unsupported" | "Refused" | "Unavailable" | "NotRegistered"
    readonly detail: string
  }
}>

/**
 * The constructors.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Outcome = Data.taggedEnum<Outcome>()

/**
 * What a sign-out came to. The client holds nothing any more, whatever became of the tokens; `issuer` is where they were
 * from, `None` where nobody was signed in.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignedOut {
  readonly issuer: Option.Option<string>
  readonly refreshToken: Outcome
  readonly accessToken: Outcome
}

/**
 * The sign-out of nobody.
 *
 * @since 0.1.0
 * @category constructors
 */
export const nobody: SignedOut = {
  issuer: Option.none(),
  refreshToken: Outcome.NotHeld(),
  accessToken: Outcome.NotHeld()
}

/**
 * The sign-out of a client that has forgotten who it is at the issuer, and so cannot ask it for anything.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknownClient = (
  issuer: string,
  refreshToken: Redacted.Redacted<string> | undefined,
  accessToken: Redacted.Redacted<string> | undefined
): SignedOut => {
  const detail = `the registration at ${issuer} is not known any more`
  const of = (token: Redacted.Redacted<string> | undefined) =>
    token === undefined ? Outcome.NotHeld() : Outcome.StillValid({ reason: "NotRegistered", detail })
  return { issuer: Option.some(issuer), refreshToken: of(refreshToken), accessToken: of(accessToken) }
}

/**
 * Revokes a token. Never fails: what went wrong is the outcome. A server that is out of order is asked twice more within
 * 15 seconds (RFC 7009 §2.2.1), when it says that it will be back; one that says it will be longer is not waited for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const revoke = (options: {
  readonly endpoint: string | undefined
  readonly client: BackChannel.Client
  readonly token: Redacted.Redacted<string>
  readonly hint: "refresh_token" | "access_token"
}): Effect.Effect<Outcome, never, GuardedHttp.GuardedHttp> => {
  const { client, endpoint, hint, token } = options
  const { issuer } = client
  if (endpoint === undefined) {
    const detail = `${issuer} has no revocation endpoint`
    return Effect.succeed(Outcome.StillValid({ reason: "NotOffered", detail }))
  }
  const parameters = [
    ["token", Redacted.value(token)],
    ["token_type_hint", hint]
  ] as const
  const ask = Effect.gen(function* () {
    const purpose = `revocation of the ${hint.replace("_", " ")}`
    const answer = yield* BackChannel.post({ endpoint, client, parameters, purpose, step: "Token" })
    const { response, sent } = answer
    // Also for a token that the server does not know; the body says nothing (RFC 7009 §2.2).
    if (response.status >= 200 && response.status < 300) return Outcome.Revoked()
    const judged = BackChannel.judge(response)
    if (judged._tag === "Refused") {
      const reason = judged.error === "unsupported_token_type" ? "Unsupported" : "Refused"
      const refused = BackChannel.presentable(judged, sent)
      const detail = BackChannel.sentence(`${issuer} did not revoke the ${hint.replace("_", " ")}`, refused)
      return Outcome.StillValid({ reason, detail })
    }
    const detail = judged._tag === "Unusable" ? judged.detail : `answered ${response.status}`
    return yield* BackChannel.unusable("Token", response, `the revocation endpoint of ${issuer} ${detail}`)
  })
  return ask.pipe(
    BackOff.patiently,
    Effect.catchAll(({ detail }) => Effect.succeed(Outcome.StillValid({ reason: "Unavailable", detail }))),
    Effect.withSpan("Revocation.revoke", { captureStackTrace: false, attributes: { issuer, hint } })
  )
}

/**
 * Revokes what a sign-in gave: the refresh token first, because a server may take its access tokens along, then the
 * access token. After a refresh token for which the server could not be reached it is not asked again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const revokeAll = (options: {
  readonly endpoint: string | undefined
  readonly client: BackChannel.Client
  readonly refreshToken: Redacted.Redacted<string> | undefined
  readonly accessToken: Redacted.Redacted<string> | undefined
}): Effect.Effect<Omit<SignedOut, "issuer">, never, GuardedHttp.GuardedHttp> =>
  Effect.gen(function* () {
    const { client, endpoint } = options
    const one = (token: Redacted.Redacted<string> | undefined, hint: "refresh_token" | "access_token") =>
      token === undefined ? Effect.succeed(Outcome.NotHeld()) : revoke({ endpoint, client, token, hint })
    const refreshToken = yield* one(options.refreshToken, "refresh_token")
    const isOver = refreshToken._tag === "StillValid" && refreshToken.reason === "Unavailable"
    const accessToken =
      isOver && options.accessToken !== undefined ? refreshToken : yield* one(options.accessToken, "access_token")
    return { refreshToken, accessToken }
  })
