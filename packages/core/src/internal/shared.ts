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
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { TimeFrame } from "../TimeFrame.ts"
import { Access } from "./access.ts"
import { allocateIn, decode, frameOf, intoHandle, refuseClosed } from "./allocate.ts"
import type { AnyFiber, Refused, Restore, Then } from "./allocate.ts"
import { Allocation } from "./allocation.ts"
import type { Temporal } from "./allocation.ts"
import type { Definition } from "./definition.ts"
import { Frame } from "./frame.ts"
import type { FrameOptions } from "./frame.ts"
import { LinkedList } from "./list.ts"
import type { Owned } from "./owned.ts"
import type { Registry } from "./registry.ts"
import { closeFrame, inFrame } from "./run.ts"
import type { Timeout } from "./timers.ts"

/** The manager's own frame. It keeps the index of what is shared. */
export class Root extends Frame {
  /** The frames of shared values. They outlive all others, and end last in, first out among themselves. */
  readonly values = new LinkedList<Owned>()
  readonly index = new Map<Definition, MutableHashMap.MutableHashMap<unknown, SharedValue>>()

  constructor(registry: Registry, options: FrameOptions) {
    super(undefined, registry, options, registry.context)
    this.context = inFrame(registry.context, TimeFrame, this)
  }

  override get last(): Owned | undefined {
    return this.owned.last ?? this.values.last
  }

  override get inside(): ReadonlyArray<LinkedList<Owned>> {
    return [this.owned, this.values]
  }

  override closed(): void {
    super.closed()
    this.registry.timers.close()
    this.registry.events.close()
  }

  find(definition: Definition, params: unknown): SharedValue | undefined {
    const values = this.index.get(definition)
    return values === undefined ? undefined : Option.getOrUndefined(MutableHashMap.get(values, params))
  }

  add(value: SharedValue): void {
    let values = this.index.get(value.definition)
    if (values === undefined) {
      values = MutableHashMap.empty()
      this.index.set(value.definition, values)
    }
    MutableHashMap.set(values, value.params, value)
  }

  remove(value: SharedValue): void {
    const values = this.index.get(value.definition)!
    MutableHashMap.remove(values, value.params)
    if (MutableHashMap.isEmpty(values)) this.index.delete(value.definition)
  }
}

type Told = (exit: Exit.Exit<Temporal, unknown>) => void

class SharedValue implements Timeout {
  readonly root: Root
  readonly definition: Definition
  readonly params: unknown
  readonly access: Access | undefined
  readonly frame: Frame
  // The end of its idle time.
  previous: Timeout | undefined = undefined
  next: Timeout | undefined = undefined
  queue: Timeout["queue"] = undefined
  at = 0
  /** Those who use it or wait for it. */
  private users = 0
  private indexed = true
  private acquisition: Fiber.Fiber<Temporal, unknown> | undefined = undefined
  private settled: Exit.Exit<Temporal, unknown> | undefined = undefined
  private readonly waiting = new Set<Told>()

  constructor(root: Root, definition: Definition, params: unknown, fiber: AnyFiber) {
    this.root = root
    this.definition = definition
    this.params = params
    this.access = definition.access === "readWrite" ? new Access() : undefined
    const options = { name: definition.name, timeout: Infinity, budget: undefined, gracePeriod: undefined }
    this.frame = new Frame(root, root.registry, options, fiber.context)
    this.frame.context = inFrame(fiber.context, TimeFrame, this.frame)
    this.frame.moveTo(root.values)
    this.frame.onClosed = () => root.registry.timers.cancel(this)
    root.add(this)
  }

  /** Acquires on a fiber that belongs to the value, not to its first user. */
  start(): void {
    const acquire = Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => allocateIn(this.frame, this.definition, this.params, fiber, restore, intoHandle))
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
    this.root.registry.timers.cancel(this)
  }

  /** The value, as soon as it is there. A user that stops waiting leaves like one that has got it. */
  await(restore: Restore): Effect.Effect<Temporal, any> {
    if (this.settled !== undefined) return this.settled
    return restore(Effect.callback<Temporal, unknown>((resume) => {
      if (this.settled !== undefined) return resume(this.settled)
      this.waiting.add(resume)
      return Effect.sync(() => this.waiting.delete(resume))
    }))
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
    if (!this.indexed || idleTimeToLive <= 0) return this.endNow()
    if (idleTimeToLive !== Infinity) {
      const { registry } = this.root
      registry.timers.arm(this, idleTimeToLive, registry.now())
    }
    return undefined
  }

  /** The idle time is over. */
  expire(): void {
    this.endInBackground()
  }

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
    this.root.registry.timers.cancel(this)
    this.unindex()
    return closeFrame(this.frame, Exit.void)
  }

  /** Nobody waits for it, so what the release dies of is logged. */
  private endInBackground(): void {
    const ending = this.endNow()
    if (ending === undefined) return
    const message = `The release of "${this.definition.name}" died`
    Effect.runForkWith(this.root.registry.context)(
      Effect.catchCause(ending, (cause) => Effect.logError(message, cause))
    )
  }

  private settle(exit: Exit.Exit<Temporal, unknown>): void {
    this.acquisition = undefined
    this.settled = Exit.isFailure(exit) && this.root.phase !== "open"
      ? refuseClosed(this.root, this.definition.name)
      : exit
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    // Whoever is told may leave at once: the value has to stand, or be gone, before that.
    if (Exit.isFailure(exit) || this.users === 0) this.endInBackground()
    // A value that another one was made from has to outlive it.
    else this.frame.moveTo(this.root.values)
    for (const told of waiting) told(this.settled)
  }

  private unindex(): void {
    if (!this.indexed) return
    this.indexed = false
    this.root.remove(this)
  }
}

