// The rules of the house (docs/decisions/0003-folder-layout.md) and those rules of writing that no linter keeps.
// A rule is a pure function from modules to violations; architecture.test.ts applies each to src and to bad examples.
import { posix } from "node:path"
import ts from "typescript"
import { folderOf, lineOf, type Module, nodes } from "./Module.js"

export interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>
}

export interface House {
  readonly modules: ReadonlyMap<string, Module>
  readonly manifest: Manifest
}

export interface Violation {
  readonly path: string
  readonly line: number
  readonly message: string
}

export type Rule = (house: House) => ReadonlyArray<Violation>

const eachModule =
  (check: (module: Module, house: House) => Iterable<Omit<Violation, "path">>): Rule =>
  (house) =>
    [...house.modules.values()].flatMap((module) =>
      Array.from(check(module, house), (found) => ({ path: module.path, ...found }))
    )

// --- floors and folders ----------------------------------------------------------------------------------------------

/** The root entry point (no folder) gathers what lies below floor 3, and nobody imports it. */
const floors: Readonly<Record<string, number>> = {
  protocol: 0,
  discovery: 1,
  server: 2,
  client: 2,
  mcp: 3,
  redis: 3,
  node: 3,
  bun: 3,
  testing: 3,
  "": 3,
  cli: 4
}

const floorRule = eachModule(function* (module, { manifest, modules }) {
  const floor = floors[module.folder] ?? -1
  if (floor < 0) yield { line: 1, message: `src/${module.folder} is on no floor` }
  for (const { line, package: name, specifier, target } of module.imports) {
    if (name === manifest.name) yield { line, message: `${specifier}: inside src, import by relative path` }
    if (target === undefined) continue
    const folder = folderOf(target)
    if (!specifier.endsWith(".js")) yield { line, message: `${specifier}: a relative import ends in .js` }
    else if (!target.startsWith("src/")) yield { line, message: `${specifier} leaves src` }
    else if (!modules.has(target)) yield { line, message: `${specifier}: there is no ${target}` }
    else if (folder !== module.folder && (floors[folder] ?? 9) >= floor) {
      yield {
        line,
        message: `${specifier}: ${module.folder || "the root"} may not import from ${folder || "the root"}`
      }
    }
  }
})

const entryPointRule: Rule = ({ manifest, modules }) => {
  const inSource = Object.keys(floors)
    .filter((folder) => folder !== "cli" && modules.has(posix.join("src", folder, "index.ts")))
    .map((folder) => (folder === "" ? "." : `./${folder}`))
  const inManifest = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json")
  const violation = (message: string): Violation => ({ path: "package.json", line: 1, message })
  return [
    ...inSource.filter((path) => !inManifest.includes(path)).map((path) => violation(`${path} is not exported`)),
    ...inManifest.filter((path) => !inSource.includes(path)).map((path) => violation(`${path} has no index.ts in src`))
  ]
}

// --- packages --------------------------------------------------------------------------------------------------------

const runtimes = ["node:", "bun", "@effect/platform-node", "@effect/platform-node-shared", "@effect/platform-bun"]
const runtimeFolders = ["node", "bun", "cli"]
const joseFolders = ["discovery", "server", "client", "testing"]
const isMcpLibrary = (name: string): boolean => name === "@effect/ai" || name.startsWith("@modelcontextprotocol/")

const packageRule = eachModule(function* (module, { manifest }) {
  const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }))
  for (const { line, package: name, specifier } of module.imports) {
    if (name === undefined || name === manifest.name) continue
    if (module.folder === "protocol") yield { line, message: `${specifier}: protocol imports nothing` }
    else if (runtimes.includes(name) && !runtimeFolders.includes(module.folder)) {
      yield { line, message: `${specifier}: only node, bun and cli import a runtime` }
    } else if (isMcpLibrary(name) && module.folder !== "mcp") {
      yield { line, message: `${specifier}: only mcp imports an MCP library` }
    } else if (name === "jose" && !joseFolders.includes(module.folder)) {
      yield { line, message: `${specifier}: only ${joseFolders.join(", ")} import jose` }
    } else if (name !== "node:" && name !== "bun" && !declared.has(name)) {
      yield { line, message: `${specifier}: ${name} is neither a dependency nor a peer` }
    }
  }
})

const barrelRule = eachModule(function* (module) {
  for (const { line, specifier, target } of module.imports) {
    const ofPackage = /^(effect|@effect\/[^/]+)(\/index)?$/.exec(specifier)
    if (ofPackage !== null) yield { line, message: `${specifier} is a barrel: import ${ofPackage[1]}/Module` }
    if (target?.endsWith("/index.ts") && module.path !== "src/index.ts") {
      yield { line, message: `${specifier} is a barrel: import the module itself` }
    }
  }
})

