/** How pools, budgets and definitions stood over the last minutes: one point for each snapshot. */
import type { BudgetState, FrameState, Snapshot } from "./wire.ts"

/** Ten minutes at one snapshot a second. */
const length = 600

/** Columns that grow together: times in seconds, as uPlot wants them. */
export class Track {
  readonly times: Array<number> = []
  readonly columns: ReadonlyArray<Array<number>>
  seen = 0

  constructor(width: number) {
    this.columns = Array.from({ length: width }, () => [])
  }

  push(at: number, values: ReadonlyArray<number>): void {
    if (this.times.at(-1) === at) return
    this.times.push(at)
    this.columns.forEach((column, index) => column.push(values[index] ?? 0))
    if (this.times.length > length) {
      this.times.splice(0, this.times.length - length)
      for (const column of this.columns) column.splice(0, column.length - length)
    }
  }
}

/** The budgets for one unit of all open frames of one path, together. */
export interface BudgetGroup {
  readonly key: string
  readonly path: string
  readonly unit: string
  readonly kind: string | undefined
  readonly frames: number
  /** `null` when one of them has no limit. */
  readonly limit: number | null
  readonly used: number
  readonly highWaterMark: number
  readonly reserved: number
  readonly waiting: number
  readonly oldestWait: number
  /** What comes back over time, in words of the budget: an amount each so many milliseconds. */
  readonly rate: { readonly amount: number; readonly per: number } | undefined
  /** How full the fullest is, from 0 to 1. */
  readonly fullest: number
}

export const fullness = ({ limit, used }: { readonly limit: number | null; readonly used: number }): number =>
  limit === null ? 0 : limit === 0 ? (used > 0 ? 1 : 0) : used / limit

const join = (group: BudgetGroup | undefined, frame: FrameState, budget: BudgetState): BudgetGroup => ({
  key: `${frame.path}\n${budget.unit}`,
  path: frame.path,
  unit: budget.unit,
  kind: budget.kind,
  frames: (group?.frames ?? 0) + 1,
  limit: budget.limit === null || group?.limit === null ? null : (group?.limit ?? 0) + budget.limit,
  used: (group?.used ?? 0) + budget.used,
  highWaterMark: (group?.highWaterMark ?? 0) + budget.highWaterMark,
  reserved: (group?.reserved ?? 0) + (budget.reserved ?? 0),
  waiting: (group?.waiting ?? 0) + (budget.waiting ?? 0),
  oldestWait: Math.max(group?.oldestWait ?? 0, budget.oldestWait ?? 0),
  rate: budget.amount === undefined || budget.per === undefined
    ? undefined
    : { amount: budget.amount, per: budget.per },
  fullest: Math.max(group?.fullest ?? 0, fullness(budget))
})

export const budgetGroups = (snapshot: Snapshot): ReadonlyArray<BudgetGroup> => {
  const groups = new Map<string, BudgetGroup>()
  for (const frame of snapshot.frames) {
    for (const budget of frame.budgets) {
      const key = `${frame.path}\n${budget.unit}`
      groups.set(key, join(groups.get(key), frame, budget))
    }
  }
  return [...groups.values()]
}

export class History {
  readonly tracks = new Map<string, Track>()
  private round = 0
  private last: Snapshot | undefined

  add(snapshot: Snapshot): void {
    const at = snapshot.at / 1000
    this.round++
    for (const pool of snapshot.pools) this.push(`pool ${pool.frameId}`, at, [pool.used, pool.waiting, pool.total])
    for (const group of budgetGroups(snapshot)) this.push(`budget ${group.key}`, at, [group.used, group.waiting])
    const before = new Map(this.last?.resources.map((one) => [`${one.kind} ${one.resource}`, one]))
    const elapsed = this.last === undefined ? 0 : (snapshot.at - this.last.at) / 1000
    for (const now of snapshot.resources) {
      const was = before.get(`${now.kind} ${now.resource}`)
      const rate = was === undefined || elapsed <= 0 ? 0 : Math.max(0, now.acquired - was.acquired) / elapsed
      this.push(`resource ${now.kind} ${now.resource}`, at, [now.live, rate])
    }
    this.last = snapshot
    for (const [key, track] of this.tracks) if (this.round - track.seen > length) this.tracks.delete(key)
  }

  private push(key: string, at: number, values: ReadonlyArray<number>): void {
    let track = this.tracks.get(key)
    if (track === undefined) this.tracks.set(key, track = new Track(values.length))
    track.seen = this.round
    track.push(at, values)
  }
}
