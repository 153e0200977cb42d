/**
 * Charges what an allocation costs, and waits where there is too little left. Owned by `Budget`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Cost } from "../Cost.ts"
import { mayRefuse, refuseWait } from "./admission.ts"
import type { RefusedEarly } from "./admission.ts"
import { neverFits, Request } from "./budgetRequest.ts"
import type { Line } from "./budgetRoom.ts"
import { refuseFor } from "./charging.ts"
import type { Definition } from "./definition.ts"
import { OnExhausted } from "./exhaustion.ts"
import type { Frame } from "./frame.ts"
import { charge } from "./ledger.ts"
import type { Ledger } from "./ledger.ts"
import { chargesOf, ordersOf } from "./orders.ts"
import type { Owned } from "./owned.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Whoever asks says so, or its frame, or one outside. */
const patienceOf = (frame: Frame, fiber: AnyFiber): number =>
  Context.get(fiber.context, OnExhausted)?.patience ?? frame.patience

/** Refuses one who would wait for longer than there is time. */
const refuseLate = (
  frame: Frame,
  cost: Cost,
  wanted: Definition | ReadonlyArray<Definition>,
  fiber: AnyFiber,
  refusing: Ledger
): RefusedEarly | undefined => {
  const line = refusing.waiting as Line | undefined
  const turn = frame.turnIn(refusing.owner)
  const queueing = {
    ahead: line?.placeOf(turn?.tenant, turn?.weight ?? 1) ?? 0,
    length: line?.length ?? 0,
    wanted: line?.wanted ?? 0,
    nextSince: line?.nextSince ?? Infinity
  }
  return refuseWait(frame, fiber, cost, [wanted].flat() as ReadonlyArray<Definition>, refusing, queueing)
}

function* requestsIn(owner: Owned): Generator<Request> {
  for (const list of owner.inside) {
    for (let owned = list.first; owned !== undefined; owned = owned.next) {
      if (owned instanceof Request) yield owned
      yield* requestsIn(owned)
    }
  }
}

/** What owns them has gone to another frame: who waits inside waits there from now on. */
export const rejoinIn = (owner: Owned): void => {
  for (const request of Array.from(requestsIn(owner))) request.rejoin()
}

/** A limit of the frame has fallen: who waits inside and can never fit any more is refused. */
export const refuseTooLarge = (frame: Frame): void => {
  if (frame.registry.requests === 0) return
  for (const request of Array.from(requestsIn(frame))) request.lookAgain()
}

/**
 * Charges the frame and those around it, at once or when there is enough left, or says who has what is missing. Answers
 * `undefined` when it is done, or waits for a request that was granted, which whoever has waited has to take. In an
 * uninterruptible region; `restore` lets the waiting be interrupted.
 */
export const chargeOrWait = (
  frame: Frame,
  cost: Cost,
  resource: string,
  wanted: Definition | ReadonlyArray<Definition>,
  fiber: AnyFiber,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.Effect<Request, any> | undefined => {
  if (frame.registry.events.watchesOrders && patienceOf(frame, fiber) > 0) {
    const asker = { fiber, frame, place: frame.path, callSite: fiber.cache.stackFrame?.name }
    ordersOf(frame.registry).asks(asker, chargesOf(frame.ledgers, cost))
  }
  const refusing = charge(frame.ledgers, frame.root, cost, resource)
  if (refusing === undefined) return undefined
  const patience = patienceOf(frame, fiber)
  if (patience <= 0) return refuseFor(frame, cost, resource, refusing)
  const never = neverFits(frame, cost)
  if (never !== undefined) return refuseFor(frame, cost, resource, never)
  const late = mayRefuse(frame) ? refuseLate(frame, cost, wanted, fiber, refusing) : undefined
  if (late !== undefined) return late
  const request = new Request(frame, cost, resource, refusing, fiber)
  request.wait(patience)
  return Effect.onExitPrimitive(restore(request.awaited), (exit) => {
    if (Exit.isFailure(exit)) request.abandon()
    return undefined
  })
}
