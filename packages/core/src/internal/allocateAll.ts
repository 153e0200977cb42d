/**
 * Several allocations, all of them or none. Owned by `ResourceManager`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cost from "../Cost.ts"
import { acquisitionOf, chargeTo, decode, frameOf, intoHandle, refuseClosed } from "./allocate.ts"
import type { AnyFiber, Refused } from "./allocate.ts"
import { Temporal } from "./allocation.ts"
import type { Allocation } from "./allocation.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import { refund } from "./ledger.ts"
import { shareIn } from "./shared.ts"

interface Prepared {
  readonly definition: Definition
  readonly params: unknown
  readonly cost: Cost.Cost | undefined
}

const acquireCharged = (frame: Frame, { cost, definition, params }: Prepared, fiber: AnyFiber) => {
  const record = new Temporal(definition, frame.registry.statisticsOf(definition), cost, frame, fiber)
  return intoHandle(record, acquisitionOf(record, params), fiber)
}

/** In an uninterruptible region; `restore` lets an interruption in between two acquisitions. */
export const allocateEach = (
  requests: ReadonlyArray<readonly [Definition, unknown?]>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  fiber: AnyFiber
): Effect.Effect<ReadonlyArray<Allocation>, any, any> => {
  const frame = frameOf(fiber)
  const names = requests.map(([definition]) => definition.name).join(" and ")
  if (frame.phase !== "open") return refuseClosed(frame, names)
  const prepared: Array<Prepared> = []
  for (const [definition, input] of requests) {
    const params = decode(definition, input)
    if (Exit.isFailure(params)) return params as Refused
    // What is shared is paid for by the manager, not by its users.
    const isCharged = definition.kind === "temporal" && definition.cost !== undefined
    const cost = isCharged ? Cost.assert(definition.cost!(params.value)) : undefined
    prepared.push({ definition, params: params.value, cost })
  }
  const refused = chargeTo(frame, Cost.sum(prepared.map(({ cost }) => cost ?? Cost.zero)), names)
  if (refused !== undefined) return refused
  const held: Array<Allocation> = []
  const acquireNext = (index: number): Effect.Effect<ReadonlyArray<Allocation>, any, any> => {
    const next = prepared[index]
    if (next === undefined) return Exit.succeed(held)
    const { definition, params } = next
    const isOpen = frame.phase === "open"
    const acquisition: Effect.Effect<Allocation, any, any> = !isOpen
      ? refuseClosed(frame, definition.name)
      : definition.kind === "temporal"
      ? acquireCharged(frame, next, fiber)
      : shareIn(frame, definition, params, fiber, intoHandle)
    // From here on the record gives back its own part of the charge.
    const charged = isOpen ? index + 1 : index
    return Effect.matchCauseEffect(acquisition, {
      onSuccess: (allocation) => {
        held.push(allocation)
        return Effect.matchCauseEffect(restore(Effect.void), {
          onSuccess: () => acquireNext(charged),
          onFailure: (cause) => giveUp(charged, Exit.failCause(cause))
        })
      },
      onFailure: (cause) => giveUp(charged, Exit.failCause(cause))
    })
  }
  const giveUp = (charged: number, exit: Exit.Exit<never, unknown>): Effect.Effect<never, any> => {
    for (const { cost } of prepared.slice(charged)) {
      if (cost !== undefined) refund(frame.ledgers, cost)
    }
    return releaseLast(exit)
  }
  const releaseLast = (exit: Exit.Exit<never, unknown>): Effect.Effect<never, any> => {
    const last = held.pop()
    if (last === undefined) return exit
    return Effect.flatMap(Effect.exit(last.giveBack(exit, fiber)), releaseLast)
  }
  return acquireNext(0)
}
