/**
 * What it costs to serve those who wait, when few do and when very many do, and the heap that each takes with its fiber.
 */
import { Effect } from "effect"
import { median, threadTime } from "./harness.ts"

export interface Drained {
  readonly few: number
  readonly many: number
  /** CPU nanoseconds for each waiter, on this thread alone. */
  readonly nsFew: number
  readonly nsMany: number
  readonly slowdown: number
  readonly bytesEach: number
}

/** How many wait, and how often. */
export interface Crowds {
  /** How many have it all, until it is let go. */
  readonly holders: number
  readonly few: number
  readonly many: number
  /** How often few are served in one round. */
  readonly drains: number
  readonly rounds: number
}

/** Who has a part until it is let go, and who waits for one, and has it until the next turn of the event loop. */
export interface Borrows<E, R> {
  readonly holder: () => Effect.Effect<void, E, R>
  readonly waiter: (at: number) => Effect.Effect<void, E, R>
}

const heap = () => {
  globalThis.gc!()
  globalThis.gc!()
  return process.memoryUsage().heapUsed
}

let left = 0
let whenServed = () => {}

/** The fiber has ended, and given its item to the next one, when `resume` returns. */
const served = (resume: (effect: Effect.Effect<void>) => void) => {
  resume(Effect.void)
  if (--left === 0) whenServed()
}

export const untilServed = Effect.callback<void>((resume) => {
  setImmediate(served, resume)
})

const letGo: Array<() => void> = []

export const untilLetGo = Effect.callback<void>((resume) => {
  letGo.push(() => resume(Effect.void))
})

const allServed = Effect.callback<void>((resume) => {
  whenServed = () => resume(Effect.void)
})

const now = { startImmediately: true }

/** CPU nanoseconds for each of `count` waiters, from the moment when all wait and the items come back. */
const drain = Effect.fnUntraced(function*<E, R>(
  { holder, waiter }: Borrows<E, R>,
  holders: number,
  count: number,
  allWait: () => void
) {
  for (let i = 0; i < holders; i++) yield* Effect.forkDetach(holder(), now)
  left = count
  for (let i = 0; i < count; i++) yield* Effect.forkDetach(waiter(i), now)
  allWait()
  globalThis.gc!()
  const before = threadTime()
  for (const open of letGo.splice(0)) open()
  yield* allServed
  return (threadTime() - before) * 1000 / count
})

export const measure = Effect.fnUntraced(function*<E, R>(borrows: Borrows<E, R>, crowds: Crowds) {
  const { drains, few, holders, many, rounds } = crowds
  const nsFew: Array<number> = []
  const nsMany: Array<number> = []
  const bytes: Array<number> = []
  for (let round = 0; round <= rounds; round++) {
    const all: Array<number> = []
    for (let i = 0; i < drains; i++) all.push(yield* drain(borrows, holders, few, () => {}))
    const before = heap()
    const ns = yield* drain(borrows, holders, many, () => {
      bytes.push((heap() - before) / many)
    })
    // The first round warms up.
    if (round === 0) continue
    nsFew.push(median(all))
    nsMany.push(ns)
  }
  const drained: Drained = {
    few,
    many,
    nsFew: median(nsFew),
    nsMany: median(nsMany),
    slowdown: median(nsMany.map((ns, round) => ns / nsFew[round]!)),
    bytesEach: median(bytes)
  }
  return drained
})
