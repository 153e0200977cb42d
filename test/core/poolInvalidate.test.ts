import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, hold, makeStock } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const idOf = ({ id }: Item) => Effect.succeed(id)

describe("An invalidated item", () => {
  it.effect("is replaced for those who wait (reactor-pool#40)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const waiters = yield* Effect.forEach([1, 2, 3], () => start(ResourcePool.use(pool, idOf)))
      yield* ResourcePool.invalidate(pool, yield* holder.item)
      assert.deepStrictEqual(stock.closed, [])
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(yield* Fiber.joinAll(waiters), [2, 2, 2])
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("many at once, with as many borrowers, never hang (zio#8820)", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.yieldNow, release: () => Effect.yieldNow })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 4 })
      const one = (round: number) =>
        Effect.scoped(Effect.gen(function*() {
          const item = yield* ResourcePool.get(pool)
          yield* Effect.yieldNow
          if (round % 2 === 0) yield* ResourcePool.invalidate(pool, item)
          if (round % 3 === 0) yield* Effect.yieldNow
        }))
      const fiber = yield* start(
        Effect.forEach(Array.from({ length: 500 }, (_, index) => index), one, { concurrency: 20, discard: true })
      )
      for (let step = 0; step < 400 && fiber.pollUnsafe() === undefined; step++) yield* settle
      assert.isDefined(fiber.pollUnsafe())
      assertSane(yield* ResourcePool.stats(pool))
      assert.isAtMost(stock.state.mostOpen, 4)
    }))

  it.effect("that is idle is closed before invalidate returns", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const item = yield* ResourcePool.use(pool, Effect.succeed)
      const fiber = yield* start(ResourcePool.invalidate(pool, item))
      yield* settle
      yield* TestClock.adjust(99)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("is lent to nobody more, also when it has room for others", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, concurrency: 3 })
      const holder = yield* hold(pool)
      yield* ResourcePool.invalidate(pool, yield* holder.item)
      assert.strictEqual(yield* ResourcePool.use(pool, idOf), 2)
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(stock.open(), [2])
    }))
})
