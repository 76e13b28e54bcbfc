/**
 * Where the secrets of a client go, by their bytes: a sign-in, a refresh and everything that can go wrong with them, with
 * all that is logged, traced, counted, thrown, stored, and shown to other users of the machine.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { EncryptionKeys, HttpClientAuth, SystemBrowser, TokenSource, TokenStore } from "effect-mcp-auth/client"
import { NodeAuthorizeUser } from "effect-mcp-auth/node"
import { HttpAppAuth } from "effect-mcp-auth/server"
import { ScriptedUser } from "effect-mcp-auth/testing"
import type * as AuthorizationServer from "../../docs/examples/demo/AuthorizationServer.js"
import * as FaultyProxy from "../fixtures/FaultyProxy.js"
import * as ProtectedServer from "../fixtures/ProtectedServer.js"
import * as Logs from "../server/fixtures/Logs.js"
import * as Telemetry from "../server/fixtures/Telemetry.js"

const clientSecret = "the-secret-of-the-client-4711"

/** Who it is, in the words of the application. */
const user = "person-4711"

const app = HttpServerResponse.text("ok").pipe(HttpAppAuth.middleware, HttpAppAuth.withMetadata)

/** Everything that an error shows, to whomever. */
const shown = (error: unknown): string =>
  [
    String(error),
    error instanceof Error ? `${error.message}\n${error.stack}` : "",
    JSON.stringify(error),
    inspect(error, { depth: 30, showHidden: true }),
    Inspectable.toStringUnknown(error),
    Inspectable.format(error),
    Cause.pretty(Cause.fail(error), { renderErrorCause: true })
  ].join("\n")

const secretParameters = ["code", "code_verifier", "refresh_token", "client_secret", "token"]

/** What was sent in a form, or answered in JSON, and is nobody else's business. */
const secretsOf = (sent: string, answered = ""): ReadonlyArray<string> => [
  ...Array.from(new URLSearchParams(sent)).flatMap(([name, value]) => (secretParameters.includes(name) ? [value] : [])),
  ...Array.from(answered.matchAll(/"(?:access|refresh|id)_token":"([^"]+)"/g), ([, value = ""]) => value)
]

const commandLines = (): string =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "utf8")
      } catch {
        return ""
      }
    })
    .join("\n")

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name))

/** The system's browser: a process with the URL as its argument, for as long as a person takes. */
const browser = SystemBrowser.open({
  platform: "linux",
  spawn: (program, args, options) =>
    spawn(process.execPath, ["-e", "setTimeout(() => {}, 5000)", program, ...args], options)
})

