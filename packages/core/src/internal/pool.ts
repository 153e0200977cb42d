/**
 * A pool: its items, its queue, and who has what. Owned by `ResourcePool`.
 *
 * ```text
 *   open ◀──▶ suspended
 *     │  drain            close, or the scope of the pool
 *     ├─────▶ draining ──────┐
 *     └──────────────────────┴──▶ closing ──all items released, or the time over──▶ closed
 * ```
 *
 * Invariants: there are never more than `max` items, but for those that a smaller `max` has yet to end. An item is in
 * `idle` if and only if it can be lent. Nobody waits while an item is in `idle`, unless the pool is suspended.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { zero } from "../Cost.ts"
import type { Cost } from "../Cost.ts"
import { Changes } from "./changes.ts"
import { chargeTo } from "./charging.ts"
import type { Held, Waiter } from "./deadlock.ts"
import { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import { holds, returns } from "./holding.ts"
import * as states from "./lease.ts"
import { isEnough } from "./lease.ts"
import type { Condition, Lease, Place } from "./lease.ts"
import { LinkedList } from "./list.ts"
import { ordersOf } from "./orders.ts"
import type { Owned } from "./owned.ts"
import { Places } from "./places.ts"
import { Admission } from "./poolAdmission.ts"
import type { Admitting } from "./poolAdmission.ts"
import { Care } from "./poolCare.ts"
import { Growth } from "./poolGrowth.ts"
import type { Item } from "./poolItem.ts"
import type { PoolConfig, Size } from "./poolOptions.ts"
import type { Quota, Sharing } from "./poolQuota.ts"
import { closed } from "./poolReport.ts"
import { Counts, countWait } from "./poolStats.ts"
import { Stock } from "./poolStock.ts"
import type { Keeper, Making } from "./poolStock.ts"
import type { Queue } from "./queue.ts"
import type { Recent } from "./recent.ts"
import type { Registry } from "./registry.ts"
import { resume, resumeAll } from "./trampoline.ts"

export const TypeId = "~chronovyan/core/ResourcePool"

type AnyEffect = Effect.Effect<any, any, any>

/** What a pool is made of. */
export interface Parts extends Making {
  readonly config: PoolConfig
  readonly size: Size
  /** The room that it shares with others, if it does. */
  readonly quota: Quota | undefined
}

export class Pool extends Definition implements Admitting, Keeper, Sharing {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly config: PoolConfig
  readonly frame: Frame
  readonly registry: Registry
  readonly counts = new Counts()
  /** What its items are made of. */
  readonly item: Definition
  /** How long items were held of late; there from when somebody asks. */
  recent: Recent | undefined = undefined
  size: Size
  phase: "open" | "draining" | "closing" | "closed" = "open"
  isSuspended = false
  /** Has `max` become smaller, so that there may be more than that? */
  protected mayExceed = false
  /** Does an item that comes back need nothing before it is lent again? */
  private readonly isDirect: boolean
  /** How many items someone uses. */
  used = 0
  /** How many borrows there are. */
  borrows = 0
  /** Items that are being checked for those in the queue. */
  private checks = 0
  readonly strays = new LinkedList<Owned>()
  /** Borrows that were given back before whoever asked had got them. */
  unused = 0
  readonly stock: Stock
  // Its place among those that share room.
  readonly quota: Quota | undefined
  previous: Sharing | undefined = undefined
  next: Sharing | undefined = undefined
  isIdling = false
  private readonly places = new Places()
  protected readonly admission: Admission
  protected readonly queue: Queue<Lease>
  protected readonly growth: Growth
  protected readonly care: Care
  /** Whenever an item has come or gone, or someone has given one back. */
  readonly changes = new Changes()

  constructor(parts: Parts) {
    const { config, definition, frame, size } = parts
    super({
      name: config.name,
      kind: "pool",
      decode: undefined,
      cost: config.borrowCost === undefined ? undefined : () => config.borrowCost!,
      acquire: () => Exit.die(new TypeError(`The pool "${config.name}" can not be the recipe of another definition`)),
      release: undefined,
      interruptible: definition.interruptible,
      idleTimeToLive: 0,
      access: "direct"
    })
    this.config = config
    this.item = definition
    this.size = size
    this.frame = frame
    this.registry = frame.registry
    this.admission = new Admission(this)
    this.queue = this.admission.queue
    this.quota = parts.quota
    this.stock = new Stock(this, parts)
    this.growth = new Growth(this)
    this.care = new Care(this)
    const { codel, concurrency, reset, validate } = config
    this.isDirect = !(codel || reset || validate || this.quota) && concurrency === 1
  }

