/**
 * What a borrow costs, when nothing waits and when a thousand do. Run by `pools.ts` in processes of its own, since the
 * luck of the compiler differs between processes; prints what it measured as JSON.
 */
import { ResourcePool, TimeFrame } from "@chronovyan/core"
import { Effect, Pool } from "effect"
import { contest } from "./harness.ts"
import type { Contest, Measured } from "./harness.ts"
import { inFrames, layer } from "./kernel.ts"
import { bareQueue, effects, immediate, immediatePromise, ours, promisePools, size } from "./poolSides.ts"
import type { Item } from "./poolSides.ts"

const acquireTimeout = 60_000
const borrowers = Array.from({ length: 1_000 }, (_, i) => i)
/** So often that it is the pool that is measured, and not the start of a thousand fibers or promises. */
const times = 50

const look = (item: Item) => Effect.sync(() => item.id)
const holdImmediate = () => immediate
const holdYield = () => Effect.yieldNow

/** One after another. */
const loop = <E>(one: () => Effect.Effect<unknown, E>) => (operations: number) =>
  Effect.orDie(Effect.gen(function*() {
    for (let i = 0; i < operations; i++) yield* one()
  }))

const loopOfPromises = (one: () => Promise<unknown>) => (operations: number) =>
  Effect.promise(async () => {
    for (let i = 0; i < operations; i++) await one()
  })

/** All at once, each several times. */
const crowd = <E>(one: Effect.Effect<unknown, E>) => {
  const borrower = Effect.gen(function*() {
    for (let i = 0; i < times; i++) yield* one
  })
  return () => Effect.orDie(Effect.forEach(borrowers, () => borrower, { concurrency: "unbounded", discard: true }))
}

const crowdOfPromises = (one: () => Promise<unknown>) => {
  const borrower = async () => {
    for (let i = 0; i < times; i++) await one()
  }
  return () => Effect.promise(() => Promise.all(borrowers.map(borrower)))
}

const contests = Effect.gen(function*() {
  const pool = yield* ours(acquireTimeout)
  const effectPool = yield* effects
  const peers = promisePools.map((make) => make(acquireTimeout))
  const queue = bareQueue()
  // All items are made now.
  for (const { hold } of peers) yield* Effect.promise(() => Promise.all(borrowers.map(() => hold(immediatePromise))))
  const nothingWaits: Contest = {
    title: "use, nothing waits",
    ours: { name: "ResourcePool", program: loop(() => ResourcePool.use(pool, look)) },
    theirs: [
      { name: "Effect's Pool", bar: 1.2, program: loop(() => Pool.use(effectPool, look)) },
      ...peers.map(({ look, name }) => ({ name, bar: 0.6, program: loopOfPromises(look) }))
    ],
    operations: 3_000
  }
  const heldImmediate: Contest = {
    title: `1,000 borrowers, ${size} items, held for one setImmediate`,
    ours: { name: "ResourcePool", program: crowd(ResourcePool.use(pool, holdImmediate)) },
    theirs: [
      ...peers.map(({ hold, name }) => ({ name, bar: 1, program: crowdOfPromises(() => hold(immediatePromise)) })),
      { name: "bare queue", bar: undefined, program: crowd(queue.use(immediate)) }
    ],
    operations: borrowers.length * times,
    rounds: 9,
    warmUp: 2
  }
  const heldYield: Contest = {
    title: `1,000 borrowers, ${size} items, held for one yield`,
    ours: { name: "ResourcePool", program: crowd(ResourcePool.use(pool, holdYield)) },
    theirs: [
      { name: "Effect's Pool", bar: 0.45, program: crowd(Pool.use(effectPool, holdYield)) },
      { name: "bare queue", bar: 1.3, program: crowd(queue.use(Effect.yieldNow)) }
    ],
    operations: borrowers.length * times,
    rounds: 15,
    warmUp: 3
  }
  return [nothingWaits, heldImmediate, heldYield]
})

/** The pool belongs to the outer frame, and is borrowed from in one inside. */
const program = Effect.gen(function*() {
  const all = yield* contests
  return yield* TimeFrame.run(
    Effect.gen(function*() {
      const run = Effect.runPromiseWith(yield* Effect.context())
      const rows: Array<Measured> = []
      for (const one of all) rows.push(...(yield* Effect.promise(() => contest(run, one))))
      return rows
    }),
    { name: "query" }
  )
})

console.log(JSON.stringify(await Effect.runPromise(program.pipe(inFrames, Effect.orDie, Effect.provide(layer)))))
process.exit(0)
