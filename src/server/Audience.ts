/**
 * Whether a token was issued for this resource.
 *
 * @since 0.1.0
 */
import * as ResourceIdentifier from "../protocol/ResourceIdentifier.js"
import type { AuthConfig } from "./AuthConfig.js"

/**
 * Whether the audiences of a token name the resource, by the configured policy. No audience names nothing.
 *
 * @since 0.1.0
 * @category predicates
 */
export const accepts = (config: AuthConfig, audience: ReadonlyArray<string>): boolean => {
  const named = (test: (accepted: string, value: string) => boolean) =>
    audience.some((value) => config.audiences.some((accepted) => test(accepted, value)))
  switch (config.audiencePolicy) {
    case "exact":
      return named((accepted, value) => accepted === value)
    case "exact-single":
      return audience.length === 1 && named((accepted, value) => accepted === value)
    case "equivalent":
      return named(ResourceIdentifier.equivalent)
    case "covering":
      return named((accepted, value) => accepted === value || ResourceIdentifier.covers(value, accepted))
  }
}
