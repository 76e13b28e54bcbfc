/**
 * How a client comes by its client ID at an authorization server: it was given one, its ID is the URL of a document, or
 * it registers (RFC 7591).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AuthorizationServerMetadata } from "../discovery/AuthorizationServerMetadata.js"
import * as ClientAuthentication from "../discovery/ClientAuthentication.js"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"
import * as GuardedHttp from "../discovery/GuardedHttp.js"
import { fail, RegistrationFailed, type TokenStoreError, type TokenUnavailable } from "./ClientError.js"
import * as DynamicRegistration from "./DynamicRegistration.js"
import * as RegistrationChoice from "./RegistrationChoice.js"
import * as StoredRegistration from "./StoredRegistration.js"
import type * as TokenStore from "./TokenStore.js"

interface Registered {
  /** Where this holds, and nowhere else. */
  readonly issuer: string
  readonly clientId: string
  readonly authentication: ClientAuthentication.ClientAuthentication
}

/**
 * A client ID and how to authenticate with it, bound to the issuer that knows it.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientRegistration = Data.TaggedEnum<{
  PreRegistered: Registered
  MetadataDocument: Registered
  Dynamic: Registered & { readonly redirectUri: string }
}>

/**
 * The constructors.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ClientRegistration = Data.taggedEnum<ClientRegistration>()

/**
 * What an application has to offer.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = RegistrationChoice.Options

const refuse = (issuer: string, reason: RegistrationFailed["reason"], detail: string, rule: string) =>
  fail((trace) => new RegistrationFailed({ issuer, reason, detail, rule, trace }))

const authenticate = (
  issuer: string,
  credentials: ClientAuthentication.Credentials,
  supported: ReadonlyArray<string> | undefined
): Effect.Effect<ClientAuthentication.ClientAuthentication, RegistrationFailed> => {
  const authentication = ClientAuthentication.choose(credentials, supported)
  if (authentication !== undefined) return Effect.succeed(authentication)
  const listed = GuardedHttp.displayValue((supported ?? ["client_secret_basic"]).join(", "))
  const detail = `${issuer} authenticates clients by ${listed}, and this one can do none of that`
  return refuse(issuer, "InvalidConfiguration", detail, "RFC 8414 section 2")
}

const fromDocument = (options: Options, url: string, issuer: string, supported: ReadonlyArray<string> | undefined) => {
  const broken = RegistrationChoice.documentUrlViolation(url)
  if (broken !== undefined) {
    const rule = "OAuth Client ID Metadata Document section 3"
    return refuse(issuer, "InvalidConfiguration", `the client ID URL ${JSON.stringify(url)} ${broken}`, rule)
  }
  const { privateKey } = options.metadataDocument ?? {}
  // A document that declares a key makes the client confidential: `none` is no way out then.
  const credentials = {
    privateKey,
    method: privateKey === undefined ? ("none" as const) : ("private_key_jwt" as const)
  }
  return Effect.map(authenticate(issuer, credentials, supported), (authentication) =>
    ClientRegistration.MetadataDocument({ issuer, clientId: url, authentication })
  )
}

const fromCredentials = (
  credentials: RegistrationChoice.PreRegistered,
  issuer: string,
  supported: ReadonlyArray<string> | undefined
) =>
  Effect.map(authenticate(issuer, credentials, supported), (authentication) =>
    ClientRegistration.PreRegistered({ issuer, clientId: credentials.clientId, authentication })
  )

/**
 * The registration that the application itself brings for a server; there is nothing to ask and nothing to keep. Fails
 * where it brings none for this issuer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const configured = (
  options: Options,
  metadata: AuthorizationServerMetadata
): Effect.Effect<ClientRegistration, RegistrationFailed> => {
  const { issuer, token_endpoint_auth_methods_supported: supported } = metadata
  const choice = RegistrationChoice.choose({ ...options, dynamic: false }, metadata)
  const take = (): Effect.Effect<ClientRegistration, RegistrationFailed> => {
    switch (choice._tag) {
      case "PreRegistered":
        return fromCredentials(choice.credentials, issuer, supported)
      case "MetadataDocument":
        return fromDocument(options, choice.url, issuer, supported)
      default:
        return refuse(issuer, "NoMethod", choice.reason, "MCP authorization, client registration")
    }
  }
  const decision = choice._tag === "None" ? "no way to register" : `registration: ${choice._tag}`
  return Effect.zipRight(DiscoveryTrace.decide(decision, choice.reason), Effect.suspend(take))
}

/**
 * A registration at a server for a redirect URI: the one that {@link choose} finds, and for dynamic registration the one
 * in the store for that issuer and redirect URI while its secret lives, before a new one is made.
 *
 * Fails with `RegistrationFailed` where there is no way or the server says no, and with `TokenUnavailable` where it was
 * not reached.
 *
 * @since 0.1.0
 * @category constructors
 */