describe.runIf(process.platform === "linux")("tokens, codes, verifiers, secrets and users", () => {
  it.scopedLive(
    "CL-73: are in no log, span, metric, error, argument or file that others can read",
    () =>
      Effect.gen(function* () {
        const proxy = yield* FaultyProxy.make
        const registered = {
          client_id: "known",
          client_secret: clientSecret,
          application_type: "native",
          redirect_uris: ["http://127.0.0.1/callback"],
          grant_types: ["authorization_code", "refresh_token"],
          token_endpoint_auth_method: "client_secret_basic"
        }
        const server = yield* ProtectedServer.make({
          authorizationServer: {
            origin: proxy.url,
            clients: [registered],
            resources: (): AuthorizationServer.Resource => ({ scope: ProtectedServer.scopes, accessTokenTTL: 300 })
          },
          serve: HttpServer.serve(app)
        })
        proxy.target = server.authorizationServer.address
        const directory = mkdtempSync(join(tmpdir(), "leaks-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true })))
        const key = yield* EncryptionKeys.generate
        const secrets = new Set([user, clientSecret, btoa(`known:${clientSecret}`), Redacted.value(key)])
        const seen: Array<string> = []

        // What the browser does is the browser's, and none of it is traced here.
        const visit = (url: string) =>
          Effect.sync(() => {
            ScriptedUser.visit(url, { redirectUri: "http://127.0.0.1:9/nowhere" }).pipe(
              Effect.ignore,
              Effect.provide(FetchHttpClient.layer),
              Effect.runFork
            )
          })
        const sample = Effect.sync(() => {
          const lines = commandLines()
          seen.push(lines)
          return lines.includes("xdg-open")
        })
        const open = (url: string) =>
          Effect.forkDaemon(Effect.ignore(browser(url))).pipe(
            Effect.zipRight(Effect.repeat(Effect.delay(sample, "10 millis"), { until: (isOpen) => isOpen })),
            Effect.zipRight(visit(url))
          )
        const source = TokenSource.layerAuthorizationCode({
          resource: server.url,
          user,
          registration: {
            preRegistered: [{ issuer: proxy.url, clientId: "known", clientSecret: Redacted.make(clientSecret) }]
          }
        }).pipe(
          Layer.provide(NodeAuthorizeUser.layer({ open })),
          Layer.provideMerge(
            TokenStore.layerFile({
              directory: join(directory, "store"),
              keys: EncryptionKeys.parse(key)
            })
          ),
          Layer.provide(NodeContext.layer),
          Layer.provideMerge(FetchHttpClient.layer)
        )
        const lookAround = () => {
          const files = filesBelow(directory)
          for (const path of files) {
            assert.strictEqual(statSync(path).mode & 0o077, 0, path)
            if (statSync(path).isFile()) seen.push(readFileSync(path, "latin1"))
          }
          assert.isNotEmpty(files)
        }
        /** An answer that says back all that was sent. */
        const echo = (status: number, error?: string): FaultyProxy.Fault => ({
          _tag: "Answer",
          status,
          body: (sent) => {
            for (const secret of secretsOf(sent)) secrets.add(secret)
            const said = `${decodeURIComponent(sent)} ${sent}`
            return error === undefined ? said : JSON.stringify({ error, error_description: said })
          }
        })
        const during = <A, E, R>(fault: FaultyProxy.Fault, effect: Effect.Effect<A, E, R>) =>
          Effect.suspend(() => {
            proxy.fault = ({ path }) => (path === "/token" || path === "/token/revocation" ? fault : undefined)
            return effect
          }).pipe(
            Effect.ensuring(
              Effect.sync(() => {
                proxy.fault = () => undefined
              })
            )
          )

        const story = Effect.gen(function* () {
          const client = HttpClientAuth.transform()(yield* HttpClient.HttpClient)
          const call = Effect.scoped(
            Effect.flatMap(client.get(server.url), (response) => Effect.as(response.text, response.status))
          )
          const { current, renew } = yield* TokenSource.TokenSource
          const refused = Effect.flatMap(current, (used) =>
            renew({ status: 401, url: server.url, challenge: Option.none() }, used)
          )
          const failures: Array<unknown> = []
          const fails = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.flatMap(Effect.flip(effect), (error) => Effect.sync(() => failures.push(error)))

          yield* during(echo(400, "invalid_grant"), fails(call))
          assert.strictEqual(yield* call, 200)
          yield* refused
          yield* during(echo(400, "unauthorized_client"), Effect.ignore(Effect.timeout(refused, "5 seconds")))
          yield* during(echo(200), fails(refused))
          lookAround()
          yield* TokenSource.signOut
          return failures
        }).pipe(Effect.provide(source))

        const [, logged] = yield* Logs.collect(
          Telemetry.run((telemetry) =>
            Effect.gen(function* () {
              const failures = yield* story
              seen.push(yield* telemetry.text, ...failures.map(shown))
              assert.isAbove(telemetry.spans().length, 10)
              assert.isAtLeast(failures.length, 2)
            })
          ),
          LogLevel.All
        )
        seen.push(...logged.map(({ text }) => text))
        lookAround()
        for (const { query, requestBody, responseBody } of server.authorizationServer.exchanges) {
          for (const secret of secretsOf(requestBody ?? "", responseBody)) secrets.add(secret)
          for (const secret of secretsOf(query)) secrets.add(secret)
        }
        // Of each kind there was something to be found.
        assert.isAbove(secrets.size, 10)
        assert.isTrue(seen.some((text) => text.includes("xdg-open")))
        for (const secret of secrets) {
          for (const text of seen) {
            const at = text.indexOf(secret)
            assert.strictEqual(at, -1, text.slice(Math.max(0, at - 300), at + 300))
          }
        }
      }),
    60_000
  )
})
