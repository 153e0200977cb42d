import type { Reduction } from "./reduction.ts"
import { isRunning } from "./run.ts"
import type { Run } from "./run.ts"
import type { Decision, Schedule } from "./schedule.ts"
import { isFirst } from "./scheduler.ts"
import type { Director, Seen } from "./scheduler.ts"

/** Somewhere that a run could have gone another way. */
export type Crossing =
  | {
    readonly type: "operation"
    readonly fiber: number
    readonly at: number
    /** Would anybody notice that the fiber yields? */
    readonly canYield: boolean
    /** A bit for each body that can be interrupted. */
    readonly alive: number
  }
  | { readonly type: "turn"; readonly at: number; readonly alive: number }
  | { readonly type: "pick"; readonly at: number; readonly count: number }

const none = -1
const yields = -2

/** Lets a run go the way that it is told, and notes how that was. */
export abstract class Steering implements Director {
  run: Run<any> | undefined = undefined
  /** What was decided, as far as it came to that. */
  readonly taken: Array<Decision> = []
  /** Where else it could have gone, since the last decision; noted when asked for. */
  crossings: Array<Crossing> | undefined = undefined
  /** Told of each decision, and of the fiber that runs when it is made, if there is one. */
  onDecision: ((fiber: number, decision: Decision) => void) | undefined = undefined
  /** Follows the states, so that none is gone through twice. */
  reduction: Reduction | undefined = undefined
  private isKnown = false
  /** Was the present operation noted as a crossing? */
  private isNoted = false
  /** Operations so far, of all fibers. */
  protected operations = 0
  protected picks = 0

  turned(at: number): void {
    const run = this.run!
    run.checkInvariant()
    if (run.hasEnded) return
    const target = this.canDecide ? this.strike(at) : none
    const body = target === none ? undefined : run.bodies[target]
    if (body !== undefined && isRunning(body)) {
      this.took(target, { type: "turn", at, target })
      body.interruptUnsafe()
    } else if (!this.isKnown) this.crossings?.push({ type: "turn", at, alive: this.alive })
    this.follow(run)
  }

  private follow(run: Run<any>): void {
    if (this.reduction === undefined || run.state === undefined || run.hasEnded) return
    // Before its decisions have come about, it is the same as others.
    if (this.reduction.turned(run, run.state) && this.crossings !== undefined && this.isSteered) this.isKnown = true
  }

  /** Has everything come about that was decided? */
  protected get isSteered(): boolean {
    return true
  }

  /** Who is interrupted after that turn, or {@link none}. */
  protected abstract strike(turn: number): number

  /** What happens at the operation: {@link none}, {@link yields}, or the number of the body that is interrupted. */
  protected abstract decide(seen: Seen): number

  /** Which task goes on. */
  protected abstract choose(askers: ReadonlyArray<number>): number

  operation(seen: Seen): boolean {
    const run = this.run!
    // A fiber begins before anybody has it.
    if (seen.ordinal < run.bodies.length) run.bodies[seen.ordinal] ??= seen.fiber
    this.operations++
    this.isNoted = false
    if (isFirst(seen.fiber)) return false
    const decision = this.canDecide ? this.decide(seen) : none
    if (decision !== none && !run.hasEnded) {
      const target = decision === yields ? undefined : run.bodies[decision]
      const { operations: at, ordinal: fiber } = seen
      if (decision === yields) this.took(fiber, { type: "yield", fiber, at })
      else if (target === undefined || !isRunning(target)) return false
      else {
        this.took(fiber, { type: "interrupt", fiber, at, target: decision })
        // As a task, since no interrupt comes from within a step of the run loop.
        run.scheduler.urgent = () => target.interruptUnsafe()
      }
      return true
    }
    this.reduction?.acts(seen)
    if (this.crossings !== undefined && !run.hasEnded && !this.isKnown) {
      const { operations: at, ordinal: fiber } = seen
      this.crossings.push({ type: "operation", fiber, at, canYield: this.canYield(seen), alive: this.alive })
      this.isNoted = true
    }
    return false
  }

  /** A bit for each body that can be interrupted. */
  private get alive(): number {
    const { bodies, targets } = this.run!
    let alive = 0
    for (const target of targets) {
      const body = bodies[target]
      if (body !== undefined && isRunning(body)) alive |= 1 << target
    }
    return alive
  }

  /** In the second half things take their course: only what does not end then either is endless. */
  private get canDecide(): boolean {
    const { maxOperations, steps } = this.run!.scheduler
    return steps < maxOperations / 2
  }

  /** Nobody can tell that a fiber yields which is the only one. */
  protected canYield({ fiber }: Seen): boolean {
    const { scheduler } = this.run!
    return !scheduler.idle || scheduler.base !== fiber
  }

  pick(askers: ReadonlyArray<number>): number {
    const at = ++this.picks
    if (this.run!.hasEnded || !this.canDecide) return 0
    const choice = this.choose(askers)
    if (choice > 0) this.took(askers[choice]!, { type: "pick", at, choice })
    else if (!this.isKnown) this.crossings?.push({ type: "pick", at, count: askers.length })
    return choice
  }

  /**
   * What the operation turns out to be, after it was asked about. To stop before a step that only notes what comes next
   * is to stop before that.
   */
  saw(kind: string): void {
    if (kind === "OnSuccess" && this.isNoted) this.crossings?.pop()
    this.isNoted = false
  }

