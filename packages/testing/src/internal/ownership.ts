import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { AnyFiber, Frame } from "./watch.ts"
import { finalizersOf, isManager, isScope, Watch } from "./watch.ts"

/** Enough for the services of a program; a search that comes this far has lost its way. */
const maxSteps = 50_000

/** What a scope closes, through whatever is in between. */
export interface Contents {
  readonly scopes: Set<Scope.Scope>
  readonly fibers: Set<AnyFiber>
  /** Those that are not there for another scope or a fiber. */
  finalizers: number
}

/** The scopes in which layers are built hang on finalizers that say nothing but are known to the memo map. */
export type Layers = ReadonlyMap<unknown, Scope.Scope>

export const layersOf = (memoMaps: Iterable<unknown>): Layers => {
  const layers = new Map<unknown, Scope.Scope>()
  for (const memoMap of memoMaps) {
    const { map } = memoMap as { readonly map?: unknown }
    for (const entry of map instanceof Map ? map.values() : []) {
      const { finalizer, scope } = entry as { readonly finalizer?: unknown; readonly scope?: unknown }
      if (finalizer !== undefined && isScope(scope)) layers.set(finalizer, scope)
    }
  }
  return layers
}

export const emptyContents = (): Contents => ({ scopes: new Set(), fibers: new Set(), finalizers: 0 })

/** Adds a scope and all that closes with it. */
export const include = (scope: Scope.Scope, layers: Layers, into: Contents): void => {
  if (into.scopes.has(scope)) return
  into.scopes.add(scope)
  for (const [key, finalizer] of finalizersOf(scope)) {
    const inner = isScope(key) ? key : layers.get(finalizer)
    if (inner !== undefined) include(inner, layers, into)
    else if (Fiber.isFiber(key)) into.fibers.add(key)
    else into.finalizers++
  }
}

const partsOf = (value: object): Iterable<unknown> => {
  if (Array.isArray(value) || value instanceof Set) return value
  if (value instanceof Map) return [...value.keys(), ...value.values()]
  if (ArrayBuffer.isView(value) || value instanceof WeakRef) return []
  // Accessors are left alone, as calling one may do something.
  return Object.values(Object.getOwnPropertyDescriptors(value)).map((descriptor) => descriptor.value)
}

/**
 * What belongs to somebody outside, and so is not lost when it is open: the scopes around the effect with all in them,
 * and the scopes and fibers that the services around it hold, such as those of an `RcMap`.
 */
export const belongings = (outer: Context.Context<never>, layers: Layers): Contents => {
  const held = emptyContents()
  const seen = new Set<object>()
  const ahead: Array<unknown> = []
  // A clock and a scheduler know everybody who waits, and own nobody.
  for (const service of [Context.get(outer, Clock.Clock), Context.get(outer, Scheduler.Scheduler)]) seen.add(service)
  for (const service of outer.mapUnsafe.values()) ahead.push(service)
  const current = outer.mapUnsafe.get(Scope.Scope.key)
  for (let at = isScope(current) ? current.parent : undefined; at !== undefined; at = at.parent) ahead.push(at)
  for (let at = 0; at < ahead.length && at < maxSteps; at++) {
    const value = ahead[at]
    if (typeof value !== "object" || value === null || seen.has(value)) continue
    seen.add(value)
    if (isScope(value)) include(value, layers, held)
    else if (Fiber.isFiber(value)) held.fibers.add(value)
    else if (isManager(value)) ahead.push(value.root)
    else if (!(value instanceof Watch)) { for (const part of partsOf(value)) ahead.push(part) }
  }
  return held
}

const parentOf = (fiber: AnyFiber): AnyFiber | undefined =>
  (fiber as { readonly _parent?: AnyFiber | undefined })._parent

/** Who keeps a frame open: the fiber that runs it, or waits for the one that does. */
export const keeperOf = (frame: Frame): AnyFiber | undefined => frame.caller ?? frame.fiber

/** Which fiber each of those that were seen ends with: the one it is a child of, or that waits for it in a frame. */
export const parents = (watch: Watch): ReadonlyMap<AnyFiber, AnyFiber> => {
  const found = new Map<AnyFiber, AnyFiber>()
  for (const { caller, fiber } of watch.frames) {
    if (fiber !== undefined && caller !== undefined && caller !== fiber) found.set(fiber, caller)
  }
  for (const fiber of watch.fibers.keys()) {
    const parent = parentOf(fiber)
    if (parent !== undefined) found.set(fiber, parent)
  }
  return found
}

/** Adds the fibers, and what they have open, that run on behalf of one that belongs to somebody outside. */
export const extend = (held: Contents, watch: Watch, layers: Layers): void => {
  const isHeld = (fiber: AnyFiber | undefined): boolean => fiber !== undefined && held.fibers.has(fiber)
  const parentsOf = parents(watch)
  let before = -1
  while (before !== held.fibers.size + held.scopes.size) {
    before = held.fibers.size + held.scopes.size
    for (const [fiber, parent] of parentsOf) if (isHeld(parent)) held.fibers.add(fiber)
    for (const { fiber, scope } of watch.scopes.values()) if (isHeld(fiber)) include(scope, layers, held)
  }
}
