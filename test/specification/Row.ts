/** The shape of the tables: what is asked of the library, and where it is kept, or why it is not. */

/**
 * One rule or feature. A row has modules (paths below `src`, without `.ts`) that keep it, or says why it is left out.
 * `open` says what is missing where a rule is ours and is not kept, or not all of it; such a row may have modules too.
 */
export interface Row {
  readonly id: string
  /** As the source has it; features have none. */
  readonly level?: string
  readonly rule: string
  readonly source?: string
  readonly modules: ReadonlyArray<string>
  readonly leftOut?: string
  readonly open?: string
}

export interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

/** `"server/Guard Challenge, client/Refusal"`: names without a folder are in that of the one before. */
const modules = (text: string): ReadonlyArray<string> => {
  let folder = ""
  return text.split(/,? /).map((name) => {
    const slash = name.indexOf("/")
    if (slash === -1) return `${folder}/${name}`
    folder = name.slice(0, slash)
    return name
  })
}

/** The levels by their first letters, to keep the tables narrow. */
const levels: Readonly<Record<string, string>> = {
  M: "MUST",
  MN: "MUST NOT",
  S: "SHOULD",
  SN: "SHOULD NOT",
  Y: "MAY",
  N: "note"
}

const levelOf = (level: string): string =>
  level
    .split(" / ")
    .map((one) => levels[one] ?? one)
    .join(" / ")

export const kept = (id: string, level: string, rule: string, source: string, where: string): Row => ({
  id,
  level: levelOf(level),
  rule,
  source,
  modules: modules(where)
})

export const leftOut = (id: string, level: string, rule: string, source: string, reason: string): Row => ({
  id,
  level: levelOf(level),
  rule,
  source,
  modules: [],
  leftOut: reason
})

export const open = (id: string, level: string, rule: string, source: string, missing: string, where = ""): Row => ({
  id,
  level: levelOf(level),
  rule,
  source,
  modules: where === "" ? [] : modules(where),
  open: missing
})

export const feature = (id: string, rule: string, where: string): Row => ({ id, rule, modules: modules(where) })

export const noFeature = (id: string, rule: string, reason: string): Row => ({
  id,
  rule,
  modules: [],
  leftOut: reason
})

export const openFeature = (id: string, rule: string, missing: string, where = ""): Row => ({
  id,
  rule,
  modules: where === "" ? [] : modules(where),
  open: missing
})
