/**
 * One borrow: the waiter, the record of who has an item, and the effect that borrows, in one object. Owned by
 * `ResourcePool`.
 *
 * ```text
 *   fresh ──an item is idle────────────────▶ active ──given back──▶ done
 *     │  ▲                                    ▲ ▲                    ▲
 *     │  └─not valid─ checking ──valid────────┘ │ handed over        │
 *     │                  ▲                      │                    │
 *     └──none is idle────┼──▶ waiting ──────────┴──failed, left──────┘
 *            an idle one │
 *            for a while ┘
 * ```
 *
 * Its exit hook is registered before it is evaluated, so whatever state it is in when its fiber is interrupted is undone
 * there: an active one is given back, a waiting one leaves the queue, one being checked leaves the item to its checker.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { StackFrame } from "effect/References"
import type { Cost } from "../Cost.ts"
import { zero } from "../Cost.ts"
import { Site } from "./callSite.ts"
import type { Held, Source, Waiter } from "./deadlock.ts"
import { nearest } from "./frame.ts"
import type { Frame } from "./frame.ts"
import { holds, returns } from "./holding.ts"
import { refund } from "./ledger.ts"
import type { WaiterFacts } from "./ledger.ts"
import type { LinkedList } from "./list.ts"
import { chargesOf, itemOf, ordersOf } from "./orders.ts"
import type { Part } from "./orders.ts"
import { Owned } from "./owned.ts"
import type { Closer, Facts, Marks } from "./owned.ts"
import { primitiveOf } from "./primitive.ts"
import type { Line, Standing } from "./queue.ts"
import type { Registry } from "./registry.ts"
import type { Timeout } from "./timers.ts"
import { beginStep, endStep } from "./trampoline.ts"

export type AnyFiber = Fiber.Fiber<unknown, unknown>
type AnyEffect = Effect.Effect<any, any, any>

/** What a lease knows of the item that it is a lease of. */
export interface Lent {
  readonly value: unknown
  /** It is lent to nobody any more, and ends when all have given it back. */
  readonly isRetired: boolean
  readonly leases: Iterable<Lease>
}

/** What a lease knows of the pool that it borrows from. */
export interface Lender extends Lending {
  readonly name: string
  readonly registry: Registry
  readonly frame: Frame
  readonly borrowCost: Cost | undefined
  /** Those in no frame. */
  readonly strays: LinkedList<Owned>
  /** Borrows that were given back before whoever asked had got them. */
  unused: number
  /** Starts a borrow: hands over at once, refuses, or answers the effect that waits. */
  lend(lease: Lease): AnyEffect
  /** Where a borrower stands that runs in the context. */
  placeIn(context: Context.Context<never>): Place
  /** Takes back what an active lease has. */
  takeBack(lease: Lease, condition: Condition): void
  /** A waiting lease leaves. */
  leaves(lease: Lease): void
  /** Refuses one who waits, since those in that circle would wait for ever. */
  breakCircle(lease: Lease, cycle: ReadonlyArray<Waiter>): void
}

/** The frame that a borrower is in, if there is one, and how urgent it is. */
export interface Place {
  readonly frame: Frame | undefined
  readonly priority: number
}

/** How an item comes back: `doubtful` when its use failed or was interrupted. */
export type Condition = "good" | "doubtful"

export const conditionAfter = (exit: Exit.Exit<unknown, unknown>): Condition =>
  exit._tag === "Success" ? "good" : "doubtful"

/** Where a lender is found at the time of the borrow. */
export interface Lending {
  readonly lender: Lender
}

/** One item is enough; of a retired one all have to give back their share. */
export const isEnough = (leases: Iterable<Lease>, canNot: (lease: Lease) => boolean): boolean => {
  for (const lease of leases) {
    if (canNot(lease)) continue
    if (lease.item?.isRetired !== true || !Array.from(lease.item.leases).some(canNot)) return true
  }
  return false
}

/** Later than any deadline, and still a small number. */
export const never = 0x3fffffff

export const fresh = 0
export const waiting = 1
export const checking = 2
export const active = 3
export const done = 4

const OwnedEffect = primitiveOf(Owned)

