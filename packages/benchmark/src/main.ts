/**
 * `npm run bench`: prints ours against bare Effect, and fails when a bar is not held.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { cpus } from "node:os"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { compare, table } from "./harness.ts"
import type { Measured } from "./harness.ts"
import { comparisons } from "./kernel.ts"
import { million } from "./million.ts"

setFlagsFromString("--expose-gc")
globalThis.gc = runInNewContext("gc")

const effectVersion =
  JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("effect")), "utf8")).version
console.log(`Node ${process.version}, effect ${effectVersion}, ${cpus().length} x ${cpus()[0]?.model}\n`)

const rows: Array<Measured> = []
for (const comparison of comparisons) rows.push(await compare(Effect.runPromise, comparison))
console.log(table(rows))

const { bytesEach, slowdown } = await Effect.runPromise(million)
console.log(`
A million live allocations: ${Math.round(bytesEach)} bytes each over the bare value (bar: 256); allocate + release \
costs ${slowdown.toFixed(2)} of what it costs with a thousand live (bar: 1.15).`)

if (rows.some((row) => row.ratio > row.bar) || bytesEach > 256 || slowdown > 1.15) {
  console.error("\nA bar is not held.")
  process.exitCode = 1
}
