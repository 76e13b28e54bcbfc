/**
 * The little pages that a person sees on the way of a sign-in.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type { ClientError } from "./ClientError.js"
import type { WebSignInError } from "./WebSignInError.js"

const escape = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)

/**
 * What every answer says that has to do with a sign-in: it is not kept, and the address that led to it, which may hold a
 * code, is told to nobody (RFC 9700 §4.2).
 *
 * @since 0.1.0
 * @category constants
 */
export const headers = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}

/** The address of the page may hold a code: it is taken out of the address bar, and out of the way back. */
const script = `history.replaceState(null,"",location.pathname)`

/** The hash is that of the script, and nothing else may run. */
const policy =
  "default-src 'none'; script-src 'sha256-8A+3er73YJf04rRHGhbZwZQACPiiipi9EPduIeAAIDk='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * A page without style or frame, whose one script forgets its query. `title` and `text` are plain text; `link` goes below, `headers` beside
 * {@link headers}.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (page: {
  readonly status: number
  readonly title: string
  readonly text: string
  readonly link?: { readonly href: string; readonly text: string } | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}): HttpServerResponse.HttpServerResponse => {
  const title = escape(page.title)
  const link = page.link === undefined ? "" : `<p><a href="${escape(page.link.href)}">${escape(page.link.text)}</a></p>`
  return HttpServerResponse.text(
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title><script>${script}</script></head><body><h1>${title}</h1><p>${escape(page.text)}</p>${link}</body></html>`,
    {
      status: page.status,
      contentType: "text/html; charset=utf-8",
      headers: {
        ...headers,
        "content-security-policy": policy,
        ...page.headers
      }
    }
  )
}

interface Told {
  readonly status: number
  readonly title: string
  readonly text: string
}

const notNow: Told = {
  status: 503,
  title: "Not now",
  text: "The sign-in is not possible at the moment. Please try again a little later."
}

const unusable: Told = {
  status: 502,
  title: "Sign-in not possible",
  text: "The server could not be signed in at. Trying again will not help; its operator can."
}

const notAnAnswer: Told = {
  status: 400,
  title: "Not an answer",
  text: "What arrived here is not the answer to a sign-in that this application began."
}

const told: Record<ClientError["_tag"] | WebSignInError["reason"], Told> = {
  NoAnswer: notAnAnswer,
  Unknown: notAnAnswer,
  AlreadyUsed: {
    status: 409,
    title: "Already used",
    text: "The answer to this sign-in has arrived before. If you are not signed in, please begin again."
  },
  Expired: { status: 410, title: "Too late", text: "The sign-in took too long. Please begin again." },
  OtherBrowser: {
    status: 403,
    title: "Another browser",
    text: "The sign-in was begun in another browser, or the cookies of this one are gone. Please begin again here."
  },
  OtherUser: {
    status: 403,
    title: "Another user",
    text: "The sign-in was begun by another user of this application. Please begin again."
  },
  ReturnTo: { status: 400, title: "Bad request", text: "The address to return to is not one of this application." },
  AuthorizationRefused: {
    status: 403,
    title: "Sign-in not completed",
    text: "The authorization server did not grant access."
  },
  AuthorizationInvalid: notAnAnswer,
  AccessRefused: { status: 403, title: "No access", text: "The server refuses access, and signing in does not help." },
  SignInRequired: { status: 401, title: "Sign-in needed", text: "This needs a sign-in." },
  TokenUnavailable: notNow,
  TokenStoreError: notNow,
  TokenRefused: unusable,
  DiscoveryFailed: unusable,
  ResourceMismatch: unusable,
  RegistrationFailed: unusable,
  AuthorizeUserError: unusable
}

/**
 * A failure as a page, which says what the person can do and nothing of what arrived. Outages are 503, with
 * `Retry-After` where it is known.
 *
 * @since 0.1.0
 * @category rendering
 */
export const ofFailure = (error: ClientError | WebSignInError): HttpServerResponse.HttpServerResponse => {
  const isOurs = error._tag === "WebSignInError"
  const retryAfter = error._tag === "TokenUnavailable" ? error.retryAfter : undefined
  return render({
    ...told[isOurs ? error.reason : error._tag],
    link: { href: (isOurs ? error.returnTo : undefined) ?? "/", text: "Back to the application" },
    headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }
  })
}

/**
 * Whether a failure is one that {@link ofFailure} has a page for.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFailure = (error: unknown): error is ClientError | WebSignInError =>
  Predicate.hasProperty(error, "_tag") &&
  (error._tag === "WebSignInError" ||
    (Object.hasOwn(told, String(error._tag)) && Predicate.hasProperty(error, "trace")))
