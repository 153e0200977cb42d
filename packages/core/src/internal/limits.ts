/**
 * Limits, as a program writes them, and the ledgers that they become. Owned by `Budget`.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { Amount, isAmount } from "../Cost.ts"
import type { Cost } from "../Cost.ts"
import { Ledger, ledgerAtRoot, RateLedger, unlimited } from "./ledger.ts"
import type { Ledgers } from "./ledger.ts"

/**
 * What refills with time: so much in a period, and at most `burst` at once. What is taken of it is not given back by a
 * release.
 */
export interface Rate {
  readonly _tag: "Rate"
  /** How much comes back in a period. */
  readonly amount: number
  /** The period in milliseconds. */
  readonly per: number
  /** The most that can be taken at once. */
  readonly burst: number
}

/**
 * Limits by unit: whole numbers of the unit's smallest part, or rates. A unit that is absent is limited by the frames
 * outside only.
 *
 * @example
 * ```ts
 * import { Budget } from "@chronovyan/core"
 *
 * const budget: Budget.Budget = {
 *   memory: 64 * 1024 * 1024,
 *   connections: 2,
 *   tokens: Budget.rate(100_000, "1 minute")
 * }
 * ```
 */
export type Budget = { readonly [unit: string]: number | Rate }

/**
 * The schema of a {@link Rate}.
 */
export const Rate: Schema.Codec<Rate> = Schema.TaggedStruct("Rate", {
  amount: Amount.check(Schema.isGreaterThan(0)),
  per: Schema.Finite.check(Schema.isGreaterThan(0)),
  burst: Amount
})

/**
 * The schema of a {@link Budget}.
 */
export const Budget: Schema.Codec<Budget> = Schema.Record(Schema.String, Schema.Union([Amount, Rate]))

/**
 * A rate: `amount` in each period, of which up to `burst` (default: `amount`) can be taken at once. It starts full, and
 * refills evenly by the `Clock` of the manager: after a tenth of the period a tenth of the amount is back. A wrong one is
 * a mistake in the program and throws.
 */
export const rate = (amount: number, per: Duration.Input, burst: number = amount): Rate => {
  const rate = { _tag: "Rate", amount, per: Duration.toMillis(per), burst } as const
  if (!isSound(rate)) {
    throw new TypeError(
      `A rate of ${amount} in ${rate.per} ms, at most ${burst} at once: the amounts must be whole numbers above 0, and ` +
        `the period longer than 0`
    )
  }
  return rate
}

const isSound = ({ amount, burst, per }: Partial<Rate>): boolean =>
  isAmount(amount) && amount > 0 && isAmount(burst) && burst > 0 && Number.isFinite(per) && per! > 0

/**
 * Checks limits that a program hands in: a wrong one is a mistake in the program and throws.
 */
export const validate = (budget: Budget): Budget => {
  for (const unit of Object.keys(budget)) {
    const limit = budget[unit]
    if (!isAmount(limit) && !(typeof limit === "object" && limit !== null && isSound(limit))) {
      throw new TypeError(
        `The budget in "${unit}" is ${String(limit)}: it must be a whole number from 0 to 2^53 - 1, or a rate`
      )
    }
  }
  return budget
}

/**
 * The ledgers of a frame with limits of its own, or with a share that was charged outside already, on top of those of the
 * frame around it.
 */
export const open = (
  budget: Budget,
  reserve: Cost | undefined,
  outer: Ledgers,
  owner: object,
  root: { readonly ledgers: Ledgers | undefined },
  now: () => number
): Ledgers => {
  const ledgers: Ledgers = new Map(outer)
  for (const unit of new Set([...Object.keys(budget), ...Object.keys(reserve ?? {})])) {
    const around = owner === root
      ? undefined
      : outer.get(unit) ?? ledgerAtRoot(outer, root as { ledgers: Ledgers }, unit)
    const limit = budget[unit] ?? unlimited
    const ledger = typeof limit === "number"
      ? new Ledger(unit, limit, around, owner)
      : new RateLedger(unit, limit, around, owner, now)
    ledger.reserved = reserve?.[unit] ?? 0
    for (let at = around; at !== undefined && ledger.reserved > 0; at = at.parent) at.reservesInside++
    ledgers.set(unit, ledger)
  }
  return ledgers
}
