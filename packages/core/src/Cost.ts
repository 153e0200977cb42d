/**
 * What one allocation takes out of the budgets, by unit.
 *
 * A unit is any name: `memory` (bytes), `connections`, `descriptors`, `workers`. Amounts are whole numbers of the
 * smallest part that matters (bytes, not megabytes), so that what was taken is given back exactly.
 */
import * as Schema from "effect/Schema"

/**
 * Amounts by unit. A unit that is absent costs nothing.
 */
export type Cost = { readonly [unit: string]: number }

/**
 * An amount: a whole number from 0 to `Number.MAX_SAFE_INTEGER`.
 */
export const Amount = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * The schema of a {@link Cost}.
 */
export const Cost: Schema.Codec<Cost> = Schema.Record(Schema.String, Amount)

/**
 * The cost of what is free.
 */
export const zero: Cost = {}

/**
 * Is this a whole number that can be charged exactly?
 */
export const isAmount = (u: unknown): u is number => Number.isSafeInteger(u) && (u as number) >= 0

/**
 * The costs of several things together, unit by unit.
 *
 * @example
 * ```ts
 * import { Cost } from "@chronovyan/core"
 *
 * Cost.sum([{ memory: 10 }, { memory: 5, descriptors: 1 }]) // { memory: 15, descriptors: 1 }
 * ```
 */
export const sum = (costs: Iterable<Cost>): Cost => {
  const total = new Map<string, number>()
  for (const cost of costs) {
    for (const unit of Object.keys(cost)) {
      total.set(unit, (total.get(unit) ?? 0) + cost[unit]!)
    }
  }
  return Object.fromEntries(total)
}

/**
 * Throws when an amount can not be charged exactly: a wrong cost is a mistake in its definition.
 *
 * @internal
 */
export const assert = (cost: Cost, resource: string): Cost => {
  for (const unit of Object.keys(cost)) {
    if (!isAmount(cost[unit])) throw wrongAmount(resource, unit, cost[unit])
  }
  return cost
}

/**
 * What is thrown for a wrong amount.
 *
 * @internal
 */
export const wrongAmount = (resource: string, unit: string, amount: unknown): TypeError =>
  new TypeError(
    `The cost of "${resource}" in "${unit}" is ${
      String(amount)
    }: it must be a whole number from 0 to 2^53 - 1 of the smallest unit, ` +
      `bytes for instance`
  )
