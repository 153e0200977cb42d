/**
 * The one way in: check, decode, charge and record in one step, then acquire. Owned by `Allocation`.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Cost } from "../Cost.ts"
import { BudgetExceeded, FrameClosed, InvalidParams } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { Temporal } from "./allocation.ts"
import type { Allocation } from "./allocation.ts"
import { noParams } from "./definition.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import { holdersOfUnit } from "./holders.ts"
import { charge } from "./ledger.ts"

export type AnyFiber = Fiber.Fiber<unknown, unknown>
export type Refused = Exit.Exit<never, InvalidParams | BudgetExceeded | FrameClosed>

export const frameOf = (fiber: AnyFiber): Frame => Context.getUnsafe(fiber.context, TimeFrame as never) as Frame

export const refuseClosed = (frame: Frame, resource: string): Refused =>
  Exit.fail(new FrameClosed({ frame: frame.path, resource }))

/** The params as the recipe gets them. */
export const decode = (definition: Definition, input: unknown): Exit.Exit<unknown, InvalidParams> => {
  if (definition.decode === undefined) return noParams as Exit.Exit<unknown, never>
  const exit = definition.decode(input)
  if (Exit.isSuccess(exit)) return exit as Exit.Exit<unknown, never>
  const failure = exit.cause.reasons[0]
  return failure?._tag === "Fail"
    ? Exit.fail(new InvalidParams({ resource: definition.name, issue: failure.error }))
    : Exit.failCause(exit.cause as Cause.Cause<never>)
}

/** Charges the frame and those around it, or says who has what is missing. */
export const chargeTo = (frame: Frame, cost: Cost, resource: string): Refused | undefined => {
  const refusing = charge(frame.ledgers, frame.root, cost)
  if (refusing === undefined) return undefined
  const { registry } = frame
  const owner = refusing.owner as Frame
  const error = new BudgetExceeded({
    unit: refusing.unit,
    frame: owner.path,
    limit: refusing.limit,
    used: refusing.used,
    requested: cost[refusing.unit]!,
    resource,
    requestedBy: frame.path,
    holders: holdersOfUnit(owner, refusing.unit, registry.now())
  })
  if (registry.events.active) {
    registry.events.tell({
      _tag: "BudgetRefused",
      ...frame.stamp(),
      resource,
      unit: error.unit,
      refusedBy: error.frame,
      limit: error.limit,
      used: error.used,
      requested: error.requested
    })
  }
  return Exit.fail(error)
}

/** What becomes of a record and the effect that acquires its value. In an uninterruptible region. */
export type Then = (
  record: Allocation,
  acquisition: Effect.Effect<unknown, unknown, any>,
  fiber: AnyFiber
) => Effect.Effect<any, any, any>

/** The caller gets the handle. */
export const intoHandle: Then = (record, acquisition) =>
  Effect.matchCauseEffect(acquisition, {
    onSuccess: (value) => record.arrived(value) ?? Exit.succeed(record),
    onFailure: (cause) => record.failed(cause)
  })

/** The value is used, then given back. */
export const intoUse = (
  f: (value: any) => Effect.Effect<any, any, any>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Then =>
(record, acquisition, fiber) =>
  Effect.matchCauseEffect(
    Effect.flatMap(acquisition, (value) => record.arrived(value) ?? restore(f(record.value))),
    {
      onSuccess: (value) => record.giveBack(Exit.succeed(value), fiber),
      onFailure: (cause) => record.isAcquiring ? record.failed(cause) : record.giveBack(Exit.failCause(cause), fiber)
    }
  )

/** The recipe, run for a record that is charged already. */
export const acquisitionOf = (record: Temporal, params: unknown): Effect.Effect<unknown, unknown, any> => {
  const { definition } = record
  let acquisition: Effect.Effect<unknown, unknown, any>
  try {
    acquisition = definition.acquire(params)
  } catch (defect) {
    return Exit.die(defect)
  }
  if (definition.release === undefined) {
    record.scope = Scope.makeUnsafe()
    acquisition = Effect.provideService(acquisition, Scope.Scope, record.scope)
  }
  return definition.interruptible ? Effect.interruptible(acquisition) : acquisition
}

/** Charges, records and acquires in a frame; the params are decoded. In an uninterruptible region. */
export const allocateIn = (
  frame: Frame,
  definition: Definition,
  params: unknown,
  fiber: AnyFiber,
  then: Then
): Effect.Effect<any, any, any> => {
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  let cost: Cost | undefined
  if (definition.cost !== undefined) {
    cost = definition.cost(params)
    const refused = chargeTo(frame, cost, definition.name)
    if (refused !== undefined) return refused
  }
  const statistics = frame.registry.statisticsOf(definition)
  const record = new Temporal(definition, statistics, cost, frame, fiber)
  return then(record, acquisitionOf(record, params), fiber)
}

/** A temporal definition. In an uninterruptible region. */
export const allocateTemporal = (
  definition: Definition,
  input: unknown,
  fiber: AnyFiber,
  then: Then
): Effect.Effect<any, any, any> => {
  const frame = frameOf(fiber)
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  if (definition.decode === undefined) return allocateIn(frame, definition, undefined, fiber, then)
  const params = decode(definition, input)
  return Exit.isSuccess(params) ? allocateIn(frame, definition, params.value, fiber, then) : params
}
