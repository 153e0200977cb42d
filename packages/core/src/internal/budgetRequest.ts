/**
 * One who waits for what a budget has too little of, and the line that it stands in. Owned by `Budget`.
 *
 * ```text
 *   waiting ──its turn, and enough is left: charged──▶ granted ──▶ the allocation has it
 *      │  ├──another ledger has too little──▶ waiting there
 *      │  └──a reserve has room for it again: charged──▶ granted
 *      └──timeout, interrupted, its frame closes──▶ refused
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Cost } from "../Cost.ts"
import { FrameClosed, WouldDeadlock } from "../ResourceError.ts"
import { Beyond } from "./beyond.ts"
import { urgent } from "./budgetLine.ts"
import type { Tenant, Turn } from "./budgetLine.ts"
import { lineOf } from "./budgetRoom.ts"
import type { Asking, Line } from "./budgetRoom.ts"
import { refuseFor } from "./charging.ts"
import type { Refused } from "./charging.ts"
import { enter, inWords, isWaited, leave, wouldDeadlock } from "./deadlock.ts"
import type { Source, Waiter } from "./deadlock.ts"
import type { Frame } from "./frame.ts"
import { holdersOfUnit, listed } from "./holders.ts"
import { charge, refund, tooSmallFor, unlimited } from "./ledger.ts"
import type { Ledger, Ledgers, WaiterFacts } from "./ledger.ts"
import { Owned } from "./owned.ts"
import type { Facts } from "./owned.ts"
import { Priority } from "./queue.ts"
import type { Line as QueueLine } from "./queue.ts"
import { Timeout } from "./timers.ts"
import { resume } from "./trampoline.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Those without a tenant are one more, all together. */
const noTurn: Turn = { tenant: undefined, weight: 1 }

/** A line where it waits, or may have to. */
interface Entered {
  readonly line: Line
  readonly tenant: Tenant<Asking>
  readonly next: Entered | undefined
}

export class Request extends Owned implements Asking {
  ahead: Asking | undefined = undefined
  behind: Asking | undefined = undefined
  readonly since: number
  readonly priority: number
  readonly fiber: AnyFiber
  tenant: unknown = undefined
  readonly frame: Frame
  private readonly cost: Cost
  private readonly resource: string
  /** The ledger that has too little. */
  private ledger: Ledger
  /** Those of its frame, as of when it got in line, or that were charged. */
  private ledgers: Ledgers
  private isGranted = false
  private hasMoved = false
  private wake: ((exit: Exit.Exit<this, any>) => void) | undefined = undefined
  /** The lines of all ledgers that it needs something of: there are few. */
  private entered: Entered | undefined = undefined
  // What few of them ever have is on the prototype until then: hundreds of thousands may wait.
  declare line: QueueLine<Asking> | undefined
  declare readonly deadline: number
  declare kept: ReadonlyArray<AnyFiber> | undefined
  declare private refused: Exit.Exit<never, any> | undefined
  /** As snapshots and errors show it, between the grant and the record of whoever has waited. */
  declare private number: number
  /** The reserves that it waits outside of. */
  declare private reserves: Array<Beyond<Asking>> | undefined
  /** There is one when it waits for so long only. */
  declare private timeout: Timeout | undefined

  constructor(frame: Frame, cost: Cost, resource: string, ledger: Ledger, fiber: AnyFiber) {
    super()
    this.frame = frame
    this.cost = cost
    this.resource = resource
    this.ledger = ledger
    this.ledgers = frame.ledgers
    this.fiber = fiber
    this.since = frame.registry.arrival()
    const priority = Context.get(fiber.context, Priority)
    this.priority = Number.isFinite(priority) ? priority : 0
  }

  private get isWaiting(): boolean {
    return !this.isGranted && this.refused === undefined
  }

  /** Joins the line, and is served at once if it is the first and there is room. */
  wait(patience: number): void {
    const { registry, registry: { timers } } = this.frame
    registry.requests++
    this.link(this.frame.owned)
    this.enterAll()
    if (patience !== Infinity) {
      this.timeout = new Timeout(() => this.refuse(() => this.exceeded()))
      timers.arm(this.timeout, patience, timers.now() + patience)
    }
    this.join(false)
  }

  private enterAll(): void {
    for (const unit in this.cost) {
      for (let at = this.ledgers.get(unit); at !== undefined; at = at.parent) {
        if (at.limit !== unlimited) this.enter(at)
      }
    }
  }

  /** It may be in that line, now or later. */
  private enter(ledger: Ledger): Line {
    const line = lineOf(ledger, this.frame)
    for (let entered = this.entered; entered !== undefined; entered = entered.next) {
      if (entered.line === line) return line
    }
    this.entered = { line, tenant: line.enter(this), next: this.entered }
    return line
  }

