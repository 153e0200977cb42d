/**
 * What it costs to serve those who wait, when few do and when very many do, and the heap that each takes with its fiber.
 * Run by `pools.ts` in processes of its own; prints what it measured as JSON.
 */
import { ResourcePool } from "@chronovyan/core"
import { Effect } from "effect"
import { median, threadTime } from "./harness.ts"
import { inFrames, layer } from "./kernel.ts"
import { bareQueue, ours, size } from "./poolSides.ts"

export interface Drained {
  readonly few: number
  readonly many: number
  /** CPU nanoseconds for each waiter, on this thread alone. */
  readonly nsFew: number
  readonly nsMany: number
  readonly slowdown: number
  readonly bytesEach: number
}

const few = 1_000
const many = 400_000
const drains = 100
const rounds = 5

/** Who holds the items, and who waits for them. */
interface Borrows<E> {
  readonly holder: () => Effect.Effect<void, E>
  readonly waiter: () => Effect.Effect<void, E>
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

const untilServed = Effect.callback<void>((resume) => {
  setImmediate(served, resume)
})

const letGo: Array<() => void> = []

const untilLetGo = Effect.callback<void>((resume) => {
  letGo.push(() => resume(Effect.void))
})

const allServed = Effect.callback<void>((resume) => {
  whenServed = () => resume(Effect.void)
})

const now = { startImmediately: true }

/** CPU nanoseconds for each of `count` waiters, from the moment when all wait and the items come back. */
const drain = Effect.fnUntraced(function*<E>({ holder, waiter }: Borrows<E>, count: number, allWait: () => void) {
  for (let i = 0; i < size; i++) yield* Effect.forkDetach(holder(), now)
  left = count
  for (let i = 0; i < count; i++) yield* Effect.forkDetach(waiter(), now)
  allWait()
  globalThis.gc!()
  const before = threadTime()
  for (const open of letGo.splice(0)) open()
  yield* allServed
  return (threadTime() - before) * 1000 / count
})

const measure = Effect.fnUntraced(function*<E>(borrows: Borrows<E>) {
  const nsFew: Array<number> = []
  const nsMany: Array<number> = []
  const bytes: Array<number> = []
  for (let round = 0; round <= rounds; round++) {
    const all: Array<number> = []
    for (let i = 0; i < drains; i++) all.push(yield* drain(borrows, few, () => {}))
    const before = heap()
    const ns = yield* drain(borrows, many, () => {
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

const ourBorrows = Effect.gen(function*() {
  const pool = yield* ours(600_000)
  const hold = () => untilLetGo
  const wait = () => untilServed
  return { holder: () => ResourcePool.use(pool, hold), waiter: () => ResourcePool.use(pool, wait) }
})

const bareBorrows = Effect.sync(() => {
  const queue = bareQueue()
  const hold = queue.use(untilLetGo)
  const wait = queue.use(untilServed)
  return { holder: () => hold, waiter: () => wait }
})

const program = Effect.flatMap(process.argv[2] === "bare" ? bareBorrows : ourBorrows, measure)
console.log(JSON.stringify(await Effect.runPromise(program.pipe(inFrames, Effect.orDie, Effect.provide(layer)))))
process.exit(0)
