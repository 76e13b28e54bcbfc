/**
 * What the errors of the client have in common.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as DiscoveryTrace from "../discovery/DiscoveryTrace.js"

/**
 * The steps of obtaining a token.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Step = Schema.Literal("Discovery", "Registration", "Authorization", "Token", "Storage", "Request")

/**
 * @since 0.1.0
 * @category models
 */
export type Step = typeof Step.Type

/**
 * The name of an error of the client.
 *
 * @internal
 */
export const id = (name: string) => `effect-mcp-auth/client/${name}`

/**
 * The fields of an error of any step.
 *
 * @internal
 */
export const common = {
  rule: Schema.String,
  detail: Schema.String,
  trace: Schema.optionalWith(DiscoveryTrace.DiscoveryTrace, { default: () => [] })
}

/**
 * The fields of every error, for one of a step.
 *
 * @internal
 */
export const at = (step: Step) => ({ ...common, step: Schema.optionalWith(Step, { default: () => step }) })

/**
 * What {@link describe} reads.
 *
 * @internal
 */
export type Described = { readonly detail: string; readonly rule: string }

/**
 * The message of an error.
 *
 * @internal
 */
export const describe = (error: Described): string => `${error.detail} (${error.rule})`
