import { ResourcePool } from "@chronovyan/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { settle, start } from "./fixtures.ts"
import { failedWith, hold, makeStock, queueUp } from "./poolFixtures.ts"

const ok = () => Effect.void
const tagOf = (fiber: Fiber.Fiber<unknown, unknown>) => (failedWith(fiber) as { readonly _tag: string })._tag

describe("drain", () => {
  it.effect("still serves those who wait, and refuses those who come", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const served: Array<string> = []
      yield* Effect.forEach(["a", "b"], (name) => queueUp(pool, served, name))
      const end = yield* start(ResourcePool.drain(pool))
      yield* settle
      assert.strictEqual((yield* ResourcePool.stats(pool)).state, "draining")
      const late = yield* start(ResourcePool.use(pool, ok))
      yield* settle
      assert.strictEqual(tagOf(late), "PoolClosed")
      yield* holder.release
      yield* settle
      assert.deepStrictEqual(served, ["a", "b"])
      assert.deepStrictEqual(yield* Fiber.join(end), [])
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("makes items for those who wait", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep(100) })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1, maxUses: 1 })
      const served: Array<string> = []
      yield* Effect.forEach(["a", "b"], (name) => queueUp(pool, served, name))
      const end = yield* start(ResourcePool.drain(pool))
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      assert.deepStrictEqual(served, ["a", "b"])
      assert.isDefined(end.pollUnsafe())
    }))

  it.effect("serves a borrower whose item is just being validated", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { min: 1, max: 1, validate: () => Effect.sleep(100) })
      yield* settle
      yield* TestClock.adjust("1 second")
      const served: Array<string> = []
      yield* queueUp(pool, served, "checking")
      yield* settle
      const end = yield* start(ResourcePool.drain(pool))
      yield* settle
      yield* TestClock.adjust(100)
      yield* settle
      assert.deepStrictEqual(served, ["checking"])
      yield* Fiber.join(end)
      assert.deepStrictEqual(stock.open(), [])
    }))

  it.effect("of a suspended pool resumes it", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* ResourcePool.suspend(pool)
      const served: Array<string> = []
      yield* queueUp(pool, served, "waiting")
      const end = yield* start(ResourcePool.drain(pool))
      yield* settle
      assert.deepStrictEqual(served, ["waiting"])
      assert.isDefined(end.pollUnsafe())
    }))

  it.effect("has a deadline: then those who wait are refused, and holders are named", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      yield* hold(pool)
      const waiting = yield* start(ResourcePool.use(pool, ok))
      const end = yield* start(ResourcePool.drain(pool, { timeout: "1 second" }))
      yield* settle
      yield* TestClock.adjust(999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(tagOf(waiting), "PoolClosed")
      assert.strictEqual((yield* Fiber.join(end)).length, 1)
    }))

  it.effect("becomes a close when it is closed meanwhile", () =>
    Effect.gen(function*() {
      const stock = makeStock()
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const holder = yield* hold(pool)
      const waiting = yield* start(ResourcePool.use(pool, ok))
      const drain = yield* start(ResourcePool.drain(pool))
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      const close = yield* start(ResourcePool.close(pool))
      yield* settle
      assert.strictEqual(tagOf(waiting), "PoolClosed")
      yield* holder.release
      yield* Fiber.joinAll([drain, close])
    }))

  it.effect("ends when the last one who waits gives up", () =>
    Effect.gen(function*() {
      const stock = makeStock({ create: () => Effect.sleep("1 second") })
      const pool = yield* ResourcePool.make(stock.Thing, { max: 1 })
      const waiting = yield* start(ResourcePool.use(pool, ok))
      const end = yield* start(ResourcePool.drain(pool))
      yield* settle
      yield* Fiber.interrupt(waiting)
      yield* settle
      assert.isDefined(end.pollUnsafe())
    }))
})
