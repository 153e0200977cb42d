/**
 * Makes the comparison with the kernel of that number, and prints what it measured as JSON.
 */
import { Effect } from "effect"
import { compare } from "./harness.ts"
import { comparisons } from "./kernel.ts"

console.log(JSON.stringify([await compare(Effect.runPromise, comparisons[Number(process.argv[2])]!)]))
