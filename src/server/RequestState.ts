/**
 * State that a server hands to its client and gets back with the next request: the `requestState` of multi-round-trip
 * requests (MCP 2026-07-28), or any other handle of a server that keeps nothing itself.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import * as Base64Url from "../protocol/Base64Url.js"
import { CurrentClaims } from "./Claims.js"

/**
 * Why a state is of no use, for logs; a client is told that it is not valid, and no more.
 *
 * - `malformed`: no state at all, or changed on its way.
 * - `key`: sealed with a key that is not among those of this server, or a key that is none.
 * - `expired`, `caller`, `purpose`: it was good at another time, for somebody else, or for something else.
 * - `value`: what is in it does not fit the schema, or is too large.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestStateError extends Schema.TaggedError<RequestStateError>(
  "effect-mcp-auth/server/RequestStateError"
)("RequestStateError", {
  reason: Schema.Literal("malformed", "key", "expired", "caller", "purpose", "value"),
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `The request state is not valid (${this.reason}${this.detail === undefined ? "" : `: ${this.detail}`})`
  }
}

interface Key {
  readonly kid: string
  readonly secret: CryptoKey
}

/**
 * The keys of a server, or of all servers of a fleet. The first one seals, each of them opens.
 *
 * @since 0.1.0
 * @category services
 */
export class RequestStateKeys extends Context.Tag("effect-mcp-auth/server/RequestStateKeys")<
  RequestStateKeys,
  readonly [Key, ...ReadonlyArray<Key>]
>() {}

const importKey = (key: Redacted.Redacted, index: number): Effect.Effect<Key, RequestStateError> =>
  Effect.gen(function* () {
    const value = Redacted.value(key)
    if (!/^[A-Za-z0-9_-]{43}$/.test(value)) {
      return yield* new RequestStateError({ reason: "key", detail: `key ${index} is not 32 octets in base64url` })
    }
    const octets = new Uint8Array(Jose.base64url.decode(value))
    const secret = yield* Effect.promise(() =>
      crypto.subtle.importKey("raw", octets, "AES-GCM", false, ["encrypt", "decrypt"])
    )
    // To find the key again, and of no use to find it out.
    const kid = yield* Effect.promise(() => Base64Url.sha256(`effect-mcp-auth/RequestState ${value}`))
    return { kid: kid.slice(0, 11), secret }
  })

type Keys = readonly [Redacted.Redacted, ...ReadonlyArray<Redacted.Redacted>]

const importKeys = ([current, ...previous]: Keys) =>
  Effect.zipWith(
    importKey(current, 0),
    Effect.forEach(previous, (key, index) => importKey(key, index + 1)),
    (first, others) => [first, ...others] as const
  )

/**
 * Keys of 32 random octets in base64url, as `openssl rand -base64 32 | tr '+/' '-_' | tr -d '='` prints them. To replace
 * a key put the new one first, and drop the old one when the states that it sealed have expired. Fails where one is no
 * such key.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeys = (keys: Keys): Layer.Layer<RequestStateKeys, RequestStateError> =>
  Layer.effect(RequestStateKeys, importKeys(keys))

/**
 * The same keys from a configuration value, apart by commas or white space: `MCP_AUTH_REQUEST_STATE_KEYS` unless another
 * name is given. Fails where there is none, or one is no such key, without what was given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  name = "MCP_AUTH_REQUEST_STATE_KEYS"
): Layer.Layer<RequestStateKeys, ConfigError.ConfigError> => {
  const invalid = (rule: string) => ConfigError.InvalidData([name], rule)
  return Layer.effect(
    RequestStateKeys,
    Effect.flatMap(Config.redacted(name), (text) => {
      const words = Redacted.value(text).split(/[\s,]+/)
      const [first, ...others] = words.filter((word) => word !== "").map((word) => Redacted.make(word))
      return first === undefined
        ? Effect.fail(invalid("there is no key"))
        : Effect.mapError(importKeys([first, ...others]), ({ detail }) => invalid(detail ?? "not a key"))
    })
  )
}

/** Whose it is, what for, until when (in milliseconds since 1970), and the value. A client sees none of it. */
const Envelope = Schema.parseJson(
  Schema.Struct({
    issuer: Schema.String,
    subject: Schema.String,
    clientId: Schema.NullOr(Schema.String),
    purpose: Schema.String,
    until: Schema.Number,
    value: Schema.Unknown
  })
)

