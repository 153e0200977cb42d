/**
 * Where in a program something was asked for. Owned by `CallSite`.
 */
import * as Fiber from "effect/Fiber"
import { Sampling } from "./sampling.ts"

export const sampling = new Sampling()

/** What engines have. */
const Stack = Error as unknown as {
  stackTraceLimit?: number | undefined
  readonly captureStackTrace?: ((target: object, entry: Entry) => void) | undefined
}

/** The function of ours that a program calls. */
export type Entry = (...args: Array<any>) => unknown

interface Trace {
  readonly stack?: unknown
}

/** Between the program and us there may be `pipe`: its method, and what that calls. */
const depth = 3

/** A place in a program. What it is called is found out when somebody asks. */
export class Site {
  /** Engines keep the functions of a trace alive until they have put it into words. */
  private trace: Trace | undefined
  /** The `Effect.fn` or span around it. */
  private readonly around: string | undefined
  private text: string | undefined = undefined

  constructor(trace: Trace) {
    this.trace = trace
    this.around = Fiber.getCurrent()?.cache.stackFrame?.name
  }

  /** The function and where that is, as in a stack trace, or as much of it as is known. */
  get name(): string | undefined {
    if (this.trace !== undefined) {
      this.text = inWords(this.trace.stack, this.around)
      this.trace = undefined
    }
    return this.text
  }
}

/** Where `entry` was called, which is on the stack, if this is one to look at. Only while sampling is on. */
export const siteOf = (entry: Entry): Site | undefined => sampling.picks() ? new Site(traceOf(entry)) : undefined

const traceOf = (entry: Entry): Trace => {
  const { stackTraceLimit } = Stack
  try {
    Stack.stackTraceLimit = Stack.captureStackTrace === undefined ? depth + 3 : depth
    if (Stack.captureStackTrace === undefined) return new Error()
    const trace = {}
    Stack.captureStackTrace(trace, entry)
    return trace
  } catch {
    // Nothing can be done to an `Error` that is frozen.
    return {}
  } finally {
    if (Stack.stackTraceLimit !== stackTraceLimit) Stack.stackTraceLimit = stackTraceLimit
  }
}

/** `    at name (place)`, `    at place`, or `name@place`. */
const line = /^(?:\s*at (?:async )?(?:(.+?) (?:\[as .+?\] )?\()?|(.*?)@)(.+?:\d+:\d+)\)?$/

const inWords = (stack: unknown, around: string | undefined): string | undefined => {
  // Whoever has taken over the printing of stacks may have made anything of it.
  if (typeof stack !== "string") return around
  for (const text of stack.split("\n")) {
    const match = line.exec(text)
    if (match === null) continue
    const place = match[3]!.replace(/^file:\/\/(?:\/(?=[A-Za-z]:))?/, "")
    if (isLibrary(place)) continue
    const name = nameOf(match[1] ?? match[2]) ?? around
    return name === undefined ? place : `${name} (${place})`
  }
  return around
}

const nameOf = (name: string | undefined): string | undefined => {
  if (name === undefined || name === "" || name.includes("<anonymous>")) return undefined
  return name.replace(/^(?:Object|Module)\./, "")
}

/** Where this package is, as built or by its source maps, if it was not made into one file with the program. */
const own = /^(?:file:\/\/)?(.+\/)(?:dist|src)\/internal\/callSite\.[jt]s/.exec(
  (import.meta as { readonly url?: string }).url ?? ""
)?.[1]

const libraries = /[\\/]node_modules[\\/](?:effect|@effect[\\/][^\\/]+|@chronovyan[\\/]core)[\\/]/

const isLibrary = (place: string): boolean =>
  libraries.test(place) || place.startsWith("node:") ||
  (own !== undefined && (place.startsWith(`${own}dist/`) || place.startsWith(`${own}src/`)))
