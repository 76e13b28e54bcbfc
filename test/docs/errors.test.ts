import { describe, it } from "@effect/vitest"
import { AuthConfig, AuthError, Challenge } from "effect-mcp-auth/server"
import { hold } from "./generated.js"

const config = AuthConfig.unsafeMake({
  resource: "https://mcp.example.com/mcp",
  authorizationServers: "https://as.example.com",
  requiredScopes: ["mcp:tools"]
})

const samples: ReadonlyArray<readonly [string, AuthError.AuthError]> = [
  ["`Missing`", AuthError.missing],
  ["`InvalidToken`", new AuthError.InvalidToken({ reason: "signature" })],
  [
    "`InvalidToken`, expired",
    new AuthError.InvalidToken({ reason: "expired", description: "The access token has expired" })
  ],
  [
    "`InvalidToken`, other authentication needed",
    new AuthError.InvalidToken({
      reason: "authentication",
      code: "insufficient_user_authentication",
      description: "A different or more recent authentication is required",
      parameters: { max_age: "300" }
    })
  ],
  ["`InsufficientScope`", new AuthError.InsufficientScope({ required: ["files:write"] })],
  ["`InvalidRequest`", new AuthError.InvalidRequest({ description: "the Authorization header must not be repeated" })],
  ["`ServerError`", new AuthError.ServerError({})],
  ["`ServerError`, a dependency is down", new AuthError.ServerError({ retryAfter: 5 })]
]

const section = ([name, error]: readonly [string, AuthError.AuthError]): string => {
  const { body, retryAfter, status, wwwAuthenticate } = Challenge.respond(error, config)
  const lines = [
    `HTTP/1.1 ${status}`,
    ...(wwwAuthenticate === undefined ? [] : [`WWW-Authenticate: ${wwwAuthenticate}`]),
    ...(retryAfter === undefined ? [] : [`Retry-After: ${retryAfter}`]),
    "",
    JSON.stringify(body)
  ]
  return `### ${name}\n\n\`\`\`http\n${lines.join("\n")}\n\`\`\`\n`
}

describe("docs/errors.md", () => {
  it("shows the answers that the code gives", () => {
    hold("docs/errors.md", "answers", samples.map(section).join("\n"))
  })
})
