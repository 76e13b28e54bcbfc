/**
 * The keychain of the operating system, on Node. Needs the optional peer `@napi-rs/keyring`.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { TokenStoreError } from "../client/ClientError.js"
import * as Keychain from "../client/Keychain.js"
import type * as TokenStore from "../client/TokenStore.js"

/**
 * The keychain, under the name of a service, which people may be shown. Fails with `open` where there is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (service: string): Effect.Effect<Keychain.Keychain, TokenStoreError> =>
  Keychain.fromKeyring(service, () => import("@napi-rs/keyring"))

/**
 * The file store, encrypted with a key that the keychain keeps; it is made at the first start.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { NodeKeychain } from "effect-mcp-auth/node"
 *
 * const store = NodeKeychain.layerFile({ directory: "/home/me/.local/share/my-tool", service: "my-tool" })
 * ```
 */
export const layerFile = (options: {
  readonly directory: string
  readonly service: string
}): Layer.Layer<TokenStore.TokenStore, TokenStoreError> =>
  Keychain.layerFile({ directory: options.directory, keychain: make(options.service) }).pipe(
    Layer.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer))
  )
