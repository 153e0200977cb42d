/**
 * What one snapshot tells of who waits: the present, nothing of the past. Owned by `Source`.
 */
import type { AllocationState, Snapshot } from "@chronovyan/core/Snapshot"
import { ContentionReport, Site, Spread, Subject } from "../ContentionReport.ts"

const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const total = sorted.reduce((sum, value) => sum + value, 0)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
  return new Spread({
    count: sorted.length,
    total,
    mean: sorted.length === 0 ? 0 : total / sorted.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: sorted.at(-1) ?? 0
  })
}

const sitesOf = (held: ReadonlyArray<AllocationState>, at: number): ReadonlyArray<Site> => {
  const bySite = new Map<string, Array<number>>()
  for (const { callSite, frame, since } of held) {
    const site = callSite ?? frame
    const ages = bySite.get(site)
    if (ages === undefined) bySite.set(site, [at - since])
    else ages.push(at - since)
  }
  const total = held.reduce((sum, { since }) => sum + at - since, 0)
  return Array.from(bySite, ([site, ages]) => {
    const spread = spreadOf(ages)
    return new Site({ site, share: total === 0 ? 0 : spread.total / total, holding: ages.length, held: spread })
  }).sort((a, b) => b.held.total - a.held.total)
}

const nothing = spreadOf([])

const poolSubjects = ({ allocations, at, pools }: Snapshot): ReadonlyArray<Subject> =>
  pools.map((pool) => {
    const held = allocations.filter(({ resource, share, state }) => share && state === "live" && resource === pool.name)
    return new Subject({
      kind: "pool",
      name: pool.name,
      limit: pool.max,
      used: pool.used,
      waiting: pool.waiting,
      contended: pool.waiting > 0 ? 1 : 0,
      waited: pool.waiting > 0 ? spreadOf([pool.oldestWait]) : nothing,
      held: spreadOf(held.map(({ since }) => at - since)),
      sites: sitesOf(held, at),
      hint: ""
    })
  })

const budgetSubjects = ({ allocations, at, frames }: Snapshot): ReadonlyArray<Subject> => {
  const subjects: Array<Subject> = []
  for (const { budgets, path } of frames) {
    for (const { limit, unit, used } of budgets) {
      if (limit === null) continue
      const isInside = (frame: string) => path === "" || frame === path || frame.startsWith(`${path}/`)
      const held = allocations.filter(({ cost, frame }) => (cost[unit] ?? 0) > 0 && isInside(frame))
      subjects.push(
        new Subject({
          kind: "budget",
          name: unit,
          frame: path,
          limit,
          used,
          waiting: 0,
          contended: 0,
          waited: nothing,
          held: spreadOf(held.map(({ since }) => at - since)),
          sites: sitesOf(held, at),
          hint: ""
        })
      )
    }
  }
  return subjects
}

export const contentionOf = (snapshot: Snapshot): ContentionReport =>
  new ContentionReport({
    from: snapshot.at,
    at: snapshot.at,
    subjects: [...poolSubjects(snapshot), ...budgetSubjects(snapshot)].sort((a, b) => b.waiting - a.waiting),
    waits: []
  })
