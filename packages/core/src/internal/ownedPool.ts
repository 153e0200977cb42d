/**
 * What the owner of a pool does with it: resize, suspend, retire, drain and end it, and ask how it stands. Owned by
 * `ResourcePool`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Holder } from "../ResourceError.ts"
import type { PoolStanding } from "./frame.ts"
import type { WaiterFacts } from "./ledger.ts"
import { Pool } from "./pool.ts"
import type { Size } from "./poolOptions.ts"
import { inWords } from "./poolReport.ts"
import type { Stats } from "./poolStats.ts"
import { closeFrame } from "./run.ts"
import type { Borrowing } from "./statistics.ts"

/** How a pool ends. */
export interface PoolEnding {
  /** Who still held something when the time was over. */
  readonly holders: ReadonlyArray<Holder>
  /** It has to end within that many milliseconds. */
  shorten(limit: number): void
}

/** A pool with the frame that it ends with. */
export class OwnedPool extends Pool {
  ending: PoolEnding | undefined = undefined

  /** What takes its place when it has ended ahead of those that it belongs to. */
  successor: (() => OwnedPool) | undefined = undefined

  get pool(): this {
    return this
  }

  override get lender(): Pool {
    return this.phase === "open" || this.successor === undefined ? this : this.successor()
  }

  /** How many wait, be it for a check. */
  get awaited(): number {
    return this.waiting + this.admission.checking.size
  }

  invalidate(value: unknown): Effect.Effect<void> {
    for (const item of this.stock.items) {
      if (item.value === value && (item.state === "ready" || item.state === "busy")) return this.stock.retireNow([item])
    }
    return Effect.void
  }

  retireAll(): Effect.Effect<void> {
    return this.stock.retireNow(this.stock.items)
  }

  resize(size: Size): void {
    this.mayExceed = true
    this.size = size
    for (let item = this.stock.idle.first; item !== undefined;) {
      const { next } = item
      if (this.total - this.closing <= size.max) break
      if (item.users === 0) this.stock.end(item)
      item = next
    }
    this.care.review()
    this.growth.grow()
    this.admission.review()
  }

  suspend(): void {
    this.isSuspended = this.phase === "open"
  }

  resume(): void {
    this.isSuspended = false
    this.serveWaiting()
    this.growth.grow()
    this.admission.review()
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
    // What is in no frame would be out of sight from now on.
    for (let stray = this.strays.first; stray !== undefined; stray = this.strays.first) this.frame.adopt(stray)
    this.registry.statisticsOf(this).add(this.borrowing())
  }

  reportHolders(holders: ReadonlyArray<Holder>): void {
    const who = holders.map(({ age, frame }) => `\n  - ${frame}, for ${age} ms`).join("")
    this.registry.timers.warn(`The pool "${this.name}" is closed while items of it are in use:${who}`)
  }

  /** Ends it ahead of its scope, beginning now, and answers who still held something. */
  end(serveWaiting: boolean, limit: number | undefined): Effect.Effect<ReadonlyArray<Holder>> {
    const ending = this.ending!
    if (limit !== undefined) ending.shorten(limit)
    if (this.phase === "open" && serveWaiting) this.drain()
    else if (this.phase === "draining" && !serveWaiting) this.shut()
    return Effect.map(closeFrame(this.frame, Exit.void) ?? Exit.void, () => ending.holders)
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

  /** Those who wait for a check would be served next. */
  tell(most: number): ReadonlyArray<WaiterFacts> {
    const { admission, queue } = this
    return [...admission.checking, ...queue.inOrder(most)].slice(0, most).map((lease) => lease.toldOf)
  }

  /** What nobody has got, yet or ever, was not borrowed, as events tell it. */
  borrowing(): Borrowing {
    const { borrows, counts, unused } = this
    let open = 0
    for (const { isTaken } of this.leases) if (!isTaken) open++
    return {
      ...counts,
      borrows: borrows - open,
      borrowed: counts.borrowed - open - unused,
      returned: counts.returned - unused
    }
  }

  override toJSON() {
    return { _id: "ResourcePool", ...this.standing(), name: this.name, kind: this.kind }
  }
}
