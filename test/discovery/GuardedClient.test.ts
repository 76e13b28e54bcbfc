/** The clients that look at the address before they connect: that of the runtime that runs this. */
import { createServer } from "node:https"
import type { AddressInfo, LookupFunction } from "node:net"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as FetchLimits from "../../src/discovery/FetchLimits.js"
import type * as GuardedClient from "../../src/discovery/GuardedClient.js"
import * as GuardedHttp from "../../src/discovery/GuardedHttp.js"
import * as Reach from "../../src/discovery/Reach.js"
import * as HttpServer from "./fixtures/HttpServer.js"
import * as Tls from "./fixtures/Tls.js"

/** The addresses of a name, for the first, the second, the third time it is asked for. */
type Resolver = (name: string, time: number) => ReadonlyArray<string>

const asked = (resolver: Resolver) => {
  const times = new Map<string, number>()
  return {
    times,
    of: (name: string) => {
      const time = (times.get(name) ?? 0) + 1
      times.set(name, time)
      return resolver(name, time).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
    }
  }
}

type Client = (options: GuardedClient.Options & { readonly ca?: string; readonly resolver?: Resolver }) => {
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  /** How often each name was resolved. */
  readonly times: ReadonlyMap<string, number>
}

const onNode = async (): Promise<Client> => {
  const NodeGuardedHttp = await import("../../src/node/NodeGuardedHttp.js")
  return ({ ca, resolver, zones }) => {
    const answers = asked(resolver ?? (() => []))
    const lookup: LookupFunction = (name, _, callback) => callback(null, answers.of(name))
    const layer = NodeGuardedHttp.layer({
      zones,
      ...(resolver === undefined ? {} : { lookup }),
      ...(ca === undefined ? {} : { agent: { ca } })
    })
    return { layer, times: answers.times }
  }
}

const onBun = async (): Promise<Client> => {
  const BunGuardedHttp = await import("../../src/bun/BunGuardedHttp.js")
  return ({ ca, resolver, zones }) => {
    const answers = asked(resolver ?? (() => []))
    const layer = BunGuardedHttp.layer({
      zones,
      ...(resolver === undefined ? {} : { lookup: async (name) => answers.of(name) }),
      ...(ca === undefined ? {} : { tls: { ca } })
    })
    return { layer, times: answers.times }
  }
}

// Node's client runs on Bun as well, as its `node:http` does.
const clients: ReadonlyArray<readonly [string, Client]> =
  process.versions["bun"] === undefined
    ? [["NodeGuardedHttp", await onNode()]]
    : [
        ["BunGuardedHttp", await onBun()],
        ["NodeGuardedHttp", await onNode()]
      ]

const getDocument = GuardedHttp.getJson(Schema.Struct({ name: Schema.String }))
const get = (url: string) => getDocument(url, "a document")

/** On behalf of what was configured; `http` is let through, because names other than `localhost` are asked here. */
const onBehalfOf =
  (configured: string, client: Layer.Layer<HttpClient.HttpClient>) =>
  <A, E>(self: Effect.Effect<A, E, GuardedHttp.GuardedHttp>) =>
    Effect.provide(self, Layer.provide(GuardedHttp.layer({ configured: [configured], allowInsecure: true }), client))

/** Nothing but public addresses is within the reach of a URL that came from there. */
const publicEndpoint = "https://mcp.example/mcp"
/** And nothing but those and this machine, within that of one from there. */
const localEndpoint = "http://localhost:1/mcp"

const server = HttpServer.make((request, response) => {
  if (request.url === "/last") response.setHeader("connection", "close")
  if (request.url === "/away") response.writeHead(302, { location: "/elsewhere" })
  response.end('{"name":"x"}')
})

const port = ({ url }: HttpServer.HttpServer) => new URL(url).port

