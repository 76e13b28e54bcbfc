/**
 * Documents with a part that is written by the code: a test compares, `UPDATE_DOCS=1` writes.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"

const root = join(import.meta.dirname, "../..")

/** Holds the part of a document between `<!-- name -->` and `<!-- /name -->` to what it has to be. */
export const hold = (document: string, name: string, content: string): void => {
  const file = join(root, document)
  const text = readFileSync(file, "utf8")
  const pattern = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`)
  assert.isTrue(pattern.test(text), `${document} has no part ${name}`)
  const written = text.replace(pattern, (_, open, close) => `${open}${content.trimEnd()}\n${close}`)
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, written)
  else
    assert.strictEqual(
      text,
      written,
      `${document} is stale: run UPDATE_DOCS=1 npx vitest run test/docs test/specification`
    )
}
