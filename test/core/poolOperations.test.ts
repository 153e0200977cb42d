import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, hold, makeStock, queueUp } from "./poolFixtures.ts"
import type { Item } from "./poolFixtures.ts"

const ok = () => Effect.void
const idOf = ({ id }: Item) => Effect.succeed(id)

describe("resize", () => {
  it.effect("to more serves those who wait", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holders = yield* Effect.forEach([1, 2, 3], () => hold(pool))
      yield* ResourcePool.resize(pool, { max: 2 })
      yield* settle
      assert.deepStrictEqual(holders.map(({ has }) => has()), [true, true, false])
      assert.deepInclude(yield* ResourcePool.stats(pool), { min: 0, max: 2 })
    }))

  it.effect("to a higher min makes items at once", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 5 })
      yield* ResourcePool.resize(pool, { min: 3 })
      yield* settle
      assert.deepInclude(yield* ResourcePool.stats(pool), { min: 3, max: 5, idle: 3 })
    }))

  it.effect("to less closes idle items, those that were idle for longest first", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      const holders = yield* Effect.forEach([1, 2, 3], () => hold(pool))
      for (const holder of holders) yield* holder.release
      yield* settle
      yield* ResourcePool.resize(pool, { max: 1 })
      yield* settle
      assert.deepStrictEqual(stock.closed, [1, 2])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("to less closes items in use when they come back", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      const holders = yield* Effect.forEach([1, 2, 3], () => hold(pool))
      yield* ResourcePool.resize(pool, { max: 1 })
      yield* settle
      assert.deepStrictEqual(stock.closed, [])
      for (const holder of holders) yield* holder.release
      yield* settle
      assert.deepStrictEqual(stock.closed, [1, 2])
      assert.deepStrictEqual(stock.open(), [3])
    }))

  it.effect("to less takes no item from those who wait", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2 })
      const holders = yield* Effect.forEach([1, 2], () => hold(pool))
      const served: Array<string> = []
      yield* queueUp(pool, served, "waiting")
      yield* ResourcePool.resize(pool, { max: 1 })
      yield* holders[0]!.release
      yield* settle
      assert.deepStrictEqual(served, [])
      yield* holders[1]!.release
      yield* settle
      assert.deepStrictEqual(served, ["waiting"])
      assert.strictEqual(stock.open().length, 1)
    }))

  it.effect("to less closes what is being made and was not needed any more", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 3, max: 3 })
      yield* settle
      yield* ResourcePool.resize(pool, { min: 0, max: 1 })
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(stock.open().length, 1)
    }))

  it.effect("below min takes min along", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 4, max: 5 })
      yield* settle
      yield* ResourcePool.resize(pool, { max: 2 })
      yield* settle
      assert.deepInclude(yield* ResourcePool.stats(pool), { min: 2, max: 2, total: 2 })
    }))
})

describe("suspend", () => {
  it.effect("lends nothing and makes nothing until resume, and takes nothing away", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      const holder = yield* hold(pool)
      const other = yield* hold(pool)
      yield* ResourcePool.suspend(pool)
      yield* other.release
      const served: Array<string> = []
      yield* Effect.forEach(["a", "b", "c"], (name) => queueUp(pool, served, name))
      yield* settle
      assert.deepStrictEqual(served, [])
      assert.deepInclude(yield* ResourcePool.stats(pool), {
        state: "suspended",
        waiting: 3,
        idle: 1,
        used: 1,
        creating: 0
      })
      assert.isUndefined(holder.fiber.pollUnsafe())
      yield* ResourcePool.resume(pool)
      yield* settle
      assert.deepStrictEqual(served, ["a", "b", "c"])
      assert.strictEqual((yield* ResourcePool.stats(pool)).state, "open")
    }))

  it.effect("keeps what was being made until it is resumed", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const served: Array<string> = []
      yield* queueUp(pool, served, "waiting")
      yield* settle
      yield* ResourcePool.suspend(pool)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(served, [])
      yield* ResourcePool.resume(pool)
      yield* settle
      assert.deepStrictEqual(served, ["waiting"])
      assert.strictEqual(stock.state.started, 1)
    }))

  it.effect("lends nothing to who waits for a validation either", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, validate: () => Effect.sleep(100) })
      yield* settle
      yield* TestClock.adjust("1 second")
      const served: Array<string> = []
      yield* queueUp(pool, served, "waiting")
      yield* settle
      yield* ResourcePool.suspend(pool)
      yield* TestClock.adjust(100)
      yield* settle
      assert.deepStrictEqual(served, [])
      yield* ResourcePool.resume(pool)
      yield* settle
      assert.deepStrictEqual(served, ["waiting"])
    }))

  it.effect("for long does not keep an item from being validated before it is lent", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        validate: ({ id }) => id === 1 ? Effect.fail("dead") : Effect.void
      })
      yield* settle
      yield* ResourcePool.suspend(pool)
      const waiting = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust("10 minutes")
      yield* ResourcePool.resume(pool)
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 2)
    }))

  it.effect("for longer than an item may live does not keep it alive", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxLifetime: "1 minute", lifetimeJitter: 0 })
      yield* ResourcePool.use(pool, ok)
      yield* ResourcePool.suspend(pool)
      const waiting = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* TestClock.adjust("10 minutes")
      yield* ResourcePool.resume(pool)
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 2)
    }))

  it.effect("twice, and resume without it, are no trouble", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* ResourcePool.resume(pool)
      yield* ResourcePool.use(pool, ok)
      yield* ResourcePool.suspend(pool)
      yield* ResourcePool.suspend(pool)
      yield* ResourcePool.resume(pool)
      yield* ResourcePool.use(pool, ok)
    }))
})

describe("retireAll", () => {
  it.effect("closes idle items now, those in use when they come back, those being made when they arrive", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: (id) => id <= 2 ? Effect.void : Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      const [one, two] = [yield* hold(pool), yield* hold(pool)]
      const waiting = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* one.release
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 1)
      assert.deepInclude(yield* ResourcePool.stats(pool), { idle: 1, used: 1, creating: 1 })
      yield* ResourcePool.retireAll(pool)
      assert.deepStrictEqual(stock.closed, [1])
      yield* TestClock.adjust(100)
      yield* settle
      assert.deepStrictEqual(stock.closed, [1, 3])
      yield* two.release
      yield* settle
      assert.deepStrictEqual(stock.closed, [1, 3, 2])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("returns when the idle ones are closed, side by side", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: (id) => Effect.sleep(id <= 5 ? 100 : 0) })
      const pool = yield* ResourcePool.make(stock.Thing, { min: 5, max: 5 })
      yield* settle
      const fiber = yield* start(ResourcePool.retireAll(pool))
      yield* settle
      yield* TestClock.adjust(99)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
      yield* settle
      // New ones take their places.
      assert.strictEqual((yield* ResourcePool.stats(pool)).idle, 5)
      assert.isAtLeast(Math.min(...stock.open()), 6)
      yield* start(ResourcePool.close(pool))
      yield* TestClock.adjust(100)
    }))

  it.effect("lets those who wait get new items", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const waiting = yield* start(ResourcePool.use(pool, idOf))
      yield* ResourcePool.retireAll(pool)
      yield* holder.release
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 2)
    }))

  it.effect("of an item that is being validated gives its borrower another one", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, validate: () => Effect.sleep(100) })
      yield* settle
      yield* TestClock.adjust("1 second")
      const waiting = yield* start(ResourcePool.use(pool, idOf))
      yield* settle
      yield* ResourcePool.retireAll(pool)
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.deepStrictEqual(stock.closed, [1])
    }))
})
