/**
 * The body of a request as the MCP server behind the guard will read it, or a refusal where that cannot be known.
 *
 * @since 0.1.0
 */
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidRequest } from "./AuthError.js"

/** Where the platform's own `MaxBodySize` says nothing: as much as the official SDK takes. */
const MAX_BYTES = 4 * 1024 * 1024

/** A body that comes in drops holds a connection and memory, and not every runtime sets a limit. */
const MAX_TIME = "1 minute"

const refuse = (description: string): Effect.Effect<never, InvalidRequest> => new InvalidRequest({ description })

const tooLarge = (max: number) => refuse(`the body must not be larger than ${max} bytes`)

/** Unlike `parseFloat`: a length that is none is somebody else's to complain about. */
const announced = (request: HttpServerRequest.HttpServerRequest): number => {
  const length = request.headers["content-length"] ?? ""
  return /^\d+$/.test(length) ? Number(length) : 0
}

const charsetOf = (contentType: string): string =>
  /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType)?.[1]?.toLowerCase() ?? "utf-8"

/**
 * Reads the text of the body once; the request keeps it, so that the server behind reads the very same. A body that
 * another parser may read differently is refused with `InvalidRequest`: one that is compressed, in another encoding than
 * UTF-8, or larger than the platform's `MaxBodySize` (4 MiB where that is not set). So is one that takes over a minute.
 *
 * @since 0.1.0
 * @category parsing
 */
export const text = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string, InvalidRequest> =>
  Effect.gen(function* () {
    const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? ""
    if (encoding !== "" && encoding !== "identity") return yield* refuse("the body must not be compressed")
    const charset = charsetOf(request.headers["content-type"] ?? "")
    if (charset !== "utf-8" && charset !== "utf8") return yield* refuse("the body must be UTF-8")
    const limit = yield* HttpIncomingMessage.MaxBodySize
    const max = Option.match(limit, { onNone: () => MAX_BYTES, onSome: Number })
    if (announced(request) > max) return yield* tooLarge(max)
    const body = yield* request.text.pipe(
      HttpIncomingMessage.withMaxBodySize(Option.some(max)),
      Effect.mapError(() => new InvalidRequest({ description: "the body of the request cannot be read" })),
      Effect.timeoutFail({
        duration: MAX_TIME,
        onTimeout: () => new InvalidRequest({ description: "the body must arrive within a minute" })
      }),
      // Servers run apps uninterruptibly, in which no timeout ends anything.
      Effect.interruptible
    )
    // Not every runtime counts while it reads. No character has more than three bytes a unit.
    if (body.length > max || (body.length * 3 > max && new TextEncoder().encode(body).length > max)) {
      return yield* tooLarge(max)
    }
    return body
  })

/**
 * Reads the body as JSON (RFC 8259). What is no JSON is refused: a lenient parser behind might find an operation in it.
 *
 * @since 0.1.0
 * @category parsing
 */
export const json = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<unknown, InvalidRequest> =>
  Effect.flatMap(text(request), (body) =>
    Effect.try({
      try: (): unknown => JSON.parse(body),
      catch: () => new InvalidRequest({ description: "the body must be JSON in UTF-8, without a byte order mark" })
    })
  )
