/**
 * The JSON that others send, decoded by a schema, with failures that are safe to show.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/** No document that is read here goes deeper than a few levels; what prints or copies a deeper one may run out of stack. */
const MAX_DEPTH = 64

const isTooDeep = (text: string): boolean => {
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (quoted && char === "\\") i++
    else if (char === '"') quoted = !quoted
    else if (quoted) continue
    else if (char === "[" || char === "{") {
      if (++depth > MAX_DEPTH) return true
    } else if (char === "]" || char === "}") depth--
  }
  return false
}

const parse = (text: string): Either.Either<unknown, string> =>
  isTooDeep(text)
    ? Either.left(`it is nested deeper than ${MAX_DEPTH} levels`)
    : Either.try({ try: (): unknown => JSON.parse(text), catch: () => "it must be JSON" })

const violation = (issue: ParseResult.ParseIssue, path: ReadonlyArray<PropertyKey> = []): string => {
  const field = path.length === 0 ? "it" : path.join(".")
  switch (issue._tag) {
    case "Pointer":
      return violation(issue.issue, path.concat(issue.path))
    case "Composite":
      return violation("_tag" in issue.issues ? issue.issues : issue.issues[0], path)
    case "Refinement":
    case "Transformation":
      return violation(issue.issue, path)
    case "Missing":
      return `${field} is missing`
    case "Unexpected":
    case "Forbidden":
      return `${field} may not be there`
    case "Type":
      return `${field} must be ${issue.ast}`
  }
}

/**
 * Decodes a text. Total; the failure names the first field that breaks a rule, and the rule, but never a value, which
 * may be a secret or meant to mislead.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = <A, I>(schema: Schema.Schema<A, I>): ((text: string) => Either.Either<A, string>) => {
  const decodeUnknown = Schema.decodeUnknownEither(schema, { errors: "first" })
  return (text) =>
    Either.flatMap(parse(text), (json) => Either.mapLeft(decodeUnknown(json), (error) => violation(error.issue)))
}
