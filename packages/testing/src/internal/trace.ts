import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { Locations } from "./locations.ts"
import type { Location } from "./locations.ts"
import { describeDefect } from "./run.ts"
import type { Decision } from "./schedule.ts"
import type { AnyFiber, Seen } from "./scheduler.ts"

const identifier = "~effect/Effect/identifier"
const evaluate = "~effect/Effect/evaluate"
const args = "~effect/Effect/args"

/** A step as the run loop sees it. */
export interface Primitive {
  readonly [identifier]: string
  readonly [args]?: unknown
  [evaluate](fiber: unknown): any
}

export const kindOf = (primitive: Primitive): string => primitive[identifier]

export const evaluateIn = (primitive: Primitive, fiber: unknown): any => primitive[evaluate](fiber)

/** Something that a run has done, in the order of time. */
export type Event =
  | {
    readonly type: "step"
    readonly fiber: number
    /** What is done there, as far as that can be told. */
    readonly text: string
    readonly location: Location | undefined
    /** Was it written by whoever wrote the scenario? */
    readonly isOwn: boolean
  }
  | {
    readonly type: "decision"
    readonly fiber: number
    readonly decision: Decision
    /** What the fiber was about to do. */
    next: { readonly text: string; readonly location: Location | undefined } | undefined
  }
  | { readonly type: "note"; readonly fiber: number; readonly text: string }
  | { readonly type: "end"; readonly fiber: number; readonly text: string }
  | { readonly type: "clock"; readonly now: number }

/** Steps that only arrange what comes next. */
const silent = new Set([
  "Iterator",
  "OnSuccess",
  "OnFailure",
  "OnSuccessAndFailure",
  "Exit",
  "SetInterruptible",
  "While",
  "Success"
])

/** Steps that need no words of their own when the code around them is shown. */
const named: Readonly<Record<string, string>> = {
  Async: "waits",
  AsyncFinalizer: "waits, and knows what to do if it is interrupted",
  Yield: "lets others go on",
  OnExit: "registers what to do in the end"
}

interface Described {
  readonly text: string
  readonly location: Location | undefined
  readonly isOwn: boolean
  /** Is it the line of a generator? */
  readonly isLine?: boolean
}

/** Listens to one run. */
export class Trace {
  readonly events: Array<Event> = []
  private readonly locations = Locations.open()
  /** The code of the scenario that each fiber is in. */
  private readonly places = new Map<number, Described>()
  private readonly met = new Set<number>()
  /** Those that are made to yield, and have yet to do so. */
  private readonly forced = new Set<number>()

  step({ fiber, ordinal }: Seen, primitive: Primitive, isWatched: () => boolean): void {
    if (!this.met.has(ordinal)) {
      this.met.add(ordinal)
      fiber.addObserver((exit) => {
        if (isWatched()) this.events.push({ type: "end", fiber: ordinal, text: ending(exit) })
      })
    }
    if (this.forced.has(ordinal)) return this.yielding(fiber, ordinal, primitive)
    const described = this.describe(fiber, ordinal, primitive)
    if (described !== undefined) this.events.push({ type: "step", fiber: ordinal, ...described })
  }

  /** What the run loop does to let a fiber yield is not its own; the second half of it is what the fiber was about to do. */
  private yielding(fiber: AnyFiber, ordinal: number, primitive: Primitive): void {
    if (kindOf(primitive) === "Yield") this.forced.delete(ordinal)
    const { payload } = primitive as { payload?: unknown }
    const decided = this.events.findLast((event) => event.type === "decision" && event.fiber === ordinal)
    if (decided?.type !== "decision" || typeof payload !== "function") return
    const next = payload() as Primitive
    decided.next = this.describe(fiber, ordinal, next) ?? this.places.get(ordinal)
  }

