/**
 * The use of a shared or persistent value by one frame. Owned by `ResourceManager`.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import { Turn } from "./access.ts"
import { decode, deliver, frameOf, refuseClosed } from "./allocate.ts"
import type { AnyFiber, Refused, Restore, Use } from "./allocate.ts"
import { Allocation } from "./allocation.ts"
import type { Site } from "./callSite.ts"
import type { Definition } from "./definition.ts"
import type { Frame } from "./frame.ts"
import type { Root } from "./root.ts"
import { SharedValue, valueOf, valuesIn } from "./sharedValue.ts"
import type { Temporal } from "./temporal.ts"

export class Share<A = any> extends Allocation<A> {
  shared: SharedValue | undefined = undefined
  /** The shared value whose acquisition needs this one, while it waits for it. */
  waiter: SharedValue | undefined = undefined

  get share(): boolean {
    return true
  }

  override get value(): A {
    const value = super.value as unknown as Temporal<A>
    return value.value
  }

  /** The end of the manager ends a value over the heads of its users. */
  override get isLive(): boolean {
    return super.isLive && (this.current as unknown as Temporal<A>).isLive
  }

  /** A value used by turns is not handed out as such. */
  override get usable(): A | this {
    return this.shared!.access === undefined ? this.value : this
  }

  get access() {
    return this.shared!.access?.state
  }

  get read() {
    return <B, E, R>(f: (value: A) => Effect.Effect<B, E, R>) => this.turn("read", f)
  }

  get write() {
    return <B, E, R>(f: (value: A) => Effect.Effect<B, E, R>) => this.turn("write", f)
  }

  protected undo(): Effect.Effect<void> | undefined {
    return this.shared!.leave()
  }

  protected undoFailed(): Effect.Effect<void> | undefined {
    this.waited()
    return this.shared!.leave()
  }

  protected countAcquired(): void {
    this.waited()
    this.statistics.shares++
  }

  // The failure is counted once, where the value was acquired.
  protected countFailed(): void {}

  protected countReleased(): void {
    this.statistics.shares--
  }

  private waited(): void {
    const waitsFor = this.waiter?.waitsFor
    waitsFor?.splice(waitsFor.indexOf(this.shared!), 1)
    this.waiter = undefined
  }

  /** Runs the body in its turn; the value stays at least until then. */
  private turn<B, E, R>(kind: "read" | "write", f: (value: A) => Effect.Effect<B, E, R>): Effect.Effect<B, any, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber): Effect.Effect<B, any, R> => {
        if (!this.isLive) return Exit.fail(this.gone())
        const shared = this.shared!
        const access = shared.access!
        const { value } = this
        const turn = new Turn(access, kind, this.id, fiber)
        const refused = access.ask(turn)
        if (refused !== undefined) return Exit.fail(refused)
        shared.enter()
        const body = restore(Effect.suspend(() => f(value)))
        return Effect.onExitPrimitive(
          turn.isWaiting ? Effect.flatMap(restore(turn.awaited), () => body) : body,
          () => {
            access.end(turn)
            return shared.leave()
          },
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
  use: Use | undefined,
  site?: Site
): Effect.Effect<any, any, any> => {
  const frame = frameOf(fiber)
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  const params = decode(definition, input)
  if (Exit.isFailure(params)) return params as Refused
  return shareIn(frame, definition, params.value, fiber, restore, use, site)
}

/** The params are decoded. */
export const shareIn = (
  frame: Frame,
  definition: Definition,
  params: unknown,
  fiber: AnyFiber,
  restore: Restore,
  use: Use | undefined,
  site?: Site
): Effect.Effect<any, any, any> => {
  if (frame.phase !== "open") return refuseClosed(frame, definition.name)
  const root = frame.root as Root<SharedValue>
  if (root.phase !== "open") return refuseClosed(root, definition.name)
  const found = root.find(definition, params)
  const waiter = found === undefined || found.isSettled ? undefined : valueOf(frame)
  if (waiter !== undefined && found!.dependsOn(waiter)) {
    return Exit.die(
      new Error(
        `"${definition.name}" can not be acquired by "${waiter.definition.name}", since its own acquisition waits for ` +
          `that: break the circle of definitions that need each other`
      )
    )
  }
  const share = new Share(definition, frame.registry.statisticsOf(definition), undefined, frame, fiber, site)
  const shared = found ?? new SharedValue(root, definition, params, fiber)
  share.shared = shared
  shared.enter()
  if (found === undefined) {
    // It waits from the start, also for what its acquisition asks for at once.
    share.waiter = valueOf(frame)
    share.waiter?.waitsFor.push(shared)
    shared.start()
  } else if (waiter !== undefined) {
    share.waiter = waiter
    waiter.waitsFor.push(shared)
  }
  return deliver(share, shared.await(restore, frame, fiber), fiber, restore, use)
}

/** Ends the values of a definition, or the one with these params: now if nobody uses it, else with its last user. */
export const retire = (
  root: Root<SharedValue>,
  definition: Definition,
  only: { readonly params: unknown } | undefined
): Effect.Effect<void> => {
  const found = only === undefined
    ? root.findAll(definition)
    : [root.find(definition, only.params)].filter((value) => value !== undefined)
  // One that is ending already, by another retire for instance, is waited for as well.
  const isMeant = (value: SharedValue) =>
    value.definition === definition && (only === undefined || Equal.equals(value.params, only.params))
  const ended = valuesIn(root).filter(isMeant).map((value) => value.awaitEnd())
  const ending = [...found.map((value) => value.retire()), ...ended].filter((effect) => effect !== undefined)
  if (ending.length === 0) return Effect.void
  // All of them end, whatever one of them dies of.
  return Effect.flatMap(
    Effect.forEach(ending, Effect.exit, { concurrency: "unbounded" }),
    (exits) => Exit.asVoidAll(exits)
  )
}
