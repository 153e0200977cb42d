/**
 * A model checker for Effect programs: runs some fibers again and again, each time fresh, and lets them go on in other
 * orders, yield and be interrupted at other operations each time. What is left open, lost, stuck or wrong afterwards is a
 * finding: it is shrunk to the fewest decisions, printed as a timeline, and replayed by a short text.
 *
 * Time is virtual, and moves on when nothing else can. The same scenario gives the same report.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { execute } from "./internal/exploreRun.ts"
import type { Ran, Scenario } from "./internal/exploreRun.ts"
import { Listening } from "./internal/listener.ts"
import type { Findings } from "./internal/run.ts"
import { decode, encode } from "./internal/schedule.ts"
import type { Schedule } from "./internal/schedule.ts"
import { shrink } from "./internal/shrink.ts"
import { Following } from "./internal/steering.ts"
import type { Steering } from "./internal/steering.ts"
import { search } from "./internal/strategies.ts"
import type { Strategy } from "./internal/strategies.ts"
import { render } from "./internal/timeline.ts"
import { Trace } from "./internal/trace.ts"

export type { Aftermath, Scenario } from "./internal/exploreRun.ts"
export type { Model } from "./internal/history.ts"
export type { Findings } from "./internal/run.ts"
export type { Strategy } from "./internal/strategies.ts"

/** How a scenario is explored. */
export interface Options {
  /** One after another, until the first finding. Default: {@link thorough}. */
  readonly strategies?: ReadonlyArray<Strategy> | undefined
  /** Shrinks what it has found (default `true`). */
  readonly shrink?: boolean | undefined
}

/** What a strategy came to. */
export interface Search {
  readonly strategy: Strategy
  readonly schedules: number
  /** Has it tried everything that it stands for? */
  readonly isComplete: boolean
}

/** A schedule that goes wrong. */
export interface Failure {
  /** Replays it; the fewer decisions, the shorter. */
  readonly schedule: string
  readonly findings: Findings
  /** What the fibers did, step by step. */
  readonly timeline: string
}

/** What came of a schedule that was repeated. */
export interface Replayed extends Failure {
  /** Did all of the schedule come about? Otherwise the program has moved on, and no finding means little. */
  readonly isExact: boolean
}

export interface Report {
  readonly scenario: string
  /** How many were tried until something was found, or to the end; what shrinking took is not counted. */
  readonly schedules: number
  readonly searches: ReadonlyArray<Search>
  readonly failure: Failure | undefined
}

/**
 * Writes down a scenario once, to explore it and to replay what has been found.
 *
 * Nothing comes from the caller: the world is made in `setup`, so that each run has its own.
 */
export const make = <World>(scenario: Scenario<World>): Scenario<World> => scenario

/**
 * Every schedule of up to so many decisions, the fewest first: at an operation another fiber goes on (`preemptions`,
 * default 2), or one of the scenario's fibers is interrupted (`interrupts`, default 0). Ends after `schedules` of them
 * (default 10,000).
 */
export const exhaustive = (
  { interrupts = 0, preemptions = 2, schedules = 10_000 }: {
    readonly preemptions?: number
    readonly interrupts?: number
    readonly schedules?: number
  } = {}
): Strategy => ({ type: "exhaustive", preemptions, interrupts, schedules })

/**
 * Every fiber of the scenario is interrupted at every operation and between turns: once (default), or at every two of
 * them. Ends after `schedules` (default 10,000).
 */
export const interrupts = (count: 1 | 2 = 1, schedules?: number): Strategy =>
  exhaustive({ preemptions: 0, interrupts: count, ...(schedules === undefined ? {} : { schedules }) })

/**
 * Random schedules (default 1,000), the same ones for the same seed (default 1), each with up to so many preemptions
 * (default 3) and interrupts (default 1). Half of them go by random priorities, which finds what needs few decisions;
 * half are random all the way, with up to four times as many preemptions.
 */
export const random = (
  { interrupts = 1, preemptions = 3, schedules = 1000, seed = 1 }: {
    readonly schedules?: number
    readonly seed?: number
    readonly preemptions?: number
    readonly interrupts?: number
  } = {}
): Strategy => ({ type: "random", schedules, seed, preemptions, interrupts })

/** All of up to two preemptions (or 5,000 of them), then an interrupt everywhere, then a thousand schedules at random. */
export const thorough: ReadonlyArray<Strategy> = [
  exhaustive({ preemptions: 2, schedules: 5000 }),
  interrupts(),
  random()
]

