/**
 * What a pool can be given, and what that comes to. Owned by `ResourcePool`.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Cost from "../Cost.ts"

/** The options of a pool of `A`, but for its size. */
export interface PoolOptions<in A> {
  /** Shown in errors, snapshots and statistics. Default: the name of the definition, or `"pool"`. */
  readonly name?: string | undefined
  /** How many borrowers may use one item at once. Default: 1. */
  readonly concurrency?: number | undefined
  /**
   * How much of what there is may be in use before one more item is made, from 0.1 to 1. Default: 1, make one only when
   * all are in use.
   */
  readonly targetUtilization?: number | undefined
  /** How long a borrower waits, creation and validation included. Default: as long as it takes. */
  readonly acquireTimeout?: Duration.Input | undefined
  /** How many borrowers may wait, besides those for whom an item is being made. Default: any number. */
  readonly maxWaiting?: number | undefined
  /**
   * What one step of {@link Priority} is worth: a borrower goes before those of a lower priority unless they came
   * earlier by that much for each step. So nobody waits for ever. Default: 1 second.
   */
  readonly priorityAgeing?: Duration.Input | undefined
  /**
   * Which idle item is lent next. `"lifo"`, the default, keeps few items warm and lets the others go idle; `"fifo"`
   * spreads the use over all of them.
   */
  readonly order?: "lifo" | "fifo" | undefined
  /** How the `min` items are made at the start. */
  readonly warmUp?: WarmUp | undefined
  /** How long an item may be idle before it is closed, as long as more than `min` are left. Default: for ever. */
  readonly idleTimeToLive?: Duration.Input | undefined
  /** The age at which an item is closed, as soon as nobody uses it. Default: none. */
  readonly maxLifetime?: Duration.Input | undefined
  /** By which part of it each item's `maxLifetime` is shortened at random, from 0 to 1. Default: 0.1. */
  readonly lifetimeJitter?: number | undefined
  /** How often an item is lent before it is closed. Default: any number of times. */
  readonly maxUses?: number | undefined
  /** Is an idle item still good? It is not when this fails, dies, takes too long, or answers `false`. Default: it is. */
  readonly validate?: ((item: A) => Effect.Effect<unknown, unknown, any>) | undefined
  /** How long a validation may take. Default: 1 second. */
  readonly validateTimeout?: Duration.Input | undefined
  /**
   * An item that was used or validated so recently is lent without validation, unless that use failed or was interrupted.
   * Default: 500 milliseconds.
   */
  readonly validateAfter?: Duration.Input | undefined
  /** Validates idle items that often, so that they stay connected; needs `validate`. Default: never. */
  readonly keepalive?: Duration.Input | undefined
  /** Runs on each return, before the item is lent again; one that fails or dies closes it. Default: nothing. */
  readonly reset?: ((item: A) => Effect.Effect<unknown, unknown, any>) | undefined
  /** How long a reset may take before the item is closed. Default: 5 seconds. */
  readonly resetTimeout?: Duration.Input | undefined
  /**
   * How long a creation may take before it is interrupted and another one is tried. Default: 30 seconds. An item that
   * arrives later is closed.
   */
  readonly createTimeout?: Duration.Input | undefined
  /**
   * How long the release of an item keeps its place from a new one. Default: 30 seconds. It goes on after that, and is
   * logged.
   */
  readonly releaseTimeout?: Duration.Input | undefined
  /**
   * How long the end of the pool waits for its borrowers, and then for the releases. Default: the grace period of the
   * frame that owns the pool, 30 seconds outside of frames.
   */
  readonly closeTimeout?: Duration.Input | undefined
  /**
   * The pause before another creation is tried after one failed: `base`, doubled with each failure in a row up to `max`,
   * shortened by up to a fifth at random. For what somebody waits for there is none after the first failure. Default:
   * 100 milliseconds and 10 seconds. `false` for no pause at all before what somebody waits for, which is also the default
   * of pools made with Effect's own options.
   */
  readonly creationBackoff?: Backoff | false | undefined
  /** Sheds load by the time spent waiting. Default: off. */
  readonly codel?: CoDel | undefined
  /** Reports who holds an item for longer, and when it came back after all. Default: never. */
  readonly overdueAfter?: Duration.Input | undefined
  /** What a borrow takes out of the budgets of the borrower's frame. Default: nothing, the owner pays for the items. */
  readonly borrowCost?: Cost.Cost | undefined
}

/** How the first items are made. */
export interface WarmUp {
  /** How many at a time. Default: 10. */
  readonly parallelism?: number | undefined
  /**
   * `true`: the pool is there when all are, and fails with the first one that fails. Default: `false`, they are made in
   * the background.
   */
  readonly failFast?: boolean | undefined
}

/** Pauses between attempts. */
export interface Backoff {
  readonly base: Duration.Input
  readonly max: Duration.Input
}

/**
 * Sheds load when even the luckiest borrower of an `interval` waited longer than `target`: from then on, whoever has
 * waited for more than twice the target is refused, until that is no longer so. As in Elixir's DBConnection, after
 * Nichols and Jacobson, Controlling Queue Delay, 2012.
 */
export interface CoDel {
  /** Default: 50 milliseconds. */
  readonly target?: Duration.Input | undefined
  /** Default: 1 second. */
  readonly interval?: Duration.Input | undefined
}

type Hook = ((item: any) => Effect.Effect<unknown, unknown, any>) | undefined

