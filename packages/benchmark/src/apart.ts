/**
 * Measures in processes of their own. What the compiler makes of the same code differs from one process to the next, for
 * either side: so most is measured in several, and the median of those counts.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Drained } from "./drain.ts"
import { median } from "./harness.ts"
import type { Measured } from "./harness.ts"

const run = promisify(execFile)

/** What a program of this directory prints as JSON. */
export const inProcess = async (file: string, ...args: ReadonlyArray<string>): Promise<unknown> => {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const { stdout } = await run(process.execPath, ["--expose-gc", path, ...args])
  return JSON.parse(stdout)
}

/** What it measures in several processes, one after another: the medians of the medians. */
export const inProcesses = async (
  processes: number,
  file: string,
  ...args: ReadonlyArray<string>
): Promise<ReadonlyArray<Measured>> => {
  const all: Array<ReadonlyArray<Measured>> = []
  for (let i = 0; i < processes; i++) all.push(await inProcess(file, ...args) as ReadonlyArray<Measured>)
  return all[0]!.map((measured, row) => {
    const over = (key: "added" | "ours" | "ratio" | "theirs") => median(all.map((rows) => rows[row]![key]))
    return Object.assign(measured, {
      ours: over("ours"),
      theirs: over("theirs"),
      ratio: over("ratio"),
      added: over("added")
    })
  })
}

/** How those who wait are served: of three processes the middle one. */
export const drained = async (file: string, side: string): Promise<Drained> => {
  const all: Array<Drained> = []
  for (let i = 0; i < 3; i++) all.push(await inProcess(file, side) as Drained)
  return all.sort((a, b) => a.slowdown - b.slowdown)[1]!
}

/** That, in words. */
export const each = ({ few, many, nsFew, nsMany, slowdown }: Drained): string =>
  `${Math.round(nsFew)} ns each when ${few.toLocaleString("en")} wait, ${Math.round(nsMany)} ns each when ${
    many.toLocaleString("en")
  } do: ${slowdown.toFixed(2)} of it`
