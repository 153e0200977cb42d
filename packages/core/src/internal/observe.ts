/**
 * Takes a snapshot: one walk through the lists that the frames keep. Owned by `ResourceManager`.
 */
import { AllocationState, BudgetState, FrameState, ResourceState, Snapshot } from "../Snapshot.ts"
import { Frame } from "./frame.ts"
import { unlimited } from "./ledger.ts"
import type { LinkedList } from "./list.ts"
import { allocationsIn } from "./owned.ts"
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

/** A deadline is kept on the monotonic clock; people read the one on the wall. */
const wallTime = ({ deadline, registry }: Frame): number =>
  Math.round(registry.now() + deadline - registry.timers.now())

const frameState = (frame: Frame): FrameState =>
  new FrameState({
    id: frame.id,
    parent: frame.parent?.id ?? null,
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

const resourceState = (statistics: Statistics): ResourceState => new ResourceState({ ...statistics }, unchecked)

export const snapshot = (root: Frame): Snapshot => {
  const frames = [frameState(root)]
  const allocations: Array<AllocationState> = []
  const visit = (frame: Owned, orphaned: boolean) => {
    for (const list of frame.inside) visitList(list, orphaned || (frame as Partial<Frame>).orphanage === list)
  }
  const visitList = (list: LinkedList<Owned>, orphaned: boolean) => {
    for (let owned = list.first; owned !== undefined; owned = owned.next) {
      const facts = owned.facts()
      if (facts !== undefined) allocations.push(allocationState(facts, orphaned))
      if (owned instanceof Frame) frames.push(frameState(owned))
      // The frame that an acquisition runs in is shown when there is something in it.
      else if (facts?.inner !== undefined && allocationsIn(owned.inside).next().done !== true) {
        frames.push(frameState(facts.inner as Frame))
      }
      visit(owned, orphaned)
    }
  }
  visit(root, false)
  const resources = Array.from(root.registry.statistics.values(), resourceState)
  return new Snapshot({ at: root.registry.now(), frames, allocations, resources }, unchecked)
}