/** The options with all defaults; times in milliseconds, `Infinity` for never. */
export interface PoolConfig {
  readonly name: string
  readonly concurrency: number
  readonly targetUtilization: number
  readonly acquireTimeout: number
  readonly maxWaiting: number
  readonly priorityAgeing: number
  readonly order: "lifo" | "fifo"
  readonly warmUp: { readonly parallelism: number; readonly failFast: boolean }
  readonly idleTimeToLive: number
  readonly maxLifetime: number
  readonly lifetimeJitter: number
  readonly maxUses: number
  readonly validate: Hook
  readonly validateTimeout: number
  readonly validateAfter: number
  readonly keepalive: number
  readonly reset: Hook
  readonly resetTimeout: number
  readonly createTimeout: number
  readonly releaseTimeout: number
  readonly closeTimeout: number | undefined
  readonly backoff: { readonly base: number; readonly max: number; readonly paces: boolean }
  readonly codel: { readonly target: number; readonly interval: number } | undefined
  readonly overdueAfter: number
  readonly borrowCost: Cost.Cost | undefined
}

/** A wrong option is a mistake in the program. */
const wrong = (what: string, is: unknown) => new Cause.IllegalArgumentError(`${what} of a pool: ${String(is)}`)

export const millis = (name: string, input: Duration.Input | undefined, absent: number): number => {
  if (input === undefined) return absent
  // Effect takes NaN for nothing.
  const duration = input === null || Number.isNaN(input) ? Option.none() : Duration.fromInput(input)
  const value = Option.isSome(duration) ? Duration.toMillis(duration.value) : NaN
  if (!(value >= 0)) throw wrong(`The ${name} has to be a duration that is not negative`, input)
  return value
}

export const whole = (name: string, value: number | undefined, least: number, absent: number): number => {
  if (value === undefined) return absent
  if (value !== Infinity && !Number.isSafeInteger(value) || value < least) {
    throw wrong(`The ${name} has to be a whole number from ${least} on`, value)
  }
  return value
}

const part = (name: string, value: number | undefined, least: number, absent: number): number => {
  if (value === undefined) return absent
  if (!(value >= least && value <= 1)) throw wrong(`The ${name} has to be from ${least} to 1`, value)
  return value
}

const costOf = (cost: Cost.Cost | undefined): Cost.Cost | undefined => {
  for (const [unit, amount] of Object.entries(cost ?? {})) {
    if (!Cost.isAmount(amount)) throw wrong(`The borrowCost in "${unit}" has to be a whole number from 0 on`, amount)
  }
  return cost
}

/** How many items a pool keeps, and how many it may have. */
export interface Size {
  readonly min: number
  readonly max: number
}

export const sizeOf = (min: number | undefined, max: number | undefined): Size => {
  const most = whole("max", max, 1, 10)
  if (most === Infinity) throw wrong("The max has to be finite", most)
  const least = whole("min", min, 0, 0)
  if (least > most) throw wrong(`The min can not be greater than the max (${most})`, least)
  return { min: least, max: most }
}

export const configOf = (options: PoolOptions<any>, name: string, paces: boolean): PoolConfig => {
  const { codel, creationBackoff, warmUp } = options
  if (options.keepalive !== undefined && options.validate === undefined) {
    throw wrong("The keepalive needs a validate that tells whether an item is still good", options.keepalive)
  }
  if (options.order !== undefined && options.order !== "lifo" && options.order !== "fifo") {
    throw wrong(`The order has to be "lifo" or "fifo"`, options.order)
  }
  const backoff = creationBackoff === false ? undefined : creationBackoff
  const base = millis("base of creationBackoff", backoff?.base, 100)
  return {
    name: options.name ?? name,
    concurrency: whole("concurrency", options.concurrency, 1, 1),
    targetUtilization: part("targetUtilization", options.targetUtilization, 0.1, 1),
    acquireTimeout: millis("acquireTimeout", options.acquireTimeout, Infinity),
    maxWaiting: whole("maxWaiting", options.maxWaiting, 0, Infinity),
    priorityAgeing: millis("priorityAgeing", options.priorityAgeing, 1000),
    order: options.order ?? "lifo",
    warmUp: {
      parallelism: whole("parallelism of warmUp", warmUp?.parallelism, 1, 10),
      failFast: warmUp?.failFast ?? false
    },
    idleTimeToLive: millis("idleTimeToLive", options.idleTimeToLive, Infinity),
    maxLifetime: millis("maxLifetime", options.maxLifetime, Infinity),
    lifetimeJitter: part("lifetimeJitter", options.lifetimeJitter, 0, 0.1),
    maxUses: whole("maxUses", options.maxUses, 1, Infinity),
    validate: options.validate,
    validateTimeout: millis("validateTimeout", options.validateTimeout, 1000),
    validateAfter: millis("validateAfter", options.validateAfter, 500),
    keepalive: millis("keepalive", options.keepalive, Infinity),
    reset: options.reset,
    resetTimeout: millis("resetTimeout", options.resetTimeout, 5000),
    createTimeout: millis("createTimeout", options.createTimeout, 30_000),
    releaseTimeout: millis("releaseTimeout", options.releaseTimeout, 30_000),
    closeTimeout: options.closeTimeout === undefined ? undefined : millis("closeTimeout", options.closeTimeout, 0),
    backoff: {
      base,
      max: Math.max(base, millis("max of creationBackoff", backoff?.max, 10_000)),
      paces: creationBackoff === undefined ? paces : creationBackoff !== false
    },
    codel: codel === undefined ? undefined : {
      target: millis("target of codel", codel.target, 50),
      interval: millis("interval of codel", codel.interval, 1000)
    },
    overdueAfter: millis("overdueAfter", options.overdueAfter, Infinity),
    borrowCost: costOf(options.borrowCost)
  }
}