export abstract class Lease extends OwnedEffect implements Standing<Lease>, Held, Waiter {
  ahead: Lease | undefined = undefined
  behind: Lease | undefined = undefined
  /** Found when it begins, since the pool of a key comes and goes: until then it is where to find it. */
  lender: Lender
  /** Who is to give it back. */
  fiber: AnyFiber
  /** The frame of the borrower, if it has one. */
  frame: Frame | undefined = undefined
  state = fresh
  /** Since when it has its item, or waits for one, in milliseconds since the registry was made. */
  since = 0
  /**
   * When it has to stop waiting, in whole milliseconds of the monotonic clock, or {@link never}; kept when it has to wait
   * again. Negative: it has not waited.
   */
  deadline = -1
  item: Lent | undefined = undefined
  /** How to resume its fiber, while that is suspended. */
  private wake: ((effect: AnyEffect) => void) | undefined = undefined
  // What few of them ever have is on the prototype until then: hundreds of thousands may wait.
  declare line: Line<Lease> | undefined
  declare kept: ReadonlyArray<AnyFiber> | undefined
  declare private readonly site: Site | StackFrame | undefined
  /** What it ended with, if it was told. */
  declare private answer: Exit.Exit<never, unknown> | undefined
  /** Limits how long it waits for a check. */
  declare timeout: Timeout | undefined
  /** Was it reported for being held too long? */
  declare isOverdue: boolean
  /** Was `borrowCost` charged to its frame? */
  declare isCharged: boolean
  /** As snapshots and errors show it. */
  declare private number: number

  constructor(lending: Lending, fiber: AnyFiber, site?: Site) {
    super()
    this.lender = lending as unknown as Lender
    this.fiber = fiber
    const place = site ?? fiber.cache.stackFrame
    if (place !== undefined) this.site = place
  }

  /** The effect that borrows: undoing is registered before anything is done. */
  get borrow(): AnyEffect {
    return Effect.onExitPrimitive(this as AnyEffect, (exit) => this.leave(exit))
  }

  /** What is undone when the effect ends; in one step, so that there is no effect to run. */
  abstract leave(exit: Exit.Exit<unknown, unknown>): undefined

  /** What comes of it, once it has its item. */
  abstract proceed(): AnyEffect

  /** Goes on from whatever state it is in. */
  override evaluate(): AnyEffect {
    if (this.state === fresh) return this.begin()
    if (this.state === active) return this.proceed()
    return this.isWaiting ? this.await() : this.answer!
  }

  private begin(): AnyEffect {
    const lender = this.lender = this.lender.lender
    this.frame = lender.placeIn(this.fiber.context).frame
    this.enter()
    return lender.lend(this)
  }

  /** Joins the frame of the borrower, or if that is closed the nearest one outside. */
  protected enter(): void {
    const { frame } = this
    if (frame === undefined) return this.moveTo(this.lender.strays)
    if (frame.phase === "open" && this.home === undefined) this.link(frame.owned)
    else this.moveTo(nearest(frame, ({ phase }) => phase === "open").owned)
  }

  // How it waits.

  /** Suspends until it is told. That may have been between the decision to wait and this. */
  await(): AnyEffect {
    return Effect.callback((resume) => {
      if (this.isWaiting) this.wake = resume
      else resume(this as unknown as AnyEffect)
    })
  }

  private get isWaiting(): boolean {
    return this.state === waiting || this.state === checking
  }

  /** For the trampoline: goes on with what it was told, unless it has done so already, and waits again. */
  resume(): void {
    if (this.isWaiting) return
    const { wake } = this
    this.wake = undefined
    wake?.(this as unknown as AnyEffect)
  }

  breakCircle(cycle: ReadonlyArray<Waiter>): void {
    this.lender.breakCircle(this, cycle)
  }

  /** It will not get an item. */
  refuse(answer: Exit.Exit<never, unknown>): void {
    this.answer = answer
    this.settle()
  }

  // How it ends.

  /** Whatever it has or waits for is given back. */
  giveBack(condition: Condition): void {
    const { state } = this
    if (state === done) return
    if (state === active) return this.isCharged ? this.bringBackPaid(condition) : this.bringBack(condition)
    if (state !== fresh) this.lender.leaves(this)
    this.settle()
  }

  /** In one step, since who waits for its charge may go on at once, too. */
  private bringBackPaid(condition: Condition): void {
    beginStep()
    try {
      this.bringBack(condition)
    } finally {
      endStep()
    }
  }

  /** It is out of sight before the next one is handed the item, who may look around at once. */
  private bringBack(condition: Condition): void {
    this.state = done
    this.unlink()
    this.refund()
    this.lender.takeBack(this, condition)
    this.item = undefined
  }

  private settle(): void {
    this.state = done
    this.item = undefined
    this.unlink()
    this.refund()
  }

  private refund(): void {
    if (!this.isCharged) return
    this.isCharged = false
    this.frame!.registry.chargedBorrows.delete(this)
    refund(this.frame!.ledgers, this.lender.borrowCost!)
  }

  /** Its frame pays for it. */
  charged(): void {
    this.isCharged = true
    this.frame!.registry.chargedBorrows.add(this)
  }

  /** Someone else is to give it back. */
  changeHolder(fiber: AnyFiber | undefined): void {
    if (fiber === undefined || this.state !== active) return
    const { registry } = this.lender
    if (registry.events.watchesOrders) ordersOf(registry).moves(this, this.fiber.id, fiber.id)
    returns(this.fiber.id)
    this.fiber = fiber
    holds(fiber.id)
  }