/** The entry points that must work with the required peers alone. */
const withoutOptionalPeers = ["", "protocol", "discovery", "server", "client", "testing"]

const optionalPeerRule: Rule = ({ manifest, modules }) => {
  const isOptional = (name: string) =>
    runtimes.includes(name) || isMcpLibrary(name) || manifest.peerDependenciesMeta[name]?.optional === true
  const found: Array<Violation> = []
  const seen = new Set<string>()
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    if (seen.has(path)) return
    seen.add(path)
    for (const { line, package: name, specifier, target } of modules.get(path)?.imports ?? []) {
      const here = [...trail, path]
      if (name !== undefined && isOptional(name)) {
        found.push({ path, line, message: `${specifier} is reached by ${here.join(" → ")}` })
      }
      if (target !== undefined) visit(target, here)
    }
  }
  for (const folder of withoutOptionalPeers) visit(posix.join("src", folder, "index.ts"), [])
  return found
}

const cycleRule: Rule = ({ modules }) => {
  const found: Array<Violation> = []
  const done = new Set<string>()
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    if (done.has(path)) return
    const here = [...trail, path]
    for (const { line, target } of modules.get(path)?.imports ?? []) {
      if (target === undefined) continue
      const start = here.indexOf(target)
      if (start < 0) visit(target, here)
      else found.push({ path, line, message: `circular import: ${[...here.slice(start), target].join(" → ")}` })
    }
    done.add(path)
  }
  for (const path of modules.keys()) visit(path, [])
  return found
}

// --- exports ---------------------------------------------------------------------------------------------------------

const documentationRule = eachModule(function* (module) {
  if (module.path.includes("/internal/")) return
  const isDescription = (doc: string | undefined): boolean => doc !== undefined && !/^(@|$)/.test(doc)
  const described = new Set(module.exports.filter(({ doc }) => isDescription(doc)).map(({ name }) => name))
  for (const { doc = "", line, name } of module.exports) {
    // An export marked @internal is for its neighbours; `stripInternal` leaves it out of the declarations.
    if (/^@internal\b/m.test(doc)) continue
    const missing = [
      // A type and a value of one name may share the description.
      ...(described.has(name) ? [] : ["a description"]),
      ...(/^@since \d+\.\d+\.\d+$/m.test(doc) ? [] : ["@since x.y.z"]),
      ...(/^@category \S/m.test(doc) ? [] : ["@category"])
    ]
    if (missing.length > 0) yield { line, message: `${name}: the doc comment lacks ${missing.join(", ")}` }
  }
})

const defaultExportRule = eachModule(function* (module) {
  for (const node of nodes(module.tree)) {
    const isDefault =
      ts.isExportAssignment(node) ||
      (ts.isModifier(node) && node.kind === ts.SyntaxKind.DefaultKeyword) ||
      (ts.isExportSpecifier(node) && node.name.text === "default")
    if (isDefault) yield { line: lineOf(node), message: "no default export: name it" }
  }
})

const wordsOf = (name: string): ReadonlyArray<string> => name.match(/[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g) ?? []

const nameRule = eachModule(function* (module) {
  const name = posix.basename(module.path, ".ts")
  if (wordsOf(name).some((word) => /^(utils?|helpers?|common|misc|manager|live)$/i.test(word))) {
    yield { line: 1, message: `${name} says nothing: name the module after its noun` }
  }
  for (const { line, name } of module.exports) {
    if (/(Live|Manager|Utils?|Helpers?)$/.test(name)) yield { line, message: `${name}: name it after what it is` }
  }
})

const maxLines = 300

const sizeRule = eachModule(function* (module) {
  const lines = module.text.replace(/\n$/, "").split("\n").length
  if (lines > maxLines) yield { line: maxLines + 1, message: `${lines} lines; a module has at most ${maxLines}` }
})

// --- globals ---------------------------------------------------------------------------------------------------------

interface GlobalUse {
  readonly name: string
  /** The members taken of it; empty when it is used as a whole. */
  readonly members: ReadonlyArray<string>
  readonly node: ts.Node
}

const isGlobalThis = (node: ts.Node): boolean => ts.isIdentifier(node) && node.text === "globalThis"

/** An identifier that is read, and does not just name a member or a declaration. Shadowing a global is no excuse. */
const isRead = (node: ts.Identifier): boolean => {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return isGlobalThis(parent.expression)
  if (ts.isQualifiedName(parent)) return parent.left === node
  const { name, propertyName } = parent as { readonly name?: ts.Node; readonly propertyName?: ts.Node }
  return ts.isShorthandPropertyAssignment(parent) || (name !== node && propertyName !== node)
}

const membersOf = (node: ts.Node): ReadonlyArray<string> => {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.expression === node) return [parent.name.text]
  if (ts.isQualifiedName(parent)) return [parent.right.text]
  if (ts.isElementAccessExpression(parent) && ts.isStringLiteralLike(parent.argumentExpression)) {
    return [parent.argumentExpression.text]
  }
  if (ts.isVariableDeclaration(parent) && ts.isObjectBindingPattern(parent.name)) {
    return parent.name.elements.map((element) => (element.propertyName ?? element.name).getText())
  }
  return []
}

