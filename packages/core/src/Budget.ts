/**
 * What a frame may use: a limit for each unit. A capacity is taken by an allocation and given back by its release. A
 * charge goes to the frame and to every frame around it that limits the unit, all of them or none.
 */
import * as Schema from "effect/Schema"
import { Amount, isAmount } from "./Cost.ts"
import { Ledger, ledgerAtRoot } from "./internal/ledger.ts"
import type { Ledgers } from "./internal/ledger.ts"

/**
 * Limits by unit: whole numbers of the unit's smallest part. A unit that is absent is limited by the frames outside only.
 *
 * @example
 * ```ts
 * import type { Budget } from "@chronovyan/core"
 *
 * const budget: Budget.Budget = { memory: 64 * 1024 * 1024, connections: 2 }
 * ```
 */
export type Budget = { readonly [unit: string]: number }

/**
 * The schema of a {@link Budget}.
 */
export const Budget: Schema.Codec<Budget> = Schema.Record(Schema.String, Amount)

/**
 * Checks limits that a program hands in: a wrong one is a mistake in the program and throws.
 *
 * @internal
 */
export const validate = (budget: Budget): Budget => {
  for (const unit of Object.keys(budget)) {
    if (!isAmount(budget[unit])) {
      throw new TypeError(
        `The budget in "${unit}" is ${String(budget[unit])}: it must be a whole number from 0 to 2^53 - 1`
      )
    }
  }
  return budget
}

/**
 * The ledgers of a frame with limits of its own, on top of those of the frame around it.
 *
 * @internal
 */
export const open = (
  budget: Budget,
  outer: Ledgers,
  owner: object,
  root: { readonly ledgers: Ledgers | undefined }
): Ledgers => {
  const ledgers: Ledgers = new Map(outer)
  for (const unit of Object.keys(budget)) {
    const around = owner === root
      ? undefined
      : outer.get(unit) ?? ledgerAtRoot(outer, root as { ledgers: Ledgers }, unit)
    ledgers.set(unit, new Ledger(unit, budget[unit]!, around, owner))
  }
  return ledgers
}
