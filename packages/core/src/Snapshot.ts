/**
 * What all of it looks like at one moment: frames, who holds what, how much of each budget is in use, counters. Plain
 * data with a schema, so it can be stored, sent and compared.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Amount, Cost } from "./Cost.ts"

/** A limit and how much of it is in use. `limit` is `null` for a unit that nobody limits. */
export class BudgetState extends Schema.Class<BudgetState>("@chronovyan/core/Snapshot/BudgetState")({
  unit: Schema.String,
  limit: Schema.NullOr(Amount),
  used: Amount,
  /** The most that was in use at once. */
  highWaterMark: Amount
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
  budgets: Schema.Array(BudgetState)
}) {}

/** Something that is held. */
export class AllocationState extends Schema.Class<AllocationState>("@chronovyan/core/Snapshot/AllocationState")({
  id: Schema.Int,
  resource: Schema.String,
  /** The frame that owns it and pays for it. */
  frameId: Schema.Int,
  frame: Schema.String,
  /** `charged` is one of a set whose turn to be acquired has not come yet. */
  state: Schema.Literals(["charged", "acquiring", "live", "releasing"]),
  /** The use of a shared, persistent or pooled value, not a value of its own. */
  share: Schema.Boolean,
  /** Its frame closed without it. */
  orphaned: Schema.Boolean,
  since: Schema.Number,
  cost: Cost,
  callSite: Schema.optionalKey(Schema.String)
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
  oldestWait: Schema.Number
}) {}

const none = Effect.succeed(0)

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
  refused: Schema.Int.pipe(Schema.withDecodingDefaultKey(none), Schema.withConstructorDefault(none)),
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
  used: Schema.Record(Schema.String, Schema.Int)
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
    used: changes(usedByUnit(before), usedByUnit(after))
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
  const used = `${text(state.unit)} ${number.format(state.used)}`
  return state.limit === null ? used : `${used} of ${number.format(state.limit)}`
}

const list = (parts: ReadonlyArray<string>): string => parts.length === 0 ? "" : `  ${parts.join(", ")}`

const poolLine = (pool: PoolState): string => {
  const parts = [`${pool.used} of at most ${number.format(pool.max)} in use`, `${pool.idle} idle`]
  const rare = ["creating", "busy", "closing", "abandoned"] as const
  for (const state of rare) if (pool[state] > 0) parts.push(`${pool[state]} ${state}`)
  if (pool.waiting > 0) parts.push(`${pool.waiting} waiting for up to ${duration(pool.oldestWait)}`)
  return `${pool.state === "open" ? "pool" : `${pool.state} pool`}${list([parts.join(", ")])}`
}

const frameLine = (frame: FrameState, at: number, pool: PoolState | undefined): string => {
  if (frame.parent === null) return `manager${list(frame.budgets.map(budget))}`
  const times = [`${frame.phase === "open" ? "" : `${frame.phase}, `}open ${duration(at - frame.openedAt)}`]
  if (frame.deadline !== null) {
    times.push(frame.deadline >= at ? `${duration(frame.deadline - at)} left` : `${duration(at - frame.deadline)} late`)
  }
  const about = pool === undefined ? "" : `  ${poolLine(pool)}`
  return `${text(frame.name)}${about}${list(times)}${list(frame.budgets.map(budget))}`
}

const verbs = { charged: "charged for", acquiring: "acquiring for", live: "held", releasing: "releasing for" }

const allocationLine = (allocation: AllocationState, at: number): string => {
  const verb = allocation.share && allocation.state === "live" ? "used" : verbs[allocation.state]
  const cost = Object.entries(allocation.cost).map(([unit, amount]) => `${text(unit)} ${number.format(amount)}`)
  const origin = allocation.orphaned ? `  outlived ${text(allocation.frame)}` : ""
  const site = allocation.callSite === undefined ? "" : `  (${text(allocation.callSite)})`
  return `${text(allocation.resource)} #${allocation.id}  ${verb} ${duration(at - allocation.since)}` +
    `${list(cost)}${origin}${site}`
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
  const pools = new Map(self.pools.map((pool) => [pool.frameId, pool]))
  for (const frame of self.frames) {
    const node = { line: frameLine(frame, self.at, pools.get(frame.id)), inside: [] }
    nodes.set(frame.id, node)
    put(frame.parent, node)
  }
  const manager = self.frames.find((frame) => frame.parent === null)?.id ?? null
  for (const allocation of self.allocations) {
    put(allocation.orphaned ? manager : allocation.frameId, { line: allocationLine(allocation, self.at), inside: [] })
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
