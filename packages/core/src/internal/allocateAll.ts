/**
 * Several allocations, all of them or none. Owned by `ResourceManager`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cost from "../Cost.ts"
import { mayRefuse, refuseAcquisition } from "./admission.ts"
import { acquisitionOf, decode, deliver, frameOf, refuseClosed } from "./allocate.ts"
import type { AnyFiber, Refused, Restore } from "./allocate.ts"
import type { Allocation } from "./allocation.ts"
import { borrowIn } from "./borrow.ts"
import { chargeOrWait } from "./budgetWait.ts"
import type { Site } from "./callSite.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import { refund } from "./ledger.ts"
import { shareIn } from "./share.ts"
import { Temporal } from "./temporal.ts"

interface Prepared {
  readonly definition: Definition
  readonly params: unknown
  readonly cost: Cost.Cost | undefined
}

/** Part of the set: what is of its own has its record from the start, since it is charged from the start. */
interface Part {
  readonly part: Prepared
  readonly record: Temporal | undefined
}

/** In an uninterruptible region; `restore` lets an interruption in between two acquisitions. */
export const allocateEach = (
  requests: ReadonlyArray<readonly [Definition, unknown?]>,
  restore: Restore,
  fiber: AnyFiber,
  site: Site | undefined
): Effect.Effect<ReadonlyArray<Allocation>, any, any> => {
  const frame = frameOf(fiber)
  const definitions = requests.map(([definition]) => definition)
  const names = definitions.map(({ name }) => name).join(" and ")
  if (frame.phase !== "open") return refuseClosed(frame, names)
  const prepared: Array<Prepared> = []
  for (const [definition, input] of requests) {
    const params = decode(definition, input)
    if (Exit.isFailure(params)) return params as Refused
    // What is shared is paid for by the manager, not by its users.
    const isCharged = definition.kind === "temporal" && definition.cost !== undefined
    const cost = isCharged ? Cost.assert(definition.cost!(params.value), definition.name) : undefined
    prepared.push({ definition, params: params.value, cost })
  }
  const cost = Cost.sum(prepared.map(({ cost }) => cost ?? Cost.zero))
  const refused = mayRefuse(frame) ? refuseAcquisition(frame, fiber, definitions) : undefined
  if (refused !== undefined) return refused
  const waits = chargeOrWait(frame, cost, names, definitions, fiber, restore)
  if (waits === undefined) return acquireEach(frame, prepared, restore, fiber, site)
  return Effect.flatMap(waits, (request) => {
    const charged = request.take()
    if (frame.phase === "open") return acquireEach(frame, prepared, restore, fiber, site)
    refund(charged, cost)
    return refuseClosed(frame, names)
  })
}

/** What is charged already is recorded, and acquired one after another. */
const acquireEach = (
  frame: Frame,
  prepared: ReadonlyArray<Prepared>,
  restore: Restore,
  fiber: AnyFiber,
  site: Site | undefined
): Effect.Effect<ReadonlyArray<Allocation>, any, any> => {
  const waiting = prepared.map((part): Part => ({ part, record: recordOf(frame, part, fiber, site) })).reverse()
  const held: Array<Allocation> = []

  const acquireNext = (): Effect.Effect<ReadonlyArray<Allocation>, any, any> => {
    const next = waiting.pop()
    if (next === undefined) return Exit.succeed(held)
    return Effect.matchCauseEffect(acquirePart(frame, next, fiber, restore, site), {
      onSuccess: (allocation) => {
        held.push(allocation)
        return Effect.matchCauseEffect(restore(Effect.void), {
          onSuccess: () => acquireNext(),
          onFailure: (cause) => giveUp(Exit.failCause(cause))
        })
      },
      onFailure: (cause) => giveUp(Exit.failCause(cause))
    })
  }

  const giveUp = (exit: Exit.Exit<never, unknown>): Effect.Effect<never, any> => {
    for (const { record } of waiting) record?.abandon()
    return releaseLast(exit)
  }

  const releaseLast = (exit: Exit.Exit<never, unknown>): Effect.Effect<never, any> => {
    const last = held.pop()
    if (last === undefined) return exit
    return Effect.flatMap(Effect.exit(last.giveBack(exit, fiber)), releaseLast)
  }

  return acquireNext()
}

const recordOf = (
  frame: Frame,
  { cost, definition }: Prepared,
  fiber: AnyFiber,
  site: Site | undefined
): Temporal | undefined => {
  if (definition.kind !== "temporal") return undefined
  const record = new Temporal(definition, frame.registry.statisticsOf(definition), cost, frame, fiber, site)
  // The frame is its own, so nobody else will give it back.
  if (cost !== undefined && frame.fiber === fiber) record.heldBy(fiber.id)
  record.reserve()
  return record
}

const acquirePart = (
  frame: Frame,
  { part: { definition, params }, record }: Part,
  fiber: AnyFiber,
  restore: Restore,
  site: Site | undefined
): Effect.Effect<Allocation, any, any> => {
  if (frame.phase !== "open") {
    record?.abandon()
    return refuseClosed(frame, definition.name)
  }
  if (definition.kind === "pool") return borrowIn(frame, definition, fiber, restore, undefined, site)
  if (record === undefined) return shareIn(frame, definition, params, fiber, restore, undefined, site)
  record.begin()
  return deliver(record, acquisitionOf(record, params, restore), fiber, restore, undefined)
}