  private join(hasWaited: boolean): void {
    const { ledger } = this
    this.tenant = this.turnIn(ledger).tenant
    const line = this.enter(ledger)
    line.add(this, hasWaited)
    this.lookInward()
    line.serve()
    if (this.isWaiting && this.ledger === ledger) this.avoidDeadlock(line)
  }

  /** It goes beyond the reserves that it passed on the way to that ledger: hears of it when they have room. */
  private lookInward(): void {
    const { frame, ledger } = this
    for (let at = frame.ledgers.get(ledger.unit)!; at !== ledger; at = at.parent!) {
      if (at.reserved === 0) continue
      const beyond = at.beyond as Beyond<Asking> | undefined ?? new Beyond<Asking>(at)
      beyond.add(this)
      ;(this.reserves ??= []).push(beyond)
    }
  }

  private lookAway(): void {
    for (const beyond of this.reserves ?? []) beyond.remove(this)
    this.reserves = undefined
  }

  reconsider(): void {
    const line = lineOf(this.ledger, this.frame)
    const refusing = this.attempt(undefined)
    line.remove(this)
    this.moved(refusing)
    // It may have been the first.
    line.serve()
    if (refusing === undefined) resume(this)
  }

  /** Its frame has gone elsewhere: what is short there counts, where it stands as if it had been there all the time. */
  rejoin(): void {
    const { frame: { ledgers } } = this
    if (!this.isWaiting || ledgers === this.ledgers) return
    this.ledgers = ledgers
    this.lookAgain()
    if (!this.isWaiting) return
    const line = lineOf(this.ledger, this.frame)
    line.remove(this)
    this.lookAway()
    this.exitAll()
    leave(this)
    this.hasMoved = false
    const refusing = this.attempt(undefined)
    if (refusing === undefined) {
      this.granted()
      resume(this)
    } else {
      this.enterAll()
      this.ledger = refusing
      this.join(true)
    }
    // Those behind may fit.
    line.serve()
  }

  /** Nobody waits for ever: who has what those ahead of it wait for goes first, if that helps, or is refused. */
  private avoidDeadlock(line: Line): void {
    const cycle = wouldDeadlock(this)
    if (cycle === undefined) return
    const { cost, frame, resource } = this
    enter(this)
    if (charge(frame.ledgers, frame.root, cost, resource, { isFirst: true }) === undefined) {
      this.charged()
      line.remove(this)
      this.granted()
      // It may be asleep already.
      resume(this)
    } else if (line.roomFor(isWaited)(this)) {
      line.remove(this)
      this.tenant = urgent
      line.add(this, true)
    } else this.refuse(() => Exit.fail(this.deadlock(cycle)))
  }

  breakCircle(cycle: ReadonlyArray<Waiter>): void {
    this.refuse(() => Exit.fail(this.deadlock(cycle)))
  }

  private deadlock(cycle: ReadonlyArray<Waiter>): WouldDeadlock {
    const { cost, frame, ledger, resource } = this
    const { unit } = ledger
    return new WouldDeadlock({
      pool: unit,
      budget: { frame: (ledger.owner as Frame).path, requested: cost[unit]!, resource },
      requestedBy: frame.path,
      cycle: inWords(cycle, listed),
      ...holdersOfUnit(ledger.owner as Frame, unit)
    }, { disableChecks: true })
  }

  get source(): Source {
    return lineOf(this.ledger, this.frame)
  }

  private get clocksApart(): number {
    const { registry } = this.frame
    return registry.now() - registry.timers.now()
  }

  /** When it came, in milliseconds since the epoch: what is kept on the monotonic clock is read on the one on the wall. */
  private get askedAt(): number {
    return Math.round(this.since + this.clocksApart)
  }

  get toldOf(): WaiterFacts {
    const { fiber, frame, ledger, place, resource, tenant, timeout } = this
    return {
      resource,
      frame,
      place,
      fiber: fiber.id,
      allocation: undefined,
      amount: this.needs(ledger),
      since: this.askedAt,
      deadline: Math.round(
        Math.min(timeout?.queue === undefined ? Infinity : timeout.at, frame.deadline) + this.clocksApart
      ),
      tenant,
      callSite: fiber.cache.stackFrame?.name
    }
  }

  get place(): string {
    return this.frame.path
  }

  // For the line.

  needs(ledger: Ledger): number {
    return this.cost[ledger.unit] ?? 0
  }

  turnIn({ owner }: Ledger): Turn {
    return this.frame.turnIn(owner) ?? noTurn
  }

  /** Where others are before it, it gets in line, but once: who is sent back and forth would never be served. */
  attempt(passing: Ledger | undefined): Ledger | undefined {
    const { cost, frame, hasMoved, resource } = this
    const special = hasMoved ? { isFirst: true } : { passing, waiter: this }
    const refusing = charge(frame.ledgers, frame.root, cost, resource, special)
    if (refusing === undefined) this.charged()
    return refusing
  }