export const obtain = (
  options: Options,
  metadata: AuthorizationServerMetadata,
  redirectUri: string
): Effect.Effect<
  ClientRegistration,
  RegistrationFailed | TokenUnavailable | TokenStoreError,
  GuardedHttp.GuardedHttp | TokenStore.TokenStore
> =>
  Effect.gen(function* () {
    const { issuer } = metadata
    const choice = RegistrationChoice.choose(options, metadata)
    if (choice._tag !== "Dynamic") return yield* configured(options, metadata)
    yield* DiscoveryTrace.decide("registration: Dynamic", choice.reason)
    const kept = yield* StoredRegistration.load(issuer, redirectUri, yield* Clock.currentTimeMillis)
    if (Option.isSome(kept)) {
      yield* DiscoveryTrace.decide("use the registration of an earlier sign-in", "same issuer, same redirect URI")
      return ClientRegistration.Dynamic(kept.value)
    }
    return ClientRegistration.Dynamic(
      yield* DynamicRegistration.register(options.dynamic || {}, choice.endpoint, metadata, redirectUri)
    )
  })

/**
 * Whether the application itself brought the client ID of a grant: then a server that does not know it is for the
 * application to hear of, and registering anew is no remedy.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isConfigured = (
  options: Options,
  grant: { readonly issuer: string; readonly clientId: string }
): boolean =>
  RegistrationChoice.credentialsFor(options, grant.issuer)?.clientId === grant.clientId ||
  options.metadataDocument?.url === grant.clientId

/**
 * The registration under which a grant was obtained, without asking the server; `None` where it is not known any more.
 *
 * @since 0.1.0
 * @category constructors
 */
export const recall = (
  options: Options,
  grant: {
    readonly issuer: string
    readonly clientId: string
    readonly redirectUri: string
    readonly tokenEndpointAuthMethods?: ReadonlyArray<string> | undefined
  }
): Effect.Effect<Option.Option<ClientRegistration>, RegistrationFailed | TokenStoreError, TokenStore.TokenStore> =>
  Effect.gen(function* () {
    const { clientId, issuer, redirectUri, tokenEndpointAuthMethods: supported } = grant
    const credentials = RegistrationChoice.credentialsFor(options, issuer)
    if (credentials?.clientId === clientId) {
      return Option.some(yield* fromCredentials(credentials, issuer, supported))
    }
    if (options.metadataDocument?.url === clientId) {
      return Option.some(yield* fromDocument(options, clientId, issuer, supported))
    }
    const kept = yield* StoredRegistration.load(issuer, redirectUri, yield* Clock.currentTimeMillis)
    return Option.map(
      Option.filter(kept, (registration) => registration.clientId === clientId),
      (registration) => ClientRegistration.Dynamic(registration)
    )
  })

/**
 * Forgets a dynamic registration that the server does not know any more. The others are the application's to change.
 *
 * @since 0.1.0
 * @category combinators
 */
export const forget = (
  registration: ClientRegistration
): Effect.Effect<void, TokenStoreError, TokenStore.TokenStore> =>
  registration._tag === "Dynamic"
    ? StoredRegistration.remove(registration.issuer, registration.redirectUri)
    : Effect.void

interface Failure {
  readonly _tag: string
  readonly error?: string | undefined
}

/**
 * Whether a server does not know a client, or says so.
 *
 * @internal
 */
export const isInvalidClient = ({ _tag, error }: Failure): boolean =>
  (_tag === "AuthorizationRefused" || _tag === "TokenRefused") && error === "invalid_client"

/**
 * Does something as a client. One `invalid_client` is no proof that a registration is dead. Two are, and one that is
 * dynamic is forgotten then: all who signed in with it will have to again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const confirmed = <A, E extends Failure, R>(
  asked: Effect.Effect<A, E, R>,
  client: ClientRegistration
): Effect.Effect<A, E | TokenStoreError, R | TokenStore.TokenStore> =>
  Effect.catchIf(asked, isInvalidClient, () =>
    Effect.tapError(asked, (error) => (isInvalidClient(error) ? forget(client) : Effect.void))
  )

/**
 * Obtains a registration and does something with it, before any person was asked. Where the server does not know a dynamic
 * one any more, it is made anew, once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const use = <A, E extends Failure, R>(
  options: Options,
  metadata: AuthorizationServerMetadata,
  redirectUri: string,
  ask: (client: ClientRegistration) => Effect.Effect<A, E, R>
): Effect.Effect<
  A,
  E | RegistrationFailed | TokenUnavailable | TokenStoreError,
  R | GuardedHttp.GuardedHttp | TokenStore.TokenStore
> => {
  const once = Effect.flatMap(obtain(options, metadata, redirectUri), (client) => confirmed(ask(client), client))
  const isDynamic = RegistrationChoice.choose(options, metadata)._tag === "Dynamic"
  return Effect.catchIf(
    once,
    (error) => isDynamic && isInvalidClient(error),
    () =>
      Effect.zipRight(
        DiscoveryTrace.decide("register again", `${metadata.issuer} does not know the client any more`),
        once
      )
  )
}
