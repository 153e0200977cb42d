import { ResourceDefinition, ResourcePool } from "@chronovyan/core"
import { Sweep } from "@chronovyan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch, Schema } from "effect"
import { TestClock } from "effect/testing"
import { settle } from "./fixtures.ts"
import { failedWith, hold, makeStock, spawn } from "./poolFixtures.ts"

describe("Pools under random operations:", () => {
  it.effect("keys that share one place do not take it from each other for ever when priorities differ", () =>
    Effect.gen(function*() {
      let made = 0
      const Thing = ResourceDefinition.temporal("thing", {
        params: Schema.Number,
        interruptible: true,
        acquire: () => Effect.sync(() => ++made).pipe(Effect.delay(1))
      })
      const keyed = yield* ResourcePool.keyed(Thing, { max: 1, maxTotal: 1 })
      const pools = yield* Effect.forEach([0, 1, 2], (key) => ResourcePool.at(keyed, key))
      const gate = Latch.makeUnsafe()
      const served: Array<string> = []
      const borrow = (key: number, priority: number) =>
        ResourcePool.use(pools[key]!, () => Effect.sync(() => void served.push(`${key}/${priority}`))).pipe(
          Effect.provideService(ResourcePool.Priority, priority),
          Effect.forkScoped({ startImmediately: true }),
          Effect.andThen(TestClock.adjust(1))
        )
      yield* Effect.forkScoped(ResourcePool.use(pools[2]!, () => gate.await), { startImmediately: true })
      yield* TestClock.adjust(5)
      yield* borrow(0, 0)
      yield* borrow(1, 0)
      yield* borrow(0, 9)
      yield* borrow(1, 9)
      yield* gate.open
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(served.length, 4)
      assert.isAtMost(made, 5)
    }))

  it.effect("keys that share a place for a spare item leave it to one of them", () =>
    Effect.gen(function*() {
      let made = 0
      const Thing = ResourceDefinition.temporal("thing", {
        params: Schema.Number,
        interruptible: true,
        acquire: () => Effect.sync(() => ++made),
        release: () => Effect.void
      })
      const keyed = yield* ResourcePool.keyed(Thing, { max: 3, maxTotal: 4, targetUtilization: 0.6 })
      for (const key of [0, 1, 2]) {
        const pool = yield* ResourcePool.at(keyed, key)
        yield* Effect.forkScoped(ResourcePool.use(pool, () => Effect.never), { startImmediately: true })
        yield* TestClock.adjust(10)
      }
      assert.isAtMost(made, 8)
      const idle = (yield* ResourcePool.keys(keyed)).reduce((sum, stats) => sum + stats.idle, 0)
      assert.strictEqual(idle, 1)
    }))

  it.effect("who waits for itself alone is told so, also when the last of the others gives back a part of its own worn-out item", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({ acquire: Effect.succeed("item"), size: 1, concurrency: 2, maxUses: 2 })
      const gate = Latch.makeUnsafe()
      const fiber = yield* spawn(
        ResourcePool.use(pool, () => Effect.andThen(gate.await, ResourcePool.use(pool, () => Effect.void)))
      )
      yield* settle
      const other = yield* hold(pool)
      yield* gate.open
      yield* settle
      yield* other.release
      yield* settle
      assert.strictEqual(failedWith(fiber)._tag, "WouldDeadlock")
    }))

  it.effect("an item that is refused while somebody waits for it is replaced at once, if there is room, not only when it is gone", () =>
    Effect.gen(function*() {
      const stock = makeStock({ release: () => Effect.sleep(20) })
      const pool = yield* ResourcePool.make(stock.Thing, {
        max: 2,
        validateAfter: 0,
        validate: ({ id }) => Effect.as(Effect.sleep(5), id > 1)
      })
      yield* ResourcePool.use(pool, () => Effect.void)
      yield* ResourcePool.suspend(pool)
      const fiber = yield* spawn(ResourcePool.use(pool, () => Effect.void))
      yield* settle
      yield* ResourcePool.resume(pool)
      yield* TestClock.adjust(6)
      yield* settle
      const isServed = fiber.pollUnsafe() !== undefined
      const { closing, creating, max, total, waiting } = yield* ResourcePool.stats(pool)
      yield* Effect.forkChild(ResourcePool.close(pool), { startImmediately: true })
      yield* TestClock.adjust(100)
      assert.isTrue(isServed, JSON.stringify({ closing, creating, max, total, waiting }))
    }))

  it.effect("who finds no place in the item that was checked for several gets another one, if there is room", () =>
    Effect.gen(function*() {
      const pool = yield* ResourcePool.make({
        acquire: Effect.succeed("item"),
        max: 2,
        concurrency: 2,
        maxUses: 2,
        validateAfter: 0,
        validate: () => Effect.sleep(5)
      })
      yield* ResourcePool.use(pool, () => Effect.void)
      yield* ResourcePool.suspend(pool)
      const one = yield* hold(pool)
      const other = yield* hold(pool)
      yield* ResourcePool.resume(pool)
      yield* TestClock.adjust(100)
      yield* settle
      const { creating, max, total, waiting } = yield* ResourcePool.stats(pool)
      assert.isTrue(one.has() && other.has(), JSON.stringify({ creating, max, total, waiting }))
    }))
})

describe("A borrower for whom there is room", () => {
  it.effect("gets an item, wherever the fiber yields that makes a place for it (a wake-up that Effect's Pool loses)", () =>
    Effect.gen(function*() {
      const report = yield* Sweep.run(
        Sweep.make({
          name: "two items",
          setup: Effect.suspend(() => ResourcePool.make(makeStock().Thing, { max: 2 })),
          body: (pool) =>
            Effect.andThen(ResourcePool.get(pool), ResourcePool.get(pool)).pipe(
              Effect.scoped,
              Effect.timeout("20 seconds")
            ),
          check: (_pool, exit) => Exit.isSuccess(exit) ? [] : [String(exit)]
        }),
        { modes: ["yield", "offset"] }
      )
      assert.deepStrictEqual(report.failures, [])
    }))
})

describe("A pool that gets fewer items", () => {
  it.effect("closes those that are being reset, too", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 2, reset: () => Effect.sleep(10) })
      const use = ResourcePool.use(pool, () => Effect.yieldNow)
      yield* spawn(use)
      yield* spawn(use)
      yield* settle
      yield* ResourcePool.resize(pool, { max: 1 })
      yield* TestClock.adjust(10)
      yield* settle
      assert.deepInclude(yield* ResourcePool.stats(pool), { total: 1, idle: 1 })
    }))
})
