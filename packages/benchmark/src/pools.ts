/**
 * What the pool costs, against Effect's and those of npm. Each measurement runs in processes of its own.
 */
import { readFileSync } from "node:fs"
import { inProcess, inProcesses } from "./apart.ts"
import { isHeld, table } from "./harness.ts"
import type { Drained } from "./poolDrain.ts"
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

/** Prints a line, and whether its bar is held. */
const line = (text: string, ratio: number, bar: number): boolean => {
  const held = isHeld({ ratio, bar })
  console.log(`${text} (bar: ${bar.toLocaleString("en")}${held ? "" : ", NOT HELD"})`)
  return held
}

/** The middle one of three processes. */
const drained = async (side: string): Promise<Drained> => {
  const all: Array<Drained> = []
  for (let i = 0; i < 3; i++) all.push(await inProcess("poolDrain.ts", side) as Drained)
  return all.sort((a, b) => a.slowdown - b.slowdown)[1]!
}

/** Prints all, and answers whether all bars are held. */
export const pools = async (): Promise<boolean> => {
  console.log(["generic-pool", "tarn", "lightning-pool"].map(versionOf).join(", ") + "\n")
  const rows = await inProcesses(5, "poolRounds.ts")
  console.log(table(rows))
  const held = [rows.every(isHeld)]

  const ours = await drained("ours")
  const bare = await drained("bare")
  console.log("\nServing those who wait, CPU time of the thread:")
  const each = ({ few, many, nsFew, nsMany }: Drained) =>
    `${Math.round(nsFew)} ns each when ${few.toLocaleString("en")} wait, ${Math.round(nsMany)} ns each when ${
      many.toLocaleString("en")
    } do`
  held.push(line(`- ResourcePool: ${each(ours)}: ${ours.slowdown.toFixed(2)} of it`, ours.slowdown, 1.3))
  console.log(`- bare queue: ${each(bare)}: ${bare.slowdown.toFixed(2)} of it`)
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
