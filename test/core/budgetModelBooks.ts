import type { Budget, Cost, Snapshot } from "@chronovyan/core"

export type Limits = Budget.Budget

/** Someone who asks for something, and how far that has come. */
export interface Request {
  readonly path: string
  /** All of it, of a set as well. */
  readonly cost: Cost.Cost
  readonly patience: number
  state: "new" | "asked" | "granted" | "ended"
}

/** What a frame was opened with. */
export interface FrameFacts {
  limits: Limits
  readonly reserve: Cost.Cost
  readonly exhausted: undefined | "fail" | "wait" | { readonly wait: number }
}

/** A token bucket, as it is in books. */
interface Bucket {
  level: number
  at: number
}

/** A frame as a snapshot shows it, found by its path. */
interface Shown {
  readonly state: Snapshot.FrameState
  readonly used: ReadonlyMap<string, Snapshot.BudgetState>
}

/** The names from the outermost frame inward, the manager's first. */
export const pathOf = (path: string): ReadonlyArray<string> => path === "" ? [""] : ["", ...path.split("/")]

const nameOf = (path: string): string => pathOf(path).at(-1)!

/** The paths from a frame outward, the manager's last. */
function* outward(path: string): Generator<string> {
  for (let at = path; at !== ""; at = at.includes("/") ? at.slice(0, at.lastIndexOf("/")) : "") yield at
  yield ""
}

/** What is known from outside: what was asked, granted and given back, against what a snapshot says. */
export class BudgetBooks {
  readonly troubles: Array<string> = []
  readonly frames = new Map<string, FrameFacts>()
  readonly asked = { requests: 0, waited: 0, exceeded: 0, deadlocks: 0, moved: 0 }
  /** Values that have been acquired and not released. */
  values = 0
  private readonly waiting = new Set<Request>()
  private readonly buckets = new Map<string, Bucket>()

  constructor(rootLimits: Limits) {
    this.frames.set("", { limits: rootLimits, reserve: {}, exhausted: "fail" })
  }

  /** How long those in a frame wait, by what it or those outside say. */
  patienceIn(path: string): number {
    for (const at of outward(path)) {
      const { exhausted } = this.frames.get(nameOf(at))!
      if (exhausted !== undefined) return exhausted === "fail" ? 0 : exhausted === "wait" ? Infinity : exhausted.wait
    }
    return 0
  }

  asks(request: Request): void {
    if (request.state !== "new") return
    request.state = "asked"
    this.asked.requests++
    this.waiting.add(request)
  }

  granted(request: Request, cost: Cost.Cost, now: number): void {
    request.state = "granted"
    this.waiting.delete(request)
    if ((cost["r"] ?? 0) > 0) this.take(request.path, cost["r"]!, now)
  }

  /** No window of time sees more than the burst, and what comes back in it. */
  private take(path: string, amount: number, now: number): void {
    for (const at of outward(path)) {
      const rate = this.frames.get(nameOf(at))!.limits["r"]
      if (typeof rate !== "object") continue
      const bucket = this.buckets.get(at) ?? { level: rate.burst, at: now }
      bucket.level = Math.min(rate.burst, bucket.level + (now - bucket.at) * rate.amount / rate.per) - amount
      bucket.at = now
      this.buckets.set(at, bucket)
      if (bucket.level < -1e-6) this.troubles.push(`the rate of "${at}" gave ${-bucket.level} too much`)
    }
  }

  ended(request: Request, failure: unknown): void {
    const wasGranted = request.state === "granted"
    request.state = "ended"
    this.waiting.delete(request)
    const error = failure as { _tag?: string; requested: number; limit: number; waited?: number } | undefined
    if (error?._tag === "WouldDeadlock") this.asked.deadlocks++
    if (error?._tag !== "BudgetExceeded" || wasGranted) return
    this.asked.exceeded++
    const neverFits = error.requested > error.limit
    if (request.patience === Infinity && !neverFits) {
      this.troubles.push(`"${request.path}" is refused, and has patience: ${String(failure)}`)
    }
    // A limit may have fallen meanwhile.
    if (error.waited !== undefined && error.waited < request.patience && !neverFits) {
      this.troubles.push("a wait is cut short")
    }
    if (error.waited === undefined && request.patience > 0 && !neverFits) this.troubles.push("a wait is left out")
  }

  extended(name: string, more: Cost.Cost): void {
    const facts = this.frames.get(name)!
    const limits: Record<string, Limits[string]> = { ...facts.limits }
    for (const unit of Object.keys(more)) {
      const limit = limits[unit]
      if (typeof limit === "number") limits[unit] = limit + more[unit]!
    }
    facts.limits = limits
  }

  /** Can a part of the frame's limit go elsewhere? */
  isMovable(name: string, unit: string): boolean {
    return typeof this.frames.get(name)?.limits[unit] === "number"
  }

  moved(from: string, to: string, unit: string, amount: number): void {
    this.asked.moved++
    for (const [name, more] of [[from, -amount], [to, amount]] as const) {
      const facts = this.frames.get(name)!
      facts.limits = { ...facts.limits, [unit]: (facts.limits[unit] as number) + more }
    }
  }

  // Compared with a snapshot.

