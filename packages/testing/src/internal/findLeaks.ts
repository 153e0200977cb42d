import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Leak } from "./leak.ts"
import { belongings, emptyContents, extend, include, keeperOf, layersOf, parents } from "./ownership.ts"
import type { Contents, Layers } from "./ownership.ts"
import type { Open } from "./snapshots.ts"
import { openIn, take } from "./snapshots.ts"
import type { AnyFiber, Frame, Manager, Met, Watch } from "./watch.ts"
import { finalizersOf, frameIn, placeOf } from "./watch.ts"

/** The outermost of the scopes that are open, have something to close, and belong to nobody. */
const lostScopes = (watch: Watch, held: Contents, layers: Layers): ReadonlyArray<readonly [Met, Contents]> => {
  const lost = new Map<Met, Contents>()
  for (const met of watch.scopes.values()) {
    if (held.scopes.has(met.scope) || finalizersOf(met.scope).length === 0) continue
    const contents = emptyContents()
    include(met.scope, layers, contents)
    lost.set(met, contents)
  }
  const inner = new Set<Scope.Scope>()
  for (const [{ scope }, { scopes }] of lost) for (const one of scopes) if (one !== scope) inner.add(one)
  return Array.from(lost).filter(([{ scope }, { fibers, finalizers }]) =>
    finalizers + fibers.size > 0 && !inner.has(scope)
  )
}

/** Frames and allocations as leaks. */
export const leaksOf = ({ allocations, frames }: Open): ReadonlyArray<Leak> => {
  const leaks: Array<Leak> = []
  for (const { path, phase } of frames) if (phase !== "closed") leaks.push({ kind: "frame", path, phase })
  for (const { callSite, frame, orphaned, resource, state } of allocations) {
    leaks.push({ kind: "allocation", resource, frame, state, orphaned, at: callSite })
  }
  return leaks
}

/** What is open in a manager on behalf of the effect. */
const managed = Effect.fnUntraced(function*(
  watch: Watch,
  manager: Manager,
  outer: Context.Context<never>,
  held: Contents,
  hasLostScopes: boolean
) {
  const snapshot = yield* take(manager)
  if (snapshot === undefined) return []
  const frames = new Map<number, Frame>()
  for (const frame of watch.frames) if (frame.root === manager.root) frames.set(frame.id, frame)
  const { allocations, frames: open } = openIn(snapshot, ({ id }) => {
    const frame = frames.get(id)
    if (frame === undefined) return false
    const keeper = keeperOf(frame)
    // One that was made, not run, ends with a scope: it is lost when that is.
    if (keeper === undefined) return hasLostScopes && !isAround(frame, outer)
    return watch.fibers.has(keeper) && !held.fibers.has(keeper)
  })
  const counted = new Set(allocations)
  const entered = watch.frameIds.get(manager.root)
  const isOuter = Array.from(outer.mapUnsafe.values()).includes(manager)
  for (const allocation of snapshot.allocations) {
    const isOrphan = allocation.orphaned && entered?.has(allocation.frameId) === true
    // A manager that is lost is lost with all it holds.
    if (isOrphan || (hasLostScopes && !isOuter)) counted.add(allocation)
  }
  return leaksOf({ frames: open, allocations: counted })
})

/** Is it one of the frames that the effect was started in? */
const isAround = (frame: Frame, outer: Context.Context<never>): boolean => {
  for (let at = frameIn(outer); at !== undefined; at = at.parent as Frame | undefined) if (at === frame) return true
  return false
}

/** What is open now of what was seen, and belongs neither to the context around it nor to something else that is lost. */
export const find = Effect.fnUntraced(function*(watch: Watch, outer: Context.Context<never>) {
  watch.catchUp()
  const running = Array.from(watch.fibers.keys()).filter((fiber) => fiber.pollUnsafe() === undefined)
  const isAllQuiet = running.length === 0 &&
    Array.from(watch.scopes.keys()).every((scope) => finalizersOf(scope).length === 0)
  const layers = layersOf(watch.memoMaps)
  const held = isAllQuiet ? emptyContents() : belongings(outer, layers)
  if (!isAllQuiet) extend(held, watch, layers)
  const leaks: Array<Leak> = []
  const inScopes = new Set<AnyFiber>()
  const lost = isAllQuiet ? [] : lostScopes(watch, held, layers)
  for (const [{ opened }, { fibers, finalizers, scopes }] of lost) {
    for (const fiber of fibers) inScopes.add(fiber)
    const names = new Set<string>()
    for (const inner of scopes) for (const name of watch.scopes.get(inner)?.added ?? []) names.add(name)
    leaks.push({
      kind: "scope",
      who: opened.who,
      at: opened.at,
      finalizers,
      fibers: fibers.size,
      addedBy: Array.from(names)
    })
  }
  const parentsOf = parents(watch)
  for (const fiber of running) {
    const endsWithAnother = parentsOf.get(fiber)?.pollUnsafe() === undefined && parentsOf.has(fiber)
    if (held.fibers.has(fiber) || inScopes.has(fiber) || endsWithAnother) continue
    const { at, who } = placeOf(fiber)
    leaks.push({ kind: "fiber", id: fiber.id, who, at })
  }
  for (const manager of watch.managers) {
    leaks.push(...(yield* managed(watch, manager, outer, held, lost.length > 0)))
  }
  return leaks as ReadonlyArray<Leak>
})
