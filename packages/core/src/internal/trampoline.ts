/**
 * Resumes fibers inline, one after another: a fiber that is resumed may give something back that resumes the next one,
 * and without this a long queue would become a deep stack. Owned by `ResourcePool`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** How many are resumed in a row before other fibers get their turn. */
const budget = 64

/** What can be resumed. */
export interface Resumable {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  resume(): void
}

/** Those whose turn has yet to come: from `first` to `end`. */
let waiting: Array<Resumable | undefined> = []
let first = 0
let end = 0
let isRunning = false
let isScheduled = false

/** Resumes it now, or after those that are being resumed. */
export const resume = (next: Resumable): void => {
  if (isRunning || isScheduled) {
    waiting[end++] = next
    return
  }
  isRunning = true
  goOn(next)
  if (first < end) drain()
  isRunning = false
  if (first < end) scheduleRest()
}

/** What an observer of one fiber throws is no reason not to tell the others. */
const goOn = (next: Resumable): void => {
  try {
    next.resume()
  } catch (defect) {
    Effect.runForkWith(next.fiber.context)(Effect.logError("An observer of a fiber has thrown", Cause.die(defect)))
  }
}

const drain = (): void => {
  for (let left = budget; left > 0 && first < end; left--) {
    const next = waiting[first]!
    waiting[first++] = undefined
    goOn(next)
  }
  if (first < end) return
  first = end = 0
  // What a very long queue took is given back.
  if (waiting.length > 1024) waiting = []
}

const scheduleRest = (): void => {
  isScheduled = true
  waiting[first]!.fiber.currentDispatcher.scheduleTask(continueLater, 0)
}

const continueLater = (): void => {
  isScheduled = false
  isRunning = true
  drain()
  isRunning = false
  if (first < end) scheduleRest()
}
