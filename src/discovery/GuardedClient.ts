/**
 * An `HttpClient` that keeps the {@link Reach} of its requests, over one of a runtime that looks at the address before it
 * connects, and connects to no other.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import type * as NetworkZone from "./NetworkZone.js"
import * as Reach from "./Reach.js"

/**
 * `zones` are those to which any request may go, the application's own included; by default all that are not reserved.
 * A service that is told its URLs by strangers says `["public"]`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly zones?: ReadonlyArray<NetworkZone.NetworkZone> | undefined
}

/**
 * Makes it from the client of a reach, which is asked for anew with each request. Literal addresses, for which no resolver
 * is asked, are judged here. What is out of reach fails with a `RequestError` whose `cause` is an `AddressRefused`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options,
  clientOf: (reach: ReadonlyArray<NetworkZone.NetworkZone>) => Effect.Effect<HttpClient.HttpClient>
): HttpClient.HttpClient => {
  const { zones = Reach.anywhere } = options
  return HttpClient.makeWith(
    Effect.flatMap((request: HttpClientRequest.HttpClientRequest) =>
      Effect.gen(function* () {
        const reach = (yield* Reach.Reach).filter((zone) => zones.includes(zone))
        // What is no URL is for the client below to say.
        const cause = URL.canParse(request.url) ? Reach.refusal(request.url, reach) : undefined
        if (cause !== undefined) {
          return yield* new HttpClientError.RequestError({ request, reason: "Transport", cause })
        }
        return yield* (yield* clientOf(reach)).execute(request)
      })
    ),
    Effect.succeed<HttpClientRequest.HttpClientRequest>
  )
}
