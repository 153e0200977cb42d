/**
 * The one way in: check, decode, charge and record in one step, then acquire. Owned by `Allocation`.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Cost } from "../Cost.ts"
import { FrameClosed, InvalidParams } from "../ResourceError.ts"
import type { BudgetExceeded } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { mayRefuse, refuseAcquisition } from "./admission.ts"
import type { Allocation } from "./allocation.ts"
import { chargeOrWait } from "./budgetWait.ts"
import type { Site } from "./callSite.ts"
import type { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import { refund } from "./ledger.ts"
import { inFrame } from "./run.ts"
import { Temporal } from "./temporal.ts"

export type AnyFiber = Fiber.Fiber<unknown, unknown>
export type Refused = Exit.Exit<never, InvalidParams | BudgetExceeded | FrameClosed>

export const frameOf = (fiber: AnyFiber): Frame => Context.getUnsafe(fiber.context, TimeFrame as never) as Frame

export const refuseClosed = (frame: Frame, resource: string): Refused =>
  Exit.fail(new FrameClosed({ frame: frame.path, resource }))

const noParams: Exit.Exit<unknown, never> = Exit.succeed(undefined)

/** The params as the recipe gets them. */
export const decode = (definition: Definition, input: unknown): Exit.Exit<unknown, InvalidParams> => {
  if (definition.decode === undefined) return noParams
  const exit = definition.decode(input)
  return Exit.isSuccess(exit) ? exit as Exit.Exit<unknown, never> : invalid(definition, exit.cause)
}

const invalid = (
  definition: Definition,
  cause: Cause.Cause<SchemaIssue.Issue>
): Exit.Exit<never, InvalidParams> => {
  const failure = cause.reasons.find((reason) => reason._tag === "Fail")
  return failure === undefined
    ? Exit.failCause(cause as Cause.Cause<never>)
    : Exit.fail(new InvalidParams({ resource: definition.name, issue: new Schema.SchemaError(failure.error).message }))
}

/** Puts back the interruptibility of whoever asked. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What is done with a value before it is given back; without it the caller gets the handle. */
export type Use = (value: any) => Effect.Effect<any, any, any>

/** Hands over what a record stands for, once its acquisition has succeeded. In an uninterruptible region. */
export const deliver = (
  record: Allocation,
  acquisition: Effect.Effect<unknown, unknown, any>,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined
): Effect.Effect<any, any, any> =>
  use === undefined
    ? Effect.matchCauseEffect(acquisition, {
      onSuccess: (value) => record.arrived(value) ?? Exit.succeed(record),
      onFailure: (cause) => record.failed(cause)
    })
    : Effect.matchCauseEffect(
      Effect.flatMap(acquisition, (value) => record.arrived(value) ?? restore(use(record.usable))),
      {
        onSuccess: (value) => record.giveBack(Exit.succeed(value), fiber),
        onFailure: (cause) => record.isAcquiring ? record.failed(cause) : record.giveBack(Exit.failCause(cause), fiber)
      }
    )

/** The recipe, run for a record that is charged already. */
export const acquisitionOf = (
  record: Temporal,
  params: unknown,
  restore: Restore
): Effect.Effect<unknown, unknown, any> => {
  const { definition } = record
  let acquisition: Effect.Effect<unknown, unknown, any>
  try {
    acquisition = definition.acquire(params)
  } catch (defect) {
    return Exit.die(defect)
  }
  if (definition.release === undefined) {
    const { context, frame } = record
    const { name } = definition
    const options = { name, timeout: Infinity, budget: undefined, gracePeriod: undefined, isWaitedFor: true }
    const inner = new Frame(frame, frame.registry, options, context)
    inner.context = inFrame(context, TimeFrame, inner)
    record.inner = inner
    acquisition = Effect.updateContext(acquisition, () => inner.context as Context.Context<any>)
  }
  return definition.interruptible ? restore(acquisition) : acquisition
}

/** Charges, records and acquires in an open frame; the params are decoded. In an uninterruptible region. */
export const allocateIn = (
  frame: Frame,
  definition: Definition,
  params: unknown,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): Effect.Effect<any, any, any> => {
  if (definition.cost === undefined) return acquireIn(frame, definition, params, undefined, fiber, restore, use, site)
  const cost = definition.cost(params)
  const waits = chargeOrWait(frame, cost, definition.name, definition, fiber, restore)
  if (waits === undefined) return acquireIn(frame, definition, params, cost, fiber, restore, use, site)
  return Effect.flatMap(waits, (request) => {
    const charged = request.take()
    if (frame.phase === "open") return acquireIn(frame, definition, params, cost, fiber, restore, use, site)
    refund(charged, cost)
    return refuseClosed(frame, definition.name)
  })
}

/** What is charged already is recorded and acquired. */
const acquireIn = (
  frame: Frame,
  definition: Definition,
  params: unknown,
  cost: Cost | undefined,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): Effect.Effect<any, any, any> => {
  const statistics = frame.registry.statisticsOf(definition)
  const record = new Temporal(definition, statistics, cost, frame, fiber, site)
  // What somebody has by a handle may be given back by others, unless the frame is its own.
  if (cost !== undefined && (use !== undefined || frame.fiber === fiber)) record.heldBy(fiber.id)
  return deliver(record, acquisitionOf(record, params, restore), fiber, restore, use)
}

/** A temporal definition. In an uninterruptible region. */
export const allocateTemporal = (
  definition: Definition,
  input: unknown,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): Effect.Effect<any, any, any> => {
  const frame = frameOf(fiber)
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  const params = definition.decode === undefined ? noParams : decode(definition, input)
  if (Exit.isFailure(params)) return params
  const refused = mayRefuse(frame) ? refuseAcquisition(frame, fiber, [definition]) : undefined
  return refused ?? allocateIn(frame, definition, params.value, fiber, restore, use, site)
}
