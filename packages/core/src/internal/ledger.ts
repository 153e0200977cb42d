/**
 * How much of one unit is in use in one frame and the frames inside it. Owned by `Budget`.
 *
 * Charging walks from the asking frame's nearest limit to the outermost one: all of them or none, in one synchronous
 * step. `used` of a capacity is always the sum of what the allocations below it were charged; outside, that is counted
 * as far as it goes beyond what was reserved there.
 */
import type { Cost } from "../Cost.ts"
import { isAmount, wrongAmount } from "../Cost.ts"
import type { Recent } from "./recent.ts"

/** As much as can be counted exactly. */
export const unlimited = Number.MAX_SAFE_INTEGER

/** What is told of one who waits. Times are milliseconds since the epoch. */
export interface WaiterFacts {
  readonly resource: string
  readonly frame: { readonly id: number; readonly path: string } | undefined
  /** What stands for the frame where there is none. */
  readonly place: string
  readonly fiber: number
  readonly allocation: number | undefined
  readonly amount: number
  readonly since: number
  /** `Infinity`: none. */
  readonly deadline: number
  readonly tenant: unknown
  readonly callSite: string | undefined
}

/** Those who wait for a ledger; nobody new goes ahead of them. */
export interface WaitingLine extends Serving {
  readonly length: number
  /** How long the one has waited who waits for longest, in milliseconds. */
  readonly oldestWait: number
  /** So many of them at most, in the order in which they would be served. */
  tell(most: number): ReadonlyArray<WaiterFacts>
  /** Is the next one someone whose turn is before that of this one, who waits elsewhere? */
  isAheadOf(waiter: object): boolean
}

export interface Serving {
  /** There may be room now. */
  serve(): void
}

/** A transaction that has read a ledger, and waits until there is something else to read. */
export interface Reader {
  /** There may be; the books are not in order yet. */
  changed(): void
}

/** A capacity: what is taken is given back. */
export class Ledger {
  readonly unit: string
  /** `unlimited` in the manager's ledger of a unit that it does not limit, kept to see the use all the same. */
  limit: number
  /** The next ledger of the unit on the way out. */
  readonly parent: Ledger | undefined
  /** The frame that the limit belongs to. */
  readonly owner: object
  used = 0
  /** What the ledgers outside were charged ahead of time; they are charged only for what goes beyond it. */
  reserved = 0
  /** How many frames inside have a reserve of it: what they do not use comes back when they end. */
  reservesInside = 0
  /** How much of it is held by those who wait themselves: that does not come back before they go on. */
  heldByWaiting = 0
  /** Does it come back by itself? */
  get refills(): boolean {
    return false
  }
  /** There is one while somebody waits. */
  waiting: WaitingLine | undefined = undefined
  /** The same line, or one that is empty while some who were in it wait elsewhere and may come back. */
  line: WaitingLine | undefined = undefined
  /** Those who wait outside for what goes beyond what is reserved here; there is one while somebody does. */
  beyond: Serving | undefined = undefined
  /** How much later one was served than the one before of late; there from when somebody asks. */
  recent: Recent | undefined = undefined
  /** There are some while transactions wait for a change. */
  readers: Set<Reader> | undefined = undefined
  /** The mark as of the last refund: use only falls there, so that charging need not look. */
  private mark = 0

  constructor(unit: string, limit: number, parent: Ledger | undefined, owner: object) {
    this.unit = unit
    this.limit = limit
    this.parent = parent
    this.owner = owner
  }

  /** The most that was in use at once. */
  get highWaterMark(): number {
    return Math.max(this.mark, this.used)
  }

  /** What is in use now, in whole numbers. */
  get standing(): number {
    return this.used
  }

  /** What is in use, in whatever it is counted in: it changes when somebody takes something, or gives it back. */
  get taken(): number {
    return this.used
  }

  /** In how many milliseconds that much will be left, if nobody takes anything meanwhile; `Infinity`: nobody knows. */
  readyIn(amount: number): number {
    return this.used + amount <= this.limit ? 0 : Infinity
  }

  /** Takes the amount, if there is so much left. */
  take(amount: number): boolean {
    const used = this.used + amount
    if (used > this.limit) return false
    this.used = used
    if (this.readers !== undefined) this.changed()
    return true
  }

  /** Undoes what did not stand: it leaves no mark. */
  untake(amount: number): void {
    this.used -= amount
  }

  /** Takes back what was in use. Use only falls here, so this is where the mark is kept up. */
  lower(amount: number): void {
    if (this.used > this.mark) this.mark = this.used
    this.used -= amount
    if (this.readers !== undefined) this.changed()
  }

  /** Takes what was in use elsewhere. */
  takeMoved(amount: number): boolean {
    return this.take(amount)
  }

  untakeMoved(amount: number): void {
    this.untake(amount)
  }

