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
import { Allocation, TypeId } from "./allocation.ts"
import type { Registry } from "./registry.ts"
import { Sampling } from "./sampling.ts"

/** The managers whose handles are tracked. */
const tracked = new Map<Registry, { readonly sampling: Sampling; users: number }>()

/** Are there any? */
export const isTracking = (): boolean => tracked.size > 0

/** One in `every` is tracked, from now on until the scope closes. */
export const track = (registry: Registry, every: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.andThen(
    Effect.acquireRelease(
      Effect.sync(() => {
        const tracker = tracked.get(registry) ?? { sampling: new Sampling(), users: 0 }
        tracker.users++
        tracked.set(registry, tracker)
        return tracker
      }),
      (tracker) =>
        Effect.sync(() => {
          if (--tracker.users === 0) tracked.delete(registry)
        })
    ),
    (tracker) => tracker.sampling.want("ResourceManager.trackHandles", every)
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

let dropped: FinalizationRegistry<Allocation> | undefined

/** What the caller of `allocate` gets; a share of a value that others use as well is nobody's to lose. */
export const handleOf = (record: Allocation, fiber: Fiber.Fiber<unknown, unknown>): Allocation | Handle => {
  if (record.definition.kind !== "temporal" && record.definition.kind !== "pool") return record
  const sampling = tracked.get(record.frame.registry)?.sampling
  if (sampling === undefined || !sampling.isOn || !sampling.picks()) return record
  const handle = new Handle(record)
  record.track(fiber)
  dropped ??= new FinalizationRegistry((record) => record.dropped())
  dropped.register(handle, record)
  return handle
}
