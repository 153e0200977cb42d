/**
 * The ways to borrow: around an effect, until a scope closes, or as an allocation. Owned by `ResourcePool`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { deliver, frameOf, refuseClosed } from "./allocate.ts"
import type { Restore, Use } from "./allocate.ts"
import { Allocation } from "./allocation.ts"
import type { Site } from "./callSite.ts"
import { chargeTo } from "./charging.ts"
import type { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import { active, conditionAfter, Lease } from "./lease.ts"
import type { AnyFiber, Condition, Lending } from "./lease.ts"
import type { Closer, Facts } from "./owned.ts"
import { Primitive } from "./primitive.ts"
import { beginStep, endStep } from "./trampoline.ts"

type AnyEffect = Effect.Effect<any, any, any>

/** Around an effect. */
class UseLease extends Lease {
  private readonly body: (item: any) => AnyEffect

  constructor(lending: Lending, fiber: AnyFiber, body: (item: any) => AnyEffect, site: Site | undefined) {
    super(lending, fiber, site)
    this.body = body
  }

  /** Its body may run on a fiber of another frame: then it goes on, and gives back by itself. */
  protected conditionAtEnd(): undefined {}

  proceed(): AnyEffect {
    try {
      return this.body(this.item!.value)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  leave(exit: Exit.Exit<unknown, unknown>): undefined {
    this.giveBack(conditionAfter(exit))
    return undefined
  }
}

/** What `ResourcePool.use` makes: each time that it runs it is another borrow. */
export class Borrowing extends Primitive {
  private readonly lending: Lending
  private readonly body: (item: any) => AnyEffect
  private readonly site: Site | undefined

  constructor(lending: Lending, body: (item: any) => AnyEffect, site: Site | undefined) {
    super()
    this.lending = lending
    this.body = body
    this.site = site
  }

  override evaluate(fiber: AnyFiber): AnyEffect {
    return new UseLease(this.lending, fiber, this.body, this.site).borrow
  }
}

/** Until a scope closes. */
export class GetLease extends Lease {
  private isKept = false
  /** The scope is a frame. */
  private isOfFrame = false

  /** Anyone may close a scope. */
  override get isBound(): boolean {
    return this.isOfFrame
  }

  /** A scope of its own may outlive the frame. */
  protected conditionAtEnd(exit: Exit.Exit<unknown, unknown>): Condition | undefined {
    return this.isOfFrame ? conditionAfter(exit) : undefined
  }

  proceed(): AnyEffect {
    const { value } = this.item!
    const scope = Context.getUnsafe(this.fiber.context, Scope.Scope)
    if (scope.state._tag === "Closed") return Exit.succeed(value)
    this.isKept = true
    // A frame keeps the lease itself; in order, it comes after all that arrived before it.
    if (scope instanceof Frame) {
      this.isOfFrame = true
      if (!this.isCharged) this.frame = scope
      this.moveTo(scope.owned)
      return Exit.succeed(value)
    }
    const giveBack = (exit: Exit.Exit<unknown, unknown>) => {
      this.giveBack(conditionAfter(exit))
      return Exit.void
    }
    return Effect.as(Scope.addFinalizerExit(scope, giveBack), value)
  }

  leave(exit: Exit.Exit<unknown, unknown>): undefined {
    if (!this.isKept || Exit.isFailure(exit)) this.giveBack("good")
    return undefined
  }
}

/** What an allocation borrows: the allocation is the record. */
class AllocationLease extends Lease {
  readonly record: Borrow

  constructor(lending: Lending, fiber: AnyFiber, record: Borrow) {
    super(lending, fiber)
    this.record = record
  }

  override get isRecorded(): boolean {
    return true
  }

  /** It is handed over a moment before the record has it. */
  override get isTaken(): boolean {
    return !this.record.isAcquiring
  }

  override get id(): number {
    return this.record.id
  }

  override giveBack(condition: Condition): void {
    if (this.state === active && !this.isTaken) this.lender.unused++
    super.giveBack(condition)
  }

  override get callSite(): string | undefined {
    return this.record.facts().callSite
  }

  protected conditionAtEnd(): undefined {}

  protected override enter(): void {}

  proceed(): AnyEffect {
    return Exit.succeed(this.item!.value)
  }

  leave(exit: Exit.Exit<unknown, unknown>): undefined {
    if (Exit.isFailure(exit)) this.giveBack("good")
    return undefined
  }

  override facts(): Facts {
    return this.record.facts()
  }

  protected override get allocation(): number {
    return this.record.id
  }
}

/** A borrow as an allocation: it can be given back early, and moved to another frame. */
export class Borrow<A = any> extends Allocation<A> {
  lease: AllocationLease | undefined = undefined
  private condition: Condition = "good"

  get share(): boolean {
    return true
  }

  override changeFrame(frame: Frame): void {
    super.changeFrame(frame)
    const lease = this.lease!
    lease.frame = frame
    lease.changeHolder(frame.fiber)
  }

  override facts(): Facts {
    return { ...super.facts(), lent: this.lease?.lent }
  }

  protected undo(exit: Exit.Exit<unknown, unknown>): undefined {
    this.condition = conditionAfter(exit)
  }

  /** The pool may do anything with the item at once. */
  protected override ended(): void {
    this.lease!.giveBack(this.condition)
  }

  // An interruption may come when the lease has been told to stay.
  protected undoFailed(): undefined {
    this.lease!.giveBack("good")
  }

  /** In one step: the next one may be handed the item at once. */
  override giveBack<B, E>(exit: Exit.Exit<B, E>, fiber: AnyFiber): Effect.Effect<B, E> {
    beginStep()
    try {
      return super.giveBack(exit, fiber)
    } finally {
      endStep()
    }
  }

  override end(closer: Closer): boolean {
    beginStep()
    try {
      return super.end(closer)
    } finally {
      endStep()
    }
  }

  // The pool counts for itself.
  protected countAcquired(): void {}
  protected countFailed(): void {}
  protected countReleased(): void {}
}

/** Borrows from a pool. In an uninterruptible region. */
export const allocateFromPool = (
  pool: Definition,
  _: unknown,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): AnyEffect => borrowIn(frameOf(fiber), pool, fiber, restore, use, site)

export const borrowIn = (
  frame: Frame,
  pool: Definition,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): AnyEffect => {
  if (frame.phase !== "open") return refuseClosed(frame, pool.name)
  const cost = pool.cost?.(undefined)
  const refused = cost === undefined ? undefined : chargeTo(frame, cost, pool.name)
  if (refused !== undefined) return refused
  const borrow = new Borrow(pool, frame.registry.statisticsOf(pool), cost, frame, fiber, site)
  const lease = new AllocationLease(pool as Definition & Lending, fiber, borrow)
  borrow.lease = lease
  return deliver(borrow, restore(lease.borrow), fiber, restore, use)
}
