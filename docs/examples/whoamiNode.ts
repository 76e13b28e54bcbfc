import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import { program } from "./whoami.js"

const server = NodeHttpServer.layerConfig(
  createServer,
  Config.all({ port: Config.integer("PORT"), host: Config.succeed("127.0.0.1") })
)

program.pipe(Layer.provide(server), Layer.launch, NodeRuntime.runMain)
