import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { SweepScheduler } from "./scheduler.ts"
import { makeRandom, VirtualClock } from "./services.ts"

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

/** What is wrong, in words; empty when all is well. */
export type Findings = ReadonlyArray<string>

/** A small program, the world it needs, and what must hold when it is over. */
export interface Scenario<World, A = unknown, E = unknown> {
  readonly name: string
  /**
   * Makes the world, fresh for each run; what it forks comes to rest before the body starts. Its scope is closed at the
   * end of the run.
   */
  readonly setup: Effect.Effect<World, never, Scope.Scope>
  /** The program under test. Its fiber is the one that gets interrupted. */
  readonly body: (world: World) => Effect.Effect<A, E>
  /** Asked when the body has ended and nothing moves any more. A check that dies has found something, too. */
  readonly check: (world: World, exit: Exit.Exit<A, E>, aftermath: Aftermath) => Findings | Effect.Effect<Findings>
  /** Asked once more after the scope of the setup has been closed. */
  readonly afterClose?: ((world: World) => Findings | Effect.Effect<Findings>) | undefined
  /** Whose operations are counted, and so interrupted at: of all fibers (default), or only of the body's own. */
  readonly fibers?: "all" | "main" | undefined
  /** A run that does more than this is reported as endless (default 10,000). */
  readonly maxOperations?: number | undefined
  /** How much virtual time may pass after the body has ended, for what still sleeps (default 1 minute). */
  readonly settle?: Duration.Input | undefined
  /**
   * How long, in real time, a run may stand still because it waits for something outside, such as a promise. Without
   * it the event loop gets ten turns.
   */
  readonly patience?: Duration.Input | undefined
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

/** Enough turns for a chain of promises that wait for nothing but each other. */
const eventLoopTurns = 10

const defaultMaxOperations = 10_000

const isTask = (found: Findings | Effect.Effect<Findings>): found is Effect.Effect<Findings> => Effect.isEffect(found)

const describeDefect = (cause: Cause.Cause<unknown>): string => {
  const defect = Cause.squash(cause)
  return defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)
}

/**
 * ```
 * setup -> body ------------------> settle -> check -> close the scope -> afterClose -> bury
 *           | point: yield,           sleepers due in time
 *           | interrupt, or nothing
 *           `-> stuck or endless: neither check nor afterClose, everything is interrupted
 * ```
 */
class Run<World, A, E> {
  readonly clock = new VirtualClock()
  readonly scheduler: SweepScheduler
  readonly context: Context.Context<never>
  readonly scope = Scope.makeUnsafe()
  readonly findings: Array<string> = []
  readonly scenario: Scenario<World, A, E>
  readonly point: Point
  /** Whether to listen to the event loop before the clock is moved. */
  readonly listen: boolean
  readonly patience: number | undefined
  ofSetup: ReadonlySet<Fiber.Fiber<unknown, unknown>> = new Set()
  main: Fiber.Fiber<A, E> | undefined = undefined
  reached = false
  where: string | undefined = undefined
  operations = 0
  outside = false

  constructor(scenario: Scenario<World, A, E>, point: Point, base: Context.Context<never>, listen: boolean) {
    this.scenario = scenario
    this.point = point
    this.listen = listen
    this.patience = scenario.patience === undefined ? undefined : Duration.toMillis(scenario.patience)
    this.scheduler = new SweepScheduler(scenario.maxOperations ?? defaultMaxOperations)
    this.context = base.pipe(
      Context.add(Scheduler.Scheduler, this.scheduler),
      Context.add(Scheduler.PreventSchedulerYield, false),
      Context.add(Clock.Clock, this.clock),
      Context.add(Random.Random, makeRandom())
    )
  }

  fork<A2, E2>(effect: Effect.Effect<A2, E2>): Fiber.Fiber<A2, E2> {
    return Effect.runForkWith(this.context)(effect)
  }

