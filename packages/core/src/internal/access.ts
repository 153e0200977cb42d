/**
 * Many readers or one writer, first come, first served. Owned by `Allocation`.
 *
 * Turns are taken and given back in one synchronous step each, so interruption can not come between; the state is
 * published to a TxRef in the same step, for transactions that want to look at it or wait for it. A turn is handed to
 * the next in line directly: no herd, and nobody comes in between.
 *
 * ```text
 *   asked ──nobody is in its way───────────────▶ had ──its body ends──▶ over
 *     ├─────▶ waiting ──those before it are done──▲                      ▲
 *     │          └──interrupted───────────────────┼──────────────────────┤
 *     └──it would wait for ever: refused──────────┴──────────────────────┘
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { StackFrame } from "effect/References"
import * as TxRef from "effect/TxRef"
import { Holder, WouldDeadlock } from "../ResourceError.ts"
import { TimeFrame } from "../TimeFrame.ts"
import { inWords, leave, wouldDeadlock } from "./deadlock.ts"
import type { Held, Room, Source, Waiter } from "./deadlock.ts"
import type { Frame } from "./frame.ts"
import { listed } from "./holders.ts"
import { holds, returns } from "./holding.ts"
import { LinkedList } from "./list.ts"
import type { Linked } from "./list.ts"
import { ordersOf, turnOf } from "./orders.ts"
import type { Part } from "./orders.ts"
import type { Registry } from "./registry.ts"
import { resume } from "./trampoline.ts"
import type { Resumable } from "./trampoline.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Who has a turn: some readers, or one writer. */
export interface AccessState {
  readonly readers: number
  readonly writing: boolean
  readonly waiting: number
}

const asked = 0
const waiting = 1
const had = 2
const over = 3

/** One turn of one fiber. */
export class Turn implements Linked<Turn>, Held, Waiter, Resumable {
  previous: Turn | undefined = undefined
  next: Turn | undefined = undefined
  readonly source: Access
  readonly turn: "read" | "write"
  readonly fiber: AnyFiber
  /** Since when it is had, in milliseconds since the epoch. */
  since = 0
  state = asked
  /** The number of the allocation that it was asked of. */
  private readonly allocation: number
  /** What it was asked in: its fiber may be somewhere else by now. */
  private readonly context: Context.Context<never>
  private readonly site: StackFrame | undefined
  private wake: ((exit: Exit.Exit<void, WouldDeadlock>) => void) | undefined = undefined
  kept: ReadonlyArray<AnyFiber> | undefined = undefined
  private refused: Exit.Exit<never, WouldDeadlock> | undefined = undefined

  constructor(access: Access, turn: "read" | "write", allocation: number, fiber: AnyFiber) {
    this.source = access
    this.turn = turn
    this.fiber = fiber
    this.allocation = allocation
    this.context = fiber.context
    this.site = fiber.cache.stackFrame
  }

  /** The turn may have come between getting in line and falling asleep. */
  get awaited(): Effect.Effect<void, WouldDeadlock> {
    return Effect.callback((resume) => {
      if (this.isWaiting) this.wake = resume
      else resume(this.refused ?? Exit.void)
    })
  }

  get isWaiting(): boolean {
    return this.state === waiting
  }

  resume(): void {
    this.wake?.(this.refused ?? Exit.void)
  }

  breakCircle(cycle: ReadonlyArray<Waiter>): void {
    this.refused = Exit.fail(this.source.deadlock(this, cycle))
    this.source.end(this)
    resume(this)
  }

  // For those who look for deadlocks.

  get name(): string {
    return this.source.name
  }

  get holder(): number {
    return this.fiber.id
  }

  get frame(): Frame | undefined {
    return Context.getOrUndefined(this.context, TimeFrame) as Frame | undefined
  }

  /** The path of its frame; outside of frames, its fiber has to do. */
  get place(): string {
    return this.frame?.path ?? `fiber #${this.fiber.id}`
  }

  /** Readers are in nobody's way but a writer's: a reader that waits for readers waits for the writer in between. */
  get behind(): Waiter | undefined {
    const { first, isWriting } = this.source
    return this.turn === "read" && !isWriting && first !== this ? first : undefined
  }

  get callSite(): string | undefined {
    return this.site?.name
  }

  /** As an error tells of it. */
  toHolder(now: number): Holder {
    const { allocation, callSite, name, place, since } = this
    return new Holder({
      allocation,
      resource: name,
      frame: place,
      state: "live",
      since,
      age: Math.max(0, now - since),
      amount: 0,
      ...(callSite === undefined ? undefined : { callSite })
    }, { disableChecks: true })
  }
}