  private describe(fiber: AnyFiber, ordinal: number, primitive: Primitive): Described | undefined {
    const kind = kindOf(primitive)
    const code = codeOf(primitive)
    const location = code === undefined ? undefined : this.locations?.of(code)
    const isOwn = code !== undefined && (location === undefined ? this.locations === undefined : !isForeign(location))
    if (isOwn) {
      const place = { text: snippet(code), location, isOwn }
      this.places.set(ordinal, place)
      return place
    }
    const line = this.lineOf(fiber)
    if (line !== undefined) this.places.set(ordinal, line)
    // The generator that it was in is over.
    else if (this.places.get(ordinal)?.isLine === true) this.places.delete(ordinal)
    if (silent.has(kind)) return undefined
    const place = this.places.get(ordinal)
    if (kind === "Failure" && failing(primitive) === undefined) return undefined
    const does = kind === "Failure" ? failing(primitive) : named[kind]
    if (line !== undefined && kind !== "Failure") return line
    if (does === undefined) return { text: code === undefined ? kind : snippet(code), location, isOwn }
    return {
      text: place === undefined ? does : `${does}, in ${place.text}`,
      location: location ?? place?.location,
      isOwn
    }
  }

  /** The line of the scenario's generator that the fiber is in. */
  private lineOf(fiber: AnyFiber): Described | undefined {
    const { _stack: stack } = fiber as { _stack?: ReadonlyArray<{ readonly iterator?: object }> }
    const iterator = stack?.findLast((one) => one.iterator !== undefined)?.iterator
    const found = iterator === undefined ? undefined : this.locations?.ofGenerator(iterator)
    return found === undefined || isForeign(found.location)
      ? undefined
      : { text: snippet(found.text), location: found.location, isOwn: true, isLine: true }
  }

  decision(fiber: number, decision: Decision): void {
    if (decision.type === "yield" || decision.type === "interrupt") this.forced.add(fiber)
    this.events.push({ type: "decision", fiber, decision, next: undefined })
  }

  note(fiber: number, text: string): void {
    this.events.push({ type: "note", fiber, text })
  }

  clock(now: number): void {
    this.events.push({ type: "clock", now })
  }

  close(): void {
    this.locations?.close()
  }
}

type Code = (...args: Array<any>) => unknown

/** The function that says most about a step. */
const codeOf = (primitive: Primitive): Code | undefined => {
  const { payload } = primitive as { payload?: unknown }
  const code = typeof primitive[args] === "function" ? primitive[args] : payload
  return typeof code === "function" ? code as Code : undefined
}

/** Code of Effect, of this package, or of Node. */
const isForeign = ({ file }: Location): boolean =>
  file === "" || file.startsWith("node:") || /\/effect\/(?:dist|src)\/|\/testing\/(?:dist|src)\//.test(file)

const longest = 70

/** Code on one line: of a block the first statement. */
const snippet = (code: Code | string): string => {
  const source = String(code).replaceAll(/\/\/.*$/gm, "")
  const block = /^\([^()]*\) => \{\s*(\S.*)\n[^]*\n/.exec(source)
  const text = (block === null ? source : `${block[1]!.replace(/;$/, "")} …`)
    .replaceAll(/\s+/g, " ")
    // What Vitest makes of the name of an import.
    .replaceAll(/__vite_ssr_import_\d+__\./g, "")
    .replace(/^\(\) => /, "")
    .replace(/;$/, "")
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}

const failing = (primitive: Primitive): string | undefined => {
  const exit = primitive as unknown as Exit.Exit<unknown, unknown>
  if (!Exit.isFailure(exit) || Cause.hasInterruptsOnly(exit.cause)) return undefined
  return `fails: ${Cause.prettyErrors(exit.cause)[0]?.message ?? "?"}`
}

const ending = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ends"
  if (Cause.hasInterruptsOnly(exit.cause)) return "ends: interrupted"
  if (Cause.hasDies(exit.cause)) return `ends: died with ${describeDefect(exit.cause)}`
  return `ends: failed with ${Cause.prettyErrors(exit.cause)[0]?.message ?? "?"}`
}
