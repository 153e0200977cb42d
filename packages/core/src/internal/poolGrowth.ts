/**
 * When a pool makes items: as many as somebody waits for, and as its `min` asks for; one at a time after a failure, at
 * growing intervals, and two, four and so on at a time once one succeeds again. Owned by `ResourcePool`.
 */
import type * as Cause from "effect/Cause"
import type { PoolConfig, Size } from "./poolOptions.ts"
import type { Quota, Sharing } from "./poolQuota.ts"
import { Timeout } from "./timers.ts"
import type { Timers } from "./timers.ts"

export interface Growing extends Sharing {
  readonly quota: Quota | undefined
  readonly config: PoolConfig
  readonly size: Size
  readonly registry: { readonly timers: Timers; random(): number }
  /** May it make items at all? */
  readonly canGrow: boolean
  /** Items in whatever state. */
  readonly total: number
  /** Those of them that will be gone soon. */
  readonly closing: number
  /** Those who wait, but for those whom an item is being checked for. */
  readonly unserved: number
  /** Borrows there are. */
  readonly borrows: number
  /** Starts to make one, after so many failures in a row. */
  readonly stock: { create(knownFailures: number): void }
}

export class Growth {
  /** How many are being made. */
  creating = 0
  /** What the last one failed with. */
  failure: Cause.Cause<unknown> | undefined = undefined
  /** How many failed in a row; those that were under way together count as one. */
  failures = 0
  /** How many may be made at a time. */
  private window = Infinity
  private readonly pool: Growing
  private readonly retry: Timeout
  private retryAt = 0

  constructor(pool: Growing) {
    this.pool = pool
    this.retry = new Timeout(() => this.grow())
  }

  grow(): void {
    const { pool } = this
    while (this.isRoom && pool.canGrow) {
      const waitedFor = Math.ceil(pool.unserved / pool.config.concurrency) - this.creating
      if (waitedFor <= 0 && this.wantedBesides <= 0) return
      if (this.failures > 0 && !this.mayRetry(waitedFor > 0)) return
      if (pool.quota?.take(pool) === false) return
      this.creating++
      pool.stock.create(this.failures)
    }
  }

  succeeded(): void {
    this.creating--
    this.failures = 0
    this.failure = undefined
    this.window++
    if (this.window >= this.pool.size.max) this.window = Infinity
  }

  /** `known`: how many had failed when it began. */
  failed(cause: Cause.Cause<unknown>, known: number): void {
    const { backoff } = this.pool.config
    this.creating--
    this.failure = cause
    if (known < this.failures) return
    this.failures++
    this.window = 1
    const pause = Math.min(backoff.base * 2 ** Math.max(0, this.failures - 2), backoff.max)
    const { registry } = this.pool
    this.retryAt = registry.timers.now() + Math.ceil(pause * (1 - registry.random() / 5))
  }

  /** It was given up, for no fault of its own. */
  cancelled(): void {
    this.creating--
  }

  stop(): void {
    this.pool.registry.timers.cancel(this.retry)
  }

  private get isRoom(): boolean {
    return this.pool.total < this.pool.size.max && this.creating < this.window
  }

  /** What is missing when nobody waits. */
  private get wantedBesides(): number {
    const { borrows, closing, config, size, total } = this.pool
    const there = total - closing
    const forUtilization = config.targetUtilization === 1
      ? 0
      : Math.ceil(borrows / config.targetUtilization / config.concurrency)
    return Math.min(Math.max(size.min, forUtilization) - there, config.warmUp.parallelism - this.creating)
  }

  /** The first failure may be bad luck: what somebody waits for is tried again at once. */
  private mayRetry(isWaitedFor: boolean): boolean {
    const { config, registry: { timers } } = this.pool
    if (isWaitedFor && (!config.backoff.paces || this.failures < 2)) return true
    const now = timers.now()
    if (now >= this.retryAt) return true
    if (this.retry.queue !== undefined && this.retry.at === this.retryAt) return false
    timers.cancel(this.retry)
    timers.arm(this.retry, this.retryAt - now, this.retryAt)
    return false
  }
}
