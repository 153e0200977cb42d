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
 * Only an open frame takes what is new. A frame opened inside one that is not open goes into the nearest one outside
 * that is; only when the manager has closed it is closed from the start.
 */
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Cost } from "../Cost.ts"
import * as Deadline from "../Deadline.ts"
import type * as Snapshot from "../Snapshot.ts"
import type { Turn } from "./budgetLine.ts"
import { Closing } from "./closing.ts"
import type { Definition } from "./definition.ts"
import { Finalizers } from "./finalizers.ts"
import { endReserve } from "./ledger.ts"
import type { Ledgers, WaiterFacts } from "./ledger.ts"
import * as Limits from "./limits.ts"
import { LinkedList } from "./list.ts"
import { allocationsIn, Owned } from "./owned.ts"
import type { Closer } from "./owned.ts"
import type { Admission } from "./recent.ts"
import type { Registry } from "./registry.ts"
import type { Borrowing } from "./statistics.ts"
import { isVisitFrom } from "./visit.ts"
import type { Visit } from "./visit.ts"

export const TypeId = "~chronovyan/core/TimeFrame"

export type Phase = "open" | "expired" | "closing" | "closed"

export interface FrameOptions {
  readonly name: string
  /** Milliseconds; `Infinity` for none. */
  readonly timeout: number
  readonly budget: Limits.Budget | undefined
  /** What the frames outside have been charged for it already. */
  readonly reserve?: Cost | undefined
  /** How long those inside wait for a budget that has too little left, in milliseconds; absent: as outside. */
  readonly patience?: number | undefined
  /** Whose turn those inside take when they wait for a budget outside, and what that is worth. */
  readonly turn?: Turn | undefined
  /** When those inside are refused what would come too late; `null`: never; absent: as outside. */
  readonly admission?: Admission | null | undefined
  /** Milliseconds; `undefined` for that of the frame around it. */
  readonly gracePeriod: number | undefined
  /** Whoever ends it waits for it, however long that takes: what is around it has a grace period. */
  readonly isWaitedFor?: boolean
}

/** How a pool stands, as a snapshot shows it. */
export interface PoolFacts {
  /** The pool itself, which is a definition. */
  readonly definition: Definition
  readonly standing: PoolStanding
  readonly borrowing: Borrowing
  readonly counts: Readonly<PoolCounts>
  /** What is lent to those outside of frames. */
  readonly strays: LinkedList<Owned>
  /** How many wait, those for whom an item is being checked included. */
  readonly awaited: number
  /** So many of those who wait at most, in the order in which they are served. */
  tell(most: number): ReadonlyArray<WaiterFacts>
}

/** What happened in a pool so far, by name. */
export type PoolCounts = ConstructorParameters<typeof Snapshot.PoolCounts>[0]

/** How a shared or persistent value stands, as a snapshot shows it. */
export interface ValueFacts {
  readonly kind: "shared" | "persistent"
  readonly state: "acquiring" | "live" | "retired"
  readonly users: number
  readonly turns: { readonly readers: number; readonly writing: boolean; readonly waiting: number } | undefined
}

export interface PoolStanding {
  readonly state: "open" | "suspended" | "draining" | "closing" | "closed"
  readonly min: number
  readonly max: number
  readonly total: number
  readonly idle: number
  readonly used: number
  readonly creating: number
  readonly busy: number
  readonly closing: number
  readonly abandoned: number
  readonly waiting: number
  readonly oldestWait: number
}

