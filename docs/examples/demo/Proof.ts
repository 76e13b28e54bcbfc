/**
 * What the demo claims, and whether it happened.
 */
import type { Line } from "./Trace.js"

export interface Claim {
  readonly text: string
  readonly holds: boolean
}

export interface Results {
  readonly resource: string
  readonly login: string
  readonly whoami: { readonly subject?: string; readonly scopes?: ReadonlyArray<string> }
  readonly note: { readonly note?: string }
}

const scopesOf = (line: Line | undefined): ReadonlyArray<string> => line?.parameters.get("scope")?.split(" ") ?? []

export const claims = (lines: ReadonlyArray<Line>, results: Results): ReadonlyArray<Claim> => {
  const some = (test: (line: Line) => boolean) => lines.some(test)
  const requests = lines.filter((line) => line.parameters.has("code_challenge"))
  const tokens = lines.filter((line) => line.parameters.has("code_verifier") && line.status === 200)
  const sameResource = [...requests, ...tokens].every((line) => line.parameters.get("resource") === results.resource)
  const both = ["mcp:tools", "mcp:write"]
  return [
    {
      text: "the first call met a 401 whose challenge names the metadata document and the scope",
      holds: some((line) => line.status === 401 && /Bearer resource_metadata="[^"]+", scope="mcp:tools"/.test(line.why))
    },
    {
      text: "the client read the protected resource metadata and the authorization server metadata",
      holds:
        some((line) => line.why.startsWith("protected resource metadata") && line.status === 200) &&
        some(
          (line) => line.from === "client" && line.what.includes("oauth-authorization-server") && line.status === 200
        )
    },
    {
      text: "it registered itself, once",
      holds: lines.filter((line) => line.what === "POST /reg" && line.status === 201).length === 1
    },
    {
      text: "every authorization request had PKCE S256, state and the resource; every token request the same resource",
      holds:
        requests.length === 2 &&
        tokens.length === 2 &&
        sameResource &&
        requests.every(
          (line) => line.parameters.get("code_challenge_method") === "S256" && line.parameters.has("state")
        )
    },
    {
      text: `the tool saw its caller: ${results.whoami.subject}, with the scopes ${results.whoami.scopes?.join(" ")}`,
      holds: results.whoami.subject === results.login && results.whoami.scopes?.join(" ") === "mcp:tools"
    },
    {
      text: "the second tool met a 403 that names the scopes it needs",
      holds: some(
        (line) => line.status === 403 && line.why.includes('error="insufficient_scope", scope="mcp:write mcp:tools"')
      )
    },
    {
      text: "the step-up asked for the union of scopes",
      holds: both.every((scope) => scopesOf(requests[1]).includes(scope))
    },
    {
      text: `the second tool answered: ${results.note.note}`,
      holds: results.note.note === `written by ${results.login}`
    }
  ]
}
