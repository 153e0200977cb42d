/**
 * How much of one unit is in use in one frame and the frames inside it. Owned by `Budget`.
 *
 * Charging walks from the asking frame's nearest limit to the outermost one: all of them or none, in one synchronous
 * step. `used` of a ledger is always the sum of what the allocations below it were charged.
 */
import type { Cost } from "../Cost.ts"

export class Ledger {
  readonly unit: string
  /** `Infinity` in the manager's ledger of a unit that it does not limit, kept to see the use all the same. */
  readonly limit: number
  /** The next ledger of the unit on the way out. */
  readonly parent: Ledger | undefined
  /** The frame that the limit belongs to. */
  readonly owner: object
  used = 0
  highWaterMark = 0

  constructor(unit: string, limit: number, parent: Ledger | undefined, owner: object) {
    this.unit = unit
    this.limit = limit
    this.parent = parent
    this.owner = owner
  }
}

/** The ledgers that a frame charges first, by unit: its own, or the nearest one outside. */
export type Ledgers = Map<string, Ledger>

/** Charges one unit in the ledger and all outer ones, or none; answers the one that refuses. */
const take = (ledger: Ledger, amount: number): Ledger | undefined => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    if (at.used + amount > at.limit) {
      for (let back = ledger; back !== at; back = back.parent!) back.used -= amount
      return at
    }
    at.used += amount
  }
  return undefined
}

/** A high-water mark is raised only when the whole charge stands: a refused one leaves no trace. */
const mark = (ledger: Ledger): void => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) {
    if (at.used > at.highWaterMark) at.highWaterMark = at.used
  }
}

const give = (ledger: Ledger, amount: number): void => {
  for (let at: Ledger | undefined = ledger; at !== undefined; at = at.parent) at.used -= amount
}

/**
 * Charges all units or none; answers the ledger that refuses. Needs `ledgers` to have each unit of the cost.
 */
export const charge = (ledgers: Ledgers, cost: Cost): Ledger | undefined => {
  for (const unit in cost) {
    const refusing = take(ledgers.get(unit)!, cost[unit]!)
    if (refusing !== undefined) {
      for (const charged in cost) {
        if (charged === unit) return refusing
        give(ledgers.get(charged)!, cost[charged]!)
      }
    }
  }
  for (const unit in cost) mark(ledgers.get(unit)!)
  return undefined
}

/**
 * Gives back what was charged.
 */
export const refund = (ledgers: Ledgers, cost: Cost): void => {
  for (const unit in cost) give(ledgers.get(unit)!, cost[unit]!)
}
