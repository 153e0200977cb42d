/**
 * A body in a frame. Owned by `TimeFrame`.
 *
 * Without a deadline of its own a frame runs its body on the fiber of the caller, if that is the one that the frame
 * around it runs on: both end together. A body that is to be interrupted alone, by its deadline or by the end of a
 * frame that the caller does not belong to, needs a fiber of its own, since no fiber recovers from its own interruption.
 * That goes for a deadline after the one outside as well: the frame outside may be extended.
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
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { DeadlineExceeded } from "../ResourceError.ts"
import { chargeTo } from "./charging.ts"
import type { Refused } from "./charging.ts"
import { Closing } from "./closing.ts"
import { Frame, nearest } from "./frame.ts"
import type { FrameOptions } from "./frame.ts"
import { deadlineExceeded } from "./holders.ts"
import { holds, returns } from "./holding.ts"
import { assertCapacity } from "./ledger.ts"
import { Timeout } from "./timers.ts"
import { Visit, Visitor } from "./visit.ts"

type Body = Effect.Effect<any, any, any>
type AnyExit = Exit.Exit<any, any>
type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Puts a frame, which is a Scope as well, into a context. */
export const inFrame = (context: Context.Context<never>, key: Context.Key<any, any>, frame: Frame) =>
  Context.add(Context.add(context, Scope.Scope, frame), key, frame)

/** Closes a frame; `undefined` when that is done and went well. */
export const closeFrame = (frame: Frame, exit: AnyExit): Effect.Effect<void> | undefined => {
  const result = frame.close(exit)
  if (result === undefined) return awaitClosed(frame.closing!)
  return Exit.isSuccess(result) ? undefined : result
}

const awaitClosed = (closing: Closing): Effect.Effect<void> => Effect.callback((resume) => closing.wait(resume))

/** Closes a frame from anywhere: a body that runs on another fiber is interrupted first. */
export const closeFromOutside = (frame: Frame, exit: AnyExit): Effect.Effect<void> => {
  const asker = Fiber.getCurrent()
  if (!frame.endBody(asker) || frame.phase === "closed") return closeFrame(frame, exit) ?? Exit.void
  const { closesWithin, registry } = frame
  const closing = new Closing(
    {
      get last() {
        return frame.phase === "closed" || frame.isOutlived ? undefined : frame
      },
      closesWithin,
      registry,
      expiredAt: undefined,
      isLeftBehind: () => false,
      closed: () => {}
    },
    exit,
    asker
  )
  closing.run()
  return closing.result ?? awaitClosed(closing)
}

/** The body on the caller's fiber. */
class Inline extends Effectable.Class<any, any, any> {
  protected readonly body: Body
  protected readonly key: Context.Key<any, any>
  protected readonly parent: Frame
  protected readonly options: FrameOptions
  protected readonly fiber: AnyFiber
  protected frame: Frame | undefined = undefined
  protected outer: Context.Context<never> | undefined = undefined
  /** There was too little left for its reserve. */
  protected refused: Refused | undefined = undefined

  constructor(body: Body, key: Context.Key<any, any>, parent: Frame, options: FrameOptions, fiber: AnyFiber) {
    super()
    this.body = body
    this.key = key
    this.parent = parent
    this.options = options
    this.fiber = fiber
  }

  protected open(): Frame | undefined {
    const outer = this.fiber.context
    const { name, reserve } = this.options
    if (reserve !== undefined) {
      for (const unit of Object.keys(reserve)) assertCapacity(this.parent.ledgers, unit, name)
      this.refused = chargeTo(this.parent, reserve, name)
      if (this.refused !== undefined) return undefined
    }
    const frame = new Frame(this.parent, this.parent.registry, this.options, outer)
    frame.context = inFrame(outer, this.key, frame)
    frame.open()
    return this.frame = frame
  }

  /** The fiber has to end the frame, and with that what is put aside for it. */
  protected belongsTo(fiber: AnyFiber): void {
    const frame = this.frame!
    frame.fiber = fiber
    if (this.options.reserve === undefined || frame.phase === "closed") return
    holds(fiber.id)
    frame.whenClosed(() => returns(fiber.id))
  }

  asEffect(): Body {
    this.outer = this.fiber.context
    const frame = this.open()
    if (frame === undefined) return this.refused!
    this.belongsTo(this.fiber)
    this.fiber.setContext(frame.context)
    return this.body
  }

  leave(exit: AnyExit): Effect.Effect<void> | undefined {
    if (this.frame === undefined) return undefined
    this.fiber.setContext(this.outer!)
    this.frame.isBodyLeft = false
    return closeFrame(this.frame, exit)
  }
}

/** The body on a fiber of its own. */
class Apart extends Inline {
  private child: Fiber.Fiber<any, any> | undefined = undefined
  /** The deadline, and later the end of the grace period. */
  private timeout: Timeout | undefined = undefined
  /** How long it is until the deadline outside, if nobody else interrupts the body then. */
  private readonly left: number
  /** What the frame fails with, from its deadline on. */
  private error: DeadlineExceeded | undefined = undefined
  private settled: AnyExit | undefined = undefined
  private wake: ((exit: AnyExit) => void) | undefined = undefined

