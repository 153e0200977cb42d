/**
 * What it costs to be looked at. Each measurement runs in processes of its own.
 */
import { inProcesses } from "./apart.ts"
import { isHeld, table } from "./harness.ts"

/** Prints all, and answers whether all bars are held. */
export const inspector = async (): Promise<boolean> => {
  const rows = await inProcesses(3, "inspectorRounds.ts")
  console.log(table(rows))
  return rows.every(isHeld)
}
