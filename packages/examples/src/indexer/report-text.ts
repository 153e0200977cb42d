/**
 * The report for people.
 */
import type { Snapshot } from "@chronovyan/core"
import { styleText } from "node:util"
import * as display from "./display.ts"
import * as Name from "./name.ts"
import * as Report from "./report.ts"

export const toText = (report: Report.Report): string =>
  [head(report), duplicates(report), slowest(report), errors(report), budgets(report), definitions(report)]
    .filter((section) => section.length > 0)
    .map((section) => section.join("\n"))
    .join("\n\n") + "\n"

type Section = Array<string>

const title = (text: string): string => styleText("bold", text)

const head = ({ directory, interrupted, millis, progress, store }: Report.Report): Section => {
  const { bytes, files, lines, texts, words } = Report.totals(store)
  const seconds = Math.max(millis, 1) / 1000
  const kinds = Object.entries(progress.skipped).filter(([, n]) => n > 0).map(([kind, n]) => display.counted(n, kind))
  return [
    title(
      `${Name.toText(Buffer.from(directory))}: ${interrupted ? "interrupted after" : "indexed in"} ${
        display.millis(millis)
      }`
    ),
    ...table("lrl", [
      ["files", display.number(files), `${display.number(files / seconds)}/s`],
      ["size", display.bytes(bytes), `${display.bytes(Math.round(bytes / seconds))}/s`],
      ["lines", display.number(lines), ""],
      ["text files", display.number(texts), `${display.number(words)} distinct words on average`],
      ["skipped", display.number(Report.skipped(progress)), kinds.join(", ")],
      ["errors", display.number(progress.errors), ""]
    ])
  ]
}

const name = (path: Name.Name): string => display.clip(Name.toText(path), 72)

const duplicates = ({ store }: Report.Report): Section => {
  const groups = Report.duplicates(store)
  if (groups.length === 0) return []
  const wasted = groups.reduce((sum, group) => sum + group.wasted, 0)
  const rows = groups.slice(0, 5).flatMap((group) => {
    const names = Report.namesOf(store, group).map(name)
    const shown = names.length > 3 ? names.slice(0, 2).concat(`and ${display.number(names.length - 2)} more`) : names
    const facts = [display.bytes(group.wasted), `${group.copies} x ${display.bytes(group.size)}`]
    return shown.map((line, index) => index === 0 ? facts.concat(line) : ["", "", line])
  })
  return [
    title(`Duplicates: ${display.counted(groups.length, "content")} more than once, ${display.bytes(wasted)} wasted`),
    ...table("rrl", rows)
  ]
}

const slowest = ({ store }: Report.Report): Section => {
  const files = Report.slowest(store, 5)
  if (files.length === 0) return []
  const rows = files.map(({ millis, path, size }) => [display.millis(millis), display.bytes(size), name(path)])
  return [title("Slowest files"), ...table("rrl", rows)]
}

const errors = ({ progress, store }: Report.Report): Section => {
  if (progress.errors === 0) return []
  const shown = Report.errors(store, 10)
  const more = progress.errors - shown.length
  return [
    title("Errors"),
    ...table("ll", shown.map(({ path, reason }) => [name(path), display.clip(display.oneLine(reason), 100)])),
    ...(more > 0 ? [`  and ${display.number(more)} more`] : [])
  ]
}

const amount = (unit: string, n: number): string => unit === "memory" ? display.bytes(n) : display.number(n)

const budgets = ({ budgets }: Report.Report): Section => [
  title("Budgets"),
  ...table("lrrrl", [
    ["", "high-water mark", "limit", "", ""],
    ...budgets.map(({ highWaterMark, limit, unit }) => {
      const part = limit === null || limit === 0 ? 0 : highWaterMark / limit
      const bar = "█".repeat(Math.round(part * 20)).padEnd(20, "░")
      return [unit, amount(unit, highWaterMark), amount(unit, limit ?? 0), `${Math.round(part * 100)} %`, bar]
    })
  ])
]

const definitions = ({ leaks, resources }: Report.Report): Section => [
  title("Allocations"),
  ...table("lrrrrrr", [
    ["", "acquired", "at once", "acquire avg", "max", "hold avg", "max"],
    ...resources.map((resource) => [resource.resource, ...facts(resource)]),
    ["leaks", display.number(leaks), "", "", "", "", ""]
  ])
]

const facts = (resource: Snapshot.ResourceState): Array<string> => {
  const { acquired, acquireMax, acquireTotal, highWaterMark, holdMax, holdTotal, released } = resource
  const timing = (total: number, n: number, max: number) =>
    n === 0 ? ["-", "-"] : [display.millis(total / n), display.millis(max)]
  return [
    display.number(acquired),
    display.number(highWaterMark),
    ...timing(acquireTotal, acquired, acquireMax),
    ...timing(holdTotal, released, holdMax)
  ]
}

/** Columns side by side, each aligned to the `l`eft or the `r`ight. */
const table = (alignment: string, rows: ReadonlyArray<ReadonlyArray<string>>): Section => {
  const widths = Array.from(alignment, (_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const pad = (text: string, column: number) =>
    alignment[column] === "r" ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)
  return rows.map((row) => `  ${row.map(pad).join("   ")}`.trimEnd())
}
