/**
 * Timeouts in O(1): those of one duration expire in the order in which they were armed, so each duration has a plain
 * queue and one sleeping fiber. Owned by the registry.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { LinkedList } from "./list.ts"

/** How many timeouts fire before other fibers get their turn. */
const slice = 256

/** How many queues without a timeout may keep their sleeper for the next one. */
const maximumIdle = 16

/** Something that expires, linked into its queue while it waits. */
export interface Timeout {
  previous: Timeout | undefined
  next: Timeout | undefined
  /** The queue that it waits in. */
  queue: Queue | undefined
  at: number
  /** Called once, unless it was cancelled. It must not throw. */
  expire(): void
}

/**
 * ```text
 *   ended ──add──▶ sleeping ──due──▶ firing ──more wait──▶ sleeping
 *     ▲              │    ▲             │
 *     │   last one   ▼    │ add         │ none wait
 *     │   cancelled  idle ┘             │
 *     └───due, or too many idle─────────┘
 * ```
 *
 * A queue that runs empty keeps its sleeper until that wakes up by itself, for frames that come one after another; it
 * never sleeps on when it finds nothing, only a few do so at a time, and none outlives the manager.
 */
class Queue {
  readonly timers: Timers
  readonly duration: number
  readonly waiting = new LinkedList<Timeout>()
  private sleeper: Fiber.Fiber<void> | undefined = undefined
  private firing = false

  constructor(timers: Timers, duration: number) {
    this.timers = timers
    this.duration = duration
  }

  add(timeout: Timeout, now: number): void {
    timeout.queue = this
    timeout.at = now + this.duration
    if (this.waiting.first === undefined) this.timers.idle.delete(this)
    // One armed for an earlier moment, by someone who was held up, goes before those armed meanwhile.
    let before = this.waiting.last
    while (before !== undefined && before.at > timeout.at) before = before.previous
    this.waiting.insertAfter(before, timeout)
    if (this.sleeper === undefined) {
      const sleep = this.timers.clock.sleep(Duration.millis(this.duration))
      this.sleeper = Effect.runForkWith(this.timers.context)(Effect.andThen(sleep, this.fire))
    }
  }

  remove(timeout: Timeout): void {
    timeout.queue = undefined
    this.waiting.remove(timeout)
    if (this.waiting.first === undefined && !this.firing) this.timers.rest(this)
  }

  /** Forgets the queue; the sleeper, if it still sleeps, has no purpose any more. */
  end(): void {
    const { sleeper } = this
    this.sleeper = undefined
    this.timers.idle.delete(this)
    this.timers.queues.delete(this.duration)
    if (!this.firing) sleeper?.interruptUnsafe()
  }

  /** Fires all that are due, then sleeps until the next one is. */
  private readonly fire: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.timers.clock.currentTimeMillisUnsafe()
    this.firing = true
    for (let fired = 0; fired < slice; fired++) {
      const timeout = this.waiting.first
      if (timeout === undefined || timeout.at > now) break
      timeout.queue = undefined
      this.waiting.remove(timeout)
      timeout.expire()
    }
    const next = this.waiting.first
    if (next === undefined) this.end()
    this.firing = false
    if (next === undefined) return Effect.void
    const pause = next.at > now ? this.timers.clock.sleep(Duration.millis(next.at - now)) : Effect.yieldNow
    return Effect.andThen(pause, this.fire)
  })
}

export class Timers {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly queues = new Map<number, Queue>()
  /** Those that sleep although nothing waits, the longest idle first. */
  readonly idle = new Set<Queue>()
  private closed = false

  constructor(clock: Clock.Clock, context: Context.Context<never>) {
    this.clock = clock
    this.context = context
  }

  /** Arms a timeout of `duration` milliseconds from `now`. */
  arm(timeout: Timeout, duration: number, now: number): void {
    let queue = this.queues.get(duration)
    if (queue === undefined) {
      queue = new Queue(this, duration)
      this.queues.set(duration, queue)
    }
    queue.add(timeout, now)
  }

  /** Safe to call again, and after it fired. */
  cancel(timeout: Timeout): void {
    timeout.queue?.remove(timeout)
  }

  /** A queue has run empty. */
  rest(queue: Queue): void {
    if (this.closed) return queue.end()
    this.idle.add(queue)
    if (this.idle.size > maximumIdle) this.idle.values().next().value!.end()
  }

  /** The manager has closed: from now on nothing sleeps but for what still waits. */
  close(): void {
    this.closed = true
    for (const queue of Array.from(this.idle)) queue.end()
  }
}
