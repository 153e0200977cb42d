/**
 * Charges a frame and those around it, or says who has what is missing. Owned by `Budget`.
 */
import * as Exit from "effect/Exit"
import type { Cost } from "../Cost.ts"
import { BudgetExceeded } from "../ResourceError.ts"
import type { Frame } from "./frame.ts"
import { holdersOfUnit } from "./holders.ts"
import { charge, tooSmallFor } from "./ledger.ts"
import type { Ledger } from "./ledger.ts"

export type Refused = Exit.Exit<never, BudgetExceeded>

export const chargeTo = (frame: Frame, cost: Cost, resource: string): Refused | undefined => {
  const refusing = charge(frame.ledgers, frame.root, cost, resource)
  return refusing === undefined ? undefined : refuseFor(frame, cost, resource, refusing)
}

/** What is told when a ledger refuses, after waiting that many milliseconds for it. */
export const refuseFor = (frame: Frame, cost: Cost, resource: string, refusing: Ledger, waited?: number): Refused => {
  const { registry } = frame
  const requested = cost[refusing.unit]!
  // One that can never fit is the better answer, wherever it stands.
  const ledger = tooSmallFor(refusing, requested) ?? refusing
  const owner = ledger.owner as Frame
  const { limit, standing: used, unit } = ledger
  const refusal = { unit, limit, used, requested, resource }
  if (registry.events.active) {
    registry.events.tell({ _tag: "BudgetRefused", ...frame.stamp(), ...refusal, refusedBy: owner.path })
  }
  return Exit.fail(
    new BudgetExceeded({
      ...refusal,
      frame: owner.path,
      requestedBy: frame.path,
      ...(ledger.waiting === undefined ? undefined : { waiting: ledger.waiting.length }),
      ...(waited === undefined ? undefined : { waited }),
      ...(ledger.refills ? { readyIn: ledger.readyIn(requested) } : undefined),
      ...holdersOfUnit(owner, unit)
    })
  )
}
