import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

type Task = () => void
export type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A fiber, as a run knows it. */
export interface Seen {
  readonly fiber: AnyFiber
  /** Its place in the order of appearance, from 0 on: the same in every run that goes the same way. */
  readonly ordinal: number
  /** Of the fiber that started it; `undefined` if that was before. */
  readonly parent: number | undefined
  /** Operations that it has come to. */
  operations: number
}

/** Decides what happens in a run. */
export interface Director {
  /** A fiber has come to an operation: does it yield there? */
  operation(seen: Seen): boolean
  /**
   * Several tasks can go on, the first of which Effect's own scheduler would run now: which one does? Told are the
   * ordinals of the fibers that asked for them.
   */
  pick?(askers: ReadonlyArray<number>): number
  /** Something has run from the top, be it a task, a sleeper or the answer of a promise. */
  turned?(turns: number): void
}

/** Lets things go as they would without it. */
export const undirected: Director = { operation: () => false }

/**
 * Effect's own scheduler with the event loop taken out: the same order of tasks, but they wait in a list until `drain`
 * runs them, one after the other. Whether a fiber yields, and which task is next, is up to a director.
 *
 * ```
 * fiber -- scheduleTask --> its dispatcher's buckets, by priority
 *                             | first task since the last batch
 *                             v
 *                           ready: dispatchers in the order they asked --> batch --> next()
 *                                                                urgent -----^ overtakes all
 * ```
 *
 * Tasks of one dispatcher never overtake each other, but for `urgent`.
 */
export class ControlledScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  /** Tasks run since `begin`, wakes of sleepers included. */
  turns = 0
  /** Operations seen in this phase of the run, setup and check included: what the limit is held against. */
  steps = 0
  /** The fibers that have run since `begin`, by order of appearance. */
  seen = new Map<AnyFiber, Seen>()
  /** Runs before any other task. */
  urgent: Task | undefined = undefined
  /** The fiber that the present task began with; others that run in it were resumed by it. */
  base: AnyFiber | undefined = undefined
  /** The ordinal of the fiber that is started next, if it has one of its own. */
  reserved: number | undefined = undefined
  /** How many ordinals are kept for those. */
  reservedCount = 0
  /** A run that is over drops what still comes in, such as the answer of a promise nobody waits for any more. */
  over = false
  readonly maxOperations: number
  private director: Director = undirected
  private readonly ready: Array<Dispatcher> = []
  private batch: Array<Task> = []
  private batchOf: Dispatcher | undefined = undefined
  private cursor = 0
  private last: Seen | undefined = undefined
  /** Are operations and turns counted? */
  isCounting = false
  /** Is every continuation an operation of its own? Effect runs up to 32 in a row without asking. */
  private readonly isFine: boolean
  /** Operations since the present task began. */
  private slice = 0
  private unreserved = 0
  /** Who asked for the present task. */
  private asker: number | undefined = undefined
  /** Fibers that ran before `begin`. */
  private known: ReadonlyMap<AnyFiber, Seen> = new Map()

  constructor(maxOperations: number, isFine: boolean) {
    this.maxOperations = maxOperations
    this.isFine = isFine
  }

  get exhausted(): boolean {
    return this.steps > this.maxOperations
  }

  /** Who may go on, in order. */
  get queue(): string {
    const inBatch = `${this.batchOf?.asker}*${this.batch.length - this.cursor}`
    return `${inBatch} ${this.ready.map(({ asker, length }) => `${asker}*${length}`).join()}`
  }

  get idle(): boolean {
    return this.urgent === undefined && this.cursor === this.batch.length && this.ready.length === 0
  }

  /** Operations and turns count from here on, and the director decides. */
  begin(director: Director): void {
    this.turns = this.steps = this.unreserved = 0
    this.known = this.seen
    this.seen = new Map()
    this.last = this.base = undefined
    this.isCounting = true
    this.director = director
  }

  /** From here on nothing is counted or decided. */
  end(): void {
    this.isCounting = false
    this.steps = 0
    this.director = undirected
  }

  shouldYield(fiber: AnyFiber): boolean {
    this.steps++
    this.base ??= fiber
    const seen = fiber === this.last?.fiber ? this.last : this.look(fiber)
    if (this.exhausted || this.over) return true
    if (this.isCounting) {
      seen.operations++
      if (this.director.operation(seen)) return true
    }
    if (this.isFine) {
      // The next continuation comes back to the run loop.
      ;(fiber as { currentOpCount: number }).currentOpCount = inlined - 1
      return ++this.slice % fiber.cache.maxOpsBeforeYield === 0
    }
    return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  private look(fiber: AnyFiber): Seen {
    let seen = this.seen.get(fiber)
    if (seen === undefined) {
      const ordinal = this.reserved ?? this.reservedCount + this.unreserved++
      // One that begins with a task was forked by who asked for that; otherwise it starts right where it is forked.
      const parent = this.base === fiber ? this.asker : this.last?.ordinal
      seen = { fiber, ordinal, parent: this.known.has(fiber) ? undefined : parent, operations: 0 }
      this.reserved = undefined
      this.seen.set(fiber, seen)
    }
    return this.last = seen
  }

  makeDispatcher(): Dispatcher {
    return new Dispatcher(this, this.last?.ordinal ?? 0)
  }

  enqueue(dispatcher: Dispatcher): void {
    this.ready.push(dispatcher)
  }

  /** Runs tasks until there is none left, or until the limit of operations is reached. */
  drain(): void {
    while (!this.exhausted) {
      const task = this.next()
      if (task === undefined) return
      task()
      this.turned()
    }
  }

  /** Notes that something ran from the top, be it a task, a sleeper or the answer of a promise. */
  turned(): void {
    this.base = undefined
    this.slice = 0
    if (this.isCounting) this.director.turned?.(++this.turns)
  }

  private next(): Task | undefined {
    if (this.urgent !== undefined) {
      const task = this.urgent
      this.urgent = undefined
      return task
    }
    const picked = this.isCounting && this.director.pick !== undefined ? this.picked(this.director) : undefined
    if (picked !== undefined) return picked
    while (this.cursor === this.batch.length) {
      const dispatcher = this.batchOf = this.ready.shift()
      if (dispatcher === undefined) return undefined
      this.batch = dispatcher.take()
      this.cursor = 0
    }
    this.asker = this.batchOf?.asker
    return this.batch[this.cursor++]
  }

  /** A task out of its turn, if the director wants one. */
  private picked(director: Director): Task | undefined {
    const { ready } = this
    const isInBatch = this.cursor < this.batch.length
    const others = isInBatch ? ready.filter((dispatcher) => dispatcher !== this.batchOf) : ready
    if (others.length + (isInBatch ? 1 : 0) < 2) return undefined
    const askers = others.map(({ asker }) => asker)
    if (isInBatch) askers.unshift(this.batchOf!.asker)
    const choice = director.pick!(askers)
    if (choice <= 0 || choice >= askers.length) return undefined
    const dispatcher = others[isInBatch ? choice - 1 : choice]!
    const task = dispatcher.takeFirst()
    this.asker = dispatcher.asker
    if (dispatcher.isEmpty) ready.splice(ready.indexOf(dispatcher), 1)
    return task
  }
}

