/**
 * The body of an answer as text, and no more of it than is wanted.
 *
 * @since 0.1.0
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/**
 * The body was not read to its end.
 *
 * @since 0.1.0
 * @category errors
 */
export class BodyTextError extends Data.TaggedError("BodyTextError")<{
  readonly reason: "TooLarge" | "Transport"
  readonly detail: string
  readonly cause?: unknown
}> {}

/**
 * Reads a body of at most `maxBytes` octets, counted as they come and not as they were announced. An empty one is an
 * empty text, and octets that are no UTF-8 are replaced.
 *
 * @since 0.1.0
 * @category decoding
 */
export const read = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<string, BodyTextError> => {
  const tooLarge = new BodyTextError({ reason: "TooLarge", detail: `the body is larger than ${maxBytes} bytes` })
  const announced = Number(response.headers["content-length"] ?? 0)
  if (announced > maxBytes) return Effect.fail(tooLarge)
  const decoder = new TextDecoder()
  return response.stream.pipe(
    Stream.runFoldEffect({ size: 0, text: "" }, (read, chunk) => {
      const size = read.size + chunk.byteLength
      return size > maxBytes
        ? Effect.fail(tooLarge)
        : Effect.succeed({ size, text: read.text + decoder.decode(chunk, { stream: true }) })
    }),
    Effect.map(({ text }) => text + decoder.decode()),
    Effect.catchAll((error) => {
      if (error._tag === "BodyTextError") return Effect.fail(error)
      if (error.reason === "EmptyBody") return Effect.succeed("")
      const detail = "the connection broke while the body was read"
      return Effect.fail(new BodyTextError({ reason: "Transport", detail, cause: error }))
    })
  )
}
