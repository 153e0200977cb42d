import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { NodeInspectSymbol } from "effect/Inspectable"
import type { AnyOutcome, Gated, Outcome, Play, Script, Slow, Step, Validity } from "./script.ts"
import { compile, wrong } from "./script.ts"

export const TypeId = "~chronovyan/testing/ScriptedResource"
export const ItemTypeId = "~chronovyan/testing/ScriptedResource/Item"

/** What a scripted resource can be told. A function that is a script for an item gets that item, too. */
export interface Options {
  /** What findings and failures call it. Default: `"resource"`. */
  readonly name?: string | undefined
  /** Default: `"ok"`. */
  readonly acquire?: Script | undefined
  /** Default: `"ok"`. */
  readonly validate?: Script<Validity, [item: Item]> | undefined
  /** Default: `"ok"`. */
  readonly reset?: Script<Outcome, [item: Item]> | undefined
  /** Default: `"ok"`. */
  readonly release?: Script<Outcome, [item: Item]> | undefined
  /** How many may use an item at once. Default: 1. */
  readonly concurrency?: number | undefined
}

/**
 * What has been done so far, and what goes on now. Each call of a step is counted once: as going on, and then by how it
 * ended. `acquired` is always `live + released + releaseFailed`.
 */
export interface Counts {
  /** Acquisitions that go on. */
  readonly acquiring: number
  /** Acquisitions that made an item. */
  readonly acquired: number
  /** Acquisitions that failed or died. */
  readonly acquireFailed: number
  /** Acquisitions that were interrupted, and so made no item. */
  readonly acquireInterrupted: number
  /** The most acquisitions that went on at once. */
  readonly acquiringHighWaterMark: number
  /** Items that have been acquired and not been closed yet, those being released included. */
  readonly live: number
  /** The most items that were live at once. */
  readonly highWaterMark: number
  /** Uses that go on. */
  readonly inUse: number
  /** Uses that have begun. */
  readonly used: number
  /** Validations that go on. */
  readonly validating: number
  /** Validations that answered `true`. */
  readonly validated: number
  /** Validations that answered `false`. */
  readonly invalid: number
  /** Validations that failed or died. */
  readonly validateFailed: number
  readonly validateInterrupted: number
  /** Resets that go on. */
  readonly resetting: number
  /** Resets that succeeded. */
  readonly reset: number
  /** Resets that failed or died. */
  readonly resetFailed: number
  readonly resetInterrupted: number
  /** Releases that go on. */
  readonly releasing: number
  /** Releases that succeeded. */
  readonly released: number
  /** Releases that died; they have closed their items all the same. */
  readonly releaseFailed: number
  /** Releases that were interrupted; their items are still live, and can be released again. */
  readonly releaseInterrupted: number
}

/** A fake resource; made by `make`. What it says of itself is as things stand when it is asked. */
export interface ScriptedResource {
  readonly [TypeId]: typeof TypeId
  readonly name: string
  readonly counts: Counts
  /** How it was misused, in the order in which that was first seen, each told once. What is left open is not in here. */
  readonly findings: ReadonlyArray<string>
  /** The items that have not been closed, oldest first. */
  readonly leftOpen: ReadonlyArray<Item>
}

/** What a scripted resource hands out. As a string it is the name of the resource and its own number: `resource #3`. */
export interface Item {
  readonly [ItemTypeId]: typeof ItemTypeId
  /** The first item that a resource makes is 1. */
  readonly id: number
  /** The name of the resource. */
  readonly resource: string
  /** Until its release begins. */
  readonly isOpen: boolean
  /** How many use it now. */
  readonly users: number
  /** How often it has been used. */
  readonly uses: number
  toString(): string
}

/** A step went wrong because its script says so: the error of `"fail"`, and the defect of `"die"`. */
export class ScriptedFailure extends Data.TaggedError("ScriptedFailure")<{
  readonly resource: string
  readonly step: Step
  /** Which call of the step it was, counted from 1 for all items of the resource together. */
  readonly call: number
  /** The `id` of the item; an acquisition has none. */
  readonly item: number | undefined
}> {
  override get message(): string {
    const { call, item, resource, step } = this
    return `${resource}${item === undefined ? "" : ` #${item}`}: call ${call} of ${step} goes wrong, as scripted`
  }
}

/** Where the calls of a step are counted: while they go on, and by how they ended. */
const columns = {
  acquire: { now: "acquiring", ok: "acquired", failed: "acquireFailed", interrupted: "acquireInterrupted" },
  validate: { now: "validating", ok: "validated", failed: "validateFailed", interrupted: "validateInterrupted" },
  reset: { now: "resetting", ok: "reset", failed: "resetFailed", interrupted: "resetInterrupted" },
  release: { now: "releasing", ok: "released", failed: "releaseFailed", interrupted: "releaseInterrupted" }
} as const

const defaultDelay = Duration.millis(10)

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A call of a step: its number, and what it will do. */
interface Call {
  readonly step: Step
  readonly number: number
  readonly outcome: AnyOutcome
  readonly item: ScriptedItem | undefined
}