  /** It has another limit from now on. Those who wait for it are to be served then. */
  limitTo(limit: number): void {
    this.limit = limit
    if (this.readers !== undefined) this.changed()
  }

  /** Tells those who wait for that; whoever takes or gives back looks before whether there are any. */
  changed(): void {
    if (this.readers !== undefined) { for (const reader of this.readers) reader.changed() }
  }

  /** How much of the amount, taken last, the ledgers outside are charged. */
  passesOn(amount: number): number {
    const { reserved, used } = this
    return reserved === 0 ? amount : Math.max(0, used - reserved) - Math.max(0, used - amount - reserved)
  }
}

/** A rate: what is taken comes back with time, and not when it is given back. */
export class RateLedger extends Ledger {
  /** How long one takes to come back, in milliseconds. */
  private readonly interval: number
  private readonly now: () => number
  readonly rate: { readonly amount: number; readonly per: number }
  /** When all of it will have come back. */
  private backAt = 0
  private most = 0
  private mostBefore = 0

  constructor(
    unit: string,
    rate: { readonly amount: number; readonly per: number; readonly burst: number },
    parent: Ledger | undefined,
    owner: object,
    now: () => number
  ) {
    super(unit, rate.burst, parent, owner)
    this.rate = rate
    this.interval = rate.per / rate.amount
    this.now = now
  }

  /** How many milliseconds' worth is missing. */
  private missing(now: number): number {
    return Math.max(0, this.backAt - now)
  }

  override get refills(): boolean {
    return true
  }

  override get standing(): number {
    return Math.min(this.limit, Math.ceil(this.missing(this.now()) / this.interval - tolerance))
  }

  override get highWaterMark(): number {
    return this.most
  }

  override get taken(): number {
    return this.backAt
  }

  override readyIn(amount: number): number {
    const excess = this.missing(this.now()) + (amount - this.limit) * this.interval
    return excess <= tolerance ? 0 : Math.ceil(excess - tolerance)
  }

  /** The bucket with a leak, as one number (Generic Cell Rate Algorithm): O(1), and no timer to refill it. */
  override take(amount: number): boolean {
    const now = this.now()
    const missing = this.missing(now) + amount * this.interval
    if (missing > this.limit * this.interval + tolerance) return false
    this.backAt = now + missing
    const used = Math.ceil(missing / this.interval - tolerance)
    this.mostBefore = this.most
    if (used > this.most) this.most = used
    if (this.readers !== undefined) this.changed()
    return true
  }

  override untake(amount: number): void {
    this.backAt -= amount * this.interval
    this.most = this.mostBefore
  }

  override lower(): void {}

  override takeMoved(): boolean {
    return true
  }

  override untakeMoved(): void {}
}

/** Sums of fractions of a millisecond are not exact. */
const tolerance = 1e-6

/** Is there a limit from here outward that could not hold the amount even when nothing else is in use? */
export const tooSmallFor = (ledger: Ledger, amount: number): Ledger | undefined => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    if (amount > at.limit) return at
  }
  return undefined
}

/** What is out of the ordinary about a charge. */
interface Special {
  /** It comes from those who wait for this ledger, and is the next of them. */
  readonly passing?: Ledger | undefined
  /** Who waits for it elsewhere: in other lines it goes ahead of those whose turn is later. */
  readonly waiter?: object
  /** It goes ahead of all who wait. */
  readonly isFirst?: boolean
  /** It comes from other ledgers: what it took of rates it took there. */
  readonly isMoved?: boolean
}

/** Charges a ledger and all outer ones, or none; answers the one that refuses. */
const take = (ledger: Ledger, amount: number, special: Special | undefined): Ledger | undefined => {
  let left = amount
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    if (special?.isMoved === true ? !at.takeMoved(left) : !isOpen(at, special) || !at.take(left)) {
      takeBack(ledger, amount, at, special)
      return at
    }
    left = at.passesOn(left)
    // Ledgers outside are not asked for anything.
    if (left === 0) return undefined
  }
  return undefined
}

/** Nobody new goes ahead of those who wait. */
const isOpen = ({ waiting }: Ledger, special: Special | undefined): boolean =>
  waiting === undefined || (special !== undefined && isOpenTo(waiting, special))

const isOpenTo = (line: WaitingLine, { isFirst, passing, waiter }: Special): boolean =>
  isFirst === true || line === passing?.waiting || (waiter !== undefined && !line.isAheadOf(waiter))

/** Undoes a charge that did not stand, up to a ledger that was not charged. */
const takeBack = (ledger: Ledger, amount: number, end: Ledger | undefined, special: Special | undefined): void => {
  let left = amount
  for (let at: Ledger | undefined = ledger; at !== end; at = at!.parent) {
    const outer = at!.passesOn(left)
    if (special?.isMoved === true) at!.untakeMoved(left)
    else at!.untake(left)
    left = outer
  }
}

