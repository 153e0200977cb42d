/**
 * What the pool costs, against Effect's and those of npm. Each measurement runs in processes of its own.
 */
import { readFileSync } from "node:fs"
import { drained, each, inProcess, inProcesses } from "./apart.ts"
import type { Drained } from "./drain.ts"
import { isHeld, line, table } from "./harness.ts"
import type { Stalls } from "./poolTimeouts.ts"

/** The version of an installed package. */
export const versionOf = (name: string): string => {
  for (let at = new URL(".", import.meta.resolve(name));; at = new URL("..", at)) {
    try {
      const found = JSON.parse(readFileSync(new URL("package.json", at), "utf8"))
      if (found.name === name) return `${name} ${found.version}`
    } catch (error) {
      if (at.pathname === "/") throw error
    }
  }
}

const peers = ["Effect's Pool", "generic-pool", "tarn", "lightning-pool"]

/** Prints all, and answers whether all bars are held. */
export const pools = async (): Promise<boolean> => {
  console.log(["generic-pool", "tarn", "lightning-pool"].map(versionOf).join(", ") + "\n")
  const rows = await inProcesses(5, "poolRounds.ts")
  console.log(table(rows))
  const held = [rows.every(isHeld)]

  const ours = await drained("poolDrain.ts", "ours")
  const bare = await drained("poolDrain.ts", "bare")
  console.log("\nServing those who wait, CPU time of the thread:")
  held.push(line(`- ResourcePool: ${each(ours)}`, ours.slowdown, 1.3))
  console.log(`- bare queue: ${each(bare)}`)
  const bytes = ({ bytesEach }: Drained) => `${Math.round(bytesEach)} bytes for each that waits, with its fiber`
  held.push(line(`- ResourcePool: ${bytes(ours)}`, ours.bytesEach, 1000))
  console.log(`- bare queue: ${bytes(bare)}`)

  console.log("\nThe longest stall of the event loop while 20,000 time out, in ms on the wall (of CPU time):")
  for (const name of ["ResourcePool", ...peers]) {
    const { allLate, asTheyCome, idle } = await inProcess("poolTimeouts.ts", name) as Stalls
    const text = `- ${name}: ` + Object.entries({ "as they come": asTheyCome, "all at once": allLate, idle })
      .map(([what, { cpu, wall }]) => `${what} ${wall.toFixed(1)} (${cpu.toFixed(1)})`).join(", ")
    if (name === "ResourcePool") held.push(line(text, asTheyCome.wall, 25))
    else console.log(text)
  }
  return held.every(Boolean)
}
