/**
 * What the guard costs: CPU time of a request through an in-process web handler, against the same app unguarded that gets
 * the same request in the same round. Medians of interleaved rounds; a ratio is the median of the rounds' ratios. No figure
 * here is a test. It measures what is published, so build first:
 *
 *     npm run build && node bench/guard.ts                            (Node 24; no loader, which would slow closures down)
 *     TSX_TSCONFIG_PATH=tsconfig.build.json node --import tsx bench/guard.ts                                   (Node 20)
 *     bun --tsconfig-override=tsconfig.build.json bench/guard.ts                                                    (Bun)
 */
import { createVerify, KeyObject } from "node:crypto"
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
const ROUNDS = 21
const REQUESTS = 1_000

const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true })
const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256", use: "sig" }

const sign = (subject: string, kid = "k1") =>
  new SignJWT({ client_id: "c1", scope: "mcp:tools", jti: subject })
    .setProtectedHeader({ alg: "RS256", typ: "at+jwt", kid })
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

const services = Layer.scoped(
  Authorizer.Authorizer,
  Effect.flatMap(JwtAuthorizer.make(), CachedAuthorizer.make({ capacity: 10_000, maxAge: "1 hour" }))
)
const config = AuthConfig.layer({ resource, authorizationServers: issuer, requiredScopes: ["mcp:tools"] })
const handlerOf = (app: HttpApp.Default<never, AuthConfig.AuthConfig | Authorizer.Authorizer>, remember = true) =>
  HttpApp.toWebHandlerLayer(
    app,
    (remember ? services : JwtAuthorizer.layer()).pipe(Layer.provide(issuerClient), Layer.provideMerge(config))
  ).handler

const app = Effect.succeed(HttpServerResponse.text("ok"))
const unguarded = handlerOf(app)
const guarded = handlerOf(HttpAppAuth.middleware(app))
const forgetful = handlerOf(HttpAppAuth.middleware(app), false)

const tokens = await Promise.all(Array.from({ length: 50 }, (_, index) => sign(`user-${index}`)))
const unknownKid = await sign("x", "nope")

interface Case {
  readonly name: string
  readonly handler: (request: Request) => Promise<Response>
  readonly tokens: ReadonlyArray<string | undefined>
  readonly status: number
}
const cases: ReadonlyArray<Case> = [
  { name: "seen token", handler: guarded, tokens, status: 200 },
  { name: "first sight, RS256", handler: forgetful, tokens, status: 200 },
  { name: "401, no credentials", handler: guarded, tokens: [undefined], status: 401 },
  { name: "401, malformed token", handler: guarded, tokens: ["not-a-jwt"], status: 401 },
  { name: "401, unknown kid", handler: guarded, tokens: [unknownKid], status: 401 }
]

/** CPU time of one request in microseconds, threads of the runtime included. */
const run = async ({ handler, tokens, status }: Omit<Case, "name">): Promise<number> => {
  const requests = Array.from({ length: REQUESTS }, (_, index) => {
    const token = tokens[index % tokens.length]
    return new Request(resource, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
  })
  const before = process.cpuUsage()
  for (const request of requests) {
    const response = await handler(request)
    if (response.status !== status) throw new Error(`expected ${status}, got ${response.status}`)
  }
  const { system, user } = process.cpuUsage(before)
  return (user + system) / REQUESTS
}

const nodeKey = KeyObject.from(publicKey)
const signed = tokens.map((token) => {
  const end = token.lastIndexOf(".")
  return { data: token.slice(0, end), signature: Buffer.from(token.slice(end + 1), "base64url") }
})
/** The yardstick: nothing but one synchronous signature check of the same tokens. */
const checkSignatures = (): number => {
  const before = process.cpuUsage()
  for (let index = 0; index < REQUESTS; index++) {
    const { data, signature } = signed[index % signed.length] as (typeof signed)[number]
    if (!createVerify("sha256").update(data).verify(nodeKey, signature)) throw new Error("not verified")
  }
  const { system, user } = process.cpuUsage(before)
  return (user + system) / REQUESTS
}

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

interface Round {
  readonly cpu: number
  readonly base: number
  readonly check: number
}
const rounds = new Map(cases.map(({ name }) => [name, [] as Array<Round>]))
for (let round = -3; round < ROUNDS; round++) {
  const check = checkSignatures()
  for (const one of cases) {
    const base = await run({ ...one, handler: unguarded, status: 200 })
    const cpu = await run(one)
    if (round >= 0) rounds.get(one.name)?.push({ cpu, base, check })
  }
}

const all = [...rounds.values()].flat()
const us = (value: number) => value.toFixed(1).padStart(7)
console.log(
  `${process.versions["bun"] ? `Bun ${process.versions["bun"]}` : `Node ${process.version}`}, ${ROUNDS} rounds of ${REQUESTS} requests; CPU µs a request`
)
console.log(
  `one RS256 check ${us(median(all.map(({ check }) => check)))}, unguarded ${us(median(all.map(({ base }) => base)))}`
)
console.log(`${" ".repeat(22)}   guarded     added   speed ÷ unguarded   added ÷ RS256 check`)
for (const [name, values] of rounds) {
  const added = median(values.map(({ base, cpu }) => cpu - base))
  const speed = median(values.map(({ base, cpu }) => base / cpu))
  const checks = median(values.map(({ base, check, cpu }) => (cpu - base) / check))
  console.log(
    `${name.padEnd(22)}   ${us(median(values.map(({ cpu }) => cpu)))}   ${us(added)}   ${speed.toFixed(2).padStart(17)}   ${checks.toFixed(2).padStart(19)}`
  )
}
process.exit(0)
