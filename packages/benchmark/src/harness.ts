/**
 * Two programs that do the same work, measured side by side: rounds alternate, each round gives a ratio of CPU times,
 * and the median of the ratios counts. A noisy neighbour slows both sides of a round alike.
 */
import type { Effect } from "effect"

export interface Side {
  readonly name: string
  /** The work, `operations` times over. */
  readonly program: (operations: number) => Effect.Effect<unknown>
}

export interface Comparison {
  readonly title: string
  readonly ours: Side
  readonly theirs: Side
  /** The ratio ours / theirs that must not be exceeded. */
  readonly bar: number
  readonly operations: number
}

export interface Measured {
  readonly title: string
  readonly ours: number
  readonly theirs: number
  readonly ratio: number
  readonly bar: number
  readonly against: string
}

/** A long run of any program: `Effect.runPromise`, or one with services provided. */
export type Run = (effect: Effect.Effect<unknown>) => Promise<unknown>

const rounds = 151
const warmUp = 20

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** CPU nanoseconds of this process for each operation. */
const time = async (run: Run, side: Side, operations: number): Promise<number> => {
  const before = process.cpuUsage()
  await run(side.program(operations))
  const { system, user } = process.cpuUsage(before)
  return (user + system) * 1000 / operations
}

export const compare = async (run: Run, comparison: Comparison): Promise<Measured> => {
  const { bar, operations, ours, theirs, title } = comparison
  for (let round = 0; round < warmUp; round++) {
    await time(run, ours, operations)
    await time(run, theirs, operations)
  }
  const us: Array<number> = []
  const them: Array<number> = []
  const ratios: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    // Who goes first alternates as well.
    const first = round % 2 === 0 ? ours : theirs
    const second = first === ours ? theirs : ours
    const a = await time(run, first, operations)
    const b = await time(run, second, operations)
    const [mine, other] = first === ours ? [a, b] : [b, a]
    us.push(mine)
    them.push(other)
    ratios.push(mine / other)
  }
  return { title, ours: median(us), theirs: median(them), ratio: median(ratios), bar, against: theirs.name }
}

export const table = (rows: ReadonlyArray<Measured>): string => {
  const lines = rows.map((row) =>
    `| ${row.title} | ${Math.round(row.ours)} | ${Math.round(row.theirs)} (${row.against}) | ${
      row.ratio.toFixed(2)
    } | ` +
    `${row.bar.toFixed(2)} | ${row.ratio <= row.bar ? "yes" : "NO"} |`
  )
  return [
    "| | ours, ns | theirs, ns | ratio | bar | held |",
    "|---|---|---|---|---|---|",
    ...lines
  ].join("\n")
}
