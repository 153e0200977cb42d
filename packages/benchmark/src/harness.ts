/**
 * Programs that do the same work, measured side by side: rounds alternate, each round gives a ratio of CPU times, and the
 * median of the ratios counts. A noisy neighbour slows all sides of a round alike.
 */
import type { Effect } from "effect"

export interface Side {
  readonly name: string
  /** The work, `operations` times over. */
  readonly program: (operations: number) => Effect.Effect<unknown>
}

export interface Peer extends Side {
  /** The ratio ours / theirs that must not be exceeded. `undefined`: shown, but not held against us. */
  readonly bar: number | undefined
}

/** Ours against several at once: a round is one turn of each side. */
export interface Contest {
  readonly title: string
  readonly ours: Side
  readonly theirs: ReadonlyArray<Peer>
  readonly operations: number
  /** How many rounds count. Default: 151. */
  readonly rounds?: number
  /** How many come before that. Default: 20. */
  readonly warmUp?: number
  /**
   * Collects before each turn, and turns the order around from round to round, so that no side pays for what the one before
   * has left. Needs `--expose-gc`.
   */
  readonly collects?: boolean
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
  /** By how many nanoseconds ours is slower, by rounds. */
  readonly added: number
  readonly bar: number | undefined
  readonly against: string
}

/** A long run of any program: `Effect.runPromise`, or one with services provided. */
export type Run = (effect: Effect.Effect<unknown>) => Promise<unknown>

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

/**
 * CPU microseconds of this thread so far: the collector's own threads do not count. Linux brings the times of a thread up
 * to date when those of its process are read.
 */
export const threadTime = (): number => {
  process.cpuUsage()
  const { system, user } = process.threadCpuUsage()
  return user + system
}

export const contest = async (run: Run, contest: Contest): Promise<ReadonlyArray<Measured>> => {
  const { collects = false, operations, ours, rounds = 151, theirs, title, warmUp = 20 } = contest
  const sides: ReadonlyArray<Side> = [ours, ...theirs]
  for (let round = 0; round < warmUp; round++) {
    for (const side of sides) await time(run, side, operations)
  }
  const times: ReadonlyArray<Array<number>> = sides.map(() => [])
  for (let round = 0; round < rounds; round++) {
    // Who goes first alternates as well.
    for (let turn = 0; turn < sides.length; turn++) {
      const isTurned = collects && round % 2 === 1
      const which = (round + (isTurned ? sides.length - turn : turn)) % sides.length
      if (collects) globalThis.gc!()
      times[which]!.push(await time(run, sides[which]!, operations))
    }
  }
  const [us, ...them] = times
  return theirs.map(({ bar, name }, which) => ({
    title,
    ours: median(us!),
    theirs: median(them[which]!),
    ratio: median(us!.map((mine, round) => mine / them[which]![round]!)),
    added: median(us!.map((mine, round) => mine - them[which]![round]!)),
    bar,
    against: name
  }))
}

export const compare = async (run: Run, comparison: Comparison): Promise<Measured> => {
  const { bar, operations, ours, theirs, title } = comparison
  const [measured] = await contest(run, { title, ours, theirs: [{ ...theirs, bar }], operations, rounds: 61 })
  return measured!
}

export const isHeld = ({ bar, ratio }: { readonly bar: number | undefined; readonly ratio: number }): boolean =>
  bar === undefined || ratio <= bar

/** Prints a line, and whether its bar is held. */
export const line = (text: string, ratio: number, bar: number): boolean => {
  const held = isHeld({ ratio, bar })
  console.log(`${text} (bar: ${bar.toLocaleString("en")}${held ? "" : ", NOT HELD"})`)
  return held
}

export const table = (rows: ReadonlyArray<Measured>): string => {
  const lines = rows.map((row) =>
    `| ${row.title} | ${Math.round(row.ours)} | ${Math.round(row.theirs)} (${row.against}) | ${
      row.ratio.toFixed(2)
    } | ` +
    (row.bar === undefined ? "- | - |" : `${row.bar.toFixed(2)} | ${isHeld(row) ? "yes" : "NO"} |`)
  )
  return [
    "| | ours, ns | theirs, ns | ratio | bar | held |",
    "|---|---|---|---|---|---|",
    ...lines
  ].join("\n")
}
