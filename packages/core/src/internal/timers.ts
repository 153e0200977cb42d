/**
 * Timeouts in O(1): those of one duration expire in the order in which they were armed, so each duration has a plain
 * queue and one sleeping fiber. Times are milliseconds of the monotonic clock: setting the wall clock changes nothing.
 * Owned by the registry.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { LinkedList } from "./list.ts"

/** How many timeouts fire before other fibers get their turn. */
const slice = 256

/** How often queues that run empty are looked after, in milliseconds. */
const sweepEvery = 100

/** Something that can expire, again and again; linked into its queue while it waits. */
export class Timeout {
  previous: Timeout | undefined = undefined
  next: Timeout | undefined = undefined
  /** The queue that it waits in. */
  queue: Queue | undefined = undefined
  at = 0
  readonly run: () => void

  constructor(run: () => void) {
    this.run = run
  }
}

/**
 * ```text
 *   ended ──add──▶ sleeping ──due──▶ firing ──more wait──▶ sleeping
 *     ▲              │    ▲             │
 *     │   last one   ▼    │ add         │ none wait
 *     │   cancelled  idle ┘             │
 *     └──due, or idle for a while───────┘
 * ```
 *
 * A queue that runs empty keeps its sleeper for a moment, for frames that come one after another.
 */
class Queue {
  readonly timers: Timers
  readonly duration: number
  readonly waiting = new LinkedList<Timeout>()
  /** Has it been idle since the last look? */
  wasIdle = false
  private sleeper: Fiber.Fiber<void> | undefined = undefined
  private wakesAt = 0
  private firing = false

  constructor(timers: Timers, duration: number) {
    this.timers = timers
    this.duration = duration
  }

  get isIdle(): boolean {
    return this.waiting.first === undefined
  }

  add(timeout: Timeout, at: number): void {
    timeout.queue = this
    timeout.at = at
    this.wasIdle = false
    // One armed for an earlier moment, by someone who was held up, goes before those armed meanwhile.
    let before = this.waiting.last
    while (before !== undefined && before.at > at) before = before.previous
    this.waiting.insertAfter(before, timeout)
    if (this.firing || (this.sleeper !== undefined && this.wakesAt <= at)) return
    this.sleeper?.interruptUnsafe()
    this.sleeper = Effect.runForkWith(this.timers.context)(this.sleepUntil(at))
  }

  remove(timeout: Timeout): void {
    timeout.queue = undefined
    this.waiting.remove(timeout)
    if (this.isIdle && !this.firing) this.timers.rest(this)
  }

  /** Forgets the queue; the sleeper, if it still sleeps, has no purpose any more. */
  end(): void {
    const { sleeper } = this
    this.sleeper = undefined
    this.timers.queues.delete(this.duration)
    if (!this.firing) sleeper?.interruptUnsafe()
  }

  private sleepUntil(at: number): Effect.Effect<void> {
    this.wakesAt = at
    const pause = at - this.timers.now()
    // Clocks may not know fractions of a millisecond: woken too early, it would go round and round.
    const sleep = pause > 0 ? this.timers.clock.sleep(Duration.millis(Math.ceil(pause))) : Effect.yieldNow
    return Effect.andThen(sleep, this.fire)
  }

  /** Fires all that are due, then sleeps until the next one is. */
  private readonly fire: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.timers.now()
    // One that arms itself again fires in the next turn, be it due or not.
    const { last } = this.waiting
    this.firing = true
    for (let fired = 0, timeout: Timeout | undefined; fired < slice && timeout !== last; fired++) {
      timeout = this.waiting.first
      if (timeout === undefined || timeout.at > now) break
      timeout.queue = undefined
      this.waiting.remove(timeout)
      // One that fails must not take the others with it.
      try {
        timeout.run()
      } catch (defect) {
        this.timers.report("A timeout could not be told", Cause.die(defect))
      }
    }
    const next = this.waiting.first
    if (next === undefined) this.end()
    this.firing = false
    return next === undefined ? Effect.void : this.sleepUntil(next.at)
  })
}

export class Timers {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly queues = new Map<number, Queue>()
  private sweeper: Fiber.Fiber<void> | undefined = undefined
  private closed = false
  /** When these were made: small numbers are kept better than large ones. */
  private readonly epoch: number

  constructor(clock: Clock.Clock, context: Context.Context<never>) {
    this.clock = clock
    this.context = context
    this.epoch = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6 - this.epoch
  }

  /** Arms a timeout of `duration` milliseconds that is due at `at`. */
  arm(timeout: Timeout, duration: number, at: number): void {
    let queue = this.queues.get(duration)
    if (queue === undefined) {
      queue = new Queue(this, duration)
      this.queues.set(duration, queue)
    }
    queue.add(timeout, at)
  }

  /** Safe to call again, and after it fired. */
  cancel(timeout: Timeout): void {
    timeout.queue?.remove(timeout)
  }

  /** A queue has run empty. */
  rest(queue: Queue): void {
    if (this.closed) return queue.end()
    this.sweeper ??= Effect.runForkWith(this.context)(this.sweep)
  }

  /** The manager has closed: from now on nothing sleeps but for what still waits. */
  close(): void {
    this.closed = true
    this.sweeper?.interruptUnsafe()
    for (const queue of Array.from(this.queues.values())) {
      if (queue.isIdle) queue.end()
    }
  }

  /** Something went wrong where nobody waits for it. */
  report(message: string, cause: Cause.Cause<never>): void {
    Effect.runForkWith(this.context)(Effect.logError(message, cause))
  }

  /** Something that nobody waits for is not as it should be. */
  warn(message: string): void {
    Effect.runForkWith(this.context)(Effect.logWarning(message))
  }

  /** Ends the queues that were idle at the last look and still are, until none is idle. */
  private readonly sweep: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      this.clock.sleep(Duration.millis(sweepEvery)),
      Effect.suspend(() => {
        let idle = false
        for (const queue of Array.from(this.queues.values())) {
          if (!queue.isIdle) continue
          if (queue.wasIdle) queue.end()
          else queue.wasIdle = idle = true
        }
        if (idle) return this.sweep
        this.sweeper = undefined
        return Effect.void
      })
    )
  )
}
