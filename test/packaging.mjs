// The package as its users get it: built, packed, linted, installed into empty projects, imported and type-checked there.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const work = mkdtempSync(join(tmpdir(), "effect-mcp-auth-"))
process.on("exit", () => rmSync(work, { recursive: true, force: true }))

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages
const tool = (path) => join(root, "node_modules", path)

/** Runs a program and returns its output; throws with the output when it exits non-zero or takes three minutes. */
const run = (command, args, cwd = root) => {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 180_000, maxBuffer: 1 << 26 })
  if (result.error !== undefined || result.status !== 0) {
    const reason = result.error?.message ?? `exit ${result.status ?? result.signal}`
    throw new Error(`${command} ${args[0]}: ${reason}\n${result.stdout}${result.stderr}`.trim())
  }
  return result.stdout
}

const failed = []

/** Prints a line for the check. Returns what the check returned, undefined when it failed. */
const check = (name, body) => {
  const start = performance.now()
  const print = (verdict) => console.log(`${verdict} ${name} (${Math.round(performance.now() - start)} ms)`)
  try {
    const value = body()
    print("ok  ")
    return value
  } catch (error) {
    failed.push(name)
    print("FAIL")
    console.log(error.message.replace(/^/gm, "     "))
    return undefined
  }
}

// --- the project of a user -------------------------------------------------------------------------------------------

/** The packages and everything that they need as a peer, each at the version of our lockfile. */
const pinned = (names, versions = {}) => {
  for (const name of names) {
    if (name in versions) continue
    const { version, peerDependencies = {}, peerDependenciesMeta = {} } = locked[`node_modules/${name}`]
    versions[name] = version
    const needed = Object.keys(peerDependencies).filter((peer) => peerDependenciesMeta[peer]?.optional !== true)
    pinned(needed, versions)
  }
  return versions
}

/** An empty project with the tarball and the dependencies installed; a peer that does not fit is an error. */
const install = (directory, tarball, dependencies) => {
  const project = join(work, directory)
  mkdirSync(project)
  const withTarball = { ...dependencies, [manifest.name]: `file:${tarball}` }
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", dependencies: withTarball }))
  const quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
  run("npm", ["install", "--prefer-offline", "--strict-peer-deps", ...quiet], project)
  return project
}

/** Imports the specifiers in one Node process, where each must have the outcome: "ok", or the code of an error. */
const imports = (project, specifiers, expected) => {
  const script = `for (const specifier of process.argv.slice(1)) {
    const [outcome, detail] = await import(specifier).then(() => ["ok"], (error) => [error.code, error.message])
    if (outcome !== "${expected}") throw new Error(specifier + ": expected ${expected}, got " + (detail ?? outcome))
  }`
  run(process.execPath, ["--input-type=module", "--eval", script, ...specifiers], project)
}

/** Type-checks a file that imports every specifier, and with it the declarations of every library that is reached. */
const typeCheck = (project, specifiers, types) => {
  const lines = specifiers.map((specifier, index) => `import * as m${index} from "${specifier}"`)
  const names = specifiers.map((_, index) => `m${index}`)
  writeFileSync(join(project, "main.ts"), [...lines, `export const entryPoints = [${names.join(", ")}]`].join("\n"))
  const compilerOptions = {
    target: "ES2022",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    types
  }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }))
  run(process.execPath, [tool("typescript/bin/tsc"), "-p", "."], project)
}

// --- the checks ------------------------------------------------------------------------------------------------------

const specifierOf = (subpath) => manifest.name + subpath.slice(1)
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json")
const entryPoints = subpaths.map(specifierOf)
/** Those that work with the required peers alone. */
const portable = subpaths
  .filter((subpath) => !["./mcp", "./node", "./bun", "./redis"].includes(subpath))
  .map(specifierOf)
const optional = Object.keys(manifest.peerDependenciesMeta)
const required = Object.keys(manifest.peerDependencies).filter((peer) => !optional.includes(peer))

const pack = () => {
  const [{ filename, files }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", work]))
  return { tarball: join(work, filename), files: files.map((file) => file.path) }
}

const contents = (files) => {
  const documents = ["package.json", "README.md", "LICENSE", "CHANGELOG.md"]
  const code = /^(dist\/.+\.(js|d\.ts)(\.map)?|src\/.+\.ts)$/
  const stray = files.filter((file) => !code.test(file) && !documents.includes(file))
  const absent = documents.filter((file) => !files.includes(file))
  if (stray.length > 0) throw new Error(`not meant to be published: ${stray.join(", ")}`)
  if (absent.length > 0) throw new Error(`missing: ${absent.join(", ")}`)
}

const publint = (tarball) => run(process.execPath, [tool("publint/src/cli.js"), "run", tarball, "--strict"])

/** ESM only, as jose is: this profile leaves out `require` (cjs-resolves-to-esm) and resolution without `exports` (node10). */
const attw = (tarball) => {
  const options = ["--profile", "esm-only", "--no-definitely-typed", "--format", "ascii"]
  run(process.execPath, [tool("@arethetypeswrong/cli/dist/index.js"), tarball, ...options])
}

const internalsOf = (files) => {
  const modules = files.flatMap((file) => /^dist\/(.+)\.js$/.exec(file)?.slice(1) ?? [])
  const hidden = modules.filter((module) => !module.endsWith("index"))
  return ["dist/index.js", "dist/server/index.js", "src/index.ts", ...hidden].map((path) => `${manifest.name}/${path}`)
}

const withEveryPeer = ({ files, tarball }) => {
  // @effect/rpc declares its types with those of msgpackr, which name Buffer and `stream`: whoever checks declarations needs
  // @types/node. @types/bun must not be needed: the declarations of @effect/platform-bun 0.91 do not compile against 1.4
  // (RouterTypes and TLSServeOptions are gone from it), so ours never name a type of BunHttpServer.
  const types = { "@types/node": manifest.devDependencies["@types/node"] }
  const dependencies = { ...pinned([...required, ...optional]), ...types }
  const project = check("install with every peer", () => install("every-peer", tarball, dependencies))
  if (project === undefined) return
  for (const entryPoint of entryPoints) check(`import ${entryPoint}`, () => imports(project, [entryPoint], "ok"))
  check(`type-check all ${entryPoints.length}`, () => typeCheck(project, entryPoints, ["node"]))
  const internals = internalsOf(files)
  const refused = "ERR_PACKAGE_PATH_NOT_EXPORTED"
  check(`refuse the ${internals.length} internal modules`, () => imports(project, internals, refused))
}

const withRequiredPeers = ({ tarball }) => {
  const project = check("install with the required peers", () => install("required-peers", tarball, pinned(required)))
  if (project === undefined) return
  check("no optional peer came along", () => {
    const present = optional.filter((peer) => existsSync(join(project, "node_modules", peer)))
    if (present.length > 0) throw new Error(present.join(", "))
  })
  for (const entryPoint of portable) check(`import ${entryPoint}`, () => imports(project, [entryPoint], "ok"))
  check(`type-check these ${portable.length}`, () => typeCheck(project, portable, []))
}

check("build", () => run("npm", ["run", "build"]))
const packed = failed.length > 0 ? undefined : check("pack", pack)
if (packed !== undefined) {
  check("contents of the tarball", () => contents(packed.files))
  check("publint", () => publint(packed.tarball))
  check("are the types wrong", () => attw(packed.tarball))
  withEveryPeer(packed)
  withRequiredPeers(packed)
}
console.log(failed.length === 0 ? "packaging: all checks passed" : `packaging: FAILED: ${failed.join("; ")}`)
process.exitCode = failed.length === 0 ? 0 : 1
