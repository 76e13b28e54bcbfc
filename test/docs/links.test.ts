/** Links among the documents lead somewhere: to a file that is there, and to a heading that is in it. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

const markdown = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: folder !== ".", encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name))

/** Without code, where brackets mean something else. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "")

/** As GitHub makes them: lower case, no punctuation, hyphens for spaces. */
const anchors = (text: string): ReadonlyArray<string> =>
  Array.from(text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.+)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-")
  )

/** What is wrong with the links of a document. */
const broken = (path: string, text: string): ReadonlyArray<string> =>
  Array.from(prose(text).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .flatMap((link) => {
      const [file = "", anchor] = link.split("#")
      const target = file === "" ? path : join(dirname(path), file)
      if (!existsSync(join(root, target))) return [`${path}: ${link} leads to no file`]
      if (anchor === undefined || !target.endsWith(".md")) return []
      const headings = anchors(file === "" ? text : readFileSync(join(root, target), "utf8"))
      return headings.includes(anchor) ? [] : [`${path}: ${link} leads to no heading of ${target}`]
    })

describe("links", () => {
  it("of every document lead somewhere", () => {
    const documents = [...markdown("."), ...markdown("docs")]
    assert.isAbove(documents.length, 20)
    assert.deepStrictEqual(
      documents.flatMap((path) => broken(path, readFileSync(join(root, path), "utf8"))),
      []
    )
  })

  it("that lead nowhere are found", () => {
    const text =
      "# A Page, of mine\n[a](b.md) [c](#nowhere) [d](README.md#nowhere) [e](#a-page-of-mine) [f](https://x.example)"
    assert.lengthOf(broken("README.md", text), 3)
  })
})
