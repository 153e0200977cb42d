/**
 * What the page reads of the protocol: the fields it shows, all that came later optional, so that it opens snapshots of
 * older programs too.
 */
import type { ResourceEvent, Snapshot as Core } from "@chronovyan/core"
import type { ContentionReport, LeakReport, Protocol } from "@chronovyan/inspector"

export type Cost = { readonly [unit: string]: number }

export interface BudgetState {
  readonly unit: string
  readonly limit: number | null
  readonly used: number
  readonly highWaterMark: number
  /** `rate` refills with time, `capacity` is given back. */
  readonly kind?: string
  readonly reserved?: number
  readonly waiting?: number
  readonly oldestWait?: number
  /** A rate: how much comes back in `per` milliseconds. */
  readonly amount?: number
  readonly per?: number
}

export interface FrameState {
  readonly id: number
  readonly parent: number | null
  readonly name: string
  readonly path: string
  readonly phase: string
  readonly openedAt: number
  readonly deadline: number | null
  readonly budgets: ReadonlyArray<BudgetState>
}

export interface AllocationState {
  readonly id: number
  readonly resource: string
  readonly frameId: number
  readonly frame: string
  readonly state: string
  readonly share: boolean
  readonly orphaned: boolean
  readonly since: number
  readonly cost: Cost
  readonly fiber?: number
  /** An item of a pool: the frame of the pool. */
  readonly poolId?: number
  readonly callSite?: string
}

/** Someone who waits for an item of a pool, or for a budget. */
export interface WaiterState {
  readonly kind: string
  /** What it waits for: the name of the pool, or the unit. */
  readonly name: string
  /** The frame of the pool, or the frame whose limit it is. */
  readonly sourceId: number
  readonly resource: string
  readonly frameId: number | null
  readonly frame: string
  readonly fiber: number
  /** Its allocation, where there is one already. */
  readonly allocation?: number
  /** How many would be served before it. */
  readonly position: number
  readonly amount: number
  readonly since: number
  readonly deadline: number | null
  readonly tenant?: string
  readonly callSite?: string
}

/** A shared or persistent value. */
export interface ValueState {
  readonly frameId: number
  readonly resource: string
  readonly kind: string
  readonly state: string
  readonly users: number
  readonly turns?: { readonly readers: number; readonly writing: boolean; readonly waiting: number }
}

/** What happened in a pool so far, as far as the page tells it. */
export interface PoolCounts {
  readonly created: number
  readonly borrowed: number
  readonly timeouts: number
  readonly overloaded: number
  readonly waited: number
  readonly waitTotal: number
  readonly waitMax: number
}

export interface PoolState {
  readonly frameId: number
  readonly name: string
  readonly state: string
  readonly min: number
  readonly max: number
  readonly total: number
  readonly idle: number
  readonly used: number
  readonly creating: number
  readonly busy: number
  readonly closing: number
  readonly abandoned: number
  readonly waiting: number
  readonly oldestWait: number
  readonly counts?: PoolCounts
}

export interface ResourceState {
  readonly resource: string
  readonly kind: string
  readonly live: number
  readonly highWaterMark: number
  readonly shares: number
  readonly acquired: number
  readonly released: number
  readonly failed: number
  readonly late: number
  readonly acquireTotal: number
  readonly acquireMax: number
  readonly holdTotal: number
  readonly holdMax: number
}

export interface Snapshot {
  readonly at: number
  readonly frames: ReadonlyArray<FrameState>
  readonly allocations: ReadonlyArray<AllocationState>
  readonly pools: ReadonlyArray<PoolState>
  readonly resources: ReadonlyArray<ResourceState>
  readonly values?: ReadonlyArray<ValueState>
  readonly waiters?: ReadonlyArray<WaiterState>
  readonly waitersOmitted?: number
}

export type Info = typeof Protocol.Info.Encoded
export type Leak = typeof LeakReport.LeakReport.Encoded
export type Contention = typeof ContentionReport.ContentionReport.Encoded
export type Subject = Contention["subjects"][number]
export type Edge = Contention["waits"][number]
export type Control = Protocol.Control
export type Event = typeof ResourceEvent.ResourceEvent.Encoded

/** What core sends has all that the page reads. */
export const fromCore = (snapshot: typeof Core.Snapshot.Encoded): Snapshot => snapshot