/** Gives back to a ledger and all outer ones; adds those that somebody waits for. */
const give = (ledger: Ledger, amount: number, waitedFor: Array<Serving> | undefined): typeof waitedFor => {
  let left = amount
  let found = waitedFor
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    const outer = at.passesOn(left)
    at.lower(left)
    // Only where something is reserved can there be those who wait beyond it.
    if (at.reserved !== 0 && at.beyond !== undefined) (found ??= []).push(at.beyond)
    if (at.waiting !== undefined) (found ??= []).push(at.waiting)
    left = outer
  }
  return found
}

/** The ledgers that a frame charges first, by unit: its own, or the nearest one outside. */
export type Ledgers = Map<string, Ledger>

/**
 * The ledger of a unit that nobody limits: one of the root without a limit, so that its use is counted all the same.
 */
export const ledgerAtRoot = (ledgers: Ledgers, root: { readonly ledgers: Ledgers }, unit: string): Ledger => {
  let ledger = root.ledgers.get(unit)
  if (ledger === undefined) {
    ledger = new Ledger(unit, unlimited, undefined, root)
    root.ledgers.set(unit, ledger)
  }
  ledgers.set(unit, ledger)
  return ledger
}

const undo = (ledgers: Ledgers, cost: Cost, end: string, special: Special | undefined): void => {
  for (const unit in cost) {
    if (unit === end) return
    takeBack(ledgers.get(unit)!, cost[unit]!, undefined, special)
  }
}

/**
 * Charges all units or none; answers the ledger that refuses. An amount that can not be charged exactly throws.
 */
export const charge = (
  ledgers: Ledgers,
  root: { readonly ledgers: Ledgers },
  cost: Cost,
  resource: string,
  special?: Special
): Ledger | undefined => {
  for (const unit in cost) {
    const amount = cost[unit]!
    if (!isAmount(amount)) {
      undo(ledgers, cost, unit, special)
      throw wrongAmount(resource, unit, amount)
    }
    const refusing = take(ledgers.get(unit) ?? ledgerAtRoot(ledgers, root, unit), amount, special)
    if (refusing !== undefined) {
      undo(ledgers, cost, unit, special)
      return refusing
    }
  }
  return undefined
}

const serve = (waitedFor: Array<Serving> | undefined): void => {
  if (waitedFor !== undefined) { for (const line of waitedFor) line.serve() }
}

/**
 * Gives back what was charged, and then serves those who waited for it.
 */
export const refund = (ledgers: Ledgers, cost: Cost): void => {
  let waitedFor: Array<Serving> | undefined
  for (const unit in cost) waitedFor = give(ledgers.get(unit)!, cost[unit]!, waitedFor)
  serve(waitedFor)
}

/**
 * Moves what was charged to other ledgers, all of it or nothing; answers the one that refuses. What was taken of a rate
 * stays taken where it was. Ledgers that both have in common stay as they are. Those that waited for what is given back
 * are served after `moved`: one of them may do anything at once.
 */
export const move = (
  from: Ledgers,
  to: Ledgers,
  root: { readonly ledgers: Ledgers },
  cost: Cost,
  resource: string,
  moved: () => void
): Ledger | undefined => {
  let waitedFor: Array<Serving> | undefined
  for (const unit in cost) waitedFor = give(from.get(unit)!, cost[unit]!, waitedFor)
  const refusing = charge(to, root, cost, resource, { isMoved: true })
  // Nobody has had the time to take what was given.
  if (refusing === undefined) {
    moved()
    serve(waitedFor)
  } else charge(from, root, cost, resource, { isMoved: true })
  return refusing
}

/** The holder of what was charged waits, or does so no longer. */
export const countWaiting = (ledgers: Ledgers, cost: Cost, sign: 1 | -1): void => {
  for (const unit in cost) {
    for (let at = ledgers.get(unit); at !== undefined; at = at.parent) at.heldByWaiting += sign * cost[unit]!
  }
}

/** What refills with time can not be put aside: that is a mistake in the program and throws. */
export const assertCapacity = (ledgers: Ledgers, unit: string, frame: string): void => {
  for (let at = ledgers.get(unit); at !== undefined; at = at.parent) {
    if (at.refills) {
      throw new TypeError(`The frame "${frame}" can not reserve "${unit}": that is a rate, not a capacity`)
    }
  }
}

/** Gives back what was reserved and nobody uses; from now on outer ledgers hold what is in use. */
export const endReserve = (ledger: Ledger): void => {
  const { parent, reserved, used } = ledger
  if (reserved === 0) return
  ledger.reserved = 0
  for (let at = parent; at !== undefined; at = at.parent) at.reservesInside--
  if (parent === undefined || used >= reserved) return
  serve(give(parent, reserved - used, undefined))
}