  private took(fiber: number, decision: Decision): void {
    this.taken.push(decision)
    this.onDecision?.(fiber, decision)
    if (decision.type === "yield" || decision.type === "interrupt") this.reduction?.yielded(fiber)
    if (this.crossings !== undefined) this.crossings = []
  }
}

/** Goes the way of a schedule; what does not come about is left out. */
export class Following extends Steering {
  private readonly operationsOf = new Map<number, number>()
  private readonly choices = new Map<number, number>()
  private readonly strikes = new Map<number, number>()
  private readonly length: number

  constructor(schedule: Schedule) {
    super()
    this.length = schedule.length
    for (const decision of schedule) {
      if (decision.type === "pick") this.choices.set(decision.at, decision.choice)
      else if (decision.type === "turn") this.strikes.set(decision.at, decision.target)
      else {
        const target = decision.type === "interrupt" ? decision.target : yields
        this.operationsOf.set(keyOf(decision.fiber, decision.at), target)
      }
    }
  }

  protected override get isSteered(): boolean {
    return this.taken.length >= this.length
  }

  protected decide({ operations, ordinal }: Seen): number {
    return this.operationsOf.size === 0 ? none : this.operationsOf.get(keyOf(ordinal, operations)) ?? none
  }

  protected strike(turn: number): number {
    return this.strikes.get(turn) ?? none
  }

  protected choose(askers: ReadonlyArray<number>): number {
    const choice = this.choices.get(this.picks) ?? 0
    return choice < askers.length ? choice : 0
  }
}

const keyOf = (fiber: number, at: number): number => fiber * 0x1000000 + at

/** How a run is left to chance. */
export interface Chance {
  /** A number from 0 to 1. */
  readonly random: () => number
  /** How many operations a run has, about. */
  readonly length: number
  /** How often a fiber is made to yield, at most. */
  readonly preemptions: number
  /** How many interrupts there are, at most. */
  readonly interrupts: number
  /** Who may be interrupted. */
  readonly targets: ReadonlyArray<number>
}

/**
 * Random, in the way of probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): fibers have random priorities,
 * the highest one that can goes on, and at a few random operations the one that runs gets the lowest.
 */
export class Prioritized extends Steering {
  private readonly chance: Chance
  private readonly changes: Set<number>
  private readonly interrupts: Interrupts
  private readonly priorities = new Map<number, number>()
  private lowest = 0

  constructor(chance: Chance) {
    super()
    this.chance = chance
    this.changes = new Set(Array.from({ length: chance.preemptions }, () => 1 + pickOf(chance, chance.length)))
    this.interrupts = interruptsOf(chance)
  }

  protected decide(seen: Seen): number {
    const target = this.interrupts.operations.get(this.operations)
    if (target !== undefined) return target
    if (!this.changes.has(this.operations)) return none
    this.priorities.set(seen.ordinal, --this.lowest)
    return this.canYield(seen) ? yields : none
  }

  protected strike(turn: number): number {
    return this.interrupts.turns.get(turn) ?? none
  }

  protected choose(askers: ReadonlyArray<number>): number {
    let best = 0
    for (let i = 1; i < askers.length; i++) {
      if (this.priorityOf(askers[i]!) > this.priorityOf(askers[best]!)) best = i
    }
    return best
  }

  private priorityOf(fiber: number): number {
    let priority = this.priorities.get(fiber)
    if (priority === undefined) this.priorities.set(fiber, priority = this.chance.random())
    return priority
  }
}

/** Random all the way: any task goes next, and any operation may be one where a fiber yields. */
export class Wandering extends Steering {
  private readonly chance: Chance
  private readonly interrupts: Interrupts
  private readonly probability: number
  /** A fiber that were to yield all the time would never come to an end. */
  private left: number

  constructor(chance: Chance) {
    super()
    this.chance = chance
    this.probability = Math.min(0.5, chance.random() * (chance.preemptions * 4) / Math.max(1, chance.length))
    this.left = chance.preemptions * 4
    this.interrupts = interruptsOf(chance)
  }

  protected decide(seen: Seen): number {
    const target = this.interrupts.operations.get(this.operations)
    if (target !== undefined) return target
    if (this.left === 0 || this.chance.random() >= this.probability || !this.canYield(seen)) return none
    this.left--
    return yields
  }

  protected strike(turn: number): number {
    return this.interrupts.turns.get(turn) ?? none
  }

  protected choose(askers: ReadonlyArray<number>): number {
    return pickOf(this.chance, askers.length)
  }
}

const pickOf = ({ random }: Chance, count: number): number => Math.floor(random() * count)

/** Who is interrupted at which operations, and after which turns. */
interface Interrupts {
  readonly operations: ReadonlyMap<number, number>
  readonly turns: ReadonlyMap<number, number>
}

const interruptsOf = (chance: Chance): Interrupts => {
  const operations = new Map<number, number>()
  const turns = new Map<number, number>()
  const { length, targets } = chance
  for (let left = pickOf(chance, chance.interrupts + 1); left > 0 && targets.length > 0; left--) {
    const target = targets[pickOf(chance, targets.length)]!
    // There are several operations to a turn.
    if (chance.random() < 0.75) operations.set(1 + pickOf(chance, length), target)
    else turns.set(1 + pickOf(chance, Math.ceil(length / 4)), target)
  }
  return { operations, turns }
}
