/**
 * Why something waits, and who is in the way, in plain words. Owned by the command.
 */
import { holdersFor } from "@chronovyan/core/Snapshot"
import type {
  AllocationState,
  BudgetState,
  FrameState,
  PoolState,
  Snapshot,
  WaiterState
} from "@chronovyan/core/Snapshot"
import type { ContentionReport, Edge, Spread, Subject } from "../ContentionReport.ts"
import { clean, counted, duration, firstOf, groups, number } from "./text.ts"

/** What is known of one thing that has the name. */
export interface Explanation {
  readonly kind: "pool" | "budget" | "frame" | "resource"
  readonly name: string
  /** How it stands, in sentences. */
  readonly standing: ReadonlyArray<string>
  /** Who has it, those first who have had it for longest, or most of it. */
  readonly inTheWay: ReadonlyArray<string>
  /** Who waits for it, or what it waits for. */
  readonly waits: ReadonlyArray<string>
  /** What was measured of it, where something was. */
  readonly measured: ReadonlyArray<string>
  /** What the figures of the past say. */
  readonly hint: string
}

interface Known {
  readonly snapshot: Snapshot
  readonly contention: ContentionReport
}

const placeOf = (path: string): string => path === "" ? "the manager" : clean(path)

const siteOf = ({ callSite }: AllocationState): string => callSite === undefined ? "" : `  (${clean(callSite)})`

const byAge = (a: AllocationState, b: AllocationState): number => a.since - b.since || a.id - b.id

const isWaiting = ({ state }: AllocationState): boolean => state === "acquiring" || state === "charged"

const percent = (share: number): string => `${Math.round(share * 100)} %`

const spreadOf = ({ max, p50, p90, p99 }: Spread): string =>
  `half of them for less than ${duration(p50)}, 90 % ${duration(p90)}, 99 % ${duration(p99)}; at most ${duration(max)}`

/** What was measured of it, if something was. */
const past = (
  { contention }: Known,
  kind: Subject["kind"],
  name: string,
  frame?: string
): Pick<Explanation, "measured" | "hint"> => {
  const subject = contention.subjects.find((one) =>
    one.kind === kind && one.name === name && (frame === undefined || one.frame === frame)
  )
  if (subject === undefined) return { measured: [], hint: "" }
  const { contended, held, hint, sites, waited } = subject
  const measured = contention.at <= contention.from ? [] : [
    `somebody waited for ${percent(contended)} of the last ${duration(contention.at - contention.from)}`,
    ...(waited.count > 0 ? [`${number(waited.count)} waited, ${spreadOf(waited)}`] : []),
    ...(held.count > 0 ? [`${number(held.count)} had it, ${spreadOf(held)}`] : []),
    ...sites.slice(0, mostSites).map((one) =>
      `${placeOf(one.site)}  had ${percent(one.share)} of the time that it was held, and has ${number(one.holding)}`
    )
  ]
  return { measured, hint }
}

const mostSites = 3

const edgeLine = ({ holder, waited, waiter }: Edge): string =>
  `${placeOf(waiter)}  for ${duration(waited)}, behind ${placeOf(holder)}`

const lineOf = ({ position }: WaiterState): string => position === 0 ? "next in line" : `${number(position)} before it`

/** Those of one frame path on one line: the oldest come first. */
const waiting = (all: ReadonlyArray<AllocationState>, at: number): ReadonlyArray<string> =>
  Array.from(
    groups(all, (one) => `${placeOf(one.frame)}\n${siteOf(one)}`).values(),
    (same) => {
      const first = same[0]!
      const since = `for ${duration(at - first.since)}${siteOf(first)}`
      return same.length === 1
        ? `${placeOf(first.frame)}  ${since}`
        : `${placeOf(first.frame)}  ${number(same.length)} of them, the first ${since}`
    }
  )

// Pools.

