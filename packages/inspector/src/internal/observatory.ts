/**
 * Looks at who holds and who waits, again and again, and sums it up. Owned by `Contention`.
 *
 * Snapshots alone show what lasts for longer than the time between two of them. Pools count their waits and uses, so how
 * many others there were, and their mean, is known as well. With events all is.
 */
import type { ResourceEvent } from "@chronovyan/core/ResourceEvent"
import type { PoolCounts, Snapshot } from "@chronovyan/core/Snapshot"
import { ContentionReport, Edge, Site, Subject } from "../ContentionReport.ts"
import { hintOf } from "./hints.ts"
import type { Sketch } from "./sketch.ts"
import { Slices } from "./slices.ts"
import type { Seen } from "./slices.ts"
import { kindOfPath } from "./standing.ts"
import { siteOf, subjectsIn } from "./subjects.ts"
import type { SubjectNow } from "./subjects.ts"

/** One that holds or waits. */
interface Tracked {
  readonly subject: string
  readonly site: string
  readonly since: number
}

/** How many sites are told of each, how many edges, and how many holders of what one waits for. */
const mostSites = 20
const mostEdges = 200
const mostHolders = 5

const nothing = { waited: 0, waitTotal: 0, returned: 0, useTotal: 0, created: 0, createTotal: 0 }

const unchecked = { disableChecks: true }

export class Observatory {
  private readonly slices: Slices
  /** Are there events, so that snapshots need not tell how long things took? */
  private readonly hasEvents: boolean
  private last = -1
  /** The time between the last two looks. */
  private interval = 1
  private holding = new Map<string, Tracked>()
  private waiting = new Map<string, Tracked>()
  private counts = new Map<string, PoolCounts>()
  private poolKeys = new Map<string, string>()

  constructor(window: number, hasEvents: boolean) {
    this.slices = new Slices(window)
    this.hasEvents = hasEvents
  }

  look(snapshot: Snapshot): ReadonlyMap<string, SubjectNow> {
    const { at } = snapshot
    const elapsed = this.last < 0 ? 0 : at - this.last
    this.slices.move(at)
    const subjects = subjectsIn(snapshot)
    const holding = new Map<string, Tracked>()
    const waiting = new Map<string, Tracked>()
    this.poolKeys = new Map()
    for (const subject of subjects.values()) {
      const seen = this.slices.of(subject.key)
      if (seen === undefined) continue
      if (subject.kind === "pool") this.poolKeys.set(subject.name, subject.key)
      seen.time += elapsed
      if (subject.waiting > 0) seen.contended += elapsed
      this.addCounts(subject, seen)
      for (const allocation of subject.holders) {
        const site = siteOf(allocation)
        seen.siteOf(site).time += Math.min(elapsed, at - allocation.since)
        holding.set(`${allocation.id} ${subject.key}`, { subject: subject.key, site, since: allocation.since })
      }
      for (const waiter of subject.waiters) {
        waiting.set(`${waiter.fiber} ${waiter.since} ${subject.key}`, {
          subject: subject.key,
          site: siteOf(waiter),
          since: waiter.since
        })
      }
    }
    this.addGone(this.holding, holding, (seen, { site }) => [seen.held, seen.siteOf(site).held])
    this.addGone(this.waiting, waiting, (seen) => [seen.waited])
    this.holding = holding
    this.waiting = waiting
    if (elapsed > 0) this.interval = elapsed
    this.last = at
    for (const key of this.counts.keys()) if (!subjects.has(key)) this.counts.delete(key)
    return subjects
  }

  /** What was there at the last look and is gone now. */
  private addGone(
    before: ReadonlyMap<string, Tracked>,
    now: ReadonlyMap<string, Tracked>,
    sketchesOf: (seen: Seen, tracked: Tracked) => ReadonlyArray<Sketch>
  ): void {
    for (const [key, tracked] of before) {
      if (now.has(key) || (this.hasEvents && tracked.subject.startsWith("pool "))) continue
      const seen = this.slices.of(tracked.subject)
      if (seen === undefined) continue
      // Between the last two looks: in the middle, as far as anyone knows. One that was seen once lasted about twice as long.
      const age = this.last - tracked.since
      const lasted = age + Math.min(age, this.interval / 2)
      // How many and how long the short ones were tells the pool, and those that are seen are not like the others.
      const [all, ...sites] = sketchesOf(seen, tracked)
      if (seen.holds === undefined || age >= this.interval) all!.add(lasted)
      for (const site of sites) site.add(lasted)
    }
  }

