/**
 * What is followed of an allocation whose handle is tracked. Owned by `Allocation`.
 */
import type * as Fiber from "effect/Fiber"
import type { StackFrame } from "effect/References"
import type { Site } from "./callSite.ts"

/** An allocation, as far as it is told of its handle. */
interface Followed {
  dropped(): void
}

let registry: FinalizationRegistry<Followed> | undefined

/** In the place of the site: only what is tracked has to pay for it. */
export class Trace {
  readonly site: Site | StackFrame | undefined
  /** Who allocated it; not kept alive for this. */
  private readonly fiber: WeakRef<Fiber.Fiber<unknown, unknown>>
  private readonly frame: object
  /** Was its handle collected, before it was given back? */
  isCollected = false
  constructor(site: Site | StackFrame | undefined, fiber: Fiber.Fiber<unknown, unknown>, frame: object) {
    this.site = site
    this.fiber = new WeakRef(fiber)
    this.frame = frame
  }

  /** Tells the allocation when its handle is collected. To take that back would cost more than to be told in vain. */
  follow(handle: object, allocation: Followed): void {
    registry ??= new FinalizationRegistry((allocation) => allocation.dropped())
    registry.register(handle, allocation)
  }

  get name(): string | undefined {
    return this.site?.name
  }

  /** Has the fiber ended, or been forgotten, that it belonged to? In another frame it belongs to others. */
  isAbandonedIn(frame: object): boolean {
    if (frame !== this.frame) return false
    const fiber = this.fiber.deref()
    return fiber === undefined || fiber.pollUnsafe() !== undefined
  }
}
