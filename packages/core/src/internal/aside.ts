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

export const runAside = (effect: Effect.Effect<unknown, unknown>, options: Aside): Fiber.Fiber<unknown, unknown> => {
  const { context, done, late, limit, timers } = options
  let isDone = false
  const fiber = Effect.runForkWith(context)(effect)
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) {
    done(exit)
    return fiber
  }
  const timeout = new Timeout(() => {
    isDone = true
    fiber.interruptUnsafe()
    done(undefined)
  })
  fiber.addObserver((exit) => {
    if (isDone) return late?.(exit)
    isDone = true
    timers.cancel(timeout)
    done(exit)
  })
  if (limit !== Infinity && !isDone) timers.arm(timeout, limit, timers.now() + limit)
  return fiber
}
