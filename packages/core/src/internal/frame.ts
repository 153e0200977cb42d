/**
 * A frame is a Scope with a name, a parent, a deadline and ledgers. Owned by `TimeFrame`.
 *
 * ```text
 *           deadline
 *   open ─────────────▶ expired ──┐
 *     │                           │ close
 *     └───────────────────────────┴──▶ closing ──▶ closed
 * ```
 *
 * Only an open frame takes what is new. A frame opened inside one that is not open is closed from the start.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Budget from "../Budget.ts"
import * as Deadline from "../Deadline.ts"
import { Closing } from "./closing.ts"
import type { Ledgers } from "./ledger.ts"
import { LinkedList } from "./list.ts"
import { allocationsIn, attempt, Owned, runRelease } from "./owned.ts"
import type { Closer } from "./owned.ts"
import type { Registry } from "./registry.ts"

export const TypeId = "~chronovyan/core/TimeFrame"

export type Phase = "open" | "expired" | "closing" | "closed"

export interface FrameOptions {
  readonly name: string
  /** Milliseconds; `Infinity` for none. */
  readonly timeout: number
  readonly budget: Budget.Budget | undefined
  /** Milliseconds; `undefined` for that of the frame around it. */
  readonly gracePeriod: number | undefined
}

type Finalize = (exit: Exit.Exit<any, any>) => Effect.Effect<unknown>

/** A finalizer that Effect's Scope functions put on the frame. */
class Finalizer extends Owned {
  readonly frame: Frame
  /** A fiber, when it is the one that interrupts a fiber of the scope and waits for its end. */
  readonly key: object
  readonly finalize: Finalize
  home: LinkedList<Owned>

  constructor(frame: Frame, key: object, finalize: Finalize) {
    super()
    this.frame = frame
    this.key = key
    this.finalize = finalize
    this.home = frame.owned
    this.home.append(this)
  }

  end(closer: Closer): boolean {
    const done = (exit: Exit.Exit<unknown>) => {
      this.home.remove(this)
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
    this.home.remove(this)
    this.home = this.frame.root.orphans
    this.home.append(this)
    const { events } = this.frame.registry
    if (events.active) {
      events.tell({
        _tag: "ReleaseOverdue",
        ...this.frame.stamp(),
        allocation: 0,
        resource: "(a finalizer of the frame's scope)"
      })
    }
  }
}

/**
 * Effect adds and removes finalizers through the `Map` in the state of a Scope. This one keeps them in the frame's own
 * list, between the allocations, and never seems empty: Effect replaces the state of a Scope whose map runs empty.
 */
class Finalizers extends Map<object, any> {
  readonly frame: Frame

  constructor(frame: Frame) {
    super()
    this.frame = frame
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
    finalizer?.home.remove(finalizer)
    return super.delete(key)
  }
}

export class Frame extends Owned implements Scope.Scope {
  readonly id: number
  readonly name: string
  readonly parent: Frame | undefined
  readonly root: Frame
  readonly registry: Registry
  readonly timeout: number
  /** The earlier of its own and its parent's. */
  readonly deadline: Deadline.Deadline
  readonly gracePeriod: number
  readonly ledgers: Ledgers
  readonly openedAt: number
  /** The context that finalizers and background work of the frame run in. */
  context: Context.Context<never>
  phase: Phase = "open"
  /** When its deadline passed, if it did: the grace period covers all that has to end from then on. */
  expiredAt: number | undefined = undefined
  readonly owned = new LinkedList<Owned>()
  /** What outlived its frame; only the root's is used. */
  readonly orphans: LinkedList<Owned>
  /** What the frame ended with. */
  exit: Exit.Exit<unknown, unknown> = Exit.void
  /** How it ends, from when it is closing until it has closed. */
  closing: Closing | undefined = undefined
  /** The fiber that its body runs on, if it has a body. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Told when the frame has closed. */
  onClosed: (() => void) | undefined = undefined
  private scopeState: Scope.State.Open | undefined = undefined
  /** The list that it is in. */
  private home: LinkedList<Owned> | undefined = undefined

  constructor(parent: Frame | undefined, registry: Registry, options: FrameOptions, context: Context.Context<never>) {
    super()
    this.registry = registry
    this.id = registry.frames++
    this.name = options.name
    this.parent = parent
    this.root = parent === undefined ? this : parent.root
    this.orphans = parent === undefined ? new LinkedList() : parent.root.orphans
    this.openedAt = registry.now()
    this.timeout = options.timeout
    const own = Deadline.after(this.openedAt, options.timeout)
    this.deadline = parent === undefined ? own : Deadline.earlier(own, parent.deadline)
    this.gracePeriod = options.gracePeriod ?? parent!.gracePeriod
    const outer: Ledgers = parent === undefined ? new Map() : parent.ledgers
    this.ledgers = options.budget === undefined ? outer : Budget.open(options.budget, outer, this, this.root)
    this.context = context
    if (parent === undefined) return
    if (parent.phase === "open") {
      this.moveTo(parent.owned)
      if (registry.events.active) registry.events.tell({ _tag: "FrameOpened", ...this.stamp() })
    } else {
      this.phase = "closed"
    }
  }

