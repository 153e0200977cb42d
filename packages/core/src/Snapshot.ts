/**
 * What all of it looks like at one moment: frames, who holds what, how much of each budget is in use, counters. Plain
 * data with a schema, so it can be stored, sent and compared.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Amount, Cost } from "./Cost.ts"

// What snapshots did not have from the start is read in older ones as if it were nothing.

const nothing = Effect.succeed(0)
const empty = Effect.succeed([])
const capacity = Effect.succeed("capacity" as const)

const orNone = Schema.Int.pipe(Schema.withDecodingDefaultKey(nothing), Schema.withConstructorDefault(nothing))
const orZero = Schema.Number.pipe(Schema.withDecodingDefaultKey(nothing), Schema.withConstructorDefault(nothing))
const orCapacity = Schema.Literals(["capacity", "rate"]).pipe(
  Schema.withDecodingDefaultKey(capacity),
  Schema.withConstructorDefault(capacity)
)

/** A limit and how much of it is in use. `limit` is `null` for a unit that nobody limits. */
export class BudgetState extends Schema.Class<BudgetState>("@chronovyan/core/Snapshot/BudgetState")({
  unit: Schema.String,
  /** A capacity is given back, a rate refills with time: `limit` is then the most that can be taken at once. */
  kind: orCapacity,
  limit: Schema.NullOr(Amount),
  used: Amount,
  /** The most that was in use at once. */
  highWaterMark: Amount,
  /** What the frames outside were charged for it ahead of time, whether it is in use or not. */
  reserved: orNone,
  /** How many wait for it. */
  waiting: orNone,
  /** How long the one has waited who waits for longest, in milliseconds. */
  oldestWait: orZero,
  /** A rate: how much comes back in a period. */
  amount: Schema.optionalKey(Amount),
  /** A rate: the period, in milliseconds. */
  per: Schema.optionalKey(Schema.Number)
}) {}

/** An open frame. */
export class FrameState extends Schema.Class<FrameState>("@chronovyan/core/Snapshot/FrameState")({
  id: Schema.Int,
  /** `null` for the manager's own. */
  parent: Schema.NullOr(Schema.Int),
  name: Schema.String,
  path: Schema.String,
  phase: Schema.Literals(["open", "expired", "closing", "closed"]),
  openedAt: Schema.Number,
  /** `null` when there is none. */
  deadline: Schema.NullOr(Schema.Number),
  budgets: Schema.Array(BudgetState),
  /**
   * Present when the fiber has ended that has to end it: that of its body. A frame of `TimeFrame.make` has none: there it is
   * the fiber that made it, as long as no other has entered it.
   */
  abandoned: Schema.optionalKey(Schema.Boolean)
}) {}

/** Something that is held. */
export class AllocationState extends Schema.Class<AllocationState>("@chronovyan/core/Snapshot/AllocationState")({
  id: Schema.Int,
  resource: Schema.String,
  /** The frame that owns it and pays for it. */
  frameId: Schema.Int,
  frame: Schema.String,
  /** `charged`: paid for, and not being acquired yet: one of a set, or one that has waited for a budget. */
  state: Schema.Literals(["charged", "acquiring", "live", "releasing"]),
  /** The use of a shared, persistent or pooled value, not a value of its own. */
  share: Schema.Boolean,
  /** Its frame closed without it. */
  orphaned: Schema.Boolean,
  since: Schema.Number,
  cost: Cost,
  /** The number of the fiber that has to give it back, where somebody may wait for that; absent: anyone may. */
  fiber: Schema.optionalKey(Schema.Int),
  /** An item of a pool: the frame of the pool. */
  poolId: Schema.optionalKey(Schema.Int),
  /**
   * Where in the program it was asked for: the function and its place when it is {@link AllocationState.sampled}, otherwise
   * the name of the `Effect.fn` or span around it; absent when that is not known.
   */
  callSite: Schema.optionalKey(Schema.String),
  /** Present when it is one of those whose place `CallSite.sample` picked to look at. */
  sampled: Schema.optionalKey(Schema.Boolean),
  /** Present when its handle was collected by the garbage collector: see `ResourceManager.trackHandles`. */
  collected: Schema.optionalKey(Schema.Boolean),
  /**
   * Present when it is held though the fiber has ended that has to give it back: the one that its frame belongs to, the one
   * that borrowed it from a pool, or when its handle is tracked the one that allocated it. A hint: others may have got hold
   * of it meanwhile, or of the scope that it ends with.
   */
  abandoned: Schema.optionalKey(Schema.Boolean)
}) {}

