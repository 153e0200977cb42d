/**
 * What grows: looked at in windows of time. Owned by `LeakDetector`.
 *
 * What counts in a window are survivors, those that were there before it began and are still there when it ends; bursts of
 * what is held for a short time leave none. They leak when window after window there are more of them, and none of those
 * counted before has left since, though others of their kind, or the frames around, come and go. Without anything that
 * comes and goes it may as well be a slow start, so that takes four times as many windows.
 *
 * Costs grow when those that are new in a window cost more than those before, window after window. That trend is tested as Mann and
 * Kendall do (H. B. Mann, Nonparametric tests against trend, Econometrica 13, 1945): by the share of pairs of windows of
 * which the later one is higher.
 */
import type { Suspect } from "./alarms.ts"
import type { Config } from "./leakConfig.ts"
import * as words from "./leakWords.ts"
import { keyOf, kindOfPath } from "./standing.ts"
import type { Standing } from "./standing.ts"
import { costRise, countUntil, push, rise, total } from "./trend.ts"
import type { Mean, Member, Rise } from "./trend.ts"

/** How many kinds are followed; those with the fewest survivors are left out. */
const most = 1000

/** Without anything that comes and goes it takes as many times longer. */
const doubt = 4

interface Kind {
  readonly key: string
  readonly resource: string
  readonly path: string
  readonly isFrame: boolean
  readonly members: ReadonlyArray<Member>
}

/** What is remembered of a kind, for each of the last windows. The newest comes last. */
class Series {
  survivors: Array<number> = []
  /** Others of it that came and went. */
  gone: Array<number> = []
  /** What a new one cost on average, by unit, in windows in which there were new ones. */
  readonly costs = new Map<string, Array<Mean>>()
  /** The sums of this window. */
  readonly sums = new Map<string, { total: number; count: number }>()
  went = 0
  /** What is suspected, and how many survived before that, or what one cost. */
  growing: { readonly suspect: Suspect; readonly base: number } | undefined = undefined
  costlier: { readonly suspect: Suspect; readonly base: number } | undefined = undefined
  /** Does it look like growth but for others that come and go? */
  isDoubtful = false
}

export class Growth {
  private readonly config: Config
  private readonly series = new Map<string, Series>()
  /** When the last windows began. */
  private starts: Array<number> = []
  private start = -1
  private frameIds = new Set<number>()
  private frameKeys = new Map<number, string>()
  private lastFrame = -1
  private lastAllocation = 0
  private resources: Standing["resources"] | undefined = undefined
  /** How many items the pools may have, by name. */
  private sizes = new Map<string, number>()
  /** How many frames ended in this window, of whatever kind. */
  private ended = 0

  constructor(config: Config) {
    this.config = config
  }

  /** Is it worth the while to be told of each frame that ends? */
  get wantsFrames(): boolean {
    for (const series of this.series.values()) if (series.isDoubtful) return true
    return false
  }

  /** A frame ended. */
  frameEnded(key: string): void {
    this.ended++
    const series = this.series.get(`frame ${key}`)
    if (series !== undefined) series.went++
  }

  look(standing: Standing): ReadonlyArray<Suspect> {
    const { at } = standing
    if (this.start < 0) this.start = at
    this.sizes = new Map(standing.snapshot.pools.map(({ max, name }) => [name, max]))
    this.countGone(standing)
    this.addCosts(standing)
    if (at - this.start >= this.config.window) this.close(standing)
    const suspects: Array<Suspect> = []
    for (const { costlier, growing } of this.series.values()) {
      if (growing !== undefined) suspects.push(growing.suspect)
      else if (costlier !== undefined) suspects.push(costlier.suspect)
    }
    return suspects
  }

  // What comes and goes.

  private countGone(standing: Standing): void {
    const { frames, resources } = standing
    let newest = this.lastFrame
    let opened = 0
    for (const id of frames.keys()) {
      newest = Math.max(newest, id)
      if (!this.frameIds.has(id)) opened++
    }
    // While it is told of each of them it needs no other hint.
    if (!this.wantsFrames && this.lastFrame >= 0) {
      for (const id of this.frameIds) if (!frames.has(id)) this.frameEnded(this.frameKeys.get(id) ?? "")
      // Frames are numbered: some have opened and ended between two looks.
      this.ended += Math.max(0, newest - this.lastFrame - opened)
    }
    this.lastFrame = newest
    this.frameIds = new Set(frames.keys())
    this.frameKeys = new Map()
    for (const { frames, key } of standing.frameGroups.values()) {
      for (const { id } of frames) this.frameKeys.set(id, key)
    }
    for (const { key, resource } of standing.groups.values()) {
      const series = this.series.get(key)
      const before = this.resources?.get(resource)
      if (series !== undefined && before !== undefined) {
        series.went += resources.get(resource)!.released - before.released
      }
    }
    this.resources = resources
  }

