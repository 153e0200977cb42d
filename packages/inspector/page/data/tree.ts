/** The rows of the tree: what is inside what, folded where there is much of the same, sorted and searched. */
import { addAllocation, addTotals, noTotals, put } from "./treeIndex.ts"
import type { Index, Totals } from "./treeIndex.ts"
import type { AllocationState, FrameState, PoolState, WaiterState } from "./wire.ts"

export type Sort = "opened" | "name" | "age" | "left" | "cost"
export type Grouping = "frames" | "resource" | "callSite" | "none"

interface Common {
  readonly key: string
  readonly depth: number
  /** The key of the row that it is in. */
  readonly parent: string | null
  readonly open: boolean | null
  /** Its place among those beside it, from 1, and how many those are. */
  readonly position: number
  readonly siblings: number
}

export interface FrameRow extends Common {
  readonly kind: "frame"
  readonly frame: FrameState
  readonly totals: Totals
  readonly pool: PoolState | undefined
}

export interface AllocationRow extends Common {
  readonly kind: "allocation"
  readonly allocation: AllocationState
}

/** Many of the same. */
export interface FoldRow extends Common {
  readonly kind: "fold"
  readonly name: string
  readonly of: "frames" | "allocations"
  readonly count: number
  readonly totals: Totals
  /** The nearest deadline. */
  readonly deadline: number | null
}

/** Someone who waits and has no allocation yet. */
export interface WaiterRow extends Common {
  readonly kind: "waiter"
  readonly waiter: WaiterState
}

export type Row = FrameRow | AllocationRow | FoldRow | WaiterRow

export interface Options {
  readonly sort: Sort
  readonly descending: boolean
  /** What `cost` is sorted by. */
  readonly unit: string
  readonly query: string
  readonly grouping: Grouping
  /** Keys whose rows are not as they are by default. */
  readonly toggled: ReadonlySet<string>
}

/** How many of the same fold into one row. */
export const foldFrom = 12

export interface Rows {
  readonly rows: ReadonlyArray<Row>
  /** How many frames and allocations match, when something is searched for. */
  readonly matches: number
}

const lower = new Map<string, string>()

const lowerCase = (text: string): string => {
  let known = lower.get(text)
  if (known === undefined) {
    if (lower.size > 50_000) lower.clear()
    lower.set(text, known = text.toLowerCase())
  }
  return known
}

/** All words of a search have to be found, each in the name, path, call site, state, or as `#id`. */
export const wordsOf = (query: string): ReadonlyArray<string> => query.toLowerCase().split(/\s+/).filter(Boolean)

const isId = (word: string, id: number): boolean => word.charCodeAt(0) === 35 && word === `#${id}`

export const allocationMatches = (one: AllocationState, words: ReadonlyArray<string>): boolean =>
  words.every((word) =>
    lowerCase(one.resource).includes(word) || lowerCase(one.frame).includes(word) || isId(word, one.id) ||
    (one.callSite !== undefined && lowerCase(one.callSite).includes(word)) || one.state === word ||
    (word === "orphaned" && one.orphaned)
  )

const waiterMatches = (waiter: WaiterState, words: ReadonlyArray<string>): boolean =>
  words.every((word) =>
    lowerCase(`waiting ${waiter.name} ${waiter.resource} ${waiter.frame} ${waiter.callSite ?? ""}`).includes(word)
  )

const frameMatches = (frame: FrameState, words: ReadonlyArray<string>): boolean =>
  words.every((word) =>
    lowerCase(frame.name).includes(word) || lowerCase(frame.path).includes(word) || isId(word, frame.id) ||
    frame.phase === word
  )

class Walk {
  readonly rows: Array<Row> = []
  matches = 0
  private readonly index: Index
  private readonly options: Options
  private readonly words: ReadonlyArray<string>
  /** Frames with something inside that matches. */
  private readonly inside = new Set<number>()

  constructor(index: Index, options: Options) {
    this.index = index
    this.options = options
    this.words = wordsOf(options.query)
    if (this.words.length > 0 && options.grouping === "frames") this.search()
  }

  private get searching(): boolean {
    return this.words.length > 0
  }

