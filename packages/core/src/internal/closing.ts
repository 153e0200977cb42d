/**
 * The end of a frame: everything it owns ends, last in, first out, one after another. Owned by `TimeFrame`.
 *
 * It moves on by itself, whoever waits for it: those who close at once with others all return when it is done. What
 * outlasts the grace period is left to end in the background; what comes after it is still started in order, and left
 * behind as well where it does not end at once.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { LinkedList } from "./list.ts"
import type { Closer, Owned } from "./owned.ts"
import type { Timeout, Timers } from "./timers.ts"

/** What a closing needs to know of a frame. */
export interface Closable {
  readonly owned: LinkedList<Owned>
  readonly gracePeriod: number
  readonly registry: { readonly timers: Timers; now(): number }
  /** Called once, when nothing is owned any more. */
  closed(): void
}

export class Closing implements Closer, Timeout {
  readonly frame: Closable
  readonly exit: Exit.Exit<unknown, unknown>
  // The end of the grace period.
  previous: Timeout | undefined = undefined
  next: Timeout | undefined = undefined
  queue: Timeout["queue"] = undefined
  at = 0
  /** How it went; there once it is done. */
  result: Exit.Exit<void> | undefined = undefined
  private causes: Cause.Cause<never> = Cause.empty
  /** What ends just now. */
  private current: Owned | undefined = undefined
  private overdue: boolean
  private armed = false
  private waiting: Array<(result: Exit.Exit<void>) => void> = []

  constructor(frame: Closable, exit: Exit.Exit<unknown, unknown>) {
    this.frame = frame
    this.exit = exit
    this.overdue = frame.gracePeriod <= 0
  }

  /** Ends what is left, as far as it goes without waiting. */
  run(): void {
    for (let owned = this.frame.owned.last; owned !== undefined; owned = this.frame.owned.last) {
      this.current = owned
      if (owned.end(this)) continue
      if (this.overdue) {
        owned.outlive()
        continue
      }
      this.arm()
      return
    }
    this.current = undefined
    this.frame.registry.timers.cancel(this)
    const result = this.causes.reasons.length === 0 ? Exit.void : Exit.failCause(this.causes)
    this.result = result
    this.frame.closed()
    for (const done of this.waiting) done(result)
    this.waiting = []
  }

  wait(done: (result: Exit.Exit<void>) => void): void {
    this.waiting.push(done)
  }

  failed(cause: Cause.Cause<never>): void {
    this.causes = Cause.combine(this.causes, cause)
  }

  ended(owned: Owned): void {
    // What was left behind is not waited for any more.
    if (owned === this.current) this.run()
  }

  expire(): void {
    this.overdue = true
    const current = this.current!
    this.current = undefined
    current.outlive()
    this.run()
  }

  private arm(): void {
    if (this.armed || this.frame.gracePeriod === Infinity) return
    this.armed = true
    this.frame.registry.timers.arm(this, this.frame.gracePeriod, this.frame.registry.now())
  }
}