  /** What it asks for, or has, of a pool that lends so many times at once. */
  parts(capacity: number, hasIt: boolean): ReadonlyArray<Part> {
    const { frame, isCharged, lender: { borrowCost } } = this
    const item = itemOf(this.lender, this.name, capacity)
    return hasIt && isCharged ? [item, ...chargesOf(frame!.ledgers, borrowCost!)] : [item]
  }

  get name(): string {
    return this.lender.name
  }

  /** What it waits for. */
  get source(): Source {
    return this.lender as Lender & Source
  }

  /** Who gives it back: the fiber that borrowed it, or when that is gone the one whose frame it ends with. */
  get holder(): number | undefined {
    if (!this.isBound) return undefined
    const { fiber, frame } = this
    return (fiber.pollUnsafe() === undefined ? fiber : frame?.fiber ?? fiber).id
  }

  /** Is it only by its own fiber, or by the end of its frame, that it is given back? */
  get isBound(): boolean {
    return true
  }

  /** Is it charged, shown and told of as something else? */
  get isRecorded(): boolean {
    return false
  }

  /** Has whoever asked got what it is active with? */
  get isTaken(): boolean {
    return true
  }

  /** How an active one comes back when its frame ends; `undefined`: it does not, something else decides. */
  protected abstract conditionAtEnd(exit: Exit.Exit<unknown, unknown>): Condition | undefined

  override end(closer: Closer): boolean {
    const condition = this.state === active ? this.conditionAtEnd(closer.exit) : undefined
    if (condition === undefined) this.outlive()
    else this.giveBack(condition)
    return true
  }

  override outlive(): void {
    this.frame!.adopt(this)
  }

  // What is told of it.

  get id(): number {
    return this.number === 0 ? this.number = ++this.lender.registry.allocations : this.number
  }

  /** Has its frame yet to pay for it? */
  get isPaying(): boolean {
    return !this.isCharged && !this.isRecorded && this.frame !== undefined
  }

  /** The path of its frame; outside of frames, its fiber has to do. */
  get place(): string {
    return this.frame?.path ?? `fiber #${this.fiber.id}`
  }

  get callSite(): string | undefined {
    return this.site?.name
  }

  /** What is told of it while it waits. */
  get toldOf(): WaiterFacts {
    const { deadline, fiber, frame, lender: { name, registry }, place, since } = this
    // A deadline is kept on the monotonic clock, and read on the one on the wall.
    const ahead = registry.now() - registry.timers.now()
    const own = deadline === never ? Infinity : deadline
    return {
      resource: name,
      frame,
      place,
      fiber: fiber.id,
      allocation: this.allocation,
      amount: 1,
      since: registry.timeOf(since),
      deadline: Math.round(Math.min(own, frame?.deadline ?? Infinity) + ahead),
      tenant: undefined,
      callSite: this.callSite
    }
  }

  /** The number of the allocation that it is shown as, if it is shown. */
  protected get allocation(): number | undefined {
    return this.home === undefined ? undefined : this.id
  }

  /** Of which pool it is an item, and who has to give it back. */
  get lent(): Facts["lent"] {
    return { pool: this.lender.frame.id, fiber: this.state === active ? this.holder : undefined }
  }

  /** What events tell of it. */
  stamp(at: number) {
    const { frame, name, registry } = this.lender
    const { id, path } = this.frame ?? frame
    return { at: registry.timeOf(at), frame: path, frameId: id, allocation: this.id, resource: name }
  }

  /** Has the fiber ended that has to give it back? In a frame that has a body, the frame does when that ends. */
  private get isAbandoned(): boolean {
    const { fiber, frame } = this
    if (this.state !== active || fiber.pollUnsafe() === undefined) return false
    return !this.isBound || (frame?.fiber ?? fiber).pollUnsafe() !== undefined
  }

  override marks(): Marks {
    return { sampled: this.site instanceof Site, collected: false, abandoned: this.isAbandoned }
  }

  override facts(): Facts {
    return {
      id: this.id,
      resource: this.lender.name,
      frame: this.frame ?? { id: this.lender.frame.id, path: this.place, parent: this.lender.frame },
      state: this.state === active ? "live" : "acquiring",
      isStubborn: false,
      share: true,
      since: this.lender.registry.timeOf(this.since),
      cost: this.isCharged ? this.lender.borrowCost! : zero,
      holder: this.holder,
      lent: this.lent,
      inner: undefined,
      context: this.fiber.context,
      callSite: this.callSite
    }
  }
}

Object.assign(Lease.prototype, {
  line: undefined,
  kept: undefined,
  site: undefined,
  answer: undefined,
  timeout: undefined,
  isOverdue: false,
  isCharged: false,
  number: 0
})