  private search(): void {
    const { frames, snapshot } = this.index
    const mark = (id: number | null): void => {
      for (let at = id; at !== null && !this.inside.has(at);) {
        this.inside.add(at)
        at = frames.get(at)?.parent ?? null
      }
    }
    const manager = this.index.roots[0]?.id ?? null
    for (const frame of snapshot.frames) {
      if (!frameMatches(frame, this.words)) continue
      this.matches++
      mark(frame.id)
    }
    for (const one of snapshot.allocations) {
      if (!allocationMatches(one, this.words)) continue
      this.matches++
      mark(one.orphaned || !frames.has(one.frameId) ? manager : one.frameId)
    }
    for (const [home, waiters] of this.index.waitersIn) {
      const found = waiters.filter((waiter) => waiterMatches(waiter, this.words)).length
      if (found > 0) mark(home)
      this.matches += found
    }
  }

  tree(): void {
    this.frames(this.index.roots, 0, null)
  }

  private isOpen(key: string, byDefault: boolean): boolean {
    return this.options.toggled.has(key) ? !byDefault : byDefault
  }

  private frames(all: ReadonlyArray<FrameState>, depth: number, parent: string | null): void {
    const seen = this.searching ? all.filter((frame) => this.inside.has(frame.id)) : all
    this.folded(seen, ({ name }) => name, depth, parent, "frames", (frame, ...place) => this.frame(frame, ...place))
  }

  private frame(frame: FrameState, depth: number, parent: string | null, position: number, siblings: number): void {
    const key = `f${frame.id}`
    const allocations = this.index.allocationsIn.get(frame.id) ?? []
    const frames = this.index.framesIn.get(frame.id) ?? []
    const waiters = this.index.waitersIn.get(frame.id) ?? []
    const hasInside = allocations.length + frames.length + waiters.length > 0
    const open = hasInside ? this.isOpen(key, true) : null
    const totals = this.index.totals.get(frame.id)!
    const pool = this.index.pools.get(frame.id)
    this.rows.push({ kind: "frame", key, depth, parent, open, position, siblings, frame, totals, pool })
    if (open !== true) return
    this.waiters(waiters, depth + 1, key)
    this.allocations(allocations, depth + 1, key)
    this.frames(frames, depth + 1, key)
  }

  private waiters(all: ReadonlyArray<WaiterState>, depth: number, parent: string): void {
    const seen = this.searching ? all.filter((waiter) => waiterMatches(waiter, this.words)) : all
    seen.forEach((waiter, at) => {
      const { fiber, name, since, sourceId } = waiter
      const key = `w${fiber} ${sourceId} ${name} ${since}`.replaceAll(" ", "-")
      this.rows.push({
        kind: "waiter",
        key,
        depth,
        parent,
        open: null,
        position: at + 1,
        siblings: seen.length,
        waiter
      })
    })
  }

  allocations(all: ReadonlyArray<AllocationState>, depth: number, parent: string | null, fold = true): void {
    const seen = this.searching ? all.filter((one) => allocationMatches(one, this.words)) : all
    this.folded(
      seen,
      ({ resource }) => resource,
      depth,
      parent,
      "allocations",
      (one, ...place) => this.allocation(one, ...place),
      fold
    )
  }

  private allocation(
    allocation: AllocationState,
    depth: number,
    parent: string | null,
    position: number,
    siblings: number
  ): void {
    this.rows.push({
      kind: "allocation",
      key: `a${allocation.id}`,
      depth,
      parent,
      open: null,
      position,
      siblings,
      allocation
    })
  }

  /** Sorts, and puts many of one name into one row. */
  private folded<A extends FrameState | AllocationState>(
    all: ReadonlyArray<A>,
    nameOf: (one: A) => string,
    depth: number,
    parent: string | null,
    of: FoldRow["of"],
    add: (one: A, depth: number, parent: string | null, position: number, siblings: number) => void,
    fold = true
  ): void {
    const byName = new Map<string, Array<A>>()
    if (fold && !this.searching && all.length >= foldFrom) { for (const one of all) put(byName, nameOf(one), one) }
    type Item = { readonly one: A; readonly many?: Array<A>; readonly name: string; readonly totals: Totals }
    const items: Array<Item> = []
    const done = new Set<string>()
    for (const one of all) {
      const name = nameOf(one)
      const many = byName.get(name)
      if (many === undefined || many.length < foldFrom) items.push({ one, name, totals: this.totalsOf([one]) })
      else if (!done.has(name)) {
        done.add(name)
        items.push({ one, many, name, totals: this.totalsOf(many) })
      }
    }
    this.sort(items)
    items.forEach((item, at) => {
      if (item.many === undefined) return add(item.one, depth, parent, at + 1, items.length)
      this.fold(item.name, item.many, item.totals, of, depth, parent, at + 1, items.length, (key) => {
        this.folded(item.many!, nameOf, depth + 1, key, of, add, false)
      })
    })
  }

