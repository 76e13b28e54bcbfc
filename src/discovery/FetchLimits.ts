/**
 * How long a fetch may take, how much it may bring, and which hosts it may ask wherever they are.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * The limits of a fetch: the time for the whole exchange and the size of the body in bytes. `allowedHosts` are hosts that
 * may be asked wherever they are, for authorization servers on a private network: `"sso.corp.example"`, or
 * `".corp.example"` for all below it. They count for what is built with them.
 *
 * @since 0.1.0
 * @category references
 */
export class FetchLimits extends Context.Reference<FetchLimits>()("effect-mcp-auth/discovery/FetchLimits", {
  defaultValue: (): {
    readonly timeout: Duration.Duration
    readonly maxBytes: number
    readonly allowedHosts: ReadonlyArray<string>
  } => ({ timeout: Duration.seconds(10), maxBytes: 256 * 1024, allowedHosts: [] })
}) {}

/**
 * Other limits for what is built with this layer.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { TokenSource } from "effect-mcp-auth/client"
 * import { FetchLimits } from "effect-mcp-auth/discovery"
 * import * as Layer from "effect/Layer"
 *
 * const tokens = TokenSource.layerAuthorizationCode({ resource: "https://mcp.corp.example/mcp" }).pipe(
 *   Layer.provide(FetchLimits.layer({ allowedHosts: ["sso.corp.example"] }))
 * )
 * ```
 */
export const layer = (limits: Partial<FetchLimits["Type"]>): Layer.Layer<FetchLimits> =>
  Layer.effect(
    FetchLimits,
    Effect.map(FetchLimits, (defaults) => ({ ...defaults, ...limits }))
  )
