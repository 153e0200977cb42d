/**
 * What a frame may use: a limit for each unit. A capacity is taken by an allocation and given back by its release. A
 * charge goes to the frame and to every frame around it that limits the unit, all of them or none.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import { Amount, isAmount } from "./Cost.ts"
import type { Cost } from "./Cost.ts"
import { OnExhausted } from "./internal/exhaustion.ts"
import { Ledger, ledgerAtRoot, RateLedger, unlimited } from "./internal/ledger.ts"
import type { Ledgers } from "./internal/ledger.ts"
import type { WouldDeadlock } from "./ResourceError.ts"

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
 * Lets allocations inside the effect wait for a budget that has too little left, instead of failing at once: first come,
first served, for as long as it takes or until the timeout. What can never fit fails at once. For all that runs in a
 * frame see `exhausted` of `TimeFrame.run`.
 *
 * @example
 * ```ts
 * import { Budget, ResourceDefinition, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const Call = ResourceDefinition.temporal("call", { cost: () => ({ calls: 1 }), acquire: () => Effect.succeed("ready") })
 *
 * const call = ResourceManager.use(Call, () => Effect.sleep("10 millis")).pipe(Budget.wait({ timeout: "1 second" }))
 *
 * const program = Effect.all([call, call, call], { concurrency: 3 }).pipe(
 *   TimeFrame.run({ name: "request", budget: { calls: 1 } }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const wait: {
  (options?: WaitOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | WouldDeadlock, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: WaitOptions): Effect.Effect<A, E | WouldDeadlock, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    { timeout = Duration.infinity }: WaitOptions = {}
  ): Effect.Effect<A, E, R> => {
    const patience = Duration.toMillis(timeout)
    if (!(patience >= 0)) throw new TypeError(`The timeout of a wait must not be negative: ${patience} ms`)
    return Effect.provideService(self, OnExhausted, { patience })
  }
)

/**
 * How long to wait for a budget.
 */
export interface WaitOptions {
  /** Default: as long as it takes. */
  readonly timeout?: Duration.Input
}

/**
 * Lets allocations inside the effect fail at once when a budget has too little left, where those around wait.
 */
export const failFast = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, OnExhausted, { patience: 0 })

/**
 * Checks limits that a program hands in: a wrong one is a mistake in the program and throws.
 *
 * @internal
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
 *
 * @internal
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