/**
 * Seals values into states and opens them again, for the caller of the request. `purpose` is what the state is for, down
 * to the request that it continues, such as `tools/call deploy`: a state for one purpose does not open for another.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestState<A> {
  readonly seal: (value: A, purpose: string) => Effect.Effect<string, RequestStateError, CurrentClaims>
  readonly open: (state: string, purpose: string) => Effect.Effect<A, RequestStateError, CurrentClaims>
}

/** Of a state. What is larger belongs into a store. */
const MAX_LENGTH = 65_536

/**
 * Makes the two verbs for states that hold a value of the schema and are good for `maxAge`, 10 minutes by default. A state
 * is encrypted and authenticated (JWE, `dir` with `A256GCM`), and bound to issuer, subject and client of its caller, so
 * it survives the renewal of a token. It can be used several times until it expires.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { RequestState } from "effect-mcp-auth/server"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * export const confirm = Effect.gen(function* () {
 *   const state = yield* RequestState.make({ schema: Schema.Struct({ environment: Schema.String }) })
 *   const sealed = yield* state.seal({ environment: "production" }, "tools/call deploy")
 *   return yield* state.open(sealed, "tools/call deploy")
 * })
 * ```
 */
export const make = <A, I>(options: {
  readonly schema: Schema.Schema<A, I>
  readonly maxAge?: Duration.DurationInput | undefined
}): Effect.Effect<RequestState<A>, never, RequestStateKeys> =>
  Effect.map(RequestStateKeys, (keys) => {
    const maxAge = Duration.toMillis(options.maxAge ?? "10 minutes")
    const encodeValue = Schema.encode(options.schema)
    const decodeValue = Schema.decodeUnknown(options.schema)
    const invalid = () => new RequestStateError({ reason: "value" })

    const encrypt = (plaintext: string) =>
      Effect.promise(() =>
        new Jose.CompactEncrypt(new TextEncoder().encode(plaintext))
          .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: keys[0].kid })
          .encrypt(keys[0].secret)
      )

    const decrypt = (state: string) =>
      Effect.tryPromise({
        try: () =>
          Jose.compactDecrypt(
            state,
            ({ kid }) => {
              const key = keys.find((candidate) => candidate.kid === kid)
              if (key === undefined) throw new RequestStateError({ reason: "key" })
              return key.secret
            },
            { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] }
          ),
        catch: (error) => (error instanceof RequestStateError ? error : new RequestStateError({ reason: "malformed" }))
      }).pipe(Effect.map(({ plaintext }) => new TextDecoder().decode(plaintext)))

    return {
      seal: (value, purpose) =>
        Effect.gen(function* () {
          const { clientId, issuer, subject } = yield* CurrentClaims
          const until = (yield* Clock.currentTimeMillis) + maxAge
          const encoded = yield* Effect.mapError(encodeValue(value), invalid)
          const envelope = { issuer, subject, clientId: clientId ?? null, purpose, until, value: encoded }
          const state = yield* encrypt(yield* Effect.mapError(Schema.encode(Envelope)(envelope), invalid))
          if (state.length > MAX_LENGTH) {
            return yield* new RequestStateError({ reason: "value", detail: `longer than ${MAX_LENGTH} characters` })
          }
          return state
        }),
      open: (state, purpose) =>
        Effect.gen(function* () {
          const { clientId, issuer, subject } = yield* CurrentClaims
          if (state.length > MAX_LENGTH) return yield* new RequestStateError({ reason: "malformed" })
          const envelope = yield* Effect.mapError(Schema.decode(Envelope)(yield* decrypt(state)), invalid)
          const isOwn =
            envelope.issuer === issuer && envelope.subject === subject && envelope.clientId === (clientId ?? null)
          if (!isOwn) return yield* new RequestStateError({ reason: "caller" })
          if (envelope.purpose !== purpose) return yield* new RequestStateError({ reason: "purpose" })
          if ((yield* Clock.currentTimeMillis) >= envelope.until) {
            return yield* new RequestStateError({ reason: "expired" })
          }
          return yield* Effect.mapError(decodeValue(envelope.value), invalid)
        })
    }
  })
