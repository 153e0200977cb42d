/** What is inside what, and what all of it comes to. */
import type { AllocationState, Cost, FrameState, PoolState, Snapshot, WaiterState } from "./wire.ts"

export interface Totals {
  allocations: number
  frames: number
  /** Since when the oldest allocation inside is held. */
  oldest: number
  readonly cost: { [unit: string]: number }
}

export interface Index {
  readonly snapshot: Snapshot
  readonly roots: ReadonlyArray<FrameState>
  readonly frames: ReadonlyMap<number, FrameState>
  readonly framesIn: ReadonlyMap<number, ReadonlyArray<FrameState>>
  readonly allocationsIn: ReadonlyMap<number, ReadonlyArray<AllocationState>>
  readonly totals: ReadonlyMap<number, Totals>
  readonly pools: ReadonlyMap<number, PoolState>
  /** Those who have no allocation yet, by the frame that asks, or else that they wait at. */
  readonly waitersIn: ReadonlyMap<number, ReadonlyArray<WaiterState>>
  /** Those who have one, by its number. */
  readonly waiterOf: ReadonlyMap<number, WaiterState>
  readonly units: ReadonlyArray<string>
}

export const noTotals = (): Totals => ({ allocations: 0, frames: 0, oldest: Infinity, cost: Object.create(null) })

const addCost = (to: { [unit: string]: number }, cost: Cost): void => {
  for (const unit in cost) to[unit] = (to[unit] ?? 0) + cost[unit]!
}

export const addTotals = (to: Totals, more: Totals): void => {
  to.allocations += more.allocations
  to.frames += more.frames
  to.oldest = Math.min(to.oldest, more.oldest)
  addCost(to.cost, more.cost)
}

export const addAllocation = (to: Totals, { cost, since }: AllocationState): void => {
  to.allocations++
  to.oldest = Math.min(to.oldest, since)
  addCost(to.cost, cost)
}

export const put = <K, V>(map: Map<K, Array<V>>, key: K, value: V): void => {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

const waiterHome = (frames: ReadonlyMap<number, FrameState>, { frameId, sourceId }: WaiterState): number | undefined =>
  [frameId, sourceId].find((id): id is number => id !== null && frames.has(id))

export const index = (snapshot: Snapshot): Index => {
  const frames = new Map<number, FrameState>()
  const framesIn = new Map<number, Array<FrameState>>()
  const allocationsIn = new Map<number, Array<AllocationState>>()
  const totals = new Map<number, Totals>()
  const roots: Array<FrameState> = []
  const units = new Set<string>()
  for (const frame of snapshot.frames) frames.set(frame.id, frame)
  for (const frame of snapshot.frames) {
    totals.set(frame.id, noTotals())
    if (frame.parent === null || !frames.has(frame.parent)) roots.push(frame)
    else put(framesIn, frame.parent, frame)
    for (const { unit } of frame.budgets) units.add(unit)
  }
  const manager = roots[0]?.id
  for (const allocation of snapshot.allocations) {
    for (const unit in allocation.cost) units.add(unit)
    // What has outlived its frame stands with the manager.
    const home = allocation.orphaned || !frames.has(allocation.frameId) ? manager : allocation.frameId
    if (home === undefined) continue
    put(allocationsIn, home, allocation)
    addAllocation(totals.get(home)!, allocation)
  }
  // Outer frames come before those inside, so backwards each is complete when it is added.
  for (let at = snapshot.frames.length - 1; at >= 0; at--) {
    const { id, parent } = snapshot.frames[at]!
    const outer = parent === null ? undefined : totals.get(parent)
    if (outer === undefined) continue
    addTotals(outer, totals.get(id)!)
    outer.frames++
  }
  const pools = new Map(snapshot.pools.map((pool) => [pool.frameId, pool]))
  const waitersIn = new Map<number, Array<WaiterState>>()
  const waiterOf = new Map<number, WaiterState>()
  for (const waiter of snapshot.waiters ?? []) {
    if (waiter.allocation !== undefined) waiterOf.set(waiter.allocation, waiter)
    else put(waitersIn, waiterHome(frames, waiter) ?? manager ?? 0, waiter)
  }
  const all = [...units].sort()
  return { snapshot, roots, frames, framesIn, allocationsIn, totals, pools, waitersIn, waiterOf, units: all }
}
