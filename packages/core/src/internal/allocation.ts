/**
 * One allocation: the handle that a user gets, the record of who has what, and what is to be undone, in one object.
 * Owned by `Allocation`.
 *
 * ```text
 *   acquiring ──value arrives──▶ live ──release, or its frame closes──▶ releasing ──▶ released
 *      │  │                                                                ▲
 *      │  └──its frame closed meanwhile, value arrives late────────────────┘
 *      └──acquire fails──▶ released
 * ```
 *
 * Charge and record stand from the first state on; they are undone in the step that ends in `released`, whatever the
 * way there. An orphan is one whose frame closed without it: it stays in sight, with the manager, until it has ended.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { StackFrame } from "effect/References"
import type { Cost } from "../Cost.ts"
import { zero } from "../Cost.ts"
import { AllocationReleased, FrameClosed } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { Site } from "./callSite.ts"
import { stalled } from "./deadlock.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import { holdsCharged, returnsCharged } from "./holding.ts"
import type { Charged } from "./holding.ts"
import { countWaiting, refund } from "./ledger.ts"
import type { Ledgers } from "./ledger.ts"
import { chargesOf, ordersOf } from "./orders.ts"
import { attempt, defectOf, isDone, Owned, runRelease } from "./owned.ts"
import type { Closer, Facts, Marks } from "./owned.ts"
import type { Statistics } from "./statistics.ts"
import { Trace } from "./trace.ts"

export const TypeId = "~chronovyan/core/Allocation"

const charged = 0
const acquiring = 1
const live = 2
const releasing = 3
const released = 4

const stateNames = ["charged", "acquiring", "live", "releasing", "released"] as const

/** What is held by those who wait, and the ledgers where that counts. */
const waitingIn = new Map<Charged, Ledgers>()

export abstract class Allocation<A = any> extends Owned implements Charged {
  // A million of them may live: what is the same for all is on the prototype.
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly id: number
  readonly definition: Definition
  readonly statistics: Statistics
  /** What was charged, to the ledgers of `frame`. */
  readonly cost: Cost | undefined
  /** Who pays, and owns it unless it is an orphan. */
  frame: Frame
  /** What its release runs in. */
  context: Context.Context<never>
  private site: Site | StackFrame | Trace | undefined
  /** The number of the fiber that has to give it back; 0: somebody else may as well, or nobody pays for it. */
  holder = 0
  previousHeld: Charged | undefined = undefined
  nextHeld: Charged | undefined = undefined
  private state = acquiring
  /** When it entered its state. */
  private since: number
  protected current: A | undefined = undefined
  /** Who runs the release: one that asks for itself is not kept waiting for itself. */
  private releaser: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Who waits for the release of another. */
  private waiting: Array<() => void> | undefined = undefined

  constructor(
    definition: Definition,
    statistics: Statistics,
    cost: Cost | undefined,
    frame: Frame,
    fiber: Fiber.Fiber<unknown, unknown>,
    site?: Site
  ) {
    super()
    const { registry } = frame
    this.id = ++registry.allocations
    this.definition = definition
    this.statistics = statistics
    this.cost = cost
    this.frame = frame
    this.context = fiber.context
    this.site = site ?? fiber.cache.stackFrame
    this.since = registry.now()
    this.link(frame.owned)
  }