  // What others ask.

  get lender(): Pool {
    return this
  }

  get borrowCost(): Cost | undefined {
    return this.config.borrowCost
  }

  get waiting(): number {
    return this.queue.length
  }

  get unserved(): number {
    return this.queue.length - this.checks * this.config.concurrency
  }

  get total(): number {
    return this.stock.items.size
  }

  get closing(): number {
    return this.stock.closing
  }

  get creating(): number {
    return this.growth.creating
  }

  get creationFailure(): Cause.Cause<unknown> | undefined {
    return this.growth.failure
  }

  get canGrow(): boolean {
    return !this.isSuspended && (this.phase === "open" || (this.phase === "draining" && this.queue.length > 0))
  }

  /** Can it bring an item, even if nobody who has one gives it back? */
  get hasPromise(): boolean {
    return this.isSuspended || this.used < this.total || (this.quota === undefined && this.total < this.size.max)
  }

  /** How many can borrow at once. */
  private get capacity(): number {
    return this.size.max * this.config.concurrency
  }

  get room(): Quota | this {
    return this.quota !== undefined && this.total < this.size.max ? this.quota : this
  }

  placeIn(context: Context.Context<never>): Place {
    return this.places.of(context)
  }

  /** All borrows. */
  get leases(): Iterable<Lease> {
    return this.stock.leases()
  }

  get held(): Iterable<Lease> {
    return this.leases
  }

  get isForAll(): true {
    return true
  }

  fits(_: Waiter, canNot: (lease: Held) => boolean): boolean {
    return isEnough(this.leases, canNot)
  }

  // Lending.

  lend(lease: Lease): AnyEffect {
    if (this.registry.events.watchesOrders) ordersOf(this.registry).asks(lease, lease.parts(this.capacity, false))
    if (this.phase === "open" && this.queue.length === 0 && !this.isSuspended) {
      const item = this.stock.next
      if (item !== undefined && this.borrowCost === undefined) {
        const now = this.registry.elapsed()
        if (this.isFit(item, now)) return this.lendAtOnce(item, lease, now)
      }
    }
    return this.lendSlowly(lease)
  }

  private lendAtOnce(item: Item, lease: Lease, now: number): AnyEffect {
    if (this.config.codel !== undefined) this.admission.passed(now)
    this.hand(item, lease, now)
    return lease.proceed()
  }

  private isFit(item: Item, now: number): boolean {
    return now < item.expiresAt && !item.isDoubtful(this.config, now)
  }

  /** Nothing can be handed over at once, or only after a closer look. */
  private lendSlowly(lease: Lease): AnyEffect {
    if (!this.isIn(lease)) return this.turnAway(lease)
    const refused = this.borrowCost === undefined ? undefined : this.charge(lease)
    if (refused !== undefined) return refused
    if (this.queue.length > 0 || this.isSuspended) return this.letWait(lease)
    const now = this.registry.elapsed()
    for (;;) {
      const item = this.stock.next
      // The pool of a key may have ended with its last item.
      if (item === undefined) return this.isIn(lease) ? this.letWait(lease) : this.turnAway(lease)
      if (this.isFit(item, now)) return this.lendAtOnce(item, lease, now)
      if (now < item.expiresAt) return this.lendChecked(item, lease)
      this.stock.retire([item])
    }
  }

  private isIn(lease: Lease): boolean {
    return this.phase === "open" || (this.phase === "draining" && lease.deadline >= 0)
  }

  /** Elsewhere it begins again. */
  private turnAway(lease: Lease): AnyEffect {
    return this.lender === this ? Exit.fail(closed(this, lease)) : lease
  }

  private letWait(lease: Lease): AnyEffect {
    this.admission.wait(lease)
    return lease.await()
  }

  private charge(lease: Lease): Exit.Exit<never, unknown> | undefined {
    if (!lease.isPaying) return undefined
    const refused = chargeTo(lease.frame!, this.borrowCost!, this.name)
    if (refused === undefined) lease.charged()
    return refused
  }