  private charged(): void {
    this.ledgers = this.frame.ledgers
    this.count()
  }

  /** What it was given counts for its tenant, wherever somebody waits for more of it. */
  private count(): void {
    const { cost, frame } = this
    for (const unit in cost) {
      let left = cost[unit]!
      for (let at = frame.ledgers.get(unit); at !== undefined && left > 0; at = at.parent) {
        const line = at.waiting as Line | undefined
        line?.gave(this, left)
        left = at.passesOn(left)
      }
    }
  }

  moved(to: Ledger | undefined): void {
    if (to === undefined) return this.granted()
    this.lookAway()
    leave(this)
    this.hasMoved = true
    this.ledger = to
    this.join(true)
  }

  /** It stays in its frame until whoever has waited goes on: until then this is the record of what was charged. */
  private granted(): void {
    this.isGranted = true
    this.leave()
  }

  /** Whoever has waited makes a record of its own. Answers the ledgers that were charged. */
  take(): Ledgers {
    this.unlink()
    return this.ledgers
  }

  /** What was charged went along. */
  override rebased(): void {
    if (this.isGranted) this.ledgers = this.frame.ledgers
  }

  override facts(): Facts | undefined {
    if (!this.isGranted) return undefined
    const { cost, fiber, frame, resource } = this
    return {
      id: this.number === 0 ? this.number = ++frame.registry.allocations : this.number,
      resource,
      frame,
      state: "charged",
      isStubborn: false,
      share: false,
      since: this.askedAt,
      cost,
      holder: fiber.id,
      lent: undefined,
      inner: undefined,
      context: fiber.context,
      callSite: fiber.cache.stackFrame?.name
    }
  }

  resume(): void {
    this.wake?.(this.refused ?? Exit.succeed(this))
  }

  // How it ends.

  /** It waits no longer. */
  private leave(): void {
    const { registry } = this.frame
    registry.requests--
    this.lookAway()
    leave(this)
    this.exitAll()
    if (this.timeout !== undefined) registry.timers.cancel(this.timeout)
  }

  private exitAll(): void {
    for (let entered = this.entered; entered !== undefined; entered = entered.next) entered.line.exit(entered.tenant)
    this.entered = undefined
  }

  private refuse(why: () => Exit.Exit<never, any>): void {
    if (!this.isWaiting) return
    const line = this.giveUp()
    this.refused = why()
    // Those behind may fit.
    line.serve()
    resume(this)
  }

  private exceeded(): Refused {
    const { cost, frame, ledger, resource } = this
    return refuseFor(frame, cost, resource, ledger, this.waited)
  }

  /** How long, in whole milliseconds. */
  private get waited(): number {
    return Math.max(0, Math.round(this.frame.registry.timers.now() - this.since))
  }

  /** Limits have fallen: it may be too large for one of them. */
  lookAgain(): void {
    const { cost, frame, resource } = this
    const never = neverFits(frame, cost)
    if (never !== undefined) this.refuse(() => refuseFor(frame, cost, resource, never, this.waited))
  }

  private giveUp(): Line {
    const line = lineOf(this.ledger, this.frame)
    this.tellRecent(line)
    line.remove(this)
    this.leave()
    this.unlink()
    return line
  }

  /** It was not served, and would have had to wait for as long as nobody is. */
  private tellRecent({ nextSince }: Line): void {
    const { frame: { registry: { timers } }, ledger: { recent } } = this
    if (recent === undefined) return
    const now = timers.now()
    recent.addAtLeast(recent.stalledFor(nextSince, now), now)
  }

  /** Nobody will use what it waits for, or has got. */
  abandon(): void {
    if (this.isGranted) refund(this.take(), this.cost)
    else if (this.refused === undefined) {
      this.refused = Exit.interrupt() as Exit.Exit<never>
      this.giveUp().serve()
    }
  }

  end(): boolean {
    this.refuse(() => Exit.fail(new FrameClosed({ frame: this.frame.path, resource: this.resource })))
    this.unlink()
    return true
  }

  outlive(): void {
    this.end()
  }

  /** Answers itself when it was granted. */
  readonly awaited: Effect.Effect<this, any> = Effect.callback((resume) => {
    if (this.isWaiting) this.wake = resume
    else resume(this.refused ?? Exit.succeed(this))
  })
}

Object.assign(Request.prototype, {
  line: undefined,
  deadline: 0,
  kept: undefined,
  refused: undefined,
  number: 0,
  reserves: undefined,
  timeout: undefined
})

/** The ledger that could not hold its part even if nothing else were in use. */
export const neverFits = ({ ledgers }: Frame, cost: Cost): Ledger | undefined => {
  for (const unit in cost) {
    const ledger = ledgers.get(unit)
    const found = ledger === undefined ? undefined : tooSmallFor(ledger, cost[unit]!)
    if (found !== undefined) return found
  }
  return undefined
}