const tlsServer = Effect.acquireRelease(
  Effect.async<{ readonly port: number; readonly hosts: Array<string>; readonly close: () => void }>((resume) => {
    const hosts: Array<string> = []
    const server = createServer({ cert: Tls.certificate, key: Tls.key }, (request, response) => {
      hosts.push(request.headers.host ?? "")
      response.end('{"name":"x"}')
    })
    const close = () => {
      server.close()
      server.closeAllConnections()
    }
    server.listen(0, "127.0.0.1", () =>
      resume(Effect.succeed({ port: (server.address() as AddressInfo).port, hosts, close }))
    )
  }),
  ({ close }) => Effect.sync(close)
)

for (const [name, client] of clients) {
  describe(name, () => {
    it.scopedLive(
      "SEC-11 SEC-13: a public name that resolves to this machine is refused before anything connects",
      () =>
        Effect.gen(function* () {
          const http = yield* server
          const { layer, times } = client({ resolver: () => ["127.0.0.1"] })
          const error = yield* get(`http://as.example:${port(http)}/doc`).pipe(
            Effect.flip,
            onBehalfOf(publicEndpoint, layer)
          )
          assert.strictEqual(error.reason, "OutOfReach")
          assert.isFalse(error.isTransient)
          assert.include(error.detail, "as.example is at a loopback address")
          assert.include(error.detail, "allowedHosts")
          assert.deepStrictEqual(http.requests, [])
          assert.strictEqual(http.open(), 0)
          assert.strictEqual(times.get("as.example"), 1)
        })
    )

    for (const address of ["10.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "fd00::1", "0.0.0.0", "::"]) {
      it.scopedLive(`SEC-11: so is one that resolves to ${address}`, () =>
        Effect.gen(function* () {
          const { layer } = client({ resolver: () => [address] })
          const error = yield* get("http://as.example/doc").pipe(Effect.flip, onBehalfOf(publicEndpoint, layer))
          assert.strictEqual(error.reason, "OutOfReach")
        })
      )
    }

    it.scopedLive(
      "SEC-13: the address that was judged is the one connected to, and a later answer is judged anew",
      () =>
        Effect.gen(function* () {
          const http = yield* server
          const { layer, times } = client({ resolver: (_, time) => (time === 1 ? ["127.0.0.1"] : ["10.0.0.1"]) })
          yield* Effect.gen(function* () {
            assert.strictEqual((yield* get(`http://as.example:${port(http)}/last`)).name, "x")
            assert.strictEqual(times.get("as.example"), 1)
            const error = yield* Effect.flip(get(`http://as.example:${port(http)}/last`))
            assert.strictEqual(error.reason, "OutOfReach")
            assert.include(error.detail, "private")
          }).pipe(onBehalfOf(localEndpoint, layer))
          assert.deepStrictEqual(http.requests, ["GET /last"])
        })
    )

    it.scopedLive("a connection that was opened on behalf of one serves nobody whose reach is less", () =>
      Effect.gen(function* () {
        const http = yield* server
        const { layer } = client({ resolver: () => ["127.0.0.1"] })
        const url = `http://as.example:${port(http)}/doc`
        yield* Effect.gen(function* () {
          const shared = Layer.succeed(HttpClient.HttpClient, yield* HttpClient.HttpClient)
          yield* get(url).pipe(onBehalfOf(localEndpoint, shared))
          const error = yield* get(url).pipe(Effect.flip, onBehalfOf(publicEndpoint, shared))
          assert.strictEqual(error.reason, "OutOfReach")
        }).pipe(Effect.provide(layer))
        assert.deepStrictEqual(http.requests, ["GET /doc"])
      })
    )

    it.scopedLive("of several addresses those within reach are tried, one after the other", () =>
      Effect.gen(function* () {
        const http = yield* server
        const { layer } = client({ resolver: () => ["10.0.0.1", "127.0.0.2", "127.0.0.1"] })
        const document = yield* get(`http://as.example:${port(http)}/doc`).pipe(onBehalfOf(localEndpoint, layer))
        assert.strictEqual(document.name, "x")
      })
    )

    it.scopedLive("the configured origin may be anywhere, a name without an address is a passing failure", () =>
      Effect.gen(function* () {
        const http = yield* server
        const own = `http://mcp.corp.example:${port(http)}/mcp`
        const { layer } = client({ resolver: (name) => (name === "mcp.corp.example" ? ["127.0.0.1"] : []) })
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* get(`http://mcp.corp.example:${port(http)}/doc`)).name, "x")
          const error = yield* Effect.flip(get("http://as.corp.example/doc"))
          assert.strictEqual(error.reason, "Transport")
          assert.isTrue(error.isTransient)
        }).pipe(onBehalfOf(own, layer))
      })
    )

    it.scopedLive("a host that is allowed by name may be anywhere too", () =>
      Effect.gen(function* () {
        const http = yield* server
        const { layer } = client({ resolver: () => ["127.0.0.1"] })
        const document = yield* get(`http://sso.corp.example:${port(http)}/doc`).pipe(
          onBehalfOf(publicEndpoint, layer),
          Effect.provide(FetchLimits.layer({ allowedHosts: [".corp.example"] }))
        )
        assert.strictEqual(document.name, "x")
      })
    )

    it.scopedLive("PR-15: over TLS the name stays what the certificate is held against", () =>
      Effect.gen(function* () {
        const { hosts, port } = yield* tlsServer
        const own = `https://as.example:${port}/`
        const resolver: Resolver = () => ["127.0.0.1"]
        const { layer } = client({ resolver, ca: Tls.authority })
        assert.strictEqual((yield* get(`https://as.example:${port}/doc`).pipe(onBehalfOf(own, layer))).name, "x")
        assert.deepStrictEqual(hosts, [`as.example:${port}`])
        for (const [url, ca] of [
          [`https://other.example:${port}/doc`, Tls.authority],
          [`https://as.example:${port}/doc`, undefined]
        ] as const) {
          const { layer } = client({ resolver, ...(ca === undefined ? {} : { ca }) })
          const error = yield* get(url).pipe(Effect.flip, onBehalfOf(url, layer))
          assert.strictEqual(error.reason, "Transport", url)
        }
        assert.lengthOf(hosts, 1)
      })
    )

    it.scopedLive("the system's resolver knows this machine", () =>
      Effect.gen(function* () {
        const http = yield* server
        const document = yield* get(`http://localhost:${port(http)}/doc`).pipe(
          onBehalfOf(localEndpoint, client({}).layer)
        )
        assert.strictEqual(document.name, "x")
      })
    )

    it.scopedLive("the application's own requests go anywhere that is not reserved, or only where it says", () =>
      Effect.gen(function* () {
        const http = yield* server
        const resolver: Resolver = (name) => [name === "metadata.example" ? "169.254.169.254" : "127.0.0.1"]
        const own = (url: string, { layer }: ReturnType<Client>) =>
          Effect.flatMap(HttpClient.HttpClient, (client) => client.get(url)).pipe(
            Effect.map(({ status }): unknown => status),
            Effect.catchAll((error) => Effect.succeed(Reach.refusalOf(error)?.zone)),
            Effect.scoped,
            Effect.provide(layer)
          )
        for (const [url, free, confined] of [
          [http.url, 200, "loopback"],
          [`http://app.example:${port(http)}/`, 200, "loopback"],
          ["http://169.254.169.254/latest/meta-data/", "reserved", "reserved"],
          ["http://metadata.example/latest/meta-data/", "reserved", "reserved"],
          ["http://[::ffff:a9fe:a9fe]/", "reserved", "reserved"]
        ] as const) {
          assert.strictEqual(yield* own(url, client({ resolver })), free, url)
          assert.strictEqual(yield* own(url, client({ resolver, zones: ["public"] })), confined, url)
        }
      })
    )

    it.scopedLive("SEC-12: no redirect is followed, which would lead where nobody has looked", () =>
      Effect.gen(function* () {
        const http = yield* server
        const { layer, times } = client({ resolver: () => ["127.0.0.1"] })
        const { status } = yield* Effect.flatMap(HttpClient.HttpClient, (client) =>
          client.get(`http://app.example:${port(http)}/away`)
        ).pipe(Effect.scoped, Effect.provide(layer))
        assert.strictEqual(status, 302)
        assert.deepStrictEqual(http.requests, ["GET /away"])
        assert.strictEqual(times.get("app.example"), 1)
      })
    )
  })
}
