/**
 * Takes a snapshot: one walk through the lists that the frames keep. Owned by `ResourceManager`.
 */
import { AllocationState, BudgetState, FrameState, PoolState, ResourceState, Snapshot } from "../Snapshot.ts"
import { Frame } from "./frame.ts"
import { unlimited } from "./ledger.ts"
import type { LinkedList } from "./list.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts, Owned } from "./owned.ts"
import type { Registry } from "./registry.ts"
import { Statistics } from "./statistics.ts"
import type { Borrowing } from "./statistics.ts"

/** What is shown of the recent past: the mean, of however few. */
const shown = { minimumSamples: 1, deviations: 0, probeEvery: 0 }

// Snapshots are built from our own facts: checking them again would only cost time.
const unchecked = { disableChecks: true }

const budgetsOf = (frame: Frame): Array<BudgetState> => {
  const budgets: Array<BudgetState> = []
  for (const ledger of frame.ledgers.values()) {
    if (ledger.owner !== frame) continue
    const { highWaterMark, standing: used, unit } = ledger
    const limit = ledger.limit === unlimited ? null : ledger.limit
    budgets.push(new BudgetState({ unit, limit, used, highWaterMark }, unchecked))
  }
  return budgets
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
    budgets: budgetsOf(frame)
  }, unchecked)

const allocationState = (facts: Facts, orphaned: boolean): AllocationState => {
  const { callSite, cost, frame, id, resource, share, since, state } = facts
  return new AllocationState({
    id,
    resource,
    frameId: frame.id,
    frame: frame.path,
    state,
    share,
    orphaned,
    since,
    cost,
    ...(callSite === undefined ? undefined : { callSite })
  }, unchecked)
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

export const snapshot = (root: Frame): Snapshot => {
  const frames = [frameState(root, null)]
  const allocations: Array<AllocationState> = []
  const pools: Array<PoolState> = []
  const borrowing: Array<readonly [string, Borrowing]> = []
  const visit = (owner: Owned, id: number, orphaned: boolean) => {
    for (const list of owner.inside) visitList(list, id, orphaned || (owner as Partial<Frame>).orphanage === list)
  }
  const visitList = (list: LinkedList<Owned>, parent: number, orphaned: boolean) => {
    for (let owned = list.first; owned !== undefined; owned = owned.next) {
      const facts = owned.facts()
      if (facts !== undefined) allocations.push(allocationState(facts, orphaned))
      // The frame that an acquisition runs in is shown when there is something in it.
      const isShown = facts?.inner !== undefined && allocationsIn(owned.inside).next().done !== true
      const frame = owned instanceof Frame ? owned : isShown ? facts.inner as Frame : undefined
      if (frame !== undefined) frames.push(frameState(frame, parent))
      const pool = frame?.pool
      if (pool !== undefined) {
        const { id, name } = frame!
        pools.push(new PoolState({ frameId: id, name, ...pool.standing }, unchecked))
        borrowing.push([name, pool.borrowing])
      }
      visit(owned, frame?.id ?? parent, orphaned)
    }
  }
  visit(root, root.id, false)
  const resources = resourceStates(root.registry, borrowing)
  return new Snapshot({ at: root.registry.now(), frames, allocations, pools, resources }, unchecked)
}
