import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { hold } from "../docs/generated.js"
import { problems, readCatalogue, renderCounts, renderSections, type World } from "./check.js"
import * as Features from "./features.js"
import { kept, leftOut, open } from "./Row.js"
import * as Rules from "./rules.js"
import { idsIn, type Named, scan } from "./Titles.js"

const root = join(import.meta.dirname, "../..")
const here = relative(join(root, "test"), import.meta.dirname)

const testFiles = (readdirSync(join(root, "test"), { recursive: true }) as Array<string>).filter(
  // This very file names rows of samples that do not exist.
  (file) => file.endsWith(".test.ts") && dirname(file) !== here
)

const tests: ReadonlyMap<string, Named> = new Map(
  testFiles.sort().map((file) => {
    const path = join(root, "test", file)
    const read = (specifier: string) => readFileSync(join(dirname(path), specifier.replace(/\.js$/, ".ts")), "utf8")
    return [file.replace(/\.test\.ts$/, ""), scan(readFileSync(path, "utf8"), read)]
  })
)

const moduleExists = (path: string) => existsSync(join(root, "src", `${path}.ts`))

const known = new Set([...Rules.sections, ...Features.sections].flatMap(({ rows }) => rows.map(({ id }) => id)))
const isKnown = (id: string) => known.has(id)

/** The catalogues lie beside the clone; where they do not, there is nothing to compare with. */
const shared = (...files: ReadonlyArray<string>): ReadonlyMap<string, string> | undefined => {
  const paths = files.map((file) => join(root, "../shared", file))
  if (!paths.every((path) => existsSync(path))) return undefined
  return new Map(paths.flatMap((path) => Array.from(readCatalogue(readFileSync(path, "utf8")))))
}

describe("docs/specification.md", () => {
  it("has every rule, each with its module and its test, or with the reason why it is left out", () => {
    const catalogue = shared("spec/mcp-authorization.md", "spec/rfc-rules.md")
    assert.deepStrictEqual(problems({ sections: Rules.sections, tests, moduleExists, catalogue, isKnown }), [])
  })

  it("is what the tables and the titles of the tests say", () => {
    hold("docs/specification.md", "counts", renderCounts(Rules.sections))
    hold("docs/specification.md", "rules", renderSections(Rules.sections, tests))
  })
})

describe("docs/features.md", () => {
  it("has every feature, each with its module and its test, or with the reason why it is left out", () => {
    const catalogue = shared("features.md")
    assert.deepStrictEqual(problems({ sections: Features.sections, tests, moduleExists, catalogue, isKnown }), [])
  })

  it("is what the table and the titles of the tests say", () => {
    hold("docs/features.md", "counts", renderCounts(Features.sections))
    hold("docs/features.md", "features", renderSections(Features.sections, tests))
  })
})

describe("the check catches what it is there for", () => {
  const named = (...ids: ReadonlyArray<string>): Named => ({ proved: new Set(ids), mentioned: new Set(ids) })
  const good: World = {
    sections: [
      {
        title: "sample",
        rows: [
          kept("RS-01", "M", "is kept", "somewhere", "server/Guard"),
          leftOut("RS-02", "M", "is not for us", "somewhere", "for others"),
          open("RS-03", "S", "is not kept", "somewhere", "all of it")
        ]
      }
    ],
    tests: new Map([["server/Guard", named("RS-01")]]),
    moduleExists: (path) => path === "server/Guard",
    catalogue: new Map([
      ["RS-01", "MUST"],
      ["RS-02", "MUST"],
      ["RS-03", "SHOULD"]
    ]),
    isKnown: (id) => ["RS-01", "RS-02", "RS-03"].includes(id)
  }
  const [sample] = good.sections
  const rows = sample?.rows ?? []
  const withRows = (...more: typeof rows): World => ({ ...good, sections: [{ title: "sample", rows: more }] })

  const bad: ReadonlyArray<readonly [name: string, world: World, problem: string]> = [
    ["a row that no test names", { ...good, tests: new Map() }, "RS-01: no test names it"],
    ["a module that does not exist", { ...good, moduleExists: () => false }, "RS-01: there is no src/server/Guard.ts"],
    ["a row that is there twice", withRows(...rows, ...rows.slice(0, 1)), "RS-01 is there twice"],
    [
      "a row without module and reason",
      withRows(...rows.slice(0, 2), { id: "RS-03", rule: "is neither", modules: [] }),
      "RS-03 has neither module nor reason"
    ],
    ["a rule that is missing", withRows(...rows.slice(0, 2)), "RS-03 is missing from the tables"],
    [
      "a row that nobody asks for",
      { ...good, catalogue: new Map([...(good.catalogue ?? [])].slice(0, 2)) },
      "RS-03 is not in the catalogue"
    ],
    [
      "a level that is another",
      { ...good, catalogue: new Map([...(good.catalogue ?? []), ["RS-02", "SHOULD"]]) },
      "RS-02 is a SHOULD, not a MUST"
    ],
    [
      "a title with an id that does not exist",
      { ...good, tests: new Map([...good.tests, ["server/Other", named("RS-99")]]) },
      "server/Other: there is no RS-99"
    ]
  ]

  it("nothing in a good sample", () => {
    assert.deepStrictEqual(problems(good), [])
  })

  it("without a catalogue it compares with none", () => {
    assert.deepStrictEqual(problems({ ...good, catalogue: undefined }), [])
  })

  for (const [name, world, problem] of bad) {
    it(name, () => assert.deepStrictEqual(problems(world), [problem]))
  }

  it("a catalogue is read by its tables", () => {
    const markdown = [
      "| ID | Who | Level | Requirement |",
      "|---|---|---|---|",
      "| RS-01 | RS | MUST | Publish it. See CL-01. |",
      "| Table | of | other | things |",
      "",
      "| # | Feature | From |",
      "|---|---|---|",
      "| A1 | One value | S3 |"
    ]
    assert.deepStrictEqual(
      [...readCatalogue(markdown.join("\n"))],
      [
        ["RS-01", "MUST"],
        ["A1", ""]
      ]
    )
  })
})