const sizeOf = (pool: PoolState): string => {
  const parts = [`${pool.used} in use`, `${pool.idle} idle`]
  if (pool.creating > 0) parts.push(`${pool.creating} being made`)
  if (pool.busy > 0) parts.push(`${pool.busy} being checked or reset`)
  if (pool.closing > 0) parts.push(`${pool.closing} being closed`)
  if (pool.abandoned > 0) parts.push(`${pool.abandoned} given up, which still count`)
  return `${parts.join(", ")}; at most ${number(pool.max)}`
}

const reasonOf = (pool: PoolState): string => {
  if (pool.state === "suspended") return "It is suspended: it lends nothing until it is resumed."
  if (pool.state === "draining") return "It is draining: it serves those who wait, and nobody who comes now."
  if (pool.state === "closing" || pool.state === "closed") return "It closes: it lends nothing any more."
  if (pool.waiting === 0) {
    return pool.used >= pool.max
      ? "Nobody waits, but everything is lent out: the next one will."
      : "Nobody waits for it."
  }
  if (pool.used >= pool.max) return "Everything is lent out: who waits is served when somebody gives one back."
  if (pool.creating > 0 && pool.total >= pool.max) {
    return "There is no room for more, and those being made are not done."
  }
  if (pool.creating > 0) return "Those being made are not done: creation takes long, or fails and is tried again."
  if (pool.busy > 0) return "Those that came back are being checked or reset, and that is not done."
  if (pool.abandoned > 0) return "Creations or releases that were given up take the room of new ones."
  if (pool.closing > 0) return "Those that close take the room of new ones until they are closed."
  return "They are about to be served."
}

const poolExplained = (pool: PoolState, known: Known): Explanation => {
  const { allocations, at, frames } = known.snapshot
  const own = frames.find(({ id }) => id === pool.frameId)
  const borrows = allocations.filter(({ resource, share }) => share && resource === pool.name).toSorted(byAge)
  const edges = known.contention.waits.filter(({ resource }) => resource === pool.name)
  const waiters = borrows.filter((one) => isWaiting(one) && !edges.some(({ waiter }) => waiter === one.frame))
  return {
    kind: "pool",
    name: pool.name,
    standing: [
      `${pool.state === "open" ? "A pool" : `A ${pool.state} pool`} in ${placeOf(own?.path ?? "")}: ${sizeOf(pool)}.`,
      ...(pool.waiting > 0
        ? [`${counted(pool.waiting, "borrower")} waiting, the first of them for ${duration(pool.oldestWait)}.`]
        : []),
      reasonOf(pool)
    ],
    inTheWay: borrows.filter(({ state }) => state === "live" || state === "releasing").map((one) =>
      `${placeOf(one.frame)}  has had one for ${duration(at - one.since)}${siteOf(one)}`
    ),
    waits: [
      ...edges.map(edgeLine),
      ...waiting(waiters, at)
    ],
    ...past(known, "pool", pool.name)
  }
}

// Budgets.