/** Someone who waits for an item of a pool, or for a budget. */
export class WaiterState extends Schema.Class<WaiterState>("@chronovyan/core/Snapshot/WaiterState")({
  kind: Schema.Literals(["pool", "budget"]),
  /** What it waits for: the name of the pool, or the unit. */
  name: Schema.String,
  /** The frame of the pool, or the frame whose limit it is. */
  sourceId: Schema.Int,
  /** What is to be allocated then. */
  resource: Schema.String,
  /** The frame that asks; `null` outside of frames. */
  frameId: Schema.NullOr(Schema.Int),
  /** Its path; outside of frames the fiber: `fiber #12`. */
  frame: Schema.String,
  /** The number of the fiber that waits. */
  fiber: Schema.Int,
  /** Its allocation, where there is one already. */
  allocation: Schema.optionalKey(Schema.Int),
  /** How many would be served before it, as things stand. */
  position: Schema.Int,
  /** How much of the unit it needs; of a pool it is one item. */
  amount: Amount,
  since: Schema.Number,
  /** When it gives up, or the deadline of its frame if that is earlier; `null` when there is none. */
  deadline: Schema.NullOr(Schema.Number),
  /** Whose turn it takes. */
  tenant: Schema.optionalKey(Schema.String),
  callSite: Schema.optionalKey(Schema.String)
}) {}

/** A shared or persistent value. */
export class ValueState extends Schema.Class<ValueState>("@chronovyan/core/Snapshot/ValueState")({
  /** The frame of the value, under the manager. */
  frameId: Schema.Int,
  resource: Schema.String,
  kind: Schema.Literals(["shared", "persistent"]),
  /** `retired`: it is given to no new user, and ends with its last one. */
  state: Schema.Literals(["acquiring", "live", "retired"]),
  /** How many use it, or wait for its acquisition. */
  users: Schema.Int,
  /** With `access: "readWrite"`: who has a turn, and how many wait for one. */
  turns: Schema.optionalKey(Schema.Struct({
    readers: Schema.Int,
    writing: Schema.Boolean,
    waiting: Schema.Int
  }))
}) {}

/** What happened in a pool so far. Times are in milliseconds. */
export class PoolCounts extends Schema.Class<PoolCounts>("@chronovyan/core/Snapshot/PoolCounts")({
  created: Schema.Int,
  createFailed: Schema.Int,
  closed: Schema.Int,
  validateFailed: Schema.Int,
  resetFailed: Schema.Int,
  borrowed: Schema.Int,
  returned: Schema.Int,
  timeouts: Schema.Int,
  overloaded: Schema.Int,
  refused: Schema.Int,
  deadlocks: Schema.Int,
  cancelled: Schema.Int,
  overdue: Schema.Int,
  createTotal: Schema.Number,
  createMax: Schema.Number,
  waited: Schema.Int,
  waitTotal: Schema.Number,
  waitMax: Schema.Number,
  useTotal: Schema.Number,
  useMax: Schema.Number,
  usedHighWaterMark: Schema.Int,
  totalHighWaterMark: Schema.Int,
  waitingHighWaterMark: Schema.Int
}) {}

/** A pool: how many items there are in each state, and who waits. */
export class PoolState extends Schema.Class<PoolState>("@chronovyan/core/Snapshot/PoolState")({
  /** The frame of the pool, which owns the items. */
  frameId: Schema.Int,
  name: Schema.String,
  state: Schema.Literals(["open", "suspended", "draining", "closing", "closed"]),
  min: Schema.Int,
  max: Amount,
  total: Schema.Int,
  idle: Schema.Int,
  used: Schema.Int,
  creating: Schema.Int,
  /** Being reset or checked. */
  busy: Schema.Int,
  closing: Schema.Int,
  /** Creations and releases that took too long and were left behind. */
  abandoned: Schema.Int,
  waiting: Schema.Int,
  /** How long the one has waited who waits for longest, in milliseconds. */
  oldestWait: Schema.Number,
  /** What happened in it, as `ResourcePool.stats` tells it; absent in snapshots of before. */
  counts: Schema.optionalKey(PoolCounts)
}) {}

/** What happened to the allocations of one definition so far. Times are in milliseconds. */
export class ResourceState extends Schema.Class<ResourceState>("@chronovyan/core/Snapshot/ResourceState")({
  resource: Schema.String,
  kind: Schema.Literals(["temporal", "persistent", "shared", "pool"]),
  /** Values that exist. */
  live: Schema.Int,
  highWaterMark: Schema.Int,
  /** Frames' uses of shared, persistent and pooled values. */
  shares: Schema.Int,
  acquired: Schema.Int,
  released: Schema.Int,
  failed: Schema.Int,
  /** Values that arrived after their frame had closed. */
  late: Schema.Int,
  /** Refused early, since their frames had too little time left. */
  refused: orNone,
  /** How long one took of late, in milliseconds, the mean; there when some frame has `admission`. */
  expected: Schema.optionalKey(Schema.Number),
  acquireTotal: Schema.Number,
  acquireMax: Schema.Number,
  holdTotal: Schema.Number,
  holdMax: Schema.Number
}) {}

