/**
 * Takes a snapshot: one walk through the lists that the frames keep. Owned by `ResourceManager`.
 */
import { AllocationState, BudgetState, FrameState, ResourceState, Snapshot } from "../Snapshot.ts"
import { Frame } from "./frame.ts"
import { unlimited } from "./ledger.ts"
import type { LinkedList } from "./list.ts"
import type { Facts, Owned } from "./owned.ts"
import type { Statistics } from "./statistics.ts"

// Snapshots are built from our own facts: checking them again would only cost time.
const unchecked = { disableChecks: true }

const budgetsOf = (frame: Frame): Array<BudgetState> => {
  const budgets: Array<BudgetState> = []
  for (const ledger of frame.ledgers.values()) {
    if (ledger.owner !== frame) continue
    const { highWaterMark, unit, used } = ledger
    const limit = ledger.limit === unlimited ? null : ledger.limit
    budgets.push(new BudgetState({ unit, limit, used, highWaterMark }, unchecked))
  }
  return budgets
}

const frameState = (frame: Frame): FrameState =>
  new FrameState({
    id: frame.id,
    parent: frame.parent?.id ?? null,
    name: frame.name,
    path: frame.path,
    phase: frame.phase,
    openedAt: frame.openedAt,
    deadline: frame.deadline === Infinity ? null : frame.deadline,
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

const resourceState = (statistics: Statistics): ResourceState => new ResourceState({ ...statistics }, unchecked)

export const snapshot = (root: Frame): Snapshot => {
  const frames = [frameState(root)]
  const allocations: Array<AllocationState> = []
  const visit = (list: LinkedList<Owned>, orphaned: boolean) => {
    for (let owned = list.first; owned !== undefined; owned = owned.next) {
      const facts = owned.facts()
      if (facts !== undefined) allocations.push(allocationState(facts, orphaned))
      if (owned instanceof Frame) {
        frames.push(frameState(owned))
        for (const inside of owned.inside) visit(inside, orphaned)
      }
    }
  }
  for (const list of root.inside) visit(list, false)
  visit(root.orphans, true)
  const resources = Array.from(root.registry.statistics.values(), resourceState)
  return new Snapshot({ at: root.registry.now(), frames, allocations, resources }, unchecked)
}
