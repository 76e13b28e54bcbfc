/**
 * What a protected MCP server answers to tokens good and bad, over a real socket, on the runtime that the tests run on,
 * with tokens of a real authorization server.
 */
import { connect } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from "jose"
import { machine, machineToken } from "../fixtures/machineToken.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"

const bun = process.versions["bun"] !== undefined

interface Answer {
  readonly status: number
  readonly wwwAuthenticate: string | null
  readonly retryAfter: string | null
  readonly body: string
}

const call = (tool: string) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: {} } })

const mcpHeaders = { accept: "application/json, text/event-stream", "content-type": "application/json" }

const post = (url: string, authorization?: string, tool = "whoami"): Effect.Effect<Answer> =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...mcpHeaders, ...(authorization !== undefined && { authorization }) },
      body: call(tool)
    })
    return {
      status: response.status,
      wwwAuthenticate: response.headers.get("www-authenticate"),
      retryAfter: response.headers.get("retry-after"),
      body: await response.text()
    }
  })

/** What `fetch` cannot send. */
const postRaw = (url: string, headers: ReadonlyArray<string>): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const { hostname, pathname, port } = new URL(url)
    const body = call("whoami")
    const head = [
      `POST ${pathname} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Connection: close",
      ...Object.entries(mcpHeaders).map(([name, value]) => `${name}: ${value}`),
      `Content-Length: ${body.length}`,
      ...headers
    ]
    const socket = connect(Number(port), hostname, () => socket.write(`${head.join("\r\n")}\r\n\r\n${body}`))
    let received = ""
    socket.setEncoding("utf8")
    socket.on("data", (chunk) => {
      received += chunk
    })
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.on("end", () => {
      socket.destroy()
      const [head = "", body = ""] = received.split(/\r\n\r\n(.*)/s)
      const header = (name: string) => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1] ?? null
      resume(
        Effect.succeed({
          status: Number(head.split(" ")[1]),
          wwwAuthenticate: header("www-authenticate"),
          retryAfter: header("retry-after"),
          body
        })
      )
    })
  })

const refusesConnections = (url: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    const done = (refused: boolean) => () => {
      socket.destroy()
      resume(Effect.succeed(refused))
    }
    socket.on("connect", done(false))
    socket.on("error", done(true))
  })

const assertRefused = (
  answer: Answer,
  expected: { readonly status: number; readonly challenge: string; readonly error: string; readonly because: string }
) => {
  assert.deepStrictEqual(answer, {
    status: expected.status,
    wwwAuthenticate: expected.challenge,
    retryAfter: null,
    body: JSON.stringify({ error: expected.error, error_description: expected.because })
  })
}

const assertServed = (answer: Answer) => {
  assert.strictEqual(answer.status, 200, answer.body)
  assert.isNull(answer.wwwAuthenticate)
  assert.include(answer.body, machine.client_id)
}

class Shared extends Context.Tag("Shared")<Shared, ProtectedServer.ProtectedServer & { readonly expired: string }>() {}

/** One server for all refusals. A token that lives one second is made first, and is old when its turn comes. */
const shared = Layer.scoped(
  Shared,
  Effect.gen(function* () {
    let accessTokenTTL = 1
    const server = yield* ProtectedServer.make({
      authorizationServer: {
        clients: [machine],
        resources: () => ({ scope: ProtectedServer.scopes, accessTokenTTL })
      },
      authorizer: { clockTolerance: 0 }
    })
    const expired = yield* machineToken(server.authorizationServer, server.url, "mcp:tools")
    accessTokenTTL = 300
    return { ...server, expired }
  })
)

layer(shared, { excludeTestServices: true })(`over a socket of ${bun ? "Bun" : "Node"}`, (it) => {
  const good = Effect.flatMap(Shared, ({ authorizationServer, url }) =>
    machineToken(authorizationServer, url, "mcp:tools")
  )

  it.scoped("serves a good token", () =>
    Effect.gen(function* () {
      const { url } = yield* Shared
      assertServed(yield* post(url, `Bearer ${yield* good}`))
      assertServed(yield* post(url, `bearer  ${yield* good}`))
      // As long as the client asks for: this one asks to close, and waits for that.
      assertServed(yield* Effect.timeout(postRaw(url, [`Authorization: Bearer ${yield* good}`]), "4 seconds"))
    })
  )

  it.scoped("asks for a token where there is none, a blank one, or one of another scheme", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      const expected = {
        status: 401,
        challenge: `Bearer resource_metadata="${config.resourceMetadataUrl}", scope="mcp:tools"`,
        error: "invalid_token",
        because: "Authorization required"
      }
      assertRefused(yield* post(url), expected)
      assertRefused(yield* post(url, "Bearer "), expected)
      assertRefused(yield* post(url, `Basic ${btoa("alice:password")}`), expected)
      assertRefused(yield* post(url, `Token ${yield* good}`), expected)
      assertRefused(yield* post(url, `DPoP ${yield* good}`), expected)
      assertRefused(yield* postRaw(url, []), expected)
    })
  )

  const assertInvalid = (answer: Answer, metadata: string, because = "The access token is not valid") =>
    assertRefused(answer, {
      status: 401,
      challenge: `Bearer error="invalid_token", error_description="${because}", resource_metadata="${metadata}", scope="mcp:tools"`,
      error: "invalid_token",
      because
    })

  it.scoped("refuses a token for another audience, though the same server issued it", () =>
    Effect.gen(function* () {
      const { authorizationServer, config, url } = yield* Shared
      for (const other of ["http://127.0.0.1:9/mcp", `${url}/`, new URL(url).origin]) {
        const token = yield* machineToken(authorizationServer, other, "mcp:tools")
        assert.strictEqual(decodeJwt(token).aud, other)
        assertInvalid(yield* post(url, `Bearer ${token}`), config.resourceMetadataUrl)
      }
    })
  )

  it.scoped("refuses a token that has expired, and says so", () =>
    Effect.gen(function* () {
      const { config, expired, url } = yield* Shared
      const { exp = 0 } = decodeJwt(expired)
      yield* Effect.sleep(Math.max(0, exp * 1000 - Date.now()))
      assertInvalid(yield* post(url, `Bearer ${expired}`), config.resourceMetadataUrl, "The access token has expired")
    })
  )

  it.scoped("refuses a token that a stranger signed, whatever it says of itself", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      const token = yield* good
      const { privateKey } = yield* Effect.promise(() => generateKeyPair("RS256"))
      const header = decodeProtectedHeader(token)
      const forged = yield* Effect.promise(() =>
        new SignJWT(decodeJwt(token)).setProtectedHeader({ ...header, alg: "RS256" }).sign(privateKey)
      )
      assert.deepStrictEqual(decodeProtectedHeader(forged), header)
      assert.deepStrictEqual(decodeJwt(forged), decodeJwt(token))
      assertInvalid(yield* post(url, `Bearer ${forged}`), config.resourceMetadataUrl)

      // The signature of a good token under other claims, and no signature at all.
      const [, , signature] = token.split(".")
      const claims = Buffer.from(JSON.stringify({ ...decodeJwt(token), sub: "root" })).toString("base64url")
      const none = Buffer.from(JSON.stringify({ ...header, alg: "none" })).toString("base64url")
      assertInvalid(
        yield* post(url, `Bearer ${token.split(".")[0]}.${claims}.${signature}`),
        config.resourceMetadataUrl
      )
      assertInvalid(yield* post(url, `Bearer ${none}.${claims}.`), config.resourceMetadataUrl)
    })
  )

  it.scoped("refuses what is no JWT", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      for (const garbage of ["garbage", "a.b.c", "....", "x".repeat(10_000)]) {
        assertInvalid(yield* post(url, `Bearer ${garbage}`), config.resourceMetadataUrl)
      }
    })
  )

  const assertBadRequest = (answer: Answer, metadata: string, because: string) =>
    assertRefused(answer, {
      status: 400,
      challenge: `Bearer error="invalid_request", error_description="${because}", resource_metadata="${metadata}"`,
      error: "invalid_request",
      because
    })

  it.scoped("refuses a token in the query, with or without one in the header", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      const token = yield* good
      const because = "access_token must not be sent in the query; use the header"
      assertBadRequest(yield* post(`${url}?access_token=${token}`), config.resourceMetadataUrl, because)
      assertBadRequest(
        yield* post(`${url}?access_token=${token}`, `Bearer ${token}`),
        config.resourceMetadataUrl,
        because
      )
    })
  )

  it.scoped("refuses two Authorization headers, even of the same token", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      const token = yield* good
      const because = "the Authorization header must not be repeated"
      for (const other of [token, "other"]) {
        for (const [first, second] of [
          [token, other],
          [other, token]
        ]) {
          const answer = yield* postRaw(url, [`Authorization: Bearer ${first}`, `authorization: Bearer ${second}`])
          assertBadRequest(answer, config.resourceMetadataUrl, because)
        }
      }
    })
  )

  it.scoped("refuses a token that is no b64token", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      const token = yield* good
      const because = "the token must be one b64token (RFC 6750 section 2.1)"
      assertBadRequest(yield* post(url, `Bearer ${token} ${token}`), config.resourceMetadataUrl, because)
      assertBadRequest(yield* post(url, `Bearer "${token}"`), config.resourceMetadataUrl, because)
    })
  )

  it.scoped("names the missing scope to a good token that has too little", () =>
    Effect.gen(function* () {
      const { authorizationServer, config, url } = yield* Shared
      const because = "The access token lacks scopes that this operation needs"
      const expected = (scope: string) => ({
        status: 403,
        challenge: `Bearer error="insufficient_scope", scope="${scope}", resource_metadata="${config.resourceMetadataUrl}", error_description="${because}"`,
        error: "insufficient_scope",
        because
      })
      // Too little for every request, and too little for this tool.
      const write = yield* machineToken(authorizationServer, url, "mcp:write")
      assertRefused(yield* post(url, `Bearer ${write}`), expected("mcp:tools"))
      assertRefused(yield* post(url, `Bearer ${yield* good}`, "write_note"), expected("mcp:write mcp:tools"))

      const both = yield* machineToken(authorizationServer, url, "mcp:tools mcp:write")
      assertServed(yield* post(url, `Bearer ${both}`, "write_note"))
    })
  )

  it.scoped("refuses on every path and with every method alike, but for the metadata", () =>
    Effect.gen(function* () {
      const { config, url } = yield* Shared
      for (const method of ["GET", "POST", "DELETE", "OPTIONS"]) {
        for (const path of ["/mcp", "/mcp/", "/nowhere", "/"]) {
          const response = yield* Effect.promise(() => fetch(new URL(path, url), { method }))
          yield* Effect.promise(() => response.text())
          assert.strictEqual(response.status, 401, `${method} ${path}`)
        }
      }
      for (const path of ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]) {
        const response = yield* Effect.promise(() => fetch(new URL(path, url)))
        assert.strictEqual(response.status, 200)
        assert.deepStrictEqual(yield* Effect.promise(() => response.json()), {
          resource: url,
          authorization_servers: [...config.authorizationServers],
          bearer_methods_supported: ["header"]
        })
      }
    })
  )
})

describe("while the authorization server is away", () => {
  it.scopedLive("says so until the keys are there, and then does without it", () =>
    Effect.gen(function* () {
      const { authorizationServer, url } = yield* ProtectedServer.make({
        authorizationServer: { clients: [machine] }
      })
      const token = `Bearer ${yield* machineToken(authorizationServer, url, "mcp:tools")}`

      yield* authorizationServer.stop
      const unavailable = {
        status: 503,
        wwwAuthenticate: null,
        retryAfter: "1",
        body: JSON.stringify({ error: "server_error", error_description: "Service Unavailable" })
      }
      assert.deepStrictEqual(yield* post(url, token), unavailable)
      assert.deepStrictEqual(yield* post(url, token), unavailable)
      // What needs no key is refused as ever.
      assert.strictEqual((yield* post(url)).status, 401)
      assert.strictEqual((yield* post(url, "Bearer garbage")).status, 401)

      yield* authorizationServer.start
      yield* Effect.sleep(Number(unavailable.retryAfter) * 1000)
      assertServed(yield* post(url, token))

      yield* authorizationServer.stop
      assertServed(yield* post(url, token))
    })
  )

  it.scopedLive("takes a token that is signed with a new key at once", () =>
    Effect.gen(function* () {
      const { authorizationServer, url } = yield* ProtectedServer.make({
        authorizationServer: { clients: [machine] }
      })
      const token = machineToken(authorizationServer, url, "mcp:tools")
      const before = yield* token
      assertServed(yield* post(url, `Bearer ${before}`))

      yield* authorizationServer.rotateKeys()
      const after = yield* token
      assert.notStrictEqual(decodeProtectedHeader(after).kid, decodeProtectedHeader(before).kid)
      assertServed(yield* post(url, `Bearer ${after}`))
      assertServed(yield* post(url, `Bearer ${before}`))
    })
  )
})

describe("at the end", () => {
  it.live("no port is open", () =>
    Effect.gen(function* () {
      const urls = yield* Effect.scoped(
        Effect.gen(function* () {
          const { authorizationServer, url } = yield* ProtectedServer.make()
          assert.strictEqual((yield* post(url)).status, 401)
          assert.isFalse(yield* refusesConnections(url))
          return [url, authorizationServer.issuer]
        })
      )
      for (const url of urls) assert.isTrue(yield* refusesConnections(url), url)
    })
  )
})
