/**
 * The items of a pool: made, looked after, and ended. Owned by `ResourcePool`.
 *
 * Invariant: an item is in `items` from before it is made until its release has ended, or it has been left behind.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { runAside } from "./aside.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import type { Lease } from "./lease.ts"
import { LinkedList } from "./list.ts"
import { Item } from "./poolItem.ts"
import type { Life } from "./poolItem.ts"
import type { PoolConfig } from "./poolOptions.ts"
import type { Quota, Sharing } from "./poolQuota.ts"
import type { Counts } from "./poolStats.ts"
import type { Registry } from "./registry.ts"

/** What items are made with. */
export interface Making {
  readonly definition: Definition
  readonly params: unknown
  /** The frame of the pool, which owns the items. */
  readonly frame: Frame
  readonly life: Life
  /** What acquisitions and hooks run in. */
  readonly context: Context.Context<never>
}

/** Who is told what becomes of the items. */
export interface Keeper extends Sharing {
  readonly quota: Quota | undefined
  readonly config: PoolConfig
  readonly registry: Registry
  readonly counts: Counts
  /** An item has been made. */
  arrived(item: Item, now: number): void
  /** One could not be made; `undefined`: nobody is to blame. */
  notMade(item: Item, failure: Exit.Failure<unknown, unknown> | undefined, isTold: boolean): void
  /** An item can be lent again; `isProven`: it is known to be good. */
  free(item: Item, now: number, isProven: boolean): void
  /** An item has left. */
  left(): void
}

export class Stock {
  /** Those that can be lent: the first one has been so for longest. */
  readonly idle = new LinkedList<Item>()
  readonly items = new Set<Item>()
  closing = 0
  /** Items that are being reset or checked. */
  busy = 0
  /** Those that were left behind. */
  abandoned = 0
  /** Those that are released though their place was given away. */
  private readonly leaving = new Set<Item>()
  private isLetGo = false
  private readonly keeper: Keeper
  private readonly making: Making

  constructor(keeper: Keeper, making: Making) {
    this.keeper = keeper
    this.making = making
  }

  /** What is lent next. */
  get next(): Item | undefined {
    return this.keeper.config.order === "fifo" ? this.idle.first : this.idle.last
  }

  /** Of those that nobody uses. */
  get longestIdle(): Item | undefined {
    let item = this.idle.first
    while (item !== undefined && item.users > 0) item = item.next
    return item
  }

  *leases(): Generator<Lease> {
    for (const item of this.items) yield* item.leases
  }

  /** The last one is the warmest; one that was never used goes to the other end. */
  list(item: Item): void {
    if (item.isIdle) return
    item.isIdle = true
    this.idle.insertAfter(this.colderThan(item), item)
  }

  /** The item that it comes after. One that was only looked at goes back to where it was. */
  private colderThan(item: Item): Item | undefined {
    if (item.uses === 0 && this.keeper.config.order === "lifo") return undefined
    let before = this.idle.last
    if (item.users > 0) return before
    while (before !== undefined && before.idleSince > item.idleSince) before = before.previous
    return before
  }

  unlist(item: Item): void {
    if (!item.isIdle) return
    item.isIdle = false
    this.idle.remove(item)
    if (this.idle.first === undefined) this.keeper.quota?.isBusy(this.keeper)
  }

  private forget(item: Item): void {
    this.items.delete(item)
    this.keeper.quota?.give()
  }

  // Making items.

  create(knownFailures: number): void {
    const { config, counts, registry } = this.keeper
    const { context, definition, frame, life, params } = this.making
    const item = new Item(knownFailures)
    const since = registry.elapsed()
    this.items.add(item)
    if (this.items.size > counts.totalHighWaterMark) counts.totalHighWaterMark = this.items.size
    item.aside = runAside(item.create(life, frame, definition, params), {
      context,
      timers: registry.timers,
      limit: config.createTimeout,
      done: (exit) => {
        if (exit === undefined) this.hangs(item)
        else if (item.state === "abandoned") this.arrivedLate(item)
        else if (Exit.isSuccess(exit)) this.arrived(item, since)
        else this.failed(item, exit)
      },
      late: () => this.arrivedLate(item)
    })
  }

  private arrived(item: Item, since: number): void {
    const { config, counts, registry } = this.keeper
    const now = registry.elapsed()
    const took = now - since
    counts.created++
    counts.createTotal += took
    if (took > counts.createMax) counts.createMax = took
    item.state = "ready"
    item.checkedAt = item.idleSince = now
    item.expiresAt = now + Math.ceil(config.maxLifetime * (1 - config.lifetimeJitter * registry.random()))
    this.keeper.arrived(item, now)
  }

  private failed(item: Item, exit: Exit.Failure<unknown, unknown>): void {
    item.state = "gone"
    this.forget(item)
    this.endLife(item)
    // One that interrupts itself has failed.
    const isCancelled = item.isRetired && Cause.hasInterruptsOnly(exit.cause)
    if (!isCancelled) this.keeper.counts.createFailed++
    this.keeper.notMade(item, isCancelled ? undefined : exit, true)
  }

  private hangs(item: Item): void {
    if (item.state === "abandoned") return
    const { config, counts } = this.keeper
    counts.createFailed++
    this.abandon(item)
    const error = new Error(`it did not end within ${config.createTimeout} ms`)
    this.keeper.notMade(item, Exit.fail(error) as Exit.Failure<never, Error>, false)
  }