/** Everything the manager knows. */
export class Snapshot extends Schema.Class<Snapshot>("@chronovyan/core/Snapshot")({
  at: Schema.Number,
  /** The manager's own first, then the others, outer ones before those inside. */
  frames: Schema.Array(FrameState),
  allocations: Schema.Array(AllocationState),
  pools: Schema.Array(PoolState),
  /** Shared and persistent values. */
  values: Schema.Array(ValueState).pipe(Schema.withDecodingDefaultKey(empty), Schema.withConstructorDefault(empty)),
  /** The thousand who wait for longest. */
  waiters: Schema.Array(WaiterState).pipe(Schema.withDecodingDefaultKey(empty), Schema.withConstructorDefault(empty)),
  /** How many wait besides; absent when there are none. */
  waitersOmitted: Schema.optionalKey(Schema.Int),
  resources: Schema.Array(ResourceState)
}) {}

/**
 * What changed between two snapshots.
 */
export class Diff extends Schema.Class<Diff>("@chronovyan/core/Snapshot/Diff")({
  /** Milliseconds between them. */
  elapsed: Schema.Number,
  opened: Schema.Array(FrameState),
  closed: Schema.Array(FrameState),
  allocated: Schema.Array(AllocationState),
  released: Schema.Array(AllocationState),
  /** How the number of live values changed, by definition; those that did not change are left out. */
  live: Schema.Record(Schema.String, Schema.Int),
  /** How the use of each unit changed, over all frames. */
  used: Schema.Record(Schema.String, Schema.Int),
  /** How the number of those who wait changed, by pool or unit. */
  waiting: Schema.Record(Schema.String, Schema.Int),
  /** What happened in the pools that are open still, by name: how much the counts have grown, but for maxima. */
  pools: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.Number))
}) {}

/**
 * What changed from one snapshot to a later one of the same manager.
 */
export const diff = (before: Snapshot, after: Snapshot): Diff =>
  new Diff({
    elapsed: after.at - before.at,
    opened: without(after.frames, before.frames),
    closed: without(before.frames, after.frames),
    allocated: without(after.allocations, before.allocations),
    released: without(before.allocations, after.allocations),
    live: changes(liveByResource(before), liveByResource(after)),
    used: changes(usedByUnit(before), usedByUnit(after)),
    waiting: changes(waitingByName(before), waitingByName(after)),
    pools: countsOf(before, after)
  })

/**
 * The snapshot as a text tree: each frame with its age, the time it has left and its budgets, and what it holds.
 *
 * ```text
 * manager
 * └─ server  open 2.1 s
 *    └─ request  open 120 ms, 130 ms left  memory 4,096 of 65,536
 *       └─ temporal_buffer #7  held 95 ms  memory 4,096
 * ```
 */
export const render = (self: Snapshot): string => draw(self)

/**
 * Everything that is held and does not belong to an open frame: what is still there when all work is done. Shared and
 * persistent values that wait for their next user belong to the manager and are no leaks.
 */
export const orphans = (self: Snapshot): ReadonlyArray<AllocationState> =>
  self.allocations.filter((allocation) => allocation.orphaned)

/**
 * Who has what a waiter waits for: items of the pool, or some of the unit within the limit. Those of them whose `fiber` is
 * that of another waiter wait themselves. All who wait for one thing have the same answer.
 */
export const holdersFor = (
  self: Snapshot,
  waiter: Pick<WaiterState, "kind" | "name" | "sourceId">
): ReadonlyArray<AllocationState> => {
  const { kind, name, sourceId } = waiter
  if (kind === "pool") return self.allocations.filter(({ poolId, state }) => poolId === sourceId && state === "live")
  const inside = new Set([sourceId])
  const path = self.frames.find(({ id }) => id === sourceId)?.path
  // Outer frames come before those inside.
  for (const { id, parent } of self.frames) if (parent !== null && inside.has(parent)) inside.add(id)
  const isInside = ({ frame, frameId, orphaned }: AllocationState) =>
    inside.has(frameId) || (orphaned && (path === "" || frame.startsWith(`${path}/`)))
  return self.allocations.filter((allocation) => (allocation.cost[name] ?? 0) > 0 && isInside(allocation))
}

