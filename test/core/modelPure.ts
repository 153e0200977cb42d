/** What the library should do, without effects: frames, who holds what, and what is left of each budget. */
export type Unit = "u" | "v"
export type Amounts = { readonly [unit in Unit]?: number }
export type Kind = "temporal" | "shared" | "idle" | "persistent"

export const units: ReadonlyArray<Unit> = ["u", "v"]

export interface FrameModel {
  readonly name: string
  readonly parent: FrameModel | undefined
  readonly limits: Amounts
  /** When its own timeout ends it; `Infinity` where that of a frame outside comes first. */
  readonly ownDeadline: number
  readonly deadline: number
  open: boolean
}

export interface HandleModel {
  readonly kind: Kind
  readonly key: number
  frame: FrameModel
  readonly cost: Amounts
  readonly dies: boolean
  live: boolean
}

export interface ValueModel {
  readonly kind: Kind
  readonly key: number
  readonly cost: Amounts
  readonly dies: boolean
  users: number
  indexed: boolean
  idleUntil: number
}

export type Outcome = "ok" | "FrameClosed" | "AllocationReleased" | "refused" | "died" | `BudgetExceeded ${string}`

/** What a value of a kind costs, whether it can be had, and whether its release dies. */
export interface Recipe {
  readonly kind: Kind
  readonly key: number
  readonly cost: Amounts
  readonly acquire: "ok" | "fails" | "dies"
  readonly dies: boolean
}

export const idleTimeToLive = 200

export class Model {
  now: number
  readonly root: FrameModel
  readonly frames: Array<FrameModel> = []
  handles: Array<HandleModel> = []
  values: Array<ValueModel> = []
  opened = 0

  constructor(now: number, limits: Amounts) {
    this.now = now
    this.root = { name: "", parent: undefined, limits, ownDeadline: Infinity, deadline: Infinity, open: true }
  }

  /** One that is made ends with the scope that it is made in: that of the frame around it. */
  openFrame(around: FrameModel, name: string, limits: Amounts, timeout: number, isMade: boolean): FrameModel {
    let parent = around
    while (!parent.open && parent.parent !== undefined) parent = parent.parent
    const own = this.now + timeout
    const frame: FrameModel = {
      name,
      parent,
      limits,
      ownDeadline: own < parent.deadline ? own : Infinity,
      deadline: Math.min(own, parent.deadline),
      open: isMade ? around.open : parent.open
    }
    this.frames.push(frame)
    return frame
  }

  isWithin(frame: FrameModel, outer: FrameModel): boolean {
    return frame === outer || (frame.parent !== undefined && this.isWithin(frame.parent, outer))
  }

  /** What is charged to a frame and the frames inside it. */
  used(frame: FrameModel, unit: Unit): number {
    let used = 0
    for (const handle of this.handles) {
      if (handle.kind === "temporal" && this.isWithin(handle.frame, frame)) used += handle.cost[unit] ?? 0
    }
    if (frame === this.root) { for (const value of this.values) used += value.cost[unit] ?? 0 }
    return used
  }

  private refuses(frame: FrameModel, cost: Amounts): Outcome | undefined {
    for (const unit of units) {
      if (cost[unit] === undefined) continue
      for (let at: FrameModel | undefined = frame; at !== undefined; at = at.parent) {
        const limit = at.limits[unit]
        if (limit !== undefined && this.used(at, unit) + cost[unit] > limit) {
          // One that could never hold it is told of before one that is only full now.
          let teller: FrameModel = at
          for (let outer: FrameModel = at;; outer = outer.parent) {
            if ((outer.limits[unit] ?? Infinity) < cost[unit]) {
              teller = outer
              break
            }
            if (outer.parent === undefined) break
          }
          return `BudgetExceeded ${unit} of ${teller.name}: ${this.used(teller, unit)} of ${teller.limits[unit]}`
        }
      }
    }
    return undefined
  }

