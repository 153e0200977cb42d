/**
 * What pools have counted, by name: also those that have closed meanwhile, so that no counter falls. Owned by `Metrics`.
 */
import type { PoolCounts, Snapshot } from "@chronovyan/core/Snapshot"

/** What adds up. */
const summed = [
  "created",
  "createFailed",
  "closed",
  "validateFailed",
  "resetFailed",
  "borrowed",
  "returned",
  "timeouts",
  "overloaded",
  "refused",
  "deadlocks",
  "cancelled",
  "overdue",
  "createTotal",
  "waited",
  "waitTotal",
  "useTotal"
] as const satisfies ReadonlyArray<keyof PoolCounts>

/** What does not. */
const maxima = ["createMax", "waitMax", "useMax"] as const satisfies ReadonlyArray<keyof PoolCounts>

export type Totals = Record<(typeof summed)[number] | (typeof maxima)[number], number>

const none = Object.fromEntries([...summed, ...maxima].map((key) => [key, 0])) as Totals

const add = (to: Totals, counts: Totals): void => {
  for (const key of summed) to[key] += counts[key]
  for (const key of maxima) to[key] = Math.max(to[key], counts[key])
}

/** Pools of keys have a frame together, which has their name without the key. */
export const poolNames = ({ frames, pools }: Pick<Snapshot, "frames" | "pools">): ReadonlyMap<number, string> => {
  const frameOf = new Map(frames.map((frame) => [frame.id, frame]))
  return new Map(pools.map(({ frameId, name }) => {
    const around = frameOf.get(frameOf.get(frameId)?.parent ?? -1)?.name
    const isOfKey = around !== undefined && name.startsWith(`${around}(`) && name.endsWith(")")
    return [frameId, isOfKey ? around : name]
  }))
}

export class PoolTotals {
  /** By pool, what it had counted when it was seen last. */
  private seen = new Map<number, { readonly name: string; readonly counts: Totals }>()
  /** By name, what those had counted that have closed. */
  private readonly ended = new Map<string, Totals>()

  look(snapshot: Snapshot, named: (frameId: number) => string): ReadonlyMap<string, Totals> {
    const seen: typeof this.seen = new Map()
    for (const { counts, frameId } of snapshot.pools) {
      if (counts !== undefined) seen.set(frameId, { name: named(frameId), counts })
    }
    for (const [frameId, { counts, name }] of this.seen) {
      if (!seen.has(frameId)) this.count(this.ended, name, counts)
    }
    this.seen = seen
    const totals = new Map(Array.from(this.ended, ([name, counts]) => [name, { ...counts }]))
    for (const { counts, name } of seen.values()) this.count(totals, name, counts)
    return totals
  }

  private count(into: Map<string, Totals>, name: string, counts: Totals): void {
    let totals = into.get(name)
    if (totals === undefined) into.set(name, totals = { ...none })
    add(totals, counts)
  }
}
