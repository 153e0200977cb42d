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
  readonly callSite?: string
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
  readonly counts?: { readonly [name: string]: number }
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
