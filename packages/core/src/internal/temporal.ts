/**
 * The allocation of a value of its own, with the frame that its acquisition ran in, if it had one. Owned by `Allocation`.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Cost } from "../Cost.ts"
import { sum } from "../Cost.ts"
import { Allocation } from "./allocation.ts"
import type { Frame } from "./frame.ts"
import type { LinkedList } from "./list.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts, Owned } from "./owned.ts"
import { closeFrame } from "./run.ts"

/** A value of its own. */
export class Temporal<A = any> extends Allocation<A> {
  /** There when the acquisition undoes itself: the frame that it ran in, which is its Scope as well. */
  inner: Frame | undefined = undefined

  get share(): boolean {
    return false
  }

  override facts(): Facts {
    return { ...super.facts(), inner: this.inner }
  }

  override get totalCost(): Cost {
    if (this.inner === undefined) return super.totalCost
    const costs = [super.totalCost]
    for (const facts of allocationsIn(this.inner.inside)) {
      // What is inside a frame with limits of its own stays charged where that was opened.
      if ((facts.frame as Frame).ledgers === this.inner.ledgers) costs.push(facts.cost)
    }
    return sum(costs)
  }

  override changeFrame(frame: Frame): void {
    super.changeFrame(frame)
    this.inner?.moveInto(frame)
  }

  override get inside(): ReadonlyArray<LinkedList<Owned>> {
    return this.inner === undefined ? super.inside : this.inner.inside
  }

  protected undo(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown, never, any> | undefined {
    if (this.inner !== undefined) return closeFrame(this.inner, exit)
    return this.definition.release?.(this.current, exit)
  }

  protected undoFailed(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> | undefined {
    return this.inner === undefined ? undefined : closeFrame(this.inner, exit)
  }

  protected countAcquired(took: number): void {
    const { recent } = this.statistics
    this.statistics.onAcquired(took)
    if (recent !== undefined) recent.add(took, this.frame.registry.timers.now())
  }

  /** One that was given up would have taken longer. */
  protected countFailed(took: number, isInterrupted: boolean): void {
    const { recent } = this.statistics
    this.statistics.failed++
    if (recent === undefined) return
    const now = this.frame.registry.timers.now()
    if (isInterrupted) recent.addAtLeast(took, now)
    else recent.add(took, now)
  }

  protected countReleased(held: number): void {
    this.statistics.onReleased(held)
  }
}
