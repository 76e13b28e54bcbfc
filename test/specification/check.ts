/** What can be wrong between the tables, the code, the tests and the catalogues. Pure: `specification.test.ts` brings it all. */
import type { Row, Section } from "./Row.js"
import type { Named } from "./Titles.js"

/** Test files by their path below `test`, without `.test.ts`. */
export type Tests = ReadonlyMap<string, Named>

export interface World {
  readonly sections: ReadonlyArray<Section>
  readonly tests: Tests
  readonly moduleExists: (path: string) => boolean
  /** Ids and levels of a catalogue, where it is at hand. */
  readonly catalogue: ReadonlyMap<string, string> | undefined
  /** Ids that other tables know. */
  readonly isKnown: (id: string) => boolean
}

const rowsOf = (sections: ReadonlyArray<Section>): ReadonlyArray<Row> => sections.flatMap(({ rows }) => rows)

export const testsOf = (id: string, tests: Tests): ReadonlyArray<string> =>
  Array.from(tests)
    .filter(([, { proved }]) => proved.has(id))
    .map(([file]) => file)
    .sort()

/** The rows that break a rule, a line each. */
export const problems = ({ catalogue, isKnown, moduleExists, sections, tests }: World): ReadonlyArray<string> => {
  const rows = rowsOf(sections)
  const ids = new Set(rows.map(({ id }) => id))
  const found: Array<string> = []
  rows.forEach(({ id, leftOut, level, modules, open }, index) => {
    if (rows.findIndex((row) => row.id === id) !== index) found.push(`${id} is there twice`)
    if (modules.length === 0 && leftOut === undefined && open === undefined)
      found.push(`${id} has neither module nor reason`)
    for (const module of modules) if (!moduleExists(module)) found.push(`${id}: there is no src/${module}.ts`)
    if (modules.length > 0 && testsOf(id, tests).length === 0) found.push(`${id}: no test names it`)
    const expected = catalogue?.get(id)
    if (catalogue !== undefined && expected === undefined) found.push(`${id} is not in the catalogue`)
    if (expected !== undefined && level !== undefined && level !== expected)
      found.push(`${id} is a ${expected}, not a ${level}`)
  })
  for (const id of catalogue?.keys() ?? []) if (!ids.has(id)) found.push(`${id} is missing from the tables`)
  for (const [file, { mentioned }] of tests) {
    for (const id of mentioned) if (!isKnown(id)) found.push(`${file}: there is no ${id}`)
  }
  return found
}

/** The ids of a catalogue's tables and, in the column of that name, their levels. */
export const readCatalogue = (markdown: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  let column = -1
  for (const line of markdown.split("\n")) {
    if (!line.startsWith("|")) continue
    const cells = line.split("|").map((cell) => cell.trim().replace(/\*\*/g, ""))
    if (cells[1] === "ID" || cells[1] === "#") column = cells.indexOf("Level")
    const [, id = ""] = cells
    if (/^(?:[A-Z]{1,3}-\d{2}|[A-K]\d{1,2})$/.test(id)) found.set(id, column === -1 ? "" : (cells[column] ?? ""))
  }
  return found
}

const isTested = (row: Row, tests: Tests): boolean => testsOf(row.id, tests).length > 0

interface Counts {
  readonly kept: number
  readonly leftOut: number
  readonly open: number
}

export const counts = (rows: ReadonlyArray<Row>): Counts => ({
  kept: rows.filter(({ leftOut, open }) => leftOut === undefined && open === undefined).length,
  leftOut: rows.filter(({ leftOut }) => leftOut !== undefined).length,
  open: rows.filter(({ open }) => open !== undefined).length
})

const cell = (text: string): string => text.replaceAll("|", "\\|")

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cell).join(" | ")} |`).join("\n")

/** The counts by section. */
export const renderCounts = (sections: ReadonlyArray<Section>): string => {
  const line = (name: string, { kept, leftOut, open }: Counts) => [name, `${kept}`, `${leftOut}`, `${open}`]
  const lines = sections.map(({ rows, title }) => line(title, counts(rows)))
  const all = line("**all**", counts(rowsOf(sections)))
  return table(["", "kept and tested", "left out", "open"], [...lines, all])
}

const where = ({ leftOut, modules, open }: Row): string =>
  [
    ...modules.map((module) => `[${module}](../src/${module}.ts)`),
    ...(leftOut === undefined ? [] : [`left out: ${leftOut}`]),
    ...(open === undefined ? [] : [`**open**: ${open}`])
  ].join(", ")

/** The sections with where each row is kept and tested. */
export const renderSections = (sections: ReadonlyArray<Section>, tests: Tests): string =>
  sections
    .map(({ rows, title }) => {
      const hasLevels = rows.some(({ level }) => level !== undefined)
      const head = ["", ...(hasLevels ? ["level"] : []), hasLevels ? "rule" : "feature", "kept by", "tested by"]
      const lines = rows.map((row) => [
        row.id,
        ...(hasLevels ? [row.level ?? ""] : []),
        row.source === undefined ? row.rule : `${row.rule} (${row.source})`,
        where(row),
        isTested(row, tests)
          ? testsOf(row.id, tests)
              .map((file) => `[${file}](../test/${file}.test.ts)`)
              .join(", ")
          : ""
      ])
      return `## ${title}\n\n${table(head, lines)}`
    })
    .join("\n\n")
