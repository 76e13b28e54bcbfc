/**
 * What to do about a refusal: a pure function of the refusal, of what is held, and of what was tried before.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scopes from "../protocol/Scopes.js"
import * as AccessToken from "./AccessToken.js"
import type { AccessRefused } from "./ClientError.js"
import * as Refusal from "./Refusal.js"
import * as StepUpAttempts from "./StepUpAttempts.js"
import type { StoredGrant } from "./StoredGrant.js"

/**
 * What this process remembers of its own renewals. `last` is the token obtained last and how; `diagnosed` the token of
 * which it was found that another would not help; `signIns` when a refused token led to a sign-in; `stepUps` how often the
 * scopes of an operation were asked for. Times are in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface History {
  readonly last?:
    | {
        readonly token: Redacted.Redacted<string>
        readonly by: "SignIn" | "Refresh"
        readonly requested: ReadonlyArray<string>
      }
    | undefined
  readonly diagnosed?:
    | { readonly token: Redacted.Redacted<string>; readonly status: 401 | 403; readonly at: number }
    | undefined
  readonly signIns: ReadonlyArray<number>
  readonly stepUps: StepUpAttempts.StepUpAttempts
}

/**
 * Nothing happened yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const blank: History = { signIns: [], stepUps: StepUpAttempts.none }

/**
 * Use the token that is held; refresh it; ask the person; or stop, because another token would be refused as well.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewalDecision =
  | { readonly _tag: "Use"; readonly token: AccessToken.AccessToken }
  | { readonly _tag: "Refresh"; readonly grant: StoredGrant }
  | { readonly _tag: "Authorize" }
  | { readonly _tag: "Stop"; readonly reason: AccessRefused["reason"]; readonly detail: string }

/** How long a diagnosis holds, and within which time sign-ins are counted, in milliseconds. */
const period = 60_000

/** More sign-ins than this for refused tokens within the period are a loop, not an accident. */
const signInsAtMost = 3

const same = (left: Redacted.Redacted<string>, right: Redacted.Redacted<string>): boolean =>
  Redacted.value(left) === Redacted.value(right)

/**
 * Whether a refusal cannot be one of a token that is about to expire: by the server's clock, which may be ahead, or because
 * the request was slow on its way.
 */
const isYoung = (
  { accessToken: { expiresAt = Number.POSITIVE_INFINITY }, issuedAt }: StoredGrant,
  now: number
): boolean => now < expiresAt - Math.min(30_000, (expiresAt - issuedAt) / 2)

const stop = (reason: AccessRefused["reason"], detail: string): RenewalDecision => ({ _tag: "Stop", reason, detail })

const authorize: RenewalDecision = { _tag: "Authorize" }

/**
 * Decides.
 *
 * - A token other than the one refused is held, and has the scopes asked for: use it. Somebody else has renewed.
 * - 401: refresh where that is possible and was not just tried, otherwise ask the person, at once where the challenge is
 *   for a stronger authentication (RFC 9470 §6); stop where a fresh sign-in was of no use, or sign-ins of any kind go in
 *   a circle.
 * - 403: never refresh, because that cannot widen a scope (OAuth 2.1 §4.3); ask the person, unless the token has the
 *   scopes already, or they were asked for and not granted ({@link StepUpAttempts}).
 *
 * @since 0.1.0
 * @category combinators
 */
export const decide = (input: {
  readonly refusal: Refusal.Refusal
  readonly used: Option.Option<AccessToken.AccessToken>
  readonly stored: Option.Option<StoredGrant>
  readonly history: History
  readonly now: number
}): RenewalDecision => {
  const { history, now, refusal } = input
  const grant = Option.getOrUndefined(input.stored)
  const used = Option.getOrUndefined(input.used)
  const asked = Refusal.scopes(refusal)
  const expired = grant !== undefined && AccessToken.isExpired(grant.accessToken, now)
  const renewed = grant !== undefined && (used === undefined || !same(used.value, grant.accessToken.value))

  if (renewed && !expired && (refusal.status === 401 || Scopes.missing(asked, grant.accessToken.scopes).length === 0)) {
    return { _tag: "Use", token: grant.accessToken }
  }
  const last = used !== undefined && history.last !== undefined && same(history.last.token, used.value)
  const { diagnosed } = history
  const wasDiagnosed =
    used !== undefined &&
    diagnosed !== undefined &&
    diagnosed.status === refusal.status &&
    same(diagnosed.token, used.value) &&
    StepUpAttempts.isRecent(diagnosed.at, now, period)
  const again = (refusal.renewals ?? 0) > 0 || wasDiagnosed

  if (refusal.status === 403) {
    if (used !== undefined && asked.length > 0 && Scopes.missing(asked, used.scopes).length === 0) {
      const detail = `the challenge asks for "${Scopes.render(asked)}", and the token has it`
      return stop("ScopesAlreadyGranted", detail)
    }
    if (asked.length > 0 && again && last && Scopes.missing(asked, history.last?.requested ?? []).length === 0) {
      const detail = `"${Scopes.render(asked)}" was asked for, and the authorization server did not grant all of it`
      return stop("ScopesNotGranted", detail)
    }
    const exhausted = StepUpAttempts.exhausted(history.stepUps, asked, now)
    return exhausted === undefined ? authorize : stop("ScopesNotGranted", exhausted)
  }

  const fresh = last && grant !== undefined && isYoung(grant, now)
  const signIns = history.signIns.filter((at) => StepUpAttempts.isRecent(at, now, period)).length
  if (used !== undefined && (wasDiagnosed || (again && fresh && history.last?.by === "SignIn"))) {
    return stop("TokenNotAccepted", "a token fresh from the authorization server is refused as well")
  }
  const refreshed = again && fresh && history.last?.by === "Refresh"
  if (refreshed && signIns > 0) {
    return stop("TokenNotAccepted", "the token of a sign-in was refused, and one refreshed after it is as well")
  }
  const refreshable = grant?.refreshToken !== undefined && Refusal.authentication(refusal) === undefined
  if (refreshable && !refreshed) return { _tag: "Refresh", grant }
  if (used !== undefined && signIns >= signInsAtMost) {
    return stop("TokenNotAccepted", `the tokens of ${signIns} sign-ins within a minute were refused`)
  }
  const exhausted = StepUpAttempts.exhausted(history.stepUps, undefined, now)
  return exhausted === undefined ? authorize : stop("TokenNotAccepted", exhausted)
}

/**
 * The scopes to ask for. First time: those of the challenge, else those configured, else all that the resource's
 * metadata lists, else none at all. Later: whatever was asked for or granted before, too, so that a step up takes
 * nothing away. `offline_access` where the authorization server lists it, and only beside other scopes: alone it would
 * stand in the place of the server's default.
 *
 * @since 0.1.0
 * @category combinators
 */
export const scopes = (input: {
  readonly challenged: ReadonlyArray<string>
  readonly configured: ReadonlyArray<string> | undefined
  readonly resourceSupports: ReadonlyArray<string> | undefined
  readonly serverSupports: ReadonlyArray<string> | undefined
  readonly before: ReadonlyArray<string>
}): ReadonlyArray<string> => {
  const { before, challenged, configured, resourceSupports, serverSupports } = input
  const chosen =
    challenged.length > 0 ? Scopes.union(challenged, configured ?? []) : (configured ?? resourceSupports ?? [])
  const all = Scopes.union(before, chosen.filter(Scopes.isScopeToken))
  return all.length > 0 && serverSupports?.includes("offline_access") === true
    ? Scopes.union(all, ["offline_access"])
    : all
}