  compare(snapshot: Snapshot.Snapshot): ReadonlyArray<string> {
    const wrong = this.troubles.splice(0)
    const shown = new Map<string, Shown>()
    for (const state of snapshot.frames) {
      shown.set(state.path, { state, used: new Map(state.budgets.map((budget) => [budget.unit, budget])) })
    }
    this.compareLimits(snapshot, shown, wrong)
    this.compareLives(snapshot, shown, wrong)
    for (const request of this.waiting) this.compareWait(request, shown, wrong)
    this.asked.waited += this.waiting.size
    const open = snapshot.allocations.filter(({ resource, state }) =>
      resource === "plain" && (state === "live" || state === "releasing")
    )
    if (open.length !== this.values) wrong.push(`${this.values} values are open, ${open.length} are held`)
    return wrong
  }

  /** What is in use is what is held inside, or was set aside there; never above a limit. */
  private compareLimits(snapshot: Snapshot.Snapshot, shown: ReadonlyMap<string, Shown>, wrong: Array<string>): void {
    const held = new Map<string, Map<string, number>>()
    const add = (path: string, unit: string, amount: number) => {
      const units = held.get(path) ?? new Map<string, number>()
      held.set(path, units)
      units.set(unit, (units.get(unit) ?? 0) + amount)
    }
    const paths = new Set<string>([
      ...shown.keys(),
      ...snapshot.allocations.flatMap(({ frame }) => [...outward(frame)])
    ])
    for (const { cost, frame } of snapshot.allocations) {
      for (const unit of Object.keys(cost)) add(frame, unit, cost[unit]!)
    }
    const innermost = Array.from(paths).sort((a, b) => pathOf(b).length - pathOf(a).length)
    for (const path of innermost) {
      const { limits, reserve } = this.frames.get(nameOf(path))!
      const budgets = shown.get(path)?.used
      for (const unit of ["u", "v", "r"]) {
        const inside = held.get(path)?.get(unit) ?? 0
        const budget = budgets?.get(unit)
        if (budget !== undefined) {
          const { highWaterMark, limit, used } = budget
          const at = `${unit} of "${path}"`
          if (typeof limits[unit] !== "object" && used !== inside) wrong.push(`${at}: ${used} used, ${inside} held`)
          if (limit !== null && used > limit) wrong.push(`${at}: ${used} used of ${limit}`)
          if (used < 0 || highWaterMark < used) wrong.push(`${at}: ${used} used, the mark is at ${highWaterMark}`)
          if (typeof limits[unit] === "number" && limit !== limits[unit]) wrong.push(`${at}: the limit is ${limit}`)
        }
        const aside = shown.has(path) ? reserve[unit] ?? 0 : 0
        if (path !== "") {
          add(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "", unit, Math.max(aside, inside))
        }
      }
    }
  }

  /** No frame goes on without the one around it, or past its deadline. */
  private compareLives(snapshot: Snapshot.Snapshot, shown: ReadonlyMap<string, Shown>, wrong: Array<string>): void {
    for (const { deadline, path, phase } of snapshot.frames) {
      if (path === "" || (phase !== "open" && phase !== "expired")) continue
      const around = Array.from(outward(path)).slice(1).map((at) => shown.get(at)?.state.phase)
      if (around.includes(undefined) || around.includes("closed")) wrong.push(`"${path}" outlives a frame around it`)
      const isEnding = phase === "expired" || around.some((outer) => outer !== "open")
      if (deadline !== null && deadline < snapshot.at && !isEnding) {
        wrong.push(`"${path}" goes on after its deadline`)
      }
    }
  }

  /** What each ledger on the way out has to have left, and has. */
  private needs(request: Request, shown: ReadonlyMap<string, Shown>) {
    const found: Array<{ ledger: string; needs: number; left: number; limit: number; amount: number }> = []
    for (const unit of Object.keys(request.cost)) {
      let needs = request.cost[unit]!
      if (needs === 0) continue
      for (const path of outward(request.path)) {
        const budget = shown.get(path)?.used.get(unit)
        if (budget === undefined) continue
        const { used } = budget
        const limit = budget.limit ?? Infinity
        const amount = request.cost[unit]!
        if (needs > 0) found.push({ ledger: `${unit} ${path}`, needs, left: limit - used, limit, amount })
        const aside = this.frames.get(nameOf(path))!.reserve[unit] ?? 0
        if (aside > 0) needs = Math.max(0, used + needs - aside) - Math.max(0, used - aside)
      }
    }
    return found
  }

  /** Whoever waits has too little, or is behind someone who has; and might get it one day. */
  private compareWait(request: Request, shown: ReadonlyMap<string, Shown>, wrong: Array<string>): void {
    const { cost, path } = request
    const who = `${JSON.stringify(cost)} in "${path}"`
    if (request.patience === 0) wrong.push(`${who} waits without patience`)
    if (!shown.has(path)) return void wrong.push(`${who} waits, and its frame has closed`)
    const needs = this.needs(request, shown)
    for (const { amount, ledger, limit } of needs) {
      if (amount > limit && !isExcluded.neverFits) wrong.push(`${who} waits for ${ledger}, where it can never fit`)
    }
    if (needs.some(({ left, needs }) => needs > left)) return
    const ledgers = new Set(needs.map(({ ledger }) => ledger))
    for (const other of this.waiting) {
      if (this.needs(other, shown).some(({ ledger, left, needs }) => needs > left && ledgers.has(ledger))) return
    }
    wrong.push(`${who} waits, and there is room`)
  }
}

/** Known to go wrong, and left out until it does not. */
export const isExcluded = {
  /** Someone waits for what is beyond a limit outside of a reserve. */
  neverFits: false,
  /** Some wait for several units. */
  units: false
}
