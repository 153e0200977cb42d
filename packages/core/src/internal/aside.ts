/**
 * Runs what must not hold up anyone, on a fiber of its own and with a limit: resets, checks, creations, releases of pool
 * items. Owned by `ResourcePool`.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { Timeout } from "./timers.ts"
import type { Timers } from "./timers.ts"

export interface Aside {
  readonly context: Context.Context<never>
  readonly timers: Timers
  /** In milliseconds. */
  readonly limit: number
  /** How it ended, once; `undefined` when it took too long: then it has been interrupted, and is not waited for. */
  readonly done: (exit: Exit.Exit<unknown, unknown> | undefined) => void
  /** How it ended after all. */
  readonly late?: (exit: Exit.Exit<unknown, unknown>) => void
}

/** What runs aside. */
export class RunningAside {
  private readonly options: Aside
  private readonly fiber: Fiber.Fiber<unknown, unknown>
  private readonly timeout: Timeout
  private isDone = false

  constructor(effect: Effect.Effect<unknown, unknown>, options: Aside) {
    const { context, limit, timers } = options
    this.options = options
    this.timeout = new Timeout(() => {
      this.isDone = true
      this.fiber.interruptUnsafe()
      options.done(undefined)
    })
    this.fiber = Effect.runForkWith(context)(effect)
    this.fiber.addObserver((exit) => this.ended(exit))
    if (limit !== Infinity && !this.isDone) timers.arm(this.timeout, limit, timers.now() + limit)
  }

  private ended(exit: Exit.Exit<unknown, unknown>): void {
    const { done, late } = this.options
    if (this.isDone) return late?.(exit)
    this.isDone = true
    this.letGo()
    done(exit)
  }

  interrupt(): void {
    this.fiber.interruptUnsafe()
  }

  /** It is not limited any more. */
  letGo(): void {
    this.options.timers.cancel(this.timeout)
  }

  /** It is of no use any more. */
  stop(): void {
    this.letGo()
    this.interrupt()
  }
}

export const runAside = (effect: Effect.Effect<unknown, unknown>, options: Aside): RunningAside =>
  new RunningAside(effect, options)
