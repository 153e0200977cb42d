/**
 * Handles that can be collected while what they stand for stays with its frame, so that it can be told who dropped one.
 * Owned by `Allocation`.
 *
 * Without them the handle and the record are one object, which the frame keeps.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { frameOf } from "./allocate.ts"
import type { AnyFiber } from "./allocate.ts"
import { Allocation, TypeId } from "./allocation.ts"
import type { Site } from "./callSite.ts"
import type { Definition } from "./definition.ts"
import type { Registry } from "./registry.ts"
import { Sampling } from "./sampling.ts"

/** The managers whose handles are tracked, and how many want that. */
const managers = new Map<Registry, number>()

/** One for all of them: to find the manager of each allocation would cost more than the rest. */
export const tracking = new Sampling()

/** One in `every` is tracked, from now on until the scope closes. */
export const track = (registry: Registry, every: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.andThen(
    tracking.want("ResourceManager.trackHandles", every),
    Effect.acquireRelease(
      Effect.sync(() => {
        managers.set(registry, (managers.get(registry) ?? 0) + 1)
      }),
      () =>
        Effect.sync(() => {
          const left = managers.get(registry)! - 1
          if (left === 0) managers.delete(registry)
          else managers.set(registry, left)
        })
    )
  )

class Handle<A = any> {
  readonly record: Allocation<A>

  constructor(record: Allocation<A>) {
    this.record = record
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  get id(): number {
    return this.record.id
  }

  get resource(): string {
    return this.record.resource
  }

  get isLive(): boolean {
    return this.record.isLive
  }

  get value(): A {
    return this.record.value
  }

  /** Who has this effect can still give it back: it keeps the handle. */
  get release(): Effect.Effect<void> {
    return Effect.uninterruptibleMask(() => this.record.giveBack(Exit.void, Fiber.getCurrent()!))
  }

  toJSON(): unknown {
    return this.record.toJSON()
  }
}

/** The record that a handle stands for. */
export const recordOf = (handle: object): Allocation => handle instanceof Handle ? handle.record : handle as Allocation

/**
 * Only while tracking is on: is the handle of this one tracked? It is when its call site is looked at, since that is what
 * one wants to know next. A share of a value that others use as well is nobody's to lose.
 */
export const isTracked = ({ kind }: Definition, site: Site | undefined, fiber: AnyFiber): boolean => {
  if (site === undefined && !tracking.picks()) return false
  return (kind === "temporal" || kind === "pool") && managers.has(frameOf(fiber).registry)
}

/** What the caller of `allocate` gets. */
export const handleOf = (record: Allocation, fiber: AnyFiber): Handle => {
  const handle = new Handle(record)
  record.track(handle, fiber)
  return handle
}