/** Who has how much of it, the largest share first; those of one kind in one frame are on one line. */
const holding = (holders: ReadonlyArray<AllocationState>, unit: string, at: number): ReadonlyArray<string> =>
  Array.from(
    groups(holders, (one) => `${one.frame}\n${one.resource}\n${siteOf(one)}`).values(),
    (same) => {
      const first = same[0]!
      const amount = same.reduce((sum, { cost }) => sum + cost[unit]!, 0)
      const what = `${number(amount)} with ${
        same.length === 1
          ? `${clean(first.resource)} #${first.id}`
          : `${number(same.length)} of ${clean(first.resource)}`
      }`
      const since = `${same.length === 1 ? "" : ", the first"} for ${duration(at - first.since)}`
      return { amount, line: `${placeOf(first.frame)}  has ${what}${since}${siteOf(first)}` }
    }
  ).toSorted((a, b) => b.amount - a.amount).map(({ line }) => line)

const budgetExplained = (frame: FrameState, budget: BudgetState, known: Known): Explanation => {
  const { allocations, at, frames } = known.snapshot
  const { highWaterMark, limit, unit, used } = budget
  const inside = new Set([frame.id])
  for (const { id, parent } of frames) if (parent !== null && inside.has(parent)) inside.add(id)
  const holders = allocations
    .filter(({ cost, frameId }) => inside.has(frameId) && (cost[unit] ?? 0) > 0)
    .toSorted(byAge)
  const left = limit! - used
  return {
    kind: "budget",
    name: unit,
    standing: [
      `A budget of ${placeOf(frame.path)}: ${number(used)} of ${number(limit!)} in use, ${number(Math.max(0, left))} ` +
      `left; at most ${number(highWaterMark)} were in use at once.`,
      left <= 0
        ? "It is used up: who needs more waits, or is refused, until some of it is given back."
        : "Who needs more than what is left waits, or is refused, until some of it is given back."
    ],
    inTheWay: holding(holders, unit, at),
    waits: known.snapshot.waiters
      .filter(({ kind, name, sourceId }) => kind === "budget" && name === unit && sourceId === frame.id)
      .toSorted((a, b) => a.position - b.position)
      .map((one) =>
        `${placeOf(one.frame)}  needs ${number(one.amount)} for ${duration(at - one.since)}, ${lineOf(one)}`
      ),
    ...past(known, "budget", unit, frame.path)
  }
}

// Frames.

const deadlineOf = ({ deadline }: FrameState, at: number): string =>
  deadline === null
    ? "no deadline"
    : deadline >= at
    ? `${duration(deadline - at)} left to its deadline`
    : `a deadline that passed ${duration(at - deadline)} ago`

const phases = { open: "is open", expired: "has expired", closing: "is closing", closed: "is closed" }

const frameExplained = (frame: FrameState, known: Known): Explanation => {
  const { allocations, at, frames, pools } = known.snapshot
  const own = allocations.filter(({ frameId }) => frameId === frame.id).toSorted(byAge)
  const acquiring = own.filter(isWaiting)
  const held = own.filter((one) => !isWaiting(one))
  const inner = frames.filter(({ parent }) => parent === frame.id)
  const forBudgets = known.snapshot.waiters.filter(({ frameId, kind }) => kind === "budget" && frameId === frame.id)
  const edges = known.contention.waits.filter(({ resource, waiter }) =>
    waiter === frame.path && !forBudgets.some(({ name }) => name === resource)
  )
  const isPool = (name: string) => pools.some((pool) => pool.name === name)
  const behind = acquiring.flatMap(({ resource, share }) =>
    share && isPool(resource)
      ? allocations.filter((one) => one.share && one.resource === resource && one.state === "live").toSorted(byAge)
      : []
  )
  const releasing = held.filter(({ state }) => state === "releasing")
  return {
    kind: "frame",
    name: frame.path,
    standing: [
      `The frame ${placeOf(frame.path)} ${phases[frame.phase]}, was opened ${
        duration(at - frame.openedAt)
      } ago, and has ` +
      `${deadlineOf(frame, at)}; it holds ${counted(held.length, "resource")}, and ${counted(inner.length, "frame")} ` +
      `in it ${inner.length === 1 ? "is" : "are"} open.`,
      ...(acquiring.length + forBudgets.length + edges.length + releasing.length === 0
        ? ["It waits for no resource that is known of: what it does itself, the program knows."]
        : []),
      ...releasing.map((one) => `The release of ${clean(one.resource)} #${one.id} is not done.`)
    ],
    inTheWay: [
      ...behind.map((one) =>
        `${placeOf(one.frame)}  has had ${clean(one.resource)} for ${duration(at - one.since)}${siteOf(one)}`
      ),
      ...forBudgets.flatMap((waiter) => holding(holdersFor(known.snapshot, waiter), waiter.name, at))
    ],
    waits: [
      ...forBudgets.map((one) =>
        `it waits for ${number(one.amount)} of the budget ${clean(one.name)} to acquire ${clean(one.resource)} for ` +
        `${duration(at - one.since)}, ${lineOf(one)}`
      ),
      ...edges.map(({ holder, resource, waited }) =>
        `it waits for ${clean(resource)} for ${duration(waited)}, which ${placeOf(holder)} has`
      ),
      ...acquiring.filter(({ resource }) => !edges.some((edge) => edge.resource === resource)).map((one) =>
        one.share && isPool(one.resource)
          ? `it waits for one of the pool ${clean(one.resource)} for ${duration(at - one.since)}`
          : `it waits for ${clean(one.resource)} to be acquired for ${duration(at - one.since)}${siteOf(one)}`
      )
    ],
    measured: [],
    hint: ""
  }
}

