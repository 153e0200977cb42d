/**
 * What it costs to serve those who wait for a pool. Run by `pools.ts` in processes of its own; prints what it measured as
 * JSON.
 */
import { ResourcePool } from "@chronovyan/core"
import { Effect } from "effect"
import { measure, untilLetGo, untilServed } from "./drain.ts"
import { inFrames, layer } from "./kernel.ts"
import { bareQueue, ours, size } from "./poolSides.ts"

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

const crowds = { holders: size, few: 1_000, many: 400_000, drains: 100, rounds: 5 }

const program = Effect.flatMap(
  process.argv[2] === "bare" ? bareBorrows : ourBorrows,
  (borrows) => measure(borrows, crowds)
)
console.log(JSON.stringify(await Effect.runPromise(program.pipe(inFrames, Effect.orDie, Effect.provide(layer)))))
process.exit(0)
