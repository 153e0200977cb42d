/**
 * Many readers or one writer, first come, first served. Owned by `Allocation`.
 *
 * Turns are taken and given back in one synchronous step each, so interruption can not come between; the state is
 * published to a TxRef in the same step, for transactions that want to look at it or wait for it. A turn is handed to
 * the next in line directly: no herd, and nobody comes in between.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as TxRef from "effect/TxRef"
import { LinkedList } from "./list.ts"
import type { Linked } from "./list.ts"

/** Who has a turn: some readers, or one writer. */
export interface AccessState {
  readonly readers: number
  readonly writing: boolean
  readonly waiting: number
}

class Waiter implements Linked<Waiter> {
  previous: Waiter | undefined = undefined
  next: Waiter | undefined = undefined
  readonly write: boolean
  granted = false
  resume: ((exit: Exit.Exit<void>) => void) | undefined = undefined

  constructor(write: boolean) {
    this.write = write
  }
}

export class Access {
  readonly state: TxRef.TxRef<AccessState> = TxRef.makeUnsafe<AccessState>({ readers: 0, writing: false, waiting: 0 })
  private readers = 0
  private writing = false
  private waiting = 0
  private readonly queue = new LinkedList<Waiter>()
  private granting = false
  private hasChanged = false

  /** Runs the body in its turn. */
  take<A, E, R>(write: boolean, body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const run = Effect.onExitPrimitive(
          restore(body),
          () => {
            this.leave(write, fiber)
            return undefined
          },
          true
        )
        if (this.queue.first === undefined && this.isFree(write)) {
          this.enter(write)
          this.publish(fiber)
          return run
        }
        const waiter = new Waiter(write)
        this.queue.append(waiter)
        this.waiting++
        this.publish(fiber)
        return Effect.flatMap(
          Effect.onExitPrimitive(restore(untilGranted(waiter)), (exit) => {
            if (Exit.isFailure(exit)) this.cancel(waiter, fiber)
            return undefined
          }, true),
          () => run
        )
      })
    )
  }

  private isFree(write: boolean): boolean {
    return !this.writing && (!write || this.readers === 0)
  }

  private enter(write: boolean): void {
    if (write) this.writing = true
    else this.readers++
  }

  private leave(write: boolean, fiber: Fiber.Fiber<unknown, unknown>): void {
    if (write) this.writing = false
    else this.readers--
    this.grant(fiber)
  }

  private cancel(waiter: Waiter, fiber: Fiber.Fiber<unknown, unknown>): void {
    if (waiter.granted) return this.leave(waiter.write, fiber)
    this.queue.remove(waiter)
    this.waiting--
    // A writer that gives up may have held back readers.
    this.grant(fiber)
  }

  /**
   * Hands turns to the first in line as long as they fit; the state is out before they go on. A woken fiber that leaves at
   * once must not nest here.
   */
  private grant(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.hasChanged = true
    if (this.granting) return
    this.granting = true
    while (this.hasChanged) {
      this.hasChanged = false
      const granted: Array<Waiter> = []
      for (let first = this.queue.first; first !== undefined && this.isFree(first.write); first = this.queue.first) {
        this.queue.remove(first)
        this.waiting--
        this.enter(first.write)
        first.granted = true
        granted.push(first)
      }
      this.publish(fiber)
      for (const { resume } of granted) resume?.(Exit.void)
    }
    this.granting = false
  }

  /** As a commit does it: the new value, a new version, and whoever waits for a change is woken. */
  private publish(fiber: Fiber.Fiber<unknown, unknown>): void {
    const { state } = this
    state.value = { readers: this.readers, writing: this.writing, waiting: this.waiting }
    state.version++
    for (const wake of state.pending.values()) fiber.currentDispatcher.scheduleTask(wake, 0)
    state.pending.clear()
  }
}

/** The turn may have come between getting in line and falling asleep. */
const untilGranted = (waiter: Waiter): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (waiter.granted) resume(Exit.void)
    else waiter.resume = resume
  })
