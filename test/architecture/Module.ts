// What the rules of the house need to know of a source file. Pure: the path and the text are all that is read.
import { builtinModules } from "node:module"
import { posix } from "node:path"
import ts from "typescript"

export interface Import {
  readonly specifier: string
  readonly line: number
  /** The file that a relative specifier names. */
  readonly target: string | undefined
  /** The package that any other specifier names; `node:` for every module of Node itself. */
  readonly package: string | undefined
}

export interface Export {
  readonly name: string
  readonly line: number
  /** The doc comment, without its frame. */
  readonly doc: string | undefined
}

export interface Module {
  readonly path: string
  readonly text: string
  /** The folder directly under `src`; empty for the root entry point. */
  readonly folder: string
  readonly tree: ts.SourceFile
  readonly imports: ReadonlyArray<Import>
  readonly exports: ReadonlyArray<Export>
}

/** A module from its path in the repository (`src/server/Claims.ts`) and its text. */
export const make = (path: string, text: string): Module => {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  return { path, text, folder: folderOf(path), tree, imports: importsOf(tree), exports: exportsOf(tree) }
}

export const folderOf = (path: string): string => path.split("/").slice(1, -1)[0] ?? ""

export const lineOf = (node: ts.Node): number => {
  const tree = node.getSourceFile()
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

export const nodes = (root: ts.Node): ReadonlyArray<ts.Node> => {
  const found: Array<ts.Node> = []
  const visit = (node: ts.Node): void => {
    found.push(node)
    ts.forEachChild(node, visit)
  }
  visit(root)
  return found
}

// --- imports ---------------------------------------------------------------------------------------------------------

const builtins = new Set(builtinModules)

const packageOf = (specifier: string): string => {
  const [first = "", second = ""] = specifier.split("/")
  if (specifier.startsWith("bun:") || first === "bun") return "bun"
  if (specifier.startsWith("node:") || builtins.has(first)) return "node:"
  return first.startsWith("@") ? `${first}/${second}` : first
}

const makeImport = (path: string, specifier: string, line: number): Import => {
  if (!specifier.startsWith(".")) return { specifier, line, target: undefined, package: packageOf(specifier) }
  const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts")
  return { specifier, line, target, package: undefined }
}

/** The node that names another module, whatever the syntax. */
const moduleName = (node: ts.Node): ts.Node | undefined => {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isExternalModuleReference(node)) return node.expression
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : node.argument
  if (ts.isModuleDeclaration(node)) return ts.isStringLiteral(node.name) ? node.name : undefined
  if (!ts.isCallExpression(node)) return undefined
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === "require"
  return isRequire || node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined
}

/** Imports of values and of types alike. A computed specifier is reported as a package that nobody declares. */
const importsOf = (tree: ts.SourceFile): ReadonlyArray<Import> => [
  ...tree.typeReferenceDirectives.map(({ fileName, pos }) =>
    makeImport(tree.fileName, fileName, tree.getLineAndCharacterOfPosition(pos).line + 1)
  ),
  ...nodes(tree).flatMap((node) => {
    const name = moduleName(node)
    if (name === undefined) return []
    return [makeImport(tree.fileName, ts.isStringLiteralLike(name) ? name.text : "(computed)", lineOf(name))]
  })
]

// --- exports ---------------------------------------------------------------------------------------------------------

/** The last doc comment directly before a node. */
const docOf = (node: ts.Node): string | undefined => {
  const { text } = node.getSourceFile()
  return (ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
    .map(({ end, pos }) => text.slice(pos, end))
    .filter((comment) => comment.startsWith("/**"))
    .at(-1)
    ?.slice(3, -2)
    .replace(/^[ \t]*\* ?/gm, "")
    .trim()
}

const namesOf = (statement: ts.Statement): ReadonlyArray<string> => {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((declaration) => declaration.name.getText())
  }
  const { name } = statement as ts.Statement & { readonly name?: ts.Node }
  return name === undefined ? [] : [name.getText()]
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  (ts.getModifiers(statement) ?? []).some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword)

/** The names that a statement declares, and those of the members when it is a namespace. */
const declaredBy = (statement: ts.Statement, prefix = ""): ReadonlyArray<Export> => {
  const doc = docOf(statement)
  const own = namesOf(statement).map((name) => ({ name: prefix + name, line: lineOf(statement), doc }))
  const body = ts.isModuleDeclaration(statement) ? statement.body : undefined
  const members = body !== undefined && ts.isModuleBlock(body) ? body.statements : []
  return [...own, ...members.flatMap((member) => declaredBy(member, `${prefix}${namesOf(statement)[0]}.`))]
}

/** The names of `export { a } from "./A.js"`, documented one by one or together; a local name may have its doc where it is declared. */
const listedBy = (statement: ts.ExportDeclaration, locals: ReadonlyArray<Export>): ReadonlyArray<Export> => {
  const doc = docOf(statement)
  const line = lineOf(statement)
  const clause = statement.exportClause
  if (clause === undefined) return [{ name: "*", line, doc }]
  if (ts.isNamespaceExport(clause)) return [{ name: clause.name.text, line, doc }]
  return clause.elements.map((element) => {
    const local = (element.propertyName ?? element.name).text
    const declared = statement.moduleSpecifier === undefined ? locals.find(({ name }) => name === local) : undefined
    return { name: element.name.text, line: lineOf(element), doc: docOf(element) ?? declared?.doc ?? doc }
  })
}

/** Every exported name with its doc comment; the first overload of a function speaks for the others. */
const exportsOf = (tree: ts.SourceFile): ReadonlyArray<Export> => {
  const locals = tree.statements.flatMap((statement) => declaredBy(statement))
  const functions = new Set<string>()
  return tree.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) return listedBy(statement, locals)
    if (!isExported(statement)) return []
    if (ts.isFunctionDeclaration(statement) && statement.name !== undefined) {
      if (functions.has(statement.name.text)) return []
      functions.add(statement.name.text)
    }
    return declaredBy(statement)
  })
}
