/**
 * How a client proves to an authorization server which client it is (OAuth 2.1 §2.4, RFC 7523 §2.2).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import * as Base64Url from "../protocol/Base64Url.js"
import { fail, RegistrationFailed } from "./ClientError.js"

/**
 * The registered names of the methods that are known here.
 *
 * @since 0.1.0
 * @category models
 */
export type Method = "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt"

/**
 * A private key with the algorithm it serves and, where the server knows it by one, its key id.
 *
 * @since 0.1.0
 * @category models
 */
export interface PrivateKey {
  readonly key: Redacted.Redacted<Jose.CryptoKey | Jose.JWK>
  readonly algorithm: string
  readonly keyId?: string | undefined
}

/**
 * A method together with what it needs.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientAuthentication = Data.TaggedEnum<{
  // biome-ignore lint/complexity/noBannedTypes: how Data.TaggedEnum writes a case without fields
  None: {}
  ClientSecretBasic: { readonly secret: Redacted.Redacted<string> }
  ClientSecretPost: { readonly secret: Redacted.Redacted<string> }
  PrivateKeyJwt: { readonly privateKey: PrivateKey }
}>

/**
 * The constructors.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ClientAuthentication = Data.taggedEnum<ClientAuthentication>()

/**
 * What a client can authenticate with; `method` decides where several would do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly clientSecret?: Redacted.Redacted<string> | undefined
  readonly privateKey?: PrivateKey | undefined
  readonly method?: Method | undefined
}

/**
 * The method to use at a server that lists `supported`; a server that lists none supports `client_secret_basic`
 * (RFC 8414 §2). A client that has nothing to prove itself with is public, whatever the server lists. `undefined` where
 * the client cannot do any of those listed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const choose = (
  credentials: Credentials,
  supported: ReadonlyArray<string> | undefined
): ClientAuthentication | undefined => {
  const { clientSecret, method, privateKey } = credentials
  const able: ReadonlyArray<readonly [Method, ClientAuthentication]> = [
    ...(privateKey === undefined
      ? []
      : [["private_key_jwt", ClientAuthentication.PrivateKeyJwt({ privateKey })] as const]),
    ...(clientSecret === undefined
      ? []
      : [
          ["client_secret_basic", ClientAuthentication.ClientSecretBasic({ secret: clientSecret })] as const,
          ["client_secret_post", ClientAuthentication.ClientSecretPost({ secret: clientSecret })] as const
        ]),
    ["none", ClientAuthentication.None()]
  ]
  if (method !== undefined) return able.find(([name]) => name === method)?.[1]
  if (able.length === 1) return able[0]?.[1]
  const listed = supported ?? ["client_secret_basic"]
  return able.find(([name]) => listed.includes(name))?.[1]
}

/** RFC 6749 §2.3.1: form-encoded first, each for itself, so that a colon in an id stays one. */
const formEncode = (value: string): string => new URLSearchParams([["", value]]).toString().slice(1)

const assertion = (privateKey: PrivateKey, clientId: string, issuer: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.tryPromise(async () => {
      const seconds = Math.floor(now / 1000)
      const key = Redacted.value(privateKey.key)
      const imported = "kty" in key ? await Jose.importJWK(key, privateKey.algorithm) : key
      return await new Jose.SignJWT()
        .setProtectedHeader({
          alg: privateKey.algorithm,
          typ: "client-authentication+jwt",
          ...(privateKey.keyId === undefined ? {} : { kid: privateKey.keyId })
        })
        .setIssuer(clientId)
        .setSubject(clientId)
        // The issuer and nothing else: an assertion for a token endpoint could be replayed elsewhere (RFC 7523bis).
        .setAudience(issuer)
        .setJti(Base64Url.random(16))
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + 60)
        .sign(imported)
    })
  ).pipe(
    Effect.catchAll(() =>
      fail(
        (trace) =>
          new RegistrationFailed({
            issuer,
            reason: "InvalidConfiguration",
            detail: `the private key of ${clientId} cannot sign with ${privateKey.algorithm}`,
            rule: "RFC 7523 section 2.2",
            trace
          })
      )
    )
  )

/**
 * What a request to the authorization server carries in addition: form parameters, and headers for
 * `client_secret_basic`. Never more than one method (OAuth 2.1 §2.4). An assertion is made anew each time, names the
 * issuer as its only audience and lives a minute. Fails where the private key cannot sign.
 *
 * @since 0.1.0
 * @category constructors
 */
export const present = (
  authentication: ClientAuthentication,
  client: { readonly clientId: string; readonly issuer: string }
): Effect.Effect<
  { readonly headers: Readonly<Record<string, string>>; readonly parameters: ReadonlyArray<readonly [string, string]> },
  RegistrationFailed
> => {
  const { clientId, issuer } = client
  switch (authentication._tag) {
    case "None":
      return Effect.succeed({ headers: {}, parameters: [["client_id", clientId]] })
    case "ClientSecretBasic": {
      const pair = `${formEncode(clientId)}:${formEncode(Redacted.value(authentication.secret))}`
      return Effect.succeed({ headers: { authorization: `Basic ${btoa(pair)}` }, parameters: [] })
    }
    case "ClientSecretPost":
      return Effect.succeed({
        headers: {},
        parameters: [
          ["client_id", clientId],
          ["client_secret", Redacted.value(authentication.secret)]
        ]
      })
    case "PrivateKeyJwt":
      return Effect.map(assertion(authentication.privateKey, clientId, issuer), (jwt) => ({
        headers: {},
        parameters: [
          ["client_id", clientId],
          ["client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
          ["client_assertion", jwt]
        ]
      }))
  }
}
