/**
 * Pools, limited units and shared values in one snapshot, with who holds them and who waits. Owned by `Contention`.
 */
import type { AllocationState, FrameState, PoolState, Snapshot, WaiterState } from "@chronovyan/core/Snapshot"
import { kindOfPath } from "./standing.ts"

export interface SubjectNow {
  readonly key: string
  readonly kind: "pool" | "budget" | "shared"
  readonly name: string
  readonly frame?: string
  readonly limit: number | null
  readonly used: number
  waiting: number
  readonly pool?: PoolState
  readonly holders: Array<AllocationState>
  readonly waiters: Array<WaiterState>
}

/** Where somebody holds: the place in the program, or when that is not known the kind of frame. */
export const siteOf = ({ callSite, frame }: { readonly callSite?: string; readonly frame: string }): string =>
  callSite ?? kindOfPath(frame)

export const subjectsIn = (snapshot: Snapshot): ReadonlyMap<string, SubjectNow> => {
  const subjects = new Map<string, SubjectNow>()
  const bySource = new Map<string, SubjectNow>()
  for (const pool of snapshot.pools) {
    const { frameId, max, name, used, waiting } = pool
    const key = `pool ${name} ${frameId}`
    const subject: SubjectNow = { key, kind: "pool", name, limit: max, used, waiting, pool, holders: [], waiters: [] }
    subjects.set(key, subject)
    bySource.set(`pool ${frameId}`, subject)
  }
  addBudgets(snapshot.frames, subjects, bySource)
  addValues(snapshot, subjects)
  addHolders(snapshot, subjects, bySource)
  for (const waiter of snapshot.waiters) {
    const { kind, name, sourceId } = waiter
    bySource.get(kind === "pool" ? `pool ${sourceId}` : `budget ${sourceId} ${name}`)?.waiters.push(waiter)
  }
  return subjects
}

/** Frames of one kind are told of as one, by the one of which most is wanted. */
const addBudgets = (
  frames: ReadonlyArray<FrameState>,
  subjects: Map<string, SubjectNow>,
  bySource: Map<string, SubjectNow>
): void => {
  for (const { budgets, id, path } of frames) {
    for (const { limit, unit, used, waiting } of budgets) {
      if (limit === null) continue
      const key = `budget ${unit} ${kindOfPath(path)}`
      const known = subjects.get(key)
      const total = waiting + (known?.waiting ?? 0)
      if (known !== undefined && used / limit <= known.used / known.limit!) {
        known.waiting = total
        bySource.set(`budget ${id} ${unit}`, known)
        continue
      }
      const subject: SubjectNow = {
        key,
        kind: "budget",
        name: unit,
        frame: path,
        limit,
        used,
        waiting: total,
        holders: known?.holders ?? [],
        waiters: known?.waiters ?? []
      }
      subjects.set(key, subject)
      bySource.set(`budget ${id} ${unit}`, subject)
    }
  }
}

/** Of one definition, whatever the params: who waits is who waits for a turn, or for the value to be there. */
const addValues = ({ values }: Snapshot, subjects: Map<string, SubjectNow>): void => {
  for (const { resource, state, turns, users } of values) {
    const key = `shared ${resource}`
    const known = subjects.get(key)
    const waiting = state === "acquiring" ? users : turns?.waiting ?? 0
    subjects.set(key, {
      key,
      kind: "shared",
      name: resource,
      limit: null,
      used: (known?.used ?? 0) + (turns === undefined ? users : turns.readers + (turns.writing ? 1 : 0)),
      waiting: (known?.waiting ?? 0) + waiting,
      holders: [],
      waiters: []
    })
  }
}

const addHolders = (
  { allocations, frames }: Snapshot,
  subjects: ReadonlyMap<string, SubjectNow>,
  bySource: ReadonlyMap<string, SubjectNow>
): void => {
  const parents = new Map(frames.map(({ id, parent }) => [id, parent]))
  const names = new Map<string, SubjectNow>()
  for (const subject of subjects.values()) if (subject.kind === "pool") names.set(subject.name, subject)
  for (const allocation of allocations) {
    const { cost, frameId, poolId, resource, share, state } = allocation
    if (state !== "live" && state !== "releasing") continue
    if (share) {
      const subject = poolId === undefined ? names.get(resource) : bySource.get(`pool ${poolId}`)
      if (subject !== undefined) subject.holders.push(allocation)
      else subjects.get(`shared ${resource}`)?.holders.push(allocation)
    }
    for (const unit in cost) {
      for (
        let frame: number | null | undefined = frameId;
        frame !== null && frame !== undefined;
        frame = parents.get(frame)
      ) {
        const holders = bySource.get(`budget ${frame} ${unit}`)?.holders
        if (holders !== undefined && holders.at(-1) !== allocation) holders.push(allocation)
      }
    }
  }
}