  // What it costs.

  private addCosts(standing: Standing): void {
    // Allocations are numbered. Those that stay would be counted again and again, and make one window like the next.
    const before = this.lastAllocation
    for (const { allocations, key } of standing.groups.values()) {
      for (const { cost, id, state } of allocations) {
        if (state !== "live" || id <= before) continue
        this.lastAllocation = Math.max(this.lastAllocation, id)
        for (const unit in cost) {
          const { sums } = this.seriesOf(key)
          const sum = sums.get(unit)
          if (sum === undefined) sums.set(unit, { total: cost[unit]!, count: 1 })
          else {
            sum.total += cost[unit]!
            sum.count++
          }
        }
      }
    }
  }

  private seriesOf(key: string): Series {
    let series = this.series.get(key)
    if (series === undefined) this.series.set(key, series = new Series())
    return series
  }

  // A window ends.

  private close(standing: Standing): void {
    const { at } = standing
    const start = this.start
    this.start = at
    this.starts = [...this.starts, start].slice(-this.span - 1)
    const kinds = new Map(kindsOf(standing).map((kind) => [kind.key, kind]))
    for (const kind of kinds.values()) {
      const survivors = countUntil(kind.members, start)
      if (survivors === 0 && !this.series.has(kind.key)) continue
      push(this.seriesOf(kind.key).survivors, survivors, this.span + 1)
    }
    for (const [key, series] of this.series) {
      if (!kinds.has(key)) series.survivors = []
      push(series.gone, series.went + (key.startsWith("frame ") ? 0 : this.ended), this.span)
      series.went = 0
      this.closeCosts(series, start)
    }
    this.ended = 0
    for (const [key, series] of this.series) this.judge(series, kinds.get(key), kinds, standing)
    this.forget()
  }

  private get span(): number {
    return this.config.windows * doubt
  }

  private closeCosts({ costs, sums }: Series, start: number): void {
    const earliest = this.starts.at(-this.span) ?? 0
    for (const [unit, means] of costs) if (means.at(-1)!.start < earliest) costs.delete(unit)
    for (const [unit, { count, total }] of sums) {
      const means = costs.get(unit) ?? []
      push(means, { start, value: total / count }, this.config.windows + 1)
      costs.set(unit, means)
    }
    sums.clear()
  }

  private forget(): void {
    for (const [key, { costs, survivors }] of this.series) {
      if (costs.size === 0 && !survivors.some((count) => count > 0)) this.series.delete(key)
    }
    if (this.series.size <= most) return
    const fewest = Array.from(this.series).sort(([, a], [, b]) => (a.survivors.at(-1) ?? 0) - (b.survivors.at(-1) ?? 0))
    for (const [key] of fewest.slice(0, this.series.size - most)) this.series.delete(key)
  }

  // What it means.

  private judge(series: Series, kind: Kind | undefined, kinds: ReadonlyMap<string, Kind>, standing: Standing): void {
    const { windows } = this.config
    series.isDoubtful = false
    if (kind === undefined || this.config.ignored.has(kind.resource)) {
      series.growing = series.costlier = undefined
      return
    }
    const gone = total(series.gone.slice(-windows))
    const grown = this.riseOf(kind, gone, kinds)
    if (grown !== undefined) {
      const base = series.growing?.base ?? grown.from
      series.growing = { base, suspect: suspectOf(kind, { ...grown, from: base }, gone, standing) }
    } else if (series.growing !== undefined && this.isOver(series.survivors, series.growing)) series.growing = undefined
    if (kind.isFrame) return
    const costlier = gone >= fewest ? this.costlierOf(series, kind, standing) : undefined
    if (costlier !== undefined) series.costlier = costlier
    else if (series.costlier !== undefined) {
      const means = (series.costs.get(series.costlier.suspect.unit!) ?? []).map(({ value }) => value)
      if (this.isOver(means, series.costlier)) series.costlier = undefined
    }
  }

  private riseOf(kind: Kind, gone: number, kinds: ReadonlyMap<string, Kind>): Rise | undefined {
    const { windows } = this.config
    const short = this.risesOver(kind, windows)
    if (short !== undefined && this.isExplained(kind, kinds)) return undefined
    if (short !== undefined && gone >= fewest) return short
    this.series.get(kind.key)!.isDoubtful = short !== undefined
    return this.risesOver(kind, windows * doubt)
  }

