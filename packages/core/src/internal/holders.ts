/**
 * Who has what, looked up when something has been refused. Owned by `ResourceError`.
 */
import { Holder } from "../ResourceError.ts"
import type { Frame } from "./frame.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts } from "./owned.ts"

/** Is the frame the other one, or inside it? */
export const isWithin = (frame: object | undefined, outer: object): boolean => {
  for (let at = frame; at !== undefined; at = (at as { readonly parent: object | undefined }).parent) {
    if (at === outer) return true
  }
  return false
}

/** All that the frame and the frames inside it hold, orphans included. */
export function* allocationsOf(frame: Frame): Generator<Facts> {
  for (const list of frame.inside) yield* allocationsIn(list)
  for (const facts of allocationsIn(frame.orphans)) {
    if (isWithin(facts.frame, frame)) yield facts
  }
}

const toHolder = (facts: Facts, now: number, amount: number): Holder =>
  new Holder({
    allocation: facts.id,
    resource: facts.resource,
    frame: facts.frame.path,
    state: facts.state,
    since: facts.since,
    age: Math.max(0, now - facts.since),
    amount,
    ...(facts.callSite === undefined ? undefined : { callSite: facts.callSite })
  })

/** Who has the unit, the largest share first. */
export const holdersOfUnit = (frame: Frame, unit: string, now: number): Array<Holder> => {
  const holders: Array<Holder> = []
  for (const facts of allocationsOf(frame)) {
    const amount = facts.cost[unit]
    if (amount !== undefined && amount > 0) holders.push(toHolder(facts, now, amount))
  }
  return holders.sort((a, b) => b.amount - a.amount || a.since - b.since)
}

/** Everything that is held: what is still waited for first, then the oldest. */
export const holdersOf = (frame: Frame, now: number): Array<Holder> => {
  const holders = Array.from(allocationsOf(frame), (facts) => toHolder(facts, now, 0))
  return holders.sort((a, b) =>
    Number(b.state === "acquiring") - Number(a.state === "acquiring") || a.since - b.since ||
    a.allocation - b.allocation
  )
}