  /** The names from the outermost frame inward; the manager's own has none. */
  get path(): string {
    if (this.parent === undefined) return ""
    const outer = this.parent.path
    return outer === "" ? this.name : `${outer}/${this.name}`
  }

  /** What ends next when the frame closes. */
  get last(): Owned | undefined {
    return this.owned.last
  }

  override get inside(): ReadonlyArray<LinkedList<Owned>> {
    return [this.owned]
  }

  /** Does the fiber end when a deadline of this frame or of one outside passes? Known for one that all of them share. */
  isInterruptedWith(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.deadline === Infinity) return true
    if (this.fiber !== fiber) return false
    return this.timeout !== Infinity || this.parent!.isInterruptedWith(fiber)
  }

  /** Is something under way in it that waits out an interruption? */
  get isStuck(): boolean {
    for (const facts of allocationsIn(this.owned)) {
      if (facts.isStubborn) return true
    }
    return false
  }

  /** What each event of the frame says. */
  stamp(): { readonly at: number; readonly frame: string; readonly frameId: number } {
    return { at: this.registry.now(), frame: this.path, frameId: this.id }
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  // As Effect's functions see a Scope.

  get "~effect/Scope"(): "~effect/Scope" {
    return "~effect/Scope"
  }

  get strategy(): "sequential" {
    return "sequential"
  }

  get state(): Scope.State.Open | Scope.State.Closed {
    if (this.phase === "closing" || this.phase === "closed") return { _tag: "Closed", exit: this.exit }
    return this.scopeState ??= {
      _tag: "Open",
      finalizerKey: undefined,
      finalizer: undefined,
      finalizers: new Finalizers(this)
    }
  }

  set state(_: Scope.State.Open | Scope.State.Closed | Scope.State.Empty) {
    // A frame is closed by `close` alone.
  }

  // As the frame around it sees it.

  end(closer: Closer): boolean {
    if (this.endsBody(closer)) return this.phase === "closed"
    const result = this.close(closer.exit)
    if (result !== undefined) {
      if (Exit.isFailure(result)) closer.failed(result.cause)
      return true
    }
    this.closing!.wait((result) => {
      if (Exit.isFailure(result)) closer.failed(result.cause)
      closer.ended(this)
    })
    return false
  }

  /**
   * A body that still runs, on another fiber than the one that closes, is interrupted first: nothing is released under
   * a running body, unless that does not end. It closes the frame when it ends.
   */
  private endsBody(closer: Closer): boolean {
    if (this.fiber === undefined || this.phase === "closing" || this.phase === "closed") return false
    if (this.fiber === Fiber.getCurrent() || this.fiber.pollUnsafe() !== undefined) return false
    const onClosed = this.onClosed
    let waits = false
    this.onClosed = () => {
      onClosed?.()
      const result = this.closing?.result
      if (result !== undefined && Exit.isFailure(result)) closer.failed(result.cause)
      if (waits) closer.ended(this)
    }
    this.fiber.interruptUnsafe()
    if (this.isOpen && this.isStuck) {
      this.onClosed = onClosed
      return false
    }
    waits = true
    return true
  }

  /**
   * Past the deadline, a fiber of the scope is not waited for while something that was to be acquired here ignores the
   * interruption: it may well be that fiber.
   */
  isLeftBehind(owned: Owned): boolean {
    if (this.expiredAt === undefined || !(owned instanceof Finalizer) || !Fiber.isFiber(owned.key)) return false
    for (const facts of allocationsIn(this.orphans)) {
      if (facts.state === "acquiring" && facts.isStubborn && facts.frame === this) return true
    }
    return false
  }

  get isOpen(): boolean {
    return this.phase === "open" || this.phase === "expired"
  }

  outlive(): void {
    this.moveTo(this.orphans)
    if (this.isOpen) {
      this.close(Exit.interrupt())
      return
    }
    const { events } = this.registry
    if (!events.active) return
    for (const facts of allocationsIn(this.owned)) {
      if (facts.state !== "releasing") continue
      const { frame, id, resource } = facts
      events.tell({
        _tag: "ReleaseOverdue",
        at: this.registry.now(),
        frame: frame.path,
        frameId: frame.id,
        allocation: id,
        resource
      })
    }
  }

  /** Only the list that it is in knows of it. */
  moveTo(home: LinkedList<Owned> | undefined): void {
    this.home?.remove(this)
    this.home = home
    home?.append(this)
  }

  /**
   * Starts the end, or joins the one under way. Answers how it went when it is done; otherwise `closing` is there to
   * wait for.
   */
  close(exit: Exit.Exit<unknown, unknown>): Exit.Exit<void> | undefined {
    if (this.phase === "closed") return Exit.void
    if (this.phase === "closing") return this.closing!.result
    this.phase = "closing"
    this.exit = exit
    if (this.last === undefined) {
      this.closed()
      return Exit.void
    }
    this.closing = new Closing(this, exit)
    this.closing.run()
    return this.closing.result
  }

  /** All that it owned has ended. */
  closed(): void {
    this.phase = "closed"
    this.moveTo(undefined)
    this.onClosed?.()
    const { events } = this.registry
    if (events.active) {
      const stamp = this.stamp()
      events.tell({ _tag: "FrameEnded", ...stamp, lasted: stamp.at - this.openedAt })
    }
  }
}