export class Frame extends Owned implements Scope.Scope {
  readonly id: number
  readonly name: string
  parent: Frame | undefined
  readonly root: Frame
  readonly registry: Registry
  timeout: number
  ownDeadline: Deadline.Deadline
  /** What frames inside it inherit. */
  readonly gracePeriod: number
  /** How long its own end may take. */
  readonly closesWithin: number
  ledgers: Ledgers
  readonly patience: number
  private readonly turn: Turn | undefined
  /** When those inside are refused what would come too late, if ever. */
  readonly admission: Admission | undefined
  readonly openedAt: number
  /** The context that finalizers and background work of the frame run in. */
  context: Context.Context<never>
  phase: Phase = "open"
  /** When its deadline passed, if it did: the grace period covers all that has to end from then on. */
  expiredAt: number | undefined = undefined
  readonly owned = new LinkedList<Owned>()
  /** What outlived frames inside. */
  private orphans: LinkedList<Owned> | undefined = undefined
  /** Was a share of the budgets outside charged for it ahead of time? */
  private readonly hasReserve: boolean
  /** Was one of its ledgers read in a transaction that has waited? It may have to know that the frame has closed. */
  isRead = false
  /** What the frame ended with. */
  exit: Exit.Exit<unknown, unknown> = Exit.void
  /** How it ends, from when it is closing. */
  closing: Closing | undefined = undefined
  /** The fiber that its body runs on, if it has a body. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** The fiber that waits for the body, if that runs on a fiber of its own. */
  caller: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** The fiber that made it, if it has no body: until it is entered by another one, that fiber has to see to its end. */
  maker: WeakRef<Fiber.Fiber<unknown, unknown>> | undefined = undefined
  /** A frame outside has closed without it. */
  isOutlived = false
  /** It was closed while its body still ran, by someone who did not wait for that any longer; until the body ends. */
  isBodyLeft = false
  /** Where its body is at the moment, by `provide`. */
  visits: Set<Visit> | undefined = undefined
  /** What its body is releasing at the moment that belongs to another frame. */
  busyWith: Set<Owned> | undefined = undefined
  private onClosed: Array<() => void> | undefined = undefined
  private scopeState: Scope.State.Open | undefined = undefined

  constructor(parent: Frame | undefined, registry: Registry, options: FrameOptions, context: Context.Context<never>) {
    super()
    this.registry = registry
    this.id = registry.frames++
    this.name = options.name
    this.parent = parent
    this.root = parent === undefined ? this : parent.root
    this.openedAt = registry.now()
    this.timeout = options.timeout
    this.ownDeadline = options.timeout === Infinity
      ? Deadline.none
      : Deadline.after(registry.timers.now(), options.timeout)
    this.gracePeriod = options.gracePeriod ?? parent!.gracePeriod
    this.closesWithin = options.isWaitedFor === true ? Infinity : this.gracePeriod
    const outer: Ledgers = parent === undefined ? new Map() : parent.ledgers
    this.ledgers = options.budget === undefined && options.reserve === undefined
      ? outer
      : Limits.open(options.budget ?? {}, options.reserve, outer, this, this.root, () => registry.timers.now())
    this.hasReserve = options.reserve !== undefined
    this.patience = options.patience ?? parent?.patience ?? 0
    this.turn = options.turn
    this.admission = options.admission === undefined ? parent?.admission : options.admission ?? undefined
    this.context = context
  }

  /** Joins the frame around it. */
  open(): void {
    const parent = this.parent!
    if (parent.phase !== "open") {
      this.phase = "closed"
      this.endLedgers()
      return
    }
    this.link(parent.owned)
    const { events } = this.registry
    if (events.active) events.tell({ _tag: "FrameOpened", ...this.stamp() })
  }

  private endLedgers(): void {
    if (!this.hasReserve && !this.isRead) return
    for (const ledger of this.ledgers.values()) {
      if (ledger.owner !== this) continue
      endReserve(ledger)
      ledger.changed()
    }
  }

  /** The earlier of its own and its parent's, on the monotonic clock. */
  get deadline(): Deadline.Deadline {
    return this.parent === undefined ? this.ownDeadline : Deadline.earlier(this.ownDeadline, this.parent.deadline)
  }

  /** How long it has until its deadline, from its start on. */
  get lasts(): number {
    return this.timeout === Infinity ? Infinity : this.timeout - (this.ownDeadline - this.deadline)
  }

  /** The frame whose deadline comes first, of this one and those outside. */
  get limiting(): Frame {
    let found: Frame = this
    for (let at = this.parent; at !== undefined; at = at.parent) if (at.ownDeadline < found.ownDeadline) found = at
    return found
  }

  /** The names from the outermost frame inward; the manager's own has none. */
  get path(): string {
    let path = ""
    for (let at: Frame | undefined = this; at?.parent !== undefined; at = at.parent) {
      path = path === "" ? at.name : `${at.name}/${path}`
    }
    return path
  }

  /** What ends next when the frame closes. */
  get last(): Owned | undefined {
    return this.owned.last
  }

  override get inside(): ReadonlyArray<LinkedList<Owned>> {
    return this.orphans === undefined ? [this.owned] : [this.owned, this.orphans]
  }

  /** Where those are that outlived a frame inside. */
  get orphanage(): LinkedList<Owned> | undefined {
    return this.orphans
  }