  /** The item belongs to the lease from now on. */
  private hand(item: Item, lease: Lease, now: number): void {
    const { config, counts, registry: { events } } = this
    if (events.active && !lease.isRecorded) {
      const took = lease.deadline < 0 ? 0 : now - lease.since
      const cost = lease.isCharged ? this.borrowCost! : zero
      events.tell({ _tag: "Allocated", ...lease.stamp(now), share: true, cost, took })
    }
    lease.state = states.active
    lease.item = item
    lease.since = now
    item.leases.push(lease)
    if (++item.uses >= config.maxUses) item.isRetired = true
    if (item.users++ === 0 && ++this.used > counts.usedHighWaterMark) counts.usedHighWaterMark = this.used
    if (item.users === config.concurrency || item.isRetired) this.stock.unlist(item)
    this.borrows++
    counts.borrowed++
    holds(lease.fiber.id)
    if (events.watchesOrders) ordersOf(this.registry).takes(lease, lease.fiber.id, lease.parts(this.capacity, true))
    if (config.overdueAfter !== Infinity) this.care.isLent(now)
    if (config.targetUtilization !== 1) this.growth.grow()
  }

  /**
   * Lends an item that was idle for a while once it has proved to be good. Whatever becomes of the borrower meanwhile, the
   * item gets the time that it has for that.
   */
  private lendChecked(item: Item, lease: Lease): AnyEffect {
    this.admission.beginCheck(lease)
    this.stock.check(item, this.config.validateTimeout, (isGood) => {
      const now = this.registry.elapsed()
      const isWanted = lease.state === states.checking
      if (isWanted) this.admission.endCheck(lease)
      if (isGood && isWanted && !this.isSuspended) this.hand(item, lease, now)
      if (isGood) this.pass(item, now)
      // It waits before the item is ended: what is made instead is for this borrower.
      else if (isWanted && this.isIn(lease)) this.admission.wait(lease)
      if (isWanted) resume(lease)
    })
    return lease.await()
  }

  leaves(lease: Lease): void {
    this.admission.leave(lease)
  }

  breakCircle(lease: Lease, cycle: ReadonlyArray<Waiter>): void {
    this.admission.breakCircle(lease, cycle)
  }

  get oldestSince(): number {
    return this.queue.oldest?.since ?? Infinity
  }

  // Taking back.

  takeBack(lease: Lease, condition: Condition): void {
    const item = lease.item as Item
    const { counts } = this
    const now = this.registry.elapsed()
    const held = Math.max(0, now - lease.since)
    item.leases.remove(lease)
    if (--item.users === 0 && item.state === "ready") {
      this.used--
      item.idleSince = now
    }
    this.borrows--
    counts.returned++
    counts.useTotal += held
    if (held > counts.useMax) counts.useMax = held
    if (this.recent !== undefined) this.recent.add(held, this.registry.monotonicAt(now))
    // What came back before the pool ended is counted when it ends.
    if (this.phase === "closed") this.registry.statisticsOf(this).onShareReturned(held)
    returns(lease.fiber.id)
    const { events } = this.registry
    if (events.watchesOrders) ordersOf(this.registry).gives(lease, lease.fiber.id)
    if (events.active) {
      if (!lease.isRecorded) events.tell({ _tag: "Released", ...lease.stamp(now), share: true, held })
      if (lease.isOverdue) events.tell({ _tag: "OverdueReturned", ...lease.stamp(now), held })
    }
    if (condition === "good") {
      item.checkedAt = now
      // Most items go from hand to hand.
      if (this.isDirect && this.isAsGood(item, now)) {
        return this.queue.length > 0 ? this.passToFirst(item, now) : this.rest(item)
      }
    } else {
      item.isInDoubt = true
      if (item.users > 0 && this.config.validate !== undefined) this.stock.unlist(item)
    }
    if (item.state === "ready") this.returned(item, now)
    if (this.phase !== "open") this.changed()
  }

  /** Is there nothing to be asked before it is lent again? */
  private isAsGood(item: Item, now: number): boolean {
    return this.phase === "open" && !this.isSuspended && !this.mayExceed && item.isLendable(now)
  }

  private returned(item: Item, now: number): void {
    if (this.isWornOut(item, now)) {
      item.isRetired = true
      this.stock.unlist(item)
    }
    if (item.isRetired) {
      if (item.users === 0) this.stock.end(item)
      // What has come back is of no use as long as others have the rest of it.
      else if (this.queue.length > 0) this.admission.review()
      return
    }
    if (item.users === 0 && this.config.reset !== undefined) return this.stock.reset(item)
    this.free(item, now, false)
  }

  /** Are there more than there may be? Nothing but a smaller `max` brings that about. */
  private get exceeds(): boolean {
    return this.mayExceed = this.total - this.closing > this.size.max
  }

  private isWornOut(item: Item, now: number): boolean {
    return now >= item.expiresAt || (this.mayExceed && this.exceeds)
  }

