/**
 * What the guard costs: CPU time of a request through an in-process web handler, as a ratio to the same app unguarded.
 * Interleaved rounds, medians; no figure here is a test.
 *
 *     node --import tsx bench/guard.ts
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AuthConfig, Authorizer, CachedAuthorizer, HttpAppAuth, JwtAuthorizer } from "effect-mcp-auth/server"
import { exportJWK, generateKeyPair, SignJWT } from "jose"

const issuer = "https://as.example.com"
const resource = "https://mcp.example.com/mcp"
const ROUNDS = 15
const REQUESTS = 2_000

const { privateKey, publicKey } = await generateKeyPair("RS256")
const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256", use: "sig" }

const sign = (subject: string) =>
  new SignJWT({ client_id: "c1", scope: "mcp:tools", jti: subject })
    .setProtectedHeader({ alg: "RS256", typ: "at+jwt", kid: "k1" })
    .setIssuer(issuer)
    .setAudience(resource)
    .setSubject(subject)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey)

const issuerClient = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request, url) =>
    Effect.succeed(
      HttpClientResponse.fromWeb(
        request,
        Response.json(
          url.pathname.startsWith("/.well-known") ? { issuer, jwks_uri: `${issuer}/jwks` } : { keys: [jwk] }
        )
      )
    )
  )
)

const config = AuthConfig.layer({ resource, authorizationServers: issuer, requiredScopes: ["mcp:tools"] })
const cached = Layer.scoped(
  Authorizer.Authorizer,
  Effect.flatMap(JwtAuthorizer.make(), CachedAuthorizer.make({ capacity: 100_000, maxAge: "1 hour" }))
)
const app = Effect.succeed(HttpServerResponse.text("ok"))
const guarded = HttpAppAuth.middleware(app)
const services = (
  authorizer: Layer.Layer<Authorizer.Authorizer, never, AuthConfig.AuthConfig | HttpClient.HttpClient>
) => authorizer.pipe(Layer.provide(issuerClient), Layer.provideMerge(config))

const unguardedHandler = HttpApp.toWebHandler(app)
const { handler: jwtHandler } = HttpApp.toWebHandlerLayer(guarded, services(JwtAuthorizer.layer()))
const { handler: cachedHandler } = HttpApp.toWebHandlerLayer(guarded, services(cached))

const tokens = await Promise.all(Array.from({ length: 50 }, (_, index) => sign(`user-${index}`)))
const unknownKid = (await sign("x")).replace(
  /^[^.]+/,
  btoa(JSON.stringify({ alg: "RS256", typ: "at+jwt", kid: "nope" })).replace(/=+$/, "")
)

type Handler = (request: Request) => Promise<Response>
const cases: ReadonlyArray<readonly [string, Handler, (index: number) => string | undefined, number]> = [
  ["unguarded", unguardedHandler, () => undefined, 200],
  ["guarded, seen token", cachedHandler, (index) => tokens[index % tokens.length], 200],
  ["guarded, first sight (RS256)", jwtHandler, (index) => tokens[index % tokens.length], 200],
  ["401, no credentials", jwtHandler, () => undefined, 401],
  ["401, malformed token", jwtHandler, () => "not-a-jwt", 401],
  ["401, unknown kid", jwtHandler, () => unknownKid, 401]
]

const run = async (handler: Handler, token: (index: number) => string | undefined, status: number) => {
  const requests = Array.from({ length: REQUESTS }, (_, index) => {
    const value = token(index)
    return new Request(resource, value === undefined ? {} : { headers: { authorization: `Bearer ${value}` } })
  })
  const before = process.cpuUsage()
  for (const request of requests) {
    const response = await handler(request)
    if (response.status !== status) throw new Error(`expected ${status}, got ${response.status}`)
  }
  const { system, user } = process.cpuUsage(before)
  return (user + system) / REQUESTS
}

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const times = new Map(cases.map(([name]) => [name, [] as Array<number>]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, handler, token, status] of cases) times.get(name)?.push(await run(handler, token, status))
}
const base = median(times.get("unguarded") ?? [])
console.log(
  `${process.versions["bun"] ? `Bun ${process.versions["bun"]}` : `Node ${process.version}`}, ${ROUNDS} rounds of ${REQUESTS}`
)
for (const [name, values] of times) {
  const cpu = median(values)
  console.log(
    `${name.padEnd(32)} ${cpu.toFixed(1).padStart(7)} µs CPU   + ${(cpu - base).toFixed(1).padStart(6)}   speed ÷ unguarded ${(base / cpu).toFixed(2)}`
  )
}
process.exit(0)
