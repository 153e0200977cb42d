/**
 * Counters by definition: O(1) per fact, no clock of their own. Owned by the registry.
 */
import type { Recent } from "./recent.ts"

export class Statistics {
  readonly resource: string
  readonly kind: "temporal" | "persistent" | "shared" | "pool"
  /** Values that exist. */
  live = 0
  highWaterMark = 0
  acquired = 0
  failed = 0
  released = 0
  late = 0
  /** Refused early, since their frames had too little time left. */
  refused = 0
  /** Uses of shared and persistent values by frames, now. */
  shares = 0
  acquireTotal = 0
  acquireMax = 0
  holdTotal = 0
  holdMax = 0
  /** How long acquisitions took of late; there from when somebody asks. */
  recent: Recent | undefined = undefined

  constructor(resource: string, kind: "temporal" | "persistent" | "shared" | "pool") {
    this.resource = resource
    this.kind = kind
  }

  onAcquired(took: number): void {
    this.acquired++
    this.acquireTotal += took
    if (took > this.acquireMax) this.acquireMax = took
    if (++this.live > this.highWaterMark) this.highWaterMark = this.live
  }

  onReleased(held: number): void {
    this.live--
    this.onReturned(held)
  }

  onReturned(held: number): void {
    this.released++
    this.holdTotal += held
    if (held > this.holdMax) this.holdMax = held
  }

  /** To a pool that has ended. */
  onShareReturned(held: number): void {
    this.shares--
    this.onReturned(held)
  }

  /** What was borrowed from a pool of that name. */
  add({ borrowed, borrows, refused, returned, useMax, useTotal, waitMax, waitTotal }: Borrowing): void {
    this.acquired += borrowed
    this.released += returned
    this.shares += borrows
    this.refused += refused
    this.acquireTotal += waitTotal
    this.acquireMax = Math.max(this.acquireMax, waitMax)
    this.holdTotal += useTotal
    this.holdMax = Math.max(this.holdMax, useMax)
  }
}

/** How much was borrowed from a pool so far, and how much is. */
export interface Borrowing {
  readonly borrows: number
  readonly borrowed: number
  readonly returned: number
  readonly refused: number
  readonly waitTotal: number
  readonly waitMax: number
  readonly useTotal: number
  readonly useMax: number
}
