import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Authorizer, AuthConfig, HttpAppAuth } from "effect-mcp-auth/server"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { createServer } from "node:http"
const run = (name: string, e: Effect.Effect<any, any>) => it.live(name, () => Effect.gen(function*(){
  const app = HttpAppAuth.middleware(Effect.succeed(HttpServerResponse.text("ok")))
  const layer = Layer.mergeAll(AuthConfig.layer({resource:"https://mcp.example/mcp", authorizationServers:"https://as.example"}), Authorizer.layer(() => e, {timeout: "200 millis"}))
  const { handler } = HttpApp.toWebHandlerLayer(app, layer)
  const t0 = Date.now()
  const r = yield* Effect.promise(() => Promise.race([handler(new Request("https://mcp.example/mcp",{headers:{authorization:"Bearer x"}})).then(async r=>r.status+" "+JSON.stringify([...r.headers])+await r.text(), (e) => "rejected "+e), new Promise(r=>setTimeout(()=>r("HUNG 2s"),2000))]))
  console.log("web", name, r, Date.now()-t0)
  yield* Effect.gen(function*(){
    const server = yield* HttpServer.HttpServer
    const port = (server.address as any).port
    const t0 = Date.now()
    const r = yield* Effect.promise(() => Promise.race([fetch(`http://127.0.0.1:${port}/mcp`,{headers:{authorization:"Bearer x"}}).then(async r=>r.status+" "+JSON.stringify([...r.headers])+await r.text(), (e) => "rejected "+e), new Promise(r=>setTimeout(()=>r("HUNG 2s"),2000))]))
    console.log("node", name, r, Date.now()-t0)
  }).pipe(Effect.provide(Layer.provideMerge(HttpServer.serve(app).pipe(Layer.provide(layer)), NodeHttpServer.layer(createServer,{port:0}))), Effect.timeout(5000), Effect.ignore)
}), 20000)
run("never", Effect.never)
run("uninterruptible never", Effect.uninterruptible(Effect.never))
run("promise never", Effect.promise(() => new Promise(() => {})))
run("self interrupt", Effect.interrupt)
run("die", Effect.dieMessage("boom"))
run("throw", Effect.suspend(() => { throw new Error("boom") }))
