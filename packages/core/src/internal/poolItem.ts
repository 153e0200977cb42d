/**
 * One item of a pool, from its creation to the end of its release. Owned by `ResourcePool`.
 *
 * ```text
 *   creating ──arrived──▶ ready ◀──────────── busy with a reset or a check
 *      │ │                 │  └──────────────────▶  │
 *      │ │ failed          │ retired, broken, old   │
 *      │ ▼                 ▼                        ▼
 *      │ gone ◀──released── closing ◀───────────────┘
 *      │                    │
 *      └──takes too long────┴──▶ abandoned: its place is free, it ends in the background
 * ```
 *
 * Its life belongs to Effect's Pool, of which it is one long lease: the Scope that Effect's Pool opened for it is closed
 * when that lease is invalidated and returned. Only empty slots are ever acquired there, which can not fail; the value is
 * made afterwards, into the Scope.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as EffectPool from "effect/Pool"
import { PreventSchedulerYield as PreventYield } from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { allocateIn } from "./allocate.ts"
import type { RunningAside } from "./aside.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import type { Lease, Lent } from "./lease.ts"
import { Stack } from "./list.ts"
import type { PoolConfig } from "./poolOptions.ts"
import type { Temporal } from "./temporal.ts"

/** A place for the life of an item: a Scope that Effect's Pool owns. */
class Slot {
  readonly scope: Scope.Scope
  constructor(scope: Scope.Scope) {
    this.scope = scope
  }
}

export type Life = EffectPool.Pool<Slot>

const strategy: EffectPool.Strategy<Slot, never> = {
  run: () => Effect.void,
  onAcquire: () => Effect.void,
  reclaim: () => Effect.undefined
}

/**
 * What Effect's Pool does to make a slot must not stop half way: a `get` that comes when its last look for work is over, but
 * its permit not given back, waits until something else happens (effect 4.1.0).
 */
const inOneGo = Effect.provideService(PreventYield, true)

/** The pool underneath, without a limit of its own. */
export const makeLife: Effect.Effect<Life, never, Scope.Scope> = inOneGo(EffectPool.makeWithStrategy({
  acquire: Effect.map(Effect.scope, (scope) => new Slot(scope)),
  min: 0,
  max: Number.MAX_SAFE_INTEGER,
  strategy
}))

export type ItemState = "creating" | "ready" | "busy" | "closing" | "abandoned" | "gone"

export class Item implements Lent {
  previous: Item | undefined = undefined
  next: Item | undefined = undefined
  state: ItemState = "creating"
  value: unknown = undefined
  /** Who uses it. */
  readonly leases = new Stack<Lease>()
  users = 0
  /** Is it in the list of those that can be lent? */
  isIdle = false
  /** It is lent to nobody any more, and closed when nobody uses it. */
  isRetired = false
  uses = 0
  /** Times are milliseconds since the epoch. */
  expiresAt = Infinity
  idleSince = 0
  /** When it was last known to be good: made, used or validated. */
  checkedAt = 0
  /** Its last use failed or was interrupted: only a validation can tell whether it is still good. */
  isInDoubt = false
  /** Told when it has been released, or left behind. */
  readonly onGone: Array<() => void> = []
  /** What is being done to it: its creation, a check, a reset, its release. */
  aside: RunningAside | undefined = undefined
  private record: Temporal | undefined = undefined
  private slot: Slot | undefined = undefined
  private readonly lease = Scope.makeUnsafe()
  /** How many creations in a row had failed when this one began. */
  readonly knownFailures: number

  constructor(knownFailures: number) {
    this.knownFailures = knownFailures
  }

  /** Has it to prove that it is good? */
  isDoubtful({ validate, validateAfter }: PoolConfig, now: number): boolean {
    if (validate === undefined || this.users > 0) return false
    return this.isInDoubt || now - this.checkedAt >= validateAfter
  }

  isLendable(now: number): boolean {
    return this.state === "ready" && !this.isRetired && now < this.expiresAt
  }

  /** Makes the value, on the fiber that runs this. */
  create(life: Life, frame: Frame, definition: Definition, params: unknown): Effect.Effect<unknown, unknown> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(inOneGo(Scope.provide(EffectPool.get(life), this.lease)), (slot) => {
        this.slot = slot
        const allocate = Effect.withFiber((fiber) =>
          allocateIn(frame, definition, params, fiber, restore, undefined)
        ) as Effect.Effect<Temporal, unknown>
        return Effect.flatMap(
          Effect.withFiber(({ context }) => {
            const asUsual = Effect.provideService(PreventYield, Context.get(context, PreventYield))
            return Scope.addFinalizerExit(slot.scope, (exit) => asUsual(this.release(exit)))
          }),
          () =>
            Effect.map(allocate, (record) => {
              this.record = record
              this.value = record.value
            })
        )
      })
    )
  }

  private release(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    return Effect.withFiber((fiber) => this.record?.giveBack(Exit.asVoid(exit), fiber) ?? Exit.void) as Effect.Effect<
      void
    >
  }

  /** Ends its life: what was acquired is released. */
  end(life: Life): Effect.Effect<void> {
    const invalidated = this.slot === undefined ? Effect.void : EffectPool.invalidate(life, this.slot)
    return Effect.uninterruptible(inOneGo(Effect.andThen(invalidated, Scope.close(this.lease, Exit.void))))
  }
}