  /**
   * Lets everything go on until `done`, or until nothing can: first the tasks, then the event loop if it is listened
   * to, then the next sleeper that is due by the horizon. The answer is whether it came to an end.
   */
  drive(done: () => boolean, horizon: number): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      while (true) {
        this.scheduler.drain()
        if (done()) return Effect.succeed(true)
        if (this.scheduler.exhausted) return Effect.succeed(false)
        if (!this.listen && this.wake(horizon)) continue
        return Effect.flatMap(
          this.awaitOutside(true),
          (moved) => moved || this.wake(horizon) ? this.drive(done, horizon) : Effect.succeed(false)
        )
      }
    })
  }

  /** As `drive`, for what need not come to an end: nobody waits in real time for a fiber that may be asleep for good. */
  settle(horizon: number, patient: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      do {
        this.scheduler.drain()
      } while (!this.scheduler.exhausted && !this.listen && this.wake(horizon))
      if (this.scheduler.exhausted || !this.listen) return Effect.void
      return Effect.flatMap(
        this.awaitOutside(patient()),
        (moved) => moved || this.wake(horizon) ? this.settle(horizon, patient) : Effect.void
      )
    })
  }

  wake(horizon: number): boolean {
    const woken = this.clock.wakeNext(horizon)
    if (woken) this.scheduler.turn()
    return woken
  }

  /** Gives the event loop its turns. The sweep's own fiber yields for that, so its scheduler must be a real one. */
  awaitOutside(patient: boolean): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const before = this.scheduler.steps
      const until = this.patience === undefined || !patient ? 0 : Date.now() + this.patience
      const look = (turnsLeft: number): Effect.Effect<boolean> => {
        if (this.scheduler.steps !== before || !this.scheduler.idle) {
          this.outside = true
          this.scheduler.turn()
          return Effect.succeed(true)
        }
        if (turnsLeft <= 0 && Date.now() >= until) return Effect.succeed(false)
        return Effect.flatMap(Effect.yieldNow, () => look(turnsLeft - 1))
      }
      return look(eventLoopTurns)
    })
  }

  /** Runs something that is not under test to its end; `undefined` when it has none. */
  finish<A2, E2>(effect: Effect.Effect<A2, E2>): Effect.Effect<Exit.Exit<A2, E2> | undefined> {
    this.scheduler.end()
    const fiber = this.fork(effect)
    const done = () => fiber.pollUnsafe() !== undefined
    if (done()) return Effect.succeed(fiber.pollUnsafe())
    return Effect.map(this.drive(done, Number.POSITIVE_INFINITY), () => fiber.pollUnsafe())
  }

  ask(question: () => Findings | Effect.Effect<Findings>, name: string): Effect.Effect<void> {
    const answer = Effect.suspend(() => {
      const found = question()
      return isTask(found) ? found : Effect.succeed(found)
    })
    return Effect.map(this.finish(answer), (exit) => {
      if (exit === undefined) {
        this.findings.push(`${name} never ended: it waits for something that does not come`)
      } else if (Exit.isFailure(exit)) {
        this.findings.push(`${name} died: ${describeDefect(exit.cause)}`)
      } else {
        this.findings.push(...exit.value)
      }
    })
  }

  interruptMain = () => {
    this.main?.interruptUnsafe()
  }

  get mainEnded(): boolean {
    return this.main !== undefined && this.main.pollUnsafe() !== undefined
  }

  /** Arms the scheduler for this point. */
  arm(): void {
    const { at, mode, pace } = this.point
    const { scheduler } = this
    if (pace !== undefined) scheduler.pace = pace
    if (mode === "plain") {
      this.reached = true
    } else if (mode === "offset") {
      scheduler.offset = at
      this.reached = true
    } else if (mode === "turn") {
      scheduler.turnAt = at
      scheduler.onTurn = () => {
        if (this.mainEnded) return
        this.reached = true
        this.interruptMain()
      }
    } else {
      scheduler.forceAt = at
      // The interrupt is a task, not a call: inside `shouldYield` it would land in the middle of a step of the run
      // loop, where no interrupt can come from in production.
      scheduler.onOperation = (fiber) => {
        if (mode !== "yield" && this.mainEnded) return false
        this.reached = true
        this.where = this.locate(fiber)
        if (mode === "interrupt") scheduler.urgent = this.interruptMain
        if (mode === "interruptLater") scheduler.makeDispatcher().scheduleTask(this.interruptMain, 0)
        return true
      }
    }
  }

  locate(fiber: Fiber.Fiber<unknown, unknown>): string {
    // Not `this.main`, which is not there yet while the body does its first operations: nobody runs before the body.
    const [main] = this.scheduler.seen
    const who = fiber === main ? "main" : "another fiber"
    const frame = fiber.cache.stackFrame
    return frame === undefined ? who : `${who}, in ${frame.name}`
  }

  /** Runs the body up to its end and past it; `true` when the check can be asked. */
  perform(world: World): Effect.Effect<boolean> {
    const { scenario, scheduler } = this
    scheduler.begin()
    this.arm()
    const body = Effect.suspend(() => scenario.body(world))
    this.main = this.fork(
      scenario.fibers === "main"
        ? Effect.withFiber((fiber) => {
          scheduler.only = fiber
          return body
        })
        : body
    )
    this.main.addObserver(() => {
      this.operations = scheduler.operations
    })
    if (scheduler.turnAt === 0) scheduler.onTurn()
    return Effect.flatMap(this.drive(() => this.mainEnded, Number.POSITIVE_INFINITY), (ended) => {
      if (!ended) {
        this.operations = scheduler.operations
        this.findings.push(scheduler.exhausted ? this.endless() : this.stuck())
        return Effect.succeed(false)
      }
      const horizon = this.clock.now + Duration.toMillis(scenario.settle ?? "1 minute")
      return Effect.map(this.settle(horizon, () => this.running(this.started()).length > 0), () => {
        if (scheduler.exhausted) this.findings.push(this.endless())
        return !scheduler.exhausted
      })
    })
  }

  endless(): string {
    return `endless: still busy after ${this.scheduler.maxOperations} operations`
  }

  stuck(): string {
    const { mode } = this.point
    const interrupted = this.reached && (mode === "interrupt" || mode === "interruptLater" || mode === "turn")
    return `stuck: the body ${
      interrupted ? "was interrupted, but " : ""
    }has not ended, and nothing is left that could wake it`
  }

  /** The fibers that the body has started, its own among them. */
  started(): Array<Fiber.Fiber<unknown, unknown>> {
    return Array.from(this.scheduler.seen).filter((fiber) => !this.ofSetup.has(fiber))
  }

  running(fibers: Iterable<Fiber.Fiber<unknown, unknown>>): Array<Fiber.Fiber<unknown, unknown>> {
    return Array.from(fibers).filter((fiber) => fiber.pollUnsafe() === undefined)
  }

  /** Nothing of a run lives on: what has been left behind is interrupted, so that its finalizers run. */
  bury(fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>): Effect.Effect<void> {
    const left = this.running(fibers)
    if (left.length === 0) return Effect.void
    this.scheduler.end()
    for (const fiber of left) fiber.interruptUnsafe()
    const horizon = this.clock.now + Duration.toMillis(Duration.minutes(1))
    return this.settle(horizon, () => this.running(left).length > 0)
  }
}

