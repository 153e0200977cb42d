import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

type Task = () => void
type AnyFiber = Fiber.Fiber<unknown, unknown>

/**
 * Effect's own scheduler with the event loop taken out: the same order of tasks, but they wait in a list until `drain`
 * runs them, one after the other, and every question whether a fiber should yield can be answered differently.
 *
 * ```
 * fiber -- scheduleTask --> its dispatcher's buckets, by priority
 *                             | first task since the last batch
 *                             v
 *                           ready: dispatchers in the order they asked --> batch --> next()
 *                                                                urgent -----^ overtakes all
 * ```
 */
export class SweepScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  /** Tasks run since `begin`, wakes of sleepers included. */
  turns = 0
  /** Operations seen since `begin`. */
  operations = 0
  /** Operations seen in this phase of the run, setup and check included: what the limit is held against. */
  steps = 0
  /** The fibers that have run since `begin`. */
  seen = new Set<AnyFiber>()
  /** Runs before any other task. */
  urgent: Task | undefined = undefined
  /** Called at the operation `forceAt`; `true` makes the fiber yield there. */
  onOperation: (fiber: AnyFiber) => boolean = () => false
  /** Called after the task `turnAt`, when no fiber is running. */
  onTurn: Task = () => {}
  forceAt = -1
  turnAt = -1
  /** Operations that a fiber may do before it has to yield. */
  pace = Number.POSITIVE_INFINITY
  /** How many of those count as done when the body starts. */
  offset = 0
  /** Once set, only this fiber's operations are counted. */
  only: AnyFiber | undefined = undefined
  /** A run that is over drops what still comes in, such as the answer of a promise nobody waits for any more. */
  over = false

  private readonly ready: Array<Dispatcher> = []
  private batch: Array<Task> = []
  private cursor = 0
  private last: AnyFiber | undefined = undefined
  private counting = false
  readonly maxOperations: number

  constructor(maxOperations: number) {
    this.maxOperations = maxOperations
  }

  get exhausted(): boolean {
    return this.steps > this.maxOperations
  }

  get idle(): boolean {
    return this.urgent === undefined && this.cursor === this.batch.length && this.ready.length === 0
  }

  /** Operations and turns count from here on. */
  begin(): void {
    this.turns = this.operations = this.steps = 0
    this.seen = new Set()
    this.last = undefined
    this.counting = true
  }

  /** From here on nothing is counted, forced or interrupted. */
  end(): void {
    this.counting = false
    this.steps = 0
    this.forceAt = this.turnAt = -1
    this.pace = Number.POSITIVE_INFINITY
  }

  shouldYield(fiber: AnyFiber): boolean {
    this.steps++
    if (fiber !== this.last) {
      this.last = fiber
      this.seen.add(fiber)
    }
    if (this.counting && (this.only === undefined || fiber === this.only)) {
      if (this.operations++ === this.forceAt && this.onOperation(fiber)) return true
    }
    if (this.exhausted || this.over) return true
    const done = this.turns === 0 && this.counting ? fiber.currentOpCount + this.offset : fiber.currentOpCount
    return done >= this.pace || fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  makeDispatcher(): Dispatcher {
    return new Dispatcher(this)
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
      this.turn()
    }
  }

  /** Notes that something ran from the top, be it a task, a sleeper or the answer of a promise. */
  turn(): void {
    if (this.counting && ++this.turns === this.turnAt) this.onTurn()
  }

  private next(): Task | undefined {
    if (this.urgent !== undefined) {
      const task = this.urgent
      this.urgent = undefined
      return task
    }
    while (this.cursor === this.batch.length) {
      const dispatcher = this.ready.shift()
      if (dispatcher === undefined) return undefined
      this.batch = dispatcher.take()
      this.cursor = 0
    }
    return this.batch[this.cursor++]
  }
}

class Dispatcher implements Scheduler.SchedulerDispatcher {
  private buckets: Array<readonly [priority: number, tasks: Array<Task>]> = []
  private queued = false
  private readonly scheduler: SweepScheduler

  constructor(scheduler: SweepScheduler) {
    this.scheduler = scheduler
  }

  scheduleTask(task: Task, priority: number): void {
    if (this.scheduler.over) return
    const index = this.buckets.findIndex((bucket) => bucket[0] >= priority)
    if (index === -1) {
      this.buckets.push([priority, [task]])
    } else if (this.buckets[index]![0] === priority) {
      this.buckets[index]![1].push(task)
    } else {
      this.buckets.splice(index, 0, [priority, [task]])
    }
    if (!this.queued) {
      this.queued = true
      this.scheduler.enqueue(this)
    }
  }

  take(): Array<Task> {
    const buckets = this.buckets
    this.buckets = []
    this.queued = false
    return buckets.length === 1 ? buckets[0]![1] : buckets.flatMap((bucket) => bucket[1])
  }

  flush(): void {
    while (this.buckets.length > 0) {
      const buckets = this.buckets
      this.buckets = []
      for (const [, tasks] of buckets) {
        for (const task of tasks) task()
      }
    }
  }
}
