/** Which rows the titles of tests name. */
import ts from "typescript"

const RULE = "(?:GEN|REG|SEC|EMA|RS|CL|CC|PR|AM|RI|CI|[ABDHIJKNQRSTVWXZ])-\\d{2}"
const FEATURE = "[A-K]\\d{1,2}"
const ID = `(?<![\\w.-])(?:${RULE}|${FEATURE}(?!-\\d))(?!\\w)`
const RANGE = new RegExp(`(${ID})(?:\\s?(?:–|-|\\.\\.)\\s?(${ID}|(?<=[–-])(?:${RULE}|${FEATURE})(?!\\w)))?`, "g")
const LIST = `${ID}(?:(?:, | and | |; |[–-])(?:${RULE}|${FEATURE})(?!\\w))*`
/** In data an id counts where a title would have it: at the beginning, or as all that stands in parentheses. */
const IN_DATA = new RegExp(`^${LIST}(?=$|[\\s,:;.)])|\\((${LIST})\\)`, "g")

const between = (first: string, last: string): ReadonlyArray<string> => {
  const prefix = first.replace(/\d+$/, "")
  if (!last.startsWith(prefix)) return [first, last]
  const digits = first.length - prefix.length
  const from = Number(first.slice(prefix.length))
  const to = Number(last.slice(prefix.length))
  const pad = first.includes("-") ? digits : 0
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => `${prefix}${String(from + n).padStart(pad, "0")}`)
}

/** The ids in a title, with all that lie in a range such as `A8–A11`. */
export const idsIn = (title: string): ReadonlyArray<string> =>
  Array.from(title.matchAll(RANGE)).flatMap(([, first = "", last]) =>
    last === undefined ? [first] : between(first, last)
  )

const idsInData = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(IN_DATA)).flatMap(([match]) => idsIn(match))

/** What a test file names: `proved` by tests that are to pass, `mentioned` by any, those that are known to fail as well. */
export interface Named {
  readonly proved: ReadonlySet<string>
  readonly mentioned: ReadonlySet<string>
}

const VERBS = ["it", "test", "describe"]

/** `it.effect.each(table)` is `it` with `effect` and `each`. */
const callee = (expression: ts.Expression): { readonly root: string; readonly path: ReadonlyArray<string> } => {
  const path: Array<string> = []
  let node: ts.Expression = expression
  for (;;) {
    if (ts.isPropertyAccessExpression(node)) path.push(node.name.text)
    else if (!ts.isCallExpression(node)) break
    node = node.expression
  }
  return { root: ts.isIdentifier(node) ? node.text : "", path }
}

const literal = (node: ts.Node): string | undefined => {
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return undefined
  return [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join("\u0000")
}

/**
 * Scans a test file. Where a title is put together at run time, the strings of tables in the file, and of those that it
 * imports from `vectors`, count as well; `read` gives the text of an import.
 */
export const scan = (text: string, read: (specifier: string) => string): Named => {
  const source = ts.createSourceFile("test.ts", text, ts.ScriptTarget.Latest, true)
  const proved = new Set<string>()
  const mentioned = new Set<string>()
  const verbs = new Set(VERBS)
  const failing = new Set<string>()
  const titles = new Set<ts.Node>()
  let dynamic = false
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined && ts.isIdentifier(node.name)) {
      const { path, root } = ts.isPropertyAccessExpression(node.initializer)
        ? callee(node.initializer)
        : { path: [], root: "" }
      if (VERBS.includes(root)) verbs.add(node.name.text)
      if (VERBS.includes(root) && path.some(isFailing)) failing.add(node.name.text)
    }
    if (ts.isCallExpression(node)) {
      const { path, root } = callee(node.expression)
      const [title] = node.arguments
      const isTable = ts.isPropertyAccessExpression(node.expression) && node.expression.name.text === "each"
      if (verbs.has(root) && title !== undefined && !isTable) {
        titles.add(title)
        const said = literal(title)
        dynamic ||= said === undefined || said.includes("\u0000") || path.includes("each")
        for (const id of idsIn(said ?? "")) {
          mentioned.add(id)
          if (!path.some(isFailing) && !failing.has(root)) proved.add(id)
        }
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  if (dynamic) {
    const data = (node: ts.Node): void => {
      if (titles.has(node)) return
      if (ts.isStringLiteralLike(node) && isNaming(node)) {
        for (const id of idsInData(node.text)) {
          mentioned.add(id)
          proved.add(id)
        }
      }
      // Inside a title there is a function as well, and tables in it.
      ts.forEachChild(node, data)
    }
    data(source)
    for (const statement of source.statements) {
      if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue
      const { text: specifier } = statement.moduleSpecifier
      if (specifier.includes("vectors/")) {
        data(ts.createSourceFile("vectors.ts", read(specifier), ts.ScriptTarget.Latest, true))
      }
    }
  }
  return { proved, mentioned }
}

/** Of an object only what names it: a key id may be called `K1`. */
const isNaming = ({ parent }: ts.Node): boolean =>
  !ts.isPropertyAssignment(parent) ||
  ts.isStringLiteralLike(parent.name) ||
  ["row", "name", "title"].includes(parent.name.getText())

const isFailing = (name: string): boolean => ["fails", "skip", "todo"].includes(name)