// Other resources.

const resourceExplained = (name: string, known: Known): Explanation => {
  const { allocations, at } = known.snapshot
  const all = allocations.filter(({ resource }) => resource === name).toSorted(byAge)
  const acquiring = all.filter(isWaiting)
  const live = all.filter((one) => one.state === "live" || one.state === "releasing")
  return {
    kind: "resource",
    name,
    standing: [
      `${counted(live.length, "use")} of ${clean(name)}, and ${counted(acquiring.length, "acquisition")} not done.`,
      acquiring.length === 0 ? "Nobody waits for it." : "Acquiring it takes that long: it is not held up by others."
    ],
    inTheWay: live.map((one) => `${placeOf(one.frame)}  has #${one.id} for ${duration(at - one.since)}${siteOf(one)}`),
    waits: waiting(acquiring, at),
    ...past(known, "shared", name)
  }
}

/** All that has the name: pools, budgets by unit, frames by name, path or number, else other resources. */
export const explain = (name: string, known: Known): ReadonlyArray<Explanation> => {
  const { frames, pools, resources, allocations } = known.snapshot
  const isMeant = (frame: FrameState) =>
    frame.parent !== null && (frame.path === name || frame.name === name || `#${frame.id}` === name)
  const isPoolFrame = (frame: FrameState) => pools.some(({ frameId }) => frameId === frame.id)
  const found = [
    ...pools.filter((pool) => pool.name === name || `#${pool.frameId}` === name).map((pool) =>
      poolExplained(pool, known)
    ),
    ...frames.flatMap((frame) =>
      frame.budgets.filter(({ limit, unit }) => unit === name && limit !== null)
        .map((budget) => budgetExplained(frame, budget, known))
    ),
    ...frames.filter((frame) => isMeant(frame) && !isPoolFrame(frame)).map((frame) => frameExplained(frame, known))
      .toSorted((a, b) => b.waits.length - a.waits.length)
  ]
  if (found.length > 0) return found
  const isResource = resources.some(({ resource }) => resource === name) ||
    allocations.some(({ resource }) => resource === name)
  return isResource ? [resourceExplained(name, known)] : []
}

const listed = 10

/** Many frames may have the name: those that wait come first. */
const printed = 3

/** As all of them are printed. */
export const render = (all: ReadonlyArray<Explanation>): string => {
  const left = all.length - printed
  const texts = all.slice(0, printed).map((one) => toText(one).join("\n"))
  return [...texts, ...(left > 0 ? [`… and ${number(left)} more that have the name`] : [])].join("\n\n")
}

/** As it is printed. */
export const toText = (explanation: Explanation): ReadonlyArray<string> => {
  const { hint, inTheWay, kind, measured, name, standing, waits } = explanation
  const part = (heading: string, lines: ReadonlyArray<string>) =>
    lines.length === 0 ? [] : [heading, ...firstOf(lines.map((line) => `  ${line}`), listed)]
  return [
    `${clean(name)}  (${kind})`,
    ...standing.map((line) => `  ${line}`),
    ...part(kind === "frame" ? "What it waits for:" : "Who waits:", waits),
    ...part(kind === "frame" ? "In its way:" : "Who has it:", inTheWay),
    ...part("What there was:", measured),
    ...(hint === "" ? [] : [`What it looks like: ${clean(hint)}`])
  ]
}