  /** The item can be lent again: to those who wait, if it is good, or else to the next who comes. */
  free(item: Item, now: number, isProven: boolean): void {
    const isWanted = this.phase === "open" || this.queue.length > 0
    // One that was just made is for whoever waits, however short its life.
    const isOld = item.uses > 0 && now >= item.expiresAt
    if (item.isRetired || isOld || !isWanted) {
      if (item.users === 0) this.stock.end(item)
      return
    }
    const { first } = this.queue
    if (first === undefined || this.isSuspended) return this.pass(item, now)
    // Others that share the room may have waited for longer.
    if (item.users === 0 && this.quota?.isOwed(this, this.oldestSince) === true) return this.stock.end(item)
    if (isProven || !item.isDoubtful(this.config, now)) return this.pass(item, now)
    this.checks++
    this.stock.check(item, this.config.validateTimeout, (isGood) => {
      this.checks--
      if (isGood) this.pass(item, this.registry.elapsed())
      // It may be for fewer than those who waited for it, or for none.
      this.grow()
    })
  }

  /** Hands a good item to the one who waits for longest. Whoever is told may come back at once: by then all is in order. */
  private pass(item: Item, now: number): void {
    if (this.config.concurrency > 1 || this.config.codel !== undefined) return this.passToMany(item, now)
    if (this.queue.length > 0 && this.isServing(item)) this.passToFirst(item, now)
    else this.rest(item)
  }

  private passToFirst(item: Item, now: number): void {
    const lease = this.admission.take()!
    this.serve(item, lease, now)
    resume(lease)
  }

  private passToMany(item: Item, now: number): void {
    const told: Array<Lease> = []
    while (this.isServing(item)) {
      const lease = this.admission.next(now, told)
      if (lease === undefined) break
      this.serve(item, lease, now)
      told.push(lease)
    }
    this.rest(item)
    resumeAll(told)
  }

  private isServing(item: Item): boolean {
    return !this.isSuspended && this.hasRoom(item)
  }

  /** One in doubt has to be checked first, when nobody uses it. */
  private hasRoom(item: Item): boolean {
    if (item.isRetired || item.users >= this.config.concurrency) return false
    return item.users === 0 || !item.isInDoubt || this.config.validate === undefined
  }

  private serve(item: Item, lease: Lease, now: number): void {
    countWait(this.counts, Math.max(0, now - lease.since))
    this.hand(item, lease, now)
  }

  /** Whoever comes next gets it, if there is some of it left. */
  private rest(item: Item): void {
    // There may be fewer of them by now.
    if (this.mayExceed && item.users === 0 && this.exceeds) return this.stock.end(item)
    if (this.hasRoom(item)) this.stock.list(item)
    if (item.users > 0) return
    this.care.rests(item)
    this.quota?.idles(this)
  }

  // What becomes of the items.

  arrived(item: Item, now: number): void {
    this.growth.succeeded()
    if (this.mayExceed && this.exceeds) item.isRetired = true
    this.free(item, now, true)
    this.care.review()
    this.growth.grow()
    this.changed()
  }

  notMade(item: Item, failure: Exit.Failure<unknown, unknown> | undefined, isTold: boolean): void {
    if (failure === undefined) this.growth.cancelled()
    else this.growth.failed(failure.cause, item.knownFailures)
    if (failure !== undefined && isTold) {
      // Unless there are items left that they may get, all who wait hear of it at once.
      const isHopeless = this.creating === 0 && this.total === this.closing
      this.admission.tellFailure(failure as Exit.Failure<never, unknown>, isHopeless)
    }
    this.growth.grow()
    this.changed()
  }

  endIdle(): boolean {
    const item = this.stock.longestIdle
    if (item !== undefined) this.stock.end(item)
    return item !== undefined
  }

  left(): void {
    const { total } = this
    this.growth.grow()
    // After a resize nothing takes its place: some may have waited for that.
    if (this.total === total && total >= this.size.max && this.queue.length > 0) this.admission.review()
    this.changed()
  }

  // What its owner sees to.

  /** Idle items go to those who wait; as many are checked as there are borrowers for. */
  protected serveWaiting(): void {
    while (!this.isSuspended && this.unserved > 0) {
      const item = this.stock.next
      if (item === undefined) break
      this.stock.unlist(item)
      this.free(item, this.registry.elapsed(), false)
      if (item.isIdle) break
    }
  }

  grow(): void {
    if (this.stock.idle.first !== undefined) this.serveWaiting()
    this.growth.grow()
  }

  /** Whoever watches looks again. */
  changed(): void {
    this.changes.tell()
  }
}
