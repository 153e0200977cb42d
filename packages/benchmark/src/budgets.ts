/**
 * What budgets cost: a charge, a mode that waits, and those who wait. Each measurement runs in processes of its own.
 */
import { drained, each, inProcesses } from "./apart.ts"
import { isHeld, line, table } from "./harness.ts"

/** Prints all, and answers whether all bars are held. */
export const budgets = async (): Promise<boolean> => {
  const rows = await inProcesses(7, "budgetRounds.ts")
  console.log(table(rows) + "\n")
  const added = rows[0]!.added
  const held = [rows.every(isHeld), line(`The cost adds ${Math.round(added)} ns to allocate + release`, added, 300)]

  console.log("\nServing those who wait for a budget, CPU time of the thread:")
  for (const [name, side] of [["one line", "line"], ["100 tenants who take turns", "tenants"]] as const) {
    const one = await drained("budgetDrain.ts", side)
    held.push(line(`- ${name}: ${each(one)}`, one.slowdown, 1.3))
    console.log(`  ${Math.round(one.bytesEach)} bytes for each that waits, with its fiber`)
  }
  console.log()
  return held.every(Boolean)
}
