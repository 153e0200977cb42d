/**
 * How much of one unit is in use in one frame and the frames inside it. Owned by `Budget`.
 *
 * Charging walks from the asking frame's nearest limit to the outermost one: all of them or none, in one synchronous
 * step. `used` of a ledger is always the sum of what the allocations below it were charged.
 */
import type { Cost } from "../Cost.ts"
import { isAmount, wrongAmount } from "../Cost.ts"

/** As much as can be counted exactly. */
export const unlimited = Number.MAX_SAFE_INTEGER

export class Ledger {
  readonly unit: string
  /** `unlimited` in the manager's ledger of a unit that it does not limit, kept to see the use all the same. */
  readonly limit: number
  /** The next ledger of the unit on the way out. */
  readonly parent: Ledger | undefined
  /** The frame that the limit belongs to. */
  readonly owner: object
  used = 0
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
  /** Use only falls here, so this is where the mark is kept up. */
  lower(amount: number): void {
    if (this.used > this.mark) this.mark = this.used
    this.used -= amount
  }
}

/** Is there a limit from here outward that could not hold the amount even when nothing else is in use? */
export const tooSmallFor = (ledger: Ledger, amount: number): Ledger | undefined => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    if (amount > at.limit) return at
  }
  return undefined
}

/** Charges a ledger and all outer ones, or none; answers the one that refuses. */
const take = (ledger: Ledger, amount: number): Ledger | undefined => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    const used: number = at.used + amount
    if (used > at.limit) {
      takeBack(ledger, amount, at)
      return at
    }
    at.used = used
  }
  return undefined
}

/** Undoes a charge that did not stand, up to a ledger that was not charged: it leaves no mark. */
const takeBack = (ledger: Ledger, amount: number, end: Ledger | undefined): void => {
  for (let at: Ledger | undefined = ledger; at !== end; at = at!.parent) at!.used -= amount
}

const give = (ledger: Ledger, amount: number): void => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) at.lower(amount)
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

const undo = (ledgers: Ledgers, cost: Cost, end: string): void => {
  for (const unit in cost) {
    if (unit === end) return
    takeBack(ledgers.get(unit)!, cost[unit]!, undefined)
  }
}

/**
 * Charges all units or none; answers the ledger that refuses. An amount that can not be charged exactly throws.
 */
export const charge = (
  ledgers: Ledgers,
  root: { readonly ledgers: Ledgers },
  cost: Cost,
  resource: string
): Ledger | undefined => {
  for (const unit in cost) {
    const amount = cost[unit]!
    if (!isAmount(amount)) {
      undo(ledgers, cost, unit)
      throw wrongAmount(resource, unit, amount)
    }
    const refusing = take(ledgers.get(unit) ?? ledgerAtRoot(ledgers, root, unit), amount)
    if (refusing !== undefined) {
      undo(ledgers, cost, unit)
      return refusing
    }
  }
  return undefined
}

/**
 * Gives back what was charged.
 */
export const refund = (ledgers: Ledgers, cost: Cost): void => {
  for (const unit in cost) give(ledgers.get(unit)!, cost[unit]!)
}
