import * as BunHttpServer from "@effect/platform-bun/BunHttpServer"
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import { program } from "./whoami.js"

const server = BunHttpServer.layerConfig(
  Config.all({ port: Config.integer("PORT"), hostname: Config.succeed("127.0.0.1") })
)

program.pipe(Layer.provide(server), Layer.launch, BunRuntime.runMain)
