import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

export type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What is relied on of a TimeFrame of Chronovyan, which is a Scope as well. */
export interface Frame extends Scope.Scope {
  readonly id: number
  readonly root: object
  /** The fiber of its body; a frame that was made, not run, has none. */
  readonly fiber: AnyFiber | undefined
  /** The fiber that waits for the body, if that has one of its own. */
  readonly caller: AnyFiber | undefined
}

export interface Manager {
  readonly root: object
}

/** Who did it, by the name of an `Effect.fn` or else of a span, and where in the code. */
export interface Place {
  readonly who: string | undefined
  readonly at: string | undefined
}

/** A scope as it was met. */
export interface Met {
  readonly scope: Scope.Scope
  readonly fiber: AnyFiber
  /** Who was running when it was first the current one. */
  readonly opened: Place
  /** Who was running when finalizers were added. */
  readonly added: Set<string>
  count: number
}

/** Where a fiber was when it was last looked at. */
interface Position {
  context: Context.Context<never>
  place: Place
  met: Met | undefined
}

const frameKey = "@chronovyan/core/TimeFrame"
const managerKey = "@chronovyan/core/ResourceManager"
const memoMapKey = "effect/Layer/CurrentMemoMap"

export const isScope = (value: unknown): value is Scope.Scope =>
  typeof value === "object" && value !== null && "~effect/Scope" in value

export const isFrame = (value: unknown): value is Frame =>
  typeof value === "object" && value !== null && "~chronovyan/core/TimeFrame" in value

export const isManager = (value: unknown): value is Manager =>
  typeof value === "object" && value !== null && "~chronovyan/core/ResourceManager" in value

export const frameIn = (context: Context.Context<never>): Frame | undefined => {
  const frame = context.mapUnsafe.get(frameKey)
  return isFrame(frame) ? frame : undefined
}

/** The finalizers of a scope by their keys, which are the scope or the fiber that is to end, or mean nothing. */
export const finalizersOf = (
  scope: Scope.Scope
): ReadonlyArray<readonly [key: object | undefined, finalizer: (exit: Exit.Exit<any, any>) => unknown]> => {
  const { state } = scope
  if (state._tag !== "Open") return []
  if (state.finalizer !== undefined) return [[state.finalizerKey, state.finalizer]]
  return Array.from(state.finalizers ?? [])
}

const countOf = ({ state }: Scope.Scope): number =>
  state._tag !== "Open" ? 0 : state.finalizer === undefined ? state.finalizers?.size ?? 0 : 1

/** The first place in the code that a stack names. */
const location = (stack: string | undefined): string | undefined => {
  const line = stack?.split("\n").find((line) => line.trim() !== "")?.trim()
  return line === undefined ? undefined : /\((.*)\)$/.exec(line)?.[1] ?? line.replace(/^at /, "")
}

export const placeOf = (fiber: AnyFiber): Place => {
  const { span, stackFrame } = fiber.cache
  return {
    who: stackFrame?.name ?? (span?._tag === "Span" ? span.name : undefined),
    // Looked up only when somebody wants to know, as the text of a stack is dear.
    get at() {
      // An `Effect.fn` tells its caller here, and next where it is written.
      const definition = stackFrame?.parent
      return location((definition?.name === `${stackFrame?.name} (definition)` ? definition : stackFrame)?.stack())
    }
  }
}

const credit = ({ met, place }: Position): void => {
  if (met === undefined) return
  const count = countOf(met.scope)
  if (count > met.count && place.who !== undefined) met.added.add(place.who)
  met.count = count
}

/**
 * A scheduler that changes nothing, and looks at the context of each fiber that asks it whether to yield. It goes where
 * the context goes, to the fibers that are forked from it, and is not a global of the process.
 */
export class Watch implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  readonly scopes = new Map<Scope.Scope, Met>()
  readonly fibers = new Map<AnyFiber, Position>()
  readonly frames = new Set<Frame>()
  readonly managers = new Set<Manager>()
  /** Of all frames that were entered, also of those that have closed; for each manager, by its own frame. */
  readonly frameIds = new Map<object, Set<number>>()
  readonly memoMaps = new Set<unknown>()
  /** Tasks that have not had their turn, such as the start of a fiber that nobody has seen yet. */
  waiting = 0
  /** Once all is said, what is left goes on unwatched. */
  private over = false
  private readonly inner: Scheduler.Scheduler
  private readonly preventYield: boolean
  private last: AnyFiber | undefined = undefined
  private lastContext: Context.Context<never> | undefined = undefined
  private sweepAt = 256

  constructor(outer: Context.Context<never>) {
    this.inner = Context.get(outer, Scheduler.Scheduler)
    this.preventYield = Context.get(outer, Scheduler.PreventSchedulerYield)
    this.executionMode = this.inner.executionMode
  }

  shouldYield(fiber: AnyFiber): boolean {
    if (!this.over && (fiber !== this.last || fiber.context !== this.lastContext)) this.look(fiber)
    return !this.preventYield && this.inner.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.inner.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.waiting++
        dispatcher.scheduleTask(() => {
          this.waiting--
          task()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }

  end(): void {
    this.over = true
    this.last = this.lastContext = undefined
    for (const all of [this.scopes, this.fibers, this.frames, this.frameIds, this.managers, this.memoMaps]) all.clear()
  }

  /** Notes who added what nobody has looked at yet. */
  catchUp(): void {
    for (const position of this.fibers.values()) credit(position)
  }

  private look(fiber: AnyFiber): void {
    const { context } = fiber
    this.last = fiber
    this.lastContext = context
    let position = this.fibers.get(fiber)
    if (position?.context === context) return
    if (position === undefined) {
      if (this.fibers.size + this.scopes.size > this.sweepAt) this.sweep()
      position = { context, place: placeOf(fiber), met: undefined }
      this.fibers.set(fiber, position)
    } else {
      credit(position)
      position.context = context
      position.place = placeOf(fiber)
    }
    const services = context.mapUnsafe
    const scope = services.get(Scope.Scope.key)
    position.met = isScope(scope) ? this.meet(scope, fiber, position.place) : undefined
    const frame = frameIn(context)
    if (frame !== undefined) this.enter(frame)
    const manager = services.get(managerKey)
    if (isManager(manager)) this.managers.add(manager)
    const memoMap = services.get(memoMapKey)
    if (memoMap !== undefined) this.memoMaps.add(memoMap)
  }

  private meet(scope: Scope.Scope, fiber: AnyFiber, opened: Place): Met | undefined {
    for (let at: Scope.Scope | undefined = scope; at !== undefined && !isFrame(at); at = at.parent) {
      if (this.scopes.has(at)) break
      this.scopes.set(at, { scope: at, fiber, opened, added: new Set(), count: countOf(at) })
    }
    return this.scopes.get(scope)
  }

  private enter(frame: Frame): void {
    this.frames.add(frame)
    const ids = this.frameIds.get(frame.root)
    if (ids === undefined) this.frameIds.set(frame.root, new Set([frame.id]))
    else ids.add(frame.id)
  }

  /** Forgets what has ended, so that a long program does not fill the memory. */
  private sweep(): void {
    for (const scope of this.scopes.keys()) if (scope.state._tag === "Closed") this.scopes.delete(scope)
    for (const frame of this.frames) if (frame.state._tag === "Closed") this.frames.delete(frame)
    for (const fiber of this.fibers.keys()) if (fiber.pollUnsafe() !== undefined) this.fibers.delete(fiber)
    this.sweepAt = Math.max(256, 2 * (this.fibers.size + this.scopes.size))
  }
}
