/**
 * Lists of tools, resources, templates and prompts as a caller is to see them.
 *
 * @since 0.1.0
 */
import type * as RpcMessage from "@effect/rpc/RpcMessage"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scopes from "../protocol/Scopes.js"
import { type Claims, OptionalClaims } from "../server/Claims.js"
import type * as ScopeRequirement from "../server/ScopeRequirement.js"
import type { Declaration, Registrar } from "./Declaration.js"

type Lists = Registrar["declared"]

/** The lists, each with the member by which its entries are known, and the kind of operation that they are. */
const lists: ReadonlyArray<readonly [list: keyof Lists, key: string, kind: ScopeRequirement.Operation["kind"]]> = [
  ["tools", "name", "tool"],
  ["resources", "uri", "resource"],
  ["resourceTemplates", "uriTemplate", "resource"],
  ["prompts", "name", "prompt"]
]

type Entry = Readonly<Record<string, unknown>>

type Caller = Option.Option<Claims>

/** Adds to an entry what it needs, with what every token needs: for ChatGPT in its form, for others in ours. */
const annotated = (
  entry: Entry,
  kind: ScopeRequirement.Operation["kind"],
  { refusal, required }: ScopeRequirement.Verdict,
  { isPublic }: Declaration,
  caller: Caller,
  always: ReadonlyArray<string>
): Entry => {
  const scopes = Scopes.union(required, always)
  const needed = isPublic ? [] : scopes
  const granted = Option.match(caller, { onNone: () => [], onSome: (claims) => claims.scopes })
  return {
    ...entry,
    _meta: {
      ...(kind === "tool"
        ? { securitySchemes: [...(isPublic ? [{ type: "noauth" }] : []), { type: "oauth2", scopes }] }
        : {}),
      "effect-mcp-auth/access": {
        callable: refusal === undefined,
        scopes: needed,
        missing: Scopes.missing(needed, granted)
      }
    }
  }
}

const shown = (
  entry: Entry,
  name: string,
  kind: ScopeRequirement.Operation["kind"],
  declaration: Declaration,
  caller: Caller,
  always: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Entry>> =>
  declaration.policy.listing === "All"
    ? Effect.succeed([entry])
    : Effect.map(declaration.judge({ kind, name }, caller), (verdict) => {
        if (declaration.policy.listing === "Annotated") {
          return [annotated(entry, kind, verdict, declaration, caller, always)]
        }
        return verdict.refusal === undefined ? [entry] : []
      })

const isRecord = (value: unknown): value is Entry => typeof value === "object" && value !== null

/**
 * The answer to a request with its lists as the caller of that request may see them; every other answer as it is. It goes
 * by what the answer holds, not by what was asked: ids are the client's, and may come twice. `always` are the scopes that
 * every token needs.
 *
 * @since 0.1.0
 * @category combinators
 */
export const permitted = (
  response: RpcMessage.FromServerEncoded,
  declared: Lists,
  always: ReadonlyArray<string>
): Effect.Effect<RpcMessage.FromServerEncoded> => {
  if (response._tag !== "Exit" || response.exit._tag !== "Success" || !isRecord(response.exit.value)) {
    return Effect.succeed(response)
  }
  const { value } = response.exit
  const found = lists.flatMap(([list, key, kind]) => {
    const entries = value[list]
    return Array.isArray(entries) ? [{ list, key, kind, entries: entries as ReadonlyArray<Entry> }] : []
  })
  if (found.length === 0) return Effect.succeed(response)
  return Effect.gen(function* () {
    // What is sent to nobody's request shows nothing.
    const caller = yield* Effect.serviceOption(OptionalClaims)
    const filtered: Record<string, ReadonlyArray<Entry>> = {}
    for (const { entries, key, kind, list } of found) {
      const visible = yield* Effect.forEach(
        entries,
        (entry) => {
          const name = String(entry[key])
          const declaration = declared[list].get(name)
          return Option.isNone(caller) || declaration === undefined
            ? Effect.succeed([])
            : shown(entry, name, kind, declaration, caller.value, always)
        },
        { concurrency: "unbounded" }
      )
      filtered[list] = visible.flat()
    }
    return { ...response, exit: { _tag: "Success" as const, value: { ...value, ...filtered } } }
  })
}
