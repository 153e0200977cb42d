/**
 * Budgets in transactions: how they stand, and moves of a limit from one to another. Owned by `Budget`.
 *
 * Ledgers know nothing of transactions, so that a charge need not pay for them. A transaction keeps a draft: what it has
 * read of ledgers, and what it is to move. To Effect the draft is one more `TxRef` of the journal:
 *
 * - its `version` is the same as long as all that was read still stands so, by value
 * - its `value` is set by the commit, which moves all limits in that one step
 * - its `pending` is not empty while the transaction waits after `Effect.txRetry`; only then ledgers tell of changes
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pipeable from "effect/Pipeable"
import * as TxRef from "effect/TxRef"
import { isAmount } from "../Cost.ts"
import { BudgetExceeded, FrameClosed } from "../ResourceError.ts"
import { refuseTooLarge } from "./budgetWait.ts"
import type { Frame } from "./frame.ts"
import { holdersOfUnit, unusedReserve } from "./holders.ts"
import { ledgerAtRoot, unlimited } from "./ledger.ts"
import type { Ledger, Reader } from "./ledger.ts"
import { Timeout } from "./timers.ts"

/** How a limit stands at one moment. */
export interface Standing {
  readonly unit: string
  /** The path of the frame that the limit belongs to; `""` is the manager's. */
  readonly frame: string
  /** `Infinity` when nobody limits the unit. Of a rate it is the burst. */
  readonly limit: number
  /** What is in use in that frame and the frames inside it; of a rate, what has not come back yet. */
  readonly used: number
  /** What is left of this limit. The frames outside may have less. */
  readonly available: number
  /** How many wait for it. They come first, also where something is left. */
  readonly waiting: number
  /** How much the frame has put aside in the frames outside; absent when that is nothing. */
  readonly reserved?: number
}

/** A part of a limit that goes from one frame to another. */
export interface Move {
  readonly unit: string
  readonly amount: number
  readonly from: Frame
  readonly to: Frame
}

type MoveExit = Exit.Exit<void, BudgetExceeded | FrameClosed>

/** A ledger as a transaction has read it, and by how much it is to rise. */
class Entry {
  readonly ledger: Ledger
  readonly limit: number
  readonly used: number
  readonly reserved: number
  readonly waiting: number
  moved = 0
  /** The frame of the limit takes part in a move. */
  mustBeOpen = false
  private readonly taken: number
  private readonly isClosed: boolean

  constructor(ledger: Ledger) {
    this.ledger = ledger
    this.limit = ledger.limit
    this.used = ledger.standing
    this.taken = ledger.taken
    this.reserved = ledger.reserved
    this.waiting = ledger.waiting?.length ?? 0
    this.isClosed = this.owner.phase === "closed"
  }

  get owner(): Frame {
    return this.ledger.owner as Frame
  }

  /** Does all that was read still stand so? What comes back with time alone is no reason to run again. */
  get isCurrent(): boolean {
    const { ledger, owner: { phase } } = this
    return ledger.taken === this.taken && ledger.limit === this.limit && ledger.reserved === this.reserved &&
      (ledger.waiting?.length ?? 0) === this.waiting && (phase === "closed") === this.isClosed &&
      (!this.mustBeOpen || phase === "open")
  }

  /** How much of the limit is neither in use nor put aside. */
  get movable(): number {
    return this.limit + this.moved - Math.max(this.used, this.reserved)
  }

  get standing(): Standing {
    const { ledger: { unit }, reserved, used, waiting } = this
    const limit = this.limit === unlimited ? Infinity : this.limit + this.moved
    return {
      unit,
      frame: this.owner.path,
      limit,
      used,
      available: limit - used,
      waiting,
      ...(reserved === 0 ? undefined : { reserved })
    }
  }
}

/** What a transaction has read of budgets, and what it is to move. */
class Draft extends Pipeable.Class implements TxRef.TxRef<boolean>, Reader {
  readonly "~effect/TxRef" = "~effect/TxRef"
  readonly pending: Map<unknown, () => void> = new Pending(this)
  private readonly entries = new Map<Ledger, Entry>()
  /** Who waits, while it waits. */
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private willLook = false
  /** For rates: armed for when more has come back. */
  private timeout: Timeout | undefined = undefined

  // As the transaction sees it.

  entryOf(ledger: Ledger): Entry {
    let entry = this.entries.get(ledger)
    if (entry === undefined) this.entries.set(ledger, entry = new Entry(ledger))
    return entry
  }

