/** Reads the text format of Prometheus, line by line, and takes nothing else. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string | undefined
  readonly samples: Array<Sample>
}

const label = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y
const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/

const unescape = (value: string): string => value.replace(/\\(.)/g, (_, c: string) => c === "n" ? "\n" : c)

const labelsOf = (text: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  label.lastIndex = 0
  while (label.lastIndex < text.length) {
    const match = label.exec(text)
    if (match === null) throw new Error(`No label: ${text}`)
    const [, name, value] = match as unknown as [string, string, string]
    if (name in labels) throw new Error(`Twice: ${name}`)
    labels[name] = unescape(value)
  }
  return labels
}

const suffixes: Record<string, ReadonlyArray<string>> = { histogram: ["_bucket", "_sum", "_count"] }

/** The families by name. A line that is not as it has to be is an error, and so is a sample of no family. */
export const parse = (text: string): Map<string, Family> => {
  if (text !== "" && !text.endsWith("\n")) throw new Error("The last line does not end")
  const families = new Map<string, Family>()
  const known = new Set<string>()
  let help: string | undefined
  let current: readonly [name: string, family: Family] | undefined
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line)
    if (comment !== null) {
      if (comment[1] === "HELP") help = comment[3]
      else {
        if (families.has(comment[2]!)) throw new Error(`Twice: ${comment[2]}`)
        current = [comment[2]!, { type: comment[3]!, help, samples: [] }]
        families.set(...current)
        help = undefined
      }
      continue
    }
    const match = sample.exec(line)
    if (match === null || current === undefined) throw new Error(`No sample: ${line}`)
    const [name, family] = current
    const names = (suffixes[family.type] ?? [""]).map((suffix) => name + suffix)
    if (!names.includes(match[1]!)) throw new Error(`Not of ${name}: ${line}`)
    const identity = `${match[1]}${match[2] ?? ""}`
    if (known.has(identity)) throw new Error(`Twice: ${identity}`)
    known.add(identity)
    family.samples.push({
      name: match[1]!,
      labels: labelsOf(match[2] ?? ""),
      value: Number(match[3]!.replace("Inf", "Infinity"))
    })
  }
  return families
}

/** The sum of the samples that have these labels. */
export const valueOf = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number | undefined => {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""))
  const found =
    family?.samples.filter((sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
    ) ?? []
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0)
}
