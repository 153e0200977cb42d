/**
 * Those who wait for an item of a pool: who may, for how long, and who is next. Owned by `ResourcePool`.
 *
 * One timeout for the pool, armed only while somebody waits: all wait for equally long, so they leave in the order in
 * which they came.
 */
import * as Exit from "effect/Exit"
import { CoDel } from "./codel.ts"
import * as deadlock from "./deadlock.ts"
import * as states from "./lease.ts"
import { never } from "./lease.ts"
import type { Lease } from "./lease.ts"
import { closed, Report } from "./poolReport.ts"
import type { Counts } from "./poolStats.ts"
import { refuseBorrower, waitedInVain } from "./poolWait.ts"
import type { Waited } from "./poolWait.ts"
import { Queue } from "./queue.ts"
import { Timeout } from "./timers.ts"
import { resume, resumeAll } from "./trampoline.ts"

/** What an infinite ageing comes to, in milliseconds: some thirty years, that can still be multiplied. */
const longest = 1e12

/** How long a list of holders may be told for, in milliseconds. */
const freshFor = 10

/** How many are told of their timeout before others get their turn. */
const slice = 256

/** The pool that they wait for. */
export interface Admitting extends Waited {
  readonly counts: Counts
  /** Makes items for those who wait, if it can. */
  grow(): void
  /** Somebody has left the queue without an item, for instance. */
  changed(): void
}

export class Admission {
  readonly queue: Queue<Lease>
  /** Those who wait for an item to be checked. */
  readonly checking = new Set<Lease>()
  private readonly pool: Admitting
  private readonly codel: CoDel | undefined
  private readonly timeout: Timeout
  private lastReport: Report | undefined = undefined

  constructor(pool: Admitting) {
    const { codel, priorityAgeing } = pool.config
    this.pool = pool
    this.queue = new Queue(Math.min(priorityAgeing, longest))
    this.codel = codel === undefined ? undefined : new CoDel(codel)
    this.timeout = new Timeout(() => this.expire())
  }

  /** Starts the time that a borrower has, unless it has started already. */
  start(lease: Lease): void {
    if (lease.deadline >= 0) return
    const { config: { acquireTimeout }, registry } = this.pool
    lease.since = registry.elapsed()
    lease.deadline = acquireTimeout === Infinity ? never : Math.ceil(registry.monotonicAt(lease.since) + acquireTimeout)
  }

  /** Lets a borrower wait, or refuses it; one that has waited already goes first. */
  wait(lease: Lease): void {
    const { pool, queue } = this
    const { config, counts, registry } = pool
    const hasWaited = lease.deadline >= 0
    this.start(lease)
    lease.state = states.waiting
    const { priority } = pool.placeIn(lease.fiber.context)
    if (hasWaited) queue.addAgain(lease, priority)
    else queue.add(lease, priority)
    const wasCreating = pool.creating
    pool.grow()
    // An item may have been made at once.
    if (lease.state !== states.waiting) return
    const refused = this.refusalOf(lease, hasWaited, wasCreating)
    if (refused !== undefined) {
      this.remove(lease)
      lease.refuse(Exit.fail(refused))
      return pool.changed()
    }
    if (queue.length > counts.waitingHighWaterMark) counts.waitingHighWaterMark = queue.length
    if (lease.deadline !== never && (this.timeout.queue === undefined || lease.deadline < this.timeout.at)) {
      registry.timers.cancel(this.timeout)
      registry.timers.arm(this.timeout, config.acquireTimeout, lease.deadline)
    }
  }

  /** A borrower did not have to wait. */
  passed(now: number): void {
    this.codel?.sheds(0, now)
  }

  /** A borrower waits for a check, and no longer than for anything else. */
  beginCheck(lease: Lease): void {
    const { timers } = this.pool.registry
    this.start(lease)
    this.checking.add(lease)
    lease.state = states.checking
    if (lease.deadline - timers.now() >= this.pool.config.validateTimeout) return
    lease.timeout = new Timeout(() => {
      this.pool.counts.timeouts++
      this.endCheck(lease)
      this.refuse(lease, new Report(this.pool).timeout(lease, "validate"))
      this.pool.changed()
    })
    timers.arm(lease.timeout, this.pool.config.acquireTimeout, lease.deadline)
  }

  /** The check is over, or nobody waits for it any more: the borrower may try again. */
  endCheck(lease: Lease): void {
    lease.state = states.fresh
    this.checking.delete(lease)
    if (lease.timeout !== undefined) this.pool.registry.timers.cancel(lease.timeout)
  }

  /** Those who are refused at about the same time are told of the same holders. */
  private report(): Report {
    const { lastReport, pool } = this
    if (lastReport !== undefined && pool.registry.elapsed() - lastReport.now < freshFor) return lastReport
    return this.lastReport = new Report(pool)
  }

