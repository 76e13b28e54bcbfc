// Type tests of the web sign-in: what could be forgotten does not compile.
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import {
  type ClientError,
  HttpAppSignIn,
  type SignInRequired,
  WebSignIn,
  type WebSignInError
} from "effect-mcp-auth/client"
import { assertType, describe, expectTypeOf, it } from "vitest"

class NotLoggedIn extends Data.TaggedError("NotLoggedIn") {}
class Missing extends Data.TaggedError("Missing") {}

type Needs<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Fails<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

declare const user: Effect.Effect<string, NotLoggedIn>
declare const page: HttpApp.Default<ClientError.ClientError | Missing>
declare const required: SignInRequired.SignInRequired

describe("a web sign-in", () => {
  it("is somebody's: a target without a user does not compile", () => {
    WebSignIn.layerTokenSource({ resource: "https://mcp.example.com/mcp", user: "alice" })
    // @ts-expect-error: whose grant?
    WebSignIn.layerTokenSource({ resource: "https://mcp.example.com/mcp" })
    // @ts-expect-error: the user of all is said nowhere
    WebSignIn.layer({ redirectUri: "https://app.example.com/callback", user: "alice" })
  })

  it("is for a resource or for what a call required, and not for both or neither", () => {
    assertType<WebSignIn.Begin>({ user: "alice", required })
    assertType<WebSignIn.Begin>({ user: "alice", resource: "https://mcp.example.com/mcp" })
    // @ts-expect-error: for what?
    assertType<WebSignIn.Begin>({ user: "alice" })
    // @ts-expect-error: for which?
    assertType<WebSignIn.Begin>({ user: "alice", resource: "https://mcp.example.com/mcp", required })
  })

  it("its failures stay in the type until the middleware has taken them; those of the application go through", () => {
    const bare = HttpAppSignIn.complete({ user })
    expectTypeOf<Fails<typeof bare>>().toEqualTypeOf<
      NotLoggedIn | ClientError.ClientError | WebSignInError.WebSignInError
    >()
    const app = HttpAppSignIn.middleware({ user })(page)
    expectTypeOf<Fails<typeof app>>().toEqualTypeOf<NotLoggedIn | Missing>()
    expectTypeOf<WebSignIn.WebSignIn>().toMatchTypeOf<Needs<typeof app>>()
  })

  it("a call that nobody can be asked for is a failure with a name", () => {
    const handled = Effect.catchTag(page, "SignInRequired", ({ scopes }) => HttpServerResponse.json(scopes))
    expectTypeOf<SignInRequired.SignInRequired>().not.toMatchTypeOf<Fails<typeof handled>>()
  })
})