const without = <T extends { readonly id: number }>(all: ReadonlyArray<T>, known: ReadonlyArray<T>): Array<T> => {
  const ids = new Set(known.map((one) => one.id))
  return all.filter((one) => !ids.has(one.id))
}

const liveByResource = (self: Snapshot): Map<string, number> =>
  new Map(self.resources.map((resource) => [resource.resource, resource.live]))

const usedByUnit = (self: Snapshot): Map<string, number> => {
  const used = new Map<string, number>()
  for (const allocation of self.allocations) {
    for (const [unit, amount] of Object.entries(allocation.cost)) used.set(unit, (used.get(unit) ?? 0) + amount)
  }
  return used
}

const waitingByName = ({ frames, pools }: Snapshot): Map<string, number> => {
  const waiting = new Map<string, number>()
  const add = (name: string, count: number) => waiting.set(name, (waiting.get(name) ?? 0) + count)
  for (const pool of pools) add(pool.name, pool.waiting)
  for (const { budgets } of frames) for (const { unit, waiting } of budgets) add(unit, waiting)
  return waiting
}

/** Pools of one name count as one. */
const countsOf = (before: Snapshot, after: Snapshot): Record<string, Record<string, number>> => {
  const known = new Map(before.pools.map((pool) => [pool.frameId, pool.counts]))
  const found: Record<string, Record<string, number>> = {}
  for (const { counts, frameId, name } of after.pools) {
    for (const [key, count] of Object.entries(counts ?? {}) as Array<[keyof PoolCounts, number]>) {
      const grown = count - (known.get(frameId)?.[key] ?? 0)
      if (grown === 0 || key.endsWith("Max") || key.endsWith("HighWaterMark")) continue
      const pool = found[name] ??= {}
      pool[key] = (pool[key] ?? 0) + grown
    }
  }
  return found
}

const changes = (before: Map<string, number>, after: Map<string, number>): Record<string, number> => {
  const changed: Record<string, number> = {}
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const change = (after.get(key) ?? 0) - (before.get(key) ?? 0)
    if (change !== 0) changed[key] = change
  }
  return changed
}

// The text tree.

const number = new Intl.NumberFormat("en-US")

