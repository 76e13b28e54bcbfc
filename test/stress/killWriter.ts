/**
 * Writes to a file store until it is killed, the way a refresh does: takes the lease, reads, writes the next number, gives
 * the lease back; and beside it a record that is made and removed, as for a sign-in. A line of its standard output says
 * what it is about to do, and another what it has done.
 */
import { writeSync } from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as EncryptionKeys from "../../src/client/EncryptionKeys.js"
import * as TokenStore from "../../src/client/TokenStore.js"
import { grant, numberOf, valueOf } from "./killValue.js"

const [directory = ""] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const value = (number: number) => Option.some(Redacted.make(valueOf(number)))

const refresh = Effect.gen(function* () {
  const store = yield* TokenStore.TokenStore
  if (Option.isNone(yield* store.lease(`${grant}/refresh`, "250 millis"))) return yield* Effect.sleep("2 millis")
  const entry = yield* store.read(grant)
  const next = Option.match(entry, { onNone: () => 1, onSome: ({ value }) => numberOf(Redacted.value(value)) + 1 })
  yield* say(`writes ${next}`)
  const expected = Option.map(entry, ({ version }) => version)
  if (yield* store.write(grant, { expected, value: value(next) })) yield* say(`wrote ${next}`)
}).pipe(Effect.scoped)

const signIn = Effect.gen(function* () {
  const store = yield* TokenStore.TokenStore
  const state = `pending/${crypto.randomUUID()}`
  yield* store.write(state, { expected: Option.none(), value: value(1) })
  const expected = Option.map(yield* store.read(state), ({ version }) => version)
  yield* store.write(state, { expected, value: Option.none() })
})

await Effect.zipRight(refresh, signIn).pipe(
  Effect.forever,
  Effect.provide(TokenStore.layerFile({ directory, keys: EncryptionKeys.config("ENCRYPTION_KEY") })),
  Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)),
  Effect.runPromise
)
