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
  operation: Schema.Literal("bind", "owns", "release"),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `The session store could not ${this.operation}`
  }
}

/**
 * A store of pairs. Both sides are digests: a store holds no session ID that could be used, and no name of a caller.
 *
 * - `bind` gives a session an owner, and answers whether it is the owner now: `false`, and nothing changes, where the
 *   session has another one. Of several at the same time one wins.
 * - `owns` answers whether the session has this owner.
 * - `release` forgets the session, if it has this owner.
 *
 * `bind` and `owns` keep the session alive where they answer `true`. A store forgets what was not used for long.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionStore extends Context.Tag("effect-mcp-auth/server/SessionStore")<
  SessionStore,
  {
    readonly bind: (session: string, owner: string) => Effect.Effect<boolean, SessionStoreError>
    readonly owns: (session: string, owner: string) => Effect.Effect<boolean, SessionStoreError>
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
      const owners = new LRUCache<string, string>({
        max: capacity,
        ttl: Duration.toMillis(idle),
        ttlResolution: 0,
        updateAgeOnGet: true,
        // To the cache a time of 0 is none.
        perf: { now: () => clock.unsafeCurrentTimeMillis() + 1 }
      })
      // A look changes nothing: only the owner's own requests keep a session alive.
      const owns = (session: string, owner: string) => owners.peek(session) === owner && owners.get(session) === owner
      return {
        bind: (session, owner) =>
          Effect.sync(() => {
            if (owners.peek(session) === undefined) owners.set(session, owner)
            return owns(session, owner)
          }),
        owns: (session, owner) => Effect.sync(() => owns(session, owner)),
        release: (session, owner) => Effect.sync(() => void (owns(session, owner) && owners.delete(session)))
      }
    })
  )