/**
 * Is it the first operation since the fiber was resumed? No fiber yields there, since it counts from there, and Effect takes
 * that for granted: a fiber that is interrupted before it has started would start all the same.
 */
export const isFirst = (fiber: AnyFiber): boolean => fiber.currentOpCount === 1

/** So many continuations in a row Effect's run loop lets go without asking the scheduler. */
const inlined = 32

class Dispatcher implements Scheduler.SchedulerDispatcher {
  private buckets: Array<[priority: number, tasks: Array<Task>]> = []
  private queued = false
  /** The ordinal of the fiber that it was made for. */
  readonly asker: number
  private readonly scheduler: ControlledScheduler

  constructor(scheduler: ControlledScheduler, asker: number) {
    this.scheduler = scheduler
    this.asker = asker
  }

  scheduleTask(task: Task, priority: number): void {
    if (this.scheduler.over) return
    const { buckets } = this
    const index = buckets.findIndex((bucket) => bucket[0] >= priority)
    if (index === -1) buckets.push([priority, [task]])
    else if (buckets[index]![0] === priority) buckets[index]![1].push(task)
    else buckets.splice(index, 0, [priority, [task]])
    if (this.queued) return
    this.queued = true
    this.scheduler.enqueue(this)
  }

  get isEmpty(): boolean {
    return this.buckets.length === 0
  }

  get length(): number {
    return this.buckets.reduce((sum, [, tasks]) => sum + tasks.length, 0)
  }

  take(): Array<Task> {
    const { buckets } = this
    this.buckets = []
    this.queued = false
    return buckets.length === 1 ? buckets[0]![1] : buckets.flatMap((bucket) => bucket[1])
  }

  takeFirst(): Task {
    const [, tasks] = this.buckets[0]!
    const task = tasks.shift()!
    if (tasks.length === 0) this.buckets.shift()
    this.queued = this.buckets.length > 0
    return task
  }

  flush(): void {
    while (this.buckets.length > 0) {
      for (const task of this.take()) task()
    }
  }
}
