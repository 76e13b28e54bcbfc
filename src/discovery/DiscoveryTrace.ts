/**
 * Every request that discovery made and every decision it took, as a value that is safe to paste.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"

/**
 * One step. URLs are without query and user information; nothing here ever holds a token, a code or a secret.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Entry = Schema.Union(
  Schema.TaggedStruct("Request", {
    purpose: Schema.String,
    method: Schema.String,
    url: Schema.String,
    outcome: Schema.String
  }),
  Schema.TaggedStruct("Decision", { decision: Schema.String, rule: Schema.String })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Entry = typeof Entry.Type

/**
 * The steps in the order they were taken.
 *
 * @since 0.1.0
 * @category schemas
 */
export const DiscoveryTrace = Schema.Array(Entry)

/**
 * @since 0.1.0
 * @category models
 */
export type DiscoveryTrace = typeof DiscoveryTrace.Type

/**
 * Where steps are recorded, and what has been recorded so far. By default nothing is; {@link collect} sets one up around
 * an effect.
 *
 * @since 0.1.0
 * @category references
 */
export class Recorder extends Context.Reference<Recorder>()("effect-mcp-auth/discovery/DiscoveryTrace/Recorder", {
  defaultValue: (): {
    readonly record: (entry: Entry) => Effect.Effect<void>
    readonly recorded: Effect.Effect<DiscoveryTrace>
  } => ({ record: () => Effect.void, recorded: Effect.succeed([]) })
}) {}

/**
 * What has been recorded so far; empty where nobody is collecting. Errors take it along.
 *
 * @since 0.1.0
 * @category combinators
 */
export const recorded: Effect.Effect<DiscoveryTrace> = Effect.flatMap(Recorder, (_) => _.recorded)

/**
 * Records a step with whoever is collecting.
 *
 * @since 0.1.0
 * @category combinators
 */
export const record = (entry: Entry): Effect.Effect<void> => Effect.flatMap(Recorder, (_) => _.record(entry))

/**
 * Records a decision and the rule it rests on.
 *
 * @since 0.1.0
 * @category combinators
 */
export const decide = (decision: string, rule: string): Effect.Effect<void> =>
  record({ _tag: "Decision", decision, rule })

/**
 * Runs an effect with a fresh trace; `f` receives an effect that reads what has been recorded so far. Whoever collects
 * around it still receives every step.
 *
 * @since 0.1.0
 * @category combinators
 */
export const collect = <A, E, R>(
  f: (trace: Effect.Effect<DiscoveryTrace>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.zipWith(Ref.make<DiscoveryTrace>([]), Recorder, (ref, outer) =>
    Effect.provideService(f(Ref.get(ref)), Recorder, {
      record: (entry) =>
        Effect.zipRight(
          Ref.update(ref, (entries) => [...entries, entry]),
          outer.record(entry)
        ),
      recorded: Ref.get(ref)
    })
  ).pipe(Effect.flatten)

/**
 * The trace as text, a line each.
 *
 * @since 0.1.0
 * @category rendering
 * @example
 * ```ts
 * import { DiscoveryTrace } from "effect-mcp-auth/discovery"
 *
 * console.log(DiscoveryTrace.render([{ _tag: "Decision", decision: "use https://as.example", rule: "only one is listed" }]))
 * // 1. use https://as.example (only one is listed)
 * ```
 */
export const render = (trace: DiscoveryTrace): string =>
  trace
    .map((entry, index) =>
      entry._tag === "Request"
        ? `${index + 1}. ${entry.method} ${entry.url} → ${entry.outcome} (${entry.purpose})`
        : `${index + 1}. ${entry.decision} (${entry.rule})`
    )
    .join("\n")
