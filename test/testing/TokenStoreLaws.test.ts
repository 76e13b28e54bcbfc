import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { TokenStore } from "../../src/client/index.js"
import { TokenStoreLaws } from "../../src/testing/index.js"

type Store = TokenStore.VersionedStore

/** A store that does one thing wrong, and the laws that it breaks. */
const broken: Readonly<Record<string, { readonly change: (store: Store) => Partial<Store>; readonly laws: RegExp }>> = {
  "overwrites whatever is there": {
    change: (store) => ({
      write: (key, write) =>
        Effect.flatMap(store.read(key), (entry) =>
          store.write(key, { ...write, expected: Option.map(entry, ({ version }) => version) })
        )
    }),
    laws: /another version than the current one|of many who write|of many who make|no update is lost/
  },
  "looks, waits and writes": {
    change: (store) => ({
      write: (key, write) =>
        Effect.flatMap(store.read(key), (entry) => {
          const version = Option.map(entry, ({ version }) => version)
          const isCurrent = Option.getOrUndefined(version) === Option.getOrUndefined(write.expected)
          if (!isCurrent) return Effect.succeed(false)
          return Effect.zipRight(
            Effect.yieldNow(),
            Effect.flatMap(store.read(key), (now) =>
              store.write(key, { ...write, expected: Option.map(now, ({ version }) => version) })
            )
          )
        })
    }),
    laws: /of many who write|of many who make|of a write and a removal/
  },
  "says no, and writes": {
    change: (store) => ({ write: (key, write) => Effect.as(store.write(key, write), false) }),
    laws: /what is written is read/
  },
  "takes the length of the value for its version": {
    change: (store) => ({
      read: (key) =>
        Effect.map(
          store.read(key),
          Option.map(({ value }) => ({ value, version: String(Redacted.value(value).length) }))
        ),
      write: (key, write) =>
        Effect.flatMap(store.read(key), (entry) => {
          const length = Option.map(entry, ({ value }) => String(Redacted.value(value).length))
          return Option.getOrUndefined(length) === Option.getOrUndefined(write.expected)
            ? store.write(key, { ...write, expected: Option.map(entry, ({ version }) => version) })
            : Effect.succeed(false)
        })
    }),
    laws: /a version never comes back/
  },
  "knows no case": {
    change: (store) => ({
      read: (key) => store.read(key.toLowerCase()),
      write: (key, write) => store.write(key.toLowerCase(), write)
    }),
    laws: /odd keys/
  },
  "keeps 64 kB": {
    change: (store) => ({
      write: (key, write) =>
        store.write(key, {
          ...write,
          value: Option.map(write.value, (value) => Redacted.make(Redacted.value(value).slice(0, 65_536)))
        })
    }),
    laws: /values of any size/
  },
  "never forgets": {
    change: (store) => ({ write: (key, { expected, value }) => store.write(key, { expected, value }) }),
    laws: /forgotten after its time/
  },
  "leases to everybody": {
    change: () => ({ lease: () => Effect.succeedSome({ fence: 1 }) }),
    laws: /held by one|one gets it|fence/
  },
  "leases for ever": {
    change: (store) => ({ lease: (key) => store.lease(key, "1 hour") }),
    laws: /over in time|too long/
  },
  "leaves a lease to its end": {
    change: (store) => ({
      lease: (key, duration) =>
        Effect.flatMap(Scope.make(), (scope) => Effect.provideService(store.lease(key, duration), Scope.Scope, scope))
    }),
    laws: /given back when its scope closes/
  },
  "gives back whatever lease there is": {
    change: (store) => {
      // Whose it is does not count: the last that was taken is closed.
      let held: Scope.CloseableScope | undefined
      return {
        lease: (key, duration) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            const lease = yield* Effect.provideService(store.lease(key, duration), Scope.Scope, scope)
            if (Option.isSome(lease)) held = scope
            yield* Effect.addFinalizer((exit) => (held === undefined ? Effect.void : Scope.close(held, exit)))
            return lease
          })
      }
    },
    laws: /too long cannot give back/
  },
  "counts fences down": {
    change: (store) => ({
      lease: (key, duration) =>
        Effect.map(
          store.lease(key, duration),
          Option.map(({ fence }) => ({ fence: -fence }))
        )
    }),
    laws: /fence is larger/
  }
}

describe("the laws find out a store that", () => {
  for (const [name, { change, laws }] of Object.entries(broken)) {
    it.live(name, () =>
      Effect.gen(function* () {
        const subject = TokenStoreLaws.make({
          storage: Layer.build(TokenStore.layerMemory),
          open: (memory) => {
            const store = Context.get(memory, TokenStore.TokenStore)
            return Layer.succeed(TokenStore.TokenStore, { ...store, ...change(store) })
          },
          processes: "many",
          unit: "10 millis"
        })
        const failed = yield* Effect.filter(subject, ({ law }) => Effect.isFailure(law), { concurrency: "unbounded" })
        assert.match(failed.map(({ name }) => name).join("; "), laws)
      })
    )
  }
})
