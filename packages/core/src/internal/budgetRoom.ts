/**
 * The line of those who wait for what a ledger has too little of, as those see it who look for deadlocks. Owned by
 * `Budget`.
 */
import type { Outside } from "./beyond.ts"
import { BudgetLine } from "./budgetLine.ts"
import type { Waiting } from "./budgetLine.ts"
import { isWaited } from "./deadlock.ts"
import type { Held, Room, Source, Waiter } from "./deadlock.ts"
import type { Frame } from "./frame.ts"
import type { Ledger, WaiterFacts } from "./ledger.ts"
import { allocationsIn } from "./owned.ts"
import type { Facts } from "./owned.ts"
import { heldAside, usedAtLast } from "./reserves.ts"

/** Someone who waits in it. */
export interface Asking extends Waiting<Asking>, Waiter, Outside {
  /** Who is next to it in the line. */
  ahead: Asking | undefined
  behind: Asking | undefined
  readonly frame: Frame
  readonly toldOf: WaiterFacts
}

/** The line of a ledger, as those see it who look for deadlocks. */
export class Line extends BudgetLine<Asking> implements Source, Room {
  get name(): string {
    return this.ledger.unit
  }

  get hasPromise(): boolean {
    return this.ledger.refills
  }

  get room(): this {
    return this
  }

  get isForAll(): false {
    return false
  }

  get held(): Iterable<Share> {
    return this.hasReserves ? [...heldAside(this.ledger), ...sharesOf(this.ledger)] : sharesOf(this.ledger)
  }

  private get hasReserves(): boolean {
    return this.ledger.reservesInside > 0
  }

  tell(most: number): ReadonlyArray<WaiterFacts> {
    return this.inOrder(most).map((one) => one.toldOf)
  }

  /** Nobody is served before those ahead: all of them must fit into what there will be. */
  fits(waiter: Waiter, canNot: (held: Held) => boolean): boolean {
    const request = waiter as Asking
    if (!this.hasReserves && this.greatest <= this.available(canNot)) return true
    const hasRoomFor = this.roomFor(canNot)
    if (!hasRoomFor(request)) return false
    let left = this.hasReserves ? 10 : mostAhead
    for (const other of this.aheadOf(request)) if (!hasRoomFor(other) || left-- === 0) return false
    return true
  }

  /** For whom will there be enough when all is given back but for what can not be? */
  roomFor(canNot: (held: Held) => boolean): (request: Asking) => boolean {
    const { ledger } = this
    if (this.hasReserves) {
      return (request) => {
        const asking = { frame: request.frame, amount: request.needs(ledger) }
        return usedAtLast(ledger, asking, canNot) <= ledger.limit
      }
    }
    const available = this.available(canNot)
    return (request) => request.needs(ledger) <= available
  }

  private available(canNot: (held: Held) => boolean): number {
    let { limit } = this.ledger
    if (canNot === isWaited) return limit - this.heldByWaiting
    for (const share of this.held) if (canNot(share)) limit -= share.amount
    return limit
  }

  /** Kept up to date while they wait, so that beginning to wait costs the same however much others hold. */
  private get heldByWaiting(): number {
    const { heldByWaiting, owner, unit } = this.ledger
    let held = heldByWaiting
    // Who has to give back one of these changes with time: there are few of them.
    for (const borrow of (owner as Frame).registry.chargedBorrows as Set<ChargedBorrow>) {
      if (isWaited(borrow) && isInside(borrow.frame, owner)) held += borrow.facts().cost[unit] ?? 0
    }
    return held
  }
}

/** A borrow that a frame pays for. */
interface ChargedBorrow extends Held {
  readonly frame: Frame
  facts(): Facts
}

const isInside = (frame: Frame, owner: object): boolean => {
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) if (at === owner) return true
  return false
}

/** Who has more of them ahead goes first, rather than that all are looked at. */
const mostAhead = 1000

/** What an allocation has of a ledger. */
interface Share extends Held {
  readonly amount: number
}

function* sharesOf({ owner, unit }: Ledger): Generator<Share> {
  for (const { cost, holder, resource } of allocationsIn((owner as Frame).inside)) {
    const amount = cost[unit] ?? 0
    if (amount > 0) yield { name: resource, holder, amount }
  }
}

/** The line of a ledger, made when somebody waits. */
export const lineOf = (ledger: Ledger, frame: Frame): Line =>
  (ledger.line as Line | undefined) ?? new Line(ledger, frame.registry.timers)