export class Access implements Source, Room {
  readonly name: string
  readonly state: TxRef.TxRef<AccessState> = TxRef.makeUnsafe<AccessState>({ readers: 0, writing: false, waiting: 0 })
  private readonly registry: Registry
  private readers = 0
  private writing = false
  private waiting = 0
  /** Those who have a turn, and those who wait for one. */
  private readonly turns = new LinkedList<Turn>()
  private readonly queue = new LinkedList<Turn>()

  constructor(name: string, registry: Registry) {
    this.name = name
    this.registry = registry
  }

  /** Takes the turn, or gets in line for it. Answers why not, if that would be for ever; then nothing has changed. */
  ask(turn: Turn): WouldDeadlock | undefined {
    if (this.registry.events.watchesOrders) ordersOf(this.registry).asks(turn, this.partsOf(turn))
    if (this.queue.first === undefined && this.isFree(turn)) {
      this.enter(turn)
      this.publish(turn.fiber)
      return undefined
    }
    this.queue.append(turn)
    const cycle = wouldDeadlock(turn)
    if (cycle !== undefined) {
      this.queue.remove(turn)
      turn.state = over
      return this.deadlock(turn, cycle)
    }
    turn.state = waiting
    this.waiting++
    this.publish(turn.fiber)
    return undefined
  }

  /** Gives back the turn, or the place in the line. */
  end(turn: Turn): void {
    const { state } = turn
    turn.state = over
    if (state === waiting) {
      this.queue.remove(turn)
      this.waiting--
      leave(turn)
      // A writer that gives up may have held back readers.
    } else if (state === had) {
      this.turns.remove(turn)
      if (turn.turn === "write") this.writing = false
      else this.readers--
      returns(turn.fiber.id)
      if (this.registry.events.watchesOrders) ordersOf(this.registry).gives(turn, turn.fiber.id)
    } else return
    this.grant(turn.fiber)
  }

  private isFree({ turn }: Turn): boolean {
    return !this.writing && (turn === "read" || this.readers === 0)
  }

  private enter(turn: Turn): void {
    turn.state = had
    turn.since = this.registry.now()
    this.turns.append(turn)
    if (turn.turn === "write") this.writing = true
    else this.readers++
    holds(turn.fiber.id)
    if (this.registry.events.watchesOrders) ordersOf(this.registry).takes(turn, turn.fiber.id, this.partsOf(turn))
  }

  private partsOf({ turn }: Turn): ReadonlyArray<Part> {
    return [turnOf(this, this.name, turn)]
  }

  /** Hands turns to the first in line as long as they fit; the state is out before they go on. */
  private grant(fiber: AnyFiber): void {
    let granted: Array<Turn> | undefined
    for (let { first } = this.queue; first !== undefined && this.isFree(first); first = this.queue.first) {
      this.queue.remove(first)
      this.waiting--
      leave(first)
      this.enter(first)
      ;(granted ??= []).push(first)
    }
    this.publish(fiber)
    if (granted !== undefined) { for (const turn of granted) resume(turn) }
  }

  /** As a commit does it: the new value, a new version, and whoever waits for a change is woken. */
  private publish(fiber: AnyFiber): void {
    const { state } = this
    state.value = { readers: this.readers, writing: this.writing, waiting: this.waiting }
    state.version++
    if (state.pending.size === 0) return
    for (const wake of state.pending.values()) fiber.currentDispatcher.scheduleTask(wake, 0)
    state.pending.clear()
  }

  // For those who look for deadlocks. Whoever waits, waits for all who have a turn: a reader that waits for readers
  // waits for a writer that is before it, who waits for them.

  get hasPromise(): false {
    return false
  }

  get room(): this {
    return this
  }

  get isForAll(): true {
    return true
  }

  get held(): Iterable<Turn> {
    return this.holders()
  }

  fits(_: Waiter, canNot: (held: Held) => boolean): boolean {
    for (const turn of this.holders()) if (canNot(turn)) return false
    return true
  }

  get isWriting(): boolean {
    return this.writing
  }

  /** Who is next. */
  get first(): Turn | undefined {
    return this.queue.first
  }

  private *holders(): Generator<Turn> {
    for (let turn = this.turns.first; turn !== undefined; turn = turn.next) yield turn
  }

  deadlock(turn: Turn, cycle: ReadonlyArray<Waiter>): WouldDeadlock {
    const holders = Array.from(this.holders())
    const now = this.registry.now()
    return new WouldDeadlock({
      pool: this.name,
      turn: turn.turn,
      requestedBy: turn.place,
      cycle: inWords(cycle, listed),
      // Who has had a turn for longest comes first.
      holders: holders.slice(0, listed).map((holder) => holder.toHolder(now)),
      ...(holders.length > listed ? { omitted: holders.length - listed } : undefined)
    }, { disableChecks: true })
  }
}