/** The use of a shared or persistent value by one frame. */
export class Share<A = any> extends Allocation<A> {
  shared: SharedValue | undefined = undefined

  get share(): boolean {
    return true
  }

  /** The value was ended over the head of this user, which only the end of the manager does. */
  override get value(): A {
    const value = super.value as unknown as Temporal<A>
    return value.value
  }

  protected undo(): Effect.Effect<void> | undefined {
    return this.shared!.leave()
  }

  protected undoFailed(): Effect.Effect<void> | undefined {
    return this.shared!.leave()
  }

  protected countAcquired(): void {
    this.statistics.shares++
  }

  // The failure is counted once, where the value was acquired.
  protected countFailed(): void {}

  protected countReleased(): void {
    this.statistics.shares--
  }

  /** A value used by turns is not handed out as such. */
  override get usable(): A | this {
    return this.shared!.access === undefined ? this.value : this
  }

  get access() {
    return this.shared!.access?.state
  }

  get read() {
    return <B, E, R>(f: (value: A) => Effect.Effect<B, E, R>) => this.turn(false, f)
  }

  get write() {
    return <B, E, R>(f: (value: A) => Effect.Effect<B, E, R>) => this.turn(true, f)
  }

  /** Runs the body in its turn; the value stays at least until then. */
  private turn<B, E, R>(write: boolean, f: (value: A) => Effect.Effect<B, E, R>): Effect.Effect<B, any, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend((): Effect.Effect<B, any, R> => {
        if (!this.isLive) return Effect.fail(this.gone())
        const shared = this.shared!
        const { value } = this
        shared.enter()
        return Effect.onExitPrimitive(
          restore(shared.access!.take(write, Effect.suspend(() => f(value)))),
          () => shared.leave(),
          true
        )
      })
    )
  }
}

/** A shared or persistent definition. In an uninterruptible region. */
export const allocateShared = (
  definition: Definition,
  input: unknown,
  fiber: AnyFiber,
  restore: Restore,
  then: Then
): Effect.Effect<any, any, any> => {
  const frame = frameOf(fiber)
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  const params = decode(definition, input)
  if (Exit.isFailure(params)) return params as Refused
  return shareIn(frame, definition, params.value, fiber, restore, then)
}

export const shareIn = (
  frame: Frame,
  definition: Definition,
  params: unknown,
  fiber: AnyFiber,
  restore: Restore,
  then: Then
): Effect.Effect<any, any, any> => {
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  const root = frame.root as Root
  if (root.phase !== "open") return refuseClosed(root, definition.name)
  const share = new Share(definition, frame.registry.statisticsOf(definition), undefined, frame, fiber)
  let shared = root.find(definition, params)
  const isFirst = shared === undefined
  shared ??= new SharedValue(root, definition, params, fiber)
  share.shared = shared
  shared.enter()
  if (isFirst) shared.start()
  return then(share, shared.await(restore), fiber)
}

/** Ends the values of a definition, or the one with these params: now if nobody uses it, else with its last user. */
export const retire = (
  root: Root,
  definition: Definition,
  only: { readonly params: unknown } | undefined
): Effect.Effect<void> => {
  const found = only === undefined
    ? Array.from(MutableHashMap.values(root.index.get(definition) ?? MutableHashMap.empty<unknown, SharedValue>()))
    : [root.find(definition, only.params)].filter((value) => value !== undefined)
  const ending = found.map((value) => value.retire()).filter((effect) => effect !== undefined)
  if (ending.length === 0) return Effect.void
  // All of them end, whatever one of them dies of.
  return Effect.flatMap(
    Effect.forEach(ending, Effect.exit, { concurrency: "unbounded" }),
    (exits) => Exit.asVoidAll(exits)
  )
}
