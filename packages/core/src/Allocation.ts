/**
 * One acquired value and the handle on it: use it, give it back early, or move it to another frame. Nothing needs to be
 * done with a handle: it is given back when its frame ends.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import { hasProperty } from "effect/Predicate"
import type * as TxRef from "effect/TxRef"
import type * as Access from "./internal/access.ts"
import { refuseClosed } from "./internal/allocate.ts"
import type { Refused } from "./internal/allocate.ts"
import * as internal from "./internal/allocation.ts"
import { rejoinIn } from "./internal/budgetWait.ts"
import { refuseFor } from "./internal/charging.ts"
import type { Frame } from "./internal/frame.ts"
import { recordOf } from "./internal/handle.ts"
import { move } from "./internal/ledger.ts"
import { beginStep, endStep } from "./internal/trampoline.ts"
import type { AllocationReleased, BudgetExceeded, FrameClosed, WouldDeadlock } from "./ResourceError.ts"
import type { TimeFrame } from "./TimeFrame.ts"

/**
 * What every handle offers.
 */
export interface Handle {
  readonly [internal.TypeId]: typeof internal.TypeId
  /** Its number, as in snapshots, events and errors. */
  readonly id: number
  /** The name of its definition. */
  readonly resource: string
  /** Can it still be used? */
  readonly isLive: boolean
  /**
   * Gives it back now. Safe to run again: it is given back once, and who comes while that is under way waits for it. It
   * dies if the release of the definition dies.
   */
  readonly release: Effect.Effect<void>
}

/**
 * A handle on a value.
 */
export interface Allocation<out A> extends Handle {
  /** The value. Throws {@link AllocationReleased} once it has been given back: there is no stale value to be had. */
  readonly value: A
}

/**
 * How a value with `access: "readWrite"` is being used: a turn belongs to some readers or to one writer.
 */
export type AccessState = Access.AccessState

/**
 * A handle on a value that its users share by turns, first come, first served. A turn is not reentrant: do not ask for
 * one inside another on the same value. Who would wait for ever, alone or all the way round pools, budgets and turns, is
 * refused with `WouldDeadlock` at once.
 */
export interface ReadWrite<out A> extends Handle {
  /** Runs `f` together with other readers, while nobody writes. */
  readonly read: <B, E, R>(
    f: (value: A) => Effect.Effect<B, E, R>
  ) => Effect.Effect<B, E | AllocationReleased | WouldDeadlock, R>
  /** Runs `f` alone. */
  readonly write: <B, E, R>(
    f: (value: A) => Effect.Effect<B, E, R>
  ) => Effect.Effect<B, E | AllocationReleased | WouldDeadlock, R>
  /** Who has a turn, for `Effect.tx`: look at it, or retry until it fits. Read only. */
  readonly access: TxRef.TxRef<AccessState>
}

/**
 * Is this a handle?
 */
export const isAllocation = (u: unknown): u is Handle => hasProperty(u, internal.TypeId)

/**
 * Makes another frame the owner, and moves the charge along: it is a move, not a copy. Fails, and changes nothing, when
 * the other frame is closed or has too little left, or when the value was given back.
 *
 * @example
 * ```ts
 * import { Allocation, ResourceManager, TimeFrame } from "@chronovyan/core"
 * import { ResourceDefinition } from "@chronovyan/core"
 * import { Effect } from "effect"
 *
 * const Buffer = ResourceDefinition.temporal("buffer", { acquire: () => Effect.succeed(new Uint8Array(8)) })
 *
 * const program = Effect.gen(function*() {
 *   const outer = yield* TimeFrame.current
 *   const kept = yield* Effect.gen(function*() {
 *     const buffer = yield* ResourceManager.allocate(Buffer)
 *     yield* Allocation.transfer(buffer, outer)
 *     return buffer
 *   }).pipe(TimeFrame.run({ name: "inner" }))
 *   return kept.value.length
 * }).pipe(TimeFrame.run({ name: "outer" }), Effect.provide(ResourceManager.layer()))
 * ```
 */
export const transfer: {
  (frame: TimeFrame): (self: Handle) => Effect.Effect<void, FrameClosed | BudgetExceeded | AllocationReleased>
  (self: Handle, frame: TimeFrame): Effect.Effect<void, FrameClosed | BudgetExceeded | AllocationReleased>
} = dual(
  2,
  (self: Handle, to: TimeFrame) =>
    Effect.suspend((): Effect.Effect<void, FrameClosed | BudgetExceeded | AllocationReleased> => {
      const allocation = recordOf(self)
      const frame = to as Frame
      if (!allocation.isLive) return Exit.fail(allocation.gone())
      if (frame === allocation.frame) return Exit.void
      if (frame.root !== allocation.frame.root) {
        throw new TypeError(`"${allocation.resource}" can not move to a frame of another manager`)
      }
      if (frame.phase !== "open") return refuseClosed(frame, allocation.resource) as Exit.Exit<never, FrameClosed>
      return (moveCharges(allocation, frame) as Exit.Exit<never, BudgetExceeded> | undefined) ?? Exit.void
    })
)

/** Moves it, and what it and those inside it were charged: all of it or nothing. */
const moveCharges = (allocation: internal.Allocation, to: Frame): Refused | undefined => {
  const { frame: from, resource } = allocation
  const cost = allocation.totalCost
  beginStep()
  try {
    const refusing = move(from.ledgers, to.ledgers, to.root, cost, resource, () => allocation.changeFrame(to))
    if (refusing !== undefined) return refuseFor(to, cost, resource, refusing)
    if (to.registry.requests > 0) rejoinIn(allocation)
    return undefined
  } finally {
    endStep()
  }
}