  fold(
    name: string,
    many: ReadonlyArray<FrameState | AllocationState>,
    totals: Totals,
    of: FoldRow["of"],
    depth: number,
    parent: string | null,
    position: number,
    siblings: number,
    inside: (key: string) => void
  ): void {
    const key = `${parent ?? ""}>${of}:${name}`
    const open = this.isOpen(key, this.searching)
    let deadline: number | null = null
    for (const one of many) {
      const own = "deadline" in one ? one.deadline : null
      if (own !== null && (deadline === null || own < deadline)) deadline = own
    }
    const count = many.length
    this.rows.push({ kind: "fold", key, depth, parent, open, position, siblings, name, of, count, totals, deadline })
    if (open) inside(key)
  }

  totalsOf(all: ReadonlyArray<FrameState | AllocationState>): Totals {
    const first = all[0]
    if (all.length === 1 && first !== undefined && "openedAt" in first) return this.index.totals.get(first.id)!
    const totals = noTotals()
    for (const one of all) {
      if ("openedAt" in one) addTotals(totals, this.index.totals.get(one.id)!)
      else addAllocation(totals, one)
    }
    return totals
  }

  sort(
    items: Array<
      {
        readonly one?: FrameState | AllocationState
        readonly name: string
        readonly totals: Totals
        readonly many?: unknown
      }
    >
  ): void {
    const { descending, sort, unit } = this.options
    if (sort === "opened") return
    const turn = descending ? -1 : 1
    if (sort === "name") {
      items.sort((a, b) => turn * (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
      return
    }
    const figure = (item: typeof items[number]): number => {
      if (sort === "cost") return item.totals.cost[unit] ?? 0
      if (sort === "age") return this.since(item)
      const one = item.one
      return one !== undefined && "deadline" in one ? one.deadline ?? Infinity : Infinity
    }
    const figures = new Map(items.map((item) => [item, figure(item)]))
    // The age is largest where it began first.
    const direction = sort === "age" ? -turn : turn
    items.sort((a, b) => {
      const left = figures.get(a)!
      const right = figures.get(b)!
      return left === right ? 0 : direction * (left < right ? -1 : 1)
    })
  }

  private since(
    { many, one, totals }: {
      readonly one?: FrameState | AllocationState
      readonly totals: Totals
      readonly many?: unknown
    }
  ): number {
    if (one === undefined || many !== undefined) return totals.oldest
    return "openedAt" in one ? one.openedAt : one.since
  }

  /** Allocations by what they have in common, wherever they are. */
  grouped(by: "resource" | "callSite" | "none"): void {
    const found = this.searching
      ? this.index.snapshot.allocations.filter((one) => allocationMatches(one, this.words))
      : this.index.snapshot.allocations
    this.matches = found.length
    if (by === "none") return this.allocations(found, 0, null, false)
    const groups = new Map<string, Array<AllocationState>>()
    for (const one of found) put(groups, (by === "resource" ? one.resource : one.callSite) ?? "no call site", one)
    const items = [...groups].map(([name, many]) => ({ name, many, totals: this.totalsOf(many) }))
    if (this.options.sort === "opened") items.sort((a, b) => b.many.length - a.many.length)
    else this.sort(items)
    items.forEach(({ many, name, totals }, at) =>
      this.fold(name, many, totals, "allocations", 0, null, at + 1, items.length, (key) => {
        this.allocations(many, 1, key, false)
      })
    )
  }
}

export const flatten = (index: Index, options: Options): Rows => {
  const walk = new Walk(index, options)
  if (options.grouping === "frames") walk.tree()
  else walk.grouped(options.grouping)
  return { rows: walk.rows, matches: walk.matches }
}

/** What holds it, from the outside in: so that it can be made visible. */
export const pathTo = (index: Index, key: string): ReadonlyArray<FrameState> => {
  const id = Number(key.slice(1))
  const path: Array<FrameState> = []
  const allocation = key.startsWith("a") ? index.snapshot.allocations.find((one) => one.id === id) : undefined
  for (let at: number | null | undefined = allocation?.frameId ?? (key.startsWith("f") ? id : null); at != null;) {
    const frame = index.frames.get(at)
    if (frame === undefined) break
    path.unshift(frame)
    at = frame.parent
  }
  return path
}
