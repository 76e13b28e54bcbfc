/** The store that the processes of a stress share: `STORE` is `file` or `redis`, and `STORE_AT` a directory or a port. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { EncryptionKeys, TokenStore } from "effect-mcp-auth/client"
import { RedisClient, RedisTokenStore } from "effect-mcp-auth/redis"

const keys = EncryptionKeys.config()

/** As the environment says. */
export const layer = Layer.unwrapEffect(
  Effect.map(
    Effect.all([Config.literal("file", "redis")("STORE"), Config.string("STORE_AT")]),
    ([kind, at]): Layer.Layer<TokenStore.TokenStore, unknown> =>
      kind === "file"
        ? Layer.provide(TokenStore.layerFile({ directory: at, keys }), NodeContext.layer)
        : Layer.provide(
            RedisTokenStore.layer({ keys }),
            RedisClient.layer({ host: "127.0.0.1", port: Number(at), maxRetriesPerRequest: 2 })
          )
  )
)

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "stress-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A Redis of one's own: the system's `redis-server`, which has to be there. */
const redis = Effect.gen(function* () {
  const port = yield* freePort
  const dir = yield* directory
  const options = { port, dir, bind: "127.0.0.1", appendonly: "yes", save: "" }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  yield* Effect.acquireRelease(
    Effect.async<ReturnType<typeof spawn>>((resume) => {
      const server = spawn("redis-server", args, { stdio: "ignore" })
      server.once("error", (error) => resume(Effect.die(error)))
      server.once("spawn", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.kill("SIGKILL"))
  )
  return String(port)
})

/** The environment of all processes that share a new store. */
export const environment = Effect.gen(function* () {
  const kind = yield* Config.withDefault(Config.literal("file", "redis")("STORE"), "file")
  const at = kind === "file" ? join(yield* directory, "store") : yield* redis
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url")
  const variables = { STORE: kind, STORE_AT: at, MCP_AUTH_ENCRYPTION_KEYS: key }
  Object.assign(process.env, variables)
  // Once it answers.
  const ready = Effect.scoped(Effect.zipRight(Layer.build(layer), Effect.void))
  const reads = Effect.flatMap(TokenStore.TokenStore, (store) => store.read("ready")).pipe(Effect.provide(layer))
  yield* Effect.retry(
    Effect.zipRight(ready, reads),
    Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(50))
  )
  return variables
})
