/**
 * What a JWT access token has to be, whoever signed it: the checks of RFC 9068 §4 and RFC 8725, by profile. Pure.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import { LRUCache } from "lru-cache"
import * as Scopes from "../protocol/Scopes.js"
import * as Audience from "./Audience.js"
import type { AuthConfig } from "./AuthConfig.js"
import { InvalidToken } from "./AuthError.js"
import { Claims } from "./Claims.js"
import type { ClaimPath, TokenProfile } from "./TokenProfile.js"

/**
 * The longest token that is looked at, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 16 * 1024

/** They name rules, and there are not many of them; a new one costs a stack trace, as any error does. */
const refusals = new LRUCache<string, InvalidToken>({ max: 256 })

/**
 * A refusal with its reason, and what the log is told. `detail` names a rule and nothing of the token, so that each is
 * made once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refuse = (reason: InvalidToken["reason"], detail: string, description?: string): InvalidToken => {
  const key = JSON.stringify([reason, detail, description])
  const known = refusals.get(key)
  if (known !== undefined) return known
  const refusal = new InvalidToken({ reason, detail, ...(description === undefined ? {} : { description }) })
  refusals.set(key, refusal)
  return refusal
}

/**
 * The refusal of an expired token; the one reason that a client is told, because renewing helps.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expired = (): InvalidToken => refuse("expired", "exp has passed", "The access token has expired")

/**
 * The refusal of a token that is longer than {@link maxLength}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tooLong = (): InvalidToken => refuse("malformed", `longer than ${maxLength} characters`)

/** `undefined` where there is none, and nothing else: what is there and is no string is no type at all. */
const typeOf = (typ: unknown): string | undefined =>
  typeof typ === "string" ? typ.toLowerCase().replace(/^application\//, "") : typ === undefined ? undefined : ""

const at = (payload: Jose.JWTPayload, path: ClaimPath): unknown =>
  typeof path === "string"
    ? payload[path]
    : path.reduce<unknown>(
        (value, name) =>
          typeof value === "object" && value !== null && Object.hasOwn(value, name)
            ? (value as Record<string, unknown>)[name]
            : undefined,
        payload
      )

const stringList = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.filter((item) => typeof item === "string") : []

/** The first claim that is there, because one that names another resource outweighs those that stand in for it. */
const audienceOf = (payload: Jose.JWTPayload, profile: TokenProfile): ReadonlyArray<string> => {
  const audience = profile.audienceClaims.map((path) => at(payload, path)).find((value) => value !== undefined)
  const audiences = stringList(audience)
  // A list with anything but strings in it is no audience (RFC 7519 section 4.1.3), not one that is a little shorter.
  return Array.isArray(audience) && audiences.length < audience.length ? [] : audiences
}

/** A string holds several scopes; an item of a list is one, or none: the name of a role may have a space in it. */
const scopesOf = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? Scopes.parse(value) : stringList(value).filter(Scopes.isScopeToken)

const firstString = (payload: Jose.JWTPayload, paths: ReadonlyArray<ClaimPath>): string | undefined =>
  paths.map((path) => at(payload, path)).find((value): value is string => typeof value === "string" && value !== "")

/**
 * What a token says of itself before its signature is checked. Good for choosing a key, and for nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unverified {
  readonly alg: string
  readonly kid?: string
  readonly issuer: string
}

/**
 * What a token is measured by. Times are in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Expectation {
  readonly algorithms: ReadonlyArray<string>
  readonly profile: TokenProfile
  readonly issuers: ReadonlyArray<string>
  readonly config: AuthConfig
  readonly now: number
  readonly tolerance: number
}

const claimViolation = (payload: Jose.JWTPayload, expected: Expectation): InvalidToken | undefined => {
  const { now, profile, tolerance } = expected
  const absent = profile.requiredClaims.find((name) => payload[name] === undefined || payload[name] === null)
  if (absent !== undefined) return refuse("claims", `${absent} is missing`)
  for (const name of ["sub", "jti", "client_id"]) {
    if (payload[name] !== undefined && typeof payload[name] !== "string") {
      return refuse("claims", `${name} is not a string`)
    }
  }
  for (const name of ["exp", "nbf", "iat"] as const) {
    const value: unknown = payload[name]
    if (value !== undefined && !(typeof value === "number" && Number.isFinite(value))) {
      return refuse("claims", `${name} is not a number`)
    }
  }
  if (payload.exp === undefined) return refuse("claims", "exp is missing")
  if (now >= payload.exp + tolerance) return expired()
  if ((payload.nbf ?? 0) > now + tolerance || (payload.iat ?? 0) > now + tolerance) {
    return refuse("notYetValid", "nbf or iat lies in the future")
  }
  const forbidden = profile.forbiddenClaims.find((name) => name in payload)
  if (forbidden !== undefined) return refuse("type", `${forbidden} marks an ID token`)
  for (const [name, value] of Object.entries(profile.requiredValues)) {
    if (payload[name] !== value) return refuse("type", `${name} is not ${value}`)
  }
  if (profile.clientIdRequired && firstString(payload, profile.clientIdClaims) === undefined) {
    return refuse("claims", "no claim names the client")
  }
  if (!Audience.accepts(expected.config, audienceOf(payload, profile))) {
    return refuse("audience", "the audience is not this resource")
  }
  return undefined
}

/**
 * Refuses what can be refused without a key: it costs no cryptography and no request.
 *
 * @since 0.1.0
 * @category validation
 */
export const preliminary = (token: string, expected: Expectation): Unverified | InvalidToken => {
  if (token.length > maxLength) return tooLong()
  // Decoders forgive padding and the alphabet of plain base64; a token has one spelling only (RFC 7515 section 2).
  if (!/^[-\w]+\.[-\w]+\.[-\w]+$/.test(token)) return refuse("malformed", "not a compact JWS")
  let header: Jose.ProtectedHeaderParameters
  let payload: Jose.JWTPayload
  try {
    header = Jose.decodeProtectedHeader(token)
    payload = Jose.decodeJwt(token)
  } catch {
    return refuse("malformed", "not a compact JWS of a JSON object")
  }
  const alg = header.alg
  if (alg === undefined || !expected.algorithms.includes(alg)) {
    return refuse("algorithm", "alg is not an accepted one")
  }
  if (header.kid !== undefined && typeof header.kid !== "string") return refuse("malformed", "kid is not a string")
  if (header.crit !== undefined) return refuse("malformed", "crit names extensions that are not understood")
  if (header["b64"] !== undefined) return refuse("malformed", "an unencoded payload is no JWT")
  const types = expected.profile.types
  if (!types.includes(typeOf(header.typ))) return refuse("type", `typ is not ${types.join(" or ")}`)
  const issuer = expected.issuers.find((accepted) => accepted === payload.iss)
  if (issuer === undefined) return refuse("issuer", "iss is not an accepted issuer")
  const violation = claimViolation(payload, expected)
  if (violation !== undefined) return violation
  return { alg, issuer, ...(typeof header.kid === "string" ? { kid: header.kid } : {}) }
}

/**
 * The claims of a token whose signature was checked.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toClaims = (payload: Jose.JWTPayload, issuer: string, profile: TokenProfile): Claims | InvalidToken => {
  const subject = firstString(payload, profile.subjectClaims)
  if (subject === undefined) return refuse("claims", "there is no subject")
  const cnf: unknown = payload["cnf"]
  const confirmation = cnf === undefined ? undefined : confirmationOf(cnf)
  if (confirmation instanceof InvalidToken) return confirmation
  return new Claims(
    {
      issuer,
      subject,
      clientId: firstString(payload, profile.clientIdClaims),
      audience: audienceOf(payload, profile),
      scopes: Scopes.union(...profile.scopeClaims.map((path) => scopesOf(at(payload, path)))),
      expiresAt: payload.exp,
      confirmation,
      raw: Redacted.make(payload as Record<string, unknown>)
    },
    { disableValidation: true }
  )
}

/**
 * The binding in a `cnf` claim (RFC 7800). One that is not understood is a refusal: the token must not count as unbound.
 *
 * @since 0.1.0
 * @category constructors
 */
export const confirmationOf = (cnf: unknown): NonNullable<Claims["confirmation"]> | InvalidToken => {
  const members = typeof cnf === "object" && cnf !== null ? (cnf as Record<string, unknown>) : {}
  const { jkt, "x5t#S256": x5t } = members
  if (typeof jkt !== "string" && typeof x5t !== "string") {
    return refuse("binding", "cnf holds no method that is understood")
  }
  return {
    ...(typeof jkt === "string" ? { jkt } : {}),
    ...(typeof x5t === "string" ? { "x5t#S256": x5t } : {})
  }
}