  move({ amount, from, to, unit }: Move): MoveExit {
    for (const frame of [from, to]) {
      if (frame.phase !== "open") return Exit.fail(new FrameClosed({ frame: frame.path, resource: unit }))
    }
    const source = this.entryOf(ownLedger(from, unit))
    const target = this.entryOf(ownLedger(to, unit))
    // Nobody goes ahead of those who wait.
    if (amount > 0 && (amount > source.movable || source.waiting > 0)) return refuse(source, amount, to)
    if (source !== target && target.limit + target.moved + amount >= unlimited) {
      throw new TypeError(`The limit of ${nameOf(to)} in "${unit}" would be larger than can be counted exactly`)
    }
    source.moved -= amount
    target.moved += amount
    source.mustBeOpen = target.mustBeOpen = true
    return Exit.void
  }

  // As Effect sees it.

  get version(): number {
    for (const entry of this.entries.values()) if (!entry.isCurrent) return 1
    return 0
  }

  set version(_: number) {
    // It follows from what was read.
  }

  /** Has it been committed? */
  get value(): boolean {
    return false
  }

  /** The commit. Whoever waits is told when all of it is done, what it writes besides as well. */
  set value(_: boolean) {
    const fallen: Array<Frame> = []
    const raised: Array<Ledger> = []
    for (const { ledger, moved, owner } of this.entries.values()) {
      if (moved !== 0) ledger.limitTo(ledger.limit + moved)
      if (moved < 0) fallen.push(owner)
      else if (moved > 0) raised.push(ledger)
    }
    if (!fallen.some(({ registry }) => registry.requests > 0)) return
    Fiber.getCurrent()!.currentDispatcher.scheduleTask(() => {
      for (const frame of fallen) refuseTooLarge(frame)
      for (const ledger of raised) ledger.waiting?.serve()
    }, 0)
  }

  // How it waits for a change.

  listen(): void {
    this.fiber = Fiber.getCurrent()!
    for (const { ledger, owner } of this.entries.values()) {
      ;(ledger.readers ??= new Set()).add(this)
      owner.isRead = true
    }
    this.awaitRefill()
  }

  unlisten(): void {
    this.fiber = undefined
    for (const { ledger, owner } of this.entries.values()) {
      ledger.readers?.delete(this)
      if (ledger.readers?.size === 0) ledger.readers = undefined
      if (this.timeout !== undefined) owner.registry.timers.cancel(this.timeout)
    }
  }

  /** Looks when the books are in order. */
  changed(): void {
    if (this.willLook || this.fiber === undefined) return
    this.willLook = true
    this.fiber.currentDispatcher.scheduleTask(this.look, 0)
  }

  private readonly look = (): void => {
    this.willLook = false
    if (this.fiber === undefined) return
    if (!this.hasChanged) return this.awaitRefill()
    for (const wake of Array.from(this.pending.values())) wake()
  }

  /** Would it read something else? */
  private get hasChanged(): boolean {
    for (const entry of this.entries.values()) {
      if (!entry.isCurrent || entry.ledger.standing !== entry.used) return true
    }
    return false
  }

  /** What comes back with time is a change as well; some may have come back since it was read. */
  private awaitRefill(): void {
    let pause = Infinity
    let next: Frame | undefined
    for (const { ledger, owner, used } of this.entries.values()) {
      if (!ledger.refills || used === 0) continue
      const readyIn = ledger.standing < used ? 0 : ledger.readyIn(ledger.limit - used + 1)
      if (readyIn >= pause) continue
      pause = readyIn
      next = owner
    }
    if (next === undefined) return
    const { timers } = next.registry
    this.timeout ??= new Timeout(() => this.changed())
    timers.cancel(this.timeout)
    timers.arm(this.timeout, Math.max(1, pause), timers.now() + Math.max(1, pause))
  }
}

/** Tells the draft whether its transaction waits. */
class Pending extends Map<unknown, () => void> {
  private readonly draft: Draft

  constructor(draft: Draft) {
    super()
    this.draft = draft
  }

  override set(key: unknown, wake: () => void): this {
    super.set(key, wake)
    this.draft.listen()
    return this
  }

  override delete(key: unknown): boolean {
    const found = super.delete(key)
    if (this.size === 0) this.draft.unlisten()
    return found
  }

  override clear(): void {
    super.clear()
    this.draft.unlisten()
  }
}