/** Without a stack trace, which would name nothing but the run loop, and cost ten times as much as everything else. */
const failureOf = (resource: string, { item, number, step }: Call): ScriptedFailure => {
  const engine = Error as { stackTraceLimit?: number }
  const limit = engine.stackTraceLimit
  if (limit !== undefined) engine.stackTraceLimit = 0
  try {
    return new ScriptedFailure({ resource, step, call: number, item: item?.id })
  } finally {
    if (limit !== undefined) engine.stackTraceLimit = limit
  }
}

/**
 * ```
 * open -> closing -> closed
 *         |     ^
 *         v     |
 *       interrupted
 * ```
 */
export class ScriptedItem implements Item {
  readonly [ItemTypeId] = ItemTypeId
  readonly id: number
  readonly #book: Book
  state: "open" | "closing" | "interrupted" | "closed" = "open"
  users = 0
  uses = 0
  validating = 0
  resetting = 0

  constructor(id: number, book: Book) {
    this.id = id
    this.#book = book
  }

  get resource(): string {
    return this.#book.name
  }

  get isOpen(): boolean {
    return this.state === "open"
  }

  toString(): string {
    return `${this.resource} #${this.id}`
  }

  [NodeInspectSymbol](): string {
    return this.toString()
  }

  get left(): string {
    const why = this.state === "closing"
      ? ": its release has not ended"
      : this.state === "interrupted"
      ? ": its release was interrupted"
      : ""
    return `${this} is still open${why}`
  }

  note(what: string): void {
    this.#book.noted.add(`${this} was ${what}`)
  }

  /** Is there room for one more, and is the item not being reset? */
  get hasRoom(): boolean {
    return this.users + this.validating < this.#book.concurrency && this.resetting === 0
  }

  /** What else goes on with the item. */
  get meanwhile(): string | undefined {
    return this.resetting > 0
      ? "during its reset"
      : this.users > 0
      ? "while in use"
      : this.validating > 0
      ? "during its validation"
      : undefined
  }

  use<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) => {
      const { concurrency, tally } = this.#book
      if (!this.isOpen) this.note("used after release")
      const hadRoom = this.hasRoom
      this.users++
      this.uses++
      tally.inUse++
      tally.used++
      if (this.users > concurrency) this.note(`used by ${this.users} at once (concurrency is ${concurrency})`)
      else if (!hadRoom) this.note(this.resetting > 0 ? "used during its reset" : "used during its validation")
      return Effect.onExitPrimitive(restore(effect), () => {
        this.users--
        tally.inUse--
        return undefined
      }, true)
    })
  }

  validate(): Effect.Effect<boolean, ScriptedFailure> {
    return Effect.uninterruptibleMask((restore) => {
      if (!this.isOpen) {
        this.note("validated after release")
        return Effect.succeed(false)
      }
      const call = this.#book.call("validate", this)
      if (!this.hasRoom) this.note(`validated ${this.meanwhile}`)
      this.validating++
      const end = () => void this.validating--
      return this.#book.perform(restore, call, (valid) => {
        end()
        return valid
      }, end)
    })
  }

  reset(): Effect.Effect<void, ScriptedFailure> {
    return Effect.uninterruptibleMask((restore) => {
      if (!this.isOpen) {
        this.note("reset after release")
        return Effect.void
      }
      const call = this.#book.call("reset", this)
      if (this.meanwhile !== undefined) this.note(`reset ${this.meanwhile}`)
      this.resetting++
      const end = () => void this.resetting--
      return this.#book.perform(restore, call, end, end)
    })
  }

  release(): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      if (this.state === "closing" || this.state === "closed") {
        this.note("released twice")
        return Effect.void
      }
      const call = this.#book.call("release", this)
      if (this.meanwhile !== undefined) this.note(`released ${this.meanwhile}`)
      this.state = "closing"
      const close = () => {
        this.state = "closed"
        this.#book.live.delete(this)
      }
      const released = this.#book.perform(restore, call, close, (interrupted) => {
        if (interrupted) this.state = "interrupted"
        else close()
      })
      // Whatever its script says, a release does not fail but die.
      return released as Effect.Effect<void>
    })
  }
}

/** An acquisition that goes on. */
interface Begun {
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

/** The one who owns all that is known of a resource. */
export class Book implements ScriptedResource {
  readonly [TypeId] = TypeId
  readonly name: string
  readonly concurrency: number
  readonly scripts: Readonly<Record<Step, Play<ScriptedItem | undefined>>>
  readonly calls: Record<Step, number> = { acquire: 0, validate: 0, reset: 0, release: 0 }
  readonly live = new Set<ScriptedItem>()
  private readonly begun = new Set<Begun>()
  readonly noted = new Set<string>()
  readonly tally: { -readonly [Key in keyof Omit<Counts, "live">]: number } = {
    acquiring: 0,
    acquired: 0,
    acquireFailed: 0,
    acquireInterrupted: 0,
    acquiringHighWaterMark: 0,
    highWaterMark: 0,
    inUse: 0,
    used: 0,
    validating: 0,
    validated: 0,
    invalid: 0,
    validateFailed: 0,
    validateInterrupted: 0,
    resetting: 0,
    reset: 0,
    resetFailed: 0,
    resetInterrupted: 0,
    releasing: 0,
    released: 0,
    releaseFailed: 0,
    releaseInterrupted: 0
  }

