/**
 * The finalizers that Effect's Scope functions put on a frame. Owned by `TimeFrame`.
 *
 * Effect adds and removes them through the `Map` in the state of a Scope. This one keeps them in the frame's own list,
 * between the allocations, and never seems empty: Effect replaces the state of a Scope whose map runs empty.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { LinkedList } from "./list.ts"
import { attempt, Owned, runRelease } from "./owned.ts"
import type { Closer } from "./owned.ts"
import type { Registry } from "./registry.ts"

type Finalize = (exit: Exit.Exit<any, any>) => Effect.Effect<unknown>

/** What a finalizer needs to know of its frame. */
interface Owner {
  readonly owned: LinkedList<Owned>
  readonly context: Context.Context<never>
  readonly registry: Registry
  adopt(orphan: Owned): void
  stamp(): { readonly at: number; readonly frame: string; readonly frameId: number }
}

class Finalizer extends Owned {
  readonly frame: Owner
  /** A fiber, when it is the one that interrupts a fiber of the scope and waits for its end. */
  readonly key: object
  readonly finalize: Finalize

  constructor(frame: Owner, key: object, finalize: Finalize) {
    super()
    this.frame = frame
    this.key = key
    this.finalize = finalize
    this.link(frame.owned)
  }

  end(closer: Closer): boolean {
    const done = (exit: Exit.Exit<unknown>) => {
      this.unlink()
      if (Exit.isFailure(exit)) closer.failed(exit.cause)
    }
    const exit = runRelease(attempt(() => this.finalize(closer.exit)), this.frame.context, (exit) => {
      done(exit)
      closer.ended(this)
    })
    if (exit !== undefined) done(exit)
    return exit !== undefined
  }

  outlive(): void {
    this.frame.adopt(this)
    const { events } = this.frame.registry
    if (events.active) {
      const resource = "(a finalizer of the frame's scope)"
      events.tell({ _tag: "ReleaseOverdue", ...this.frame.stamp(), allocation: 0, resource })
    }
  }
}

export class Finalizers extends Map<object, any> {
  readonly frame: Owner

  constructor(frame: Owner) {
    super()
    this.frame = frame
  }

  /** Is this one that waits for a fiber? */
  static isOfFiber(owned: Owned): boolean {
    return owned instanceof Finalizer && Fiber.isFiber(owned.key)
  }

  override get size(): number {
    return super.size + 1
  }

  override set(key: object, finalize: Finalize): this {
    this.delete(key)
    return super.set(key, new Finalizer(this.frame, key, finalize))
  }

  override delete(key: object): boolean {
    const finalizer: Finalizer | undefined = super.get(key)
    finalizer?.unlink()
    return super.delete(key)
  }
}
