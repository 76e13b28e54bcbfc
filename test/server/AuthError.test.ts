import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import * as AuthError from "../../src/server/AuthError.js"

const all: ReadonlyArray<AuthError.AuthError> = [
  AuthError.missing,
  new AuthError.InvalidToken({ reason: "signature", detail: "d", description: "e", code: "c", parameters: { a: "b" } }),
  new AuthError.InvalidToken({ reason: "other" }),
  new AuthError.InsufficientScope({ required: ["a", "b"] }),
  new AuthError.InvalidRequest({ description: "d" }),
  new AuthError.ServerError({ retryAfter: 5 }),
  new AuthError.ServerError({ cause: new Error("c") })
]

class Missing extends Data.TaggedError("Missing") {}

describe("AuthError", () => {
  it("isAuthError knows its own, and no other error of the same name", () => {
    for (const error of all) assert.isTrue(AuthError.isAuthError(error))
    for (const other of [new Missing(), { _tag: "Missing" }, new Error("Missing"), "Missing", null, undefined, 5]) {
      assert.isFalse(AuthError.isAuthError(other))
    }
  })

  it("every error crosses a wire", () => {
    for (const error of all) {
      const encoded = JSON.parse(JSON.stringify(Schema.encodeSync(AuthError.AuthError)(error)))
      const decoded = Schema.decodeUnknownSync(AuthError.AuthError)(encoded)
      assert.strictEqual(decoded._tag, error._tag)
      assert.strictEqual(decoded.message, error.message)
      assert.isTrue(AuthError.isAuthError(decoded))
    }
  })

  it("messages are for logs: they hold reason and detail", () => {
    assert.deepStrictEqual(
      all.map(({ message }) => message),
      [
        "Authorization required",
        "e (signature: d)",
        "The access token is not valid (other)",
        "The operation needs the scopes: a b",
        "d",
        "Authorization is out of order for now",
        "Authorization failed"
      ]
    )
  })

  it("they are errors, with what Node prints of them", () => {
    for (const error of all) {
      assert.instanceOf(error, Error)
      assert.include(inspect(error), error._tag)
    }
  })

  it("a reason nobody knows is refused", () => {
    assert.throws(() => new AuthError.InvalidToken({ reason: "whatever" as never }))
  })
})
