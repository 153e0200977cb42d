/**
 * What is followed of an allocation whose handle is tracked. Owned by `Allocation`.
 */
import type * as Fiber from "effect/Fiber"
import type { StackFrame } from "effect/References"
import type { Site } from "./callSite.ts"

/** In the place of the site: only what is tracked has to pay for it. */
export class Trace {
  readonly site: Site | StackFrame | undefined
  /** Who allocated it; not kept alive for this. */
  private readonly fiber: WeakRef<Fiber.Fiber<unknown, unknown>>
  private readonly frame: object
  /** Was its handle collected, before it was given back? */
  isCollected = false
  readonly name: string | undefined

  constructor(site: Site | StackFrame | undefined, fiber: Fiber.Fiber<unknown, unknown>, frame: object) {
    this.site = site
    // Read now: what a trace keeps alive until then might lead to the handle.
    this.name = site?.name
    this.fiber = new WeakRef(fiber)
    this.frame = frame
  }

  /** Has the fiber ended, or been forgotten, that it belonged to? In another frame it belongs to others. */
  isAbandonedIn(frame: object): boolean {
    if (frame !== this.frame) return false
    const fiber = this.fiber.deref()
    return fiber === undefined || fiber.pollUnsafe() !== undefined
  }
}
