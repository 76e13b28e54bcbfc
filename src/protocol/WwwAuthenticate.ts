/**
 * The `WWW-Authenticate` header as a value: many challenges in, many challenges out.
 *
 * @since 0.1.0
 */

/**
 * One challenge of RFC 9110 §11.3: a scheme with either a `token68` or parameters. Parameter names are lower case,
 * the scheme keeps the case it was received with (compare it with {@link hasScheme}).
 *
 * @since 0.1.0
 * @category models
 */
export interface Challenge {
  readonly scheme: string
  readonly token68?: string
  readonly parameters: Readonly<Record<string, string>>
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const TOKEN68 = /^[-A-Za-z0-9._~+/]+=*$/
const tokenAt = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const token68At = /[-A-Za-z0-9._~+/]+=*(?=[ \t]*(?:,|$))/y
const whitespaceAt = /[ \t]*/y
const bareValueAt = /[^\s,"]+/y
const parameterAt = /[ \t]+[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=/y
const challengeAt = /[ \t]+[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]+[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*"/y

/**
 * Whether a challenge is of a scheme; schemes compare without regard to case (RFC 9110 §11.1).
 *
 * @since 0.1.0
 * @category guards
 * @example
 * ```ts
 * import { WwwAuthenticate } from "effect-mcp-auth/protocol"
 *
 * const [challenge] = WwwAuthenticate.parse("bearer realm=\"mcp\"")
 * console.log(challenge !== undefined && WwwAuthenticate.hasScheme(challenge, "Bearer")) // true
 * ```
 */
export const hasScheme = (challenge: Challenge, scheme: string): boolean =>
  challenge.scheme.toLowerCase() === scheme.toLowerCase()

/**
 * Reads a field value, or several joined by commas, into its challenges (RFC 9110 §11.6.1). It is total: a part that
 * does not parse is left out and everything around it is kept, a challenge that repeats a parameter is left out whole
 * (§11.2), and no input throws.
 *
 * Servers in the wild forget to escape quotes, forget commas and send URLs unquoted; where the grammar leaves no valid
 * reading, those are read as meant. The time taken grows linearly with the input.
 *
 * @since 0.1.0
 * @category parsing
 * @example
 * ```ts
 * import { WwwAuthenticate } from "effect-mcp-auth/protocol"
 *
 * const challenges = WwwAuthenticate.parse("DPoP algs=\"ES256\", Bearer error=\"invalid_token\", scope=\"a b\"")
 * console.log(challenges.map((challenge) => challenge.scheme)) // ["DPoP", "Bearer"]
 * console.log(challenges[1]?.parameters["scope"]) // "a b"
 * ```
 */
export const parse = (header: string): ReadonlyArray<Challenge> => {
  const challenges: Array<Challenge> = []
  let current:
    | { scheme: string; token68: string | undefined; parameters: Map<string, string>; broken: boolean }
    | undefined
  let at = 0
  /** Whether a comma, or the beginning, is what comes before. */
  let separated = true
  /** Whether a quoted string may still hold unescaped quotes: not once one has been left open to the end. */
  let lenient = true

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(header)
    if (match === null) return undefined
    at = pattern.lastIndex
    return match[0]
  }
  const sees = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    return pattern.test(header)
  }
  const flush = () => {
    if (current !== undefined && !current.broken) {
      challenges.push({
        scheme: current.scheme,
        ...(current.token68 === undefined ? {} : { token68: current.token68 }),
        parameters: Object.fromEntries(current.parameters)
      })
    }
    current = undefined
  }
  /** A quote ends the string only where the grammar could go on; any other one was left unescaped. */
  const endsHere = (): boolean => {
    if (sees(parameterAt) || sees(challengeAt)) return true
    whitespaceAt.lastIndex = at
    whitespaceAt.exec(header)
    const next = header[whitespaceAt.lastIndex]
    return next === undefined || next === ","
  }
  const quotedString = (): string | undefined => {
    let value = ""
    let firstQuote: { readonly value: string; readonly at: number } | undefined
    at++
    while (at < header.length) {
      const char = header[at++] as string
      if (char === "\\" && at < header.length) value += header[at++]
      else if (char !== '"') value += char
      else if (!lenient || endsHere()) return value
      else {
        firstQuote ??= { value, at }
        value += char
      }
    }
    if (firstQuote === undefined) return undefined
    // No quote up to the end could close the string, so the first one did, and what follows it is at fault.
    lenient = false
    at = firstQuote.at
    return firstQuote.value
  }
  /** What does not parse is passed over up to the next comma; what was read so far stands. */
  const skip = () => {
    const comma = header.indexOf(",", at)
    at = comma === -1 ? header.length : comma
  }

  while (at < header.length) {
    take(whitespaceAt)
    if (header[at] === ",") {
      at++
      separated = true
      continue
    }
    const name = take(tokenAt)
    if (name === undefined) {
      skip()
      continue
    }
    const startsHere = separated || sees(parameterAt)
    const afterName = at
    separated = false
    take(whitespaceAt)
    if (header[at] === "=") {
      at++
      take(whitespaceAt)
      const value = header[at] === '"' ? quotedString() : take(bareValueAt)
      if (current !== undefined && value !== undefined) {
        const key = name.toLowerCase()
        if (current.parameters.has(key)) current.broken = true
        current.parameters.set(key, value)
        // `Bearer scope=, error="x"`: what looked like a token68 cannot have been one.
        current.token68 = undefined
      }
      continue
    }
    const standsAlone = at > afterName || at === header.length || header[at] === ","
    if (!startsHere || !standsAlone) {
      skip()
      continue
    }
    flush()
    current = {
      scheme: name,
      token68: at > afterName ? take(token68At) : undefined,
      parameters: new Map(),
      broken: false
    }
  }
  flush()
  return challenges
}

const sanitize = (value: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be replaced
  value.replace(/[\u0000-\u001f\u007f]/g, " ").replace(/[^\u0020-\u007e]/g, "?")

const renderOne = (challenge: Challenge): string | undefined => {
  if (!TOKEN.test(challenge.scheme)) return undefined
  if (challenge.token68 !== undefined && TOKEN68.test(challenge.token68)) {
    return `${challenge.scheme} ${challenge.token68}`
  }
  const parameters = new Map<string, string>()
  for (const [name, value] of Object.entries(challenge.parameters)) {
    const key = name.toLowerCase()
    if (!TOKEN.test(name) || parameters.has(key)) continue
    parameters.set(key, `${name}="${sanitize(value).replace(/["\\]/g, "\\$&")}"`)
  }
  return [challenge.scheme, Array.from(parameters.values()).join(", ")].filter((part) => part !== "").join(" ")
}

/**
 * Renders challenges as one field value, in the order given. It is total: control characters become a space, characters
 * beyond ASCII a question mark, `"` and `\` are escaped. Left out are what has no legal name, a second spelling of one
 * name (§11.2), and a `token68` that is none. For every challenge of legal names in lower case and printable ASCII values,
 * `parse(render([c]))` is `[c]`. `error`, `error_description` and `scope` may not hold `"` or `\` even when escaped
 * (RFC 6750 §3): that is for whoever writes them.
 *
 * @since 0.1.0
 * @category rendering
 * @example
 * ```ts
 * import { WwwAuthenticate } from "effect-mcp-auth/protocol"
 *
 * console.log(WwwAuthenticate.render([{ scheme: "Bearer", parameters: { scope: "files:read" } }]))
 * // Bearer scope="files:read"
 * ```
 */
export const render = (challenges: ReadonlyArray<Challenge>): string =>
  challenges
    .map(renderOne)
    .filter((rendered) => rendered !== undefined)
    .join(", ")
