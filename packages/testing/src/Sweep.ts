/**
 * Runs a small program again and again, each time fresh, and interrupts it at another operation each time, until every
 * operation has had its turn. What is lost, still held or stuck afterwards is a finding, and every finding can be
 * replayed.
 *
 * Time is virtual, tasks run in the order of Effect's own scheduler, and random numbers are the same in every run: the
 * same scenario gives the same report.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Findings } from "./internal/run.ts"
import type { Mode, Point, Ran, Scenario } from "./internal/sweepRun.ts"
import { execute } from "./internal/sweepRun.ts"

export type {
  /** What is wrong, in words; empty when all is well. */
  Findings
} from "./internal/run.ts"
export type {
  /** What a check can ask for besides the world and the exit of the body. */
  Aftermath,
  /** What a run does to the scenario; see `modes`. */
  Mode,
  /** One run of a sweep: enough to repeat it. */
  Point,
  /** What came of one run. */
  Ran,
  /** A small program, the world it needs, and what must hold when it is over. */
  Scenario
} from "./internal/sweepRun.ts"

/** How much of a scenario is swept. */
export interface Options {
  /** Default: all of `modes`. */
  readonly modes?: ReadonlyArray<Exclude<Mode, "plain">> | undefined
  /**
   * How often every fiber yields in the runs that interrupt by turn or start at an offset, in operations; at least 3,
   * as a fiber that yields more often makes no progress. Default: `paces`.
   */
  readonly paces?: ReadonlyArray<number> | undefined
  /** The sweep ends after so many runs with findings (default 100). */
  readonly maxFailures?: number | undefined
}

/** A run that has found something. */
export interface Failure {
  readonly point: Point
  readonly findings: Findings
  /** Whose operation it was: `"main"` or `"another fiber"`, with the innermost `Effect.fn` if there is one. */
  readonly where: string | undefined
}

/** What came of a whole sweep. */
export interface Report {
  readonly scenario: string
  /** Operations of the run in which nothing is forced and nobody interrupted. */
  readonly operations: number
  readonly runs: number
  /** How many runs of each mode came to their point; the run past the last one is not counted. */
  readonly reached: Readonly<Record<Mode, number>>
  readonly failures: ReadonlyArray<Failure>
}

/**
 * All modes of a sweep, besides the `plain` run that comes first.
 *
 * - `interrupt`: operation `at` yields, and the body is interrupted before anything else runs
 * - `interruptLater`: operation `at` yields, and the body is interrupted after the tasks that were already waiting
 * - `yield`: operation `at` yields, and nobody is interrupted; finds lost wake-ups
 * - `turn`: the body is interrupted after task `at`, so also while it is asleep; once as it is, and once for each pace
 * - `offset`: the body starts as if it had done `at` operations already, once for each pace; nobody is interrupted
 */
export const modes: ReadonlyArray<Exclude<Mode, "plain">> = ["interrupt", "interruptLater", "yield", "turn", "offset"]

/** The paces of a sweep that is not told any: dense where fibers yield often, sparse where they do not. */
export const paces: ReadonlyArray<number> = [3, 4, 5, 6, 7, 9, 11, 14, 18, 24, 32, 45, 64]

/**
 * Writes down a scenario once, to sweep it and to replay what has been found.
 *
 * Nothing comes from the caller: the world is made in `setup`, so that each run has its own. A body that waits for ever
 * on purpose gets a timeout, which costs nothing as time is virtual. A defect of the body is a finding by itself.
 *
 * TypeScript infers the world from a setup written with `Effect.gen` or `pipe`; from `Effect.map(self, f)`, data first,
 * it does not.
 */
export const make = <World, A, E>(scenario: Scenario<World, A, E>): Scenario<World, A, E> => scenario

const describe = (point: Point): string => {
  const pace = point.pace === undefined ? "" : `, yielding every ${point.pace} operations`
  switch (point.mode) {
    case "plain":
      return "left alone"
    case "interrupt":
      return `interrupted at operation ${point.at}`
    case "interruptLater":
      return `interrupted at operation ${point.at}, after what was waiting`
    case "yield":
      return `yielding at operation ${point.at}, without an interrupt`
    case "turn":
      return `interrupted after turn ${point.at}${pace}`
    case "offset":
      return `starting ${point.at} operations in${pace}, without an interrupt`
  }
}

const render = (point: Point): string => {
  const pace = point.pace === undefined ? "" : `, pace: ${point.pace}`
  return `{ mode: "${point.mode}", at: ${point.at}${pace} }`
}