  private acquire(recipe: Recipe, frame: FrameModel): Outcome | undefined {
    const refused = this.refuses(frame, recipe.cost)
    if (refused !== undefined) return refused
    if (recipe.acquire !== "ok") return recipe.acquire === "fails" ? "refused" : "died"
    this.opened++
    return undefined
  }

  allocate(frame: FrameModel, recipe: Recipe): Outcome {
    if (!frame.open) return "FrameClosed"
    const { cost, dies, key, kind } = recipe
    if (kind === "temporal") {
      const refused = this.acquire(recipe, frame)
      if (refused !== undefined) return refused
    } else {
      let value = this.values.find((one) => one.indexed && one.kind === kind && one.key === key)
      if (value === undefined) {
        const refused = this.acquire(recipe, this.root)
        if (refused !== undefined) return refused
        value = { kind, key, cost, dies, users: 0, indexed: true, idleUntil: Infinity }
        this.values.push(value)
      }
      value.users++
      value.idleUntil = Infinity
      const handle: HandleModel = { kind, key, frame, cost: {}, dies: false, live: true }
      this.handles.push(handle)
      this.valueOf.set(handle, value)
      return "ok"
    }
    this.handles.push({ kind, key, frame, cost, dies, live: true })
    return "ok"
  }

  private readonly valueOf = new Map<HandleModel, ValueModel>()

  /** Answers whether a release died on the way. */
  release(handle: HandleModel): boolean {
    if (!handle.live) return false
    handle.live = false
    this.handles.splice(this.handles.indexOf(handle), 1)
    const value = this.valueOf.get(handle)
    if (value === undefined) return handle.dies
    if (--value.users > 0) return false
    if (!value.indexed || value.kind === "shared") return this.end(value)
    if (value.kind === "idle") value.idleUntil = this.now + idleTimeToLive
    return false
  }

  private end(value: ValueModel): boolean {
    this.values.splice(this.values.indexOf(value), 1)
    return value.dies
  }

  transfer(handle: HandleModel, to: FrameModel): Outcome {
    if (!handle.live) return "AllocationReleased"
    if (handle.frame === to) return "ok"
    if (!to.open) return "FrameClosed"
    const at = this.handles.indexOf(handle)
    this.handles.splice(at, 1)
    const refused = this.refuses(to, handle.cost)
    this.handles.splice(at, 0, handle)
    if (refused === undefined) handle.frame = to
    return refused ?? "ok"
  }

  retire(kind: Kind): boolean {
    let died = false
    for (const value of this.values.filter((one) => one.kind === kind && one.indexed)) {
      value.indexed = false
      if (value.users === 0) died = this.end(value) || died
    }
    return died
  }

  /** Closes a frame and those inside it; answers whether a release died. */
  close(frame: FrameModel): boolean {
    if (!frame.open) return false
    for (const one of this.frames) if (this.isWithin(one, frame)) one.open = false
    let died = false
    for (const handle of this.handles.filter((one) => this.isWithin(one.frame, frame))) {
      died = this.release(handle) || died
    }
    return died
  }

  /** Lets time pass; answers the frames that their own deadline ended, and whether a release died in each. */
  advance(millis: number): ReadonlyArray<readonly [frame: FrameModel, died: boolean]> {
    const until = this.now + millis
    const ended: Array<readonly [FrameModel, boolean]> = []
    while (true) {
      const next = this.frames.filter((one) => one.open && one.ownDeadline <= until)
        .sort((a, b) => a.ownDeadline - b.ownDeadline)[0]
      const idle = this.values.filter((one) => one.idleUntil <= until).sort((a, b) => a.idleUntil - b.idleUntil)[0]
      if (next === undefined && idle === undefined) break
      if (idle !== undefined && (next === undefined || idle.idleUntil <= next.ownDeadline)) {
        this.now = idle.idleUntil
        this.end(idle)
      } else {
        this.now = next!.ownDeadline
        ended.push([next!, this.close(next!)])
      }
    }
    this.now = until
    return ended
  }
}
