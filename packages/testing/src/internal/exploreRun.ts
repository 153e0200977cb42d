import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { History, isLinearizable } from "./history.ts"
import type { Model } from "./history.ts"
import { Listener } from "./listener.ts"
import { describeDefect, goThrough, Run } from "./run.ts"
import type { Answer, Findings, Limits, Plan } from "./run.ts"
import type { Schedule } from "./schedule.ts"
import type { AnyFiber } from "./scheduler.ts"
import type { Steering } from "./steering.ts"
import type { Trace } from "./trace.ts"

/** What a check can ask for besides the world. */
export interface Aftermath {
  /** How each of the scenario's fibers ended, by name. */
  readonly exits: Readonly<Record<string, Exit.Exit<unknown, unknown>>>
  /** Fibers that these have started and that have not ended: forgotten, or meant to go on. */
  readonly running: ReadonlyArray<AnyFiber>
}

/** Some fibers that share a world, and what must hold whatever happens to them. */
export interface Scenario<World> extends Limits {
  readonly name: string
  /**
   * Makes the world, fresh for each run; what it forks comes to rest before the fibers start. Its scope is closed at the
   * end of the run.
   */
  readonly setup: Effect.Effect<World, never, Scope.Scope>
  /** What runs side by side, by name; up to 30 of them. */
  readonly fibers: (world: World) => Readonly<Record<string, Effect.Effect<unknown, unknown>>>
  /** The names of those that may be interrupted (default: all). */
  readonly interruptible?: ReadonlyArray<string> | undefined
  /** What must hold all the time; asked whenever a fiber stops. */
  readonly invariant?: ((world: World) => Findings) | undefined
  /**
   * Everything about the world that what happens next may depend on, as JSON knows it. With it, `exhaustive` passes over
   * states that it has been in already; what is left out of it may hide a finding.
   */
  readonly state?: ((world: World) => unknown) | undefined
  /** Asked when all fibers have ended and nothing moves any more. A check that dies has found something, too. */
  readonly check?: ((world: World, aftermath: Aftermath) => Answer) | undefined
  /** Asked once more after the scope of the setup has been closed. */
  readonly afterClose?: ((world: World) => Answer) | undefined
  /** What the operations that the fibers record come to when they are done one after another. */
  readonly model?: Model<any, any, any, any> | undefined
  /**
   * May scopes, fibers, frames or allocations be open when the world is closed? Otherwise that is a finding (default).
   */
  readonly mayLeak?: boolean | undefined
  /** May fibers die? Otherwise that is a finding (default), also when another fiber has handled it. */
  readonly mayDie?: boolean | undefined
}

/** What came of one run. */
export interface Ran {
  readonly findings: Findings
  /** What made it different from a run that nobody interferes with. */
  readonly schedule: Schedule
  /** Operations until all fibers had ended. */
  readonly operations: number
  /** Something came from outside: a promise, a timer, I/O. */
  readonly outside: boolean
  /** Those of its fibers that may be interrupted. */
  readonly targets: ReadonlyArray<number>
  /** The scenario's fibers that never ended. */
  readonly unended: ReadonlyArray<number>
  /** The fiber of that ordinal, as a reader knows it. */
  readonly nameOf: (fiber: number) => string
}

const planOf = <World>(scenario: Scenario<World>, history: History): Plan<World> => {
  let names: ReadonlyArray<string> = []
  return {
    ...scenario,
    isFine: true,
    watches: scenario.mayLeak !== true,
    start: (run, world) => {
      const bodies = Object.entries(scenario.fibers(world))
      names = bodies.map(([name]) => name)
      const { scheduler } = run
      run.bodies = bodies.map(() => undefined)
      run.names = names
      const { interruptible = names } = scenario
      run.targets = names.flatMap((name, index) => interruptible.includes(name) ? [index] : [])
      scheduler.reservedCount = bodies.length
      if (scenario.state !== undefined) run.state = () => scenario.state!(world)
      if (scenario.invariant !== undefined) run.invariant = () => scenario.invariant!(world)
      bodies.forEach(([, body], index) => {
        scheduler.makeDispatcher().scheduleTask(() => {
          scheduler.reserved = index
          run.bodies[index] = run.fork(body)
        }, 0)
      })
    },
    check: (world, run, running) => {
      const exits: Record<string, Exit.Exit<unknown, unknown>> = {}
      names.forEach((name, index) => {
        exits[name] = run.bodies[index]!.pollUnsafe()!
      })
      const found = scenario.mayDie === true ? [] : deaths(run)
      if (scenario.model !== undefined) found.push(...isLinearizable(history, scenario.model))
      if (scenario.check === undefined) return found
      const answer = scenario.check(world, { exits, running })
      return Effect.isEffect(answer) ? Effect.map(answer, (more) => [...found, ...more]) : [...found, ...answer]
    },
    afterClose: scenario.afterClose
  }
}

/** The fibers that died, but for those whose death another one has passed on. */
const deaths = (run: Run<any>): Array<string> => {
  const found = new Map<unknown, string>()
  for (const fiber of [...run.started(), ...run.background]) {
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isSuccess(exit)) continue
    const died = exit.cause.reasons.find((reason) => reason._tag === "Die")
    if (died === undefined) continue
    const { defect } = died
    if (!found.has(defect)) {
      found.set(defect, `${nameOf(run, fiber)} died: ${describeDefect(exit.cause)}`)
    }
  }
  return Array.from(found.values())
}

const nameOf = (run: Run<any>, fiber: AnyFiber): string => {
  const seen = run.scheduler.seen.get(fiber)
  return seen === undefined ? "a fiber of the setup" : run.nameOf(seen.ordinal)
}

/** Runs a scenario once. `listen` says that it waits for the event loop, as seen in an earlier run. */
export const execute = <World>(
  scenario: Scenario<World>,
  steering: Steering,
  base: Context.Context<never>,
  listen: boolean,
  trace?: Trace
): Effect.Effect<Ran> =>
  Effect.suspend(() => {
    const history = new History()
    const listener = new Listener(history, steering, trace)
    const run = steering.run = new Run(planOf(scenario, history), steering, listener.listenIn(base), listen)
    listener.run = run
    if (trace !== undefined) {
      run.onClock = (now) => trace.clock(now)
      steering.onDecision = (fiber, decision) => trace.decision(fiber, decision)
    }
    return Effect.map(goThrough(run.execute()), (ending): Ran => {
      if (ending === "endless") run.findings.push(`endless: still busy after ${run.scheduler.maxOperations} operations`)
      else if (ending === "stuck") run.findings.push(stuck(run), ...deaths(run))
      return {
        findings: run.findings,
        schedule: steering.taken,
        operations: run.operations,
        outside: run.outside,
        targets: run.targets,
        unended: run.unended,
        nameOf: (fiber) => run.nameOf(fiber)
      }
    })
  })

const stuck = (run: Run<any>): string => {
  const who = run.unended.map((ordinal) => `"${run.nameOf(ordinal)}"`)
  const names = who.length === 1 ? who[0] : `${who.slice(0, -1).join(", ")} and ${who.at(-1)}`
  return `stuck: ${names} ${who.length === 1 ? "has" : "have"} not ended, and nothing is left that could wake ${
    who.length === 1 ? "it" : "them"
  }`
}
