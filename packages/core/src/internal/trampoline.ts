/**
 * Resumes fibers inline, one after another: a fiber that is resumed may give something back that resumes the next one,
 * and without this a long queue would become a deep stack. Owned by `ResourcePool`.
 */
import type * as Fiber from "effect/Fiber"

/** How many are resumed in a row before other fibers get their turn. */
const budget = 64

/** What can be resumed. */
export interface Resumable {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  resume(): void
}

let queue: Array<Resumable> = []
let at = 0
let isRunning = false
let isScheduled = false

/** Resumes it now, or after those that are being resumed. */
export const resume = (next: Resumable): void => {
  queue.push(next)
  if (!isRunning && !isScheduled) drain()
}

const drain = (): void => {
  isRunning = true
  try {
    for (let left = budget; left > 0 && at < queue.length; left--) queue[at++]!.resume()
  } finally {
    isRunning = false
    if (at === queue.length) {
      queue.length = 0
      at = 0
    } else {
      if (at > 1024 && at * 2 > queue.length) {
        queue = queue.slice(at)
        at = 0
      }
      isScheduled = true
      queue[at]!.fiber.currentDispatcher.scheduleTask(continueLater, 0)
    }
  }
}

const continueLater = (): void => {
  isScheduled = false
  drain()
}
