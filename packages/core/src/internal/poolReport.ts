/**
 * What a pool says when it refuses: how it stands, why, and who has what. Owned by `ResourcePool`.
 */
import * as Cause from "effect/Cause"
import { PoolClosed, PoolOverloaded, PoolTimeout, WouldDeadlock } from "../ResourceError.ts"
import type { Holder, PoolReason } from "../ResourceError.ts"
import { inWords as cycleInWords } from "./deadlock.ts"
import type { Room, Source, Waiter } from "./deadlock.ts"
import { listed, toHolder } from "./holders.ts"
import type { Lease, Lender } from "./lease.ts"
import type { PoolConfig, Size } from "./poolOptions.ts"

/** How the pool stands, as far as a report goes. */
export interface Standing extends Source, Lender {
  readonly room: LeaseRoom
  readonly config: PoolConfig
  readonly isSuspended: boolean
  readonly used: number
  readonly total: number
  readonly creating: number
  readonly waiting: number
  readonly size: Size
  readonly creationFailure: Cause.Cause<unknown> | undefined
  /** All borrows. */
  readonly leases: Iterable<Lease>
}

interface LeaseRoom extends Room {
  readonly held: Iterable<Lease>
}

interface Holders {
  readonly holders: ReadonlyArray<Holder>
  readonly omitted?: number
}

const unchecked = { disableChecks: true }

/** Those that are told in one go are told with one list. */
export class Report {
  private readonly pool: Standing
  /** When it was made, in milliseconds since the registry was made. */
  readonly now: number
  private listedHolders: Holders | undefined = undefined
  private whyWait: PoolReason | undefined = undefined

  constructor(pool: Standing) {
    this.pool = pool
    this.now = pool.registry.elapsed()
  }

  get holders(): Holders {
    return this.listedHolders ??= this.list()
  }

  timeout(lease: Lease, phase: "wait" | "create" | "validate"): PoolTimeout {
    const { config, creationFailure } = this.pool
    return lean(() =>
      new PoolTimeout({
        ...this.standing(lease),
        phase,
        reason: this.reason(phase),
        timeout: config.acquireTimeout,
        ...(creationFailure === undefined ? undefined : { cause: inWords(creationFailure) })
      }, unchecked)
    )
  }

  overloaded(lease: Lease, reason: "maxWaiting" | "codel", waited: number): PoolOverloaded {
    return lean(() => new PoolOverloaded({ ...this.standing(lease), reason, waited }, unchecked))
  }

  deadlock(lease: Lease, cycle: ReadonlyArray<Waiter>): WouldDeadlock {
    return new WouldDeadlock({
      pool: this.pool.name,
      requestedBy: lease.place,
      cycle: cycleInWords(cycle, listed),
      ...this.holders
    }, unchecked)
  }

  private standing(lease: Lease) {
    const { name, size: { max }, total, used, waiting } = this.pool
    return { pool: name, requestedBy: lease.place, used, total, max, waiting, ...this.holders }
  }

  private reason(phase: "wait" | "create" | "validate"): PoolReason {
    const { creationFailure, isSuspended } = this.pool
    if (isSuspended) return "suspended"
    if (creationFailure !== undefined) return "creationFailing"
    if (phase === "validate") return "validationSlow"
    if (phase === "create") return "creationSlow"
    return this.whyWait ??= this.reasonToWait()
  }

  private reasonToWait(): PoolReason {
    const { config, leases } = this.pool
    let youngest = Infinity
    for (const { since } of leases) {
      const age = this.now - since
      if (age > config.overdueAfter) return "leak"
      youngest = Math.min(youngest, age)
    }
    return youngest >= config.acquireTimeout / 2 ? "slowHolders" : "backlog"
  }

  /** Who has had an item for longest comes first. */
  private list(): Holders {
    const leases = Array.from(this.pool.room.held).sort((a, b) => a.since - b.since)
    const holders = leases.slice(0, listed).map((lease) =>
      toHolder(lease.facts(), this.pool.registry.timeOf(this.now), 0)
    )
    return leases.length > listed ? { holders, omitted: leases.length - listed } : { holders }
  }
}

export const closed = (pool: Source, lease: Lease): PoolClosed =>
  lean(() => new PoolClosed({ pool: pool.name, requestedBy: lease.place }, unchecked))

/** What a creation failed with. */
export const inWords = (cause: Cause.Cause<unknown>): string => {
  try {
    return Cause.prettyErrors(cause).map((error) => `${error.name}: ${error.message}`).join("; ")
  } catch {
    return "an error that can not be printed"
  }
}

/** Where the limit is kept that engines have. */
const Stack = Error as unknown as { stackTraceLimit?: number | undefined }

/** Thousands may be told at once: where each of them was made tells nothing. */
export const lean = <A>(make: () => A): A => {
  const { stackTraceLimit } = Stack
  Stack.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Stack.stackTraceLimit = stackTraceLimit
  }
}
