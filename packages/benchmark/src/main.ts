/**
 * `npm run bench`: prints ours against those it is compared with, and fails when a bar is not held. With `kernel`,
 * `budgets`, `pools` or `inspector` as its argument it measures only that.
 */
import { cpus } from "node:os"
import { inProcess, inProcesses } from "./apart.ts"
import { budgets } from "./budgets.ts"
import { isHeld, median, table } from "./harness.ts"
import type { Measured } from "./harness.ts"
import { inspector } from "./inspector.ts"
import { comparisons } from "./kernel.ts"
import type { Million } from "./million.ts"
import { pools, versionOf } from "./pools.ts"

/** Prints all, and answers whether all bars are held. */
const kernel = async (): Promise<boolean> => {
  const rows: Array<Measured> = []
  for (const which of comparisons.keys()) rows.push(...await inProcesses(7, "compare.ts", String(which)))
  console.log(table(rows))

  const all: Array<Million> = []
  for (let i = 0; i < 5; i++) all.push(await inProcess("compare.ts", "million") as Million)
  const bytesEach = median(all.map((one) => one.bytesEach))
  const slowdown = median(all.map((one) => one.slowdown))
  console.log(`
A million live allocations: ${Math.round(bytesEach)} bytes each over the bare value (bar: 256); allocate + release \
costs ${slowdown.toFixed(2)} of what it costs with a thousand live (bar: 1.15).
`)
  return rows.every(isHeld) && bytesEach <= 256 && slowdown <= 1.15
}

const only = process.argv[2]
console.log(`Node ${process.version}, ${versionOf("effect")}, ${cpus().length} x ${cpus()[0]?.model}\n`)

const held: Array<boolean> = []
for (const [name, measure] of Object.entries({ kernel, budgets, pools, inspector })) {
  if (only === undefined || only === name) held.push(await measure())
}

if (!held.every(Boolean)) {
  console.error("\nA bar is not held.")
  process.exitCode = 1
}
