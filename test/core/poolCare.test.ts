import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { assertSane, hold, makeStock, queueUp, working } from "./poolFixtures.ts"

const ok = () => Effect.void

/** So many items are borrowed at once, and given back one after another, the first one first. */
const burst = <A, E>(pool: ResourcePool.ResourcePool<A, E>, size: number) =>
  Effect.gen(function*() {
    const holders = yield* Effect.forEach(Array.from({ length: size }), () => hold(pool))
    for (const holder of holders) yield* holder.release
    yield* settle
  })

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

describe("idleTimeToLive", () => {
  it.effect("closes items that nobody used for that long, but for min, at that moment", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 3, idleTimeToLive: "1 minute" })
      yield* burst(pool, 3)
      yield* TestClock.adjust(59_999)
      assert.strictEqual(stock.open().length, 3)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(stock.open().length, 1)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(stock.open().length, 1)
    }))

  it.effect("counts from the last use", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, idleTimeToLive: "1 minute" })
      for (let use = 0; use < 5; use++) {
        yield* ResourcePool.use(pool, ok)
        yield* TestClock.adjust("59 seconds")
      }
      assert.deepStrictEqual(stock.closed, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(stock.closed, [1])
    }))

  it.effect("keeps the warm ones: those that were used last", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 3, idleTimeToLive: "1 minute" })
      yield* burst(pool, 3)
      yield* TestClock.adjust("30 seconds")
      yield* ResourcePool.use(pool, ok)
      yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.deepStrictEqual(stock.open(), [3])
    }))

  it.effect("goes on while a keepalive validates the idle items", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      let checks = 0
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 2,
        idleTimeToLive: "5 minutes",
        keepalive: "1 minute",
        validate: () => Effect.sync(() => ++checks)
      })
      yield* burst(pool, 2)
      for (let minute = 0; minute < 4; minute++) yield* TestClock.adjust("1 minute")
      assert.strictEqual(checks, 8)
      assert.deepStrictEqual(stock.closed, [])
      for (let minute = 0; minute < 2; minute++) yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("closes what a smaller min makes superfluous", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 3, max: 3, idleTimeToLive: "1 minute" })
      yield* settle
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(stock.open().length, 3)
      yield* ResourcePool.resize(pool, { min: 1 })
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual(stock.open().length, 1)
    }))

  it.effect("is not lengthened by a borrower that was interrupted while the item was validated", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        idleTimeToLive: "1 minute",
        validate: () => Effect.sleep(100)
      })
      yield* ResourcePool.use(pool, ok)
      yield* TestClock.adjust("30 seconds")
      const fiber = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
    }))
})

describe("maxLifetime", () => {
  it.effect("closes an idle item at that age, and keeps min up", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      yield* ResourcePool.make(stock.Thing, { min: 1, max: 2, maxLifetime: "1 minute", lifetimeJitter: 0 })
      yield* settle
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(stock.open(), [1])
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(stock.open(), [2])
    }))

  it.effect("closes an item in use when it comes back, not before", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxLifetime: "1 minute", lifetimeJitter: 0 })
      const holder = yield* hold(pool)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(stock.open(), [1])
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("holds on a hot pool too, whose items are never idle (pgx#2560)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, maxLifetime: "1 minute", lifetimeJitter: 0 })
      const born = new Map<number, number>()
      const old: Array<number> = []
      const busy = Effect.forever(ResourcePool.use(
        pool,
        working(stock, (item) =>
          Effect.gen(function*() {
            const at = yield* now
            if (!born.has(item.id)) born.set(item.id, at)
            if (at - born.get(item.id)! > 60_000) old.push(item.id)
            yield* Effect.sleep("1 second")
          }))
      ))
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => start(busy))
      for (let second = 0; second < 300; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(old, [])
      assert.isAtLeast(stock.closed.length, 6)
      assert.deepStrictEqual(stock.wrong, [])
      yield* Fiber.interruptAll(fibers)
    }))

  it.effect("ends the lending of an item that several share, but not their use of it", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 2,
        concurrency: 2,
        maxLifetime: "1 minute",
        lifetimeJitter: 0
      })
      const gate = yield* Latch.make()
      const first = yield* start(ResourcePool.use(pool, working(stock, () => gate.await)))
      yield* settle
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* ResourcePool.use(pool, working(stock, ({ id }) => Effect.succeed(id))), 2)
      assert.deepStrictEqual(stock.open(), [1, 2])
      yield* gate.open
      yield* Fiber.join(first)
      yield* settle
      assert.deepStrictEqual(stock.open(), [2])
      assert.deepStrictEqual(stock.wrong, [])
      assertSane(yield* ResourcePool.stats(pool))
    }))

  it.effect("is shortened at random, so that items made together do not end together (posthog#49745)", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      yield* ResourcePool.make(stock.Thing, { min: 40, max: 40, maxLifetime: 100_000, warmUp: { parallelism: 40 } })
      yield* settle
      yield* settle
      const moments = new Set<number>()
      for (let second = 0; second < 100; second++) {
        const before = stock.closed.length
        yield* TestClock.adjust("1 second")
        if (stock.closed.length > before) moments.add(second)
      }
      yield* settle
      // At most a tenth shorter, by default, and never longer.
      assert.isAtLeast(Math.min(...moments), 89)
      assert.isAtLeast(moments.size, 4)
      assert.includeMembers(stock.closed, Array.from({ length: 40 }, (_, index) => index + 1))
    }))

  it.effect("is shortened by what lifetimeJitter says at most", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      yield* ResourcePool.make(stock.Thing, { min: 40, max: 40, maxLifetime: 100_000, lifetimeJitter: 1 })
      for (let step = 0; step < 10; step++) yield* settle
      yield* TestClock.adjust("50 seconds")
      assert.isAbove(stock.closed.length, 5)
    }))
})