  /**
   * Goes into another frame, with all inside. Charges have been moved already; a frame inside that has limits of its own
   * keeps charging those outside that it was opened in.
   */
  moveInto(parent: Frame): void {
    const before = this.ledgers
    this.parent = parent
    this.ledgers = parent.ledgers
    for (const list of this.inside) {
      for (let owned = list.first; owned !== undefined; owned = owned.next) {
        owned.rebased()
        const inner = owned instanceof Frame ? owned : owned.facts()?.inner
        if (inner instanceof Frame && inner.ledgers === before) inner.moveInto(this)
      }
    }
  }

  /** Takes what has no frame any more, so that it stays in sight; the manager's takes it when all others are gone. */
  adopt(orphan: Owned): void {
    const at = nearest(this, (frame) => frame.phase !== "closed")
    orphan.moveTo(at.orphans ??= new LinkedList())
  }

  /** Does the body still run, or could it? */
  get isRunning(): boolean {
    return this.phase === "open" || this.phase === "expired"
  }

  /** Have the fibers ended that have to end it? */
  get isAbandoned(): boolean {
    const { caller, fiber, maker } = this
    if (!this.isRunning) return false
    if (maker !== undefined) return isOver(maker.deref())
    return fiber !== undefined && isOver(fiber) && (caller === undefined || isOver(caller))
  }

  /** Does the fiber end when a deadline of this frame or of one outside passes? Known for one that all of them share. */
  isInterruptedWith(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    for (let at: Frame | undefined = this; at !== undefined; at = at.parent) {
      if (at.deadline === Infinity) return true
      if (at.fiber !== fiber) return false
      if (at.timeout !== Infinity) return true
    }
    return true
  }

  /** Is something under way for its body that waits out an interruption? */
  get isStuck(): boolean {
    const ahead: Array<Owned> = [this]
    for (let owned = ahead.pop(); owned !== undefined; owned = ahead.pop()) {
      if (owned.facts()?.isStubborn === true) return true
      if (owned instanceof Frame && (owned.isBusyElsewhere(this) || owned.hasStuckOrphan)) return true
      const lists = owned instanceof Frame ? [owned.owned] : owned.inside
      for (const list of lists) {
        for (let inner = list.first; inner !== undefined; inner = inner.next) ahead.push(inner)
      }
    }
    return false
  }

  /** Has a frame inside been closed without its body, which is stuck in what that left? */
  private get hasStuckOrphan(): boolean {
    for (const facts of this.orphans === undefined ? [] : allocationsIn([this.orphans])) {
      if (facts.isStubborn && (facts.frame as Frame).isBodyLeft) return true
    }
    return false
  }

  private isBusyElsewhere(frame: Frame): boolean {
    for (const owned of this.busyWith ?? []) {
      if (owned.facts()?.isStubborn === true) return true
    }
    for (const { to } of this.visits ?? []) {
      for (const facts of allocationsIn([to.owned])) {
        if (facts.isStubborn && isVisitFrom(facts.context, frame)) return true
      }
    }
    return false
  }

  /** Whose turn it takes when it waits for a budget of that frame: of those in between the outermost tenant's. */
  turnIn(owner: object): Turn | undefined {
    let turn: Turn | undefined
    for (let at: Frame | undefined = this; at !== undefined && at !== owner; at = at.parent) turn = at.turn ?? turn
    return turn
  }

  /** Its deadline is that far away from now on, unless it was later already, or the one outside comes first. */
  extend(timeout: number): void {
    if (this.timeout === Infinity) return
    const deadline = Deadline.after(this.registry.timers.now(), timeout)
    if (deadline <= this.ownDeadline) return
    this.timeout += deadline - this.ownDeadline
    this.ownDeadline = deadline
  }

  /** What each event of the frame says. */
  stamp(): { readonly at: number; readonly frame: string; readonly frameId: number } {
    return { at: this.registry.now(), frame: this.path, frameId: this.id }
  }

  /** What to tell of it as a pool, if it is that of one. */
  get pool(): PoolFacts | undefined {
    return undefined
  }

  /** What to tell of its shared value, if it is that of one. */
  get shared(): ValueFacts | undefined {
    return undefined
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
    if (!this.isRunning) return { _tag: "Closed", exit: this.exit }
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
    if (this.endBody(closer.fiber)) {
      if (this.phase === "closed") return this.ended(closer)
      this.whenClosed(() => {
        this.ended(closer)
        closer.ended(this)
      })
      return false
    }
    if (this.close(closer.exit, closer.fiber) !== undefined) return this.ended(closer)
    this.closing!.wait(() => {
      this.ended(closer)
      closer.ended(this)
    })
    return false
  }