  constructor(options: Options) {
    this.name = options.name ?? "resource"
    this.concurrency = options.concurrency ?? 1
    if (!(this.concurrency === Infinity || (Number.isInteger(this.concurrency) && this.concurrency > 0))) {
      throw wrong(this.name, "concurrency", options.concurrency, "it must be a whole number from 1 up, or Infinity")
    }
    this.scripts = {
      acquire: compile(this.name, "acquire", options.acquire),
      validate: compile(this.name, "validate", options.validate),
      reset: compile(this.name, "reset", options.reset),
      release: compile(this.name, "release", options.release)
    }
  }

  get counts(): Counts {
    this.settle()
    return { ...this.tally, live: this.live.size }
  }

  get findings(): ReadonlyArray<string> {
    return [...this.noted]
  }

  get leftOpen(): ReadonlyArray<ScriptedItem> {
    return [...this.live]
  }

  /** The next call of a step. It has not been made when the script throws. */
  call(step: Step, item: ScriptedItem | undefined): Call {
    const number = this.calls[step] + 1
    const outcome = this.scripts[step](number, item)
    this.calls[step] = number
    return { step, number, outcome, item }
  }

  play(call: Call, outcome: AnyOutcome): Effect.Effect<boolean, ScriptedFailure> {
    switch (outcome) {
      case "ok":
        return Exit.succeed(true)
      case "invalid":
        return Exit.succeed(false)
      case "fail":
      case "die": {
        const failure = failureOf(this.name, call)
        return outcome === "die" || call.step === "release" ? Exit.die(failure) : Exit.fail(failure)
      }
      case "slow":
        return Effect.as(Effect.sleep(defaultDelay), true)
      case "never":
        return Effect.never
    }
    const delay = outcome as Slow<string> | Gated<string>
    const waited = delay._tag === "Slow" ? Effect.sleep(delay.duration) : delay.latch.await
    return Effect.flatMap(waited, () => this.play(call, delay.next))
  }

  /**
   * Plays a call in an uninterruptible region, where only the waiting can be interrupted.
   */
  perform<A>(
    restore: Restore,
    call: Call,
    end: (valid: boolean) => A,
    undo: (interrupted: boolean) => void
  ): Effect.Effect<A, ScriptedFailure> {
    const { tally } = this
    const column = columns[call.step]
    tally[column.now]++
    const played = Effect.map(restore(this.play(call, call.outcome)), (valid) => {
      tally[column.now]--
      tally[valid ? column.ok : "invalid"]++
      return end(valid)
    })
    return Effect.catchCause(played, (cause) => {
      const interrupted = Cause.hasInterruptsOnly(cause)
      tally[column.now]--
      tally[interrupted ? column.interrupted : column.failed]++
      undo(interrupted)
      return Effect.failCause(cause)
    })
  }

  /**
   * The item is opened in the very step that hands it over, without a mask or an `onExit` around: where these end, a fiber
   * may stop once more, and an interruption there would lose the item. What is interrupted just before has no end that
   * could be seen, but its fiber has.
   */
  readonly acquire: Effect.Effect<Item, ScriptedFailure> = Effect.withFiber((fiber) => {
    const { tally } = this
    const call = this.call("acquire", undefined)
    const begun = { fiber }
    this.begun.add(begun)
    tally.acquiring++
    if (tally.acquiring > tally.acquiringHighWaterMark) {
      this.settle()
      tally.acquiringHighWaterMark = Math.max(tally.acquiring, tally.acquiringHighWaterMark)
    }
    const open = Effect.sync(() => {
      this.endAcquisition(begun, "acquired")
      return this.open()
    })
    if (call.outcome === "ok") return open
    const waited = Effect.onExit(this.play(call, call.outcome), (exit) => {
      if (Exit.isFailure(exit)) {
        this.endAcquisition(begun, Cause.hasInterruptsOnly(exit.cause) ? "acquireInterrupted" : "acquireFailed")
      }
      return Effect.void
    })
    return Effect.flatMap(waited, () => open)
  })

  private open(): Item {
    const { live, tally } = this
    const item = new ScriptedItem(tally.acquired, this)
    live.add(item)
    if (live.size > tally.highWaterMark) tally.highWaterMark = live.size
    return item
  }

  private endAcquisition(begun: Begun, how: "acquired" | "acquireInterrupted" | "acquireFailed"): void {
    this.begun.delete(begun)
    this.tally.acquiring--
    this.tally[how]++
  }

  /** Those whose fiber is gone were interrupted. */
  settle(): void {
    for (const begun of this.begun) {
      if (begun.fiber.pollUnsafe() !== undefined) this.endAcquisition(begun, "acquireInterrupted")
    }
  }
}
