/**
 * Who has what, looked up when something has been refused. Owned by `ResourceError`.
 */
import { DeadlineExceeded, Holder } from "../ResourceError.ts"
import type { Frame } from "./frame.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts } from "./owned.ts"

/** An error lists the first holders, and counts the others. */
export const listed = 100

/** One of them, as an error tells of it. */
export const toHolder = (facts: Facts, now: number, amount: number): Holder =>
  new Holder({
    allocation: facts.id,
    resource: facts.resource,
    frame: facts.frame.path,
    state: facts.state,
    since: facts.since,
    age: Math.max(0, now - facts.since),
    amount,
    ...(facts.callSite === undefined ? undefined : { callSite: facts.callSite })
  }, { disableChecks: true })

interface Listed {
  readonly holders: ReadonlyArray<Holder>
  readonly omitted?: number
}

/** Who has the unit, the largest share first. */
export const holdersOfUnit = (
  frame: Frame,
  unit: string
): Listed => {
  const found: Array<Facts> = []
  for (const facts of allocationsIn(frame.inside)) {
    if ((facts.cost[unit] ?? 0) > 0) found.push(facts)
  }
  found.sort((a, b) => b.cost[unit]! - a.cost[unit]! || a.since - b.since)
  return list(frame, found, (facts) => facts.cost[unit]!)
}

const list = (frame: Frame, found: ReadonlyArray<Facts>, amount: (facts: Facts) => number): Listed => {
  const now = frame.registry.now()
  const holders = found.slice(0, listed).map((facts) => toHolder(facts, now, amount(facts)))
  return found.length > listed ? { holders, omitted: found.length - listed } : { holders }
}

/** Everything that the frame holds: what is still waited for first, then the oldest. */
export const deadlineExceeded = (frame: Frame): DeadlineExceeded => {
  const found = Array.from(allocationsIn(frame.inside))
  const isWaitedFor = (facts: Facts) => facts.state === "acquiring"
  found.sort((a, b) => Number(isWaitedFor(b)) - Number(isWaitedFor(a)) || a.since - b.since || a.id - b.id)
  return new DeadlineExceeded({
    frame: frame.path,
    timeout: frame.timeout,
    waitingFor: found.filter(isWaitedFor).slice(0, listed).map((facts) => facts.resource),
    ...list(frame, found, () => 0)
  }, { disableChecks: true })
}
