/**
 * What a frame may use: a limit for each unit. A capacity is taken by an allocation and given back by its release. A
 * charge goes to the frame and to every frame around it that limits the unit, all of them or none.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as internal from "./internal/budgetTx.ts"
import { OnExhausted } from "./internal/exhaustion.ts"
import type { Frame } from "./internal/frame.ts"
import type { BudgetExceeded, FrameClosed, WouldDeadlock } from "./ResourceError.ts"
import { TimeFrame } from "./TimeFrame.ts"

export { Budget, Rate, rate } from "./internal/limits.ts"

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
 * How a limit stands at one moment.
 */
export type Standing = internal.Standing

/**
 * How the nearest limit of a unit stands: that of the current frame or of the frame handed in, if it limits the unit
 * itself, or else the nearest one outside that does. Fails with `FrameClosed` when the frame handed in, or whichever has
 * the limit, has closed.
 *
 * Inside of `Effect.tx` it is part of the transaction, as the reading of a `TxRef` is: when something is taken or given
 * back, limits change or somebody begins to wait between the reading and the commit, the transaction runs again; and one
 * that ends with `Effect.txRetry` is woken by that, or when some of a rate has come back. Outside it is a plain read.
 *
 * @example
 * ```ts
 * import { Budget, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const untilHalfIsFree = Effect.tx(Effect.gen(function*() {
 *   const { available, limit } = yield* Budget.standing("memory")
 *   if (available < limit / 2) return yield* Effect.txRetry
 *   return available
 * }))
 *
 * const program = untilHalfIsFree.pipe(
 *   TimeFrame.run({ name: "request", budget: { memory: 1024 } }),
 *   Effect.provide(ResourceManager.layer())
 * )
 * ```
 */
export const standing: {
  (unit: string): Effect.Effect<Standing, never, TimeFrame>
  (unit: string, frame: TimeFrame): Effect.Effect<Standing, FrameClosed>
} = (unit: string, frame?: TimeFrame): Effect.Effect<Standing> =>
  Effect.withFiber(({ context }) => {
    const at = (frame ?? Context.getUnsafe(context as Context.Context<TimeFrame>, TimeFrame)) as Frame
    return internal.standing(at, unit, frame !== undefined, context) as Effect.Effect<Standing>
  })

/**
 * A part of a limit that goes from one frame to another.
 */
export interface Move {
  readonly unit: string
  /** How much of the limit: a whole number of the unit's smallest part. */
  readonly amount: number
  /** The frame whose own limit falls. */
  readonly from: TimeFrame
  /** The frame whose own limit rises. */
  readonly to: TimeFrame
}

/**
 * Moves a part of a limit from one frame's own budget to that of another, all of it or nothing. Inside of `Effect.tx` it
 * takes place with the commit, together with all other moves and writes of the transaction, or not at all; those who
 * wait at its destination are served after that. Whoever waits for something else, and can never fit into the limit that has fallen, is refused then.
 *
 * Fails with `BudgetExceeded` when that much of the limit is in use or reserved, or when somebody waits for it, and with
 * `FrameClosed` when one of the frames is not open any more. A rate can not be moved, nor a unit that one of the frames
 * does not limit itself; that and a wrong amount are mistakes in the program, and throw.
 *
 * @example
 * ```ts
 * import { Budget } from "@chronovyan/core"
 * import type { TimeFrame } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * // 10 from `a` to `b`, once `c` has 5.
 * const rebalance = (a: TimeFrame.TimeFrame, b: TimeFrame.TimeFrame, c: TimeFrame.TimeFrame) =>
 *   Effect.tx(Effect.gen(function*() {
 *     const { available } = yield* Budget.standing("connections", c)
 *     if (available < 5) return yield* Effect.txRetry
 *     yield* Budget.move({ unit: "connections", amount: 10, from: a, to: b })
 *   }))
 * ```
 */
export const move = ({ amount, from, to, unit }: Move): Effect.Effect<void, BudgetExceeded | FrameClosed> =>
  internal.move({ amount, from: from as Frame, to: to as Frame, unit })