  /** Is it the use of a value that others use as well? */
  abstract readonly share: boolean
  /** Gives back what was acquired. */
  protected abstract undo(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown, never, any> | undefined
  /** Gives back what a failed acquisition may have left. */
  protected abstract undoFailed(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> | undefined
  protected abstract countAcquired(took: number): void
  protected abstract countFailed(took: number, isInterrupted: boolean): void
  protected abstract countReleased(held: number): void
  /** It is out of the books. */
  protected ended(): void {}

  // For its user.

  get value(): A {
    if (this.state !== live) throw this.gone()
    return this.current as A
  }

  /** What `use` hands over. */
  get usable(): A | this {
    return this.value
  }

  get resource(): string {
    return this.definition.name
  }

  get isLive(): boolean {
    return this.state === live
  }

  get isAcquiring(): boolean {
    return this.state === acquiring
  }

  get release(): Effect.Effect<void> {
    return Effect.uninterruptibleMask(() => this.giveBack(Exit.void, Fiber.getCurrent()!))
  }

  gone(): AllocationReleased {
    return new AllocationReleased({ allocation: this.id, resource: this.definition.name, frame: this.frame.path })
  }

  /** A released handle is a readable object as well, never an effect or a stale value. */
  toJSON(): unknown {
    return { _id: "Allocation", id: this.id, resource: this.definition.name, state: stateNames[this.state] }
  }

  // How it is acquired.

  /**
   * The value is there. Runs uninterruptibly, in the step in which it arrived. Answers the error of a late arrival.
   */
  arrived(value: A): Effect.Effect<never, FrameClosed> | undefined {
    const { events } = this.frame.registry
    const now = this.frame.registry.now()
    const took = now - this.since
    this.since = now
    this.current = value
    this.state = live
    this.countAcquired(took)
    const { owned } = this.frame
    if (this.home !== owned) return this.late(took)
    // What arrived meanwhile may be what this one was made from.
    if (owned.last !== this) this.moveTo(owned)
    if (events.active) {
      events.tell({ _tag: "Allocated", ...this.stamp(now), share: this.share, cost: this.cost ?? zero, took })
    }
    return undefined
  }

  /** Its frame is gone: the value is released at once. */
  private late(took: number): Effect.Effect<never, FrameClosed> {
    const { events } = this.frame.registry
    this.statistics.late++
    if (events.active) {
      events.tell({ _tag: "LateArrival", ...this.stamp(this.frame.registry.now()), share: this.share, took })
    }
    const closed = Exit.fail(new FrameClosed({ frame: this.frame.path, resource: this.definition.name }))
    return this.giveBack(closed, Fiber.getCurrent()!)
  }

  /** It is charged, but has to wait for its turn to be acquired. */
  reserve(): void {
    this.state = charged
  }

  /** Its turn has come. */
  begin(): void {
    this.state = acquiring
    this.since = this.frame.registry.now()
  }

  /** It will not be acquired after all. */
  abandon(): void {
    this.leave()
    this.refund()
  }

  /** The acquisition failed, died or was interrupted. */
  failed<E>(cause: Cause.Cause<E>): Effect.Effect<never, E> {
    const exit = Exit.failCause(cause)
    const leftover = attempt(() => this.undoFailed(exit))
    if (leftover === Exit.void) {
      this.finishFailed(exit)
      return exit
    }
    return Effect.flatMap(Effect.exit(leftover), (undone) => {
      this.finishFailed(exit)
      return Exit.isSuccess(undone) ? exit : withDefect(exit, undone.cause)
    })
  }

  private finishFailed(exit: Exit.Exit<never, unknown>): void {
    const { events } = this.frame.registry
    const now = this.frame.registry.now()
    const took = now - this.since
    this.leave()
    this.countFailed(took, Exit.hasInterrupts(exit))
    if (events.active) {
      events.tell({ _tag: "AcquireFailed", ...this.stamp(now), share: this.share, took, cause: defectOf(exit)! })
    }
    this.refund()
  }

  // How it is given back.

  /**
   * Gives it back on the fiber of whoever asks, in an uninterruptible region, and then ends with `exit`, and with what
   * the release died of.
   */
  giveBack<B, E>(exit: Exit.Exit<B, E>, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<B, E> {
    if (this.state === releasing) return this.awaitRelease(exit, fiber)
    if (this.state !== live) return exit
    this.releaser = fiber
    const release = this.startRelease(exit)
    // Looking for any other exit would cost every release more than it saves a few.
    if (release === Exit.void) {
      this.finish(Exit.void)
      return exit
    }
    const isAtHome = fiber.context === this.context
    if (!isAtHome) this.releaseFrom(Context.getOrUndefined(fiber.context, TimeFrame) as Frame | undefined)
    return Effect.matchCauseEffect(isAtHome ? release : inContext(release, this.context), {
      onSuccess: (_) => {
        this.finish(Exit.void)
        return exit
      },
      onFailure: (cause) => {
        this.finish(Exit.failCause(cause))
        return withDefect(exit, cause)
      }
    })
  }

  /** The frame that asks for it has to wait for it, though it is not its own. */
  private releaseFrom(frame: Frame | undefined): void {
    if (frame === undefined || frame === this.frame) return
    const busyWith = frame.busyWith ??= new Set()
    busyWith.add(this)
    this.onReleased(() => busyWith.delete(this))
  }

  private awaitRelease<B, E>(exit: Exit.Exit<B, E>, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<B, E> {
    if (this.releaser === fiber) return exit
    return Effect.callback((resume) => {
      if (this.state === released) resume(exit)
      else this.onReleased(() => resume(exit))
    })
  }

  private onReleased(done: () => void): void {
    if (this.waiting === undefined) this.waiting = [done]
    else this.waiting.push(done)
  }

  private startRelease(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    this.state = releasing
    // It comes back, whoever waits.
    this.heldBy(0)
    try {
      // Its services are those of the context that it will run in.
      return (this.undo(exit) as Effect.Effect<unknown> | undefined) ?? Exit.void
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  override end(closer: Closer): boolean {
    if (this.state <= acquiring) {
      this.outlive()
      return true
    }
    if (this.state === releasing) {
      this.onReleased(() => closer.ended(this))
      return false
    }
    const release = this.startRelease(closer.exit)
    const done = (exit: Exit.Exit<unknown>) => {
      this.finish(exit)
      if (Exit.isFailure(exit)) closer.failed(exit.cause)
    }
    if (isDone(release)) {
      done(release)
      return true
    }
    const exit = runRelease(
      Effect.withFiber((fiber) => {
        this.releaser = fiber
        return release
      }),
      this.context,
      (exit) => {
        done(exit)
        closer.ended(this)
      }
    )
    if (exit !== undefined) done(exit)
    return exit !== undefined
  }

  private finish(exit: Exit.Exit<unknown>): void {
    const { events } = this.frame.registry
    const now = this.frame.registry.now()
    const held = now - this.since
    this.leave()
    this.countReleased(held)
    if (events.active) {
      const defect = defectOf(exit)
      events.tell({
        _tag: "Released",
        ...this.stamp(now),
        share: this.share,
        held,
        ...(defect === undefined ? undefined : { defect })
      })
    }
    const { waiting } = this
    this.releaser = undefined
    this.waiting = undefined
    this.refund()
    this.ended()
    if (waiting !== undefined) { for (const done of waiting) done() }
  }

  /** Undoes the record. */
  private leave(): void {
    this.state = released
    this.current = undefined
    this.unlink()
    if (this.holder !== 0) this.heldBy(0)
    // A tracked handle may keep the record for long after this.
    if (this.site instanceof Trace) this.site = undefined
  }

  /** Undoes the charge. Last of all: one who has waited for it may go on at once, and look around. */
  private refund(): void {
    if (this.cost !== undefined) refund(this.frame.ledgers, this.cost)
  }

  // Where it belongs.

  override outlive(): void {
    this.frame.adopt(this)
    const { events } = this.frame.registry
    if (events.active && this.state === releasing) {
      events.tell({ _tag: "ReleaseOverdue", ...this.stamp(this.frame.registry.now()) })
    }
  }

  /** What it was charged, with what its acquisition allocated. */
  get totalCost(): Cost {
    return this.cost ?? zero
  }

  /** Makes another frame the owner; the charge has been moved already. Only for one that is live. */
  changeFrame(frame: Frame): void {
    const from = this.frame
    const holder = this.holderIn(frame)
    this.heldBy(0)
    this.frame = frame
    this.context = Context.add(this.context, TimeFrame, frame as unknown as TimeFrame)
    this.moveTo(frame.owned)
    if (holder !== 0) this.heldBy(holder)
    const { events } = frame.registry
    if (events.active) events.tell({ _tag: "Transferred", ...this.stamp(frame.registry.now()), from: from.path })
  }

  /** The fiber of that frame, where it is moved there by that, or by one that it waits for: nobody else will give it back. */
  private holderIn({ fiber }: Frame): number {
    const asker = Fiber.getCurrent()
    if (fiber === undefined || asker === undefined || this.cost === undefined) return 0
    const isOwn = this.holder === fiber.id || stalled({ fiber: asker, frame: this.frame }).includes(fiber)
    return isOwn ? fiber.id : 0
  }

  /** That fiber has to give it back; 0: nobody in particular. */
  heldBy(fiber: number): void {
    const { registry } = this.frame
    if (this.holder !== 0) {
      returnsCharged(this)
      if (registry.events.watchesOrders) ordersOf(registry).gives(this, this.holder)
    }
    this.holder = fiber
    if (fiber === 0) return
    holdsCharged(this)
    if (registry.events.watchesOrders) ordersOf(registry).takes(this, fiber, chargesOf(this.frame.ledgers, this.cost!))
  }

  held(isWaiting: boolean): void {
    const cost = this.cost!
    const ledgers = waitingIn.get(this)
    if (ledgers !== undefined) countWaiting(ledgers, cost, -1)
    waitingIn.delete(this)
    if (!isWaiting) return
    waitingIn.set(this, this.frame.ledgers)
    countWaiting(this.frame.ledgers, cost, 1)
  }

  override rebased(): void {
    if (waitingIn.has(this)) this.held(true)
  }

  get place(): string {
    return this.frame.path
  }

  get callSite(): string | undefined {
    return this.site?.name
  }

  override facts(): Facts {
    return {
      id: this.id,
      resource: this.definition.name,
      frame: this.frame,
      state: stateNames[this.state] as Facts["state"],
      isStubborn: this.state === releasing ||
        (this.state === acquiring && !this.share && !this.definition.interruptible),
      share: this.share,
      since: this.since,
      cost: this.cost ?? zero,
      holder: this.holder === 0 ? undefined : this.holder,
      lent: undefined,
      inner: undefined,
      context: this.context,
      callSite: this.callSite
    }
  }

  /** Its handle can be collected without it. */
  track(handle: object, fiber: Fiber.Fiber<unknown, unknown>): void {
    if (this.state !== live) return
    const trace = new Trace(this.site as Site | StackFrame | undefined, fiber, this.frame)
    this.site = trace
    trace.follow(handle, this)
  }

  /** Its handle was collected. */
  dropped(): void {
    if (this.state !== live) return
    if (this.site instanceof Trace) this.site.isCollected = true
    const { events } = this.frame.registry
    const now = this.frame.registry.now()
    if (events.active) events.tell({ _tag: "HandleCollected", ...this.stamp(now), held: now - this.since })
  }

  override marks(): Marks {
    const { frame, site, state } = this
    const trace = site instanceof Trace ? site : undefined
    return {
      sampled: (trace === undefined ? site : trace.site) instanceof Site,
      collected: trace?.isCollected === true,
      abandoned: state === live && (frame.isAbandoned || trace?.isAbandonedIn(frame) === true)
    }
  }

  private stamp(at: number) {
    return {
      at,
      frame: this.frame.path,
      frameId: this.frame.id,
      allocation: this.id,
      resource: this.definition.name
    }
  }
}

const withDefect = <B, E>(exit: Exit.Exit<B, E>, cause: Cause.Cause<never>): Exit.Exit<B, E> =>
  Exit.failCause(Exit.isSuccess(exit) ? cause : Cause.combine(exit.cause, cause))

/** Runs an effect in another context altogether: cheaper than merging the two, and as it was at the acquisition. */
const inContext = <A>(effect: Effect.Effect<A>, context: Context.Context<never>): Effect.Effect<A> =>
  Effect.withFiber((fiber) => {
    const outer = fiber.context
    fiber.setContext(context)
    return Effect.onExitPrimitive(effect, () => {
      fiber.setContext(outer)
      return undefined
    }, true)
  })
