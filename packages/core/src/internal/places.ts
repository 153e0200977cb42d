/**
 * Where borrowers stand. Most come from one place: looked up once, it is known until another one comes. Owned by
 * `ResourcePool`.
 */
import * as Context from "effect/Context"
import { TimeFrame } from "../TimeFrame.ts"
import type { Frame } from "./frame.ts"
import type { Place } from "./lease.ts"
import { Priority } from "./queue.ts"

export class Places {
  private lastContext: Context.Context<never> | undefined = undefined
  private last: Place = { frame: undefined, priority: 0 }

  of(context: Context.Context<never>): Place {
    if (context === this.lastContext) return this.last
    const frame = Context.getOrUndefined(context, TimeFrame) as Frame | undefined
    const priority = Context.get(context, Priority)
    this.lastContext = context
    return this.last = { frame, priority: Number.isFinite(priority) ? priority : 0 }
  }
}
