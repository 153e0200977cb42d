/**
 * Makes the comparison with the kernel of that number, or fills a frame with a million allocations; prints what it
 * measured as JSON.
 */
import { Effect } from "effect"
import { compare } from "./harness.ts"
import { comparisons } from "./kernel.ts"
import { million } from "./million.ts"

const which = process.argv[2]

const measured = which === "million"
  ? await Effect.runPromise(million)
  : [await compare(Effect.runPromise, comparisons[Number(which)]!)]

console.log(JSON.stringify(measured))
