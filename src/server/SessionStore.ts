/**
 * Where it is kept whom a session belongs to.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { LRUCache } from "lru-cache"

/**
 * The store could not be asked. Whoever asked is answered with 503.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionStoreError extends Schema.TaggedError<SessionStoreError>(
  "effect-mcp-auth/server/SessionStoreError"
)("SessionStoreError", {
  operation: Schema.Literal("bind", "use", "release"),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `The session store could not ${this.operation}`
  }
}

/**
 * How an owner stands to a session. `scopes` are all that it was used with, also before now.
 *
 * @since 0.1.0
 * @category models
 */
export type Standing =
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Foreign" }
  | { readonly _tag: "Own"; readonly scopes: ReadonlyArray<string> }

/**
 * A store of sessions, their owners, and the scopes that they were used with. Sessions and owners are digests: a store holds
 * no session ID that could be used, and no name of a caller.
 *
 * - `bind` gives a session an owner, and answers whether it is the owner now: `false`, and nothing changes, where the
 *   session has another one. Of several at the same time one wins.
 * - `use` answers whose the session is. Where it is this owner's, it adds the scopes to those that it was used with.
 * - `release` forgets the session, if it has this owner.
 *
 * `bind` and `use` keep the session alive where it is the owner's. A store forgets what was not used for long.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionStore extends Context.Tag("effect-mcp-auth/server/SessionStore")<
  SessionStore,
  {
    readonly bind: (session: string, owner: string) => Effect.Effect<boolean, SessionStoreError>
    readonly use: (
      session: string,
      owner: string,
      scopes: ReadonlyArray<string>
    ) => Effect.Effect<Standing, SessionStoreError>
    readonly release: (session: string, owner: string) => Effect.Effect<void, SessionStoreError>
  }
>() {}

/**
 * How many sessions are kept (10,000 by default; the one used longest ago goes first), and for how long after the last
 * request (a day by default). A client whose session is forgotten is answered 404, and starts another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly capacity?: number | undefined
  readonly idle?: Duration.DurationInput | undefined
}

/**
 * Keeps sessions in this process. A fleet needs a store that it shares, such as `RedisSessionStore`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = ({ capacity = 10_000, idle = "1 day" }: Options = {}): Layer.Layer<SessionStore> =>
  Layer.effect(
    SessionStore,
    Effect.map(Effect.clock, (clock) => {
      const sessions = new LRUCache<string, { readonly owner: string; readonly scopes: Set<string> }>({
        max: capacity,
        ttl: Duration.toMillis(idle),
        ttlResolution: 0,
        updateAgeOnGet: true,
        // To the cache a time of 0 is none.
        perf: { now: () => clock.unsafeCurrentTimeMillis() + 1 }
      })
      const use = (session: string, owner: string, scopes: ReadonlyArray<string>): Standing => {
        // A look changes nothing: only the owner's own requests keep a session alive.
        const known = sessions.peek(session)
        if (known === undefined) return { _tag: "Unknown" }
        if (known.owner !== owner) return { _tag: "Foreign" }
        sessions.get(session)
        for (const scope of scopes) known.scopes.add(scope)
        return { _tag: "Own", scopes: Array.from(known.scopes) }
      }
      return {
        bind: (session, owner) =>
          Effect.sync(() => {
            if (sessions.peek(session) === undefined) sessions.set(session, { owner, scopes: new Set() })
            return use(session, owner, [])._tag === "Own"
          }),
        use: (session, owner, scopes) => Effect.sync(() => use(session, owner, scopes)),
        release: (session, owner) =>
          Effect.sync(() => void (sessions.peek(session)?.owner === owner && sessions.delete(session)))
      }
    })
  )
