/**
 * Glue to MCP servers. Needs the optional peer `@effect/ai`.
 *
 * @since 0.1.0
 */

/**
 * The guard on an `@effect/ai` MCP server, with scopes declared on its tools.
 *
 * @since 0.1.0
 * @category modules
 */
export * as McpServerAuth from "./McpServerAuth.js"