describe("which ids titles name", () => {
  const titles: ReadonlyArray<readonly [title: string, ids: ReadonlyArray<string>]> = [
    ["RS-01: a rule", ["RS-01"]],
    ["J6 CL-50: two", ["J6", "CL-50"]],
    ["in parentheses (A8, AM-01)", ["A8", "AM-01"]],
    ["A8–A11 a range", ["A8", "A9", "A10", "A11"]],
    ["A8-A11 a range", ["A8", "A9", "A10", "A11"]],
    ["RS-30–RS-32, a range of rules", ["RS-30", "RS-31", "RS-32"]],
    ["(C10–C12, C16)", ["C10", "C11", "C12", "C16"]],
    ["S256, ES256 and SHA-256, UTF-8, U+00A0, DB8 and b64tokens", []],
    ["RFC 8414 §3.1, appendix A.12, 400 and 401", []],
    ["F2: each path once", ["F2"]]
  ]
  for (const [title, ids] of titles) it(title, () => assert.deepStrictEqual(idsIn(title), ids))

  const proved = (text: string, vectors = "") => [...scan(text, () => vectors).proved].sort()

  it("those of it, describe and each, however they are called", () => {
    const text = `
      describe("RS-01", () => {
        it.effect("RS-02", () => x)
        it.live.each(table)("RS-03 %s", () => x)
        test(\`RS-04\`, () => x)
        for (const name of names) it.scoped(\`RS-05: \${name} (RS-06)\`, () => x)
      })
      other("a word on RS-07", () => x)
      // it("RS-08")
      const text = "about RS-09"`
    assert.deepStrictEqual(proved(text), ["RS-01", "RS-02", "RS-03", "RS-04", "RS-05", "RS-06"])
  })

  it("those of tables, where a title is made of them", () => {
    const text = `
      import { vectors } from "../vectors/More.js"
      const table = [["RS-01 one"], ["two (RS-02)"], ["three, of which RS-03 speaks"], ["YWJj-A1-x", "RS-04, CL-01: x"], { kid: "K1", row: "J6" }]
      for (const [name] of table) it(name, () => x)`
    assert.deepStrictEqual(proved(text, `export const vectors = [{ row: "RS-05, an import" }]`), [
      "CL-01",
      "J6",
      "RS-01",
      "RS-02",
      "RS-04",
      "RS-05"
    ])
  })

  it("no tables where every title is written out", () => {
    assert.deepStrictEqual(proved(`const x = "RS-01"; it("RS-02", () => x)`), ["RS-02"])
  })

  it("a test that is known to fail proves nothing", () => {
    const { mentioned, proved } = scan(
      `const knownBug = it.effect.fails
       knownBug("RS-01", () => x)
       it.fails("RS-02", () => x)
       it.skip("RS-03", () => x)
       it("RS-04", () => x)`,
      () => ""
    )
    assert.deepStrictEqual([...proved], ["RS-04"])
    assert.deepStrictEqual([...mentioned], ["RS-01", "RS-02", "RS-03", "RS-04"])
  })
})
