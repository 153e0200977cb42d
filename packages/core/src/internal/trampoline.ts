/**
 * Resumes fibers inline, one after another: a fiber that is resumed may give something back that resumes the next one,
 * and without this a long queue would become a deep stack. Owned by `ResourcePool`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

/** How many are resumed in a row before other fibers get their turn. */
const budget = 64

/** What can be resumed. */
export interface Resumable {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  resume(): void
}

/** Those of one scheduler: one that is given up takes none of the others along. */
class Trampoline {
  /** Those whose turn has yet to come: from `first` to `end`. */
  private waiting: Array<Resumable | undefined> = []
  private first = 0
  private end = 0
  private isRunning = false
  private isScheduled = false

  resume(next: Resumable): void {
    if (this.isRunning || this.isScheduled) {
      this.waiting[this.end++] = next
      return
    }
    this.isRunning = true
    goOn(next)
    if (this.first < this.end) this.drain()
    this.isRunning = false
    if (this.first < this.end) this.scheduleRest()
  }

  /** Those that are resumed from now on come one after another once it is let go; false: they do so anyway. */
  hold(): boolean {
    if (this.isRunning || this.isScheduled) return false
    return this.isRunning = true
  }

  letGo(): void {
    this.drain()
    this.isRunning = false
    if (this.first < this.end) this.scheduleRest()
  }

  private drain(): void {
    for (let left = budget; left > 0 && this.first < this.end; left--) {
      const next = this.waiting[this.first]!
      this.waiting[this.first++] = undefined
      goOn(next)
    }
    if (this.first < this.end) return
    this.first = this.end = 0
    // What a very long queue took is given back.
    if (this.waiting.length > 1024) this.waiting = []
  }

  private scheduleRest(): void {
    this.isScheduled = true
    this.waiting[this.first]!.fiber.currentDispatcher.scheduleTask(this.continueLater, 0)
  }

  private readonly continueLater = (): void => {
    this.isScheduled = false
    this.isRunning = true
    this.drain()
    this.isRunning = false
    if (this.first < this.end) this.scheduleRest()
  }
}

const trampolines = new WeakMap<Scheduler.Scheduler, Trampoline>()
let lastScheduler: Scheduler.Scheduler | undefined
let last: Trampoline | undefined

/** How many steps are under way that nobody must be resumed in. */
let steps = 0
const held: Array<Resumable> = []

/** From here to {@link endStep} is one step: whoever is to be resumed is resumed after it, when all books are in order. */
export const beginStep = (): void => {
  steps++
}

export const endStep = (): void => {
  if (--steps === 0 && held.length > 0) resumeAll(held.splice(0))
}

/** Resumes it now, or after those that are being resumed. */
export const resume = (next: Resumable): void => {
  if (steps > 0) {
    held.push(next)
    return
  }
  trampolineOf(next).resume(next)
}

/** Resumes them in that order: whoever is resumed because of one of them comes after all of them. */
export const resumeAll = (all: ReadonlyArray<Resumable>): void => {
  const [first] = all
  if (first === undefined) return
  const trampoline = trampolineOf(first)
  const isHeld = steps === 0 && trampoline.hold()
  for (const one of all) resume(one)
  if (isHeld) trampoline.letGo()
}

const trampolineOf = ({ fiber }: Resumable): Trampoline => {
  const { scheduler } = fiber.cache
  // Most programs have one.
  if (scheduler !== lastScheduler) {
    last = trampolines.get(scheduler)
    if (last === undefined) trampolines.set(scheduler, last = new Trampoline())
    lastScheduler = scheduler
  }
  return last!
}

/** What an observer of one fiber throws is no reason not to tell the others. */
const goOn = (next: Resumable): void => {
  try {
    next.resume()
  } catch (defect) {
    Effect.runForkWith(next.fiber.context)(Effect.logError("An observer of a fiber has thrown", Cause.die(defect)))
  }
}
