/**
 * A body in a frame. Owned by `TimeFrame`.
 *
 * Without a deadline of its own a frame runs its body on the fiber of the caller. A deadline that the caller can catch
 * needs the body on a fiber of its own, since no fiber recovers from its own interruption:
 *
 * ```text
 *   running ──body ends──────────────────────────────▶ settled
 *      │ deadline: interrupt the body                     ▲
 *      ▼                                                  │
 *   expired ──body ends──────────────────────────────────▶│
 *      │ an acquisition or release ignores interruption,  │
 *      └──or the grace period is over: left behind────────┘
 * ```
 *
 * The frame is opened in the step after its closing was registered, and closed by whatever exit comes, on the fiber of
 * the caller.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { DeadlineExceeded } from "../ResourceError.ts"
import { Frame } from "./frame.ts"
import type { FrameOptions } from "./frame.ts"
import { holdersOf } from "./holders.ts"
import type { Timeout } from "./timers.ts"

type Body = Effect.Effect<any, any, any>
type AnyExit = Exit.Exit<any, any>

/** Puts a frame, which is a Scope as well, into a context. */
export const inFrame = (context: Context.Context<never>, key: Context.Key<any, any>, frame: Frame) =>
  Context.add(Context.add(context, Scope.Scope, frame), key, frame)

/** Waits for the end of a frame that is closing. */
export const awaitClosed = (frame: Frame): Effect.Effect<void> =>
  Effect.callback((resume) => frame.closing!.wait(resume))

/** Closes a frame; `undefined` when that is done and went well. */
export const closeFrame = (frame: Frame, exit: AnyExit): Effect.Effect<void> | undefined => {
  const result = frame.close(exit)
  if (result === undefined) return awaitClosed(frame)
  return Exit.isSuccess(result) ? undefined : result
}

/** The body on the caller's fiber. */
class Inline extends Effectable.Class<any, any, any> {
  protected readonly body: Body
  protected readonly key: Context.Key<any, any>
  protected readonly parent: Frame
  protected readonly options: FrameOptions
  protected readonly fiber: Fiber.Fiber<unknown, unknown>
  protected frame: Frame | undefined = undefined
  protected outer: Context.Context<never> | undefined = undefined

  constructor(
    body: Body,
    key: Context.Key<any, any>,
    parent: Frame,
    options: FrameOptions,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    super()
    this.body = body
    this.key = key
    this.parent = parent
    this.options = options
    this.fiber = fiber
  }

  protected open(): Frame {
    const outer = this.fiber.context
    const frame = new Frame(this.parent, this.parent.registry, this.options, outer)
    frame.context = inFrame(outer, this.key, frame)
    return this.frame = frame
  }

  asEffect(): Body {
    this.outer = this.fiber.context
    const frame = this.open()
    frame.fiber = this.fiber
    this.fiber.setContext(frame.context)
    return this.body
  }

  leave(exit: AnyExit): Effect.Effect<void> | undefined {
    if (this.frame === undefined) return undefined
    this.fiber.setContext(this.outer!)
    return closeFrame(this.frame, exit)
  }
}

/** The body on a fiber of its own, with a deadline. */
class Bounded extends Inline implements Timeout {
  // The deadline, and later the end of the grace period.
  previous: Timeout | undefined = undefined
  next: Timeout | undefined = undefined
  queue: Timeout["queue"] = undefined
  at = 0
  private child: Fiber.Fiber<any, any> | undefined = undefined
  /** What the frame fails with, from its deadline on. */
  private error: DeadlineExceeded | undefined = undefined
  private settled: AnyExit | undefined = undefined
  private wake: ((exit: AnyExit) => void) | undefined = undefined

  override asEffect(): Body {
    const frame = this.open()
    const { registry } = frame
    if (this.options.timeout <= 0) {
      this.expired()
      return this.settle(Exit.interrupt())
    }
    const body = Effect.withFiber((fiber) => {
      frame.fiber = fiber
      return this.body as Effect.Effect<any, any>
    })
    this.child = Effect.runForkWith(frame.context)(body)
    const exit = this.child.pollUnsafe()
    if (exit !== undefined) return this.settled = exit
    registry.timers.arm(this, this.options.timeout, frame.openedAt)
    this.child.addObserver((exit) => this.settle(exit))
    return this.awaitSettled()
  }

