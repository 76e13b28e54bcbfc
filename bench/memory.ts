/**
 * What a remembered token takes: the heap before and after a cache has seen more tokens than it may hold, divided by those
 * that it holds. Each token is a JWT of 565 characters with eight claims.
 *
 *     npm run build && node --expose-gc bench/memory.ts
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { AuthError, Authorizer, CachedAuthorizer, JwtAccessToken, TokenProfile } from "effect-mcp-auth/server"
import { base64url, decodeJwt } from "jose"

const issuer = "https://as.example.com"
const resource = "https://mcp.example.com/mcp"
const CAPACITY = 10_000

const encode = (value: unknown) => base64url.encode(JSON.stringify(value))

const tokenOf = (n: number): string => {
  const payload = {
    iss: issuer,
    aud: resource,
    sub: `user-${n}`,
    client_id: "client-1",
    scope: "mcp:tools mcp:read",
    jti: `${n}`.padStart(22, "0"),
    iat: 2_000_000_000,
    exp: 4_000_000_000
  }
  const unsigned = `${encode({ alg: "RS256", typ: "at+jwt", kid: "k1" })}.${encode(payload)}.`
  return unsigned.padEnd(565, "s")
}

// Signatures are not what is measured here.
const decoding = Authorizer.make(({ token }) => {
  const claims = JwtAccessToken.toClaims(decodeJwt(Redacted.value(token)), issuer, TokenProfile.rfc9068)
  return AuthError.isAuthError(claims) ? Effect.fail(claims) : Effect.succeed(claims)
})

const collect = (): number => {
  for (let n = 0; n < 5; n++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const show = async (authorizer: Authorizer.Service, from: number, count: number): Promise<void> => {
  for (let n = from; n < from + count; n++) {
    await Effect.runPromise(
      authorizer.authorize({
        scheme: "Bearer",
        token: Redacted.make(tokenOf(n)),
        method: "POST",
        url: resource,
        issuers: [issuer],
        headers: {}
      })
    )
  }
}

const makeCache = CachedAuthorizer.make({ capacity: CAPACITY, maxAge: "1 hour" })
// Code is compiled, and all that is made once is made, before anything is measured.
await show(await Effect.runPromise(makeCache(decoding)), 0, 2 * CAPACITY)

const empty = collect()
const cache = await Effect.runPromise(makeCache(decoding))
await show(cache, 0, CAPACITY)
const full = collect()
await show(cache, CAPACITY, 10 * CAPACITY)
const later = collect()
console.log(`${process.version}: ${((full - empty) / CAPACITY).toFixed(0)} B a token`)
console.log(`after ten times as many more tokens: ${((later - empty) / CAPACITY).toFixed(0)} B a token`)
