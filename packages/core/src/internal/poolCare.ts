/**
 * Looks after items that nobody asks for: ends those that are idle for too long or too old, keeps the others alive, and
 * reports borrowers who hold one for too long. One timeout for the pool, armed for whatever is due next. Owned by
 * `ResourcePool`.
 */
import type { Lease } from "./lease.ts"
import type { Item } from "./poolItem.ts"
import type { PoolConfig, Size } from "./poolOptions.ts"
import type { Counts } from "./poolStats.ts"
import type { Stock } from "./poolStock.ts"
import type { Registry } from "./registry.ts"
import { Timeout } from "./timers.ts"

export interface Cared {
  readonly config: PoolConfig
  readonly size: Size
  readonly registry: Registry
  readonly total: number
  readonly leases: Iterable<Lease>
  readonly stock: Stock
  readonly name: string
  readonly counts: Counts
}

export class Care {
  /** When it looks next, in milliseconds since the epoch. */
  private at = Infinity
  private readonly pool: Cared
  private readonly timeout: Timeout
  private readonly ages: boolean

  constructor(pool: Cared) {
    const { idleTimeToLive, keepalive, maxLifetime } = pool.config
    this.pool = pool
    this.timeout = new Timeout(() => this.look())
    this.ages = Math.min(idleTimeToLive, keepalive, maxLifetime) < Infinity
  }

  /** Nobody uses the item from now on. */
  rests(item: Item): void {
    if (!this.ages) return
    const due = this.dueOf(item)
    if (due < this.at) this.wakeAt(due)
  }

  /** There are more or fewer items than before: others may be due. */
  review(): void {
    if (!this.ages) return
    const { stock: { idle } } = this.pool
    for (let item = idle.first; item !== undefined; item = item.next) {
      if (item.users === 0) this.rests(item)
    }
  }

  /** Someone has an item from now on. */
  isLent(now: number): void {
    const due = now + this.pool.config.overdueAfter
    if (due < this.at) this.wakeAt(due)
  }

  stop(): void {
    this.at = Infinity
    this.pool.registry.timers.cancel(this.timeout)
  }

  private wakeAt(at: number): void {
    const { registry } = this.pool
    const { timers } = registry
    const pause = Math.max(1, at - registry.elapsed())
    this.at = at
    timers.cancel(this.timeout)
    timers.arm(this.timeout, pause, timers.now() + pause)
  }

  private dueOf(item: Item): number {
    const { idleTimeToLive, keepalive } = this.pool.config
    const idle = this.isSurplus ? item.idleSince + idleTimeToLive : Infinity
    return Math.min(idle, item.checkedAt + keepalive, item.expiresAt)
  }

  private get isSurplus(): boolean {
    return this.pool.total - this.pool.stock.closing > this.pool.size.min
  }

  private look(): void {
    const { config, leases, registry, stock: { idle } } = this.pool
    const now = registry.elapsed()
    this.at = Infinity
    // The oldest comes first.
    for (let item = idle.first; item !== undefined;) {
      const { next } = item
      if (item.users === 0) this.lookAfter(item, now)
      item = next
    }
    let due = Infinity
    for (let item = idle.first; item !== undefined; item = item.next) {
      if (item.users === 0) due = Math.min(due, this.dueOf(item))
    }
    if (config.overdueAfter < Infinity) {
      for (const lease of leases) {
        if (lease.isOverdue) continue
        if (now - lease.since >= config.overdueAfter) this.reportOverdue(lease, now)
        else due = Math.min(due, lease.since + config.overdueAfter)
      }
    }
    if (due < this.at) this.wakeAt(due)
  }

  private reportOverdue(lease: Lease, now: number): void {
    const { counts, name, registry: { events, timers } } = this.pool
    const held = now - lease.since
    lease.isOverdue = true
    counts.overdue++
    if (events.active) events.tell({ _tag: "BorrowOverdue", ...lease.stamp(now), held })
    const site = lease.callSite === undefined ? "" : ` (${lease.callSite})`
    timers.warn(`An item of the pool "${name}" has been held for ${held} ms by ${lease.place}${site}`)
  }

  private lookAfter(item: Item, now: number): void {
    const { config } = this.pool
    if (now >= item.expiresAt) this.pool.stock.end(item)
    else if (this.isSurplus && now - item.idleSince >= config.idleTimeToLive) this.pool.stock.end(item)
    else if (now - item.checkedAt >= config.keepalive) this.pool.stock.keepAlive(item)
  }
}
