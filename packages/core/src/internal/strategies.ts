/**
 * How each kind of definition is allocated. Owned by `ResourceManager`.
 */
import type * as Effect from "effect/Effect"
import { allocateTemporal } from "./allocate.ts"
import type { AnyFiber, Restore, Use } from "./allocate.ts"
import { allocateFromPool } from "./borrow.ts"
import type { Site } from "./callSite.ts"
import type { Definition, Kind } from "./definition.ts"
import { allocateShared } from "./share.ts"

/** In an uninterruptible region; the params are as the caller gave them. */
export type Strategy = (
  definition: Definition,
  params: unknown,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
) => Effect.Effect<any, any, any>

export const strategies: Readonly<Record<Kind, Strategy>> = {
  temporal: allocateTemporal,
  persistent: allocateShared,
  shared: allocateShared,
  pool: allocateFromPool
}
