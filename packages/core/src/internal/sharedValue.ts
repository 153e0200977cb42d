/**
 * Values that several frames use: one for each definition and params. Owned by `ResourceManager`.
 *
 * A shared value is a temporal allocation in a frame of its own right under the manager; its users hold shares.
 *
 * ```text
 *   acquiring ──arrived──▶ in use ◀──next user──  idle ──idle time over──▶ ended
 *      │  all users left,     │ ──last one left──▶ │ retired                ▲
 *      │  or it failed        │ retired            └────────────────────────┤
 *      ▼                      └──▶ out of the index ──last one left─────────┘
 *     ended
 * ```
 *
 * Only values in the index are given to new users; one leaves it when it fails, is abandoned, retires or ends.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { TimeFrame } from "../TimeFrame.ts"
import { Access } from "./access.ts"
import { allocateIn, refuseClosed } from "./allocate.ts"
import type { AnyFiber, Restore } from "./allocate.ts"
import { leave, waitAnyway } from "./deadlock.ts"
import type { Held, Room, Source, Waiter } from "./deadlock.ts"
import type { Definition } from "./definition.ts"
import { late, OnLate } from "./exhaustion.ts"
import { Frame } from "./frame.ts"
import type { ValueFacts } from "./frame.ts"
import { holds, returns } from "./holding.ts"
import type { Root } from "./root.ts"
import { closeFrame, inFrame } from "./run.ts"
import type { Temporal } from "./temporal.ts"
import { Timeout } from "./timers.ts"

type Told = (exit: Exit.Exit<Temporal, unknown>) => void

/** The frame of a shared value: what its acquisition allocates is its own. */
class ValueFrame extends Frame {
  value: SharedValue | undefined = undefined

  override get shared(): ValueFacts | undefined {
    return this.value?.toldOf
  }
}

/** All values that there are, those that are ending included. */
export const valuesIn = (root: Root<SharedValue>): Array<SharedValue> => {
  const values: Array<SharedValue> = []
  for (let frame = root.values.first; frame !== undefined; frame = frame.next) {
    if (frame instanceof ValueFrame) values.push(frame.value!)
  }
  return values
}

/** The shared value whose acquisition runs in the frame, if it does. */
export const valueOf = (frame: Frame): SharedValue | undefined => {
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) {
    if (at instanceof ValueFrame) return at.value
  }
  return undefined
}

/** Someone who waits for a value to be acquired. */
class User implements Waiter {
  readonly source: SharedValue
  readonly frame: Frame
  readonly fiber: AnyFiber
  kept: ReadonlyArray<AnyFiber> | undefined = undefined

  constructor(source: SharedValue, frame: Frame, fiber: AnyFiber) {
    this.source = source
    this.frame = frame
    this.fiber = fiber
  }

  get place(): string {
    return this.frame.path
  }
}

export class SharedValue implements Source, Room, Held {
  readonly root: Root<SharedValue>
  readonly definition: Definition
  readonly params: unknown
  readonly access: Access | undefined
  readonly frame: Frame
  /** What its acquisition waits for, once for each time. */
  readonly waitsFor: Array<SharedValue> = []
  /** Those who use it or wait for it. */
  private users = 0
  private indexed = true
  /** The number of the fiber that acquires it, as long as it does. */
  holder: number | undefined = undefined
  private acquisition: Fiber.Fiber<Temporal, unknown> | undefined = undefined
  private settled: Exit.Exit<Temporal, unknown> | undefined = undefined
  private readonly waiting = new Set<Told>()
  /** The end of its idle time. */
  private readonly idle = new Timeout(() => this.endInBackground())

  constructor(root: Root<SharedValue>, definition: Definition, params: unknown, fiber: AnyFiber) {
    this.root = root
    this.definition = definition
    this.params = params
    this.access = definition.access === "readWrite" ? new Access(definition.name, root.registry) : undefined
    const options = { name: definition.name, timeout: Infinity, budget: undefined, gracePeriod: undefined }
    const frame = new ValueFrame(root, root.registry, options, fiber.context)
    frame.value = this
    const context = inFrame(fiber.context, TimeFrame, frame)
    // It is made for all who will use it, whatever time the first one has.
    frame.context = late.isSaid ? Context.add(context, OnLate, null) : context
    frame.open()
    frame.moveTo(root.values)
    frame.whenClosed(() => root.registry.timers.cancel(this.idle))
    this.frame = frame
    root.add(this)
  }

  get toldOf(): ValueFacts {
    const { access, definition: { kind }, indexed, settled, users } = this
    return {
      kind: kind as ValueFacts["kind"],
      state: settled === undefined ? "acquiring" : indexed ? "live" : "retired",
      users,
      turns: access?.state.value
    }
  }

  get isSettled(): boolean {
    return this.settled !== undefined
  }

