import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, makeStock, working } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

/** The same numbers for the same seed. */
const randomOf = (seed: number) => {
  let state = seed * 2_654_435_761 >>> 0
  return (below: number): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

const run = (seed: number) =>
  Effect.gen(function*() {
    const random = randomOf(seed + 1)
    const log: Array<string> = []
    const trouble: Array<string> = []
    const stock = makeStock({
      create: (id) => id % 7 === 3 ? Effect.fail("no") : Effect.sleep((id * seed) % 4),
      release: (id) => Effect.sleep(id % 3)
    })
    const concurrency = 1 + random(3)
    const timed = random(2) === 0
    const pool = yield* ResourcePool.make(stock.Thing, {
      min: random(2),
      max: 3,
      concurrency,
      priorityAgeing: 5,
      createTimeout: 50,
      validateAfter: 2,
      validateTimeout: 4,
      resetTimeout: 4,
      closeTimeout: 1000,
      order: random(2) === 0 ? "lifo" : "fifo",
      targetUtilization: random(2) === 0 ? 1 : 0.5,
      creationBackoff: { base: 2, max: 8 },
      ...(random(2) === 0 ? { idleTimeToLive: 15 } : {}),
      ...(random(2) === 0 ? { maxLifetime: 30 } : {}),
      ...(random(2) === 0 ? { maxUses: 4 } : {}),
      ...(timed ? { acquireTimeout: 20, maxWaiting: 8 } : {}),
      ...(random(2) === 0
        ? {
          validate: ({ id, uses }: Item) => Effect.andThen(Effect.sleep(uses % 3), Effect.succeed((id + uses) % 5 > 0))
        }
        : {}),
      ...(random(2) === 0
        ? { reset: ({ uses }: Item) => uses % 6 === 5 ? Effect.fail("no") : Effect.sleep(uses % 2) }
        : {})
    })
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    let max = 3
    for (let step = 0; step < 60; step++) {
      const action = random(14)
      log.push(String(action))
      if (action < 6) {
        const length = random(6)
        const priority = random(3)
        const isRetired = random(5) === 0
        fibers.push(
          yield* start(
            ResourcePool.use(
              pool,
              working(stock, (item) =>
                Effect.andThen(
                  Effect.sleep(length),
                  isRetired ? ResourcePool.invalidate(pool, item) : random(4) === 0 ? Effect.fail("no") : Effect.void
                ))
            ).pipe(Effect.provideService(ResourcePool.Priority, priority))
          )
        )
      } else if (action < 8 && fibers.length > 0) fibers[random(fibers.length)]!.interruptUnsafe()
      else if (action === 8) yield* ResourcePool.resize(pool, { max: max = 1 + random(4) })
      else if (action === 9) yield* start(ResourcePool.retireAll(pool))
      else if (action === 10) yield* ResourcePool.suspend(pool)
      else if (action === 11) yield* ResourcePool.resume(pool)
      else yield* TestClock.adjust(1 + random(4))
      const stats = yield* ResourcePool.stats(pool)
      if (stats.total <= max) assertSane(stats)
      // One item is checked for each that waits.
      const isStarving = stats.state === "open" && stats.idle > 0 && stats.waiting > stats.busy * concurrency
      if (isStarving) trouble.push(`step ${step}: ${stats.waiting} wait while ${stats.idle} are idle`)
    }
    yield* ResourcePool.resume(pool)
    for (let step = 0; step < 20; step++) yield* TestClock.adjust(20)
    const hanging = fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
    if (hanging > 0) trouble.push(`${hanging} of ${fibers.length} borrowers hang`)
    const { counts, total, used, waiting } = yield* ResourcePool.stats(pool)
    if (used + waiting > 0) trouble.push(`${used} used, ${waiting} waiting`)
    if (total > max) trouble.push(`${total} items, at most ${max}`)
    if (counts.borrowed !== counts.returned) trouble.push(`${counts.borrowed} borrowed, ${counts.returned} returned`)
    if (stock.items.some(({ mostUsers }) => mostUsers > concurrency)) trouble.push("too many used one item")
    const end = yield* start(ResourcePool.close(pool))
    for (let step = 0; step < 5; step++) yield* TestClock.adjust(10)
    yield* settle
    if (end.pollUnsafe() === undefined) trouble.push("the end hangs")
    if (stock.open().length > 0) trouble.push("an item is open")
    return [...trouble, ...stock.wrong].map((line) => `seed ${seed} (${log.join(" ")}): ${line}`)
  })

describe("Whatever is done to a pool at random (puddle),", () => {
  for (let part = 0; part < 14; part++) {
    it.effect(
      `nobody is lost, and nothing is left: seeds ${part * 120} to ${part * 120 + 119}`,
      () =>
        Effect.gen(function*() {
          const troubles: Array<string> = []
          for (let seed = part * 120; seed < part * 120 + 120; seed++) troubles.push(...(yield* run(seed)))
          assert.deepStrictEqual(troubles, [])
        }),
      30_000
    )
  }
})
