/**
 * Whatever ends with a frame: an allocation, a frame inside, a finalizer of its scope. A frame keeps all of them in one
 * list, so that they end last in, first out, whatever they are. Owned by `TimeFrame`.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Cost } from "../Cost.ts"
import type { Linked, LinkedList } from "./list.ts"

/** What is told of an allocation, wherever someone asks who has what. */
export interface Facts {
  readonly id: number
  readonly resource: string
  /** The frame that pays for it; also its owner, unless it outlived that frame. */
  readonly frame: { readonly id: number; readonly path: string; readonly parent: object | undefined }
  /** `charged`: paid for, and not being acquired yet: one of a set, or one that has waited for a budget. */
  readonly state: "charged" | "acquiring" | "live" | "releasing"
  /** Does it wait out an interruption just now? */
  readonly isStubborn: boolean
  readonly share: boolean
  readonly since: number
  readonly cost: Cost
  /** The number of the fiber that has to give it back, if somebody waits for it; `undefined`: nobody in particular. */
  readonly holder: number | undefined
  /** An item of a pool: the frame of that, and the number of the fiber that has to give it back, as for `holder`. */
  readonly lent: { readonly pool: number; readonly fiber: number | undefined } | undefined
  /** The frame that its acquisition ran in, if it had one. */
  readonly inner: object | undefined
  /** The context that it was allocated in. */
  readonly context: Context.Context<never>
  readonly callSite: string | undefined
}

/** What a snapshot tells of an allocation besides. */
export interface Marks {
  /** Was its call site picked to be looked at? */
  readonly sampled: boolean
  /** Was its handle collected? */
  readonly collected: boolean
  /** Has the fiber ended that has to give it back? */
  readonly abandoned: boolean
}

/** Who is told how the ending of something went. */
export interface Closer {
  readonly exit: Exit.Exit<unknown, unknown>
  /** Who asked for it. */
  readonly fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** A release died. */
  failed(cause: Cause.Cause<never>): void
  /** What did not end at once has ended now. */
  ended(owned: Owned): void
}

const nothing: ReadonlyArray<LinkedList<Owned>> = []

export abstract class Owned implements Linked<Owned> {
  previous: Owned | undefined = undefined
  next: Owned | undefined = undefined
  /** The list that it is in; nothing else knows of it. */
  home: LinkedList<Owned> | undefined = undefined

  /** Becomes the last of a list; it is in none. */
  link(home: LinkedList<Owned>): void {
    this.home = home
    home.append(this)
  }

  /** Leaves the list that it is in, if any. */
  unlink(): void {
    this.home?.remove(this)
    this.home = undefined
  }

  moveTo(home: LinkedList<Owned>): void {
    this.unlink()
    this.link(home)
  }

  /**
   * Starts its end. Answers true when that is done: then it has left the list that it was in. False: it goes on in the
   * background, and `closer.ended` is called once it is done.
   */
  abstract end(closer: Closer): boolean
  /** The frame closes without it: it moves to the orphans of a frame outside. */
  abstract outlive(): void
  /** Its frame has other ledgers from now on. */
  rebased(): void {}
  /** What it owns in turn. */
  get inside(): ReadonlyArray<LinkedList<Owned>> {
    return nothing
  }
  /** What to tell of it, if it is an allocation. */
  facts(): Facts | undefined {
    return undefined
  }
  marks(): Marks | undefined {
    return undefined
  }
}

/** All allocations in some lists and in the frames inside, in order; as deep as they may lie. */
export function* allocationsIn(lists: ReadonlyArray<LinkedList<Owned>>): Generator<Facts> {
  const ahead: Array<Owned | undefined> = lists.map((list) => list.first).reverse()
  while (ahead.length > 0) {
    const owned = ahead.pop()
    if (owned === undefined) continue
    ahead.push(owned.next)
    const facts = owned.facts()
    if (facts !== undefined) yield facts
    const { inside } = owned
    for (let index = inside.length - 1; index >= 0; index--) ahead.push(inside[index]!.first)
  }
}

/** Makes the effect that gives something back; one that throws on the way dies instead. */
export const attempt = (make: () => Effect.Effect<unknown, never, any> | undefined): Effect.Effect<unknown> => {
  try {
    // Its services are those of the context that it will run in.
    return (make() as Effect.Effect<unknown> | undefined) ?? Exit.void
  } catch (defect) {
    return Exit.die(defect)
  }
}

/** An effect that is done already. */
export const isDone = <A>(effect: Effect.Effect<A>): effect is Exit.Exit<A> => Exit.isExit(effect)

/**
 * Runs a release in its own context, on a fiber of its own, so that it can be left behind. Answers its exit when it
 * ended at once; else `later` gets it.
 */
export const runRelease = (
  release: Effect.Effect<unknown>,
  context: Context.Context<never>,
  later: (exit: Exit.Exit<unknown>) => void
): Exit.Exit<unknown> | undefined => {
  if (isDone(release)) return release
  const fiber = Effect.runForkWith(context)(release, { uninterruptible: true })
  const exit = fiber.pollUnsafe()
  if (exit === undefined) fiber.addObserver(later)
  return exit
}

/** What went wrong, in words, for events; whatever a strange defect does when it is printed. */
export const defectOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  try {
    return Cause.pretty(exit.cause)
  } catch {
    return "a defect that can not be printed"
  }
}