  /** Does its acquisition wait for the other value, be it through others? */
  dependsOn(other: SharedValue): boolean {
    return this === other || this.waitsFor.some((value) => value.dependsOn(other))
  }

  /** Acquires on a fiber that belongs to the value, not to its first user. */
  start(): void {
    const acquire = Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        this.holder = fiber.id
        holds(fiber.id)
        return allocateIn(this.frame, this.definition, this.params, fiber, restore, undefined)
      })
    ) as Effect.Effect<Temporal, unknown>
    const acquisition = Effect.runForkWith(this.frame.context)(acquire)
    const exit = acquisition.pollUnsafe()
    if (exit !== undefined) return this.settle(exit)
    this.acquisition = acquisition
    acquisition.addObserver((exit) => this.settle(exit))
    // Should the manager close meanwhile, the acquisition has no purpose any more, but what it acquires has to go first.
    const { finalizers } = this.frame.state as Scope.State.Open
    finalizers!.set(this, () => Fiber.interrupt(acquisition))
  }

  enter(): void {
    this.users++
    this.root.registry.timers.cancel(this.idle)
  }

  /**
   * The value, as soon as it is there. A user that stops waiting leaves like one that has got it. One that has what the
   * acquisition waits for would wait for ever: then that fails.
   */
  await(restore: Restore, frame: Frame, fiber: AnyFiber): Effect.Effect<Temporal, any> {
    if (this.settled !== undefined) return this.settled
    const user = new User(this, frame, fiber)
    waitAnyway(user)
    const awaited = Effect.callback<Temporal, unknown>((resume) => {
      if (this.settled !== undefined) return resume(this.settled)
      this.waiting.add(resume)
      return Effect.sync(() => this.waiting.delete(resume))
    })
    return Effect.onExitPrimitive(restore(awaited), () => {
      leave(user)
      return undefined
    })
  }

  // For those who look for deadlocks: it is held by its acquisition.

  get name(): string {
    return this.definition.name
  }

  get hasPromise(): boolean {
    return this.settled !== undefined
  }

  get room(): this {
    return this
  }

  get held(): Iterable<Held> {
    return [this]
  }

  get isForAll(): true {
    return true
  }

  fits(_: Waiter, canNot: (held: Held) => boolean): boolean {
    return !canNot(this)
  }

  /** One user less; when it was the last one, the effect that ends the value, unless that goes on by itself. */
  leave(): Effect.Effect<void> | undefined {
    if (--this.users > 0) return undefined
    if (this.settled === undefined) {
      this.unindex()
      this.acquisition?.interruptUnsafe()
      return undefined
    }
    const { idleTimeToLive } = this.definition
    if (!this.indexed || idleTimeToLive <= 0 || this.frame.phase !== "open") return this.endNow()
    if (idleTimeToLive !== Infinity) {
      const { timers } = this.root.registry
      timers.arm(this.idle, idleTimeToLive, timers.now() + idleTimeToLive)
    }
    return undefined
  }

  /** Its end is under way: the effect that waits for it. */
  awaitEnd(): Effect.Effect<void> | undefined {
    return this.frame.phase === "closing" ? closeFrame(this.frame, Exit.void) : undefined
  }

  /** Gives it to no new user. Ends it now if nobody uses it, else with its last user. */
  retire(): Effect.Effect<void> | undefined {
    const { events } = this.root.registry
    this.unindex()
    if (events.active) {
      const at = this.root.registry.now()
      events.tell({ _tag: "Retired", at, resource: this.definition.name, users: this.users })
    }
    return this.users === 0 ? this.endNow() : undefined
  }

  private endNow(): Effect.Effect<void> | undefined {
    this.root.registry.timers.cancel(this.idle)
    this.unindex()
    return closeFrame(this.frame, Exit.void)
  }

  /** Nobody waits for it, so what the release dies of is logged. */
  private endInBackground(): void {
    const ending = this.endNow()
    if (ending === undefined) return
    const { context, timers } = this.root.registry
    const message = `The release of "${this.definition.name}" died`
    const reported = Effect.catchCause(ending, (cause) => Effect.sync(() => timers.report(message, cause)))
    Effect.runForkWith(context)(reported)
  }

  private settle(exit: Exit.Exit<Temporal, unknown>): void {
    const isRefused = Exit.isFailure(exit) && this.root.phase !== "open"
    const settled = isRefused ? refuseClosed(this.root, this.definition.name) : exit
    this.acquisition = undefined
    this.settled = settled
    if (this.holder !== undefined) returns(this.holder)
    this.holder = undefined
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    // Whoever is told may leave at once: the value has to stand, or be gone, before that.
    if (Exit.isFailure(exit) || this.users === 0) this.endInBackground()
    // A value that another one was made from has to outlive it.
    else this.frame.moveTo(this.root.values)
    for (const told of waiting) told(settled)
  }

  private unindex(): void {
    if (!this.indexed) return
    this.indexed = false
    this.root.remove(this)
  }
}