describe("maxUses", () => {
  it.effect("closes an item after that many borrows", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 3 })
      const ids: Array<number> = []
      for (let use = 0; use < 7; use++) yield* ResourcePool.use(pool, ({ id }) => Effect.sync(() => ids.push(id)))
      assert.deepStrictEqual(ids, [1, 1, 1, 2, 2, 2, 3])
    }))

  it.effect("holds for those who wait as well", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 2 })
      const ids: Array<number> = []
      yield* Effect.forEach([1, 2, 3, 4, 5], () =>
        start(ResourcePool.use(pool, ({ id }) => Effect.andThen(Effect.sync(() => ids.push(id)), Effect.yieldNow))))
      for (let step = 0; step < 5; step++) {
        yield* settle
      }
      assert.deepStrictEqual(ids, [1, 1, 2, 2, 3])
    }))

  it.effect("holds for an item that several use at once", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, concurrency: 4, maxUses: 2 })
      const holders = yield* Effect.forEach([1, 2, 3, 4], () => hold(pool))
      const ids = yield* Effect.forEach(holders, ({ item }) => Effect.map(item, ({ id }) => id))
      assert.deepStrictEqual(ids, [1, 1, 2, 2])
      for (const holder of holders) yield* holder.release
      yield* settle
      assert.deepStrictEqual(stock.open(), [])
    }))
})

describe("The order", () => {
  it.effect("lifo keeps few items warm", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3 })
      yield* burst(pool, 3)
      for (let use = 0; use < 6; use++) {
        yield* ResourcePool.use(pool, ({ id }) => Effect.succeed(assert.strictEqual(id, 3)))
      }
    }))

  it.effect("fifo spreads the use over all of them", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 3, order: "fifo" })
      yield* burst(pool, 3)
      const ids: Array<number> = []
      for (let use = 0; use < 6; use++) yield* ResourcePool.use(pool, ({ id }) => Effect.sync(() => ids.push(id)))
      assert.deepStrictEqual(ids, [1, 2, 3, 1, 2, 3])
    }))

  it.effect("is that of their use, whatever a keepalive does meanwhile", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, keepalive: "1 minute", validate: () => Effect.void })
      const [one, two] = [yield* hold(pool), yield* hold(pool)]
      yield* one.release
      yield* TestClock.adjust("30 seconds")
      yield* two.release
      yield* settle
      // The first one is kept alive now, which does not make it the warmer one.
      yield* TestClock.adjust("45 seconds")
      yield* settle
      assert.strictEqual(yield* ResourcePool.use(pool, ({ id }) => Effect.succeed(id)), 2)
    }))
})

describe("keepalive", () => {
  it.effect("validates idle items that often, and replaces those that are dead", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const checked: Array<number> = []
      yield* ResourcePool.make(stock.Thing, {
        min: 2,
        max: 2,
        keepalive: "1 minute",
        validate: ({ id }) => Effect.sync(() => (checked.push(id), id !== 1))
      })
      yield* settle
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(checked, [])
      yield* TestClock.adjust(1)
      yield* settle
      assert.sameMembers(checked, [1, 2])
      assert.deepStrictEqual(stock.closed, [1])
      assert.deepStrictEqual(stock.open(), [2, 3])
      yield* TestClock.adjust("1 minute")
      assert.sameMembers(checked, [1, 2, 2, 3])
    }))

  it.effect("leaves alone who uses an item", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      let checks = 0
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 1,
        keepalive: "1 minute",
        validate: () => Effect.sync(() => ++checks)
      })
      const holder = yield* hold(pool)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(checks, 0)
      yield* holder.release
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(checks, 1)
    }))

  it.effect("hands the item to who came meanwhile", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, {
        min: 1,
        max: 1,
        keepalive: "1 minute",
        validate: () => Effect.sleep(100)
      })
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* ResourcePool.stats(pool)).busy, 1)
      const served: Array<string> = []
      yield* queueUp(pool, served, "waiter")
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(served, ["waiter"])
      assert.strictEqual(stock.state.started, 1)
    }))
})

describe("The jitter", () => {
  it.effect("is drawn anew for each item", () =>
    Effect.gen(function*() {
      // Whatever draws it, two pools of many items never agree.
      const ends = yield* Effect.forEach([1, 2], () =>
        Effect.gen(function*() {
          const stock = makeStock()
          const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxLifetime: 1_000_000, lifetimeJitter: 0.9 })
          const moments: Array<number> = []
          for (let round = 0; round < 5; round++) {
            yield* ResourcePool.use(pool, ok)
            const from = yield* now
            while (stock.closed.length === round) yield* TestClock.adjust(1000)
            moments.push((yield* now) - from)
          }
          return moments
        }))
      assert.notDeepEqual(ends[0], ends[1])
    }))
})
