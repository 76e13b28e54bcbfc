import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { StoredGrant, TokenStore } from "../../src/client/index.js"
import * as Process from "./fixtures/Process.js"
import { passing, settle } from "./fixtures/time.js"

const owner = { endpoint: "https://mcp.example/mcp" }

const grant = (clientId: string, token = clientId): StoredGrant.StoredGrant => ({
  schemaVersion: 1,
  issuer: "https://as.example",
  clientId,
  resource: owner.endpoint,
  redirectUri: "http://127.0.0.1:4711/callback",
  tokenEndpoint: "https://as.example/token",
  accessToken: { value: Redacted.make(token), type: "Bearer", scopes: [] },
  refreshToken: Redacted.make(`refresh-${token}`),
  requestedScopes: [],
  issuedAt: 0
})

const tokenOf = (found: Option.Option<TokenStore.Entry<StoredGrant.StoredGrant>>) =>
  Option.getOrUndefined(Option.map(found, ({ value }) => Redacted.value(value.accessToken.value)))

type Store = Process.Options["store"]

const on = (store: Store) => Effect.provideService(TokenStore.TokenStore, store)

/** The grant of a client, whether anything points at it or not. */
const kept = (store: Store, client: string) =>
  on(store)(Effect.flatMap(StoredGrant.key(grant(client), undefined), StoredGrant.grants.read))

/** Every verb of it takes a turn, of a length of its own, so that those who use it at once do so in any order. */
const dawdling = (inner: Store, round: number): Store => {
  let seed = round + 1
  const turn = Effect.suspend(() => {
    seed = (seed * 48271) % 2147483647
    return Effect.repeatN(Effect.yieldNow(), seed % 7)
  })
  return {
    ...inner,
    read: (key) => Effect.zipRight(turn, inner.read(key)),
    write: (key, write) => Effect.zipRight(turn, inner.write(key, write))
  }
}

describe("replace", () => {
  it.scopedLive("of many that sign in at once one stays, and nothing is left of the others", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 80; round++) {
        const clients = 1 + (round % 8)
        const store = yield* Process.memory
        const slow = dawdling(store, round)
        const names = Array.from({ length: 8 }, (_, n) => ({ client: `c${n % clients}`, token: `t${n}` }))
        yield* Effect.forEach(
          names,
          ({ client, token }) => on(slow)(StoredGrant.replace(owner, grant(client, token))),
          { concurrency: "unbounded", discard: true }
        )
        const found = tokenOf(yield* on(store)(StoredGrant.find(owner)))
        assert.include(
          names.map(({ token }) => token),
          found
        )
        const left = yield* Effect.forEach(new Set(names.map(({ client }) => client)), (client) =>
          Effect.map(kept(store, client), tokenOf)
        )
        assert.deepStrictEqual(
          left.filter((token) => token !== undefined),
          [found]
        )
      }
    })
  )

  it.scopedLive("who looks meanwhile finds a grant at any time, the one or the other", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 20; round++) {
        const store = yield* Process.memory
        const slow = dawdling(store, round)
        yield* on(store)(StoredGrant.replace(owner, grant("c0")))
        const signIns = Effect.forEach([1, 2, 3, 4], (n) => on(slow)(StoredGrant.replace(owner, grant(`c${n % 2}`))))
        // Slower than a sign-in between one look and the next.
        const slower: Store = {
          ...store,
          read: (key) => Effect.zipRight(Effect.repeatN(Effect.yieldNow(), 10 + round), store.read(key))
        }
        const looks = Effect.replicateEffect(Effect.map(on(slower)(StoredGrant.find(owner)), tokenOf), 10)
        const [, found] = yield* Effect.all([signIns, looks], { concurrency: "unbounded" })
        for (const token of found) assert.include(["c0", "c1"], token)
      }
    })
  )

  it.scopedLive("killed at any point, there is the old grant or the new one", () =>
    Effect.gen(function* () {
      const seen = new Set<string | undefined>()
      for (let nth = 1; ; nth++) {
        const store = yield* Process.memory
        yield* on(store)(StoredGrant.replace(owner, grant("old")))
        const victim = Process.mortal(store, nth, "before")
        yield* Effect.forkDaemon(on(victim.store)(StoredGrant.replace(owner, grant("new"))))
        yield* settle
        const found = tokenOf(yield* on(store)(StoredGrant.find(owner)))
        assert.include(["old", "new"], found)
        seen.add(found)
        if (!victim.isDead()) break
      }
      assert.deepStrictEqual([...seen], ["old", "new"])
    })
  )

  it.scoped("where others never stop writing it says so", () =>
    Effect.gen(function* () {
      const store = yield* Process.memory
      const replacing = on({ ...store, write: () => Effect.succeed(false) })(StoredGrant.replace(owner, grant("c")))
      const fiber = yield* Effect.fork(Effect.flip(replacing))
      yield* passing("1 second", 50)
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.operation, "write")
      assert.include(error.message, "others keep writing")
    })
  )
})

describe("remove", () => {
  it.scopedLive(
    "takes both the grant and what points at it, and what a sign-in writes meanwhile is whole or gone",
    () =>
      Effect.gen(function* () {
        for (let round = 0; round < 20; round++) {
          const store = yield* Process.memory
          const slow = dawdling(store, round)
          yield* on(store)(StoredGrant.replace(owner, grant("a")))
          yield* Effect.all(
            [
              Effect.zipRight(
                Effect.repeatN(Effect.yieldNow(), round),
                on(slow)(StoredGrant.replace(owner, grant("b")))
              ),
              on(slow)(StoredGrant.remove(owner))
            ],
            { concurrency: "unbounded" }
          )
          const found = tokenOf(yield* on(store)(StoredGrant.find(owner)))
          assert.include([undefined, "b"], found)
          const a = yield* kept(store, "a")
          assert.isTrue(Option.isNone(a))
        }
      })
  )
})