  constructor(
    body: Body,
    key: Context.Key<any, any>,
    parent: Frame,
    options: FrameOptions,
    fiber: AnyFiber,
    left: number
  ) {
    super(body, key, parent, options, fiber)
    this.left = left
  }

  override asEffect(): Body {
    const frame = this.open()
    if (frame === undefined) return this.refused!
    frame.caller = this.fiber
    const lasts = Math.min(this.options.timeout, this.left)
    if (lasts <= 0) {
      this.expired()
      return this.settle(Exit.interrupt())
    }
    const body = Effect.withFiber((fiber) => {
      this.belongsTo(fiber)
      return this.body as Effect.Effect<any, any>
    })
    this.child = Effect.runForkWith(frame.context)(body)
    const exit = this.child.pollUnsafe()
    if (exit !== undefined) return this.settled = exit
    this.arm(lasts, this.deadline)
    this.child.addObserver((exit) => {
      frame.isBodyLeft = false
      this.settle(exit)
    })
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

  /** What it looks after. */
  private get deadline(): number {
    const frame = this.frame!
    return this.left === Infinity ? frame.ownDeadline : frame.deadline
  }

  private arm(duration: number, at: number): void {
    if (duration === Infinity) return
    this.timeout ??= new Timeout(() => this.expire())
    this.parent.registry.timers.arm(this.timeout, duration, at)
  }

  private disarm(): void {
    if (this.timeout !== undefined) this.parent.registry.timers.cancel(this.timeout)
  }

  private expire(): void {
    const frame = this.frame!
    if (this.error !== undefined) return this.leaveBehind()
    const { deadline } = this
    const left = deadline - frame.registry.timers.now()
    // It was extended.
    if (left > 0) return this.arm(left, deadline)
    this.expired()
    this.child!.interruptUnsafe()
    if (this.settled !== undefined) return
    // What it is stuck in has gone to another frame, when this one was closed without it.
    if (frame.isBodyLeft || frame.isStuck || frame.gracePeriod <= 0) return this.leaveBehind()
    this.arm(frame.gracePeriod, frame.expiredAt! + frame.gracePeriod)
  }

  private expired(): void {
    const frame = this.frame!
    const { events, timers } = frame.registry
    if (frame.phase === "open") frame.phase = "expired"
    frame.expiredAt = timers.now()
    this.error = deadlineExceeded(frame)
    if (events.active) events.tell({ _tag: "FrameExpired", ...frame.stamp(), timeout: frame.lasts })
  }

  private leaveBehind(): void {
    const { events } = this.frame!.registry
    if (events.active) events.tell({ _tag: "BodyLeftBehind", ...this.frame!.stamp() })
    this.settle(Exit.interrupt())
  }

  private settle(exit: AnyExit): AnyExit {
    if (this.settled !== undefined) return this.settled
    this.disarm()
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
    this.disarm()
    const close = closeFrame(frame, exit) ?? Exit.void
    const defects = settled === undefined ? [] : defectsOf(settled)
    if (defects.length === 0) return close
    const died = Exit.failCause(Cause.fromReasons(defects))
    return Effect.flatMap(Effect.exit(close), (closed) => Exit.asVoidAll([died, closed]))
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
 * Runs a body in a new frame inside `around`, or inside the nearest one outside that is open. The deadline of a frame
 * outside interrupts the body of that frame, and with it what its fiber waits for; on any other fiber a frame with a
 * timeout looks after that deadline itself.
 */
export const run = (
  body: Body,
  key: Context.Key<any, any>,
  around: Frame,
  options: FrameOptions,
  fiber: AnyFiber
): Effect.Effect<any, any, any> => {
  const parent = nearest(around, (frame) => frame.phase === "open")
  const run = options.timeout !== Infinity || (parent.parent !== undefined && parent.fiber !== fiber)
    ? new Apart(body, key, parent, options, fiber, options.timeout === Infinity ? Infinity : leftFor(parent, fiber))
    : new Inline(body, key, parent, options, fiber)
  return Effect.onExitPrimitive(run as Body, (exit) => run.leave(exit))
}

/** How long it is until the deadline of that frame, unless the fiber is interrupted then anyway. */
const leftFor = (frame: Frame, fiber: AnyFiber): number => {
  const { deadline } = frame
  if (deadline === Infinity || frame.isInterruptedWith(fiber)) return Infinity
  return Math.max(0, deadline - frame.registry.timers.now())
}

/** Runs an effect inside another frame, for which the frame that it comes from answers as well. */
export const visit = (body: Body, key: Context.Key<any, any>, frame: Frame): Body =>
  Effect.withFiber((fiber) => {
    const from = Context.getOrUndefined(fiber.context, key) as Frame | undefined
    const inside = inFrame(fiber.context, key, frame)
    // Handed on to another fiber, it is not for the one that made it to end.
    if (frame.maker !== undefined && frame.maker.deref() !== fiber) frame.maker = undefined
    if (from === undefined || from === frame) return Effect.updateContext(body, () => inside)
    const visit = new Visit(from, frame, Context.get(fiber.context, Visitor))
    const enter = Effect.suspend(() => {
      visit.begin()
      return Effect.updateContext(body, () => Context.add(inside, Visitor, visit))
    })
    return Effect.onExitPrimitive(enter, () => {
      visit.end()
      return undefined
    })
  })