  private risesOver({ isFrame, key, members, resource }: Kind, windows: number): Rise | undefined {
    const counts = this.series.get(key)?.survivors ?? []
    // Of a pool there is not more than it has.
    const size = isFrame ? Infinity : this.sizes.get(resource) ?? Infinity
    const minimum = Math.min(this.config.minimum, Math.ceil(size / 2))
    return rise({ starts: this.starts, counts, members, windows, minimum })
  }

  /** Is there something inside that grows, so that this has to as well? */
  private isExplained(kind: Kind, kinds: ReadonlyMap<string, Kind>): boolean {
    const { windows } = this.config
    if (!kind.isFrame) {
      const owner = kinds.get(`frame ${kindOfPath(kind.path)}`)
      return owner !== undefined && this.risesOver(owner, windows) !== undefined
    }
    const outer = kind.path.slice(0, Math.max(0, kind.path.length - kind.resource.length - 1))
    // The frame that an acquisition runs in.
    const acquired = kinds.get(keyOf(kind.resource, outer))
    if (acquired !== undefined && this.risesOver(acquired, windows) !== undefined) return true
    for (const other of kinds.values()) {
      if (other.isFrame && other.path.startsWith(`${kind.path}/`) && this.risesOver(other, windows) !== undefined) {
        return true
      }
    }
    return false
  }

  private costlierOf(series: Series, kind: Kind, standing: Standing): Series["costlier"] {
    for (const [unit, means] of series.costs) {
      const grown = costRise(means, this.config.windows)
      if (grown === undefined) continue
      const { allocations } = standing.groups.get(kind.key)!
      const facts = factsOf(kind, grown)
      return {
        base: series.costlier?.base ?? grown.from,
        suspect: {
          ...facts,
          ...words.costlier({ ...grown, ...facts, path: kind.path, lasted: standing.at - grown.since, unit }),
          key: `costlier ${kind.key}`,
          unit,
          amount: total(allocations.map(({ cost }) => cost[unit] ?? 0))
        }
      }
    }
    return undefined
  }

  /** Most of it is gone, or there has been no more for as long as it took to tell. */
  private isOver(values: ReadonlyArray<number>, { base }: { readonly base: number }): boolean {
    const now = values.at(-1) ?? 0
    return now <= (base + Math.max(0, ...values)) / 2 || now <= (values.at(-this.config.windows) ?? 0)
  }
}

/** So many others have to come and go. */
const fewest = 3

const factsOf = (kind: Kind, { since }: Rise) => {
  const callSite = commonest(kind.members)
  return {
    reason: "growing" as const,
    kind: kind.isFrame ? "frame" as const : "definition" as const,
    resource: kind.resource,
    frame: kind.path,
    ...(callSite === undefined ? undefined : { callSite }),
    since,
    count: kind.members.length
  }
}

const suspectOf = (kind: Kind, grown: Rise, gone: number, standing: Standing): Suspect => {
  const facts = factsOf(kind, grown)
  const told = { ...grown, ...facts, path: kind.path, lasted: standing.at - grown.since, gone }
  const cost = kind.isFrame ? undefined : largestCost(standing, kind.key)
  return {
    ...facts,
    key: `growing ${kind.key}`,
    ...(cost === undefined ? undefined : { unit: cost[0], amount: cost[1] }),
    ...(kind.isFrame ? words.growingFrames(told) : words.growing(told))
  }
}

const largestCost = ({ groups }: Standing, key: string): readonly [unit: string, amount: number] | undefined => {
  const costs = new Map<string, number>()
  for (const { cost } of groups.get(key)!.allocations) {
    for (const unit in cost) costs.set(unit, (costs.get(unit) ?? 0) + cost[unit]!)
  }
  return Array.from(costs).sort(([, a], [, b]) => b - a)[0]
}

const commonest = (members: ReadonlyArray<Member>): string | undefined => {
  const counts = new Map<string, number>()
  for (const { callSite } of members) if (callSite !== undefined) counts.set(callSite, (counts.get(callSite) ?? 0) + 1)
  return Array.from(counts).sort(([, a], [, b]) => b - a)[0]?.[0]
}

const kindsOf = ({ frameGroups, groups }: Standing): ReadonlyArray<Kind> => [
  ...Array.from(groups.values(), ({ allocations, key, path, resource }) => ({
    key,
    resource,
    path,
    isFrame: false,
    members: allocations.flatMap(({ callSite, since, state }) => state === "releasing" ? [] : { at: since, callSite })
  })),
  ...Array.from(frameGroups.values(), ({ frames, key, name, path }) => ({
    key: `frame ${key}`,
    resource: name,
    path,
    isFrame: true,
    members: frames.map(({ openedAt }) => ({ at: openedAt, callSite: undefined }))
  }))
]