  override leave(exit: AnyExit): Effect.Effect<void> | undefined {
    const frame = this.frame
    if (frame === undefined) return undefined
    if (this.settled === undefined && this.child !== undefined) {
      // The caller was interrupted. The deadline stays armed until the body is gone.
      this.child.interruptUnsafe(this.fiber.id)
      return Effect.flatMap(Effect.exit(this.awaitSettled()), (settled) => this.finish(frame, exit, settled))
    }
    return this.finish(frame, exit, undefined)
  }

  /** The deadline, and later the end of the grace period. */
  expire(): void {
    const frame = this.frame!
    if (this.error !== undefined) return this.leaveBehind()
    this.expired()
    this.child!.interruptUnsafe()
    if (this.settled !== undefined) return
    if (frame.isStuck || frame.gracePeriod <= 0) return this.leaveBehind()
    if (frame.gracePeriod !== Infinity) {
      frame.registry.timers.arm(this, frame.gracePeriod, frame.registry.now())
    }
  }

  private expired(): void {
    const frame = this.frame!
    const { events } = frame.registry
    const holders = holdersOf(frame, frame.registry.now())
    if (frame.phase === "open") frame.phase = "expired"
    frame.expiredAt = frame.registry.now()
    this.error = new DeadlineExceeded({
      frame: frame.path,
      timeout: frame.timeout,
      waitingFor: holders.filter((holder) => holder.state === "acquiring").map((holder) => holder.resource),
      holders
    })
    if (events.active) events.tell({ _tag: "FrameExpired", ...frame.stamp(), timeout: frame.timeout })
  }

  private leaveBehind(): void {
    const { events } = this.frame!.registry
    if (events.active) events.tell({ _tag: "BodyLeftBehind", ...this.frame!.stamp() })
    this.settle(Exit.interrupt())
  }

  private settle(exit: AnyExit): AnyExit {
    if (this.settled !== undefined) return this.settled
    this.frame!.registry.timers.cancel(this)
    this.settled = this.error === undefined ? exit : withDefects(this.error, exit)
    this.wake?.(this.settled)
    return this.settled
  }

  /** There is one observer of the body; whoever waits is found through `wake`. */
  private awaitSettled(): Effect.Effect<any, any> {
    return Effect.callback((resume) => {
      if (this.settled !== undefined) return resume(this.settled)
      this.wake = resume
    })
  }

  /** What an interrupted body died of while it wound up is not lost. */
  private finish(frame: Frame, exit: AnyExit, settled: AnyExit | undefined): Effect.Effect<void> {
    frame.registry.timers.cancel(this)
    const close = closeFrame(frame, exit) ?? Exit.void
    const defects = settled === undefined ? [] : defectsOf(settled)
    return defects.length === 0 ?
      close :
      Effect.flatMap(
        Effect.exit(close),
        (closed) => Exit.asVoidAll([Exit.failCause(Cause.fromReasons(defects)), closed])
      )
  }
}

/** A late body can not change that the deadline passed, but what it died of is not lost. */
const withDefects = (error: DeadlineExceeded, exit: AnyExit): AnyExit => {
  const cause = Cause.fail(error)
  const defects = defectsOf(exit)
  return Exit.failCause(defects.length === 0 ? cause : Cause.combine(cause, Cause.fromReasons(defects)))
}

const defectsOf = (exit: AnyExit): ReadonlyArray<Cause.Reason<never>> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.filter((reason) => reason._tag === "Die")

/**
 * Runs a body in a new frame inside `parent`. The deadline of a frame outside interrupts the body of that frame, and
 * with it what runs on the same fiber; on any other fiber a frame with a timeout looks after its deadline itself.
 */
export const run = (
  body: Body,
  key: Context.Key<any, any>,
  parent: Frame,
  options: FrameOptions,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<any, any, any> => {
  let limits = options
  let bounded = false
  if (options.timeout !== Infinity) {
    const left = parent.deadline - parent.registry.now()
    bounded = options.timeout < left || !parent.isInterruptedWith(fiber)
    if (left < options.timeout) limits = { ...options, timeout: Math.max(0, left) }
  }
  const run = new (bounded ? Bounded : Inline)(body, key, parent, limits, fiber)
  return Effect.onExitPrimitive(run as Body, (exit) => run.leave(exit))
}
