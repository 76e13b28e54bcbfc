/** JSON-RPC bodies, and the scopes that they need where `tool`, `resource` and `prompt` ask for what is in the table. */
export const scopesOf: Readonly<Record<string, ReadonlyArray<string>>> = {
  delete_file: ["files:write"],
  move_file: ["files:read", "files:write"],
  admin: ["admin"],
  constructor_like: ["odd"]
}

export interface OperationVector {
  readonly row: string
  readonly name: string
  /** The text of the body. */
  readonly body: string
  readonly scopes: ReadonlyArray<string>
}

const call = (name: unknown, more: object = {}): unknown => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name, arguments: {} },
  ...more
})

const complete = (ref: unknown): unknown => ({
  method: "completion/complete",
  params: { ref, argument: { name: "x", value: "" } }
})

const listen = (resourceSubscriptions: unknown): unknown => ({
  jsonrpc: "2.0",
  id: 1,
  method: "subscriptions/listen",
  params: { notifications: { toolsListChanged: true, resourceSubscriptions } }
})

const row = (row: string, name: string, body: unknown, scopes: ReadonlyArray<string>): OperationVector => ({
  row,
  name,
  body: typeof body === "string" ? body : JSON.stringify(body),
  scopes
})

export const operations: ReadonlyArray<OperationVector> = [
  row("G2", "a tool with a scope", call("delete_file"), ["files:write"]),
  row("G2, RS-55", "a tool with two", call("move_file"), ["files:read", "files:write"]),
  row("G2", "a tool without", call("whoami"), []),
  row("G2", "a tool nobody knows", call("nope"), []),
  row("G2", "a notification", { jsonrpc: "2.0", method: "tools/call", params: { name: "delete_file" } }, [
    "files:write"
  ]),
  row("G2", "no jsonrpc member", { method: "tools/call", params: { name: "delete_file" } }, ["files:write"]),
  row("G2", "a string id", call("delete_file", { id: "x" }), ["files:write"]),
  row("G2", "a null id", call("delete_file", { id: null }), ["files:write"]),
  row("G1", "listing", { jsonrpc: "2.0", id: 1, method: "tools/list" }, []),
  row("G2", "initialize", { jsonrpc: "2.0", id: 1, method: "initialize", params: { name: "delete_file" } }, []),

  row(
    "RS-55",
    "a batch needs what each of its messages needs",
    [call("delete_file"), call("admin")],
    ["files:write", "admin"]
  ),
  row("RS-55", "each scope once", [call("move_file"), call("delete_file")], ["files:read", "files:write"]),
  row("RS-55", "the harmless first", [call("whoami"), call("whoami"), call("delete_file")], ["files:write"]),
  row("RS-55", "the harmless last", [call("delete_file"), call("whoami")], ["files:write"]),
  row("RS-55", "nonsense between", [null, 5, "x", [], {}, call("delete_file")], ["files:write"]),
  row("RS-55", "an empty batch", [], []),
  row(
    "RS-55",
    "1000 messages",
    Array.from({ length: 1000 }, (_, n) => call(n === 777 ? "admin" : "whoami")),
    ["admin"]
  ),

  row(
    "W-08",
    "a duplicate name: the last counts, as it does for who serves",
    '{"method":"tools/call","params":{"name":"whoami","name":"delete_file"}}',
    ["files:write"]
  ),
  row("W-08", "a duplicate method", '{"method":"tools/list","method":"tools/call","params":{"name":"delete_file"}}', [
    "files:write"
  ]),
  row(
    "W-08",
    "duplicate params",
    '{"method":"tools/call","params":{"name":"whoami"},"params":{"name":"delete_file"}}',
    ["files:write"]
  ),
  row("W-08", "and the other way round", '{"method":"tools/call","params":{"name":"delete_file","name":"whoami"}}', []),
  row(
    "G2",
    "escapes in names of members and values",
    '{"\\u006dethod":"tools\\/call","par\\u0061ms":{"n\\u0061me":"delete\\u005ffile"}}',
    ["files:write"]
  ),
  row("G2", "white space", '\n\t {"method" : "tools/call" ,\r\n"params":{ "name" :"delete_file"}} \n', ["files:write"]),

  row(
    "G2",
    "__proto__ is a member like others",
    '{"__proto__":{"method":"tools/list"},"method":"tools/call","params":{"__proto__":{"name":"whoami"},"name":"delete_file"}}',
    ["files:write"]
  ),
  row("G2", "and gives none", '{"__proto__":{"method":"tools/call","params":{"name":"delete_file"}}}', []),
  row("G2", "a name that every object has", call("constructor"), []),
  row("G2", "another", call("__proto__"), []),
  row("G2", "another", call("toString"), []),
  row("G2", "the name of a member of the table's own kind", call("constructor_like"), ["odd"]),

  ...[5, null, true, ["delete_file"], { toString: "delete_file" }, [["delete_file"]]].map((name) =>
    row("G2", `a name that is no string: ${JSON.stringify(name)}`, call(name), [])
  ),
  ...[5, null, "delete_file", ["delete_file"]].map((params) =>
    row("G2", `params that are no object: ${JSON.stringify(params)}`, { method: "tools/call", params }, [])
  ),
  ...[["tools/call"], { "tools/call": 1 }, 5, null].map((method) =>
    row("G2", `a method that is no string: ${JSON.stringify(method)}`, { method, params: { name: "delete_file" } }, [])
  ),
  ...["Tools/call", "tools/call ", "tools//call", "tools/call\u0000", "/tools/call", "tools.call"].map((method) =>
    row("G2", `a method of another name: ${JSON.stringify(method)}`, { method, params: { name: "delete_file" } }, [])
  ),
  row("G2", "a name in another case", call("Delete_File"), []),
  row("G2", "a batch in a batch, which is none", [[call("delete_file")]], []),

  row("RS-53", "a resource is named by its URI", { method: "resources/read", params: { uri: "admin" } }, ["admin"]),
  row("RS-53", "so is one that is subscribed to", { method: "resources/subscribe", params: { uri: "admin" } }, [
    "admin"
  ]),
  row("RS-53", "so are all of those that revision 2026-07-28 subscribes to at once", listen(["admin", "move_file"]), [
    "admin",
    "files:read",
    "files:write"
  ]),
  row("RS-53", "among what is no URI", listen([5, null, ["admin"], "admin"]), ["admin"]),
  ...["admin", { admin: "admin" }, [], undefined].map((uris) =>
    row("RS-53", `a subscription to no resource: ${JSON.stringify(uris)}`, listen(uris), [])
  ),
  row("RS-53", "its name is nothing", { method: "resources/read", params: { name: "admin" } }, []),
  row("RS-53", "a prompt", { method: "prompts/get", params: { name: "admin" } }, ["admin"]),
  row("RS-53", "no params", { method: "prompts/get" }, []),

  row("RS-53", "a completion of a prompt", complete({ type: "ref/prompt", name: "admin" }), ["admin"]),
  row("RS-53", "a completion of a resource", complete({ type: "ref/resource", uri: "admin" }), ["admin"]),
  row("RS-53", "a completion of another kind counts as one of a resource", complete({ type: "other", uri: "admin" }), [
    "admin"
  ]),
  row("RS-53", "a completion of nothing", complete(null), [])
]

/** JSON that holds no operation at all. */
export const nothing: ReadonlyArray<string> = ["null", "5", '"tools/call"', "true", "{}", "[]", "[[]]"]

/** What is no JSON, though a lenient parser might find some in it. */
export const notJson: ReadonlyArray<string> = [
  "",
  " ",
  "{",
  "[",
  "not JSON",
  '{"a":}',
  "\u0000",
  '{"method":"tools/call","params":{"name":"delete_file"},}',
  "{'method':'tools/call','params':{'name':'delete_file'}}",
  '/* */{"method":"tools/call","params":{"name":"delete_file"}}',
  '{"method":"tools/call","params":{"name":"delete_file"}}{"method":"tools/list"}',
  '{"method":"tools/list"}\n{"method":"tools/call","params":{"name":"delete_file"}}'
]