const drafts = new WeakMap<Effect.Transaction["Service"], Draft>()

/** In the draft of the current transaction, or of one for this alone. */
const inDraft = <A, E>(isWritten: boolean, f: (draft: Draft) => Exit.Exit<A, E>): Effect.Effect<A, E> =>
  Effect.tx(Effect.flatMap(Effect.Transaction, (transaction) => {
    let draft = drafts.get(transaction)
    // What it has read is gone when it runs again.
    if (draft === undefined || !transaction.journal.has(draft)) drafts.set(transaction, draft = new Draft())
    const journaled = isWritten ? TxRef.set(draft, true) : TxRef.get(draft)
    return Effect.flatMap(journaled, () => f(draft))
  }))

/** The nearest one with a limit, or the manager's; one that is to be watched has to be there. */
const limiting = (frame: Frame, unit: string, isWatched: boolean): Ledger | undefined => {
  let at = frame.ledgers.get(unit)
  if (at === undefined && isWatched) at = ledgerAtRoot(frame.ledgers, frame.root, unit)
  while (at?.limit === unlimited && at.parent !== undefined) at = at.parent
  return at
}

const unused = (unit: string): Standing => ({
  unit,
  frame: "",
  limit: Infinity,
  used: 0,
  available: Infinity,
  waiting: 0
})

/** How the frame's nearest limit stands; `isHandedIn`: that of a frame that has closed is no answer. */
export const standing = (
  frame: Frame,
  unit: string,
  isHandedIn: boolean,
  context: Context.Context<never>
): Effect.Effect<Standing, FrameClosed> => {
  const read = (ledger: Ledger | undefined, entry: Entry | undefined): Exit.Exit<Standing, FrameClosed> => {
    const owner = (ledger?.owner ?? frame.root) as Frame
    if (isHandedIn && owner.phase === "closed") return Exit.fail(new FrameClosed({ frame: owner.path, resource: unit }))
    return Exit.succeed(entry?.standing ?? unused(unit))
  }
  if (Context.getOrUndefined(context, Effect.Transaction) === undefined) {
    const ledger = limiting(frame, unit, false)
    return read(ledger, ledger === undefined ? undefined : new Entry(ledger))
  }
  return inDraft(false, (draft) => {
    const ledger = limiting(frame, unit, true)!
    return read(ledger, draft.entryOf(ledger))
  })
}

export const move = (move: Move): Effect.Effect<void, BudgetExceeded | FrameClosed> =>
  inDraft(true, (draft) => {
    const { amount, from, to, unit } = move
    if (!isAmount(amount)) {
      throw new TypeError(`A move of ${String(amount)} in "${unit}": it must be a whole number from 0 to 2^53 - 1`)
    }
    if (from.root !== to.root) {
      throw new TypeError(`"${unit}" can not move from ${nameOf(from)} to a frame of another manager`)
    }
    return draft.move(move)
  })

/** Only what a frame limits itself can go from it or to it: anything else is a mistake in the program and throws. */
const ownLedger = (frame: Frame, unit: string): Ledger => {
  const ledger = frame.ledgers.get(unit)
  if (ledger?.owner !== frame || ledger.limit === unlimited) {
    throw new TypeError(
      `${nameOf(frame)} has no budget of its own in "${unit}", so nothing can be moved from it or to it`
    )
  }
  if (ledger.refills) {
    throw new TypeError(`"${unit}" of ${nameOf(frame)} can not be moved: that is a rate, not a capacity`)
  }
  return ledger
}

const nameOf = ({ path }: Frame): string => path === "" ? "the manager" : `the frame "${path}"`

/** What the frame has put aside counts as used: nobody else can have it. */
const refuse = (source: Entry, requested: number, to: Frame): MoveExit => {
  const { ledger: { unit }, limit, moved, owner, reserved, used, waiting } = source
  const { holders, ...rest } = holdersOfUnit(owner, unit)
  const reserve = unusedReserve(owner, unit)
  return Exit.fail(
    new BudgetExceeded({
      unit,
      frame: owner.path,
      limit: limit + moved,
      used: Math.max(used, reserved),
      requested,
      resource: "a move of its limit",
      requestedBy: to.path,
      ...(waiting === 0 ? undefined : { waiting }),
      holders: reserve === undefined ? holders : [...holders, reserve].sort((a, b) => b.amount - a.amount),
      ...rest
    })
  )
}
