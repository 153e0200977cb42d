/**
 * What was seen of pools, budgets and shared values of late: in slices of time, of which the oldest is dropped when a new one
 * begins. Owned by `Contention`.
 */
import { Sketch } from "./sketch.ts"

/** What was seen in a slice, or in several. */
export class Seen {
  /** For how long it was looked at, and for how long of that somebody waited. */
  time = 0
  contended = 0
  readonly waited = new Sketch()
  readonly held = new Sketch()
  /** What pools count themselves; of others nothing is known as exactly. */
  waits: { count: number; total: number } | undefined = undefined
  holds: { count: number; total: number } | undefined = undefined
  created = { count: 0, total: 0 }
  readonly sites = new Map<string, SiteSeen>()

  siteOf(name: string): SiteSeen {
    // Sites are as many as the program has places, if they are not made up as it runs.
    const key = this.sites.has(name) || this.sites.size < mostSites ? name : elsewhere
    let site = this.sites.get(key)
    if (site === undefined) this.sites.set(key, site = { time: 0, held: new Sketch() })
    return site
  }

  addAll(other: Seen): void {
    this.time += other.time
    this.contended += other.contended
    this.waited.addAll(other.waited)
    this.held.addAll(other.held)
    this.waits = sum(this.waits, other.waits)
    this.holds = sum(this.holds, other.holds)
    this.created = sum(this.created, other.created)!
    for (const [name, { held, time }] of other.sites) {
      const site = this.siteOf(name)
      site.time += time
      site.held.addAll(held)
    }
  }
}

export interface SiteSeen {
  /** How long it held, all together. */
  time: number
  readonly held: Sketch
}

type Sum = { count: number; total: number } | undefined

const sum = (a: Sum, b: Sum): Sum =>
  a === undefined ? b : b === undefined ? a : { count: a.count + b.count, total: a.total + b.total }

const mostSites = 200
const elsewhere = "elsewhere"

/** How many are followed. */
const mostSubjects = 500

/** In so many slices the window moves. */
const parts = 6

export class Slices {
  private readonly length: number
  private slices: Array<{ readonly start: number; readonly seen: Map<string, Seen> }> = []

  constructor(window: number) {
    this.length = window / parts
  }

  /** Since when what was seen counts. */
  get from(): number | undefined {
    return this.slices[0]?.start
  }

  /** Begins a new slice when it is time. */
  move(at: number): void {
    const start = this.slices.at(-1)?.start
    if (start !== undefined && at - start < this.length) return
    this.slices.push({ start: at, seen: new Map() })
    this.slices = this.slices.filter(({ start }) => at - start < this.length * (parts + 1))
  }

  /** Where to write down what is seen now; `undefined`: there are too many. */
  of(key: string): Seen | undefined {
    const { seen } = this.slices.at(-1)!
    let subject = seen.get(key)
    if (subject === undefined) {
      if (seen.size >= mostSubjects) return undefined
      seen.set(key, subject = new Seen())
    }
    return subject
  }

  /** All of the window. */
  sum(key: string): Seen {
    const all = new Seen()
    for (const { seen } of this.slices) {
      const subject = seen.get(key)
      if (subject !== undefined) all.addAll(subject)
    }
    return all
  }
}
