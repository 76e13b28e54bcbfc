/**
 * The refusals of the guard as an `HttpApi` declares and sends them, and as its clients read them.
 *
 * @since 0.1.0
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Scopes from "../protocol/Scopes.js"
import * as WwwAuthenticate from "../protocol/WwwAuthenticate.js"
import * as AuthError from "./AuthError.js"
import * as Challenge from "./Challenge.js"

type Response = HttpServerResponse.HttpServerResponse

/**
 * Has a response take the place of whatever is about to be sent, but for the headers that others add, such as a CORS
 * middleware. An `HttpApi` renders failures by their schemas, which know bodies and no headers.
 *
 * @internal
 */
export const send = ({ body, headers, status }: Response): Effect.Effect<void> =>
  HttpApp.appendPreResponseHandler((_, rendered) => {
    const exposed = rendered.headers["access-control-expose-headers"]
    return Effect.succeed(
      rendered.pipe(
        HttpServerResponse.setStatus(status),
        HttpServerResponse.setHeaders(headers),
        exposed === undefined ? identity : HttpServerResponse.setHeader("access-control-expose-headers", exposed),
        HttpServerResponse.setBody(body)
      )
    )
  })

type Answer = (error: AuthError.AuthError) => Effect.Effect<Response>

/** How refusals of handlers are answered, by what the server has of the request. */
const answers = new WeakMap<object, Answer>()

/**
 * Says how the refusals of the handler of a request are answered.
 *
 * @internal
 */
export const answerWith = (source: object, answer: Answer | undefined): void => {
  if (answer === undefined) answers.delete(source)
  else answers.set(source, answer)
}

/** Runs where an `HttpApi` renders the failure of a handler. A guard has sent its own already. */
const sendOfHandler = (error: AuthError.AuthError): Effect.Effect<void> =>
  Effect.contextWithEffect((context: Context.Context<never>) => {
    const request = Context.getOption(context, HttpServerRequest.HttpServerRequest)
    const answer = Option.isSome(request) ? answers.get(request.value.source as object) : undefined
    return answer === undefined ? Effect.void : Effect.flatMap(answer(error), send)
  })

/** The name of the schema in OpenAPI documents. */
const IDENTIFIER = "AuthorizationRefusal"

/** What {@link readHeaders} adds to a body is for the schemas alone. */
const Body = Schema.Struct({
  error: Schema.String,
  error_description: Schema.String,
  www_authenticate: Schema.optional(Schema.String),
  retry_after: Schema.optional(Schema.String)
}).annotations({
  identifier: IDENTIFIER,
  jsonSchema: {
    type: "object",
    required: ["error", "error_description"],
    properties: { error: { type: "string" }, error_description: { type: "string" } }
  }
})

type Body = typeof Body.Type

const refusal = <A extends AuthError.AuthError>(
  status: Challenge.Refusal["status"],
  description: string,
  schema: Schema.Schema<A>,
  decode: (body: Body) => A
) =>
  // The description is that of the response, and the schema of all bodies is one.
  Schema.transformOrFail(Body, schema.annotations({ description }), {
    strict: true,
    decode: (body) => ParseResult.succeed(decode(body)),
    encode: (error) => Effect.as(sendOfHandler(error), Challenge.body(error))
  }).annotations(HttpApiSchema.annotations({ status, identifier: IDENTIFIER }))

const parametersOf = ({ www_authenticate: header }: Body): Readonly<Record<string, string>> =>
  header === undefined
    ? {}
    : (WwwAuthenticate.parse(header).find((challenge) => WwwAuthenticate.hasScheme(challenge, "Bearer"))?.parameters ??
      {})

const missing = Challenge.body(AuthError.missing)

/** What a client can learn of the reason, by the code and by the description. */
const reasons: ReadonlyMap<string, AuthError.InvalidToken["reason"]> = new Map([
  ["insufficient_user_authentication", "authentication"],
  ["The access token has expired", "expired"]
])

const unauthorized = (body: Body): AuthError.Missing | AuthError.InvalidToken => {
  if (body.error === missing.error && body.error_description === missing.error_description) return AuthError.missing
  const { error, error_description, resource_metadata, scope, ...parameters } = parametersOf(body)
  return new AuthError.InvalidToken({
    reason: reasons.get(body.error) ?? reasons.get(body.error_description) ?? "other",
    description: body.error_description,
    ...(body.error === "invalid_token" ? {} : { code: body.error }),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters })
  })
}

const InternalError = Schema.typeSchema(AuthError.ServerError).pipe(
  Schema.filter(({ retryAfter }) => retryAfter === undefined)
)

const Unavailable = Schema.typeSchema(AuthError.ServerError).pipe(
  Schema.filter(({ retryAfter }) => retryAfter !== undefined)
)

/**
 * All refusals, each with its status.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = Schema.Union(
  refusal(
    400,
    "The credentials are not well-formed, or came twice or in the query",
    Schema.typeSchema(AuthError.InvalidRequest),
    ({ error_description }) => new AuthError.InvalidRequest({ description: error_description })
  ),
  refusal(
    401,
    "No access token, or one that is not accepted",
    Schema.Union(Schema.typeSchema(AuthError.Missing), Schema.typeSchema(AuthError.InvalidToken)),
    unauthorized
  ),
  refusal(
    403,
    "The access token lacks scopes that the operation needs; the challenge names them",
    Schema.typeSchema(AuthError.InsufficientScope),
    (body) =>
      new AuthError.InsufficientScope({
        required: Scopes.parse(parametersOf(body)["scope"] ?? ""),
        description: body.error_description
      })
  ),
  refusal(500, "The decision could not be taken", InternalError, () => new AuthError.ServerError({})),
  refusal(
    503,
    "The decision cannot be taken for now",
    Unavailable,
    ({ retry_after = "" }) =>
      new AuthError.ServerError({ retryAfter: /^\d{1,9}$/.test(retry_after) ? Number(retry_after) : 1 })
  )
)

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Those of {@link schema} whose headers say something. */
const statuses: ReadonlyArray<number> = [401, 403, 503] satisfies ReadonlyArray<Challenge.Refusal["status"]>

/** Not every refusal on the way to a server is one of ours: what is no JSON object stays as it is. */
const extend = (text: string, more: Partial<Body>): string => {
  try {
    const body: unknown = JSON.parse(text)
    return isRecord(body) ? JSON.stringify({ ...body, ...more }) : text
  } catch {
    return text
  }
}

/**
 * Has the client of an `HttpApi` read the headers of refusals as well as their bodies: `InsufficientScope` then names the
 * scopes, `InvalidToken` has the further parameters of its challenge, `ServerError` the seconds to wait.
 *
 * @since 0.1.0
 * @category client
 */
export const readHeaders = (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.transformResponse(
    client,
    Effect.flatMap((response) => {
      const { "retry-after": retry_after, "www-authenticate": www_authenticate } = response.headers
      if (!statuses.includes(response.status) || (retry_after ?? www_authenticate) === undefined) {
        return Effect.succeed(response)
      }
      const more = {
        ...(retry_after === undefined ? {} : { retry_after }),
        ...(www_authenticate === undefined ? {} : { www_authenticate })
      }
      const { "content-encoding": _encoding, "content-length": _length, ...headers } = response.headers
      return Effect.map(response.text, (text) =>
        HttpClientResponse.fromWeb(
          response.request,
          new globalThis.Response(extend(text, more), { status: response.status, headers })
        )
      )
    })
  )