/** The exploration has found something; the message says what, shows how it came about, and how to replay it. */
export class ExploreFailure extends Data.TaggedError("ExploreFailure")<{ readonly report: Report }> {
  constructor(props: { readonly report: Report }) {
    super(props)
    // The message says it all: whoever prints the error need not print it twice.
    Object.defineProperty(this, "report", { enumerable: false })
  }

  override get message(): string {
    const { failure, scenario, schedules } = this.report
    const { findings, schedule, timeline } = failure!
    return [
      `"${scenario}" went wrong, in schedule ${schedules}: ${findings.join("; ")}`,
      "",
      timeline,
      "",
      `Replay it: Explore.replay(scenario, ${JSON.stringify(schedule)})`
    ].join("\n")
  }
}

/** Explores a scenario and reports what it found; fails with nothing. */
export const run = Effect.fnUntraced(function*<World>(scenario: Scenario<World>, options: Options = {}) {
  const base = yield* Effect.context<never>()
  const plain = yield* execute(scenario, new Following([]), base, true)
  const once = (steering: Steering) => execute(scenario, steering, base, plain.outside)
  const searches: Array<Search> = []
  let failed = plain.findings.length > 0 ? plain : undefined
  let schedules = 1
  for (const strategy of failed === undefined ? options.strategies ?? thorough : []) {
    const runs = search(strategy, plain)
    let tried = 0
    let next = runs.next()
    while (next.done !== true && failed === undefined) {
      const ran: Ran = yield* once(next.value)
      tried++
      if (ran.findings.length > 0) failed = ran
      else next = runs.next(next.value)
    }
    schedules += tried
    searches.push({ strategy, schedules: tried, isComplete: next.done === true && next.value })
    if (failed !== undefined) break
  }
  if (failed !== undefined && options.shrink !== false) failed = yield* shrink(failed, once)
  const failure = failed === undefined ? undefined : yield* explain(scenario, failed.schedule, base, plain.outside)
  const report: Report = { scenario: scenario.name, schedules, searches, failure }
  return report
})

const explain = <World>(
  scenario: Scenario<World>,
  schedule: Schedule,
  base: Context.Context<never>,
  listen: boolean
) => {
  const trace = new Trace()
  return Effect.map(execute(scenario, new Following(schedule), base, listen, trace), (ran): Failure => {
    trace.close()
    return {
      schedule: encode(ran.schedule),
      findings: ran.findings,
      timeline: render(trace.events, ran.nameOf, ran.unended)
    }
  })
}

/** Explores a scenario and fails with an `ExploreFailure` if there is anything to be found. */
export const assert = <World>(scenario: Scenario<World>, options?: Options): Effect.Effect<Report, ExploreFailure> =>
  Effect.flatMap(
    run(scenario, options),
    (report) => report.failure === undefined ? Effect.succeed(report) : Effect.fail(new ExploreFailure({ report }))
  )

/** Repeats one schedule, to look at it: with a breakpoint, with logs, or from a regression test. */
export const replay = <World>(scenario: Scenario<World>, schedule: string): Effect.Effect<Replayed> =>
  Effect.contextWith((base: Context.Context<never>) => {
    const decisions = decode(schedule)
    if (decisions === undefined) return Effect.die(new Error(`Explore: "${schedule}" is not a schedule`))
    return execute(scenario, new Following([]), base, true).pipe(
      Effect.flatMap(({ outside }) => explain(scenario, decisions, base, outside)),
      Effect.map((failure) => ({ ...failure, isExact: failure.schedule === encode(decisions) }))
    )
  })

/** Leaves a word in the timeline; does nothing elsewhere. */
export const note = (text: string): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    Context.get(fiber.context, Listening)?.note(fiber, text)
    return Exit.void
  })

/**
 * Does something that the `model` of the scenario knows by that name; what it answers is held against the model. Elsewhere
 * it is just done.
 */
export const operation = <Operation, A, E, R>(
  operation: Operation,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const listener = Context.get(fiber.context, Listening)
    if (listener === undefined) return self
    const recorded = listener.history.begin(operation, listener.nameOf(fiber))
    return Effect.onExit(self, (exit) => {
      if (!Exit.isFailure(exit) || !Exit.hasInterrupts(exit)) listener.history.end(recorded, exit)
      return Effect.void
    })
  })