  /** What a pool counted since the last look. */
  private addCounts({ key, pool }: SubjectNow, seen: Seen): void {
    const counts = pool?.counts
    if (counts === undefined) return
    // Of a pool that was not there at the last look all counts.
    const before = this.counts.get(key) ?? (this.last < 0 ? counts : nothing)
    this.counts.set(key, counts)
    seen.waits ??= { count: 0, total: 0 }
    seen.holds ??= { count: 0, total: 0 }
    seen.waits.count += counts.waited - before.waited
    seen.waits.total += counts.waitTotal - before.waitTotal
    seen.holds.count += counts.returned - before.returned
    seen.holds.total += counts.useTotal - before.useTotal
    seen.created.count += counts.created - before.created
    seen.created.total += counts.createTotal - before.createTotal
  }

  /** Only of pools: what was waited for budgets is no event. */
  event(event: ResourceEvent): void {
    if ((event._tag !== "Allocated" && event._tag !== "Released") || !event.share || this.last < 0) return
    const key = this.poolKeys.get(event.resource)
    const seen = key === undefined ? undefined : this.slices.of(key)
    if (seen === undefined) return
    if (event._tag === "Released") {
      const site = this.holding.get(`${event.allocation} ${key}`)?.site ?? kindOfPath(event.frame)
      seen.held.add(event.held)
      seen.siteOf(site).held.add(event.held)
    } else if (event.took > 0) seen.waited.add(event.took)
  }

  /** What was seen in the window, and now; those with most waiting first. */
  report(snapshot: Snapshot): ContentionReport {
    const subjects = Array.from(this.look(snapshot).values())
    const { at } = snapshot
    const told = subjects.map((subject) => toldOf(subject, this.slices.sum(subject.key), at))
      .sort((a, b) => b.contended - a.contended || b.waiting - a.waiting || b.waited.total - a.waited.total)
    const waits = edgesOf(subjects, at)
    return new ContentionReport({ from: this.slices.from ?? at, at, subjects: told, waits }, unchecked)
  }
}

const toldOf = (subject: SubjectNow, seen: Seen, at: number): Subject => {
  const { frame, kind, limit, name, used, waiting } = subject
  const holding = new Map<string, number>()
  for (const allocation of subject.holders) {
    const site = siteOf(allocation)
    holding.set(site, (holding.get(site) ?? 0) + 1)
  }
  const time = Array.from(seen.sites.values()).reduce((sum, site) => sum + site.time, 0)
  const sites = Array.from(seen.sites, ([site, { held, time: own }]) =>
    new Site({
      site,
      share: time === 0 ? 0 : own / time,
      holding: holding.get(site) ?? 0,
      held: held.spread()
    }, unchecked)).sort((a, b) => b.share - a.share || b.held.total - a.held.total).slice(0, mostSites)
  const since = Math.min(at, ...subject.waiters.map((waiter) => waiter.since))
  return new Subject({
    kind,
    name,
    ...(frame === undefined ? undefined : { frame }),
    limit: limit === Infinity ? null : limit,
    used,
    waiting,
    contended: seen.time === 0 ? 0 : seen.contended / seen.time,
    waited: seen.waited.spread(seen.waits),
    held: seen.held.spread(seen.holds),
    sites,
    hint: hintOf(subject, seen, sites[0], at - since)
  }, unchecked)
}

/** Who waits for longest first; of many who hold what is waited for, those that have had it for longest. */
const edgesOf = (subjects: ReadonlyArray<SubjectNow>, at: number): ReadonlyArray<Edge> => {
  const edges = new Map<string, Edge>()
  const waits = subjects.flatMap((subject) => subject.waiters.map((waiter) => ({ subject, waiter })))
  for (const { subject, waiter } of waits.sort((a, b) => a.waiter.since - b.waiter.since)) {
    const holders = new Set<string>()
    for (const { frame } of subject.holders.toSorted((a, b) => a.since - b.since)) {
      if (holders.size < mostHolders) holders.add(frame)
    }
    for (const holder of holders) {
      const key = `${waiter.frame}\n${subject.name}\n${holder}`
      if (edges.size >= mostEdges) return [...edges.values()]
      if (edges.has(key)) continue
      edges.set(
        key,
        new Edge({ waiter: waiter.frame, resource: subject.name, holder, waited: at - waiter.since }, unchecked)
      )
    }
  }
  return [...edges.values()]
}
