/**
 * Refuses early what is expected to take longer than its frame has left. Owned by `TimeFrame`.
 *
 * Nobody looks at a clock, and nothing is remembered, before somebody asks for it. What is expected is known too little at
 * first, and forgotten after a while: then nobody is refused. Once somebody is, one is let through every so often, to hear
 * whether it still takes that long.
 */
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Cost } from "../Cost.ts"
import { DeadlineExceeded } from "../ResourceError.ts"
import type { Definition } from "./definition.ts"
import { late, OnLate } from "./exhaustion.ts"
import type { Frame } from "./frame.ts"
import { holdersIn, holdersOfUnit } from "./holders.ts"
import type { Listed } from "./holders.ts"
import type { Ledger } from "./ledger.ts"
import { Recent } from "./recent.ts"
import type { Admission } from "./recent.ts"
import { Visitor } from "./visit.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export type RefusedEarly = Exit.Exit<never, DeadlineExceeded>

/** Might something be refused? Cheap, for those who come by all the time. */
export const mayRefuse = (frame: Frame): boolean => frame.admission !== undefined || late.isSaid

/** Whoever asks says so, or its frame, or one outside. */
const policyOf = (frame: Frame, fiber: AnyFiber): Admission | undefined => {
  const said = late.isSaid ? Context.get(fiber.context, OnLate) : undefined
  return said === undefined ? frame.admission : said ?? undefined
}

/** The frame whose deadline comes first for what the fiber does in that frame: it may have come from others. */
const limiting = (frame: Frame, fiber: AnyFiber): Frame => {
  let found = frame.limiting
  for (let visit = Context.get(fiber.context, Visitor); visit !== undefined; visit = visit.outer) {
    const other = (visit.from as Frame).limiting
    if (other.deadline < found.deadline) found = other
  }
  return found
}

/** Someone who asks, where what comes too late is refused. */
export class Applicant {
  readonly frame: Frame
  readonly policy: Admission
  readonly now: number
  private readonly limiting: Frame
  /** How much time there is. */
  readonly left: number

  private constructor(frame: Frame, policy: Admission, limiting: Frame) {
    this.frame = frame
    this.policy = policy
    this.limiting = limiting
    this.now = frame.registry.timers.now()
    this.left = Math.max(0, limiting.deadline - this.now)
  }

  /** `undefined`: it is not refused, whatever it takes. */
  static of(frame: Frame, fiber: AnyFiber): Applicant | undefined {
    const policy = policyOf(frame, fiber)
    if (policy === undefined) return undefined
    const found = limiting(frame, fiber)
    return found.deadline === Infinity ? undefined : new Applicant(frame, policy, found)
  }

  /** How long the recipe will run, as far as that is known. */
  toAcquire(definition: Definition): { readonly time: number; readonly recent: Recent | undefined } {
    if (definition.kind !== "temporal") return { time: 0, recent: undefined }
    const recent = this.frame.registry.statisticsOf(definition).recent ??= new Recent()
    return { time: recent.expected(this.now, this.policy) ?? 0, recent }
  }

  /** Does what takes so long come too late, and is it not time for a probe? */
  isTooLate(expected: number, slowest: Recent | undefined): boolean {
    return expected > this.left && slowest?.probes(this.now, this.policy) !== true
  }

  /** What is told then. */
  refusal(resource: string, expected: number, holders: Listed, unit?: string): DeadlineExceeded {
    const { frame, left, limiting: { path, timeout } } = this
    const { events } = frame.registry
    if (events.active) events.tell({ _tag: "AdmissionRefused", ...frame.stamp(), resource, expected, left })
    const refused = {
      resource,
      requestedBy: frame.path,
      expected,
      left,
      ...(unit === undefined ? undefined : { unit })
    }
    return new DeadlineExceeded({ phase: "admission", frame: path, timeout, refused, waitingFor: [], ...holders }, {
      disableChecks: true
    })
  }
}

/** Those that are acquired one after another. */
const acquisitions = (applicant: Applicant, definitions: ReadonlyArray<Definition>) => {
  let time = 0
  let most = -1
  let slowest: Recent | undefined
  for (const definition of definitions) {
    const one = applicant.toAcquire(definition)
    time += one.time
    if (one.recent === undefined || one.time <= most) continue
    most = one.time
    slowest = one.recent
  }
  return { time, slowest, most }
}

const refuse = (
  applicant: Applicant,
  definitions: ReadonlyArray<Definition>,
  expected: number,
  holders: Listed,
  unit?: string
): RefusedEarly => {
  for (const definition of definitions) applicant.frame.registry.statisticsOf(definition).refused++
  return Exit.fail(applicant.refusal(definitions.map(({ name }) => name).join(" and "), expected, holders, unit))
}

/** Is it expected to take longer than there is time? */
export const refuseAcquisition = (
  frame: Frame,
  fiber: AnyFiber,
  definitions: ReadonlyArray<Definition>
): RefusedEarly | undefined => {
  const applicant = Applicant.of(frame, fiber)
  if (applicant === undefined) return undefined
  const { slowest, time } = acquisitions(applicant, definitions)
  if (!applicant.isTooLate(time, slowest)) return undefined
  return refuse(applicant, definitions, time, holdersIn(frame))
}

/** What a line of a budget tells of the wait that somebody has before it. */
export interface Queueing {
  /** How many would be served before, and how much all who wait need. */
  readonly ahead: number
  readonly length: number
  readonly wanted: number
  /** Since when the next one waits. */
  readonly nextSince: number
}

/** Is the wait for a budget, and what is acquired then, expected to take longer than there is time? */
export const refuseWait = (
  frame: Frame,
  fiber: AnyFiber,
  cost: Cost,
  definitions: ReadonlyArray<Definition>,
  ledger: Ledger,
  queueing: Queueing
): RefusedEarly | undefined => {
  const applicant = Applicant.of(frame, fiber)
  if (applicant === undefined) return undefined
  const { most, slowest, time } = acquisitions(applicant, definitions)
  const wait = waitFor(applicant, ledger, cost[ledger.unit]!, queueing)
  const { unit } = ledger
  // Where the acquisition alone would take too long, it has been let through as a probe: then only the wait counts.
  const isProbe = time > applicant.left
  const expected = isProbe ? wait.time : wait.time + time
  const decisive = isProbe || wait.time > most ? wait.recent : slowest
  if (!applicant.isTooLate(expected, decisive)) return undefined
  return refuse(applicant, definitions, expected, holdersOfUnit(ledger.owner as Frame, unit), unit)
}

/** A rate says when it will have refilled. Of a capacity it is known how quickly those who waited were served of late. */
const waitFor = ({ now, policy }: Applicant, ledger: Ledger, amount: number, queueing: Queueing) => {
  const { ahead, length, nextSince, wanted } = queueing
  if (ledger.refills) {
    const before = length === 0 ? 0 : wanted * ahead / length
    return { time: ledger.readyIn(before + amount), recent: undefined }
  }
  const recent = ledger.recent ??= new Recent()
  const interval = recent.expected(now, policy)
  return { time: interval === undefined ? 0 : inLine(ahead, interval, recent.stalledFor(nextSince, now)), recent }
}

/**
 * The wait of one who comes now, when one is served every `interval`. The longer nothing has happened, the longer it is
 * taken to go on: as long again.
 */
export const inLine = (ahead: number, interval: number, stalled: number): number =>
  ahead * interval + Math.max(interval, stalled)
