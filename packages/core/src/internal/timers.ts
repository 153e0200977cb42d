/**
 * Timeouts in O(1): those of one duration expire in the order in which they were armed, so each duration has a plain
 * queue and one sleeping fiber, alive only while something in the queue waits. Owned by the registry.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { Linked, LinkedList } from "./list.ts"

/** How many timeouts fire before other fibers get their turn. */
const slice = 256

export abstract class Timeout extends Linked {
  /** The queue that it waits in. */
  queue: Queue | undefined = undefined
  at = 0
  /** Called once, unless it was cancelled. It must not throw. */
  abstract expire(): void
}

/**
 * ```text
 *   idle ──add──▶ sleeping ──due──▶ firing ──more wait──▶ sleeping
 *     ▲              │ last one cancelled      │ none wait
 *     └──────────────┴─────────────────────────┘
 * ```
 */
class Queue {
  readonly timers: Timers
  readonly duration: number
  readonly waiting = new LinkedList<Timeout>()
  /** The sleeping fiber: there is one exactly while something waits. */
  sleeper: Fiber.Fiber<void> | undefined = undefined
  firing = false

  constructor(timers: Timers, duration: number) {
    this.timers = timers
    this.duration = duration
  }

  add(timeout: Timeout, now: number): void {
    timeout.queue = this
    timeout.at = now + this.duration
    this.waiting.append(timeout)
    if (this.sleeper === undefined) {
      const sleep = this.timers.clock.sleep(Duration.millis(this.duration))
      this.sleeper = Effect.runForkWith(this.timers.context)(Effect.andThen(sleep, this.fire))
    }
  }

  remove(timeout: Timeout): void {
    timeout.queue = undefined
    this.waiting.remove(timeout)
    if (this.waiting.first === undefined && !this.firing) this.end()?.interruptUnsafe()
  }

  end(): Fiber.Fiber<void> | undefined {
    const sleeper = this.sleeper
    this.sleeper = undefined
    this.timers.queues.delete(this.duration)
    return sleeper
  }

  /** Fires all that are due, then sleeps until the next one is, until nothing waits. */
  readonly fire: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.timers.clock.currentTimeMillisUnsafe()
    this.firing = true
    for (let fired = 0; fired < slice; fired++) {
      const timeout = this.waiting.first
      if (timeout === undefined || timeout.at > now) break
      timeout.queue = undefined
      this.waiting.remove(timeout)
      timeout.expire()
    }
    this.firing = false
    const next = this.waiting.first
    if (next === undefined) {
      this.end()
      return Effect.void
    }
    const pause = next.at > now ? this.timers.clock.sleep(Duration.millis(next.at - now)) : Effect.yieldNow
    return Effect.andThen(pause, this.fire)
  })
}

export class Timers {
  readonly clock: Clock.Clock
  readonly context: Context.Context<never>
  readonly queues = new Map<number, Queue>()

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
}
