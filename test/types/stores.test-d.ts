// Type tests: they fail by not compiling, and a `@ts-expect-error` that expects in vain is a failure, too.
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import type * as Path from "@effect/platform/Path"
import type { ConfigError } from "effect/ConfigError"
import type * as Layer from "effect/Layer"
import { type ClientError, EncryptionKeys, TokenStore } from "effect-mcp-auth/client"
import { type RedisClient, RedisTokenStore } from "effect-mcp-auth/redis"
import { describe, expectTypeOf, it } from "vitest"

const directory = "/tokens"
const keys = EncryptionKeys.config()

describe("a store that outlives the process", () => {
  it("cannot be had without keys, but by name", () => {
    // @ts-expect-error no keys
    TokenStore.layerFile({ directory })
    // @ts-expect-error no keys
    TokenStore.layerKeyValueStore({})
    // @ts-expect-error no keys
    RedisTokenStore.layer({ prefix: "tokens:" })
    // @ts-expect-error a text is no key: it may have any length
    TokenStore.layerFile({ directory, keys: "hunter2" })
  })

  it("fails with what its keys fail with, and needs what it is made of", () => {
    expectTypeOf(TokenStore.layerFile({ directory, keys })).toEqualTypeOf<
      Layer.Layer<TokenStore.TokenStore, ClientError.TokenStoreError | ConfigError, FileSystem.FileSystem | Path.Path>
    >()
    expectTypeOf(TokenStore.layerKeyValueStore({ keys })).toEqualTypeOf<
      Layer.Layer<TokenStore.TokenStore, ConfigError, KeyValueStore.KeyValueStore>
    >()
    expectTypeOf(RedisTokenStore.layer({ keys })).toEqualTypeOf<
      Layer.Layer<TokenStore.TokenStore, ConfigError, RedisClient.RedisClient>
    >()
  })
})
