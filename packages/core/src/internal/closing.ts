/**
 * The end of a frame: everything it owns ends, last in, first out, one after another. Owned by `TimeFrame`.
 *
 * It moves on by itself, whoever waits for it: those who close at once with others all return when it is done. What
 * outlasts the grace period is left to end in the background; what comes after it is still started in order, and left
 * behind as well where it does not end at once.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Closer, Owned } from "./owned.ts"
import { Timeout } from "./timers.ts"
import type { Timers } from "./timers.ts"

/** What a closing needs to know of a frame. */
export interface Closable {
  /** What ends next. */
  readonly last: Owned | undefined
  /** How long it may take, in milliseconds. */
  readonly closesWithin: number
  /** When the grace period began, if that was before the closing. */
  readonly expiredAt: number | undefined
  readonly registry: { readonly timers: Timers }
  /** What is started, but not waited for. */
  isLeftBehind(owned: Owned): boolean
  /** Called once, when nothing is owned any more. */
  closed(): void
}

export class Closing implements Closer {
  readonly frame: Closable
  readonly exit: Exit.Exit<unknown, unknown>
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** How it went; there once it is done. */
  result: Exit.Exit<void> | undefined = undefined
  private causes: Cause.Cause<never> = Cause.empty
  /** What ends just now. */
  private current: Owned | undefined = undefined
  private overdue: boolean
  /** What is left of the grace period when it begins, in milliseconds. */
  private readonly left: number
  private grace: Timeout | undefined = undefined
  private waiting: Array<(result: Exit.Exit<void>) => void> = []

  constructor(
    frame: Closable,
    exit: Exit.Exit<unknown, unknown>,
    fiber: Fiber.Fiber<unknown, unknown> | undefined
  ) {
    this.frame = frame
    this.exit = exit
    this.fiber = fiber
    const { closesWithin, expiredAt, registry } = frame
    this.left = expiredAt === undefined ? closesWithin : expiredAt + closesWithin - registry.timers.now()
    this.overdue = this.left <= 0
  }

  /** Ends what is left, as far as it goes without waiting. */
  run(): void {
    for (let owned = this.frame.last; owned !== undefined; owned = this.frame.last) {
      this.current = owned
      if (owned.end(this)) continue
      if (this.overdue || this.frame.isLeftBehind(owned)) {
        owned.outlive()
        continue
      }
      this.arm()
      return
    }
    this.current = undefined
    if (this.grace !== undefined) this.frame.registry.timers.cancel(this.grace)
    const result = this.causes.reasons.length === 0 ? Exit.void : Exit.failCause(this.causes)
    this.result = result
    this.frame.closed()
    for (const done of this.waiting) done(result)
    this.waiting = []
  }

  wait(done: (result: Exit.Exit<void>) => void): void {
    // It may have ended between the decision to wait and this.
    if (this.result === undefined) this.waiting.push(done)
    else done(this.result)
  }

  failed(cause: Cause.Cause<never>): void {
    this.causes = Cause.combine(this.causes, cause)
  }

  ended(owned: Owned): void {
    // What was left behind is not waited for any more.
    if (owned === this.current) this.run()
  }

  private arm(): void {
    if (this.grace !== undefined || this.left === Infinity) return
    const { timers } = this.frame.registry
    this.grace = new Timeout(() => {
      this.overdue = true
      const current = this.current!
      this.current = undefined
      current.outlive()
      this.run()
    })
    timers.arm(this.grace, this.left, timers.now() + this.left)
  }
}