  /** Its place was given away: it is left behind until it has been released. */
  private arrivedLate(item: Item): void {
    item.state = "gone"
    this.endLife(item, () => {
      this.abandoned--
    })
  }

  private abandon(item: Item): void {
    item.state = "abandoned"
    this.forget(item)
    this.abandoned++
  }

  /** What is still under way goes on without a limit, so that no timer outlives the pool. */
  letGo(): void {
    this.isLetGo = true
    for (const item of [...this.items, ...this.leaving]) item.aside?.letGo()
  }

  /** Stops making an item; answers false when that was not under way. */
  cancel(item: Item): boolean {
    if (item.state !== "creating") return false
    this.abandon(item)
    item.aside?.stop()
    return true
  }

  // Ending them.

  /** Ends the life of an item that is out of the books. */
  private endLife(item: Item, ended?: () => void): void {
    const { config: { releaseTimeout }, registry: { timers } } = this.keeper
    this.leaving.add(item)
    item.aside = runAside(item.end(this.making.life), {
      context: this.making.context,
      timers,
      limit: this.isLetGo ? Infinity : releaseTimeout,
      done: (exit) => {
        this.leaving.delete(item)
        if (exit === undefined) return this.warnOfRelease()
        if (Exit.isFailure(exit)) {
          timers.report("The release of an item died", exit.cause as Cause.Cause<never>)
        }
        ended?.()
      },
      late: () => ended?.()
    })
  }

  private warnOfRelease(): void {
    const { config: { name, releaseTimeout }, registry: { timers } } = this.keeper
    timers.warn(`A release of the pool "${name}" takes longer than ${releaseTimeout} ms`)
  }

  end(item: Item): void {
    const { config, counts, registry } = this.keeper
    this.unlist(item)
    const wasBusy = item.state === "busy"
    item.state = "closing"
    this.closing++
    if (wasBusy) {
      this.busy--
      item.aside?.stop()
    }
    item.aside = runAside(item.end(this.making.life), {
      context: this.making.context,
      timers: registry.timers,
      limit: config.releaseTimeout,
      done: (exit) => {
        this.closing--
        if (exit === undefined) {
          this.abandon(item)
          this.warnOfRelease()
        } else {
          item.state = "gone"
          this.forget(item)
          counts.closed++
        }
        for (const tell of item.onGone) tell()
        this.keeper.left()
      },
      late: () => {
        this.abandoned--
        counts.closed++
      }
    })
  }

  /**
   * Lends these to nobody any more: ends those that nobody uses; others end when they come back, or when they arrive.
   */
  retire(items: Iterable<Item>): void {
    for (const item of Array.from(items)) {
      item.isRetired = true
      this.unlist(item)
      if (item.state === "ready" && item.users === 0) this.end(item)
    }
  }

  /** Retires these, and waits for those that nobody uses. */
  retireNow(items: Iterable<Item>): Effect.Effect<void> {
    const retired = Array.from(items)
    this.retire(retired)
    const closing = retired.filter(({ state }) => state === "closing")
    return Effect.forEach(closing, gone, { discard: true })
  }

  // What is done to them between two borrows.

  reset(item: Item): void {
    const { config, counts, registry } = this.keeper
    this.occupy(item, config.reset!, config.resetTimeout, (exit, isEnded) => {
      if (isEnded) return
      if (exit !== undefined && Exit.isSuccess(exit)) return this.keeper.free(item, registry.elapsed(), false)
      counts.resetFailed++
      this.end(item)
    })
  }

  keepAlive(item: Item): void {
    this.check(item, this.keeper.config.validateTimeout, (isGood) => {
      if (isGood) this.keeper.free(item, this.keeper.registry.elapsed(), true)
    })
  }

  /** One that is not good is ended. */
  check(item: Item, limit: number, done: (isGood: boolean) => void): void {
    const { config, counts, registry } = this.keeper
    this.occupy(item, config.validate!, limit, (exit, isEnded) => {
      if (isEnded) return done(false)
      const isGood = exit !== undefined && Exit.isSuccess(exit) && exit.value !== false
      if (isGood) {
        item.checkedAt = registry.elapsed()
        item.isInDoubt = false
      } else counts.validateFailed++
      if (isGood && !item.isRetired) return done(true)
      item.isRetired = true
      done(false)
      this.end(item)
    })
  }

  private occupy(
    item: Item,
    hook: (value: unknown) => Effect.Effect<unknown, unknown, any>,
    limit: number,
    done: (exit: Exit.Exit<unknown, unknown> | undefined, isEnded: boolean) => void
  ): void {
    this.unlist(item)
    item.state = "busy"
    this.busy++
    const once = Effect.scoped(Effect.suspend(() => hook(item.value) as Effect.Effect<unknown, unknown>))
    item.aside = runAside(once, {
      context: this.making.context,
      timers: this.keeper.registry.timers,
      limit,
      done: (exit) => {
        // The end of the pool may not have waited for it.
        const isEnded = item.state !== "busy"
        if (!isEnded) {
          this.busy--
          item.state = "ready"
        }
        done(exit, isEnded)
      }
    })
  }
}

/** Waits until the item has been released, or left behind. */
const gone = (item: Item): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (item.state !== "closing") return resume(Effect.void)
    item.onGone.push(() => resume(Effect.void))
  })
