import type * as Manager from "@chronovyan/core/ResourceManager"
import type { AllocationState, FrameState, Snapshot } from "@chronovyan/core/Snapshot"
import * as Effect from "effect/Effect"

type Core = typeof Manager

let core: Core | undefined

/**
 * Core is there when a manager is, and is not asked for before: it is an optional peer. Loaded once, it is at hand
 * without waiting.
 */
const load: Effect.Effect<Core | undefined> = Effect.suspend(() =>
  core !== undefined ?
    Effect.succeed(core) :
    Effect.promise(() => import("@chronovyan/core/ResourceManager").then((module) => core = module, () => undefined))
)

/** What a manager knows at this moment. */
export const take = (manager: unknown): Effect.Effect<Snapshot | undefined> =>
  Effect.flatMap(load, (core) =>
    core === undefined
      ? Effect.undefined
      : Effect.provideService(core.snapshot, core.ResourceManager, manager as Manager.ResourceManager))

/** Frames and allocations that are open. */
export interface Open {
  readonly frames: Iterable<FrameState>
  readonly allocations: Iterable<AllocationState>
}

/**
 * The frames of a manager that somebody runs or has made, and what they hold. What belongs to the manager itself does not
 * count: pools, and the values that are persistent or shared, with the frames that their acquisitions ran in.
 */
export const openIn = (snapshot: Snapshot, isAsked: (frame: FrameState) => boolean): Open => {
  const pools = new Set(snapshot.pools.map(({ frameId }) => frameId))
  const homes = new Set(snapshot.allocations.map(({ frameId, resource }) => `${frameId} ${resource}`))
  const open = new Map<number, FrameState>()
  const inside = new Set<number>()
  // Outer frames come before those inside.
  for (const frame of snapshot.frames) {
    if (frame.parent === null || frame.phase === "closed") continue
    const ofValue = homes.has(`${frame.id} ${frame.name}`) || homes.has(`${frame.parent} ${frame.name}`)
    if (inside.has(frame.parent)) inside.add(frame.id)
    if (pools.has(frame.id) || ofValue || !(inside.has(frame.id) || isAsked(frame))) continue
    open.set(frame.id, frame)
    inside.add(frame.id)
  }
  return {
    frames: Array.from(open.values()),
    allocations: snapshot.allocations.filter(({ frameId, orphaned }) => !orphaned && inside.has(frameId))
  }
}
