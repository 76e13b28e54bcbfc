/**
 * What an issuer answers when it is asked about a token (RFC 7662 §2.2), plain or signed (RFC 9701).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import type * as JwkSet from "../discovery/JwkSet.js"
import * as Scopes from "../protocol/Scopes.js"
import { InvalidToken } from "./AuthError.js"
import { Claims } from "./Claims.js"
import * as JwtAccessToken from "./JwtAccessToken.js"

const Active = Schema.Struct(
  {
    active: Schema.Literal(true),
    iss: Schema.optional(Schema.String),
    sub: Schema.optional(Schema.String),
    client_id: Schema.optional(Schema.String),
    aud: Schema.optional(Schema.Union(Schema.String, Schema.Array(Schema.String))),
    scope: Schema.optional(Schema.String),
    exp: Schema.optional(Schema.Number),
    nbf: Schema.optional(Schema.Number),
    token_type: Schema.optional(Schema.String),
    cnf: Schema.optional(Schema.Unknown)
  },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
)

/**
 * The members that are read. Only the boolean `true` is active, and of a token that is not active nothing else is read.
 *
 * @since 0.1.0
 * @category schemas
 */
export const IntrospectionResponse = Schema.Union(Active, Schema.Struct({ active: Schema.Literal(false) }))

/**
 * @since 0.1.0
 * @category schemas
 */
export type IntrospectionResponse = typeof IntrospectionResponse.Type

/**
 * Reads the body of an answer. The failure names what is wrong with it, and holds no value of it.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode: (response: GuardedHttp.Response) => Effect.Effect<IntrospectionResponse, GuardedHttp.FetchError> =
  GuardedHttp.decodeJson(IntrospectionResponse)

/** "access_token" is not what RFC 7662 §2.2 asks for, but it is what some issuers say, and it is not ambiguous. */
const accessTokenTypes = ["bearer", "dpop", "access_token"]

/**
 * The claims of an answer, or why it is none (RFC 7662 §2.2): times, issuer, kind and binding of an active token are
 * checked all the same. `now` is in seconds. `audience` says what an answer without `aud` is: refused by the guard, or
 * taken to be for `resource`, if only its `token_type` tells that it is no refresh token.
 *
 * @since 0.1.0
 * @category validation
 */
export const toClaims = (
  answer: IntrospectionResponse,
  expected: {
    readonly issuer: string
    readonly resource: string
    readonly audience: "required" | "bound"
    readonly now: number
  }
): Claims | InvalidToken => {
  if (!answer.active) return JwtAccessToken.refuse("inactive", "the issuer says that it is not active")
  if (answer.iss !== undefined && answer.iss !== expected.issuer) {
    return JwtAccessToken.refuse("issuer", "iss is not the issuer that was asked")
  }
  if (answer.exp !== undefined && expected.now >= answer.exp) return JwtAccessToken.expired()
  if (answer.nbf !== undefined && expected.now < answer.nbf) {
    return JwtAccessToken.refuse("notYetValid", "nbf lies in the future")
  }
  const bound = answer.aud === undefined && expected.audience === "bound"
  const type = answer.token_type?.toLowerCase()
  if (type === undefined ? bound : !accessTokenTypes.includes(type)) {
    return JwtAccessToken.refuse("type", "token_type is not that of an access token")
  }
  const subject = answer.sub ?? answer.client_id
  if (subject === undefined || subject === "")
    return JwtAccessToken.refuse("claims", "there is no sub and no client_id")
  const confirmation = answer.cnf === undefined ? undefined : JwtAccessToken.confirmationOf(answer.cnf)
  if (confirmation instanceof InvalidToken) return confirmation
  if (type === "dpop" && confirmation === undefined) {
    return JwtAccessToken.refuse("binding", "the token is bound to a key, and the answer does not say to which")
  }
  return new Claims(
    {
      issuer: expected.issuer,
      subject,
      clientId: answer.client_id,
      audience: bound ? [expected.resource] : answer.aud === undefined ? [] : [answer.aud].flat(),
      scopes: Scopes.parse(answer.scope ?? ""),
      expiresAt: answer.exp,
      confirmation,
      raw: Redacted.make(answer)
    },
    { disableValidation: true }
  )
}

/** What is wrong with a signed answer, without its claims: errors of `jose` hold them, and this one is logged. */
const unacceptable =
  (response: GuardedHttp.Response) =>
  (error: unknown): GuardedHttp.FetchError =>
    new GuardedHttp.FetchError({
      url: GuardedHttp.displayUrl(response.url),
      reason: "Malformed",
      status: response.status,
      detail: `the signed answer is not acceptable: ${
        error instanceof Jose.errors.JWTClaimValidationFailed || error instanceof Jose.errors.JWTExpired
          ? error.claim
          : error instanceof Jose.errors.JOSEError
            ? error.code
            : "it is no JWS"
      }`
    })

/**
 * Reads a signed answer (RFC 9701 §5): signed by the issuer with one of the algorithms, of its own type, for one of these
 * audiences, and made within the last five minutes, give or take one.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeSigned = (
  response: GuardedHttp.Response,
  expected: {
    readonly algorithms: ReadonlyArray<string>
    readonly issuer: string
    readonly audience: ReadonlyArray<string>
    readonly keySet: JwkSet.JwkSet
  }
): Effect.Effect<IntrospectionResponse, GuardedHttp.FetchError | JwkSet.UnknownKey | JwkSet.JwkSetUnavailable> =>
  Effect.gen(function* () {
    const { algorithms, audience, issuer, keySet } = expected
    const { alg, kid } = yield* Effect.try({
      try: () => Jose.decodeProtectedHeader(response.body),
      catch: unacceptable(response)
    })
    if (alg === undefined || !algorithms.includes(alg))
      return yield* Effect.fail(unacceptable(response)(new Jose.errors.JOSEAlgNotAllowed()))
    const keys = yield* keySet.keys({ alg, kid: typeof kid === "string" ? kid : undefined })
    const verification: Jose.JWTVerifyOptions = {
      algorithms: [alg],
      typ: "token-introspection+jwt",
      issuer,
      audience: [...audience],
      requiredClaims: ["iat"],
      maxTokenAge: 300,
      clockTolerance: 60,
      currentDate: new Date(yield* Clock.currentTimeMillis)
    }
    const { payload } = yield* Effect.firstSuccessOf(
      keys.map((key) =>
        Effect.tryPromise({
          try: () => Jose.jwtVerify(response.body, key, verification),
          catch: unacceptable(response)
        })
      )
    )
    return yield* decode({ ...response, body: JSON.stringify(payload["token_introspection"] ?? null) })
  })
