/**
 * How often a person was asked for the scopes of an operation. Kept by each source, so per resource, and by the scopes
 * that the challenges of an operation name: whatever token is in use by then, an operation is not asked for in a loop.
 *
 * @since 0.1.0
 */
import * as Scopes from "../protocol/Scopes.js"

/**
 * The attempts for one operation. `scopes` are empty for challenges that name none. `concluded` is whether the last one
 * ended with a token that was not enough; one that the person broke off has not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempts {
  readonly scopes: ReadonlyArray<string>
  readonly count: number
  readonly at: number
  readonly concluded: boolean
}

/**
 * All that is remembered. `begun` are the times of the latest step ups of any kind, in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface StepUpAttempts {
  readonly operations: ReadonlyArray<Attempts>
  readonly begun: ReadonlyArray<number>
}

/**
 * Nothing was asked for yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: StepUpAttempts = { operations: [], begun: [] }

/** After a refusal of the authorization server, and for counting step ups of any kind, in milliseconds. */
const minute = 60_000

/** How long an operation is remembered, in milliseconds. */
const hour = 60 * minute

const perOperation = 3

const perMinute = 6

/** The memory is bounded: the oldest goes first. */
const capacity = 100

/**
 * Whether something was within a time before now, all in milliseconds. What is yet to come by a clock that was put back
 * is not.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRecent = (at: number, now: number, within: number): boolean => at <= now && now - at < within

const same = (left: ReadonlyArray<string>, right: ReadonlyArray<string>): boolean =>
  Scopes.missing(left, right).length === 0 && Scopes.missing(right, left).length === 0

const find = ({ operations }: StepUpAttempts, scopes: ReadonlyArray<string> | undefined): Attempts | undefined =>
  scopes && operations.find((operation) => same(operation.scopes, scopes))

/**
 * Why an operation is not to be asked for again now; `undefined` where it may be. It may three times within an hour, not
 * within a minute of a token that was not enough, and not where six step ups were made within a minute. Without `scopes`
 * it is for no operation, and only the last of these counts.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { StepUpAttempts } from "effect-mcp-auth/client"
 *
 * const asked = StepUpAttempts.begin(StepUpAttempts.none, ["write"], 0)
 * const answered = StepUpAttempts.conclude(asked, ["write"], ["read"])
 * console.log(StepUpAttempts.exhausted(answered, ["write"], 1000) === undefined) // false
 * console.log(StepUpAttempts.exhausted(answered, ["write"], 60_000) === undefined) // true
 * ```
 */
export const exhausted = (
  attempts: StepUpAttempts,
  scopes: ReadonlyArray<string> | undefined,
  now: number
): string | undefined => {
  const operation = find(attempts, scopes)
  const name = scopes?.length ? `"${Scopes.render(scopes)}"` : "more than the token has"
  if (operation?.concluded === true && isRecent(operation.at, now, minute)) {
    return `${name} was asked for, and the authorization server did not grant all of it`
  }
  if (operation !== undefined && operation.count >= perOperation && isRecent(operation.at, now, hour)) {
    return `${name} was asked for ${operation.count} times, and is not there`
  }
  const recent = attempts.begun.filter((at) => isRecent(at, now, minute)).length
  return recent >= perMinute ? `${recent} sign-ins within a minute are a loop` : undefined
}

/**
 * An operation is about to be asked for, or, without `scopes`, a sign-in for none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const begin = (
  attempts: StepUpAttempts,
  scopes: ReadonlyArray<string> | undefined,
  now: number
): StepUpAttempts => {
  const before = find(attempts, scopes)
  const count = before !== undefined && isRecent(before.at, now, hour) ? before.count + 1 : 1
  const others = attempts.operations.filter((operation) => operation !== before && isRecent(operation.at, now, hour))
  const operation = scopes === undefined ? [] : [{ scopes, count, at: now, concluded: false }]
  return {
    operations: [...others, ...operation].slice(-capacity),
    begun: [...attempts.begun, now].slice(-perMinute)
  }
}

/**
 * A sign-in gave a token with these scopes: what they cover is forgotten. `scopes` are those of the operation that it was
 * for, if it was for one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const conclude = (
  attempts: StepUpAttempts,
  scopes: ReadonlyArray<string> | undefined,
  granted: ReadonlyArray<string>
): StepUpAttempts => ({
  ...attempts,
  operations: attempts.operations
    .filter((operation) => operation.scopes.length === 0 || Scopes.missing(operation.scopes, granted).length > 0)
    .map((operation) =>
      scopes !== undefined && same(operation.scopes, scopes) ? { ...operation, concluded: true } : operation
    )
})
