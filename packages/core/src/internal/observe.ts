/**
 * Takes a snapshot: one walk through the lists that the frames keep. Owned by `ResourceManager`.
 */
import {
  AllocationState,
  BudgetState,
  FrameState,
  PoolCounts,
  PoolState,
  ResourceState,
  Snapshot,
  ValueState,
  WaiterState
} from "../Snapshot.ts"
import type { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import { RateLedger, unlimited } from "./ledger.ts"
import type { WaiterFacts } from "./ledger.ts"
import type { LinkedList } from "./list.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts, Marks, Owned } from "./owned.ts"
import type { Registry } from "./registry.ts"
import { Statistics } from "./statistics.ts"
import type { Borrowing } from "./statistics.ts"

/** What is shown of the recent past: the mean, of however few. */
const shown = { minimumSamples: 1, deviations: 0, probeEvery: 0 }

// Snapshots are built from our own facts: checking them again would only cost time.
const unchecked = { disableChecks: true }

/** How many of those who wait are shown. */
const shownWaiters = 1000

const budgetsOf = (frame: Frame): Array<BudgetState> => {
  const budgets: Array<BudgetState> = []
  for (const ledger of frame.ledgers.values()) {
    if (ledger.owner !== frame) continue
    const { highWaterMark, reserved, standing: used, unit, waiting } = ledger
    const limit = ledger.limit === unlimited ? null : ledger.limit
    budgets.push(
      new BudgetState({
        unit,
        kind: ledger instanceof RateLedger ? "rate" : "capacity",
        limit,
        used,
        highWaterMark,
        reserved,
        waiting: waiting?.length ?? 0,
        oldestWait: waiting?.oldestWait ?? 0,
        ...(ledger instanceof RateLedger ? { amount: ledger.rate.amount, per: ledger.rate.per } : undefined)
      }, unchecked)
    )
  }
  return budgets
}

type Waiter = Pick<WaiterState, "kind" | "name" | "sourceId" | "position"> & { readonly facts: WaiterFacts }

/** Those who wait anywhere: as many as are shown, and how many there are. */
class Waiters {
  private readonly found: Array<Waiter> = []
  private total = 0

  add(kind: Waiter["kind"], name: string, sourceId: number, length: number, told: ReadonlyArray<WaiterFacts>): void {
    this.total += length
    for (const [position, facts] of told.entries()) this.found.push({ kind, name, sourceId, position, facts })
  }

  /** The ones who wait for longest come first. */
  get states() {
    const found = this.found.sort((a, b) => a.facts.since - b.facts.since).slice(0, shownWaiters)
    const waitersOmitted = this.total - found.length
    return { waiters: found.map(waiterState), ...(waitersOmitted > 0 ? { waitersOmitted } : undefined) }
  }
}

const waiterState = ({ facts, kind, name, position, sourceId }: Waiter): WaiterState => {
  const { allocation, amount, callSite, deadline, fiber, frame, place, resource, since, tenant } = facts
  return new WaiterState({
    kind,
    name,
    sourceId,
    resource,
    frameId: frame?.id ?? null,
    frame: place,
    fiber,
    position,
    amount,
    since,
    deadline: deadline === Infinity ? null : deadline,
    ...(allocation === undefined ? undefined : { allocation }),
    ...(typeof tenant === "string" ? { tenant } : undefined),
    ...(callSite === undefined ? undefined : { callSite })
  }, unchecked)
}

/** A deadline is kept on the monotonic clock; people read the one on the wall. */
const wallTime = ({ deadline, registry }: Frame): number =>
  Math.round(registry.now() + deadline - registry.timers.now())

/** One that outlived the frame around it stands with the nearest frame outside: `parent` is where it is found. */
const frameState = (frame: Frame, parent: number | null): FrameState =>
  new FrameState({
    id: frame.id,
    parent,
    name: frame.name,
    path: frame.path,
    phase: frame.phase,
    openedAt: frame.openedAt,
    deadline: frame.deadline === Infinity ? null : wallTime(frame),
    budgets: budgetsOf(frame),
    ...(frame.isAbandoned ? { abandoned: true } : undefined)
  }, unchecked)

type AllocationProps = { -readonly [K in keyof AllocationState]: AllocationState[K] }

const allocationState = (facts: Facts, marks: Marks | undefined, orphaned: boolean): AllocationState => {
  const { callSite, cost, frame, holder, id, lent, resource, share, since, state } = facts
  const fiber = lent === undefined ? holder : lent.fiber
  const told: AllocationProps = {
    id,
    resource,
    frameId: frame.id,
    frame: frame.path,
    state,
    share,
    orphaned,
    since,
    cost
  }
  // There may be many: what is absent is not spread.
  if (fiber !== undefined) told.fiber = fiber
  if (lent !== undefined) told.poolId = lent.pool
  if (callSite !== undefined) told.callSite = callSite
  if (marks?.sampled === true) told.sampled = true
  if (marks?.collected === true) told.collected = true
  if (marks?.abandoned === true) told.abandoned = true
  return new AllocationState(told, unchecked)
}

/** What was counted so far, and what the pools that are open count themselves. */
const resourceStates = (registry: Registry, borrowing: ReadonlyArray<readonly [string, Borrowing]>) => {
  const states = new Map<string, Statistics>()
  const copyOf = (resource: string, kind: Statistics["kind"]): Statistics => {
    const key = registry.keyOf(resource, kind)
    const known = states.get(key)
    if (known !== undefined) return known
    const copy = Object.assign(new Statistics(resource, kind), registry.statistics.get(key))
    states.set(key, copy)
    return copy
  }
  for (const { kind, resource } of registry.statistics.values()) copyOf(resource, kind)
  for (const [name, counted] of borrowing) copyOf(name, "pool").add(counted)
  const now = registry.timers.now()
  return Array.from(states.values(), ({ recent, ...counted }) => {
    const expected = recent?.expected(now, shown)
    return new ResourceState({ ...counted, ...(expected === undefined ? undefined : { expected }) }, unchecked)
  })
}

/** The pools that are not closed, outer ones before those inside. */
export const poolsIn = (
  owner: Owned
): Array<{ readonly frameId: number; readonly name: string; readonly pool: Definition }> => {
  const pools = []
  const ahead: Array<Owned> = [owner]
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    const pool = next instanceof Frame ? next.pool : undefined
    if (pool !== undefined) {
      pools.push({ frameId: (next as Frame).id, name: (next as Frame).name, pool: pool.definition })
    }
    for (const list of next.inside) {
      for (let inner = list.first; inner !== undefined; inner = inner.next) ahead.push(inner)
    }
  }
  return pools.sort((a, b) => a.frameId - b.frameId)
}