/** The sweep has found something; the message names the first findings and says how to replay one. */
export class SweepFailure extends Data.TaggedError("SweepFailure")<{ readonly report: Report }> {
  override get message(): string {
    const { failures, runs, scenario } = this.report
    const shown = failures.slice(0, 5).map((failure) => {
      const where = failure.where === undefined ? "" : ` (${failure.where})`
      return `  ${describe(failure.point)}${where}: ${failure.findings.join("; ")}`
    })
    if (failures.length > shown.length) shown.push(`  ... and ${failures.length - shown.length} more`)
    return [
      `${failures.length} of ${runs} runs of "${scenario}" went wrong`,
      ...shown,
      `Replay the first: Sweep.replay(scenario, ${render(failures[0]!.point)})`
    ].join("\n")
  }
}

/** Checked by hand, as a typo here would make a sweep that finds nothing. */
const refuse = (options: Options): string | undefined => {
  for (const mode of options.modes ?? []) {
    if (!modes.includes(mode)) return `Sweep: there is no mode "${mode}"`
  }
  for (const pace of options.paces ?? []) {
    if (!Number.isInteger(pace) || pace < 3) return `Sweep: a pace is a whole number of at least 3, not ${pace}`
  }
  return undefined
}

/** The runs of one mode: for each pace, points from 0 until one is not reached. */
const lanes = (mode: Mode, options: Options): ReadonlyArray<number | undefined> => {
  const chosen = options.paces ?? paces
  return mode === "turn" ? [undefined, ...chosen] : mode === "offset" ? chosen : [undefined]
}

/**
 * Sweeps a scenario and reports what it found; fails with nothing. The plain run comes first, and if that one already
 * goes wrong the sweep ends there, as all others would go wrong for the same reason.
 *
 * @example
 * ```ts
 * import { Effect, Semaphore } from "effect"
 * import { Sweep } from "@chronovyan/testing"
 *
 * const report = await Effect.runPromise(Sweep.run({
 *   name: "a permit comes back",
 *   setup: Semaphore.make(1),
 *   body: (semaphore) => Semaphore.withPermits(semaphore, 1, Effect.yieldNow),
 *   check: (semaphore) => Effect.map(Semaphore.takeIfAvailable(semaphore, 1), (free) => free ? [] : ["a permit is lost"])
 * }))
 * console.log(report.failures) // []
 * ```
 */
export const run = Effect.fnUntraced(function*<World, A, E>(scenario: Scenario<World, A, E>, options: Options = {}) {
  const refused = refuse(options)
  if (refused !== undefined) return yield* Effect.die(new Error(refused))
  const base = yield* Effect.context<never>()
  const maxFailures = options.maxFailures ?? 100
  const failures: Array<Failure> = []
  const reached: Record<Mode, number> = { plain: 1, interrupt: 0, interruptLater: 0, yield: 0, turn: 0, offset: 0 }
  let runs = 0
  const note = (ran: Ran) => {
    runs++
    if (ran.findings.length > 0) failures.push({ point: ran.point, findings: ran.findings, where: ran.where })
  }

  const plain = yield* execute(scenario, { mode: "plain", at: 0 }, base, true)
  note(plain)
  sweep:
  for (const mode of failures.length > 0 ? [] : options.modes ?? modes) {
    for (const pace of lanes(mode, options)) {
      // A scenario that is not deterministic may skip a point and come to a later one.
      const least = mode === "turn" ? 0 : plain.operations
      const limit = mode === "offset" ? pace! : Number.POSITIVE_INFINITY
      for (let at = 0; at < limit; at++) {
        if (failures.length >= maxFailures) break sweep
        const ran = yield* execute(
          scenario,
          pace === undefined ? { mode, at } : { mode, at, pace },
          base,
          plain.outside
        )
        note(ran)
        if (ran.reached) reached[mode]++
        else if (at >= least) break
      }
    }
  }

  const report: Report = {
    scenario: scenario.name,
    operations: plain.operations,
    runs,
    reached,
    failures
  }
  return report
})

/** Sweeps a scenario and fails with a `SweepFailure` if any run has found something. */
export const assert = <World, A, E>(
  scenario: Scenario<World, A, E>,
  options?: Options
): Effect.Effect<Report, SweepFailure> =>
  Effect.flatMap(
    run(scenario, options),
    (report) => report.failures.length === 0 ? Effect.succeed(report) : Effect.fail(new SweepFailure({ report }))
  )

/** Repeats one run of a sweep, to look at it: with a breakpoint, with logs, or from a regression test. */
export const replay = Effect.fnUntraced(function*<World, A, E>(scenario: Scenario<World, A, E>, point: Point) {
  const base = yield* Effect.context<never>()
  // A sweep learns from its plain run whether to wait for the event loop; so that the same happens, so does a replay.
  const plain = yield* execute(scenario, { mode: "plain", at: 0 }, base, true)
  return point.mode === "plain" ? plain : yield* execute(scenario, point, base, plain.outside)
})