/** Runs a scenario once. `listen` says that it waits for the event loop, as seen in an earlier run. */
export const execute = Effect.fnUntraced(function*<World, A, E>(
  scenario: Scenario<World, A, E>,
  point: Point,
  base: Context.Context<never>,
  listen: boolean
) {
  const run = new Run(scenario, point, base, listen)
  const { scheduler } = run

  const made = yield* run.finish(Scope.provide(scenario.setup, run.scope))
  if (made === undefined) return yield* Effect.die(new Error(`The setup of "${scenario.name}" never ends`))
  if (Exit.isFailure(made)) return yield* Effect.failCause(made.cause)
  const world = made.value
  // What the setup has started in the background comes to rest first; it belongs to the world, not to the body.
  scheduler.drain()
  if (scheduler.exhausted) return yield* Effect.die(new Error(`The setup of "${scenario.name}" never comes to rest`))
  run.ofSetup = scheduler.seen

  const ended = yield* run.perform(world)
  const exit = run.main!.pollUnsafe()
  if (ended && exit !== undefined) {
    if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
      run.findings.push(`the body died: ${describeDefect(exit.cause)}`)
    }
    const running = run.running(run.started())
    yield* run.ask(() => scenario.check(world, exit, { point, running }), "the check")
  } else {
    yield* run.bury(run.started())
  }
  const closed = yield* run.finish(Scope.close(run.scope, Exit.void))
  if (ended) {
    if (closed === undefined) {
      run.findings.push("stuck: the scope of the setup can not be closed")
    } else if (Exit.isFailure(closed)) {
      run.findings.push(`closing the scope of the setup died: ${describeDefect(closed.cause)}`)
    } else if (scenario.afterClose !== undefined) {
      const { afterClose } = scenario
      yield* run.ask(() => afterClose(world), "the check after closing")
    }
  }
  yield* run.bury([...run.ofSetup, ...scheduler.seen])
  scheduler.over = true

  const ran: Ran = {
    point,
    reached: run.reached,
    findings: run.findings,
    where: run.where,
    exit,
    operations: run.operations,
    elapsed: run.clock.now,
    outside: run.outside
  }
  return ran
})
