/**
 * Who has what, looked up when something has been refused. Owned by `ResourceError`.
 */
import { DeadlineExceeded, Holder } from "../ResourceError.ts"
import { Frame } from "./frame.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts } from "./owned.ts"

/** An error lists the first holders, and counts the others. */
export const listed = 100

const unchecked = { disableChecks: true }

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

export interface Listed {
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
  const { holders, ...rest } = list(frame, found, (facts) => facts.cost[unit]!)
  const reserves = reservesIn(frame, unit)
  return {
    holders: reserves.length === 0 ? holders : [...holders, ...reserves].sort((a, b) => b.amount - a.amount),
    ...rest
  }
}

/** What frames inside have put aside and do not use. */
const reservesIn = (frame: Frame, unit: string): Array<Holder> => {
  const found: Array<Holder> = []
  if (frame.ledgers.get(unit)?.reservesInside === 0) return found
  for (const inner of framesIn(frame)) {
    const reserve = unusedReserve(inner, unit)
    if (reserve !== undefined) found.push(reserve)
  }
  return found
}

/** What the frame has put aside and does not use. */
export const unusedReserve = (frame: Frame, unit: string): Holder | undefined => {
  const ledger = frame.ledgers.get(unit)
  const amount = ledger === undefined || ledger.owner !== frame ? 0 : ledger.reserved - ledger.used
  if (amount <= 0) return undefined
  const { openedAt: since, path } = frame
  const age = Math.max(0, frame.registry.now() - since)
  return new Holder(
    { allocation: 0, resource: "its reserve", frame: path, state: "live", since, age, amount },
    unchecked
  )
}

export function* framesIn(frame: Frame): Generator<Frame> {
  for (let owned = frame.owned.first; owned !== undefined; owned = owned.next) {
    if (!(owned instanceof Frame)) continue
    yield owned
    yield* framesIn(owned)
  }
}

const list = (frame: Frame, found: ReadonlyArray<Facts>, amount: (facts: Facts) => number): Listed => {
  const now = frame.registry.now()
  const holders = found.slice(0, listed).map((facts) => toHolder(facts, now, amount(facts)))
  return found.length > listed ? { holders, omitted: found.length - listed } : { holders }
}

const isWaitedFor = (facts: Facts): boolean => facts.state === "acquiring"

/** Everything that the frame holds: what is still waited for first, then the oldest. */
const factsIn = (frame: Frame): Array<Facts> =>
  Array.from(allocationsIn(frame.inside)).sort((a, b) =>
    Number(isWaitedFor(b)) - Number(isWaitedFor(a)) || a.since - b.since || a.id - b.id
  )

/** Those who hold what the frame has. */
export const holdersIn = (frame: Frame): Listed => list(frame, factsIn(frame), () => 0)

export const deadlineExceeded = (frame: Frame): DeadlineExceeded => {
  const found = factsIn(frame)
  return new DeadlineExceeded({
    phase: "body",
    frame: frame.path,
    timeout: frame.lasts,
    waitingFor: found.filter(isWaitedFor).slice(0, listed).map((facts) => facts.resource),
    ...list(frame, found, () => 0)
  }, { disableChecks: true })
}