  private refusalOf(lease: Lease, hasWaited: boolean, wasCreating: number): unknown {
    const { pool } = this
    if (!hasWaited && this.queue.length - pool.creating * pool.config.concurrency > pool.config.maxWaiting) {
      pool.counts.overloaded++
      return this.report().overloaded(lease, "maxWaiting", 0)
    }
    const deadlock = this.deadlockOf(lease)
    if (deadlock !== undefined || hasWaited) return deadlock
    return refuseBorrower(lease, pool, this.queue, wasCreating, () => this.report())
  }

  private deadlockOf(lease: Lease): unknown {
    const { pool } = this
    const cycle = deadlock.wouldDeadlock(lease)
    if (cycle === undefined) return undefined
    pool.counts.deadlocks++
    return new Report(pool).deadlock(lease, cycle)
  }

  breakCircle(lease: Lease, cycle: ReadonlyArray<deadlock.Waiter>): void {
    const { pool } = this
    pool.counts.deadlocks++
    const error = new Report(pool).deadlock(lease, cycle)
    this.remove(lease)
    this.refuse(lease, error)
    pool.changed()
  }

  /** There is less hope than there was: refuses those who would wait for ever from now on. */
  review(): void {
    const told: Array<Lease> = []
    for (const lease of Array.from(this.queue)) {
      const refused = this.deadlockOf(lease)
      if (refused === undefined) continue
      this.remove(lease)
      lease.refuse(Exit.fail(refused))
      told.push(lease)
    }
    resumeAll(told)
  }

  /** Lets a borrower go that does not wait any longer. */
  leave(lease: Lease): void {
    const { pool, queue } = this
    pool.counts.cancelled++
    if (lease.state === states.waiting) {
      waitedInVain(pool, queue)
      this.remove(lease)
    } else this.endCheck(lease)
    pool.changed()
  }

  /** Takes a borrower out of the queue. */
  remove(lease: Lease): void {
    this.queue.remove(lease)
    deadlock.leave(lease)
    if (this.queue.length === 0) this.pool.registry.timers.cancel(this.timeout)
  }

  /** Takes out who is served next. */
  take(): Lease | undefined {
    const lease = this.queue.first
    if (lease !== undefined) this.remove(lease)
    return lease
  }

  /** Takes out who is served next; sheds those who have waited too long, and adds them to those to be told. */
  next(now: number, told: Array<Lease>): Lease | undefined {
    const { codel, pool, queue } = this
    if (codel === undefined) return this.take()
    for (let lease = queue.first; lease !== undefined && codel.sheds(now - lease.since, now); lease = queue.first) {
      pool.counts.overloaded++
      const error = this.report().overloaded(lease, "codel", now - lease.since)
      this.remove(lease)
      lease.refuse(Exit.fail(error))
      told.push(lease)
    }
    return this.take()
  }

  /** The first one hears of a failure, or all of them at once. */
  tellFailure(exit: Exit.Exit<never, unknown>, isForAll: boolean): void {
    this.tell(() => exit, isForAll ? Infinity : 1)
  }

  /** Nobody will be served any more. */
  tellClosed(): void {
    this.tell((lease) => Exit.fail(closed(this.pool, lease)), Infinity)
    for (const lease of Array.from(this.checking)) {
      this.endCheck(lease)
      this.refuse(lease, closed(this.pool, lease))
    }
  }

  private tell(answer: (lease: Lease) => Exit.Exit<never, unknown>, most: number): void {
    const told: Array<Lease> = []
    for (let lease = this.queue.first; lease !== undefined && told.length < most; lease = this.queue.first) {
      this.remove(lease)
      lease.refuse(answer(lease))
      told.push(lease)
    }
    // Whoever is told may come back at once: by then all have left.
    resumeAll(told)
  }

  refuse(lease: Lease, error: unknown): void {
    lease.refuse(Exit.fail(error))
    resume(lease)
  }

  private expire(): void {
    const { pool, queue } = this
    const { timers } = pool.registry
    const report = new Report(pool)
    const now = timers.now()
    const phase = pool.creating > 0 || pool.creationFailure !== undefined ? "create" : "wait"
    const told: Array<Lease> = []
    while (told.length < slice) {
      const lease = queue.nextToLeave
      if (lease === undefined || lease.deadline > now) break
      pool.counts.timeouts++
      waitedInVain(pool, queue)
      const error = report.timeout(lease, phase)
      this.remove(lease)
      lease.refuse(Exit.fail(error))
      told.push(lease)
    }
    const next = queue.nextToLeave
    if (next !== undefined && next.deadline !== never && this.timeout.queue === undefined) {
      // Those that are due already get the turn after this one.
      timers.arm(this.timeout, pool.config.acquireTimeout, Math.max(next.deadline, timers.now()))
    }
    // Whoever is told may wait again at once.
    resumeAll(told)
    pool.changed()
  }
}
