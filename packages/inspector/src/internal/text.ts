/**
 * How things look to people. Owned by the command.
 */

const numbers = new Intl.NumberFormat("en-US")

export const number = (n: number): string => numbers.format(n)

export const duration = (millis: number): string => {
  const ms = Math.round(Math.max(0, millis))
  if (ms < 1000) return `${ms} ms`
  const tenths = Math.round(ms / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** "1 frame", "2 frames". */
export const counted = (n: number, noun: string): string => `${number(n)} ${noun}${n === 1 ? "" : "s"}`

/** What comes from a program is shown, never obeyed by the terminal. */
export const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD")

/** Leaves out the middle of what is too long. */
export const clip = (text: string, width: number): string => {
  const characters = Array.from(text)
  if (characters.length <= width) return text
  const start = Math.floor(width / 3)
  return `${characters.slice(0, start).join("")}…${characters.slice(start + 1 - width).join("")}`
}

/** Cuts off what does not fit on the line. */
export const cut = (text: string, width: number): string => {
  const characters = Array.from(text)
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`
}

/** What a cell shows: numbers stand on the right. */
export type Cell = string | number

const widest = 48

/** Rows under headings, each column as wide as it has to be. */
export const table = (
  headings: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>
): ReadonlyArray<string> => {
  const isNumber = (cell: Cell | undefined) => typeof cell === "number" || /^[\d.]+$/.test(cell ?? "")
  const isRight = headings.map((_, column) => rows.some((row) => isNumber(row[column])))
  const shown = rows.map((row) =>
    row.map((cell) => typeof cell === "number" ? number(cell) : clip(clean(cell), widest))
  )
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...shown.map((row) => Array.from(row[column]!).length))
  )
  const line = (cells: ReadonlyArray<string>) =>
    cells.map((cell, column) => {
      const space = " ".repeat(Math.max(0, widths[column]! - Array.from(cell).length))
      return isRight[column] ? space + cell : cell + space
    }).join("  ").trimEnd()
  return [line(headings), ...shown.map(line)]
}

/** The first of them, and how many more there are. */
export const firstOf = (lines: ReadonlyArray<string>, most: number): ReadonlyArray<string> =>
  lines.length <= most ? lines : [...lines.slice(0, most), `  … and ${number(lines.length - most)} more`]

/** Those with the same text together, in the order of their first. */
export const groups = <A>(all: ReadonlyArray<A>, text: (one: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const found = new Map<string, Array<A>>()
  for (const one of all) {
    const key = text(one)
    const same = found.get(key)
    if (same === undefined) found.set(key, [one])
    else same.push(one)
  }
  return found
}