/** A duration as a person reads it. */
const duration = (millis: number): string => {
  const ms = Math.round(Math.max(0, millis))
  if (ms < 1000) return `${ms} ms`
  const tenths = Math.round(ms / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(ms / 60_000)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Names come from users: a control character in one must not break the tree. */
const text = (name: string): string => name.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "\uFFFD")

const budget = (state: BudgetState): string => {
  const { amount, limit, per, reserved, unit } = state
  const used = `${text(unit)} ${number.format(state.used)}${limit === null ? "" : ` of ${number.format(limit)}`}`
  const more = [
    amount === undefined || per === undefined ? "" : `${number.format(amount)} in ${duration(per)}`,
    reserved === 0 ? "" : `${number.format(reserved)} reserved`,
    waitingFor(state)
  ].filter((part) => part !== "")
  return more.length === 0 ? used : `${used} (${more.join(", ")})`
}

const waitingFor = ({ oldestWait, waiting }: { readonly oldestWait: number; readonly waiting: number }): string =>
  waiting === 0 ? "" : `${waiting} waiting for up to ${duration(oldestWait)}`

const list = (parts: ReadonlyArray<string>): string => parts.length === 0 ? "" : `  ${parts.join(", ")}`

const poolLine = (pool: PoolState): string => {
  const parts = [`${pool.used} of at most ${number.format(pool.max)} in use`, `${pool.idle} idle`]
  const rare = ["creating", "busy", "closing", "abandoned"] as const
  for (const state of rare) if (pool[state] > 0) parts.push(`${pool[state]} ${state}`)
  if (pool.waiting > 0) parts.push(waitingFor(pool))
  return `${pool.state === "open" ? "pool" : `${pool.state} pool`}${list([parts.join(", ")])}`
}

const valueLine = ({ state, turns }: ValueState): string => {
  const parts: Array<string> = state === "retired" ? [state] : []
  if (turns !== undefined && turns.readers > 0) parts.push(`${turns.readers} reading`)
  if (turns?.writing === true) parts.push("1 writing")
  if (turns !== undefined && turns.waiting > 0) parts.push(`${turns.waiting} waiting for a turn`)
  return parts.join(", ")
}

/** Where somebody stands in line. */
const place = (position: number): string => position === 0 ? "next in line" : `${number.format(position)} before it`

const waiterLine = (waiter: WaiterState, at: number, source: FrameState | undefined): string => {
  const { amount, callSite, kind, name, position, resource, since } = waiter
  const what = kind === "pool"
    ? `${text(waiter.frame)}  waiting`
    : `${text(resource)}  waiting for ${number.format(amount)} ${text(name)} of ${text(source?.path || "the manager")}`
  const site = callSite === undefined ? "" : `  at ${text(callSite)}`
  return `${what} for ${duration(at - since)}, ${place(position)}${site}`
}

const abandoned = (state: FrameState | AllocationState): string => state.abandoned === true ? "  abandoned" : ""

const frameLine = (frame: FrameState, at: number, about: string): string => {
  if (frame.parent === null) return `manager${list(frame.budgets.map(budget))}`
  const times = [`${frame.phase === "open" ? "" : `${frame.phase}, `}open ${duration(at - frame.openedAt)}`]
  if (frame.deadline !== null) {
    times.push(frame.deadline >= at ? `${duration(frame.deadline - at)} left` : `${duration(at - frame.deadline)} late`)
  }
  return `${text(frame.name)}${list(about === "" ? [] : [about])}${list(times)}${list(frame.budgets.map(budget))}` +
    abandoned(frame)
}

const verbs = { charged: "charged for", acquiring: "acquiring for", live: "held", releasing: "releasing for" }

/** One outside of frames is shown with the pool that it borrowed from. */
const borrower = ({ frame }: AllocationState): string => frame.startsWith("fiber #") ? `  by ${text(frame)}` : ""

const allocationLine = (allocation: AllocationState, at: number, waiter: WaiterState | undefined): string => {
  const isUsed = allocation.share && allocation.state === "live"
  const verb = waiter !== undefined ? "waiting for" : isUsed ? "used" : verbs[allocation.state]
  const before = waiter === undefined ? "" : `, ${place(waiter.position)}`
  const cost = Object.entries(allocation.cost).map(([unit, amount]) => `${text(unit)} ${number.format(amount)}`)
  const origin = allocation.orphaned ? `  outlived ${text(allocation.frame)}` : ""
  const site = allocation.callSite === undefined ? "" : `  at ${text(allocation.callSite)}`
  const collected = allocation.collected === true ? "  handle collected" : ""
  return `${text(allocation.resource)} #${allocation.id}  ${verb} ${duration(at - allocation.since)}${before}` +
    `${list(cost)}${borrower(allocation)}${origin}${collected}${abandoned(allocation)}${site}`
}

interface Node {
  readonly line: string
  readonly inside: Array<Node>
}

const draw = (self: Snapshot): string => {
  const nodes = new Map<number, Node>()
  const roots: Array<Node> = []
  const put = (parent: number | null, node: Node) => {
    const outer = parent === null ? undefined : nodes.get(parent)
    ;(outer === undefined ? roots : outer.inside).push(node)
  }
  const { at } = self
  const about = new Map([
    ...self.pools.map((pool) => [pool.frameId, poolLine(pool)] as const),
    ...self.values.map((value) => [value.frameId, valueLine(value)] as const)
  ])
  const frames = new Map(self.frames.map((frame) => [frame.id, frame]))
  const waiters = new Map(self.waiters.map((waiter) => [waiter.allocation, waiter]))
  for (const frame of self.frames) {
    const node = { line: frameLine(frame, at, about.get(frame.id) ?? ""), inside: [] }
    nodes.set(frame.id, node)
    put(frame.parent, node)
  }
  const manager = self.frames.find((frame) => frame.parent === null)?.id ?? null
  for (const allocation of self.allocations) {
    const line = allocationLine(allocation, at, waiters.get(allocation.id))
    put(allocation.orphaned ? manager : allocation.frameId, { line, inside: [] })
  }
  for (const waiter of self.waiters) {
    if (waiter.allocation !== undefined) continue
    const line = waiterLine(waiter, at, frames.get(waiter.sourceId))
    put(waiter.frameId ?? waiter.sourceId, { line, inside: [] })
  }
  if (self.waitersOmitted !== undefined) {
    put(manager, { line: `and ${number.format(self.waitersOmitted)} more who wait`, inside: [] })
  }
  const lines: Array<string> = []
  const print = (node: Node, first: string, rest: string) => {
    lines.push(first + node.line)
    node.inside.forEach((inner, index) => {
      const last = index === node.inside.length - 1
      print(inner, rest + (last ? "└─ " : "├─ "), rest + (last ? "   " : "│  "))
    })
  }
  for (const root of roots) print(root, "", "")
  return lines.join("\n")
}
