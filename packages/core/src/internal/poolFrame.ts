/**
 * The frame of a pool, in which its items are made: it closes with the scope that the pool was made in, and ends the pool
 * first. Owned by `ResourcePool`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Holder } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { Frame } from "./frame.ts"
import type { PoolFacts } from "./frame.ts"
import { Owned } from "./owned.ts"
import type { Closer } from "./owned.ts"
import { OwnedPool } from "./ownedPool.ts"
import type { PoolEnding } from "./ownedPool.ts"
import type { Parts } from "./pool.ts"
import { findGround } from "./poolGround.ts"
import type { Ground } from "./poolGround.ts"
import { Report } from "./poolReport.ts"
import { inFrame } from "./run.ts"
import { Timeout } from "./timers.ts"

class PoolFrame extends Frame {
  ending: Ending | undefined = undefined

  /** The pool ends first, and with it the items. */
  override get last(): Owned | undefined {
    return this.ending === undefined || this.ending.isOver ? super.last : this.ending
  }

  /** What the pool did not wait for, its frame does not wait for either. */
  override isLeftBehind(owned: Owned): boolean {
    return this.ending?.isOver === true || super.isLeftBehind(owned)
  }

  override get pool(): PoolFacts | undefined {
    const pool = this.ending?.pool
    return pool === undefined || pool.phase === "closed"
      ? undefined
      : {
        definition: pool,
        standing: pool.standing(),
        borrowing: pool.borrowing(),
        counts: pool.counts,
        strays: pool.strays,
        awaited: pool.awaited,
        tell: (most) => pool.tell(most)
      }
  }
}

/** How a pool ends: borrowers are waited for, then all items are released side by side. */
class Ending extends Owned implements PoolEnding {
  readonly pool: OwnedPool
  /** Nothing is waited for any more. */
  isOver = false
  /** Who still held something when the time was over. */
  holders: ReadonlyArray<Holder> = []
  /** How long to wait for the borrowers, in milliseconds. */
  limit: number
  private timeout: Timeout | undefined = undefined

  constructor(pool: OwnedPool) {
    super()
    this.pool = pool
    this.limit = pool.config.closeTimeout ?? pool.frame.gracePeriod
  }

  end(closer: Closer): boolean {
    const { pool } = this
    if (pool.phase !== "draining") pool.shut()
    this.arm(() => {
      this.force()
      // The releases have as long as the borrowers had.
      if (!this.isOver) this.arm(() => this.leaveBehind(closer))
    })
    let isInline = true
    pool.changes.watch(() => {
      if (pool.phase === "draining" && pool.awaited === 0) pool.shut()
      if ((pool.phase === "draining" || pool.total > 0) && !this.isOver) return false
      if (this.isOver) return true
      this.over()
      if (!isInline) closer.ended(this)
      return true
    })
    isInline = false
    return this.isOver
  }

  outlive(): void {
    this.force()
    this.over()
  }

  private leaveBehind(closer: Closer): void {
    this.over()
    closer.ended(this)
  }

  /** It has to end sooner; it may have begun. Before that, it may as well be later. */
  shorten(limit: number): void {
    const { timers } = this.pool.registry
    const { timeout } = this
    if (timeout === undefined) this.limit = limit
    else if (timeout.queue !== undefined && timers.now() + limit < timeout.at) {
      timers.cancel(timeout)
      timers.arm(timeout, limit, timers.now() + limit)
    }
  }

  private arm(run: () => void): void {
    const { timers } = this.pool.registry
    this.timeout = new Timeout(run)
    if (this.limit !== Infinity) timers.arm(this.timeout, this.limit, timers.now() + this.limit)
  }

  private force(): void {
    const { pool } = this
    this.holders = new Report(pool).holders.holders
    if (this.holders.length > 0) pool.reportHolders(this.holders)
    pool.shut()
    pool.force()
  }

  private over(): void {
    if (this.isOver) return
    this.isOver = true
    if (this.timeout !== undefined) this.pool.registry.timers.cancel(this.timeout)
    this.pool.stock.letGo()
    this.pool.ended()
  }
}

/** What is known of a pool before it has a place. */
export interface Plan extends Pick<Parts, "definition" | "params" | "config" | "size" | "quota"> {
  /** The key that tells it from others of its name. */
  readonly key?: string
}

/** Builds a pool in a frame; its own has yet to be opened. */
export const buildPool = (plan: Plan, ground: Ground, parent: Frame): OwnedPool => {
  const { context, life } = ground
  const options = { timeout: Infinity, budget: undefined, gracePeriod: undefined, isWaitedFor: true }
  const name = plan.key === undefined ? plan.config.name : `${plan.config.name}(${plan.key})`
  const frame = new PoolFrame(parent, parent.registry, { name, ...options }, context)
  frame.context = inFrame(context, TimeFrame, frame)
  const pool = new OwnedPool({ ...plan, frame, life, context: frame.context })
  frame.ending = pool.ending = new Ending(pool)
  return pool
}

/** Makes a pool that ends with the current scope. */
export const openPool = (plan: Plan): Effect.Effect<OwnedPool, unknown, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(findGround, (ground) => {
      const pool = buildPool(plan, ground, ground.owner)
      pool.frame.open()
      if (pool.frame.phase !== "open") pool.phase = "closed"
      return Effect.flatMap(ground.endWith(pool.frame), () => {
        pool.grow()
        return plan.config.warmUp.failFast ? restore(warm(pool)) : Exit.succeed(pool)
      })
    })
  )

/** Waits for the first items; if one can not be made, there is no pool. */
const warm = (pool: OwnedPool): Effect.Effect<OwnedPool, unknown> => {
  const warmed = Effect.callback<OwnedPool, unknown>((resume) => {
    pool.changes.watch(() => {
      const { creationFailure, phase } = pool
      if (creationFailure !== undefined) resume(Exit.failCause(creationFailure))
      else if (phase === "open" && pool.total - pool.creating < pool.size.min) return false
      else resume(Exit.succeed(pool))
      return true
    })
  })
  return Effect.onError(warmed, () => pool.end(false, undefined))
}