export const snapshot = (root: Frame): Snapshot => {
  const frames: Array<FrameState> = []
  const values: Array<ValueState> = []
  const waiters = new Waiters()
  const allocations: Array<AllocationState> = []
  const pools: Array<PoolState> = []
  const borrowings: Array<readonly [string, Borrowing]> = []
  const show = (frame: Frame, parent: number | null) => {
    const { id, name, pool, shared } = frame
    frames.push(frameState(frame, parent))
    for (const { owner, unit, waiting } of frame.ledgers.values()) {
      if (owner !== frame || waiting === undefined) continue
      waiters.add("budget", unit, id, waiting.length, waiting.tell(shownWaiters))
    }
    if (shared !== undefined) {
      const { turns, ...facts } = shared
      values.push(
        new ValueState(
          { frameId: id, resource: name, ...facts, ...(turns === undefined ? undefined : { turns }) },
          unchecked
        )
      )
    }
    if (pool === undefined) return
    const { borrowing, counts, standing } = pool
    pools.push(
      new PoolState({ frameId: id, name, ...standing, counts: new PoolCounts({ ...counts }, unchecked) }, unchecked)
    )
    borrowings.push([name, borrowing])
    waiters.add("pool", name, id, pool.awaited, pool.tell(shownWaiters))
  }
  const visit = (owner: Owned, id: number, orphaned: boolean) => {
    for (const list of owner.inside) visitList(list, id, orphaned || (owner as Partial<Frame>).orphanage === list)
  }
  const visitList = (list: LinkedList<Owned>, parent: number, orphaned: boolean) => {
    for (let owned = list.first; owned !== undefined; owned = owned.next) {
      const facts = owned.facts()
      if (facts !== undefined) allocations.push(allocationState(facts, owned.marks(), orphaned))
      // The frame that an acquisition runs in is shown when there is something in it.
      const isShown = facts?.inner !== undefined && allocationsIn(owned.inside).next().done !== true
      const frame = owned instanceof Frame ? owned : isShown ? facts.inner as Frame : undefined
      if (frame !== undefined) {
        show(frame, parent)
        if (frame.pool !== undefined) visitList(frame.pool.strays, frame.id, orphaned)
      }
      visit(owned, frame?.id ?? parent, orphaned)
    }
  }
  show(root, null)
  visit(root, root.id, false)
  const resources = resourceStates(root.registry, borrowings)
  const at = root.registry.now()
  return new Snapshot({ at, frames, allocations, pools, values, ...waiters.states, resources }, unchecked)
}
