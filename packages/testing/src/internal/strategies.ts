import { Reduction, Visited } from "./reduction.ts"
import type { Decision, Schedule } from "./schedule.ts"
import { makeRandomFrom } from "./services.ts"
import { Following, Prioritized, Wandering } from "./steering.ts"
import type { Crossing, Steering } from "./steering.ts"

/** How much of what could happen is looked at. */
export type Strategy = Exhaustive | Random

/** Everything that comes of so many decisions, the fewest first. */
export interface Exhaustive {
  readonly type: "exhaustive"
  /** Decisions that let another fiber go on: at an operation, or where several can go on. */
  readonly preemptions: number
  readonly interrupts: number
  /** It ends there after so many schedules. */
  readonly schedules: number
}

/** Schedules that are chosen at random. */
export interface Random {
  readonly type: "random"
  readonly schedules: number
  readonly seed: number
  readonly preemptions: number
  readonly interrupts: number
}

/** What is known of the scenario when a strategy begins. */
export interface Ground {
  /** Operations of the run that nobody interferes with. */
  readonly operations: number
  readonly targets: ReadonlyArray<number>
}

/** Asks for one run after another; gets back what it has asked for, when it is over. */
export type Search = Generator<Steering, boolean, Steering>

/** Answers whether it has looked at everything that it wanted to. */
export const search = (strategy: Strategy, ground: Ground): Search =>
  strategy.type === "exhaustive" ? exhaust(strategy) : wander(strategy, ground)

function* exhaust(strategy: Exhaustive): Search {
  let left = strategy.schedules

  let visited = new Visited()

  function* descend(schedule: Schedule, preemptions: number, interrupts: number, depth: number): Search {
    if (left-- <= 0) return false
    const steering = new Following(schedule)
    if (depth > 0) {
      steering.crossings = []
      steering.reduction = new Reduction(visited, depth, interrupts)
    }
    yield steering
    for (const crossing of steering.crossings ?? []) {
      for (const decision of decisionsAt(crossing, preemptions, interrupts)) {
        const isInterrupt = decision.type === "interrupt" || decision.type === "turn"
        const isComplete = yield* descend(
          [...schedule, decision],
          isInterrupt ? preemptions : preemptions - 1,
          isInterrupt ? interrupts - 1 : interrupts,
          depth - 1
        )
        if (!isComplete) return false
      }
    }
    return true
  }

  for (let depth = 1; depth <= strategy.preemptions + strategy.interrupts; depth++) {
    visited = new Visited()
    if (!(yield* descend([], strategy.preemptions, strategy.interrupts, depth))) return false
  }
  return true
}

function* decisionsAt(crossing: Crossing, preemptions: number, interrupts: number): Generator<Decision> {
  if (crossing.type === "pick") {
    const count = preemptions > 0 ? crossing.count : 0
    for (let choice = 1; choice < count; choice++) {
      yield { type: "pick", at: crossing.at, choice }
    }
    return
  }
  const { alive, at } = crossing
  if (crossing.type === "operation" && preemptions > 0 && crossing.canYield) {
    yield { type: "yield", fiber: crossing.fiber, at }
  }
  if (interrupts === 0) return
  for (let target = 0; alive >> target > 0; target++) {
    if ((alive >> target) % 2 === 0) continue
    yield crossing.type === "turn"
      ? { type: "turn", at, target }
      : { type: "interrupt", fiber: crossing.fiber, at, target }
  }
}

function* wander({ interrupts, preemptions, schedules, seed }: Random, { operations, targets }: Ground): Search {
  for (let i = 0; i < schedules; i++) {
    const chance = {
      random: makeRandomFrom(Math.imul(seed, 0x9e3779b1) + i),
      length: operations,
      preemptions,
      interrupts,
      targets
    }
    yield i % 2 === 0 ? new Prioritized(chance) : new Wandering(chance)
  }
  return true
}
