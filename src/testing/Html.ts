/**
 * What the forms of a login page need of HTML, by hand, because a parser would be a dependency for a test tool.
 *
 * @since 0.1.0
 */

/**
 * Attributes by their lower-case names, and under `inside` the HTML up to the closing tag.
 *
 * @since 0.1.0
 * @category models
 */
export type Element = { readonly [attribute: string]: string | undefined }

/**
 * The elements of a tag, in order.
 *
 * @since 0.1.0
 * @category parsing
 */
export const elements = (tag: string, html = ""): ReadonlyArray<Element> =>
  Array.from(html.matchAll(new RegExp(`<${tag}(?=[\\s/>])((?:"[^"]*"|'[^']*'|[^'"<>])*)>`, "gi")), (match) => {
    const element: Record<string, string> = Object.create(null)
    for (const [, name = "", double, single, bare] of (match[1] ?? "").matchAll(
      /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?/g
    )) {
      element[name.toLowerCase()] ??= decode(double ?? single ?? bare ?? "")
    }
    const rest = html.slice(match.index + match[0].length)
    element["inside"] = tag === "input" ? "" : (rest.split(new RegExp(`</${tag}\\s*>`, "i"), 1)[0] ?? "")
    return element
  })

const decode = (text: string): string =>
  text.replace(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|(amp|apos|gt|lt|quot));/gi, (_, hex, decimal, name) => {
    if (name !== undefined) return { amp: "&", apos: "'", gt: ">", lt: "<", quot: '"' }[`${name}`.toLowerCase()] ?? ""
    const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
    return point > 0x10ffff ? "\ufffd" : String.fromCodePoint(point)
  })

/**
 * The text of a page, shortened, for a failure to show.
 *
 * @since 0.1.0
 * @category parsing
 */
export const textOf = (html: string): string =>
  decode(html.slice(0, 20_000).replace(/<style\b[\s\S]*?<\/style>|<[^<>]*>/g, " "))
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 300)
