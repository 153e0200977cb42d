/**
 * How much of one unit is in use in one frame and the frames inside it. Owned by `Budget`.
 *
 * Charging walks from the asking frame's nearest limit to the outermost one: all of them or none, in one synchronous
 * step. `used` of a ledger is always the sum of what the allocations below it were charged.
 */
import type { Cost } from "../Cost.ts"
import { isAmount, wrongAmount } from "../Cost.ts"

export class Ledger {
  readonly unit: string
  /** `Infinity` in the manager's ledger of a unit that it does not limit, kept to see the use all the same. */
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

  /** Charges this ledger and all outer ones, or none; answers the one that refuses. */
  take(amount: number): Ledger | undefined {
    let at: Ledger | undefined = this
    do {
      const used: number = at.used + amount
      if (used > at.limit) {
        this.takeBack(amount, at)
        return at
      }
      at.used = used
      at = at.parent
    } while (at !== undefined)
    return undefined
  }

  /** Undoes a charge that did not stand, up to a ledger that was not charged: it leaves no mark. */
  takeBack(amount: number, end: Ledger | undefined): void {
    for (let at: Ledger | undefined = this; at !== end; at = at!.parent) at!.used -= amount
  }

  give(amount: number): void {
    let at: Ledger | undefined = this
    do {
      if (at.used > at.mark) at.mark = at.used
      at.used -= amount
      at = at.parent
    } while (at !== undefined)
  }
}

/** The ledgers that a frame charges first, by unit: its own, or the nearest one outside. */
export type Ledgers = Map<string, Ledger>

/**
 * The ledger of a unit that nobody limits: one of the root without a limit, so that its use is counted all the same.
 */
const unlimited = (ledgers: Ledgers, root: { readonly ledgers: Ledgers }, unit: string): Ledger => {
  let ledger = root.ledgers.get(unit)
  if (ledger === undefined) {
    ledger = new Ledger(unit, Infinity, undefined, root)
    root.ledgers.set(unit, ledger)
  }
  ledgers.set(unit, ledger)
  return ledger
}

const undo = (ledgers: Ledgers, cost: Cost, end: string): void => {
  for (const unit in cost) {
    if (unit === end) return
    ledgers.get(unit)!.takeBack(cost[unit]!, undefined)
  }
}

/**
 * Charges all units or none; answers the ledger that refuses. An amount that can not be charged exactly throws.
 */
export const charge = (ledgers: Ledgers, root: { readonly ledgers: Ledgers }, cost: Cost): Ledger | undefined => {
  for (const unit in cost) {
    const amount = cost[unit]!
    if (!isAmount(amount)) {
      undo(ledgers, cost, unit)
      throw wrongAmount(unit, amount)
    }
    const refusing = (ledgers.get(unit) ?? unlimited(ledgers, root, unit)).take(amount)
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
  for (const unit in cost) ledgers.get(unit)!.give(cost[unit]!)
}