const globalUses = (module: Module): ReadonlyArray<GlobalUse> =>
  nodes(module.tree)
    .filter(ts.isIdentifier)
    .filter(isRead)
    .map((name) => {
      const { parent } = name
      const node = ts.isPropertyAccessExpression(parent) && parent.name === name ? parent : name
      return { name: name.text, members: membersOf(node), node }
    })

/** The first member of a use that `table` lists under the name of the global. */
const listedMember = (use: GlobalUse, table: ReadonlyMap<string, ReadonlyArray<string>>): string | undefined =>
  use.members.find((member) => table.get(use.name)?.includes(member))

const ambient = new Map([
  ["Date", ["now"]],
  ["Math", ["random"]],
  ["performance", ["now", "timeOrigin"]],
  ["process", ["env", "hrtime"]]
])

const ambientRule = eachModule(function* (module) {
  if (module.folder === "cli") return
  for (const use of globalUses(module)) {
    const { name, node } = use
    const member = listedMember(use, ambient)
    const { parent } = node
    const isNow =
      (ts.isNewExpression(parent) && parent.expression === node && !parent.arguments?.length) ||
      (ts.isCallExpression(parent) && parent.expression === node)
    if (member !== undefined) yield { line: lineOf(node), message: `${name}.${member}: take it from a service` }
    else if (name === "console") yield { line: lineOf(node), message: "console: take Effect.log" }
    else if (name === "Date" && isNow) yield { line: lineOf(node), message: "the current Date: take it from Clock" }
  }
})

const runtimeGlobals = [
  "Buffer",
  "Bun",
  "Deno",
  "NodeJS",
  "__dirname",
  "__filename",
  "global",
  "process",
  "setImmediate"
]

const runtimeGlobalRule = eachModule(function* (module) {
  if (runtimeFolders.includes(module.folder)) return
  for (const { name, node } of globalUses(module)) {
    if (runtimeGlobals.includes(name)) {
      yield { line: lineOf(node), message: `${name}: only node, bun and cli know their runtime` }
    }
  }
})

// --- the subset of Effect 3 that ports to Effect 4 by renaming -------------------------------------------------------

const unportableModules = ["effect/FiberRef", "effect/FiberRefs", "effect/Runtime"]
const unportableMembers = new Map([
  ["Effect", ["Service", "Tag", "runtime", "getFiberRefs", "setFiberRefs", "inheritFiberRefs"]],
  ["Layer", ["toRuntime", "toRuntimeWithMemoMap"]]
])

/** What an Effect 4 context holds by itself is carried by hand in one place, and goes away there. */
const carriesFiberRefs = "src/client/FetchAuth.ts"

const portableRule = eachModule(function* (module) {
  for (const { line, specifier } of module.imports) {
    if (unportableModules.includes(specifier)) yield { line, message: `${specifier} does not port to Effect 4` }
  }
  for (const use of globalUses(module)) {
    const member = listedMember(use, unportableMembers)
    const isCarried = module.path === carriesFiberRefs && /^[gs]etFiberRefs$/.test(member ?? "")
    if (member !== undefined && !isCarried) {
      yield { line: lineOf(use.node), message: `${use.name}.${member} does not port to Effect 4` }
    }
  }
})

export const rules = {
  "a module imports from its own folder or from a lower floor": floorRule,
  "every folder is an entry point": entryPointRule,
  "a package is imported only where it belongs": packageRule,
  "imports go by subpath, not through a barrel": barrelRule,
  "a portable entry point reaches no optional peer and no runtime": optionalPeerRule,
  "imports are not circular": cycleRule,
  "every export has a doc comment with @since and @category": documentationRule,
  "nothing is a default export": defaultExportRule,
  "a name says what the thing is": nameRule,
  "a module has at most 300 lines": sizeRule,
  "time, randomness, configuration and output come from services": ambientRule,
  "a runtime's globals stay in node, bun and cli": runtimeGlobalRule,
  "Effect is used in the subset that ports to Effect 4": portableRule
} satisfies Readonly<Record<string, Rule>>
