import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { describeDefect, goThrough, Run } from "./run.ts"
import type { Answer, Findings, Limits, Plan } from "./run.ts"
import { isFirst } from "./scheduler.ts"
import type { AnyFiber, Director, Seen } from "./scheduler.ts"

/** What a run does to the scenario. `at` counts operations, turns or the offset. */
export type Mode = "plain" | "interrupt" | "interruptLater" | "yield" | "turn" | "offset"

/** One run of a sweep: enough to repeat it. */
export interface Point {
  readonly mode: Mode
  readonly at: number
  /** Every fiber yields after so many operations; without it after 2048, as in production. */
  readonly pace?: number | undefined
}

/** What a check can ask for besides the world and the exit of the body. */
export interface Aftermath {
  readonly point: Point
  /** Fibers that the body started and that have not ended: forgotten, or meant to go on. */
  readonly running: ReadonlyArray<Fiber.Fiber<unknown, unknown>>
}

/** A small program, the world it needs, and what must hold when it is over. */
export interface Scenario<World, A = unknown, E = unknown> extends Limits {
  readonly name: string
  /**
   * Makes the world, fresh for each run; what it forks comes to rest before the body starts. Its scope is closed at the
   * end of the run.
   */
  readonly setup: Effect.Effect<World, never, Scope.Scope>
  /** The program under test. Its fiber is the one that gets interrupted. */
  readonly body: (world: World) => Effect.Effect<A, E>
  /** Asked when the body has ended and nothing moves any more. A check that dies has found something, too. */
  readonly check: (world: World, exit: Exit.Exit<A, E>, aftermath: Aftermath) => Answer
  /** Asked once more after the scope of the setup has been closed. */
  readonly afterClose?: ((world: World) => Answer) | undefined
  /** Whose operations are counted, and so interrupted at: of all fibers (default), or only of the body's own. */
  readonly fibers?: "all" | "main" | undefined
}

/** What came of one run. */
export interface Ran {
  readonly point: Point
  /** `false` when the body ended before the run came to its point. */
  readonly reached: boolean
  readonly findings: Findings
  /** Whose operation it was: `"main"` or `"another fiber"`, with the innermost `Effect.fn` if there is one. */
  readonly where: string | undefined
  /** How the body ended; `undefined` when it never did. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  /** Operations until the body had ended. */
  readonly operations: number
  /** How much virtual time the run took, in milliseconds. */
  readonly elapsed: number
  /** Something came from outside: a promise, a timer, I/O. */
  readonly outside: boolean
}

/** Brings a run to its point, and does there what the mode says. */
class ToPoint implements Director {
  readonly point: Point
  readonly isMainOnly: boolean
  run: Run<any> | undefined = undefined
  reached = false
  where: string | undefined = undefined
  /** Operations counted until the body had ended. */
  operations = 0
  private count = 0

  constructor(point: Point, isMainOnly: boolean) {
    this.point = point
    this.isMainOnly = isMainOnly
    this.reached = point.mode === "plain" || point.mode === "offset"
  }

  get main(): AnyFiber | undefined {
    return this.run?.bodies[0]
  }

  /** The body does its first operations before anybody has its fiber; nobody runs before it. */
  get hasEnded(): boolean {
    return this.main !== undefined && this.main.pollUnsafe() !== undefined
  }

  operation(seen: Seen): boolean {
    const { at, mode, pace } = this.point
    if (!this.isMainOnly || seen.ordinal === 0) {
      const isHere = this.count++ === at
      if (!this.hasEnded) this.operations = this.count
      if (isHere && (mode === "interrupt" || mode === "interruptLater" || mode === "yield") && this.act(seen)) {
        return true
      }
    }
    if (pace === undefined) return false
    const { currentOpCount } = seen.fiber
    return (mode === "offset" && this.run!.scheduler.turns === 0 ? currentOpCount + at : currentOpCount) >= pace
  }

  /**
   * The interrupt is a task, not a call: inside `shouldYield` it would land in the middle of a step of the run loop,
   * where no interrupt can come from in production.
   */
  private act(seen: Seen): boolean {
    const { mode } = this.point
    if (mode !== "yield" && this.hasEnded) return false
    this.reached = true
    if (isFirst(seen.fiber)) return false
    this.where = locate(seen)
    const { scheduler } = this.run!
    if (mode === "interrupt") scheduler.urgent = this.interrupt
    if (mode === "interruptLater") scheduler.makeDispatcher().scheduleTask(this.interrupt, 0)
    return true
  }

  turned(turns: number): void {
    if (this.point.mode !== "turn" || turns !== this.point.at || this.hasEnded) return
    this.reached = true
    this.interrupt()
  }

  private readonly interrupt = () => {
    this.main?.interruptUnsafe()
  }
}

const locate = ({ fiber, ordinal }: Seen): string => {
  const who = ordinal === 0 ? "main" : "another fiber"
  const frame = fiber.cache.stackFrame
  return frame === undefined ? who : `${who}, in ${frame.name}`
}

const planOf = <World, A, E>(scenario: Scenario<World, A, E>, director: ToPoint): Plan<World> => ({
  ...scenario,
  isFine: false,
  watches: false,
  start: (run, world) => {
    run.bodies = [run.fork(Effect.suspend(() => scenario.body(world)))]
    director.turned(0)
  },
  check: (world, run, running) => {
    const exit = run.bodies[0]!.pollUnsafe() as Exit.Exit<A, E>
    if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
      run.findings.push(`the body died: ${describeDefect(exit.cause)}`)
    }
    return scenario.check(world, exit, { point: director.point, running })
  },
  afterClose: scenario.afterClose
})

/** Runs a scenario once. `listen` says that it waits for the event loop, as seen in an earlier run. */
export const execute = Effect.fnUntraced(function*<World, A, E>(
  scenario: Scenario<World, A, E>,
  point: Point,
  base: Context.Context<never>,
  listen: boolean
) {
  const director = new ToPoint(point, scenario.fibers === "main")
  const run = director.run = new Run(planOf(scenario, director), director, base, listen)
  const ending = yield* goThrough(run.execute())
  const { mode } = point
  const interrupted = director.reached && (mode === "interrupt" || mode === "interruptLater" || mode === "turn")
  if (ending === "endless") {
    run.findings.push(`endless: still busy after ${run.scheduler.maxOperations} operations`)
  } else if (ending === "stuck") {
    run.findings.push(
      `stuck: the body ${
        interrupted ? "was interrupted, but " : ""
      }has not ended, and nothing is left that could wake it`
    )
  }
  const ran: Ran = {
    point,
    reached: director.reached,
    findings: run.findings,
    where: director.where,
    exit: run.bodies[0]?.pollUnsafe(),
    operations: director.operations,
    elapsed: run.clock.now,
    outside: run.outside
  }
  return ran
})
