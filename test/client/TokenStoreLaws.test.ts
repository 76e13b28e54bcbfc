import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { TokenStore } from "../../src/client/index.js"
import { nameOf } from "../../src/client/VersionedStore.js"
import { keys, obeysTheLaws } from "../fixtures/storeLaws.js"
import * as FileStore from "./fixtures/FileStore.js"

const oneKey = Effect.runSync(keys)

const memory = Layer.build(TokenStore.layerMemory)

const open = (context: Context.Context<TokenStore.TokenStore>) => Layer.succeedContext(context)

obeysTheLaws("layerMemory", { storage: memory, open, processes: "many" })

const encrypted = TokenStore.encrypted(Effect.succeed(oneKey))

obeysTheLaws("encrypted", {
  storage: memory,
  open: (memory) => encrypted(open(memory)),
  processes: "many",
  // One character of the text is another.
  corrupt: (memory, key) =>
    Effect.gen(function* () {
      const store = Context.get(memory, TokenStore.TokenStore)
      const { value, version } = Option.getOrThrow(yield* store.read(key))
      const text = Redacted.value(value).replace(/.$/, (last) => (last === "A" ? "Q" : "A"))
      yield* store.write(key, { expected: Option.some(version), value: Option.some(Redacted.make(text)) })
    })
})

obeysTheLaws(
  "layerFile",
  FileStore.subject((directory) => TokenStore.layerFile({ directory, keys: Effect.succeed(oneKey) }))
)

obeysTheLaws(
  "layerFileInsecurePlaintext",
  FileStore.subject((directory) => TokenStore.layerFileInsecurePlaintext({ directory }))
)

const keyValueStore = Layer.build(KeyValueStore.layerMemory)

/** Every value in it is cut in half. */
const damage = (context: Context.Context<KeyValueStore.KeyValueStore>, key: string) =>
  Effect.gen(function* () {
    const name = `mcp-auth-${yield* Effect.promise(() => nameOf(key))}`
    yield* Context.get(context, KeyValueStore.KeyValueStore).modify(name, (text) => text.slice(0, text.length / 2))
  })

obeysTheLaws("layerKeyValueStore in memory", {
  storage: keyValueStore,
  open: (context) =>
    Layer.provide(TokenStore.layerKeyValueStore({ keys: Effect.succeed(oneKey) }), Layer.succeedContext(context)),
  processes: "one",
  corrupt: damage
})

obeysTheLaws("layerKeyValueStoreInsecurePlaintext on a file system", {
  storage: Effect.flatMap(FileStore.directory, (directory) =>
    Layer.build(Layer.provide(KeyValueStore.layerFileSystem(directory), NodeContext.layer))
  ),
  open: (context) => Layer.provide(TokenStore.layerKeyValueStoreInsecurePlaintext, Layer.succeedContext(context)),
  processes: "one",
  corrupt: damage
})