  private ended(closer: Closer): true {
    const result = this.closing?.result
    if (result !== undefined && Exit.isFailure(result)) closer.failed(result.cause)
    return true
  }

  /**
   * A body that runs on another fiber than the one that asked to close is interrupted before anything is released under it. It
   * closes the frame when it ends; one that does not end is not waited for beyond the grace period, and one that is
   * stuck not at all.
   */
  endBody(asker: Fiber.Fiber<unknown, unknown> | undefined): boolean {
    if (!this.isRunning || !this.runsBeside(asker)) return false
    this.fiber!.interruptUnsafe()
    return !(this.isRunning && this.isStuck)
  }

  /** Does its body run, on another fiber than that one? */
  private runsBeside(fiber: Fiber.Fiber<unknown, unknown> | undefined): boolean {
    return this.fiber !== undefined && this.fiber !== fiber && this.fiber.pollUnsafe() === undefined
  }

  outlive(): void {
    const { events } = this.registry
    this.isOutlived = true
    this.parent!.adopt(this)
    if (this.isRunning) {
      this.close(Exit.interrupt())
      return
    }
    if (!events.active) return
    for (const facts of allocationsIn([this.owned])) {
      if (facts.state !== "releasing") continue
      const { frame, id, resource } = facts
      events.tell({
        _tag: "ReleaseOverdue",
        ...this.stamp(),
        frame: frame.path,
        frameId: frame.id,
        allocation: id,
        resource
      })
    }
  }

  /**
   * Past the deadline, a fiber of the scope is not waited for while something that was to be acquired here ignores the
   * interruption: it may well be that fiber.
   */
  isLeftBehind(owned: Owned): boolean {
    if (this.expiredAt === undefined || !Finalizers.isOfFiber(owned)) return false
    for (const facts of allocationsIn(this.orphans === undefined ? [] : [this.orphans])) {
      if (facts.state === "acquiring" && facts.isStubborn && facts.frame === this) return true
    }
    return false
  }

  whenClosed(f: () => void): void {
    if (this.onClosed === undefined) this.onClosed = [f]
    else this.onClosed.push(f)
  }

  /**
   * Starts the end, or joins the one under way. Answers how it went when it is done; otherwise `closing` is there to
   * wait for.
   */
  close(
    exit: Exit.Exit<unknown, unknown>,
    asker: Fiber.Fiber<unknown, unknown> | undefined = Fiber.getCurrent()
  ): Exit.Exit<void> | undefined {
    if (this.phase === "closed") return Exit.void
    if (this.phase === "closing") return this.closing!.result
    this.phase = "closing"
    this.isBodyLeft = this.runsBeside(asker)
    if (this.isBodyLeft) this.leaveBody()
    this.exit = exit
    if (this.last === undefined) {
      this.closed()
      return Exit.void
    }
    this.closing = new Closing(this, exit, asker)
    this.closing.run()
    return this.closing.result
  }

  /** The frame outside, which the body holds up as well, is told where that may be stuck. */
  private leaveBody(): void {
    const { busyWith, parent, visits } = this
    for (const visit of visits ?? []) visit.moveTo(parent!)
    for (const owned of busyWith ?? []) (parent!.busyWith ??= new Set()).add(owned)
  }

  /** All that it owned has ended. */
  closed(): void {
    const wasIn = this.home !== undefined || this.parent === undefined
    this.phase = "closed"
    this.unlink()
    this.endLedgers()
    const { orphans } = this
    if (orphans !== undefined && this.parent !== undefined) {
      for (let orphan = orphans.first; orphan !== undefined; orphan = orphans.first) this.parent.adopt(orphan)
    }
    const { events } = this.registry
    if (events.active && wasIn) {
      const stamp = this.stamp()
      events.tell({ _tag: "FrameEnded", ...stamp, lasted: stamp.at - this.openedAt })
    }
    const told = this.onClosed
    this.onClosed = undefined
    for (const tell of told ?? []) tell()
  }
}

/** Has it ended, or been forgotten by all? */
const isOver = (fiber: Fiber.Fiber<unknown, unknown> | undefined): boolean =>
  fiber === undefined || fiber.pollUnsafe() !== undefined

/** The frame, or the nearest one outside of which that is true; the manager's if none is. */
export const nearest = (frame: Frame, isRight: (frame: Frame) => boolean): Frame => {
  let at = frame
  while (at.parent !== undefined && !isRight(at)) at = at.parent
  return at
}
