/**
 * Glue to MCP servers. Needs the optional peers `@effect/ai` and `@effect/rpc`.
 *
 * @since 0.1.0
 */

/**
 * The guard on an `@effect/ai` MCP server, with scopes declared on its tools, resources, templates and prompts.
 *
 * @since 0.1.0
 * @category modules
 */
export * as McpServerAuth from "./McpServerAuth.js"
