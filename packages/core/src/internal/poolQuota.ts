/**
 * How many items several pools may have together. Owned by `ResourcePool`.
 *
 * A pool that may not make an item for want of room waits for its turn, and meanwhile the item that has been idle for
 * longest in any other pool is ended for it.
 */
import type { Held, Waiter } from "./deadlock.ts"
import { isEnough } from "./lease.ts"
import type { Lease } from "./lease.ts"
import type { Linked } from "./list.ts"
import { LinkedList } from "./list.ts"

/** A pool that shares the room with others; linked while it has idle items, in the order of their last use. */
export interface Sharing extends Linked<Sharing> {
  /** Is it linked? */
  isIdling: boolean
  /** Makes items, if it wants to. */
  grow(): void
  /** Items in whatever state, and those of them that someone uses. */
  readonly total: number
  readonly used: number
  /** All borrows. */
  readonly leases: Iterable<Lease>
  /** Since when the one waits who waits for longest; `Infinity` when nobody does. */
  readonly oldestSince: number
  /** Ends the item that has been idle for longest; answers false if there is none. */
  endIdle(): boolean
}

export class Quota {
  readonly max: number
  private total = 0
  private readonly idling = new LinkedList<Sharing>()
  private readonly starved = new Set<Sharing>()
  /** All pools that there are. */
  readonly pools = new Set<Sharing>()

  constructor(max: number) {
    this.max = max
  }

  /** Will there be room, even if nobody gives back what he has? */
  get hasPromise(): boolean {
    if (this.total < this.max) return true
    for (const { total, used } of this.pools) {
      if (used < total) return true
    }
    return false
  }

  get held(): Iterable<Lease> {
    return leasesOf(this.pools)
  }

  get isForAll(): true {
    return true
  }

  fits(_: Waiter, canNot: (lease: Held) => boolean): boolean {
    return isEnough(this.held, canNot)
  }

  /** Takes the room for one item, or sees to it that there will be some. */
  take(pool: Sharing): boolean {
    if (this.total < this.max) {
      this.total++
      this.starved.delete(pool)
      return true
    }
    if (this.starved.has(pool)) return false
    this.starved.add(pool)
    // Nothing is ended for a spare one.
    if (pool.oldestSince === Infinity) return false
    for (let other = this.idling.first; other !== undefined; other = other.next) {
      if (other !== pool && other.endIdle()) break
    }
    return false
  }

  /** An item has left. */
  give(): void {
    this.total--
    for (const pool of this.starved) {
      this.starved.delete(pool)
      pool.grow()
      if (this.total >= this.max) return
    }
  }

  /** Does somebody wait for room elsewhere who came before that? */
  isOwed(pool: Sharing, since: number): boolean {
    if (this.starved.size === 0 || this.total < this.max) return false
    for (const other of this.starved) {
      if (other.oldestSince === Infinity) this.starved.delete(other)
      else if (other !== pool && other.oldestSince < since) return true
    }
    return false
  }

  /** The pool is no more. */
  leave(pool: Sharing): void {
    this.pools.delete(pool)
    this.starved.delete(pool)
    this.isBusy(pool)
  }

  /** An item of the pool has become idle; one that somebody else waits for has to go. */
  idles(pool: Sharing): void {
    if (pool.isIdling) this.idling.remove(pool)
    pool.isIdling = true
    this.idling.append(pool)
    if (this.isOwed(pool, Infinity)) pool.endIdle()
  }

  /** The pool has no idle items any more. */
  isBusy(pool: Sharing): void {
    if (!pool.isIdling) return
    pool.isIdling = false
    this.idling.remove(pool)
  }
}

function* leasesOf(pools: Iterable<Sharing>): Generator<Lease> {
  for (const { leases } of pools) yield* leases
}
