/**
 * The frame of a pool, in which its items are made: it closes with the scope that the pool was made in, and ends the pool
 * first. Owned by `ResourcePool`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Holder } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { Frame } from "./frame.ts"
import type { PoolFacts, PoolStanding } from "./frame.ts"
import { Owned } from "./owned.ts"
import type { Closer } from "./owned.ts"
import { Pool } from "./pool.ts"
import type { Parts } from "./pool.ts"
import { findGround } from "./poolGround.ts"
import type { Ground } from "./poolGround.ts"
import { inWords, Report } from "./poolReport.ts"
import type { Stats } from "./poolStats.ts"
import { closeFrame, inFrame } from "./run.ts"
import type { Borrowing } from "./statistics.ts"
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
      : { standing: pool.standing(), borrowing: pool.borrowing() }
  }
}

/** How a pool ends: borrowers are waited for, then all items are released side by side. */
class Ending extends Owned {
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
    pool.watch(() => {
      if (pool.phase === "draining" && !pool.isAwaited) pool.shut()
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

/** A pool with the frame that it ends with. */
export class OwnedPool extends Pool {
  ending: Ending | undefined = undefined

  /** What takes its place when it has ended ahead of those that it belongs to. */
  successor: (() => OwnedPool) | undefined = undefined

  get pool(): this {
    return this
  }

  override get lender(): Pool {
    return this.phase === "open" || this.successor === undefined ? this : this.successor()
  }

  /** Does anybody wait, be it for a check? */
  get isAwaited(): boolean {
    return this.waiting > 0 || this.admission.checking.size > 0
  }

  /** Takes nobody new. */
  drain(): void {
    if (this.phase === "open") this.phase = "draining"
    this.isSuspended = false
    this.resume()
  }

  /** Refuses all who wait, and ends what nobody uses. */
  shut(): void {
    if (this.phase === "closing" || this.phase === "closed") return
    this.phase = "closing"
    this.care.stop()
    this.growth.stop()
    this.admission.tellClosed()
    this.stock.retire(this.stock.items)
    for (const item of Array.from(this.stock.items)) {
      // One that can not be interrupted is left behind, as in any frame that ends.
      if (item.state !== "creating") continue
      if (this.interruptible) item.aside?.interrupt()
      else if (this.stock.cancel(item)) this.growth.cancelled()
    }
    this.changed()
  }

  /** Ends what is left, whoever uses it. */
  force(): void {
    for (const item of Array.from(this.stock.items)) {
      if (this.stock.cancel(item)) this.growth.cancelled()
      else if (item.state !== "closing") {
        if (item.users > 0) this.used--
        this.stock.end(item)
      }
    }
    this.changed()
  }

  ended(): void {
    this.phase = "closed"
    this.registry.statisticsOf(this).add({ ...this.borrowing(), borrows: 0 })
  }

  reportHolders(holders: ReadonlyArray<Holder>): void {
    const who = holders.map(({ age, frame }) => `\n  - ${frame}, for ${age} ms`).join("")
    this.registry.timers.warn(`The pool "${this.name}" is closed while items of it are in use:${who}`)
  }

  /** Ends it ahead of its scope, and answers who still held something. */
  end(serveWaiting: boolean, limit: number | undefined): Effect.Effect<ReadonlyArray<Holder>> {
    const ending = this.ending!
    if (limit !== undefined) ending.shorten(limit)
    if (this.phase === "open" && serveWaiting) this.drain()
    else if (this.phase === "draining" && !serveWaiting) this.shut()
    return Effect.map(
      Effect.suspend(() => closeFrame(this.frame, Exit.void) ?? Effect.void),
      () => ending.holders
    )
  }

  // What is told of it.

  stats(): Stats {
    const { counts, creationFailure, size: { max, min } } = this
    return {
      name: this.name,
      ...this.standing(),
      pending: this.waiting,
      min,
      max,
      creationError: creationFailure === undefined ? undefined : inWords(creationFailure),
      counts: { ...counts }
    }
  }

  standing(): PoolStanding {
    const { creating, phase, queue, size: { max, min }, total, used, waiting } = this
    const { abandoned, busy, closing } = this.stock
    const idle = total - used - creating - busy - closing
    const { oldest } = queue
    return {
      state: phase === "open" && this.isSuspended ? "suspended" : phase,
      min,
      max,
      total,
      idle,
      used,
      creating,
      busy,
      closing,
      abandoned,
      waiting,
      oldestWait: oldest === undefined ? 0 : Math.max(0, this.registry.elapsed() - oldest.since)
    }
  }

  borrowing(): Borrowing {
    return { borrows: this.borrows, ...this.counts }
  }

  override toJSON() {
    return { _id: "ResourcePool", ...this.standing(), name: this.name, kind: this.kind }
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
    pool.watch(() => {
      const { creationFailure, phase } = pool
      if (creationFailure !== undefined) resume(Exit.failCause(creationFailure))
      else if (phase === "open" && pool.total - pool.creating < pool.size.min) return false
      else resume(Exit.succeed(pool))
      return true
    })
  })
  return Effect.onError(warmed, () => pool.end(false, undefined))
}
